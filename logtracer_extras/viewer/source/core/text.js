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

/** Write a duration given in microseconds the way a person says it. @param {number} micros */
function formatTime(micros) {
  if (!(micros >= 0)) return '–';
  if (micros < 1000) return Math.round(micros) + 'µs';
  if (micros < 999500) return (micros / 1000).toFixed(micros < 9950 ? 1 : 0) + 'ms';
  const seconds = micros / 1e6;
  if (seconds < 99.995) return seconds.toFixed(2) + 's';
  const whole = Math.round(seconds);
  if (whole < 3600) return Math.floor(whole / 60) + 'm' + pad2(whole % 60) + 's';
  return Math.floor(whole / 3600) + 'h' + pad2(Math.floor(whole / 60) % 60) + 'm';
}

/** @param {number} number */
function pad2(number) {
  return String(number).padStart(2, '0');
}

/** @param {number} number */
function formatCount(number) {
  return String(Math.round(number)).replace(/\B(?=(\d{3})+$)/g, ',');
}

/** Write a number of tokens in at most five characters. @param {number} number */
function formatTokens(number) {
  if (!(number > 0)) return '';
  if (number < 1000) return String(Math.round(number));
  if (number < 999500) return (number / 1000).toFixed(number < 99950 ? 1 : 0) + 'k';
  return (number / 1e6).toFixed(1) + 'M';
}

/**
 * Write a cost in dollars; one that is not known is a dash, never a zero.
 * @param {number} dollars
 */
function formatCost(dollars) {
  if (!(dollars >= 0)) return '–';
  return '$' + dollars.toFixed(dollars >= 100 ? 0 : dollars >= 1 ? 2 : 4);
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
