// Figures and names as text, and what is saved as CSV.

/** A number as Python writes it: 12.25 becomes '12.2' (`toFixed` writes '12.3').
 * @type {(x: number, digits: number) => string} */
export function fixed(x, digits) {
  const scaled = x * 10 ** digits, half = x * 2 ** (digits + 1) % 1 === 0 && Math.abs(scaled % 1) === 0.5;
  return half ? (2 * Math.round(scaled / 2) / 10 ** digits).toFixed(digits) : x.toFixed(digits);
}

/** '12.3 %'; a dash where there is no figure. @type {(x: number, digits?: number) => string} */
export const percent = (x, digits = 1) => (Number.isFinite(x) ? `${fixed(100 * x, digits)} %` : '–');

/** '12,345'. @type {(n: number) => string} */
export const number = n => (Number.isFinite(n) ? n.toLocaleString('en-US') : '–');

/** '1 photo', '2,000 photos', '2 classes'. @type {(n: number, word: string, words?: string) => string} */
export const plural = (n, word, words = `${word}s`) => `${number(n)} ${n === 1 ? word : words}`;

/** '79.8–88.0 %'. @type {(interval: Interval) => string} */
export const range = ([low, high]) =>
  (Number.isFinite(low) ? `${fixed(100 * low, 1)}–${fixed(100 * high, 1)} %` : '–');

/** '+3.1' or '−3.1': a share in points, with its sign. @type {(x: number) => string} */
export const signed = x => `${x < 0 ? '−' : '+'}${fixed(Math.abs(100 * x), 1)}`;

/** A long text cut in the middle: the end of a file's name stays.
 * @type {(text: string, max?: number) => string} */
export function cut(text, max = 28) {
  const chars = Array.from(text), head = Math.ceil((max - 1) / 2);
  if (chars.length <= max) return text;
  return `${chars.slice(0, head).join('')}…${chars.slice(chars.length - (max - 1 - head)).join('')}`;
}

/** A field of a CSV file, as Python writes it; a text that a spreadsheet would run as a formula gets an
 * apostrophe.
 * @type {(value: string | number) => string} */
export function field(value) {
  if (typeof value === 'number') return Number.isFinite(value) ? String(value) : '';
  const safe = /^'*[=+\-@\t\r\n＝＋－＠]/.test(value) ? `'${value}` : value;
  return /[",\r\n]/.test(safe) ? `"${safe.replace(/"/g, '""')}"` : safe;
}

/** Rows as a CSV file. @type {(rows: (string | number)[][], end?: string) => Blob} */
export const csv = (rows, end = '\r\n') =>
  new Blob([rows.map(row => row.map(field).join(',') + end).join('')], { type: 'text/csv' });

/** A text on one line, with a visible sign for each control character, as Python writes it into a journal.
 * @type {(text: string) => string} */
export const flat = text => text.replace(/[\u0000-\u001f\u007f]/g,
  c => (c === '\u007f' ? '␡' : String.fromCharCode(0x2400 + c.charCodeAt(0))));

/** A text inside SVG, where it stays text. @type {(text: string) => string} */
export const escaped = text => text.replace(/[&<>"']/g, c => `&#${c.charCodeAt(0)};`)
  .replace(/[\u0000-\u0008\u000b-\u001f\ufffe\uffff]/g, '\ufffd');

/** Offer a Blob as a file to save. @type {(name: string, blob: Blob) => void} */
export function save(name, blob) {
  const a = document.createElement('a');
  Object.assign(a, { href: URL.createObjectURL(blob), download: name });
  a.click();
  setTimeout(() => URL.revokeObjectURL(a.href), 10000);
}
