// The cleaner as a whole: what is on the page, and its state.
import { html, nothing, render } from 'lit-html';
import { live } from 'lit-html/directives/live.js';
import { repeat } from 'lit-html/directives/repeat.js';
import { PAGE, act, choose, extend, filter, move, show, take, thumbnails, total, turn } from './decide.js';
import { download, ending } from './end.js';
import { pressed } from './keys.js';
import { choices, makeList, nextUndecided, placeOf } from './list.js';
import { help, relabel } from './windows.js';
import { DECISIONS, brief, kindWords, plain, said } from './words.js';
import { card, link, name, note, segment, select, thumb } from '../common/parts.js';
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
  const { data, marks } = cl, all = total(cl);
  const save = () => button(`Download ${data.journal}`, '', () => download(cl), { classes: 'cl-save' });
  return html`<header class="ic-head cl-head">
    <div class="ic-title"><h2>${name(data.title, Infinity)}</h2>${data.note && note(data.note)}</div>
    <div class="cl-tools">
      <progress aria-label="decided" max=${Math.max(1, all)} .value=${live(marks.size)}></progress>
      <span class="cl-count">decided ${number(marks.size)} of ${number(all)}</span>
      ${button('Undo', 'U', () => act(cl, 'undo', relabel), { off: !cl.undo })}
      ${button('Redo', 'Y', () => act(cl, 'redo', relabel), { off: !cl.redo })}
      ${data.live ? '' : save()}
      ${button('Keys', '?', () => help(cl), { classes: 'cl-help' })}</div></header>`;
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

const NOTED = 'A test photo: it stays in the test as it is; what you decide is only noted.';
const MEANS = html`Set aside leaves the photo out of training for now, Delete for good. The file stays; only
  <code>clean --apply … --move</code> moves those of deleted photos away.`;

/** A class in question, and what it usually looks like.
 * @type {(what: string, label: string, photos: string[], classes?: string) => Html} */
const classOf = (what, label, photos, classes = '') => html`<div ?hidden=${!label}><dt>${what}</dt>
  <dd>${name(label, Infinity, `cl-class ${classes}`)}</dd><dd class="cl-typical" ?hidden=${!photos.length}>
  ${photos.map((src, i) => html`<img src=${src} alt="typical ${label} ${i + 1}">`)}</dd></div>`;

/** The photo, and what is known of it. @type {(cl: Cleaner, item: Item) => Html} */
function stage(cl, item) {
  const { frame: { src, note, done, typical = [[], []] }, list } = cl, i = placeOf(cl, item),
    mark = cl.marks.get(item.id);
  /** @type {(text: string, name: string, key: string, by: number) => Html} */
  const step = (text, name, key, by) =>
    button(text, key, () => move(cl, Math.max(0, i) + by), { name, classes: 'cl-step' });
  return html`<section class="cl-stage" aria-label="candidate">
    <div class="cl-frame" aria-busy=${!done}>
      <img alt="photo labelled ${item.label}" decoding="async" ?hidden=${!src} src=${src || nothing}>
      <span class="cl-gone" .textContent=${src ? '' : note}></span></div>
    <div class="cl-about">
      <div class="cl-line-up">${step('‹', 'photo before', 'J', -1)}
        <span class="cl-where">${i < 0 ? '' : `${number(i + 1)} of ${number(list.length)}`}</span>
        ${step('›', 'next photo', 'L', 1)}<span class="cl-file">${name(item.file)}</span></div>
      <dl class="cl-labels">${classOf('label', item.label, typical[0])}
        ${classOf('suggestion', item.suggestion, typical[1], 'cl-suggestion')}</dl>
      <ul class="cl-reasons" aria-label="reasons">${item.reasons.map(reason)}</ul>
      <p class="cl-decision">Decision:
        <span class="cl-said" data-mark=${mark?.action ?? 'none'}>${said(mark)}</span></p>
      <p class=${item.split === 'test' ? 'cl-test' : 'ic-note'}>${item.split === 'test' ? NOTED : MEANS}</p>
    </div></section>`;
}

/** What can be decided: about the photo shown, or about those that are selected.
 * @type {(cl: Cleaner) => Html | ''} */
function decisions(cl) {
  const { item, chosen: { size } } = cl, mark = item && cl.marks.get(item.id), to = item?.suggestion;
  if (!size && !item) return '';
  const took = mark?.action === 'relabel' && mark.new === to;
  const now = took ? 'take' : mark?.action, as = size ? 'suggested' : name(to || '', 24);
  /** @type {Record<string, unknown>} */
  const texts = { take: size || to ? html`Relabel as ${as}` : 'No suggestion', aside: 'Set aside',
    keep: html`Keep<span class="cl-wide"> ${size ? 'the labels' : name(item?.label ?? '', 24)}</span>`,
    relabel: html`Other<span class="cl-wide"> class</span> …`, delete: 'Delete' };
  const buttons = DECISIONS.slice(0, size ? 3 : undefined).map(([what, key]) => button(texts[what], key,
    () => act(cl, what, relabel), { what, pressed: size ? undefined : what === now,
      off: what === 'take' ? !size && !to : undefined, classes: what === 'take' ? 'cl-main' : undefined }));
  const clear = () => choose(cl, cl.data.items, false);
  return html`<div class="cl-decide" role="group" aria-label="decide">
    ${size ? html`<p class="cl-selected">${number(size)} selected</p>` : ''}${buttons}
    ${size ? button('Clear', 'Esc', clear) : ''}</div>`;
}

/** Why there is no candidate to show. @type {(cl: Cleaner) => Html} */
function nobody(cl) {
  const { f, data } = cl, none = f.show === 'undecided' ? 'Nothing is left to decide in this list.'
    : 'No candidate passes these filters.';
  const reset = () => filter(cl, { label: null, split: null, kind: null, show: 'all' });
  return html`<section class="cl-empty" aria-label="candidate">
    <p>${data.items.length ? none : 'Nothing looks wrong: there are no candidates.'}</p>
    <button type="button" ?hidden=${!data.items.length} @click=${reset}>Show all</button></section>`;
}

/** A thumbnail with what was decided. @type {(cl: Cleaner, item: Item, reached: boolean) => Html} */
function tile(cl, item, reached) {
  const mark = cl.marks.get(item.id), photo = cl.thumbs.get(item.id), { id, file, label } = item;
  /** @type {(event: MouseEvent) => void} */
  const click = ({ shiftKey }) => {
    if (shiftKey) extend(cl, placeOf(cl, item)); else move(cl, placeOf(cl, item));
    cl.root.querySelector('.cl-frame')?.scrollIntoView({ block: 'nearest' });
  };
  const pick = (/** @type {Checked} */ event) => choose(cl, [item], event.target.checked);
  return html`<li><button type="button" class="cl-tile" title=${file} data-id=${id}
    tabindex=${reached ? 0 : -1} aria-current=${cl.item === item ? 'true' : nothing}
    aria-label="${file}, labelled ${label}, ${plain(mark)}" @click=${click}>
    <span class="cl-picture">${photo ? thumb(photo.thumb, photo.note) : ''}</span>
    <span class="cl-mark" ?hidden=${!mark}
      data-mark=${mark?.action ?? 'none'}>${mark ? brief(mark) : ''}</span>
    <span class="cl-line">${name(label, 18)}</span></button>
    <label class="cl-pick"><input type="checkbox" tabindex="-1" aria-label="select ${file}"
      .checked=${live(cl.chosen.has(id))} @change=${pick}></label></li>`;
}

/** The pages of thumbnails. @type {(cl: Cleaner) => Html} */
function strip(cl) {
  const { list, page, chosen } = cl, items = thumbnails(cl), from = page * PAGE, to = from + items.length;
  const reached = cl.item && items.includes(cl.item) ? cl.item : items[0];
  const all = items.length > 0 && items.every(({ id }) => chosen.has(id));
  return html`
    <div class="cl-pages" ?hidden=${!list.length}>
      <button type="button" aria-label="thumbnails before" aria-disabled=${!from}
      @click=${() => turn(cl, -1)}>‹</button> <span>${number(from + 1)}–${number(to)} of
      ${number(list.length)}</span> <button type="button" aria-label="thumbnails after"
        aria-disabled=${to >= list.length} @click=${() => turn(cl, 1)}>›</button>
      <label class="ic-check cl-all"><input type="checkbox" .checked=${live(all)}
        @change=${() => choose(cl, items, !all)}>Select all on this page</label></div>
    <ul class="cl-strip" aria-label="candidates">
      ${repeat(items, item => item.id, item => tile(cl, item, item === reached))}</ul>
    <p class="cl-foot">${cl.data.live ? 'Every decision is written at once; the photos stay as they are.'
      : 'Decisions stay in this browser until you download them.'}
      ${link('Summary and what comes next', () => show(cl, null))}</p>`;
}

/** @type {(cl: Cleaner) => Html} */
function main(cl) {
  if (cl.item) return stage(cl, cl.item);
  const { data: { items }, marks } = cl;
  return cl.list.length || (items.length && marks.size === total(cl)) ? ending(cl) : nobody(cl);
}

/** @type {(cl: Cleaner) => Html} */
const page = cl => html`${head(cl)}${filters(cl)}<div class="cl-body">${main(cl)}${decisions(cl)}
  <p class="cl-message" role="status">${cl.message}</p>
  <p class="ic-error" role="alert" ?hidden=${!cl.error}>${cl.error}</p>${strip(cl)}</div>
  <div class="ic-hidden" aria-live="polite">${cl.spoken}</div>`;

/** Draw the page; where the button goes that has the focus, the page gets it, and keys still act.
 * @type {(cl: Cleaner) => void} */
function draw(cl) {
  if (cl.gone) return;
  const inside = cl.root.contains(document.activeElement);
  render(page(cl), cl.root);
  if (inside && !cl.root.contains(document.activeElement)) cl.root.focus({ preventScroll: true });
}

/** Take over what the host says now: decisions made elsewhere, and candidates that did not fit into a
 * widget's state.
 * @type {(cl: Cleaner, data: CleanerData) => void} */
function update(cl, data) {
  const items = data.items.map(o => cl.byId.get(o.id) || o); // what is shown is told by its object
  Object.assign(cl, { data: { ...data, items }, byId: new Map(items.map(o => [o.id, o])) });
  cl.choices = choices(cl.data);
  take(cl, data);
  makeList(cl);
  const first = nextUndecided(cl, -1) ?? (cl.marks.size < total(cl) ? cl.list[0] : null);
  show(cl, placeOf(cl, cl.item) >= 0 ? cl.item : first ?? null);
}

/** The cleaner in root; host answers photos(ids), photo(id), decide(ids, action, to), undo(), redo(),
 * export().
 * @type {Show} */
export function showCleaner(root, data, host) {
  card(root, 'ic-cleaner');
  root.tabIndex = -1;
  /** @type {Cleaner} */
  const cl = {
    root, data, host, update: () => draw(cl),
    f: { label: null, split: null, kind: null, show: 'all' }, choices: choices(data), places: new Map(),
    byId: new Map(), list: [], at: new Map(), item: null, page: 0, marks: new Map(), undo: 0, redo: 0,
    chosen: new Set(),
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
