// ---- Totals: a run, or two beside each other, in a few numbers ----------------------------------

/**
 * Return name and value of each total; of two runs both values, where they differ.
 * @param {App} run @returns {Total[]}
 */
function addUp(run) {
  const { count, secondRun } = run.model;
  if (!run.diff) return addUpRun(run, 0, count);
  const after = addUpRun(run, secondRun, count);
  return addUpRun(run, 0, secondRun).map(([name, value], at) => [
    name,
    value === after[at][1] ? value : `${value || '-'} → ${after[at][1] || '-'}`,
  ]);
}

/**
 * Add up the nodes of one run, which are those from `first` on.
 * @param {App} run @param {number} first @param {number} end @returns {Total[]}
 */
function addUpRun({ model, tree, rolled, selves, originList, errorList, lanes, diff }, first, end) {
  const isOurs = (/** @type {number} */ node) => node >= first && node < end;
  const roots = tree.roots.filter(isOurs);
  const priced = roots.filter((root) => rolled.cost[root] >= 0);
  const wall = diff ? Math.max(0, ...roots.map((root) => model.endOf(root))) : model.now;
  const work = selves.subarray(first, end).reduce((total, own) => total + own, 0);
  const tokens = sumOf(roots, rolled.tokens);
  const edges = model.edges.filter((edge) => isOurs(edge.source));
  return [
    ['time', formatTime(wall)],
    ['work', `${formatTime(work)} work · ${(work / Math.max(1, wall)).toFixed(1)}x parallel`],
    ['nodes', formatCount(end - first)],
    ['errors', String(originList.filter(isOurs).length || '')],
    ['failed', String(errorList.filter(isOurs).length || '')],
    ['lanes', String(new Set(lanes.laneOf.subarray(first, end)).size)],
    ['retries', String(edges.filter(({ kind }) => kind === RETRY).length || '')],
    ['fallbacks', String(edges.filter(({ kind }) => kind === FALLBACK).length || '')],
    ['tokens', tokens ? formatTokens(tokens) : ''],
    ['cost', priced.length ? formatCost(sumOf(priced, rolled.cost)) : ''],
  ];
}

/** @param {number[]} nodes @param {Float64Array} column */
function sumOf(nodes, column) {
  return nodes.reduce((total, node) => total + column[node], 0);
}

/** @param {string} name @param {string} value */
function factText(name, value) {
  if (name === 'nodes') return value + ' nodes';
  return name === 'tokens' ? value + ' tok' : value;
}
