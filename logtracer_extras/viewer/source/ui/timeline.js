// ---- Timeline -----------------------------------------------------------------------------------

const GUTTER = 112; // pixels for the names of lanes
const AXIS = 22;
const LINE = 20; // pixels of a row; its bar is a little lower
const BAR = 16;
const LANE_GAP = 6;
const SMALLEST_SPAN = 100; // microseconds
const MOST_EDGES = 2000; // in one picture

/** Bars over time: lanes, rows, edges, the critical path. */
class TimelineView {
  /** @param {HTMLCanvasElement} canvas */
  constructor(canvas) {
    this.canvas = canvas;
    this.labels = new Labels();
    this.scroll = 0;
    /** @type {Set<number>} */
    this.expanded = new Set(); // lanes shown with all their rows
    /** @type {number[]} */
    this.drawTimes = [];
    this.showsAllFlow = false;
    /** @type {Spot[]} */
    this.spots = []; // places that jump somewhere when clicked
    new PointerControl(this, canvas);
    watchSize(canvas, () => app.drawSoon());
  }

  /** Take the layout afresh: how many lines each lane has, and where it begins. */
  arrange() {
    const { layout } = app;
    this.lanes = app.lanes.labels
      .map((label, lane) => {
        const first = layout.laneStart[lane];
        const rows = layout.laneStart[lane + 1] - first;
        const isCut = rows > LANE_ROWS && !this.expanded.has(lane);
        return {
          lane,
          label,
          first,
          rows,
          shown: isCut ? LANE_ROWS : rows,
          isCut,
          top: 0,
          density: null,
        };
      })
      .filter((lane) => lane.rows > 0);
    let top = 0;
    for (const lane of this.lanes) {
      lane.top = top;
      top += (lane.shown + (lane.isCut || lane.rows > LANE_ROWS ? 1 : 0)) * LINE + LANE_GAP;
    }
    this.contentHeight = top;
  }

  get width() {
    return Math.max(50, this.canvas.room.width - GUTTER);
  }

  /** The window in time, and how wide it is drawn. */
  get view() {
    return { from: app.window.from, to: app.window.to, width: this.width };
  }

  /** @param {number} x */
  timeAt(x) {
    const { from, to } = app.window;
    return from + ((x - GUTTER) / this.width) * (to - from);
  }

  /** @param {number} time */
  xOf(time) {
    const { from, to } = app.window;
    return GUTTER + ((time - from) / (to - from)) * this.width;
  }

  /**
   * Top of a row on the canvas; of the "more rows" line for a row that is not shown.
   * @param {number} row
   */
  yOf(row) {
    const lane = this.laneOfRow(row);
    return AXIS + lane.top - this.scroll + Math.min(row - lane.first, lane.shown) * LINE;
  }

  /** @param {number} row */
  laneOfRow(row) {
    return /** @type {DrawnLane} */ (this.lanes.findLast((lane) => lane.first <= row));
  }

  draw() {
    const began = performance.now();
    const { context, width, height } = prepareCanvas(this.canvas);
    this.context = context;
    this.spots = [];
    this.scroll = Math.max(0, Math.min(this.scroll, this.contentHeight - height + AXIS + LINE));
    context.fillStyle = app.palette.ground;
    context.fillRect(0, 0, width, height);
    this.drawAxis(width, height);
    this.drawRows(height);
    if (app.critical) this.drawCritical(height);
    this.drawEdges(width, height);
    this.drawSelection();
    if (app.area) this.drawArea(app.area, height);
    this.drawGutter(height);
    this.drawTimes.push(performance.now() - began);
    if (this.drawTimes.length > 600) this.drawTimes.shift();
  }

  /** @param {number} width @param {number} height */
  drawAxis(width, height) {
    const { context } = this;
    const { from, to } = app.window;
    const step = tickStep(((to - from) / this.width) * 80);
    context.strokeStyle = context.fillStyle = app.palette.line;
    for (let tick = Math.ceil(from / step) * step; tick <= to; tick += step) {
      const x = Math.round(this.xOf(tick)) + 0.5;
      context.fillStyle = app.palette.line;
      context.fillRect(x, 0, 1, height);
      context.fillStyle = app.palette.soft;
      if (x < width - 30) context.fillText(formatTick(tick, step), x + 4, AXIS / 2);
    }
  }

  /** @param {number} height */
  drawRows(height) {
    this.bars = new Map(); // fill to a flat list of x, y, width
    this.strips = []; // of errors, drawn last so that no bar covers one
    this.texts = [];
    for (const lane of this.lanes) {
      const top = AXIS + lane.top - this.scroll;
      const first = Math.max(0, Math.floor((AXIS - top) / LINE));
      const last = Math.min(lane.shown, Math.ceil((height - top) / LINE));
      for (let line = first; line < last; line++)
        this.planLine(lane.first + line, top + line * LINE + 2);
      const below = top + lane.shown * LINE;
      if (lane.isCut && below < height && below > 0) this.drawDensity(lane, below);
    }
    this.paintBars();
  }

  /** @param {number} row @param {number} y */
  planLine(row, y) {
    const { layout, model } = app;
    planRow(layout, row, this.view, (x, width, first, last) => {
      const node = layout.nodes[first];
      const isDimmed = app.matchSum !== null && app.matchSum[last] === app.matchSum[first];
      const failed = layout.errorSum[last] > layout.errorSum[first];
      const fill = isDimmed ? app.palette.dim : app.fillOf(node);
      if (failed) this.strips.push(x, y, width);
      if (failed && width < 6 && !isDimmed) return;
      let bars = this.bars.get(fill);
      if (!bars) this.bars.set(fill, (bars = []));
      bars.push(x, y, width);
      if (last - first === 1 && width > 28) this.texts.push({ node, x, y, width, fill, failed });
      if (last - first === 1 && width > 3 && model.isOpen(node))
        this.texts.push({ torn: true, x: x + width, y });
    });
  }

  paintBars() {
    const { context } = this;
    for (const [fill, bars] of this.bars) {
      context.fillStyle = fill;
      for (let at = 0; at < bars.length; at += 3) {
        const width = bars[at + 2];
        context.fillRect(GUTTER + bars[at], bars[at + 1], width > 3 ? width - 1 : width, BAR);
        if (app.palette.isOutlined && width > 3) this.outline(bars[at], bars[at + 1], width);
      }
    }
    for (const text of this.texts) {
      if ('torn' in text) this.paintTornEdge(GUTTER + text.x, text.y);
      else this.paintText(text);
    }
    const { strips } = this;
    for (let at = 0; at < strips.length; at += 3)
      this.paintStrip(strips[at], strips[at + 1], strips[at + 2]);
  }

  /**
   * An error is a red edge that is taller than its bar, for readers who do not see red, and set
   * off by a line of the ground, since red beside blue is hard to see for all.
   * @param {number} x @param {number} y @param {number} width
   */
  paintStrip(x, y, width) {
    const { context } = this;
    // Whole pixels, or a smoothed edge would leave less than an error's colour.
    const left = Math.floor(GUTTER + Math.max(0, x));
    if (width < 6) {
      context.fillStyle = app.palette.error;
      context.fillRect(left, y - 2, Math.max(2, Math.round(width)), BAR + 4);
      return;
    }
    context.fillStyle = app.palette.ground;
    context.fillRect(left, y, 5, BAR);
    context.fillRect(left, y + BAR - 4, width - 1, 4);
    context.fillStyle = app.palette.error;
    context.fillRect(left, y - 2, 4, BAR + 4);
    context.fillRect(left, y + BAR - 3, width - 1, 3);
  }

  /**
   * For readers who asked for more contrast: bars have an edge.
   * @param {number} x @param {number} y @param {number} width
   */
  outline(x, y, width) {
    const { context } = this;
    context.strokeStyle = app.palette.ink;
    context.lineWidth = 1;
    // On whole pixels: a smoothed line would have less contrast than was asked for.
    context.strokeRect(Math.floor(GUTTER + x) + 0.5, y + 0.5, Math.floor(width) - 2, BAR - 1);
  }

  /** @param {BarText} text */
  paintText({ node, x, y, width, fill, failed }) {
    const { context } = this;
    const left = Math.max(0, x) + 5 + (failed ? 4 : 0);
    const folded = app.hiddenBelow(node);
    const mark = (failed ? '✖ ' : '') + (folded ? `+${formatCount(folded)} ` : '');
    const room = Math.min(x + width, this.width) - left - 4;
    context.fillStyle = app.palette.inkOn(fill);
    const text = this.labels.fit(context, mark + app.model.nameOf(node), room);
    if (text) context.fillText(text, GUTTER + left, y + BAR / 2);
  }

  /**
   * An open node has no right edge yet: teeth in the colour of the ground.
   * @param {number} x @param {number} y
   */
  paintTornEdge(x, y) {
    const { context } = this;
    context.fillStyle = app.palette.ground;
    for (let tooth = 0; tooth < 4; tooth++) {
      context.beginPath();
      context.moveTo(x, y + tooth * 4);
      context.lineTo(x - 4, y + tooth * 4 + 2);
      context.lineTo(x, y + tooth * 4 + 4);
      context.fill();
    }
  }

  /**
   * Draw the rows that are not shown as one: how busy they are, and where they failed.
   * @param {DrawnLane} lane @param {number} y
   */
  drawDensity(lane, y) {
    lane.density ??= this.densityOf(lane);
    const { starts, ends, errors } = lane.density;
    const { context } = this;
    const { from, to, width } = this.view;
    const most = lane.rows - lane.shown;
    const column = (to - from) / width;
    context.fillStyle = app.palette.load;
    for (let x = 0; x < width; x += 2) {
      const time = from + (x + 1) * column;
      const busy = countBelow(starts, time + column) - countBelow(ends, time - column);
      if (busy > 0) {
        const tall = Math.max(2, Math.min(BAR, (busy / most) * BAR));
        context.fillRect(GUTTER + x, y + 2 + BAR - tall, 2, tall);
      }
    }
    context.fillStyle = app.palette.error;
    for (let at = countBelow(errors, from); at < errors.length && errors[at] < to;) {
      const x = Math.floor((errors[at] - from) / column);
      context.fillRect(GUTTER + x, y + 2, 2, BAR);
      at = Math.max(at + 1, countBelow(errors, from + (x + 1) * column));
    }
  }

  /** @param {DrawnLane} lane */
  densityOf(lane) {
    const { layout, drawn: model } = app;
    const first = layout.rowStart[lane.first + lane.shown];
    const nodes = layout.nodes.subarray(first, layout.rowStart[lane.first + lane.rows]);
    return {
      starts: Float64Array.from(nodes, (node) => model.start[node]).sort(),
      ends: Float64Array.from(nodes, (node) => model.endOf(node)).sort(),
      errors: Float64Array.from(
        nodes.filter((node) => model.status[node] === FAILED),
        (node) => model.start[node],
      ).sort(),
    };
  }

  /** @param {number} height */
  drawCritical(height) {
    const { context } = this;
    context.fillStyle = app.palette.critical;
    for (const part of app.criticalParts()) {
      const row = app.layout.row[part.node];
      if (row < 0) continue;
      const y = this.yOf(row) + BAR + 2;
      const x = Math.max(GUTTER, this.xOf(app.drawnTime(part.node, part.from)));
      const right = Math.min(GUTTER + this.width, this.xOf(app.drawnTime(part.node, part.to)));
      if (y > AXIS && y < height && right > x) context.fillRect(x, y, Math.max(1, right - x), 2);
    }
  }

  // ---- Edges: retry, fallback and data flow, told apart by dash and glyph too

  /** @param {number} width @param {number} height */
  drawEdges(width, height) {
    let drawn = 0;
    for (const edge of app.edgesInOrder()) {
      if (!this.isEdgeWanted(edge, height)) continue;
      if (drawn++ < MOST_EDGES) this.drawEdge(edge, width, height);
    }
    this.context.setLineDash([]);
    if (drawn > MOST_EDGES) this.tellHiddenEdges(drawn - MOST_EDGES, width, height);
  }

  /** @param {number} count @param {number} width @param {number} height */
  tellHiddenEdges(count, width, height) {
    const text = `${formatCount(count)} edges hidden`;
    const half = this.context.measureText(text).width / 2;
    this.drawBadge(text, width - half - 8, height - 18, app.palette.soft);
  }

  /** @param {Edge} edge @param {number} height */
  isEdgeWanted(edge, height) {
    const { layout, selected } = app;
    if (layout.row[edge.source] < 0 || layout.row[edge.target] < 0) return false;
    if (edge.source === selected || edge.target === selected) return true;
    const isTry = edge.kind === RETRY || edge.kind === FALLBACK;
    if (!isTry && !(this.showsAllFlow && edge.kind === DATA_FLOW)) return false;
    const left = this.xOf(app.drawn.endOf(edge.source));
    const right = this.xOf(app.drawn.start[edge.target]);
    const isInTime =
      left > GUTTER &&
      right < GUTTER + this.width &&
      right - this.xOf(app.drawn.start[edge.source]) >= 3;
    return (
      isInTime &&
      [edge.source, edge.target].every((node) => this.isLineSeen(layout.row[node], height))
    );
  }

  /** @param {number} row @param {number} height */
  isLineSeen(row, height) {
    const y = this.yOf(row);
    return y > AXIS - LINE && y < height;
  }

  /** @param {Edge} edge @param {number} width @param {number} height */
  drawEdge(edge, width, height) {
    const style = edgeStyle(edge.kind);
    const { context } = this;
    const { layout, drawn: model } = app;
    const from = {
      x: this.xOf(model.endOf(edge.source)),
      y: this.yOf(layout.row[edge.source]) + 2 + BAR / 2,
    };
    const to = {
      x: this.xOf(model.start[edge.target]),
      y: this.yOf(layout.row[edge.target]) + 2 + BAR / 2,
    };
    context.strokeStyle = context.fillStyle = style.colour;
    context.lineWidth = style.isThin ? 1 : 1.5;
    context.setLineDash(style.dash);
    if (from.y === to.y && Math.abs(to.x - from.x) < 6) {
      this.drawBadge(style.glyph, to.x, to.y - BAR / 2, style.colour);
      return;
    }
    const ends = [from, to].map((end) => this.atBorder(end, width, height));
    this.drawCurve(ends[0], ends[1]);
    if (ends[1] === to) this.drawArrowHead(to);
    const middle = { x: (ends[0].x + ends[1].x) / 2, y: (ends[0].y + ends[1].y) / 2 };
    this.drawBadge(style.glyph + this.attemptOf(edge), middle.x, middle.y - 6, style.colour);
    if (ends[0] !== from) this.drawChip(edge.source, '← ', ends[0], width, height);
    if (ends[1] !== to) this.drawChip(edge.target, '→ ', ends[1], width, height);
  }

  /** @param {Edge} edge */
  attemptOf(edge) {
    return edge.kind === RETRY ? String((app.edges.attempts.get(edge.target) ?? 2) - 1) : '';
  }

  /** @param {Point} end @param {number} width @param {number} height */
  atBorder(end, width, height) {
    const x = Math.max(GUTTER + 2, Math.min(width - 2, end.x));
    const y = Math.max(AXIS + 8, Math.min(height - 8, end.y));
    return x === end.x && y === end.y ? end : { x, y };
  }

  /** @param {Point} from @param {Point} to */
  drawCurve(from, to) {
    const { context } = this;
    context.beginPath();
    context.moveTo(from.x, from.y);
    if (from.y === to.y) context.lineTo(to.x, to.y);
    else {
      const reach = Math.max(12, Math.abs(to.x - from.x) / 2);
      context.bezierCurveTo(from.x + reach, from.y, to.x - reach, to.y, to.x, to.y);
    }
    context.stroke();
    context.setLineDash([]);
  }

  /** @param {Point} end */
  drawArrowHead({ x, y }) {
    const { context } = this;
    context.beginPath();
    context.moveTo(x, y);
    context.lineTo(x - 6, y - 4);
    context.lineTo(x - 6, y + 4);
    context.fill();
  }

  /** @param {string} text @param {number} x @param {number} y @param {string} colour */
  drawBadge(text, x, y, colour) {
    const { context } = this;
    const room = context.measureText(text).width + 6;
    context.setLineDash([]);
    context.fillStyle = app.palette.ground;
    context.fillRect(x - room / 2, y - 1, room, 13);
    context.fillStyle = colour;
    context.fillText(text, x - room / 2 + 3, y + 6);
  }

  /**
   * Name the end of an edge that is out of sight; a click goes there.
   * @param {number} node @param {string} arrow @param {Point} end @param {number} width
   * @param {number} height
   */
  drawChip(node, arrow, { x, y }, width, height) {
    const { context } = this;
    const text =
      arrow +
      this.labels.fit(context, app.model.nameOf(node), 120) +
      ' ' +
      formatTime(app.model.start[node]);
    const room = context.measureText(text).width + 10;
    const left = Math.max(GUTTER, Math.min(width - room - 2, x - room / 2));
    const top = Math.max(AXIS, Math.min(height - 18, y - 8));
    context.fillStyle = app.palette.panel;
    context.fillRect(left, top, room, 16);
    context.strokeStyle = app.palette.edge;
    context.strokeRect(left + 0.5, top + 0.5, room - 1, 15);
    context.fillStyle = app.palette.ink;
    context.fillText(text, left + 5, top + 8);
    this.spots.push({
      left,
      top,
      right: left + room,
      bottom: top + 16,
      act: () => app.select(node),
    });
  }

  drawSelection() {
    const { context } = this;
    const row = app.selected >= 0 ? app.layout.row[app.selected] : -1;
    if (row < 0) return;
    if (app.diff) this.drawBand(app.selected, app.diff.partner(app.selected));
    const x = Math.max(GUTTER - 2, this.xOf(app.drawn.start[app.selected]));
    const right = Math.min(GUTTER + this.width, this.xOf(app.drawn.endOf(app.selected)));
    const y = this.yOf(row);
    if (right < GUTTER || y < AXIS) return;
    context.setLineDash([]);
    context.lineWidth = 2;
    context.strokeStyle = app.palette.focus;
    context.strokeRect(x - 1, y + 1, Math.max(4, right - x) + 1, BAR + 2);
  }

  /**
   * Join the selected node with its counterpart in the other run.
   * @param {number} selected @param {number} partner
   */
  drawBand(selected, partner) {
    const { context } = this;
    const ends = [selected, partner];
    if (ends.some((node) => node < 0 || app.layout.row[node] < 0)) return;
    context.fillStyle = app.palette.focus;
    context.globalAlpha = 0.2;
    context.beginPath();
    for (const [node, isRight] of [
      [ends[0], 0],
      [ends[0], 1],
      [ends[1], 1],
      [ends[1], 0],
    ]) {
      const time = isRight ? app.drawn.endOf(node) : app.drawn.start[node];
      context.lineTo(
        Math.max(GUTTER, this.xOf(time)),
        this.yOf(app.layout.row[node]) + 2 + BAR / 2,
      );
    }
    context.fill();
    context.globalAlpha = 1;
  }

  /** @param {Span} area @param {number} height */
  drawArea({ from, to }, height) {
    const { context } = this;
    context.fillStyle = app.palette.focus;
    context.globalAlpha = 0.15;
    const x = this.xOf(from);
    context.fillRect(x, AXIS, this.xOf(to) - x, height);
    context.globalAlpha = 1;
  }

  /** @param {number} height */
  drawGutter(height) {
    const { context } = this;
    context.fillStyle = app.palette.panel;
    context.fillRect(0, 0, GUTTER - 2, height);
    context.fillStyle = app.palette.line;
    context.fillRect(GUTTER - 2, 0, 1, height);
    for (const lane of this.lanes) this.drawLaneName(lane, height);
    context.fillStyle = app.palette.panel;
    context.fillRect(0, 0, GUTTER - 2, AXIS);
  }

  /** @param {DrawnLane} lane @param {number} height */
  drawLaneName(lane, height) {
    const { context } = this;
    const top = AXIS + lane.top - this.scroll;
    const bottom = top + (lane.shown + 1) * LINE;
    if (top > height || bottom < AXIS) return;
    context.fillStyle = app.palette.line;
    context.fillRect(0, top - LANE_GAP / 2, this.canvas.room.width, 1);
    context.fillStyle = app.palette.ink;
    // The name stays in sight while any of its rows is.
    const y = Math.min(Math.max(top, AXIS), bottom - 2 * LINE) + LINE / 2;
    context.fillText(this.labels.fit(context, lane.label, GUTTER - 16), 8, y);
    this.spots.push({
      left: 0,
      top: y - LINE / 2,
      right: GUTTER,
      bottom: y + LINE / 2,
      act: () => this.fitLane(lane),
    });
    if (lane.rows <= LANE_ROWS) return;
    const more = lane.isCut ? `▸ ${formatCount(lane.rows - lane.shown)} more rows` : '▾ fewer rows';
    const line = top + lane.shown * LINE;
    context.fillStyle = app.palette.focus;
    context.fillText(more, 8, line + LINE / 2);
    this.spots.push({
      left: 0,
      top: line,
      right: GUTTER,
      bottom: line + LINE,
      act: () => this.toggleLane(lane.lane),
    });
  }

  /** Show all that a lane did, from its first start to its last end. @param {DrawnLane} lane */
  fitLane({ first, rows }) {
    const { layout } = app;
    let [from, to] = [Infinity, -Infinity];
    for (let slot = layout.rowStart[first]; slot < layout.rowStart[first + rows]; slot++) {
      from = Math.min(from, layout.from[slot]);
      to = Math.max(to, layout.to[slot]);
    }
    app.setWindow(from - (to - from) * 0.02, to + (to - from) * 0.02);
  }

  fitSelectedLane() {
    const row = app.selected < 0 ? -1 : app.layout.row[app.selected];
    if (row >= 0) this.fitLane(this.laneOfRow(row));
  }

  /** @param {number} lane */
  toggleLane(lane) {
    if (!this.expanded.delete(lane)) this.expanded.add(lane);
    this.arrange();
    app.drawSoon();
  }

  // ---- Finding and showing nodes

  /**
   * Return the node under a point, -1 for none; a pixel or two beside it counts.
   * @param {number} x @param {number} y
   */
  nodeAt(x, y) {
    const { layout } = app;
    const lane = this.lanes.findLast((candidate) => AXIS + candidate.top - this.scroll <= y);
    if (!lane || x < GUTTER || y < AXIS) return -1;
    const line = Math.floor((y - AXIS - lane.top + this.scroll) / LINE);
    if (line >= lane.shown) return -1;
    const slack = ((app.window.to - app.window.from) / this.width) * 2;
    const time = this.timeAt(x);
    const stop = layout.rowStart[lane.first + line + 1];
    const begin = layout.rowStart[lane.first + line];
    const slot = firstAtLeast(layout.to, begin, stop, time - slack);
    return slot < stop && layout.from[slot] <= time + slack ? layout.nodes[slot] : -1;
  }

  /**
   * Return the node on the row above or below that is nearest in time, -1 for none.
   * @param {number} node @param {number} direction
   */
  neighbourRow(node, direction) {
    const { layout, drawn: model } = app;
    const middle = (model.start[node] + model.endOf(node)) / 2;
    for (let row = layout.row[node] + direction; row >= 0 && row < layout.rows; row += direction) {
      const begin = layout.rowStart[row];
      const stop = layout.rowStart[row + 1];
      if (begin === stop) continue;
      const slot = firstAtLeast(layout.to, begin, stop, middle);
      return layout.nodes[Math.min(slot, stop - 1)];
    }
    return -1;
  }

  /** @param {number} node @param {number} direction */
  neighbourInRow(node, direction) {
    const { layout } = app;
    const slot = layout.slot[node] + direction;
    const row = layout.row[node];
    return slot >= layout.rowStart[row] && slot < layout.rowStart[row + 1]
      ? layout.nodes[slot]
      : -1;
  }

  /** @param {number} node */
  reveal(node) {
    const row = app.layout.row[node];
    if (row < 0) return;
    const lane = this.laneOfRow(row);
    if (row - lane.first >= lane.shown) this.toggleLane(lane.lane);
    const y = this.yOf(row);
    const { height } = this.canvas.room;
    if (y < AXIS + LINE) this.scroll += y - AXIS - LINE;
    else if (y > height - 2 * LINE) this.scroll += y - height + 3 * LINE;
  }
}

/** @param {string} kind */
function edgeStyle(kind) {
  const { palette } = app;
  if (kind === RETRY) return { colour: palette.retry, dash: [], glyph: '↻' };
  if (kind === FALLBACK) return { colour: palette.fallback, dash: [6, 3], glyph: '⇢' };
  if (kind === DATA_FLOW) return { colour: palette.flow, dash: [2, 3], glyph: '⋯' };
  return { colour: palette.edge, dash: [], glyph: '→', isThin: true };
}

/**
 * Count the values of a sorted array that are less than a limit.
 * @param {Float64Array} sorted @param {number} limit
 */
function countBelow(sorted, limit) {
  return firstAtLeast(sorted, 0, sorted.length, limit);
}
