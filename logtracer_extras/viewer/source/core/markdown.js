// ---- Markdown: what models write, read into blocks ----------------------------------------------

// The part of Markdown that models use: headings, paragraphs, lists, tables, quotes, code, and
// within a line code, strong, emphasis, links. It makes a tree of plain data, never markup: what
// looks like HTML is text, an address is text. Each character is looked at a bounded number of
// times, and nothing nests deeper than DEEPEST_BLOCK or DEEPEST_EMPHASIS.

const DEEPEST_BLOCK = 8;
const DEEPEST_EMPHASIS = 8;

/** @param {string} text @returns {Block[]} */
function parseMarkdown(text) {
  return blocksOf(text.replace(/\r\n?/g, '\n').split('\n'), 0);
}

/** @param {string[]} lines @param {number} depth @returns {Block[]} */
function blocksOf(lines, depth) {
  /** @type {Block[]} */
  const blocks = [];
  for (let at = 0; at < lines.length;) {
    if (isEmptyLine(lines[at])) {
      at++;
      continue;
    }
    const { block, next } = blockAt(lines, at, depth);
    blocks.push(block);
    at = next;
  }
  return blocks;
}

/** @param {string} line */
function isEmptyLine(line) {
  return line.trim() === '';
}

/**
 * Read the block that begins at a line, and say where the next one does.
 * @param {string[]} lines @param {number} at @param {number} depth
 * @returns {{block: Block, next: number}}
 */
function blockAt(lines, at, depth) {
  const line = lines[at];
  const fence = FENCE.exec(line);
  if (fence) return codeAt(lines, at, fence);
  const heading = /^ {0,3}(#{1,6})(?:[ \t]|$)/.exec(line);
  if (heading) {
    const text = line.slice(heading[0].length).trim();
    return {
      block: { kind: 'heading', level: heading[1].length, text: inlineOf(withoutEnd(text, '#')) },
      next: at + 1,
    };
  }
  if (isRule(line)) return { block: { kind: 'rule' }, next: at + 1 };
  if (depth < DEEPEST_BLOCK) {
    if (QUOTE.test(line)) return quoteAt(lines, at, depth);
    if (ITEM.test(line)) return listAt(lines, at, depth);
  }
  return isTableAt(lines, at) ? tableAt(lines, at) : paragraphAt(lines, at, depth);
}

const FENCE = /^ {0,3}(`{3,}|~{3,})[ \t]*([\w+#.-]*)/;
const QUOTE = /^ {0,3}> ?/;
const ITEM = /^( *)([-*+]|\d{1,9}[.)])(?:[ \t]+|$)/;

/** @param {string} line */
function isRule(line) {
  return /^(?:-{3,}|\*{3,}|_{3,})$/.test(line.replace(/[ \t]/g, ''));
}

/**
 * Drop a character that ends a text, however often.
 * @param {string} text @param {string} character
 */
function withoutEnd(text, character) {
  let stop = text.length;
  while (stop && text[stop - 1] === character) stop--;
  return text.slice(0, stop).trimEnd();
}

/** @param {string[]} lines @param {number} at @param {RegExpExecArray} fence */
function codeAt(lines, at, [, mark, language]) {
  let end = at + 1;
  while (end < lines.length && !isClosing(lines[end], mark)) end++;
  const text = lines.slice(at + 1, end).join('\n');
  /** @type {Block} */
  const block = { kind: 'code', language, text };
  return { block, next: end + 1 };
}

/** @param {string} line @param {string} mark */
function isClosing(line, mark) {
  const text = line.trim();
  return text.length >= mark.length && withoutEnd(text, mark[0]) === '';
}

/** @param {string[]} lines @param {number} at @param {number} depth */
function quoteAt(lines, at, depth) {
  let end = at;
  while (end < lines.length && QUOTE.test(lines[end])) end++;
  const inside = lines.slice(at, end).map((line) => line.replace(QUOTE, ''));
  /** @type {Block} */
  const block = { kind: 'quote', blocks: blocksOf(inside, depth + 1) };
  return { block, next: end };
}

/** @param {string[]} lines @param {number} at @param {number} depth */
function listAt(lines, at, depth) {
  const [, , mark] = /** @type {RegExpExecArray} */ (ITEM.exec(lines[at]));
  const isOrdered = /\d/.test(mark);
  /** @type {Block[][]} */
  const items = [];
  let next = at;
  while (next < lines.length) {
    const found = ITEM.exec(lines[next]);
    if (!found || /\d/.test(found[2]) !== isOrdered) break;
    const end = itemEnd(lines, next, found[1].length);
    items.push(blocksOf(itemLines(lines.slice(next, end), found[0].length), depth + 1));
    next = end;
  }
  /** @type {Block} */
  const block = { kind: 'list', start: isOrdered ? parseInt(mark, 10) : null, items };
  return { block, next };
}

/**
 * An item goes on while lines are indented more than its mark, or follow without a gap.
 * @param {string[]} lines @param {number} at @param {number} indent
 */
function itemEnd(lines, at, indent) {
  let end = at + 1;
  for (; end < lines.length; end++) {
    const line = lines[end];
    if (isEmptyLine(line)) continue;
    if (indentOf(line) > indent) continue;
    const startsBlock = ITEM.test(line) || FENCE.test(line) || /^#{1,6} /.test(line);
    if (startsBlock || isEmptyLine(lines[end - 1])) break;
  }
  while (isEmptyLine(lines[end - 1])) end--;
  let next = end;
  while (next < lines.length && isEmptyLine(lines[next])) next++;
  return next < lines.length && ITEM.test(lines[next]) ? next : end; // a gap between two items
}

/** @param {string} line */
function indentOf(line) {
  return line.length - line.trimStart().length;
}

/** @param {string[]} lines @param {number} width */
function itemLines([first, ...rest], width) {
  const text = first.slice(width);
  return [text, ...rest.map((line) => line.slice(Math.min(width, indentOf(line))))];
}

/** @param {string[]} lines @param {number} at */
function isTableAt(lines, at) {
  const [head, rule = ''] = [lines[at], lines[at + 1]];
  return head.includes('|') && rule.includes('-') && rule.includes('|') && /^[ \t|:-]+$/.test(rule);
}

/** @param {string[]} lines @param {number} at */
function tableAt(lines, at) {
  let end = at + 2;
  while (end < lines.length && lines[end].includes('|')) end++;
  const [head, , ...rows] = lines.slice(at, end).map(cellsOf);
  /** @type {Block} */
  const block = { kind: 'table', head, rows };
  return { block, next: end };
}

/** @param {string} line */
function cellsOf(line) {
  const cells = line
    .trim()
    .replace(/^\|/, '')
    .split(/(?<!\\)\|/);
  if (cells.length > 1 && isEmptyLine(cells[cells.length - 1])) cells.pop();
  return cells.map((cell) => inlineOf(cell.trim().replaceAll('\\|', '|')));
}

/** @param {string[]} lines @param {number} at @param {number} depth */
function paragraphAt(lines, at, depth) {
  let end = at + 1;
  while (end < lines.length && !isEmptyLine(lines[end]) && !startsAnother(lines[end], depth)) end++;
  const text = lines.slice(at, end).map((line) => line.trim());
  /** @type {Block} */
  const block = { kind: 'paragraph', text: inlineOf(text.join('\n')) };
  return { block, next: end };
}

/** @param {string} line @param {number} depth */
function startsAnother(line, depth) {
  if (FENCE.test(line) || /^ {0,3}#{1,6}[ \t]/.test(line) || isRule(line)) return true;
  return depth < DEEPEST_BLOCK && (QUOTE.test(line) || ITEM.test(line));
}

// Within a line

const LINK = /!?\[([^[\]\n]{0,500})\]\(([^()\s]{0,2000})(?:[ \t]+"[^"\n]{0,200}")?\)/y;
const MARKS = /\*\*|\*|__|_|~~/y;
/** @type {Record<string, 'strong' | 'emphasis' | 'struck'>} */
const MARK_KINDS = { '**': 'strong', __: 'strong', '*': 'emphasis', _: 'emphasis', '~~': 'struck' };

/** @param {string} text @returns {Inline[]} */
function inlineOf(text) {
  return new InlineParser(text).whole();
}

/** Reads a line from left to right; marks that nothing closes stay text. */
class InlineParser {
  /** @param {string} text */
  constructor(text) {
    this.text = text;
    this.at = 0;
    /** @type {Inline[]} */
    this.found = [];
    /** @type {{mark: string, place: number}[]} */
    this.open = []; // marks that may be closed yet, and where they stand in `found`
    this.unclosed = new Set(); // numbers of backticks that no later ones answer
  }

  whole() {
    while (this.at < this.text.length) this.step();
    return this.found;
  }

  step() {
    const character = this.text[this.at];
    if (character === '\\' && /[!-/:-@[-`{-~]/.test(this.text[this.at + 1] ?? '')) {
      this.add(this.text[this.at + 1], 2);
    } else if (character === '`') this.code();
    else if (character === '[' || character === '!') this.link();
    else if (character === '*' || character === '_' || character === '~') this.mark();
    else this.plain();
  }

  /** @param {string} text @param {number} size */
  add(text, size) {
    const last = this.found.length - 1;
    const isJoined =
      typeof this.found[last] === 'string' && !this.open.some((each) => each.place === last);
    if (isJoined) this.found[last] += text;
    else this.found.push(text);
    this.at += size;
  }

  plain() {
    let end = this.at + 1;
    while (end < this.text.length && !'\\`[!*_~'.includes(this.text[end])) end++;
    this.add(this.text.slice(this.at, end), end - this.at);
  }

  code() {
    let stop = this.at;
    while (this.text[stop] === '`') stop++;
    const size = stop - this.at;
    const end = this.unclosed.has(size) ? -1 : this.closingTicks(stop, size);
    if (end < 0) {
      this.unclosed.add(size);
      this.add(this.text.slice(this.at, stop), size);
      return;
    }
    this.found.push({ kind: 'code', text: this.text.slice(stop, end).replace(/^ (.*) $/s, '$1') });
    this.at = end + size;
  }

  /** @param {number} from @param {number} size */
  closingTicks(from, size) {
    for (let at = this.text.indexOf('`', from); at >= 0; at = this.text.indexOf('`', at)) {
      const first = at;
      while (this.text[at] === '`') at++;
      if (at - first === size) return first;
    }
    return -1;
  }

  link() {
    LINK.lastIndex = this.at;
    const found = LINK.exec(this.text);
    if (!found) {
      this.add(this.text[this.at], 1);
      return;
    }
    this.found.push({ kind: 'link', text: found[1], address: found[2] });
    this.at += found[0].length;
  }

  mark() {
    MARKS.lastIndex = this.at;
    const longest = MARKS.exec(this.text)?.[0];
    const isInner =
      longest === '**' && this.text[this.at + 2] === '*' && this.open.at(-1)?.mark === '*';
    const mark = isInner ? '*' : longest;
    if (!mark) {
      this.add(this.text[this.at], 1);
      return;
    }
    const before = this.text[this.at - 1] ?? ' ';
    const after = this.text[this.at + mark.length] ?? ' ';
    const isWithinWord = mark[0] === '_' && /\w/.test(before) && /\w/.test(after);
    const place = this.open.findLastIndex((each) => each.mark === mark);
    if (!isWithinWord && place >= 0 && /\S/.test(before)) this.close(place, mark);
    else if (isWithinWord || /\s/.test(after) || this.open.length === DEEPEST_EMPHASIS)
      this.add(mark, mark.length);
    else {
      this.open.push({ mark, place: this.found.length });
      this.found.push(mark);
      this.at += mark.length;
    }
  }

  /** @param {number} place @param {string} mark */
  close(place, mark) {
    const from = this.open[place].place;
    this.open.length = place;
    const [, ...inside] = this.found.splice(from);
    this.found.push({ kind: MARK_KINDS[mark], parts: inside });
    this.at += mark.length;
  }
}
