// The confusion-matrix explorer: imgclsExplorer(root, data, host) fills root and returns {destroy()}. Needs common.js.
// All figures are counted here from true class, predicted class and its probability; it asks the host for photos and curves only.
// Functions and `var` only at top level: a page may hold this script twice. Every name starts with `ix`.
// `ex` is one explorer: ex.data, ex.host, ex.s (what is chosen), ex.el (elements), ex.a (run shown, at its epoch), ex.b (run compared with).

// ---- figures ----

// Two-sided p of McNemar's exact test: b photos only the first run has right, c only the second
function ixMcNemar(b, c) {
  const n = b + c, k = Math.min(b, c);
  let log = -n * Math.LN2, sum = Math.exp(log);
  for (let i = 1; i <= k; i++) sum += Math.exp(log += Math.log((n - i + 1) / i));
  return Math.min(1, 2 * sum);
}

// Share of Student's t with df degrees of freedom that lies between -t and t (M. Abramowitz and I. A. Stegun 1964, 26.7.3 and 26.7.4)
function ixStudent(t, df) {
  const angle = Math.atan(t / Math.sqrt(df)), c = Math.cos(angle), odd = df % 2;
  let term = odd ? c : 1, sum = 0;
  for (let k = odd ? 3 : 2; k <= df; k += 2) { sum += term; term *= c * c * (k - 1) / k; }
  return odd ? 2 / Math.PI * (angle + Math.sin(angle) * sum) : Math.sin(angle) * sum;
}

// How many standard errors chance exceeds in 5 of 100 cases; remembered
var ixWides = new Map();
function ixWide(df) {
  let low = 0, high = 13;
  for (let k = 0; k < 50 && !ixWides.has(df); k++) {
    const middle = (low + high) / 2;
    if (ixStudent(middle, df) < 0.95) low = middle; else high = middle;
  }
  if (!ixWides.has(df)) ixWides.set(df, high);
  return ixWides.get(df);
}

// Sums by group of how far the values of photos are from their mean; groups[i]: the number of the group of photo i
function ixSums(ids, value, groups, mean) {
  const sums = new Map();
  for (const i of ids) sums.set(groups[i], (sums.get(groups[i]) || 0) + value(i) - mean);
  return sums;
}

// 95 % interval of the share of photos that are right, for one classifier: `accuracy_interval` of studies.stats.
// groups: null, or one number a photo; photos of one group are not independent
function ixInterval(ids, right, groups) {
  const n = ids.length, k = ids.reduce((sum, i) => sum + right(i), 0), p = k / n;
  if (!groups || !n) return icWilson(k, n);
  const sums = [...ixSums(ids, right, groups, p).values()], pieces = sums.length;
  if (pieces < 2) return icWide(p, 1, 1.96);
  const variance = pieces / (pieces - 1) / n ** 2 * sums.reduce((sum, x) => sum + x * x, 0);
  return icWide(p, variance ? Math.max(1, p * (1 - p) / variance) : pieces, ixWide(pieces - 1));
}

// Is one classifier better than another on the same photos? {low, high, p}: `difference` of studies.stats.
// gain(i): 1 where photo i is mended, -1 where it is broken. A photo or group more of each kind is added (D. G. Bonett and R. M. Price 2012)
function ixDifference(n, gain, groups) {
  const ids = Array.from({ length: n }, (_, i) => i), total = ids.reduce((sum, i) => sum + gain(i), 0);
  const pieces = groups ? new Set(groups).size : n, half = n / pieces;
  const size = Math.max(1, half % 1 === 0.5 ? 2 * Math.round(half / 2) : Math.round(half)); // Python rounds halves to even
  const mean = total / (n + 2 * size), sums = [...ixSums(ids, gain, groups || ids, mean).values(), size - size * mean, -size - size * mean];
  const error = Math.sqrt(sums.reduce((sum, x) => sum + x * x, 0) * (pieces + 2) / (pieces + 1)) / (n + 2 * size);
  const wide = ixWide(pieces + 1) * error, count = sign => ids.filter(i => gain(i) === sign).length;
  const p = groups ? 1 - ixStudent(Math.abs(mean) / error, pieces + 1) : ixMcNemar(count(-1), count(1));
  return { low: Math.max(-1, mean - wide), high: Math.min(1, mean + wide), p };
}

// One run at one epoch: predictions, counts of each cell (row: true, column: predicted), sums, right, and photos without a prediction
function ixCount(targets, pred, conf, C) {
  const counts = new Int32Array(C * C), rows = new Int32Array(C), cols = new Int32Array(C);
  let right = 0, none = 0;
  for (let i = 0; i < targets.length; i++) {
    const t = targets[i], p = pred[i];
    rows[t]++;
    if (p >= C) { none++; continue; }
    counts[t * C + p]++;
    cols[p]++;
    if (t === p) right++;
  }
  return { pred, conf, counts, rows, cols, right, none, n: targets.length };
}

// Photos grouped by cell in one counting pass: those of cell k are ids[start[k]] … ids[start[k + 1] - 1]; the last group has no prediction
function ixIndex(targets, view, C) {
  const start = new Int32Array(C * C + 2), ids = new Int32Array(targets.length);
  const cell = i => view.pred[i] < C ? targets[i] * C + view.pred[i] : C * C;
  for (let i = 0; i < ids.length; i++) start[cell(i) + 1]++;
  for (let k = 0; k <= C * C; k++) start[k + 1] += start[k];
  const next = start.slice();
  for (let i = 0; i < ids.length; i++) ids[next[cell(i)]++] = i;
  return { start, ids };
}

// Photos by probability of the predicted class, highest first (or lowest first)
function ixByConf(ids, conf, up) {
  const N = 2 ** 32, keys = Float64Array.from(ids, i => (up ? conf[i] : 65535 - conf[i]) * N + i).sort();
  return Array.from(keys, k => k % N);
}

// Figures of class c against the rest
function ixClass(ex, view, c) {
  const { C, targets, groups } = ex, right = i => Number(view.pred[i] === c && targets[i] === c);
  const share = (k, n, among) => groups ? ixInterval(ixWhere(ex, among), right, groups) : icWilson(k, n);
  const tp = view.counts[c * C + c], fp = view.cols[c] - tp, fn = view.rows[c] - tp, tn = view.n - tp - fp - fn;
  return { tp, fp, fn, tn, support: view.rows[c], precision: tp / (tp + fp), recall: tp / (tp + fn), f1: 2 * tp / (2 * tp + fp + fn),
    precisionCI: share(tp, tp + fp, i => view.pred[i] === c), recallCI: share(tp, tp + fn, i => targets[i] === c) };
}

// '79.8–88.0 %': between which the accuracy of this classifier lies on other test photos
function ixRange(ex, view) {
  view.range = view.range || icRange(ixInterval(ixWhere(ex, () => true), i => Number(view.pred[i] === ex.targets[i]), ex.groups));
  return view.range;
}

// ---- colours ----

// Right predictions blue, errors orange; in a difference better is teal and worse magenta: the colour-blind can tell all four apart
var ixRamps = Object.fromEntries(Object.entries(IC_PALETTE.ramps).map(([name, stops]) => [name, icRamp(stops)]));
var ixInk = IC_PALETTE.colours.ink, ixSoftInk = IC_PALETTE.colours['soft-ink'];

// ---- what the matrix shows ----

// Value of a cell: count, share of the row (recall) or share of the column (precision)
function ixValue(view, C, mode, t, p) {
  const v = view.counts[t * C + p];
  return mode === 'counts' || !v ? v : v / (mode === 'recall' ? view.rows[t] : view.cols[p]);
}

// Text of a value for a cell: '1,234' or '97' (per cent), with its sign in a difference
function ixCellText(v, mode, signed, wide) {
  const x = Math.abs(v), sign = signed ? (v > 0 ? '+' : '−') : '';
  if (mode === 'counts') return sign + (x >= 10000 && !wide ? Math.round(x / 1000) + 'k' : icNum(x));
  return sign + (x < 0.01 && !wide ? '<1' : (100 * x).toFixed(wide ? 1 : 0));
}

// A scene: colour and text of each cell of one run, or of the difference a − b; diagonal and errors on scales of their own
function ixScene(ex, a, b) {
  const { C, s: { mode } } = ex, floor = C > 40 ? 0.3 : 0.2;
  const values = new Float64Array(C * C);
  let top = 0, err = 0;
  for (let t = 0, k = 0; t < C; t++) for (let p = 0; p < C; p++, k++) {
    values[k] = ixValue(a, C, mode, t, p) - (b ? ixValue(b, C, mode, t, p) : 0);
    if (t === p) top = Math.max(top, Math.abs(values[k])); else err = Math.max(err, Math.abs(values[k]));
  }
  if (!b && mode !== 'counts') top = 1;
  const shade = (v, max, wrong) => {
    const x = Math.abs(v) / max, ramp = b ? (wrong ? v < 0 : v > 0) ? 'better' : 'worse' : wrong ? 'wrong' : 'right';
    return ixRamps[ramp][Math.round(100 * (floor + (1 - floor) * (wrong || b ? Math.sqrt(x) : x)))];
  };
  const paint = (t, p) => { const v = values[t * C + p]; return v ? shade(v, t === p ? top : err, t !== p) : null; };
  const text = (t, p, wide) => { const v = values[t * C + p]; return v ? ixCellText(v, mode, Boolean(b), wide) : wide ? '0' : ''; };
  return { C, order: ex.order, names: ex.names, paint, text, shade, top, err, signed: Boolean(b) };
}

// Where things lie for a canvas `width` wide: gutters for the names, the square of cells; cell sizes before zoom
function ixGeometry(ex, width, maxSide) {
  const { C } = ex, room = width * 0.76 / C, font = room < 13 ? 11 : 12, widest = Math.max(36, ...ex.names.map(name => ex.measure(name, font)));
  const left = 30 + Math.min(widest, 150, width * 0.24), side = Math.min(Math.min(width - left - 4, maxSide) / C, 150) * C, flat = widest < side / C - 8;
  return { left, top: flat ? 42 : 34 + Math.min(widest, 120), side, base: side / C, flat, font, zoom: 1, x: 0, y: 0 };
}

// A name shortened with … to a width in pixels, kept from the direction and line breaks of its own text; remembered
function ixShort(ex, name, px, size) {
  const key = `${px}|${size}|${name}`;
  if (ex.short.has(key)) return ex.short.get(key);
  if (ex.short.size > 5000) ex.short.clear();
  const chars = Array.from(name.replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g, ' ')).slice(0, 80);
  const cut = k => chars.slice(0, k).join('') + (k < chars.length ? '…' : '');
  let lo = ex.measure(cut(chars.length), size) <= px ? chars.length : 0, hi = lo || chars.length - 1;
  while (lo < hi) { const k = (lo + hi + 1) >> 1; if (ex.measure(cut(k), size) <= px) lo = k; else hi = k - 1; }
  const out = '\u2068' + cut(lo) + '\u2069';
  ex.short.set(key, out);
  return out;
}

// Paint a scene: visible cells, numbers where there is room, names at the sides
function ixPaint(ex, painter, g, scene) {
  const cell = g.base * g.zoom, { C, order } = scene, gap = cell >= 7 ? 1 : 0;
  const X = j => Math.round(g.left + (j - g.x) * cell), Y = i => Math.round(g.top + (i - g.y) * cell);
  const last = v => Math.min(C, Math.ceil(v + g.side / cell)), size = Math.round(Math.min(cell < 90 ? 15 : 18, Math.max(9, cell * 0.42)));
  painter.rect(g.left, g.top, g.side, g.side, IC_PALETTE.colours.track);
  painter.clip(g.left, g.top, g.side, g.side);
  for (let i = Math.floor(g.y); i < last(g.y); i++) for (let j = Math.floor(g.x); j < last(g.x); j++) {
    const t = order[i], p = order[j], fill = scene.paint(t, p), x = X(j), y = Y(i), w = X(j + 1) - x, h = Y(i + 1) - y;
    if (fill || cell >= 14) painter.rect(x, y, w - gap, h - gap, fill ? fill.css : IC_PALETTE.colours.soft);
    if (cell < 18) continue;
    const text = scene.text(t, p, cell >= 40);
    if (text && text.length * size * 0.56 <= w + 1) painter.text(text, x + (w - gap) / 2, y + (h - gap) / 2 + 0.5, size, fill ? fill.ink : ixSoftInk, 'center');
  }
  painter.unclip();
  if (g.left > 0) ixPaintNames(ex, painter, g, scene, X, Y, last);
}

// Class names left (true) and above (predicted); every second, third … where rows are too thin for all
function ixPaintNames(ex, painter, g, scene, X, Y, last) {
  const cell = g.base * g.zoom, every = Math.ceil(12 / cell), size = g.font, ink = ixInk, first = v => Math.ceil(Math.floor(v) / every) * every;
  painter.text('true class', 9, g.top + g.side / 2, 12, ixSoftInk, 'center', true);
  painter.text('predicted class', g.left + g.side / 2, 9, 12, ixSoftInk, 'center');
  painter.clip(0, g.top - 7, g.left, g.side + 14);
  for (let i = first(g.y); i < last(g.y); i += every)
    painter.text(ixShort(ex, scene.names[scene.order[i]], g.left - 28, size), g.left - 6, (Y(i) + Y(i + 1)) / 2, size, ink, 'right');
  painter.unclip();
  painter.clip(g.left - 7, 0, g.side + 14, g.top);
  for (let j = first(g.x); j < last(g.x); j += every) {
    const name = ixShort(ex, scene.names[scene.order[j]], g.flat ? cell - 6 : g.top - 30, size), x = (X(j) + X(j + 1)) / 2;
    if (g.flat) painter.text(name, x, g.top - 11, size, ink, 'center'); else painter.text(name, x, g.top - 6, size, ink, 'left', true);
  }
  painter.unclip();
}

// ---- runs ----

// Take over the predictions of run i: of all its epochs, or of the last `epochs` of them, which travelled with a widget's state
function ixTake(ex, i, { pred, conf, epochs }) {
  const all = ex.data.runs[i].epochs, there = epochs || all, want = there * ex.n;
  const loaded = { pred: icU16(pred), conf: icU16(conf), from: all - there };
  if (loaded.pred.length === want && loaded.conf.length === want) { ex.loaded[i] = loaded; return; }
  throw Error(`run ${i}: ${want} predictions expected, ${loaded.pred.length} came; make the explorer again`);
}

// Fetch a run's predictions once; a failed try may be repeated. Where only the last epochs came, all of them follow
function ixLoad(ex, i) {
  const fetch = async () => {
    const got = await ex.host.run(i);
    ixTake(ex, i, got);
    if (got.epochs) ex.host.run(i).then(all => { if (!ex.dead) { ixTake(ex, i, all); ixRender(ex); } }).catch(() => {});
  };
  ex.loading[i] = ex.loading[i] || fetch().catch(error => { ex.loading[i] = null; throw error; });
  return ex.loading[i];
}

// Run i at an epoch, counted once and remembered
function ixView(ex, i, epoch) {
  const key = `${i}/${epoch}`;
  if (!ex.views.has(key)) {
    if (ex.views.size > 300) ex.views.clear();
    const { pred, conf, from } = ex.loaded[i], part = x => x.subarray((epoch - from) * ex.n, (epoch - from + 1) * ex.n);
    ex.views.set(key, Object.assign(ixCount(ex.targets, part(pred), part(conf), ex.C), { run: i, epoch }));
  }
  return ex.views.get(key);
}

// Photos of the cell (t, p); t < 0: those without a prediction
function ixCell(ex, view, t, p) {
  if (!ex.index || ex.index.view !== view) ex.index = Object.assign(ixIndex(ex.targets, view, ex.C), { view });
  const k = t < 0 ? ex.C * ex.C : t * ex.C + p;
  return ex.index.ids.subarray(ex.index.start[k], ex.index.start[k + 1]);
}

// Photos for which test(photo) holds
function ixWhere(ex, test) {
  const out = [];
  for (let i = 0; i < ex.n; i++) if (test(i)) out.push(i);
  return out;
}

// A class name, cut where it is very long
function ixName(ex, c, max = 60) { return icName(icCut(ex.names[c], max), { title: ex.names[c] }); }

// Fields (arch, recipe, size, seed) in which the runs differ
function ixFields(runs) {
  return ['arch', 'recipe', 'size', 'seed'].filter(f => new Set(runs.map(r => String(r.fields[f]))).size > 1);
}

// A run in words: the fields that tell it from the others, else its name
function ixRunName(ex, i) {
  const r = ex.data.runs[i], words = { size: v => `size ${v}`, seed: v => `seed ${v}` };
  return ex.unique ? ex.fields.map(f => (words[f] || String)(r.fields[f])).join(' · ') || r.run : r.run;
}

// The run with field = value that is nearest to the one shown: most other fields the same, then the nearest size
function ixNearest(ex, field, value) {
  const now = ex.data.runs[ex.s.run].fields, runs = ex.data.runs, rest = ex.fields.filter(f => f !== field);
  const far = r => rest.filter(f => String(r.fields[f]) !== String(now[f])).length + (Math.abs(r.fields.size - now.size) / 1e9 || 0);
  return runs.map((r, i) => i).filter(i => String(runs[i].fields[field]) === value).sort((i, j) => far(runs[i]) - far(runs[j]))[0];
}

// ---- head ----

// Title, choices and the epoch slider
function ixHead(ex) {
  const { el, s, data } = ex;
  const title = icEl('div', { class: 'ic-title' }, icEl('h2', { dir: 'auto', text: data.title }), data.note && icNote(data.note, { dir: 'auto' }));
  el.head = icEl('div', { class: 'ic-head' }, title, ixExportMenu(ex));
  const oneByOne = () => icSelect('run', data.runs.map((r, i) => [i, r.run]), s.run, v => ixChooseRun(ex, Number(v)));
  el.choices = ex.unique ? ex.fields.map(f => ixFieldChoice(ex, f)) : [oneByOne()];
  if (data.runs.length < 2) el.choices = [];
  el.other = icSelect('compare with', [], -1, v => ixCompareWith(ex, Number(v)));
  el.mode = icSegment('what the numbers are', [['counts', 'counts', 'photos in each cell'],
    ['recall', 'recall (rows)', 'share of the true class, each row adds up to 100 %'],
    ['precision', 'precision (columns)', 'share of what was predicted, each column adds up to 100 %']], s.mode, v => { s.mode = v; ixRedraw(ex); });
  const whiches = [['this', 'this run'], ['other', 'other run'], ['diff', 'difference', 'this run minus the other']];
  el.which = icSegment('which run the matrix shows', whiches, s.which, v => { s.which = v; ixRender(ex); });
  const reorder = e => { s.together = e.target.checked; ixOrder(ex); ixRedraw(ex); };
  const together = icEl('input', { type: 'checkbox', prop: { checked: s.together }, on: { change: reorder } });
  const sorted = icEl('label', { class: 'ic-check', title: 'off: alphabetical' }, together, 'confused classes together');
  el.controls = icEl('div', { class: 'ic-controls' }, el.choices, data.runs.length > 1 && el.other, ixEpochs(ex));
  el.view = icEl('div', { class: 'ic-controls' }, el.which.el, el.mode.el, ex.C > 2 && sorted);
  ex.root.append(el.head, el.controls, el.view);
}

// Drop-down of one field
function ixFieldChoice(ex, field) {
  const label = { arch: 'model', recipe: 'recipe', size: 'training size', seed: 'seed' }[field];
  const order = (a, b) => typeof a === 'number' && typeof b === 'number' ? a - b : String(a).localeCompare(String(b));
  const values = [...new Set(ex.data.runs.map(r => r.fields[field]))].sort(order);
  return icSelect(label, values.map(v => [v, v]), ex.data.runs[ex.s.run].fields[field], v => ixChooseRun(ex, ixNearest(ex, field, v)));
}

// Epoch slider with its number and a play button
function ixEpochs(ex) {
  const { el } = ex;
  const slide = () => { ixPlay(ex, false); ex.s.epoch = Number(el.epoch.value) - 1; ixShow(ex, 200); };
  el.epoch = icEl('input', { type: 'range', min: 1, step: 1, 'aria-label': 'epoch', on: { input: slide } });
  el.epochText = icEl('output', { class: 'ic-epoch-text' });
  el.play = icButton('', () => ixPlay(ex, !ex.playing), { class: 'ic-play' });
  el.epochs = icEl('div', { class: 'ic-field' }, icEl('span', { text: 'epoch' }), icEl('span', { class: 'ic-epoch-row' }, el.play, el.epoch, el.epochText));
  return el.epochs;
}

// Start or stop the walk through the epochs; at the end it starts over
function ixPlay(ex, on) {
  clearInterval(ex.playing);
  const last = () => ex.data.runs[ex.s.run].epochs - 1;
  const step = () => { if (ex.s.epoch >= last()) return ixPlay(ex, false); ex.s.epoch++; ixShow(ex, 200); };
  ex.playing = on ? setInterval(step, 700) : 0;
  if (on && ex.s.epoch >= last()) { ex.s.epoch = 0; ixShow(ex, 200); }
  ex.el.play.textContent = on ? 'stop' : 'play';
  ex.el.play.title = on ? 'stop at this epoch' : 'watch the matrix learn, epoch by epoch';
}

// Show another run, at the same epoch where it has one (at its last if the last was shown)
function ixChooseRun(ex, i) {
  const { s, data } = ex, end = data.runs[i].epochs - 1;
  ixPlay(ex, false);
  s.epoch = s.epoch === data.runs[s.run].epochs - 1 ? end : Math.min(s.epoch, end);
  if (s.other === i) s.other = s.run;
  s.run = i;
  ixShow(ex);
}

// Compare with run i (-1: none)
function ixCompareWith(ex, i) {
  ex.s.other = i;
  ex.s.which = 'this';
  if (i < 0 && ex.s.tab === 'compare') ex.s.tab = 'photos';
  if (i >= 0) ex.s.tab = 'compare';
  ixShow(ex);
}

// Let the controls say what is chosen
function ixHeadState(ex) {
  const { el, s, data } = ex, run = data.runs[s.run];
  if (ex.unique) ex.fields.forEach((f, k) => { el.choices[k].querySelector('select').value = String(run.fields[f]); });
  else if (el.choices[0]) el.choices[0].querySelector('select').value = String(s.run);
  icOptions(el.other.querySelector('select'), [[-1, 'none'], ...data.runs.map((r, i) => [i, ixRunName(ex, i)]).filter(([i]) => i !== s.run)], s.other);
  el.epochs.hidden = run.epochs < 2;
  el.epoch.max = run.epochs;
  el.epoch.min = ex.loaded[s.run].from + 1;
  el.play.disabled = el.epoch.disabled = ex.loaded[s.run].from > 0; // until the other epochs are here
  el.epoch.value = s.epoch + 1;
  el.epochText.textContent = `${s.epoch + 1} of ${run.epochs}`;
  el.epoch.setAttribute('aria-valuetext', `${s.epoch + 1} of ${run.epochs}, accuracy ${icPct(ex.a.right / ex.a.n)}`);
  el.which.el.hidden = s.other < 0;
  el.which.set(s.which);
}

// The order of rows and columns: confused classes together, or alphabetical
function ixOrder(ex) {
  const byName = () => ex.names.map((_, i) => i).sort((i, j) => ex.names[i].localeCompare(ex.names[j], undefined, { numeric: true }));
  ex.order = ex.s.together ? ex.data.order : byName();
  ex.at = [];
  ex.order.forEach((c, i) => { ex.at[c] = i; });
}

// ---- matrix ----

// The matrix with its totals, legends and zoom buttons
function ixMatrix(ex) {
  const { el, C } = ex, zoom = (text, label, factor) => icButton(text, () => ixZoom(ex, factor), { 'aria-label': label, title: label });
  el.summary = icEl('p', { class: 'ic-summary' });
  el.canvas = icEl('canvas', { 'aria-hidden': 'true' });
  el.cell = icEl('div', { role: 'gridcell', class: 'ic-cell', tabindex: 0 });
  el.row = icEl('div', { role: 'row' }, el.cell);
  const says = 'confusion matrix: rows are true classes, columns predicted classes';
  el.grid = icEl('div', { role: 'grid', class: 'ic-grid', 'aria-label': says, 'aria-rowcount': C, 'aria-colcount': C }, el.row);
  el.tip = icEl('div', { class: 'ic-tip', hidden: true });
  el.plot = icEl('div', { class: 'ic-plot' }, el.canvas, el.grid, el.tip);
  el.legends = icEl('div', { class: 'ic-legends' });
  el.zoom = icEl('div', { class: 'ic-zoom', role: 'group', 'aria-label': 'zoom of the matrix' }, zoom('−', 'zoom out (-)', 1 / 1.5),
    zoom('+', 'zoom in (+)', 1.5), zoom('all', 'whole matrix (0)', 0));
  el.zoomHint = icEl('span', { text: ', + − 0 and the wheel zoom' });
  const text = 'Click a cell to see its photos, a class name to see its figures. Keys: arrows move, Enter opens';
  const keys = icEl('p', { class: 'ic-hint' }, text, el.zoomHint, '.');
  return icEl('div', { class: 'ic-left' }, el.summary, el.plot, icEl('div', { class: 'ic-under' }, el.legends, el.zoom), keys);
}

// Totals: accuracy with its interval, photos, errors; photos without a prediction can be opened
function ixSummary(ex) {
  const { a, b, s, el } = ex, v = ex.shown, show = (big, ...rest) => el.summary.replaceChildren(icEl('strong', { text: big }), icEl('span', {}, rest));
  if (s.which === 'diff') {
    const points = 100 * (a.right / a.n - b.right / b.n);
    const gain = `${points < 0 ? '−' : '+'}${Math.abs(points).toFixed(1)} points`;
    return show(gain, `accuracy of this run, ${icPct(a.right / a.n)},`, icEl('br'), `minus that of the other, ${icPct(b.right / b.n)}`);
  }
  const words = `${icPlural(v.none, 'photo')} without a prediction ${v.none === 1 ? 'counts' : 'count'} as wrong`;
  const none = icButton(words, () => ixPick(ex, { kind: 'none' }), { class: 'ic-link' });
  show(icPct(v.right / v.n), `accuracy, 95 % interval ${ixRange(ex, v)}`, icEl('br'),
    `${icNum(v.right)} right of ${icPlural(v.n, 'photo')}, ${icPlural(v.n - v.right, 'error')}`, ...(v.none ? ['; ', none] : []));
}

// The two scales as small bars
function ixLegends(ex) {
  const { scene, s } = ex, stops = [0.02, 0.2, 0.4, 0.6, 0.8, 1];
  const text = v => s.mode === 'counts' ? icNum(v) : icPct(v, v < 0.1 ? 1 : 0);
  const one = (label, max, wrong) => {
    if (!max) return icEl('span', { class: 'ic-legend' }, label, scene.signed ? ': no difference' : ': none');
    const sides = scene.signed ? (wrong ? [1, -1] : [-1, 1]) : [1];
    const xs = scene.signed ? [...stops.map(x => sides[0] * x).reverse(), ...stops.map(x => sides[1] * x)] : stops;
    const ends = scene.signed ? sides.map(k => (k < 0 ? '−' : '+') + text(max)) : [s.mode === 'counts' ? '1' : '>0', text(max)];
    const colours = xs.map(x => scene.shade(x * max, max, wrong).css).join(',');
    const bar = icEl('span', { class: 'ic-bar', style: { background: `linear-gradient(90deg, ${colours})` } });
    return icEl('span', { class: 'ic-legend' }, `${label} `, icEl('span', { text: ends[0] }), bar, icEl('span', { text: ends[1] }));
  };
  const swatch = ramp => icEl('span', { class: 'ic-bar', style: { background: IC_PALETTE.ramps[ramp][3] } });
  const hues = icEl('span', { class: 'ic-legend' }, swatch('better'), 'better in this run', swatch('worse'), 'worse');
  ex.el.legends.replaceChildren(one('right', scene.top, false), one('errors', scene.err, true), scene.signed ? hues : '');
}

// Draw the matrix at its present zoom and put the grid cell in its place
function ixDraw(ex) {
  const { el, g, scene } = ex;
  if (!scene || !g) return;
  const height = g.top + g.side + 2, ctx = icCanvas(el.canvas, g.width, height);
  ixPaint(ex, icCanvasPainter(ctx), g, scene);
  for (const [name, v] of [['left', g.left], ['top', g.top], ['width', g.side], ['height', g.side]]) el.grid.style.setProperty(name, `${v}px`);
  ixCellPlace(ex);
}

// Measure the space there is and lay the matrix out for it, the zoom as it was
function ixLayout(ex) {
  const width = Math.floor(ex.el.plot.clientWidth), old = ex.g;
  ex.root.classList.toggle('ic-narrow', ex.root.clientWidth < 820);
  if (width < 60 || (old && old.width === width)) return;
  ex.g = Object.assign(ixGeometry(ex, width, 620), { width }, old && { zoom: old.zoom, x: old.x, y: old.y });
  ixZoom(ex, 1);
}

// Zoom by a factor (0: whole matrix) about a point of the canvas; the view stays inside the matrix
function ixZoom(ex, factor, px, py) {
  const { g } = ex;
  if (!g) return;
  const max = Math.max(1, 48 / g.base), before = g.base * g.zoom;
  const x = px === undefined ? g.side / 2 : px - g.left, y = py === undefined ? g.side / 2 : py - g.top;
  g.zoom = factor ? Math.min(max, Math.max(1, g.zoom * factor)) : 1;
  ixPan(ex, g.x + x / before - x / (g.base * g.zoom), g.y + y / before - y / (g.base * g.zoom));
  const [out, into, whole] = ex.el.zoom.children;
  out.disabled = whole.disabled = g.zoom <= 1;
  into.disabled = g.zoom >= max;
  ex.el.zoom.hidden = ex.el.zoomHint.hidden = max <= 1;
  ex.el.plot.classList.toggle('ic-zoomed', g.zoom > 1);
}

// Move the view so that row y and column x come first, as far as the matrix goes
function ixPan(ex, x, y) {
  const { g, C } = ex, most = C - C / g.zoom;
  g.x = Math.min(most, Math.max(0, x));
  g.y = Math.min(most, Math.max(0, y));
  ixDraw(ex);
}

// What lies under a point of the plot: {row, col} of a cell (one of them undefined at a name), or null
function ixHit(ex, event) {
  const { g, C, el } = ex, box = el.canvas.getBoundingClientRect(), x = event.clientX - box.left, y = event.clientY - box.top, cell = g.base * g.zoom;
  const inside = v => v >= 0 && v < C ? v : undefined;
  const col = x >= g.left && x < g.left + g.side ? inside(Math.floor((x - g.left) / cell + g.x)) : undefined;
  const row = y >= g.top && y < g.top + g.side ? inside(Math.floor((y - g.top) / cell + g.y)) : undefined;
  return row === undefined && col === undefined || x > g.left + g.side || y > g.top + g.side ? null : { row, col, x, y };
}

// A cell in words, for the tooltip and for screen readers
function ixCellWords(ex, t, p) {
  const v = ex.shown, n = v.counts[t * ex.C + p], share = icPct(n / v.rows[t]), name = c => ex.names[c];
  if (ex.s.which !== 'diff') return `true ${name(t)}, predicted ${name(p)}: ${icPlural(n, 'photo')}, ${share} of ${name(t)}`;
  return `true ${name(t)}, predicted ${name(p)}: ${icPlural(n, 'photo')} in this run, ${icNum(ex.b.counts[t * ex.C + p])} in the other`;
}

// Tooltip at the pointer
function ixTip(ex, hit) {
  const { el, g } = ex, tip = el.tip;
  tip.hidden = !hit;
  if (!hit) return;
  const t = ex.order[hit.row], p = ex.order[hit.col], line = (label, c) => icEl('div', {}, label, ixName(ex, c, 100));
  if (t === undefined || p === undefined) tip.replaceChildren(line('', t === undefined ? p : t), icEl('div', { text: 'click for its figures' }));
  else {
    const v = ex.shown, n = v.counts[t * ex.C + p], shares = `, ${icPct(n / v.rows[t])} of the row, ${icPct(n / v.cols[p])} of the column`;
    const more = ex.s.which === 'diff' ? ` here, ${icNum(ex.b.counts[t * ex.C + p])} in the other run` : shares;
    tip.replaceChildren(line('true ', t), line('predicted ', p), icEl('div', { text: icPlural(n, 'photo') + more }));
  }
  tip.style.left = `${Math.max(0, Math.min(hit.x + 14, g.width - tip.offsetWidth - 2))}px`;
  tip.style.top = `${hit.y + 20 + tip.offsetHeight > g.top + g.side ? hit.y - 10 - tip.offsetHeight : hit.y + 16}px`;
}

// Put the one grid cell where the chosen cell lies, with its name and numbers
function ixCellPlace(ex) {
  const { el, g, s } = ex, i = ex.at[s.t], j = ex.at[s.p], cell = g.base * g.zoom, px = v => `${Math.round(v)}px`;
  el.cell.style.left = px((j - g.x) * cell);
  el.cell.style.top = px((i - g.y) * cell);
  el.cell.style.width = el.cell.style.height = px(Math.max(3, cell - 1));
  el.row.setAttribute('aria-rowindex', i + 1);
  el.cell.setAttribute('aria-rowindex', i + 1);
  el.cell.setAttribute('aria-colindex', j + 1);
  el.cell.setAttribute('aria-label', ixCellWords(ex, s.t, s.p));
  el.cell.setAttribute('aria-selected', String(Boolean(s.pick && s.pick.t === s.t && s.pick.p === s.p)));
}

// Move the chosen cell to row i, column j and keep it in view
function ixGo(ex, i, j) {
  const { g, s, C } = ex, within = v => Math.min(C - 1, Math.max(0, v)), room = C / g.zoom;
  i = within(i);
  j = within(j);
  s.t = ex.order[i];
  s.p = ex.order[j];
  const near = (v, k) => Math.min(k, Math.max(v, k + 1 - room));
  ixPan(ex, near(g.x, j), near(g.y, i));
  ex.say(ixCellWords(ex, s.t, s.p));
}

// Keys in the matrix
function ixKey(ex, event) {
  const { s, C, g } = ex, i = ex.at[s.t], j = ex.at[s.p], page = Math.max(1, Math.floor(C / g.zoom / 2)), far = event.ctrlKey || event.metaKey;
  const moves = { ArrowLeft: [i, j - 1], ArrowRight: [i, j + 1], ArrowUp: [i - 1, j], ArrowDown: [i + 1, j], PageUp: [i - page, j],
    PageDown: [i + page, j], Home: [far ? 0 : i, 0], End: [far ? C - 1 : i, C - 1] };
  const zooms = { '+': 1.5, '=': 1.5, '-': 1 / 1.5, 0: 0 };
  if (moves[event.key]) ixGo(ex, ...moves[event.key]);
  else if (event.key === 'Enter' || event.key === ' ') ixPick(ex, { kind: 'cell', t: s.t, p: s.p });
  else if (event.key in zooms && !far) {
    const cell = g.base * g.zoom;
    ixZoom(ex, zooms[event.key], g.left + (j - g.x + 0.5) * cell, g.top + (i - g.y + 0.5) * cell);
    ixGo(ex, i, j);
  }
  else return;
  event.preventDefault();
  event.stopPropagation();
}

// Pointer and wheel on the matrix: click, hover, drag when zoomed, pinch, wheel
function ixPointer(ex) {
  const { el } = ex, down = new Map();
  let moved = 0, spread = 0;
  const gap = () => { const [a, b] = down.values(); return Math.hypot(a.clientX - b.clientX, a.clientY - b.clientY); };
  el.plot.addEventListener('pointerdown', e => { down.set(e.pointerId, e); moved = down.size > 1 ? 99 : 0; spread = down.size === 2 ? gap() : 0; });
  el.plot.addEventListener('pointermove', e => {
    const was = down.get(e.pointerId), { g } = ex;
    if (!g || !ex.scene) return;
    if (!e.buttons) down.clear();
    if (!was || !e.buttons) return ixTip(ex, e.pointerType === 'mouse' ? ixHit(ex, e) : null);
    down.set(e.pointerId, e);
    moved += Math.abs(e.clientX - was.clientX) + Math.abs(e.clientY - was.clientY);
    if (moved < 5) return;
    ixTip(ex, null);
    el.plot.setPointerCapture(e.pointerId);
    const box = el.canvas.getBoundingClientRect(), cell = g.base * g.zoom;
    if (down.size === 2) { ixZoom(ex, gap() / spread, e.clientX - box.left, e.clientY - box.top); spread = gap(); }
    else ixPan(ex, g.x - (e.clientX - was.clientX) / cell, g.y - (e.clientY - was.clientY) / cell);
  });
  for (const type of ['pointerup', 'pointercancel']) el.plot.addEventListener(type, e => down.delete(e.pointerId));
  el.plot.addEventListener('pointerleave', () => ixTip(ex, null));
  el.plot.addEventListener('click', e => {
    if (moved >= 5 || !ex.scene) return;
    ixClick(ex, e.target === el.cell ? { row: ex.at[ex.s.t], col: ex.at[ex.s.p] } : ixHit(ex, e)); // a screen reader clicks without a place
  });
  el.plot.addEventListener('wheel', e => ixWheel(ex, e), { passive: false });
  el.grid.addEventListener('keydown', e => ixKey(ex, e));
}

// A click on a cell shows its photos, on a name the class
function ixClick(ex, hit) {
  if (!hit) return;
  if (hit.row === undefined || hit.col === undefined) return ixOpenClass(ex, ex.order[hit.row === undefined ? hit.col : hit.row]);
  ixGo(ex, hit.row, hit.col);
  ex.el.cell.focus({ preventScroll: true });
  ixPick(ex, { kind: 'cell', t: ex.s.t, p: ex.s.p });
}

// The wheel zooms about the pointer; where it can't zoom further, the page scrolls as usual
function ixWheel(ex, event) {
  const { g } = ex, hit = g && ex.scene && ixHit(ex, event);
  if (!hit || hit.row === undefined || hit.col === undefined) return;
  const into = event.deltaY < 0;
  if (into ? g.zoom >= Math.max(1, 48 / g.base) : g.zoom <= 1) return;
  event.preventDefault();
  ixTip(ex, null);
  ixZoom(ex, Math.exp(-Math.max(-80, Math.min(80, event.deltaY)) * 0.005), hit.x, hit.y);
}

// ---- panel ----

// The tabs and their panels
function ixPanel(ex) {
  const { el } = ex;
  el.tabs = icTabs('details', { photos: 'Photos', class: 'Class', lists: 'Lists', compare: 'Compare' }, name => ixTab(ex, name));
  ixClassParts(ex);
  ixListParts(ex);
  return icEl('div', { class: 'ic-right' }, el.tabs.el);
}

// Open a tab
function ixTab(ex, name) {
  ex.s.tab = name;
  ixFill(ex, 0);
}

// Fill the open panel, after a pause of `wait` ms while a slider moves
function ixFill(ex, wait) {
  const { el, s } = ex, fill = { photos: ixPhotosTab, class: ixClassTab, lists: ixListsTab, compare: ixCompareTab };
  el.tabs.set(s.tab, { compare: s.other < 0 });
  clearTimeout(ex.filling);
  const go = () => { if (ex.a) fill[s.tab](ex); };
  if (wait) ex.filling = setTimeout(go, wait); else go();
}

// Choose photos (a cell, a class' false ones, …) and show them
function ixPick(ex, pick) {
  ex.s.pick = pick;
  if (pick.kind === 'cell') { ex.s.t = pick.t; ex.s.p = pick.p; ixGo(ex, ex.at[pick.t], ex.at[pick.p]); }
  ixTab(ex, 'photos');
}

// Heading of the chosen photos, as nodes
function ixPickTitle(ex, pick) {
  const name = c => ixName(ex, c);
  if (pick.kind === 'none') return ['Photos without a prediction'];
  if (pick.kind === 'fp') return ['Other photos mistaken for ', name(pick.t)];
  if (pick.kind === 'fn') return ['Photos of ', name(pick.t), ' that were missed'];
  return pick.t === pick.p ? ['Photos of ', name(pick.t), ' that are right'] : ['Photos of ', name(pick.t), ' mistaken for ', name(pick.p)];
}

// The chosen photos in a run, most confident first
function ixPickIds(ex, view, { kind, t, p }) {
  if (kind === 'fp') return ixByConf(ixWhere(ex, i => view.pred[i] === t && ex.targets[i] !== t), view.conf);
  if (kind === 'fn') return ixByConf(ixWhere(ex, i => view.pred[i] !== t && ex.targets[i] === t), view.conf);
  return ixByConf(kind === 'none' ? ixCell(ex, view, -1) : ixCell(ex, view, t, p), view.conf);
}

// Tab 'Photos': the chosen cell; in a difference, the photos that are in it in one of the runs only
function ixPhotosTab(ex) {
  const { s, el: { tabs: { panels: { photos: box } } } } = ex;
  const hint = 'Click a cell of the matrix to see its photos: those on the diagonal are right, all others are errors.';
  if (!s.pick) return box.replaceChildren(icEl('p', { class: 'ic-empty', text: hint }));
  const heading = icEl('h3', {}, ixPickTitle(ex, s.pick)), count = icEl('p', { class: 'ic-note' });
  box.replaceChildren(heading, count);
  if (s.which === 'diff' && s.pick.kind === 'cell') {
    const here = ixPickIds(ex, ex.a, s.pick), there = ixPickIds(ex, ex.b, s.pick), inHere = new Set(here), inThere = new Set(there);
    const only = here.filter(i => !inThere.has(i)), gone = there.filter(i => !inHere.has(i));
    count.textContent = `${icPlural(only.length, 'photo')} only in this run, ${icNum(gone.length)} only in the other, `
      + `${icNum(here.length - only.length)} in both.`;
    return ixPages(ex, box, [...only, ...gone], ex.a, { both: true, label: heading.textContent });
  }
  const ids = ixPickIds(ex, ex.shown, s.pick);
  const how = `${s.pick.kind === 'none' ? '' : ', the most confident first'}${ex.shown === ex.b ? ', in the other run' : ''}.`;
  count.textContent = ids.length ? icPlural(ids.length, 'photo') + how : 'No such photo.';
  ixPages(ex, box, ids, ex.shown, { label: heading.textContent });
}

// A photo's prediction as a line: class and probability
function ixAnswer(ex, view, id, label) {
  const p = view.pred[id];
  if (p >= ex.C) return icEl('span', { class: 'ic-pair' }, `${label} `, icEl('span', { text: 'no prediction' }));
  const prob = icEl('span', { class: 'ic-prob', text: icPct(view.conf[id] / 65535) });
  return icEl('span', { class: `ic-pair ${p === ex.targets[id] ? 'ic-right-answer' : 'ic-wrong-answer'}` }, `${label} `, icName(ex.names[p]), prob);
}

// Photos of a run in pages, each opening large; opts: label, both (predictions of both runs)
function ixPages(ex, box, ids, view, opts) {
  const lines = photo => [icEl('span', { class: 'ic-pair' }, 'true ', icName(ex.names[ex.targets[photo.id]])),
    ...(opts.both ? [ixAnswer(ex, ex.a, photo.id, 'this'), ixAnswer(ex, ex.b, photo.id, 'other')] : [ixAnswer(ex, view, photo.id, 'pred.')])];
  icPages(box, ids, part => ex.host.photos(part), { label: opts.label, lines, open: (photo, k, gallery) => ixPhoto(ex, ids, k, view, gallery) });
}

// A photo large, with its probabilities and the training photos most like it; arrow keys go through the list
function ixPhoto(ex, ids, k, view, gallery) {
  const node = icEl('div', { class: 'ic-photo' }), place = icEl('span', { class: 'ic-note', 'aria-live': 'polite' });
  const step = d => { if (ids[k + d] !== undefined) { k += d; show(); } };
  const prev = icButton('‹ previous', () => step(-1)), next = icButton('next ›', () => step(1));
  const dialog = icDialog(ex.root, 'Photo', icEl('div', {}, node, icEl('div', { class: 'ic-photo-nav' }, prev, place, next)), {
    key: e => { const d = { ArrowLeft: -1, ArrowRight: 1 }[e.key]; if (d) { e.preventDefault(); step(d); } },
    close: () => gallery.focus(Math.min(k, gallery.photos.length - 1)),
  });
  const show = async () => {
    const mine = k;
    place.textContent = `${icNum(k + 1)} of ${icNum(ids.length)}`;
    prev.setAttribute('aria-disabled', String(k === 0));
    next.setAttribute('aria-disabled', String(k === ids.length - 1));
    node.setAttribute('aria-busy', 'true');
    if (!node.firstChild) icBusy(node, 'Loading the photo …');
    try {
      const photo = await ex.host.photo(view.run, view.epoch, ids[k]);
      if (mine !== k || !node.isConnected) return;
      dialog.title(icCut(photo.file, 80));
      node.replaceChildren(...ixPhotoParts(ex, view, ids[k], photo));
    } catch (error) { if (mine === k) icError(node, error.message); }
    if (mine === k) node.removeAttribute('aria-busy');
  };
  show();
}

// Image, prediction, probabilities as bars, nearest training photos
function ixPhotoParts(ex, view, id, photo) {
  const truth = ex.targets[id], mark = c => (c === truth ? 'ic-truth' : ''), prob = p => icEl('span', { class: 'ic-prob', text: icPct(p) });
  const level = p => icEl('span', { class: 'ic-track' }, icEl('span', { class: 'ic-level', style: { width: `${100 * p}%` } }));
  const bar = ([c, p]) => icEl('li', { class: mark(c) }, icName(ex.names[c]), level(p), prob(p));
  const alike = x => icEl('span', { class: 'ic-note', title: x.file, text: `similarity ${x.similarity.toFixed(2)}` });
  const near = photo.nearest.map(x => icEl('li', { class: mark(x.label) }, icThumb(x.thumb, 'photo is gone'), icName(ex.names[x.label]), alike(x)));
  const gone = icEl('p', { class: 'ic-empty', text: photo.note || 'the photo is gone' });
  const image = photo.image ? [icEl('img', { src: photo.image, alt: `test photo ${photo.file}` }), photo.note && icNote(photo.note)] : gone;
  const rest = photo.rest > 0.0005 && icEl('li', { class: 'ic-note', text: `all other classes together ${icPct(photo.rest)}` });
  return [
    icEl('div', { class: 'ic-photo-image' }, image),
    icEl('div', { class: 'ic-photo-facts' },
      icEl('p', { class: 'ic-verdict' }, icEl('span', { class: 'ic-pair' }, 'true ', icName(ex.names[truth])), ixAnswer(ex, view, id, 'predicted')),
      icEl('h4', { text: 'How sure the model is' }), icEl('ul', { class: 'ic-bars' }, photo.probs.map(bar), rest),
      icEl('h4', { text: 'Looks most like these training photos' }),
      near.length ? icEl('ul', { class: 'ic-near' }, near) : icNote(photo.why || 'none are known')),
  ];
}

// ---- class ----

// Parts of the tab 'Class' that stay: the drop-down
function ixClassParts(ex) {
  const { el } = ex, names = ex.names.map((name, c) => [c, name]).sort((a, b) => a[1].localeCompare(b[1], undefined, { numeric: true }));
  el.classes = icSelect('class', names, ex.s.cls, v => { ex.s.cls = Number(v); ixClassTab(ex); });
  el.classBox = icEl('div');
  el.tabs.panels.class.append(el.classes, el.classBox);
}

// Show a class
function ixOpenClass(ex, c) {
  ex.s.cls = c;
  ixTab(ex, 'class');
}

// Tab 'Class': figures in sentences, then the threshold
function ixClassTab(ex) {
  const { el, s } = ex, c = s.cls, f = ixClass(ex, ex.shown, c), name = () => ixName(ex, c, 40);
  el.classes.querySelector('select').value = String(c);
  const row = (label, title, value, range, ...words) => icEl('tr', { title }, icEl('th', { scope: 'row', text: label }),
    icEl('td', { class: 'ic-figure' }, value, range && icEl('div', { class: 'ic-note', text: range })), icEl('td', {}, words));
  const see = kind => icButton('see them', () => ixPick(ex, { kind, t: c }), { class: 'ic-link' });
  const photos = n => icPlural(n, 'photo'), called = f.tp + f.fp;
  const table = icEl('table', { class: 'ic-table' }, icEl('tbody', {},
    row('TP', 'true positives', icNum(f.tp), '', `${photos(f.tp)} of `, name(), f.tp === 1 ? ' was found.' : ' were found.'),
    row('FN', 'false negatives', icNum(f.fn), '', `${photos(f.fn)} of `, name(), f.fn === 1 ? ' was missed. ' : ' were missed. ', f.fn ? see('fn') : null),
    row('FP', 'false positives', icNum(f.fp), '', `${photos(f.fp)} of other classes ${f.fp === 1 ? 'was' : 'were'} mistaken for `, name(), '. ',
      f.fp ? see('fp') : null),
    row('TN', 'true negatives', icNum(f.tn), '', `${photos(f.tn)} of other classes ${f.tn === 1 ? 'was' : 'were'} rightly not called `, name(), '.'),
    row('Precision', 'TP / (TP + FP), with its 95 % interval', icPct(f.precision), icRange(f.precisionCI),
      called ? `Of the ${photos(called)} called ` : 'No photo was called ', name(), called ? `, ${icNum(f.tp)} are it.` : '.'),
    row('Recall', 'TP / (TP + FN), with its 95 % interval', icPct(f.recall), icRange(f.recallCI),
      f.support ? `Of the ${photos(f.support)} of ` : 'The test set has no photo of ', name(), f.support ? `, ${icNum(f.tp)} were found.` : '.'),
    row('F1', 'harmonic mean of precision and recall; a mean of two shares has no such interval', icPct(f.f1), '',
      'Precision and recall in one figure; high only if both are.'),
    row('Support', 'test photos of this class', icNum(f.support), '', `Test photos of `, name(), `: ${icPct(f.support / ex.n)} of all.`)));
  const curve = icEl('div', { class: 'ic-curve' });
  const note = icNote(`${ixRunName(ex, ex.shown.run)}, epoch ${ex.shown.epoch + 1}; ranges are 95 % intervals${ex.groups ? ', by groups of photos that belong together' : ''}.`);
  el.classBox.replaceChildren(note, table, icEl('h3', {}, 'When to call a photo ', name()), curve);
  ixThreshold(ex, curve, c, f.support);
}

// Threshold slider and precision-recall curve of class c against the rest
async function ixThreshold(ex, box, c, support) {
  icBusy(box);
  let pr;
  try { pr = await ex.host.pr(ex.shown.run, ex.shown.epoch, c); } catch (error) { return icError(box, error.message); }
  if (ex.dead || !box.isConnected) return;
  const { s } = ex, precision = pr.tp.map((tp, t) => tp / (tp + pr.fp[t])), recall = pr.tp.map(tp => tp / support), svg = icCurve(precision, recall);
  const words = icEl('p', { 'aria-live': 'polite' }), shown = icEl('output', { class: 'ic-epoch-text' });
  const slider = icEl('input', { type: 'range', min: 0, max: 100, step: 1, value: s.threshold, on: { input: () => set(Number(slider.value)) } });
  const set = t => {
    s.threshold = t;
    const { tp, fp } = { tp: pr.tp[t], fp: pr.fp[t] };
    shown.textContent = `${t} %`;
    slider.setAttribute('aria-valuetext', `${t} per cent`);
    svg.mark(t);
    words.replaceChildren('Found: ', icEl('strong', { text: `${icNum(tp)} of ${icNum(support)}` }), ` (recall ${icPct(recall[t])}). False: `,
      icEl('strong', { text: icNum(fp) }), ` of ${icNum(tp + fp)} called it (precision ${icPct(precision[t])}).`);
  };
  const label = icEl('span', { text: 'when its probability is at least' });
  box.replaceChildren(icEl('label', { class: 'ic-field' }, label, icEl('span', { class: 'ic-epoch-row' }, slider, shown)), words, svg.el,
    icNote('A higher threshold finds fewer photos and makes fewer mistakes. Each photo is judged for this class alone, '
      + 'so the figures differ from the table above, where the most probable class counts.'));
  set(s.threshold);
}

// ---- lists ----

// Parts of the tab 'Lists' that stay: which list
function ixListParts(ex) {
  const { el, s } = ex;
  const lists = [['pairs', 'most confused'], ['worst', 'surest errors'], ['unsure', 'most unsure']];
  el.lists = icSegment('which list', lists, s.list, v => { s.list = v; ixListsTab(ex); });
  el.listBox = icEl('div');
  el.tabs.panels.lists.append(el.lists.el, el.listBox);
}

// Tab 'Lists': most confused pairs, most confident errors, most unsure photos
function ixListsTab(ex) {
  const { el: { listBox: box }, s, C, targets } = ex, v = ex.shown;
  if (s.list === 'pairs') return box.replaceChildren(ixPairs(ex, v));
  const worst = s.list === 'worst', ids = ixByConf(ixWhere(ex, i => v.pred[i] < C && (!worst || v.pred[i] !== targets[i])), v.conf, !worst);
  const text = worst ? 'The errors the model is surest of: look here for wrong labels, and for photos that show something else.'
    : 'Photos whose most probable class has the lowest probability, right or wrong.';
  box.replaceChildren(icEl('p', { class: 'ic-note', text: ids.length ? text : 'No such photo.' }));
  ixPages(ex, box, ids, v, { label: worst ? 'surest errors' : 'most unsure photos' });
}

// The 30 most confused pairs as a table; a click chooses the cell
function ixPairs(ex, v) {
  const { C } = ex, cells = [];
  for (let k = 0; k < C * C; k++) if (v.counts[k] && Math.floor(k / C) !== k % C) cells.push(k);
  if (!cells.length) return icEl('p', { class: 'ic-empty', text: 'No two classes are confused.' });
  const row = k => {
    const t = Math.floor(k / C), p = k % C;
    const pair = [ixName(ex, t, 40), ' → ', ixName(ex, p, 40)];
    const open = icButton(null, () => ixPick(ex, { kind: 'cell', t, p }), { class: 'ic-link' }, pair);
    return icEl('tr', {}, icEl('td', {}, open), icFigure(icNum(v.counts[k])), icFigure(icPct(v.counts[k] / v.rows[t])));
  };
  const rows = cells.sort((a, b) => v.counts[b] - v.counts[a] || a - b).slice(0, 30).map(row);
  const table = icTable(['true → predicted', 'photos', 'of the true'], rows);
  return icEl('div', {}, table, cells.length > 30 && icNote(`30 of ${icPlural(cells.length, 'pair')}.`));
}

// ---- compare ----

// Tab 'Compare': accuracies, what was mended and broken, whether that is more than chance, two small matrices
function ixCompareTab(ex) {
  const { a, b, s, targets, el: { tabs: { panels: { compare: box } } } } = ex;
  const mended = ixWhere(ex, i => a.pred[i] === targets[i] && b.pred[i] !== targets[i]);
  const broken = ixWhere(ex, i => a.pred[i] !== targets[i] && b.pred[i] === targets[i]);
  const points = 100 * (a.right - b.right) / ex.n;
  const row = (label, v) => icEl('tr', {}, icEl('th', { scope: 'row' }, label, ': ', icName(icCut(ixRunName(ex, v.run), 60)), `, epoch ${v.epoch + 1}`),
    icFigure(icPct(v.right / v.n)), icFigure(ixRange(ex, v)));
  const gap = `${Math.abs(points).toFixed(1)} points ${points < 0 ? 'less' : 'more'}`;
  const minis = icEl('div', { class: 'ic-minis' }), gallery = icEl('div');
  const list = (ids, word) => {
    gallery.replaceChildren(icEl('h3', { text: `${word[0].toUpperCase()}${word.slice(1)}: ${icPlural(ids.length, 'photo')}` }));
    ixPages(ex, gallery, ids, a, { both: true, label: word });
  };
  const choose = v => { s.moved = v; list(...(v === 'mended' ? [ixByConf(mended, a.conf), 'mended'] : [ixByConf(broken, a.conf), 'broken'])); };
  box.replaceChildren(
    icTable(['run', 'accuracy', '95 % interval'], [row('this', a), row('other', b)]),
    icEl('p', {}, `This run is ${points ? gap : 'exactly as'} accurate: of the other’s errors it mends `,
      icEl('strong', { text: icPlural(mended.length, 'photo') }), ', and it breaks ', icEl('strong', { text: icNum(broken.length) }),
      ' that the other has right. ',
      ...ixVerdict(ex)),
    icEl('p', { class: 'ic-note', text: 'This run is taken at the epoch of the slider, the other at its last.' }),
    minis, icSegment('which photos', [['mended', 'mended'], ['broken', 'broken']], s.moved, choose).el, gallery);
  ixMinis(ex, minis);
  choose(s.moved);
}

// Is the difference more than chance? Tested after the last epoch only, because who tries every epoch finds something; and p is
// multiplied by the number of pairs of runs (Bonferroni), because any of them can be chosen here. The answer speaks of these two
// classifiers on other test photos; what other draws of training photos would do, a study of several seeds says
function ixVerdict(ex) {
  const { data: { runs }, s, a, b, targets, groups } = ex, pairs = runs.length * (runs.length - 1) / 2;
  const gain = i => (a.pred[i] === targets[i]) - (b.pred[i] === targets[i]);
  if (!ixWhere(ex, gain).length) return ['Both runs are right and wrong on the same photos.'];
  if (s.epoch < runs[s.run].epochs - 1) return ['These are counts: whether runs differ by more than chance is tested after the last epoch only.'];
  const d = ixDifference(ex.n, gain, groups), p = Math.min(1, pairs * d.p);
  const words = `${ixP(p)}${pairs > 1 ? ` after correction for ${icNum(pairs)} pairs of runs` : ''}`;
  const test = groups ? 'Student’s t over groups of photos that belong together' : 'McNemar’s exact test, on the photos that only one run has right';
  const said = p < 0.05 ? `On other test photos they would differ in the same direction (${words}).` : `This could be chance (${words}).`;
  const signed = x => `${x < 0 ? '−' : '+'}${Math.abs(100 * x).toFixed(1)}`;
  return [`The 95 % interval of the difference is ${signed(d.low)} to ${signed(d.high)} points. `,
    icEl('span', { title: `${test}, two-sided, with Bonferroni’s correction`, text: said }),
    ` This compares these two classifiers${groups ? `, by ${icNum(new Set(groups).size)} groups of test photos that belong together` : ''}; `
    + 'the luck of the draw of training photos is not in it.'];
}

// 'p = 0.003'
function ixP(p) { return p < 0.001 ? 'p < 0.001' : `p = ${p.toFixed(p < 0.1 ? 3 : 2)}`; }

// Small matrices of both runs side by side
function ixMinis(ex, box) {
  const side = Math.floor(Math.min(220, (box.clientWidth - 12) / 2));
  if (side < 90) return;
  for (const [v, label] of [[ex.a, 'this run'], [ex.b, 'other run']]) {
    const canvas = icEl('canvas', { role: 'img', 'aria-label': `matrix of ${label}: accuracy ${icPct(v.right / v.n)}` });
    const g = { left: 0, top: 0, side, base: side / ex.C, zoom: 1, x: 0, y: 0 };
    ixPaint(ex, icCanvasPainter(icCanvas(canvas, side, side)), g, ixScene(ex, v, null));
    box.append(icEl('figure', {}, canvas, icEl('figcaption', { class: 'ic-note', text: label })));
  }
}

// ---- export ----

// Button and list of what can be saved
function ixExportMenu(ex) {
  const id = icId('export'), list = icEl('div', { id, class: 'ic-menu', hidden: true });
  const button = icButton('Export', () => open(list.hidden), { 'aria-expanded': 'false', 'aria-controls': id });
  const open = on => { list.hidden = !on; button.setAttribute('aria-expanded', String(on)); };
  const item = (text, fn) => icButton(text, () => { open(false); button.focus(); if (ex.scene) fn(ex); });
  list.append(item('Matrix as PNG', ixSavePng), item('Matrix as SVG', ixSaveSvg), item('Figures of the classes as CSV', ixSaveFigures),
    item('Matrix as CSV', ixSaveMatrix));
  const box = icEl('div', { class: 'ic-export' }, button, list);
  box.addEventListener('keydown', e => { if (e.key === 'Escape' && !list.hidden) { e.stopPropagation(); open(false); button.focus(); } });
  ex.bag.on(document, 'pointerdown', e => { if (!box.contains(e.target)) open(false); });
  return box;
}

// File name from run and epoch, only characters that every system takes
function ixFileName(ex, what, ext) {
  const v = ex.shown, run = ex.data.runs[v.run].run.replace(/[^\w.-]+/g, '-').slice(0, 60);
  return `${what}-${run}-epoch-${v.epoch + 1}${ex.s.which === 'diff' && what !== 'classes' ? '-difference' : ''}.${ext}`;
}

// Paint the whole matrix with a title for a file; make(width, height) gives the painter
function ixExport(ex, make) {
  const cell = ex.C <= 5 ? 90 : ex.C <= 12 ? 48 : ex.C <= 40 ? 28 : ex.C <= 100 ? 16 : 12, title = 46, g = ixGeometry(ex, 190 + cell * ex.C, cell * ex.C);
  Object.assign(g, { left: Math.ceil(g.left), top: Math.ceil(g.top) });
  const width = Math.max(g.left + g.side + 8, 420), painter = make(width, g.top + g.side + 8 + title, title);
  const v = ex.shown, text = ex.s.which === 'diff' ? 'this run minus the other' : `accuracy ${icPct(v.right / v.n)} (95 % interval ${ixRange(ex, v)}), ${icPlural(v.n, 'photo')}`;
  painter.text(ixShort(ex, `${ixRunName(ex, v.run)}, epoch ${v.epoch + 1}`, width - 16, 13), 8, 16 - title, 13, ixInk, 'left');
  painter.text(ixShort(ex, text, width - 16, 12), 8, 34 - title, 12, ixSoftInk, 'left');
  ixPaint(ex, painter, g, ex.scene);
}

// Save the matrix as a picture of pixels, twice as fine as on paper
function ixSavePng(ex) {
  const canvas = icEl('canvas');
  ixExport(ex, (width, height, title) => {
    canvas.width = width * 2;
    canvas.height = height * 2;
    const ctx = canvas.getContext('2d');
    ctx.scale(2, 2);
    ctx.fillStyle = IC_PALETTE.colours.paper;
    ctx.fillRect(0, 0, width, height);
    ctx.translate(0, title);
    return icCanvasPainter(ctx);
  });
  canvas.toBlob(blob => icDownload(ixFileName(ex, 'confusion', 'png'), blob));
}

// Save the matrix as SVG with text that stays text
function ixSaveSvg(ex) {
  const painter = icSvgPainter();
  let head = '';
  ixExport(ex, (width, height, title) => {
    head = `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 ${-title} ${width} ${height}" `
      + `font-family="system-ui, sans-serif"><rect y="${-title}" width="${width}" height="${height}" fill="${IC_PALETTE.colours.paper}"/>`;
    return painter;
  });
  const svg = `<?xml version="1.0" encoding="UTF-8"?>\n${head}${painter.out.join('\n')}</svg>\n`;
  icDownload(ixFileName(ex, 'confusion', 'svg'), new Blob([svg], { type: 'image/svg+xml' }));
}

// Save the figures of each class
function ixSaveFigures(ex) {
  const head = ['class', 'tp', 'fp', 'fn', 'tn', 'precision', 'precision_low', 'precision_high', 'recall', 'recall_low', 'recall_high', 'f1', 'support'];
  const row = c => {
    const f = ixClass(ex, ex.shown, c);
    return [ex.names[c], f.tp, f.fp, f.fn, f.tn, f.precision, ...f.precisionCI, f.recall, ...f.recallCI, f.f1, f.support];
  };
  icDownload(ixFileName(ex, 'classes', 'csv'), new Blob([icCsv([head, ...ex.order.map(row)])], { type: 'text/csv' }));
}

// Save the counts of the matrix (of the difference, the differences), one row for each true class
function ixSaveMatrix(ex) {
  const { C, order, shown, b } = ex, minus = ex.s.which === 'diff' ? b.counts : new Int32Array(C * C);
  const none = t => shown.rows[t] - order.reduce((sum, p) => sum + shown.counts[t * C + p], 0), extra = ex.s.which !== 'diff' && shown.none;
  const rows = order.map(t => [ex.names[t], ...order.map(p => shown.counts[t * C + p] - minus[t * C + p]), ...(extra ? [none(t)] : [])]);
  const head = ['true \\ predicted', ...order.map(c => ex.names[c]), ...(extra ? ['no prediction'] : [])];
  icDownload(ixFileName(ex, 'matrix', 'csv'), new Blob([icCsv([head, ...rows])], { type: 'text/csv' }));
}

// ---- start ----

// Fetch what is missing, then show; `wait` delays the panel while a slider moves
async function ixShow(ex, wait = 0) {
  const mine = ++ex.asked, { s } = ex;
  try {
    await ixLoad(ex, s.run);
    if (s.other >= 0) await ixLoad(ex, s.other);
  } catch (error) {
    if (mine === ex.asked && !ex.dead) icError(ex.el.status, error.message);
    return;
  }
  if (mine !== ex.asked || ex.dead) return;
  ex.el.status.replaceChildren();
  ixRender(ex, wait);
}

// Show the state: head, totals, matrix, panel
function ixRender(ex, wait = 0) {
  const { s } = ex;
  if (!ex.loaded[s.run] || (s.other >= 0 && !ex.loaded[s.other])) return;
  ex.a = ixView(ex, s.run, s.epoch);
  ex.b = s.other >= 0 ? ixView(ex, s.other, ex.data.runs[s.other].epochs - 1) : null;
  if (!ex.b) s.which = 'this';
  ex.shown = s.which === 'other' ? ex.b : ex.a;
  ixHeadState(ex);
  ixSummary(ex);
  ixRedraw(ex);
  if (s.tab !== 'compare') ixFill(ex, wait);
}

// Show the matrix anew, where only its numbers or its order changed; the small matrices go with it
function ixRedraw(ex) {
  if (!ex.a) return;
  ex.scene = ixScene(ex, ex.shown, ex.s.which === 'diff' ? ex.b : null);
  ixLegends(ex);
  ixDraw(ex);
  if (ex.s.tab === 'compare') ixFill(ex, 200);
}

// What is chosen at first
function ixStart(run, epochs, C, order) {
  return { run, epoch: epochs - 1, other: -1, mode: 'counts', which: 'this', together: C >= 15, t: order[0], p: order[0], pick: null,
    tab: 'photos', cls: order[0], list: 'pairs', threshold: 50, moved: 'mended' };
}

// The explorer in root; host answers run(i), photos(ids), photo(i, epoch, id), pr(i, epoch, class)
function imgclsExplorer(root, data, host) {
  icRoot(root, 'ic-explorer');
  if (!data.n || !data.classes.length || !data.runs.length) {
    icError(root, 'Nothing to show: the explorer needs at least one test photo, one class and one run.');
    return { destroy() { root.replaceChildren(); } };
  }
  const run = Math.min(data.runs.length - 1, Math.max(0, data.start || 0)), C = data.classes.length, fields = ixFields(data.runs);
  const unique = new Set(data.runs.map(r => JSON.stringify(fields.map(f => r.fields[f])))).size === data.runs.length;
  const ex = { root, data, host, C, n: data.n, names: data.classes, targets: icU16(data.targets),
    groups: data.groups ? icU32(data.groups) : null, el: {}, bag: icBag(), measure: icMeasure(),
    fields, unique, asked: 0, loaded: [], loading: [], views: new Map(), short: new Map(), s: ixStart(run, data.runs[run].epochs, C, data.order) };
  ixOrder(ex);
  ixHead(ex);
  ex.el.status = icEl('div', { class: 'ic-status' });
  root.append(ex.el.status, icEl('div', { class: 'ic-body' }, ixMatrix(ex), ixPanel(ex)));
  ex.say = icLive(root);
  ixPlay(ex, false);
  ixPointer(ex);
  ixLayout(ex);
  const watch = new ResizeObserver(() => ixLayout(ex));
  watch.observe(root);
  ex.bag.add(() => { watch.disconnect(); clearInterval(ex.playing); clearTimeout(ex.filling); });
  icBusy(ex.el.status, 'Loading the run …');
  ixShow(ex);
  return { destroy() { ex.dead = true; ex.bag.clear(); root.replaceChildren(); } };
}
