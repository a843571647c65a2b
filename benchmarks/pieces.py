"""What each piece of fine_tune is worth: accuracy over three to five seeds on three sets of photos;
writes benchmarks/pieces.json.

    python benchmarks/pieces.py                  # about an hour on two cores

Figures that pieces.json holds are not measured again: delete it to begin anew. Each core trains on its own,
since nothing here is timed. Scored on photos that no other benchmark tests on: training photos of CIFAR-10
that were not drawn, the validation photos of clothing, other drawings. So this table can guide the choices
in `imgcls.training.finetune` without a look at a test set.
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

from imgcls.cache import cache_dir
from imgcls.core import atomic
from imgcls.data.synth import synth_folder
from imgcls.data.table import read_photos
from imgcls.studies.runs import machine, versions
from imgcls.training.features import Features
from imgcls.training.finetune import fit_tuned
from imgcls.training.models import find_weights, load_body
from imgcls.training.recipes import FineTune, Job

FILE = Path(__file__).with_name('pieces.json')
SETS = {  # folder, classes
    'clothing, 100 a class, 96 px': ('clothing', None),
    'CIFAR-10 bird, deer, frog, 100 a class, 96 px': ('cifar10', ['bird', 'deer', 'frog']),
    'synth, 100 a class, 96 px': ('synth', None)}
LEARN = 'depthwise filters learn, too'
# What is changed, and the number of seeds: five for what could be left out and so has to show its worth,
# three for what trades accuracy for time.
VARIANTS = {
    'pretrained': {
        'as it is': ({}, 5),
        'no label smoothing': (dict(smoothing=0.), 5),
        'no other views (K = 1)': (dict(augment=False), 3),
        'K = 2 views': (dict(views=2), 3),
        'K = 4 views': (dict(views=4), 3),
        'K = 8 views': (dict(views=8), 3),
        'nothing computed once (share = 0)': (dict(share=0.), 3),
        LEARN: ({}, 3)},
    'random weights': {
        'as it is': ({}, 5),
        LEARN: ({}, 5)}}


def draw(data, name, seed, n=100, scored=300):
    "Training photos of a seed, and others to score on: path, label."
    folder, classes = SETS[name]
    root, rng = (synth_folder(seed=7) if folder == 'synth' else data/folder/'train'), random.Random(seed)
    train, valid = [], []
    for c in classes or sorted(p.name for p in root.iterdir() if p.is_dir()):
        files = sorted((root/c).iterdir())
        rng.shuffle(files)
        train += [(str(f), c) for f in files[:n]]
        rest = files[n:n+scored]
        if folder == 'clothing': rest = sorted((data/folder/'validation'/c).iterdir())
        valid += [(str(f), c) for f in rest]
    return [pd.DataFrame(rows, columns=['path', 'label']) for rows in (train, valid)]


def job_of(rows, valid, body, res, seed):
    "A job on photos."
    photos = read_photos(pd.concat([rows.assign(split='train'), valid.assign(split='test')]))
    return Job(photos, photos.train(), Features(body, res), seed)


def trained(task):
    "Accuracy of one variant on a set with the photos of a seed."
    start, variant, name, seed, data = task
    change = VARIANTS[start][variant][0]
    rows, valid = draw(data, name, seed)
    weights = find_weights('efficientnet_lite0', 'random' if start == 'random weights' else None)
    job = job_of(rows, valid, load_body(weights), 96, seed)
    free = patch('imgcls.training.finetune.freeze_depthwise') if variant == LEARN else nullcontext()
    with free: fit = fit_tuned(job, FineTune(**change))
    return round(float(fit.epochs.accuracy.iloc[-1]), 4)


def compared(runs):
    "Accuracies of each variant, and how much better 'as it is' is on the same photos and seeds."
    whole, out = np.array(runs['as it is']), {}
    for variant, accuracies in runs.items():
        a = np.array(accuracies)
        loss = whole[:len(a)]-a
        spread = round(loss.std(ddof=1), 4) if len(a) > 1 else None
        out[variant] = dict(accuracy=a.tolist(), mean=round(a.mean(), 4), loss=round(loss.mean(), 4),
                            spread=spread)
    return out


def write(runs):
    "Keep what is known, so that it need not be trained again; return it."
    sets = {start: {name: compared(runs[start, name]) for name in SETS if runs.get((start, name))}
            for start in VARIANTS}
    about = dict(machine=machine(), versions=versions(), sets=sets)
    with atomic(FILE) as part: part.write_text(json.dumps(about, indent=1) + '\n')
    return sets


def read():
    "Accuracies that are known: (start, set) → variant → one a seed."
    old = json.loads(FILE.read_text()) if FILE.exists() else {}
    return {(start, name): {v: r['accuracy'] for v, r in variants.items()}
            for start, sets in old.get('sets', {}).items() for name, variants in sets.items()}


def missing(runs, data):
    "What is still to be trained."
    tasks = []
    for start, variants in VARIANTS.items():
        for v, (_, seeds) in variants.items():
            for name in SETS:
                done = len(runs.get((start, name), {}).get(v, []))
                tasks += [(start, v, name, seed, data) for seed in range(done, seeds)]
    return tasks


def show(sets):
    "Print what each variant is worth."
    for start, names in sets.items():
        for name, variants in names.items():
            print(f'{start}: {name}')
            for v, r in variants.items():
                low, high = min(r['accuracy']), max(r['accuracy'])
                print(f"  {v:34} {r['mean']:.1%} ({low:.1%} to {high:.1%}); "
                      f"'as it is' is better by {100*r['loss']:+.1f} points")


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--shared', type=Path, default=Path('../shared'),
                   help='folder with data/{cifar10,clothing}.zip')
    args = p.parse_args()
    data = cache_dir('bench')
    for name in ('cifar10', 'clothing'):
        if not (data/name).is_dir(): zipfile.ZipFile(args.shared/'data'/f'{name}.zip').extractall(data)
    synth_folder(seed=7)  # drawn once, before the processes read it
    runs = read()
    tasks = missing(runs, data)
    with ProcessPoolExecutor(os.cpu_count(), get_context('spawn'), torch.set_num_threads, (1,)) as pool:
        for (start, v, name, seed, _), accuracy in zip(tasks, pool.map(trained, tasks)):
            runs.setdefault((start, name), {}).setdefault(v, []).append(accuracy)
            print(f'{start}, {name}, {v}, seed {seed}: {accuracy:.1%}', flush=True)
            write(runs)
    show(write(runs))


if __name__ == '__main__': sys.exit(main())
