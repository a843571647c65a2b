// The shells: a page that stands alone, and anywidget. There questions go to the kernel as messages and
// replies come back. What the page asks first travels with the widget's state, so it is drawn while the
// kernel is busy with the next cells, and where there is none.
import { html, render } from 'lit-html';
import { failure, messageOf } from './parts.js';

const AGAIN = globalThis.document?.body.dataset.voila ? 'Reload this page' : 'Run the cell again';
const LOST = `This view has lost its kernel. ${AGAIN}; decisions are kept.`;
const BUSY = 'Waiting for the cell that is running …';
const OFFLINE = 'Waiting for the connection to Jupyter …';
const SILENT = 'No answer yet. If a cell is running, the answer comes after it; '
  + 'if none is, run this cell again.';
const GONE = ['dead', 'terminating', 'restarting', 'autorestarting'];

/** A host whose every method asks the kernel: host.photos(ids) sends {id, call: 'photos', args: [ids]}. A
 * busy kernel is waited for. Where it is gone, or has answered others since and not this question, the
 * question is lost: it is asked again, with the same id, by retry() or with the next one. tell(text, lost)
 * says what is waited for.
 * @type {(model: Model, tell: (text: string, lost?: boolean) => void) => { host: any, retry: () => void,
 *   close: () => void, ask: (call: string, args: unknown[], quiet?: boolean) => Promise<any> }} */
export function kernelHost(model, tell) {
  /** @type {(...asked: [call: string, args: unknown[]]) => string} */
  const key = (...asked) => JSON.stringify(asked);
  /** @type {[string, unknown[], unknown][]} */
  const first = model.get('first') || [];
  const known = new Map(first.map(([call, args, answer]) => [key(call, args), answer]));
  const manager = model.widget_manager || {}; // its `kernel`: null without one, undefined where it is hidden
  const mine = Math.random().toString(36).slice(2);
  /** @type {Map<string, Question>} */
  const waiting = new Map();
  let next = 0, sent = 0, clock = 0, probe = '', lost = false, tried = '';

  /** @type {(id: string, question: Question) => void} */
  function send(id, question) {
    const { call, args } = question;
    Object.assign(question, { number: sent++, since: Date.now(), state: '' });
    /** @type {Status} */
    const status = msg => { question.state = msg.content.execution_state; }; // 'busy' while it is answered
    try { model.send({ id, call, args }, { iopub: { status } }); } catch { lose(); }
  }

  const stop = () => { clearInterval(clock); clock = 0; };
  const loud = () => [...waiting.values()].filter(question => !question.quiet);

  function lose() {
    stop();
    [lost, tried] = [true, ''];
    tell(loud().length ? LOST : '', loud().length > 0);
  }

  /** Ask again what was lost. */
  function retry() {
    lost = false;
    tell(tried = 'Connecting …');
    clock ||= window.setInterval(look, 500);
    for (const [id, question] of waiting) if (!lost) send(id, question);
  }

  /** Is the kernel busy? A question that it answers after the cells that wait. (Its `status` won't do:
   * JupyterLab takes it from any message, also from those that are answered beside a running cell.)
   * @type {(kernel: Kernel) => Promise<void>} */
  async function seeWhetherFree(kernel) {
    const before = sent;
    probe = 'sent';
    try {
      await kernel.requestCommInfo({ target_name: 'imgcls' });
      probe = 'answered';
      await new Promise(done => setTimeout(done, 1000 * model.get('patience')));
      if ([...waiting.values()].some(q => (q.number ?? 0) < before && q.state !== 'busy')) lose();
    } catch { if (waiting.size) lose(); }
    probe = '';
  }

  /** Twice a second, while a question waits: say why, or that it is lost. */
  function look() {
    const { kernel } = manager, now = Date.now(), some = loud();
    /** @type {(some: Question[], time: number) => boolean} */
    const since = (some, time) => some.some(q => now - (q.since ?? now) >= time);
    if (kernel === null || (kernel && GONE.includes(kernel.status))) return lose();
    if (kernel && !probe && since([...waiting.values()], 1000)) seeWhetherFree(kernel);
    if (!kernel) return since(some, 30000) ? tell(SILENT, true) : tell(tried);
    const offline = (kernel.connectionStatus || 'connected') !== 'connected';
    const busy = probe === 'sent' && some.some(q => q.state !== 'busy');
    return tell(!since(some, 1000) ? tried : offline ? OFFLINE : busy ? BUSY : tried);
  }

  /** @type {(msg: { id: string, result?: unknown, error?: string }) => void} */
  const heard = ({ id, result, error }) => {
    const question = waiting.get(id);
    if (!waiting.delete(id) || !question) return;
    if (error === undefined) question.resolve(result); else question.reject(new Error(error));
    tried = '';
    if (!waiting.size) { stop(); tell(''); }
  };
  model.on('msg:custom', heard);
  /** @type {(call: string, args: unknown[], quiet?: boolean) => Promise<any>} */
  const ask = async (call, args, quiet = false) => {
    const k = key(call, args);
    /** @type {(resolve: (answer: unknown) => void, reject: (error: Error) => void) => void} */
    const wait = (resolve, reject) => {
      const id = `${mine}-${next++}`, question = { call, args, quiet, resolve, reject };
      waiting.set(id, question);
      if (lost) return retry();
      clock ||= window.setInterval(look, 500);
      return send(id, question);
    };
    const answer = known.has(k) ? known.get(k) : await new Promise(wait);
    known.delete(k); // who asks again wants to know what it is now
    return answer;
  };
  /** @type {(_: unknown, call: string | symbol) => (...args: unknown[]) => Promise<any>} */
  const method = (_, call) => (...args) => ask(String(call), args);
  const close = () => { model.off('msg:custom', heard); waiting.clear(); stop(); };
  return { host: new Proxy({}, { get: method }), ask, retry, close };
}

/** The newest widget on this page of each thing that widgets show.
 * @type {Map<string, Model>} */
const newest = /** @type {any} */ (globalThis)[Symbol.for('imgcls')] ??= new Map();

/** A view of `model`, which takes the place of what is in `box`. A page with `update` learns what has changed
 * since the widget's state was made. Returns retry() and end().
 * @type {(show: Show, model: Model, box: HTMLElement, tell: (text: string, lost?: boolean) => void) =>
 *   { retry: () => void, end: () => void }} */
function view(show, model, box, tell) {
  const root = document.createElement('div'), { host, ask, retry, close } = kernelHost(model, tell);
  root.className = 'imgcls';
  box.replaceChildren(root);
  const page = ask('start', []).then(data => show(root, data, host));
  page.then(({ update }) => update && ask('start', [], true).then(update, () => {}),
    error => render(failure(messageOf(error)), root));
  return { retry, end: () => { close(); page.then(({ destroy }) => destroy(), () => {}); } };
}

/** What anywidget calls: `show(root, data, host)` draws what the kernel or the widget's state says there is.
 * A view that has lost its kernel has a button: it asks again, or becomes a view of the widget that the cell
 * has made since. Where the widget lives, the picture of it for saved notebooks is hidden.
 * @type {(show: Show) => {
 *   initialize: (widget: { model: Model }) => void,
 *   render: (widget: { model: Model, el: HTMLElement }) => () => void }} */
export const widget = show => ({
  initialize({ model }) { newest.set(model.get('shows')[0], model); },
  render({ model, el }) {
    const [what, id] = model.get('shows'), still = `.ic-still-${id}`;
    el.classList.add('ic-live');
    render(html`<div></div><p class="imgcls ic-wait" role="status" hidden></p>
      <style>${still}, .jp-OutputArea-child:has(${still}) { display: none; }</style>`, el);
    const [box, line] = /** @type {HTMLElement[]} */ ([...el.children]);
    let shown = model;
    const reconnect = () => {
      const now = newest.get(what) || model;
      if (now.get('shows')[1] === shown.get('shows')[1]) return current.retry();
      current.end();
      tell('');
      current = view(show, shown = now, box, tell);
    };
    /** @type {(text: string, lost?: boolean) => void} */
    const tell = (text, lost) => {
      const before = line.textContent;
      render(lost ? html`${text} <button type="button" @click=${reconnect}>Reconnect</button>` : text, line);
      line.hidden = !text;
      if (lost && line.textContent !== before) line.scrollIntoView({ block: 'nearest' });
    };
    let current = view(show, model, box, tell);
    return () => current.end();
  },
});

/**
 * What a page calls to begin: draw in the element called `name` what its JSON says, with a host made from it.
 * @type {(show: Show, host: (inside: any) => any) => (name: string) => void}
 */
export const opener = (show, host) => name => {
  const inside = JSON.parse(document.getElementById(`${name}-data`)?.textContent || '');
  show(/** @type {HTMLElement} */ (document.getElementById(name)), inside.data, host(inside));
};
