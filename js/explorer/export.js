// What can be saved: the matrix as a picture, its numbers and the figures of the classes as CSV.
import { html } from 'lit-html';
import { accuracyRange, classFigures } from './counts.js';
import { geometry, paint } from './layout.js';
import { runName } from './runs.js';
import { colours, inLight, softInk } from '../common/colours.js';
import { canvasPainter, cleared, svgPainter } from '../common/painters.js';
import { csv, percent, plural, save } from '../common/text.js';

const TITLE = 46; // pixels above the matrix of an exported picture
/** @type {[string, (ex: Explorer, view: View) => void][]} */
const ITEMS = [['Matrix as PNG', savePng], ['Matrix as SVG', saveSvg],
  ['Figures of the classes as CSV', saveFigures], ['Matrix as CSV', saveMatrix]];
/** @type {Record<string, string>} */
const MEASURES = { counts: 'photos', recall: 'recall: % of the true class',
  precision: 'precision: % of what was predicted' };

/** Button and list. @type {(ex: Explorer) => Html} */
export function exportMenu(ex) {
  const { s, act } = ex, id = `${ex.id}-export`;
  /** @type {(event: Event) => void} */
  const close = ({ currentTarget }) => {
    s.exporting = false;
    act.update();
    /** @type {Element} */ (currentTarget).closest('.ic-export')?.querySelector('button')?.focus();
  };
  /** @type {(event: KeyboardEvent) => void} */
  const key = event => {
    if (event.key !== 'Escape' || !s.exporting) return;
    event.stopPropagation();
    close(event);
  };
  /** @type {(run: (ex: Explorer, view: View) => void) => (event: Event) => void} */
  const chosen = run => event => {
    const { shown } = ex;
    close(event);
    if (shown) inLight(() => run(ex, shown));
  };
  return html`<div class="ic-export" @keydown=${key}>
    <button type="button" aria-expanded=${s.exporting} aria-controls=${id}
      @click=${() => { s.exporting = !s.exporting; act.update(); }}>Export</button>
    <div id=${id} class="ic-menu" ?hidden=${!s.exporting}>
      ${ITEMS.map(([text, run]) => html`<button type="button"
        @click=${chosen(run)}>${text}</button>`)}</div></div>`;
}

/** File name from data set, run and epoch (of a picture, the measure too), only characters that every system
 * takes.
 * @type {(ex: Explorer, what: string, ext: string) => string} */
function fileName({ data, s, shown }, what, ext) {
  /** @type {(text: string) => string} */
  const plain = text => text.replace(/[^\w.-]+/g, '-').replace(/^-+|-+$/g, '').slice(0, 60);
  const parts = [plain(data.title), what, ...(what === 'confusion' ? [s.mode] : []),
    plain(data.runs[shown?.run ?? 0].run), `epoch-${(shown?.epoch ?? 0) + 1}`,
    ...(s.which === 'diff' && what !== 'classes' ? ['difference'] : [])];
  return `${parts.filter(Boolean).join('-')}.${ext}`;
}

/** Paint the whole matrix with a title for a file; make(width, height) gives the painter.
 * @type {(ex: Explorer, view: View, make: (width: number, height: number) => Painter) => void} */
function paintAll(ex, view, make) {
  const { C, names, order, scene, shorten } = ex;
  const cell = C <= 5 ? 90 : C <= 12 ? 48 : C <= 40 ? 28 : C <= 100 ? 16 : 12;
  const g = geometry(names, 190 + cell * C, cell * C, ex.measure);
  Object.assign(g, { left: Math.ceil(g.left), top: Math.ceil(g.top) });
  const width = Math.max(g.left + g.side + 8, 420), painter = make(width, g.top + g.side + 8 + TITLE);
  const accuracy = `accuracy ${percent(view.right / view.n)} (95 % interval ${accuracyRange(ex, view)})`;
  /** @type {(view: View) => string} */
  const run = view => `${runName(ex, view.run)}, epoch ${view.epoch + 1}`;
  const minus = ex.s.which === 'diff' && ex.b, measure = MEASURES[ex.s.mode];
  const about = minus ? `minus those of ${run(minus)}` : `${accuracy}, ${plural(view.n, 'photo')}`;
  const text = `${measure}; ${about}`, title = `${ex.data.title}: ${run(view)}`;
  painter.text(shorten(title, width - 16, 13), 8, 16 - TITLE, 13, colours.ink, 'left');
  painter.text(shorten(text, width - 16, 12), 8, 34 - TITLE, 12, softInk, 'left');
  if (scene) paint(painter, g, scene, order, { names, shorten });
}

/** The matrix as a picture of pixels, twice as fine as on the page.
 * @type {(ex: Explorer, view: View) => void} */
function savePng(ex, view) {
  const canvas = document.createElement('canvas');
  paintAll(ex, view, (width, height) => {
    const ctx = cleared(canvas, width, height, 2);
    ctx.translate(0, TITLE);
    return canvasPainter(ctx);
  });
  canvas.toBlob(blob => { if (blob) save(fileName(ex, 'confusion', 'png'), blob); });
}

/** The matrix as SVG with text that stays text. @type {(ex: Explorer, view: View) => void} */
function saveSvg(ex, view) {
  const painter = svgPainter();
  let head = '';
  paintAll(ex, view, (width, height) => {
    const size = `width="${width}" height="${height}"`;
    head = `<svg xmlns="http://www.w3.org/2000/svg" ${size} viewBox="0 ${-TITLE} ${width} ${height}" `
      + `font-family="system-ui, sans-serif"><rect y="${-TITLE}" ${size} fill="${colours.paper}"/>`;
    return painter;
  });
  const text = `<?xml version="1.0" encoding="UTF-8"?>\n${head}${painter.out.join('\n')}</svg>\n`;
  save(fileName(ex, 'confusion', 'svg'), new Blob([text], { type: 'image/svg+xml' }));
}

/** The figures of each class. @type {(ex: Explorer, view: View) => void} */
function saveFigures(ex, view) {
  const head = ['class', 'tp', 'fp', 'fn', 'tn', 'precision', 'precision_low', 'precision_high', 'recall',
    'recall_low', 'recall_high', 'f1', 'support'];
  const rows = ex.order.map(c => {
    const f = classFigures(ex, view, c);
    return [ex.names[c], f.tp, f.fp, f.fn, f.tn, f.precision, ...f.precisionInterval, f.recall,
      ...f.recallInterval, f.f1, f.support];
  });
  save(fileName(ex, 'classes', 'csv'), csv([head, ...rows]));
}

/** The counts of the matrix (of the difference, the differences), one row for each true class.
 * @type {(ex: Explorer, view: View) => void} */
function saveMatrix(ex, view) {
  const { C, order, names, b } = ex, minus = ex.s.which === 'diff' && b ? b.counts : new Int32Array(C * C);
  const extra = ex.s.which !== 'diff' && view.none > 0;
  /** @type {(t: number) => number} */
  const none = t => view.rows[t] - order.reduce((sum, p) => sum + view.counts[t * C + p], 0);
  const rows = order.map(t => [names[t], ...order.map(p => view.counts[t * C + p] - minus[t * C + p]),
    ...(extra ? [none(t)] : [])]);
  const head = ['true \\ predicted', ...order.map(c => names[c]), ...(extra ? ['no prediction'] : [])];
  save(fileName(ex, 'matrix', 'csv'), csv([head, ...rows]));
}
