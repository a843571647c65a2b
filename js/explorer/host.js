// What a kernel would answer, for a page that stands alone.
import { jpeg, photoOf, u16 } from '../common/file.js';
import { Journal, aboutOf } from '../common/journal.js';
import { flat } from '../common/text.js';

const LAST = 'This file keeps the figures behind the threshold for the last epoch only.';
const OTHER = 'something else was decided since; decide about this photo again';

/** The host for the data that `imgcls.explorer.file` puts into a page.
 * @type {(inside: InsideExplorer) => ExplorerHost} */
export function fileHost(inside) {
  const { data: { n, classes, targets }, runs, thumbs, files, missing, top, journal: kept } = inside;
  const journal = new Journal(kept || { rows: [], columns: [], key: '' }), labels = u16(targets);
  /** @type {(id: number, to?: string, action?: string) => Row} */
  const rowOf = (id, to = '', action = '') =>
    ['', files[id], kept?.sha256[id] ?? '', flat(classes[labels[id]]), to, 'explorer', action];
  /** @type {(ids: number[]) => Decided[]} */
  const said = ids => {
    const { done, marks } = journal.state(), newest = done.slice(-1).map(aboutOf);
    return ids.map(id => aboutOf(rowOf(id))).map(about =>
      ({ mark: marks.get(about) ?? null, last: newest.includes(about) }));
  };
  /** @type {(i: number, epoch: number, id: number) => [number, number][]} */
  const probabilities = (i, epoch, id) => {
    const run = runs[i], at = run.kept.indexOf(epoch); // epochs whose probabilities are inside
    if (at < 0) {
      const pred = u16(run.pred)[epoch * n + id];
      return pred === 65535 ? [] : [[pred, u16(run.conf)[epoch * n + id] / 65535]];
    }
    const { index, p } = run.top ||= { index: u16(run.top_index), p: u16(run.top_p) };
    return Array.from({ length: top }, (_, k) => (at * n + id) * top + k).map(k => [index[k], p[k] / 65535]);
  };
  return {
    async run(i) { return { pred: runs[i].pred, conf: runs[i].conf }; },
    async photos(ids) {
      const marks = said(ids);
      return ids.map((id, k) => ({ ...photoOf(id, thumbs[id], files[id], missing), mark: marks[k].mark }));
    },
    async photo(i, epoch, id) {
      const { file, thumb, note } = photoOf(id, thumbs[id], files[id], missing);
      const probs = probabilities(i, epoch, id), rest = 1 - probs.reduce((sum, [, p]) => sum + p, 0);
      const nearest = (inside.nearest[id] || []).map(([t, similarity]) =>
        ({ ...inside.train[t], thumb: jpeg(inside.train[t].thumb), similarity }));
      return { image: thumb, file, note, probs, rest, nearest, why: nearest.length ? '' : inside.why,
        ...said([id])[0] };
    },
    async decide(id, action, to) { journal.add([rowOf(id, to, action)]); return said([id])[0]; },
    async undo(id) {
      if (!said([id])[0].last) throw new Error(OTHER);
      journal.back('undo');
      return said([id])[0];
    },
    async export() { journal.save('decisions.csv'); },
    async pr(i, epoch, cls) {
      const run = runs[i], at = run.kept.indexOf(epoch), from = (at * classes.length + cls) * 202;
      if (at < 0) throw new Error(LAST);
      const counts = [...(run.curves ||= u16(run.pr)).subarray(from, from + 202)];
      return { tp: counts.slice(0, 101), fp: counts.slice(101) };
    },
  };
}
