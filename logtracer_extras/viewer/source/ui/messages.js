// ---- Messages: what was said, exactly as it was recorded ----------------------------------------

const LAST_MESSAGES = 3; // that are shown of a long conversation; those before them are folded

/** Messages in their order. @param {ChatMessage[]} messages @returns {Child[]} */
function chatView(messages) {
  const first = messages.findIndex(({ role }) => role !== 'system');
  const last = messages.length - LAST_MESSAGES;
  if (last - first < LAST_MESSAGES) return messages.map(messageView);
  const before = messages.slice(first, last);
  return [
    ...messages.slice(0, first).map(messageView),
    folded(make('summary', {}, `${formatCount(before.length)} earlier messages`), () =>
      before.map(messageView),
    ),
    ...messages.slice(last).map(messageView),
  ];
}

/** One message exactly as it was recorded. @param {ChatMessage} message */
function messageView(message) {
  return messageFrame(message, () => partViews(message));
}

/**
 * Who says something, and what, one part under the other. A system prompt is folded.
 * @param {ChatMessage} message @param {() => Child[]} draw
 */
function messageFrame(message, draw) {
  const text = messageText(message);
  const name = `Copy this ${show(clip(message.role, 60))} message`;
  const copy = button('Copy', () => copyText(text), name);
  const who = make('b', {}, isolated(roleOf(message)));
  if (message.role !== 'system')
    return make('div', { class: 'role ' + roleClass(message) }, who, copy, ...draw());
  const size = ` (${formatBytes(text.length)})`;
  const summary = make('summary', {}, who, ' ', isolated(clip(text.trim(), 80)), size);
  return make(
    'div',
    { class: 'role system' },
    folded(summary, () => [copy, ...draw()]),
  );
}

/** @param {ChatMessage} message */
function roleOf({ role, name }) {
  return clip(name ? `${role} ${name}` : role, 60);
}

/**
 * The class of a role: of a short list, since a stranger names them.
 * @param {ChatMessage} message
 */
function roleClass({ role }) {
  return ['user', 'assistant', 'tool'].includes(role) ? role : '';
}

/** @param {ChatMessage} message @returns {Child[]} */
function partViews({ parts, rest }) {
  const views = [...parts.map(partView), ...mappingView(rest)];
  return views.length ? views : [make('p', { class: 'absent' }, 'no content')];
}

/** @param {MessagePart} part @returns {Child} */
function partView(part) {
  switch (part.kind) {
    case 'text':
      return make('div', {}, stringView(part.text));
    case 'thinking':
      return folded(make('summary', {}, 'thinking, ' + formatBytes(part.text.length)), () => [
        longString(part.text),
      ]);
    case 'call':
      return make('div', { class: 'call' }, '→ ', ...calledView(part));
    case 'result':
      return make('div', { class: 'call' }, '← ', isolated(part.name), ...resultView(part));
    case 'media':
      return make('div', {}, stringView(part.url));
    case 'other':
      return make('div', {}, valueView(part.value));
  }
}

/** The name of a called tool and what it was given. @param {CallPart} part @returns {Child[]} */
function calledView({ name, given, id }) {
  const title = make('strong', id ? { title: show(id) } : {}, isolated(clip(name, 200)));
  return [title, ' ', given === undefined ? '' : givenView(given)];
}

/** @param {unknown} given */
function givenView(given) {
  return isMapping(given) && Object.keys(given).length
    ? make('div', { class: 'given' }, ...mappingView(given))
    : valueView(given);
}

/** @param {ResultPart} part @returns {Child[]} */
function resultView({ value, failed }) {
  return [failed ? make('b', { class: 'failed' }, ' ✖ failed ') : ' ', givenView(value)];
}

/** A message as text, to copy it. @param {ChatMessage} message */
function messageText({ parts }) {
  return parts.map(partText).join('\n\n');
}

/** @param {MessagePart} part */
function partText(part) {
  if ('text' in part) return part.text;
  if (part.kind === 'call') return `${part.name}(${asText(part.given)})`;
  return part.kind === 'media' ? part.url : asText(part.value);
}
