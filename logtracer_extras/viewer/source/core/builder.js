// ---- Builder: a model from records, for dropped files and live runs -----------------------------

/** @type {Map<unknown, number>} */
const STATUS_CODES = new Map(STATUS_WORDS.map((word, code) => [word, code]));
/** @type {(keyof Detail)[]} */
const EXPLAINING = [
  'input_data',
  'output_data',
  'annotations',
  'metadata',
  'error',
  'error_type',
  'error_traceback',
];
const LONGEST_ERROR = 300; // characters of an error in its column; the whole stands in the detail

/** Collects node records in any order, and repeats of them, into one model. */
class ModelBuilder {
  constructor() {
    this.model = new Model();
    /** @type {Map<string, number>} */
    this.indexOf = new Map(); // node id to index
    /** @type {Map<string, number[]>} */
    this.orphans = new Map(); // id of a parent not seen yet to its children
    /** @type {NodeRecord[]} */
    this.details = []; // by node
    /** @type {number | null} */
    this.origin = null; // milliseconds since 1970 of the start of the run
    /** @type {EdgeRecord[]} */
    this.waitingEdges = [];
    this.isFinished = false;
    this.isAbandoned = false;
  }

  /** Take the document of a `.json` file. @param {TraceDocument} document */
  addDocument(document) {
    this.setHead(document);
    for (const record of Object.values(document.nodes ?? {})) this.addNode(record);
    for (const edge of document.edges ?? []) this.addEdge(edge);
    this.finish();
  }

  /** Take one event of a journal; returns whether it was one. @param {JournalEvent} event */
  addEvent(event) {
    switch (event.event) {
      case 'trace.started':
        this.setHead(event);
        break;
      case 'trace.completed':
        this.setEnd(event);
        break;
      case 'edge':
        this.addEdge(/** @type {EdgeRecord} */ (event));
        break;
      case 'node.updated':
        this.addNode(/** @type {NodeRecord} */ (event));
        break;
      default:
        if (!event.node) return false;
        this.addNode(event.node);
    }
    return true;
  }

  /** @param {HeadRecord} header */
  setHead(header) {
    this.origin ??= timeOf(header.start_time);
    Object.assign(this.model.head, {
      version: FORMAT_VERSION,
      name: String(header.name ?? ''),
      traceId: String(header.trace_id ?? ''),
      started: typeof header.start_time === 'string' ? header.start_time : null,
      metadata: header.metadata ?? {},
      notes: [],
    });
  }

  /**
   * A finished run ends with its record; until then, with the last moment it knows of.
   * @param {JournalEvent} event
   */
  setEnd(event) {
    this.isFinished = true;
    this.see(timeOf(event.end_time));
    Object.assign(this.model.head, {
      metadata: { ...this.model.head.metadata, ...event.metadata },
    });
    this.finish();
  }

  /** @param {NodeRecord} record */
  addNode(record) {
    if (typeof record?.id !== 'string') return;
    const node = this.indexOf.get(record.id) ?? this.register(record);
    const model = this.model;
    const known = this.details[node];
    if (known.end_time && !record.end_time) return; // a start record that comes late
    this.details[node] = { ...known, ...record };
    const whole = this.details[node];
    model.name[node] = model.intern(String(whole.name ?? ''));
    model.type[node] = model.intern(String(whole.node_type ?? 'custom'));
    model.status[node] = STATUS_CODES.get(whole.status) ?? RUNNING;
    model.error[node] = model.intern(errorLine(whole));
    this.setTimes(node, whole);
    this.setFacts(node, whole.metadata ?? {});
  }

  /** @param {NodeRecord} record */
  register(record) {
    const node = this.model.append();
    this.indexOf.set(record.id, node);
    this.model.ids.push(record.id);
    this.details.push({ id: record.id });
    if (typeof record.parent_id === 'string') this.connect(node, record.parent_id);
    for (const child of this.orphans.get(record.id) ?? []) this.model.parent[child] = node;
    this.orphans.delete(record.id);
    return node;
  }

  /** @param {number} node @param {string} parentId */
  connect(node, parentId) {
    const parent = this.indexOf.get(parentId);
    if (parent !== undefined) {
      this.model.parent[node] = parent;
      return;
    }
    listed(this.orphans, parentId).push(node);
  }

  /** @param {number} node @param {NodeRecord} record */
  setTimes(node, record) {
    const { model } = this;
    const start = timeOf(record.start_time);
    const end = timeOf(record.end_time);
    this.origin ??= start;
    const above = model.parent[node];
    model.start[node] = start === null ? (above >= 0 ? model.start[above] : 0) : this.micros(start);
    model.duration[node] =
      end === null ? UNKNOWN : Math.max(0, this.micros(end) - model.start[node]);
    this.see(start);
    this.see(end);
  }

  /** @param {number} node @param {Record<string, unknown>} metadata */
  setFacts(node, metadata) {
    const { model } = this;
    const number = (/** @type {string} */ key) => {
      const value = metadata[key];
      return typeof value === 'number' ? value : UNKNOWN;
    };
    const cached = number('gen_ai.usage.cache_read.input_tokens');
    const parts =
      Math.max(0, cached) + Math.max(0, number('gen_ai.usage.cache_creation.input_tokens'));
    model.tokensIn[node] = wholeOf(number('gen_ai.usage.input_tokens'), parts);
    model.tokensOut[node] = wholeOf(
      number('gen_ai.usage.output_tokens'),
      number('gen_ai.usage.reasoning.output_tokens'),
    );
    model.cached[node] = cached;
    const names = ['gen_ai.request.model', 'gen_ai.response.model']
      .map((key) => metadata[key])
      .filter((name) => typeof name === 'string')
      .filter(Boolean);
    model.model[node] = model.intern(names[0] ?? '');
    model.answeredBy[node] = names[1] === names[0] ? 0 : model.intern(names[1] ?? '');
    model.lane[node] = model.intern(
      ['string', 'number'].includes(typeof metadata.lane) ? String(metadata.lane) : '',
    );
  }

  /** @param {EdgeRecord} edge */
  addEdge(edge) {
    const source = this.indexOf.get(edge.source_id);
    const target = this.indexOf.get(edge.target_id);
    if (source === undefined || target === undefined) {
      this.waitingEdges.push(edge); // one of its ends may come later
    } else if (edge.edge_type !== 'caused_by' || this.model.parent[target] !== source) {
      const label = String(edge.label ?? '');
      this.model.edges.push({ source, target, kind: String(edge.edge_type), label });
    }
  }

  finish() {
    const waiting = this.waitingEdges;
    this.waitingEdges = [];
    for (const edge of waiting) this.addEdge(edge);
    this.model.wall = this.model.now;
    if (this.orphans.size)
      this.model.head.notes = ['Some nodes name a parent that is not in the trace.'];
  }

  /** Nobody ends the run any more: what is open was broken off after the last that is known. */
  abandon() {
    const { model } = this;
    this.isAbandoned = true;
    for (let node = 0; node < model.count; node++)
      if (model.status[node] === RUNNING) model.status[node] = INTERRUPTED;
    model.now = lastMoment(model);
    this.finish();
  }

  /** @param {number | null} moment */
  see(moment) {
    if (moment !== null && this.origin !== null) {
      this.model.now = Math.max(this.model.now, this.micros(moment));
    }
  }

  /** @param {number} moment */
  micros(moment) {
    return Math.round((moment - (this.origin ?? 0)) * 1000);
  }
}

/**
 * A total includes its parts; where it is less than they are, they were counted beside it.
 * @param {number} total @param {number} parts
 */
function wholeOf(total, parts) {
  return total >= 0 && parts > total ? total + parts : total;
}

/**
 * Read an ISO 8601 time as milliseconds with microseconds behind the point; null when absent.
 * @param {unknown} text
 */
function timeOf(text) {
  if (typeof text !== 'string') return null;
  const whole = Date.parse(text.replace(/\.\d+/, ''));
  if (Number.isNaN(whole)) return null;
  const fraction = /\.(\d+)/.exec(text);
  return whole + (fraction ? Number('0.' + fraction[1]) * 1000 : 0);
}

/** @param {NodeRecord} record */
function errorLine(record) {
  const parts = [record.error_type, record.error].filter(
    (part) => typeof part === 'string' && part,
  );
  return clip(parts.join(': '), LONGEST_ERROR);
}

/**
 * Keep of a record what the detail panel shows, and leave out what is empty.
 * @param {NodeRecord} record
 */
function detailOf(record) {
  const entries = EXPLAINING.map((key) => [key, record[key]]);
  const telling = entries.filter(
    ([, value]) => value && (typeof value !== 'object' || Object.keys(value).length),
  );
  return /** @type {Detail} */ (Object.fromEntries(telling));
}

/**
 * Read the text of a trace file, a document or a journal, into a finished builder.
 * @param {string} text
 */
function readTraceFile(text) {
  const builder = new ModelBuilder();
  if (text.startsWith('{"event":')) {
    let taken = 0;
    for (const line of text.split('\n')) taken += takeLine(builder, line);
    if (!taken) throw new Error('no line of it is an event of a trace');
    if (!builder.isFinished) markInterrupted(builder.model);
    builder.finish();
    return builder;
  }
  const document = JSON.parse(text);
  if (!document || typeof document.nodes !== 'object') throw new Error('it has no nodes');
  builder.addDocument(document);
  return builder;
}

/** @param {ModelBuilder} builder @param {string} line */
function takeLine(builder, line) {
  try {
    return Number(builder.addEvent(JSON.parse(line)));
  } catch {
    return 0; // a torn last line, or a damaged one: the rest is still worth showing
  }
}

/** @param {Model} model */
function markInterrupted(model) {
  for (let node = 0; node < model.count; node++) {
    if (model.status[node] === RUNNING) model.status[node] = INTERRUPTED;
  }
}
