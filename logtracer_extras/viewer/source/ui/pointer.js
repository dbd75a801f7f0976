// ---- Pointer: mouse, wheel and touch on the timeline --------------------------------------------

/** Mouse, wheel and touch on a timeline: pan, zoom, select, mark an area, hover. */
class PointerControl {
  /** @param {TimelineView} view @param {HTMLCanvasElement} canvas */
  constructor(view, canvas) {
    this.view = view;
    this.canvas = canvas;
    this.pointers = new Map();
    canvas.addEventListener('wheel', (event) => this.wheel(event), { passive: false });
    canvas.addEventListener('pointerdown', (event) => this.down(event));
    canvas.addEventListener('pointermove', (event) => this.move(event));
    canvas.addEventListener('pointerup', (event) => this.up(event));
    canvas.addEventListener('pointercancel', (event) => this.pointers.delete(event.pointerId));
    canvas.addEventListener('pointerleave', () => app.tooltip.hide());
    canvas.addEventListener('dblclick', (event) => {
      const node = view.nodeAt(event.offsetX, event.offsetY);
      if (node >= 0) app.fit(node);
    });
  }

  /** @param {WheelEvent} event */
  wheel(event) {
    event.preventDefault();
    const { view } = this;
    if (event.ctrlKey || event.metaKey) {
      app.zoom(Math.exp(event.deltaY * 0.004), view.timeAt(event.offsetX));
      return;
    }
    const perPixel = (app.window.to - app.window.from) / view.width;
    app.pan((event.shiftKey ? event.deltaX + event.deltaY : event.deltaX) * perPixel);
    if (!event.shiftKey) view.scroll += event.deltaY;
    app.drawSoon();
  }

  /** @param {PointerEvent} event */
  down(event) {
    this.canvas.setPointerCapture(event.pointerId);
    this.pointers.set(event.pointerId, { x: event.offsetX, y: event.offsetY });
    this.origin = { x: event.offsetX, y: event.offsetY, moved: false, isArea: event.shiftKey };
    app.tooltip.hide();
  }

  /** @param {PointerEvent} event */
  move(event) {
    const before = this.pointers.get(event.pointerId);
    if (!before) {
      app.tooltip.over(this.view.nodeAt(event.offsetX, event.offsetY), event);
      return;
    }
    const { x, y } = before;
    this.pointers.set(event.pointerId, { x: event.offsetX, y: event.offsetY });
    if (Math.abs(event.offsetX - this.origin.x) + Math.abs(event.offsetY - this.origin.y) > 3)
      this.origin.moved = true;
    if (!this.origin.moved) return;
    if (this.pointers.size === 2) this.pinch(event, before);
    else if (this.origin.isArea)
      app.setArea(this.view.timeAt(this.origin.x), this.view.timeAt(event.offsetX));
    else this.drag(event.offsetX - x, event.offsetY - y);
  }

  /** @param {number} x @param {number} y */
  drag(x, y) {
    app.pan((-x * (app.window.to - app.window.from)) / this.view.width);
    this.view.scroll -= y;
    app.drawSoon();
  }

  /** @param {PointerEvent} event @param {Point} before */
  pinch(event, before) {
    const [other] = [...this.pointers]
      .filter(([id]) => id !== event.pointerId)
      .map(([, point]) => point);
    const was = Math.max(20, Math.abs(before.x - other.x));
    const is = Math.max(20, Math.abs(event.offsetX - other.x));
    app.zoom(was / is, this.view.timeAt((event.offsetX + other.x) / 2));
  }

  /** @param {PointerEvent} event */
  up(event) {
    this.pointers.delete(event.pointerId);
    if (this.origin.moved) return;
    const { offsetX: x, offsetY: y } = event;
    const spot = this.view.spots.find(
      (place) => x >= place.left && x <= place.right && y >= place.top && y <= place.bottom,
    );
    if (spot) spot.act();
    else app.select(this.view.nodeAt(x, y), { from: 'timeline' });
  }
}
