// Title and one row of choices: run, epoch, what the numbers are, what can be saved.
import { html } from 'lit-html';
import { accuracyRange, classFigures } from './counts.js';
import { geometry, paint } from './layout.js';
import { colours, inLight, softInk } from '../common/colours.js';
import { svgPainter } from '../common/painters.js';
import { box, segment, select, slider } from '../common/parts.js';
import { csv, percent, plural, save } from '../common/text.js';

/** @type {Option[]} */
const MODES = [['counts', 'counts', 'photos in each cell'],
  ['recall', 'recall', 'rows: share of the true class, each row adds up to 100 %'],
  ['precision', 'precision', 'columns: share of what was predicted, each column adds up to 100 %']];
/** @type {Option[]} */
const WHICHES = [['this', 'this run'], ['other', 'other run'],
  ['diff', 'difference', 'this run minus the other']];
const TOGETHER = 'classes that are taken for each other stand together; off: alphabetical';

const TITLE = 46; // pixels above the matrix of an exported picture
/** @type {[string, (ex: Explorer, view: View) => void][]} */
const ITEMS = [['Matrix as PNG', savePng], ['Matrix as SVG', saveSvg],
  ['Figures of the classes as CSV', saveFigures], ['Matrix as CSV', saveMatrix]];
/** @type {Record<string, string>} */
const MEASURES = { counts: 'photos', recall: 'recall: % of the true class',
  precision: 'precision: % of what was predicted' };

/** @type {(ex: Explorer) => Html} */
export const head = ex => {
  const { s, data, act } = ex;
  return html`<h2 dir="auto" class=${data.headed ? 'ic-hidden' : ''}>${data.title}</h2>
    <div class="ic-controls">${data.runs.length > 1 ? choices(ex) : ''}${epochs(ex)}
      ${segment('what the numbers are', MODES, s.mode, v => { s.mode = v; act.redraw(); })}
      <label class="ic-check" title=${TOGETHER} ?hidden=${ex.C < 3}>${box(s.together, on => {
        s.together = on; act.redraw(); })}confused together</label>${exportMenu(ex)}</div>`;
};

/** Which run the matrix shows, where two are compared. @type {(ex: Explorer) => unknown} */
export const which = ({ s, act }) => (s.other < 0 ? ''
  : segment('which run the matrix shows', WHICHES, s.which, v => { s.which = v; act.show(); }));

/** Which run, and which to compare with. @type {(ex: Explorer) => Html[]} */
function choices(ex) {
  const { s, data: { runs } } = ex, names = runs.map(({ name }, i) => /** @type {Option} */ ([i, name]));
  const others = names.filter(([i]) => i !== s.run);
  return [select('run', names, s.run, v => chooseRun(ex, Number(v))),
    select('compare with', [[-1, 'none'], ...others], s.other, v => compareWith(ex, Number(v)))];
}

/** Epoch slider with its number and a play button. @type {(ex: Explorer) => Html} */
function epochs(ex) {
  const { s, a, playing } = ex, all = ex.data.runs[s.run].epochs, from = ex.loaded[s.run]?.from || 0;
  const words = `${s.epoch + 1} of ${all}`, off = from > 0; // until the other epochs are here
  const says = words + (a ? `, accuracy ${percent(a.right / a.n)}` : '');
  /** @type {(epoch: number) => void} */
  const slide = epoch => { s.epoch = epoch - 1; play(ex, false); ex.act.show(200); };
  const title = playing ? 'stop at this epoch' : 'watch the matrix learn, epoch by epoch';
  return html`<div class="ic-field" ?hidden=${all < 2}><span>epoch</span><span class="ic-epoch-row">
    <button type="button" class="ic-play" title=${title} ?disabled=${off}
      @click=${() => play(ex, !ex.playing)}>${playing ? 'stop' : 'play'}</button>
    ${slider(s.epoch + 1, slide, { min: from + 1, max: all, label: 'epoch', says, off })}
    <output class="ic-epoch-text">${words}</output></span></div>`;
}

/** Start or stop the walk through the epochs; at the end it starts over.
 * @type {(ex: Explorer, on: boolean) => void} */
function play(ex, on) {
  const { s, act } = ex, last = ex.data.runs[s.run].epochs - 1;
  clearInterval(ex.playing);
  /** @type {(epoch: number) => void} */
  const to = epoch => { s.epoch = epoch; act.show(200); };
  ex.playing = on ? window.setInterval(() => (s.epoch >= last ? play(ex, false) : to(s.epoch + 1)), 700) : 0;
  if (on && s.epoch >= last) to(0); else act.update();
}

/** Show another run, at the same epoch where it has one (at its last if the last was shown).
 * @type {(ex: Explorer, i: number) => void} */
function chooseRun(ex, i) {
  const { s, data: { runs } } = ex, end = runs[i].epochs - 1, atEnd = s.epoch === runs[s.run].epochs - 1;
  play(ex, false);
  s.epoch = atEnd ? end : Math.min(s.epoch, end);
  if (s.other === i) s.other = s.run;
  s.run = i;
  ex.act.show();
}

/** Compare with run i (-1: none). @type {(ex: Explorer, i: number) => void} */
function compareWith(ex, i) {
  const { s } = ex;
  const tab = i >= 0 ? 'compare' : s.tab === 'compare' ? 'photos' : s.tab;
  Object.assign(s, { other: i, which: 'this', tab });
  ex.act.show();
}

/** Button and list; the browser opens and closes it, and the style sheet puts it below the button.
 * @type {(ex: Explorer) => Html} */
function exportMenu(ex) {
  const id = `${ex.id}-export`, { shown } = ex;
  const items = shown && ITEMS.map(([text, run]) => html`<button type="button" popovertarget=${id}
    popovertargetaction="hide" @click=${() => inLight(() => run(ex, shown))}>${text}</button>`);
  return html`<div class="ic-export">
    <button type="button" popovertarget=${id} style="anchor-name: --${id}">Export</button>
    <div id=${id} popover class="ic-menu" style="position-anchor: --${id}">${items}</div></div>`;
}

/** File name from data set, run and epoch (of a picture, the measure too), only characters that every system
 * takes.
 * @type {(ex: Explorer, view: View, what: string, ext: string) => string} */
function fileName({ data, s }, { run, epoch }, what, ext) {
  const mode = what === 'confusion' ? s.mode : '', diff = what !== 'classes' && s.which === 'diff';
  const parts = [data.title, what, mode, data.runs[run].run, `epoch-${epoch + 1}`, diff ? 'difference' : ''];
  const plain = parts.map(text => text.replace(/[^\w.-]+/g, '-').replace(/^-+|-+$/g, '').slice(0, 60));
  return `${plain.filter(Boolean).join('-')}.${ext}`;
}

/** The whole matrix with a title as SVG, with text that stays text; `scale`: its pixels to one of the page.
 * @type {(ex: Explorer, view: View, scale?: number) => Blob} */
function pictured(ex, view, scale = 1) {
  const { C, names, order, scene, shorten } = ex, painter = svgPainter();
  const cell = C <= 5 ? 90 : C <= 12 ? 48 : C <= 40 ? 28 : C <= 100 ? 16 : 12;
  const g = geometry(names, 190 + cell * C, cell * C, ex.measure);
  Object.assign(g, { left: Math.ceil(g.left), top: Math.ceil(g.top) });
  const width = Math.max(g.left + g.side + 8, 420), height = g.top + g.side + 8 + TITLE;
  const accuracy = `accuracy ${percent(view.right / view.n)} (95 % interval ${accuracyRange(ex, view)})`;
  /** @type {(view: View) => string} */
  const run = view => `${ex.data.runs[view.run].name}, epoch ${view.epoch + 1}`;
  const minus = ex.s.which === 'diff' && ex.b;
  const about = minus ? `minus those of ${run(minus)}` : `${accuracy}, ${plural(view.n, 'photo')}`;
  painter.rect(0, -TITLE, width, height, colours.paper);
  /** @type {(text: string, y: number, size: number, ink: string) => void} */
  const line = (text, y, size, ink) =>
    painter.text(shorten(text, width - 16, size), 8, y - TITLE, size, ink, 'left');
  line(`${ex.data.title}: ${run(view)}`, 16, 13, colours.ink);
  line(`${MEASURES[ex.s.mode]}; ${about}`, 34, 12, softInk);
  if (scene) paint(painter, g, scene, order, { names, shorten });
  return new Blob([`<?xml version="1.0" encoding="UTF-8"?>\n<svg xmlns="http://www.w3.org/2000/svg" `,
    `width="${width * scale}" height="${height * scale}" viewBox="0 ${-TITLE} ${width} ${height}" `,
    `font-family="system-ui, sans-serif">${painter.out.join('\n')}</svg>\n`], { type: 'image/svg+xml' });
}

/** @type {(ex: Explorer, view: View) => void} */
function saveSvg(ex, view) { save(fileName(ex, view, 'confusion', 'svg'), pictured(ex, view)); }

/** The matrix as a picture of pixels, twice as fine as on the page.
 * @type {(ex: Explorer, view: View) => Promise<void>} */
async function savePng(ex, view) {
  const image = new Image(), canvas = document.createElement('canvas');
  const name = fileName(ex, view, 'confusion', 'png'); // before anything else is chosen
  image.src = URL.createObjectURL(pictured(ex, view, 2));
  await image.decode();
  Object.assign(canvas, { width: image.width, height: image.height });
  canvas.getContext('2d')?.drawImage(image, 0, 0);
  URL.revokeObjectURL(image.src);
  canvas.toBlob(blob => { if (blob) save(name, blob); });
}

/** The figures of each class. @type {(ex: Explorer, view: View) => void} */
function saveFigures(ex, view) {
  const head = ['class', 'tp', 'fp', 'fn', 'tn', 'precision', 'precision_low', 'precision_high', 'recall',
    'recall_low', 'recall_high', 'f1', 'support'];
  const rows = ex.order.map(c => {
    const { tp, fp, fn, tn, precision, recall, f1, support, ...f } = classFigures(ex, view, c);
    const shares = [precision, ...f.precisionInterval, recall, ...f.recallInterval];
    return [ex.names[c], tp, fp, fn, tn, ...shares, f1, support];
  });
  save(fileName(ex, view, 'classes', 'csv'), csv([head, ...rows]));
}

/** The counts of the matrix (of the difference, the differences), one row for each true class.
 * @type {(ex: Explorer, view: View) => void} */
function saveMatrix(ex, view) {
  const { C, order, names, b } = ex, minus = ex.s.which === 'diff' && b ? b.counts : new Int32Array(C * C);
  const extra = ex.s.which !== 'diff' && view.none > 0;
  const rows = order.map(t => {
    const row = order.map(p => view.counts[t * C + p] - minus[t * C + p]);
    return [names[t], ...row, ...(extra ? [row.reduce((rest, n) => rest - n, view.rows[t])] : [])];
  });
  const head = ['true \\ predicted', ...order.map(c => names[c]), ...(extra ? ['no prediction'] : [])];
  save(fileName(ex, view, 'matrix', 'csv'), csv([head, ...rows]));
}
