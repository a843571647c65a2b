// The cleaner as a whole: what is on the page, and its state.
import { html, nothing, render } from 'lit-html';
import { live } from 'lit-html/directives/live.js';
import { repeat } from 'lit-html/directives/repeat.js';
import { DECISIONS, brief, choose, extend, filter, kindWords, move, plain, said, show, take, tell, thumbnails,
  total, turn } from './decide.js';
import { help, press, pressed } from './keys.js';
import { ACTIONS, choices, makeList, nextUndecided, placeOf, tally } from './list.js';
import { box, card, link, messageOf, name, note, segment, select, table, thumb } from '../common/parts.js';
import { PAGE, Pictures } from '../common/pictures.js';
import { fixed, number, plural } from '../common/text.js';

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
  return html`<header class="ic-head cl-head">
    <div class="ic-title"><h2>${name(data.title, Infinity)}</h2>${data.note && note(data.note)}</div>
    <div class="cl-tools">
      <progress aria-label="decided" max=${Math.max(1, all)} .value=${live(marks.size)}></progress>
      <span class="cl-count">decided ${number(marks.size)} of ${number(all)}</span>
      ${button('Undo', 'U', () => press(cl, 'undo'), { off: !cl.undo })}
      ${button('Redo', 'Y', () => press(cl, 'redo'), { off: !cl.redo })}
      ${data.live ? '' : button(`Download ${data.journal}`, '', () => download(cl), { classes: 'cl-save' })}
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
  <span class="cl-score">score ${fixed(score, 2)}</span><span class="cl-bar" aria-hidden="true"><i
  style="width: ${100 * Math.max(0, score)}%"></i></span><bdi class="cl-why" dir="auto">${text}</bdi></li>`;

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
  const { list, large } = cl, i = placeOf(cl, item), mark = cl.marks.get(item.id);
  const photo = large.known.get(item.id), small = cl.pictures.known.get(item.id); // until the large one comes
  const src = photo ? photo.image : small?.thumb, typical = (photo ?? small)?.typical ?? [[], []];
  const note = photo ? photo.note || 'The photo is gone.' : large.error || small?.note || 'Loading …';
  /** @type {(text: string, name: string, key: string, by: number) => Html} */
  const step = (text, name, key, by) =>
    button(text, key, () => move(cl, Math.max(0, i) + by), { name, classes: 'cl-step' });
  return html`<section class="cl-stage" aria-label="candidate">
    <div class="cl-frame" aria-busy=${!photo && !large.error}>
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

const NONE = 'No suggestion';

/** What can be decided: about the photo shown, or about those that are selected.
 * @type {(cl: Cleaner) => Html | ''} */
function decisions(cl) {
  const { item, chosen: { size } } = cl, mark = item && cl.marks.get(item.id), to = item?.suggestion;
  if (!size && !item) return '';
  const took = mark?.action === 'relabel' && mark.new === to;
  const now = took ? 'take' : mark?.action, as = size ? 'suggested' : name(to || '', 24);
  /** @type {Record<string, unknown>} */
  const texts = { take: size || to ? html`Relabel as ${as}` : NONE, aside: 'Set aside',
    keep: html`Keep<span class="cl-wide"> ${size ? 'the labels' : name(item?.label ?? '', 24)}</span>`,
    relabel: html`Other<span class="cl-wide"> class</span> …`, delete: 'Delete' };
  const buttons = DECISIONS.slice(0, size ? 3 : undefined).map(([what, key]) => button(texts[what], key,
    () => press(cl, what), { what, pressed: size ? undefined : what === now, off: texts[what] === NONE }));
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
  const { id, file, label } = item, mark = cl.marks.get(id), photo = cl.pictures.known.get(id);
  /** @type {(event: MouseEvent) => void} */
  const click = ({ shiftKey }) => {
    (shiftKey ? extend : move)(cl, placeOf(cl, item));
    cl.root.querySelector('.cl-frame')?.scrollIntoView({ block: 'nearest' });
  };
  const done = mark && html`<span class="cl-mark" data-mark=${mark.action}>${brief(mark)}</span>`;
  return html`<li><button type="button" class="cl-tile" title=${file} data-id=${id} @click=${click}
    aria-current=${cl.item === item ? 'true' : nothing} tabindex=${reached ? 0 : -1}
    aria-label="${file}, labelled ${label}, ${plain(mark)}">
    <span class="cl-picture">${photo && thumb(photo.thumb, photo.note)}</span>${done}
    <span class="cl-line">${name(label, 18)}</span></button><label class="cl-pick">${
      box(cl.chosen.has(id), on => choose(cl, [item], on), `select ${file}`)}</label></li>`;
}

/** Save the journal as a file. @type {(cl: Cleaner) => void} */
const download = cl => void cl.host.export().catch(error => { cl.error = messageOf(error); cl.update(); });

/** @type {(cl: Cleaner, line: string) => void} */
const copy = (cl, line) => {
  const done = navigator.clipboard?.writeText(line) ?? Promise.reject(new Error());
  done.then(() => tell(cl, 'Copied.'), () => tell(cl, 'This browser lets no page copy: select the line.'));
};

/** The summary. @type {(cl: Cleaner) => Html} */
function ending(cl) {
  const { data, marks } = cl, rows = tally(data.items, marks), left = total(cl) - marks.size;
  const all = ACTIONS.map((_, k) => rows.reduce((n, [, counts]) => n + counts[k], 0));
  /** @type {(label: unknown, counts: number[]) => Html} */
  const row = (label, counts) => html`<tr><th scope="row">${label}</th>
    ${counts.map(n => html`<td class="ic-figure">${n ? number(n) : '–'}</td>`)}</tr>`;
  const lines = data.commands.map(([what, line]) => html`<li>${what}: <span
    class="cl-command"><code>${line}</code> <button type="button" aria-label="Copy: ${what}"
      @click=${() => copy(cl, line)}>Copy</button></span></li>`);
  const go = () => show(cl, nextUndecided(cl, -1) ?? cl.list[0] ?? null);
  return html`<section class="cl-end" aria-label="summary">
    <h3>${left ? `${number(left)} of ${plural(total(cl), 'candidate')} are not decided yet`
      : `All ${plural(total(cl), 'candidate')} are decided`}</h3>
    ${rows.length ? html`<div class="cl-tally" tabindex="0" role="region" aria-label="decisions by class">${
      table(['class', 'relabelled', 'kept', 'set aside', 'deleted'],
        [row('all', all), ...rows.map(([label, counts]) => row(name(label, 40), counts))])}</div>` : ''}
    <p>${data.live ? html`The decisions are in ${name(data.journal, Infinity)}.` : html`<button type="button"
      class="cl-main" @click=${() => download(cl)}>Download ${data.journal}</button> Then, in the folder where
      it lies:`}</p><ol>${lines}</ol>
    <button type="button" @click=${go}>${left ? 'Go on' : 'Look at them again'}</button></section>`;
}

/** The pages of thumbnails. @type {(cl: Cleaner) => Html} */
function strip(cl) {
  const { list, page, chosen } = cl, items = thumbnails(cl), from = page * PAGE, to = from + items.length;
  const reached = cl.item && items.includes(cl.item) ? cl.item : items[0];
  const all = items.length > 0 && items.every(({ id }) => chosen.has(id));
  const place = `${number(from + 1)}–${number(to)} of ${number(list.length)}`;
  return html`<div class="cl-pages" ?hidden=${!list.length}>
      ${button('‹', '', () => turn(cl, -1), { name: 'thumbnails before', off: !from })} <span>${place}</span>
      ${button('›', '', () => turn(cl, 1), { name: 'thumbnails after', off: to >= list.length })}
      <label class="ic-check cl-all">${
        box(all, on => choose(cl, items, on))}Select all on this page</label></div>
    <ul class="cl-strip" aria-label="candidates">
      ${repeat(items, item => item.id, item => tile(cl, item, item === reached))}</ul>
    <p class="cl-foot">${cl.data.live ? 'Every decision is written at once; the photos stay as they are.'
      : 'Decisions stay in this browser until you download them.'}
      ${link('Summary and what comes next', () => show(cl, null))}</p>`;
}

/** @type {(cl: Cleaner) => Html} */
const main = cl => (cl.item ? stage(cl, cl.item)
  : cl.list.length || (cl.data.items.length && cl.marks.size === total(cl)) ? ending(cl) : nobody(cl));

/** @type {(cl: Cleaner) => Html} */
function page(cl) {
  const wrong = cl.error || cl.pictures.error;
  return html`${head(cl)}${filters(cl)}<div class="cl-body">${main(cl)}${decisions(cl)}
    <p class="cl-message" role="status">${cl.message}</p>
    <p class="ic-error" role="alert" ?hidden=${!wrong}>${wrong}</p>${strip(cl)}</div>
  <div class="ic-hidden" aria-live="polite">${cl.spoken}</div>`;
}

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
    chosen: new Set(), pictures: new Pictures(ids => host.photos(ids), () => draw(cl)),
    large: new Pictures(async ([id]) => [{ ...await host.photo(id), id }], () => draw(cl), 40),
    message: '', error: '', spoken: '', busy: false, gone: false,
  };
  cl.pictures.keep(data.thumbs || []);
  /** @type {(event: Event) => void} */
  const key = event => pressed(cl, /** @type {KeyboardEvent} */ (event));
  const keys = data.live ? root : document;
  keys.addEventListener('keydown', key);
  update(cl, data);
  const destroy = () => { cl.gone = true; keys.removeEventListener('keydown', key); render(nothing, root); };
  return { update: now => update(cl, now), destroy };
}
