// ---- Splitters ----------------------------------------------------------------------------------

/**
 * Let a separator change the width of a panel, by dragging and by arrow keys.
 * @param {'left-splitter' | 'right-splitter'} id @param {string} property @param {number} sign
 */
function makeSplitter(id, property, sign) {
  const splitter = byId(id);
  const set = (/** @type {number} */ percent) => {
    const width = Math.max(15, Math.min(60, percent));
    splitter.setAttribute('aria-valuenow', String(Math.round(width)));
    byId('main').style.setProperty(property, width + '%');
    choices.set(id, String(width));
    app.drawSoon();
  };
  const now = () => Number(splitter.getAttribute('aria-valuenow'));
  splitter.addEventListener('pointerdown', (event) => splitter.setPointerCapture(event.pointerId));
  splitter.addEventListener('pointermove', (event) => {
    if (!splitter.hasPointerCapture(event.pointerId)) return;
    const box = byId('main').getBoundingClientRect();
    const part = ((event.clientX - box.left) / box.width) * 100;
    set(sign > 0 ? part : 100 - part);
  });
  splitter.addEventListener('keydown', (event) => {
    const step = { ArrowLeft: -2, ArrowRight: 2 }[event.key];
    if (!step) return;
    event.preventDefault();
    set(now() + step * sign);
  });
  const remembered = Number(choices.get(id));
  if (remembered) set(remembered);
}
