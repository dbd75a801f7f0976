// ---- The application: what is selected, seen and found ------------------------------------------

/** @type {Tab[]} */
const TABS = ['conversation', 'timeline', 'flame', 'table', 'log'];
const FARTHEST_ZOOM = 1.05; // how far one can zoom out, beyond the whole run

class App {
  constructor() {
    this.palette = new Palette();
    this.selected = -1;
    /** @type {Tab} */
    this.tab = 'timeline';
    this.critical = false;
    this.isSingleKey = choices.get('keys') !== 'off';
    this.window = { from: 0, to: 1 };
    /** @type {Comparison | null} */
    this.diff = null;
    /** @type {SteadyRows | null} */
    this.steadyRows = null; // while a run goes on: what is drawn stays where it is
  }

  /** Make the parts of the page; they look for the app, which must be known by then. */
  build() {
    this.tooltip = new Tooltip(byId('tooltip'));
    this.timeline = new TimelineView(byId('timeline'));
    this.overview = new OverviewView(byId('overview'));
    this.treeView = new TreeView(byId('tree'));
    this.conversation = new ConversationView(byId('conversation-panel'));
    this.log = new LogView(byId('log'));
    this.table = new TableView(byId('table-panel'));
    this.flame = new FlameView(byId('flame'));
    this.detail = new DetailView(byId('detail'));
    this.search = new SearchBox();
  }

  // ---- Taking a trace

  /**
   * Show a model; `details` answers for what is not in its columns.
   * @param {Model} model @param {DetailSource} details @param {Comparison | null} [diff]
   */
  open(model, details, diff = null) {
    this.model = model;
    this.details = details;
    this.diff = diff;
    this.folded = new Uint8Array(model.count);
    this.selected = -1;
    this.matches = this.matchSum = null;
    if (diff) diff.foldUnchanged(this.folded);
    this.matchList = [];
    this.hidesOthers = false;
    this.hasLanded = false;
    this.conversation.reset();
    this.measure();
    this.window = { ...this.span };
    this.markTab(tabInAddress() ?? this.usualTab());
    this.showRun();
  }

  /** Show what came in since: a live model has grown. */
  grow() {
    const folded = new Uint8Array(this.model.count);
    folded.set(this.folded.subarray(0, this.model.count));
    this.folded = folded;
    this.conversation.outdate();
    this.measure();
    this.showRun();
    if (this.search.input.value.trim()) this.search.later();
    this.showSelectionLine();
  }

  /** Derive everything that the columns imply. */
  measure() {
    const { model } = this;
    this.derived = {};
    Object.assign(this, measure(model));
    this.errorList = nodesWhere(model, (node) => model.status[node] === FAILED);
    this.originList = failureOrigins(model);
    this.placeInTime();
  }

  /** Find out when each node is drawn: when it ran, unless a comparison moves the later run. */
  placeInTime() {
    this.drawn = this.diff ? this.diff.drawnModel() : this.model;
    this.span = this.spanOf(this.drawn);
    this.arrange();
  }

  /** In a comparison: draw the later run from the next point of view. */
  alignNext() {
    if (!this.diff) return;
    this.diff.alignNext(this.selected);
    this.placeInTime();
    this.window = { ...this.span };
    this.overview.isStale = true;
    this.showAlignment();
    this.refresh();
  }

  /** In a live run: pack the rows afresh, as they will be when it ends. */
  compact() {
    if (!this.steadyRows) return;
    this.grow(); // the model may have nodes that were not laid out yet
    this.steadyRows.pack(this.model, this.tree, this.lanes);
    this.rearranged();
  }

  showAlignment() {
    byId('align-button').hidden = !this.diff || this.tab !== 'timeline';
    if (this.diff) setText(byId('align-button'), 'aligned by ' + this.diff.alignment);
  }

  /** @param {Model} model */
  spanOf(model) {
    let from = 0;
    let to = Math.max(1, model.now);
    for (let node = 0; node < model.count; node++) {
      if (model.start[node] < from) from = model.start[node];
      const end = model.endOf(node);
      if (end > to) to = end;
    }
    const margin = (to - from) * 0.01; // so that the last bar does not touch the border
    return { from: from - margin, to: to + margin };
  }

  /**
   * Compute a value of the model when it is first asked for.
   * @template {keyof Derived} Name @param {Name} name @param {() => Derived[Name]} compute
   * @returns {Derived[Name]}
   */
  once(name, compute) {
    const value = this.derived[name] ?? compute();
    Object.assign(this.derived, { [name]: value });
    return value;
  }

  startOrder() {
    return this.once('startOrder', () => startOrder(this.model));
  }

  criticalParts() {
    return this.once('critical', () => criticalPath(this.model, this.tree, this.edges));
  }

  modelGroups() {
    const { model, selves } = this;
    return this.once('modelGroups', () =>
      statistics(model, selves, this.startOrder(), (node) => model.model[node] || null),
    );
  }

  leaves() {
    const { childStart } = this.tree;
    return this.once('leaves', () =>
      nodesWhere(this.model, (node) => childStart[node + 1] === childStart[node]),
    );
  }

  /** Edges, the most telling first: of the selection, of errors, retries, fallbacks, data flow. */
  edgesInOrder() {
    const { model, selected } = this;
    const rank = (/** @type {Edge} */ edge) => {
      if (edge.source === selected || edge.target === selected) return 0;
      if (model.status[edge.source] === FAILED) return 1;
      const place = [RETRY, FALLBACK, DATA_FLOW].indexOf(edge.kind);
      return place < 0 ? 5 : 2 + place;
    };
    if (this.derived.edgesFor !== selected) {
      this.derived.edges = [...model.edges].sort((left, right) => rank(left) - rank(right));
      this.derived.edgesFor = selected;
    }
    return this.derived.edges ?? [];
  }

  facts() {
    return {
      model: this.model,
      tree: this.tree,
      rolled: this.rolled,
      selves: this.selves,
      edges: this.edges,
      lanes: this.lanes,
      diff: this.diff,
    };
  }

  /** @param {number} node */
  detailOf(node) {
    return this.details.of(node);
  }

  // ---- What is shown: folding, hiding, layout

  /** Lay out again after something was folded, hidden or added. */
  arrange() {
    this.hidden = this.hiddenNodes();
    const { drawn, tree, lanes, hidden } = this;
    this.layout = this.steadyRows
      ? this.steadyRows.layout(drawn, tree, lanes, hidden)
      : buildLayout(drawn, tree, lanes, hidden);
    this.visible = this.diff ? this.diff.visibleNodes(this.hidden) : this.visibleNodes();
    this.placeOf = new Int32Array(this.model.count).fill(-1);
    this.visible.forEach((node, index) => {
      this.placeOf[node] = index;
    });
    // A live run has grown since the search; it is searched anew soon.
    if (this.matches && this.matches.length < this.model.count) this.matches = null;
    this.countMatches();
    this.timeline.arrange();
  }

  hiddenNodes() {
    const { model, tree, folded } = this;
    const keeps = this.hidesOthers && this.matches ? this.withAncestors(this.matches) : null;
    if (!keeps && !folded.includes(1)) return null;
    const hidden = new Uint8Array(model.count);
    for (const node of tree.order) {
      const parent = model.parent[node];
      if ((parent >= 0 && (hidden[parent] || folded[parent])) || (keeps && !keeps[node]))
        hidden[node] = 1;
    }
    return hidden;
  }

  /** @param {Uint8Array} matches */
  withAncestors(matches) {
    const keeps = Uint8Array.from(matches);
    const { order } = this.tree;
    for (let at = order.length - 1; at >= 0; at--) {
      const parent = this.model.parent[order[at]];
      if (parent >= 0 && keeps[order[at]]) keeps[parent] = 1;
    }
    return keeps;
  }

  visibleNodes() {
    const { hidden } = this;
    return hidden ? this.tree.order.filter((node) => !hidden[node]) : this.tree.order;
  }

  /** @param {number} node */
  visibleIndex(node) {
    return this.placeOf[node];
  }

  /** Where a moment of a node's run is drawn. @param {number} node @param {number} time */
  drawnTime(node, time) {
    const [from, to] = [this.model.start[node], this.model.endOf(node)];
    const part = to > from ? (time - from) / (to - from) : 0;
    return this.drawn.start[node] + part * (this.drawn.endOf(node) - this.drawn.start[node]);
  }

  /** @param {number} node */
  hiddenBelow(node) {
    return this.folded[node] ? this.tree.size[node] - 1 : 0;
  }

  /**
   * Tell whether a row can be unfolded: it is folded, or stands for a group of rows.
   * @param {number} node
   */
  isFolded(node) {
    return this.folded[node] === 1 || this.diff?.groupAt(node) !== undefined;
  }

  /** @param {number} node */
  siblingPlace(node) {
    const { tree, model } = this;
    const parent = model.parent[node];
    if (parent < 0) return { count: tree.roots.length, place: tree.roots.indexOf(node) + 1 };
    const first = tree.childStart[parent];
    const stop = tree.childStart[parent + 1];
    const places = this.once('places', () => placesAmongSiblings(tree));
    return { count: stop - first, place: places[node] };
  }

  /** @param {number} node */
  toggleFold(node) {
    if (this.diff?.groupAt(node)) {
      this.diff.open(node);
      this.rearranged();
      return;
    }
    if (this.tree.size[node] === 1) return;
    this.folded[node] ^= 1;
    const partner = this.diff ? this.diff.partner(node) : -1;
    if (partner >= 0) this.folded[partner] = this.folded[node];
    this.rearranged();
  }

  /**
   * Fold or unfold everything below the roots, or only one more level.
   * @param {boolean} isFolding
   */
  foldAll(isFolding) {
    const { tree } = this;
    for (const node of tree.order)
      if (tree.size[node] > 1) this.folded[node] = Number(isFolding && tree.level[node] > 0);
    this.diff?.setAllGroups(!isFolding);
    this.rearranged();
  }

  /** @param {boolean} isFolding */
  foldLevel(isFolding) {
    const { tree } = this;
    let level = isFolding ? 0 : Infinity;
    for (const node of this.visible) {
      if (tree.size[node] === 1 || (this.folded[node] === 1) === isFolding) continue;
      level = isFolding ? Math.max(level, tree.level[node]) : Math.min(level, tree.level[node]);
    }
    for (const node of this.visible)
      if (tree.level[node] === level && tree.size[node] > 1) this.folded[node] = Number(isFolding);
    this.rearranged();
  }

  rearranged() {
    this.arrange();
    this.refresh();
  }

  /** @param {number} node @param {boolean} isGroupWanted */
  unfoldTo(node, isGroupWanted) {
    const above = ancestors(this.model, node);
    const folded = above.filter((each) => this.folded[each]);
    for (const each of folded) this.folded[each] = 0;
    const inGroups = isGroupWanted && this.diff?.groupAt(node) ? above : [...above, node];
    const opened = inGroups.filter((each) => this.diff?.open(each));
    if (folded.length || opened.length) this.arrange();
  }

  /** @param {number} node */
  fillOf(node) {
    return this.palette.ofType(this.model.typeOf(node));
  }

  // ---- Selection

  /**
   * Select a node everywhere: tree, timeline, detail, address; -1 selects none.
   * @param {number} node @param {{from?: string, keepsAddress?: boolean}} [options]
   */
  select(node, { from = '', keepsAddress = false } = {}) {
    if (this.diff) node = this.diff.representative(node);
    this.selected = node;
    if (node >= 0) {
      this.unfoldTo(node, from === 'tree');
      if (from !== 'timeline' && from !== 'flame') this.bringIntoWindow(node);
      this.timeline.reveal(node);
      this.treeView.reveal(node);
    }
    this.treeView.refresh();
    if (this.tab === 'log') this.log.refresh();
    if (this.tab === 'conversation') this.conversation.refresh();
    this.detail.refresh();
    this.showSelectionLine();
    this.drawSoon();
    if (!keepsAddress) this.rememberSoon();
  }

  /** @param {number} node */
  bringIntoWindow(node) {
    const start = this.drawn.start[node];
    const end = this.drawn.endOf(node);
    const { from, to } = this.window;
    if (end >= from && start <= to && (end - start) / (to - from) > 0.002) return;
    const span = Math.min(to - from, Math.max((end - start) * 20, SMALLEST_SPAN * 10));
    const middle = (start + end) / 2;
    this.live?.stopFollowing();
    this.setWindow(middle - span / 2, middle + span / 2);
  }

  showSelectionLine() {
    const { model, selected } = this;
    let text = '';
    if (selected >= 0) {
      const time = formatTime(model.endOf(selected) - model.start[selected]);
      text = `selected ${show(clip(model.nameOf(selected), 40))} ${time}`;
    }
    setText(byId('selection-line'), text);
  }

  // ---- Matches and errors

  /** @param {Uint8Array | null} matches */
  setMatches(matches) {
    this.matches = matches;
    this.matchList = matches ? nodesWhere(this.model, (node) => matches[node] === 1) : [];
    setText(
      byId('match-count'),
      matches ? `${formatCount(this.matchList.length)} of ${formatCount(this.model.count)}` : '',
    );
    if (this.hidesOthers) this.arrange();
    else this.countMatches();
    this.overview.isStale = true;
    this.refresh();
  }

  countMatches() {
    const { matches } = this;
    this.matchSum = matches ? prefixSum(this.layout.nodes, (node) => matches[node] === 1) : null;
  }

  /** @param {boolean} hides */
  setHideOthers(hides) {
    this.hidesOthers = hides;
    byId('hide-others').checked = hides;
    this.rearranged();
  }

  /** @param {number} direction */
  stepMatch(direction) {
    const among = this.diff && !this.matches ? this.diff.differences() : this.matchList;
    this.stepAmong(
      among,
      direction,
      this.matches || this.diff ? 'No match' : 'Write a filter first',
    );
  }

  /** @param {number} direction */
  stepError(direction) {
    this.stepAmong(this.originList, direction, 'No errors in this run');
  }

  /**
   * Select the next of some nodes in the order of the tree, going round at the end.
   * @param {ArrayLike<number>} nodes @param {number} direction @param {string} otherwise
   */
  stepAmong(nodes, direction, otherwise) {
    if (!nodes.length) {
      this.announce(otherwise);
      return;
    }
    const position = this.diff ? this.diff.rowOf : this.tree.position;
    const here =
      this.selected >= 0 ? position[this.selected] : direction > 0 ? -1 : this.model.count;
    const sorted = Int32Array.from(nodes).sort((left, right) => position[left] - position[right]);
    const after = firstSlot(sorted, 0, sorted.length, (node) =>
      direction > 0 ? position[node] > here : position[node] >= here,
    );
    const next =
      direction > 0 ? after % sorted.length : (after - 1 + sorted.length) % sorted.length;
    this.select(sorted[next]);
    this.announce(`${next + 1} of ${formatCount(sorted.length)}`);
  }

  /** Go to the next model call, or the one before. @param {number} direction */
  stepCall(direction) {
    const calls = this.once('calls', () =>
      nodesWhere(this.model, (node) => this.model.typeOf(node) === 'llm_call'),
    );
    const turns = this.conversation.talk?.turns ?? calls;
    this.stepAmong(turns, direction, 'No model call in this run');
  }

  /**
   * Go along retries and fallbacks, to the next attempt or back to the one before.
   * @param {number} direction
   */
  stepAttempt(direction) {
    const edges =
      (direction > 0 ? this.edges.outgoing : this.edges.incoming).get(this.selected) ?? [];
    const edge = edges.find((each) => each.kind === RETRY || each.kind === FALLBACK);
    if (edge) this.select(direction > 0 ? edge.target : edge.source);
    else this.announce(direction > 0 ? 'No further attempt' : 'No earlier attempt');
  }

  // ---- The window in time

  /** @param {number} from @param {number} to */
  setWindow(from, to) {
    const whole = this.span.to - this.span.from;
    const span = Math.max(SMALLEST_SPAN, Math.min(whole * FARTHEST_ZOOM, to - from));
    const middle = (from + to) / 2;
    const start = Math.max(
      this.span.from - span / 2,
      Math.min(this.span.to - span / 2, middle - span / 2),
    );
    this.window = { from: start, to: start + span };
    this.drawSoon();
    this.rememberSoon();
  }

  /** Where keys zoom in: at the selected node when it is on the screen. */
  zoomCentre() {
    const {
      selected,
      drawn: model,
      window: { from, to },
    } = this;
    const middle = selected < 0 ? -1 : (model.start[selected] + model.endOf(selected)) / 2;
    return middle > from && middle < to ? middle : (from + to) / 2;
  }

  /** @param {number} factor @param {number} [about] */
  zoom(factor, about = this.zoomCentre()) {
    const { from, to } = this.window;
    this.live?.stopFollowing();
    const least = SMALLEST_SPAN / (to - from);
    const most = ((this.span.to - this.span.from) * FARTHEST_ZOOM) / (to - from);
    const by = Math.max(least, Math.min(most, factor));
    this.setWindow(about - (about - from) * by, about + (to - about) * by);
  }

  /** @param {number} distance */
  pan(distance) {
    if (distance) this.live?.stopFollowing();
    this.setWindow(this.window.from + distance, this.window.to + distance);
  }

  /** @param {number} part */
  panPart(part) {
    this.pan((this.window.to - this.window.from) * part);
  }

  /** Make a node fill four fifths of the width. @param {number} node */
  fit(node) {
    const start = this.drawn.start[node];
    const room = Math.max(SMALLEST_SPAN, this.drawn.endOf(node) - start);
    this.setWindow(start - room * 0.125, start + room * 1.125);
    this.timeline.reveal(node);
  }

  /** Centre the selected node; when it is in the middle already, fit it. */
  focusSelected() {
    const { selected, drawn: model } = this;
    if (selected < 0) return;
    const middle = (model.start[selected] + model.endOf(selected)) / 2;
    const half = (this.window.to - this.window.from) / 2;
    if (Math.abs(this.window.from + half - middle) < half * 0.01) this.fit(selected);
    else this.setWindow(middle - half, middle + half);
  }

  /** Mark a stretch of time and say what ran in it. @param {number} from @param {number} to */
  setArea(from, to) {
    this.area = { from: Math.min(from, to), to: Math.max(from, to) };
    const { drawn: model } = this;
    const sum = { nodes: 0, errors: 0, tokens: 0, cost: 0 };
    for (let node = 0; node < model.count; node++) {
      if (model.start[node] > this.area.to || model.endOf(node) < this.area.from) continue;
      sum.nodes++;
      sum.errors += model.status[node] === FAILED ? 1 : 0;
      sum.tokens += model.tokensOf(node);
      sum.cost += Math.max(0, model.cost[node]);
    }
    const parts = [
      formatTime(this.area.to - this.area.from),
      formatCount(sum.nodes) + ' nodes',
      sum.errors ? sum.errors + ' failed' : '',
      sum.tokens ? formatTokens(sum.tokens) + ' tokens' : '',
      sum.cost ? formatCost(sum.cost) : '',
    ];
    setText(byId('selection-line'), 'area ' + parts.filter(Boolean).join(' · '));
    this.drawSoon();
  }

  // ---- Drawing

  drawSoon() {
    if (this.isDrawing || !this.model) return;
    this.isDrawing = true;
    requestAnimationFrame(() => {
      this.isDrawing = false;
      this.draw();
    });
  }

  draw() {
    this.overview.draw();
    if (this.tab === 'timeline') this.timeline.draw();
  }

  refresh() {
    this.treeView.refresh();
    if (this.tab !== 'timeline') this[this.tab].refresh();
    this.drawSoon();
  }

  /** Show everything about the run as a whole. */
  showRun() {
    const { model } = this;
    document.body.classList.toggle('compared', this.diff !== null);
    byId('conversation-tab').hidden = this.diff !== null;
    showParts(true);
    setText(byId('title'), show(clip(model.head.name || 'Run', 200)));
    document.title = this.pageTitle();
    this.showFacts();
    this.treeView.showHeads();
    this.showAlignment();
    this.showNotes(model.head.notes ?? []);
    this.search.showTypes();
    this.overview.isStale = true;
    this.refresh();
    if (this.selected < 0) this.detail.refresh();
  }

  pageTitle() {
    const name = show(clip(this.model.head.name || 'Run', 100));
    const errors = this.originList.length;
    return `${errors ? `(${errors} ✖) ` : ''}${name} · logtracer`;
  }

  showFacts() {
    const { model, tree } = this;
    const status = tree.roots.length ? model.statusOf(tree.roots[0]) : 'completed';
    const facts = [make('span', { class: status }, `${GLYPHS[status]} ${status}`)];
    for (const [name, value] of this.totals())
      if (value && ['time', 'nodes', 'tokens', 'cost'].includes(name))
        facts.push(make('span', {}, factText(name, value)));
    byId('facts').replaceChildren(
      ...(this.diff
        ? [make('span', {}, this.diff.counts().join(' · ') || 'no difference')]
        : facts),
    );
    const [, [, work]] = this.totals();
    setText(byId('totals'), `${formatTime(model.now)} · ${work}`);
  }

  totals() {
    return this.once('totals', () => addUp(this));
  }

  /** @param {string[]} notes */
  showNotes(notes) {
    byId('notes').hidden = notes.length === 0;
    setText(byId('notes'), notes.map(show).join(' '));
  }

  /** @param {Tab} tab */
  showTab(tab) {
    this.markTab(tab);
    this.showAlignment();
    this.refresh();
    this.rememberSoon();
  }

  /** @param {Tab} tab */
  markTab(tab) {
    this.tab = tab;
    for (const each of TABS) {
      byId(`${each}-panel`).hidden = each !== tab;
      byId(`${each}-tab`).setAttribute('aria-selected', String(each === tab));
      byId(`${each}-tab`).tabIndex = each === tab ? 0 : -1;
    }
    byId('critical-button').hidden = tab !== 'timeline';
    byId('weight-button').hidden = tab !== 'flame';
    byId('raw-button').hidden = tab !== 'conversation';
  }

  /** The view that a run opens with. @returns {Tab} */
  usualTab() {
    return this.conversation.suits(this.model) ? 'conversation' : 'timeline';
  }

  /** On a narrow screen: show the panel with the run's summary, or put it away. */
  toggleSummary() {
    this.showsSummary = !this.showsSummary;
    this.detail.refresh();
  }

  toggleCritical() {
    this.critical = !this.critical;
    byId('critical-button').setAttribute('aria-pressed', String(this.critical));
    this.drawSoon();
  }

  toggleFlow() {
    this.timeline.showsAllFlow = !this.timeline.showsAllFlow;
    this.announce(
      this.timeline.showsAllFlow ? 'All data flow is shown' : 'Data flow of the selection only',
    );
    this.drawSoon();
  }

  toggleTheme() {
    const isDark = document.documentElement.dataset.theme === 'dark';
    setTheme(isDark ? 'light' : 'dark');
    choices.set('theme', isDark ? 'light' : 'dark');
  }

  /** @param {string} message */
  announce(message) {
    setText(byId('announcer'), message);
    setText(byId('hint'), message);
  }

  // ---- Where one is, as an address

  /** A live run moves its window all the time: the address follows, but not each step of it. */
  rememberSoon() {
    this.remembering ||= setTimeout(() => {
      this.remembering = 0;
      this.rememberPlace();
    }, 400);
  }

  rememberPlace() {
    if (!this.hasLanded) return;
    try {
      history.replaceState(null, '', '#' + this.place());
    } catch {
      /* a page in a sandbox has no address of its own */
    }
  }

  place() {
    const place = new URLSearchParams();
    if (this.selected >= 0) place.set('n', this.model.ids[this.selected] ?? '');
    place.set(
      't',
      `${Math.round(this.window.from)},${Math.round(this.window.to - this.window.from)}`,
    );
    if (this.search.input.value.trim()) place.set('q', this.search.input.value.trim());
    if (this.tab !== this.usualTab()) place.set('v', this.tab);
    return place.toString();
  }

  /** Go where the address says; what it does not name stays as it is. */
  land() {
    const place = new URLSearchParams(location.hash.slice(1));
    const query = place.get('q');
    if (query) this.search.set(query);
    const tab = tabInAddress();
    if (tab && tab !== this.tab) this.showTab(tab);
    const [from, span] = (place.get('t') ?? '').split(',').map(Number);
    const id = place.get('n');
    if (id !== null) {
      const node = this.model.ids.indexOf(id);
      if (node >= 0) this.select(node, { keepsAddress: true });
      else
        this.showNotes([
          ...(this.model.head.notes ?? []),
          `Node ${show(clip(id, 64))} is not in this trace.`,
        ]);
    }
    if (span > 0 && Number.isFinite(from)) this.setWindow(from, from + span);
    this.hasLanded = true;
  }
}

function tabInAddress() {
  const named = new URLSearchParams(location.hash.slice(1)).get('v');
  return TABS.find((each) => each === named);
}

/** @param {Tree} tree */
function placesAmongSiblings(tree) {
  const places = new Int32Array(tree.order.length);
  for (let node = 0; node < places.length; node++) {
    for (let at = tree.childStart[node]; at < tree.childStart[node + 1]; at++)
      places[tree.childList[at]] = at - tree.childStart[node] + 1;
  }
  return places;
}

/** @param {string} theme */
function setTheme(theme) {
  document.documentElement.dataset.theme = theme;
  if (!app?.model) return;
  app.palette.read();
  app.overview.isStale = true;
  app.search.showTypes();
  app.refresh();
}
