// What a scene is painted with: a canvas, or SVG for a file. Coordinates are CSS pixels.
import { colours } from './colours.js';
import { escaped } from './text.js';

const FONT = 'system-ui, sans-serif';

/** Painter on a canvas. @type {(ctx: CanvasRenderingContext2D) => Painter} */
export function canvasPainter(ctx) {
  let font = 0;
  ctx.textBaseline = 'middle';
  ctx.direction = 'ltr';
  return {
    rect(x, y, w, h, fill) { ctx.fillStyle = fill; ctx.fillRect(x, y, w, h); },
    clip(x, y, w, h) { ctx.save(); ctx.beginPath(); ctx.rect(x, y, w, h); ctx.clip(); },
    unclip() { ctx.restore(); font = 0; },
    text(text, x, y, size, fill, align, turned) {
      if (size !== font) ctx.font = `${font = size}px ${FONT}`;
      ctx.fillStyle = fill;
      ctx.textAlign = align;
      if (!turned) { ctx.fillText(text, x, y); return; }
      ctx.save();
      ctx.translate(x, y);
      ctx.rotate(-Math.PI / 2);
      ctx.fillText(text, 0, 0);
      ctx.restore();
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
    clip() {},
    unclip() {},
    text(text, x, y, size, fill, align, turned) {
      const turn = turned ? ` transform="rotate(-90 ${x} ${y})"` : '';
      const how = `font-size="${size}" fill="${fill}" text-anchor="${anchor[align]}" ${turn}`;
      out.push(`<text x="${x}" y="${y}" dominant-baseline="central" ${how}>${escaped(text)}</text>`);
    },
  };
}

/** The context of a canvas. @type {(canvas: HTMLCanvasElement) => CanvasRenderingContext2D} */
const contextOf = canvas => /** @type {CanvasRenderingContext2D} */ (canvas.getContext('2d'));

/** Size a canvas and clear it; `scale`: pixels of the canvas to a CSS pixel.
 * @type {(canvas: HTMLCanvasElement, width: number, height: number, scale: number) =>
 *   CanvasRenderingContext2D} */
export function cleared(canvas, width, height, scale) {
  canvas.width = Math.round(width * scale);
  canvas.height = Math.round(height * scale);
  const ctx = contextOf(canvas);
  ctx.scale(scale, scale);
  ctx.fillStyle = colours.paper;
  ctx.fillRect(0, 0, width, height);
  return ctx;
}

/** A canvas on the page, of the screen's pixels.
 * @type {(canvas: HTMLCanvasElement, width: number, height: number) => Painter} */
export function onScreen(canvas, width, height) {
  Object.assign(canvas.style, { width: `${width}px`, height: `${height}px` });
  return canvasPainter(cleared(canvas, width, height, window.devicePixelRatio || 1));
}

/** Width of a text in pixels, measured on a canvas of its own.
 * @type {() => (text: string, size: number) => number} */
export function measure() {
  const ctx = contextOf(document.createElement('canvas'));
  return (text, size) => { ctx.font = `${size}px ${FONT}`; return ctx.measureText(text.slice(0, 80)).width; };
}
