// The explorer as a whole: its state, and what is done when something is chosen.
import { html, nothing, render } from 'lit-html';
import { classTab } from './class.js';
import { compareTab } from './compare.js';
import { accuracyInterval, largestError } from './counts.js';
import { head } from './head.js';
import { shortener } from './layout.js';
import { listsTab } from './lists.js';
import { draw, fit, go, matrix, placeCell, summary } from './matrix.js';
import { photosTab } from './photos.js';
import { listen } from './pointer.js';
import { load, setOrder, toldApart, viewOf } from './runs.js';
import { scene } from './scene.js';
import { followTheme } from '../common/colours.js';
import { u16, u32 } from '../common/numbers.js';
import { measure } from '../common/painters.js';
import { busy, card, failure, link, messageOf, tabs, uniqueId } from '../common/parts.js';

/** @type {Record<Tab, (ex: Explorer) => Panel>} */
const TABS = { photos: photosTab, class: classTab, lists: listsTab, compare: compareTab };

/** @type {(ex: Explorer) => Html} */
const page = ex => html`${head(ex)}<div class="ic-status">${ex.status}</div>${summary(ex)}
  <div class="ic-body">${matrix(ex)}<div class="ic-right">${details(ex)}
    <p class="ic-up">${link('↑ to the matrix', () => ex.el.plot.scrollIntoView())}</p></div></div>
  <div class="ic-hidden" aria-live="polite">${ex.said}</div>`;

/** The tabs. @type {(ex: Explorer) => Html} */
const details = ex => tabs(`${ex.id}-tab`,
  [['photos', 'Photos'], ['class', 'Class'], ['lists', 'Lists'], ['compare', 'Compare', ex.s.other < 0]],
  ex.s.tab, name => open(ex, /** @type {Tab} */ (name)), name => ex.panels[name]?.view() ?? '');

/** Fetch what is missing, then show; `wait` delays the panel while a slider moves.
 * @type {(ex: Explorer, wait?: number) => Promise<void>} */
async function show(ex, wait = 0) {
  const mine = ++ex.asked, { s } = ex;
  ex.act.update();
  try {
    for (const i of [s.run, s.other]) if (i >= 0) await load(ex, i, () => count(ex));
    ex.status = '';
  } catch (error) { ex.status = failure(messageOf(error)); }
  if (mine !== ex.asked || ex.dead) return;
  if (ex.status) ex.act.update(); else count(ex, wait);
}

/** Count what is shown, and show it. @type {(ex: Explorer, wait?: number) => void} */
function count(ex, wait = 0) {
  const { s } = ex;
  if (!ex.loaded[s.run] || (s.other >= 0 && !ex.loaded[s.other])) return;
  ex.a = viewOf(ex, s.run, s.epoch);
  ex.b = s.other >= 0 ? viewOf(ex, s.other, ex.data.runs[s.other].epochs - 1) : null;
  if (!ex.b) s.which = 'this';
  ex.shown = s.which === 'other' ? ex.b : ex.a;
  if (!ex.scene && ex.shown) openLargest(ex, ex.shown);
  redraw(ex);
  fill(ex, wait);
}

/** The page opens on the largest error, with its photos.
 * @type {(ex: Explorer, view: View) => void} */
function openLargest({ s, order }, view) {
  const { t, p } = largestError(view, order) || { t: order[0], p: order[0] };
  Object.assign(s, { t, p, cls: t, pick: t === p ? null : { kind: 'cell', t, p } });
}

/** Show the matrix anew, where only its numbers or its order changed.
 * @type {(ex: Explorer) => void} */
function redraw(ex) {
  const { s, shown, b } = ex;
  if (!shown) return ex.act.update();
  const [low, high] = accuracyInterval(ex, shown);
  ex.scene = scene(ex.C, s.mode, shown, s.which === 'diff' ? b : null, high - low);
  ex.act.update();
  draw(ex);
}

/** Fill the open panel, after a pause of `wait` ms while a slider moves.
 * @type {(ex: Explorer, wait?: number) => void} */
function fill(ex, wait = 0) {
  clearTimeout(ex.filling);
  const go = () => {
    if (!ex.a) return;
    ex.panels[ex.s.tab] = TABS[ex.s.tab](ex);
    ex.act.update();
  };
  if (wait) ex.filling = window.setTimeout(go, wait); else go();
}

/** Open a tab. @type {(ex: Explorer, tab: Tab) => void} */
function open(ex, tab) {
  ex.s.tab = tab;
  ex.act.update();
  fill(ex);
}

/** Where the details stand below the matrix, bring them into sight.
 * @type {(ex: Explorer) => void} */
function reveal({ root }) {
  if (root.matches('.ic-narrow')) root.querySelector('.ic-right')?.scrollIntoView();
}

/** What the parts of the page may ask for. @type {(ex: Explorer) => Acts} */
const acts = ex => ({
  update: () => { if (!ex.dead) render(page(ex), ex.root); },
  show: wait => { show(ex, wait); },
  count: () => count(ex),
  redraw: () => redraw(ex),
  reorder: () => { setOrder(ex); redraw(ex); },
  fill: () => fill(ex),
  pick: pick => {
    const { s, at } = ex;
    s.pick = pick;
    if (pick.t >= 0) s.cls = pick.t;
    if (pick.kind === 'cell') go(ex, at[pick.t], at[pick.p ?? pick.t]);
    placeCell(ex);
    open(ex, 'photos');
    reveal(ex);
  },
  openClass: c => { ex.s.cls = c; open(ex, 'class'); reveal(ex); },
});

/** @type {(root: HTMLElement, data: ExplorerData, host: ExplorerHost) => Explorer} */
function newExplorer(root, data, host) {
  const run = Math.min(data.runs.length - 1, Math.max(0, data.start || 0)), C = data.classes.length;
  const widthOf = measure(), first = data.order[0];
  /** @type {any} */
  const ex = {
    root, data, host, C, n: data.n, names: data.classes, targets: u16(data.targets), order: [], at: [],
    groups: data.groups ? u32(data.groups) : null, id: uniqueId('explorer'), ...toldApart(data.runs),
    measure: widthOf, shorten: shortener(widthOf), asked: 0, loaded: [], loading: [], views: new Map(),
    a: null, b: null, shown: null, scene: null, g: null, panels: {}, status: busy('Loading the run …'),
    said: '', playing: 0, filling: 0, dead: false, room: 0, thumbs: new Map(), marks: new Map(),
    fetching: false, hovering: 0,
    s: {
      run, epoch: data.runs[run].epochs - 1, other: -1, mode: 'counts', which: 'this', together: C >= 15,
      t: first, p: first, pick: null, tab: 'photos', cls: first, list: 'pairs', threshold: 50,
      moved: 'mended', exporting: false, tile: root.clientWidth < 500 ? 132 : 168, folded: true,
    },
  };
  ex.act = acts(ex);
  return ex;
}

/** The explorer in root; host answers run(i), photos(ids), photo(i, epoch, id), pr(i, epoch, class),
 * and where the data name a journal decide(id, action, label) and undo(id).
 * @type {Show} */
export function showExplorer(root, data, host) {
  card(root, 'ic-explorer');
  const clear = () => { render(nothing, root); root.replaceChildren(); };
  if (!data.n || !data.classes.length || !data.runs.length) {
    const wanted = 'at least one test photo, one class and one run';
    render(failure(`Nothing to show: the explorer needs ${wanted}.`), root);
    return { destroy: clear };
  }
  const ex = newExplorer(root, data, host);
  setOrder(ex);
  ex.act.update();
  /** @type {(selector: string) => any} */
  const find = selector => root.querySelector(selector);
  ex.el = { plot: find('.ic-plot'), canvas: find('.ic-plot canvas'), grid: find('.ic-grid'),
    tip: find('.ic-tip') };
  listen(ex);
  fit(ex);
  const refit = () => fit(ex), watch = new ResizeObserver(refit);
  watch.observe(root);
  window.addEventListener('resize', refit);
  /** @type {(event: Event) => void} */
  const aside = ({ target }) => {
    if (!ex.s.exporting || (target instanceof Node && find('.ic-export').contains(target))) return;
    ex.s.exporting = false;
    ex.act.update();
  };
  document.addEventListener('pointerdown', aside);
  const unfollow = followTheme(root, () => redraw(ex));
  show(ex);
  return {
    destroy() {
      ex.dead = true;
      unfollow();
      watch.disconnect();
      window.removeEventListener('resize', refit);
      clearInterval(ex.playing);
      clearTimeout(ex.filling);
      document.removeEventListener('pointerdown', aside);
      clear();
    },
  };
}
