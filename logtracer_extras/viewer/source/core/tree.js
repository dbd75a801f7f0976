// ---- Tree: children, order, levels --------------------------------------------------------------

/**
 * Index the tree of a model. `order` is the nodes parents first (preorder), `position` its
 * inverse, `size` counts a node and all below it, so a subtree is one run of `order`.
 * @param {Model} model @returns {Tree}
 */
function buildTree(model) {
  const tree = {
    ...indexChildren(model),
    order: new Int32Array(model.count),
    position: new Int32Array(model.count).fill(-1),
    level: new Int32Array(model.count),
    size: new Int32Array(model.count).fill(1),
  };
  let placed = 0;
  for (const root of tree.roots) placed = placeSubtree(model, tree, root, placed);
  if (placed < model.count) return withoutCircles(model, tree);
  for (let at = model.count - 1; at >= 0; at--) {
    const node = tree.order[at];
    if (model.parent[node] >= 0) tree.size[model.parent[node]] += tree.size[node];
  }
  return tree;
}

/**
 * Children of node `i` are `childList[childStart[i] .. childStart[i + 1]]`, earliest first.
 * @param {Model} model
 */
function indexChildren(model) {
  const { count, parent } = model;
  const childStart = new Int32Array(count + 1);
  const roots = [];
  for (let node = 0; node < count; node++) {
    if (parent[node] < 0) roots.push(node);
    else childStart[parent[node] + 1]++;
  }
  for (let node = 0; node < count; node++) childStart[node + 1] += childStart[node];
  const childList = new Int32Array(count);
  const next = childStart.slice();
  for (let node = 0; node < count; node++) {
    if (parent[node] >= 0) childList[next[parent[node]]++] = node;
  }
  for (let node = 0; node < count; node++) {
    sortStretch(childList, childStart[node], childStart[node + 1], model.start);
  }
  return { childStart, childList, roots };
}

/**
 * Sort a stretch of nodes by time; they nearly always are, and looking costs less than sorting.
 * @param {Int32Array} nodes @param {number} first @param {number} stop @param {Float64Array} start
 */
function sortStretch(nodes, first, stop, start) {
  for (let at = first + 1; at < stop; at++) {
    if (start[nodes[at]] < start[nodes[at - 1]]) {
      nodes.subarray(first, stop).sort((left, right) => start[left] - start[right] || left - right);
      return;
    }
  }
}

/** @param {Model} model @param {Tree} tree @param {number} root @param {number} placed */
function placeSubtree(model, tree, root, placed) {
  const { childStart, childList, order, position, level } = tree;
  const waiting = [root];
  for (let node = waiting.pop(); node !== undefined; node = waiting.pop()) {
    position[node] = placed;
    order[placed++] = node;
    if (model.parent[node] >= 0) level[node] = level[model.parent[node]] + 1;
    for (let at = childStart[node + 1] - 1; at >= childStart[node]; at--)
      waiting.push(childList[at]);
  }
  return placed;
}

/**
 * Cut every circle of parents at one of its nodes, which becomes a root, and index again.
 * @param {Model} model @param {Tree} tree
 */
function withoutCircles(model, tree) {
  const seen = Int32Array.from(tree.position, (position) => (position >= 0 ? 1 : 0));
  for (let first = 0; first < model.count; first++) {
    if (seen[first]) continue;
    const path = first + 2; // marks of this walk, different from every other walk's
    let node = first;
    while (node >= 0 && !seen[node]) {
      seen[node] = path;
      node = model.parent[node];
    }
    if (node >= 0 && seen[node] === path) model.parent[node] = -1;
  }
  return buildTree(model);
}

/**
 * Totals of each subtree, its node included; unknown where nothing in it was recorded.
 * @param {Model} model @param {Tree} tree
 */
function rollUp(model, tree) {
  const sums = {
    tokensIn: new Float64Array(model.count).fill(UNKNOWN),
    tokensOut: new Float64Array(model.count).fill(UNKNOWN),
    cost: new Float64Array(model.count).fill(UNKNOWN),
  };
  for (let at = model.count - 1; at >= 0; at--) {
    const node = tree.order[at];
    addOwnTokens(model, tree, sums, node);
    addTo(sums.cost, node, model.cost[node]);
    const parent = model.parent[node];
    if (parent < 0) continue;
    addTo(sums.tokensIn, parent, sums.tokensIn[node]);
    addTo(sums.tokensOut, parent, sums.tokensOut[node]);
    addTo(sums.cost, parent, sums.cost[node]);
  }
  const tokens = sums.tokensIn.map(
    (sum, node) => Math.max(0, sum) + Math.max(0, sums.tokensOut[node]),
  );
  return { ...sums, tokens };
}

/** @param {Float64Array} sums @param {number} node @param {number} value */
function addTo(sums, node, value) {
  if (value >= 0) sums[node] = Math.max(0, sums[node]) + value;
}

/**
 * Add what a node used itself. A model call adds to the calls within it, unless it is one of them
 * seen from a layer above; any other step that reports tokens reports the sum of those below.
 * @param {Model} model @param {Tree} tree @param {Sums} sums @param {number} node
 */
function addOwnTokens(model, tree, { tokensIn, tokensOut }, node) {
  if (model.tokensIn[node] < 0 && model.tokensOut[node] < 0) return;
  const [input, output] = [Math.max(0, model.tokensIn[node]), Math.max(0, model.tokensOut[node])];
  if (
    tokensIn[node] < 0 ||
    (model.typeOf(node) === 'llm_call' &&
      !isRepeated(tree, tokensIn, tokensOut, node, input, output))
  ) {
    addTo(tokensIn, node, input);
    addTo(tokensOut, node, output);
  } else if (model.typeOf(node) !== 'llm_call') {
    tokensIn[node] = Math.max(tokensIn[node], input);
    tokensOut[node] = Math.max(tokensOut[node], output);
  }
}

/**
 * @param {Tree} tree @param {Float64Array} tokensIn @param {Float64Array} tokensOut
 * @param {number} node @param {number} input @param {number} output
 */
function isRepeated(tree, tokensIn, tokensOut, node, input, output) {
  const isSame = (/** @type {number} */ other) =>
    tokensIn[other] === input && tokensOut[other] === output;
  if (isSame(node)) return true; // so far its sums are those of the nodes below it
  for (let at = tree.childStart[node]; at < tree.childStart[node + 1]; at++)
    if (isSame(tree.childList[at])) return true;
  return false;
}

/** Time of each node in which none of its children ran. @param {Model} model @param {Tree} tree */
function selfTimes(model, tree) {
  const result = new Float64Array(model.count);
  const { childStart, childList } = tree;
  for (let node = 0; node < model.count; node++) {
    const end = model.endOf(node);
    let cursor = model.start[node];
    let covered = 0;
    for (let at = childStart[node]; at < childStart[node + 1]; at++) {
      const from = Math.max(cursor, model.start[childList[at]]);
      const to = Math.min(end, model.endOf(childList[at]));
      if (to > from) {
        covered += to - from;
        cursor = to;
      }
    }
    result[node] = end - model.start[node] - covered;
  }
  return result;
}

/** Return the node's ancestors, the root first. @param {Model} model @param {number} node */
function ancestors(model, node) {
  const path = [];
  for (let above = model.parent[node]; above >= 0; above = model.parent[above]) path.push(above);
  return path.reverse();
}
