// ---- Colours ------------------------------------------------------------------------------------

/** @type {NodeColour[]} */
const TYPES = [
  'llm_call',
  'tool_call',
  'sub_agent',
  'retrieval',
  'decision',
  'validation',
  'transformation',
  'human_input',
  'custom',
  'trace',
];
/** @type {OtherColour[]} */
const OTHER_COLOURS = [
  'ground',
  'panel',
  'line',
  'edge',
  'ink',
  'soft',
  'focus',
  'selected',
  'mark',
  'error',
  'dim',
  'retry',
  'fallback',
  'flow',
  'critical',
  'shade',
  'load',
  'added',
  'removed',
  'changed',
];

/** The style sheet's colours, for the canvas; read again when the theme changes. */
class Palette {
  constructor() {
    /** @type {Map<string, string>} */
    this.inks = new Map(); // fill to the ink that reads on it
    this.isOutlined = false;
    this.read();
  }

  read() {
    const style = getComputedStyle(document.documentElement);
    for (const name of [...TYPES, ...OTHER_COLOURS])
      this[name] = style.getPropertyValue('--' + name).trim();
    this.isOutlined = matchMedia('(prefers-contrast: more)').matches;
    this.inks.clear();
  }

  /** @param {string} type */
  ofType(type) {
    return this[TYPES.find((each) => each === type) ?? 'custom'];
  }

  /** Return black or white, whichever reads better on the fill. @param {string} fill */
  inkOn(fill) {
    let ink = this.inks.get(fill);
    if (!ink) {
      ink = luminance(fill) > 0.18 ? '#000000' : '#ffffff';
      this.inks.set(fill, ink);
    }
    return ink;
  }
}

/**
 * Relative luminance as WCAG defines it, of a colour written #rrggbb; others count as light.
 * @param {string} colour
 */
function luminance(colour) {
  if (!/^#[0-9a-f]{6}$/i.test(colour)) return 1;
  const [red, green, blue] = [1, 3, 5].map((at) => {
    const part = parseInt(colour.slice(at, at + 2), 16) / 255;
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

/**
 * Keep the size of a canvas beside it, and tell when it changes.
 * @param {HTMLCanvasElement} canvas @param {Action} changed
 */
function watchSize(canvas, changed) {
  canvas.room = { width: canvas.clientWidth, height: canvas.clientHeight };
  new ResizeObserver(([{ contentRect }]) => {
    canvas.room = { width: contentRect.width, height: contentRect.height };
    changed();
  }).observe(canvas);
}

/**
 * Fit a canvas to its box and the screen's pixels; returns its context and size.
 * @param {HTMLCanvasElement} canvas
 */
function prepareCanvas(canvas) {
  const { width, height } = canvas.room;
  const ratio = Math.min(3, globalThis.devicePixelRatio || 1);
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
  }
  const context = contextOf(canvas);
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.font = '11px system-ui, sans-serif';
  context.textBaseline = 'middle';
  return { context, width, height };
}

/** @param {HTMLCanvasElement} canvas */
function contextOf(canvas) {
  return /** @type {CanvasRenderingContext2D} */ (canvas.getContext('2d'));
}

/** Text for a canvas: shown safely, cut to its room; widths are measured once for each text. */
class Labels {
  constructor() {
    /** @type {Map<string, {shown: string, width: number}>} */
    this.known = new Map();
  }

  /** @param {CanvasRenderingContext2D} context @param {string} text @param {number} room */
  fit(context, text, room) {
    let label = this.known.get(text);
    if (!label) {
      const shown = clip(show(text), 200);
      label = { shown, width: context.measureText(shown).width };
      if (this.known.size < 20000) this.known.set(text, label);
    }
    if (label.width <= room) return label.shown;
    const letters = Math.floor((label.shown.length * room * 0.95) / label.width) - 1;
    return letters < 2 ? '' : label.shown.slice(0, letters) + '…';
  }
}
