// The host of a page that stands alone: decisions are kept by the browser, as lines of a journal.
import { jpeg } from '../common/file.js';
import { csv, flat, save } from '../common/text.js';

const FORGETS = 'This browser keeps nothing for this page: download before you close it.';

/** What is in force after the lines of a journal: undo takes back the last, redo brings it again.
 * @type {(rows: Row[]) => { done: Row[], undone: Row[] }} */
export function replay(rows) {
  /** @type {Row[]} */
  const done = [];
  /** @type {Row[]} */
  let undone = [];
  for (const row of rows) {
    const action = row[6], from = action === 'undo' ? done : undone, last = from[from.length - 1];
    if (action !== 'undo' && action !== 'redo') { done.push(row); undone = []; }
    else if (last) { from.pop(); (action === 'undo' ? undone : done).push(last); }
  }
  return { done, undone };
}

/** The clock on the wall, as Python writes it. @type {() => string} */
export function clock() {
  const now = new Date();
  return new Date(now.getTime() - now.getTimezoneOffset() * 60000).toISOString().slice(0, 19);
}

/** The lines that this browser keeps under `key`; `kept` is false where it keeps nothing. */
export class Store {
  /** @param {string} key */
  constructor(key) {
    this.key = key;
    this.kept = true;
    /** @type {Row[]} */
    this.rows = [];
  }

  /** Another window may have decided meanwhile. @type {() => Row[]} */
  load() {
    try {
      if (this.kept) this.rows = JSON.parse(localStorage.getItem(this.key) || '[]') || [];
    } catch { this.kept = false; }
    return this.rows;
  }

  /** Add lines; throws where there is no room left. @type {(rows: Row[]) => void} */
  add(rows) {
    const before = this.load();
    this.rows = [...before, ...rows];
    try { if (this.kept) localStorage.setItem(this.key, JSON.stringify(this.rows)); } catch (error) {
      this.kept = error instanceof DOMException && error.name === 'QuotaExceededError';
      if (!this.kept) return;
      this.rows = before;
      throw new Error('this browser has no room left; download and clear what other pages keep');
    }
  }
}

/** @type {(inside: InsideCleaner) => CleanerHost} */
export function fileHost({ data, thumbs, missing, photos, rows, columns, key }) {
  const store = new Store(key), all = () => [...rows, ...store.load()];
  /** @type {(id: number) => Photo} */
  const photo = id =>
    ({ id, thumb: jpeg(thumbs[id]), file: data.items[id].file, note: thumbs[id] ? '' : missing });
  /** @type {(row: Row) => string} */
  const aboutOf = row => `${row[2]} ${row[3]}`;
  const about = data.items.map((item, id) => `${photos[id][1]} ${flat(item.label)}`);
  /** @type {(last?: Row) => InForce} */
  const state = last => {
    const { done, undone } = replay(all()), of = new Map(done.map(row => [aboutOf(row), row]));
    /** @type {InForce['decisions']} */
    const decisions = {};
    about.forEach((text, id) => {
      const row = of.get(text);
      if (row) decisions[id] = { action: row[6], new: row[4] };
    });
    const id = last ? about.indexOf(aboutOf(last)) : -1, message = store.kept ? '' : FORGETS;
    return { decisions, undo: done.length, redo: undone.length, last: id < 0 ? null : id, message };
  };
  /** @type {(action: string, row: Row) => InForce} */
  const write = (action, row) => {
    store.add([[clock(), ...row.slice(1, 6).map(flat), action]]);
    return state(row);
  };
  /** @type {(action: string, from: 'done' | 'undone') => InForce} */
  const back = (action, from) => {
    const row = replay(all())[from].pop();
    return row ? write(action, row) : state();
  };
  Object.assign(data, state());
  return {
    async photos(ids) { return ids.map(photo); },
    async photo(id) { const { thumb, note } = photo(id); return { image: thumb, note }; },
    async decide(id, action, to) {
      const { label, reasons } = data.items[id], [path, sha] = photos[id];
      return write(action, ['', path, sha, label, to, reasons.map(r => r.kind).join(' ')]);
    },
    async undo() { return back('undo', 'done'); },
    async redo() { return back('redo', 'undone'); },
    async export() { save(data.journal, csv([columns, ...all()], '\n')); },
  };
}
