// ---- Texts: a string as it was recorded, with what is easily overlooked made visible ------------

const FIRST_PART = 3000; // characters of a text that are shown before "Show all"
const FIRST_LINES = 40;
const LARGE_TEXT = 20000; // characters from which a text can be saved as a file
const MOST_SPACES = 500; // marks in one text

/** A string between quotes, so that it is not taken for a number or a word. @param {string} text */
function quoted(text) {
  return make('bdi', { class: 'string' }, quoteMark(), ...textParts(text), quoteMark());
}

function quoteMark() {
  return make('span', { class: 'quote' }, '"');
}

const KEPT = /\[REDACTED\]|\[NON-SERIALIZABLE\]|\[CIRCULAR\]|\[TRUNCATED[^\]]{0,60}\]/;

/**
 * A text in parts: the tracer's own marks have a colour, spaces at ends a sign.
 * @param {string} text
 */
function textParts(text) {
  const kept = KEPT.exec(text);
  if (!kept) return withSpaces(text);
  return [
    ...withSpaces(text.slice(0, kept.index)),
    make('span', { class: 'kept' }, kept[0]),
    ...withSpaces(text.slice(kept.index + kept[0].length)),
  ];
}

/**
 * Mark the blanks that a reader would not see, or not count, in a part of a text.
 * @param {string} text @param {number} [first] @param {number} [stop] @returns {Child[]}
 */
function withSpaces(text, first = 0, stop = text.length) {
  /** @type {Child[]} */
  const parts = [];
  let done = first;
  for (const { index, 0: blanks } of text.slice(first, stop).matchAll(/[ \t\u00a0]+/g)) {
    const from = first + index;
    if (!isOverlooked(text, from, from + blanks.length) || parts.length > 2 * MOST_SPACES) continue;
    parts.push(showLines(text.slice(done, from)), make('span', { class: 'space' }, blanks));
    done = from + blanks.length;
  }
  parts.push(showLines(text.slice(done, stop)));
  return parts;
}

/**
 * Tell whether blanks stand at an end of the text or of a line, or are more than one between
 * words. Those that indent a line are what they look like.
 * @param {string} text @param {number} from @param {number} to
 */
function isOverlooked(text, from, to) {
  const [before, after] = [text.at(from - 1), text[to]];
  if (from === 0 || after === undefined || after === '\n') return true;
  if (text.slice(from, to).includes('\u00a0')) return true;
  return (
    before !== '\n' && (to - from > 1 || text[from] === '\t' || isBlank(before) || isBlank(after))
  );
}

/** @param {string | undefined} character */
function isBlank(character) {
  return character === ' ' || character === '\t' || character === '\u00a0';
}

/** A text of many lines without quotes: a message of an error, a note. @param {string} text */
function longText(text) {
  return textBox(text, textParts);
}

/** A recorded string of many lines. @param {string} text */
function longString(text) {
  return textBox(text, (part) => [quoted(part)]);
}

/**
 * A text in a box of its own, its first part first, with what can be done with it.
 * @param {string} text @param {(text: string) => Child[]} draw
 */
function textBox(text, draw) {
  const first = firstPart(text);
  const body = make('pre', {}, ...draw(first));
  const tools = make('span', { class: 'tools' });
  const box = make('div', { class: 'text' }, body, tools);
  if (first.length < text.length) tools.append(restButton(box, text, body, draw));
  if (text.length > 120) tools.append(button('Wrap', () => body.classList.toggle('unwrapped')));
  tools.append(button('Copy', () => copyText(text)));
  if (text.length > LARGE_TEXT)
    tools.append(
      button('Download', () => saveFile('value.txt', new Blob([text], { type: 'text/plain' }))),
    );
  return box;
}

/**
 * Boxes that show only a part of their text.
 * @type {WeakMap<Element, {text: string, showAll: Action}>}
 */
const cutTexts = new WeakMap();

/**
 * @param {Element} box @param {string} text @param {HTMLElement} body
 * @param {(text: string) => Child[]} draw
 */
function restButton(box, text, body, draw) {
  const showAll = () => {
    body.replaceChildren(...shownChildren(draw(text)));
    all.remove();
    cutTexts.delete(box);
  };
  const all = button(`Show all (${formatBytes(text.length)})`, showAll);
  cutTexts.set(box, { text, showAll });
  return all;
}

/**
 * Cut a text that is long or of many lines, not within a character.
 * @param {string} text @param {number} most @param {number} mostLines
 */
function firstPart(text, most = FIRST_PART, mostLines = FIRST_LINES) {
  const lines = text.slice(0, most + 1).split('\n', mostLines + 1);
  const first = lines.slice(0, mostLines).join('\n');
  if (first.length === text.length) return text;
  return first.slice(0, most).replace(/[\ud800-\udbff]$/, '');
}

/** @param {string} name @param {Blob} blob */
function saveFile(name, blob) {
  const link = make('a', { download: name });
  link.href = URL.createObjectURL(blob); // an address of this page's own making
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}
