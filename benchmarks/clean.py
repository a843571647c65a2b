"""How well wrong labels are found; writes benchmarks/clean.json.

    python benchmarks/clean.py                      # drawings with 0, 5 and 10 % wrong labels, and CIFAR-10 with labels flipped on purpose
    python benchmarks/clean.py --picture top.png    # and the 40 most suspicious clothing photos on a picture, to be looked at

The truth is known: of the drawings from truth.csv, of CIFAR-10 because this program flips the labels. Precision and recall are of the photos that are suspected,
average precision is of the order of all photos. The filter and the strength of the classifier were chosen on drawings with seed 11, which is not used here.
"""
import argparse
import json
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.metrics import average_precision_score

from imgcls.clean import deep_body, find_issues, judge_labels
from imgcls.core import cache_dir
from imgcls.data import list_photos, photo_table
from imgcls.explorer import thumbnail
from imgcls.features import Features
from imgcls.models import create_body
from imgcls.study import machine, versions
from imgcls.synth import CLASSES, synth_folder

FILE = Path(__file__).with_name('clean.json')


def drawings(k, wrong, seed):
    "Table of drawings with their given and true labels."
    folder = synth_folder(classes=CLASSES[:k], per_class=1000, seed=seed, wrong=wrong)
    t = pd.read_csv(folder/'truth.csv')
    return t.assign(path=[str(folder/p) for p in t.path]), 128


def flipped(data, classes, wrong, seed):
    "CIFAR-10's training photos, 1,000 a class, some under another label."
    rows = [(str(f), c) for c in classes for f in sorted((data/'cifar10'/'train'/c).iterdir())[:1000]]
    t, rng = pd.DataFrame(rows, columns=['path', 'true_label']), np.random.default_rng(seed)
    other = np.array([rng.choice([c for c in classes if c != x]) for x in t.true_label])
    return t.assign(label=np.where(rng.random(len(t)) < wrong, other, t.true_label)), 96


def measure(t, res):
    "Precision, recall and average precision of the suspects."
    start = time.perf_counter()
    feats = Features(deep_body(create_body('efficientnet_lite0')), res)
    kept, bad = feats(list_photos(t[['path', 'label']])[0])
    if bad: sys.exit(f'{len(bad)} photos could not be read')
    t = kept.merge(t[['path', 'true_label']], on='path')
    X = feats[t.sha256.tolist()]
    wrong, suspicion, P = judge_labels(X, pd.Categorical(t.label).codes.astype(int), t.sha256.to_numpy())
    bad = (t.label != t.true_label).to_numpy()
    right = int((wrong & bad).sum())
    return dict(photos=len(t), wrong=int(bad.sum()), suspected=int(wrong.sum()), right=right, suspected_share=round(float(wrong.mean()), 5),
                precision=round(right/max(1, wrong.sum()), 4) if bad.any() else None, recall=round(right/bad.sum(), 4) if bad.any() else None,
                average_precision=round(float(average_precision_score(bad, suspicion)), 4) if bad.any() else None,
                accuracy=round(float((np.array(sorted(t.label.unique()))[P.argmax(1)] == t.true_label).mean()), 4), seconds=round(time.perf_counter()-start, 1))


def picture(data, file, n=40):
    "The most suspicious clothing photos, each with its label and what it looks like; and the list of them."
    from io import BytesIO

    from matplotlib import image
    from matplotlib.figure import Figure
    rows = [(f, f.parent.name, s) for s in ('train', 'test') for f in sorted((data/'clothing'/s).rglob('*.*'))]
    issues = find_issues(photo_table(pd.DataFrame(rows, columns=['path', 'label', 'split'])), 'efficientnet_lite0', 160, ('label',))
    top, fig = issues.head(n), Figure(figsize=(16, 13), dpi=80, layout='constrained')
    for k, r in enumerate(top.itertuples()):
        ax = fig.add_subplot(5, 8, k+1)
        ax.imshow(image.imread(BytesIO(thumbnail(r.path, 224)), 'jpg'))
        ax.set_title(f'{k+1}: {r.label}\n→ {r.suggestion} {r.score:.3f}', fontsize=10)
        ax.axis('off')
    fig.savefig(file)
    print(f'{len(issues)} of {len(rows)} clothing photos suspected; the first {len(top)} are on {file}', flush=True)
    shown = [dict(file='/'.join(Path(r.path).parts[-3:]), label=r.label, suggestion=r.suggestion, score=r.score) for r in top.itertuples()]
    return dict(photos=len(rows), suspected=len(issues), top=shown)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--shared', type=Path, default=Path('../shared'), help='folder with data/{cifar10,clothing}.zip')
    p.add_argument('--seeds', type=int, default=1, help='sets of drawings of each kind')
    p.add_argument('--picture', type=Path, metavar='FILE', help='also the clothing photos, as they are')
    args = p.parse_args()
    data = cache_dir('bench')
    for name in ('cifar10', 'clothing'):
        if not (data/name).is_dir(): zipfile.ZipFile(args.shared/'data'/f'{name}.zip').extractall(data)
    sets = [(f'synth, {k} classes, {w:.0%} wrong, seed {s}', lambda k=k, w=w, s=s: drawings(k, w, s)) for k in (3, 10) for w in (0., .05, .1) for s in range(args.seeds)]
    sets += [(f'CIFAR-10 bird, deer and frog, {w:.0%} flipped', lambda w=w: flipped(data, ['bird', 'deer', 'frog'], w, 0)) for w in (.05, .1)]
    result = dict(machine=machine(), versions=versions(), when=time.strftime('%Y-%m-%d %H:%M'), sets={})
    print(f"{result['machine']}; {result['versions']}", flush=True)
    for name, make in sets:
        r = result['sets'][name] = measure(*make())
        found = f"{r['suspected_share']:.2%} of the photos"
        if r['wrong']: found = f"precision {r['precision']:.3f}, recall {r['recall']:.3f}, average precision {r['average_precision']:.3f}"
        print(f"{name}: {r['suspected']} of {r['photos']} suspected, {r['wrong']} wrong: {found}; {r['seconds']:.0f} s", flush=True)
        FILE.write_text(json.dumps(result, indent=1)+'\n')
    if args.picture:
        result['clothing'] = picture(data, args.picture)
        FILE.write_text(json.dumps(result, indent=1)+'\n')


if __name__ == '__main__': main()
