// ---- Tree ---------------------------------------------------------------------------------------

const DEEPEST_INDENT = 24; // levels; deeper rows say their level instead of moving out of sight

const MOST_NUMBERS = 4; // columns of a row: of a comparison, time and three differences

/** Make the parts of a row, in their order. @param {HTMLElement} element */
function treeRowParts(element) {
  const part = (/** @type {string} */ kind) => make('span', { class: kind, 'aria-hidden': 'true' });
  const parts = {
    sign: part('sign'),
    indent: part('indent'),
    fold: part('fold'),
    glyph: part('glyph'),
    name: make('span', { class: 'name' }),
    numbers: Array.from({ length: MOST_NUMBERS }, () => make('span')),
    swatch: part('swatch'),
    label: make('bdi'),
    after: make('span'),
  };
  parts.name.append(parts.swatch, parts.label, parts.after);
  const { sign, indent, fold, glyph, name, numbers } = parts;
  element.append(sign, indent, fold, glyph, name, ...numbers);
  return parts;
}

/** The nodes as a tree: the twin of the canvas that a keyboard and a screen reader can use. */
class TreeView {
  /** @param {HTMLElement} container */
  constructor(container) {
    this.container = container;
    this.list = new VirtualList(container, {
      count: () => app.visible?.length ?? 0,
      render: (element, index) => this.render(element, index),
    });
    container.addEventListener('click', (event) => this.click(event));
    container.addEventListener('dblclick', (event) => {
      const index = this.indexOf(event.target);
      if (index >= 0) app.fit(app.visible[index]);
    });
  }

  /** @param {EventTarget | null} target */
  indexOf(target) {
    return rowAt(target)?.shown ?? -1;
  }

  /** @param {MouseEvent} event */
  click(event) {
    const index = this.indexOf(event.target);
    if (index < 0) return;
    const node = app.visible[index];
    if (/** @type {Element} */ (event.target).closest('.fold')) app.toggleFold(node);
    else app.select(node, { from: 'tree' });
  }

  /** @param {Row} element @param {number} index */
  render(element, index) {
    const { tree } = app;
    const node = app.visible[index];
    const isFolded = app.isFolded(node);
    const isParent = isFolded || tree.size[node] > 1;
    element.classList.toggle('selected', node === app.selected);
    element.classList.toggle('dimmed', app.matches !== null && !app.matches[node]);
    this.describe(element, node, isParent, isFolded);
    element.parts ??= treeRowParts(element);
    this.fill(element.parts, node, isParent, isFolded);
  }

  /**
   * @param {Row} element @param {number} node @param {boolean} isParent @param {boolean} isFolded
   */
  describe(element, node, isParent, isFolded) {
    const { tree } = app;
    const siblings = app.siblingPlace(node);
    setAttribute(element, 'id', 'tree-' + node);
    setAttribute(element, 'aria-level', tree.level[node] + 1);
    setAttribute(element, 'aria-setsize', siblings.count);
    setAttribute(element, 'aria-posinset', siblings.place);
    setAttribute(element, 'aria-selected', node === app.selected);
    setAttribute(element, 'aria-label', this.spoken(node));
    if (isParent) setAttribute(element, 'aria-expanded', !isFolded);
    else element.removeAttribute('aria-expanded');
  }

  /** @param {number} node */
  spoken(node) {
    const { model } = app;
    const parts = [
      model.statusOf(node),
      model.typeOf(node),
      show(model.nameOf(node)),
      formatTime(model.endOf(node) - model.start[node]),
    ];
    if (app.rolled.tokens[node]) parts.push(formatTokens(app.rolled.tokens[node]) + ' tokens');
    if (app.rolled.cost[node] >= 0) parts.push(formatCost(app.rolled.cost[node]));
    if (!app.diff) return parts.join(', ');
    const group = app.diff.groupAt(node);
    return group ? app.diff.groupTitle(group) : [app.diff.wordOf(node), ...parts].join(', ');
  }

  /**
   * Fill the parts of a row: they are kept, since making them takes longer than anything else.
   * @param {RowParts} parts @param {number} node @param {boolean} isParent
   * @param {boolean} isFolded
   */
  fill(parts, node, isParent, isFolded) {
    const { model } = app;
    const group = app.diff?.groupAt(node);
    const status = model.statusOf(node);
    this.indent(parts.indent, app.tree.level[node]);
    setText(parts.sign, app.diff ? app.diff.signOf(node) : '');
    parts.sign.className = 'sign ' + (app.diff ? app.diff.signClass(node) : '');
    setText(parts.fold, isParent ? (isFolded ? '▸' : '▾') : '');
    setText(parts.glyph, group ? '' : GLYPHS[status]);
    parts.glyph.className = 'glyph ' + status;
    parts.swatch.hidden = group !== undefined;
    parts.swatch.style.background = app.fillOf(node);
    setAttribute(parts.name, 'title', clip(show(nodeTitle(model, node)), 300));
    setText(parts.label, group ? '' : show(clip(model.nameOf(node), 200)));
    setText(parts.after, (group && app.diff?.groupTitle(group)) ?? this.remarks(node));
    this.fillNumbers(parts.numbers, group ? [] : this.numbersOf(node));
  }

  /** @param {HTMLElement} element @param {number} level */
  indent(element, level) {
    setText(element, level > DEEPEST_INDENT ? `${level}·` : '');
    element.style.width = Math.min(level, DEEPEST_INDENT) * 12 + 'px';
  }

  /** @param {number} node */
  numbersOf(node) {
    if (app.diff) return app.diff.numbersOf(node);
    const { model, rolled } = app;
    const tokens = rolled.tokens[node];
    const time = formatTime(model.endOf(node) - model.start[node]);
    return [time, tokens ? formatTokens(tokens) : ''];
  }

  /** @param {HTMLElement[]} cells @param {string[]} texts */
  fillNumbers(cells, texts) {
    const kinds = this.kinds();
    cells.forEach((cell, at) => {
      cell.hidden = at >= kinds.length;
      setText(cell, texts[at] ?? '');
      cell.className = 'number' + (kinds[at] ?? '');
    });
  }

  /** The style of each column of numbers. */
  kinds() {
    return app.once('kinds', () => ['', ...this.changeColumns().map(({ kind }) => kind)]);
  }

  changeColumns() {
    return app.diff ? app.diff.columns() : [{ head: 'TOK', kind: ' small' }];
  }

  /**
   * What stands behind a name: how much is folded below, and which attempt it is.
   * @param {number} node
   */
  remarks(node) {
    const folded = app.hiddenBelow(node);
    return (folded ? ` +${formatCount(folded)}` : '') + this.attemptOf(node);
  }

  showHeads() {
    byId('tree-columns').replaceChildren(
      make('span', { class: 'name' }, 'NODE'),
      ...[{ head: 'TIME', kind: '' }, ...this.changeColumns()].map(({ head, kind }) =>
        make('span', { class: 'number' + kind }, head),
      ),
    );
  }

  /** @param {number} node */
  attemptOf(node) {
    const edge = (app.edges.incoming.get(node) ?? []).find(
      (each) => each.kind === RETRY || each.kind === FALLBACK,
    );
    if (!edge) return '';
    return edge.kind === RETRY ? ` ↻ #${app.edges.attempts.get(node) ?? 2}` : ' ⇢ fallback';
  }

  refresh() {
    this.list.active = app.selected >= 0 ? app.visibleIndex(app.selected) : -1;
    this.list.refresh();
    if (this.list.active >= 0)
      this.container.setAttribute('aria-activedescendant', 'tree-' + app.selected);
    else this.container.removeAttribute('aria-activedescendant');
  }

  /** @param {number} node */
  reveal(node) {
    const index = app.visibleIndex(node);
    if (index >= 0) this.list.reveal(index);
  }
}
