// Deciding, undoing, moving on, and which photo is shown.
import { html } from 'lit-html';
import { makeList, nextUndecided, placeOf } from './list.js';
import { askFor } from './pictures.js';
import { kindWords, plain, said } from './words.js';
import { messageOf, name } from '../common/parts.js';
import { number, plural } from '../common/text.js';

export const PAGE = 24; // thumbnails shown, and asked for, at once

/** All candidates, also those that did not fit into a widget's state. @type {(cl: Cleaner) => number} */
export const total = ({ data }) => data.items.length + (data.more || 0);

/** Say something below the photo. @type {(cl: Cleaner, message: unknown) => void} */
export function tell(cl, message) {
  cl.message = message;
  cl.update();
}

/** Take over what the host says is in force. @type {(cl: Cleaner, answer: InForce) => void} */
export function take(cl, { decisions, undo, redo }) {
  cl.marks = new Map(Object.entries(decisions).map(([id, mark]) => [Number(id), mark]));
  Object.assign(cl, { undo, redo });
}

/** Show a candidate, large, and the page of thumbnails it is on.
 * @type {(cl: Cleaner, item: Item | null) => void} */
export function show(cl, item) {
  const i = placeOf(cl, item);
  cl.item = item;
  cl.page = Math.floor(Math.max(0, i) / PAGE);
  if (item) {
    const why = item.reasons.map(r => kindWords(r.kind)).join(', '), mark = plain(cl.marks.get(item.id));
    const to = item.suggestion ? `, suggestion ${item.suggestion}` : '',
      place = `${i + 1} of ${cl.list.length}`;
    cl.spoken = `${place}: ${item.file}, labelled ${item.label}${to}, ${why}. ${mark}.`;
  }
  askFor(cl, item, thumbnails(cl));
  const strip = cl.root.querySelector('.cl-strip'), held = strip?.contains(document.activeElement);
  cl.update();
  if (!held) return;
  /** @type {HTMLElement | null} */ (strip?.querySelector('[tabindex="0"]'))?.focus({ preventScroll: true });
}

/** The candidates whose thumbnails are shown. @type {(cl: Cleaner) => Item[]} */
export const thumbnails = ({ list, page }) => list.slice(page * PAGE, page * PAGE + PAGE);

/** Turn the pages of thumbnails; the photo shown large stays. @type {(cl: Cleaner, by: number) => void} */
export function turn(cl, by) {
  const to = cl.page + by;
  if (to < 0 || to * PAGE >= cl.list.length) return;
  cl.page = to;
  askFor(cl, cl.item, thumbnails(cl));
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
  cl.busy = true;
  const slow = setTimeout(() => tell(cl, 'Saving …'), 400);
  try {
    const answer = await call();
    if (cl.gone) return;
    take(cl, answer);
    cl.error = '';
    done(answer);
  } catch (error) {
    Object.assign(cl, { message: '', error: `Not saved: ${messageOf(error)}` });
    cl.update();
  } finally {
    clearTimeout(slow);
    cl.busy = false;
  }
}

/** Decide about the photo shown, then show the next that is undecided.
 * @type {(cl: Cleaner, action: string, to?: string) => void} */
export function decide(cl, action, to = '') {
  const { item } = cl, mark = item && cl.marks.get(item.id);
  if (!item) return;
  /** @type {(end: string) => Html} */
  const words = end => html`${name(item.file, 40)}: ${said({ action, new: to })}${end}`;
  if (mark?.action === action && (mark.new || '') === to) return goOn(cl, item, words(' already'));
  send(cl, () => cl.host.decide(item.id, action, to),
    ({ message }) => goOn(cl, item, words(message ? `. ${message}` : '')));
}

/** Go on after a decision about `item`; whoever has moved elsewhere meanwhile stays there.
 * @type {(cl: Cleaner, item: Item, words: Html) => void} */
function goOn(cl, item, words) {
  const from = placeOf(cl, item), here = cl.item === item, rest = total(cl) - cl.marks.size;
  makeList(cl);
  // it may have left a list of undecided ones
  const next = here ? nextUndecided(cl, cl.at.has(item.id) ? from : from - 1) : cl.item;
  const others = `All in this list are decided; ${number(rest)} under other filters are not.`;
  const all = next || !here ? '' : rest ? others : 'All candidates are decided.';
  cl.message = html`${words}. ${all}`;
  show(cl, next ?? (cl.at.has(item.id) ? item : cl.list[0] ?? null));
}

/** Undo or redo, and show the photo it was about. @type {(cl: Cleaner, call: 'undo' | 'redo') => void} */
function back(cl, call) {
  if (!cl[call]) return tell(cl, `There is nothing to ${call}.`);
  send(cl, () => cl.host[call](), ({ last, message }) => {
    const item = cl.byId.get(last ?? -1);
    makeList(cl);
    cl.message = html`${item ? html`${call === 'undo' ? 'Undone' : 'Redone'}: ${name(item.file, 40)}: ${
      said(cl.marks.get(item.id))}. ` : ''}${message || ''}`;
    show(cl, [item, cl.item].find(o => o && cl.at.has(o.id)) ?? cl.list[0] ?? null);
  });
}

/** What a button or key does; relabel() lets a class be chosen.
 * @type {(cl: Cleaner, what: string, relabel: (cl: Cleaner) => void) => void} */
export function act(cl, what, relabel) {
  const { item } = cl;
  if (what === 'undo' || what === 'redo') return back(cl, what);
  if (!item) return undefined;
  if (what === 'relabel') return relabel(cl);
  if (what !== 'take') return decide(cl, what);
  if (item.suggestion) return decide(cl, 'relabel', item.suggestion);
  return tell(cl, 'There is no suggestion for this photo; R lets you choose a class.');
}
