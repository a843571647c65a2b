"""What single pieces of fine_tune are worth: accuracy over three to five seeds on three sets; writes benchmarks/pieces.json.

    python benchmarks/pieces.py                  # about half an hour on two cores

Each core trains on its own, since nothing here is timed. Scored on photos that no other benchmark tests on: training photos of CIFAR-10
that were not drawn, the validation photos of clothing, other drawings. So the choices in `imgcls.finetune` can be made by this table without looking at a test set.
"""
import argparse
import json
import os
import random
import sys
import zipfile
from concurrent.futures import ProcessPoolExecutor
from itertools import product
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from imgcls.core import cache_dir
from imgcls.finetune import fit_tuned
from imgcls.models import create_body
from imgcls.study import machine, versions
from imgcls.synth import synth_folder
from imgcls.train import FineTune

FILE = Path(__file__).with_name('pieces.json')
SETS = {'clothing, 100 a class, 96 px': ('clothing', None, 96), 'CIFAR-10 bird, deer, frog, 100 a class, 96 px': ('cifar10', ['bird', 'deer', 'frog'], 96),
        'synth, 100 a class, 96 px': ('synth', None, 96)}
VARIANTS = {'as it is': {}, 'no label smoothing': dict(smoothing=0.), 'no other views (K = 1)': dict(augment=False), 'K = 2 views': dict(views=2), 'K = 4 views': dict(views=4),
            'K = 8 views': dict(views=8), 'nothing computed once (share = 0)': dict(share=0.)}
SEEDS, FEW = {'as it is': 5, 'no label smoothing': 5}, 3  # smoothing could be left out, so it has to show its worth; the others trade accuracy for time


def photos(data, name, seed, n=100, scored=300):
    "Training photos of a seed, and others to score on."
    folder, classes, _ = SETS[name]
    root, rng = (synth_folder(seed=7) if folder == 'synth' else data/folder/'train'), random.Random(seed)
    train, valid = [], []
    for c in classes or sorted(p.name for p in root.iterdir() if p.is_dir()):
        files = sorted((root/c).iterdir())
        rng.shuffle(files)
        train += [(str(f), c) for f in files[:n]]
        rest = sorted((data/folder/'validation'/c).iterdir()) if folder == 'clothing' else files[n:n+scored]
        valid += [(str(f), c) for f in rest]
    return [pd.DataFrame(rows, columns=['path', 'label']) for rows in (train, valid)]


def trained(job):
    "Accuracy of each variant on a set with the photos of a seed."
    name, seed, data = job
    rows, valid = photos(data, name, seed)
    fit = lambda change: fit_tuned(rows, valid, create_body('efficientnet_lite0'), SETS[name][2], FineTune(**change), seed)[0]
    return {v: round(float(fit(change).epochs.accuracy.iloc[-1]), 4) for v, change in VARIANTS.items() if seed < SEEDS.get(v, FEW)}


def compared(runs):
    "Accuracies of each variant, and how much better 'as it is' is on the same photos and seeds."
    acc = {v: np.array([r[v] for r in runs if v in r]) for v in VARIANTS}
    lost = {v: acc['as it is'][:len(a)] - a for v, a in acc.items()}
    return {v: dict(accuracy=a.tolist(), mean=round(a.mean(), 4), loss=round(lost[v].mean(), 4), spread=round(lost[v].std(ddof=1), 4)) for v, a in acc.items()}


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--shared', type=Path, default=Path('../shared'), help='folder with data/{cifar10,clothing}.zip')
    args = p.parse_args()
    data = cache_dir('bench')
    for name in ('cifar10', 'clothing'):
        if not (data/name).is_dir(): zipfile.ZipFile(args.shared/'data'/f'{name}.zip').extractall(data)
    synth_folder(seed=7)  # drawn once, before anybody reads it
    result = dict(machine=machine(), versions=versions(), sets={})
    with ProcessPoolExecutor(os.cpu_count(), get_context('spawn'), torch.set_num_threads, (1,)) as pool:
        jobs = [(name, seed, data) for seed, name in product(range(max(SEEDS.values())), SETS)]
        for (name, seed, _), acc in zip(jobs, pool.map(trained, jobs)):
            result['sets'].setdefault(name, []).append(acc)
            print(f"{name}, seed {seed}: " + ', '.join(f'{v} {a:.1%}' for v, a in acc.items()), flush=True)
    result['sets'] = {name: compared(runs) for name, runs in result['sets'].items()}
    for name, variants in result['sets'].items():
        print(name)
        for v, r in variants.items(): print(f"  {v:34} {r['mean']:.1%} ({min(r['accuracy']):.1%} to {max(r['accuracy']):.1%}); 'as it is' is better by {100*r['loss']:+.1f} points")
    FILE.write_text(json.dumps(result, indent=1) + '\n')


if __name__ == '__main__': sys.exit(main())
