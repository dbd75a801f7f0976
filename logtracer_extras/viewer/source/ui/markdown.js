// ---- Markdown: blocks drawn as elements, never as markup ----------------------------------------

const FIRST_OF_PROSE = 6000; // characters of a text that are drawn before "Show all"
const PROSE_LINES = 150;

/**
 * A text as it was meant: JSON as a folding tree, anything else as Markdown.
 * @param {string} text @returns {HTMLElement}
 */
function proseView(text) {
  if (IMAGE.test(text.slice(0, 100))) return stringView(text);
  const value = parsed(text);
  if (typeof value !== 'string') return make('div', { class: 'value' }, valueView(value));
  const first = firstPart(text, FIRST_OF_PROSE, PROSE_LINES);
  const body = make('div', { class: 'prose' }, ...blockViews(parseMarkdown(first)));
  if (first.length === text.length) return body;
  const box = make('div', { class: 'text' }, body);
  box.append(restButton(box, text, body, (whole) => blockViews(parseMarkdown(whole))));
  return box;
}

/** @param {Block[]} blocks @returns {HTMLElement[]} */
function blockViews(blocks) {
  return blocks.map(blockView);
}

/** @param {Block} block @returns {HTMLElement} */
function blockView(block) {
  switch (block.kind) {
    case 'heading':
      return make(
        'p',
        { class: 'heading', role: 'heading', 'aria-level': block.level + 3 },
        ...inlineViews(block.text),
      );
    case 'paragraph':
      return make('p', {}, ...inlineViews(block.text));
    case 'code':
      return make(
        'pre',
        block.language ? { title: show(block.language) } : {},
        showLines(block.text),
      );
    case 'quote':
      return make('blockquote', {}, ...blockViews(block.blocks));
    case 'list':
      return listView(block.start, block.items);
    case 'table':
      return tableView(block.head, block.rows);
    case 'rule':
      return make('hr');
  }
}

/** @param {number | null} start @param {Block[][]} items */
function listView(start, items) {
  const views = items.map((blocks) => make('li', {}, ...blockViews(blocks)));
  if (start === null) return make('ul', {}, ...views);
  const list = make('ol', {}, ...views);
  list.start = start;
  return list;
}

/** @param {Inline[][]} head @param {Inline[][][]} rows */
function tableView(head, rows) {
  const row = (/** @type {'th' | 'td'} */ tag, /** @type {Inline[][]} */ cells) =>
    make('tr', {}, ...cells.map((cell) => make(tag, {}, ...inlineViews(cell))));
  const body = make('tbody', {}, ...rows.map((cells) => row('td', cells)));
  return make('table', {}, make('thead', {}, row('th', head)), body);
}

/** @param {Inline[]} parts @returns {Child[]} */
function inlineViews(parts) {
  return parts.map((part) => {
    if (typeof part === 'string') return showLines(part);
    if (part.kind === 'code') return make('code', {}, showLines(part.text));
    if (part.kind === 'link') return linkView(part.text, part.address);
    return make(INLINE_TAGS[part.kind], {}, ...inlineViews(part.parts));
  });
}

/** @type {Record<'strong' | 'emphasis' | 'struck', 'strong' | 'em' | 's'>} */
const INLINE_TAGS = { strong: 'strong', emphasis: 'em', struck: 's' };

/**
 * A link is text: this page leads nowhere that a trace says.
 * @param {string} text @param {string} address
 */
function linkView(text, address) {
  const place = text === address ? '' : ` (${clip(address, 200)})`;
  return make(
    'span',
    { class: 'address' },
    show(text),
    make('span', { class: 'quote' }, show(place)),
  );
}
