'use strict';

// The page: it draws what the core computes. Every text of a trace reaches the document through
// `textContent` (or the canvas) after `show()`; attributes come from one short list; nothing here
// parses markup, evaluates text or asks the network for anything (a live page asks its own
// server). Views know the App; the App knows which node is selected and what the filter found.

// ---- Small tools for the document ---------------------------------------------------------------

const byId = (id) => document.getElementById(id);

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

/** Make an element: `make('button', {class: 'link', onclick: act}, 'Open')`. */
function make(tag, options = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(options)) {
    if (name === 'onclick') element.addEventListener('click', value);
    else setAttribute(element, name, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

function setAttribute(element, name, value) {
  if (!ATTRIBUTES.has(name)) throw new Error(`attribute ${name} is not on the list`);
  if (element.getAttribute(name) !== String(value)) element.setAttribute(name, value);
}

/** Name text of a trace, kept from turning the text around it right to left. */
function isolated(text) {
  return make('bdi', {}, show(text));
}

function linkTo(node, text = null) {
  const label = text ?? nodeTitle(app.model, node);
  return make(
    'button',
    { type: 'button', class: 'link', onclick: () => app.select(node) },
    isolated(label),
  );
}

function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function nodeTitle(model, node) {
  return `${model.typeOf(node)} ${model.nameOf(node)}`;
}

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
  get(name) {
    try {
      return localStorage.getItem('logtracer.' + name);
    } catch {
      return null;
    }
  },
  set(name, value) {
    try {
      localStorage.setItem('logtracer.' + name, value);
    } catch {
      /* then it is not remembered */
    }
  },
};
