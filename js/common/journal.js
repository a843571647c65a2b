// The journal of decisions in a page that stands alone: its lines, and where the browser keeps them.
import { csv, flat, save } from './text.js';

/** What is in force after the lines of a journal: undo takes back the last, redo brings it again.
 * @type {(rows: Row[]) => { done: Row[], undone: Row[] }} */
export function replay(rows) {
  /** @type {Row[]} */
  const done = [], undone = [];
  for (const row of rows) {
    if (row[6] === 'undo') undone.push(...done.splice(-1));
    else if (row[6] === 'redo') done.push(...undone.splice(-1));
    else { done.push(row); undone.length = 0; }
  }
  return { done, undone };
}

/** The rows that undo or redo the decision on top of a stack, and those made at once with it, which the last
 * word of their reasons says.
 * @type {(stack: Row[], action: string) => Row[]} */
export function together(stack, action) {
  const rows = [...stack].reverse(), batch = /\bbatch-[0-9a-f]{8}$/.exec(rows[0]?.[5] ?? '')?.[0];
  const other = batch ? rows.findIndex(row => !row[5].endsWith(batch)) : 1;
  return rows.slice(0, other < 0 ? rows.length : other).map(row => [...row.slice(0, 6), action]);
}

/** How the journal knows a photo: its content and its label. @type {(row: Row) => string} */
export const aboutOf = row => `${row[2]} ${row[3]}`;

/** The lines that came with a page, and those that this browser keeps; `kept`: does it? */
export class Journal {
  kept = true;
  /** @type {Row[]} */
  mine = [];

  /** @param {Kept} page */
  constructor(page) { this.page = page; }

  /** All lines; another window may have decided meanwhile. @type {() => Row[]} */
  rows() {
    const { rows, key } = this.page;
    try { if (this.kept) this.mine = JSON.parse(localStorage.getItem(key) || '[]') || []; } catch {
      this.kept = false;
    }
    return [...rows, ...this.mine];
  }

  /** What can be undone and redone, and what is in force about each photo. */
  state() {
    const { done, undone } = replay(this.rows());
    return { done, undone, marks: new Map(done.map(row => [aboutOf(row), { action: row[6], new: row[4] }])) };
  }

  /** Add lines, with the clock on the wall as Python writes it; throws where there is no room left.
   * @type {(added: Row[]) => Row[]} */
  add(added) {
    this.rows();
    const before = this.mine, time = new Date().toLocaleString('sv').replace(' ', 'T');
    this.mine = [...before, ...added.map(row => [time, ...row.slice(1).map(flat)])];
    try { if (this.kept) localStorage.setItem(this.page.key, JSON.stringify(this.mine)); } catch (error) {
      this.kept = error instanceof DOMException && error.name === 'QuotaExceededError';
      if (!this.kept) return added;
      this.mine = before;
      throw new Error('this browser has no room left; download and clear what other pages keep');
    }
    return added;
  }

  /** Undo or redo. @type {(action: 'undo' | 'redo') => Row[]} */
  back(action) {
    const { done, undone } = this.state();
    return this.add(together(action === 'undo' ? done : undone, action));
  }

  /** Offer the journal as a file. @type {(name: string) => void} */
  save(name) { save(name, csv([this.page.columns, ...this.rows()], '\n')); }
}
