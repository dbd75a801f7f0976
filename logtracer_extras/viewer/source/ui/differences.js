// ---- Differences: two values beside each other, what differs in their texts marked --------------

const LONGEST_COMPARED = 20000; // characters of a text

/** @param {unknown} before @param {unknown} after */
function differenceView(before, after) {
  const areTexts = typeof before === 'string' && typeof after === 'string';
  if (areTexts && /\n/.test(before + after)) return lineView(before, after);
  if (!areTexts || isLong(before) || isLong(after))
    return sidesView(sideValue(before), sideValue(after));
  const parts = textChanges(before, after);
  return sidesView(changedText(parts, '-'), changedText(parts, '+'));
}

/** @param {string} text */
function isLong(text) {
  return text.length > LONGEST_COMPARED || IMAGE.test(text.slice(0, 100));
}

/** @param {unknown} value */
function sideValue(value) {
  return value === undefined ? make('span', { class: 'absent' }, 'absent') : valueView(value);
}

/**
 * Two values under words, not signs: a minus would be read as part of a number.
 * @param {Child} before @param {Child} after
 */
function sidesView(before, after) {
  const side = (
    /** @type {string} */ name,
    /** @type {string} */ kind,
    /** @type {Child} */ value,
  ) => make('div', {}, make('b', { class: kind }, name), ' ', value);
  return make(
    'div',
    { class: 'sides' },
    side('before', 'removed', before),
    side('after', 'added', after),
  );
}

/** One side of two texts, between quotes. @param {SignedLine[]} parts @param {Sign} sign */
function changedText(parts, sign) {
  return make('bdi', { class: 'string' }, quoteMark(), ...sideParts(parts, sign), quoteMark());
}

/**
 * The parts of one side, those that the other one lacks marked.
 * @param {SignedLine[]} parts @param {Sign} sign
 */
function sideParts(parts, sign) {
  const ours = parts.filter(([each]) => each === ' ' || each === sign);
  const whole = ours.map(([, text]) => text).join('');
  let at = 0;
  return ours.flatMap(([each, text]) => {
    const first = at;
    at += text.length;
    return each === ' ' ? withSpaces(whole, first, at) : [changedPart(text, sign)];
  });
}

/** @param {string} text @param {Sign} sign */
function changedPart(text, sign) {
  const parts = text.split(/([ \t\u00a0]+)/).map((part, at) =>
    // every second one is blank
    at % 2 ? make('span', { class: 'space' }, part) : showLines(part),
  );
  return make(sign === '-' ? 'del' : 'ins', {}, ...parts);
}

const NEAR_LINES = 2; // unchanged lines that are shown around changed ones
const LINE_CLASSES = { '-': 'removed', '+': 'added', ' ': '' };

/**
 * Two texts of several lines: what differs, line by line, with a little around it.
 * @param {string} before @param {string} after
 */
function lineView(before, after) {
  const lines = lineChanges(before.slice(0, LONGEST_COMPARED), after.slice(0, LONGEST_COMPARED));
  const isNear = lines.map((_, at) =>
    lines.slice(Math.max(0, at - NEAR_LINES), at + NEAR_LINES + 1).some(([sign]) => sign !== ' '),
  );
  const partners = linePartners(lines);
  const shown = lines.flatMap((line, at) => {
    if (isNear[at]) return [lineOf(line, partners.get(at))];
    return at === 0 || isNear[at - 1] ? [make('div', {}, '⋯')] : [];
  });
  return make('pre', {}, ...shown);
}

/** @param {SignedLine} line @param {string | undefined} other */
function lineOf([sign, line], other) {
  const parts =
    other === undefined
      ? withSpaces(line)
      : sideParts(sign === '-' ? textChanges(line, other) : textChanges(other, line), sign);
  return make('div', { class: LINE_CLASSES[sign] }, `${sign} `, ...parts);
}

/**
 * Return, by place, the line that a changed line was exchanged for: the first for the first.
 * @param {SignedLine[]} lines
 */
function linePartners(lines) {
  /** @type {Map<number, string>} */
  const partners = new Map();
  for (let first = 0; first < lines.length; first++) {
    if (lines[first][0] !== '-') continue;
    let middle = first;
    while (lines[middle]?.[0] === '-') middle++;
    let stop = middle;
    while (lines[stop]?.[0] === '+') stop++;
    for (let at = 0; at < Math.min(middle - first, stop - middle); at++) {
      partners.set(first + at, lines[middle + at][1]);
      partners.set(middle + at, lines[first + at][1]);
    }
    first = stop - 1;
  }
  return partners;
}
