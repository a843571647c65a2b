// The host of a page that stands alone: decisions are kept by the browser, as lines of a journal.
import { jpeg, photoOf } from '../common/file.js';
import { Journal, aboutOf } from '../common/journal.js';
import { flat } from '../common/text.js';

const FORGETS = 'This browser keeps nothing for this page: download before you close it.';

/** @type {(inside: InsideCleaner) => CleanerHost} */
export function fileHost({ data, thumbs, missing, photos, typical, ...kept }) {
  const journal = new Journal(kept), examples = new Map(typical);
  /** @type {(id: number) => Photo} */
  const photo = id => photoOf(id, thumbs[id], data.items[id].file, missing);
  const about = data.items.map((item, id) => `${photos[id][1]} ${flat(item.label)}`);
  /** @type {(changed?: Row[]) => InForce} */
  const state = (changed = []) => {
    const { done, undone, marks } = journal.state(), texts = new Set(changed.map(aboutOf));
    const decided = about.map((text, id) => [id, marks.get(text)]).filter(([, mark]) => mark);
    const id = about.findIndex(text => texts.has(text));
    return { decisions: Object.fromEntries(decided), undo: done.length, redo: undone.length,
      last: id < 0 ? null : id, message: journal.kept ? '' : FORGETS };
  };
  /** @type {(id: number, action: string, to: string, word: string) => Row} */
  const rowOf = (id, action, to, word) => {
    const { label, suggestion, reasons } = data.items[id], why = reasons.map(r => r.kind).join(' ');
    const take = action === 'take';
    return ['', ...photos[id], label, take ? suggestion : to, why + word, take ? 'relabel' : action];
  };
  /** @type {(label: string, id: number) => string[]} */
  const typicalOf = (label, id) => (examples.get(label) ?? []).filter(o => o.id !== id).slice(0, 3)
    .map(o => `${jpeg(o.thumb)}`);
  Object.assign(data, state());
  return {
    async photos(ids) { return ids.map(photo); },
    async photo(id) {
      const { thumb, note } = photo(id), { label, suggestion } = data.items[id];
      return { image: thumb, note, typical: [typicalOf(label, id), typicalOf(suggestion, id)] };
    },
    async decide(ids, action, to) {
      const word = ` batch-${Math.random().toString(16).slice(2, 10).padEnd(8, '0')}`;
      return state(journal.add(ids.map(id => rowOf(id, action, to, ids.length > 1 ? word : ''))));
    },
    async undo() { return state(journal.back('undo')); },
    async redo() { return state(journal.back('redo')); },
    async export() { journal.save(data.journal); },
  };
}
