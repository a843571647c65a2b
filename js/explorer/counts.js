// The predictions of runs, fetched once, and what is counted from true class, predicted class and its
// probability, one of each a photo.
import { interval, wilson } from './stats.js';
import { u16 } from '../common/file.js';
import { range } from '../common/text.js';

/** One run at one epoch: counts of each cell (row: true, column: predicted), sums, right, and photos without
 * a prediction.
 * @type {(targets: Uint16Array, pred: Uint16Array, conf: Uint16Array, C: number) => Counted} */
export function count(targets, pred, conf, C) {
  const counts = new Int32Array(C * C), rows = new Int32Array(C), cols = new Int32Array(C);
  let right = 0, none = 0;
  for (let i = 0; i < targets.length; i++) {
    const t = targets[i], p = pred[i];
    rows[t]++;
    if (p >= C) { none++; continue; }
    counts[t * C + p]++;
    cols[p]++;
    if (t === p) right++;
  }
  return { pred, conf, counts, rows, cols, right, none, n: targets.length };
}

/** Photos by probability of the predicted class, highest first (or lowest first).
 * @type {(ids: ArrayLike<number>, conf: Uint16Array, up?: boolean) => number[]} */
export function byConfidence(ids, conf, up) {
  const N = 2 ** 32, keys = Float64Array.from(ids, i => (up ? conf[i] : 65535 - conf[i]) * N + i).sort();
  return Array.from(keys, k => k % N);
}

/** Photos for which test(photo) holds. @type {(n: number, test: (i: number) => unknown) => number[]} */
export function where(n, test) {
  const out = [];
  for (let i = 0; i < n; i++) if (test(i)) out.push(i);
  return out;
}

/** The photos that are picked, most confident first: those of a cell, those mistaken for class t (fp), those
 * of t that were missed (fn), or those without a prediction.
 * @type {(of: Tested, view: Counted, pick: Picked) => number[]} */
export function photosOf({ n, C, targets }, { pred, conf }, { kind, t, p = t }) {
  /** @type {Record<Picked['kind'], (i: number) => boolean>} */
  const is = { cell: i => pred[i] === p && targets[i] === t, fp: i => pred[i] === t && targets[i] !== t,
    fn: i => pred[i] !== t && targets[i] === t, none: i => pred[i] >= C };
  return byConfidence(where(n, is[kind]), conf);
}

/** Figures of class c against the rest. @type {(of: Tested, view: Counted, c: number) => ClassFigures} */
export function classFigures({ C, n, targets, groups }, view, c) {
  const { pred, counts, rows, cols } = view;
  /** @type {(k: number, of: number, among: (i: number) => boolean) => Interval} */
  const share = (k, of, among) => (!groups ? wilson(k, of)
    : interval(where(n, among), i => Number(pred[i] === c && targets[i] === c), groups));
  const tp = counts[c * C + c], fp = cols[c] - tp, fn = rows[c] - tp, tn = view.n - tp - fp - fn;
  return { tp, fp, fn, tn, support: rows[c], f1: 2 * tp / (2 * tp + fp + fn),
    precision: tp / (tp + fp), precisionInterval: share(tp, tp + fp, i => pred[i] === c),
    recall: tp / (tp + fn), recallInterval: share(tp, tp + fn, i => targets[i] === c) };
}

/** Between which the accuracy of this classifier lies on other test photos: 95 % interval, counted once.
 * @type {(of: Tested, view: Counted) => Interval} */
export function accuracyInterval({ n, targets, groups }, view) {
  view.interval ||= interval(where(n, () => true), i => Number(view.pred[i] === targets[i]), groups);
  return view.interval;
}

/** '79.8–88.0 %'. @type {(of: Tested, view: Counted) => string} */
export const accuracyRange = (of, view) => range(accuracyInterval(of, view));

/** The most confused pairs of classes: by count, then by share of the true class; counted once.
 * @type {(view: Counted, C: number) => Pair[]} */
export function confusedPairs(view, C) {
  const { counts, rows } = view;
  return view.pairs ??= where(C * C, k => counts[k] && k % (C + 1))
    .map(k => ({ t: Math.floor(k / C), p: k % C, n: counts[k] }))
    .sort((a, b) => b.n - a.n || b.n / rows[b.t] - a.n / rows[a.t]);
}

/** Take over the predictions of run i: of all its epochs, or of the last ones, which travelled with a
 * widget's state.
 * @type {(ex: Explorer, i: number, got: Predictions) => void} */
function take(ex, i, { pred, conf, epochs }) {
  const all = ex.data.runs[i].epochs, there = epochs || all, want = there * ex.n;
  const loaded = { pred: u16(pred), conf: u16(conf), from: all - there };
  if (loaded.pred.length !== want || loaded.conf.length !== want)
    throw Error(`run ${i}: ${want} predictions expected, not ${loaded.pred.length}; make the explorer again`);
  ex.loaded[i] = loaded;
}

/** Fetch a run's predictions once; a failed try may be repeated. Where only the last epochs came, all of them
 * follow, and then() says so.
 * @type {(ex: Explorer, i: number, then: () => void) => Promise<void>} */
export async function load(ex, i, then) {
  const rest = async () => {
    const all = await ex.host.run(i);
    if (!ex.dead) { take(ex, i, all); then(); }
  };
  ex.loading[i] ||= ex.host.run(i).then(got => { take(ex, i, got); if (got.epochs) rest().catch(() => {}); });
  try { await ex.loading[i]; } catch (error) { ex.loading[i] = null; throw error; }
}

/** Run i at an epoch, counted once and remembered.
 * @type {(ex: Explorer, i: number, epoch: number) => View} */
export function viewOf(ex, i, epoch) {
  const key = `${i}/${epoch}`, known = ex.views.get(key);
  if (known) return known;
  if (ex.views.size > 300) ex.views.clear();
  const { pred, conf, from } = ex.loaded[i];
  /** @type {(x: Uint16Array) => Uint16Array} */
  const part = x => x.subarray((epoch - from) * ex.n, (epoch - from + 1) * ex.n);
  const view = { ...count(ex.targets, part(pred), part(conf), ex.C), run: i, epoch };
  ex.views.set(key, view);
  return view;
}

/** Classes in the order of their names. @type {(names: string[]) => number[]} */
export const byName = names => names.map((_, i) => i)
  .sort((i, j) => names[i].localeCompare(names[j], undefined, { numeric: true }));
