// Parts that the explorer and the cleaner share. Plain scripts, no modules: every name starts with `ic`.
// IC_PALETTE is palette.json, which `imgcls.explorer.page.static` puts in front; no colour stands in a script.
// Text from files reaches the page as text nodes and attributes only, never as HTML.

// ---- elements ----

// Make an element; attrs: class, text, on: {event: fn}, style: {name: value}, prop: {name: value}, anything else is an attribute
function icEl(tag, attrs, ...children) {
  const el = tag === 'svg' || (attrs && attrs.svg) ? document.createElementNS('http://www.w3.org/2000/svg', tag) : document.createElement(tag);
  for (const [k, v] of Object.entries(attrs || {})) {
    if (v === null || v === undefined || v === false || k === 'svg') continue;
    if (k === 'text') el.textContent = v;
    else if (k === 'on') for (const [type, fn] of Object.entries(v)) el.addEventListener(type, fn);
    else if (k === 'style') for (const [name, value] of Object.entries(v)) el.style.setProperty(name, value);
    else if (k === 'prop') Object.assign(el, v);
    else el.setAttribute(k, v === true ? '' : v);
  }
  for (const child of children.flat()) if (child !== null && child !== undefined && child !== false) el.append(child);
  return el;
}

// An id that no other element on the page has, so that two widgets never collide
function icId(prefix) {
  icId.next = (icId.next || 0) + 1;
  return `ic-${prefix}-${icId.next}-${Math.random().toString(36).slice(2, 7)}`;
}

// A small grey line
function icNote(text, attrs) { return icEl('p', { class: 'ic-note', text, ...attrs }); }

// A name from a file (class, photo, run) in its own direction of writing
function icName(text, attrs) {
  return icEl('bdi', Object.assign({ dir: 'auto', text, class: 'ic-name' }, attrs));
}

// Empty root and make it a card; keys pressed inside no longer reach JupyterLab's shortcuts (`d d` would delete the cell)
function icRoot(root, name) {
  root.replaceChildren();
  root.classList.add('imgcls', name);
  root.setAttribute('data-lm-suppress-shortcuts', 'true');
  return root;
}

// Remember listeners, timers and observers, to remove them all at once with clear()
function icBag() {
  const undo = [];
  return {
    on(target, type, fn, opts) { target.addEventListener(type, fn, opts); undo.push(() => target.removeEventListener(type, fn, opts)); },
    add(fn) { undo.push(fn); },
    clear() { while (undo.length) undo.pop()(); },
  };
}

// ---- data and text ----

// Bytes of a base64 text
function icBytes(b64) {
  const s = atob(b64), out = new Uint8Array(s.length);
  for (let i = 0; i < s.length; i++) out[i] = s.charCodeAt(i);
  return out;
}

// 16-bit unsigned numbers, little-endian as every browser's machine is, of a base64 text (a Uint16Array passes as it is)
function icU16(b64) {
  if (b64 instanceof Uint16Array) return b64;
  const bytes = icBytes(b64);
  return new Uint16Array(bytes.buffer, 0, bytes.length >> 1);
}

// Likewise 32-bit numbers
function icU32(b64) { return new Uint32Array(icBytes(b64).buffer); }

// '12.3 %'; a dash where there is no figure
function icPct(x, digits = 1) { return Number.isFinite(x) ? `${(100 * x).toFixed(digits)} %` : '–'; }

// '12,345'
function icNum(n) { return Number.isFinite(n) ? n.toLocaleString('en-US') : '–'; }

// '1 photo', '2,000 photos', '2 classes'
function icPlural(n, word, words) { return `${icNum(n)} ${n === 1 ? word : words || word + 's'}`; }

// Wilson's interval of a share p of n independent photos, t standard errors wide
function icWide(p, n, t) {
  const mid = p + t * t / (2 * n), half = t * Math.sqrt(p * (1 - p) / n + t * t / (4 * n * n));
  return [p === 0 ? 0 : (mid - half) / (1 + t * t / n), p === 1 ? 1 : (mid + half) / (1 + t * t / n)];
}

// Wilson's 95 % interval of k out of n
function icWilson(k, n) { return n ? icWide(k / n, n, 1.959963985) : [NaN, NaN]; }

// '79.8–88.0 %'
function icRange([lo, hi]) { return Number.isFinite(lo) ? `${(100 * lo).toFixed(1)}–${(100 * hi).toFixed(1)} %` : '–'; }

// Cut a long text in the middle, so that the end of a file name stays readable
function icCut(text, max = 28) {
  const chars = Array.from(text);
  if (chars.length <= max) return text;
  const head = Math.ceil((max - 1) / 2);
  return chars.slice(0, head).join('') + '…' + chars.slice(chars.length - (max - 1 - head)).join('');
}

// CSV text of rows; a text that a spreadsheet would run as a formula gets an apostrophe in front
function icCsv(rows) {
  const cell = v => {
    if (typeof v === 'number') return Number.isFinite(v) ? String(v) : '';
    const s = /^'*[=+\-@\t\r\n＝＋－＠]/.test(v) ? "'" + v : String(v);
    return /[",\r\n]/.test(s) ? '"' + s.replace(/"/g, '""') + '"' : s;
  };
  return rows.map(row => row.map(cell).join(',')).join('\r\n') + '\r\n';
}

// Offer a Blob as a file to save
function icDownload(name, blob) {
  const url = URL.createObjectURL(blob), a = icEl('a', { href: url, download: name, hidden: true });
  document.body.append(a);
  a.click();
  a.remove();
  setTimeout(() => URL.revokeObjectURL(url), 10000);
}

// ---- what the program says ----

// Show in root that work goes on; the next replaceChildren removes it
function icBusy(root, text) { root.replaceChildren(icEl('p', { class: 'ic-busy', role: 'status', text: text || 'Loading …' })); }

// Show a failure in root, as text
function icError(root, text) { root.replaceChildren(icEl('p', { class: 'ic-error', role: 'alert', text })); }

// A hidden line that screen readers speak; returns say(text)
function icLive(root) {
  const el = icEl('div', { class: 'ic-hidden', 'aria-live': 'polite' });
  root.append(el);
  return text => { el.textContent = text; };
}

// ---- controls ----

// A button that calls fn
function icButton(text, fn, attrs, ...children) {
  return icEl('button', { type: 'button', text, on: { click: fn }, ...attrs }, ...children);
}

// A labelled drop-down; options [[value, text], …]; pick(value) is called with the text value
function icSelect(label, options, value, pick) {
  const select = icEl('select', { on: { change: () => pick(select.value) } });
  icOptions(select, options, value);
  return icEl('label', { class: 'ic-field' }, icEl('span', { text: label }), select);
}

// Fill a drop-down anew
function icOptions(select, options, value) {
  select.replaceChildren(...options.map(([v, text]) => icEl('option', { value: v, text: icCut(String(text), 60), title: text, dir: 'auto' })));
  select.value = String(value);
}

// Buttons of which one is pressed; options [[value, text, title], …]; returns {el, set(value)}
function icSegment(label, options, value, pick) {
  const buttons = options.map(([v, text, title]) => icButton(text, () => { set(v); pick(v); }, { title, 'data-value': v }));
  const set = v => buttons.forEach((b, i) => b.setAttribute('aria-pressed', String(options[i][0] === v)));
  set(value);
  return { el: icEl('div', { class: 'ic-segment', role: 'group', 'aria-label': label }, buttons), set };
}

// Tabs, names {name: text}, the arrows move; open(name) is called. Returns {el: nodes, panels: {name: node}, set(name, {name: hidden})}
function icTabs(label, names, open) {
  const id = icId('tab'), tabs = {}, panels = {};
  for (const [name, text] of Object.entries(names)) {
    tabs[name] = icButton(text, () => open(name), { role: 'tab', id: `${id}-${name}`, 'aria-controls': `${id}-${name}-panel` });
    panels[name] = icEl('div', { role: 'tabpanel', id: `${id}-${name}-panel`, class: 'ic-panel', 'aria-labelledby': `${id}-${name}`, tabindex: 0 });
  }
  const bar = icEl('div', { class: 'ic-tabs', role: 'tablist', 'aria-label': label, on: { keydown: event => {
    const there = Object.values(tabs).filter(tab => !tab.hidden), to = icMove(event.key, there.indexOf(event.target), there.length, 1);
    if (to < 0) return;
    event.preventDefault();
    there[to].click();
    there[to].focus();
  } } }, Object.values(tabs));
  const set = (chosen, hidden = {}) => {
    for (const name of Object.keys(names)) {
      tabs[name].setAttribute('aria-selected', String(name === chosen));
      tabs[name].tabIndex = name === chosen ? 0 : -1;
      tabs[name].hidden = Boolean(hidden[name]);
      panels[name].hidden = name !== chosen;
    }
  };
  return { el: [bar, ...Object.values(panels)], panels, set };
}

// Where an arrow, Home or End key leads from item i of a grid `columns` wide with n items; -1 for other keys
function icMove(key, i, n, columns) {
  const to = { ArrowLeft: i - 1, ArrowRight: i + 1, ArrowUp: i - columns, ArrowDown: i + columns, Home: 0, End: n - 1 }[key];
  return to === undefined ? -1 : to < 0 || to >= n ? i : to;
}

// A table cell with a figure
function icFigure(text) { return icEl('td', { class: 'ic-figure', text }); }

// A table: the first column words, the others figures
function icTable(heads, rows) {
  const head = heads.map((text, i) => icEl('th', { scope: 'col', class: i ? 'ic-figure' : '', text }));
  return icEl('table', { class: 'ic-table' }, icEl('thead', {}, icEl('tr', {}, head)), icEl('tbody', {}, rows));
}

// ---- photos ----

// A thumbnail, or a grey field that says why there is none
function icThumb(src, note) {
  if (src) return icEl('img', { class: 'ic-thumb', src, alt: '', decoding: 'async' });
  return icEl('span', { class: 'ic-thumb ic-gone', text: note || 'photo is gone' });
}

// A grid of photos [{id, thumb, file, note}] in root, one tab stop, arrows move; opts: open(photo, index), lines(photo) -> [text or node], label.
// Returns {el, add(photos), focus(index), photos}
function icGallery(root, photos, opts) {
  const shown = [], buttons = [];
  const el = icEl('ul', { class: 'ic-gallery', 'aria-label': opts.label || 'photos' });
  const focus = i => {
    if (!buttons[i]) return;
    buttons.forEach((b, k) => { b.tabIndex = k === i ? 0 : -1; });
    buttons[i].focus();
  };
  const columns = () => buttons.filter(b => b.offsetTop === buttons[0].offsetTop).length;
  const tile = (photo, i) => {
    const lines = opts.lines ? opts.lines(photo) : [];
    const button = icEl('button', { type: 'button', class: 'ic-tile', title: photo.file, 'data-id': photo.id, on: { click: () => opts.open(photo, i) } },
      icThumb(photo.thumb, photo.note), lines.map(line => icEl('span', { class: 'ic-line' }, line)),
      icEl('span', { class: 'ic-line ic-file' }, icName(icCut(photo.file.split('/').pop(), 18))));
    button.tabIndex = i ? -1 : 0;
    buttons.push(button);
    return icEl('li', {}, button);
  };
  const add = more => {
    el.append(...more.map((photo, k) => tile(photo, shown.length + k)));
    shown.push(...more);
  };
  el.addEventListener('keydown', event => {
    const i = buttons.indexOf(event.target), to = i < 0 ? -1 : icMove(event.key, i, buttons.length, columns());
    if (to < 0) return;
    event.preventDefault();
    event.stopPropagation();
    focus(to);
  });
  add(photos);
  root.append(el);
  return { el, add, focus, photos: shown };
}

// Photos in pages of 24 in box, more on demand; fetch(ids) gives them; opts: label, lines, open(photo, index, gallery)
function icPages(box, ids, fetch, opts) {
  const holder = icEl('div'), status = icEl('div'), more = icButton('', () => next(true), { class: 'ic-more', hidden: true });
  let shown = 0, gallery = null;
  const show = photos => {
    if (gallery) gallery.add(photos);
    else gallery = icGallery(holder, photos, { ...opts, open: (photo, i) => opts.open(photo, i, gallery) });
    shown += photos.length;
    status.replaceChildren();
    more.hidden = shown >= ids.length;
    more.textContent = `show more (${icNum(ids.length - shown)} left)`;
  };
  const next = async asked => {
    const part = Array.from(ids.slice(shown, shown + 24)), back = asked && document.activeElement === more;
    more.disabled = true;
    icBusy(status, 'Loading photos …');
    try {
      const photos = new Map((await fetch(part)).map(p => [p.id, p]));
      if (!holder.isConnected) return;
      show(part.map(id => photos.get(id) || { id, thumb: null, file: '', note: 'no photo came' }));
      if (back) gallery.focus(shown - part.length);
    } catch (error) {
      icError(status, error.message);
      more.textContent = 'try again';
      more.hidden = false;
    }
    more.disabled = false;
  };
  box.append(holder, status, more);
  if (ids.length) next(false);
}

// A window over the page with a title and a node in it: Esc closes, the focus goes back to where it was; opts: close(), key(event).
// Returns {el, title(text), close()}
function icDialog(root, title, node, opts = {}) {
  const before = document.activeElement, id = icId('dialog');
  const head = icEl('h3', { id, dir: 'auto', text: title });
  const shut = icEl('button', { type: 'button', class: 'ic-close', 'aria-label': 'close', title: 'close (Esc)', text: '×', on: { click: () => el.close() } });
  const el = icEl('dialog', { class: 'ic-dialog', 'aria-labelledby': id }, icEl('div', { class: 'ic-dialog-head' }, head, shut), node);
  el.addEventListener('keydown', event => { event.stopPropagation(); if (opts.key) opts.key(event); });
  el.addEventListener('click', event => { if (event.target === el) el.close(); });
  el.addEventListener('close', () => {
    el.remove();
    if (opts.close) opts.close();
    else if (before && before.isConnected) before.focus();
  });
  root.append(el);
  el.showModal();
  return { el, title: text => { head.textContent = text; }, close: () => el.close() };
}

// ---- drawing ----

// 101 colours between the stops, each with the ink that reads better on it
function icRamp(stops) {
  const rgb = stops.map(s => [1, 3, 5].map(i => parseInt(s.slice(i, i + 2), 16)));
  const light = v => v <= 10.3 ? v / 3295 : ((v / 255 + 0.055) / 1.055) ** 2.4;
  return Array.from({ length: 101 }, (_, i) => {
    const x = i / 100 * (rgb.length - 1), k = Math.min(rgb.length - 2, Math.floor(x));
    const c = rgb[k].map((v, j) => Math.round(v + (rgb[k + 1][j] - v) * (x - k)));
    const L = 0.2126 * light(c[0]) + 0.7152 * light(c[1]) + 0.0722 * light(c[2]);
    return { css: `rgb(${c.join(',')})`, ink: L > 0.179 ? 'black' : 'white' };
  });
}

// Painter on a canvas; coordinates in CSS pixels
function icCanvasPainter(ctx) {
  let font = 0;
  ctx.textBaseline = 'middle';
  ctx.direction = 'ltr';
  const write = (text, x, y) => ctx.fillText(text, x, y);
  return {
    rect(x, y, w, h, fill) { ctx.fillStyle = fill; ctx.fillRect(x, y, w, h); },
    clip(x, y, w, h) { ctx.save(); ctx.beginPath(); ctx.rect(x, y, w, h); ctx.clip(); },
    unclip() { ctx.restore(); font = 0; },
    text(text, x, y, size, fill, align, turned) {
      if (size !== font) ctx.font = `${font = size}px system-ui, sans-serif`;
      ctx.fillStyle = fill;
      ctx.textAlign = align;
      if (!turned) return write(text, x, y);
      ctx.save();
      ctx.translate(x, y);
      ctx.rotate(-Math.PI / 2);
      write(text, 0, 0);
      ctx.restore();
    },
  };
}

// Painter that collects SVG; text is escaped and stays text
function icSvgPainter() {
  const out = [], anchor = { left: 'start', center: 'middle', right: 'end' };
  const safe = s => s.replace(/[&<>"']/g, c => `&#${c.charCodeAt(0)};`).replace(/[\u0000-\u0008\u000b-\u001f\ufffe\uffff]/g, '\ufffd');
  return {
    out,
    rect(x, y, w, h, fill) { out.push(`<rect x="${x}" y="${y}" width="${w}" height="${h}" fill="${fill}"/>`); },
    clip() {},
    unclip() {},
    text(text, x, y, size, fill, align, turned) {
      const turn = turned ? ` transform="rotate(-90 ${x} ${y})"` : '';
      const how = `font-size="${size}" fill="${fill}" text-anchor="${anchor[align]}" dominant-baseline="central"${turn}`;
      out.push(`<text x="${x}" y="${y}" ${how}>${safe(text)}</text>`);
    },
  };
}

// Size a canvas for the screen's pixels and clear it
function icCanvas(canvas, width, height) {
  const dpr = window.devicePixelRatio || 1, ctx = canvas.getContext('2d');
  canvas.width = Math.round(width * dpr);
  canvas.height = Math.round(height * dpr);
  canvas.style.width = `${width}px`;
  canvas.style.height = `${height}px`;
  ctx.scale(dpr, dpr);
  ctx.fillStyle = IC_PALETTE.colours.paper;
  ctx.fillRect(0, 0, width, height);
  return ctx;
}

// Width of a text in pixels, measured on a canvas of its own
function icMeasure() {
  const ctx = document.createElement('canvas').getContext('2d');
  return (text, size) => { ctx.font = `${size}px system-ui, sans-serif`; return ctx.measureText(text.slice(0, 80)).width; };
}

// Precision-recall curve as SVG; returns {el, mark(threshold)}
function icCurve(precision, recall) {
  const node = (tag, attrs, text) => icEl(tag, Object.assign({ svg: true, text }, attrs)), X = r => 40 + 250 * r, Y = p => 160 - 145 * p;
  const { colours } = IC_PALETTE;
  const el = node('svg', { viewBox: '0 0 312 200', class: 'ic-pr', role: 'img', 'aria-label': 'precision-recall curve' });
  for (const v of [0, 0.5, 1]) {
    const line = at => node('line', { stroke: colours.line, ...at }), label = at => node('text', at, `${100 * v} %`);
    el.append(line({ x1: 40, x2: 290, y1: Y(v), y2: Y(v) }), label({ x: 34, y: Y(v) + 4, 'text-anchor': 'end' }));
    el.append(line({ x1: X(v), x2: X(v), y1: 15, y2: 160 }), label({ x: X(v), y: 175, 'text-anchor': 'middle' }));
  }
  const points = recall.map((r, t) => [r, precision[t]]).filter(([r, p]) => Number.isFinite(p) && Number.isFinite(r));
  const path = points.map(([r, p]) => `${X(r).toFixed(1)},${Y(p).toFixed(1)}`).join(' ');
  el.append(node('polyline', { points: path, fill: 'none', stroke: colours.accent, 'stroke-width': 2 }));
  const dot = node('circle', { r: 5, fill: colours.wrong, stroke: colours.paper, 'stroke-width': 1.5 });
  el.append(node('text', { x: 165, y: 194, 'text-anchor': 'middle' }, 'recall'), node('text', { x: 44, y: 11 }, 'precision'), dot);
  const mark = t => {
    const there = Number.isFinite(precision[t]) && Number.isFinite(recall[t]);
    dot.setAttribute('visibility', there ? 'visible' : 'hidden');
    if (there) { dot.setAttribute('cx', X(recall[t])); dot.setAttribute('cy', Y(precision[t])); }
    el.setAttribute('aria-label', `precision-recall curve; at ${t} %: precision ${icPct(precision[t])}, recall ${icPct(recall[t])}`);
  };
  return { el, mark };
}
