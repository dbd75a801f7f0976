// ---- Analysis: attempts, critical path, statistics ----------------------------------------------

const RETRY = 'retry_of';
const FALLBACK = 'fallback_of';
const DATA_FLOW = 'data_flow';

/**
 * Index edges by their ends, and number the attempts of every chain of retries and fallbacks.
 * @param {Model} model
 */
function indexEdges(model) {
  /** @type {EdgesByNode} */
  const incoming = new Map();
  /** @type {EdgesByNode} */
  const outgoing = new Map();
  for (const edge of model.edges) {
    listed(incoming, edge.target).push(edge);
    listed(outgoing, edge.source).push(edge);
  }
  return { incoming, outgoing, attempts: countAttempts(model, incoming, outgoing) };
}

/**
 * Return the list that a map has for a key, an empty one when there was none.
 * @template Key, Item @param {Map<Key, Item[]>} map @param {Key} key
 */
function listed(map, key) {
  let list = map.get(key);
  if (!list) map.set(key, (list = []));
  return list;
}

/**
 * Number the tries of one thing: 1, 2, ...; a fallback is another thing and begins at 1 again.
 * @param {Model} model @param {EdgesByNode} incoming @param {EdgesByNode} outgoing
 */
function countAttempts(model, incoming, outgoing) {
  /** @type {Map<number, number>} */
  const attempts = new Map();
  const isNextTry = (/** @type {Edge} */ { kind }) => kind === RETRY || kind === FALLBACK;
  for (const first of model.edges.filter(isNextTry).map((edge) => edge.source)) {
    if (attempts.has(first) || (incoming.get(first) ?? []).some(isNextTry)) continue;
    const waiting = [[first, 1]];
    for (let next = waiting.pop(); next; next = waiting.pop()) {
      const [node, attempt] = next;
      if (attempts.has(node)) continue;
      attempts.set(node, attempt);
      for (const edge of outgoing.get(node) ?? [])
        if (isNextTry(edge)) waiting.push([edge.target, edge.kind === RETRY ? attempt + 1 : 1]);
    }
  }
  return attempts;
}

/**
 * Return the stretches `{node, from, to, waiting}` of the path that set the run's length, latest
 * first. Walks back from the end: the last child to finish before the cursor is on the path, a
 * gap before the cursor is the parent's own time. Children that outlive a parent are cut to it.
 * @param {Model} model @param {Tree} tree @param {EdgeIndex} edges
 */
function criticalPath(model, tree, edges) {
  /** @type {PathPart[]} */
  const path = [];
  const root = longestRoot(model, tree);
  if (root < 0) return path;
  const waiting = [{ node: root, from: model.start[root], to: model.endOf(root) }];
  for (let next = waiting.pop(); next; next = waiting.pop())
    walkBack(model, tree, edges, next, path, waiting);
  return path.sort((left, right) => right.to - left.to || right.from - left.from);
}

/** @param {Model} model @param {Tree} tree */
function longestRoot(model, tree) {
  let longest = -1;
  for (const root of tree.roots) {
    if (
      longest < 0 ||
      model.endOf(root) - model.start[root] > model.endOf(longest) - model.start[longest]
    ) {
      longest = root;
    }
  }
  return longest;
}

/**
 * @param {Model} model @param {Tree} tree @param {EdgeIndex} edges @param {Stretch} stretch
 * @param {PathPart[]} path @param {Stretch[]} waiting
 */
function walkBack(model, tree, edges, { node, from, to }, path, waiting) {
  const children = tree.childList.slice(tree.childStart[node], tree.childStart[node + 1]);
  children.sort((left, right) => model.endOf(right) - model.endOf(left) || right - left);
  let cursor = to;
  let later = -1;
  for (const child of children) {
    const start = Math.max(model.start[child], from);
    const end = Math.min(model.endOf(child), to);
    if (start >= cursor || end > cursor || end <= start) continue;
    if (end < cursor)
      path.push({ node, from: end, to: cursor, waiting: isRetryOf(edges, later, child) });
    waiting.push({ node: child, from: start, to: end });
    cursor = start;
    later = child;
  }
  if (cursor > from) path.push({ node, from, to: cursor, waiting: false });
}

/** @param {EdgeIndex} edges @param {number} later @param {number} earlier */
function isRetryOf(edges, later, earlier) {
  return (edges.incoming.get(later) ?? []).some(
    (edge) => edge.source === earlier && edge.kind === RETRY,
  );
}

/**
 * Return the failed nodes where a failure began. One that says the same as a failed child, or
 * nothing, only passed on what its child raised: that is one failure, not two.
 * @param {Model} model
 */
function failureOrigins(model) {
  const isPassedOn = new Uint8Array(model.count);
  for (let node = 0; node < model.count; node++) {
    const above = model.parent[node];
    if (above < 0 || model.status[node] !== FAILED || model.status[above] !== FAILED) continue;
    if (!model.error[above] || model.error[above] === model.error[node]) isPassedOn[above] = 1;
  }
  return nodesWhere(model, (node) => model.status[node] === FAILED && !isPassedOn[node]);
}

/** @param {Model} model @param {NodeTest} isSo */
function nodesWhere(model, isSo) {
  const nodes = [];
  for (let node = 0; node < model.count; node++) if (isSo(node)) nodes.push(node);
  return nodes;
}

/** Return the nodes in the order they started. @param {Model} model */
function startOrder(model) {
  const order = Int32Array.from({ length: model.count }, (_, node) => node);
  sortStretch(order, 0, order.length, model.start);
  return order;
}

/**
 * One row for each type and name: how often, how long, how much of the run it covers.
 * @param {Model} model @param {Float64Array} selves @param {Numbers} order
 * @param {(node: number) => number | null} keyOf
 */
function statistics(model, selves, order, keyOf) {
  /** @type {Map<number, NodeGroup>} */
  const groups = new Map();
  for (const node of order) {
    const key = keyOf(node);
    if (key === null) continue;
    let group = groups.get(key);
    if (!group) groups.set(key, (group = newGroup(node)));
    addToGroup(model, selves, group, node);
  }
  const rows = [...groups.values()];
  for (const group of rows) {
    const sorted = Float64Array.from(group.durations).sort();
    group.median = quantile(sorted, 0.5);
    group.p95 = quantile(sorted, 0.95);
  }
  return rows.sort((left, right) => right.total - left.total);
}

/** @param {number} first @returns {NodeGroup} */
function newGroup(first) {
  return {
    first,
    count: 0,
    errors: 0,
    total: 0,
    self: 0,
    covered: 0,
    busyUntil: -Infinity,
    durations: [],
    median: 0,
    p95: 0,
    tokensIn: 0,
    tokensOut: 0,
    cached: 0,
    cost: UNKNOWN,
    slowest: first,
  };
}

/**
 * @param {Model} model @param {Float64Array} selves @param {NodeGroup} group @param {number} node
 */
function addToGroup(model, selves, group, node) {
  const start = model.start[node];
  const end = model.endOf(node);
  group.count++;
  group.errors += model.status[node] === FAILED ? 1 : 0;
  group.total += end - start;
  group.self += selves[node];
  group.durations.push(end - start);
  if (end - start > model.endOf(group.slowest) - model.start[group.slowest]) group.slowest = node;
  // Calls that overlap count once: the nodes come by start, so one moving end is enough.
  group.covered += Math.max(0, end - Math.max(start, group.busyUntil));
  group.busyUntil = Math.max(group.busyUntil, end);
  group.tokensIn += Math.max(0, model.tokensIn[node]);
  group.tokensOut += Math.max(0, model.tokensOut[node]);
  group.cached += Math.max(0, model.cached[node]);
  if (model.cost[node] >= 0) group.cost = Math.max(0, group.cost) + model.cost[node];
}

/**
 * The value below which a part of the sorted values lies (nearest rank).
 * @param {Float64Array} sorted @param {number} part
 */
function quantile(sorted, part) {
  return sorted.length ? sorted[Math.max(0, Math.ceil(part * sorted.length) - 1)] : 0;
}

/**
 * Merge nodes by their path of types and names; `width` sums what `weightOf` gives.
 * @param {Model} model @param {Tree} tree @param {NumberOf} weightOf
 */
function flameGraph(model, tree, weightOf) {
  /** @type {Frame[]} */
  const frames = [];
  frames.push(newFrame(-1, -1, frames));
  const frameOf = new Int32Array(model.count);
  const known = new Map();
  const kindOf = numberedKinds(model);
  for (const node of tree.order) {
    const parent = model.parent[node] < 0 ? 0 : frameOf[model.parent[node]];
    const key = parent * model.count + kindOf(node);
    let frame = known.get(key);
    if (frame === undefined) {
      frame = frames.push(newFrame(node, parent, frames)) - 1;
      known.set(key, frame);
    }
    frameOf[node] = frame;
    frames[frame].count++;
    frames[frame].own += weightOf(node);
    frames[frame].errors += model.status[node] === FAILED ? 1 : 0;
  }
  for (let at = frames.length - 1; at > 0; at--) {
    frames[at].width += frames[at].own;
    frames[frames[at].parent].width += frames[at].width;
  }
  placeFrames(frames);
  return { frames, frameOf };
}

/**
 * Number the distinct pairs of type and name: small numbers keep the keys above exact.
 * @param {Model} model
 */
function numberedKinds(model) {
  /** @type {Map<number, number>} */
  const kinds = new Map();
  return (/** @type {number} */ node) => {
    const key = nodeKind(model, node);
    const kind = kinds.get(key) ?? kinds.size;
    kinds.set(key, kind);
    return kind;
  };
}

/** @param {number} node @param {number} parent @param {Frame[]} frames */
function newFrame(node, parent, frames) {
  /** @type {Frame} */
  const frame = {
    node,
    parent,
    level: parent < 0 ? -1 : frames[parent].level + 1,
    width: 0,
    own: 0,
    count: 0,
    errors: 0,
    x: 0,
    children: [],
  };
  if (parent >= 0) frames[parent].children.push(frames.length);
  return frame;
}

/** @param {Frame[]} frames */
function placeFrames(frames) {
  frames[0].x = 0;
  for (const frame of frames) {
    // parents stand before their children
    frame.children.sort((left, right) => frames[right].width - frames[left].width || left - right);
    let x = frame.x;
    for (const child of frame.children) {
      frames[child].x = x;
      x += frames[child].width;
    }
  }
}
