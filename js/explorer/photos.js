// The photos of a cell, and a photo opened large.
import { html, nothing } from 'lit-html';
import { live } from 'lit-html/directives/live.js';
import { byConfidence, where } from './counts.js';
import { keep } from './matrix.js';
import { mending, said } from './mend.js';
import { photosOf } from './runs.js';
import { openDialog } from '../common/dialog.js';
import { drawGallery, focusTile, newGallery } from '../common/gallery.js';
import { busy, failure, messageOf, name, note, thumb, uniqueId } from '../common/parts.js';
import { cut, fixed, number, percent, plural } from '../common/text.js';

const HINT = 'Choose a cell of the matrix to see its photos: those on the diagonal are right, '
  + 'all others are errors.';

/** Tab 'Photos': the chosen cell; in a difference, the photos that are in it in one of the runs only.
 * @type {(ex: Explorer) => Panel} */
export function photosTab(ex) {
  const { s: { pick, which }, a, b, shown } = ex;
  if (!pick || !shown || !a) return { view: () => html`<p class="ic-empty">${HINT}</p>` };
  const [title, words] = titleOf(ex, pick);
  /** @type {(count: string, gallery: Gallery) => Panel} */
  const panel = (count, gallery) => ({
    view: () => html`<h3>${title}</h3>${tiles(ex, gallery, count)}`,
  });
  if (which === 'diff' && pick.kind === 'cell' && b) {
    const here = chosen(ex, a, pick), there = chosen(ex, b, pick), inA = new Set(here), inB = new Set(there);
    const only = here.filter(i => !inB.has(i)), gone = there.filter(i => !inA.has(i));
    const inOne = `${plural(only.length,
      'photo')} only in this run, ${number(gone.length)} only in the other`;
    const count = `${inOne}, ${number(here.length - only.length)} in both.`;
    return panel(count, galleryOf(ex, [...only, ...gone], a, words, 'both'));
  }
  const ids = chosen(ex, shown, pick), order = pick.kind === 'none' ? '' : ', the most confident first';
  const all = shown.rows[pick.t], n = pick.kind !== 'cell' ? plural(ids.length, 'photo')
    : `${number(ids.length)} of the ${plural(all, 'photo')} of this class`;
  const count = `${n}${order}${shown === b ? ', in the other run' : ''}.`;
  return panel(ids.length ? count : 'No such photo.', galleryOf(ex, ids, shown, words, pick.kind));
}

/** The photos below what is said of them, with a slider for their size.
 * @type {(ex: Explorer, gallery: Gallery, words?: string) => unknown} */
export function tiles(ex, gallery, words = '') {
  /** @type {(event: Chosen) => void} */
  const resize = event => { ex.s.tile = Number(event.target.value); ex.act.update(); };
  return html`<div class="ic-size">${note(words)}<label ?hidden=${!gallery.ids.length}><span>photo size</span>
    <input type="range" min="96" max="320" step="8" .value=${live(String(ex.s.tile))}
      @input=${resize}></label></div><div style="--ic-tile: ${ex.s.tile}px">${drawGallery(gallery)}</div>`;
}

/** Heading of the chosen photos, to show and as plain text.
 * @type {(ex: Explorer, pick: Picked) => [unknown, string]} */
function titleOf({ names }, { kind, t, p = t }) {
  /** @type {(before: string, c: number, after?: string, other?: number) => [unknown, string]} */
  const title = (before, c, after = '', other = undefined) => [
    html`${before}${name(names[c])}${after}${other === undefined ? '' : name(names[other])}`,
    before + names[c] + after + (other === undefined ? '' : names[other])];
  if (kind === 'none') return ['Photos without a prediction', 'photos without a prediction'];
  if (kind === 'fp') return title('Other photos taken for ', t);
  if (kind === 'fn') return title('Photos of ', t, ' that were missed');
  return t === p ? title('Photos of ', t, ' that are right') : title('Photos of ', t, ' taken for ', p);
}

/** The chosen photos in a run, most confident first.
 * @type {(ex: Explorer, view: View, pick: Picked) => number[]} */
function chosen(ex, view, { kind, t, p = t }) {
  const { n, targets } = ex, { pred, conf } = view;
  if (kind === 'fp') return byConfidence(where(n, i => pred[i] === t && targets[i] !== t), conf);
  if (kind === 'fn') return byConfidence(where(n, i => pred[i] !== t && targets[i] === t), conf);
  return byConfidence(photosOf(ex, view, kind === 'none' ? -1 : t, p), conf);
}

/** The probability of the class a photo is predicted as. @type {(view: View, id: number) => Html} */
const sure = (view, id) => html`<span class="ic-prob">${percent(view.conf[id] / 65535)}</span>`;

/** A photo's prediction as a line: class and probability.
 * @type {(ex: Explorer, view: View, id: number, label: string) => Html} */
function answer({ C, names, targets }, view, id, label) {
  const p = view.pred[id], right = p === targets[id] ? 'ic-right-answer' : 'ic-wrong-answer';
  if (p >= C) return html`<span class="ic-pair">${label} <span>no prediction</span></span>`;
  return html`<span class="ic-pair ${right}">${label} ${name(names[p])}${sure(view, id)}</span>`;
}

/** Photos of a run in pages, each opening large. Below each stands what differs among them: those of one
 * `kind` share the label or the prediction, which their heading names; 'both': with those of both runs.
 * @type {(ex: Explorer, ids: number[], view: View, label: string, kind?: string) => Gallery} */
export function galleryOf(ex, ids, view, label, kind = '') {
  const { a, b, host, root, names, targets, act } = ex;
  /** @type {(photo: Photo) => unknown[]} */
  const lines = ({ id, file }) => {
    const percent = kind === 'cell' || kind === 'fp' ? sure(view, id) : '';
    const truth = html`<span class="ic-pair">true ${name(names[targets[id]])}</span>`;
    const predicted = answer(ex, view, id, 'predicted');
    const both = kind === 'both' && a && b && [truth, answer(ex, a, id, 'this'), answer(ex, b, id, 'other')];
    /** @type {Record<string, Html[]>} */
    const differs = { cell: [], fp: [truth], none: [truth], fn: [predicted] };
    return [...(both || differs[kind] || [truth, predicted]), html`<span class="ic-pair ic-file">${
      name(file.split('/').pop() || '', 18)}${percent}</span>`, said(ex, id)].filter(Boolean);
  };
  const gallery = newGallery({ id: uniqueId('photos'), root, ids, label, lines, update: act.update,
    fetch: async part => keep(ex, await host.photos(part)),
    open: k => openPhoto(ex, ids, k, view, gallery) });
  return gallery;
}

/** A photo large, with its probabilities and the training photos most like it; arrow keys go through the
 * list.
 * @type {(ex: Explorer, ids: number[], k: number, view: View, gallery: Gallery) => void} */
function openPhoto(ex, ids, k, view, gallery) {
  /** @type {Record<string, number>} */
  const steps = { ArrowLeft: -1, ArrowRight: 1 };
  /** @type {() => unknown} */
  let content = () => busy('Loading the photo …');
  let title = 'Photo', loading = true;
  /** @type {(by: number) => void} */
  const step = by => { if (ids[k + by] !== undefined) { k += by; show(); } };
  const dialog = openDialog(ex.root, {
    key: e => { if (steps[e.key]) { e.preventDefault(); step(steps[e.key]); } },
    closed: () => focusTile(gallery, Math.min(k, gallery.photos.length - 1)),
  });
  const draw = () => dialog.show(title, html`<div>
    <div class="ic-photo" aria-busy=${loading ? 'true' : nothing}>${content()}</div><div class="ic-photo-nav">
      <button type="button" aria-disabled=${k === 0} @click=${() => step(-1)}>‹ previous</button>
      <span class="ic-note" aria-live="polite">${number(k + 1)} of ${number(ids.length)}</span>
      <button type="button" aria-disabled=${k === ids.length - 1} @click=${() => step(1)}>next ›</button>
    </div></div>`);
  const show = async () => {
    const mine = k;
    loading = true;
    draw();
    try {
      const photo = await ex.host.photo(view.run, view.epoch, ids[k]);
      if (mine !== k || !dialog.el.isConnected) return;
      title = cut(photo.file, 80);
      if (photo.mark) ex.marks.set(ids[k], photo.mark); else ex.marks.delete(ids[k]);
      const mend = mending(ex, ids[k], photo.probs.map(([c]) => c), photo.last, draw), id = ids[k];
      content = () => photoParts(ex, view, id, photo, mend());
    } catch (error) {
      if (mine !== k) return;
      content = () => failure(messageOf(error));
    }
    loading = false;
    draw();
  };
  show();
}

/** Image, prediction, what is wrong with the label, probabilities as bars, nearest training photos.
 * @type {(ex: Explorer, view: View, id: number, photo: LargePhoto, mend: unknown) => Html} */
function photoParts(ex, view, id, photo, mend) {
  const { names, targets } = ex, truth = targets[id], { probs, nearest, rest } = photo;
  /** @type {(c: number) => string} */
  const mark = c => (c === truth ? 'ic-truth' : '');
  const image = photo.image ? html`<img src=${photo.image} alt="test photo ${photo.file}">`
    : html`<p class="ic-empty">${photo.note || 'the photo is gone'}</p>`;
  const bars = probs.map(([c, p]) => html`<li class=${mark(c)}>${name(names[c])}
    <span class="ic-track"><span class="ic-level" style="width: ${100 * p}%"></span></span>
    <span class="ic-prob">${percent(p)}</span></li>`);
  const near = nearest.map(x => html`<li class=${mark(x.label)}>${thumb(x.thumb)}${name(names[x.label])}
    <span class="ic-note" title=${x.file}>similarity ${fixed(x.similarity, 2)}</span></li>`);
  const others = html`<li class="ic-note">all other classes together ${percent(rest)}</li>`;
  return html`
    <div class="ic-photo-image">${image}${photo.image && photo.note ? note(photo.note) : ''}</div>
    <div class="ic-photo-facts"><p class="ic-verdict"><span class="ic-pair">true ${name(names[truth])}</span>
        ${answer(ex, view, id, 'predicted')}</p>${mend}
      <h4>How sure the model is</h4><ul class="ic-bars">${bars}${rest > 0.0005 ? others : ''}</ul>
      <h4>Looks most like these training photos</h4>
      ${near.length ? html`<ul class="ic-near">${near}</ul>` : note(photo.why || 'none are known')}</div>`;
}