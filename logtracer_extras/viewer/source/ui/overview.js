// ---- Overview -----------------------------------------------------------------------------------

/** The whole run in one strip: load, errors, matches, and the window as a brush. */
class OverviewView {
  /** @param {HTMLCanvasElement} canvas */
  constructor(canvas) {
    this.canvas = canvas;
    this.picture = document.createElement('canvas'); // all but the window, drawn once
    canvas.addEventListener('pointerdown', (event) => {
      canvas.setPointerCapture(event.pointerId);
      this.grip = event.offsetX;
    });
    canvas.addEventListener('pointermove', (event) => this.brush(event));
    canvas.addEventListener('pointerup', (event) => this.release(event));
    watchSize(canvas, () => this.refresh());
  }

  /** @param {number} x */
  timeAt(x) {
    const { from, to } = app.span;
    return from + (x / this.canvas.room.width) * (to - from);
  }

  /** @param {PointerEvent} event */
  brush(event) {
    if (this.grip === undefined || Math.abs(event.offsetX - this.grip) < 3) return;
    const [one, other] = [this.timeAt(this.grip), this.timeAt(event.offsetX)];
    app.setWindow(Math.min(one, other), Math.max(one, other));
  }

  /** @param {PointerEvent} event */
  release(event) {
    if (this.grip !== undefined && Math.abs(event.offsetX - this.grip) < 3) {
      const half = (app.window.to - app.window.from) / 2;
      app.setWindow(this.timeAt(event.offsetX) - half, this.timeAt(event.offsetX) + half);
    }
    this.grip = undefined;
  }

  refresh() {
    this.isStale = true;
    app.drawSoon();
  }

  draw() {
    const { context, width, height } = prepareCanvas(this.canvas);
    if (!width || !height) return; // not laid out yet; its size will be told
    if (this.isStale || this.picture.width !== this.canvas.width) this.redraw(width, height);
    context.drawImage(this.picture, 0, 0, width, height);
    const { from, to } = app.span;
    const left = ((app.window.from - from) / (to - from)) * width;
    const right = ((app.window.to - from) / (to - from)) * width;
    context.fillStyle = app.palette.ink;
    context.globalAlpha = 0.12;
    context.fillRect(0, 0, left, height);
    context.fillRect(right, 0, width - right, height);
    context.globalAlpha = 1;
    context.strokeStyle = app.palette.focus;
    context.strokeRect(
      Math.max(0.5, left),
      0.5,
      Math.min(width - 1, Math.max(3, right - left)),
      height - 1,
    );
  }

  /** @param {number} width @param {number} height */
  redraw(width, height) {
    this.isStale = false;
    this.picture.width = this.canvas.width;
    this.picture.height = this.canvas.height;
    const context = contextOf(this.picture);
    const ratio = this.canvas.width / Math.max(1, width);
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.fillStyle = app.palette.ground;
    context.fillRect(0, 0, width, height);
    const columns = Math.max(1, Math.floor(width));
    this.drawLoad(context, columns, height);
    this.drawMarks(context, columns, app.matchList, app.palette.mark, height - 14, 8);
    this.drawMarks(context, columns, app.errorList, app.palette.error, 0, 12);
  }

  /** @param {CanvasRenderingContext2D} context @param {number} columns @param {number} height */
  drawLoad(context, columns, height) {
    const { from, to } = app.span;
    const curve = loadCurve(app.drawn, app.leaves(), from, to, columns);
    const most = curve.reduce((left, right) => Math.max(left, right), 1);
    context.fillStyle = app.palette.load;
    for (let x = 0; x < columns; x++) {
      const tall = (curve[x] / most) * (height - 16);
      if (tall > 0) context.fillRect(x, height - tall, 1, tall);
    }
  }

  /**
   * Mark the pixels where nodes start; each pixel once, however many they are.
   * @param {CanvasRenderingContext2D} context @param {number} columns @param {number[]} nodes
   * @param {string} colour @param {number} top @param {number} tall
   */
  drawMarks(context, columns, nodes, colour, top, tall) {
    const { from, to } = app.span;
    const marked = new Uint8Array(columns + 1);
    for (const node of nodes) {
      marked[
        Math.max(
          0,
          Math.min(
            columns - 1,
            Math.floor(((app.drawn.start[node] - from) / (to - from)) * columns),
          ),
        )
      ] = 1;
    }
    context.fillStyle = colour;
    for (let x = 0; x < columns; x++) if (marked[x]) context.fillRect(x, top, 2, tall);
  }
}
