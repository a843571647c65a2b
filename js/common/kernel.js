// The shell for anywidget: questions go to the kernel as messages and replies come back. What the page asks
// first travels with the widget's state, so it is drawn while the kernel is busy with the next cells, and
// where there is none.
import { html, render } from 'lit-html';
import { failure, messageOf } from './parts.js';

const LOST = 'This view has lost its kernel, which was restarted or stopped. '
  + 'Run the cell again; decisions are kept.';
const BUSY = 'Waiting for the cell that is running …';
const OFFLINE = 'Waiting for the connection to Jupyter …';
const SILENT = 'No answer yet. If a cell is running, the answer comes after it; '
  + 'if none is, run this cell again.';
const GONE = ['dead', 'terminating', 'restarting', 'autorestarting'];

/** The questions that wait for an answer. */
class Questions {
  /** @param {(text: string) => void} tell  says what is waited for @param {() => void} look  sees why it
   *   takes so long */
  constructor(tell, look) {
    /** @type {Map<string, Question>} */
    this.waiting = new Map();
    this.mine = Math.random().toString(36).slice(2);
    this.next = 0;
    this.clock = 0;
    this.tell = tell;
    this.look = look;
  }

  /** Ask with send(id, status); resolves with the answer.
   * @type {(quiet: boolean, send: (id: string, status: Status) => void) => Promise<any>} */
  ask(quiet, send) {
    return new Promise((resolve, reject) => {
      const number = this.next++, id = `${this.mine}-${number}`;
      /** @type {Question} */
      const question = { resolve, reject, quiet, number, since: Date.now(), state: '' };
      this.waiting.set(id, question);
      this.clock ||= window.setInterval(this.look, 500);
      /** @type {Status} */
      const heard = msg => { question.state = msg.content.execution_state; }; // 'busy' while it is answered
      try { send(id, heard); } catch { this.settle(id, new Error(LOST)); }
    });
  }

  /** An answer, or an Error, has come. @type {(id: string, answer: unknown) => void} */
  settle(id, answer) {
    const question = this.waiting.get(id);
    if (!question) return;
    this.waiting.delete(id);
    if (answer instanceof Error) question.reject(answer); else question.resolve(answer);
    if (this.waiting.size) return;
    clearInterval(this.clock);
    this.clock = 0;
    this.tell('');
  }

  /** Wait no longer for those that `which` names.
   * @type {(text: string, which?: (question: Question) => boolean) => void} */
  giveUp(text, which = () => true) {
    for (const [id, question] of [...this.waiting]) if (which(question)) this.settle(id, new Error(text));
  }
}

/** A host whose every method asks the kernel: host.photos(ids) sends {id, call: 'photos', args: [ids]}. A
 * busy kernel is waited for, and tell(text) says so; one that is gone, or has answered others since and not
 * this question, is given up. `change` turns the answers of some calls into what the page wants.
 * @type {(model: Model, tell: (text: string) => void, change?: Record<string, (answer: any) => any>) =>
 *   { host: any, ask: (call: string, args: unknown[], quiet?: boolean) => Promise<any>, close: () => void
 *   }} */
export function kernelHost(model, tell, change = {}) {
  /** @type {(call: string, args: unknown[]) => string} */
  const key = (call, args) => JSON.stringify([call, args]);
  /** @type {[string, unknown[], unknown][]} */
  const first = model.get('first') || [];
  const known = new Map(first.map(([call, args, answer]) => [key(call, args), answer]));
  const manager = model.widget_manager
    || {}; // its `kernel`: null without one, undefined where it isn't shown
  let probe = '';
  const questions = new Questions(tell, look);

  /** Is the kernel busy? A question that it answers after the cells that wait. (Its `status` won't do:
   * JupyterLab takes it from any message, also from those that are answered beside a running cell.)
   * @type {(kernel: Kernel) => Promise<void>} */
  async function seeWhetherFree(kernel) {
    const before = questions.next;
    probe = 'sent';
    try {
      await kernel.requestCommInfo({ target_name: 'imgcls' });
      probe = 'answered';
      await new Promise(done => setTimeout(done, 1000 * model.get('patience')));
      questions.giveUp(LOST, question => question.number < before && question.state !== 'busy');
    } catch { questions.giveUp(LOST); }
    probe = '';
  }

  /** Twice a second, while a question waits: say why, or give up. */
  function look() {
    const { kernel } = manager, asked = [...questions.waiting.values()], loud = asked.filter(q => !q.quiet);
    /** @type {(some: Question[]) => number} */
    const age = some => Math.max(0, ...some.map(q => Date.now() - q.since));
    if (kernel === null || (kernel && GONE.includes(kernel.status))) return questions.giveUp(LOST);
    if (kernel && !probe && age(asked) >= 1000) seeWhetherFree(kernel);
    if (age(loud) < 1000) return tell('');
    if (!kernel) return tell(age(loud) > 30000 ? SILENT : '');
    const offline = (kernel.connectionStatus || 'connected') !== 'connected',
      queued = loud.some(q => q.state !== 'busy');
    return tell(offline ? OFFLINE : probe === 'sent' && queued ? BUSY : '');
  }

  /** @type {(msg: { id: string, result?: unknown, error?: string }) => void} */
  const heard = msg => questions.settle(msg.id, msg.error === undefined ? msg.result : new Error(msg.error));
  model.on('msg:custom', heard);
  /** @type {(call: string, args: unknown[], quiet?: boolean) => Promise<any>} */
  const ask = async (call, args, quiet = false) => {
    const k = key(call, args), send = () => questions.ask(quiet,
      (id, status) => model.send({ id, call, args }, { iopub: { status } }));
    const answer = known.has(k) ? known.get(k) : await send();
    known.delete(k); // who asks again wants to know what it is now
    return change[call] ? change[call](answer) : answer;
  };
  /** @type {(_: unknown, call: string | symbol) => unknown} */
  const method = (_, call) => (typeof call === 'string' && call !== 'then'
    ? (/** @type {unknown[]} */ ...args) => ask(call, args) : undefined);
  const close = () => { model.off('msg:custom', heard); questions.giveUp('closed'); };
  return { host: new Proxy({}, { get: method }), ask, close };
}

/** What anywidget calls to show a widget: `show(root, data, host)` draws what the kernel or the widget's
 * state says there is. A page with `update` learns what has changed since the state was made.
 * @type {(show: Show, change?: Record<string, (answer: any) => any>) => (widget: { model: Model, el:
 *   HTMLElement }) => () => void} */
export const widget = (show, change) => ({ model, el }) => {
  el.classList.add('ic-live');
  render(html`<div class="imgcls"></div><p class="imgcls ic-wait" role="status" hidden></p>`, el);
  const [root, line] = /** @type {HTMLElement[]} */ ([...el.children]);
  /** @type {Page | null} */
  let shown = null;
  let gone = false;
  /** @type {(text: string) => void} */
  const tell = text => { line.textContent = text; line.hidden = !text; };
  const { host, ask, close } = kernelHost(model, tell, change);
  /** @type {(data: any) => void} */
  const begin = data => {
    if (gone) return;
    shown = show(root, data, host);
    const { update } = shown;
    if (update) ask('start', [], true).then(now => { if (!gone) update(now); }, () => {});
  };
  ask('start', []).then(begin, error => { if (!gone) render(failure(messageOf(error)), root); });
  return () => { gone = true; close(); shown?.destroy(); };
};
