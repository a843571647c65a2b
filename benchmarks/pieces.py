"""What single pieces of fine_tune are worth: accuracy over five seeds on three sets; writes benchmarks/pieces.json.

    python benchmarks/pieces.py                  # about half an hour on two cores

Scored on photos that no other benchmark tests on: training photos of CIFAR-10 that were not drawn, the validation photos of clothing,
other drawings. So the choices in `imgcls.finetune` can be made by this table without looking at a test set.
"""
import argparse
import json
import random
import sys
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd

from imgcls.core import cache_dir
from imgcls.finetune import fit_tuned
from imgcls.models import create_body
from imgcls.study import machine, versions
from imgcls.synth import synth_folder
from imgcls.train import FineTune

FILE = Path(__file__).with_name('pieces.json')
SETS = {'clothing, 100 a class, 128 px': ('clothing', None, 128), 'CIFAR-10 bird, deer, frog, 100 a class, 96 px': ('cifar10', ['bird', 'deer', 'frog'], 96),
        'synth, 100 a class, 96 px': ('synth', None, 96)}
VARIANTS = {'as it is': {}, 'no label smoothing': dict(smoothing=0.), 'no other views (K = 1)': dict(augment=False), 'K = 2 views': dict(views=2), 'K = 4 views': dict(views=4),
            'K = 8 views': dict(views=8), 'upper third only (share .65)': dict(share=.65)}


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


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--shared', type=Path, default=Path('../shared'), help='folder with data/{cifar10,clothing}.zip')
    p.add_argument('--seeds', type=int, default=5)
    args = p.parse_args()
    data, body = cache_dir('bench'), create_body('efficientnet_lite0')
    for name in ('cifar10', 'clothing'):
        if not (data/name).is_dir(): zipfile.ZipFile(args.shared/'data'/f'{name}.zip').extractall(data)
    result = dict(machine=machine(), versions=versions(), seeds=args.seeds, sets={})
    for name, (_, _, res) in SETS.items():
        print(name, flush=True)
        got = {v: [] for v in VARIANTS}
        for seed in range(args.seeds):
            rows, valid = photos(data, name, seed)
            for v, change in VARIANTS.items():
                fit, _ = fit_tuned(rows, valid, body, res, FineTune(**change), seed)
                got[v].append(round(float(fit.epochs.accuracy.iloc[-1]), 4))
        result['sets'][name] = {}
        for v, acc in got.items():
            gain = np.array(got['as it is'])-acc  # by the same photos and seeds
            result['sets'][name][v] = dict(accuracy=acc, mean=round(float(np.mean(acc)), 4), loss=round(float(gain.mean()), 4), spread=round(float(gain.std()), 4))
            print(f"  {v:32} {np.mean(acc):.1%} ({min(acc):.1%} to {max(acc):.1%}); 'as it is' is better by {100*gain.mean():+.1f} points", flush=True)
        FILE.write_text(json.dumps(result, indent=1) + '\n')


if __name__ == '__main__': sys.exit(main())
