// ---- Lanes and rows: where each node is drawn ---------------------------------------------------

const MOST_LANES = 64;
const LANE_ROWS = 8; // rows of a lane before "n more rows"

/**
 * Give every node its lane: its own, or its name when agents run side by side, or its parent's.
 * `nameOf` says it exactly (an index into `names`); `laneOf` is the lane it is drawn in, of which
 * there are not more than MOST_LANES, named by `labels`.
 * @param {Model} model @param {Tree} tree
 */
function assignLanes(model, tree) {
  const names = ['main'];
  const numbers = new Map([['main', 0]]);
  const nameOf = new Int32Array(model.count);
  const parallel = parallelAgents(model, tree);
  for (const node of tree.order) {
    const parent = model.parent[node];
    const own = model.lane[node] || (parallel[node] ? model.name[node] : 0);
    if (!own) {
      nameOf[node] = parent >= 0 ? nameOf[parent] : 0;
      continue;
    }
    const name = model.strings[own];
    if (!numbers.has(name)) numbers.set(name, names.push(name) - 1);
    nameOf[node] = numbers.get(name) ?? 0;
  }
  return { names, nameOf, ...drawnLanes(model, names, nameOf) };
}

/**
 * Mark the agents that overlap in time with another agent child of the same parent.
 * @param {Model} model @param {Tree} tree
 */
function parallelAgents(model, tree) {
  const parallel = new Uint8Array(model.count);
  const longest = new Int32Array(model.count).fill(-1); // by parent: its agent that ends last
  for (let at = 0; at < tree.childList.length; at++) {
    // the children of each parent by start
    const node = tree.childList[at];
    const parent = model.parent[node];
    if (parent < 0 || !isAgent(model, node)) continue;
    const before = longest[parent];
    if (before >= 0 && model.start[node] < model.endOf(before))
      parallel[node] = parallel[before] = 1;
    if (before < 0 || model.endOf(node) > model.endOf(before)) longest[parent] = node;
  }
  return parallel;
}

/** @param {Model} model @param {number} node */
function isAgent(model, node) {
  return model.typeOf(node) === 'sub_agent' || model.typeOf(node) === 'agent';
}

/**
 * Draw lanes by first start, `main` first; where they are too many, numbered ones share a lane.
 * @param {Model} model @param {string[]} names @param {Int32Array} nameOf
 */
function drawnLanes(model, names, nameOf) {
  const isShared = names.length > MOST_LANES;
  const drawnNames = isShared ? names.map((name) => name.replace(/#\d+$/, '')) : names;
  const labels = [...new Set(drawnNames)];
  const numbers = new Map(labels.map((label, number) => [label, number]));
  const labelOf = Int32Array.from(drawnNames, (name) => numbers.get(name) ?? 0);
  const secondRun = model.secondRun || Infinity;
  const keyOf = (/** @type {number} */ node) =>
    labelOf[nameOf[node]] + (node < secondRun ? 0 : labels.length);
  const lanes = emptyLanes(model, labels);
  for (let node = 0; node < model.count; node++) {
    const lane = lanes[keyOf(node)];
    const start = model.start[node];
    if (start < lane.start) lane.start = start;
    lane.busy += model.endOf(node) - start;
    lane.count++;
  }
  const used = lanes.filter((lane) => lane.count);
  const kept = busiestLanes(used);
  const places = new Int32Array(lanes.length).fill(kept.length);
  kept.forEach((lane, place) => (places[lane.key] = place));
  const drawn = kept.map((lane) => lane.run + lane.label);
  return {
    laneOf: nameOf.map((_, node) => places[keyOf(node)]),
    labels: kept.length < used.length ? [...drawn, 'other'] : drawn,
  };
}

/**
 * Two runs that are compared keep their lanes apart: those of A stand over those of B.
 * @param {Model} model @param {string[]} labels
 */
function emptyLanes(model, labels) {
  const runs = model.secondRun ? ['A · ', 'B · '] : [''];
  return runs.flatMap((run, number) =>
    labels.map((label, at) => ({
      key: number * labels.length + at,
      run,
      label,
      start: label === 'main' ? -Infinity : Infinity,
      busy: 0,
      count: 0,
    })),
  );
}

/**
 * Keep the lanes in which most happened, and `main` whatever happened there.
 * @param {LaneSum[]} lanes
 */
function busiestLanes(lanes) {
  const isMain = (/** @type {LaneSum} */ lane) => Number(lane.start === -Infinity);
  let kept = [...lanes];
  if (lanes.length > MOST_LANES) {
    kept.sort((left, right) => isMain(right) - isMain(left) || right.busy - left.busy);
    kept = kept.slice(0, MOST_LANES - 1);
  }
  return kept.sort(
    (left, right) =>
      left.run.localeCompare(right.run) || isMain(right) - isMain(left) || left.start - right.start,
  );
}

/** A binary heap of (key, value) pairs of numbers, the smallest key first. */
class Heap {
  constructor() {
    /** @type {number[]} */
    this.keys = [];
    /** @type {number[]} */
    this.values = [];
  }

  get size() {
    return this.keys.length;
  }

  clear() {
    this.keys.length = this.values.length = 0;
  }

  /** @param {number} key @param {number} value */
  push(key, value) {
    const { keys, values } = this;
    let at = keys.length;
    while (at > 0) {
      const above = (at - 1) >> 1;
      if (keys[above] <= key) break;
      keys[at] = keys[above];
      values[at] = values[above];
      at = above;
    }
    keys[at] = key;
    values[at] = value;
  }

  /** Remove the smallest pair and return its value. */
  pop() {
    const { keys, values } = this;
    const result = values[0];
    const key = keys.pop() ?? 0;
    const value = values.pop() ?? 0;
    if (keys.length) this.sink(key, value);
    return result;
  }

  /** @param {number} key @param {number} value */
  sink(key, value) {
    const { keys, values } = this;
    const size = keys.length;
    let at = 0;
    for (let below = 1; below < size; below = 2 * at + 1) {
      if (below + 1 < size && keys[below + 1] < keys[below]) below++;
      if (keys[below] >= key) break;
      keys[at] = keys[below];
      values[at] = values[below];
      at = below;
    }
    keys[at] = key;
    values[at] = value;
  }
}

/** Puts siblings on tracks so that none overlaps another on the same track. */
class Packer {
  /** @param {number} count */
  constructor(count) {
    this.from = new Float64Array(count); // of a node and all below it in its lane
    this.to = new Float64Array(count);
    this.height = new Int32Array(count); // rows of a node and all below it in its lane
    this.offset = new Int32Array(count); // rows below its parent's row, or in its lane
    this.busy = new Heap();
    this.free = new Heap();
    /** @type {number[]} */
    this.trackHeights = [];
  }

  /**
   * Pack siblings in time order, the lowest free track first; returns the rows they need.
   * @param {Int32Array} siblings
   */
  pack(siblings) {
    sortStretch(siblings, 0, siblings.length, this.from);
    this.busy.clear();
    this.free.clear();
    this.trackHeights.length = 0;
    for (const node of siblings) this.place(node);
    return this.stackTracks(siblings);
  }

  /** @param {number} node */
  place(node) {
    const { busy, free, trackHeights } = this;
    while (busy.size && busy.keys[0] <= this.from[node]) {
      const track = busy.pop();
      free.push(track, track);
    }
    const track = free.size ? free.pop() : trackHeights.push(0) - 1;
    trackHeights[track] = Math.max(trackHeights[track], this.height[node]);
    this.offset[node] = track;
    busy.push(this.to[node], track);
  }

  /** @param {Int32Array} siblings */
  stackTracks(siblings) {
    const { trackHeights } = this;
    let total = 0;
    for (let track = 0; track < trackHeights.length; track++) {
      const height = trackHeights[track];
      trackHeights[track] = total; // from here on: the track's first row
      total += height;
    }
    for (const node of siblings) this.offset[node] = trackHeights[this.offset[node]];
    return total;
  }
}

/**
 * Give every node a row such that on no row two nodes overlap in time. Sequential steps share a
 * row, parallel ones stack. `hidden[i]` leaves a node (and must leave all below it) out.
 * @param {Model} model @param {Tree} tree @param {Lanes} lanes @param {Uint8Array | null} [hidden]
 */
function buildLayout(model, tree, lanes, hidden = null) {
  const packer = new Packer(model.count);
  /** @type {number[][]} */
  const laneRoots = lanes.labels.map(() => []);
  packSubtrees(model, tree, lanes, hidden, packer, laneRoots);
  const laneStart = [0];
  for (const roots of laneRoots) {
    const members = Int32Array.from(roots.reverse()); // they were met last first
    laneStart.push(laneStart[laneStart.length - 1] + packer.pack(members));
  }
  const row = new Int32Array(model.count).fill(-1);
  for (const node of tree.order) {
    if (hidden && hidden[node]) continue;
    const parent = model.parent[node];
    const isInside = parent >= 0 && lanes.laneOf[parent] === lanes.laneOf[node];
    const above = isInside ? row[parent] + 1 : laneStart[lanes.laneOf[node]];
    row[node] = above + packer.offset[node];
  }
  return indexRows(model, tree, row, laneStart);
}

const MOST_TRIED = 1000; // rows that are looked at for room before a new one is opened

/** Rows of a run that is still going on: a node stays where it was put, whatever comes later. */
class SteadyRows {
  constructor() {
    /** @type {number[]} */
    this.rows = []; // by node: its row within its lane
    /** @type {string[]} */
    this.labels = []; // by node: its lane
    /** @type {Map<string, number[]>} */
    this.lastOn = new Map(); // label of a lane to the last node of each of its rows
  }

  clear() {
    this.rows.length = this.labels.length = 0;
    this.lastOn.clear();
  }

  /**
   * Place what came since, and return the layout of all, as `buildLayout` does.
   * @param {Model} model @param {Tree} tree @param {Lanes} lanes @param {Uint8Array | null} hidden
   */
  layout(model, tree, lanes, hidden) {
    const labelOf = (/** @type {number} */ node) => lanes.labels[lanes.laneOf[node]];
    // A second agent beside a first one gives both a lane of their own.
    if (this.labels.some((label, node) => label !== labelOf(node))) this.clear();
    for (let node = this.rows.length; node < model.count; node++)
      this.place(model, node, labelOf(node));
    const laneStart = [0];
    for (const label of lanes.labels)
      laneStart.push(laneStart[laneStart.length - 1] + listed(this.lastOn, label).length);
    const row = Int32Array.from(this.rows, (own, node) =>
      hidden && hidden[node] ? -1 : laneStart[lanes.laneOf[node]] + own,
    );
    return indexRows(model, tree, row, laneStart);
  }

  /** @param {Model} model @param {number} node @param {string} label */
  place(model, node, label) {
    const lastOn = listed(this.lastOn, label);
    const parent = model.parent[node];
    let row = parent >= 0 && this.labels[parent] === label ? this.rows[parent] + 1 : 0;
    const limit = row + MOST_TRIED;
    while (row < lastOn.length && !this.hasRoom(model, lastOn[row], node))
      row = row < limit ? row + 1 : lastOn.length;
    lastOn[row] = node;
    this.rows.push(row);
    this.labels.push(label);
  }

  /** @param {Model} model @param {number} last @param {number} node */
  hasRoom(model, last, node) {
    return !model.isOpen(last) && model.endOf(last) <= model.start[node];
  }

  /**
   * Pack all rows afresh; what is open may stay so for long, and keeps its row to itself.
   * @param {Model} model @param {Tree} tree @param {Lanes} lanes
   */
  pack(model, tree, lanes) {
    const endless = Object.assign(Object.create(model), { now: Infinity });
    const { row, rowStart, nodes, laneStart } = buildLayout(endless, tree, lanes);
    this.clear();
    row.forEach((own, node) => {
      const lane = lanes.laneOf[node];
      this.labels.push(lanes.labels[lane]);
      this.rows.push(own - laneStart[lane]);
      listed(this.lastOn, lanes.labels[lane])[own - laneStart[lane]] = nodes[rowStart[own + 1] - 1];
    });
  }
}

/**
 * From the leaves up: pack each node's children of its own lane, and collect the lanes' roots.
 * @param {Model} model @param {Tree} tree @param {Lanes} lanes @param {Uint8Array | null} hidden
 * @param {Packer} packer @param {number[][]} laneRoots
 */
function packSubtrees(model, tree, { laneOf }, hidden, packer, laneRoots) {
  const { childStart, order } = tree;
  for (let at = order.length - 1; at >= 0; at--) {
    const node = order[at];
    if (hidden && hidden[node]) continue;
    packer.from[node] = model.start[node];
    packer.to[node] = model.endOf(node);
    packer.height[node] = 1;
    if (childStart[node + 1] > childStart[node]) packChildren(tree, laneOf, hidden, packer, node);
    const parent = model.parent[node];
    if (parent < 0 || laneOf[parent] !== laneOf[node]) laneRoots[laneOf[node]].push(node);
  }
}

/**
 * @param {Tree} tree @param {Int32Array} laneOf @param {Uint8Array | null} hidden
 * @param {Packer} packer @param {number} node
 */
function packChildren({ childStart, childList }, laneOf, hidden, packer, node) {
  const { from, to, height } = packer;
  const first = childStart[node];
  const inside = childList.slice(first, childStart[node + 1]);
  let count = 0;
  for (const child of inside) {
    if (laneOf[child] !== laneOf[node] || (hidden && hidden[child])) continue;
    inside[count++] = child;
    if (from[child] < from[node]) from[node] = from[child];
    if (to[child] > to[node]) to[node] = to[child];
  }
  if (count) height[node] += packer.pack(inside.subarray(0, count));
}

/**
 * Sort the nodes by row and time: row `r` is `nodes[rowStart[r] .. rowStart[r + 1]]`.
 * @param {Model} model @param {Tree} tree @param {Int32Array} row @param {number[]} laneStart
 */
function indexRows(model, tree, row, laneStart) {
  const rows = laneStart[laneStart.length - 1];
  const rowStart = new Int32Array(rows + 1);
  for (const own of row) if (own >= 0) rowStart[own + 1]++;
  for (let at = 0; at < rows; at++) rowStart[at + 1] += rowStart[at];
  const nodes = new Int32Array(rowStart[rows]);
  const next = rowStart.slice();
  for (const node of tree.order) if (row[node] >= 0) nodes[next[row[node]]++] = node;
  for (let at = 0; at < rows; at++) sortStretch(nodes, rowStart[at], rowStart[at + 1], model.start);
  const slot = new Int32Array(row.length).fill(-1);
  const from = new Float64Array(nodes.length); // by slot: a search in a row is one in numbers
  const to = new Float64Array(nodes.length);
  for (let at = 0; at < nodes.length; at++) {
    slot[nodes[at]] = at;
    from[at] = model.start[nodes[at]];
    to[at] = model.endOf(nodes[at]);
  }
  const errorSum = prefixSum(nodes, (node) => model.status[node] === FAILED);
  return { row, rows, rowStart, nodes, slot, from, to, laneStart, errorSum };
}

/**
 * Let open nodes end now: time has passed in a live run, and nothing else has happened.
 * @param {Model} model @param {Layout} layout
 */
function stretchOpen(model, { nodes, to }) {
  for (let at = 0; at < nodes.length; at++)
    if (model.isOpen(nodes[at])) to[at] = model.endOf(nodes[at]);
}

/**
 * Count, before each slot, the nodes that are so: any stretch then takes one subtraction.
 * @param {Int32Array} nodes @param {NodeTest} isSo
 */
function prefixSum(nodes, isSo) {
  const sums = new Int32Array(nodes.length + 1);
  for (let at = 0; at < nodes.length; at++) sums[at + 1] = sums[at] + (isSo(nodes[at]) ? 1 : 0);
  return sums;
}

const LEAST_WIDTH = 1.5; // pixels of the shortest bar

/**
 * Call `emit(x, width, first, last)` for each bar of a row: slots `first .. last - 1`, more than
 * one where bars are narrower than a pixel. A wide bar is never swallowed by narrow neighbours.
 * @param {Layout} layout @param {number} row @param {View} view
 * @param {(x: number, width: number, first: number, last: number) => void} emit
 */
function planRow(layout, row, view, emit) {
  const { rowStart, from, to } = layout;
  const stop = rowStart[row + 1];
  const scale = view.width / (view.to - view.from);
  let at = firstAtLeast(to, rowStart[row], stop, view.from);
  while (at < stop && from[at] < view.to) {
    const x = (from[at] - view.from) * scale;
    const width = (to[at] - from[at]) * scale;
    if (width >= LEAST_WIDTH) {
      const left = Math.max(x, -4);
      emit(left, Math.min(x + width, view.width + 4) - left, at, at + 1);
      at++;
      continue;
    }
    const limit = view.from + (Math.floor(x) + LEAST_WIDTH) / scale;
    let next = firstAtLeast(from, at + 1, stop, limit);
    // Only the last of the run can be wide: they do not overlap.
    if (next - 1 > at && (to[next - 1] - from[next - 1]) * scale >= LEAST_WIDTH) next--;
    emit(x, LEAST_WIDTH, at, next);
    at = next;
  }
}

/**
 * Return the first place from `low` with a value of `limit` or more; the values are sorted.
 * @param {Numbers} values @param {number} low @param {number} high @param {number} limit
 */
function firstAtLeast(values, low, high, limit) {
  while (low < high) {
    const middle = (low + high) >> 1;
    if (values[middle] >= limit) high = middle;
    else low = middle + 1;
  }
  return low;
}

/**
 * Return the first slot from `low` whose node `isPast`; all after it are past, too.
 * @param {Numbers} nodes @param {number} low @param {number} high @param {NodeTest} isPast
 */
function firstSlot(nodes, low, high, isPast) {
  while (low < high) {
    const middle = (low + high) >> 1;
    if (isPast(nodes[middle])) high = middle;
    else low = middle + 1;
  }
  return low;
}

/**
 * Count, for each of `buckets` equal parts of a span, the average number of nodes at work.
 * @param {Model} model @param {Numbers} nodes @param {number} from @param {number} to
 * @param {number} buckets
 */
function loadCurve(model, nodes, from, to, buckets) {
  const curve = new Float64Array(buckets + 1);
  const scale = buckets / Math.max(1, to - from);
  for (const node of nodes) {
    const left = Math.max(0, (model.start[node] - from) * scale);
    const right = Math.min(buckets, (model.endOf(node) - from) * scale);
    if (!(right > left)) continue;
    // A running sum follows: each end gives its own bucket a part and the next the rest.
    addPart(curve, left, 1);
    addPart(curve, right, -1);
  }
  for (let at = 1; at <= buckets; at++) curve[at] += curve[at - 1];
  return curve.subarray(0, buckets);
}

/** @param {Float64Array} curve @param {number} at @param {number} sign */
function addPart(curve, at, sign) {
  const bucket = Math.min(curve.length - 1, Math.floor(at));
  const part = 1 - (at - bucket);
  curve[bucket] += sign * part;
  if (bucket + 1 < curve.length) curve[bucket + 1] += sign * (1 - part);
}
