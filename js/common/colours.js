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
let now = light;

// What is painted next is painted with these; they change when the page turns dark.
export let { colours, softInk, ramps, swatches } = light;

/** @type {(theme: Theme) => void} */
function take(theme) {
  now = theme;
  ({ colours, softInk, ramps, swatches } = theme);
}

/** Do something in light colours: pictures for a file are for white paper.
 * @type {(act: () => void) => void} */
export function inLight(act) {
  const before = now;
  take(light);
  try { act(); } finally { take(before); }
}

/** Paint in the colours that the style sheet gives `root`, and again when they change: JupyterLab's theme is
 * an attribute of the page. Returns what ends it.
 * @type {(root: HTMLElement, redraw: () => void) => () => void} */
export function followTheme(root, redraw) {
  const system = matchMedia('(prefers-color-scheme: dark)');
  const wanted = () => {
    const scheme = getComputedStyle(root).colorScheme;
    return scheme === 'dark' || (scheme !== 'light' && system.matches) ? dark : light;
  };
  let mine = wanted();
  take(mine);
  const look = () => {
    if (wanted() === mine) return;
    take(mine = wanted());
    redraw();
  };
  const watch = new MutationObserver(look);
  for (const el of [document.documentElement, document.body]) watch.observe(el, { attributes: true });
  system.addEventListener('change', look);
  const placed = new ResizeObserver(look); // a widget may be drawn before it stands in its page
  placed.observe(root);
  return () => { watch.disconnect(); placed.disconnect(); system.removeEventListener('change', look); };
}
