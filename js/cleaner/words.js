// Reasons, decisions and keys in words.
import { html } from 'lit-html';
import { KINDS } from './list.js';
import { name } from '../common/parts.js';

/** Decisions: name, what the button says, its key. @type {[string, string, string][]} */
export const DECISIONS = [['keep', 'Keep', 'K'], ['take', 'Take suggestion', 'S'],
  ['relabel', 'Relabel …', 'R'], ['delete', 'Delete', 'D'], ['aside', 'Set aside', 'A']];

/** @type {[string[], string][]} */
export const KEYS = [[['K'], 'keep the label as it is'], [['S'], 'take the suggestion'],
  [['R'], 'relabel: choose another class'], [['D'], 'delete: the photo is of no use'],
  [['A'], 'set aside: not sure, look again later'], [['U'], 'undo'], [['Y', 'Shift U'], 'redo'],
  [['L', '→'], 'next photo'], [['J', '←'], 'photo before'], [['Home', 'End'], 'first and last photo'],
  [['Page Up', 'Page Down'], 'turn the pages of thumbnails'], [['?'], 'show these keys']];

/** @type {Record<string, [short: string, long: string]>} */
const DONE = { keep: ['kept', 'kept'], delete: ['delete', 'to be deleted'], aside: ['aside', 'set aside'] };

/** @type {(kind: string) => string} */
export const kindWords = kind => KINDS[kind] || kind;

/** What was decided about a photo; short for the thumbnails.
 * @type {(mark?: Mark, short?: boolean) => unknown} */
export function said(mark, short = false) {
  if (!mark) return short ? '' : 'not decided yet';
  if (mark.action === 'relabel') return short ? html`→ ${name(mark.new, 16)}`
    : html`relabelled: ${name(mark.new)}`;
  return DONE[mark.action]?.[short ? 0 : 1] ?? mark.action;
}

/** The same as plain text. @type {(mark?: Mark) => string} */
export function plain(mark) {
  if (!mark) return 'not decided yet';
  return mark.action === 'relabel' ? `relabelled to ${mark.new}` : DONE[mark.action]?.[1] ?? mark.action;
}
