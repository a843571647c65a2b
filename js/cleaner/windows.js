// Windows over the cleaner: choosing a class, and the keys.
import { html } from 'lit-html';
import { decide } from './decide.js';
import { matches } from './list.js';
import { KEYS } from './words.js';
import { openDialog } from '../common/dialog.js';
import { move, name, uniqueId } from '../common/parts.js';
import { number } from '../common/text.js';

const MOST = 200; // classes shown at once

/** Choose a class by typing a part of its name. @type {(cl: Cleaner) => void} */
export function relabel(cl) {
  const { item, data: { classes } } = cl, id = uniqueId('classes');
  if (!item) return;
  let typed = '', at = 0;
  const dialog = openDialog(cl.root), found = () => matches(classes, item, typed);
  /** @type {(c: string) => void} */
  const take = c => { dialog.close(); if (cl.item === item) decide(cl, [item], 'relabel', c); };
  /** @type {(i: number) => void} */
  const point = i => {
    at = i;
    draw();
    dialog.el.querySelector(`[id="${id}-${i}"]`)?.scrollIntoView({ block: 'nearest' });
  };
  /** @type {(event: KeyboardEvent) => void} */
  const key = event => {
    const all = found().slice(0, MOST), up = event.key === 'ArrowUp' || event.key === 'ArrowDown';
    const to = up ? move(event.key, at, all.length, 1) : -1;
    if (to >= 0) { event.preventDefault(); point(to); }
    if (event.key === 'Enter' && !event.isComposing && all.length) { event.preventDefault(); take(all[at]); }
  };
  /** @type {(event: Chosen) => void} */
  const type = event => { typed = event.target.value; point(0); };
  const draw = () => {
    const all = found(), shown = all.slice(0, MOST), more = all.length - shown.length;
    const hint = !shown.length ? 'No other class has this in its name.' : more
      ? `${number(more)} more: type on` : '';
    dialog.show('Relabel', html`<div class="cl-relabel"><p>Now: ${name(item.label)}</p>
      <input type="text" role="combobox" aria-label="new label: type a part of its name" aria-expanded="true"
        aria-controls=${id} aria-autocomplete="list" aria-activedescendant=${shown.length ? `${id}-${at}`
        : ''} autocomplete="off" spellcheck="false" placeholder="type to find a class" @keydown=${key}
      @input=${type}> <ul id=${id} role="listbox" aria-label="classes" class="cl-classes"
        ?hidden=${!shown.length}> ${shown.map((c, k) => html`<li id="${id}-${k}" role="option" title=${c}
          aria-selected=${k === at} @click=${() => take(c)}>${name(c, Infinity)}${
            c === item.suggestion ? html`<small> suggestion</small>` : ''}</li>`)}</ul>
      <p class="cl-none" role="status" .textContent=${hint}></p></div>`);
  };
  draw();
  dialog.el.querySelector('input')?.focus();
}

/** The keys. @type {(cl: Cleaner) => void} */
export function help(cl) {
  const rows = KEYS.map(([keys, what]) =>
    html`<tr><th scope="row">${keys.map(key => html`<kbd>${key}</kbd>`)}</th>
    <td>${what}</td></tr>`);
  openDialog(cl.root).show('Keys', html`<table class="cl-keys"><tbody>${rows}</tbody></table>`);
}