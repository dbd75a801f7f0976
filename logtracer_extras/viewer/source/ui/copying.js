// ---- Copying ------------------------------------------------------------------------------------

/** @param {number} node */
async function copyNode(node) {
  const { model } = app;
  const detail = await app.detailOf(node);
  const record = {
    id: model.ids[node],
    name: model.nameOf(node),
    node_type: model.typeOf(node),
    status: model.statusOf(node),
    parent_id: model.parent[node] < 0 ? null : model.ids[model.parent[node]],
    start_microseconds: model.start[node],
    duration_ms: model.isOpen(node) ? null : model.duration[node] / 1000,
    ...detail,
  };
  copyText(JSON.stringify(record, null, 2));
}

/** @param {number} node */
function copyPath(node) {
  const path = [...ancestors(app.model, node), node].map((each) => app.model.nameOf(each));
  copyText(path.join(' / '));
}

function copyLink() {
  app.rememberPlace();
  copyText(location.href);
}

/** @param {number} node */
function copyCommand(node) {
  const safe = /^[\w-]+$/;
  const [trace, id] = [app.model.head.traceId ?? '', app.model.ids[node]];
  // Ids from a foreign file could carry shell syntax; those are not made into a command.
  if (safe.test(trace) && safe.test(id)) copyText(`logtracer inspect ${trace} --node ${id}`);
  else app.announce('The ids of this trace are not safe on a command line');
}

/** @param {string} text */
async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    app.announce('Copied');
  } catch {
    // a page from a file may not use the clipboard
    byId('copy-text').value = text;
    byId('copy-dialog').showModal();
    byId('copy-text').select();
  }
}
