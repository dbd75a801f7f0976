() => {
  const view = logtracerApp.timeline, canvas = view.canvas, ratio = canvas.width / canvas.clientWidth;
  const probe = document.createElement('canvas').getContext('2d');
  probe.fillStyle = logtracerApp.palette.error;
  probe.fillRect(0, 0, 1, 1);
  const wanted = probe.getImageData(0, 0, 1, 1).data.join();
  const hasRed = (y) => {
    const line = canvas.getContext('2d').getImageData(0, Math.floor(y * ratio), canvas.width, 1).data;
    for (let at = 0; at < line.length; at += 4) if (line.slice(at, at + 4).join() === wanted) return true;
    return false;
  };
  const { layout } = logtracerApp;
  const missing = [];
  for (let row = 0; row < layout.rows; row++) {
    if (layout.errorSum[layout.rowStart[row]] === layout.errorSum[layout.rowStart[row + 1]]) continue;
    view.reveal(layout.nodes[layout.rowStart[row]]);
    view.draw();
    const top = view.yOf(row);
    // Above the bars too: there only errors are drawn, so that they have a shape besides a colour.
    if (!hasRed(top + 1) || !hasRed(top + 10)) missing.push(row);
  }
  return { missing, rows: layout.rows };
}
