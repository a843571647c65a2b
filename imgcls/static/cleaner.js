// The label cleaner: imgclsCleaner(root, data, host) fills root and returns {destroy()}. Needs common.js.
// Functions and `var` only at top level: a page may hold this script twice. Every name starts with `cl`.
// `cl` is one cleaner: cl.data, cl.host, cl.f (filters), cl.list (candidates that pass them), cl.item (the one shown), cl.marks (what was decided),
// cl.el (elements).
// A mark is shown when the host has said that it stands in the journal, never before.

var clPage = 24; // thumbnails shown, and asked for, at once

// Reasons in words
var clKinds = { label: 'likely wrong label', duplicate: 'near-duplicate under another label', outlier: 'unlike every class',
  blurred: 'blurred', dark: 'very dark', bright: 'very bright', tiny: 'tiny' };

// Decisions: [name, what the button says, its key]
var clDecisions = [['keep', 'Keep', 'K'], ['take', 'Take suggestion', 'S'], ['relabel', 'Relabel …', 'R'],
  ['delete', 'Delete', 'D'], ['aside', 'Set aside', 'A']];

var clKeys = [[['K'], 'keep the label as it is'], [['S'], 'take the suggestion'], [['R'], 'relabel: choose another class'],
  [['D'], 'delete: the photo is of no use'], [['A'], 'set aside: not sure, look again later'],
  [['U'], 'undo'], [['Y', 'Shift U'], 'redo'], [['L', '→'], 'next photo'], [['J', '←'], 'photo before'],
  [['Home', 'End'], 'first and last photo'], [['Page Up', 'Page Down'], 'turn the pages of thumbnails'], [['?'], 'show these keys']];

// ---- words ----

function clKind(kind) { return clKinds[kind] || kind; }

// What was decided about a photo, as nodes; short for the thumbnails
function clSaid(mark, short) {
  if (!mark) return [short ? '' : 'not decided yet'];
  if (mark.action === 'relabel') return [short ? '→ ' : 'relabelled: ', icName(icCut(mark.new, short ? 16 : 60), { title: mark.new })];
  const words = { keep: ['kept', 'kept'], delete: ['delete', 'to be deleted'], aside: ['aside', 'set aside'] }[mark.action] || [mark.action, mark.action];
  return [words[short ? 0 : 1]];
}

// The same as plain text
function clPlain(mark) {
  if (!mark) return 'not decided yet';
  return { keep: 'kept', delete: 'to be deleted', aside: 'set aside', relabel: `relabelled to ${mark.new}` }[mark.action] || mark.action;
}

// ---- filters ----

// Drop-downs hold positions in these lists, so that any text may be the name of a class
function clChoices(data) {
  const count = of => {
    const n = new Map();
    for (const item of data.items) for (const v of new Set(of(item))) n.set(v, (n.get(v) || 0) + 1);
    return n;
  };
  const list = (n, order) => [...n.keys()].sort((a, b) => order(a) - order(b) || (a < b ? -1 : 1)).map(v => [v, n.get(v)]);
  const kinds = Object.keys(clKinds), at = new Map(data.classes.map((c, i) => [c, i]));
  return { label: list(count(o => [o.label]), v => (at.has(v) ? at.get(v) : Infinity)), split: list(count(o => [o.split]), () => 0),
    kind: list(count(o => o.reasons.map(r => r.kind)), v => (kinds.indexOf(v) + 1 || 99)) };
}

// The candidates that pass the filters, in order: worst first, by the reason where one is chosen
function clFiltered(cl) {
  const { f } = cl, score = item => Math.max(...item.reasons.filter(r => r.kind === f.kind).map(r => r.score));
  const list = cl.data.items.filter(o => (f.label === null || o.label === f.label) && (f.split === null || o.split === f.split)
    && (f.kind === null || o.reasons.some(r => r.kind === f.kind)) && (f.show === 'all' || cl.marks.has(o.id) === (f.show === 'decided')));
  return f.kind === null ? list : list.map((o, i) => [score(o), i, o]).sort((a, b) => b[0] - a[0] || a[1] - b[1]).map(o => o[2]);
}

// Filters as text, under which the place is remembered
function clPlace(cl) { return JSON.stringify([cl.f.label, cl.f.split, cl.f.kind, cl.f.show]); }

// Choose a filter; coming back to one finds the photo that was shown there
function clFilter(cl, name, value) {
  cl.places.set(clPlace(cl), cl.item && cl.item.id);
  cl.f[name] = value;
  clList(cl);
  const last = cl.places.get(clPlace(cl)), i = cl.list.findIndex(o => o.id === (last === undefined ? cl.item && cl.item.id : last));
  clShow(cl, i >= 0 ? cl.list[i] : clNext(cl, -1) || cl.list[0] || null);
  cl.tell(`${icPlural(cl.list.length, 'candidate')} in this list.`);
}

// Make the list anew
function clList(cl) {
  cl.list = clFiltered(cl);
  cl.at = new Map(cl.list.map((o, i) => [o.id, i]));
}

// The next candidate without a decision after position i, from the front again at the end; null where all are decided
function clNext(cl, i) {
  for (let k = 1; k <= cl.list.length; k++) {
    const item = cl.list[(i + k + cl.list.length) % cl.list.length];
    if (!cl.marks.has(item.id)) return item;
  }
  return null;
}

// ---- decisions ----

// Take over what the host says is in force
function clTake(cl, answer) {
  cl.marks = new Map(Object.entries(answer.decisions).map(([id, mark]) => [Number(id), mark]));
  cl.undo = answer.undo;
  cl.redo = answer.redo;
}

// Send a call that changes the journal; one at a time, so that no key decides about a photo that isn't shown yet
async function clSend(cl, call, args, done) {
  if (cl.busy) return;
  cl.busy = true;
  const slow = setTimeout(() => cl.tell('Saving …'), 400);
  try {
    const answer = await cl.host[call](...args);
    if (cl.gone) return;
    clTake(cl, answer);
    cl.error('');
    done(answer);
  } catch (e) {
    if (!cl.gone) {
      cl.tell('');
      cl.error(`Not saved: ${e.message}`);
    }
  } finally {
    clearTimeout(slow);
    cl.busy = false;
  }
}

// Decide about the photo shown, then show the next that is undecided
function clDecide(cl, action, to = '') {
  const { item } = cl, mark = item && cl.marks.get(item.id);
  if (!item) return;
  const said = () => [icName(icCut(item.file, 40)), ': ', ...clSaid({ action, new: to })];
  if (mark && mark.action === action && (mark.new || '') === to) return clOn(cl, item, [...said(), ' already']);
  clSend(cl, 'decide', [item.id, action, to], answer => clOn(cl, item, [...said(), ...(answer.message ? [`. ${answer.message}`] : [])]));
}

// Go on after a decision about `item`; whoever has moved elsewhere meanwhile stays there
function clOn(cl, item, said) {
  const from = cl.at.has(item.id) ? cl.at.get(item.id) : -1, here = cl.item === item;
  clList(cl);
  const before = cl.at.has(item.id) ? from : from - 1; // it has left a list of undecided ones
  const next = here ? clNext(cl, before) : cl.item;
  const rest = clTotal(cl) - clDecided(cl);
  const all = rest ? `All in this list are decided; ${icNum(rest)} under other filters are not.` : 'All candidates are decided.';
  cl.tell(...said, '. ', next || !here ? '' : all);
  clShow(cl, next || (cl.at.has(item.id) ? item : cl.list[0] || null));
}

// Undo or redo, and show the photo it was about
function clBack(cl, call) {
  if (!cl[call]) return cl.tell(`There is nothing to ${call}.`);
  clSend(cl, call, [], answer => {
    const item = cl.byId.get(answer.last);
    clList(cl);
    const about = item ? [`${call === 'undo' ? 'Undone' : 'Redone'}: `, icName(icCut(item.file, 40)), ': ', ...clSaid(cl.marks.get(item.id)), '. '] : [];
    cl.tell(...about, answer.message || '');
    clShow(cl, item && cl.at.has(item.id) ? item : cl.item && cl.at.has(cl.item.id) ? cl.item : cl.list[0] || null);
  });
}

// All candidates, also those that did not fit into a widget's state
function clTotal(cl) { return cl.data.items.length + (cl.data.more || 0); }

function clDecided(cl) { return cl.marks.size; }

// What a button or key does
function clDo(cl, name) {
  const { item } = cl;
  if (name === 'undo' || name === 'redo') return clBack(cl, name);
  if (!item) return undefined;
  if (name === 'relabel') return clRelabel(cl);
  if (name !== 'take') return clDecide(cl, name);
  return item.suggestion ? clDecide(cl, 'relabel', item.suggestion) : cl.tell('There is no suggestion for this photo; R lets you choose a class.');
}

// Move by some places in the list
function clMove(cl, to) {
  if (!cl.list.length) return;
  cl.tell('');
  clShow(cl, cl.list[Math.max(0, Math.min(cl.list.length - 1, to))]);
}

// ---- the photo shown ----

// Show a candidate, large, and the page of thumbnails it is on
function clShow(cl, item) {
  cl.item = item;
  const i = item && cl.at.has(item.id) ? cl.at.get(item.id) : -1;
  cl.page = Math.max(0, Math.floor((i >= 0 ? i : 0) / clPage));
  clStage(cl, i);
  clStrip(cl);
  clTop(cl);
}

// Texts and buttons about the candidate
function clStage(cl, i) {
  const { el, item } = cl;
  el.stage.hidden = !item;
  el.empty.hidden = Boolean(item);
  if (!item) return clNothing(cl);
  const mark = cl.marks.get(item.id), done = mark && mark.action === 'relabel' && mark.new === item.suggestion ? 'take' : mark && mark.action;
  el.where.textContent = i >= 0 ? `${icNum(i + 1)} of ${icNum(cl.list.length)}` : '';
  el.file.replaceChildren(icName(icCut(item.file, 60), { title: item.file }));
  el.label.textContent = el.label.title = item.label;
  el.suggested.hidden = !item.suggestion;
  el.suggestion.textContent = el.suggestion.title = item.suggestion;
  const noted = 'A test photo: what you decide is noted, and it counts as before.';
  el.split.textContent = item.split === 'test' ? noted : '';
  el.reasons.replaceChildren(...item.reasons.map(clReason));
  el.said.replaceChildren(...clSaid(mark));
  el.said.dataset.mark = mark ? mark.action : 'none';
  for (const [name] of clDecisions) el.buttons[name].setAttribute('aria-pressed', String(name === done));
  el.buttons.take.setAttribute('aria-disabled', String(!item.suggestion));
  el.take.replaceChildren(...(item.suggestion ? ['Take ', icName(icCut(item.suggestion, 20), { title: item.suggestion })] : ['Take suggestion']));
  clLarge(cl, item);
  const why = item.reasons.map(r => clKind(r.kind)).join(', ');
  const to = item.suggestion ? `, suggestion ${item.suggestion}` : '';
  return cl.speak(`${i + 1} of ${cl.list.length}: ${item.file}, labelled ${item.label}${to}, ${why}. ${clPlain(mark)}.`);
}

function clReason({ kind, score, text }) {
  const level = icEl('i', { style: { width: `${Math.round(100 * Math.max(0, Math.min(1, score)))}%` } });
  return icEl('li', {}, icEl('strong', { text: clKind(kind) }), icEl('span', { class: 'cl-score', text: `score ${score.toFixed(2)}` }),
    icEl('span', { class: 'cl-bar', 'aria-hidden': 'true' }, level), icEl('bdi', { class: 'cl-why', dir: 'auto', text }));
}

// Why there is no candidate to show
function clNothing(cl) {
  const { f, el } = cl, all = cl.data.items.length;
  const none = f.show === 'undecided' ? 'Nothing is left to decide in this list.' : 'No candidate passes these filters.';
  el.nothing.textContent = all ? none : 'Nothing looks wrong: there are no candidates.';
  el.reset.hidden = !all;
}

// The photo as large as the host has it, the thumbnail until it comes; and the next one in advance
async function clLarge(cl, item) {
  const { el } = cl, put = (src, note, done) => {
    el.photo.hidden = !src;
    if (src) el.photo.src = src;
    el.photo.alt = `photo labelled ${item.label}`;
    el.gone.textContent = src ? '' : note;
    el.frame.setAttribute('aria-busy', String(!done));
  };
  const large = cl.large.get(item.id), small = cl.thumbs.get(item.id);
  if (large) put(large.image, large.note, true);
  else put(small ? small.thumb : null, small && small.note ? small.note : 'Loading …', false);
  try {
    const got = large || await clAsk(cl, item.id);
    if (cl.gone || cl.item !== item) return;
    put(got.image, got.note || 'The photo is gone.', true);
    const next = cl.list[(cl.at.get(item.id) || 0) + 1];
    if (next && !cl.large.has(next.id)) clAsk(cl, next.id).catch(() => {});
  } catch (e) {
    if (!cl.gone && cl.item === item) put(small ? small.thumb : null, `The photo can't be shown: ${e.message}`, true);
  }
}

// A large photo, each asked for once; the last forty are kept
function clAsk(cl, id) {
  if (!cl.asked.has(id)) {
    cl.asked.set(id, cl.host.photo(id).then(got => {
      cl.large.set(id, got);
      if (cl.large.size > 40) cl.large.delete(cl.large.keys().next().value);
      return got;
    }).finally(() => cl.asked.delete(id)));
  }
  return cl.asked.get(id);
}

// ---- thumbnails ----

// The page of thumbnails: made anew when others are on it, else only the marks
function clStrip(cl) {
  const { el } = cl, from = cl.page * clPage, items = cl.list.slice(from, from + clPage), ids = items.map(o => o.id).join();
  const held = el.strip.contains(document.activeElement);
  if (ids !== cl.shown) {
    cl.shown = ids;
    cl.tiles = new Map(items.map(item => [item.id, clTile(cl, item)]));
    el.strip.replaceChildren(...[...cl.tiles.values()].map(tile => icEl('li', {}, tile.button)));
  }
  const current = cl.item && cl.tiles.has(cl.item.id) ? cl.item.id : items.length ? items[0].id : null;
  for (const item of items) clMarkTile(cl, item, item.id === current);
  el.pages.hidden = cl.list.length <= clPage;
  el.range.textContent = `${icNum(from + 1)}–${icNum(from + items.length)} of ${icNum(cl.list.length)}`;
  el.earlier.setAttribute('aria-disabled', String(!from));
  el.later.setAttribute('aria-disabled', String(from + clPage >= cl.list.length));
  if (held && current !== null) cl.tiles.get(current).button.focus({ preventScroll: true });
  clThumbs(cl, items.map(o => o.id));
}

function clTile(cl, item) {
  const picture = icEl('span', { class: 'cl-picture' }), mark = icEl('span', { class: 'cl-mark' });
  const click = () => { cl.tell(''); clShow(cl, item); };
  const button = icEl('button', { type: 'button', class: 'cl-tile', title: item.file, 'data-id': item.id, on: { click } }, picture, mark,
    icEl('span', { class: 'cl-line' }, icName(icCut(item.label, 18), { title: item.label })));
  return { button, picture, mark };
}

// Say on a thumbnail what was decided and whether it is the one shown large
function clMarkTile(cl, item, current) {
  const { button, mark } = cl.tiles.get(item.id), decided = cl.marks.get(item.id);
  mark.replaceChildren(...clSaid(decided, true));
  mark.hidden = !decided;
  mark.dataset.mark = decided ? decided.action : 'none';
  button.tabIndex = current ? 0 : -1;
  if (cl.item === item) button.setAttribute('aria-current', 'true'); else button.removeAttribute('aria-current');
  button.setAttribute('aria-label', `${item.file}, labelled ${item.label}, ${clPlain(decided)}`);
}

// Ask for the thumbnails of the page that are not here yet; the last thousand are kept
async function clThumbs(cl, ids) {
  for (const id of ids) if (cl.thumbs.has(id)) clPicture(cl, id);
  const need = ids.filter(id => !cl.thumbs.has(id) && !cl.wanted.has(id));
  if (!need.length) return;
  for (const id of need) cl.wanted.add(id);
  try {
    for (const photo of await cl.host.photos(need)) {
      if (cl.gone) return;
      cl.thumbs.set(photo.id, photo);
      if (cl.thumbs.size > 1000) cl.thumbs.delete(cl.thumbs.keys().next().value);
      clPicture(cl, photo.id);
    }
  } catch (e) {
    if (!cl.gone) cl.error(`The thumbnails can't be shown: ${e.message}`);
  } finally {
    for (const id of need) cl.wanted.delete(id);
  }
}

function clPicture(cl, id) {
  const tile = cl.tiles.get(id), photo = cl.thumbs.get(id);
  if (tile && !tile.picture.firstChild) tile.picture.append(icThumb(photo.thumb, photo.note));
}

// Turn the pages of thumbnails; the photo shown large stays
function clTurn(cl, by) {
  const to = cl.page + by;
  if (to < 0 || to * clPage >= cl.list.length) return;
  cl.page = to;
  clStrip(cl);
}

// ---- windows ----

// Classes that hold the typed text, those that begin with it first; the suggestion in front
function clMatches(cl, text) {
  const plain = s => s.normalize('NFKD').replace(/[\u0300-\u036f]/g, '').toLowerCase(), typed = plain(text.trim()), { item } = cl;
  const rank = c => { const p = plain(c); return p === typed ? 0 : p.startsWith(typed) ? 1 : p.includes(typed) ? 2 : 3; };
  return cl.data.classes.map((c, i) => [rank(c), c === item.suggestion ? 0 : 1, i, c]).filter(o => o[0] < 3 && o[3] !== item.label)
    .sort((a, b) => a[0] - b[0] || a[1] - b[1] || a[2] - b[2]).map(o => o[3]);
}

// Choose a class by typing a part of its name
function clRelabel(cl) {
  const { item } = cl, id = icId('classes');
  let found = [], at = 0;
  const list = icEl('ul', { id, role: 'listbox', 'aria-label': 'classes', class: 'cl-classes' });
  const none = icEl('p', { class: 'cl-none', role: 'status' });
  const input = icEl('input', { type: 'text', role: 'combobox', 'aria-label': 'new label: type a part of its name', 'aria-expanded': 'true',
    'aria-controls': id, 'aria-autocomplete': 'list', autocomplete: 'off', spellcheck: 'false', autofocus: true, placeholder: 'type to find a class' });
  const take = c => { box.close(); if (cl.item === item) clDecide(cl, 'relabel', c); };
  const point = i => {
    at = i;
    [...list.children].forEach((o, k) => o.setAttribute('aria-selected', String(k === i)));
    if (found.length) list.children[i].scrollIntoView({ block: 'nearest' });
    input.setAttribute('aria-activedescendant', found.length ? `${id}-${i}` : '');
  };
  const fill = () => {
    const all = clMatches(cl, input.value);
    found = all.slice(0, 200);
    list.replaceChildren(...found.map((c, k) => icEl('li', { id: `${id}-${k}`, role: 'option', title: c, on: { click: () => take(c) } }, icName(c),
      c === item.suggestion ? icEl('small', { text: ' suggestion' }) : null)));
    list.hidden = !found.length;
    const more = all.length > found.length ? `${icNum(all.length - found.length)} more: type on` : '';
    none.textContent = found.length ? more : 'No other class has this in its name.';
    point(0);
  };
  input.addEventListener('input', fill);
  input.addEventListener('keydown', e => {
    const to = ['ArrowUp', 'ArrowDown'].includes(e.key) ? icMove(e.key, at, found.length, 1) : -1;
    if (to >= 0) { e.preventDefault(); point(to); }
    if (e.key === 'Enter' && !e.isComposing && found.length) { e.preventDefault(); take(found[at]); }
  });
  const now = icEl('p', {}, 'Now: ', icName(icCut(item.label, 60), { title: item.label }));
  const box = icDialog(cl.root, 'Relabel', icEl('div', { class: 'cl-relabel' }, now, input, list, none));
  fill();
  input.focus();
}

// The keys, in a window
function clHelp(cl) {
  const row = ([keys, what]) => icEl('tr', {}, icEl('th', { scope: 'row' }, keys.map(key => icEl('kbd', { text: key }))), icEl('td', { text: what }));
  icDialog(cl.root, 'Keys', icEl('table', { class: 'cl-keys' }, icEl('tbody', {}, clKeys.map(row))));
}

// ---- keys ----

// The letter of a key, also on keyboards whose letters are not Latin
function clLetter(e) { return /^Key[A-Z]$/.test(e.code) && !/^[a-z]$/i.test(e.key) ? e.code[3] : e.key.length === 1 ? e.key.toUpperCase() : e.key; }

// What a key leads to; undefined for keys that are none of ours
function clKey(cl, e) {
  const key = clLetter(e), at = cl.item && cl.at.has(cl.item.id) ? cl.at.get(cl.item.id) : 0, decision = clDecisions.find(d => d[2] === key);
  const columns = cl.el.strip.contains(e.target) && ['ArrowUp', 'ArrowDown'].includes(key) ? clColumns(cl) : 0;
  if (decision && !e.shiftKey) return e.repeat ? () => {} : () => clDo(cl, decision[0]);
  if (columns) return () => clMove(cl, at + (key === 'ArrowDown' ? columns : -columns));
  const to = { ArrowRight: at + 1, L: at + 1, ArrowLeft: at - 1, J: at - 1, Home: 0, End: Infinity }[key];
  if (to !== undefined) return () => clMove(cl, to);
  return { U: () => clDo(cl, e.shiftKey ? 'redo' : 'undo'), Y: () => clDo(cl, 'redo'), '?': () => clHelp(cl),
    PageDown: () => clTurn(cl, 1), PageUp: () => clTurn(cl, -1) }[key];
}

// How many thumbnails stand beside each other
function clColumns(cl) {
  const buttons = [...cl.tiles.values()].map(t => t.button);
  return buttons.filter(b => b.offsetTop === buttons[0].offsetTop).length;
}

// Keys act where nothing is being typed; none of them leaves the cleaner
function clPressed(cl, e) {
  if (cl.root.contains(e.target)) e.stopPropagation();
  else if (e.target !== document.body) return;
  if (e.ctrlKey || e.metaKey || e.altKey || e.defaultPrevented || e.target.closest('input, select, textarea, dialog')) return;
  const act = clKey(cl, e);
  if (!act) return;
  e.preventDefault();
  act();
}

// ---- parts of the page ----

// A button with its key on it
function clButton(cl, text, key, act, attrs) {
  return icEl('button', Object.assign({ type: 'button', 'aria-keyshortcuts': key, on: { click: act } }, attrs), icEl('span', {}, text),
    key ? icEl('kbd', { 'aria-hidden': 'true', text: key }) : null);
}

function clHead(cl) {
  const { el, data } = cl;
  el.count = icEl('span', { class: 'cl-count' });
  el.progress = icEl('progress', { 'aria-label': 'decided', max: Math.max(1, clTotal(cl)) });
  el.undo = clButton(cl, 'Undo', 'U', () => clDo(cl, 'undo'));
  el.redo = clButton(cl, 'Redo', 'Y', () => clDo(cl, 'redo'));
  const save = data.live ? null : clButton(cl, `Download ${data.journal}`, null, async () => {
    try { await cl.host.export(); } catch (e) { cl.error(e.message); }
  }, { class: 'cl-save' });
  const title = icEl('div', { class: 'ic-title' }, icEl('h2', {}, icName(data.title)), data.note ? icEl('p', { class: 'ic-note', text: data.note }) : null);
  return icEl('header', { class: 'ic-head cl-head' }, title,
    icEl('div', { class: 'cl-tools' }, el.progress, el.count, el.undo, el.redo, save, clButton(cl, 'Keys', '?', () => clHelp(cl))));
}

// Counter, undo and redo
function clTop(cl) {
  const n = clDecided(cl), { el } = cl;
  el.count.textContent = `decided ${icNum(n)} of ${icNum(clTotal(cl))}`;
  el.progress.value = n;
  el.undo.setAttribute('aria-disabled', String(!cl.undo));
  el.redo.setAttribute('aria-disabled', String(!cl.redo));
}

function clFilters(cl) {
  const { el } = cl, found = clChoices(cl.data);
  const names = { label: ['Class', 'all classes', v => v], split: ['Split', 'all', v => v || '–'], kind: ['Reason', 'all reasons', clKind] };
  el.filters = {};
  const fields = Object.entries(names).map(([name, [title, all, text]]) => {
    const options = [['', all], ...found[name].map(([v, n], i) => [String(i), `${text(v)} (${icNum(n)})`])];
    const at = found[name].findIndex(([v]) => v === cl.f[name]);
    const field = icSelect(title, options, at < 0 ? '' : at, v => clFilter(cl, name, v === '' ? null : found[name][Number(v)][0]));
    el.filters[name] = field.querySelector('select');
    return field;
  });
  el.segment = icSegment('decided or not', [['all', 'All'], ['undecided', 'Undecided'], ['decided', 'Decided']], cl.f.show, v => clFilter(cl, 'show', v));
  el.bar = icEl('div', { class: 'ic-controls cl-filters', role: 'group', 'aria-label': 'filters' }, fields, el.segment.el);
  return el.bar;
}

// Take all filters off
function clReset(cl) {
  for (const select of Object.values(cl.el.filters)) select.value = '';
  Object.assign(cl.f, { label: null, split: null, kind: null });
  cl.el.segment.set('all');
  clFilter(cl, 'show', 'all');
  cl.root.focus({ preventScroll: true });
}

// The photo, what is known of it, and the buttons
function clMain(cl) {
  const { el } = cl;
  el.photo = icEl('img', { alt: '', decoding: 'async' });
  el.gone = icEl('span', { class: 'cl-gone' });
  el.frame = icEl('div', { class: 'cl-frame' }, el.photo, el.gone);
  el.where = icEl('span', { class: 'cl-where' });
  el.file = icEl('span', { class: 'cl-file' });
  el.label = icName('', { class: 'cl-class' });
  el.suggestion = icName('', { class: 'cl-class cl-suggestion' });
  el.suggested = icEl('div', {}, icEl('dt', { text: 'suggestion' }), icEl('dd', {}, el.suggestion));
  el.split = icEl('p', { class: 'cl-test' });
  el.reasons = icEl('ul', { class: 'cl-reasons', 'aria-label': 'reasons' });
  el.said = icEl('span', { class: 'cl-said' });
  el.take = icEl('span', {});
  const button = ([name, text, key]) => clButton(cl, name === 'take' ? el.take : text, key, () => clDo(cl, name), { 'data-do': name });
  el.buttons = Object.fromEntries(clDecisions.map(d => [d[0], button(d)]));
  const step = (text, name, key, by) => clButton(cl, text, key, () => clMove(cl, (cl.at.get(cl.item.id) || 0) + by),
    { 'aria-label': name, title: name, class: 'cl-step' });
  el.stage = icEl('section', { class: 'cl-stage', 'aria-label': 'candidate' }, el.frame, icEl('div', { class: 'cl-about' },
    icEl('div', { class: 'cl-line-up' }, step('‹', 'photo before', 'J', -1), el.where, step('›', 'next photo', 'L', 1), el.file),
    icEl('dl', { class: 'cl-labels' }, icEl('div', {}, icEl('dt', { text: 'label' }), icEl('dd', {}, el.label)), el.suggested), el.split, el.reasons,
    icEl('p', { class: 'cl-decision' }, 'Decision: ', el.said),
    icEl('div', { class: 'cl-buttons', role: 'group', 'aria-label': 'decide' }, Object.values(el.buttons))));
  el.nothing = icEl('p', {});
  el.reset = icEl('button', { type: 'button', text: 'Show all', on: { click: () => clReset(cl) } });
  el.empty = icEl('section', { class: 'cl-empty', 'aria-label': 'candidate' }, el.nothing, el.reset);
  return [el.stage, el.empty];
}

function clBottom(cl) {
  const { el } = cl;
  el.strip = icEl('ul', { class: 'cl-strip', 'aria-label': 'candidates' });
  el.earlier = icEl('button', { type: 'button', text: '‹', 'aria-label': 'thumbnails before', on: { click: () => clTurn(cl, -1) } });
  el.later = icEl('button', { type: 'button', text: '›', 'aria-label': 'thumbnails after', on: { click: () => clTurn(cl, 1) } });
  el.range = icEl('span', {});
  el.pages = icEl('div', { class: 'cl-pages' }, el.earlier, el.range, el.later);
  const how = cl.data.live ? ['Every decision is written at once to ', icName(cl.data.journal), '; the photos stay as they are.']
    : ['Decisions stay in this browser. Download ', icName(cl.data.journal), ...cl.data.command
      ? [' and run ', icEl('code', { text: cl.data.command }), '.'] : ['; in a notebook, apply_decisions applies it.']];
  return [el.pages, el.strip, icEl('p', { class: 'cl-foot' }, how)];
}

// ---- all of it ----

// Take over what the host says now: decisions made elsewhere, and candidates that did not fit into a widget's state
function clUpdate(cl, data) {
  const { el, item } = cl, more = data.items.length !== cl.data.items.length;
  cl.data = { ...data, items: data.items.map(o => cl.byId.get(o.id) || o) }; // what is shown is told by its object
  cl.byId = new Map(cl.data.items.map(o => [o.id, o]));
  if (more) el.bar.replaceWith(clFilters(cl));
  el.progress.max = Math.max(1, clTotal(cl));
  clTake(cl, data);
  clList(cl);
  clShow(cl, item && cl.at.has(item.id) ? item : clNext(cl, -1) || cl.list[0] || null);
}

function imgclsCleaner(root, data, host) {
  icRoot(root, 'ic-cleaner');
  const cl = { root, data, host, el: {}, f: { label: null, split: null, kind: null, show: 'all' }, byId: new Map(data.items.map(o => [o.id, o])),
    places: new Map(), tiles: new Map(), thumbs: new Map(), wanted: new Set(), large: new Map(), asked: new Map(),
    shown: null, page: 0, busy: false, gone: false };
  const bag = icBag(), { el } = cl;
  clTake(cl, data);
  for (const photo of data.thumbs || []) cl.thumbs.set(photo.id, photo);
  el.message = icEl('p', { class: 'cl-message', role: 'status' });
  el.error = icEl('p', { class: 'ic-error', role: 'alert', hidden: true });
  cl.tell = (...nodes) => el.message.replaceChildren(...nodes);
  cl.error = text => { el.error.textContent = text; el.error.hidden = !text; };
  root.tabIndex = -1;
  root.append(clHead(cl), clFilters(cl), ...clMain(cl), el.message, el.error, ...clBottom(cl));
  cl.speak = icLive(root);
  bag.on(data.live ? root : document, 'keydown', e => clPressed(cl, e));
  clList(cl);
  clShow(cl, clNext(cl, -1) || cl.list[0] || null);
  return { update: now => clUpdate(cl, now), destroy() { cl.gone = true; bag.clear(); root.replaceChildren(); } };
}

// ---- the host of a page that stands alone ----

// What is in force after the rows of a journal [time, photo, sha256, old, new, reason, action]: undo takes back the last row, redo brings it again
function clReplay(rows) {
  const done = [], undone = [];
  for (const row of rows) {
    if (row[6] === 'undo') { if (done.length) undone.push(done.pop()); }
    else if (row[6] === 'redo') { if (undone.length) done.push(undone.pop()); }
    else { done.push(row); undone.length = 0; }
  }
  return { done, undone };
}

// A text on one line, as Python writes it into a journal
function clFlat(text) { return text.replace(/\r/g, '␍').replace(/\n/g, '␊').replace(/\0/g, '␀'); }

// A field of a CSV file, as Python writes it
function clField(text) {
  const safe = /^'*[=+\-@\t\r\n＝＋－＠]/.test(text) ? `'${text}` : text; // no spreadsheet takes it for a formula
  return /[",\r\n]/.test(safe) ? `"${safe.replace(/"/g, '""')}"` : safe;
}

// The cleaner's host for a page without a kernel; decisions are kept by the browser.
// inside: data, thumbs, missing, photos [[path, sha256], …], rows (the journal so far), columns, key
function clFileHost(inside) {
  const { data, key } = inside;
  const photo = id => ({ id, thumb: icJpeg(inside.thumbs[id]), file: data.items[id].file, note: inside.thumbs[id] ? '' : inside.missing });
  const about = data.items.map((item, id) => `${inside.photos[id][1]} ${clFlat(item.label)}`), aboutOf = row => `${row[2]} ${row[3]}`;
  let mine = [], kept = true;
  const load = () => { // another window may have decided meanwhile
    try { if (kept) mine = JSON.parse(localStorage.getItem(key)) || []; } catch { kept = false; }
    return [...inside.rows, ...mine];
  };
  const state = last => {
    const { done, undone } = clReplay(load()), of = new Map(done.map(row => [aboutOf(row), row])), decisions = {};
    about.forEach((photo, id) => { if (of.has(photo)) decisions[id] = { action: of.get(photo)[6], new: of.get(photo)[4] }; });
    const id = last ? about.indexOf(aboutOf(last)) : -1;
    const message = kept ? '' : 'This browser keeps nothing for this page: download before you close it.';
    return { decisions, undo: done.length, redo: undone.length, last: id < 0 ? null : id, message };
  };
  const write = (action, row) => {
    load();
    const now = new Date(), here = new Date(now - now.getTimezoneOffset() * 60000); // the clock on the wall, as Python writes it
    mine.push([here.toISOString().slice(0, 19), ...row.slice(1, 6).map(clFlat), action]);
    try { if (kept) localStorage.setItem(key, JSON.stringify(mine)); } catch (e) {
      if (e.name !== 'QuotaExceededError') kept = false;
      else { mine.pop(); throw new Error('this browser has no room left; download and clear what other pages keep'); }
    }
    return state(row);
  };
  const back = (action, from) => {
    const rows = clReplay(load())[from];
    return rows.length ? write(action, rows[rows.length - 1]) : state(null);
  };
  Object.assign(data, state(null));
  return {
    async photos(ids) { return ids.map(photo); },
    async photo(id) { const { thumb, note } = photo(id); return { image: thumb, note }; },
    async decide(id, action, to) {
      const { label, reasons } = data.items[id], [path, sha] = inside.photos[id];
      return write(action, ['', path, sha, label, to, reasons.map(r => r.kind).join(' ')]);
    },
    async undo() { return back('undo', 'done'); },
    async redo() { return back('redo', 'undone'); },
    async export() {
      const text = [inside.columns, ...load()].map(row => row.map(clField).join(',') + '\n').join('');
      icDownload(data.journal, new Blob([text], { type: 'text/csv' }));
    },
  };
}
