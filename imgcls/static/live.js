// The shell for anywidget: questions go to the kernel as messages and replies come back. What the page asks first travels
// with the widget's state, so it is drawn while the kernel is busy with the next cells, and where there is no kernel.

const IC_LOST = 'This view has lost its kernel, which was restarted or stopped. Run the cell again; decisions are kept.';
const IC_BUSY = 'Waiting for the cell that is running …';
const IC_OFFLINE = 'Waiting for the connection to Jupyter …';
const IC_SILENT = 'No answer yet. If a cell is running, the answer comes after it; if none is, run this cell again.';
const IC_GONE = ['dead', 'terminating', 'restarting', 'autorestarting'];

// Is the kernel busy? A question that it answers after the cells that wait: resolves then, fails when it is gone.
// (Its `status` won't do: JupyterLab takes it from any message, also from those that are answered beside a running cell.)
function icKernelFree(kernel) { return kernel.requestCommInfo({ target_name: 'imgcls' }); }

// A host whose every method asks the kernel: host.photos(ids) sends {id, call: 'photos', args: [ids]}. A busy kernel is waited
// for, and tell(text) says so; one that is gone, or has answered others since and not this question, is given up.
function icKernelHost(model, tell, change = {}) {
  const waiting = new Map(), mine = Math.random().toString(36).slice(2), key = (call, args) => JSON.stringify([call, args]);
  const known = new Map((model.get('first') || []).map(([call, args, answer]) => [key(call, args), answer]));
  const manager = model.widget_manager || {}; // its `kernel`: undefined where a front end doesn't show it (Colab), null without one
  let next = 0, clock = 0, probe = '';
  const settle = (id, how, value) => {
    const question = waiting.get(id);
    if (!question) return;
    waiting.delete(id);
    question[how](value);
    if (waiting.size) return;
    clearInterval(clock);
    clock = 0;
    tell('');
  };
  const giveUp = (text, which = () => true) => {
    for (const [id, question] of [...waiting]) if (which(question)) settle(id, 'reject', new Error(text));
  };
  const lookWhetherFree = async (kernel) => {
    const before = next;
    probe = 'sent';
    try {
      await icKernelFree(kernel);
      probe = 'answered';
      await new Promise((done) => setTimeout(done, 1000 * model.get('patience')));
      giveUp(IC_LOST, (question) => question.number < before && question.state !== 'busy');
    } catch (e) { giveUp(IC_LOST); }
    probe = '';
  };
  const look = () => {
    const { kernel } = manager, asked = [...waiting.values()], loud = asked.filter((q) => !q.quiet);
    const age = (questions) => Math.max(0, ...questions.map((q) => Date.now() - q.since));
    if (kernel === null || (kernel && IC_GONE.includes(kernel.status))) return giveUp(IC_LOST);
    if (kernel && !probe && age(asked) >= 1000) lookWhetherFree(kernel);
    if (age(loud) < 1000) return tell('');
    if (!kernel) return tell(age(loud) > 30000 ? IC_SILENT : '');
    const offline = (kernel.connectionStatus || 'connected') !== 'connected', queued = loud.some((q) => q.state !== 'busy');
    return tell(offline ? IC_OFFLINE : probe === 'sent' && queued ? IC_BUSY : '');
  };
  const heard = (msg) => settle(msg.id, msg.error === undefined ? 'resolve' : 'reject', msg.error === undefined ? msg.result : new Error(msg.error));
  model.on('msg:custom', heard);
  const send = (call, args, quiet) => new Promise((resolve, reject) => {
    const number = next++, id = `${mine}-${number}`, question = { resolve, reject, quiet, number, since: Date.now(), state: '' };
    const status = (msg) => { question.state = msg.content.execution_state; }; // 'busy' while the kernel answers this question
    waiting.set(id, question);
    clock = clock || setInterval(look, 500);
    try { model.send({ id, call, args }, { iopub: { status } }); } catch (e) { settle(id, 'reject', new Error(IC_LOST)); }
  });
  const ask = async (call, args, quiet) => {
    const k = key(call, args), there = known.has(k), answer = there ? known.get(k) : await send(call, args, quiet);
    if (there) known.delete(k); // who asks again wants to know what it is now
    return change[call] ? change[call](answer) : answer;
  };
  const host = new Proxy({}, { get: (_, call) => (typeof call === 'string' && call !== 'then' ? (...args) => ask(call, args) : undefined) });
  return { host, ask, close() { model.off('msg:custom', heard); giveUp('closed'); } };
}

// What anywidget calls to show a widget: `show(root, data, host)` draws what the kernel or the widget's state says there is.
// A page with `update` learns what has changed since the state was made.
function icWidget(show, change) {
  return ({ model, el }) => {
    const root = icEl('div', { class: 'imgcls' }), line = icEl('p', { class: 'imgcls ic-wait', role: 'status', hidden: true });
    const { host, ask, close } = icKernelHost(model, (text) => { line.textContent = text; line.hidden = !text; }, change);
    let shown = null, gone = false;
    el.classList.add('ic-live');
    el.replaceChildren(root, line);
    const begin = (data) => {
      if (gone) return;
      shown = show(root, data, host);
      if (shown.update) ask('start', [], true).then((now) => { if (!gone) shown.update(now); }, () => {});
    };
    ask('start', []).then(begin, (e) => { if (!gone) icError(root, e.message); });
    return () => { gone = true; close(); if (shown) shown.destroy(); };
  };
}

// Replies to `run` travel as base64
const IC_EXPLORER_REPLIES = { run: (r) => ({ ...r, pred: icU16(r.pred), conf: icU16(r.conf) }) };
