// What the scripts of the page hand to each other. Nothing of this file is in the page: it is for
// the type checker, which takes the scripts as one program, and for readers.

// ---- The model: one entry a node in each column

interface Columns {
  parent: Int32Array;
  type: Int32Array;
  name: Int32Array;
  lane: Int32Array;
  model: Int32Array;
  answeredBy: Int32Array;
  error: Int32Array;
  status: Uint8Array;
  start: Float64Array;
  duration: Float64Array;
  tokensIn: Float64Array;
  tokensOut: Float64Array;
  cached: Float64Array;
  cost: Float64Array;
}

interface Model extends Columns {}

type Numbers = Int32Array | Uint8Array | Float64Array | number[];

interface Edge {
  source: number;
  target: number;
  kind: string;
  label: string;
}

/** What a page reads first; of a dropped file or a live run, only what is known. */
interface Head {
  version: number;
  name: string;
  traceId: string;
  started: string | null;
  wall: number;
  metadata: Record<string, unknown>;
  notes: string[];
  count: number;
  strings: string[];
  columns: Partial<Record<keyof Columns, number[]>>;
  edges: number[];
  blocks: number[];
  idLength: number;
  hasValues: boolean;
  comparison: ComparisonHead;
}

interface ComparisonHead {
  secondRun: number;
  rows: [before: number, after: number, word: string][];
}

/** What is recorded of a node besides its columns. */
interface Detail {
  input_data?: Record<string, unknown>;
  output_data?: Record<string, unknown>;
  annotations?: unknown[];
  metadata?: Record<string, unknown>;
  error?: string;
  error_type?: string;
  error_traceback?: string;
  problem?: string;
}

/** A node as a trace file has it; a stranger may have written it. */
interface NodeRecord extends Detail {
  id: string;
  name?: unknown;
  node_type?: unknown;
  status?: unknown;
  parent_id?: unknown;
  start_time?: unknown;
  end_time?: unknown;
}

interface EdgeRecord {
  source_id: string;
  target_id: string;
  edge_type?: unknown;
  label?: unknown;
}

interface HeadRecord {
  name?: unknown;
  trace_id?: unknown;
  start_time?: unknown;
  end_time?: unknown;
  metadata?: Record<string, unknown>;
}

interface TraceDocument extends HeadRecord {
  nodes?: Record<string, NodeRecord>;
  edges?: EdgeRecord[];
}

interface JournalEvent extends HeadRecord, Partial<EdgeRecord> {
  event?: string;
  id?: string;
  node?: NodeRecord;
}

// ---- What the core derives from it

interface ChildIndex {
  childStart: Int32Array;
  childList: Int32Array;
  roots: number[];
}

interface Tree extends ChildIndex {
  order: Int32Array;
  position: Int32Array;
  level: Int32Array;
  size: Int32Array;
}

interface Lanes {
  names: string[];
  nameOf: Int32Array;
  laneOf: Int32Array;
  labels: string[];
}

/** A lane before it is known which are drawn. */
interface LaneSum {
  key: number;
  run: string;
  label: string;
  start: number;
  busy: number;
  count: number;
}

interface Layout {
  row: Int32Array;
  rows: number;
  rowStart: Int32Array;
  nodes: Int32Array;
  slot: Int32Array;
  from: Float64Array;
  to: Float64Array;
  laneStart: number[];
  errorSum: Int32Array;
}

interface Sums {
  tokensIn: Float64Array;
  tokensOut: Float64Array;
  cost: Float64Array;
}

interface Rolled extends Sums {
  tokens: Float64Array;
}

type EdgesByNode = Map<number, Edge[]>;

interface EdgeIndex {
  incoming: EdgesByNode;
  outgoing: EdgesByNode;
  attempts: Map<number, number>;
}

interface Measured {
  model: Model;
  tree: Tree;
  lanes: Lanes;
  rolled: Rolled;
  selves: Float64Array;
  edges: EdgeIndex;
}

interface Facts extends Measured {
  diff: Pairing | null;
}

interface Span {
  from: number;
  to: number;
}

interface View extends Span {
  width: number;
}

interface Stretch extends Span {
  node: number;
}

interface PathPart extends Stretch {
  waiting: boolean;
}

/** Sums over the nodes of one name, or of one model. */
interface NodeGroup {
  first: number;
  count: number;
  errors: number;
  total: number;
  self: number;
  covered: number;
  busyUntil: number;
  durations: number[];
  median: number;
  p95: number;
  tokensIn: number;
  tokensOut: number;
  cached: number;
  cost: number;
  slowest: number;
}

interface Frame {
  node: number;
  parent: number;
  level: number;
  width: number;
  own: number;
  count: number;
  errors: number;
  x: number;
  children: number[];
}

/** Rows of a comparison that stand as one. */
interface RowGroup {
  rows: number[];
  isSame: boolean;
  isOpen: boolean;
  steps: number;
  errors: number;
  before: number;
  after: number;
}

type Sign = ' ' | '-' | '+';
type SignedLine = [sign: Sign, text: string];

// ---- What was said

interface TextPart {
  kind: 'text' | 'thinking';
  text: string;
}

/** A call of a tool; in a conversation with what came back, and the node that ran it. */
interface CallPart {
  kind: 'call';
  id: string;
  name: string;
  given: unknown;
  result?: ResultPart;
  node?: number;
}

interface ResultPart {
  kind: 'result';
  id: string;
  name: string;
  value: unknown;
  failed: boolean;
}

interface MediaPart {
  kind: 'media';
  url: string;
}

interface OtherPart {
  kind: 'other';
  value: unknown;
}

type MessagePart = TextPart | CallPart | ResultPart | MediaPart | OtherPart;

/** A message to or from a model, whatever product recorded it; `rest` is what has no place in parts. */
interface ChatMessage {
  role: string;
  name: string;
  parts: MessagePart[];
  rest: Record<string, unknown>;
}

/** A model call: what it was told anew, what it carried along, what it answered. */
interface Turn {
  kind: 'turn';
  node: number;
  fresh: ChatMessage[];
  carried: ChatMessage[];
  answer: ChatMessage[];
}

interface ToolStep {
  kind: 'tool';
  node: number;
  call: CallPart;
}

interface InnerStep {
  kind: 'agent' | 'failure';
  node: number;
}

type TalkStep = Turn | ToolStep | InnerStep;

/** The conversation of a run, an agent or a tool while it is put together. */
interface Talk {
  steps: TalkStep[];
  said: Map<string, number>;
  unanswered: CallPart[];
  unrun: CallPart[];
  lastAnswer: string | null;
  isNew: boolean;
}

type Inline =
  | string
  | { kind: 'code'; text: string }
  | { kind: 'link'; text: string; address: string }
  | { kind: 'strong' | 'emphasis' | 'struck'; parts: Inline[] };

type Block =
  | { kind: 'heading'; level: number; text: Inline[] }
  | { kind: 'paragraph'; text: Inline[] }
  | { kind: 'code'; language: string; text: string }
  | { kind: 'quote'; blocks: Block[] }
  | { kind: 'list'; start: number | null; items: Block[][] }
  | { kind: 'table'; head: Inline[][]; rows: Inline[][][] }
  | { kind: 'rule' };

// ---- The filter

type Units = Record<string, number>;

interface TextValue {
  text?: string;
  pattern?: RegExp;
}

interface NumberValue {
  number: number;
  isShare: boolean;
}

interface TextTerm {
  op: 'text';
  value: TextValue;
}

interface FieldTerm {
  op: 'field';
  field: string;
  sign: string;
  value: TextValue;
}

interface WordTerm {
  op: 'word' | 'has';
  field: string;
  sign: string;
  wanted: string[];
}

interface NumberTerm extends NumberValue {
  op: 'number';
  field: string;
  sign: string;
}

interface AttributeTerm extends Partial<NumberValue> {
  op: 'attribute';
  path: string;
  sign: string;
  value?: TextValue;
  word?: string;
}

type Term = TextTerm | FieldTerm | WordTerm | NumberTerm | AttributeTerm;

interface Compound<Part> {
  op: 'and' | 'or' | 'not';
  parts: Part[];
}

type Query = Term | Compound<Query>;

/** A term at work: what the columns say, and how to ask the details. */
interface Leaf {
  bits?: Uint8Array;
  fits?: (detail: Detail, node: number) => boolean;
  word?: string | null;
}

type SearchPart = { bits: Uint8Array } | Compound<SearchPart>;

type TextTest = (text: string) => boolean;
type NodeTest = (node: number) => boolean;
type NumberOf = (node: number) => number;

// ---- The page

type NodeColour =
  | 'llm_call'
  | 'tool_call'
  | 'sub_agent'
  | 'retrieval'
  | 'decision'
  | 'validation'
  | 'transformation'
  | 'human_input'
  | 'custom'
  | 'trace';
type OtherColour =
  | 'ground'
  | 'panel'
  | 'line'
  | 'edge'
  | 'ink'
  | 'soft'
  | 'focus'
  | 'selected'
  | 'mark'
  | 'error'
  | 'dim'
  | 'retry'
  | 'fallback'
  | 'flow'
  | 'critical'
  | 'shade'
  | 'load'
  | 'added'
  | 'removed'
  | 'changed';

interface Palette extends Record<NodeColour | OtherColour, string> {}

type Tab = 'conversation' | 'timeline' | 'flame' | 'table' | 'log';
type Total = [name: string, value: string];
type Child = Node | string | null | undefined;
type Action = () => unknown;
type AttributeValue = string | number | boolean;

/** The elements of page.html that scripts look for. */
interface PageElements extends Record<`${Tab}-tab` | `${Tab}-panel`, HTMLElement> {
  'align-button': HTMLElement;
  announcer: HTMLElement;
  banner: HTMLElement;
  chips: HTMLElement;
  'compact-button': HTMLElement;
  'copy-dialog': HTMLDialogElement;
  'copy-text': HTMLTextAreaElement;
  'critical-button': HTMLElement;
  detail: HTMLElement;
  'detail-button': HTMLElement;
  drop: HTMLElement;
  'drop-problem': HTMLElement;
  'errors-button': HTMLElement;
  facts: HTMLElement;
  file: HTMLInputElement;
  flame: HTMLCanvasElement;
  footer: HTMLElement;
  help: HTMLDialogElement;
  'help-button': HTMLElement;
  'hide-others': HTMLInputElement;
  hint: HTMLElement;
  keys: HTMLElement;
  'left-splitter': HTMLElement;
  'live-badge': HTMLElement;
  log: HTMLElement;
  main: HTMLElement;
  'match-count': HTMLElement;
  'next-match': HTMLElement;
  notes: HTMLElement;
  overview: HTMLCanvasElement;
  'previous-match': HTMLElement;
  query: HTMLInputElement;
  'raw-button': HTMLElement;
  'query-problem': HTMLElement;
  'right-splitter': HTMLElement;
  'save-button': HTMLElement;
  search: HTMLElement;
  'selection-line': HTMLElement;
  'single-keys': HTMLInputElement;
  'theme-button': HTMLElement;
  timeline: HTMLCanvasElement;
  title: HTMLElement;
  tooltip: HTMLElement;
  totals: HTMLElement;
  tree: HTMLElement;
  'tree-columns': HTMLElement;
  'weight-button': HTMLElement;
}

interface Window {
  trustedTypes?: {
    createPolicy(
      name: string,
      rules: { createScript: (text: string) => string },
    ): { createScript: (text: string) => string };
  };
  logtracerApp?: App;
}

/** Where the details of nodes come from: this page, a dropped file, or a live server. */
interface DetailSource {
  of(node: number): Promise<Detail>;
  each(visit: (first: number, text: string) => boolean | void): Promise<void>;
}

interface App extends Measured {
  derived: Partial<Derived>;
  details: DetailSource;
  drawn: Model;
  errorList: number[];
  originList: number[];
  folded: Uint8Array;
  hidden: Uint8Array | null;
  layout: Layout;
  matches: Uint8Array | null;
  matchList: number[];
  matchSum: Int32Array | null;
  placeOf: Int32Array;
  span: Span;
  visible: Int32Array;

  tooltip: Tooltip;
  conversation: ConversationView;
  timeline: TimelineView;
  overview: OverviewView;
  treeView: TreeView;
  log: LogView;
  table: TableView;
  flame: FlameView;
  detail: DetailView;
  search: SearchBox;
  live?: LiveLink;

  area?: Span | null;
  mark?: { node: number; window: Span };
  hasLanded: boolean;
  hidesOthers: boolean;
  isDrawing?: boolean;
  showsSummary?: boolean;
  remembering?: number;
}

/** Values of a model that are computed when they are first asked for. */
interface Derived {
  startOrder: Int32Array;
  critical: PathPart[];
  modelGroups: NodeGroup[];
  leaves: number[];
  calls: number[];
  places: Int32Array;
  totals: Total[];
  kinds: string[];
  comparedColumns: ComparedColumn[];
  edges: Edge[];
  edgesFor: number;
}

interface ComparedColumn {
  head: string;
  of: NumberOf;
  format: (value: number) => string;
  kind: string;
}

/** A lane as the timeline draws it: `shown` of its rows, the rest as one density row. */
interface DrawnLane {
  lane: number;
  label: string;
  first: number;
  rows: number;
  shown: number;
  isCut: boolean;
  top: number;
  density: Density | null;
}

interface Density {
  starts: Float64Array;
  ends: Float64Array;
  errors: Float64Array;
}

interface Point {
  x: number;
  y: number;
}

/** A place on a canvas that does something when it is clicked. */
interface Spot {
  left: number;
  top: number;
  right: number;
  bottom: number;
  act: Action;
}

interface BarText extends Point {
  node: number;
  width: number;
  fill: string;
  failed: boolean;
}

interface TornEdge extends Point {
  torn: true;
}

interface ListOptions {
  count: () => number;
  render: (element: Row, index: number) => void;
  role?: string;
}

interface Row extends HTMLElement {
  shown: number;
  parts?: RowParts;
}

interface RowParts {
  sign: HTMLElement;
  indent: HTMLElement;
  fold: HTMLElement;
  glyph: HTMLElement;
  name: HTMLElement;
  numbers: HTMLElement[];
  swatch: HTMLElement;
  label: HTMLElement;
  after: HTMLElement;
}

interface HTMLCanvasElement {
  /** The size of its box, kept beside it. */
  room: { width: number; height: number };
}

// What the views get after they were made.

interface TimelineView {
  context: CanvasRenderingContext2D;
  lanes: DrawnLane[];
  contentHeight: number;
  bars: Map<string, number[]>;
  strips: number[];
  texts: (BarText | TornEdge)[];
}

interface PointerControl {
  origin: Point & { moved: boolean; isArea: boolean };
}

interface OverviewView {
  grip?: number;
  isStale: boolean;
}

interface FlameView {
  graph: { frames: Frame[]; frameOf: Int32Array };
  boxes: FrameBox[];
}

interface ConversationView {
  count?: HTMLElement;
  reading?: Promise<void>;
}

interface FrameBox extends Point {
  frame: Frame;
  right: number;
}

interface LiveLink {
  builder: ModelBuilder;
  places: number[];
  taken: number;
  isOpen: boolean;
  isStale: boolean;
  isFinished: boolean;
  spoken: { at: number; nodes: number; errors: number };
  source: EventSource;
  clock?: { server: number; here: number };
  nextUpdate: number;
  nextSecond: number;
  lastSpan?: number;
}

interface VirtualList {
  isOwnScroll: boolean;
  mustScroll: boolean;
  waiting: number;
}

interface Tooltip {
  timer?: number;
}

interface SearchBox {
  timer?: number;
  took: number;
  tookColumns: number;
}

interface Comparison {
  alignedAt: number;
  fields: Record<number, FieldChange[]>;
}

/** A value of a comparison that differs, as `logtracer diff` writes it. */
interface FieldChange {
  path: string;
  before?: unknown;
  after?: unknown;
}
