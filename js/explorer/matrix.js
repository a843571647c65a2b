// The matrix with its totals and scales, and painting it.
import { html, render } from 'lit-html';
import { accuracyRange, byConfidence, largestError } from './counts.js';
import { which } from './head.js';
import { geometry, hit, mostZoom, paint, panned, zoomed } from './layout.js';
import { photosOf } from './runs.js';
import { swatches } from '../common/colours.js';
import { onScreen } from '../common/painters.js';
import { link, name, note, thumb } from '../common/parts.js';
import { number, percent, plural, signed } from '../common/text.js';

const SAYS = 'confusion matrix: rows are true classes, columns predicted classes';

/** @type {(ex: Explorer) => Html} */
export function matrix(ex) {
  const { g, C } = ex, most = g ? mostZoom(g) : 1, zoom = g ? g.zoom : 1;
  /** @type {(text: string, label: string, factor: number, off: boolean) => Html} */
  const button = (text, label, factor, off) => html`<button type="button" aria-label=${label} title=${label}
    ?disabled=${off} @click=${() => zoomBy(ex, factor)}>${text}</button>`;
  return html`<div class="ic-left">
    ${which(ex)}<div class="ic-plot ${zoom > 1 ? 'ic-zoomed' : ''}"><canvas aria-hidden="true"></canvas>
      <div role="grid" class="ic-grid" aria-label=${SAYS} aria-rowcount=${C} aria-colcount=${C}></div>
      <div class="ic-tip" hidden></div></div>
    <div class="ic-under"><div class="ic-legends">${ex.scene ? legends(ex, ex.scene) : ''}</div>
      <div class="ic-zoom" role="group" aria-label="zoom of the matrix" ?hidden=${most <= 1}>
        ${button('−', 'zoom out (-)', 1 / 1.5, zoom <= 1)}${button('+', 'zoom in (+)', 1.5, zoom >= most)}
        ${button('all', 'whole matrix (0)', 0, zoom <= 1)}</div></div>
    <p class="ic-hint">Choose a cell to see its photos, a class name to see its figures.
      <span class="ic-keys">Keys: arrows move, Enter opens${
        most > 1 ? ', + − 0 and the wheel zoom' : ''}.</span></p>
    ${ex.data.note ? note(ex.data.note) : ''}</div>`;
}

/** The most frequent error in a sentence. @type {(ex: Explorer, view: View) => unknown} */
function sentence(ex, view) {
  const { names, order, act } = ex, most = largestError(view, order);
  if (view.right === view.n) return 'Every test photo is named right.';
  if (!most) return 'No class is taken for another.';
  const { t, p, n } = most, words = html`${name(names[t], 40)} is taken for ${name(names[p], 40)}`;
  return html`Most often, ${link(words, () => act.pick({ kind: 'cell', t, p }))}
    (${number(n)} of ${number(view.rows[t])}).`;
}

/** The most frequent error, and the totals: accuracy with its interval, photos, errors; photos without a
 * prediction can be opened.
 * @type {(ex: Explorer) => Html} */
export const summary = ex => html`<div class="ic-summary">${ex.shown
  ? html`<p class="ic-most">${sentence(ex, ex.shown)}</p><p class="ic-totals">${totals(ex, ex.shown)}</p>`
  : ''}</div>`;

/** @type {(ex: Explorer, view: View) => Html} */
function totals(ex, view) {
  const { a, b } = ex;
  if (ex.s.which === 'diff' && a && b) {
    return html`<strong>${signed(a.right / a.n - b.right / b.n)} points</strong>
      <span>accuracy of this run, ${percent(a.right / a.n)}, minus that of the other,
        ${percent(b.right / b.n)}</span>`;
  }
  const { right, n, none } = view, counts = none === 1 ? 'counts' : 'count';
  const rest = () => link(`${plural(none, 'photo')} without a prediction ${counts} as wrong`,
    () => ex.act.pick({ kind: 'none', t: -1 }));
  return html`<strong>${percent(right / n)}</strong>
    <span>accuracy, 95 % interval ${accuracyRange(ex, view)}; ${number(right)} right of
      ${plural(n, 'photo')}, ${plural(n - right, 'error')}${none ? html`; ${rest()}` : ''}</span>`;
}

/** The two scales as small bars. @type {(ex: Explorer, scene: Scene) => unknown[]} */
function legends({ s: { mode } }, { top, err, shade, signed }) {
  const stops = [0.02, 0.2, 0.4, 0.6, 0.8, 1];
  /** @type {(v: number) => string} */
  const text = v => (mode === 'counts' ? number(v) : percent(v, v < 0.1 ? 1 : 0));
  /** @type {(background: string) => Html} */
  const bar = background => html`<span class="ic-bar" style="background: ${background}"></span>`;
  /** @type {(label: string, max: number, wrong: boolean) => Html} */
  const one = (label, max, wrong) => {
    if (!max) return html`<span class="ic-legend">${label}${signed ? ': no difference' : ': none'}</span>`;
    const [low, high] = wrong ? [1, -1] : [-1, 1], last = text(max);
    const both = [...stops.map(x => low * x).reverse(), ...stops.map(x => high * x)];
    const colours = (signed ? both : stops).map(x => shade(x * max, max, wrong).css).join(',');
    const least = mode === 'counts' ? '1' : '>0', sign = low < 0 ? ['−', '+'] : ['+', '−'];
    const ends = signed ? sign.map(k => k + last) : [least, last];
    return html`<span class="ic-legend">${label} <span>${ends[0]}</span>
      ${bar(`linear-gradient(90deg, ${colours})`)}<span>${ends[1]}</span></span>`;
  };
  const better = html`${bar(swatches.better)}better in this run`, worse = html`${bar(swatches.worse)}worse`;
  const hues = html`<span class="ic-legend">${better}${worse}</span>`;
  return [one('right', top, false), one('errors', err, true), signed ? hues : ''];
}

/** Paint the matrix at its present zoom and put the grid cell in its place. @type {(ex: Explorer) => void} */
export function draw(ex) {
  const { el, g, scene, order, names, shorten } = ex;
  if (!scene || !g) return;
  paint(onScreen(el.canvas, g.width, g.top + g.side + 2), g, scene, order, { names, shorten });
  const place = { left: g.left, top: g.top, width: g.side, height: g.side };
  for (const [name, v] of Object.entries(place)) el.grid.style.setProperty(name, `${v}px`);
  placeCell(ex);
}

/** The one grid cell where the chosen cell lies, with its name and numbers. @type {(ex: Explorer) => void} */
export function placeCell(ex) {
  const { el, g, s, at } = ex, i = at[s.t], j = at[s.p];
  if (!g || !ex.scene) return;
  const cell = g.base * g.zoom, side = Math.round(Math.max(3, cell - 1));
  const left = Math.round((j - g.x) * cell), top = Math.round((i - g.y) * cell);
  const chosen = s.pick?.t === s.t && s.pick.p === s.p;
  render(html`<div role="row" aria-rowindex=${i + 1}><div role="gridcell" class="ic-cell" tabindex="0"
    style="left: ${left}px; top: ${top}px; width: ${side}px; height: ${side}px" aria-selected=${chosen}
    aria-rowindex=${i + 1} aria-colindex=${j + 1} aria-label=${cellWords(ex, s.t, s.p)}></div></div>`,
      el.grid);
}

/** A cell in words, for screen readers. @type {(ex: Explorer, t: number, p: number) => string} */
export function cellWords({ s, shown, b, C, names }, t, p) {
  if (!shown) return '';
  const k = t * C + p, n = shown.counts[k];
  const what = `true ${names[t]}, predicted ${names[p]}: ${plural(n, 'photo')}`;
  if (s.which === 'diff' && b) return `${what} in this run, ${number(b.counts[k])} in the other`;
  return `${what}, ${percent(n / shown.rows[t])} of ${names[t]}`;
}

/** Measure the space there is and lay the matrix out for it, no higher than the window with what stands above
 * and below; the zoom as it was.
 * @type {(ex: Explorer) => void} */
export function fit(ex) {
  const width = Math.floor(ex.el.plot.clientWidth), old = ex.g;
  const room = Math.max(240, window.innerHeight - 220);
  ex.root.classList.toggle('ic-narrow', ex.root.clientWidth < 820);
  if (width < 60 || (old?.width === width && ex.room === room)) return;
  ex.room = room;
  ex.g = geometry(ex.names, width, Math.min(620, room - 42), ex.measure);
  if (ex.g.top + ex.g.side > room) ex.g = geometry(ex.names, width, room - ex.g.top, ex.measure);
  if (old) Object.assign(ex.g, { zoom: old.zoom, x: old.x, y: old.y });
  zoomBy(ex, 1);
}

/** Zoom by a factor (0: whole matrix) about a point of the canvas.
 * @type {(ex: Explorer, factor: number, x?: number, y?: number) => void} */
export function zoomBy(ex, factor, x, y) {
  const { g } = ex;
  if (!g) return;
  zoomed(g, ex.C, factor, x === undefined ? undefined : x - g.left, y === undefined ? undefined : y - g.top);
  ex.act.update();
  draw(ex);
}

/** Move the chosen cell to row i, column j and keep it in view.
 * @type {(ex: Explorer, i: number, j: number) => void} */
export function go(ex, i, j) {
  const { g, s, C, order } = ex;
  if (!g) return;
  /** @type {(v: number) => number} */
  const within = v => Math.min(C - 1, Math.max(0, v));
  /** @type {(v: number, k: number) => number} */
  const near = (v, k) => Math.min(k, Math.max(v, k + 1 - C / g.zoom));
  [s.t, s.p] = [order[within(i)], order[within(j)]];
  const x = g.x, y = g.y;
  panned(g, C, near(g.x, within(j)), near(g.y, within(i)));
  if (x === g.x && y === g.y) placeCell(ex); else draw(ex);
  ex.said = cellWords(ex, s.t, s.p);
  ex.act.update();
}

/** What lies under the pointer. @type {(ex: Explorer, event: MouseEvent) => Hit | null} */
export function under({ g, C, el }, event) {
  const box = el.canvas.getBoundingClientRect();
  return g && hit(g, C, event.clientX - box.left, event.clientY - box.top);
}

/** Tooltip beside what is under the pointer. @type {(ex: Explorer, hit: Hit | null) => void} */
export function tip(ex, hit) {
  const { el: { tip: box }, g, order, shown, b, names, C } = ex;
  const key = hit && shown ? `${hit.row} ${hit.col} ${shown.run} ${shown.epoch}` : '';
  if (key === box.dataset.of) return;
  box.dataset.of = key;
  box.hidden = !key;
  clearTimeout(ex.hovering);
  if (!hit || !g || !shown) return;
  const t = order[hit.row ?? -1], p = order[hit.col ?? -1];
  /** @type {(label: string, c: number) => Html} */
  const line = (label, c) => html`<div>${label}${name(names[c], 100)}</div>`;
  /** @type {(content: unknown) => void} */
  const show = content => { render(content, box); beside(ex, g, hit); };
  if (t === undefined || p === undefined)
    return show(html`${line('', t ?? p)}<div>click for its figures</div>`);
  const k = t * C + p, n = shown.counts[k];
  const [row, col] = [shown.rows[t], shown.cols[p]].map(x => percent(n / x));
  const other = ex.s.which === 'diff' && b ? ` here, ${number(b.counts[k])} in the other run` : '';
  const ids = byConfidence(photosOf(ex, shown, t, p), shown.conf).slice(0, 3);
  const draw = () => show(html`${line('true ', t)}${line('predicted ', p)}<div>${plural(n, 'photo')}${
    other || `, ${row} of the row, ${col} of the column`}</div><div class="ic-few">${
    ids.map(id => ex.thumbs.get(id)).filter(Boolean).map(src => thumb(src ?? null))}</div>`);
  draw();
  const missing = ids.filter(id => !ex.thumbs.has(id));
  if (!missing.length || ex.fetching) return;
  // where the pointer rests; one question at a time, so that a busy kernel finds one when it is free
  ex.hovering = window.setTimeout(async () => {
    ex.fetching = true;
    try { keep(ex, await ex.host.photos(missing)); } catch { /* without pictures, then */ }
    ex.fetching = false;
    if (box.dataset.of === key) draw();
  }, 200);
}

/** Remember thumbnails, and what was said about their photos.
 * @type {(ex: Explorer, photos: Photo[]) => Photo[]} */
export function keep(ex, photos) {
  if (ex.thumbs.size > 3000) ex.thumbs.clear();
  for (const { id, thumb, mark } of photos) {
    ex.thumbs.set(id, thumb);
    if (mark) ex.marks.set(id, mark); else ex.marks.delete(id);
  }
  return photos;
}

/** Put the tooltip beside a cell or name, where it covers neither it nor leaves the card or the window.
 * @type {(ex: Explorer, g: Geometry, hit: Hit) => void} */
function beside({ el: { tip: box, plot }, root }, g, { row, col, x, y }) {
  const cell = g.base * g.zoom, at = plot.getBoundingClientRect(), card = root.getBoundingClientRect();
  const left = col === undefined ? x : g.left + (col - g.x) * cell;
  const top = row === undefined ? y : g.top + (row - g.y) * cell;
  const [wide, high] = [box.offsetWidth, box.offsetHeight], right = left + (col === undefined ? 0 : cell) + 8;
  const least = Math.max(card.left, 0) - at.left + 4;
  const most = Math.min(card.right, innerWidth) - at.left - wide - 4;
  const fits = right <= most ? right : left - wide - 8;
  const below = top + (row === undefined ? 0 : cell) + 8, up = fits < least; // no room at either side
  const lowest = Math.min(innerHeight, Math.max(card.bottom, 0)) - at.top - high - 4;
  const v = !up ? Math.max(4 - at.top, Math.min(top, lowest)) : below <= lowest ? below : top - high - 8;
  box.style.left = `${up ? Math.max(least, Math.min(left, most)) : fits}px`;
  box.style.top = `${v}px`;
}
