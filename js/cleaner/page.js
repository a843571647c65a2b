// The cleaner as a whole: what is on the page, and its state.
import { html, nothing, render } from 'lit-html';
import { live } from 'lit-html/directives/live.js';
import { repeat } from 'lit-html/directives/repeat.js';
import { PAGE, act, filter, move, show, take, thumbnails, total, turn } from './decide.js';
import { pressed } from './keys.js';
import { choices, makeList, nextUndecided, placeOf } from './list.js';
import { help, relabel } from './windows.js';
import { DECISIONS, kindWords, plain, said } from './words.js';
import { card, messageOf, name, note, segment, select, thumb } from '../common/parts.js';
import { fixed, number } from '../common/text.js';

/** A button with its key on it.
 * @type {(text: unknown, key: string, click: () => void, about?: { off?: boolean, pressed?: boolean,
 *   what?: string, name?: string, classes?: string }) => Html} */
const button = (text, key, click, { off, pressed, what, name, classes } = {}) => html`<button type="button"
  class=${classes ?? nothing} aria-keyshortcuts=${key || nothing} aria-disabled=${off ?? nothing}
  aria-pressed=${pressed ?? nothing} data-do=${what ?? nothing} aria-label=${name ?? nothing}
  title=${name ?? nothing} @click=${click}><span>${text}</span>${
    key && html`<kbd aria-hidden="true">${key}</kbd>`}</button>`;

/** Title, counter, undo and redo. @type {(cl: Cleaner) => Html} */
function head(cl) {
  const { data, marks, host } = cl, all = total(cl);
  const download = () => host.export().catch(error => { cl.error = messageOf(error); cl.update(); });
  const save = () => button(`Download ${data.journal}`, '', download, { classes: 'cl-save' });
  return html`<header class="ic-head cl-head">
    <div class="ic-title"><h2>${name(data.title, Infinity)}</h2>${data.note && note(data.note)}</div>
    <div class="cl-tools">
      <progress aria-label="decided" max=${Math.max(1, all)} .value=${live(marks.size)}></progress>
      <span class="cl-count">decided ${number(marks.size)} of ${number(all)}</span>
      ${button('Undo', 'U', () => act(cl, 'undo', relabel), { off: !cl.undo })}
      ${button('Redo', 'Y', () => act(cl, 'redo', relabel), { off: !cl.redo })}
      ${data.live ? '' : save()}${button('Keys', '?', () => help(cl))}</div></header>`;
}

/** @type {[FilterName, string, string, (v: string) => string][]} */
const FILTERS = [['label', 'Class', 'all classes', v => v], ['split', 'Split', 'all', v => v || '–'],
  ['kind', 'Reason', 'all reasons', kindWords]];
/** @type {Option[]} */
const SHOWN = [['all', 'All'], ['undecided', 'Undecided'], ['decided', 'Decided']];

/** @type {(cl: Cleaner) => Html} */
function filters(cl) {
  const fields = FILTERS.map(([field, title, all, text]) => {
    const found = cl.choices[field], at = found.findIndex(([v]) => v === cl.f[field]);
    const options = found.map(([v, n], i) => /** @type {Option} */ ([i, `${text(v)} (${number(n)})`]));
    return select(title, [['', all], ...options], at < 0 ? '' : at,
      v => filter(cl, { [field]: v === '' ? null : found[Number(v)][0] }));
  });
  return html`<div class="ic-controls cl-filters" role="group" aria-label="filters">${fields}
    ${segment('decided or not', SHOWN, cl.f.show, v => filter(cl, { show: v }))}</div>`;
}

/** @type {(reason: Reason) => Html} */
const reason = ({ kind, score, text }) => html`<li><strong>${kindWords(kind)}</strong>
  <span class="cl-score">score ${fixed(score, 2)}</span>
  <span class="cl-bar" aria-hidden="true"><i
  style="width: ${100 * Math.max(0, Math.min(1, score))}%"></i></span> <bdi class="cl-why"
    dir="auto">${text}</bdi></li>`;

const NOTED = 'A test photo: what you decide is noted, and it counts as before.';

/** The photo, what is known of it, and the buttons. @type {(cl: Cleaner, item: Item) => Html} */
function stage(cl, item) {
  const { frame: { src, note, done }, list } = cl, i = placeOf(cl, item), mark = cl.marks.get(item.id);
  const to = item.suggestion, took = mark?.action === 'relabel' && mark.new === to;
  const suggestion = to ? html`Take ${name(to, 20)}` : 'Take suggestion';
  /** @type {(text: string, name: string, key: string, by: number) => Html} */
  const step = (text, name, key, by) =>
    button(text, key, () => move(cl, Math.max(0, i) + by), { name, classes: 'cl-step' });
  const buttons = DECISIONS.map(([what, text, key]) => button(what === 'take' ? suggestion : text, key,
    () => act(cl, what, relabel),
    { what, pressed: what === (took ? 'take' : mark?.action), off: what === 'take' ? !to : undefined }));
  return html`<section class="cl-stage" aria-label="candidate">
    <div class="cl-frame" aria-busy=${!done}>
      <img alt="photo labelled ${item.label}" decoding="async" ?hidden=${!src} src=${src || nothing}>
      <span class="cl-gone" .textContent=${src ? '' : note}></span></div>
    <div class="cl-about">
      <div class="cl-line-up">${step('‹', 'photo before', 'J', -1)}
        <span class="cl-where">${i < 0 ? '' : `${number(i + 1)} of ${number(list.length)}`}</span>
        ${step('›', 'next photo', 'L', 1)}<span class="cl-file">${name(item.file)}</span></div>
      <dl class="cl-labels"><div><dt>label</dt><dd>${name(item.label, Infinity, 'cl-class')}</dd></div>
        <div ?hidden=${!to}><dt>suggestion</dt><dd>${name(to, Infinity,
      'cl-class cl-suggestion')}</dd></div></dl> <p class="cl-test" .textContent=${item.split === 'test'
      ? NOTED : ''}></p> <ul class="cl-reasons" aria-label="reasons">${item.reasons.map(reason)}</ul>
      <p class="cl-decision">Decision:
        <span class="cl-said" data-mark=${mark?.action ?? 'none'}>${said(mark)}</span></p>
      <div class="cl-buttons" role="group" aria-label="decide">${buttons}</div></div></section>`;
}

/** Why there is no candidate to show. @type {(cl: Cleaner) => Html} */
function nobody(cl) {
  const { f, data } = cl, left = f.show === 'undecided';
  const none = left ? 'Nothing is left to decide in this list.' : 'No candidate passes these filters.';
  const reset = () => {
    filter(cl, { label: null, split: null, kind: null, show: 'all' });
    cl.root.focus({ preventScroll: true });
  };
  return html`<section class="cl-empty" aria-label="candidate">
    <p>${data.items.length ? none : 'Nothing looks wrong: there are no candidates.'}</p>
    <button type="button" ?hidden=${!data.items.length} @click=${reset}>Show all</button></section>`;
}

/** A thumbnail with what was decided. @type {(cl: Cleaner, item: Item, reached: boolean) => Html} */
function tile(cl, item, reached) {
  const mark = cl.marks.get(item.id), photo = cl.thumbs.get(item.id);
  const click = () => { cl.message = ''; show(cl, item); };
  return html`<li><button type="button" class="cl-tile" title=${item.file} data-id=${item.id}
    tabindex=${reached ? 0 : -1} aria-current=${cl.item === item ? 'true' : nothing}
    aria-label="${item.file}, labelled ${item.label}, ${plain(mark)}" @click=${click}>
    <span class="cl-picture">${photo ? thumb(photo.thumb, photo.note) : ''}</span>
    <span class="cl-mark" ?hidden=${!mark} data-mark=${mark?.action ?? 'none'}>${said(mark, true)}</span>
    <span class="cl-line">${name(item.label, 18)}</span></button></li>`;
}

/** The pages of thumbnails. @type {(cl: Cleaner) => Html} */
function strip(cl) {
  const { list, page, data } = cl, items = thumbnails(cl), from = page * PAGE, to = from + items.length;
  const reached = cl.item && items.includes(cl.item) ? cl.item : items[0];
  const journal = name(data.journal), command = data.command ? html` and run <code>${data.command}</code>.`
    : '; in a notebook, apply_decisions applies it.';
  const how = data.live ? html`Every decision is written at once to ${journal}; the photos stay as they are.`
    : html`Decisions stay in this browser. Download ${journal}${command}`;
  return html`
    <div class="cl-pages" ?hidden=${list.length <= PAGE}>
      <button type="button" aria-label="thumbnails before" aria-disabled=${!from}
      @click=${() => turn(cl, -1)}>‹</button> <span>${number(from + 1)}–${number(to)} of
      ${number(list.length)}</span> <button type="button" aria-label="thumbnails after"
        aria-disabled=${to >= list.length} @click=${() => turn(cl, 1)}>›</button></div>
    <ul class="cl-strip" aria-label="candidates">
      ${repeat(items, item => item.id, item => tile(cl, item, item === reached))}</ul>
    <p class="cl-foot">${how}</p>`;
}

/** @type {(cl: Cleaner) => Html} */
const page = cl => html`${head(cl)}${filters(cl)}${cl.item ? stage(cl, cl.item) : nobody(cl)}
  <p class="cl-message" role="status">${cl.message}</p>
  <p class="ic-error" role="alert" ?hidden=${!cl.error}>${cl.error}</p>${strip(cl)}
  <div class="ic-hidden" aria-live="polite">${cl.spoken}</div>`;

/** Take over what the host says now: decisions made elsewhere, and candidates that did not fit into a
 * widget's state.
 * @type {(cl: Cleaner, data: CleanerData) => void} */
function update(cl, data) {
  const items = data.items.map(o => cl.byId.get(o.id) || o); // what is shown is told by its object
  Object.assign(cl, { data: { ...data, items }, byId: new Map(items.map(o => [o.id, o])) });
  cl.choices = choices(cl.data);
  take(cl, data);
  makeList(cl);
  show(cl, placeOf(cl, cl.item) >= 0 ? cl.item : nextUndecided(cl, -1) ?? cl.list[0] ?? null);
}

/** The cleaner in root; host answers photos(ids), photo(id), decide(id, action, to), undo(), redo(),
 * export().
 * @type {Show} */
export function showCleaner(root, data, host) {
  card(root, 'ic-cleaner');
  root.tabIndex = -1;
  /** @type {Cleaner} */
  const cl = {
    root, data, host, update: () => { if (!cl.gone) render(page(cl), root); },
    f: { label: null, split: null, kind: null, show: 'all' }, choices: choices(data), places: new Map(),
    byId: new Map(), list: [], at: new Map(), item: null, page: 0, marks: new Map(), undo: 0, redo: 0,
    thumbs: new Map((data.thumbs || []).map((/** @type {Photo} */ photo) => [photo.id, photo])),
    wanted: new Set(), large: new Map(), asked: new Map(), frame: { src: null, note: '', done: false },
    message: '', error: '', spoken: '', busy: false, gone: false,
  };
  /** @type {(event: Event) => void} */
  const key = event => pressed(cl, /** @type {KeyboardEvent} */ (event));
  const keys = data.live ? root : document;
  keys.addEventListener('keydown', key);
  update(cl, data);
  return {
    update: now => update(cl, now),
    destroy() {
      cl.gone = true;
      keys.removeEventListener('keydown', key);
      render(nothing, root);
    },
  };
}
