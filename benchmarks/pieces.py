"""What single pieces of fine_tune are worth: accuracy over three to five seeds on three sets; writes benchmarks/pieces.json.

    python benchmarks/pieces.py                  # about an hour on two cores

What pieces.json holds already isn't trained again: delete it to begin anew. Each core trains on its own, since nothing here is timed.
Scored on photos that no other benchmark tests on: training photos of CIFAR-10 that were not drawn, the validation photos of clothing,
other drawings. So the choices in `imgcls.finetune` can be made by this table without looking at a test set.
"""
import argparse
import json
import os
import random
import sys
import zipfile
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext
from multiprocessing import get_context
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pandas as pd
import torch

from imgcls.core import atomic, cache_dir
from imgcls.finetune import fit_tuned
from imgcls.models import create_body, find_weights
from imgcls.study import machine, versions
from imgcls.synth import synth_folder
from imgcls.train import FineTune

FILE = Path(__file__).with_name('pieces.json')
SETS = {'clothing, 100 a class, 96 px': ('clothing', None), 'CIFAR-10 bird, deer, frog, 100 a class, 96 px': ('cifar10', ['bird', 'deer', 'frog']),
        'synth, 100 a class, 96 px': ('synth', None)}
LEARN = 'depthwise filters learn, too'
VARIANTS = {  # what is changed, and with how many seeds: five for what could be left out and so has to show its worth, three for what trades accuracy for time
    'pretrained': {'as it is': ({}, 5), 'no label smoothing': (dict(smoothing=0.), 5), 'no other views (K = 1)': (dict(augment=False), 3), 'K = 2 views': (dict(views=2), 3),
                   'K = 4 views': (dict(views=4), 3), 'K = 8 views': (dict(views=8), 3), 'nothing computed once (share = 0)': (dict(share=0.), 3), LEARN: ({}, 3)},
    'random weights': {'as it is': ({}, 5), LEARN: ({}, 5)}}


def photos(data, name, seed, n=100, scored=300):
    "Training photos of a seed, and others to score on."
    folder, classes = SETS[name]
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
    "Accuracy of one variant on a set with the photos of a seed."
    start, variant, name, seed, data = job
    change = VARIANTS[start][variant][0]
    rows, valid = photos(data, name, seed)
    body = create_body(find_weights('efficientnet_lite0', 'random' if start == 'random weights' else None))
    with patch('imgcls.finetune.freeze_depthwise') if variant == LEARN else nullcontext():
        return round(float(fit_tuned(rows, valid, body, 96, FineTune(**change), seed)[0].epochs.accuracy.iloc[-1]), 4)


def compared(runs):
    "Accuracies of each variant, and how much better 'as it is' is on the same photos and seeds."
    acc = {v: np.array(a) for v, a in runs.items()}
    lost = {v: acc['as it is'][:len(a)] - a for v, a in acc.items()}
    return {v: dict(accuracy=a.tolist(),
                    mean=round(a.mean(), 4), loss=round(lost[v].mean(), 4), spread=round(lost[v].std(ddof=1), 4) if len(a) > 1 else None) for v, a in acc.items()}


def write(runs):
    "Keep what is known, so that it need not be trained again; return it."
    sets = {start: {name: compared(r) for name in SETS if (r := runs.get((start, name)))} for start in VARIANTS}
    with atomic(FILE) as part: part.write_text(json.dumps(dict(machine=machine(), versions=versions(), sets=sets), indent=1) + '\n')
    return sets


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--shared', type=Path, default=Path('../shared'), help='folder with data/{cifar10,clothing}.zip')
    args = p.parse_args()
    data = cache_dir('bench')
    for name in ('cifar10', 'clothing'):
        if not (data/name).is_dir(): zipfile.ZipFile(args.shared/'data'/f'{name}.zip').extractall(data)
    synth_folder(seed=7)  # drawn once, before anybody reads it
    old = json.loads(FILE.read_text()) if FILE.exists() else {}
    runs = {(start, name): {v: r['accuracy'] for v, r in variants.items()} for start, sets in old.get('sets', {}).items() for name, variants in sets.items()}
    jobs = [(start, v, name, seed, data) for start, variants in VARIANTS.items() for v, (_, seeds) in variants.items() for name in SETS
            for seed in range(len(runs.get((start, name), {}).get(v, [])), seeds)]
    with ProcessPoolExecutor(os.cpu_count(), get_context('spawn'), torch.set_num_threads, (1,)) as pool:
        for (start, v, name, seed, _), acc in zip(jobs, pool.map(trained, jobs)):
            runs.setdefault((start, name), {}).setdefault(v, []).append(acc)
            print(f'{start}, {name}, {v}, seed {seed}: {acc:.1%}', flush=True)
            write(runs)
    for start, sets in write(runs).items():
        for name, variants in sets.items():
            print(f'{start}: {name}')
            for v, r in variants.items():
                print(f"  {v:34} {r['mean']:.1%} ({min(r['accuracy']):.1%} to {max(r['accuracy']):.1%}); 'as it is' is better by {100*r['loss']:+.1f} points")


if __name__ == '__main__': sys.exit(main())
