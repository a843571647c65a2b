// The photos of a cell, a photo opened large, and "Wrong label?": a line of the cleaner's journal.
import { html, nothing } from 'lit-html';
import { photosOf } from './counts.js';
import { busy, failure, later, link, name, note, openDialog, saving, select, slider, thumb, uniqueId }
  from '../common/parts.js';
import { drawGallery, focusTile, newGallery } from '../common/pictures.js';
import { cut, fixed, number, percent, plural } from '../common/text.js';

const HINT = 'Choose a cell of the matrix to see its photos: those on the diagonal are right, '
  + 'all others are errors.';
const NOTED = 'A test photo: what you say is noted for the cleaner, and the photo counts as before.';
/** @type {Record<string, string>} */
const WORDS = { keep: 'the label is right', aside: 'set aside', delete: 'delete' };

/** Tab 'Photos': the chosen cell; in a difference, the photos that are in it in one of the runs only.
 * @type {(ex: Explorer) => Panel} */
export function photosTab(ex) {
  const { s: { pick, which }, a, b, shown } = ex;
  if (!pick || !shown || !a) return () => html`<p class="ic-empty">${HINT}</p>`;
  const title = titleOf(pick), text = title.map(x => (typeof x === 'number' ? ex.names[x] : x)).join('');
  const heading = title.map(x => (typeof x === 'number' ? name(ex.names[x]) : x));
  /** @type {(words: string, gallery: Gallery) => Panel} */
  const panel = (words, gallery) => () => html`<h3>${heading}</h3>${tiles(ex, gallery, words)}`;
  if (which === 'diff' && pick.kind === 'cell' && b) {
    const [here, there] = [a, b].map(view => photosOf(ex, view, pick)), inA = new Set(here);
    const inB = new Set(there), only = here.filter(i => !inB.has(i)), gone = there.filter(i => !inA.has(i));
    const counts = [plural(only.length, 'photo'), number(gone.length), number(here.length - only.length)];
    return panel(`${counts[0]} only in this run, ${counts[1]} only in the other, ${counts[2]} in both.`,
      galleryOf(ex, [...only, ...gone], a, text, 'both'));
  }
  const ids = photosOf(ex, shown, pick), order = pick.kind === 'none' ? '' : ', the most confident first';
  const n = pick.kind !== 'cell' ? plural(ids.length, 'photo')
    : `${number(ids.length)} of the ${plural(shown.rows[pick.t], 'photo')} of this class`;
  const words = ids.length ? `${n}${order}${shown === b ? ', in the other run' : ''}.` : 'No such photo.';
  return panel(words, galleryOf(ex, ids, shown, text, pick.kind));
}

/** The photos below what is said of them, with a slider for their size.
 * @type {(ex: Explorer, gallery: Gallery, words?: string) => unknown} */
export const tiles = ({ s, act }, gallery, words = '') => html`<div class="ic-size">${note(words)}
  <label ?hidden=${!gallery.ids.length}><span>photo size</span>${
    slider(s.tile, v => { s.tile = v; act.update(); }, { min: 96, max: 320, step: 8 })}</label></div>
  <div style="--ic-tile: ${s.tile}px">${drawGallery(gallery)}</div>`;

/** Heading of the chosen photos, its classes as numbers. @type {(pick: Picked) => (string | number)[]} */
const titleOf = ({ kind, t, p = t }) => ({
  none: ['Photos without a prediction'], fp: ['Other photos taken for ', t],
  fn: ['Photos of ', t, ' that were missed'],
  cell: ['Photos of ', t, ...(t === p ? [' that are right'] : [' taken for ', p])],
}[kind]);

/** The probability of the class a photo is predicted as. @type {(view: View, id: number) => Html} */
const sure = (view, id) => html`<span class="ic-prob">${percent(view.conf[id] / 65535)}</span>`;

/** A photo's prediction as a line: class and probability.
 * @type {(ex: Explorer, view: View, id: number, label: string) => Html} */
function answer({ C, names, targets }, view, id, label) {
  const p = view.pred[id], right = p === targets[id] ? 'ic-right-answer' : 'ic-wrong-answer';
  if (p >= C) return html`<span class="ic-pair">${label} <span>no prediction</span></span>`;
  return html`<span class="ic-pair ${right}">${label} ${name(names[p])}${sure(view, id)}</span>`;
}

/** 'you said: shirt', where something was said about the photo.
 * @type {(mark?: Mark | null) => unknown} */
const said = mark => (mark ? html`<span class="ic-pair ic-said">you said: ${
  mark.action === 'relabel' ? name(mark.new) : WORDS[mark.action]}</span>` : '');

/** Photos of a run in pages, each opening large. Below each stands what differs among them: those of one
 * `kind` share the label or the prediction, which their heading names; 'both': with those of both runs.
 * @type {(ex: Explorer, ids: number[], view: View, label: string, kind?: string) => Gallery} */
export function galleryOf(ex, ids, view, label, kind = '') {
  const { a, b, root, names, targets, act, pictures } = ex;
  /** @type {(photo: Photo) => unknown[]} */
  const lines = ({ id, file, mark }) => {
    const share = kind === 'cell' || kind === 'fp' ? sure(view, id) : '';
    const truth = html`<span class="ic-pair">true ${name(names[targets[id]])}</span>`;
    const both = kind === 'both' && a && b && [truth, answer(ex, a, id, 'this'), answer(ex, b, id, 'other')];
    const differs = kind === 'cell' ? [] : kind === 'fp' || kind === 'none' ? [truth]
      : [...(kind ? [] : [truth]), answer(ex, view, id, 'predicted')];
    const short = html`<span class="ic-pair ic-file">${name(file.split('/').pop() || '', 18)}${share}</span>`;
    return [...(both || differs), short, said(mark)].filter(Boolean);
  };
  const gallery = newGallery({ id: uniqueId('photos'), root, ids, label, lines, update: act.update, pictures,
    open: k => openPhoto(ex, k, view, gallery) });
  return gallery;
}

/** A photo large, with its probabilities and the training photos most like it; arrow keys go through the
 * list.
 * @type {(ex: Explorer, k: number, view: View, gallery: Gallery) => void} */
function openPhoto(ex, k, view, gallery) {
  const { ids } = gallery;
  /** @type {() => unknown} */
  let content = () => busy('Loading the photo …');
  let title = 'Photo', here = -1;
  const dialog = openDialog(ex.root, {
    key: event => {
      const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (by) { event.preventDefault(); step(by); }
    },
    closed: () => focusTile(gallery, k),
  });
  const draw = () => dialog.show(title, html`<div class="ic-photo" aria-busy=${here === k ? nothing : 'true'}>
    ${content()}</div><div class="ic-photo-nav">
    <button type="button" aria-disabled=${k === 0} @click=${() => step(-1)}>‹ previous</button>
    <span class="ic-note" aria-live="polite">${number(k + 1)} of ${number(ids.length)}</span>
    <button type="button" aria-disabled=${!(k + 1 in ids)} @click=${() => step(1)}>next ›</button></div>`);
  /** @type {(by: number) => void} */
  const step = by => {
    const id = ids[k + by];
    if (id === undefined) return;
    k += by;
    content = later(() => ex.host.photo(view.run, view.epoch, id), photo => {
      title = cut(photo.file, 80);
      const mend = mending(ex, id, photo, draw);
      return () => photoParts(ex, view, id, photo, mend());
    }, () => { if (id === ids[k]) { here = k; draw(); } }, content);
    draw();
  };
  step(0);
}

/** "Wrong label?" of a photo that is open; `redraw` shows it anew. What is returned shows the choices.
 * @type {(ex: Explorer, id: number, photo: LargePhoto & Decided, redraw: () => void) => () => unknown} */
function mending(ex, id, photo, redraw) {
  const { host, names, data, pictures } = ex, truth = ex.targets[id], state = { busy: false, error: '' };
  let to = photo.probs.map(([c]) => c).find(c => c !== truth) ?? (truth ? 0 : 1);
  /** @type {(call: () => Promise<Decided>) => Promise<void>} */
  const write = async call => {
    await saving(state, call, done => { Object.assign(photo, done); pictures.see([id], true); });
    redraw();
  };
  /** @type {(words: unknown, action: string, kind?: string) => Html} */
  const button = (words, action, kind = '') => {
    const label = action === 'relabel' ? names[to] : '', now = photo.mark;
    return html`<button type="button" class=${kind}
      aria-pressed=${now?.action === action && now.new === label}
      @click=${() => write(() => host.decide(id, action, label))}>${words}</button>`;
  };
  const classes = names.map((text, c) => /** @type {Option} */ ([c, text])).filter(([c]) => c !== truth);
  return () => (!data.journal || names.length < 2 ? '' : html`<h4>Wrong label?</h4>
    <div class="ic-mend">${select('It is', classes, to, v => { to = Number(v); redraw(); })}
      ${button('Relabel', 'relabel', 'ic-primary')}${button('Label is right', 'keep')}${
        button('Set aside', 'aside')}<button type="button" ?hidden=${!photo.last}
        @click=${() => write(() => host.undo(id))}>Undo</button></div>
    <p aria-live="polite">${said(photo.mark)}</p>${state.error && failure(state.error)}${note(NOTED)}
    ${data.command ? html`<p class="ic-note">Kept in this browser. ${link('Download decisions.csv',
      () => host.export())}, then run <code>${data.command}</code></p>` : ''}`);
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
