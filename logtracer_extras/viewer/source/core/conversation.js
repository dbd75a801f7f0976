// ---- Conversation: what was said in a run, in one order of reading, each message once -----------

// A run's model calls repeat what was said before: the input of a call is the transcript so far.
// Here each message stands where it was first said; a later call only counts what it carries. The
// result of a tool stands beside its call, and what an agent or a tool did inside stands within it.

const TOOL_TYPES = ['tool_call', 'retrieval', 'human_input'];
const TOP = -1; // the conversation of the run itself

/**
 * Tell whether a node takes part in a conversation, so that its details are needed.
 * @param {Model} model @param {number} node
 */
function isSpeaker(model, node) {
  const type = model.typeOf(node);
  return type === 'llm_call' || isAgent(model, node) || TOOL_TYPES.includes(type);
}

/** Puts the conversation of a run together, from its tree and the details of its speakers. */
class Conversation {
  /** @param {Model} model @param {Tree} tree @param {Map<number, Detail>} details */
  constructor(model, tree, details) {
    this.model = model;
    this.tree = tree;
    this.details = details;
    /** @type {Map<number, Talk>} */
    this.talks = new Map([[TOP, newTalk()]]); // by agent or tool, and that of the run
    /** @type {Map<number, number>} */
    this.within = new Map(); // by node: the agent or tool that it is shown in
    /** @type {number[]} */
    this.turns = []; // the model calls that are shown, in their order
    this.answers = new Set(); // keys of what models said, anywhere in the run
    const origins = new Set(failureOrigins(model));
    const wrappers = this.findWrappers();
    for (const node of tree.order) this.take(node, wrappers, origins);
  }

  get steps() {
    return this.stepsOf(TOP);
  }

  /** Tell whether anything was said. */
  get hasMessages() {
    return [...this.talks.values()].some(({ said }) => said.size > 0);
  }

  /** What is shown within an agent or a tool. @param {number} node */
  stepsOf(node) {
    return this.talks.get(node)?.steps ?? [];
  }

  /** Model calls that are another one seen from a layer above: the one within says the same. */
  findWrappers() {
    const { model, tree, details } = this;
    const wrappers = new Uint8Array(model.count);
    const holds = new Uint8Array(model.count); // a model call with an answer is below
    for (let at = tree.order.length - 1; at >= 0; at--) {
      const node = tree.order[at];
      const isCall = model.typeOf(node) === 'llm_call';
      if (isCall && holds[node]) wrappers[node] = 1;
      const speaks = isCall && messagesIn(details.get(node)?.output_data, 'assistant').length > 0;
      const above = model.parent[node];
      if (above >= 0 && (speaks || (holds[node] && !this.isContainer(node)))) holds[above] = 1;
    }
    return wrappers;
  }

  /** @param {number} node */
  isContainer(node) {
    return isAgent(this.model, node) || TOOL_TYPES.includes(this.model.typeOf(node));
  }

  /** @param {number} node @param {Uint8Array} wrappers @param {Set<number>} origins */
  take(node, wrappers, origins) {
    const { model } = this;
    const above = model.parent[node];
    const place =
      above < 0 ? TOP : this.isContainer(above) ? above : (this.within.get(above) ?? TOP);
    this.within.set(node, place);
    const talk = /** @type {Talk} */ (this.talks.get(place));
    if (this.isContainer(node)) {
      this.talks.set(node, newTalk());
      if (isAgent(model, node)) talk.steps.push({ kind: 'agent', node });
      else if (!this.isAnswering(node, talk)) talk.steps.push(this.toolStep(node));
    } else if (model.typeOf(node) === 'llm_call' && !wrappers[node]) {
      talk.steps.push(this.turn(node, talk));
      this.turns.push(node);
    } else if (origins.has(node)) talk.steps.push({ kind: 'failure', node });
  }

  // ---- Model calls

  /** @param {number} node @param {Talk} talk @returns {Turn} */
  turn(node, talk) {
    const { input_data, output_data } = this.details.get(node) ?? {};
    const given = messagesIn(input_data, 'user');
    const answer = messagesIn(output_data, 'assistant');
    const { fresh, carried } = this.tellApart(given, talk);
    const shown = fresh.filter((message) => !this.placeResults(message, talk));
    for (const message of answer) this.remember(message, talk);
    talk.lastAnswer = answer.length ? messageKey(answer[answer.length - 1]) : talk.lastAnswer;
    return { kind: 'turn', node, fresh: shown, carried, answer };
  }

  /**
   * Tell what a call adds from what it carries along: what was said before the last answer, as
   * often as it was said.
   * @param {ChatMessage[]} given @param {Talk} talk
   */
  tellApart(given, talk) {
    const keys = given.map(messageKey);
    const continued = talk.isNew ? keys.findLastIndex((key) => this.answers.has(key)) : -1;
    const answered = talk.lastAnswer === null ? -1 : keys.lastIndexOf(talk.lastAnswer);
    talk.isNew = false;
    /** @type {Map<string, number>} */
    const counts = new Map();
    /** @type {ChatMessage[]} */
    const fresh = [];
    /** @type {ChatMessage[]} */
    const carried = [];
    given.forEach((message, at) => {
      const count = (counts.get(keys[at]) ?? 0) + 1;
      counts.set(keys[at], count);
      const isKnown = at <= continued || count <= (talk.said.get(keys[at]) ?? 0);
      if (isKnown && (answered < 0 || at <= answered)) carried.push(message);
      else fresh.push(message);
      if (count > (talk.said.get(keys[at]) ?? 0)) this.remember(message, talk);
    });
    return { fresh, carried };
  }

  /** @param {ChatMessage} message @param {Talk} talk */
  remember(message, talk) {
    const key = messageKey(message);
    talk.said.set(key, (talk.said.get(key) ?? 0) + 1);
    if (message.role === 'assistant') this.answers.add(key);
    const calls = message.parts.filter((part) => part.kind === 'call');
    talk.unanswered.push(...calls);
    talk.unrun.push(...calls);
  }

  // ---- Tools

  /**
   * Put results beside their calls; returns whether nothing else is in the message.
   * @param {ChatMessage} message @param {Talk} talk
   */
  placeResults(message, talk) {
    if (!message.parts.some(({ kind }) => kind === 'result')) return false;
    message.parts = message.parts.filter((part) => {
      const call = part.kind === 'result' && takeCall(talk.unanswered, part.id, part.name);
      if (call) call.result = part;
      return !call;
    });
    return message.parts.length === 0;
  }

  /**
   * Tell whether a tool is what a model asked for; it is shown there then.
   * @param {number} node @param {Talk} talk
   */
  isAnswering(node, talk) {
    const id = this.details.get(node)?.metadata?.['gen_ai.tool.call.id'];
    const name = this.model.nameOf(node).replace(/^(execute_tool|running tool:?) /, '');
    const call = takeCall(talk.unrun, typeof id === 'string' ? id : '', name);
    if (call) call.node = node;
    return call !== undefined;
  }

  /** A tool that no model asked for by name. @param {number} node @returns {ToolStep} */
  toolStep(node) {
    const { input_data, output_data } = this.details.get(node) ?? {};
    const call = {
      kind: /** @type {const} */ ('call'),
      id: '',
      name: this.model.nameOf(node),
      given: unwrapped(input_data, 'arguments', 'input', 'value'),
      node,
    };
    const value = unwrapped(output_data, 'result', 'output', 'value', 'content');
    return {
      kind: 'tool',
      node,
      call: value === undefined ? call : { ...call, result: resultOf(value) },
    };
  }

  /**
   * What a tool gave back, by its own record, where no message tells.
   * @param {CallPart} call @returns {ResultPart | undefined}
   */
  resultFor(call) {
    if (call.result || call.node === undefined) return call.result;
    const value = unwrapped(
      this.details.get(call.node)?.output_data,
      'result',
      'output',
      'value',
      'content',
    );
    return value === undefined ? undefined : resultOf(value);
  }
}

/** @returns {Talk} */
function newTalk() {
  return { steps: [], said: new Map(), unanswered: [], unrun: [], lastAnswer: null, isNew: true };
}

/** @param {unknown} value @returns {ResultPart} */
function resultOf(value) {
  return { kind: 'result', id: '', name: '', value: parsed(value), failed: false };
}

/**
 * Return the one value that adapters put under a name of theirs, else all.
 * @param {Record<string, unknown> | undefined} data @param {string[]} names
 */
function unwrapped(data, ...names) {
  const keys = Object.keys(data ?? {});
  if (!data || !keys.length) return undefined;
  return keys.length === 1 && names.includes(keys[0]) ? parsed(data[keys[0]]) : data;
}

/**
 * Take out of some calls the one that is meant: that of the id, else the first of the name, else,
 * where no name is told, the first.
 * @param {CallPart[]} calls @param {string} id @param {string} name
 */
function takeCall(calls, id, name) {
  const byId = id ? calls.findIndex((call) => call.id === id) : -1;
  const isMeant = (/** @type {CallPart} */ call) =>
    (!id || !call.id) && (!name || call.name === name);
  const at = byId >= 0 ? byId : calls.findIndex(isMeant);
  return at < 0 ? undefined : calls.splice(at, 1)[0];
}
