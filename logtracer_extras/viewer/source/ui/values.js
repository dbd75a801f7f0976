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

/** @param {unknown} value */
function valueView(value) {
  if (typeof value === 'string') return textView(value);
  if (value === null || typeof value !== 'object') return make('span', {}, String(value));
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
function textView(text) {
  const image = IMAGE.exec(text.slice(0, 100));
  if (image) return imageView(text, image);
  if (text.length < 200 && !text.includes('\n')) return make('span', {}, marked(text));
  return longText(text);
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

/**
 * Give the tracer's own marks a colour, so that they do not pass for recorded text.
 * @param {string} text
 */
function marked(text) {
  const kept = /\[REDACTED\]|\[NON-SERIALIZABLE\]|\[CIRCULAR\]|\[TRUNCATED[^\]]{0,60}\]/.exec(text);
  if (!kept) return isolated(text);
  return make(
    'span',
    {},
    isolated(text.slice(0, kept.index)),
    make('span', { class: 'kept' }, kept[0]),
    isolated(text.slice(kept.index + kept[0].length)),
  );
}

/** A text of many lines: wrapped or not, its first part first. @param {string} text */
function longText(text) {
  const body = make('pre', { tabindex: '0' }, showLines(text.slice(0, LONGEST_TEXT)));
  const box = make('div', {}, body);
  if (text.length > 120) box.append(button('Wrap', () => body.classList.toggle('unwrapped')));
  if (text.length > LONGEST_TEXT) {
    const all = button(`Show all (${formatBytes(text.length)})`, () => {
      body.textContent = showLines(text);
      all.remove();
    });
    box.append(
      all,
      button('Download', () => saveFile('value.txt', new Blob([text], { type: 'text/plain' }))),
    );
  }
  return box;
}

/** @param {string} name @param {Blob} blob */
function saveFile(name, blob) {
  const link = make('a', { download: name });
  link.href = URL.createObjectURL(blob); // an address of this page's own making
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

/** What the pointer is on; every fact of it stands in the detail panel too. */
class Tooltip {
  /** @param {HTMLElement} element */
  constructor(element) {
    this.element = element;
  }

  /** @param {number} node @param {MouseEvent} event */
  over(node, event) {
    clearTimeout(this.timer);
    if (node < 0) this.hide();
    else this.timer = setTimeout(() => this.show(this.describe(node), event), 80);
  }

  /** @param {number} node */
  describe(node) {
    const { model } = app;
    const parts = [formatTime(model.endOf(node) - model.start[node])];
    if (model.tokensOf(node)) parts.push(formatTokens(model.tokensOf(node)) + ' tokens');
    if (model.cost[node] >= 0) parts.push(formatCost(model.cost[node]));
    const error = model.strings[model.error[node]];
    return [
      show(clip(nodeTitle(model, node), 120)),
      `${model.statusOf(node)} · ${parts.join(' · ')}`,
      show(clip(error, 160)),
    ]
      .filter(Boolean)
      .join('\n');
  }

  /** @param {string} text @param {MouseEvent} event */
  show(text, event) {
    this.element.hidden = !text;
    setText(this.element, text);
    const box = this.element.getBoundingClientRect();
    this.element.style.left =
      Math.max(4, Math.min(event.clientX + 12, innerWidth - box.width - 8)) + 'px';
    this.element.style.top =
      Math.max(4, Math.min(event.clientY + 16, innerHeight - box.height - 8)) + 'px';
  }

  hide() {
    clearTimeout(this.timer);
    this.element.hidden = true;
  }
}
