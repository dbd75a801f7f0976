// ---- Values: JSON as a folding tree, texts, chats, pictures -------------------------------------

const PAGE_OF_CHILDREN = 200;
const IMAGE = /^data:image\/([a-z0-9.+-]+);base64,/i;

/** The entries of a mapping, one under the other; short ones in a line. @param {object} value */
function mappingView(value) {
  return Object.entries(value).map(([key, item]) => entryView(key, item));
}

/** @param {string} key @param {unknown} item @returns {HTMLElement} */
function entryView(key, item) {
  const tools = key === 'tools' && Array.isArray(item) && item.length ? item.filter(isMapping) : [];
  const value = tools.length ? toolsView(tools) : valueView(item);
  return make('div', {}, make('span', { class: 'key' }, isolated(clip(key, 200)), ': '), value);
}

/**
 * The tools that a model was offered: their names; each schema folded.
 * @param {Record<string, unknown>[]} tools
 */
function toolsView(tools) {
  const names = tools.map((tool) =>
    asText(firstOf(isMapping(tool.function) ? tool.function : tool, 'name')),
  );
  const summary = make(
    'summary',
    {},
    `${formatCount(tools.length)} × `,
    isolated(clip(names.join(', '), 200)),
  );
  return folded(summary, () => tools.map((tool, at) => entryView(names[at] || String(at), tool)));
}

/**
 * What is made when it is opened, and not before.
 * @param {HTMLElement} summary @param {() => Child[]} fill
 */
function folded(summary, fill) {
  const details = make('details', {}, summary);
  const open = () => {
    if (details.childElementCount === 1) append(details, fill());
  };
  details.addEventListener('toggle', () => details.open && open());
  lazily.set(details, open);
  return details;
}

/**
 * How to fill folded elements, for a search that wants to see what is in them.
 * @type {WeakMap<Element, Action>}
 */
const lazily = new WeakMap();

/** @param {unknown} value @returns {HTMLElement} */
function valueView(value) {
  if (typeof value === 'string') return stringView(value);
  if (value === null || typeof value !== 'object')
    return make(
      'span',
      { class: typeof value === 'number' ? 'json-number' : 'json-word' },
      String(value),
    );
  if (isChat(value))
    return make('div', {}, ...chatView(value.map((each) => readMessage(each, 'item'))));
  if (isMapping(value) && typeof value.role === 'string' && isMessage(value))
    return messageView(readMessage(value, 'item'));
  const size = Object.keys(value).length;
  if (!size) return make('span', {}, Array.isArray(value) ? '[]' : '{}');
  return isBrief(value, size) ? briefView(value) : foldingView(value, size);
}

const LONGEST_BRIEF = 72; // characters of JSON that stand in a line

/** @param {object} value @param {number} size */
function isBrief(value, size) {
  const isPlain = (/** @type {unknown} */ item) => item === null || typeof item !== 'object';
  if (size > 8 || !Object.values(value).every(isPlain)) return false;
  const text = JSON.stringify(value);
  return text.length <= LONGEST_BRIEF && !text.includes('\\n');
}

/** A few plain values in a line. @param {object} value */
function briefView(value) {
  const isList = Array.isArray(value);
  const items = Object.entries(value).flatMap(([key, item], at) => [
    at ? ', ' : '',
    isList ? '' : make('span', { class: 'key' }, isolated(key), ': '),
    valueView(item),
  ]);
  return make('span', {}, isList ? '[' : '{', ...items, isList ? ']' : '}');
}

/**
 * A folded container; what is in it is made when it is opened, and a page at a time.
 * @param {object} value @param {number} size
 */
function foldingView(value, size) {
  const brief = Array.isArray(value) ? `[${formatCount(size)}]` : `{${formatCount(size)}} `;
  const keys = Array.isArray(value) ? '' : clip(Object.keys(value).join(', '), 60);
  const fill = () => pageOf(Object.entries(value), 0);
  const details = folded(make('summary', {}, brief, isolated(keys)), fill);
  if (size <= 12 && JSON.stringify(value).length < 1500) unfold(details);
  return details;
}

/** @param {HTMLDetailsElement} details */
function unfold(details) {
  details.open = true;
  lazily.get(details)?.(); // the event comes later
}

/** @param {[string, unknown][]} entries @param {number} first @returns {Child[]} */
function pageOf(entries, first) {
  const page = entries.slice(first, first + PAGE_OF_CHILDREN);
  const views = page.map(([key, item]) => entryView(key, item));
  const rest = entries.length - first - page.length;
  if (rest <= 0) return views;
  const more = button(`${formatCount(rest)} more`, () =>
    more.replaceWith(...shownChildren(pageOf(entries, first + PAGE_OF_CHILDREN))),
  );
  return [...views, more];
}

/** @param {unknown} value @returns {value is Record<string, unknown>[]} */
function isChat(value) {
  return (
    Array.isArray(value) &&
    value.length > 0 &&
    value.length <= 500 &&
    value.every(isMapping) &&
    value.some(isMessage)
  );
}

/** @param {string} text */
function stringView(text) {
  const image = IMAGE.exec(text.slice(0, 100));
  if (image) return imageView(text, image);
  return text.length < 200 && !text.includes('\n') ? quoted(text) : longString(text);
}

/**
 * Pictures are not drawn: they come from the trace. Their size is told, and they can be saved.
 * @param {string} text @param {RegExpExecArray} found
 */
function imageView(text, [head, kind]) {
  const size = Math.round((text.length - head.length) * 0.75);
  return make(
    'span',
    { class: 'kept' },
    `⟨${show(kind)} picture, ${formatBytes(size)}⟩ `,
    button('Save', () => saveFile('picture', new Blob([fromBase64(text.slice(head.length))]))),
  );
}
