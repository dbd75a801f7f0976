// ---- Filter -------------------------------------------------------------------------------------

/** The search box: what it says, what it finds, and the buttons that write into it. */
class SearchBox {
  constructor() {
    this.input = byId('query');
    this.turn = 0;
    /** @type {TextValue[]} */
    this.sought = []; // texts to mark where they are shown
    this.markedFor = ''; // the filter whose texts are marked in the detail
    this.isRun = true; // the result is that of what the box says
    byId('search').addEventListener('submit', (event) => {
      event.preventDefault();
      this.enter();
    });
    this.input.addEventListener('input', () => this.later());
    byId('next-match').addEventListener('click', () => app.stepMatch(1));
    byId('previous-match').addEventListener('click', () => app.stepMatch(-1));
    byId('hide-others').addEventListener('change', () =>
      app.setHideOthers(byId('hide-others').checked),
    );
    byId('errors-button').addEventListener('click', () => this.toggleTerm('status:failed'));
  }

  /** Go to the first match, and leave the box, so that keys act again: `n` goes on. */
  async enter() {
    clearTimeout(this.timer);
    if (!this.isRun) await this.run();
    if (this.input.getAttribute('aria-invalid') === 'true') return;
    app.stepMatch(1);
    byId('tree').focus();
  }

  later() {
    this.isRun = false;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.run(), 80);
  }

  /** @param {string} text */
  set(text) {
    this.input.value = text;
    this.run();
  }

  /** Add a term to the filter, or take it out when it is there. @param {string} term */
  toggleTerm(term) {
    const terms = this.input.value.split(/\s+/).filter(Boolean);
    const without = terms.filter((each) => each !== term);
    this.set((without.length < terms.length ? without : [...terms, term]).join(' '));
  }

  /** Search the columns at once, then the details block by block; the newest search wins. */
  async run() {
    const turn = ++this.turn;
    const text = this.input.value.trim();
    let search = null;
    try {
      const query = text ? parseQuery(text) : null;
      search = query && new Search(query, app.facts());
      this.sought = query ? soughtTexts(query) : [];
    } catch (error) {
      this.complain(/** @type {Error} */ (error).message); // the last good result stays
      return;
    }
    this.complain('');
    const began = performance.now();
    app.setMatches(search ? search.matches() : null);
    this.tookColumns = performance.now() - began;
    if (search?.needsDetails) await this.searchDetails(search, turn);
    this.took = performance.now() - began;
    app.rememberPlace();
    if (turn !== this.turn) return;
    this.isRun = true;
    if (text === this.markedFor) return;
    this.markedFor = text;
    app.conversation.mark();
    if (app.selected >= 0) app.detail.refresh();
  }

  /** @param {Search} search @param {number} turn */
  async searchDetails(search, turn) {
    const began = performance.now();
    let rested = began;
    await app.details.each((first, block) => {
      if (turn !== this.turn) return false;
      search.addDetails(first, block);
      if (performance.now() - rested > 100) {
        rested = performance.now();
        setText(byId('match-count'), `searching ${Math.round((first / app.model.count) * 100)}%`);
      }
      return true;
    });
    if (turn === this.turn) app.setMatches(search.matches());
  }

  /** @param {string} message */
  complain(message) {
    this.input.setAttribute('aria-invalid', String(message !== ''));
    byId('query-problem').hidden = message === '';
    setText(byId('query-problem'), message);
  }

  /** One button for each type of node, most frequent first. */
  showTypes() {
    const { model } = app;
    const counts = new Int32Array(model.strings.length);
    for (let node = 0; node < model.count; node++) counts[model.type[node]]++;
    const types = [...counts.keys()]
      .filter((type) => counts[type])
      .sort((left, right) => counts[right] - counts[left])
      .slice(0, 10)
      .map((type) => model.strings[type]);
    byId('chips').replaceChildren(
      ...types.filter((type) => type !== 'trace').map((type) => this.chip(type)),
    );
    const errors = app.originList.length;
    byId('errors-button').hidden = app.errorList.length === 0;
    setText(byId('errors-button'), `✖ ${formatCount(errors)} ${errors === 1 ? 'error' : 'errors'}`);
  }

  /** @param {string} type */
  chip(type) {
    const swatch = make('span', { class: 'swatch', 'aria-hidden': 'true' });
    swatch.style.background = app.palette.ofType(type);
    const term = /^[\w.-]+$/.test(type) ? `type:${type}` : `type:${JSON.stringify(type)}`;
    return make(
      'button',
      { type: 'button', onclick: () => this.toggleTerm(term) },
      swatch,
      isolated(clip(type, 24)),
    );
  }
}
