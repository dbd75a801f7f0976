// ---- All of it at once --------------------------------------------------------------------------

/** Derive from the columns what every view needs. @param {Model} model */
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
