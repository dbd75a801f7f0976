// ---- Two texts: what differs, by lines and within them ------------------------------------------

const LONGEST_ALIGNED = 1000; // lines, or words, between the equal ends of two texts

/**
 * Return the lines of two texts laid over each other as `[sign, line]`: `-` only in the first, `+`
 * only in the second, a space in both.
 * @param {string} before @param {string} after
 */
function lineChanges(before, after) {
  return layOver(before.split('\n'), after.split('\n'));
}

const WORDS = /[\p{L}\p{N}_]+|\s|[^]/gu;

/**
 * Return the parts of two texts in the same way, cut at words and, where a word was exchanged for
 * another, at the characters that differ.
 * @param {string} before @param {string} after
 */
function textChanges(before, after) {
  const parts = joined(layOver(before.match(WORDS) ?? [], after.match(WORDS) ?? []));
  return joined(
    parts.flatMap(([sign, text], at) => {
      if (sign === '-' && parts[at + 1]?.[0] === '+') return exchanged(text, parts[at + 1][1]);
      return sign === '+' && parts[at - 1]?.[0] === '-' ? [] : [parts[at]];
    }),
  );
}

/** @param {string[]} left @param {string[]} right @returns {SignedLine[]} */
function layOver(left, right) {
  const { head, tail } = equalEnds(left, right);
  return [
    ...signedLines(' ', left.slice(0, head)),
    ...alignLines(left.slice(head, left.length - tail), right.slice(head, right.length - tail)),
    ...signedLines(' ', left.slice(left.length - tail)),
  ];
}

/** Count what two lists begin and end with alike. @param {string[]} left @param {string[]} right */
function equalEnds(left, right) {
  const most = Math.min(left.length, right.length);
  let head = 0;
  while (head < most && left[head] === right[head]) head++;
  let tail = 0;
  while (tail < most - head && left[left.length - 1 - tail] === right[right.length - 1 - tail])
    tail++;
  return { head, tail };
}

/** @param {Sign} sign @param {string[]} lines @returns {SignedLine[]} */
function signedLines(sign, lines) {
  return lines.map((line) => [sign, line]);
}

/** @param {string[]} left @param {string[]} right @returns {SignedLine[]} */
function alignLines(left, right) {
  if (Math.max(left.length, right.length) > LONGEST_ALIGNED)
    return [...signedLines('-', left), ...signedLines('+', right)];
  const common = commonLengths(left, right);
  const wide = right.length + 1;
  /** @type {SignedLine[]} */
  const result = [];
  for (let i = 0, j = 0; i < left.length || j < right.length;) {
    if (i < left.length && j < right.length && left[i] === right[j]) {
      result.push([' ', left[i++]]);
      j++;
    } else if (
      j === right.length ||
      (i < left.length && common[(i + 1) * wide + j] >= common[i * wide + j + 1])
    )
      result.push(['-', left[i++]]);
    else result.push(['+', right[j++]]);
  }
  return result;
}

/**
 * Return, for each pair of places, how many lines can be the same from there on.
 * @param {string[]} left @param {string[]} right
 */
function commonLengths(left, right) {
  const wide = right.length + 1;
  const common = new Uint16Array((left.length + 1) * wide);
  for (let i = left.length - 1; i >= 0; i--) {
    for (let j = right.length - 1; j >= 0; j--) {
      common[i * wide + j] =
        left[i] === right[j]
          ? common[(i + 1) * wide + j + 1] + 1
          : Math.max(common[(i + 1) * wide + j], common[i * wide + j + 1]);
    }
  }
  return common;
}

/**
 * Join neighbours: between two parts that stayed there is at most one that went and one that came.
 * @param {SignedLine[]} parts
 */
function joined(parts) {
  /** @type {SignedLine[]} */
  const result = [];
  for (const [sign, text] of parts) {
    const isChange = sign !== ' ';
    const last = result.findLastIndex(([each]) => each === sign || (each === ' ') === isChange);
    if (last >= 0 && result[last][0] === sign) result[last] = [sign, result[last][1] + text];
    else if (sign === '-' && result.at(-1)?.[0] === '+') result.splice(-1, 0, [sign, text]);
    else result.push([sign, text]);
  }
  return result;
}

/**
 * Keep what two texts begin and end with alike, by whole characters.
 * @param {string} before @param {string} after
 */
function exchanged(before, after) {
  const [left, right] = [[...before], [...after]];
  const { head, tail } = equalEnds(left, right);
  /** @type {SignedLine[]} */
  const parts = [
    [' ', left.slice(0, head).join('')],
    ['-', left.slice(head, left.length - tail).join('')],
    ['+', right.slice(head, right.length - tail).join('')],
    [' ', left.slice(left.length - tail).join('')],
  ];
  return parts.filter(([, text]) => text);
}
