// What is counted from true class, predicted class and its probability, one of each a photo.
import { interval, wilson } from './stats.js';
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

/** Photos grouped by cell in one counting pass: those of cell k are ids[start[k]] … ids[start[k + 1] - 1];
 * the last group has no prediction.
 * @type {(targets: Uint16Array, pred: Uint16Array, C: number) => { start: Int32Array, ids: Int32Array }} */
export function indexed(targets, pred, C) {
  const start = new Int32Array(C * C + 2), ids = new Int32Array(targets.length);
  /** @type {(i: number) => number} */
  const cell = i => (pred[i] < C ? targets[i] * C + pred[i] : C * C);
  for (let i = 0; i < ids.length; i++) start[cell(i) + 1]++;
  for (let k = 0; k <= C * C; k++) start[k + 1] += start[k];
  const next = start.slice();
  for (let i = 0; i < ids.length; i++) ids[next[cell(i)]++] = i;
  return { start, ids };
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

/** Figures of class c against the rest. @type {(of: Tested, view: Counted, c: number) => ClassFigures} */
export function classFigures({ C, n, targets, groups }, view, c) {
  const { pred, counts, rows, cols } = view;
  /** @type {(k: number, of: number, among: (i: number) => boolean) => Interval} */
  const share = (k, of, among) => (!groups ? wilson(k, of)
    : interval(where(n, among), i => Number(pred[i] === c && targets[i] === c), groups));
  const tp = counts[c * C + c], fp = cols[c] - tp, fn = rows[c] - tp, tn = view.n - tp - fp - fn;
  return {
    tp, fp, fn, tn, support: rows[c],
    precision: tp / (tp + fp), recall: tp / (tp + fn), f1: 2 * tp / (2 * tp + fp + fn),
    precisionInterval: share(tp, tp + fp, i => pred[i] === c),
    recallInterval: share(tp, tp + fn, i => targets[i] === c),
  };
}

/** Between which the accuracy of this classifier lies on other test photos: 95 % interval, counted once.
 * @type {(of: Tested, view: Counted) => Interval} */
export function accuracyInterval({ n, targets, groups }, view) {
  view.interval ||= interval(where(n, () => true), i => Number(view.pred[i] === targets[i]), groups);
  return view.interval;
}

/** '79.8–88.0 %'. @type {(of: Tested, view: Counted) => string} */
export const accuracyRange = (of, view) => range(accuracyInterval(of, view));

/** The cell off the diagonal with most photos, of several the first in the order shown; null: no class is
 * taken for another.
 * @type {(view: Counted, order: number[]) => { t: number, p: number, n: number } | null} */
export function largestError({ counts }, order) {
  /** @type {{ t: number, p: number, n: number } | null} */
  let found = null;
  for (const t of order) for (const p of order) {
    const n = counts[t * order.length + p];
    if (t !== p && n > (found ? found.n : 0)) found = { t, p, n };
  }
  return found;
}

/** The most confused pairs of classes, as cells t * C + p: by count, then by share of the true class.
 * @type {(view: Counted, C: number) => number[]} */
export function confusedPairs({ counts, rows }, C) {
  /** @type {(k: number) => number} */
  const share = k => counts[k] / rows[Math.floor(k / C)];
  return where(C * C, k => counts[k] && Math.floor(k / C) !== k % C)
    .sort((a, b) => counts[b] - counts[a] || share(b) - share(a) || a - b);
}
