// The shell for a page that stands alone: what a kernel would reply lies in the page as JSON.

// The JSON of the page
function icInside(id) { return JSON.parse(document.getElementById(id).textContent); }

const icJpeg = (b64) => (b64 ? `data:image/jpeg;base64,${b64}` : null);

// The explorer's host for the data that `imgcls.explorer.file` puts into a page
function icFileHost(inside) {
  const { n } = inside.data, photo = (id) => ({ id, thumb: icJpeg(inside.thumbs[id]), file: inside.files[id], note: inside.thumbs[id] ? '' : inside.missing });
  const kept = (i, epoch) => inside.runs[i].kept.indexOf(epoch); // epochs whose probabilities are inside
  return {
    async run(i) { return { pred: icU16(inside.runs[i].pred), conf: icU16(inside.runs[i].conf) }; },
    async photos(ids) { return ids.map(photo); },
    async photo(i, epoch, id) {
      const run = inside.runs[i], at = kept(i, epoch), { file, thumb, note } = photo(id);
      let probs = [];
      if (at >= 0) {
        run.top ||= { index: icU16(run.top_index), p: icU16(run.top_p) };
        const from = (at * n + id) * inside.top;
        probs = Array.from({ length: inside.top }, (_, k) => [run.top.index[from + k], run.top.p[from + k] / 65535]);
      } else {
        const pred = icU16(run.pred)[epoch * n + id];
        if (pred !== 65535) probs = [[pred, icU16(run.conf)[epoch * n + id] / 65535]];
      }
      const rest = Math.max(0, 1 - probs.reduce((sum, [, p]) => sum + p, 0));
      const nearest = (inside.nearest[id] || []).map(([t, similarity]) => ({ ...inside.train[t], thumb: icJpeg(inside.train[t].thumb), similarity }));
      return { image: thumb, file, note, probs, rest, nearest, why: nearest.length ? '' : inside.why };
    },
    async pr(i, epoch, cls) {
      const at = kept(i, epoch), run = inside.runs[i];
      if (at < 0) throw new Error('This file keeps the figures behind the threshold for the last epoch only.');
      run.curves ||= icU16(run.pr);
      const size = inside.data.classes.length, from = (at * size + cls) * 202;
      return { tp: Array.from(run.curves.subarray(from, from + 101)), fp: Array.from(run.curves.subarray(from + 101, from + 202)) };
    },
  };
}
