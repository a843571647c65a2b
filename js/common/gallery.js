// Photos in pages of 24, more on demand: one tab stop, the arrows move.
import { html } from 'lit-html';
import { keyed } from 'lit-html/directives/keyed.js';
import { busy, columns, failure, messageOf, move, thumb } from './parts.js';
import { number } from './text.js';

const PAGE = 24;

/** @type {(gallery: Gallery) => HTMLButtonElement[]} */
const tiles = ({ id, root }) => /** @type {HTMLButtonElement[]} */ (
  [...root.querySelectorAll(`[id="${id}"] button`)]);

/** Give the focus to a photo, and make it the one that the tab key reaches.
 * @type {(gallery: Gallery, i: number) => void} */
export function focusTile(gallery, i) {
  gallery.at = i;
  gallery.update();
  tiles(gallery)[i]?.focus();
}

/** Fetch the next page; `asked`: by the button, which has the focus.
 * @type {(gallery: Gallery, asked: boolean) => Promise<void>} */
async function next(gallery, asked) {
  const { ids, photos, fetch, update } = gallery, from = photos.length,
    part = Array.from(ids.slice(from, from + PAGE));
  const held = asked && document.activeElement?.classList.contains('ic-more');
  Object.assign(gallery, { busy: true, error: '' });
  update();
  try {
    const got = new Map((await fetch(part)).map(photo => [photo.id, photo]));
    photos.push(...part.map(id => got.get(id) || { id, thumb: null, file: '', note: 'no photo came' }));
  } catch (error) { gallery.error = messageOf(error); }
  gallery.busy = false;
  update();
  if (held && photos.length > from) focusTile(gallery, from);
}

/** A gallery whose first page is on its way. @type {(about: GalleryOf) => Gallery} */
export function newGallery(about) {
  const gallery = { ...about, photos: [], at: 0, busy: false, error: '' };
  if (about.ids.length) next(gallery, false);
  return gallery;
}

/** Arrows move through the photos. @type {(gallery: Gallery, event: KeyboardEvent) => void} */
function key(gallery, event) {
  const all = tiles(gallery), i = all.indexOf(/** @type {HTMLButtonElement} */ (event.target));
  const to = i < 0 ? -1 : move(event.key, i, all.length, columns(all));
  if (to < 0) return;
  event.preventDefault();
  event.stopPropagation();
  focusTile(gallery, to);
}

/** @type {(gallery: Gallery, photo: Photo, i: number) => Html} */
const tile = (gallery, photo, i) => html`<li>
  <button type="button" class="ic-tile" title=${photo.file} data-id=${photo.id}
    tabindex=${i === gallery.at ? 0 : -1} @click=${() => gallery.open(i)}>${thumb(photo.thumb, photo.note)}
    ${gallery.lines(photo).map(line => html`<span class="ic-line">${line}</span>`)}</button></li>`;

/** The gallery as it is now; another list of photos gets elements of its own.
 * @type {(gallery: Gallery) => unknown} */
export function drawGallery(gallery) {
  const { id, label, photos, ids, error } = gallery, left = ids.length - photos.length;
  /** @type {(event: KeyboardEvent) => void} */
  const pressed = event => key(gallery, event);
  const grid = html`<ul class="ic-gallery" id=${id} aria-label=${label} @keydown=${pressed}>
    ${photos.map((photo, i) => tile(gallery, photo, i))}</ul>`;
  return keyed(id, html`<div>${photos.length ? grid : ''}</div>
    <div>${gallery.busy ? busy('Loading photos …') : error && failure(error)}</div>
    <button type="button" class="ic-more" ?hidden=${!left || (gallery.busy && !photos.length)}
      ?disabled=${gallery.busy} @click=${() => next(gallery, true)}>
      ${error ? 'try again' : `show more (${number(left)} left)`}</button>`);
}