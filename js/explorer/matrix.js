// The matrix with its totals and scales, and painting it.
import { html, render } from 'lit-html';
import { accuracyRange, confusedPairs, photosOf } from './counts.js';
import { which } from './head.js';
import { geometry, hit, mostZoom, paint, panned, zoomed } from './layout.js';
import { swatches } from '../common/colours.js';
import { canvasPainter } from '../common/painters.js';
import { link, name, note, thumb } from '../common/parts.js';
import { number, percent, plural, signed } from '../common/text.js';

const SAYS = 'confusion matrix: rows are true classes, columns predicted classes';

/** @type {(ex: Explorer) => Html} */
export function matrix(ex) {
  const { g, C, scene, data } = ex, { zoom } = g, most = mostZoom(g);
  /** @type {(text: string, label: string, factor: number, off: boolean) => Html} */
  const button = (text, label, factor, off) => html`<button type="button" aria-label=${label} title=${label}
    ?disabled=${off} @click=${() => zoomBy(ex, factor)}>${text}</button>`;
  return html`<div class="ic-left">${which(ex)}
    <div class="ic-plot ${zoom > 1 ? 'ic-zoomed' : ''}"><canvas aria-hidden="true"></canvas>
      <div role="grid" class="ic-grid" aria-label=${SAYS} aria-rowcount=${C} aria-colcount=${C}
        style=${boxed(g.left, g.top, g.side)}>${scene && cell(ex)}</div>
      <div class="ic-there"></div><div class="ic-tip" style="position-anchor: --${ex.id}" hidden></div></div>
    <div class="ic-under"><div class="ic-legends">${scene && legends(ex, scene)}</div>
      <div class="ic-zoom" role="group" aria-label="zoom of the matrix" ?hidden=${most <= 1}>
        ${button('−', 'zoom out (-)', 1 / 1.5, zoom <= 1)}${button('+', 'zoom in (+)', 1.5, zoom >= most)}
        ${button('all', 'whole matrix (0)', 0, zoom <= 1)}</div></div>
    <p class="ic-hint">Choose a cell to see its photos, a class name for its figures. <span class="ic-keys">
      Keys: arrows move, Enter opens${most > 1 ? ', + − 0 and the wheel zoom' : ''}.</span></p>
    ${data.note && note(data.note)}</div>`;
}

/** The most frequent error in a sentence. @type {(ex: Explorer, view: View) => unknown} */
function sentence(ex, view) {
  const { names, C, act } = ex, [most] = confusedPairs(view, C);
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
  if (ex.s.which === 'diff' && a && b)
    return html`<strong>${signed(a.right / a.n - b.right / b.n)} points</strong> <span>accuracy of this run,
      ${percent(a.right / a.n)}, minus that of the other, ${percent(b.right / b.n)}</span>`;
  const { right, n, none } = view, count = none === 1 ? 'counts' : 'count';
  const rest = link(`${plural(none, 'photo')} without a prediction ${count} as wrong`,
    () => ex.act.pick({ kind: 'none', t: -1 }));
  return html`<strong>${percent(right / n)}</strong> <span>accuracy, 95 % interval ${accuracyRange(ex, view)};
    ${number(right)} right of ${plural(n, 'photo')}, ${plural(n - right, 'error')}${
      none ? html`; ${rest}` : ''}</span>`;
}

/** The two scales as small bars. @type {(ex: Explorer, scene: Scene) => unknown[]} */
function legends({ s: { mode } }, { top, err, shade, signed }) {
  const stops = [0.02, 0.2, 0.4, 0.6, 0.8, 1], both = [...stops.map(x => -x).reverse(), ...stops];
  /** @type {(background: string) => Html} */
  const bar = background => html`<span class="ic-bar" style="background: ${background}"></span>`;
  /** @type {(label: string, max: number, wrong: boolean) => Html} */
  const one = (label, max, wrong) => {
    if (!max) return html`<span class="ic-legend">${label}${signed ? ': no difference' : ': none'}</span>`;
    const xs = !signed ? stops : wrong ? both.toReversed() : both;
    const colours = xs.map(x => shade(x * max, max, wrong).css).join(',');
    const last = mode === 'counts' ? number(max) : percent(max, max < 0.1 ? 1 : 0);
    const [low, high] = !signed ? [mode === 'counts' ? '1' : '>0', last]
      : (wrong ? ['+', '−'] : ['−', '+']).map(sign => sign + last);
    return html`<span class="ic-legend">${label} <span>${low}</span>${
      bar(`linear-gradient(90deg, ${colours})`)}<span>${high}</span></span>`;
  };
  return [one('right', top, false), one('errors', err, true), signed ? html`<span class="ic-legend">
    ${bar(swatches.better)}better in this run${bar(swatches.worse)}worse</span>` : ''];
}

/** @type {(left: number, top: number, side: number) => string} */
const boxed = (left, top, side) => `left: ${left}px; top: ${top}px; width: ${side}px; height: ${side}px`;

/** The one grid cell where the chosen cell lies, with its name and numbers.
 * @type {(ex: Explorer) => Html} */
function cell(ex) {
  const { s, at, g } = ex, i = at[s.t], j = at[s.p], size = g.base * g.zoom;
  const [left, top] = [(j - g.x) * size, (i - g.y) * size].map(Math.round);
  return html`<div role="row" aria-rowindex=${i + 1}><div role="gridcell" class="ic-cell" tabindex="0"
    aria-rowindex=${i + 1} aria-colindex=${j + 1} aria-selected=${s.pick?.t === s.t && s.pick.p === s.p}
    style=${boxed(left, top, Math.round(Math.max(3, size - 1)))}
    aria-label=${cellWords(ex, s.t, s.p)}></div></div>`;
}

/** Paint the matrix at its present zoom, and show what stands around it. @type {(ex: Explorer) => void} */
export function draw(ex) {
  const { el, g, scene, order, names, shorten } = ex;
  ex.act.update();
  if (!scene) return;
  paint(canvasPainter(el.canvas, g.width, g.top + g.side + 2), g, scene, order, { names, shorten });
}

/** A cell in words, for screen readers. @type {(ex: Explorer, t: number, p: number) => string} */
function cellWords({ s, shown, b, C, names }, t, p) {
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
  const width = Math.floor(ex.el.plot.clientWidth), room = Math.max(240, window.innerHeight - 220);
  const { names, measure, g: { zoom, x, y } } = ex;
  ex.root.classList.toggle('ic-narrow', ex.root.clientWidth < 820);
  if (width < 60 || (ex.g.width === width && ex.room === room)) return;
  let g = geometry(names, width, Math.min(620, room - 42), measure);
  if (g.top + g.side > room) g = geometry(names, width, room - g.top, measure);
  Object.assign(ex, { room, g: { ...g, zoom, x, y } });
  zoomBy(ex, 1);
}

/** Zoom by a factor (0: whole matrix) about a point of the canvas.
 * @type {(ex: Explorer, factor: number, x?: number, y?: number) => void} */
export function zoomBy(ex, factor, x, y) {
  const { g } = ex;
  zoomed(g, ex.C, factor, x === undefined ? x : x - g.left, y === undefined ? y : y - g.top);
  draw(ex);
}

/** Move the chosen cell to row i, column j and keep it in view.
 * @type {(ex: Explorer, i: number, j: number) => void} */
export function go(ex, i, j) {
  const { g, s, C, order } = ex, { x, y, zoom } = g;
  const [row, col] = [i, j].map(v => Math.min(C - 1, Math.max(0, v)));
  /** @type {(v: number, k: number) => number} */
  const near = (v, k) => Math.min(k, Math.max(v, k + 1 - C / zoom));
  [s.t, s.p] = [order[row], order[col]];
  panned(g, C, near(x, col), near(y, row));
  ex.said = cellWords(ex, s.t, s.p);
  if (x === g.x && y === g.y) ex.act.update(); else draw(ex);
}

/** What lies under the pointer. @type {(ex: Explorer, event: MouseEvent) => Hit | null} */
export function under({ g, C, el }, event) {
  const box = el.canvas.getBoundingClientRect();
  return hit(g, C, event.clientX - box.left, event.clientY - box.top);
}

/** Where a cell lies, or a point in a name. @type {(g: Geometry, hit: Hit) => string} */
function place(g, { row, col, x, y }) {
  const cell = g.base * g.zoom;
  if (row === undefined || col === undefined) return boxed(x, y, 0);
  return boxed(g.left + (col - g.x) * cell, g.top + (row - g.y) * cell, cell);
}

/** Tooltip beside what is under the pointer. @type {(ex: Explorer, hit: Hit | null) => void} */
export function tip(ex, hit) {
  const { el: { tip: box, there }, g, order, shown, b, names, C, pictures } = ex;
  const key = hit && shown ? `${hit.row} ${hit.col} ${shown.run} ${shown.epoch}` : '';
  if (key === box.dataset.of) return;
  box.dataset.of = key;
  box.hidden = !key;
  clearTimeout(ex.hovering);
  if (!hit || !shown) return;
  there.style.cssText = `${place(g, hit)}; anchor-name: --${ex.id}`; // the style sheet puts it beside this
  const t = order[hit.row ?? -1], p = order[hit.col ?? -1];
  /** @type {(label: string, c: number) => Html} */
  const line = (label, c) => html`<div>${label}${name(names[c], 100)}</div>`;
  if (t === undefined || p === undefined)
    return void render(html`${line('', t ?? p)}<div>click for its figures</div>`, box);
  const k = t * C + p, n = shown.counts[k];
  const [row, col] = [shown.rows[t], shown.cols[p]].map(x => percent(n / x));
  const words = ex.s.which === 'diff' && b ? ` here, ${number(b.counts[k])} in the other run`
    : `, ${row} of the row, ${col} of the column`;
  const ids = photosOf(ex, shown, { kind: 'cell', t, p }).slice(0, 3);
  const draw = () => {
    const few = ids.map(id => pictures.known.get(id)?.thumb).filter(Boolean).map(src => thumb(src ?? null));
    render(html`${line('true ', t)}${line('predicted ', p)}<div>${plural(n, 'photo')}${words}</div>
      <div class="ic-few">${few}</div>`, box);
  };
  draw();
  // where the pointer rests; one question at a time, so that a busy kernel finds one when it is free
  ex.hovering = window.setTimeout(async () => {
    if (!pictures.asked.size) await pictures.see(ids);
    if (box.dataset.of === key) draw();
  }, 200);
}
