// What the matrix shows, where it lies, and painting it: colour and text of each cell, numbers where there is
// room, names at the sides.
import { colours, ramps, softInk } from '../common/colours.js';
import { fixed, number } from '../common/text.js';

/** Where things lie on a canvas `width` wide: gutters for the names, the square of cells; cell sizes before
 * zoom. widthOf(name, size): the width of a name in pixels.
 * @type {(names: string[], width: number, most: number, widthOf: (name: string, size: number) => number)
 *   => Geometry} */
export function geometry(names, width, most, widthOf) {
  const C = names.length, font = width * 0.76 / C < 13 ? 11 : 12;
  const widest = Math.max(36, ...names.map(name => widthOf(name, font)));
  const left = 30 + Math.min(widest, 150, width * 0.24);
  const side = Math.min(Math.min(width - left - 4, most) / C, 150) * C, flat = widest < side / C - 8;
  const top = flat ? 42 : 34 + Math.min(widest, 120);
  return { left, top, side, base: side / C, flat, font, width, zoom: 1, x: 0, y: 0 };
}

/** Zoom by a factor (0: whole matrix) about a point of the square, by default its middle; the view stays
 * inside the matrix.
 * @type {(g: Geometry, C: number, factor: number, x?: number, y?: number) => void} */
export function zoomed(g, C, factor, x = g.side / 2, y = g.side / 2) {
  const before = g.base * g.zoom;
  g.zoom = factor ? Math.min(mostZoom(g), Math.max(1, g.zoom * factor)) : 1;
  const after = g.base * g.zoom;
  panned(g, C, g.x + x / before - x / after, g.y + y / before - y / after);
}

/** So far that a cell is 48 pixels wide. @type {(g: Geometry) => number} */
export const mostZoom = g => Math.max(1, 48 / g.base);

/** Let row y and column x come first, as far as the matrix goes.
 * @type {(g: Geometry, C: number, x: number, y: number) => void} */
export function panned(g, C, x, y) {
  const most = C - C / g.zoom;
  g.x = Math.min(most, Math.max(0, x));
  g.y = Math.min(most, Math.max(0, y));
}

/** What lies at a point of the canvas: row and column of a cell (one of them undefined at a name), or null.
 * @type {(g: Geometry, C: number, x: number, y: number) => Hit | null} */
export function hit(g, C, x, y) {
  const cell = g.base * g.zoom, right = g.left + g.side, bottom = g.top + g.side;
  /** @type {(v: number) => number | undefined} */
  const inside = v => (v >= 0 && v < C ? v : undefined);
  const col = x >= g.left && x < right ? inside(Math.floor((x - g.left) / cell + g.x)) : undefined;
  const row = y >= g.top && y < bottom ? inside(Math.floor((y - g.top) / cell + g.y)) : undefined;
  return (row === undefined && col === undefined) || x > right || y > bottom ? null : { row, col, x, y };
}

/** A name shortened with … to a width in pixels, kept from the direction and line breaks of its own text;
 * what was found is remembered.
 * @type {(widthOf: (name: string, size: number) => number) => Shorten} */
export function shortener(widthOf) {
  /** @type {Map<string, string>} */
  const known = new Map(), odd = /[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g;
  return (name, px, size) => {
    const key = `${px}|${size}|${name}`, there = known.get(key);
    if (there !== undefined) return there;
    if (known.size > 5000) known.clear();
    const chars = Array.from(name.replace(odd, ' ')).slice(0, 80);
    /** @type {(k: number) => string} */
    const cut = k => chars.slice(0, k).join('') + (k < chars.length ? '…' : '');
    let k = chars.length;
    while (k && widthOf(cut(k), size) > px) k--;
    const found = `\u2068${cut(k)}\u2069`;
    known.set(key, found);
    return found;
  };
}

/** Paint a scene; `order`: which class comes where.
 * @type {(painter: Painter, g: Geometry, scene: Scene, order: number[], names?: { names: string[],
 *   shorten: Shorten }) => void} */
export function paint(painter, g, scene, order, names) {
  const cell = g.base * g.zoom, gap = cell >= 7 ? 1 : 0, at = places(g, order.length);
  const size = Math.round(Math.min(cell < 90 ? 15 : 18, Math.max(9, cell * 0.42)));
  painter.rect(g.left, g.top, g.side, g.side, colours.track);
  painter.clip(g.left, g.top, g.side, g.side);
  for (let i = Math.floor(g.y); i < at.last(g.y); i++) for (let j = Math.floor(g.x); j < at.last(g.x); j++) {
    const x = at.x(j), y = at.y(i), w = at.x(j + 1) - x - gap, h = at.y(i + 1) - y - gap;
    const t = order[i], p = order[j], fill = scene.paint(t, p);
    if (fill || cell >= 14) painter.rect(x, y, w, h, fill ? fill.css : colours.soft);
    const texts = cell < 18 ? [] : fill ? scene.texts(t, p) : cell < 40 ? [] : ['0'];
    const text = texts.find(s => s.length * size * 0.66 <= w + gap + 1);
    const ink = fill ? fill.ink : colours.border;
    if (text) painter.text(text, x + w / 2, y + h / 2 + 0.5, size, ink, 'center');
  }
  painter.unclip();
  if (names) paintNames(painter, g, order, at, names.names, names.shorten);
}

/** Pixels of rows and columns, and which is the last in sight.
 * @type {(g: Geometry, C: number) => Places} */
function places(g, C) {
  const cell = g.base * g.zoom;
  return { x: j => Math.round(g.left + (j - g.x) * cell), y: i => Math.round(g.top + (i - g.y) * cell),
    last: v => Math.min(C, Math.ceil(v + g.side / cell)) };
}

/** Class names left (true) and above (predicted); every second, third … where rows are too thin for all.
 * @type {(painter: Painter, g: Geometry, order: number[], at: Places, names: string[], shorten: Shorten)
 *   => void} */
function paintNames(painter, g, order, at, names, shorten) {
  const cell = g.base * g.zoom, every = Math.ceil(12 / cell), size = g.font, { ink } = colours;
  /** @type {(v: number) => number} */
  const first = v => Math.ceil(Math.floor(v) / every) * every;
  painter.text('true class', 9, g.top + g.side / 2, 12, softInk, 'center', true);
  painter.text('predicted class', g.left + g.side / 2, 9, 12, softInk, 'center');
  painter.clip(0, g.top - 7, g.left, g.side + 14);
  for (let i = first(g.y); i < at.last(g.y); i += every) {
    const name = shorten(names[order[i]], g.left - 28, size);
    painter.text(name, g.left - 6, (at.y(i) + at.y(i + 1)) / 2, size, ink, 'right');
  }
  painter.unclip();
  painter.clip(g.left - 7, 0, g.side + 14, g.top);
  for (let j = first(g.x); j < at.last(g.x); j += every) {
    const x = (at.x(j) + at.x(j + 1)) / 2, room = g.flat ? cell - 6 : g.top - 30;
    const name = shorten(names[order[j]], room, size);
    if (g.flat) painter.text(name, x, g.top - 11, size, ink, 'center');
    else painter.text(name, x, g.top - 6, size, ink, 'left', true);
  }
  painter.unclip();
}

/** Value of a cell: count, share of the row (recall) or share of the column (precision).
 * @type {(view: Counted, C: number, mode: Mode, t: number, p: number) => number} */
export function cellValue(view, C, mode, t, p) {
  const v = view.counts[t * C + p];
  return mode === 'counts' || !v ? v : v / (mode === 'recall' ? view.rows[t] : view.cols[p]);
}

/** A value as text, the most exact first: '12,345' or '12k', '97.3 %' or '97 %' or '97'; a difference has its
 * sign, and is in points.
 * @type {(v: number, mode: Mode, signed: boolean) => string[]} */
export function cellTexts(v, mode, signed) {
  const x = Math.abs(v), sign = !signed ? '' : v > 0 ? '+' : '−', short = x < 0.01 ? '<1' : fixed(100 * x, 0);
  if (mode === 'counts')
    return [number(x), ...(x < 10000 ? [] : [`${Math.round(x / 1000)}k`])].map(text => sign + text);
  const exact = fixed(100 * x, 1);
  return signed ? [sign + exact, sign + short] : [`${exact} %`, `${short} %`, short];
}

/** A scene of one run, or of the difference a − b; diagonal and errors on scales of their own. A scale spans
 * at least `span`, a share of a class: what chance does in the test must not look like white and navy.
 * @type {(C: number, mode: Mode, a: Counted, b: Counted | null, span?: number) => Scene} */
export function scene(C, mode, a, b, span = 0) {
  const floor = C > 40 ? 0.3 : 0.2, values = new Float64Array(C * C), signed = Boolean(b);
  const least = mode === 'counts' ? Math.ceil(span * a.n / C) : span;
  let top = 0, err = 0;
  for (let t = 0, k = 0; t < C; t++) for (let p = 0; p < C; p++, k++) {
    values[k] = cellValue(a, C, mode, t, p) - (b ? cellValue(b, C, mode, t, p) : 0);
    if (t === p) top = Math.max(top, Math.abs(values[k])); else err = Math.max(err, Math.abs(values[k]));
  }
  if (top) top = !b && mode !== 'counts' ? 1 : Math.max(top, least);
  if (err) err = Math.max(err, least);
  /** @type {Scene['shade']} */
  const shade = (v, max, wrong) => {
    const x = Math.abs(v) / max, share = floor + (1 - floor) * (wrong || b ? Math.sqrt(x) : x);
    const ramp = !b ? (wrong ? 'wrong' : 'right') : v > 0 !== wrong ? 'better' : 'worse';
    return ramps[ramp][Math.round(100 * share)];
  };
  return { top, err, shade, signed, texts: (t, p) => cellTexts(values[t * C + p], mode, signed),
    paint: (t, p) => (values[t * C + p] ? shade(values[t * C + p], t === p ? top : err, t !== p) : null) };
}
