// What a kernel would answer, for a page that stands alone; and what a kernel's answers become.
import { jpeg } from '../common/file.js';
import { clock, replay, Store, together } from '../common/journal.js';
import { u16 } from '../common/numbers.js';
import { csv, flat, save } from '../common/text.js';

const LAST = 'This file keeps the figures behind the threshold for the last epoch only.';
const OTHER = 'something else was decided since; decide about this photo again';

/** Replies to `run` travel as base64. */
export const replies = {
  run: (/** @type {Predictions} */ r) => ({ ...r, pred: u16(r.pred), conf: u16(r.conf) }),
};

/** Decisions that the browser keeps, as lines of a journal; a photo is known by content and label.
 * @type {(inside: InsideExplorer) => { of: (ids: number[]) => Decided[], decide: (id: number, action: string,
 *   to: string) => Decided, undo: (id: number) => Decided, export: () => void }} */
function decisions({ data, files, journal = { rows: [], columns: [], key: '', sha256: [] } }) {
  const store = new Store(journal.key), targets = u16(data.targets);
  const all = () => [...journal.rows, ...store.load()];
  /** @type {(id: number) => string[]} */
  const about = id => [journal.sha256[id], flat(data.classes[targets[id]])];
  /** @type {(ids: number[]) => Decided[]} */
  const of = ids => {
    const { done } = replay(all()), found = new Map(done.map(row => [`${row[2]} ${row[3]}`, row]));
    return ids.map(id => {
      const row = found.get(about(id).join(' '));
      return row ? { mark: { action: row[6], new: row[4] }, last: row === done[done.length - 1] }
        : { mark: null, last: false };
    });
  };
  return {
    of,
    decide(id, action, to) {
      store.add([[clock(), flat(files[id]), ...about(id), flat(to), 'explorer', action]]);
      return of([id])[0];
    },
    undo(id) {
      if (!of([id])[0].last) throw new Error(OTHER);
      store.add(together(replay(all()).done, 'undo').map(row => [clock(), ...row.slice(1)]));
      return of([id])[0];
    },
    export: () => save('decisions.csv', csv([journal.columns, ...all()], '\n')),
  };
}

/** The host for the data that `imgcls.explorer.file` puts into a page.
 * @type {(inside: InsideExplorer) => ExplorerHost} */
export function fileHost(inside) {
  const { data: { n, classes }, runs, thumbs, files, missing, top } = inside, said = decisions(inside);
  /** @type {(id: number) => Photo} */
  const photo = id => ({ id, thumb: jpeg(thumbs[id]), file: files[id], note: thumbs[id] ? '' : missing });
  /** @type {(i: number, epoch: number, id: number) => [number, number][]} */
  const probabilities = (i, epoch, id) => {
    const run = runs[i], at = run.kept.indexOf(epoch); // epochs whose probabilities are inside
    if (at < 0) {
      const pred = u16(run.pred)[epoch * n + id];
      return pred === 65535 ? [] : [[pred, u16(run.conf)[epoch * n + id] / 65535]];
    }
    const from = (at * n + id) * top, { index, p } = run.top ||= { index: u16(run.top_index),
      p: u16(run.top_p) };
    return Array.from({ length: top }, (_, k) => [index[from + k], p[from + k] / 65535]);
  };
  return {
    async run(i) { return { pred: u16(runs[i].pred), conf: u16(runs[i].conf) }; },
    async photos(ids) {
      const marks = said.of(ids);
      return ids.map((id, k) => ({ ...photo(id), mark: marks[k].mark }));
    },
    async photo(i, epoch, id) {
      const { file, thumb, note } = photo(id), probs = probabilities(i, epoch, id);
      const nearest = (inside.nearest[id] || []).map(([t, similarity]) =>
        ({ ...inside.train[t], thumb: jpeg(inside.train[t].thumb), similarity }));
      const rest = Math.max(0, 1 - probs.reduce((sum, [, p]) => sum + p, 0));
      return { image: thumb, file, note, probs, rest, nearest, why: nearest.length ? '' : inside.why,
        ...said.of([id])[0] };
    },
    async decide(id, action, to) { return said.decide(id, action, to); },
    async undo(id) { return said.undo(id); },
    async export() { said.export(); },
    async pr(i, epoch, cls) {
      const run = runs[i], at = run.kept.indexOf(epoch), from = (at * classes.length + cls) * 202;
      if (at < 0) throw new Error(LAST);
      const counts = run.curves ||= u16(run.pr);
      /** @type {(k: number) => number[]} */
      const part = k => Array.from(counts.subarray(from + k, from + k + 101));
      return { tp: part(0), fp: part(101) };
    },
  };
}