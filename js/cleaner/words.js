// Reasons, decisions and keys in words.
import { html } from 'lit-html';
import { KINDS } from './list.js';
import { name } from '../common/parts.js';
import { plural } from '../common/text.js';

/** Decisions and their keys; those in front may be about several photos at once.
 * @type {[what: string, key: string][]} */
export const DECISIONS = [['take', 'S'], ['keep', 'K'], ['aside', 'A'], ['relabel', 'R'], ['delete', 'D']];

/** @type {[string[], string][]} */
export const KEYS = [[['S'], 'take the suggestion'], [['K'], 'keep the label as it is'],
  [['R'], 'relabel: choose another class'], [['A'], 'set aside: not sure, look again later'],
  [['D'], 'delete: the photo is of no use'], [['U'], 'undo'], [['Y', 'Shift U'], 'redo'],
  [['L', '→'], 'next photo'], [['J', '←'], 'photo before'], [['Home', 'End'], 'first and last photo'],
  [['X'], 'select the photo; what you decide is then about all that are selected'],
  [['Shift →', 'Shift ←'], 'select on the way'], [['Esc'], 'clear the selection'],
  [['Page Up', 'Page Down'], 'turn the pages of thumbnails'], [['?'], 'show these keys']];

/** @type {Record<string, string>} */
const DONE = { keep: 'kept', delete: 'to be deleted', aside: 'set aside' };

/** @type {(kind: string) => string} */
export const kindWords = kind => KINDS[kind] || kind;

/** What was decided about a photo, as plain text. @type {(mark?: Mark) => string} */
export const plain = mark => (mark?.action === 'relabel' ? `relabelled to ${mark.new}`
  : mark ? DONE[mark.action] ?? mark.action : 'not decided yet');

/** The same for a page. @type {(mark?: Mark) => unknown} */
export const said = mark =>
  (mark?.action === 'relabel' ? html`relabelled: ${name(mark.new)}` : plain(mark));

/** The same for a thumbnail. @type {(mark: Mark) => unknown} */
export const brief = mark => (mark.action === 'relabel' ? html`→ ${name(mark.new, 16)}`
  : mark.action.replace('keep', 'kept'));

/** A photo and what is said of it, or how many. @type {(items: Item[], what: unknown) => Html} */
export const about = (items, what) =>
  html`${items.length === 1 ? name(items[0].file, 40) : plural(items.length, 'photo')}: ${what}`;
