// ---- Log ----------------------------------------------------------------------------------------

/** All nodes in the order they started, one line each. */
class LogView {
  /** @param {HTMLElement} container */
  constructor(container) {
    this.container = container;
    this.list = new VirtualList(container, {
      count: () => this.nodes.length,
      render: (element, index) => this.render(element, index),
      role: 'option',
    });
    /** @type {Int32Array} */
    this.nodes = new Int32Array(0);
    container.addEventListener('click', (event) => {
      const element = rowAt(event.target);
      if (element) app.select(this.nodes[element.shown], { from: 'log' });
    });
  }

  refresh() {
    const order = app.startOrder();
    const { hidden } = app;
    this.nodes = hidden ? order.filter((node) => !hidden[node]) : order;
    this.list.active = app.selected >= 0 ? this.nodes.indexOf(app.selected) : -1;
    if (this.list.active >= 0) {
      this.container.setAttribute('aria-activedescendant', 'log-' + app.selected);
      this.list.reveal(this.list.active);
    } else this.container.removeAttribute('aria-activedescendant');
    this.list.refresh();
  }

  /** @param {Row} element @param {number} index */
  render(element, index) {
    const { model } = app;
    const node = this.nodes[index];
    const status = model.statusOf(node);
    element.classList.toggle('selected', node === app.selected);
    element.classList.toggle('dimmed', app.matches !== null && !app.matches[node]);
    setAttribute(element, 'id', 'log-' + node);
    setAttribute(element, 'aria-selected', node === app.selected);
    element.replaceChildren(
      make('span', { class: 'number' }, formatTime(model.start[node])),
      make('span', { class: 'glyph ' + status, title: status }, GLYPHS[status]),
      make(
        'span',
        { class: 'name' },
        isolated(clip(nodeTitle(model, node), 200)),
        this.explain(node),
      ),
      make('span', { class: 'number' }, formatTime(model.endOf(node) - model.start[node])),
    );
  }

  /** @param {number} node */
  explain(node) {
    const error = app.model.strings[app.model.error[node]];
    return error ? make('span', { class: 'failed' }, '  ', isolated(error)) : '';
  }

  /**
   * Move the selection by rows; the list is in time order, not the tree's.
   * @param {number} distance
   */
  step(distance) {
    const at = this.nodes.indexOf(app.selected);
    const next = Math.max(0, Math.min(this.nodes.length - 1, at + distance));
    if (this.nodes.length) app.select(this.nodes[next], { from: 'log' });
  }
}
