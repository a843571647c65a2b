// Keys, pointer and wheel on the matrix.
import { mostZoom, panned } from './layout.js';
import { draw, go, tip, under, zoomBy } from './matrix.js';

/** @type {(ex: Explorer, event: KeyboardEvent) => void} */
function key(ex, event) {
  const { s, C, g, at } = ex, i = at[s.t], j = at[s.p], far = event.ctrlKey || event.metaKey;
  const page = Math.max(1, Math.floor(C / g.zoom / 2));
  /** @type {Record<string, [number, number]>} */
  const moves = { ArrowLeft: [i, j - 1], ArrowRight: [i, j + 1], ArrowUp: [i - 1, j], ArrowDown: [i + 1, j],
    PageUp: [i - page, j], PageDown: [i + page, j], Home: [far ? 0 : i, 0], End: [far ? C - 1 : i, C - 1] };
  /** @type {Record<string, number>} */
  const zooms = { '+': 1.5, '=': 1.5, '-': 1 / 1.5, 0: 0 };
  if (moves[event.key]) go(ex, ...moves[event.key]);
  else if (event.key === 'Enter' || event.key === ' ') ex.act.pick({ kind: 'cell', t: s.t, p: s.p });
  else if (event.key in zooms && !far) {
    const cell = g.base * g.zoom;
    zoomBy(ex, zooms[event.key], g.left + (j - g.x + 0.5) * cell, g.top + (i - g.y + 0.5) * cell);
    go(ex, i, j);
  } else return;
  event.preventDefault();
  event.stopPropagation();
}

/** A click on a cell shows its photos, on a name the class.
 * @type {(ex: Explorer, hit: Hit | null) => void} */
function click(ex, hit) {
  const { s, order, el } = ex;
  if (!hit) return;
  const { row, col } = hit;
  if (row === undefined || col === undefined) return ex.act.openClass(order[row ?? col ?? 0]);
  go(ex, row, col);
  /** @type {HTMLElement | null} */ (el.grid.querySelector('.ic-cell'))?.focus({ preventScroll: true });
  ex.act.pick({ kind: 'cell', t: s.t, p: s.p });
}

/** The wheel zooms about the pointer; where it can't zoom further, the page scrolls as usual.
 * @type {(ex: Explorer, event: WheelEvent) => void} */
function wheel(ex, event) {
  const { g } = ex, hit = ex.scene && under(ex, event);
  if (!hit || hit.row === undefined || hit.col === undefined) return;
  if (event.deltaY < 0 ? g.zoom >= mostZoom(g) : g.zoom <= 1) return;
  event.preventDefault();
  tip(ex, null);
  zoomBy(ex, Math.exp(-Math.max(-80, Math.min(80, event.deltaY)) * 0.005), hit.x, hit.y);
}

/** Listen: click, hover, drag when zoomed, pinch, wheel, keys. @type {(ex: Explorer) => void} */
export function listen(ex) {
  const { el: { plot, canvas, grid } } = ex;
  /** @type {Map<number, PointerEvent>} */
  const down = new Map();
  let moved = 0, spread = 0;
  const gap = () => { const [a, b] = down.values(); return Math.hypot(a.x - b.x, a.y - b.y); };
  plot.addEventListener('pointerdown', e => {
    down.set(e.pointerId, e);
    moved = down.size > 1 ? 99 : 0;
    spread = down.size === 2 ? gap() : 0;
  });
  plot.addEventListener('pointermove', e => {
    const was = down.get(e.pointerId), { g } = ex;
    if (!ex.scene) return;
    if (!e.buttons) down.clear();
    if (!was || !e.buttons) return tip(ex, e.pointerType === 'mouse' ? under(ex, e) : null);
    const x = e.clientX - was.clientX, y = e.clientY - was.clientY, cell = g.base * g.zoom;
    down.set(e.pointerId, e);
    moved += Math.abs(x) + Math.abs(y);
    if (moved < 5) return;
    tip(ex, null);
    plot.setPointerCapture(e.pointerId);
    if (down.size === 2) {
      const box = canvas.getBoundingClientRect(), before = spread;
      spread = gap();
      return zoomBy(ex, spread / before, e.clientX - box.left, e.clientY - box.top);
    }
    panned(g, ex.C, g.x - x / cell, g.y - y / cell);
    draw(ex);
  });
  plot.addEventListener('pointerup', e => down.delete(e.pointerId));
  plot.addEventListener('pointercancel', e => down.delete(e.pointerId));
  plot.addEventListener('pointerleave', () => tip(ex, null));
  plot.addEventListener('click', e => {
    if (moved >= 5 || !ex.scene) return;
    // a screen reader clicks without a place
    const onCell = /** @type {Element} */ (e.target).matches('.ic-cell');
    click(ex, onCell ? { row: ex.at[ex.s.t], col: ex.at[ex.s.p], x: 0, y: 0 } : under(ex, e));
  });
  plot.addEventListener('wheel', e => wheel(ex, e), { passive: false });
  grid.addEventListener('keydown', e => key(ex, e));
}
