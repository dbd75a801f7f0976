// ---- Conversation: the run as a transcript ------------------------------------------------------

const MOST_SPOKEN = 20000; // nodes of a run that opens with its conversation
const STEPS_AT_ONCE = 16; // that are drawn before one scrolls there
const MOST_CHIPS = 300; // calls that have a place of their own in the band
const FOLDED_FROM = 12; // steps within an agent from which it is folded
const FOLDED_ALONE_FROM = 200; // the same where nothing else is in the run
const UNFOLDED_LEVELS = 5; // agents within agents that are unfolded without being asked for
const DEEPEST_SHOWN = 40; // levels that are unfolded to show a step

/** What was said in the run, each message once; the band above it leads from call to call. */
class ConversationView {
  /** @param {HTMLElement} panel */
  constructor(panel) {
    this.panel = panel;
    this.band = make('div', { class: 'band', role: 'toolbar', 'aria-label': 'Model calls' });
    this.body = make('div', {
      class: 'talk',
      tabindex: 0,
      role: 'region',
      'aria-label': 'Conversation',
    });
    panel.append(this.band, this.body);
    /** @type {Conversation | null} */
    this.talk = null;
    /** @type {Map<number, HTMLElement>} */
    this.elements = new Map(); // by node: what was drawn of it
    this.drawn = 0; // steps of the run that are in the document
    this.turn = 0; // of the newest reading: a slower one before it is dropped
    this.isSilent = false; // no message was recorded
    this.nesting = 0; // agents and tools around what is being drawn
    this.shown = -1; // the node that was scrolled to
    this.isRaw = choices.get('raw') === 'on';
    this.showRaw();
    this.watcher = new IntersectionObserver(
      ([{ isIntersecting }]) => isIntersecting && this.drawMore(this.drawn + STEPS_AT_ONCE),
      { root: this.body, rootMargin: '800px' },
    );
  }

  /** Tell whether a run is opened with this view. @param {Model} model */
  suits(model) {
    const isTold = model.head.hasValues !== false && model.count <= MOST_SPOKEN;
    return isTold && !this.isSilent && !app.diff && !app.live && model.strings.includes('llm_call');
  }

  /** Forget what was read: there is another model. */
  reset() {
    this.outdate();
    this.drawn = 0;
    this.isSilent = false;
  }

  /** What was read is old: the model has grown. */
  outdate() {
    this.talk = null;
  }

  async refresh() {
    if (this.talk) this.showSelected();
    else await (this.reading = this.read().catch((error) => this.fail(error)));
  }

  /** Read the details of all who speak, and draw. */
  async read() {
    const turn = ++this.turn;
    const { model, tree } = app;
    if (!this.drawn) this.body.replaceChildren('Reading what was said …');
    await painted(); // the first picture does not wait for all that was said
    const details = await detailsOfSpeakers(app.details, model);
    if (turn !== this.turn) return;
    this.talk = new Conversation(model, tree, details);
    this.isSilent = !this.talk.hasMessages;
    this.draw();
    if (this.isSilent && !app.hasLanded && !tabInAddress()) app.showTab('timeline');
  }

  /** @param {Error} error */
  fail(error) {
    this.body.replaceChildren('The conversation cannot be read: ' + show(clip(error.message, 200)));
  }

  draw() {
    const top = this.body.scrollTop;
    const count = this.drawn;
    this.elements.clear();
    this.drawn = 0;
    this.body.replaceChildren();
    this.drawMore(Math.max(count, STEPS_AT_ONCE));
    this.drawBand();
    this.body.scrollTop = top;
    this.showSelected();
  }

  /** @param {number} count */
  drawMore(count) {
    const steps = this.talk?.steps ?? [];
    if (!steps.length)
      this.body.replaceChildren(
        make('p', { class: 'absent' }, 'No message of a model was recorded in this run.'),
      );
    const fresh = steps.slice(this.drawn, count).map((step) => this.stepView(step));
    this.body.append(...fresh);
    this.drawn += fresh.length;
    if (app.matches) for (const each of fresh) markSought(each, app.search.sought);
    this.watcher.disconnect();
    const last = this.body.lastElementChild;
    if (this.drawn < steps.length && last) this.watcher.observe(last);
  }

  /** Mark what the filter looks for in what is drawn. */
  mark() {
    if (!this.talk) return;
    clearMarks(this.body);
    if (app.matches) markSought(this.body, app.search.sought);
  }

  // ---- The band

  drawBand() {
    const turns = this.talk?.turns ?? [];
    const chips = turns.slice(0, MOST_CHIPS).map((node, at) => this.chip(node, at));
    this.band.hidden = turns.length < 2;
    this.count = make('span', { class: 'count' });
    this.band.replaceChildren(
      button('‹', () => app.stepCall(-1), 'Previous model call (J)'),
      button('›', () => app.stepCall(1), 'Next model call (j)'),
      this.count,
      make('span', { class: 'chips' }, ...chips),
    );
  }

  /** @param {number} node @param {number} at */
  chip(node, at) {
    const { model } = app;
    const time = formatTime(model.endOf(node) - model.start[node]);
    const title = [show(clip(model.nameOf(node), 80)), time, ...costFacts(node).map(show)].join(
      ' · ',
    );
    const chip = button(String(at + 1), () => app.select(node), `Call ${at + 1}: ${title}`);
    if (model.status[node] === FAILED) chip.classList.add('failed');
    return chip;
  }

  // ---- Finding a node

  /** Mark the selected node, and scroll to it. */
  showSelected() {
    for (const each of this.panel.querySelectorAll('.selected')) each.classList.remove('selected');
    const { talk } = this;
    if (!talk || app.selected < 0) return;
    const at = talk.turns.indexOf(app.selected);
    if (this.count) setText(this.count, at < 0 ? '' : `${at + 1} of ${talk.turns.length}`);
    const chip = this.band.querySelectorAll('.chips button')[at];
    chip?.classList.add('selected');
    chip?.scrollIntoView({ block: 'nearest', inline: 'nearest' });
    const element = this.elementOf(app.selected);
    element?.classList.add('selected');
    if (app.selected !== this.shown)
      (element?.querySelector('mark') ?? element)?.scrollIntoView({ block: 'nearest' });
    this.shown = app.selected;
  }

  /**
   * The element of a node, or of what is around it; drawn and unfolded when it is not yet.
   * @param {number} node
   */
  elementOf(node) {
    const path = new Set([...ancestors(app.model, node), node]); // from the outside in
    const top = this.talk?.steps.findIndex((step) => this.holds(step, path)) ?? -1;
    if (top >= this.drawn) this.drawMore(top + STEPS_AT_ONCE / 2);
    let found;
    let level = 0;
    for (const each of path) {
      const element = this.elements.get(each);
      const details = element?.querySelector(':scope > details');
      if (details instanceof HTMLDetailsElement && each !== node && level++ < DEEPEST_SHOWN)
        unfold(details);
      found = element ?? found;
    }
    return found;
  }

  /** @param {TalkStep} step @param {Set<number>} path */
  holds(step, path) {
    if (path.has(step.node)) return true;
    const calls = step.kind === 'turn' ? callsIn([...step.fresh, ...step.answer]) : [];
    return calls.some((call) => call.node !== undefined && path.has(call.node));
  }

  // ---- Steps

  /** @param {TalkStep} step @returns {HTMLElement} */
  stepView(step) {
    const element = this.drawStep(step);
    this.elements.set(step.node, element);
    return element;
  }

  /** @param {TalkStep} step */
  drawStep(step) {
    if (step.kind === 'turn') return this.turnView(step);
    if (step.kind === 'tool') return this.toolView(step);
    if (step.kind === 'agent') return this.agentView(step.node);
    return make(
      'article',
      { class: 'step' },
      make('p', {}, linkTo(step.node)),
      errorLineOf(step.node),
    );
  }

  /** @param {ToolStep} step */
  toolView({ call }) {
    return make('article', { class: 'step' }, this.callView(call));
  }

  /** @param {Turn} step */
  turnView({ node, fresh, carried, answer }) {
    const said = answer.map((message) => this.messageView(message));
    return make(
      'article',
      { class: 'step' },
      carriedView(carried),
      ...fresh.map((message) => this.messageView(message)),
      make(
        'p',
        { class: 'call-line' },
        linkTo(node, app.model.nameOf(node)),
        ' · ',
        isolated(factsOf(node)),
      ),
      ...(said.length || app.model.error[node]
        ? said
        : [make('p', { class: 'absent' }, 'no answer was recorded')]),
      errorLineOf(node),
    );
  }

  /** @param {ChatMessage} message */
  messageView(message) {
    const more = Object.entries(message.rest).filter(([, value]) => !isSmall(value));
    const names = more.map(([key]) => key).join(', ');
    const rest = folded(make('summary', {}, 'more: ', isolated(clip(names, 80))), () =>
      mappingView(Object.fromEntries(more)),
    );
    return messageFrame(message, () => [
      ...message.parts.map((part) => this.partView(part)),
      more.length ? rest : '',
    ]);
  }

  /** @param {MessagePart} part @returns {Child} */
  partView(part) {
    if (part.kind === 'call') return this.callView(part);
    if (part.kind === 'text') return this.textView(part.text);
    if (part.kind === 'media') return mediaView(part.url);
    if (part.kind === 'thinking')
      return folded(
        make('summary', { class: 'thinking' }, 'thinking: ', isolated(clip(part.text.trim(), 80))),
        () => [this.textView(part.text)],
      );
    return partView(part);
  }

  /** @param {string} text */
  textView(text) {
    return this.isRaw ? make('div', { class: 'value' }, stringView(text)) : proseView(text);
  }

  /**
   * A call of a tool, with its result beside it and what happened within.
   * @param {CallPart} call
   */
  callView(call) {
    const { node = -1, name, given } = call;
    const title = make('span', {}, '→ ', make('strong', {}, isolated(clip(name, 200))));
    const card = make('div', { class: 'card' }, make('div', { class: 'card-head' }, title));
    if (given !== undefined) card.append(make('div', { class: 'value' }, givenView(given)));
    if (node >= 0) {
      const facts = make('span', {}, linkTo(node, 'open'), ' ', isolated(factsOf(node)));
      card.firstElementChild?.append(facts);
      this.elements.set(node, card);
      card.append(...this.innerSteps(node));
    }
    const result = this.talk?.resultFor(call);
    if (result) card.append(this.resultView(result));
    if (node >= 0) append(card, [errorLineOf(node)]);
    return card;
  }

  /** @param {ResultPart} result */
  resultView({ value, failed }) {
    const isProse = typeof value === 'string' && !this.isRaw && value.includes('\n');
    const view = isProse ? proseView(value) : make('div', { class: 'value' }, valueView(value));
    return make(
      'div',
      { class: 'result' },
      failed ? make('b', { class: 'failed' }, '✖ ') : '← ',
      view,
    );
  }

  /** What an agent did, foldable. @param {number} node */
  agentView(node) {
    const steps = this.talk?.stepsOf(node) ?? [];
    if (this.talk && !steps.length) return this.toolView(this.talk.toolStep(node));
    const facts = `${counted(steps.length, 'step')} · ${rolledFactsOf(node)}`;
    const summary = make(
      'summary',
      {},
      make('b', {}, isolated(app.model.nameOf(node))),
      ' ',
      linkTo(node, 'open'),
      ' ',
      isolated(facts),
    );
    const details = this.foldedSteps(summary, steps);
    return make('article', { class: 'step agent' }, details, errorLineOf(node));
  }

  /** What happened within a tool: agents and calls of models of its own. @param {number} node */
  innerSteps(node) {
    const steps = this.talk?.stepsOf(node) ?? [];
    if (!steps.length) return [];
    return [
      this.foldedSteps(make('summary', {}, `inside: ${counted(steps.length, 'step')}`), steps),
    ];
  }

  /**
   * Steps within a step; unfolded where they are few, and not deep.
   * @param {HTMLElement} summary @param {TalkStep[]} steps
   */
  foldedSteps(summary, steps) {
    const details = folded(summary, () => {
      this.nesting++;
      const views = steps.map((step) => this.stepView(step));
      this.nesting--;
      return views;
    });
    const isAlone = this.talk?.steps.length === 1;
    const most = isAlone && !this.nesting ? FOLDED_ALONE_FROM : FOLDED_FROM;
    if (steps.length < most && this.nesting < UNFOLDED_LEVELS) unfold(details);
    return details;
  }

  toggleRaw() {
    this.isRaw = !this.isRaw;
    choices.set('raw', this.isRaw ? 'on' : 'off');
    this.showRaw();
    if (this.talk) this.draw();
  }

  showRaw() {
    byId('raw-button').setAttribute('aria-pressed', String(this.isRaw));
  }
}

/**
 * Ids, reasons and the like stand in the detail of a call, and not between messages.
 * @param {unknown} value
 */
function isSmall(value) {
  return JSON.stringify(value ?? '').length <= 100;
}

/** @param {ChatMessage[]} messages */
function callsIn(messages) {
  return messages.flatMap(({ parts }) => parts.filter((part) => part.kind === 'call'));
}

/**
 * Messages that a call carries along: counted, and shown again only when asked for.
 * @param {ChatMessage[]} carried
 */
function carriedView(carried) {
  if (!carried.length) return '';
  const title = `${counted(carried.length, 'message')} carried`;
  return make(
    'div',
    { class: 'carried' },
    folded(make('summary', {}, title), () => carried.map(messageView)),
  );
}

/** What a line says of a node after its name. @param {number} node */
function factsOf(node) {
  const { model } = app;
  const time = formatTime(model.endOf(node) - model.start[node]);
  const facts = costFacts(node).filter((fact) => !model.nameOf(node).includes(fact));
  return [...facts, model.isOpen(node) ? `open for ${time}` : time].join(' · ');
}

/** Time, tokens and cost of a node with all below it. @param {number} node */
function rolledFactsOf(node) {
  const { model, rolled } = app;
  return [
    rolled.tokens[node] ? formatTokens(rolled.tokens[node]) + ' tok' : '',
    rolled.cost[node] >= 0 ? formatCost(rolled.cost[node]) : '',
    formatTime(model.endOf(node) - model.start[node]),
  ]
    .filter(Boolean)
    .join(' · ');
}

/** The error of a node where it happened. @param {number} node */
function errorLineOf(node) {
  const { model } = app;
  const text = model.strings[model.error[node]];
  if (!text && model.status[node] !== FAILED) return '';
  return make(
    'p',
    { class: 'error' },
    make('b', { class: 'failed' }, '✖ '),
    isolated(text || 'failed'),
  );
}

const MOST_ASKED = 400; // speakers of a live run whose details are asked for

/**
 * Read what speakers gave and got; of a live run from its server, one after the other.
 * @param {DetailSource} source @param {Model} model
 */
async function detailsOfSpeakers(source, model) {
  /** @type {Map<number, Detail>} */
  const details = new Map();
  const take = (/** @type {number} */ node, /** @type {Detail} */ detail) =>
    details.set(node, withTold(model, node, detail));
  if (source instanceof LiveDetails) {
    const speakers = nodesWhere(model, (node) => isSpeaker(model, node));
    for (const node of speakers.slice(-MOST_ASKED))
      take(node, await source.of(node).catch(() => ({})));
  }
  await source.each((first, text) => {
    /** @type {Detail[]} */
    const block = JSON.parse(text);
    block.forEach((detail, at) => isSpeaker(model, first + at) && take(first + at, detail));
  });
  return details;
}
