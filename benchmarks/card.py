"""Is a graphics card kept busy? Writes benchmarks/card.json and prints each figure beside its target.

    python benchmarks/card.py                 # on a machine with an NVIDIA card: at most eight minutes
    python benchmarks/card.py step clothing   # some parts; the others stay as they were measured
    python benchmarks/card.py --dry           # all of it with tiny numbers, also without a card

Targets are for an H200 with 16 cores; a line that ends in ✗ missed its own. SHARED holds
`data/{cifar10,clothing}.zip` and `weights/`, as for tune.py. Where a file is not at hand, photos are drawn
and weights are random numbers: that changes accuracy and not time. `--dry` writes nothing; without a card, a
stand-in takes the place of the CUDA graph there.
"""
import argparse
import json
import os
import sys
import tempfile
import time
import zipfile
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import patch

import numpy as np
import pandas as pd
import torch
from fastai.callback.core import Callback
from safetensors.torch import save_file

from imgcls.cache import cache_dir
from imgcls.core import UserError
from imgcls.data.synth import synth_folder
from imgcls.data.table import read_photos
from imgcls.studies.runs import machine, versions
from imgcls.studies.study import study
from imgcls.training.callbacks import CapturedStep
from imgcls.training.features import Features
from imgcls.training.finetune import _Tuning, fit_tuned
from imgcls.training.learner import EpochLog
from imgcls.training.models import find_weights, load_body
from imgcls.training.recipes import FineTune, Job
from imgcls.training.tensors import Tensors

FILE = Path(__file__).with_suffix('.json')
CARD = torch.cuda.is_available()
REAL = SimpleNamespace(per_class=5000, test=300, sizes=[100, 500, 1000, 5000], few=100, res=224, epochs=4,
                       archs=['resnet18', 'resnet34'], batches=[16, 32, 64], steps=60, tuned=None)
DRY = SimpleNamespace(per_class=20, test=5, sizes=[5, 10], few=10, res=32, epochs=1, tuned=2,
                      archs=['resnet18'], batches=[4], steps=6)


def say(*words): print(*words, flush=True)


def told(name, value, unit, target=None, most=False):
    "Print a figure beside its target: at least so much, or at most."
    good = target is None or (value <= target if most else value >= target)
    mark, kind = '✓' if good else '✗', 'most' if most else 'least'
    say(f'  {name}: {value:,.4g} {unit}' + (f'  (at {kind} {target:,g}) {mark}' if target else ''))
    return value


def seconds_of(do):
    "What a function returns, and how long it took, with all that a card had to do for it."
    start = time.perf_counter()
    out = do()
    if CARD: torch.cuda.synchronize()
    return out, time.perf_counter()-start


# Photos and weights

def unzipped(name, shared):
    "The folder of a set, or None where its zip file is not at hand."
    folder, file = cache_dir('bench')/name, shared/'data'/f'{name}.zip'
    if not folder.is_dir() and file.exists(): zipfile.ZipFile(file).extractall(cache_dir('bench'))
    return folder if folder.is_dir() else None


def drawn(n, test):
    "Drawn photos of three classes, as rows of a table."
    rows = []
    root = synth_folder(cache_dir('bench')/f'drawn-{n+test}', per_class=n+test, side=128)
    for c in sorted(p for p in root.iterdir() if p.is_dir()):
        rows += [(f, c.name, 'test' if i < test else 'train') for i, f in enumerate(sorted(c.glob('*.jpg')))]
    return rows


def published(args, n):
    "Photos of the published size study: three classes of CIFAR-10, 5,000 and 300 a class."
    root, rows = None if args.dry else unzipped('cifar10', args.shared), []
    for c in ('bird', 'deer', 'frog') if root else ():
        for split, k in (('train', n.per_class), ('test', n.test)):
            rows += [(f, c, split) for f in sorted((root/split/c).iterdir())[:k]]
    return pd.DataFrame(rows or drawn(n.per_class, n.test), columns=['path', 'label', 'split'])


def clothes(args, n):
    root, rows = None if args.dry else unzipped('clothing', args.shared), []
    for c in sorted(p.name for p in (root/'train').iterdir()) if root else ():
        for split in ('train', 'test'): rows += [(f, c, split) for f in sorted((root/split/c).iterdir())]
    return pd.DataFrame(rows or drawn(2*n.few, n.test), columns=['path', 'label', 'split'])


def weights_of(arch, args):
    "Weights of a ResNet: those at hand, else a file of random numbers that don't grow from block to block."
    file = args.shared/'weights'/f'{arch}-tiny-imagenet.safetensors'
    if file.exists(): return find_weights(arch, file)
    try: return find_weights(arch)
    except UserError: pass
    import torchvision
    torch.manual_seed(0)
    net = getattr(torchvision.models, arch)(weights=None)
    for name, p in net.named_parameters():
        if name.endswith('bn2.weight'): p.data.fill_(.2)
    file = cache_dir('bench')/f'{arch}-random.safetensors'
    save_file(net.state_dict(), file)
    return find_weights(arch, file)


def features_of(arch, args, n): return Features(load_body(weights_of(arch, args)), n.res)


# The parts

def table(args, n):
    "How fast photos are read for the first time."
    rows = published(args, n)
    photos, took = seconds_of(lambda: read_photos(rows))
    return dict(photos=len(photos.df), seconds=round(took, 2),
                rate=told(f'photo table of {len(photos.df):,} photos', len(photos.df)/took, 'photos/s', 8000))


def frozen(args, n):
    "How fast photos become features."
    arch = n.archs[-1]
    rows, feats = read_photos(published(args, n)).df, features_of(arch, args, n)
    half, name = len(rows)//2, f'frozen pass, {arch}, {n.res} px'
    _, first = seconds_of(lambda: feats.of(rows[:half]))
    _, second = seconds_of(lambda: feats.of(rows[half:]))
    told(f'{name}, {half:,} photos, with all that is done once', half/first, 'photos/s')
    rate = told(f'{name}, {len(rows)-half:,} more', (len(rows)-half)/second, 'photos/s', 10_000)
    return dict(arch=arch, photos=len(rows), seconds=[round(first, 2), round(second, 2)], rate=rate)


class _Again:
    "In the place of a CUDA graph where there is no card."
    def __init__(self, device): pass

    def aside(self, step): return step()

    def record(self, step): self.step = step

    def replay(self): return self.step()


def captured_step(say): return CapturedStep(say) if CARD else CapturedStep(say, _Again)


def no_step(say): return Callback()  # in the place of `CapturedStep`


class Clock(Callback):
    "Times the loop after the first epoch, and then the captured step alone."
    order = 99

    def __init__(self, at_once): self.at_once, self.photos, self.seconds, self.alone = at_once, 0, 0., None

    def before_train(self): self.start = time.perf_counter()

    def after_batch(self): self.photos += len(self.xb[0]) if self.training and self.epoch else 0

    def after_train(self):
        if CARD: torch.cuda.synchronize()
        if self.epoch: self.seconds += time.perf_counter()-self.start
        if self.epoch < self.n_epoch-1 or not (self.at_once and self.at_once.captured): return
        steps = len(self.dls.train)
        _, took = seconds_of(lambda: [self.at_once.tape.replay() for _ in range(steps)])
        self.alone = steps*self.dls.train.bs/took


def loop(job, n, bs, captured):
    "Photos a second in the training loop of fine_tune, and in the captured step alone (None without)."
    t = _Tuning(job, FineTune(share=.2, epochs=3))
    t.choice = replace(t.choice, bs=bs)
    with torch.inference_mode(): shape = t.lower(torch.zeros(1, 3, n.res, n.res)).shape[1:]
    x = torch.rand(1, n.steps*bs, *shape, device=job.device, dtype=torch.float16)
    y = torch.arange(n.steps*bs) % 3
    at_once = captured_step(say) if captured else None
    cbs = [EpochLog(3*n.steps), Clock(at_once), *([at_once] if captured else [])]
    with patch('imgcls.training.finetune.CapturedStep', no_step):  # ours can be looked at
        learn = t.learner(Tensors(x, y, views=True), Tensors(x[0, :bs], y[:bs]), cbs)
    clock = cbs[1]
    with learn.no_logging(): learn.fit_one_cycle(3, 1e-4, moms=(.9, .9, .9))
    return clock.photos/clock.seconds, clock.alone


def step(args, n):
    "Which share of the captured step the training loop reaches."
    photos, out = read_photos(pd.DataFrame(drawn(20, 5), columns=['path', 'label', 'split'])), {}
    for arch in n.archs:
        job = Job(photos, photos.train(20, 0), features_of(arch, args, n))
        for bs in n.batches:
            eager, _ = loop(job, n, bs, captured=False)
            rate, alone = loop(job, n, bs, captured=True)
            name = f'{arch}, batches of {bs}'
            if alone is None: sys.exit(f'{name}: the step was not captured; the line above says why')
            told(f'{name}: without a graph', eager, 'photos/s')
            told(f'{name}: captured step alone', alone, 'photos/s')
            share = told(f'{name}: the loop is', 100*rate/alone, '% of it', 90)
            out[name] = dict(eager=round(eager), alone=round(alone), loop=round(rate), share=round(share, 1))
    return out


def tuned(job, epochs, captured):
    "fine_tune with captured steps or without: seconds, accuracy, losses."
    cbs = [captured_step(say)] if captured else []
    with patch('imgcls.training.finetune.CapturedStep', no_step):
        fit, took = seconds_of(lambda: fit_tuned(job, FineTune(epochs=epochs), cbs))
    return dict(seconds=round(took, 2), accuracy=round(float(fit.epochs.accuracy.iloc[-1]), 4),
                losses=fit.epochs.train_loss.round(5).tolist())


def clothing(args, n):
    "clothing-100-resnet18-224, captured and not: as fast as asked for, and the same training?"
    feats, photos = features_of('resnet18', args, n), read_photos(clothes(args, n))
    job = Job(photos, photos.train(n.few, 0, short='use-all'), feats)
    tuned(job, 1, captured=False)  # what a process does only once is not measured
    eager, captured = (tuned(job, n.tuned, captured=c) for c in (False, True))
    told('fine_tune without a graph', eager['seconds'], f"s, accuracy {eager['accuracy']:.1%}")
    told('fine_tune captured', captured['seconds'], f"s, accuracy {captured['accuracy']:.1%}", 2.5, most=True)
    apart = float(np.abs(np.subtract(eager['losses'], captured['losses'])).max())
    told('training losses of an epoch differ at most by', apart, 'nats', .02, most=True)
    return dict(photos=len(job.rows), eager=eager, captured=captured, apart=apart)


def whole(args, n):
    "The published size study, from files to the last accuracy."
    rows, arch = published(args, n), n.archs[-1]
    weights = weights_of(arch, args)
    with tempfile.TemporaryDirectory() as tmp:
        how = dict(weights=weights.file or None, seeds=1, res=n.res, out=Path(tmp)/'study', say=None)
        st, took = seconds_of(lambda: study(rows, n.sizes, f'fine_tune:epochs={n.epochs}', arch, **how))
        accuracy = {str(s): round(float(a), 4) for s, a in zip(st.runs['size'], st.runs.accuracy)}
    name = f'size study, {arch}, {n.res} px, {", ".join(map(str, n.sizes))} a class, with the table'
    return dict(arch=arch, weights=weights.name, accuracy=accuracy,
                seconds=told(name, took, 's', 15, most=True))


PARTS = dict(table=table, frozen=frozen, step=step, clothing=clothing, study=whole)


def options():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('parts', nargs='*', metavar='PART', help=f"which parts: {', '.join(PARTS)} (default: all)")
    p.add_argument('--shared', type=Path, default=Path('../shared'), help='folder with data/ and weights/')
    p.add_argument('--dry', action='store_true', help='tiny numbers, to see that everything runs')
    args = p.parse_args()
    if wrong := set(args.parts)-set(PARTS):
        sys.exit(f"no part is called {', '.join(wrong)}; there are {', '.join(PARTS)}")
    if not CARD and not args.dry: sys.exit('there is no NVIDIA card here; --dry runs without one')
    return args


def main():
    args = options()
    n, start = DRY if args.dry else REAL, time.perf_counter()
    about = machine() + (f', {torch.cuda.get_device_name()}' if CARD else ', no card')
    say(about)
    out = json.loads(FILE.read_text()) if FILE.exists() else dict(parts={})
    if CARD: torch.zeros(8, requires_grad=True, device='cuda').sum().backward()  # wakes it
    for name in args.parts or PARTS:
        say(f'{name}: {PARTS[name].__doc__}')
        with tempfile.TemporaryDirectory() as tmp, patch.dict(os.environ):
            data = cache_dir('bench')
            os.environ['IMGCLS_CACHE'] = tmp  # features, pixels and graphs of earlier runs are not used
            with patch(f'{__name__}.cache_dir', lambda *a: data): found = PARTS[name](args, n)
        now = time.strftime('%Y-%m-%d %H:%M')
        out['parts'][name] = dict(found, machine=about, versions=versions(), when=now)
        if not args.dry: FILE.write_text(json.dumps(out, indent=1) + '\n')
    say(f'{time.perf_counter()-start:.0f} s in all')


if __name__ == '__main__': main()
