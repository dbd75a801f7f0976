// ---- Table --------------------------------------------------------------------------------------

const MOST_GROUPS = 300;

/** Sums by name, by model, and the critical path. */
class TableView {
  /** @param {HTMLElement} panel */
  constructor(panel) {
    this.panel = panel;
  }

  refresh() {
    const { model } = app;
    const { selves } = app;
    const order = app.startOrder().filter((node) => !app.hidden || !app.hidden[node]);
    const distinct = model.strings.length;
    const key = (/** @type {number} */ node) =>
      // The run itself is left out: its time is the wall time.
      model.typeOf(node) === 'trace' ? null : model.type[node] * distinct + model.name[node];
    const byName = statistics(model, selves, order, key);
    const byModel = statistics(model, selves, order, (node) => model.model[node] || null);
    this.panel.replaceChildren(
      this.nameTable(byName),
      byModel.length ? this.modelTable(byModel) : '',
      this.criticalTable(),
    );
  }

  /** @param {NodeGroup[]} groups */
  nameTable(groups) {
    const wall = Math.max(1, app.model.wall);
    const heads = ['By name', 'N', 'Err', 'Total', 'Self', 'p50', 'p95', 'Share', 'Cost'];
    return this.table(
      'Steps by type and name',
      heads,
      groups
        .slice(0, MOST_GROUPS)
        .map((group) => [
          linkTo(group.slowest, clip(nodeTitle(app.model, group.first), 80)),
          formatCount(group.count),
          group.errors ? formatCount(group.errors) : '',
          formatTime(group.total),
          formatTime(group.self),
          formatTime(group.median),
          formatTime(group.p95),
          Math.round((group.covered / wall) * 100) + '%',
          formatCost(group.cost),
        ]),
      groups.length,
    );
  }

  /** @param {NodeGroup[]} groups */
  modelTable(groups) {
    const heads = ['By model', 'N', 'Err', 'In', 'Out', 'Cached', 'p50', 'p95', 'Cost'];
    return this.table(
      'Models',
      heads,
      groups
        .slice(0, MOST_GROUPS)
        .map((group) => [
          linkTo(group.slowest, app.model.strings[app.model.model[group.first]]),
          formatCount(group.count),
          group.errors ? formatCount(group.errors) : '',
          formatCount(group.tokensIn),
          formatCount(group.tokensOut),
          formatCount(group.cached),
          formatTime(group.median),
          formatTime(group.p95),
          formatCost(group.cost),
        ]),
      groups.length,
    );
  }

  criticalTable() {
    const sums = new Map();
    // The run itself is no step of it: what it did between its steps is in no other table either.
    const parts = app.criticalParts().filter(({ node }) => app.model.typeOf(node) !== 'trace');
    for (const part of parts) {
      const key = `${part.node} ${part.waiting}`;
      const sum = sums.get(key) ?? { ...part, time: 0 };
      sum.time += part.to - part.from;
      sums.set(key, sum);
    }
    const rows = [...sums.values()].sort((left, right) => right.time - left.time);
    const total = rows.reduce((sum, row) => sum + row.time, 0);
    const title = `Critical path: ${formatTime(total)} of ${formatTime(app.model.wall)}`;
    return this.table(
      title,
      ['Step', 'On the path', 'Share'],
      rows
        .slice(0, 50)
        .map((row) => [
          linkTo(
            row.node,
            nodeTitle(app.model, row.node) + (row.waiting ? ' (waiting for retry)' : ''),
          ),
          formatTime(row.time),
          Math.round((row.time / Math.max(1, total)) * 100) + '%',
        ]),
      rows.length,
    );
  }

  /** @param {string} title @param {string[]} heads @param {Child[][]} rows @param {number} count */
  table(title, heads, rows, count) {
    const caption =
      count > rows.length ? `${title}: the first ${rows.length} of ${formatCount(count)}` : title;
    const head = make('tr', {}, ...heads.map((text) => make('th', { scope: 'col' }, text)));
    const body = rows.map((cells) => make('tr', {}, ...cells.map((cell) => make('td', {}, cell))));
    return make(
      'table',
      {},
      make('caption', {}, caption),
      make('thead', {}, head),
      make('tbody', {}, ...body),
    );
  }
}
