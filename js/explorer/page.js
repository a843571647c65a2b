// The explorer as a whole: its state, and what is done when something is chosen.
import { html, nothing, render } from 'lit-html';
import { accuracyInterval, byName, confusedPairs, load, viewOf } from './counts.js';
import { head } from './head.js';
import { geometry, scene, shortener } from './layout.js';
import { draw, fit, go, matrix, summary } from './matrix.js';
import { photosTab } from './photos.js';
import { listen } from './pointer.js';
import { classTab, compareTab, listsTab } from './tabs.js';
import { themed } from '../common/colours.js';
import { u16, u32 } from '../common/file.js';
import { measure } from '../common/painters.js';
import { busy, card, failure, link, messageOf, tabs, uniqueId } from '../common/parts.js';
import { Pictures } from '../common/pictures.js';

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
  ex.s.tab, name => open(ex, /** @type {Tab} */ (name)), name => ex.panels[name]?.() ?? '');

/** Fetch what is missing, then show; `wait` delays the panel while a slider moves.
 * @type {(ex: Explorer, wait?: number) => Promise<void>} */
async function show(ex, wait = 0) {
  const mine = ++ex.asked, { s } = ex;
  ex.act.update();
  const loaded = [s.run, s.other].filter(i => i >= 0).map(i => load(ex, i, () => count(ex)));
  ex.status = await Promise.all(loaded).then(() => '', error => failure(messageOf(error)));
  if (mine !== ex.asked || ex.dead) return;
  if (ex.status) ex.act.update(); else count(ex, wait);
}

/** Count what is shown, and show it; the page opens on the largest error, with its photos.
 * @type {(ex: Explorer, wait?: number) => void} */
function count(ex, wait = 0) {
  const { s, data, C } = ex;
  if (!ex.loaded[s.run] || (s.other >= 0 && !ex.loaded[s.other])) return;
  ex.a = viewOf(ex, s.run, s.epoch);
  ex.b = s.other >= 0 ? viewOf(ex, s.other, data.runs[s.other].epochs - 1) : null;
  if (!ex.b) s.which = 'this';
  const shown = ex.shown = s.which === 'other' && ex.b || ex.a;
  if (!ex.scene) {
    const [{ t, p } = { t: data.order[0], p: data.order[0] }] = confusedPairs(shown, C);
    Object.assign(s, { t, p, cls: t, pick: t === p ? null : { kind: 'cell', t, p } });
  }
  redraw(ex);
  fill(ex, wait);
}

/** Show the matrix anew, where only its numbers or its order changed.
 * @type {(ex: Explorer) => void} */
function redraw(ex) {
  const { s, shown, b } = ex;
  if (!shown) return ex.act.update();
  const [low, high] = accuracyInterval(ex, shown);
  ex.order = s.together ? ex.data.order : byName(ex.names);
  ex.order.forEach((c, i) => { ex.at[c] = i; });
  ex.scene = scene(ex.C, s.mode, shown, s.which === 'diff' ? b : null, high - low);
  draw(ex);
}

/** Fill the open panel, after a pause of `wait` ms while a slider moves.
 * @type {(ex: Explorer, wait?: number) => void} */
function fill(ex, wait = 0) {
  clearTimeout(ex.filling);
  const go = () => { if (ex.a) ex.panels[ex.s.tab] = TABS[ex.s.tab](ex); ex.act.update(); };
  if (wait) ex.filling = window.setTimeout(go, wait); else go();
}

/** Open a tab, and bring it into sight where it stands below the matrix.
 * @type {(ex: Explorer, tab: Tab) => void} */
function open(ex, tab) {
  ex.s.tab = tab;
  fill(ex);
  if (ex.root.matches('.ic-narrow')) ex.root.querySelector('.ic-right')?.scrollIntoView();
}

/** What the parts of the page may ask for. @type {(ex: Explorer) => Acts} */
const acts = ex => ({
  update: () => { if (!ex.dead) render(page(ex), ex.root); },
  show: wait => { show(ex, wait); },
  redraw: () => redraw(ex), fill: () => fill(ex),
  pick: pick => {
    const { s, at } = ex;
    s.pick = pick;
    if (pick.t >= 0) s.cls = pick.t;
    if (pick.kind === 'cell') go(ex, at[pick.t], at[pick.p ?? pick.t]);
    open(ex, 'photos');
  },
  openClass: c => { ex.s.cls = c; open(ex, 'class'); },
});

/** @type {(root: HTMLElement, data: ExplorerData, host: ExplorerHost) => Explorer} */
function newExplorer(root, data, host) {
  const run = Math.min(data.runs.length - 1, Math.max(0, data.start || 0)), C = data.classes.length;
  const widthOf = measure(), [first] = data.order;
  /** @type {any} */
  const ex = {
    root, data, host, C, n: data.n, names: data.classes, targets: u16(data.targets), order: [], at: [],
    groups: data.groups ? u32(data.groups) : null, id: uniqueId('explorer'), measure: widthOf,
    shorten: shortener(widthOf), g: geometry(data.classes, 300, 300, widthOf), room: 0, panels: {}, said: '',
    a: null, b: null, shown: null, scene: null, views: new Map(), loaded: [], loading: [], asked: 0,
    playing: 0, filling: 0, hovering: 0, status: busy('Loading the run …'), dead: false,
    s: { run, epoch: data.runs[run].epochs - 1, other: -1, mode: 'counts', which: 'this', together: C >= 15,
      t: first, p: first, cls: first, pick: null, tab: 'photos', list: 'pairs', moved: 'mended', folded: true,
      threshold: 50, tile: root.clientWidth < 500 ? 132 : 168 },
  };
  ex.act = acts(ex);
  ex.pictures = new Pictures(ids => host.photos(ids), ex.act.update);
  return ex;
}

/** The explorer in root; host answers run(i), photos(ids), photo(i, epoch, id), pr(i, epoch, class),
 * and where the data name a journal decide(id, action, label) and undo(id).
 * @type {Show} */
export function showExplorer(root, data, host) {
  card(root, 'ic-explorer');
  const ex = newExplorer(root, data, host), end = new AbortController();
  ex.act.update();
  /** @type {(name: string) => any} */
  const find = name => root.querySelector(`.ic-plot${name}`);
  ex.el = { plot: find(''), canvas: find(' canvas'), grid: find(' .ic-grid'), tip: find(' .ic-tip'),
    there: find(' .ic-there') };
  const look = themed(root, () => redraw(ex)), refit = () => { look(); fit(ex); };
  const watch = new ResizeObserver(refit);
  listen(ex);
  refit();
  watch.observe(root); // a widget may be drawn before it stands in its page
  window.addEventListener('resize', refit, end);
  root.addEventListener('transitionend', look, end); // the style sheet lets a change of colours take a moment
  show(ex);
  const destroy = () => {
    ex.dead = true;
    end.abort();
    watch.disconnect();
    clearInterval(ex.playing);
    clearTimeout(ex.filling);
    render(nothing, root);
  };
  return { destroy };
}
