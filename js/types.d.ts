// Shapes that several modules share; `tsc --checkJs` reads them, the browser never does.

// ---- both

type Html = import('lit-html').TemplateResult<1 | 2>;
type Interval = [low: number, high: number];
type Option = [value: string | number, text: string, title?: string];
type Chosen = Event & { target: HTMLInputElement | HTMLSelectElement };
type Checked = Event & { target: HTMLInputElement };
interface Shade { css: string; ink: string }
/** What is painted with, on light paper or on dark. */
interface Theme {
  colours: Record<string, string>; softInk: string; swatches: Record<'better' | 'worse', string>;
  ramps: Record<'right' | 'wrong' | 'better' | 'worse', Shade[]>;
}
interface Painter {
  rect(x: number, y: number, w: number, h: number, fill: string): void;
  clip(x: number, y: number, w: number, h: number): void;
  unclip(): void;
  text(text: string, x: number, y: number, size: number, fill: string, align: 'left' | 'center' | 'right',
    turned?: boolean): void;
}

/** A page that is shown; `update` takes over what a kernel says now. */
interface Page { destroy(): void; update?(data: any): void }
type Show = (root: HTMLElement, data: any, host: any) => Page;

/** What anywidget hands over, as far as it is used. */
interface Model {
  get(name: string): any;
  on(event: string, fn: (msg: any) => void): void;
  off(event: string, fn: (msg: any) => void): void;
  send(message: unknown, callbacks: { iopub: { status: Status } }): void;
  widget_manager?: { kernel?: Kernel | null };
}
interface Kernel {
  status: string; connectionStatus?: string;
  requestCommInfo(content: { target_name: string }): Promise<unknown>;
}
type Status = (msg: { content: { execution_state: string } }) => void;
interface Question {
  call: string; args: unknown[]; resolve: (answer: unknown) => void; reject: (error: Error) => void;
  quiet: boolean; number?: number; since?: number; state?: string;
}

interface Photo { id: number; thumb: string | null; file: string; note?: string; typical?: Typical;
  mark?: Mark | null }
type Pictures<P extends { id: number }> = import('./common/pictures.js').Pictures<P>;
interface GalleryOf {
  id: string; root: HTMLElement; ids: number[]; label: string; pictures: Pictures<Photo>;
  lines: (photo: Photo) => unknown[]; open: (i: number) => void; update: () => void;
}
interface Gallery extends GalleryOf { shown: number; at: number }
/** The lines of a journal that came with a page, and under which key the browser keeps others. */
interface Kept { rows: Row[]; columns: string[]; key: string }

// ---- explorer

type Mode = 'counts' | 'recall' | 'precision' | string;
type Tab = 'photos' | 'class' | 'lists' | 'compare';
/** A run, and what tells it from the others in words. */
interface Run { run: string; name: string; epochs: number }
interface ExplorerData {
  title: string; note: string; classes: string[]; order: number[]; n: number; targets: string;
  groups: string | null; start: number; runs: Run[];
  /** The file of decisions ('': none can be made); in a page that stands alone, what applies them; does the page
   * around have a heading? */
  journal: string; command?: string; headed?: boolean;
}
/** Of all epochs, or of the last `epochs`, as base64. */
interface Predictions { pred: string; conf: string; epochs?: number }
interface Counts { tp: number[]; fp: number[] }
interface LargePhoto {
  image: string | null; file: string; note?: string; probs: [number, number][]; rest: number; why: string;
  nearest: { thumb: string | null; file: string; label: number; similarity: number }[];
}
/** What was said about a photo, and whether it was the last decision in the journal. */
interface Decided { mark: Mark | null; last: boolean }
interface ExplorerHost {
  run(i: number): Promise<Predictions>;
  photos(ids: number[]): Promise<Photo[]>;
  photo(i: number, epoch: number, id: number): Promise<LargePhoto & Decided>;
  decide(id: number, action: string, to: string): Promise<Decided>;
  undo(id: number): Promise<Decided>;
  export(): Promise<void>;
  pr(i: number, epoch: number, cls: number): Promise<Counts>;
}
/** What `imgcls.explorer.file` writes into a page. */
interface InsideExplorer {
  data: ExplorerData; thumbs: (string | null)[]; files: string[]; missing: string; top: number; why: string;
  nearest: Record<number, [number, number][]>; train: { thumb: string | null; file: string; label: number }[];
  runs: { kept: number[]; pred: string; conf: string; top_index: string; top_p: string; pr: string;
    top?: { index: Uint16Array; p: Uint16Array }; curves?: Uint16Array }[];
  journal?: Kept & { sha256: string[] };
}

/** Test photos: how many, their classes, and which belong together. */
interface Tested { C: number; n: number; targets: Uint16Array; groups: Uint32Array | null }
/** Photos of class t that were taken for class p. */
interface Pair { t: number; p: number; n: number }
/** Predictions of one run at one epoch, counted. */
interface Counted {
  pred: Uint16Array; conf: Uint16Array; counts: Int32Array; rows: Int32Array; cols: Int32Array;
  right: number; none: number; n: number; interval?: Interval; pairs?: Pair[];
}
interface View extends Counted { run: number; epoch: number }
interface ClassFigures {
  tp: number; fp: number; fn: number; tn: number; support: number;
  precision: number; recall: number; f1: number;
  precisionInterval: Interval; recallInterval: Interval;
}
interface Scene {
  top: number; err: number; signed: boolean;
  shade(v: number, max: number, wrong: boolean): Shade;
  paint(t: number, p: number): Shade | null;
  texts(t: number, p: number): string[];
}
interface Geometry {
  left: number; top: number; side: number; base: number; flat: boolean; font: number; width: number;
  zoom: number; x: number; y: number;
}
interface Hit { row?: number; col?: number; x: number; y: number }
interface Places { x(j: number): number; y(i: number): number; last(v: number): number }
type Shorten = (name: string, px: number, size: number) => string;

/** Photos that were chosen: a cell, those mistaken for class t, those of t that were missed, those without a
 * prediction. */
interface Picked { kind: 'cell' | 'fp' | 'fn' | 'none'; t: number; p?: number }
/** What draws a filled tab. */
type Panel = () => unknown;
interface Acts {
  update(): void; show(wait?: number): void; redraw(): void; fill(): void;
  pick(pick: Picked): void; openClass(c: number): void;
}
interface Explorer extends Tested {
  root: HTMLElement; data: ExplorerData; host: ExplorerHost; names: string[]; id: string; act: Acts;
  order: number[]; at: number[];
  measure: (text: string, size: number) => number; shorten: Shorten;
  /** What is chosen. */
  s: {
    run: number; epoch: number; other: number; mode: Mode; which: string; together: boolean;
    t: number; p: number; pick: Picked | null; tab: Tab; cls: number; list: string; threshold: number;
    moved: 'mended' | 'broken'; tile: number; folded: boolean;
  };
  asked: number; loading: (Promise<void> | null)[];
  loaded: { pred: Uint16Array; conf: Uint16Array; from: number }[];
  views: Map<string, View>;
  /** The run shown, at its epoch; the run compared with; which of them the matrix shows. */
  a: View | null; b: View | null; shown: View | null; scene: Scene | null; g: Geometry;
  panels: Record<string, Panel>; status: unknown; said: string;
  playing: number; filling: number; dead: boolean;
  /** Height of the matrix at most; thumbnails that are known; what the tooltip waits for. */
  room: number; pictures: Pictures<Photo>; hovering: number;
  el: { plot: HTMLElement; canvas: HTMLCanvasElement; grid: HTMLElement; tip: HTMLElement;
    there: HTMLElement };
}

// ---- cleaner

interface Reason { kind: string; score: number; text: string }
/** A photo that may be wrong. */
interface Item {
  id: number; file: string; label: string; split: string; suggestion: string; reasons: Reason[];
}
interface Mark { action: string; new: string }
/** What is in force, as the host says; `last`: the photo that was last decided about. */
interface InForce {
  decisions: Record<string, Mark>; undo: number; redo: number; last?: number | null; message?: string;
}
interface CleanerData extends InForce {
  title: string; note: string; classes: string[]; items: Item[]; journal: string; live: boolean;
  commands: [what: string, line: string][]; more?: number; thumbs?: Photo[];
}
/** Pictures of typical photos of the label, and of the suggestion. */
type Typical = [label: string[], suggestion: string[]];
interface Large { image: string | null; note?: string; typical?: Typical }
interface CleanerHost {
  photos(ids: number[]): Promise<Photo[]>;
  photo(id: number): Promise<Large>;
  /** `action` may be 'take': each gets the label that is suggested for it. */
  decide(ids: number[], action: string, to: string): Promise<InForce>;
  undo(): Promise<InForce>;
  redo(): Promise<InForce>;
  export(): Promise<void>;
}
/** A line of the journal: time, photo, sha256, old, new, reason, action. */
type Row = string[];
/** What `imgcls.cleaning.cleaner` writes into a page. */
interface InsideCleaner extends Kept {
  data: CleanerData; thumbs: (string | null)[]; missing: string; photos: [path: string, sha256: string][];
  typical: [label: string, photos: { id: number | null, thumb: string }[]][];
}
type FilterName = 'label' | 'split' | 'kind';
interface Filters { label: string | null; split: string | null; kind: string | null; show: string }
interface Cleaner {
  root: HTMLElement; data: CleanerData; host: CleanerHost; update: () => void;
  f: Filters; places: Map<string, number | undefined>;
  choices: Record<FilterName, [value: string, count: number][]>;
  byId: Map<number, Item>;
  /** Candidates that pass the filters, where each stands, the one shown, and the page of thumbnails. */
  list: Item[]; at: Map<number, number>; item: Item | null; page: number;
  /** What was decided. A mark is shown when the host has said that it stands in the journal, never before. */
  marks: Map<number, Mark>; undo: number; redo: number;
  /** Selected, to be decided about at once. */
  chosen: Set<number>;
  pictures: Pictures<Photo>; large: Pictures<Large & { id: number }>;
  message: unknown; error: string; spoken: string; busy: boolean; gone: boolean;
}
