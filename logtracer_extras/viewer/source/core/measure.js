// ---- All of it at once --------------------------------------------------------------------------

/** Derive from the columns what every view needs. */
function measure(model) {
  const tree = buildTree(model);
  return {
    model,
    tree,
    lanes: assignLanes(model, tree),
    rolled: rollUp(model, tree),
    selves: selfTimes(model, tree),
    edges: indexEdges(model),
  };
}

globalThis.LogtracerCore = {
  FAILED,
  LANE_ROWS,
  RETRY,
  FALLBACK,
  DATA_FLOW,
  show,
  showLines,
  clip,
  formatTime,
  formatCount,
  formatTokens,
  formatCost,
  formatBytes,
  tickStep,
  formatTick,
  Model,
  ModelBuilder,
  readIds,
  withTold,
  measure,
  detailOf,
  readTraceFile,
  buildTree,
  ancestors,
  buildLayout,
  SteadyRows,
  prefixSum,
  planRow,
  firstAtLeast,
  firstSlot,
  stretchOpen,
  loadCurve,
  criticalPath,
  startOrder,
  statistics,
  flameGraph,
  Pairing,
  lineChanges,
  parseQuery,
  Search,
};
})();
