// Keys, one for each decision; and the windows over the cleaner: choosing a class, and the list of the keys.
import { html } from 'lit-html';
import { DECISIONS, KEYS, back, choose, decide, extend, move, tell, turn } from './decide.js';
import { matches, placeOf } from './list.js';
import { columns, move as moved, name, openDialog, uniqueId } from '../common/parts.js';
import { number } from '../common/text.js';

const MOST = 200; // classes shown at once

/** What a button or key does, about those that are selected or else the one shown.
 * @type {(cl: Cleaner, what: string) => void} */
export function press(cl, what) {
  const { item, data } = cl, chosen = data.items.filter(({ id }) => cl.chosen.has(id));
  const some = !chosen.length && item ? [item] : chosen;
  if (what === 'undo' || what === 'redo') return back(cl, what);
  if (chosen.length && (what === 'relabel' || what === 'delete'))
    return tell(cl, 'That goes for one photo at a time; Esc clears the selection.');
  if (what === 'relabel') return relabel(cl);
  if (what === 'take' && !some.some(o => o.suggestion))
    return tell(cl, 'There is no suggestion; R lets you choose a class.');
  return some.length ? decide(cl, some, what) : undefined;
}

/** The letter of a key, also on keyboards whose letters are not Latin.
 * @type {(event: KeyboardEvent) => string} */
function letter({ code, key }) {
  if (/^Key[A-Z]$/.test(code) && !/^[a-z]$/i.test(key)) return code[3];
  return key.length === 1 ? key.toUpperCase() : key;
}

/** What a key leads to; undefined for keys that are none of ours.
 * @type {(cl: Cleaner, event: KeyboardEvent, target: Element) => (() => void) | undefined} */
function meaning(cl, event, target) {
  const key = letter(event), [decision] = DECISIONS.find(d => d[1] === key && !event.shiftKey) ?? [];
  if (decision) return () => { if (!event.repeat) press(cl, decision); };
  const at = Math.max(0, placeOf(cl, cl.item));
  const strip = target.closest('.cl-strip'), go = event.shiftKey ? extend : move;
  const row = strip ? columns([...strip.querySelectorAll('button')]) : NaN;
  /** @type {Record<string, number>} */
  const moves = { ArrowRight: at + 1, L: at + 1, ArrowLeft: at - 1, J: at - 1, Home: 0, End: Infinity,
    ArrowDown: at + row, ArrowUp: at - row };
  if (moves[key] <= Infinity) return () => go(cl, moves[key]); // up and down only lead on in the strip
  /** @type {Record<string, () => void>} */
  const others = { U: () => press(cl, event.shiftKey ? 'redo' : 'undo'), Y: () => press(cl, 'redo'),
    X: () => cl.item && choose(cl, [cl.item], !cl.chosen.has(cl.item.id)),
    Escape: () => choose(cl, cl.data.items, false), '?': () => help(cl),
    PageDown: () => turn(cl, 1), PageUp: () => turn(cl, -1) };
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

/** Choose a class by typing a part of its name. @type {(cl: Cleaner) => void} */
function relabel(cl) {
  const { item, data: { classes } } = cl, id = uniqueId('classes');
  if (!item) return;
  let typed = '', at = 0;
  const dialog = openDialog(cl.root), found = () => matches(classes, item, typed);
  /** @type {(c: string) => void} */
  const take = c => { dialog.el.close(); if (cl.item === item) decide(cl, [item], 'relabel', c); };
  /** @type {(i: number) => void} */
  const point = i => {
    at = i;
    draw();
    dialog.el.querySelector(`[id="${id}-${i}"]`)?.scrollIntoView({ block: 'nearest' });
  };
  /** @type {(event: KeyboardEvent) => void} */
  const key = event => {
    const all = found().slice(0, MOST), enter = event.key === 'Enter' && !event.isComposing && all.length;
    const to = /^Arrow(Up|Down)$/.test(event.key) ? moved(event.key, at, all.length, 1) : -1;
    if (to < 0 && !enter) return;
    event.preventDefault();
    if (enter) take(all[at]); else point(to);
  };
  /** @type {(event: Chosen) => void} */
  const type = event => { typed = event.target.value; point(0); };
  const draw = () => {
    const all = found(), shown = all.slice(0, MOST), more = all.length - shown.length;
    const none = all.length ? '' : 'No other class has this in its name.';
    dialog.show('Relabel', html`<div class="cl-relabel"><p>Now: ${name(item.label)}</p>
      <input type="text" role="combobox" aria-label="new label: type a part of its name" aria-expanded="true"
        aria-controls=${id} aria-autocomplete="list" aria-activedescendant=${all.length ? `${id}-${at}` : ''}
        autocomplete="off" spellcheck="false" placeholder="type to find a class" @keydown=${key}
        @input=${type}>
      <ul id=${id} role="listbox" aria-label="classes" class="cl-classes" ?hidden=${!all.length}>
        ${shown.map((c, k) => html`<li id="${id}-${k}" role="option" title=${c} aria-selected=${k === at}
          @click=${() => take(c)}>${name(c, Infinity)}${
            c === item.suggestion ? html`<small> suggestion</small>` : ''}</li>`)}</ul>
      <p class="cl-none" role="status" 
        .textContent=${more ? `${number(more)} more: type on` : none}></p></div>`);
  };
  draw();
  dialog.el.querySelector('input')?.focus();
}

/** The keys. @type {(cl: Cleaner) => void} */
export function help(cl) {
  const rows = KEYS.map(([keys, what]) => html`<tr><th scope="row">${keys.map(key =>
    html`<kbd>${key}</kbd>`)}</th><td>${what}</td></tr>`);
  openDialog(cl.root).show('Keys', html`<table class="cl-keys"><tbody>${rows}</tbody></table>`);
}
