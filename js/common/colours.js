// Colours from palette.json, which Python and the style sheets read as well; no colour stands in a script.
import palette from '../../imgcls/static/palette.json' with { type: 'json' };

/** 101 colours between the stops, each with the ink that reads better on it.
 * @type {(stops: string[]) => Shade[]} */
function ramp(stops) {
  const rgb = stops.map(stop => [1, 3, 5].map(i => parseInt(stop.slice(i, i + 2), 16)));
  /** @type {(v: number) => number} */
  const light = v => (v <= 10.3 ? v / 3295 : ((v / 255 + 0.055) / 1.055) ** 2.4);
  return Array.from({ length: 101 }, (_, i) => {
    const x = i / 100 * (rgb.length - 1), k = Math.min(rgb.length - 2, Math.floor(x));
    const c = rgb[k].map((v, j) => Math.round(v + (rgb[k + 1][j] - v) * (x - k)));
    const L = 0.2126 * light(c[0]) + 0.7152 * light(c[1]) + 0.0722 * light(c[2]);
    return { css: `rgb(${c.join(',')})`, ink: L > 0.179 ? 'black' : 'white' };
  });
}

/** Right predictions blue, errors orange; in a difference better is teal and worse magenta: the colour-blind
 * can tell all four apart. The strong colours of these two are for the legend.
 * @type {(colours: typeof palette.colours, stops: typeof palette.ramps) => Theme} */
const theme = (colours, { right, wrong, better, worse }) => ({
  colours, softInk: colours['soft-ink'], swatches: { better: better[3], worse: worse[3] },
  ramps: { right: ramp(right), wrong: ramp(wrong), better: ramp(better), worse: ramp(worse) },
});
const light = theme(palette.colours, palette.ramps);
const dark = theme({ ...palette.colours, ...palette.dark }, palette['dark-ramps']);

// What is painted next is painted with these; they change when the page turns dark.
export let { colours, softInk, ramps, swatches } = light;

/** @type {(theme: Theme) => void} */
const take = theme => { ({ colours, softInk, ramps, swatches } = theme); };

/** Do something in light colours: pictures for a file are for white paper.
 * @type {(act: () => void) => void} */
export function inLight(act) {
  const before = { colours, softInk, ramps, swatches };
  take(light);
  try { act(); } finally { take(before); }
}

/** What paints in the colours that the style sheet gives `root`, and again where they are other ones than
 * before; to be called when they may have changed.
 * @type {(root: HTMLElement, redraw: () => void) => () => void} */
export function themed(root, redraw) {
  /** @type {Theme | null} */
  let mine = null;
  return () => {
    const scheme = getComputedStyle(root).colorScheme, system = matchMedia('(prefers-color-scheme: dark)');
    const now = scheme === 'dark' || (scheme !== 'light' && system.matches) ? dark : light;
    if (now === mine) return;
    take(mine = now);
    redraw();
  };
}
