// ---- Live: a run that is still going on ---------------------------------------------------------

const LEAST_PAUSE = 250; // milliseconds between two updates of tree and layout
const SECOND = 1000; // milliseconds between two updates when only time has passed
const REFUSED_PAUSE = 2000; // milliseconds until a refused window asks again
const TALK_PAUSE = 2000; // milliseconds between two messages to a screen reader

/** Follows the journal of a run over server-sent events, and keeps the page up to date. */
class LiveLink {
  constructor() {
    this.isFollowing = true;
    this.failures = 0;
    byId('live-badge').addEventListener('click', () => this.toggleFollowing());
    byId('save-button').addEventListener('click', () => this.save());
    this.begin();
    this.connect();
    setInterval(() => this.tick(), LEAST_PAUSE);
  }

  connect() {
    this.source = new EventSource('/events'); // it reconnects, and says where it stopped, by itself
    this.source.addEventListener('message', (event) => this.take(JSON.parse(event.data)));
    this.source.addEventListener('beat', (event) => this.setClock(Number(event.data)));
    this.source.addEventListener('reset', () => this.begin());
    this.source.addEventListener('end', () => this.finish());
    this.source.addEventListener('abandoned', () => {
      this.builder.abandon();
      this.finish();
    });
    this.source.addEventListener('error', () => this.lose());
    this.source.addEventListener('open', () => this.regain());
  }

  begin() {
    app.steadyRows = new SteadyRows();
    this.builder = new ModelBuilder();
    this.places = [];
    this.taken = 0;
    this.isOpen = false;
    this.isStale = false;
    this.spoken = { at: 0, nodes: 0, errors: 0 };
    setText(byId('facts'), 'waiting for the first step');
    this.showBadge();
  }

  /**
   * Take a batch of `[place in the journal, event]` pairs.
   * @param {[place: number, event: JournalEvent][]} batch
   */
  take(batch) {
    for (const [place, event] of batch) {
      this.builder.addEvent(event);
      const node = this.builder.indexOf.get(event.node?.id ?? event.id ?? '');
      if (node !== undefined && event.node) this.places[node] = place;
      this.taken++;
    }
    this.isStale = true;
    if (this.builder.isFinished) this.finish();
  }

  /** Bring the page up to date, but rarely enough that reading stays possible. */
  tick() {
    if (this.isStale && performance.now() >= (this.nextUpdate ?? 0)) this.update();
    else if (this.isOpen && !this.isFinished) this.letTimePass();
  }

  update() {
    const began = performance.now();
    const { model } = this.builder;
    if (!model.count) return;
    this.isStale = false;
    if (!this.isFinished) this.readClock();
    model.wall = model.now;
    if (this.isOpen) app.grow();
    else this.openFirst();
    this.follow();
    this.showBadge();
    this.speak();
    // A large run takes longer to lay out: then it is laid out less often.
    this.nextUpdate = performance.now() + Math.max(LEAST_PAUSE, 4 * (performance.now() - began));
    this.nextSecond = Math.max(this.nextUpdate, began + SECOND);
  }

  openFirst() {
    this.isOpen = true;
    app.open(this.builder.model, new LiveDetails(this.places));
    app.land();
    byId('save-button').hidden = false;
    document.documentElement.dataset.painted = String(Math.round(performance.now()));
  }

  /** Open nodes grow with the server's clock: the browser's may be off. */
  readClock() {
    const { model, origin } = this.builder;
    if (!this.clock || origin === null) return;
    const server = this.clock.server + (performance.now() - this.clock.here);
    model.now = Math.max(model.now, (server - origin) * 1000);
  }

  letTimePass() {
    const { model } = this.builder;
    this.readClock();
    app.span = app.spanOf(model);
    stretchOpen(model, app.layout);
    this.follow();
    app.drawSoon();
    this.isStale = performance.now() >= this.nextSecond; // the tree and the sums tell the time too
  }

  /** @param {number} server */
  setClock(server) {
    this.clock = { server, here: performance.now() };
  }

  follow() {
    if (!this.isFollowing) return;
    const { from, to } = app.window;
    const wasWhole = this.lastSpan === undefined || to - from >= this.lastSpan * 0.99;
    this.lastSpan = app.span.to - app.span.from;
    if (wasWhole) app.setWindow(app.span.from, app.span.to);
    else app.setWindow(app.span.to - (to - from), app.span.to);
  }

  stopFollowing() {
    if (this.isFollowing) this.toggleFollowing();
  }

  toggleFollowing() {
    this.isFollowing = !this.isFollowing;
    this.showBadge();
  }

  showBadge() {
    const badge = byId('live-badge');
    badge.hidden = false;
    badge.setAttribute('aria-pressed', String(this.isFollowing));
    byId('compact-button').hidden = this.isFinished === true;
    const end = this.builder.isAbandoned ? 'interrupted' : 'finished';
    setText(badge, this.isFinished ? end : this.isFollowing ? 'live ●' : 'live ○');
  }

  finish() {
    if (this.isFinished) return;
    this.isFinished = true;
    this.source?.close();
    this.nextUpdate = 0;
    app.steadyRows = null;
    this.update();
    app.announce(`Run finished, ${formatCount(this.builder.model.count)} nodes`);
  }

  lose() {
    if (this.isFinished) return;
    this.failures++;
    byId('banner').hidden = false;
    if (this.source.readyState === EventSource.CLOSED) this.waitForRoom();
    else setText(byId('banner'), `Lost connection, retrying (${this.failures})`);
  }

  /** A browser gives up when it is refused, and forgets its place: ask again, from the start. */
  waitForRoom() {
    setText(
      byId('banner'),
      `The server is busy: four windows at most follow a run. Retrying (${this.failures})`,
    );
    setTimeout(() => {
      this.begin();
      this.connect();
    }, REFUSED_PAUSE);
  }

  regain() {
    this.failures = 0;
    byId('banner').hidden = true;
  }

  speak() {
    const now = performance.now();
    const { spoken } = this;
    const fresh = {
      nodes: app.model.count - spoken.nodes,
      errors: app.originList.length - spoken.errors,
    };
    if (now - spoken.at < TALK_PAUSE || !fresh.nodes) return;
    this.spoken = { at: now, nodes: app.model.count, errors: app.originList.length };
    const errors = fresh.errors ? `, ${fresh.errors} new error${fresh.errors > 1 ? 's' : ''}` : '';
    setText(byId('announcer'), `${formatCount(fresh.nodes)} new nodes${errors}`);
  }

  save() {
    const link = make('a', { download: 'run.html' });
    link.href = '/save'; // this page's own server writes the finished page
    link.click();
  }
}
