// What a scene is painted with: a canvas, or SVG for a file. Coordinates are CSS pixels.
import { colours } from './colours.js';
import { escaped } from './text.js';

const FONT = 'system-ui, sans-serif';

/** Painter on a canvas, which is cleared and gets the screen's pixels.
 * @type {(canvas: HTMLCanvasElement, width: number, height: number) => Painter} */
export function canvasPainter(canvas, width, height) {
  const ctx = contextOf(canvas), scale = window.devicePixelRatio || 1;
  let font = 0;
  Object.assign(canvas, { width: Math.round(width * scale), height: Math.round(height * scale) });
  Object.assign(canvas.style, { width: `${width}px`, height: `${height}px` });
  ctx.scale(scale, scale);
  ctx.fillStyle = colours.paper;
  ctx.fillRect(0, 0, width, height);
  Object.assign(ctx, { textBaseline: 'middle', direction: 'ltr' });
  return {
    rect(x, y, w, h, fill) { ctx.fillStyle = fill; ctx.fillRect(x, y, w, h); },
    clip(x, y, w, h) { ctx.save(); ctx.beginPath(); ctx.rect(x, y, w, h); ctx.clip(); },
    unclip() { ctx.restore(); font = 0; },
    text(text, x, y, size, fill, align, turned) {
      if (size !== font) ctx.font = `${font = size}px ${FONT}`;
      Object.assign(ctx, { fillStyle: fill, textAlign: align });
      if (!turned) return ctx.fillText(text, x, y);
      ctx.rotate(-Math.PI / 2);
      ctx.fillText(text, -y, x);
      return ctx.rotate(Math.PI / 2);
    },
  };
}

/** Painter that collects SVG; text is escaped and stays text. @type {() => Painter & { out: string[] }} */
export function svgPainter() {
  /** @type {string[]} */
  const out = [], anchor = { left: 'start', center: 'middle', right: 'end' };
  return {
    out,
    rect(x, y, w, h, fill) {
      out.push(`<rect x="${x}" y="${y}" width="${w}" height="${h}" fill="${fill}"/>`);
    },
    clip() {}, unclip() {},
    text(text, x, y, size, fill, align, turned) {
      const turn = turned ? ` transform="rotate(-90 ${x} ${y})"` : '';
      const how = `font-size="${size}" fill="${fill}" text-anchor="${anchor[align]}" ${turn}`;
      out.push(`<text x="${x}" y="${y}" dominant-baseline="central" ${how}>${escaped(text)}</text>`);
    },
  };
}

/** The context of a canvas. @type {(canvas: HTMLCanvasElement) => CanvasRenderingContext2D} */
const contextOf = canvas => /** @type {CanvasRenderingContext2D} */ (canvas.getContext('2d'));

/** Width of a text in pixels, measured on a canvas of its own.
 * @type {() => (text: string, size: number) => number} */
export function measure() {
  const ctx = contextOf(document.createElement('canvas'));
  return (text, size) => { ctx.font = `${size}px ${FONT}`; return ctx.measureText(text.slice(0, 80)).width; };
}
