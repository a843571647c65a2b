// The host of a page that stands alone: decisions are kept by the browser, as lines of a journal.
import { jpeg } from '../common/file.js';
import { clock, replay, Store, together } from '../common/journal.js';
import { csv, flat, save } from '../common/text.js';

const FORGETS = 'This browser keeps nothing for this page: download before you close it.';

/** @type {(inside: InsideCleaner) => CleanerHost} */
export function fileHost({ data, thumbs, missing, photos, rows, columns, key, typical }) {
  const store = new Store(key), all = () => [...rows, ...store.load()], examples = new Map(typical);
  /** @type {(id: number) => Photo} */
  const photo = id =>
    ({ id, thumb: jpeg(thumbs[id]), file: data.items[id].file, note: thumbs[id] ? '' : missing });
  /** @type {(row: Row) => string} */
  const aboutOf = row => `${row[2]} ${row[3]}`;
  const about = data.items.map((item, id) => `${photos[id][1]} ${flat(item.label)}`);
  /** @type {(changed?: Row[]) => InForce} */
  const state = (changed = []) => {
    const { done, undone } = replay(all()), of = new Map(done.map(row => [aboutOf(row), row]));
    /** @type {InForce['decisions']} */
    const decisions = {};
    about.forEach((text, id) => {
      const row = of.get(text);
      if (row) decisions[id] = { action: row[6], new: row[4] };
    });
    const texts = new Set(changed.map(aboutOf)), id = about.findIndex(text => texts.has(text));
    return { decisions, undo: done.length, redo: undone.length, last: id < 0 ? null : id,
      message: store.kept ? '' : FORGETS };
  };
  /** @type {(rows: Row[]) => InForce} */
  const write = rows => {
    store.add(rows.map(row => [clock(), ...row.slice(1).map(flat)]));
    return state(rows);
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
      return write(ids.map(id => rowOf(id, action, to, ids.length > 1 ? word : '')));
    },
    async undo() { return write(together(replay(all()).done, 'undo')); },
    async redo() { return write(together(replay(all()).undone, 'redo')); },
    async export() { save(data.journal, csv([columns, ...all()], '\n')); },
  };
}
