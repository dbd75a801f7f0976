// ---- Filter: the query language of the terminal, read by the same rules -------------------------
//
//   query  := and ("OR" and)*
//   and    := not ("AND"? not)*
//   not    := "-"? term
//   term   := "(" query ")" | field operator value | word | "quoted text" | /regex/i
//
// tests/data/query_vectors.json holds what it means, for this parser and the terminal's.

const LONGEST_QUERY = 2000; // characters
const DEEPEST_QUERY = 30; // parentheses in parentheses
const LONGEST_PATTERN = 200; // characters
const LONGEST_SEARCHED = 20000; // characters of one value that a pattern looks at

const TIME_UNITS = { us: 1, µs: 1, ms: 1e3, s: 1e6, m: 60e6, h: 3600e6, '%': 0.01 };
const COUNT_UNITS = { '': 1, k: 1e3, M: 1e6 };
const UNITS = {
  dur: TIME_UNITS,
  self: TIME_UNITS,
  start: TIME_UNITS,
  tokens: COUNT_UNITS,
  in: COUNT_UNITS,
  out: COUNT_UNITS,
  attr: COUNT_UNITS,
  cost: { '': 1, $: 1 },
  depth: { '': 1 },
  attempt: { '': 1 },
};
const NUMBER_FIELDS = ['depth', 'dur', 'self', 'start', 'tokens', 'in', 'out', 'cost', 'attempt'];
const TEXT_FIELDS = ['name', 'lane', 'model', 'error', 'parent', 'input', 'output'];
const WORD_FIELDS = ['type', 'status', 'id', 'kind', 'diff'];
const FIELDS = [...TEXT_FIELDS, ...WORD_FIELDS, ...NUMBER_FIELDS, 'has', 'attr'].sort();
const NAMED_DIFFERENTLY = { agent: 'lane', latency: 'dur', price: 'cost', time: 'dur' };
const THINGS_TO_HAVE = [
  'annotation',
  'branch',
  'children',
  'cost',
  'data_flow',
  'error',
  'fallback',
  'input',
  'model',
  'output',
  'retry',
  'tokens',
];
// What people write for a value that has another name in a trace; the first is meant as well.
const ALSO = {
  type: { llm: 'llm_call', tool: 'tool_call', agent: 'sub_agent', human: 'human_input' },
  status: { error: 'failed', ok: 'completed', incomplete: 'interrupted' },
  kind: { retry: 'retry_of', fallback: 'fallback_of', branch: 'branched_from' },
};

/** A filter that cannot be understood; `position` counts characters from 1. */
class QueryError extends Error {
  constructor(problem, position, hint = '') {
    super(`${problem} at ${position}${hint ? ` (${hint})` : ''}`);
    this.position = position;
  }
}

/** Read a filter into a tree of `{op, parts}` with terms as leaves. */
function parseQuery(text) {
  if (text.length > LONGEST_QUERY)
    throw new QueryError(`a query of more than ${LONGEST_QUERY} characters`, LONGEST_QUERY + 1);
  return new QueryParser(text).whole();
}

/** Recursive descent over the grammar, nested no deeper than DEEPEST_QUERY. */
class QueryParser {
  constructor(text) {
    this.text = text;
    this.at = 0;
    this.nesting = 0;
  }

  whole() {
    this.skipSpace();
    if (this.at === this.text.length) throw new QueryError('nothing to look for', 1);
    const query = this.alternatives();
    if (this.at < this.text.length) throw this.error('a ) without its (');
    return query;
  }

  alternatives() {
    const parts = [this.sequence()];
    while (this.takeWord('OR')) parts.push(this.sequence('OR'));
    return parts.length === 1 ? parts[0] : { op: 'or', parts };
  }

  sequence(after = '') {
    const parts = [];
    while (!this.isSequenceOver()) {
      parts.push(this.negation());
      after = this.takeWord('AND') ? 'AND' : '';
    }
    if (!parts.length || after)
      throw this.error(after ? `nothing after ${after}` : 'nothing to look for');
    return parts.length === 1 ? parts[0] : { op: 'and', parts };
  }

  isSequenceOver() {
    this.skipSpace();
    return this.peek() === '' || this.peek() === ')' || ['OR', 'AND'].includes(this.nextWord());
  }

  negation() {
    if (this.peek() !== '-') return this.term();
    this.at++;
    if (/^[-)\s]?$/.test(this.peek()))
      throw this.error('nothing to leave out after -', 'quote a text that begins with -');
    return { op: 'not', parts: [this.term()] };
  }

  term() {
    if (this.peek() === '(') return this.group();
    const field = this.match(/([A-Za-z_][^\s()":=!<>/]*)(!=|>=|<=|[:=<>])/y);
    if (field) return this.field(field);
    if (this.text.startsWith('""', this.at)) throw this.error('nothing to look for');
    return { op: 'text', value: this.textValue() };
  }

  group() {
    const opened = this.at;
    if (++this.nesting > DEEPEST_QUERY)
      throw this.error(`more than ${DEEPEST_QUERY} parentheses within each other`);
    this.at++;
    const inner = this.alternatives();
    if (this.peek() !== ')') throw new QueryError('a ( without its )', opened + 1);
    this.at++;
    this.nesting--;
    this.skipSpace();
    return inner;
  }

  // A field, its operator and its value

  field([whole, written, sign]) {
    const [name, path] = splitOnce(written, '.');
    this.checkField(written, name, path);
    const signAt = this.at + written.length + 1;
    this.at += whole.length;
    if (/^[)\s]?$/.test(this.peek())) throw this.error(`nothing after ${whole}`);
    if (name === 'attr') return this.attribute(path, sign);
    if (NUMBER_FIELDS.includes(name))
      return { op: 'number', field: name, sign, ...this.numberValue(name) };
    if (!/^!?=$|^:$/.test(sign))
      throw new QueryError(`${name} is text, ${sign} compares numbers`, signAt);
    if (TEXT_FIELDS.includes(name))
      return { op: 'field', field: name, sign, value: this.textValue() };
    return this.wordField(name, sign);
  }

  checkField(written, name, path) {
    if (name === 'attr' && !path) throw this.error('attr needs a path', 'such as attr.http.status');
    if (FIELDS.includes(name) && (!path || name === 'attr')) return;
    const known = Object.hasOwn(NAMED_DIFFERENTLY, name)
      ? NAMED_DIFFERENTLY[name]
      : closest(name, FIELDS);
    throw this.error(
      `unknown field '${written}'`,
      known ? `did you mean '${known}'?` : 'quote it to look for the text',
    );
  }

  wordField(field, sign) {
    const started = this.at;
    const word = this.plainValue().toLowerCase();
    const also =
      Object.hasOwn(ALSO, field) && Object.hasOwn(ALSO[field], word) ? ALSO[field][word] : word;
    if (field === 'has' && !THINGS_TO_HAVE.includes(word))
      throw unknownWord('thing to have', word, THINGS_TO_HAVE, started + 1);
    if (field === 'status' && !STATUS_WORDS.includes(also))
      throw unknownWord(
        'status',
        word,
        [...STATUS_WORDS, ...Object.keys(ALSO.status)],
        started + 1,
      );
    return { op: field === 'has' ? 'has' : 'word', field, sign, wanted: [word, also] };
  }

  attribute(path, sign) {
    const isPlain = !/^[/"]$/.test(this.peek()) && NUMBER.test(this.nextWord());
    if (sign === ':' || (!isPlain && (sign === '=' || sign === '!=')))
      return { op: 'attribute', path, sign, value: this.textValue() };
    return { op: 'attribute', path, sign, word: this.nextWord(), ...this.numberValue('attr') };
  }

  numberValue(name) {
    const started = this.at;
    return readNumber(name, this.plainValue(), started + 1);
  }

  // Values and words

  /** Read a word, a quoted text or a pattern. */
  textValue() {
    if (this.peek() !== '/') return { text: this.plainValue().toLowerCase() };
    const found = this.match(/\/((?:[^/\\]|\\[^])*)\/([^\s()"]*)/y);
    if (!found)
      throw this.error('a pattern without its second /', 'quote a text that begins with /');
    const [whole, source, flags] = found;
    if (flags !== '' && flags !== 'i') {
      throw new QueryError(
        `unknown flags '${flags}'`,
        this.at + whole.length - flags.length + 1,
        'quote a text that begins with /',
      );
    }
    const pattern = compilePattern(source.replaceAll('\\/', '/'), flags, this.at + 2);
    this.at += whole.length;
    this.skipSpace();
    return { pattern };
  }

  plainValue() {
    if (this.peek() !== '"') {
      const word = this.nextWord();
      this.at += word.length;
      this.skipSpace();
      return word;
    }
    const found = this.match(/"((?:[^"\\]|\\[^])*)"/y);
    if (!found) throw this.error('a " without its second one');
    this.at += found[0].length;
    this.skipSpace();
    return found[1].replace(/\\(["\\])/g, '$1');
  }

  takeWord(word) {
    if (this.nextWord() !== word) return false;
    this.at += word.length;
    this.skipSpace();
    return true;
  }

  nextWord() {
    return this.match(/[^\s()"]+/y)?.[0] ?? '';
  }

  peek() {
    return this.text.slice(this.at, this.at + 1);
  }

  skipSpace() {
    this.at += this.match(/\s*/y)[0].length;
  }

  match(pattern) {
    pattern.lastIndex = this.at;
    return pattern.exec(this.text);
  }

  error(problem, hint = '') {
    return new QueryError(problem, this.at + 1, hint);
  }
}

function splitOnce(text, separator) {
  const at = text.indexOf(separator);
  return at < 0 ? [text, ''] : [text.slice(0, at), text.slice(at + 1)];
}

const NUMBER = /^(\$?)([+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+))([^0-9.].*)?$/s;

/** Return a number in the field's own unit, and whether it is a share of the whole run. */
function readNumber(field, text, position) {
  const units = UNITS[field];
  const found = NUMBER.exec(text);
  if (!found)
    throw new QueryError(
      `${field} needs a number, not '${text}'`,
      position,
      `such as ${'s' in units ? '2s or 5%' : '100'}`,
    );
  const [, dollar, digits, after = ''] = found;
  const unit = after || dollar;
  if (!Object.hasOwn(units, unit) && !(unit === '' && Number(digits) === 0)) {
    const known = Object.keys(units).filter(Boolean).join(', ') || 'none';
    const problem = unit ? `unknown unit '${unit}'` : `${field} needs a unit`;
    throw new QueryError(problem, position + text.length - after.length, `units: ${known}`);
  }
  return { number: Number(digits) * (units[unit] ?? 1), isShare: unit === '%' };
}

function unknownWord(what, word, known, position) {
  const near = closest(word, [...known].sort());
  return new QueryError(
    `unknown ${what} '${word}'`,
    position,
    near ? `did you mean '${near}'?` : `known: ${[...known].sort().join(', ')}`,
  );
}

/** Return the name that was most likely meant: one that begins like the word, or looks so. */
function closest(word, known) {
  const wanted = word.toLowerCase();
  const alike =
    known.find((name) => wanted.length > 1 && name.startsWith(wanted)) ??
    known.find((name) => name.length > 2 && wanted.startsWith(name));
  if (alike) return alike;
  const [least, name] = known
    .map((each) => [editsBetween(wanted, each), each])
    .sort((left, right) => left[0] - right[0])[0];
  return least <= Math.max(wanted.length, name.length) * 0.45 ? name : null;
}

/** Count the letters to change, add or drop to turn one word into another. */
function editsBetween(from, to) {
  let row = Array.from({ length: to.length + 1 }, (_, at) => at);
  for (let left = 1; left <= from.length; left++) {
    const next = [left];
    for (let right = 1; right <= to.length; right++) {
      const swap = row[right - 1] + (from[left - 1] === to[right - 1] ? 0 : 1);
      next[right] = Math.min(swap, row[right] + 1, next[right - 1] + 1);
    }
    row = next;
  }
  return row[to.length];
}

// Regular expressions: the part that every language has, and that ends

const REPEAT = /[*+?]|\{[0-9]+(?:,[0-9]*)?\}/y;

function compilePattern(source, flags, position) {
  if (!source) throw new QueryError('an empty pattern', position);
  if (source.length > LONGEST_PATTERN)
    throw new QueryError(`a pattern of more than ${LONGEST_PATTERN} characters`, position);
  checkPattern(source, position);
  try {
    return new RegExp(source, flags);
  } catch (error) {
    throw new QueryError(`a broken pattern (${error.message})`, position);
  }
}

/**
 * Refuse what takes exponential time, and what not every language has. A repeated group may hold
 * neither a repeat nor an alternative: (a+)+ and (a|a)* try out every way to split a text.
 */
function checkPattern(source, position) {
  const openGroups = [false]; // for each: does it hold a repeat or an alternative?
  for (let at = 0; at < source.length;) {
    const size = tokenSize(source, at, position);
    const token = source.slice(at, at + size);
    at += size;
    if (token.startsWith('(')) {
      openGroups.push(false);
      continue;
    }
    let splits = token === '|';
    if (token === ')' && openGroups.length > 1) splits = openGroups.pop();
    const repeat = repeatAt(source, at);
    if (repeat && token !== '|') {
      if (splits && repeat !== '?')
        throw new QueryError('a repeated group holds a repeat or a |', position + at);
      splits = true;
      at += repeat.length;
      if (source[at] === '?') at++;
      if (repeatAt(source, at)) throw new QueryError('two repeats in a row', position + at);
    }
    openGroups[openGroups.length - 1] ||= splits;
  }
}

function repeatAt(source, at) {
  REPEAT.lastIndex = at;
  return REPEAT.exec(source)?.[0];
}

/** Return how many characters of a pattern belong together as one thing to repeat. */
function tokenSize(source, at, position) {
  if (source[at] === '[') {
    const set = /\[\^?(?:[^\]\\]|\\[^])+\]/y;
    set.lastIndex = at;
    const found = set.exec(source);
    if (!found)
      throw new QueryError('a [ without its ]', position + at, 'write \\[ to look for it');
    return found[0].length;
  }
  if (source[at] === '\\') {
    const following = source.slice(at + 1, at + 2);
    if (!following || (/[\p{L}\p{N}]/u.test(following) && !'dDwWsSbBnrtfvxu'.includes(following))) {
      throw new QueryError(`\\${following} is not supported`, position + at);
    }
    return 2;
  }
  if (source.startsWith('(?', at)) {
    if (!/^[:=!]$/.test(source.slice(at + 2, at + 3))) {
      throw new QueryError('a group of an unsupported kind', position + at, 'use (?: (?= or (?!');
    }
    return 3;
  }
  return 1;
}

/** A filter at work on one model: columns at once, details as they come in. */
class Search {
  constructor(query, facts) {
    this.facts = facts;
    this.waiting = []; // leaves that need details
    this.root = this.compile(query);
    this.needsDetails = this.waiting.length > 0;
  }

  compile(query) {
    if (query.parts) return { op: query.op, parts: query.parts.map((part) => this.compile(part)) };
    const leaf = LEAVES[query.op](query, this.facts);
    leaf.bits ??= new Uint8Array(this.facts.model.count);
    if (leaf.fits) this.waiting.push(leaf);
    return leaf;
  }

  /** Return one byte for each node: 1 where the filter fits as far as is known. */
  matches(part = this.root) {
    if (part.bits) return part.bits;
    const [first, ...others] = part.parts.map((each) => this.matches(each));
    if (part.op === 'not') return inverted(first);
    const result = first.slice();
    for (const other of others) {
      for (let node = 0; node < result.length; node++) {
        if (part.op === 'and') result[node] &= other[node];
        else result[node] |= other[node];
      }
    }
    return result;
  }

  /** Take the details of nodes `first`, `first + 1`, ... as the JSON text of a list. */
  addDetails(first, text) {
    const lower = text.toLowerCase();
    const leaves = this.waiting.filter(({ word }) => !word || lower.includes(word));
    if (!leaves.length) return; // most words are in few blocks: the others need no parsing
    const details = JSON.parse(text);
    for (const { bits, fits } of leaves) {
      details.forEach((detail, at) => {
        if (!bits[first + at] && fits(detail, first + at)) bits[first + at] = 1;
      });
    }
  }
}

const LEAVES = {
  text: textLeaf,
  field: fieldLeaf,
  word: wordLeaf,
  has: hasLeaf,
  number: numberLeaf,
  attribute: attributeLeaf,
};

function bitsOf(count, isSo) {
  const bits = new Uint8Array(count);
  for (let node = 0; node < count; node++) bits[node] = isSo(node) ? 1 : 0;
  return bits;
}

function inverted(bits) {
  return bits.map((bit) => 1 - bit);
}

/** Test each distinct text once, however many nodes have it. */
function remembered(strings, test) {
  const known = new Int8Array(strings.length).fill(-1);
  return (index) => {
    if (known[index] < 0) known[index] = strings[index] !== '' && test(strings[index]) ? 1 : 0;
    return known[index] === 1;
  };
}

function contains({ text, pattern }) {
  if (pattern) return (value) => pattern.test(value.slice(0, LONGEST_SEARCHED));
  return (value) => value.toLowerCase().includes(text);
}

function equals({ text, pattern }) {
  return pattern ? contains({ pattern }) : (value) => value.toLowerCase() === text;
}

/** A bare word: it may stand anywhere in a node, in the columns or in the details. */
function textLeaf({ value }, { model, lanes }) {
  const test = contains(value);
  const inString = remembered(model.strings, test);
  const inLane = remembered(lanes.names, test);
  const bits = bitsOf(
    model.count,
    (node) =>
      inString(model.name[node]) ||
      inString(model.type[node]) ||
      inString(model.model[node]) ||
      inString(model.answeredBy[node]) ||
      inString(model.error[node]) ||
      inLane(lanes.nameOf[node]),
  );
  for (const [column, key] of Object.entries(TOLD)) addTold(bits, model[column], test(key), test);
  return { bits, fits: (detail) => anywhere(detail, test), word: plainWord(value) };
}

/** Attributes that a column holds stand in no detail, where a word is looked for first. */
function addTold(bits, column, isNamed, test) {
  for (let node = 0; node < bits.length; node++)
    if (column[node] >= 0 && (isNamed || test(String(column[node])))) bits[node] = 1;
}

/** The word to look for in the raw JSON first; null where JSON may write it in another way. */
function plainWord({ text, pattern }) {
  return !pattern && /^[\w .,-]+$/.test(text) ? text : null;
}

function anywhere(detail, test) {
  const { annotations, input_data, output_data, metadata, error_traceback } = detail;
  const parts = [annotations, input_data, output_data, metadata, error_traceback];
  return parts.some((part) => someText(part, test)) || test(wholeError(detail));
}

function wholeError({ error_type, error }) {
  return [error_type, error].filter(Boolean).join(': ');
}

/** Tell whether a key or a plain value inside JSON data passes; without recursion. */
function someText(value, test) {
  const waiting = value === undefined ? [] : [value];
  while (waiting.length) {
    const item = waiting.pop();
    if (item === null || typeof item !== 'object') {
      if (test(String(item))) return true;
    } else if (Array.isArray(item)) {
      for (const each of item) waiting.push(each);
    } else {
      for (const key of Object.keys(item)) {
        if (test(key)) return true;
        waiting.push(item[key]);
      }
    }
  }
  return false;
}

/** A field of text; `!=` means that the node has such a text, and none that is equal. */
function fieldLeaf({ field, sign, value }, facts) {
  const test = sign === ':' ? contains(value) : equals(value);
  const isNegated = sign === '!=';
  if (field === 'input' || field === 'output') {
    const key = field + '_data';
    return {
      fits: (detail) =>
        someText(detail[key] ?? {}, test) !== isNegated &&
        (!isNegated || detail[key] !== undefined),
    };
  }
  if (field === 'error') return errorLeaf(test, isNegated, facts);
  const { model, lanes } = facts;
  if (field === 'lane') {
    const fits = remembered(lanes.names, test);
    return { bits: bitsOf(model.count, (node) => fits(lanes.nameOf[node]) !== isNegated) };
  }
  const fits = remembered(model.strings, test);
  const columns = TEXT_COLUMNS[field](model);
  return {
    bits: bitsOf(model.count, (node) => {
      const indexes = columns.map((column) => column(node)).filter((index) => index > 0);
      return isNegated ? indexes.length > 0 && !indexes.some(fits) : indexes.some(fits);
    }),
  };
}

const TEXT_COLUMNS = {
  name: ({ name }) => [(node) => name[node]],
  model: ({ model, answeredBy }) => [(node) => model[node], (node) => answeredBy[node]],
  parent: ({ name, parent }) => [(node) => (parent[node] >= 0 ? name[parent[node]] : 0)],
};

/** Errors: most are whole in their column; a long one is looked up in the details. */
function errorLeaf(test, isNegated, { model }) {
  const fits = remembered(model.strings, test);
  const isCut = (node) => model.strings[model.error[node]].endsWith('…');
  const bits = bitsOf(
    model.count,
    (node) => model.error[node] > 0 && !isCut(node) && fits(model.error[node]) !== isNegated,
  );
  const anyCut = bitsOf(model.count, isCut).includes(1);
  return anyCut
    ? {
        bits,
        fits: (detail) =>
          wholeError(detail).length >= LONGEST_ERROR && test(wholeError(detail)) !== isNegated,
      }
    : { bits };
}

/** A field with few values: each value counts as a whole. */
function wordLeaf({ field, sign, wanted }, facts) {
  const isNegated = sign === '!=';
  const { model } = facts;
  if (field === 'kind') return { bits: kindBits(model, wanted, isNegated) };
  const valueOf = {
    type: (node) => model.typeOf(node),
    status: (node) => model.statusOf(node),
    id: (node) => model.ids[node] ?? '',
    diff: (node) => (facts.diff ? facts.diff.wordOf(node) : ''),
  }[field];
  return {
    bits: bitsOf(model.count, (node) => wanted.includes(valueOf(node).toLowerCase()) !== isNegated),
  };
}

/** Why a node ran: the kinds of the edges that lead to it. */
function kindBits(model, wanted, isNegated) {
  const fits = bitsOf(
    model.count,
    (node) => wanted.includes('caused_by') && model.parent[node] >= 0,
  );
  const any = bitsOf(model.count, (node) => model.parent[node] >= 0);
  for (const { target, kind } of model.edges) {
    any[target] = 1;
    if (wanted.includes(kind.toLowerCase())) fits[target] = 1;
  }
  return isNegated ? any.map((bit, node) => bit & (1 - fits[node])) : fits;
}

const EDGES_TO_HAVE = {
  retry: RETRY,
  fallback: FALLBACK,
  data_flow: DATA_FLOW,
  branch: 'branched_from',
};
const DETAILS_TO_HAVE = { annotation: 'annotations', input: 'input_data', output: 'output_data' };

function hasLeaf({ sign, wanted: [word] }, facts) {
  const isNegated = sign === '!=';
  if (Object.hasOwn(DETAILS_TO_HAVE, word)) {
    const key = DETAILS_TO_HAVE[word];
    return { fits: (detail) => (detail[key] !== undefined) !== isNegated };
  }
  const bits = Object.hasOwn(EDGES_TO_HAVE, word)
    ? edgeBits(facts.model, EDGES_TO_HAVE[word])
    : bitsOf(facts.model.count, columnToHave(word, facts));
  return { bits: isNegated ? inverted(bits) : bits };
}

function edgeBits(model, wanted) {
  const bits = new Uint8Array(model.count);
  for (const { source, target, kind } of model.edges)
    if (kind === wanted) bits[source] = bits[target] = 1;
  return bits;
}

function columnToHave(word, { model, tree, rolled }) {
  return {
    error: (node) => model.error[node] > 0,
    cost: (node) => rolled.cost[node] >= 0,
    tokens: (node) => rolled.tokensIn[node] >= 0,
    model: (node) => model.model[node] > 0,
    children: (node) => tree.size[node] > 1,
  }[word];
}

function numberLeaf({ field, sign, number, isShare }, facts) {
  const { model } = facts;
  const valueOf = numberColumn(field, facts);
  const fits = comparison(sign, isShare ? number * model.wall : number);
  return { bits: bitsOf(model.count, (node) => valueOf(node) >= 0 && fits(valueOf(node))) };
}

function numberColumn(field, { model, tree, rolled, selves, edges }) {
  return {
    depth: (node) => tree.level[node],
    dur: (node) => model.endOf(node) - model.start[node],
    self: (node) => selves[node],
    start: (node) => model.start[node],
    tokens: (node) => (rolled.tokensIn[node] >= 0 ? rolled.tokens[node] : UNKNOWN),
    in: (node) => rolled.tokensIn[node],
    out: (node) => rolled.tokensOut[node],
    cost: (node) => rolled.cost[node],
    attempt: (node) => edges.attempts.get(node) ?? UNKNOWN,
  }[field];
}

function comparison(sign, limit) {
  return {
    ':': (number) => number === limit,
    '=': (number) => number === limit,
    '!=': (number) => !Number.isNaN(number) && number !== limit,
    '>': (number) => number > limit,
    '>=': (number) => number >= limit,
    '<': (number) => number < limit,
    '<=': (number) => number <= limit,
  }[sign];
}

function attributeLeaf({ path, sign, value, word, number }, { model }) {
  const find = (detail, node) => attributeAt(withTold(model, node, detail).metadata, path);
  if (value) {
    const test = sign === ':' ? contains(value) : equals(value);
    const isNegated = sign === '!=';
    return {
      fits: (detail, node) => {
        const found = find(detail, node);
        return found !== undefined && someText(found, test) !== isNegated;
      },
    };
  }
  const fits = comparison(sign, number);
  return {
    fits: (detail, node) => {
      const found = find(detail, node);
      if (typeof found === 'string' && sign.endsWith('=') && !/[<>]/.test(sign))
        return (found === word) === (sign === '=');
      return fits(asNumber(found)); // texts are ordered as numbers only
    },
  };
}

function asNumber(value) {
  if (typeof value === 'string' && /^[+-]?[0-9]+(?:\.[0-9]*)?$/.test(value)) return Number(value);
  return typeof value === 'number' ? value : NaN; // which compares with nothing
}

/** Find `a.b.0` in nested attributes; keys may hold dots themselves, the longest one wins. */
function attributeAt(value, path) {
  const keys = path.split('.');
  while (keys.length) {
    if (value === null || typeof value !== 'object') return undefined;
    let length = keys.length;
    while (length && !Object.hasOwn(value, keys.slice(0, length).join('.'))) length--;
    if (!length) return undefined;
    value = value[keys.splice(0, length).join('.')];
  }
  return value;
}
