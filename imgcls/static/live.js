// The shell for anywidget: calls go to the kernel as messages and replies come back; nothing of them is saved with the notebook.

const IC_PATIENCE = 90000; // ms until a kernel that doesn't answer is given up

// A host whose every method asks the kernel: host.photos(ids) sends {id, call: 'photos', args: [ids]}
function icKernelHost(model, change = {}) {
  const waiting = new Map(), mine = Math.random().toString(36).slice(2);
  let next = 0;
  const settle = (id, how, value) => {
    const w = waiting.get(id);
    if (!w) return;
    waiting.delete(id);
    clearTimeout(w.timer);
    w[how](value);
  };
  const heard = (msg) => settle(msg.id, msg.error === undefined ? 'resolve' : 'reject', msg.error === undefined ? msg.result : new Error(msg.error));
  model.on('msg:custom', heard);
  const ask = (call, args) => new Promise((resolve, reject) => {
    const id = `${mine}-${next++}`;
    const fail = what => settle(id, 'reject', new Error(`The kernel ${what}. Run the cell again; what was decided is kept.`));
    waiting.set(id, { resolve, reject, timer: setTimeout(fail, IC_PATIENCE, 'does not answer') });
    try { model.send({ id, call, args }); } catch (e) { fail('is gone'); }
  }).then(change[call] || ((x) => x));
  const host = new Proxy({}, { get: (_, call) => (typeof call === 'string' && call !== 'then' ? (...args) => ask(call, args) : undefined) });
  return { host, ask, close() { model.off('msg:custom', heard); for (const id of [...waiting.keys()]) settle(id, 'reject', new Error('closed')); } };
}

// What anywidget calls to show a widget: `show(el, data, host)` draws it once the kernel has said what there is
function icWidget(show, change) {
  return ({ model, el }) => {
    const { host, ask, close } = icKernelHost(model, change);
    let shown = null, gone = false;
    ask('start', []).then((data) => { if (!gone) shown = show(el, data, host); }, (e) => { if (!gone) icError(el, e.message); });
    return () => { gone = true; close(); if (shown) shown.destroy(); };
  };
}

// Replies to `run` travel as base64
const IC_EXPLORER_REPLIES = { run: (r) => ({ pred: icU16(r.pred), conf: icU16(r.conf) }) };
