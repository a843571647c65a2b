"""How many altered copies are found, and how many pairs among photos that have none; writes duplicates.json.

    python benchmarks/duplicates.py          # FASTAI_HOME: where `clothing` and `cifar10` lie; ten minutes
    python benchmarks/duplicates.py million  # the last part alone; four minutes on two cores

160 photos of clothes, each altered in one way: the share found by what was used before (a difference hash of
64 bits, at most 4 of them different) and by `near_duplicates`. The limits of `near_duplicates` were chosen on
160 other photos. Then a million looks in a process of its own, for its time and memory: means of two photos
of CIFAR-10 each, altered copies of some, and crowds: the same look many times, a look with noise, black ones.
What is found of the altered copies stands beside what a comparison of every pair in full would find of them.
"""
import io
import json
import random
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import imagehash
import numpy as np
import pandas as pd
from PIL import Image, ImageDraw, ImageEnhance, ImageOps

from imgcls.data import duplicates
from imgcls.data.datasets import fetch_dataset
from imgcls.data.decode import decode
from imgcls.data.duplicates import near_duplicates
from imgcls.data.looks import ALIKE, LOOK_SIDE, _cut, cuts, dots, look, waves


def saved(img, fmt='JPEG', **how):
    out = io.BytesIO()
    img.save(out, fmt, **({'quality': 90} if fmt == 'JPEG' else {}) | how)
    return out.getvalue()


def cut(img, left, top, right, bottom):
    w, h = img.size
    return img.crop((round(w*left), round(h*top), round(w*(1 - right)), round(h*(1 - bottom))))


def label(img):
    img, (w, h) = img.copy(), img.size
    ImageDraw.Draw(img).rectangle((w*.7, h*.9, w, h), fill='white')
    return img


def framed(img, share, colour): return ImageOps.expand(img, round(max(img.size)*share), colour)
def changed(change): return lambda img: saved(change(img))


ALTERED = {
    'half the size': changed(lambda m: m.resize((m.width//2, m.height//2), Image.Resampling.LANCZOS)),
    'quality 20': lambda m: saved(m, quality=20), 'PNG': lambda m: saved(m, 'PNG'),
    'WebP': lambda m: saved(m, 'WEBP'), 'label in a corner': changed(label),
    'grey': changed(lambda m: m.convert('L').convert('RGB')),
    'lighter': changed(lambda m: ImageEnhance.Brightness(m).enhance(1.3)),
    'darker': changed(lambda m: ImageEnhance.Brightness(m).enhance(.6)),
    'mirrored': changed(ImageOps.mirror),
    'turned 90': changed(lambda m: m.transpose(Image.Transpose.ROTATE_90)),
    'turned 180': changed(lambda m: m.transpose(Image.Transpose.ROTATE_180)),
    'turned 2': changed(lambda m: m.rotate(2, Image.Resampling.BICUBIC)),
    'turned 5': changed(lambda m: m.rotate(5, Image.Resampling.BICUBIC)),
    **{f'cut {s:.0%} at each side': changed(lambda m, s=s: cut(m, s, s, s, s)) for s in (.02, .05, .1)},
    'cut 10% at the left': changed(lambda m: cut(m, .1, 0, 0, 0)),
    'white frame 5%': changed(lambda m: framed(m, .05, 'white')),
    'black frame 10%': changed(lambda m: framed(m, .1, 'black'))}


def before(img):
    if max(img.size) > 64: img = img.resize((36, 32), Image.Resampling.BOX)
    return imagehash.dhash(img)


def rates(photos):
    "The share of altered copies found, in percent: before and now."
    whole, out = [decode(p.read_bytes(), LOOK_SIDE) for p in photos], {}
    for name, alter in ALTERED.items():
        twins = [decode(alter(decode(p.read_bytes())), LOOK_SIDE) for p in photos]
        names = [f'{i:04}' for i in range(2*len(photos))]
        rows = pd.DataFrame(dict(path=names, sha256=names, look=[*map(look, whole + twins)]))
        pairs = {(int(a), int(b)) for a, b in near_duplicates(rows)[['a', 'b']].values}
        now = np.mean([(i, i + len(photos)) in pairs for i in range(len(photos))])
        then = np.mean([before(a) - before(b) <= 4 for a, b in zip(whole, twins)])
        out[name] = dict(before=round(100*float(then)), now=round(100*float(now)))
        print(name, out[name], flush=True)
    return out


def table(files):
    "What `near_duplicates` reads, of photos as they are."
    return pd.DataFrame([dict(path=str(p), sha256=str(p), look=look(decode(p.read_bytes(), LOOK_SIDE)))
                         for p in files])


def pairs_among(rows):
    "Photos, pairs and seconds of the search."
    start = time.process_time()
    n = len(near_duplicates(rows))
    found = dict(photos=len(rows), pairs=n, seconds=round(time.process_time() - start, 1))
    print(found, flush=True)
    return found


def unseen(files, many):
    "Photos on which no limit was chosen."
    chosen = set(random.Random(0).sample(files, 160))
    return random.Random(1).sample([f for f in files if f not in chosen], many)


def _noisy(sigma): return lambda x, r: x + r.normal(0, sigma, x.shape)


COPIES = {  # of looks
    'as it is': lambda x, r: x.astype(float), 'noise 6': _noisy(6), 'noise 15': _noisy(15),
    'darker': lambda x, r: x*.6 + 10, 'mirrored': lambda x, r: x[:, :, ::-1] + r.normal(0, 6, x.shape),
    'turned': lambda x, r: x.transpose(0, 2, 1)[:, ::-1] + r.normal(0, 6, x.shape),
    **{f'cut {s:.0%}': lambda x, r, s=s: _cut(x.astype(np.float32), s) for s in (.03, .06, .1)}}
CROWDS = {
    'equal': lambda x, n, r: np.repeat(x[:1], n, 0).astype(float),
    'alike': lambda x, n, r: x[1] + r.normal(0, 3, (n, 32, 32)),
    'black': lambda x, n, r: np.repeat(r.integers(0, 9, (n, 1, 1)), 1024, 1).reshape(n, 32, 32).astype(float),
    'black with noise': lambda x, n, r: 2 + r.normal(0, 2, (n, 32, 32))}


def _mixed(base, n, r, size=20_000):
    "Yield bytes of looks, each the mean of two others."
    for lo in range(0, n, size):
        a, b = (base[r.integers(0, len(base), min(size, n-lo))] for _ in range(2))
        yield from ((a.astype(np.uint16) + b)//2).astype(np.uint8).reshape(-1, LOOK_SIDE**2)


def _bytes(x): return [m.tobytes() for m in x.round().clip(0, 255).astype(np.uint8)]


def in_full(looks, pairs):
    "Which of some pairs of looks are found when each is compared in all ways."
    x = {k: dots(looks[pairs[:, k]]) for k in (0, 1)}
    found = np.zeros(len(pairs), bool)
    tried = []
    for a, b in ((0, 1), (1, 0)):
        target = waves(x[b])
        for cut, which, kinds in cuts(x[a]):
            i, j = (pairs[which, k] for k in (a, b))
            for turned, own in enumerate((kinds, duplicates._turned(kinds))):
                flips = np.einsum('nkd,nkd->nk', own, target[which]) @ duplicates._FLIPS.T
                tried.append(pd.DataFrame(dict(pair=which, i=i, j=j, cut=cut, turned=turned,
                                               flip=flips.argmax(1), likeness=flips.max(1).round(2))))
    best = pd.concat(tried).sort_values(['likeness', 'i'], ascending=[False, True], kind='stable')
    best = best.drop_duplicates('pair')
    best = best[best.likeness >= duplicates._PROPOSED]
    found[best.pair[duplicates._agreement(looks, best) >= ALIKE]] = True
    return found


def many(file, n):
    "Seek among n looks, made of those in a file; what was found, how long it took, and the most memory."
    base, r = np.load(file), np.random.default_rng(0)
    crowd, copied = n//200, n//100//len(COPIES)
    looks, planted = [], {}
    for name, alter in COPIES.items():
        own = np.stack([*_mixed(base, copied, r)]).reshape(-1, LOOK_SIDE, LOOK_SIDE)
        at = len(looks) + np.arange(copied)
        planted[name] = np.column_stack([at, at + copied])
        looks += _bytes(own) + _bytes(alter(own, r))
    for make in CROWDS.values(): looks += _bytes(make(base[:2].astype(float), crowd, r))
    looks += [m.tobytes() for m in _mixed(base, n - len(looks), r)]
    names = [f'{i:07}' for i in range(n)]
    rows = pd.DataFrame(dict(path=names, sha256=names, look=looks))
    del base, looks, names
    start, cpu = time.perf_counter(), time.process_time()
    pairs = near_duplicates(rows)
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    peak = int(re.search(r'VmHWM:\s*(\d+)', Path('/proc/self/status').read_text())[1])*1024/1e6  # Linux
    found, looks, copies = {*zip(pairs.a.astype(int), pairs.b.astype(int))}, rows.look.to_numpy(), {}
    for name, these in planted.items():
        ours, full = np.array([(a, b) in found for a, b in these.tolist()]), in_full(looks, these)
        copies[name] = dict(planted=copied, in_full=int(full.sum()), both=int((ours & full).sum()),
                            ours=int(ours.sum()))
    return dict(photos=n, seconds=round(seconds, 1), processor=round(cpu, 1), peak_mb=round(peak),
                pairs=len(pairs), crowd=crowd, copies=copies)


def in_a_process(looks, n):
    "`many` in a process of its own."
    from imgcls.studies.runs import machine  # here, because it brings PyTorch, and so memory
    with tempfile.TemporaryDirectory() as tmp:
        np.save(Path(tmp)/'looks.npy', looks)
        command = [sys.executable, __file__, 'many', f'{tmp}/looks.npy', str(n)]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    made = json.loads(done.stdout.splitlines()[-1])
    print(made, flush=True)
    return made | dict(machine=machine())


def main():
    if sys.argv[1:2] == ['many']: return print(json.dumps(many(sys.argv[2], int(sys.argv[3]))))
    file = Path(__file__).with_suffix('.json')
    files = sorted(p for p in Path(fetch_dataset('cifar10')).glob('*/*/*'))
    cifar = table(files).sample(frac=1, random_state=0)
    if sys.argv[1:] == ['million']: out = json.loads(file.read_text())
    else: out = first_parts(files, cifar)
    looks = np.frombuffer(b''.join(cifar.look), np.uint8).reshape(-1, LOOK_SIDE, LOOK_SIDE)
    out['million'] = [in_a_process(looks, n) for n in (100_000, 1_000_000)]
    file.write_text(json.dumps(out, indent=1) + '\n')


def first_parts(files, cifar):
    "What is found of altered copies, and among photos as they are."
    from imgcls.studies.runs import machine
    clothes = sorted(Path(fetch_dataset('clothing')).rglob('*.jpg'))
    birds = cifar[[Path(p).parent.name in ('bird', 'deer', 'frog') for p in cifar.path]]
    return dict(seed=1, photos=160, machine=machine(), found=rates(unseen(clothes, 160)),
                clothing=pairs_among(table(clothes)), cifar=pairs_among(birds),
                timed=[pairs_among(cifar[:n]) for n in (5000, 20_000, 60_000)])


if __name__ == '__main__': main()
