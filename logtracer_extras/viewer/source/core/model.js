// ---- Model: the columns of a trace --------------------------------------------------------------

const FORMAT_VERSION = 2;
const STATUS_WORDS = [
  'completed',
  'failed',
  'running',
  'interrupted',
  'cancelled',
  'paused',
  'pending',
];
const FAILED = 1;
const RUNNING = 2;
const INTERRUPTED = 3;
const UNKNOWN = -1; // of a number of tokens, a cost, an end

/** @typedef {Int32ArrayConstructor | Uint8ArrayConstructor | Float64ArrayConstructor} ColumnType */

/** @type {Record<keyof Columns, ColumnType>} */
const COLUMNS = {
  parent: Int32Array, // index of the parent, -1 for a root
  type: Int32Array, // these six: index into `strings`, 0 is the empty text
  name: Int32Array,
  lane: Int32Array,
  model: Int32Array,
  answeredBy: Int32Array, // the model that answered, where it is another than the one asked
  error: Int32Array,
  status: Uint8Array, // index into STATUS_WORDS
  start: Float64Array, // microseconds from the start of the run
  duration: Float64Array, // microseconds, -1 while open
  tokensIn: Float64Array,
  tokensOut: Float64Array,
  cached: Float64Array,
  cost: Float64Array,
};
const COLUMN_NAMES = /** @type {(keyof Columns)[]} */ (Object.keys(COLUMNS));
/** @type {Partial<Record<keyof Columns, number>>} */
const ABSENT = { tokensIn: UNKNOWN, tokensOut: UNKNOWN, cached: UNKNOWN, cost: UNKNOWN };

/** All nodes of a trace as columns; node `i` is the i-th entry of each. */
class Model {
  /** @param {number} [capacity] */
  constructor(capacity = 16) {
    this.count = 0;
    this.capacity = capacity;
    this.strings = [''];
    this.stringIndex = new Map([['', 0]]);
    /** @type {Edge[]} */
    this.edges = [];
    /** @type {string[]} */
    this.ids = []; // may arrive after the columns
    this.wall = 0; // how long the run took
    this.secondRun = 0; // where two runs are compared: the first node of the second
    this.now = 0; // where open nodes end: the last moment the record knows of
    /** @type {Partial<Head>} */
    this.head = {};
    for (const name of COLUMN_NAMES) this.setColumn(name, new COLUMNS[name](capacity));
  }

  /**
   * Build a model from the head of a page; throws when another version of the format wrote it.
   * @param {Head} head
   */
  static fromHead(head) {
    if (head.version !== FORMAT_VERSION) {
      throw new Error(`this page reads format ${FORMAT_VERSION}, the trace has ${head.version}`);
    }
    const model = new Model(0);
    model.head = head;
    model.count = model.capacity = head.count;
    model.strings = head.strings;
    for (const name of COLUMN_NAMES)
      model.setColumn(name, filledColumn(name, head.columns[name], head.count));
    unfoldParents(model);
    unfoldStarts(model);
    model.now = lastMoment(model);
    model.wall = head.wall;
    model.secondRun = head.comparison?.secondRun ?? 0;
    for (let at = 0; at < head.edges.length; at += 4) {
      const [source, target, kind, label] = head.edges.slice(at, at + 4);
      model.edges.push({ source, target, kind: model.strings[kind], label: model.strings[label] });
    }
    return model;
  }

  /** Return the index of a text in `strings`, adding it when it is new. @param {string} text */
  intern(text) {
    let index = this.stringIndex.get(text);
    if (index === undefined) {
      index = this.strings.push(text) - 1;
      this.stringIndex.set(text, index);
    }
    return index;
  }

  /** Add an empty node and return its index. */
  append() {
    if (this.count === this.capacity) this.grow();
    const node = this.count++;
    for (const name of COLUMN_NAMES) this[name][node] = ABSENT[name] ?? 0;
    this.parent[node] = -1;
    return node;
  }

  grow() {
    this.capacity = Math.max(16, this.capacity * 2);
    for (const name of COLUMN_NAMES) {
      const wider = new COLUMNS[name](this.capacity);
      wider.set(this[name]);
      this.setColumn(name, wider);
    }
  }

  /** @param {keyof Columns} name @param {Columns[keyof Columns]} column */
  setColumn(name, column) {
    Object.assign(this, { [name]: column });
  }

  /** @param {number} node */
  endOf(node) {
    const duration = this.duration[node];
    return duration >= 0 ? this.start[node] + duration : Math.max(this.now, this.start[node]);
  }

  /** @param {number} node */
  isOpen(node) {
    return this.duration[node] < 0;
  }

  /** @param {number} node */
  nameOf(node) {
    return this.strings[this.name[node]];
  }

  /** @param {number} node */
  typeOf(node) {
    return this.strings[this.type[node]];
  }

  /** @param {number} node */
  statusOf(node) {
    return STATUS_WORDS[this.status[node]];
  }

  /** @param {number} node */
  tokensOf(node) {
    return Math.max(0, this.tokensIn[node]) + Math.max(0, this.tokensOut[node]);
  }
}

/**
 * Return one number for the type and the name of a node.
 * @param {Model} model @param {number} node
 */
function nodeKind(model, node) {
  return model.type[node] * model.strings.length + model.name[node];
}

/** @param {keyof Columns} name @param {number[] | undefined} values @param {number} count */
function filledColumn(name, values, count) {
  const type = COLUMNS[name];
  // A column in which nothing was recorded is left out of the page.
  return values && values.length ? type.from(values) : new type(count).fill(ABSENT[name] ?? 0);
}

/**
 * A page says how many nodes back the parent stands, 0 for a root: small numbers pack well.
 * @param {Model} model
 */
function unfoldParents({ parent, count }) {
  for (let node = 0; node < count; node++) parent[node] = parent[node] ? node - parent[node] : -1;
}

/**
 * A page says how long after the end of the sibling before it, or its parent's start, a node ran.
 * @param {Model} model
 */
function unfoldStarts({ parent, start, duration, count }) {
  const expected = new Float64Array(count); // by node: when its next child would follow
  for (let node = 0; node < count; node++) {
    const above = parent[node];
    if (above >= 0) {
      start[node] += expected[above];
      expected[above] = start[node] + Math.max(0, duration[node]);
    }
    expected[node] = start[node];
  }
}

/** @param {Model} model */
function lastMoment(model) {
  let last = 0;
  for (let node = 0; node < model.count; node++) {
    const end = model.start[node] + Math.max(0, model.duration[node]);
    if (end > last) last = end;
  }
  return last;
}

const HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'));

/**
 * Read the block of ids: base64 of their bytes when all have one length, else JSON.
 * @param {string} text @param {number} length @returns {string[]}
 */
function readIds(text, length) {
  if (!length) return JSON.parse(text);
  const bytes = atob(text);
  return Array.from({ length: (bytes.length * 2) / length }, (_, node) => {
    let id = '';
    for (let at = (node * length) / 2; at < ((node + 1) * length) / 2; at++)
      id += HEX[bytes.charCodeAt(at)];
    return id;
  });
}

// Attributes that a column holds: a page does not carry them in the details again.
/** @type {[column: 'tokensIn' | 'tokensOut' | 'cached', key: string][]} */
const TOLD = [
  ['tokensIn', 'gen_ai.usage.input_tokens'],
  ['tokensOut', 'gen_ai.usage.output_tokens'],
  ['cached', 'gen_ai.usage.cache_read.input_tokens'],
];

/**
 * Put the attributes that a column holds back into the details of a node.
 * @param {Model} model @param {number} node @param {Detail} detail
 */
function withTold(model, node, detail) {
  for (const [column, key] of TOLD) {
    const value = model[column][node];
    if (value >= 0 && detail.metadata?.[key] === undefined)
      detail.metadata = { ...detail.metadata, [key]: value };
  }
  return detail;
}
