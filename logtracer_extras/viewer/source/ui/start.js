// ---- Start --------------------------------------------------------------------------------------

/** @type {App} */
let app; // made by `start`

async function start() {
  app = new App();
  setTheme(
    choices.get('theme') ?? (matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light'),
  );
  app.palette.read();
  app.build();
  connectControls();
  window.logtracerApp = app; // for tests and the curious
  if (document.getElementById('logtracer-live')) {
    app.live = new LiveLink();
    return;
  }
  const text = await readBlock('logtracer-head', LARGEST_HEAD);
  if (text === null) showDropArea();
  else await openEmbedded(JSON.parse(text));
}

/** @param {Head} head */
async function openEmbedded(head) {
  const model = Model.fromHead(head);
  app.open(
    model,
    new EmbeddedDetails(model),
    head.comparison ? new Comparison(model, head.comparison) : null,
  );
  await painted();
  document.documentElement.dataset.painted = String(Math.round(performance.now()));
  model.ids = readIds((await readBlock('logtracer-ids', LARGEST_HEAD)) ?? '[]', head.idLength);
  if (app.diff)
    app.diff.fields = JSON.parse((await readBlock('logtracer-changes', LARGEST_HEAD)) ?? '{}');
  await app.conversation.reading;
  app.land();
  if (app.selected < 0) app.detail.refresh();
}

/** Wait until what was changed is on the screen. */
function painted() {
  return new Promise((later) => requestAnimationFrame(() => setTimeout(later)));
}

/** Wait until the browser has nothing more urgent to do, but not for long. */
function idle() {
  return new Promise((later) => {
    if ('requestIdleCallback' in window) requestIdleCallback(later, { timeout: 200 });
    else setTimeout(later, 50);
  });
}

function connectControls() {
  document.addEventListener('keydown', onKey);
  for (const tab of TABS) byId(`${tab}-tab`).addEventListener('click', () => app.showTab(tab));
  byId('critical-button').addEventListener('click', () => app.toggleCritical());
  byId('compact-button').addEventListener('click', () => app.compact());
  byId('align-button').addEventListener('click', () => app.alignNext());
  byId('raw-button').addEventListener('click', () => app.conversation.toggleRaw());
  byId('weight-button').addEventListener('click', () => app.flame.nextWeight());
  byId('help-button').addEventListener('click', () => byId('help').showModal());
  byId('theme-button').addEventListener('click', () => app.toggleTheme());
  byId('detail-button').addEventListener('click', () => app.toggleSummary());
  addEventListener('hashchange', () => app.model && app.land());
  makeSplitter('left-splitter', '--tree-width', 1);
  makeSplitter('right-splitter', '--detail-width', -1);
  fillHelp();
  acceptDrops();
}

/** Say on the page itself what went wrong: a blank page helps nobody. @param {unknown} error */
function fail(error) {
  showDropArea();
  setText(byId('drop-problem'), 'This page cannot be shown: ' + show(clip(String(error), 300)));
}

start().catch(fail);
