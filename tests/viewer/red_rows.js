() => {
  const view = logtracerApp.timeline, canvas = view.canvas, ratio = canvas.width / canvas.clientWidth;
  const probe = document.createElement('canvas').getContext('2d');
  probe.fillStyle = logtracerApp.palette.error;
  probe.fillRect(0, 0, 1, 1);
  const wanted = probe.getImageData(0, 0, 1, 1).data.join();
  const { layout, model } = logtracerApp;
  const missing = [];
  for (let row = 0; row < layout.rows; row++) {
    if (layout.errorSum[layout.rowStart[row]] === layout.errorSum[layout.rowStart[row + 1]]) continue;
    view.reveal(layout.nodes[layout.rowStart[row]]);
    view.draw();
    const y = Math.floor((view.yOf(row) + 10) * ratio);
    const line = canvas.getContext('2d').getImageData(0, y, canvas.width, 1).data;
    let isRed = false;
    for (let at = 0; at < line.length && !isRed; at += 4) isRed = line.slice(at, at + 4).join() === wanted;
    if (!isRed) missing.push(row);
  }
  return { missing, rows: layout.rows };
}
