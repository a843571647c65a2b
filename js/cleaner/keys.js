// Keys: one for each decision.
import { act, choose, extend, move, turn } from './decide.js';
import { placeOf } from './list.js';
import { help, relabel } from './windows.js';
import { DECISIONS } from './words.js';
import { columns } from '../common/parts.js';

/** The letter of a key, also on keyboards whose letters are not Latin.
 * @type {(event: KeyboardEvent) => string} */
function letter({ code, key }) {
  if (/^Key[A-Z]$/.test(code) && !/^[a-z]$/i.test(key)) return code[3];
  return key.length === 1 ? key.toUpperCase() : key;
}

/** What a key leads to; undefined for keys that are none of ours.
 * @type {(cl: Cleaner, event: KeyboardEvent, target: Element) => (() => void) | undefined} */
function meaning(cl, event, target) {
  const key = letter(event), at = Math.max(0, placeOf(cl, cl.item)),
    decision = DECISIONS.find(d => d[1] === key);
  if (decision && !event.shiftKey) return event.repeat ? () => {} : () => act(cl, decision[0], relabel);
  const strip = target.closest('.cl-strip'), go = event.shiftKey ? extend : move;
  if (strip && (key === 'ArrowUp' || key === 'ArrowDown')) {
    const row = columns([...strip.querySelectorAll('button')]);
    return () => go(cl, at + (key === 'ArrowDown' ? row : -row));
  }
  /** @type {Record<string, number>} */
  const moves = { ArrowRight: at + 1, L: at + 1, ArrowLeft: at - 1, J: at - 1, Home: 0, End: Infinity };
  if (moves[key] !== undefined) return () => go(cl, moves[key]);
  /** @type {Record<string, () => void>} */
  const others = { U: () => act(cl, event.shiftKey ? 'redo' : 'undo', relabel),
    Y: () => act(cl, 'redo', relabel), X: () => cl.item && choose(cl, [cl.item], !cl.chosen.has(cl.item.id)),
    Escape: () => choose(cl, cl.data.items, false),
    '?': () => help(cl), PageDown: () => turn(cl, 1), PageUp: () => turn(cl, -1) };
  return others[key];
}

/** Keys act where nothing is being typed; none of them leaves the cleaner.
 * @type {(cl: Cleaner, event: KeyboardEvent) => void} */
export function pressed(cl, event) {
  const { target } = event;
  if (!(target instanceof Element)) return;
  if (cl.root.contains(target)) event.stopPropagation();
  else if (target !== document.body) return;
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
  if (target.closest('input:not([type=checkbox]), select, textarea, dialog')) return;
  const act = meaning(cl, event, target);
  if (!act) return;
  event.preventDefault();
  act();
}
