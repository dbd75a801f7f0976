'use strict';

// The core knows traces but no page: it runs in a browser and under node alike. Nothing in it
// recurses, so a chain of 100,000 steps is no special case, and every loop over nodes works on
// columns (typed arrays), not on objects.

// ---- Text: what a stranger wrote, made harmless to look at --------------------------------------

// Control, bidi, zero-width and tag characters, and lone surrogates: a reader must see them.
const ODD = /[\p{Cc}\p{Cf}\p{Cs}\u2028\u2029]/gu;

/**
 * Return the text with every character that would not show, or would mislead, as an escape.
 * @param {string} text
 */
function show(text) {
  return String(text).replace(ODD, escapeCharacter);
}

/**
 * The same for a value of several lines: line feeds and tabs keep their meaning.
 * @param {string} text
 */
function showLines(text) {
  return String(text).replace(ODD, (odd) =>
    odd === '\n' || odd === '\t' ? odd : escapeCharacter(odd),
  );
}

/** @param {string} character */
function escapeCharacter(character) {
  if (character === '\n') return '\\n';
  const code = Number(character.codePointAt(0)).toString(16);
  if (code.length <= 2) return '\\x' + code.padStart(2, '0');
  return code.length <= 4 ? '\\u' + code.padStart(4, '0') : '\\u{' + code + '}';
}

/** @param {string} text @param {number} length */
function clip(text, length) {
  return text.length <= length ? text : text.slice(0, length - 1) + '…';
}

// Times, token counts and costs are written as the terminal writes them: both are held to
// tests/data/writing_vectors.json.

/**
 * Write a duration given in microseconds: `812ms`, `12.40s`, `21m40s`, `3h02m`.
 * @param {number | null} micros @returns {string}
 */
function formatTime(micros) {
  if (micros === null || Number.isNaN(micros)) return 'open';
  if (micros < 0) return '-' + formatTime(-micros); // a step from before the run's start
  const whole = Math.round(micros);
  if (whole < 999500) return Math.round(whole / 1000) + 'ms';
  if (whole < 59995e3) return withPoint(Math.round(whole / 1e4), 2) + 's';
  const seconds = Math.round(whole / 1e6);
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return minutes + 'm' + pad2(seconds % 60) + 's';
  return Math.floor(minutes / 60) + 'h' + pad2(minutes % 60) + 'm';
}

/** @param {number} number */
function pad2(number) {
  return String(number).padStart(2, '0');
}

/**
 * Write `parts` hundredths (digits 2), thousandths ...
 * @param {number} parts @param {number} digits
 */
function withPoint(parts, digits) {
  const text = String(parts).padStart(digits + 1, '0');
  return text.slice(0, -digits) + '.' + text.slice(-digits);
}

/** Write a number exactly, its thousands apart. @param {number} number */
function formatCount(number) {
  return separated(String(Math.round(number)));
}

/** Write `1 step`, `38 steps`. @param {number} number @param {string} noun */
function counted(number, noun) {
  return `${formatCount(number)} ${noun}${number === 1 ? '' : 's'}`;
}

/** @param {string} digits */
function separated(digits) {
  return digits.replace(/\B(?=(\d{3})+(?!\d))/g, ',');
}

/** Write a number of tokens in few characters: `812`, `21.1k`, `3.2M`. @param {number} number */
function formatTokens(number) {
  if (number < 1000) return String(Math.round(number));
  if (number < 999950) return withPoint(Math.round(number / 100), 1) + 'k';
  return withPoint(Math.round(number / 1e5), 1) + 'M';
}

/**
 * Write a cost in dollars; one that is not known is a dash, never a zero.
 * @param {number | null} dollars
 */
function formatCost(dollars) {
  if (dollars === null || !(dollars >= 0)) return '-';
  const parts = Math.round(dollars * 1e4);
  if (parts < 1e4) return '$' + withPoint(parts, 4);
  return '$' + separated(withPoint(Math.round(dollars * 100), 2));
}

/** @param {number} bytes */
function formatBytes(bytes) {
  if (bytes < 1000) return bytes + ' B';
  return bytes < 1e6 ? (bytes / 1e3).toFixed(1) + ' kB' : (bytes / 1e6).toFixed(1) + ' MB';
}

const TICK_SECONDS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600];

/**
 * Return the distance between axis marks, in microseconds: a round number at or over `least`.
 * @param {number} least
 */
function tickStep(least) {
  if (least <= 1e6) {
    const power = 10 ** Math.floor(Math.log10(Math.max(least, 1)));
    const factor = [1, 2, 5].find((each) => each * power >= least) ?? 10;
    return Math.min(factor * power, 1e6);
  }
  const seconds = TICK_SECONDS.find((candidate) => candidate * 1e6 >= least);
  if (seconds) return seconds * 1e6;
  const hours = Math.ceil(least / 3600e6);
  return 2 ** Math.ceil(Math.log2(hours)) * 3600e6;
}

/**
 * Return how many digits after the point tell numbers apart that differ by `step`.
 * @param {number} step
 */
function digitsFor(step) {
  return Math.max(0, Math.ceil(-Math.log10(step) - 1e-9));
}

/**
 * Label an axis mark: as short as its size and the distance to the next one allow.
 * @param {number} micros @param {number} step
 */
function formatTick(micros, step) {
  if (step < 1000 && micros < 1000) return Math.round(micros) + 'µs';
  if (step < 1e6 && micros < 1e6) return (micros / 1e3).toFixed(digitsFor(step / 1e3)) + 'ms';
  if (step < 1e6) return (micros / 1e6).toFixed(digitsFor(step / 1e6)) + 's';
  const seconds = Math.round(micros / 1e6);
  if (seconds < 60) return seconds + 's';
  if (seconds < 3600)
    return Math.floor(seconds / 60) + 'm' + (seconds % 60 ? pad2(seconds % 60) + 's' : '');
  const minutes = Math.floor(seconds / 60);
  return Math.floor(minutes / 60) + 'h' + (minutes % 60 ? pad2(minutes % 60) + 'm' : '');
}
