// ---- Reading what the page carries --------------------------------------------------------------

const LARGEST_HEAD = 400e6; // characters; V8's strings end at about 512 million
const LARGEST_CHUNK = 64e6; // bytes of one unpacked block of details

/**
 * Return the text of a data block, unpacked when it is packed; null when the page has none.
 * @param {string} id @param {number} limit
 */
async function readBlock(id, limit) {
  const block = document.getElementById(id);
  if (!(block instanceof HTMLScriptElement)) return null;
  if (block.type === 'application/json') return block.textContent;
  return unpack(fromBase64(block.textContent.trim()), limit);
}

const MOST_KEPT = 64e6; // characters of unpacked details that are kept for the next search

/** The details of nodes, in blocks that are unpacked when one of them is first looked at. */
class EmbeddedDetails {
  /** @param {Model} model */
  constructor(model) {
    this.model = model;
    this.firsts = model.head.blocks ?? []; // the first node of each block
    /** @type {Map<number, Promise<string>>} */
    this.kept = new Map(); // number of a block to the promise of its text
    this.keptSize = 0;
  }

  /** @param {number} node */
  async of(node) {
    const block = firstSlot(this.firsts, 0, this.firsts.length, (first) => first > node) - 1;
    const detail = JSON.parse(await this.text(block))[node - this.firsts[block]];
    return withTold(this.model, node, detail);
  }

  /**
   * Return the text of a block; it is unpacked once, and kept while there is room.
   * @param {number} block
   */
  text(block) {
    let text = this.kept.get(block);
    if (!text) {
      text = readBlock('logtracer-details-' + block, LARGEST_CHUNK).then((unpacked) =>
        this.count(unpacked ?? '[]'),
      );
      this.kept.set(block, text);
    }
    return text;
  }

  /** @param {string} text */
  count(text) {
    this.keptSize += text.length;
    if (this.keptSize > MOST_KEPT) {
      this.kept.clear();
      this.keptSize = 0;
    }
    return text;
  }

  /**
   * Hand the JSON of every block to `visit(firstNode, text)`, in order, until it returns false.
   * @param {(first: number, text: string) => boolean | void} visit
   */
  async each(visit) {
    for (let block = 0; block < this.firsts.length; block++) {
      // The next ones unpack beside this one, which is being searched.
      for (let ahead = 1; ahead <= 4 && block + ahead < this.firsts.length; ahead++)
        this.text(block + ahead);
      if (visit(this.firsts[block], await this.text(block)) === false) return;
    }
  }
}

/** The same for a file that was dropped: all records are at hand. */
class RecordDetails {
  /** @param {NodeRecord[]} records */
  constructor(records) {
    this.records = records;
  }

  /** @param {number} node */
  async of(node) {
    return detailOf(this.records[node] ?? {});
  }

  /** @param {(first: number, text: string) => boolean | void} visit */
  async each(visit) {
    visit(0, JSON.stringify(this.records.map(detailOf)));
  }
}

/** The same for a live page: asks its own server for the record at a place of the journal. */
class LiveDetails {
  /** @param {number[]} places */
  constructor(places) {
    this.places = places; // by node: offset of its last record
    /** @type {Map<number, Promise<Detail>>} */
    this.known = new Map(); // by offset
  }

  /** @param {number} node */
  of(node) {
    const place = this.places[node];
    const known = this.known.get(place) ?? this.ask(place);
    this.known.set(place, known);
    known.catch(() => this.known.delete(place)); // it may be there the next time
    return known;
  }

  /** @param {number} place @returns {Promise<Detail>} */
  async ask(place) {
    const answer = await fetch('/detail/' + place); // a number that this page was told
    if (!answer.ok) throw new Error(`the server answered ${answer.status}`);
    const event = await answer.json();
    return detailOf(event.node ?? event);
  }

  async each() {
    // A running trace is searched by its columns: its details stay on the server.
  }
}
