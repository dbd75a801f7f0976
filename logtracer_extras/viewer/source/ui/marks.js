// ---- Marks: what the filter looks for, where it is shown ----------------------------------------

const MOST_MARKS = 1000; // in one panel
const MOST_OPENED = 300; // folded parts that are looked into

/**
 * Mark in a panel what the filter looks for, opening what is folded around it; returns the first
 * mark. @param {HTMLElement} root @param {TextValue[]} sought @returns {HTMLElement | null}
 */
function markSought(root, sought) {
  if (!sought.length) return null;
  lookIntoFolded(root, sought);
  let count = 0;
  for (const node of textNodes(root)) {
    if (count >= MOST_MARKS) break;
    const places = mergedPlaces(sought.flatMap((each) => placesOf(node.data, each)));
    count += places.length;
    for (const [first, stop] of places.reverse()) {
      node.splitText(stop);
      const mark = make('mark');
      const found = node.splitText(first);
      found.replaceWith(mark);
      mark.append(found);
    }
  }
  const marks = /** @type {NodeListOf<HTMLElement>} */ (root.querySelectorAll('mark'));
  for (const mark of marks) openAround(mark, root);
  return marks[0] ?? null;
}

/** Take the marks of an earlier filter away. @param {HTMLElement} root */
function clearMarks(root) {
  for (const mark of root.querySelectorAll('mark')) mark.replaceWith(...mark.childNodes);
  root.normalize();
}

/**
 * Fill what is folded, and show the rest of texts that hold it.
 * @param {HTMLElement} root @param {TextValue[]} sought
 */
function lookIntoFolded(root, sought) {
  const seen = new Set();
  for (let left = MOST_OPENED; left > 0; left--) {
    const next = [...root.querySelectorAll('details')].find((each) => !seen.has(each));
    if (!next) break;
    seen.add(next);
    lazily.get(next)?.();
  }
  for (const box of root.querySelectorAll('.text')) {
    const rest = cutTexts.get(box);
    if (rest && sought.some((each) => placesOf(rest.text, each).length)) rest.showAll();
  }
}

/** @param {HTMLElement} root */
function textNodes(root) {
  const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
  /** @type {Text[]} */
  const nodes = [];
  while (walker.nextNode()) {
    const node = /** @type {Text} */ (walker.currentNode);
    if (!node.parentElement?.closest('button:not(.link)')) nodes.push(node);
  }
  return nodes;
}

/**
 * Sort places and drop those that overlap one before.
 * @param {[first: number, stop: number][]} places
 */
function mergedPlaces(places) {
  places.sort(([left], [right]) => left - right);
  let end = 0;
  return places.filter(([first, stop]) => {
    const isFree = first >= end;
    if (isFree) end = stop;
    return isFree;
  });
}

/** @param {HTMLElement} mark @param {HTMLElement} root */
function openAround(mark, root) {
  for (let above = mark.parentElement; above && above !== root; above = above.parentElement)
    if (above instanceof HTMLDetailsElement) above.open = true;
}
