// The journal of decisions in a page that stands alone: its lines, and where the browser keeps them.

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

/** The rows that undo or redo the decision on top of a stack, and those made at once with it, which the last
 * word of their reasons says.
 * @type {(stack: Row[], action: string) => Row[]} */
export function together(stack, action) {
  const rows = [...stack].reverse(), batch = /\bbatch-[0-9a-f]{8}$/.exec(rows[0]?.[5] ?? '')?.[0];
  const other = batch ? rows.findIndex(row => !row[5].endsWith(batch)) : 1;
  return rows.slice(0, other < 0 ? rows.length : other).map(row => [...row.slice(0, 6), action]);
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
