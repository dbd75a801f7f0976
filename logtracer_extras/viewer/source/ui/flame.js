// ---- Flame --------------------------------------------------------------------------------------

const WEIGHTS = ['time', 'tokens', 'cost'];

/** Steps merged by their path; a frame is as wide as the sum below it. */
class FlameView {
  /** @param {HTMLCanvasElement} canvas */
  constructor(canvas) {
    this.canvas = canvas;
    this.labels = new Labels();
    this.weight = 'time';
    this.focus = 0;
    this.scroll = 0;
    canvas.addEventListener('click', (event) => this.click(event));
    canvas.addEventListener('mousemove', (event) => {
      const frame = this.frameAt(event.offsetX, event.offsetY);
      app.tooltip.show(frame ? this.describe(frame) : '', event);
    });
    canvas.addEventListener('mouseleave', () => app.tooltip.hide());
    canvas.addEventListener(
      'wheel',
      (event) => {
        event.preventDefault();
        this.scroll = Math.max(0, this.scroll + event.deltaY);
        this.draw();
      },
      { passive: false },
    );
    watchSize(canvas, () => app.tab === 'flame' && this.graph && this.draw());
  }

  refresh() {
    const { model } = app;
    const { selves } = app;
    /** @type {Record<string, NumberOf>} */
    const weights = {
      time: (node) => selves[node],
      tokens: (node) => model.tokensOf(node),
      cost: (node) => Math.max(0, model.cost[node]),
    };
    this.graph = flameGraph(model, app.tree, weights[this.weight]);
    this.focus = 0;
    this.draw();
  }

  nextWeight() {
    this.weight = WEIGHTS[(WEIGHTS.indexOf(this.weight) + 1) % WEIGHTS.length];
    setText(byId('weight-button'), 'by ' + this.weight);
    this.refresh();
  }

  draw() {
    const { context, width, height } = prepareCanvas(this.canvas);
    const { frames } = this.graph;
    const focus = frames[this.focus];
    context.fillStyle = app.palette.ground;
    context.fillRect(0, 0, width, height);
    this.boxes = [];
    if (!focus.width) {
      context.fillStyle = app.palette.soft;
      context.fillText(`Nothing was recorded to show by ${this.weight}.`, 12, 20);
      return;
    }
    const scale = width / focus.width;
    for (const frame of this.seen(focus, scale))
      this.drawFrame(context, frame, focus, scale, height);
  }

  /**
   * Walk the frames that are wide enough to see, from the root; never the whole graph.
   * @param {Frame} focus @param {number} scale
   */
  seen(focus, scale) {
    const { frames } = this.graph;
    const result = [];
    const waiting = [focus];
    for (let above = focus; above.parent >= 0;) {
      above = frames[above.parent];
      result.push(above);
    }
    for (let frame = waiting.pop(); frame; frame = waiting.pop()) {
      result.push(frame);
      for (const child of frame.children)
        if (frames[child].width * scale >= 1) waiting.push(frames[child]);
    }
    return result;
  }

  /**
   * @param {CanvasRenderingContext2D} context @param {Frame} frame @param {Frame} focus
   * @param {number} scale @param {number} height
   */
  drawFrame(context, frame, focus, scale, height) {
    if (frame.node < 0) return;
    const y = 6 + frame.level * LINE - this.scroll;
    if (y < -LINE || y > height) return;
    const isAbove = frame.level < focus.level;
    const x = isAbove ? 0 : (frame.x - focus.x) * scale;
    const width = isAbove ? focus.width * scale : frame.width * scale;
    const fill = app.fillOf(frame.node);
    context.fillStyle = fill;
    context.fillRect(x, y, Math.max(1, width - 1), BAR + 2);
    if (frame.errors) {
      context.fillStyle = app.palette.error;
      context.fillRect(x, y + BAR, Math.max(2, width - 1), 2);
    }
    this.boxes.push({ frame, x, y, right: x + width });
    if (width < 28) return;
    context.fillStyle = app.palette.inkOn(fill);
    const name =
      app.model.nameOf(frame.node) + (frame.count > 1 ? ` ×${formatCount(frame.count)}` : '');
    const text = this.labels.fit(context, name, width - 8);
    if (text) context.fillText(text, x + 4, y + 9);
  }

  /** @param {number} x @param {number} y */
  frameAt(x, y) {
    return this.boxes?.find((box) => x >= box.x && x < box.right && y >= box.y && y < box.y + LINE)
      ?.frame;
  }

  /** @param {MouseEvent} event */
  click(event) {
    const frame = this.frameAt(event.offsetX, event.offsetY);
    if (!frame) return;
    this.focus = this.graph.frames.indexOf(frame);
    app.select(frame.node, { from: 'flame' });
    this.draw();
  }

  /** @param {Frame} frame */
  describe(frame) {
    /** @type {Record<string, (sum: number) => string>} */
    const formats = { time: formatTime, tokens: formatTokens, cost: formatCost };
    const format = formats[this.weight];
    const lines = [
      show(nodeTitle(app.model, frame.node)),
      `${formatCount(frame.count)} × · total ${format(frame.width)} · own ${format(frame.own)}`,
    ];
    if (frame.errors) lines.push(`${formatCount(frame.errors)} failed`);
    return lines.join('\n');
  }

  /** @param {number} distance */
  step(distance) {
    const { frames, frameOf } = this.graph;
    const frame = app.selected >= 0 ? frames[frameOf[app.selected]] : frames[0];
    const next = distance > 0 ? frames[frame.children[0]] : frames[frame.parent];
    if (next && next.node >= 0) app.select(next.node, { from: 'flame' });
  }
}
