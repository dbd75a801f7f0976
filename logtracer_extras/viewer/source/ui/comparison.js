// ---- Two runs: what differs ---------------------------------------------------------------------

/** @type {Record<string, string>} */
const SIGNS = {
  same: ' ',
  added: '+',
  removed: '-',
  changed: '~',
  renamed: '~',
  moved: '~',
  slower: '>',
  faster: '<',
};
/** @type {Record<string, string>} */
const SIGN_CLASSES = {
  added: 'added',
  removed: 'removed',
  changed: 'changed',
  renamed: 'changed',
  moved: 'changed',
};

const ALIGNMENTS = ['start', 'step', 'percent'];

/** Two runs that are compared, as cells, texts and drawing need them. */
class Comparison extends Pairing {
  /** @param {Model} model @param {ComparisonHead} head */
  constructor(model, head) {
    super(model, buildTree(model), head);
    this.alignment = ALIGNMENTS[0];
  }

  /**
   * Draw the later run from another point; `node` is what the runs are aligned at, if at a step.
   * @param {number} node
   */
  alignNext(node) {
    this.alignment = ALIGNMENTS[(ALIGNMENTS.indexOf(this.alignment) + 1) % ALIGNMENTS.length];
    this.alignedAt = node;
  }

  drawnModel() {
    return this.aligned(this.alignment, this.alignedAt);
  }

  /** @param {number} node */
  timeOf(node) {
    return this.model.endOf(node) - this.model.start[node];
  }

  /** The word for a row: of a group, whether it is one of unchanged steps. @param {number} node */
  rowWord(node) {
    const group = this.groupAt(node);
    if (!group) return this.wordOf(node);
    return group.isSame ? 'same' : 'changed';
  }

  /** @param {number} node */
  signOf(node) {
    return SIGNS[this.rowWord(node)] ?? '~';
  }

  /** @param {number} node */
  signClass(node) {
    return SIGN_CLASSES[this.rowWord(node)] ?? '';
  }

  /** What a group of rows is called: `⋯ 11 unchanged`, `search ×2 → ×4`. @param {RowGroup} group */
  groupTitle(group) {
    if (group.isSame) {
      const failed = group.errors ? `, ${formatCount(group.errors)} failed in both` : '';
      return `⋯ ${formatCount(group.steps)} unchanged${failed}`;
    }
    const name = show(clip(this.model.nameOf(this.shownNode(group.rows[0])), 100));
    return `${name} ×${group.before} → ×${group.after}`;
  }

  /** What the tree says of a step in numbers: its time, and by how much each number differs. */
  columns() {
    return app.once('comparedColumns', () => this.findColumns());
  }

  /** @returns {ComparedColumn[]} */
  findColumns() {
    const { rolled } = app;
    const hasCost = rolled.cost.some((cost) => cost >= 0);
    /** @type {ComparedColumn[]} */
    const columns = [
      { head: 'Δ TIME', of: (node) => this.timeOf(node), format: formatTime, kind: '' },
      { head: 'Δ TOK', of: (node) => rolled.tokens[node], format: formatTokens, kind: ' small' },
      { head: 'Δ COST', of: (node) => rolled.cost[node], format: formatCost, kind: ' small' },
    ];
    return columns.slice(0, hasCost ? 3 : rolled.tokens.some(Boolean) ? 2 : 1);
  }

  /** @param {number} node */
  numbersOf(node) {
    const other = this.partner(node);
    const changeOf = (/** @type {ComparedColumn} */ { of, format }) =>
      other < 0 ? '' : signed(Math.max(0, of(node)) - Math.max(0, of(other)), format);
    return [formatTime(this.timeOf(node)), ...this.columns().map(changeOf)];
  }

  /**
   * What changed at a node, by path, the earlier value beside the later one.
   * @param {number} node
   */
  describe(node) {
    const other = this.partner(node);
    const word = this.wordOf(node);
    const line = make('p', { class: SIGN_CLASSES[word] ?? '' }, `${SIGNS[word] ?? '~'} ${word}`);
    if (other >= 0)
      line.append(` · ${formatTime(this.timeOf(other))} → ${formatTime(this.timeOf(node))}`);
    const fields = this.fields?.[this.rowOf[node]] ?? [];
    return [make('h3', {}, 'Compared'), line, ...fields.map((field) => this.fieldView(field))];
  }

  /** @param {FieldChange} change */
  fieldView({ path, before, after }) {
    const key = make('span', { class: 'key' }, isolated(clip(path, 200)));
    return make('div', { class: 'value' }, key, differenceView(before, after));
  }

  counts() {
    const counts = new Map();
    for (const word of this.words) counts.set(word, (counts.get(word) ?? 0) + 1);
    return [...counts]
      .filter(([word]) => word !== 'same')
      .map(([word, count]) => `${formatCount(count)} ${word}`);
  }
}

/**
 * Write a difference with its sign; one too small to be told from none is `=`.
 * @param {number} difference @param {(value: number) => string} format
 */
function signed(difference, format) {
  const text = format(Math.abs(difference));
  if (!difference || text === format(0)) return '=';
  return (difference > 0 ? '+' : '-') + text;
}
