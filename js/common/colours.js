// Colours from palette.json, which Python and the style sheets read as well; no colour stands in a script.
import palette from '../../imgcls/static/palette.json' with { type: 'json' };

export const { colours } = palette;
export const softInk = colours['soft-ink'];

/** 101 colours between the stops, each with the ink that reads better on it.
 * @type {(stops: string[]) => Shade[]} */
export function ramp(stops) {
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

// Right predictions blue, errors orange; in a difference better is teal and worse magenta: the colour-blind
// can tell all four apart.
export const ramps = {
  right: ramp(palette.ramps.right), wrong: ramp(palette.ramps.wrong),
  better: ramp(palette.ramps.better), worse: ramp(palette.ramps.worse),
};

/** Strong colours of 'better' and 'worse', for the legend. */
export const swatches = { better: palette.ramps.better[3], worse: palette.ramps.worse[3] };
