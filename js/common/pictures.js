// Thumbnails and photos: asked for once, and kept; and a gallery of them, one tab stop in which arrows move.
import { html } from 'lit-html';
import { keyed } from 'lit-html/directives/keyed.js';
import { columns, failure, messageOf, neighbour, thumb } from './parts.js';
import { number } from './text.js';

export const PAGE = 24; // photos shown, and asked for, at once

/** What a host answers about photos, by their ids; the `most` that were looked at last are kept.
 * @template {{ id: number }} P */
export class Pictures {
  /** @type {Map<number, P>} */
  known = new Map();
  /** @type {Set<number>} */
  asked = new Set();
  error = '';

  /** @param {(ids: number[]) => Promise<P[]>} fetch @param {() => void} update @param {number} most */
  constructor(fetch, update, most = 4000) {
    this.fetch = fetch;
    this.update = update;
    this.most = most;
  }

  /** Ask for those that are not known; `fresh`: for all, because what is said of them may have changed.
   * @type {(ids: number[], fresh?: boolean) => Promise<void>} */
  async see(ids, fresh = false) {
    const { known, asked } = this, need = ids.filter(id => fresh || !(known.has(id) || asked.has(id)));
    this.keep(ids.flatMap(id => known.get(id) ?? []));
    if (!need.length) return;
    for (const id of need) asked.add(id);
    this.error = '';
    try { this.keep(await this.fetch(need)); } catch (e) { this.error = `No photo came: ${messageOf(e)}`; }
    for (const id of need) asked.delete(id);
    this.update();
  }

  /** @type {(photos: P[]) => void} */
  keep(photos) {
    const { known, most } = this;
    for (const photo of photos) { known.delete(photo.id); known.set(photo.id, photo); }
    for (const id of [...known.keys()].slice(0, Math.max(0, known.size - most))) known.delete(id);
  }
}

/** A gallery whose first page is on its way. @type {(about: GalleryOf) => Gallery} */
export function newGallery(about) {
  about.pictures.see(about.ids.slice(0, PAGE), true);
  return { ...about, shown: PAGE, at: 0 };
}

/** @type {(gallery: Gallery) => HTMLElement[]} */
const tiles = ({ id, root }) => /** @type {any} */ ([...root.querySelectorAll(`#${id} button`)]);

/** Give the focus to a photo, and make it the one that the tab key reaches.
 * @type {(gallery: Gallery, i: number) => void} */
export function focusTile(gallery, i) {
  gallery.at = Math.min(i, gallery.shown - 1);
  gallery.update();
  tiles(gallery)[gallery.at]?.focus();
}

/** The next page, or again what did not come. @type {(gallery: Gallery) => void} */
function more(gallery) {
  const { ids, pictures, shown } = gallery;
  if (pictures.error) return void pictures.see(ids.slice(0, shown));
  gallery.shown += PAGE;
  pictures.see(ids.slice(shown, gallery.shown), true);
  focusTile(gallery, shown);
}

/** Arrows move through the photos. @type {(gallery: Gallery, event: KeyboardEvent) => void} */
function key(gallery, event) {
  const all = tiles(gallery), to = neighbour(event, all, columns(all));
  if (to) focusTile(gallery, all.indexOf(to));
}

/** The gallery as it is now; another list of photos gets elements of its own.
 * @type {(gallery: Gallery) => unknown} */
export function drawGallery(gallery) {
  const { id, label, ids, shown, at, pictures: { known, asked, error } } = gallery, left = ids.length - shown;
  /** @type {(id: number, i: number) => Html} */
  const tile = (id, i) => {
    const none = { id, thumb: null, file: '', note: asked.has(id) ? '…' : '' }, photo = known.get(id) ?? none;
    return html`<li><button type="button" class="ic-tile" title=${photo.file} data-id=${id}
      tabindex=${i === at ? 0 : -1} @click=${() => gallery.open(i)}>${thumb(photo.thumb, photo.note)}
      ${gallery.lines(photo).map(line => html`<span class="ic-line">${line}</span>`)}</button></li>`;
  };
  return keyed(id, html`${ids.length ? html`<ul class="ic-gallery" id=${id} aria-label=${label}
      aria-busy=${asked.size > 0} @keydown=${(/** @type {KeyboardEvent} */ event) => key(gallery, event)}>
      ${ids.slice(0, shown).map(tile)}</ul>` : ''}${error && failure(error)}
    <button type="button" class="ic-more" ?hidden=${left <= 0 && !error} @click=${() => more(gallery)}>
      ${error ? 'try again' : `show more (${number(left)} left)`}</button>`);
}
