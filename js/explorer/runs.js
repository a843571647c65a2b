// The runs: fetching their predictions, telling them apart, choosing among them.
import { count, indexed } from './counts.js';
import { u16 } from '../common/numbers.js';
import { number } from '../common/text.js';

/** Fields in which the runs differ, and whether these tell every run from the others.
 * @type {(runs: Run[]) => { fields: Field[], unique: boolean }} */
export function toldApart(runs) {
  /** @type {Field[]} */
  const all = ['arch', 'recipe', 'size', 'seed'];
  const fields = all.filter(f => new Set(runs.map(r => String(r.fields[f]))).size > 1);
  return { fields, unique: new Set(runs.map(r =>
    JSON.stringify(fields.map(f => r.fields[f])))).size === runs.length };
}

/** '1,000 photos a class', 'all photos'. @type {(size: string | number) => string} */
const photosAClass = size => (typeof size === 'number' ? `${number(size)} photos a class` : `${size} photos`);

/** A run in words: the fields that tell it from the others, else its name.
 * @type {(ex: Explorer, i: number) => string} */
export function runName({ data, fields, unique }, i) {
  const { run, fields: own } = data.runs[i];
  const words = fields.map(f =>
    (f === 'size' ? photosAClass(own[f]) : f === 'seed' ? `seed ${own[f]}` : String(own[f])));
  return unique ? words.join(' · ') || run : run;
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
  const fetch = async () => {
    const got = await ex.host.run(i);
    take(ex, i, got);
    if (!got.epochs) return;
    ex.host.run(i).then(all => { if (!ex.dead) { take(ex, i, all); then(); } }).catch(() => {});
  };
  ex.loading[i] ||= fetch();
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

/** Photos of the cell (t, p); t < 0: those without a prediction.
 * @type {(ex: Explorer, view: View, t: number, p: number) => Int32Array} */
export function photosOf(ex, view, t, p) {
  if (ex.index?.view !== view) ex.index = { ...indexed(ex.targets, view.pred, ex.C), view };
  const k = t < 0 ? ex.C * ex.C : t * ex.C + p, { start, ids } = ex.index;
  return ids.subarray(start[k], start[k + 1]);
}

/** The order of rows and columns: confused classes together, or alphabetical; `at`: where each class stands.
 * @type {(ex: Explorer) => void} */
export function setOrder(ex) {
  const { names, data, s } = ex, byName = names.map((_, i) => i)
    .sort((i, j) => names[i].localeCompare(names[j], undefined, { numeric: true }));
  ex.order = s.together ? data.order : byName;
  ex.order.forEach((c, i) => { ex.at[c] = i; });
}
