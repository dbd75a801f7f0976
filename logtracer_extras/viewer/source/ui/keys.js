// ---- Keys ---------------------------------------------------------------------------------------

/** What each key does, and how `?` explains it. */
/** @type {[key: string, meaning: string, act: Action][]} */
const KEYS = [
  ['w', 'zoom in', () => app.zoom(0.6)],
  ['s', 'zoom out', () => app.zoom(1 / 0.6)],
  ['a', 'earlier', () => app.panPart(-0.2)],
  ['d', 'later', () => app.panPart(0.2)],
  ['A', 'a page earlier', () => app.panPart(-0.9)],
  ['D', 'all data flow on or off', () => app.toggleFlow()],
  ['0', 'the whole run', () => app.setWindow(app.span.from, app.span.to)],
  ['f', 'centre the selected node; again: fit it', () => app.focusSelected()],
  ['F', 'fit the lane of the selected node', () => app.timeline.fitSelectedLane()],
  ['e', 'next error', () => app.stepError(1)],
  ['E', 'previous error', () => app.stepError(-1)],
  ['/', 'filter', () => focusQuery()],
  ['n', 'next match', () => app.stepMatch(1)],
  ['N', 'previous match', () => app.stepMatch(-1)],
  [
    'p',
    'parent',
    () =>
      app.selected >= 0 &&
      app.model.parent[app.selected] >= 0 &&
      app.select(app.model.parent[app.selected]),
  ],
  ['r', 'next attempt (retry or fallback)', () => app.stepAttempt(1)],
  ['R', 'attempt before', () => app.stepAttempt(-1)],
  [',', 'node before, on the same row', () => selectNeighbour(-1)],
  ['.', 'node after, on the same row', () => selectNeighbour(1)],
  ['[', 'fold all', () => app.foldAll(true)],
  [']', 'unfold all', () => app.foldAll(false)],
  ['{', 'fold one level', () => app.foldLevel(true)],
  ['}', 'unfold one level', () => app.foldLevel(false)],
  ['c', 'critical path', () => app.toggleCritical()],
  ['t', 'two runs: aligned by start, selected step, percent', () => app.alignNext()],
  ['1', 'timeline', () => app.showTab('timeline')],
  ['2', 'flame', () => app.showTab('flame')],
  ['3', 'table', () => app.showTab('table')],
  ['4', 'log', () => app.showTab('log')],
  ['5', 'conversation', () => app.diff || app.showTab('conversation')],
  ['j', 'next model call', () => app.stepCall(1)],
  ['J', 'model call before', () => app.stepCall(-1)],
  ['x', 'conversation: texts as they were recorded', () => app.conversation.toggleRaw()],
  ['y', 'copy the node as JSON', () => app.selected >= 0 && copyNode(app.selected)],
  ['Y', 'copy the path of the node', () => app.selected >= 0 && copyPath(app.selected)],
  ['m', 'set a mark', () => setMark()],
  ["'", 'go to the mark', () => goToMark()],
  ['k', 'live: pack the rows afresh', () => app.compact()],
  ['l', 'live: follow on or off', () => app.live?.toggleFollowing()],
  ['?', 'all keys', () => byId('help').showModal()],
];
const KEY_ACTIONS = new Map(KEYS.map(([key, , act]) => [key, act]));
/** @type {[key: string, meaning: string][]} */
const MOVING = [
  ['↑ ↓', 'row above or below'],
  ['← →', 'fold or parent, unfold or child; on the timeline: node before or after'],
  ['← → ↑ ↓', 'on the overview: earlier, later, zoom in, zoom out'],
  ['Home End', 'first or last row'],
  ['Page ↑ ↓', 'a page of rows'],
  ['Enter', 'to the detail panel'],
  ['Esc', 'clear the selection, then the filter'],
  ['Tab', 'next part of the page'],
];

function focusQuery() {
  byId('query').focus();
  byId('query').select();
}

/** @param {number} direction */
function selectNeighbour(direction) {
  if (app.selected < 0 || app.layout.row[app.selected] < 0) return;
  const node = app.timeline.neighbourInRow(app.selected, direction);
  if (node >= 0) app.select(node);
}

function setMark() {
  app.mark = { node: app.selected, window: { ...app.window } };
  app.announce('Mark set');
}

function goToMark() {
  if (!app.mark) return;
  app.select(app.mark.node);
  app.setWindow(app.mark.window.from, app.mark.window.to);
}

/** @param {EventTarget | null} target */
function isTyping(target) {
  return /** @type {Element} */ (target).matches('input:not([type="checkbox"]), textarea, select');
}

/** @param {KeyboardEvent} event */
function onKey(event) {
  if (!app.model || document.querySelector('dialog[open]')) return;
  if (event.key === 'Escape') {
    stepBack(event);
    return;
  }
  if ((event.ctrlKey || event.metaKey) && event.key === 'f' && !isTyping(event.target)) {
    event.preventDefault(); // from the box itself, the browser's own search opens
    focusQuery();
    return;
  }
  if (isTyping(event.target) || event.ctrlKey || event.altKey || event.metaKey) return;
  if (moveWithArrows(event)) {
    event.preventDefault();
    return;
  }
  const act = KEY_ACTIONS.get(event.key);
  if (!act || (!app.isSingleKey && event.key !== '?')) return;
  event.preventDefault();
  act();
}

/**
 * Undo one thing: leave the box or the panel, clear the selection, clear the filter.
 * @param {KeyboardEvent} event
 */
function stepBack(event) {
  if (isTyping(event.target) || byId('detail').contains(/** @type {Element} */ (event.target))) {
    byId('tree').focus();
  } else if (app.selected >= 0 || app.area) {
    app.area = null;
    app.select(-1);
  } else if (byId('query').value) {
    app.search.set('');
  } else if (app.showsSummary) {
    app.toggleSummary();
  }
  app.tooltip.hide();
}

/** @param {KeyboardEvent} event */
function moveWithArrows(event) {
  const place = document.activeElement;
  if (place === byId('timeline')) return moveOnTimeline(event.key);
  if (place === byId('overview')) return moveOnOverview(event.key);
  if (place === byId('flame')) return moveOnFlame(event.key);
  if (place === byId('log'))
    return moveInList(event.key, app.log.list.page, (distance) => app.log.step(distance));
  if (place?.closest('[role="tablist"]')) return moveOnTabs(event.key);
  if (place !== byId('tree') && place !== document.body) return false;
  return moveInTree(event.key);
}

/** @param {string} key @param {number} page @param {(distance: number) => void} step */
function moveInList(key, page, step) {
  /** @type {Record<string, number>} */
  const distances = {
    ArrowDown: 1,
    ArrowUp: -1,
    PageDown: page,
    PageUp: -page,
    Home: -Infinity,
    End: Infinity,
  };
  const distance = distances[key];
  if (distance === undefined) return key === 'Enter' && focusDetail();
  step(distance);
  return true;
}

/** @param {string} key */
function moveInTree(key) {
  const { visible, selected, tree, model } = app;
  const isFolded = selected >= 0 && app.isFolded(selected);
  const isParent = isFolded || (selected >= 0 && tree.size[selected] > 1);
  if (key === 'ArrowRight' && isParent) {
    if (isFolded) app.toggleFold(selected);
    else stepInTree(1);
    return true;
  }
  if (key === 'ArrowLeft' && selected >= 0) {
    if (isParent && !isFolded) app.toggleFold(selected);
    else if (model.parent[selected] >= 0) app.select(model.parent[selected]);
    return true;
  }
  return visible.length > 0 && moveInList(key, app.treeView.list.page, stepInTree);
}

/** @param {number} distance */
function stepInTree(distance) {
  const { visible } = app;
  const here =
    app.selected >= 0 ? app.visibleIndex(app.selected) : distance > 0 ? -1 : visible.length;
  const next = Math.max(0, Math.min(visible.length - 1, here + distance));
  app.select(visible[next], { from: 'tree' });
}

/** @param {string} key */
function moveOnTimeline(key) {
  if (app.selected < 0) {
    if (!key.startsWith('Arrow')) return false;
    app.select(app.tree.order[0]);
    return true;
  }
  if (key === 'ArrowLeft' || key === 'ArrowRight') {
    selectNeighbour(key === 'ArrowLeft' ? -1 : 1);
    return true;
  }
  if (key === 'ArrowUp' || key === 'ArrowDown') {
    const node = app.timeline.neighbourRow(app.selected, key === 'ArrowUp' ? -1 : 1);
    if (node >= 0) app.select(node);
    return true;
  }
  return key === 'Enter' && focusDetail();
}

/** @param {string} key */
function moveOnOverview(key) {
  /** @type {Record<string, Action>} */
  const actions = {
    ArrowLeft: () => app.panPart(-0.2),
    ArrowRight: () => app.panPart(0.2),
    ArrowUp: () => app.zoom(0.6),
    ArrowDown: () => app.zoom(1 / 0.6),
  };
  const act = actions[key];
  act?.();
  return act !== undefined;
}

/** @param {string} key */
function moveOnFlame(key) {
  if (key !== 'ArrowUp' && key !== 'ArrowDown') return key === 'Enter' && focusDetail();
  app.flame.step(key === 'ArrowDown' ? 1 : -1);
  return true;
}

/** @param {string} key */
function moveOnTabs(key) {
  if (key !== 'ArrowLeft' && key !== 'ArrowRight') return false;
  const next = (TABS.indexOf(app.tab) + (key === 'ArrowRight' ? 1 : TABS.length - 1)) % TABS.length;
  app.showTab(TABS[next]);
  byId(`${TABS[next]}-tab`).focus();
  return true;
}

function focusDetail() {
  byId('detail').focus();
  return true;
}

function fillHelp() {
  byId('keys').replaceChildren(
    ...[...KEYS, ...MOVING].flatMap(([key, meaning]) => [
      make('dt', {}, make('kbd', {}, key)),
      make('dd', {}, meaning),
    ]),
  );
  byId('single-keys').checked = app.isSingleKey;
  byId('single-keys').addEventListener('change', () => {
    app.isSingleKey = byId('single-keys').checked;
    choices.set('keys', app.isSingleKey ? 'on' : 'off');
  });
}
