"""Fine-tuning and plain fastai, in turn, on the same photos; writes benchmarks/tune.json.

    python benchmarks/tune.py                          # every set: four hours on two cores, mostly fastai's
    python benchmarks/tune.py clothing-100 birds-500   # some of them
    python benchmarks/tune.py --threads                # fine_tune with one thread and with two: minutes
    python benchmarks/tune.py --again                  # trains nothing, compares what was measured

Each training is a process of its own. Its clock starts when everything is imported and ends with the last
epoch: for fastai it counts `fine_tune` alone, for ours also decoding, the lower body and the head. The three
contenders take turns; fastai has three seeds where there are at most 1,000 training photos, else one. On a
machine with a GPU all of it runs there, and the figures go to benchmarks/tune-cuda.json.
"""
import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from typing import NamedTuple
from unittest.mock import patch

import numpy as np
import pandas as pd

from imgcls.cache import cache_dir
from imgcls.core import plural
from imgcls.studies.runs import machine, peak_mb, versions

FILE = Path(__file__).with_name('tune.json')
BIRDS = ['bird', 'deer', 'frog']
LITE, RESNET = 'efficientnet_lite0', 'resnet18-tiny-imagenet.safetensors'


class Set(NamedTuple):
    "Photos, and the body that learns from them."
    folder: str
    classes: list | None  # None: all
    size: int | str  # photos a class
    res: int  # pixels
    arch: str
    weights: str | None  # a file, 'random', or None: the usual ones
    seeds: int  # of fine_tune


SETS = {
    'clothing-100': Set('clothing', None, 100, 128, LITE, None, 5),
    'birds-100': Set('cifar10', BIRDS, 100, 96, LITE, None, 3),
    'birds-500': Set('cifar10', BIRDS, 500, 96, LITE, None, 3),
    'synth-100': Set('synth', None, 100, 128, LITE, None, 3),
    'clothing-100-resnet18': Set('clothing', None, 100, 128, 'resnet18', RESNET, 3),
    'clothing-100-random': Set('clothing', None, 100, 128, LITE, 'random', 3),
    'birds-1000': Set('cifar10', BIRDS, 1000, 96, LITE, None, 3),
    'ten-500': Set('cifar10', None, 500, 96, LITE, None, 1),
    'ten-500-resnet18': Set('cifar10', None, 500, 96, 'resnet18', RESNET, 1),
    'ten-500-random': Set('cifar10', None, 500, 96, LITE, 'random', 1),
    'birds-5000': Set('cifar10', BIRDS, 5000, 96, LITE, None, 1),
    'clothing-all': Set('clothing', None, 'all', 224, LITE, None, 3),
    # for a GPU, where it takes less than ten seconds; on two cores it takes hours
    'clothing-100-resnet18-224': Set('clothing', None, 100, 224, 'resnet18', RESNET, 3),
    # for one thread and two
    'synth-20': Set('synth', None, 20, 128, LITE, None, 5)}
FEW = 'synth-20'
CONTENDERS = 'fastai', 'fine_tune', 'frozen'


def say(*words): print(*words, flush=True)


def photos_of(data, name):
    "The `Photos` of a set."
    from imgcls.data.synth import synth_folder
    from imgcls.data.table import read_photos
    folder, classes, *_ = SETS[name]
    if folder == 'synth': return read_photos(synth_folder(), test=.2)
    rows = []
    for split in ('train', 'test'):
        for c in sorted((data/folder/split).iterdir()):
            if classes and c.name not in classes: continue
            rows += [(f, c.name, split) for f in sorted(c.iterdir())]
    return read_photos(pd.DataFrame(rows, columns=['path', 'label', 'split']))


def make_ready(name, seed, table, shared):
    "A `Job`, and the list of what it will say; whatever no clock should count is imported and loaded."
    import fastai.vision.all  # noqa: F401
    import scipy.optimize  # noqa: F401
    import torch

    # recipes import these when they train
    import imgcls.training.finetune
    import imgcls.training.head
    import imgcls.training.learner  # noqa: F401
    from imgcls.data.table import Photos
    from imgcls.training.features import Features
    from imgcls.training.models import find_weights, load_body
    from imgcls.training.recipes import Job
    s = SETS[name]
    weights = s.weights if s.weights in (None, 'random') else shared/'weights'/s.weights
    feats, photos = Features(load_body(find_weights(s.arch, weights)), s.res), Photos.load(table)
    torch.zeros(8, requires_grad=True, device=feats.device).sum().backward()
    torch.optim.AdamW([torch.zeros(1, requires_grad=True)])  # imports what optimizers need
    rows, lines = photos.train(s.size, seed, short='use-all'), []
    return Job(photos, rows, feats, seed, say=lines.append), lines


def train_here(job, name, clock):
    "Train by a recipe; return the `Fit`, and the seconds that its epochs don't count."
    from imgcls.training.finetune import fit_tuned
    from imgcls.training.recipes import find_recipe
    recipe, start, before = find_recipe(name)[1], time.perf_counter(), 0.
    if name == 'fine_tune': return fit_tuned(job, recipe, cbs=[clock]), before
    if name == 'frozen':
        job.features.of(pd.concat([job.rows, job.test]))  # only photos that the others see too
        before = time.perf_counter()-start
    return recipe.fit(job), before


def right_answers(job, fit):
    "Which test photos were named right, as hexadecimal digits, a bit a photo, by label and path."
    right = pd.Series(fit.probs[-1].argmax(1) == job.y_test, job.test.index)
    by_path = job.test.sort_values(['label', 'path']).index
    return np.packbits(right[by_path]).tobytes().hex()


def one(name, recipe, seed, table, shared):
    """Print the figures of one training in this process: accuracy and seconds of each epoch, right answers,
    memory; for fine_tune also the speed of its loop and of the bare step."""
    import torch
    job, lines = make_ready(name, seed, table, shared)
    clock = make_clock()
    start, cpu = time.perf_counter(), used()
    fit, before = train_here(job, recipe, clock)
    total, spent = time.perf_counter()-start, used()-cpu
    epochs = zip(fit.epochs.seconds, fit.epochs.accuracy)
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss/1e3
    out = dict(seconds=round(total, 1), cpu_seconds=round(spent, 1), peak_mb=round(peak_mb()),
               children_mb=round(children),
               rows=[[round(before+s, 1), round(a, 4)] for s, a in epochs],
               temperature=round(fit.temperature, 3), chosen=lines, photos=len(job.rows),
               right=right_answers(job, fit), n_test=len(job.test))
    if job.device.type == 'cuda': out['gpu_mb'] = round(torch.cuda.max_memory_allocated()/1e6)
    if recipe == 'fine_tune': out['loop'], out['bare'] = clock.rate(), bare_speed(clock)
    print(json.dumps(out))


def used():
    "Processor seconds of this process and its children."
    return sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


def make_clock():
    "A fastai callback that times the training loop and keeps what `bare_speed` needs."
    import torch
    from fastai.callback.core import Callback

    class Clock(Callback):
        order, seconds, photos, batch = 80, 0., 0, None

        def before_train(self): self.start = time.perf_counter()

        def after_train(self):
            if torch.cuda.is_available(): torch.cuda.synchronize()
            self.seconds += time.perf_counter()-self.start

        def before_batch(self):
            if not self.training: return
            x, y = self.xb[0], self.yb[0]
            self.photos += len(x)
            if self.batch and len(x) <= len(self.batch[0]): return
            self.batch = x.clone(memory_format=torch.preserve_format), y.clone()

        def after_fit(self):
            self.trained, self.optimizer, self.loss_of = self.model, self.opt, self.loss_func
            self.cast = next((c for c in self.learn.cbs if type(c).__name__ == 'Autocast'), None)

        def rate(self): return round(self.photos/self.seconds, 1)
    return Clock()


def bare_speed(clock, n=30):
    "Photos a second of the bare step (forward, backward, optimizer) on the largest batch of a training."
    import torch

    from imgcls.training.engine import keep_memory, layout
    (x, y), model, opt, device = clock.batch, clock.trained, clock.optimizer, clock.batch[0].device
    dtype = clock.cast.dtype if clock.cast else torch.bfloat16
    keep_memory()
    model.to(device, memory_format=layout(model, device)).train()
    for m in model.modules():
        if isinstance(m, torch.nn.BatchNorm2d) and not m.weight.requires_grad: m.eval()

    def step():
        with torch.autocast(device.type, dtype, enabled=clock.cast is not None): out = model(x)
        clock.loss_of(out.float(), y).backward()
        opt.step()
        opt.zero_grad()

    def seconds(steps):
        if x.is_cuda: torch.cuda.synchronize()
        start = time.perf_counter()
        for _ in range(steps): step()
        if x.is_cuda: torch.cuda.synchronize()
        return time.perf_counter()-start
    seconds(3)  # to warm up
    return round(n*len(x)/seconds(n), 1)


def train(name, recipe, seed, table, shared):
    "`one` in a process of its own."
    start = time.time()
    command = [sys.executable, __file__, '--one', name, recipe, seed, table, '--shared', shared]
    done = subprocess.run([*map(str, command)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.returncode: sys.exit(f'{name}, {recipe} failed:\n{done.stderr[-3000:]}')
    r = dict(json.loads(done.stdout.strip().splitlines()[-1]), process=round(time.time()-start, 1), seed=seed)
    speed = f", {r['loop']:.0f} photos/s, bare step {r['bare']:.0f}" if 'loop' in r else ''
    say(f"  {recipe:9} seed {seed}: {r['rows'][-1][1]:.1%} after {r['seconds']:.0f} s "
        f"({r['cpu_seconds']:.0f} s of processor), peak {r['peak_mb']:,} MB{speed}")
    return r


def bits(r):
    "Which test photos a training named right."
    packed = np.frombuffer(bytes.fromhex(r['right']), np.uint8)
    return np.unpackbits(packed)[:r['n_test']].astype(bool)


def paired(ours, theirs):
    "The difference of two accuracies on the same photos, with its 95 % interval (Agresti & Min 2005)."
    a, b = bits(ours), bits(theirs)
    won, lost, n = int((a & ~b).sum()), int((b & ~a).sum()), len(a)
    half = 1.96*np.sqrt(max(won+lost-(won-lost)**2/n, 0))/n
    interval = [round(float((won-lost)/n+s*half), 4) for s in (-1, 1)]
    return dict(difference=round((won-lost)/n, 4), interval=interval)


def first_at(r, level):
    "Seconds after which a training was first as accurate as `level`; None where it never was."
    return next((seconds for seconds, accuracy in r['rows'] if accuracy >= level), None)


def crossing(plain, ours):
    """How many times sooner ours first has the final accuracy of fastai than fastai itself, of one seed, and
    whether our head alone has it."""
    level = statistics.median(r['rows'][-1][1] for r in plain)
    theirs, mine = ([first_at(r, level) for r in runs] for runs in (plain, ours))
    if None in theirs + mine: return None, False
    head = all(t == r['rows'][0][0] for t, r in zip(mine, ours))
    return statistics.median(theirs)/statistics.median(mine), head


def compare(runs, weights):
    "What the targets ask for; fastai and ours learn from the same photos, seed by seed."
    plain, ours = runs['fastai'], runs['fine_tune']
    middle = lambda runs, key: statistics.median(r[key] for r in runs)  # noqa: E731
    of_seed = lambda runs, s: [r for r in runs if r['seed'] == s]  # noqa: E731
    of = {s: (of_seed(plain, s), of_seed(ours, s)) for s in {r['seed'] for r in plain}}
    finals = [statistics.median(r['rows'][-1][1] for r in plain) for plain, _ in of.values()]
    sooner, head = zip(*(crossing(*both) for both in of.values()))
    sooner = [round(s, 1) for s in sooner] if None not in sooner else []
    total, seconds = middle(plain, 'seconds'), middle(ours, 'seconds')
    accuracies = [r['rows'][-1][1] for r in ours]
    share_of_processor = round(middle(ours, 'cpu_seconds')/middle(plain, 'cpu_seconds'), 3)
    loop_share = round(statistics.median(r['loop']/r['bare'] for r in ours), 3)
    return dict(fastai=round(float(np.mean(finals)), 4), fastai_all=finals, fastai_seconds=total,
                fine_tune=round(float(np.mean(accuracies)), 4), fine_tune_all=accuracies,
                fine_tune_seconds=seconds, whole=round(total/seconds, 1),
                crossing=statistics.median(sooner) if sooner else None, crossing_all=sooner,
                head_alone=weights != 'random' and all(head),
                share_of_time=round(seconds/total, 3), share_of_processor=share_of_processor,
                **paired(of[0][1][0], of[0][0][0]), loop_share=loop_share,
                peak_mb=max(r['peak_mb'] for r in ours))


def measure(name, data, shared, contenders):
    "All trainings of a set, in turn."
    table = photos_of(data, name).save(cache_dir('bench')/f'{name}.parquet')
    runs, seeds = {c: [] for c in contenders}, SETS[name].seeds
    for i in range(max(3, seeds)):
        few = i < 3 and runs.get('fastai') and runs['fastai'][0]['photos'] <= 1000
        if 'fastai' in runs and (i == 0 or few):
            runs['fastai'].append(train(name, 'fastai', min(i, seeds-1), table, shared))
        if i >= seeds: continue
        if 'fine_tune' in runs: runs['fine_tune'].append(train(name, 'fine_tune', i, table, shared))
        if 'frozen' in runs and not name.endswith('random'):
            # in a cache of its own, so that its features are computed again
            cold = cache_dir('bench', 'cold', f'{os.getpid()}-{name}-{i}')
            with patch.dict(os.environ, IMGCLS_CACHE=str(cold)):
                runs['frozen'].append(train(name, 'frozen', i, table, shared))
    return runs


def where():
    "This machine in a few words."
    import torch

    from imgcls.training.engine import precision
    if torch.cuda.is_available(): return f'{machine()} ({torch.cuda.get_device_name()})'
    fast = precision(torch.device('cpu')) == torch.bfloat16
    return f"{machine()} ({'with bf16' if fast else 'without fast 16-bit numbers'})"


def threads(here):
    "fine_tune on few photos with one thread and with two, which round sums in another order."
    table, found = photos_of(None, FEW).save(cache_dir('bench')/f'{FEW}.parquet'), {1: [], 2: []}
    for seed in range(SETS[FEW].seeds):
        for n, runs in found.items():
            with patch.dict(os.environ, OMP_NUM_THREADS=str(n)):
                runs.append(train(FEW, 'fine_tune', seed, table, Path()))
    accuracy = {n: [r['rows'][-1][1] for r in runs] for n, runs in found.items()}
    return dict(photos=found[1][0]['photos'], n_test=found[1][0]['n_test'], accuracy=accuracy, machine=here,
                versions=versions(), when=time.strftime('%Y-%m-%d %H:%M'))


def add(result, name, here, measured):
    "Put the trainings of a set into the result, and compare them."
    s = SETS[name]
    before, now = result['sets'].get(name, {}), time.strftime('%Y-%m-%d %H:%M')
    runs = before.get('runs', {}) | measured
    ended = {c: now if c in measured else before.get('ended', {}).get(c, before['when']) for c in runs}
    one = dict(of={k: v for k, v in s._asdict().items() if k != 'seeds'},
               when=now, ended=ended, machine=here, versions=versions(), runs=runs)
    result['sets'][name] = one
    if {'fastai', 'fine_tune'} <= set(runs): compare_set(one)


def compare_set(one):
    "Compare the trainings of a set, and say what came out."
    c = one['compared'] = compare(one['runs'], one['of']['weights'])
    seeds = plural(len(c['fine_tune_all']), 'seed')
    say(f"  fastai {c['fastai']:.1%} after {c['fastai_seconds']:.0f} s; "
        f"fine_tune {c['fine_tune']:.1%} ({seeds}) after {c['fine_tune_seconds']:.0f} s; "
        f"whole against whole {c['whole']} times as fast, to fastai's final accuracy {c['crossing']}; "
        f"loop {c['loop_share']:.0%} of the bare step")


def options():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('sets', nargs='*', metavar='SET', help=f"which sets: {', '.join(SETS)} (default: all)")
    p.add_argument('--shared', type=Path, default=Path('../shared'),
                   help='folder with data/{cifar10,clothing}.zip and weights/')
    p.add_argument('--only', nargs='+', choices=CONTENDERS, default=CONTENDERS,
                   help='some of the contenders; the others stay as they were measured')
    p.add_argument('--threads', action='store_true', help='fine_tune with one thread and with two, alone')
    p.add_argument('--again', action='store_true', help='train nothing; compare again what was measured')
    p.add_argument('--one', nargs=4, help=argparse.SUPPRESS)
    return p.parse_args()


def main():
    args = options()
    if args.one:
        name, recipe, seed, table = args.one
        return one(name, recipe, int(seed), table, args.shared)
    if wrong := set(args.sets) - set(SETS):
        sys.exit(f"no set is called {', '.join(wrong)}; there are {', '.join(SETS)}")
    import torch
    cuda, here = torch.cuda.is_available(), where()
    file = FILE.with_name('tune-cuda.json') if cuda else FILE
    names = args.sets or [s for s in SETS if s != FEW and (cuda or not s.endswith('224'))]
    result = json.loads(file.read_text()) if file.exists() else dict(sets={})
    say(f"{here}; {versions()}")
    if args.threads: result['threads'] = threads(here)
    elif args.again:
        for name, one_set in result['sets'].items():
            say(name)
            compare_set(one_set)
    else: measure_all(names, result, file, args)
    file.write_text(json.dumps(result, indent=1) + '\n')


def measure_all(names, result, file, args):
    "Measure sets one after the other; the file is written after each."
    data, shared, here = cache_dir('bench'), args.shared.resolve(), where()
    for name in {SETS[s].folder for s in names} - {'synth'}:
        if not (data/name).is_dir(): zipfile.ZipFile(shared/'data'/f'{name}.zip').extractall(data)
    for name in names:
        s = SETS[name]
        say(f"{name}: {s.folder}, {s.size} photos a class, {s.res} px, {s.arch}, "
            f"{s.weights or 'its own weights'}")
        add(result, name, here, measure(name, data, shared, args.only))
        file.write_text(json.dumps(result, indent=1) + '\n')


if __name__ == '__main__': main()
