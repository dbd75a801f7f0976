// ---- Messages: what was said to a model and by it, in one form for all products -----------------

// A message is a role and parts: text, thinking, calls of tools, their results, pictures. Products
// write the same as `content` or `parts`, with calls inside or beside them; what is none of this
// stays as it was recorded, as an `other` part or in `rest`.

const ROLES = new Map([
  ['human', 'user'],
  ['ai', 'assistant'],
  ['model', 'assistant'],
  ['developer', 'system'],
  ['function', 'tool'],
]);
const OF_A_MESSAGE = ['role', 'content', 'parts', 'contents', 'tool_calls', 'function_call'];
const THOUGHTS = ['reasoning', 'reasoning_content', 'thinking'];

/** @param {unknown} value @returns {value is Record<string, unknown>} */
function isMapping(value) {
  return value !== null && typeof value === 'object' && !Array.isArray(value);
}

/**
 * Return the first of some fields that is there.
 * @param {Record<string, unknown>} from @param {string[]} names
 */
function firstOf(from, ...names) {
  for (const name of names) if (from[name] !== undefined && from[name] !== null) return from[name];
  return undefined;
}

/** @param {unknown} value */
function asText(value) {
  return typeof value === 'string' ? value : value === undefined ? '' : JSON.stringify(value);
}

/**
 * Return what a text says as JSON, where it is an object or a list; else the text.
 * @param {unknown} text
 */
function parsed(text) {
  if (typeof text !== 'string' || !/^\s*[[{]/.test(text)) return text;
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/**
 * Find the messages of a recorded input or output. `speaker` is who speaks where it names nobody.
 * @param {Record<string, unknown> | undefined} data @param {string} speaker
 * @returns {ChatMessage[]}
 */
function messagesIn(data, speaker) {
  if (!data) return [];
  const inner = isMapping(data.output) ? data.output : data;
  const named = [data.message, ...choicesIn(inner)].filter(isMapping);
  // What is called a message is one, even where it does not say whose.
  const spoken = named.map((message) => ({ role: speaker, ...message }));
  for (const list of [data.messages, spoken, data.input, data.output]) {
    const items = (Array.isArray(list) ? list : [list]).filter(isMapping);
    if (items.some(isMessage)) return items.map((each) => readMessage(each, speaker));
  }
  if (isMessage(data)) return [readMessage(data, speaker)];
  const text = firstOf(data, ...PLAIN_TEXTS);
  return typeof text === 'string' && text ? [plainMessage(speaker, text)] : [];
}

const PLAIN_TEXTS = [
  'prompt',
  'text',
  'message',
  'answer',
  'value',
  'input',
  'output',
  'content',
  'result',
];

/** @param {string} role @param {string} text @returns {ChatMessage} */
function plainMessage(role, text) {
  return { role, name: '', parts: [{ kind: 'text', text }], rest: {} };
}

/** @param {Record<string, unknown>} data */
function choicesIn({ choices }) {
  return Array.isArray(choices) ? choices.filter(isMapping).map(({ message }) => message) : [];
}

const ITEM_TYPES = ['message', 'function_call', 'function_call_output', 'reasoning'];

/** @param {Record<string, unknown>} item */
function isMessage(item) {
  return (
    typeof item.role === 'string' ||
    Array.isArray(item.tool_calls) ||
    ITEM_TYPES.includes(String(item.type)) ||
    (ROLES.has(String(item.type)) && 'content' in item)
  );
}

/** @param {Record<string, unknown>} raw @param {string} speaker @returns {ChatMessage} */
function readMessage(raw, speaker) {
  if (!isMessage(raw))
    return { role: 'item', name: '', parts: [{ kind: 'other', value: raw }], rest: {} };
  if (!isMessage(raw))
    return { role: 'item', name: '', parts: [{ kind: 'other', value: raw }], rest: {} };
  const type = String(raw.type ?? '');
  if (type === 'function_call' || type === 'function_call_output' || type === 'reasoning')
    return {
      role: type === 'function_call_output' ? 'tool' : 'assistant',
      name: '',
      parts: [readPart(raw)],
      rest: {},
    };
  const named =
    typeof raw.role === 'string' ? raw.role : ROLES.has(type) || type === 'tool' ? type : speaker;
  const role = ROLES.get(named) ?? named;
  const content = firstOf(raw, 'parts', 'content', 'contents');
  const parts = role === 'tool' ? toolParts(raw, content) : contentParts(content);
  return {
    role,
    name: typeof raw.name === 'string' && role !== 'tool' ? raw.name : '',
    parts: [...thoughtsOf(raw), ...parts, ...contentParts(raw.refusal), ...callsOf(raw)],
    rest: restOf(raw, role),
  };
}

/**
 * What a message holds besides: nothing that was recorded is left out.
 * @param {Record<string, unknown>} raw @param {string} role
 */
function restOf(raw, role) {
  const known = new Set([...OF_A_MESSAGE, ...THOUGHTS, 'refusal', 'name']);
  if (role === 'tool') known.add('tool_call_id');
  if (raw.type === 'message' || ROLES.has(String(raw.type))) known.add('type');
  return Object.fromEntries(
    Object.entries(raw).filter(([key, value]) => !known.has(key) && value !== null && value !== ''),
  );
}

/** @param {Record<string, unknown>} raw @returns {MessagePart[]} */
function thoughtsOf(raw) {
  const text = firstOf(raw, ...THOUGHTS);
  return typeof text === 'string' && text ? [{ kind: 'thinking', text }] : [];
}

/** @param {Record<string, unknown>} raw */
function callsOf({ tool_calls, function_call }) {
  const calls = Array.isArray(tool_calls) ? tool_calls : [function_call];
  return calls.filter(isMapping).map(readCall);
}

/** @param {Record<string, unknown>} raw @returns {CallPart} */
function readCall(raw) {
  const called = [raw.function, raw.custom].find(isMapping) ?? raw;
  return {
    kind: 'call',
    id: asText(firstOf(raw, 'call_id', 'id')),
    name: asText(firstOf(called, 'name', 'tool_name')),
    given: parsed(firstOf(called, 'arguments', 'args', 'input')),
  };
}

/**
 * The answer of a tool as a message of its own.
 * @param {Record<string, unknown>} raw @param {unknown} content @returns {MessagePart[]}
 */
function toolParts(raw, content) {
  const parts = contentParts(content);
  if (parts.some(({ kind }) => kind === 'result')) return parts;
  const value = joinedText(parts) ?? content;
  const [id, name] = [asText(raw.tool_call_id), asText(raw.name)];
  return [{ kind: 'result', id, name, value: parsed(value), failed: raw.status === 'error' }];
}

/** Return the text of parts that are nothing else. @param {MessagePart[]} parts */
function joinedText(parts) {
  const texts = parts.flatMap((part) => (part.kind === 'text' ? [part.text] : []));
  return texts.length && texts.length === parts.length ? texts.join('') : undefined;
}

/** @param {unknown} content @returns {MessagePart[]} */
function contentParts(content) {
  if (content === undefined || content === null || content === '') return [];
  return (Array.isArray(content) ? content : [content]).map(readPart);
}

/** @param {unknown} part @returns {MessagePart} */
function readPart(part) {
  if (typeof part === 'string') return { kind: 'text', text: part };
  if (!isMapping(part)) return { kind: 'other', value: part };
  const text = firstOf(part, 'text', 'content');
  const type = String(part.type ?? '');
  if (/(^|_)text$/.test(type) || (!type && typeof part.text === 'string'))
    return { kind: 'text', text: asText(text) };
  if (/thinking$|^reasoning$/.test(type)) return { kind: 'thinking', text: thoughtIn(part) };
  if (/tool_use$|^tool_call$|^function_call$/.test(type)) return readCall(part);
  if (isMapping(part.function_call)) return readCall(part.function_call);
  if (/tool_result$|^tool_call_response$|^function_call_output$/.test(type))
    return readResult(part);
  if (isMapping(part.function_response)) return readResult(part.function_response);
  return readMedia(part, type) ?? { kind: 'other', value: part };
}

/** @param {Record<string, unknown>} part */
function thoughtIn(part) {
  const text = firstOf(part, 'thinking', 'content', 'text', 'summary');
  if (!Array.isArray(text)) return asText(text);
  return text.map((each) => asText(isMapping(each) ? each.text : each)).join('\n\n');
}

/** @param {Record<string, unknown>} part @returns {ResultPart} */
function readResult(part) {
  const value = firstOf(part, 'response', 'output', 'result', 'content');
  const text = Array.isArray(value) ? joinedText(contentParts(value)) : undefined;
  return {
    kind: 'result',
    id: asText(firstOf(part, 'tool_use_id', 'call_id', 'tool_call_id', 'id')),
    name: asText(part.name),
    value: parsed(text ?? value),
    failed: part.is_error === true,
  };
}

/**
 * Return the address of a picture or a sound, as data where it was recorded.
 * @param {Record<string, unknown>} part @param {string} type @returns {MessagePart | undefined}
 */
function readMedia(part, type) {
  const source =
    [part.source, part.image_url, part.input_audio, part.inline_data, part.file_data].find(
      isMapping,
    ) ?? part;
  const address = firstOf(source, 'url', 'uri', 'file_uri', 'image_url');
  if (typeof address === 'string') return { kind: 'media', url: address };
  const data = firstOf(source, 'data', 'content');
  if (typeof data !== 'string') return undefined;
  const format = typeof source.format === 'string' ? `audio/${source.format}` : undefined;
  const mime = firstOf(source, 'media_type', 'mime_type') ?? format;
  if (typeof mime !== 'string' || !/^(blob|image|audio|input_audio|file|media)?$/.test(type))
    return undefined;
  return { kind: 'media', url: `data:${mime};base64,${data}` };
}

/**
 * What makes two messages the same, however they were recorded; thoughts are not sent again.
 * @param {ChatMessage} message
 */
function messageKey({ role, parts }) {
  const said = parts.map((part) => {
    if (part.kind === 'text') return part.text.trim();
    if (part.kind === 'call') return [part.name, part.given];
    if (part.kind === 'result') return [part.id, part.value];
    return part.kind === 'thinking' ? '' : part;
  });
  return JSON.stringify([role, said.filter((each) => each !== '')]);
}
