// ---- Two runs: which steps belong together, and where the later run is drawn --------------------

const LEAST_GROUP = 3; // rows that stand for themselves rather than for a group of them

/** Two runs laid over each other, as the terminal's diff paired them; the model holds both. */
class Pairing {
  /** @param {Model} model @param {Tree} tree @param {ComparisonHead} head */
  constructor(model, tree, head) {
    this.model = model;
    this.tree = tree;
    this.before = Int32Array.from(head.rows, ([before]) => before);
    this.after = Int32Array.from(head.rows, ([, after]) => after);
    this.words = head.rows.map(([, , word]) => word);
    this.rowOf = new Int32Array(model.count).fill(-1);
    for (const side of [this.before, this.after])
      side.forEach((node, row) => node >= 0 && (this.rowOf[node] = row));
    this.differs = this.findDifferences();
    /** @type {RowGroup[]} */
    this.groups = [];
    /** @type {Map<number, RowGroup>} */
    this.groupOf = new Map(); // row to the group that it is in
    this.makeGroups();
  }

  /**
   * The node that stands for a row: that of the later run, where there is one.
   * @param {number} row
   */
  shownNode(row) {
    return this.after[row] >= 0 ? this.after[row] : this.before[row];
  }

  /** The node that stands for this one in tree and detail. @param {number} node */
  representative(node) {
    return node < 0 || this.rowOf[node] < 0 ? node : this.shownNode(this.rowOf[node]);
  }

  /** @param {number} node */
  partner(node) {
    const row = this.rowOf[node];
    return this.after[row] === node ? this.before[row] : this.after[row];
  }

  /** @param {number} node */
  wordOf(node) {
    return this.words[this.rowOf[node]] ?? 'same';
  }

  differences() {
    return this.words.flatMap((word, row) => (word === 'same' ? [] : [this.shownNode(row)]));
  }

  /** Return, for each node, whether the runs differ there or anywhere below. */
  findDifferences() {
    const { model, tree } = this;
    const differs = new Uint8Array(model.count);
    for (let at = tree.order.length - 1; at >= 0; at--) {
      const node = tree.order[at];
      if (this.wordOf(node) !== 'same') differs[node] = 1;
      if (differs[node] && model.parent[node] >= 0) differs[model.parent[node]] = 1;
    }
    this.words.forEach((_, row) => {
      const [before, after] = [this.before[row], this.after[row]];
      if (before >= 0 && after >= 0) differs[before] = differs[after] |= differs[before];
    });
    return differs;
  }

  /**
   * Fold what is the same with all below it: a reader came for the differences.
   * @param {Uint8Array} folded
   */
  foldUnchanged(folded) {
    for (const node of this.tree.order)
      if (!this.differs[node]) folded[node] = Number(this.tree.size[node] > 1);
  }

  /** Put rows next to each other that a reader would only count into groups of one row each. */
  makeGroups() {
    for (const siblings of this.siblingRows()) {
      let same = [];
      for (const run of this.runsOfOneKind(siblings)) {
        if (this.isRepeated(run)) {
          this.addGroup(same.splice(0), true);
          this.addGroup(run, false);
          continue;
        }
        for (const row of run) {
          if (!this.differs[this.shownNode(row)]) same.push(row);
          else this.addGroup(same.splice(0), true);
        }
      }
      this.addGroup(same, true);
    }
  }

  /** The rows below each row, in their order; those of the roots first. */
  siblingRows() {
    const below = new Map();
    for (let row = 0; row < this.words.length; row++) {
      const parent = this.model.parent[this.shownNode(row)];
      listed(below, parent < 0 ? -1 : this.rowOf[parent]).push(row);
    }
    return below.values();
  }

  /** Cut rows where the type or the name changes. @param {number[]} rows */
  runsOfOneKind(rows) {
    const { model } = this;
    const kinds = rows.map((row) => nodeKind(model, this.shownNode(row)));
    const starts = [...rows.keys()].filter((at) => kinds[at] !== kinds[at - 1]);
    return starts.map((start, at) => rows.slice(start, starts[at + 1]));
  }

  /** Tell whether the runs have different numbers of these steps. @param {number[]} rows */
  isRepeated(rows) {
    const { before, after } = this.countSides(rows);
    return before !== after && rows.length >= LEAST_GROUP;
  }

  /** @param {number[]} rows */
  countSides(rows) {
    return {
      before: rows.filter((row) => this.before[row] >= 0).length,
      after: rows.filter((row) => this.after[row] >= 0).length,
    };
  }

  /** @param {number[]} rows @param {boolean} isSame */
  addGroup(rows, isSame) {
    if (rows.length < LEAST_GROUP) return;
    const { order, position, size } = this.tree;
    const group = { rows, isSame, isOpen: false, steps: 0, errors: 0, ...this.countSides(rows) };
    for (const node of rows.map((row) => this.shownNode(row))) {
      const branch = order.subarray(position[node], position[node] + size[node]);
      group.steps += branch.length;
      group.errors += branch.filter((each) => this.model.status[each] === FAILED).length;
    }
    this.groups.push(group);
    for (const row of rows) this.groupOf.set(row, group);
  }

  /**
   * The closed group that this node's row speaks for, undefined when it speaks for itself.
   * @param {number} node
   */
  groupAt(node) {
    const group = this.groupOf.get(this.rowOf[node]);
    return group && !group.isOpen && group.rows[0] === this.rowOf[node] ? group : undefined;
  }

  /** Open the group that a node is in; returns whether one was closed. @param {number} node */
  open(node) {
    const group = this.groupOf.get(this.rowOf[node]);
    if (!group || group.isOpen) return false;
    group.isOpen = true;
    return true;
  }

  /** @param {boolean} isOpen */
  setAllGroups(isOpen) {
    for (const group of this.groups) group.isOpen = isOpen;
  }

  /**
   * The nodes of the rows that are shown: of a closed group only the first.
   * @param {Uint8Array | null} hidden
   */
  visibleNodes(hidden) {
    const nodes = [];
    for (let row = 0; row < this.words.length;) {
      const node = this.shownNode(row);
      if (!hidden || !hidden[node]) nodes.push(node);
      const group = this.groupAt(node);
      row = group ? this.rowAfter(group) : row + 1;
    }
    return Int32Array.from(nodes);
  }

  /** @param {RowGroup} group */
  rowAfter({ rows }) {
    const last = rows[rows.length - 1];
    const level = this.levelOf(last);
    let next = last + 1;
    while (next < this.words.length && this.levelOf(next) > level) next++;
    return next;
  }

  /** @param {number} row */
  levelOf(row) {
    return this.tree.level[this.shownNode(row)];
  }

  /**
   * Return the model as it is drawn: the later run moved so that both begin together, or so that
   * a step and its counterpart do, or stretched to the length of the earlier run.
   * @param {string} how @param {number} [node]
   */
  aligned(how, node = -1) {
    const { model } = this;
    const [shift, scale] = this.move(how, node);
    if (!shift && scale === 1) return model;
    const drawn = Object.create(model);
    drawn.start = model.start.slice(0, model.count);
    drawn.duration = model.duration.slice(0, model.count);
    for (let later = model.secondRun; later < model.count; later++) {
      drawn.start[later] = model.start[later] * scale + shift;
      if (!model.isOpen(later)) drawn.duration[later] *= scale;
    }
    drawn.now = lastMoment(drawn);
    return drawn;
  }

  /**
   * Return by how much the later run is moved, and how much it is stretched before.
   * @param {string} how @param {number} node
   */
  move(how, node) {
    const { model } = this;
    const [before, after] = node < 0 ? [-1, -1] : this.sides(this.rowOf[node]);
    if (how === 'step' && before >= 0 && after >= 0)
      return [model.start[before] - model.start[after], 1];
    if (how !== 'percent') return [0, 1];
    return [0, this.lengthOf(0, model.secondRun) / this.lengthOf(model.secondRun, model.count)];
  }

  /** @param {number} row */
  sides(row) {
    return [this.before[row], this.after[row]];
  }

  /** @param {number} first @param {number} stop */
  lengthOf(first, stop) {
    let last = 1;
    for (let node = first; node < stop; node++) last = Math.max(last, this.model.endOf(node));
    return last;
  }
}
