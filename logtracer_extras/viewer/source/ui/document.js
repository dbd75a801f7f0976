'use strict';

// The page: it draws what the core computes. Every text of a trace reaches the document through
// `textContent` (or the canvas) after `show()`; attributes come from one short list; nothing here
// parses markup, evaluates text or asks the network for anything (a live page asks its own
// server). Views know the App; the App knows which node is selected and what the filter found.

// ---- Small tools for the document ---------------------------------------------------------------

/** @template {keyof PageElements} Id @param {Id} id @returns {PageElements[Id]} */
function byId(id) {
  return /** @type {PageElements[Id]} */ (document.getElementById(id));
}

// What `make` may set. No `style`, no `on…`, and no address may ever come from a trace.
const ATTRIBUTES = new Set([
  'role',
  'id',
  'class',
  'type',
  'title',
  'lang',
  'tabindex',
  'dir',
  'scope',
  'download',
  'aria-label',
  'aria-level',
  'aria-setsize',
  'aria-posinset',
  'aria-expanded',
  'aria-selected',
  'aria-hidden',
  'aria-pressed',
]);

/**
 * Make an element: `make('button', {class: 'link', onclick: act}, 'Open')`.
 * @template {keyof HTMLElementTagNameMap} Tag @param {Tag} tag
 * @param {Record<string, AttributeValue | Action>} [options] @param {Child[]} children
 * @returns {HTMLElementTagNameMap[Tag]}
 */
function make(tag, options = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(options)) {
    if (typeof value === 'function') element.addEventListener('click', () => value());
    else setAttribute(element, name, value);
  }
  append(element, children);
  return element;
}

/** @param {Element} element @param {Child[]} children */
function append(element, children) {
  element.append(...shownChildren(children));
}

/** @param {Child[]} children */
function shownChildren(children) {
  return children.flatMap((child) => (child ? [child] : []));
}

/** @param {Element} element @param {string} name @param {AttributeValue} value */
function setAttribute(element, name, value) {
  if (!ATTRIBUTES.has(name)) throw new Error(`attribute ${name} is not on the list`);
  if (element.getAttribute(name) !== String(value)) element.setAttribute(name, String(value));
}

/**
 * Name text of a trace, kept from turning the text around it right to left.
 * @param {string} text
 */
function isolated(text) {
  return make('bdi', {}, show(text));
}

/** @param {number} node @param {string} [label] */
function linkTo(node, label = nodeTitle(app.model, node)) {
  return make(
    'button',
    { type: 'button', class: 'link', onclick: () => app.select(node) },
    isolated(label),
  );
}

/** @param {HTMLElement} element @param {string} text */
function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** @param {Model} model @param {number} node */
function nodeTitle(model, node) {
  return `${model.typeOf(node)} ${model.nameOf(node)}`;
}

/** @type {Record<string, string>} */
const GLYPHS = {
  completed: '✔',
  failed: '✖',
  running: '●',
  interrupted: '◌',
  cancelled: '⊘',
  paused: '⏸',
  pending: '○',
};

/** Remember a choice of the reader, never a text of a trace; a page may be denied the storage. */
const choices = {
  /** @param {string} name */
  get(name) {
    try {
      return localStorage.getItem('logtracer.' + name);
    } catch {
      return null;
    }
  },
  /** @param {string} name @param {string} value */
  set(name, value) {
    try {
      localStorage.setItem('logtracer.' + name, value);
    } catch {
      /* then it is not remembered */
    }
  },
};
