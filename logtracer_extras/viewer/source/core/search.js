// ---- The filter at work: what it finds in columns and details -----------------------------------

/** A filter at work on one model: columns at once, details as they come in. */
class Search {
  /** @param {Query} query @param {Facts} facts */
  constructor(query, facts) {
    this.facts = facts;
    /** @type {Required<Leaf>[]} */
    this.waiting = []; // leaves that need details
    this.root = this.compile(query);
    this.needsDetails = this.waiting.length > 0;
  }

  /** @param {Query} query @returns {SearchPart} */
  compile(query) {
    if ('parts' in query)
      return { op: query.op, parts: query.parts.map((part) => this.compile(part)) };
    const {
      fits,
      word = null,
      bits = new Uint8Array(this.facts.model.count),
    } = leafOf(query, this.facts);
    if (fits) this.waiting.push({ bits, fits, word });
    return { bits };
  }

  /**
   * Return one byte for each node: 1 where the filter fits as far as is known.
   * @param {SearchPart} [part] @returns {Uint8Array}
   */
  matches(part = this.root) {
    if ('bits' in part) return part.bits;
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

  /**
   * Take the details of nodes `first`, `first + 1`, ... as the JSON text of a list.
   * @param {number} first @param {string} text
   */
  addDetails(first, text) {
    const lower = text.toLowerCase();
    const leaves = this.waiting.filter(({ word }) => !word || lower.includes(word));
    if (!leaves.length) return; // most words are in few blocks: the others need no parsing
    /** @type {Detail[]} */
    const details = JSON.parse(text);
    for (const { bits, fits } of leaves) {
      details.forEach((detail, at) => {
        if (!bits[first + at] && fits(detail, first + at)) bits[first + at] = 1;
      });
    }
  }
}

/**
 * Return the texts that a filter looks for, so that they can be marked where they are shown.
 * @param {Query} query @returns {TextValue[]}
 */
function soughtTexts(query) {
  if ('parts' in query) return query.op === 'not' ? [] : query.parts.flatMap(soughtTexts);
  const isText = query.op === 'text' || query.op === 'field' || query.op === 'attribute';
  return isText && query.value && !('sign' in query && query.sign === '!=') ? [query.value] : [];
}

const MOST_PLACES = 200; // in one text

/**
 * Return where a text holds what is looked for, as `[first, stop]`, one after the other.
 * @param {string} text @param {TextValue} sought @returns {[first: number, stop: number][]}
 */
function placesOf(text, { text: word = '', pattern }) {
  if (pattern) {
    const every = new RegExp(pattern.source, pattern.flags + 'g');
    const found = [...text.slice(0, LONGEST_SEARCHED).matchAll(every)].filter(([all]) => all);
    return found.slice(0, MOST_PLACES).map(({ index, 0: all }) => [index, index + all.length]);
  }
  const lower = text.toLowerCase();
  if (!word || lower.length !== text.length) return [];
  /** @type {[first: number, stop: number][]} */
  const places = [];
  for (let at = lower.indexOf(word); at >= 0 && places.length < MOST_PLACES;) {
    places.push([at, at + word.length]);
    at = lower.indexOf(word, at + word.length);
  }
  return places;
}

/** @param {Term} term @param {Facts} facts @returns {Leaf} */
function leafOf(term, facts) {
  switch (term.op) {
    case 'text':
      return textLeaf(term, facts);
    case 'field':
      return fieldLeaf(term, facts);
    case 'word':
      return wordLeaf(term, facts);
    case 'has':
      return hasLeaf(term, facts);
    case 'number':
      return numberLeaf(term, facts);
    case 'attribute':
      return attributeLeaf(term, facts);
  }
}

/** @param {number} count @param {NodeTest} isSo */
function bitsOf(count, isSo) {
  const bits = new Uint8Array(count);
  for (let node = 0; node < count; node++) bits[node] = isSo(node) ? 1 : 0;
  return bits;
}

/** @param {Uint8Array} bits */
function inverted(bits) {
  return bits.map((bit) => 1 - bit);
}

/**
 * Test each distinct text once, however many nodes have it.
 * @param {string[]} strings @param {TextTest} test
 */
function remembered(strings, test) {
  const known = new Int8Array(strings.length).fill(-1);
  return (/** @type {number} */ index) => {
    if (known[index] < 0) known[index] = strings[index] !== '' && test(strings[index]) ? 1 : 0;
    return known[index] === 1;
  };
}

/** @param {TextValue} value @returns {TextTest} */
function contains({ text = '', pattern }) {
  if (pattern) return (value) => pattern.test(value.slice(0, LONGEST_SEARCHED));
  return (value) => value.toLowerCase().includes(text);
}

/** @param {TextValue} value @returns {TextTest} */
function equals({ text, pattern }) {
  return pattern ? contains({ pattern }) : (value) => value.toLowerCase() === text;
}

/**
 * A bare word: it may stand anywhere in a node, in the columns or in the details.
 * @param {TextTerm} term @param {Facts} facts @returns {Leaf}
 */
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
  for (const [column, key] of TOLD) addTold(bits, model[column], test(key), test);
  return {
    bits,
    fits: (/** @type {Detail} */ detail) => anywhere(detail, test),
    word: plainWord(value),
  };
}

/**
 * Attributes that a column holds stand in no detail, where a word is looked for first.
 * @param {Uint8Array} bits @param {Float64Array} column @param {boolean} isNamed
 * @param {TextTest} test
 */
function addTold(bits, column, isNamed, test) {
  for (let node = 0; node < bits.length; node++)
    if (column[node] >= 0 && (isNamed || test(String(column[node])))) bits[node] = 1;
}

/**
 * The word to look for in the raw JSON first; null where JSON may write it in another way.
 * @param {TextValue} value
 */
function plainWord({ text = '', pattern }) {
  return !pattern && /^[\w .,-]+$/.test(text) ? text : null;
}

/** @param {Detail} detail @param {TextTest} test */
function anywhere(detail, test) {
  const { annotations, input_data, output_data, metadata, error_traceback } = detail;
  const parts = [annotations, input_data, output_data, metadata, error_traceback];
  return parts.some((part) => someText(part, test)) || test(wholeError(detail));
}

/** @param {Detail} detail */
function wholeError({ error_type, error }) {
  return [error_type, error].filter(Boolean).join(': ');
}

/**
 * Tell whether a key or a plain value inside JSON data passes; without recursion.
 * @param {unknown} value @param {TextTest} test
 */
function someText(value, test) {
  const waiting = value === undefined ? [] : [value];
  while (waiting.length) {
    const item = waiting.pop();
    if (item === null || item === undefined || typeof item !== 'object') {
      if (test(String(item))) return true;
    } else if (Array.isArray(item)) {
      for (const each of item) waiting.push(each);
    } else {
      for (const key of Object.keys(item)) {
        if (test(key)) return true;
        waiting.push(/** @type {Record<string, {}>} */ (item)[key]);
      }
    }
  }
  return false;
}

/**
 * A field of text; `!=` means that the node has such a text, and none that is equal.
 * @param {FieldTerm} term @param {Facts} facts @returns {Leaf}
 */
function fieldLeaf({ field, sign, value }, facts) {
  const test = sign === ':' ? contains(value) : equals(value);
  const isNegated = sign === '!=';
  if (field === 'input' || field === 'output') {
    const key = field === 'input' ? 'input_data' : 'output_data';
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

/** @type {Record<string, (model: Model) => NumberOf[]>} */
const TEXT_COLUMNS = {
  name: ({ name }) => [(node) => name[node]],
  model: ({ model, answeredBy }) => [(node) => model[node], (node) => answeredBy[node]],
  parent: ({ name, parent }) => [(node) => (parent[node] >= 0 ? name[parent[node]] : 0)],
};

/**
 * Errors: most are whole in their column; a long one is looked up in the details.
 * @param {TextTest} test @param {boolean} isNegated @param {Facts} facts @returns {Leaf}
 */
function errorLeaf(test, isNegated, { model }) {
  const fits = remembered(model.strings, test);
  const isCut = (/** @type {number} */ node) => model.strings[model.error[node]].endsWith('…');
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

/**
 * A field with few values: each value counts as a whole.
 * @param {WordTerm} term @param {Facts} facts @returns {Leaf}
 */
function wordLeaf({ field, sign, wanted }, facts) {
  const isNegated = sign === '!=';
  const { model } = facts;
  if (field === 'kind') return { bits: kindBits(model, wanted, isNegated) };
  /** @type {Record<string, (node: number) => string>} */
  const values = {
    type: (node) => model.typeOf(node),
    status: (node) => model.statusOf(node),
    id: (node) => model.ids[node] ?? '',
    diff: (node) => (facts.diff ? facts.diff.wordOf(node) : ''),
  };
  const fits = (/** @type {number} */ node) => wanted.includes(values[field](node).toLowerCase());
  return { bits: bitsOf(model.count, (node) => fits(node) !== isNegated) };
}

/**
 * Why a node ran: the kinds of the edges that lead to it.
 * @param {Model} model @param {string[]} wanted @param {boolean} isNegated
 */
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

/** @type {Record<string, string>} */
const EDGES_TO_HAVE = {
  retry: RETRY,
  fallback: FALLBACK,
  data_flow: DATA_FLOW,
  branch: 'branched_from',
};
/** @type {Record<string, keyof Detail>} */
const DETAILS_TO_HAVE = { annotation: 'annotations', input: 'input_data', output: 'output_data' };

/** @param {WordTerm} term @param {Facts} facts @returns {Leaf} */
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

/** @param {Model} model @param {string} wanted */
function edgeBits(model, wanted) {
  const bits = new Uint8Array(model.count);
  for (const { source, target, kind } of model.edges)
    if (kind === wanted) bits[source] = bits[target] = 1;
  return bits;
}

/** @param {string} word @param {Facts} facts */
function columnToHave(word, { model, tree, rolled }) {
  /** @type {Record<string, NodeTest>} */
  const tests = {
    error: (node) => model.error[node] > 0,
    cost: (node) => rolled.cost[node] >= 0,
    tokens: (node) => rolled.tokensIn[node] >= 0,
    model: (node) => model.model[node] > 0,
    children: (node) => tree.size[node] > 1,
  };
  return tests[word];
}

/** @param {NumberTerm} term @param {Facts} facts @returns {Leaf} */
function numberLeaf({ field, sign, number, isShare }, facts) {
  const { model } = facts;
  const valueOf = numberColumn(field, facts);
  const fits = comparison(sign, isShare ? number * model.wall : number);
  return { bits: bitsOf(model.count, (node) => valueOf(node) >= 0 && fits(valueOf(node))) };
}

/** @param {string} field @param {Facts} facts */
function numberColumn(field, { model, tree, rolled, selves, edges }) {
  /** @type {Record<string, NumberOf>} */
  const columns = {
    depth: (node) => tree.level[node],
    dur: (node) => model.endOf(node) - model.start[node],
    self: (node) => selves[node],
    start: (node) => model.start[node],
    tokens: (node) => (rolled.tokensIn[node] >= 0 ? rolled.tokens[node] : UNKNOWN),
    in: (node) => rolled.tokensIn[node],
    out: (node) => rolled.tokensOut[node],
    cost: (node) => rolled.cost[node],
    attempt: (node) => edges.attempts.get(node) ?? UNKNOWN,
  };
  return columns[field];
}

/** @param {string} sign @param {number} limit */
function comparison(sign, limit) {
  /** @type {Record<string, (number: number) => boolean>} */
  const comparisons = {
    ':': (number) => number === limit,
    '=': (number) => number === limit,
    '!=': (number) => !Number.isNaN(number) && number !== limit,
    '>': (number) => number > limit,
    '>=': (number) => number >= limit,
    '<': (number) => number < limit,
    '<=': (number) => number <= limit,
  };
  return comparisons[sign];
}

/** @param {AttributeTerm} term @param {Facts} facts @returns {Leaf} */
function attributeLeaf({ path, sign, value, word, number = NaN }, { model }) {
  const find = (/** @type {Detail} */ detail, /** @type {number} */ node) =>
    attributeAt(withTold(model, node, detail).metadata, path);
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

/** @param {unknown} value */
function asNumber(value) {
  if (typeof value === 'string' && /^[+-]?[0-9]+(?:\.[0-9]*)?$/.test(value)) return Number(value);
  return typeof value === 'number' ? value : NaN; // which compares with nothing
}

/**
 * Find `a.b.0` in nested attributes; keys may hold dots themselves, the longest one wins.
 * @param {unknown} value @param {string} path
 */
function attributeAt(value, path) {
  const keys = path.split('.');
  while (keys.length) {
    if (value === null || typeof value !== 'object') return undefined;
    let length = keys.length;
    while (length && !Object.hasOwn(value, keys.slice(0, length).join('.'))) length--;
    if (!length) return undefined;
    value = /** @type {Record<string, unknown>} */ (value)[keys.splice(0, length).join('.')];
  }
  return value;
}
