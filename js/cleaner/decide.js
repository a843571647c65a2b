// Deciding, undoing, moving on, which photo is shown, and all this in words.
import { html } from 'lit-html';
import { KINDS, makeList, nextUndecided, placeOf } from './list.js';
import { name, saving } from '../common/parts.js';
import { PAGE } from '../common/pictures.js';
import { number, plural } from '../common/text.js';

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
const about = (items, what) =>
  html`${items.length === 1 ? name(items[0].file, 40) : plural(items.length, 'photo')}: ${what}`;

/** All candidates, also those that did not fit into a widget's state. @type {(cl: Cleaner) => number} */
export const total = ({ data }) => data.items.length + (data.more || 0);

/** All that are selected, or none. @type {(cl: Cleaner, items: Item[], on?: boolean) => void} */
export function choose(cl, items, on = true) {
  for (const { id } of items) if (on) cl.chosen.add(id); else cl.chosen.delete(id);
  cl.update();
}

/** Select from the photo shown to the place of another, and show that.
 * @type {(cl: Cleaner, to: number) => void} */
export function extend(cl, to) {
  const from = Math.max(0, placeOf(cl, cl.item)), end = Math.max(0, Math.min(cl.list.length - 1, to));
  choose(cl, cl.list.slice(Math.min(from, end), Math.max(from, end) + 1));
  move(cl, end);
}

/** Say something below the photo. @type {(cl: Cleaner, message: unknown) => void} */
export const tell = (cl, message) => { cl.message = message; cl.update(); };

/** Take over what the host says is in force. @type {(cl: Cleaner, answer: InForce) => void} */
export function take(cl, { decisions, undo, redo }) {
  const marks = new Map(Object.entries(decisions).map(([id, mark]) => [Number(id), mark]));
  Object.assign(cl, { marks, undo, redo });
}

/** Show a candidate, large, and the page of thumbnails it is on.
 * @type {(cl: Cleaner, item: Item | null) => void} */
export function show(cl, item) {
  const i = placeOf(cl, item);
  cl.item = item;
  cl.page = Math.floor(Math.max(0, i) / PAGE);
  if (item) {
    const why = item.reasons.map(r => kindWords(r.kind)).join(', '), mark = plain(cl.marks.get(item.id));
    const place = `${i + 1} of ${cl.list.length}`, to = item.suggestion && `, suggestion ${item.suggestion}`;
    cl.spoken = `${place}: ${item.file}, labelled ${item.label}${to}, ${why}. ${mark}.`;
  } else cl.spoken = cl.marks.size && cl.marks.size === total(cl) ? 'All candidates are decided.' : '';
  fetch(cl);
  const strip = cl.root.querySelector('.cl-strip'), held = strip?.contains(document.activeElement);
  cl.update();
  if (held) /** @type {any} */ (strip?.querySelector('[tabindex="0"]'))?.focus({ preventScroll: true });
}

/** Ask for what is shown: the thumbnails of a page, the large photo, and the next one in advance.
 * @type {(cl: Cleaner) => Promise<void>} */
async function fetch(cl) {
  const { item, list } = cl, next = list[placeOf(cl, item) + 1];
  cl.pictures.see(thumbnails(cl).map(o => o.id));
  if (!item) return;
  await cl.large.see([item.id]);
  if (next && !cl.gone && cl.item === item) cl.large.see([next.id]);
}

/** The candidates whose thumbnails are shown. @type {(cl: Cleaner) => Item[]} */
export const thumbnails = ({ list, page }) => list.slice(page * PAGE, page * PAGE + PAGE);

/** Turn the pages of thumbnails; the photo shown large stays. @type {(cl: Cleaner, by: number) => void} */
export function turn(cl, by) {
  const to = cl.page + by;
  if (to < 0 || to * PAGE >= cl.list.length) return;
  cl.page = to;
  fetch(cl);
  cl.update();
}

/** Show the candidate at a place of the list. @type {(cl: Cleaner, to: number) => void} */
export function move(cl, to) {
  if (!cl.list.length) return;
  cl.message = '';
  show(cl, cl.list[Math.max(0, Math.min(cl.list.length - 1, to))]);
}

/** Choose filters; coming back to some finds the photo that was shown there.
 * @type {(cl: Cleaner, f: Partial<Filters>) => void} */
export function filter(cl, f) {
  cl.places.set(JSON.stringify(cl.f), cl.item?.id);
  cl.f = { ...cl.f, ...f };
  cl.chosen.clear(); // what is out of sight should not be decided about
  makeList(cl);
  const id = cl.places.get(JSON.stringify(cl.f)) ?? cl.item?.id, item = cl.list.find(o => o.id === id);
  cl.message = `${plural(cl.list.length, 'candidate')} in this list.`;
  show(cl, item ?? nextUndecided(cl, -1) ?? cl.list[0] ?? null);
}

/** Send a call that changes the journal; one at a time, so that no key decides about a photo that isn't shown
 * yet.
 * @type {(cl: Cleaner, call: () => Promise<InForce>, done: (answer: InForce) => void) => Promise<void>} */
async function send(cl, call, done) {
  if (cl.busy) return;
  const slow = setTimeout(() => tell(cl, 'Saving …'), 400);
  await saving(cl, call, answer => { if (!cl.gone) { take(cl, answer); done(answer); } });
  clearTimeout(slow);
  if (cl.error) tell(cl, '');
}

/** What a decision makes of a candidate. @type {(item: Item, action: string, to: string) => Mark} */
const marked = (item, action, to) =>
  (action === 'take' ? { action: 'relabel', new: item.suggestion } : { action, new: to });

/** @type {(a?: Mark, b?: Mark) => boolean} */
const same = (a, b) => a?.action === b?.action && a?.new === b?.new;

/** Decide about some candidates, and go on. Those of which this is said already, or for which there is no
 * suggestion to take, stay as they are.
 * @type {(cl: Cleaner, items: Item[], action: string, to?: string) => void} */
export function decide(cl, items, action, to = '') {
  const some = items.filter(item => (action !== 'take' || item.suggestion)
    && !same(cl.marks.get(item.id), marked(item, action, to)));
  const one = items.length === 1, left = items.length - some.length;
  const what = one || action !== 'take' ? said(marked(items[0], action, to)) : 'relabelled as suggested';
  const rest = left ? html`; ${number(left)} had it already, or no suggestion` : '';
  if (one && left) return goOn(cl, items, html`${about(items, what)} already`);
  send(cl, () => cl.host.decide(some.map(item => item.id), action, to), ({ message }) => {
    cl.chosen.clear();
    goOn(cl, items, html`${about(some, what)}${rest}${message ? `. ${message}` : ''}`);
  });
}

/** Go on after a decision about some candidates: to the next that is undecided, or to the summary when all
 * are decided. Whoever looks at another photo meanwhile stays there.
 * @type {(cl: Cleaner, items: Item[], words: Html) => void} */
function goOn(cl, items, words) {
  const { item } = cl, from = placeOf(cl, item), here = !!item && items.includes(item);
  makeList(cl);
  const rest = total(cl) - cl.marks.size;
  // it may have left a list of undecided ones
  const next = here ? nextUndecided(cl, cl.at.has(item.id) ? from : from - 1) : item;
  const others = `All in this list are decided; ${number(rest)} under other filters are not.`;
  cl.message = html`${words}. ${here && !next && rest ? others : ''}`;
  const stay = cl.list.find(o => o === item) ?? cl.list[0] ?? null;
  show(cl, rest ? next ?? (here ? stay : null) : null);
}

/** Undo or redo, and show the photo it was about. @type {(cl: Cleaner, call: 'undo' | 'redo') => void} */
export function back(cl, call) {
  if (!cl[call]) return tell(cl, `There is nothing to ${call}.`);
  const { marks } = cl;
  send(cl, () => cl.host[call](), ({ last, message }) => {
    const item = cl.byId.get(last ?? -1), done = call === 'undo' ? 'Undone' : 'Redone';
    const { length } = cl.data.items.filter(({ id }) => !same(marks.get(id), cl.marks.get(id)));
    makeList(cl);
    cl.message = html`${item ? html`${done}: ${length > 1 ? plural(length, 'photo')
      : about([item], said(cl.marks.get(item.id)))}. ` : ''}${message || ''}`;
    show(cl, [item, cl.item].find(o => o && cl.at.has(o.id)) ?? cl.list[0] ?? null);
  });
}
