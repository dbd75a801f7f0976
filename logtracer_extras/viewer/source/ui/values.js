// ---- Values: JSON as a folding tree, texts, chats, pictures -------------------------------------

const IMAGE = /^data:image\/([a-z0-9.+-]+);base64,/i;

/** The entries of a mapping, one under the other; short ones in a line. @param {object} value */
function mappingView(value) {
  return Object.entries(value).map(([key, item]) =>
    make(
      'div',
      {},
      make('span', { class: 'key' }, isolated(clip(key, 200)), ': '),
      valueView(item),
    ),
  );
}

/** @param {unknown} value @returns {HTMLElement} */
function valueView(value) {
  if (typeof value === 'string') return stringView(value);
  if (value === null || typeof value !== 'object')
    return make(
      'span',
      { class: typeof value === 'number' ? 'json-number' : 'json-word' },
      String(value),
    );
  if (isChat(value)) return make('div', {}, ...value.map(messageView));
  const size = Object.keys(value).length;
  if (!size) return make('span', {}, Array.isArray(value) ? '[]' : '{}');
  return foldingView(value, size);
}

/**
 * A folded container; what is in it is made when it is opened, and a page at a time.
 * @param {object} value @param {number} size
 */
function foldingView(value, size) {
  const brief = Array.isArray(value) ? `[${formatCount(size)}]` : `{${formatCount(size)}} `;
  const details = make(
    'details',
    {},
    make(
      'summary',
      {},
      brief,
      isolated(Array.isArray(value) ? '' : clip(Object.keys(value).join(', '), 60)),
    ),
  );
  const fill = () => {
    if (details.childElementCount === 1) addPage(details, Object.entries(value), 0);
  };
  details.addEventListener('toggle', () => details.open && fill());
  if (size <= 12 && JSON.stringify(value).length < 1500) {
    details.open = true;
    fill();
  }
  return details;
}

/** @param {HTMLElement} parent @param {[string, unknown][]} entries @param {number} first */
function addPage(parent, entries, first) {
  const page = entries.slice(first, first + PAGE_OF_CHILDREN);
  parent.append(
    ...page.map(([key, item]) =>
      make(
        'div',
        {},
        make('span', { class: 'key' }, isolated(clip(key, 200)), ': '),
        valueView(item),
      ),
    ),
  );
  const rest = entries.length - first - page.length;
  if (rest <= 0) return;
  const more = button(`${formatCount(rest)} more`, () => {
    more.remove();
    addPage(parent, entries, first + PAGE_OF_CHILDREN);
  });
  parent.append(more);
}

/** @param {unknown} value @returns {value is Message[]} */
function isChat(value) {
  return (
    Array.isArray(value) &&
    value.length > 0 &&
    value.length <= 500 &&
    value.every((item) => item && typeof item === 'object' && typeof item.role === 'string')
  );
}

/** @param {Message} message */
function messageView(message) {
  const rest = Object.entries(message).filter(([key]) => key !== 'role' && key !== 'content');
  const block = make('div', { class: 'role' }, make('b', {}, isolated(message.role)));
  if (message.content !== undefined) block.append(make('div', {}, valueView(message.content)));
  if (rest.length) block.append(...mappingView(Object.fromEntries(rest)));
  return block;
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
