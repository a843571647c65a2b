"""Fine-tuning against plain fastai, in turn, on the same photos; writes benchmarks/tune.json.

    python benchmarks/tune.py                          # every set: about four hours on two cores, most of them fastai's
    python benchmarks/tune.py clothing-100 birds-500   # some of them

Each training is a process of its own. Its clock starts when everything is imported and ends with the last epoch: for fastai it counts
`fine_tune` alone, for ours also decoding, the lower body and the head. The three contenders take turns; rounds of fastai are three
where one takes under three minutes, else one. On a machine with a GPU all of it runs there and goes to benchmarks/tune-cuda.json.
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

import numpy as np
import pandas as pd

from imgcls.core import cache_dir, plural
from imgcls.study import machine, peak_mb, versions

FILE = Path(__file__).with_name('tune.json')
BIRDS = ['bird', 'deer', 'frog']
LITE, RESNET = 'efficientnet_lite0', 'resnet18-tiny-imagenet.safetensors'
SETS = {  # folder, classes, photos a class, pixels, architecture, weights, seeds of fine_tune
    'clothing-100': ('clothing', None, 100, 128, LITE, None, 5),
    'birds-100': ('cifar10', BIRDS, 100, 96, LITE, None, 3),
    'birds-500': ('cifar10', BIRDS, 500, 96, LITE, None, 3),
    'synth-100': ('synth', None, 100, 128, LITE, None, 3),
    'clothing-100-resnet18': ('clothing', None, 100, 128, 'resnet18', RESNET, 3),
    'clothing-100-random': ('clothing', None, 100, 128, LITE, 'random', 3),
    'birds-1000': ('cifar10', BIRDS, 1000, 96, LITE, None, 3),
    'ten-500': ('cifar10', None, 500, 96, LITE, None, 1),
    'ten-500-resnet18': ('cifar10', None, 500, 96, 'resnet18', RESNET, 1),
    'ten-500-random': ('cifar10', None, 500, 96, LITE, 'random', 1),
    'birds-5000': ('cifar10', BIRDS, 5000, 96, LITE, None, 1),
    'clothing-all': ('clothing', None, 'all', 224, LITE, None, 3),
    'clothing-100-resnet18-224': ('clothing', None, 100, 224, 'resnet18', RESNET, 3)}  # for a GPU: single-digit seconds; hours on two cores
CONTENDERS = 'fastai', 'fine_tune', 'frozen'


def say(*words): print(*words, flush=True)


def photos(data, name):
    "The table of a set, with its test photos."
    from imgcls.data import photo_table
    from imgcls.synth import synth_folder
    folder, classes, *_ = SETS[name]
    if folder == 'synth': return photo_table(synth_folder(), test=.2)
    rows = [(f, f.parent.name, s) for s in ('train', 'test') for c in sorted((data/folder/s).iterdir()) if not classes or c.name in classes for f in sorted(c.iterdir())]
    return photo_table(pd.DataFrame(rows, columns=['path', 'label', 'split']))


def one(name, recipe, seed, table, shared):
    "One training in this process: rows of accuracy and seconds, test answers, memory; for fine_tune also the speed of its loop and of the bare step."
    import fastai.vision.all  # noqa: F401 (imported before the clock starts)
    import torch

    from imgcls.data import load_table, take
    from imgcls.features import Features, features, keep_memory, layout
    from imgcls.finetune import fit_tuned
    from imgcls.fit import fit_recipe
    from imgcls.models import create_body, find_weights
    from imgcls.train import find_recipe
    _, _, size, res, arch, weights, _ = SETS[name]
    table = load_table(table)
    body = create_body(find_weights(arch, shared/'weights'/weights if weights and weights != 'random' else weights))
    feats, rows, recipe_ = Features(body, res), take(table, size, seed, short='use-all'), find_recipe(recipe)[1]
    torch.zeros(8, requires_grad=True, device=feats.device).sum().backward()
    torch.optim.AdamW([torch.zeros(1, requires_grad=True)])  # imports what optimizers need
    start, cpu, clock, lines = time.perf_counter(), used(), _clock(), []
    before = 0.
    if recipe == 'fine_tune': fit, _ = fit_tuned(rows, table[table.split == 'test'], body, res, recipe_, seed, device=feats.device, say=lines.append, cbs=[clock])
    elif recipe == 'frozen':
        part = pd.concat([rows, table[table.split == 'test']])  # no photo that the others don't see
        X = features(part, feats)
        before = time.perf_counter()-start
        fit, _ = fit_recipe(part, rows, feats, recipe_, seed, X=X)
    else: fit, _ = fit_recipe(table, rows, feats, recipe_, seed)
    total, spent = time.perf_counter()-start, used()-cpu
    classes = sorted(table.label.unique())
    targets = pd.Categorical(table.label[table.split == 'test'], classes).codes
    out = dict(seconds=round(total, 1), cpu_seconds=round(spent, 1), peak_mb=round(peak_mb()), children_mb=round(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss/1e3),
               rows=[[round(before+s, 1), round(a, 4)] for s, a in zip(fit.epochs.seconds, fit.epochs.accuracy)], temperature=round(fit.temperature, 3), chosen=lines,
               photos=len(rows), right=np.packbits(fit.probs[-1].argmax(1) == targets).tobytes().hex(), n_test=len(targets))
    if feats.device.type == 'cuda': out['gpu_mb'] = round(torch.cuda.max_memory_allocated()/1e6)
    if recipe == 'fine_tune': out['loop'], out['bare'] = clock.rate(), clock.bare(keep_memory, layout)
    print(json.dumps(out))


def used():
    "Processor seconds of this process and its children."
    return sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


def _clock():
    "A fastai callback that times the training loop, and afterwards the bare step on its last whole batch."
    import torch
    from fastai.callback.core import Callback

    class Clock(Callback):
        order, seconds, photos = 80, 0., 0

        def before_train(self): self.start = time.perf_counter()

        def after_train(self):
            if torch.cuda.is_available(): torch.cuda.synchronize()
            self.seconds += time.perf_counter()-self.start

        def before_batch(self):
            if not self.training: return
            self.photos += len(self.xb[0])
            if not hasattr(self, 'batch') or len(self.xb[0]) > len(self.batch[0]): self.batch = self.xb[0].clone(memory_format=torch.preserve_format), self.yb[0].clone()

        def after_fit(self): self.parts = self.model, self.opt, self.loss_func, next((c for c in self.learn.cbs if type(c).__name__ == 'Autocast'), None)

        def rate(self): return round(self.photos/self.seconds, 1)

        def bare(self, keep_memory, layout, n=30):
            (model, opt, loss, cast), (x, y) = self.parts, self.batch
            keep_memory()
            model.to(x.device, memory_format=layout(model, x.device)).train()
            for m in model.modules():
                if isinstance(m, torch.nn.BatchNorm2d) and not m.weight.requires_grad: m.eval()

            def step():
                with torch.autocast(x.device.type, cast.dtype if cast else torch.bfloat16, enabled=cast is not None): out = model(x)
                loss(out.float(), y).backward()
                opt.step()
                opt.zero_grad()
            for _ in range(3): step()
            if x.is_cuda: torch.cuda.synchronize()
            start = time.perf_counter()
            for _ in range(n): step()
            if x.is_cuda: torch.cuda.synchronize()
            return round(n*len(x)/(time.perf_counter()-start), 1)
    return Clock()


def train(name, recipe, seed, table, shared):
    "`one` in a process of its own."
    start = time.time()
    command = [sys.executable, __file__, '--one', name, recipe, str(seed), str(table), '--shared', str(shared)]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.returncode: sys.exit(f'{name}, {recipe} failed:\n{done.stderr[-3000:]}')
    r = dict(json.loads(done.stdout.strip().splitlines()[-1]), process=round(time.time()-start, 1))
    say(f"  {recipe:9} seed {seed}: {r['rows'][-1][1]:.1%} after {r['seconds']:.0f} s ({r['cpu_seconds']:.0f} s of processor), peak {r['peak_mb']:,} MB"
        + (f", {r['loop']:.0f} photos/s, bare step {r['bare']:.0f}" if 'loop' in r else ''))
    return r


def bits(r): return np.unpackbits(np.frombuffer(bytes.fromhex(r['right']), np.uint8))[:r['n_test']].astype(bool)


def compare(runs):
    "What the targets ask for."
    plain, ours = runs['fastai'], runs['fine_tune']
    final = statistics.median(r['rows'][-1][1] for r in plain)
    total = statistics.median(r['seconds'] for r in plain)
    same = [r for r in ours if r['seed'] == 0]
    reached = [next((s for s, a in r['rows'] if a >= final), None) for r in same]
    a, b = bits(same[0]), bits(plain[0])
    won, lost, n = int((a & ~b).sum()), int((b & ~a).sum()), len(a)
    half = 1.96*np.sqrt(max(won+lost-(won-lost)**2/n, 0))/n  # of a paired difference (Agresti & Min 2005)
    return dict(fastai=final, fastai_seconds=total, fine_tune=round(float(np.mean([r['rows'][-1][1] for r in ours])), 4),
                fine_tune_all=[r['rows'][-1][1] for r in ours], fine_tune_seconds=statistics.median(r['seconds'] for r in ours),
                sooner=round(total/statistics.median(reached), 1) if all(reached) else None, share_of_time=round(statistics.median(r['seconds'] for r in ours)/total, 3),
                share_of_processor=round(statistics.median(r['cpu_seconds'] for r in ours)/statistics.median(r['cpu_seconds'] for r in plain), 3),
                difference=round((won-lost)/n, 4), interval=[round(float((won-lost)/n+s*half), 4) for s in (-1, 1)],
                loop_share=round(statistics.median(r['loop']/r['bare'] for r in ours), 3), peak_mb=max(r['peak_mb'] for r in ours))


def measure(name, data, shared, contenders):
    "All trainings of a set, in turn."
    from imgcls.data import save_table
    table, runs = cache_dir('bench')/f'{name}.parquet', {c: [] for c in contenders}
    save_table(photos(data, name), table)
    seeds = SETS[name][-1]
    for i in range(max(3, seeds)):
        if 'fastai' in runs and (i == 0 or i < 3 and runs['fastai'][0]['seconds'] < 180): runs['fastai'].append(dict(train(name, 'fastai', 0, table, shared), seed=0))
        if 'fine_tune' in runs and i < seeds: runs['fine_tune'].append(dict(train(name, 'fine_tune', i, table, shared), seed=i))
        if 'frozen' in runs and i < seeds and not name.endswith('random'):
            os.environ['IMGCLS_CACHE'] = str(cache_dir('bench', 'cold', f'{os.getpid()}-{name}-{i}'))  # its features are computed anew
            runs['frozen'].append(dict(train(name, 'frozen', i, table, shared), seed=i))
            os.environ.pop('IMGCLS_CACHE')
    return runs


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('sets', nargs='*', metavar='SET', help=f"which sets: {', '.join(SETS)} (default: all)")
    p.add_argument('--shared', type=Path, default=Path('../shared'), help='folder with data/{cifar10,clothing}.zip and weights/')
    p.add_argument('--only', nargs='+', choices=CONTENDERS, default=CONTENDERS, help='some of the contenders; the others stay as they were measured')
    p.add_argument('--one', nargs=4, help=argparse.SUPPRESS)
    args = p.parse_args()
    if args.one: return one(args.one[0], args.one[1], int(args.one[2]), args.one[3], args.shared)
    if wrong := set(args.sets) - set(SETS): sys.exit(f"no set is called {', '.join(wrong)}; there are {', '.join(SETS)}")
    import torch

    from imgcls.features import precision
    data, shared, file = cache_dir('bench'), args.shared.resolve(), FILE.with_name('tune-cuda.json') if torch.cuda.is_available() else FILE
    names = args.sets or [s for s in SETS if torch.cuda.is_available() or not s.endswith('224')]
    for name in {SETS[s][0] for s in names} - {'synth'}:
        if not (data/name).is_dir(): zipfile.ZipFile(shared/'data'/f'{name}.zip').extractall(data)
    result = json.loads(file.read_text()) if file.exists() else dict(sets={})
    numbers = 'with bf16' if precision(torch.device('cpu')) == torch.bfloat16 else 'without fast 16-bit numbers'
    here = f'{machine()} ({torch.cuda.get_device_name() if torch.cuda.is_available() else numbers})'
    say(f"{here}; {versions()}")
    for name in names:
        folder, classes, size, res, arch, weights, _ = SETS[name]
        say(f"{name}: {folder}, {size} photos a class, {res} px, {arch}, {weights or 'its own weights'}")
        old = result['sets'].get(name, {}).get('runs', {})
        runs = {**old, **measure(name, data, shared, args.only)}
        result['sets'][name] = dict(of=dict(folder=folder, classes=classes, size=size, res=res, arch=arch, weights=weights),
                                    when=time.strftime('%Y-%m-%d %H:%M'), machine=here, versions=versions(), runs=runs)
        if {'fastai', 'fine_tune'} <= set(runs):
            c = result['sets'][name]['compared'] = compare(runs)
            say(f"  fastai {c['fastai']:.1%} after {c['fastai_seconds']:.0f} s; "
                f"fine_tune {c['fine_tune']:.1%} ({plural(len(c['fine_tune_all']), 'seed')}) after {c['fine_tune_seconds']:.0f} s; "
                f"{c['sooner']} times sooner at fastai's accuracy, {c['share_of_time']} of its time; loop {c['loop_share']:.0%} of the bare step")
        file.write_text(json.dumps(result, indent=1) + '\n')


if __name__ == '__main__': main()
