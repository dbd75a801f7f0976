// Tests of the viewer's core without a page: `node --test`, started by tests/test_viewer_core.py,
// which gives the page's core and the shared vectors through environment variables.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { runInThisContext } from 'node:vm';

runInThisContext(readFileSync(process.env.VIEWER_CORE, 'utf8'), { filename: 'core.js' });
// A script's functions are global, its constants and classes only known to other scripts.
const core = new Proxy({}, { get: (_, name) => runInThisContext(name) });

/** A small random source with a seed, so that a failure can be repeated. */
function randomSource(seed) {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

function modelOf(rows) {
  const model = new core.Model();
  for (const { parent = -1, start = 0, end = 0, lane = '', name = 'step', type = 'custom', status = 0 } of rows) {
    const node = model.append();
    Object.assign(model, { now: Math.max(model.now, end) });
    model.parent[node] = parent;
    model.start[node] = start;
    model.duration[node] = end - start;
    model.lane[node] = model.intern(lane);
    model.name[node] = model.intern(name);
    model.type[node] = model.intern(type);
    model.status[node] = status;
    model.ids.push(String(node));
  }
  return model;
}

function randomModel(seed) {
  const random = randomSource(seed);
  const rows = [{ start: 0, end: 1000 }];
  const count = 2 + Math.floor(random() * 60);
  while (rows.length < count) {
    const start = Math.floor(random() * 1000);
    rows.push({
      parent: Math.floor(random() * rows.length),
      start,
      end: start + Math.floor(random() * random() * 600),
      lane: random() < 0.15 ? `lane ${Math.floor(random() * 4)}` : '',
      type: random() < 0.2 ? 'sub_agent' : 'custom',
      status: random() < 0.1 ? core.FAILED : 0,
    });
  }
  return modelOf(rows);
}

function layoutOf(model, hidden = null) {
  const measured = core.measure(model);
  return { ...measured, layout: core.buildLayout(model, measured.tree, measured.lanes, hidden) };
}

test('on no row two nodes overlap, in 1,000 random trees', () => {
  for (let seed = 1; seed <= 1000; seed++) {
    const model = randomModel(seed);
    const { layout } = layoutOf(model);
    assert.equal(layout.nodes.length, model.count, `seed ${seed}: every node has a place`);
    for (let row = 0; row < layout.rows; row++) {
      for (let at = layout.rowStart[row] + 1; at < layout.rowStart[row + 1]; at++) {
        const [before, after] = [layout.nodes[at - 1], layout.nodes[at]];
        assert.ok(model.endOf(before) <= model.start[after], `seed ${seed}: ${before} and ${after} overlap`);
      }
    }
  }
});

test('a child is drawn below its parent in the same lane', () => {
  for (let seed = 1; seed <= 200; seed++) {
    const model = randomModel(seed);
    const { layout, lanes } = layoutOf(model);
    for (let node = 0; node < model.count; node++) {
      const parent = model.parent[node];
      if (parent >= 0 && lanes.laneOf[parent] === lanes.laneOf[node]) assert.ok(layout.row[node] > layout.row[parent]);
    }
  }
});

test('the bars of a row cover every node once and keep every error', () => {
  for (let seed = 1; seed <= 300; seed++) {
    const model = randomModel(seed);
    const { layout } = layoutOf(model);
    for (const width of [3, 40, 700]) {
      for (let row = 0; row < layout.rows; row++) {
        let next = layout.rowStart[row];
        let errors = 0;
        core.planRow(layout, row, { from: -1, to: 2000, width }, (x, wide, first, last) => {
          assert.equal(first, next, 'bars follow each other without a gap');
          errors += layout.errorSum[last] - layout.errorSum[first];
          next = last;
        });
        assert.equal(next, layout.rowStart[row + 1]);
        assert.equal(errors, layout.errorSum[layout.rowStart[row + 1]] - layout.errorSum[layout.rowStart[row]]);
      }
    }
  }
});

/** A run that goes on: steps start and end; `look(model)` is called every now and then. */
function liveRun(seed, look) {
  const random = randomSource(seed);
  const model = modelOf([{ start: 0, end: 0 }]);
  model.duration[0] = -1;
  const open = [0];
  for (let now = 1; now < 120; now++) {
    model.now = now;
    if (random() < 0.6) {
      const node = model.append();
      Object.assign(model, { ids: [...model.ids, String(node)] });
      model.parent[node] = open[Math.floor(random() * open.length)];
      model.start[node] = now;
      model.duration[node] = -1;
      model.lane[node] = model.intern(random() < 0.1 ? 'other' : '');
      open.push(node);
    } else if (open.length > 1) {
      const [node] = open.splice(1 + Math.floor(random() * (open.length - 1)), 1);
      model.duration[node] = now - model.start[node];
    }
    if (random() < 0.3) look(model, random);
  }
}

function rowInLane({ layout, lanes }, node) {
  return layout.row[node] - layout.laneStart[lanes.laneOf[node]];
}

test('while a run goes on no node leaves its row, and none overlaps', () => {
  for (let seed = 1; seed <= 300; seed++) {
    const steady = new core.SteadyRows();
    const known = [];
    liveRun(seed, (model, random) => {
      const measured = core.measure(model);
      if (random() < 0.1) {
        steady.pack(model, measured.tree, measured.lanes);
        known.length = 0; // the reader asked for new rows
      }
      const layout = steady.layout(model, measured.tree, measured.lanes, null);
      known.forEach((row, node) => assert.equal(rowInLane({ ...measured, layout }, node), row, `seed ${seed}`));
      for (let node = 0; node < model.count; node++) known[node] = rowInLane({ ...measured, layout }, node);
      for (let row = 0; row < layout.rows; row++)
        for (let at = layout.rowStart[row] + 1; at < layout.rowStart[row + 1]; at++)
          assert.ok(layout.to[at - 1] <= layout.from[at], `seed ${seed}: an overlap`);
    });
  }
});

test('a chain of 100,000 and a fan of 100,000 are laid out without recursion', () => {
  const chain = modelOf(Array.from({ length: 100000 }, (_, at) => ({ parent: at - 1, start: at, end: 300000 - at })));
  assert.equal(layoutOf(chain).layout.rows, 100000);
  const fan = modelOf(Array.from({ length: 100000 }, (_, at) => ({ parent: at ? 0 : -1, start: at, end: at ? at + 200000 : 300000 })));
  assert.equal(layoutOf(fan).layout.rows, 100000);
  assert.equal(core.criticalPath(chain, ...Object.values((({ tree, edges }) => ({ tree, edges }))(core.measure(chain)))).length > 0, true);
});

test('a circle of parents is cut, and no node is lost', () => {
  const model = modelOf([{}, { parent: 3 }, { parent: 1 }, { parent: 2 }, { parent: 4 }]);
  const tree = core.buildTree(model);
  assert.deepEqual([...tree.order].sort(), [0, 1, 2, 3, 4]);
});

test('lanes are few: numbered ones share, then the least busy are together', () => {
  const numbered = modelOf([{ end: 9 }, ...Array.from({ length: 100 }, (_, at) => ({ parent: 0, start: at, end: at + 5, lane: `search#${at}` }))]);
  assert.deepEqual(core.measure(numbered).lanes.labels, ['main', 'search']);
  const named = modelOf([{ end: 9 }, ...Array.from({ length: 100 }, (_, at) => ({ parent: 0, start: at, end: at + 5, lane: `lane ${at} x` }))]);
  const { labels } = core.measure(named).lanes;
  assert.equal(labels.length, 64);
  assert.equal(labels[63], 'other');
});

test('the critical path covers the run exactly once', () => {
  for (let seed = 1; seed <= 300; seed++) {
    const model = randomModel(seed);
    const { tree, edges } = core.measure(model);
    const path = core.criticalPath(model, tree, edges).reverse();
    assert.equal(path[0].from, 0);
    assert.equal(path.at(-1).to, model.endOf(0));
    for (let at = 1; at < path.length; at++) assert.equal(path[at].from, path[at - 1].to, `seed ${seed}`);
  }
});

test('the load curve adds up to the time that was worked', () => {
  const model = randomModel(7);
  const nodes = Int32Array.from({ length: model.count }, (_, node) => node);
  const worked = nodes.reduce((sum, node) => sum + model.endOf(node) - model.start[node], 0);
  const curve = core.loadCurve(model, nodes, 0, 2000, 100);
  const drawn = curve.reduce((sum, load) => sum + load, 0) * 20;
  assert.ok(Math.abs(drawn - worked) < 1, `${drawn} of ${worked}`);
});

test('characters that hide or mislead are shown as escapes', () => {
  assert.equal(core.show('a\u202eb\u0000\n\u200b\ud800'), 'a\\u202eb\\x00\\n\\u200b\\ud800');
  assert.equal(core.showLines('a\n\tb\u001b'), 'a\n\tb\\x1b');
  assert.equal(core.show('Späti 🙂 日本'), 'Späti 🙂 日本');
});

test('axis marks stand at round times', () => {
  for (const [least, step] of [[3, 5], [130, 200], [400e3, 500e3], [1.2e6, 2e6], [11e6, 15e6], [61e6, 120e6], [4000e6, 7200e6]]) {
    assert.equal(core.tickStep(least), step);
  }
});

test('axis marks stay short and apart however near they stand', () => {
  const marks = [[40, 20], [4180200, 200], [4180400, 200], [1500, 500], [20e3, 5e3], [1.5e6, 5e5], [90e6, 30e6]];
  const said = marks.map(([at, step]) => core.formatTick(at, step));
  assert.deepEqual(said, ['40µs', '4.1802s', '4.1804s', '1.5ms', '20ms', '1.5s', '1m30s']);
});

/** The cases of data/writing_vectors.json, which the terminal writes the same way. */
const written = JSON.parse(readFileSync(process.env.VIEWER_WRITING, 'utf8'));

test('times are written as in the shared vectors', () => {
  for (const [milliseconds, text] of written.times)
    assert.equal(core.formatTime(milliseconds === null ? null : milliseconds * 1000), text);
});

test('token counts and costs are written as in the shared vectors', () => {
  for (const [count, text] of written.counts) assert.equal(core.formatTokens(count), text);
  for (const [dollars, text] of written.costs) assert.equal(core.formatCost(dollars), text);
  assert.equal(core.formatCost(-1), '-', 'a cost that no column holds');
});

test('a moment before the start of the run is written with a sign', () => {
  assert.equal(core.formatTime(-1.5e6), '-1.50s');
});

test('a dropped journal with a torn last line opens, its open step as interrupted', () => {
  const start = '2026-11-22T18:24:23.000000+00:00';
  const lines = [
    { event: 'trace.started', trace_id: 't', name: 'torn', start_time: start, schema_version: '0.1.0' },
    { event: 'node.started', node: { id: 'a', name: 'root', node_type: 'trace', status: 'running', start_time: start } },
  ];
  const builder = core.readTraceFile(lines.map((line) => JSON.stringify(line)).join('\n') + '\n{"event":"node.st');
  assert.equal(builder.model.count, 1);
  assert.equal(builder.model.statusOf(0), 'interrupted');
});

test('records in any order give the same tree', () => {
  const builder = new core.ModelBuilder();
  builder.addNode({ id: 'c', parent_id: 'b', name: 'c' });
  builder.addNode({ id: 'b', parent_id: 'a', name: 'b' });
  builder.addNode({ id: 'a', name: 'a' });
  const tree = core.buildTree(builder.model);
  assert.deepEqual([...tree.order].map((node) => builder.model.ids[node]), ['a', 'b', 'c']);
});

// ---- The shared vectors of the query language

const shared = JSON.parse(readFileSync(process.env.VIEWER_VECTORS, 'utf8'));

function factsOf({ head, ids, details }) {
  const model = core.Model.fromHead(head);
  model.ids = core.readIds(ids, head.idLength);
  return { ...core.measure(model), diff: null, details };
}

test('every query of the shared vectors finds exactly its nodes', () => {
  const traces = Object.fromEntries(Object.entries(shared.traces).map(([name, trace]) => [name, factsOf(trace)]));
  for (const { query, trace, matches } of shared.vectors) {
    const facts = traces[trace];
    const search = new core.Search(core.parseQuery(query), facts);
    for (const { first, text } of facts.details) search.addDetails(first, text);
    const bits = search.matches();
    assert.deepEqual(facts.model.ids.filter((_, node) => bits[node]).sort(), [...matches].sort(), query);
  }
});

test('every broken query is refused at its place, with its message', () => {
  for (const { query, position, message } of shared.errors) {
    assert.throws(() => core.parseQuery(query), (error) => error.position === position && error.message === message, query);
  }
});

// ---- Two runs

/** Two runs of one model, and the rows that pair them: `[name, word]`, the name without a side. */
function pairingOf(first, second, rows) {
  const model = modelOf([...first, ...second.map((row) => ({ ...row, parent: row.parent < 0 ? -1 : row.parent + first.length }))]);
  model.secondRun = first.length;
  return new core.Pairing(model, core.buildTree(model), { rows });
}

function searches(count) {
  const steps = Array.from({ length: count }, (_, at) => ({ parent: 0, start: at, end: at + 1, name: 'search' }));
  return [{ parent: -1, end: 10, name: 'run' }, ...steps];
}

test('steps of which the runs have different numbers are one row until it is opened', () => {
  const rows = [[0, 3, 'same'], [1, 4, 'same'], [2, 5, 'same'], [-1, 6, 'added'], [-1, 7, 'added']];
  const pairing = pairingOf(searches(2), searches(4), rows);
  assert.deepEqual([...pairing.visibleNodes(null)], [3, 4]);
  const { before, after, isSame } = pairing.groupAt(4);
  assert.deepEqual([before, after, isSame], [2, 4, false]);
  assert.ok(pairing.open(6));
  assert.deepEqual([...pairing.visibleNodes(null)], [3, 4, 5, 6, 7]);
});

test('a stretch of unchanged steps is one row, and a changed step ends it', () => {
  const names = ['a', 'b', 'c', 'd', 'e'];
  const run = [{ parent: -1, end: 9 }, ...names.map((name, at) => ({ parent: 0, start: at, end: at + 1, name }))];
  const rows = [0, 1, 2, 3, 4, 5].map((at) => [at, at + 6, at === 4 ? 'changed' : 'same']);
  const pairing = pairingOf(run, run, rows);
  assert.deepEqual([...pairing.visibleNodes(null)], [6, 7, 10, 11]);
  assert.equal(pairing.groupAt(7).steps, 3);
  assert.equal(pairing.partner(10), 4);
});

test('the later run is drawn from the same step, or as long as the earlier one', () => {
  const first = [{ parent: -1, end: 100 }, { parent: 0, start: 20, end: 30 }];
  const second = [{ parent: -1, end: 200 }, { parent: 0, start: 80, end: 120 }];
  const pairing = pairingOf(first, second, [[0, 2, 'same'], [1, 3, 'slower']]);
  assert.equal(pairing.aligned('start'), pairing.model);
  assert.equal(pairing.aligned('step', 3).start[3], 20);
  assert.equal(pairing.aligned('step', 3).endOf(3), 60);
  assert.equal(pairing.aligned('percent').endOf(2), 100);
  assert.equal(pairing.model.start[3], 80, 'the recorded time stays');
});

test('lines of two texts are laid over each other and both can be read back', () => {
  const random = randomSource(5);
  for (let round = 0; round < 200; round++) {
    const text = () => Array.from({ length: Math.floor(random() * 12) }, () => 'abc'[Math.floor(random() * 3)]).join('\n');
    const [before, after] = [text(), text()];
    const lines = core.lineChanges(before, after);
    const side = (sign) => lines.filter(([each]) => each !== sign).map(([, line]) => line).join('\n');
    assert.deepEqual([side('+'), side('-')], [before, after]);
  }
  assert.deepEqual(core.lineChanges('a\nb\nc', 'a\nx\nc'), [[' ', 'a'], ['-', 'b'], ['+', 'x'], [' ', 'c']]);
});

test('starts and parents of a page are what the trace recorded', () => {
  const model = core.Model.fromHead({
    version: 2, count: 4, wall: 9, strings: [''], edges: [],
    columns: { parent: [0, 1, 2, 1], start: [5, 1, 2, 3], duration: [9, 4, -1, 1], type: [], name: [], error: [], status: [] },
  });
  assert.deepEqual([...model.parent], [-1, 0, 0, 2]);
  assert.deepEqual([...model.start], [5, 6, 12, 15]);
});

test('two fans of 100,000 equal steps are grouped in one walk', () => {
  const rows = Array.from({ length: 100001 }, (_, at) => [at, at + 100001, at % 2 ? 'changed' : 'same']);
  const pairing = pairingOf(searches(100000), searches(100000), rows);
  assert.equal(pairing.visibleNodes(null).length, 100001);
});

test('two texts differ in the characters that were exchanged, and both can be read back', () => {
  const random = randomSource(9);
  for (let round = 0; round < 500; round++) {
    const text = () => Array.from({ length: Math.floor(random() * 14) }, () => 'ab -🙂😀'.match(/./gu)[Math.floor(random() * 6)]).join('');
    const [before, after] = [text(), text()];
    const parts = core.textChanges(before, after);
    const side = (sign) => parts.filter(([each]) => each !== sign).map(([, part]) => part).join('');
    assert.deepEqual([side('+'), side('-')], [before, after]);
    for (let at = 1; at < parts.length; at++) assert.notEqual(parts[at][0], parts[at - 1][0], 'no two of one sign touch');
  }
  assert.deepEqual(core.textChanges('BLU-CHAIR', 'BLU-CHAIR '), [[' ', 'BLU-CHAIR'], ['+', ' ']]);
  assert.deepEqual(core.textChanges('the colour red', 'the color red'), [[' ', 'the colo'], ['-', 'u'], [' ', 'r red']]);
  assert.deepEqual(core.textChanges('😀', '🙂'), [['-', '😀'], ['+', '🙂']]);
});

// ---- What was said

/** A block of Markdown in few signs: kind and text, so that a test can be read. */
function brief(part) {
  if (typeof part === 'string') return part;
  if (Array.isArray(part)) return part.map(brief).join('');
  const inside = part.parts ?? part.blocks ?? part.items?.map((item) => `• ${brief(item)} `) ?? part.text;
  if (part.kind === 'table') return `<table ${[part.head, ...part.rows].map((row) => row.map(brief).join('|')).join(' / ')}>`;
  if (part.kind === 'link') return `<link ${part.text} ${part.address}>`;
  return part.kind === 'paragraph' ? brief(inside) : `<${part.kind} ${brief(inside ?? '')}>`;
}

test('markdown that models write is read into blocks', () => {
  for (const [text, expected] of [
    ['# Title ##\nplain\ntext', '<heading Title>plain\ntext'],
    ['a **b *c* d** `e*f*` ~~g~~ h_i_j 2 * 3', 'a <strong b <emphasis c> d> <code e*f*> <struck g> h_i_j 2 * 3'],
    ['***both*** **open', '<strong <emphasis both>> **open'],
    ['- a\n  - b\n- c\nmore\n\n3. d', '<list • a<list • b > • c\nmore ><list • d >'],
    ['| a | b\\|c |\n|---|:-:|\n| **d** | e', '<table a|b|c / <strong d>|e>'],
    ['```js\n# no title\n```\n> q\n> > r\n\n---', '<code # no title><quote q<quote r>><rule >'],
    ['```\nnever closed', '<code never closed>'],
    ['[text](https://a.example "t") ![p](x.png) [no link]', '<link text https://a.example> <link p x.png> [no link]'],
    ['<b>bold</b> \\*no\\* &lt;', '<b>bold</b> *no* &lt;'],
  ]) {
    assert.equal(brief(core.parseMarkdown(text)), expected);
  }
});

test('no text of 20,000 characters takes the markdown reader long, or nests deep', () => {
  const parts = ['*', '*a **b ', '` `` ', '[', '[a](', '> ', '_a', '- a\n\n\n', '|-|\n', '  - x\n', '#', '\\', '~~a '];
  for (const part of parts) {
    const began = performance.now();
    const blocks = core.parseMarkdown(part.repeat(20000 / part.length));
    assert.ok(performance.now() - began < 2000, JSON.stringify(part));
    let depth = 0;
    for (let level = [blocks]; level.length; depth++) level = level.flatMap((each) => Object.values(each)).filter((each) => each && typeof each === 'object');
    assert.ok(depth < 80, `${JSON.stringify(part)} nests ${depth}`);
  }
});

/** The messages of a recorded input or output, in few signs. */
function said(data, speaker = 'user') {
  return core.messagesIn(data, speaker).map(({ role, parts }) => `${role}: ${parts.map(briefPart).join(' ')}`);
}

function briefPart(part) {
  if (part.kind === 'text') return part.text;
  if (part.kind === 'thinking') return `(${part.text})`;
  if (part.kind === 'call') return `${part.name}#${part.id}${JSON.stringify(part.given)}`;
  if (part.kind === 'result') return `#${part.id}=${JSON.stringify(part.value)}${part.failed ? '!' : ''}`;
  return part.kind === 'media' ? part.url : JSON.stringify(part.value);
}

test('messages of every product are read as the same', () => {
  const call = { id: 'c1', type: 'function', function: { name: 'find', arguments: '{"q": "x"}' } };
  const found = 'find#c1{"q":"x"}';
  for (const [data, expected] of [
    [{ messages: [{ role: 'system', content: 'be kind' }, { role: 'user', content: 'hi' }] }, ['system: be kind', 'user: hi']],
    [{ message: { role: 'assistant', content: null, reasoning: 'hm', tool_calls: [call] } }, [`assistant: (hm) ${found}`]],
    [{ messages: [{ role: 'tool', tool_call_id: 'c1', content: '{"n": 1}' }] }, ['tool: #c1={"n":1}']],
    [{ messages: [{ role: 'developer', content: [{ type: 'input_text', text: 'a' }, { type: 'text', text: 'b' }] }] }, ['system: a b']],
    [{ messages: [{ role: 'assistant', parts: [{ type: 'text', content: 'a' }, { type: 'tool_call', id: 'c1', name: 'find', arguments: { q: 'x' } }] }] }, [`assistant: a ${found}`]],
    [{ messages: [{ role: 'tool', parts: [{ type: 'tool_call_response', id: 'c1', response: 'rain' }] }] }, ['tool: #c1="rain"']],
    [{ messages: [{ role: 'assistant', content: [{ type: 'thinking', thinking: 'hm' }, { type: 'tool_use', id: 'c1', name: 'find', input: { q: 'x' } }] }] }, [`assistant: (hm) ${found}`]],
    [{ messages: [{ role: 'user', content: [{ type: 'tool_result', tool_use_id: 'c1', is_error: true, content: [{ type: 'text', text: 'no' }] }] }] }, ['user: #c1="no"!']],
    [{ messages: [{ type: 'reasoning', summary: [{ text: 'hm' }] }, { type: 'message', role: 'assistant', content: [{ type: 'output_text', text: 'a' }] }] }, ['assistant: (hm)', 'assistant: a']],
    [{ messages: [{ role: 'model', parts: [{ text: 'a' }, { function_call: { id: 'c1', name: 'find', args: { q: 'x' } } }] }] }, [`assistant: a ${found}`]],
    [{ choices: [{ message: { role: 'assistant', content: 'a' } }] }, ['assistant: a']],
    [{ output: { choices: [{ message: { role: 'assistant', content: 'a' } }] } }, ['assistant: a']],
    [{ input: [{ role: 'user', content: 'hi' }] }, ['user: hi']],
    [{ messages: [{ type: 'human', content: 'hi' }, { type: 'ai', content: 'a' }] }, ['user: hi', 'assistant: a']],
    [{ messages: [{ role: 'assistant', contents: [{ type: 'text', text: 'a' }], tool_calls: [call] }] }, [`assistant: a ${found}`]],
    [{ messages: [{ role: 'assistant', tool_calls: [{ id: 'c1', name: 'find', arguments: '{"q":"x"}' }] }] }, [`assistant: ${found}`]],
    [{ prompt: 'hi' }, ['user: hi']],
    [{ text: 'plain', finish_reason: 'stop' }, ['user: plain']],
    [{ messages: [{ role: 'user', content: [{ type: 'image_url', image_url: { url: 'https://a.example/x.png' } }] }] }, ['user: https://a.example/x.png']],
    [{ messages: [{ role: 'user', content: [{ type: 'image', source: { type: 'base64', media_type: 'image/png', data: 'AA==' } }] }] }, ['user: data:image/png;base64,AA==']],
    [{ messages: [{ role: 'user', content: [{ type: 'input_audio', input_audio: { format: 'wav', data: 'AA==' } }] }] }, ['user: data:audio/wav;base64,AA==']],
    [{ messages: [{ role: 'user', parts: [{ type: 'blob', mime_type: 'image/gif', content: 'AA==' }] }] }, ['user: data:image/gif;base64,AA==']],
    [{ message: { content: 'whose?' } }, ['user: whose?']],
    [{ message: 'plain', choices: 'none' }, ['user: plain']],
    [{ question: 'not a message' }, []],
    [{ messages: [{ role: 'user', content: 5 }, 7, null] }, ['user: 5']],
    [undefined, []],
  ]) {
    assert.deepEqual(said(data), expected, JSON.stringify(data));
  }
});

/** A run of model calls in a row, each told all that was said before it, as a conversation. */
function conversationOf(calls) {
  const rows = [{ end: 1000, type: 'trace' }, ...calls.map((_, at) => ({ parent: 0, start: at, end: at + 1, type: 'llm_call' }))];
  const model = modelOf(rows);
  const details = new Map(calls.map(({ given, answer }, at) => [at + 1, { input_data: { messages: given }, output_data: { message: answer } }]));
  return new core.Conversation(model, core.buildTree(model), details);
}

test('in a run that carries its history along every message is said once, in its order', () => {
  for (let seed = 1; seed <= 200; seed++) {
    const random = randomSource(seed);
    const history = [{ role: 'system', content: 'be kind' }];
    const calls = [];
    while (calls.length < 6) {
      // Texts repeat: what counts is where they are said, not what they say.
      for (let more = 1 + Math.floor(random() * 3); more > 0; more--) history.push({ role: 'user', content: `text ${Math.floor(random() * 3)}` });
      const answer = { role: 'assistant', content: `answer ${Math.floor(random() * 3)} of ${calls.length}` };
      calls.push({ given: [...history], answer });
      history.push(answer);
    }
    const told = conversationOf(calls).steps.flatMap(({ fresh, answer }) => [...fresh, ...answer]);
    assert.deepEqual(told.map(({ parts }) => parts[0].text), history.map(({ content }) => content), `seed ${seed}`);
  }
});
