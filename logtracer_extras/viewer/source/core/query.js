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

/** @type {Units} */
const TIME_UNITS = { us: 1, µs: 1, ms: 1e3, s: 1e6, m: 60e6, h: 3600e6, '%': 0.01 };
/** @type {Units} */
const COUNT_UNITS = { '': 1, k: 1e3, M: 1e6 };
/** @type {Record<string, Units>} */
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
/** @type {Record<string, string>} */
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
/** @type {Record<string, Record<string, string>>} */
const ALSO = {
  type: { llm: 'llm_call', tool: 'tool_call', agent: 'sub_agent', human: 'human_input' },
  status: { error: 'failed', ok: 'completed', incomplete: 'interrupted' },
  kind: { retry: 'retry_of', fallback: 'fallback_of', branch: 'branched_from' },
};

/** A filter that cannot be understood; `position` counts characters from 1. */
class QueryError extends Error {
  /** @param {string} problem @param {number} position @param {string} [hint] */
  constructor(problem, position, hint = '') {
    super(`${problem} at ${position}${hint ? ` (${hint})` : ''}`);
    this.position = position;
  }
}

/** Read a filter into a tree of `{op, parts}` with terms as leaves. @param {string} text */
function parseQuery(text) {
  if (text.length > LONGEST_QUERY)
    throw new QueryError(`a query of more than ${LONGEST_QUERY} characters`, LONGEST_QUERY + 1);
  return new QueryParser(text).whole();
}

/** Recursive descent over the grammar, nested no deeper than DEEPEST_QUERY. */
class QueryParser {
  /** @param {string} text */
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

  /** @returns {Query} */
  alternatives() {
    const parts = [this.sequence()];
    while (this.takeWord('OR')) parts.push(this.sequence('OR'));
    return parts.length === 1 ? parts[0] : { op: 'or', parts };
  }

  /** @param {string} [after] @returns {Query} */
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

  /** @returns {Query} */
  negation() {
    if (this.peek() !== '-') return this.term();
    this.at++;
    if (/^[-)\s]?$/.test(this.peek()))
      throw this.error('nothing to leave out after -', 'quote a text that begins with -');
    return { op: 'not', parts: [this.term()] };
  }

  /** @returns {Query} */
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

  /** @param {string[]} found @returns {Term} */
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

  /** @param {string} written @param {string} name @param {string} path */
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

  /** @param {string} field @param {string} sign @returns {WordTerm} */
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

  /** @param {string} path @param {string} sign @returns {AttributeTerm} */
  attribute(path, sign) {
    const isPlain = !/^[/"]$/.test(this.peek()) && NUMBER.test(this.nextWord());
    if (sign === ':' || (!isPlain && (sign === '=' || sign === '!=')))
      return { op: 'attribute', path, sign, value: this.textValue() };
    return { op: 'attribute', path, sign, word: this.nextWord(), ...this.numberValue('attr') };
  }

  /** @param {string} name */
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

  /** @param {string} word */
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
    this.at += this.match(/\s*/y)?.[0].length ?? 0;
  }

  /** @param {RegExp} pattern */
  match(pattern) {
    pattern.lastIndex = this.at;
    return pattern.exec(this.text);
  }

  /** @param {string} problem @param {string} [hint] */
  error(problem, hint = '') {
    return new QueryError(problem, this.at + 1, hint);
  }
}

/** @param {string} text @param {string} separator */
function splitOnce(text, separator) {
  const at = text.indexOf(separator);
  return at < 0 ? [text, ''] : [text.slice(0, at), text.slice(at + 1)];
}

const NUMBER = /^(\$?)([+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+))([^0-9.].*)?$/s;

/**
 * Return a number in the field's own unit, and whether it is a share of the whole run.
 * @param {string} field @param {string} text @param {number} position
 */
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

/** @param {string} what @param {string} word @param {string[]} known @param {number} position */
function unknownWord(what, word, known, position) {
  const near = closest(word, [...known].sort());
  return new QueryError(
    `unknown ${what} '${word}'`,
    position,
    near ? `did you mean '${near}'?` : `known: ${[...known].sort().join(', ')}`,
  );
}

/**
 * Return the name that was most likely meant: one that begins like the word, or looks so.
 * @param {string} word @param {string[]} known
 */
function closest(word, known) {
  const wanted = word.toLowerCase();
  const alike =
    known.find((name) => wanted.length > 1 && name.startsWith(wanted)) ??
    known.find((name) => name.length > 2 && wanted.startsWith(name));
  if (alike) return alike;
  const edits = known.map((each) => editsBetween(wanted, each));
  const least = Math.min(...edits);
  const name = known[edits.indexOf(least)];
  return least <= Math.max(wanted.length, name.length) * 0.45 ? name : null;
}

/**
 * Count the letters to change, add or drop to turn one word into another.
 * @param {string} from @param {string} to
 */
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

/** @param {string} source @param {string} flags @param {number} position */
function compilePattern(source, flags, position) {
  if (!source) throw new QueryError('an empty pattern', position);
  if (source.length > LONGEST_PATTERN)
    throw new QueryError(`a pattern of more than ${LONGEST_PATTERN} characters`, position);
  checkPattern(source, position);
  try {
    return new RegExp(source, flags);
  } catch (error) {
    throw new QueryError(`a broken pattern (${/** @type {Error} */ (error).message})`, position);
  }
}

/**
 * Refuse what takes exponential time, and what not every language has. A repeated group may hold
 * neither a repeat nor an alternative: (a+)+ and (a|a)* try out every way to split a text.
 * @param {string} source @param {number} position
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
    if (token === ')' && openGroups.length > 1) splits = openGroups.pop() === true;
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

/** @param {string} source @param {number} at */
function repeatAt(source, at) {
  REPEAT.lastIndex = at;
  return REPEAT.exec(source)?.[0];
}

/**
 * Return how many characters of a pattern belong together as one thing to repeat.
 * @param {string} source @param {number} at @param {number} position
 */
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
