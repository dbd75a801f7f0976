// ---- A list that draws only what is in sight ----------------------------------------------------

const ROW_HEIGHT = 24; // pixels; WCAG asks for targets of at least 24 by 24
const MOST_ROWS = 300; // in the document at once, whatever the style sheet says
const TALLEST = 15e6; // pixels: browsers stop placing elements soon after

/** Shows `count()` rows of one height; `render(element, index)` fills one that came into sight. */
class VirtualList {
  /** @param {HTMLElement} container @param {ListOptions} options */
  constructor(container, { count, render, role = 'treeitem' }) {
    this.container = container;
    this.sizer = /** @type {HTMLElement} */ (container.querySelector('.sizer'));
    this.count = count;
    this.render = render;
    this.make = () => Object.assign(make('div', { class: 'row', role }), { shown: -1 });
    /** @type {Map<number, Row>} */
    this.rows = new Map(); // by index
    /** @type {Row[]} */
    this.spare = [];
    this.active = -1; // stays in the document when out of sight: it may be the active descendant
    // Both are kept: asking the container between two changes would lay the page out each time.
    this.offset = this.placedAt = 0;
    this.room = container.clientHeight;
    container.addEventListener('scroll', () => {
      if (this.isOwnScroll) this.isOwnScroll = false;
      else this.offset = container.scrollTop;
      this.placedAt = this.offset;
      this.drawSoon();
    });
    new ResizeObserver(([entry]) => {
      this.room = entry.contentRect.height;
      this.drawSoon();
    }).observe(container);
  }

  get height() {
    return Math.min(TALLEST, this.count() * ROW_HEIGHT);
  }

  /** Pixels of scrolling for one row: less than its height in very long lists. */
  get step() {
    const count = this.count();
    return count * ROW_HEIGHT <= TALLEST ? ROW_HEIGHT : TALLEST / count;
  }

  drawSoon() {
    if (this.waiting) return;
    this.waiting = requestAnimationFrame(() => {
      this.waiting = 0;
      this.draw();
    });
  }

  /** Fill all rows afresh: what they show has changed. */
  refresh() {
    this.sizer.style.height = this.height + 'px';
    for (const element of this.rows.values()) element.shown = -1;
    this.draw();
  }

  draw() {
    if (this.mustScroll) {
      this.mustScroll = false;
      this.isOwnScroll = Math.abs(this.offset - this.placedAt) >= 1; // then an event will come
      this.container.scrollTop = this.offset;
    }
    const { first, last } = this.window();
    for (const [index, element] of this.rows) {
      if ((index < first || index >= last) && index !== this.active) this.release(index, element);
    }
    for (let index = first; index < last; index++) this.place(index, first);
    if (this.active >= 0 && this.active < this.count()) this.place(this.active, first);
  }

  window() {
    const first = Math.max(0, Math.floor(this.offset / this.step) - 2);
    const seen = Math.min(MOST_ROWS, Math.ceil(this.room / ROW_HEIGHT) + 5);
    return { first, last: Math.min(this.count(), first + seen) };
  }

  /** @param {number} index @param {Row} element */
  release(index, element) {
    this.rows.delete(index);
    element.hidden = true;
    this.spare.push(element);
  }

  /** @param {number} index @param {number} first */
  place(index, first) {
    let element = this.rows.get(index);
    if (!element) {
      element = this.spare.pop() ?? this.sizer.appendChild(this.make());
      element.hidden = false;
      element.shown = -1;
      this.rows.set(index, element);
    }
    element.style.top = this.topOf(index, first) + 'px';
    if (element.shown !== index) {
      element.shown = index;
      this.render(element, index);
    }
  }

  /** @param {number} index @param {number} first */
  topOf(index, first) {
    if (this.step === ROW_HEIGHT) return index * ROW_HEIGHT;
    // Rows near the window keep their height, so that they do not overlap.
    return first * this.step + (index - first) * ROW_HEIGHT;
  }

  /** @param {number} index */
  reveal(index) {
    const top = index * this.step;
    if (top < this.offset) this.scrollTo(top - ROW_HEIGHT);
    else if (top + ROW_HEIGHT * 2 > this.offset + this.room)
      this.scrollTo(top - this.room + ROW_HEIGHT * 3);
  }

  /** @param {number} top */
  scrollTo(top) {
    this.offset = Math.max(0, Math.min(top, this.height - this.room));
    this.mustScroll = true; // with the next drawing: doing it here would lay the page out now
    this.drawSoon();
  }

  get page() {
    return Math.max(1, Math.floor(this.room / ROW_HEIGHT) - 1);
  }
}

/** Return the row of a list that an event happened in. @param {EventTarget | null} target */
function rowAt(target) {
  return /** @type {Row | null} */ (/** @type {Element} */ (target).closest('.row'));
}
