// ---- Opening a file -----------------------------------------------------------------------------

/** Show the parts that speak of a run, or the area for opening one. @param {boolean} hasRun */
function showParts(hasRun) {
  /** @type {(keyof PageElements)[]} */
  const parts = ['main', 'search', 'overview', 'footer'];
  for (const part of parts) byId(part).hidden = !hasRun;
  byId('drop').hidden = hasRun;
}

function showDropArea() {
  showParts(false);
  byId('file').addEventListener('change', () => openFile(byId('file').files?.[0]));
}

/** @param {File | undefined} file */
async function openFile(file) {
  if (!file) return;
  try {
    const builder = readTraceFile(await file.text());
    app.open(builder.model, new RecordDetails(builder.details));
    await app.conversation.reading;
    app.land();
  } catch (error) {
    byId('drop').hidden = false;
    const { message } = /** @type {Error} */ (error);
    setText(byId('drop-problem'), show(`${file.name}: ${clip(message, 200)}`));
  }
}

function acceptDrops() {
  document.addEventListener('dragover', (event) => {
    event.preventDefault();
    document.body.classList.add('dragging');
  });
  document.addEventListener('dragleave', () => document.body.classList.remove('dragging'));
  document.addEventListener('drop', (event) => {
    event.preventDefault();
    document.body.classList.remove('dragging');
    openFile(event.dataTransfer?.files[0]);
  });
}
