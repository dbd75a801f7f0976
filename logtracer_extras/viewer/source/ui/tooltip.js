// ---- Tooltip ------------------------------------------------------------------------------------

/** What the pointer is on; every fact of it stands in the detail panel too. */
class Tooltip {
  /** @param {HTMLElement} element */
  constructor(element) {
    this.element = element;
  }

  /** @param {number} node @param {MouseEvent} event */
  over(node, event) {
    clearTimeout(this.timer);
    if (node < 0) this.hide();
    else this.timer = setTimeout(() => this.show(this.describe(node), event), 80);
  }

  /** @param {number} node */
  describe(node) {
    const { model } = app;
    const parts = [formatTime(model.endOf(node) - model.start[node])];
    if (model.tokensOf(node)) parts.push(formatTokens(model.tokensOf(node)) + ' tokens');
    if (model.cost[node] >= 0) parts.push(formatCost(model.cost[node]));
    const error = model.strings[model.error[node]];
    return [
      show(clip(nodeTitle(model, node), 120)),
      `${model.statusOf(node)} · ${parts.join(' · ')}`,
      show(clip(error, 160)),
    ]
      .filter(Boolean)
      .join('\n');
  }

  /** @param {string} text @param {MouseEvent} event */
  show(text, event) {
    this.element.hidden = !text;
    setText(this.element, text);
    const box = this.element.getBoundingClientRect();
    this.element.style.left =
      Math.max(4, Math.min(event.clientX + 12, innerWidth - box.width - 8)) + 'px';
    this.element.style.top =
      Math.max(4, Math.min(event.clientY + 16, innerHeight - box.height - 8)) + 'px';
  }

  hide() {
    clearTimeout(this.timer);
    this.element.hidden = true;
  }
}
