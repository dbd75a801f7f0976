// ---- Detail panel -------------------------------------------------------------------------------

/** Everything known about the selected node, or a summary of the run. */
class DetailView {
  /** @param {HTMLElement} panel */
  constructor(panel) {
    this.panel = panel;
    this.turn = 0; // of the newest selection: slower answers for older ones are dropped
  }

  async refresh() {
    const turn = ++this.turn;
    const node = app.selected;
    this.panel.classList.toggle('open', node >= 0 || app.showsSummary);
    if (node < 0) {
      await idle(); // sums over the whole run can wait for the first picture
      if (turn === this.turn) this.panel.replaceChildren(...this.summary());
      return;
    }
    const detail = await app.detailOf(node).catch((error) => ({ problem: error.message }));
    if (turn !== this.turn) return;
    this.panel.replaceChildren(...this.describe(node, detail));
    const mark = app.matches?.[node] ? markSought(this.panel, app.search.sought) : null;
    requestAnimationFrame(() => {
      if (mark) mark.scrollIntoView({ block: 'center' });
      else this.panel.scrollTop = 0;
    });
  }

  /** @param {number} node @param {Detail} detail */
  describe(node, detail) {
    const { model } = app;
    const status = model.statusOf(node);
    return [
      make('button', { type: 'button', class: 'close', onclick: () => app.select(-1) }, '✕ Close'),
      this.path(node),
      make(
        'h2',
        {},
        make('span', { class: status, 'aria-hidden': 'true' }, GLYPHS[status] + ' '),
        isolated(model.nameOf(node)),
      ),
      make(
        'p',
        { class: 'id' },
        isolated(model.typeOf(node)),
        ' · ',
        isolated(model.ids[node] ?? ''),
      ),
      make('p', {}, make('span', { class: status }, status), ' · ', this.factLine(node)),
      detail.problem
        ? make('p', { class: 'error' }, 'The details cannot be read: ', isolated(detail.problem))
        : '',
      ...this.error(detail),
      this.buttons(node),
      ...(app.diff ? app.diff.describe(node) : []),
      ...this.texts('Notes', detail.annotations),
      ...this.section('Output', detail.output_data),
      ...this.section('Input', detail.input_data),
      make('h3', {}, 'Facts'),
      this.facts(node),
      ...this.section('Attributes', detail.metadata),
      ...this.connections(node),
      ...this.childCounts(node),
    ];
  }

  /** @param {number} node */
  path(node) {
    const above = ancestors(app.model, node);
    const shown = above.length > 8 ? [...above.slice(0, 3), -1, ...above.slice(-4)] : above;
    const parts = shown.flatMap((each) => [
      each < 0 ? `… ${above.length - 7} more …` : linkTo(each, app.model.nameOf(each)),
      ' › ',
    ]);
    return make('nav', { 'aria-label': 'Parents' }, ...parts);
  }

  /** The facts that one looks for first, in a line. @param {number} node */
  factLine(node) {
    const { model } = app;
    const time = formatTime(model.endOf(node) - model.start[node]);
    return isolated(
      [model.isOpen(node) ? `open for ${time}` : time, ...costFacts(node)].join(' · '),
    );
  }

  /** @param {Detail} detail */
  error(detail) {
    if (!detail.error && !detail.error_type) return [];
    const box = make(
      'div',
      { class: 'error' },
      make('b', { class: 'failed' }, '✖ Error: ', isolated(detail.error_type ?? '')),
    );
    if (detail.error) box.append(longText(detail.error));
    if (detail.error_traceback)
      box.append(
        make('details', {}, make('summary', {}, 'Traceback'), longText(detail.error_traceback)),
      );
    return [box];
  }

  /** @param {number} node */
  buttons(node) {
    return make(
      'div',
      { class: 'buttons' },
      button('Copy JSON', () => copyNode(node)),
      button('Copy path', () => copyPath(node)),
      button('Copy link', () => copyLink()),
      button('Copy as command', () => copyCommand(node)),
    );
  }

  /** @param {number} node */
  facts(node) {
    const { model, rolled, edges } = app;
    const started = Date.parse(model.head.started ?? '');
    const known = (/** @type {number} */ value, /** @type {(value: number) => string} */ format) =>
      value >= 0 ? format(value) : null;
    const rolledTokens =
      rolled.tokens[node] && rolled.tokens[node] !== model.tokensOf(node)
        ? formatCount(rolled.tokens[node])
        : null;
    return definitions([
      [
        'starts at',
        formatTime(model.start[node]) +
          (started ? ` · ${new Date(started + model.start[node] / 1000).toISOString()}` : ''),
      ],
      ['own time', formatTime(app.selves[node])],
      ['tokens in', known(model.tokensIn[node], formatCount)],
      ['tokens out', known(model.tokensOut[node], formatCount)],
      ['cached', known(model.cached[node], formatCount)],
      ['tokens with all below', rolledTokens],
      ['cost', known(model.cost[node], formatCost)],
      [
        'cost with all below',
        rolled.cost[node] >= 0 && model.cost[node] < 0 ? formatCost(rolled.cost[node]) : null,
      ],
      ['model', model.strings[model.model[node]] || null],
      ['answered by', model.strings[model.answeredBy[node]] || null],
      ['attempt', edges.attempts.get(node) ?? null],
      ['lane', app.lanes.labels[app.lanes.laneOf[node]]],
    ]);
  }

  /** @param {string} title @param {Record<string, unknown> | null | undefined} value */
  section(title, value) {
    return value
      ? [make('h3', {}, title), make('div', { class: 'value' }, ...mappingView(value))]
      : [];
  }

  /** @param {string} title @param {unknown[] | undefined} values */
  texts(title, values) {
    return values ? [make('h3', {}, title), ...values.map((value) => longText(String(value)))] : [];
  }

  /**
   * The edges of a node as text: what the arrows say, for keyboard and screen reader.
   * @param {number} node
   */
  connections(node) {
    /** @type {[text: string, other: number, label: string][]} */
    const lines = [];
    for (const edge of app.edges.incoming.get(node) ?? [])
      lines.push([edgeText(edge, true), edge.source, edge.label]);
    for (const edge of app.edges.outgoing.get(node) ?? [])
      lines.push([edgeText(edge, false), edge.target, edge.label]);
    if (!lines.length) return [];
    const items = lines
      .slice(0, 200)
      .map(([text, other, label]) =>
        make('li', {}, text, ' ', linkTo(other), label ? ': ' : '', isolated(label)),
      );
    return [make('h3', {}, 'Connections'), make('ul', { class: 'plain' }, ...items)];
  }

  /** @param {number} node */
  childCounts(node) {
    const { tree, model } = app;
    const counts = new Map();
    for (let at = tree.childStart[node]; at < tree.childStart[node + 1]; at++) {
      const type = model.typeOf(tree.childList[at]);
      counts.set(type, (counts.get(type) ?? 0) + 1);
    }
    if (!counts.size) return [];
    return [
      make('h3', {}, 'Children'),
      definitions([...counts].map(([type, count]) => [type, formatCount(count)])),
    ];
  }

  // ---- No selection: the run

  summary() {
    const { model, selves } = app;
    const slowest = largest(app.leaves(), (node) => selves[node], 5);
    return [
      make('h2', {}, isolated(model.head.name || 'Run')),
      make('p', { class: 'id' }, isolated(model.head.traceId ?? '')),
      make('h3', {}, 'Totals'),
      definitions(app.totals()),
      ...this.listOf('First errors', app.originList.slice(0, 5), (node) =>
        clip(model.strings[model.error[node]].split('\n')[0], 120),
      ),
      ...this.listOf('Slowest steps', slowest, (node) => formatTime(selves[node])),
      ...this.models(),
      ...this.section('Attributes', hasContent(model.head.metadata) ? model.head.metadata : null),
    ];
  }

  /** The models that were asked, the busiest first. */
  models() {
    const { model } = app;
    const groups = app.modelGroups().slice(0, 5);
    /** @type {Total[]} */
    const sums = groups.map((group) => [
      model.strings[model.model[group.first]],
      [
        `${formatCount(group.count)} ×`,
        formatTime(group.total),
        `${formatTokens(group.tokensIn + group.tokensOut)} tok`,
        group.cost >= 0 ? formatCost(group.cost) : '',
      ]
        .filter(Boolean)
        .join(' · '),
    ]);
    return groups.length ? [make('h3', {}, 'Models'), definitions(sums)] : [];
  }

  /**
   * @param {string} title @param {number[]} nodes @param {(node: number) => string} explain
   */
  listOf(title, nodes, explain) {
    if (!nodes.length) return [];
    const items = nodes.map((node) => make('li', {}, linkTo(node), ' ', isolated(explain(node))));
    return [make('h3', {}, title), make('ul', { class: 'plain' }, ...items)];
  }
}

/** The model of a call, its tokens and its cost, as far as they are known. @param {number} node */
function costFacts(node) {
  const { model } = app;
  const [input, output] = [model.tokensIn[node], model.tokensOut[node]];
  const known = (/** @type {number} */ count) => (count >= 0 ? formatTokens(count) : '?');
  return [
    model.strings[model.model[node]],
    input >= 0 || output >= 0 ? `${known(input)} → ${known(output)} tok` : '',
    model.cost[node] >= 0 ? formatCost(model.cost[node]) : '',
  ].filter(Boolean);
}

/** @param {Edge} edge @param {boolean} isIncoming */
function edgeText({ kind, source, target }, isIncoming) {
  if (kind === RETRY) return isIncoming ? retryText(source, target) : '↻ retried by';
  if (kind === FALLBACK) return isIncoming ? fallbackText(source, target) : '⇢ fell back to';
  if (kind === DATA_FLOW) return isIncoming ? '⋯ feeds from' : '⋯ feeds into';
  return isIncoming ? `→ ${show(kind)} from` : `→ ${show(kind)} to`;
}

/** @param {number} source @param {number} target */
function retryText(source, target) {
  const { model, edges } = app;
  const attempt = edges.attempts.get(target) ?? 2;
  const waited = formatTime(model.start[target] - model.endOf(source));
  return `↻ attempt ${attempt} of ${attempt + retriesAfter(target)}, waited ${waited}, retry of`;
}

/** Count the retries that followed; edges of a stranger may go in a circle. @param {number} node */
function retriesAfter(node) {
  const seen = new Set([node]);
  for (const each of seen)
    for (const edge of app.edges.outgoing.get(each) ?? [])
      if (edge.kind === RETRY) seen.add(edge.target);
  return seen.size - 1;
}

/** @param {number} source @param {number} target */
function fallbackText(source, target) {
  const { model, edges } = app;
  const tries = edges.attempts.get(source) ?? 1;
  const models = [source, target].map((node) => show(model.strings[model.model[node]]));
  const change = models.every(Boolean) ? `, ${models.join(' → ')},` : '';
  return `⇢ fallback after ${tries} attempt${tries > 1 ? 's' : ''}${change} of`;
}

/** @param {string} text @param {Action} onclick @param {string} [name] */
function button(text, onclick, name = '') {
  const element = make('button', { type: 'button', onclick }, text);
  if (!name) return element;
  setAttribute(element, 'title', name);
  setAttribute(element, 'aria-label', name);
  return element;
}

/** @param {[name: string, value: string | number | null][]} pairs */
function definitions(pairs) {
  const known = pairs.filter(([, value]) => value !== null && value !== '');
  return make(
    'dl',
    {},
    ...known.flatMap(([name, value]) => [
      make('dt', {}, isolated(name)),
      make('dd', {}, isolated(String(value))),
    ]),
  );
}

/** @param {object | null | undefined} value */
function hasContent(value) {
  return value && Object.keys(value).length > 0;
}

/**
 * Return the few nodes for which a number is largest, without sorting all.
 * @param {number[]} nodes @param {NumberOf} numberOf @param {number} few
 */
function largest(nodes, numberOf, few) {
  const best = [];
  for (const node of nodes) {
    if (best.length === few && numberOf(node) <= numberOf(best[few - 1])) continue;
    best.push(node);
    best.sort((left, right) => numberOf(right) - numberOf(left));
    best.length = Math.min(best.length, few);
  }
  return best;
}
