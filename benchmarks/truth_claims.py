"""Do intervals and verdicts hold? Real frozen heads on birds, deer and frogs of CIFAR-10.

Heads are trained on draws from one half of the photos; the other half is the population: what a head names
right there is the truth. A repetition draws heads and test photos and asks imgcls what it says of them.
"""
import numpy as np

from imgcls.data.datasets import fetch_dataset
from imgcls.data.files import list_photos
from imgcls.studies.stats import THIS_CLASSIFIER, THIS_MANY, accuracy_interval, difference, holm
from imgcls.training.features import Features
from imgcls.training.head import fit_head
from imgcls.training.models import find_weights, load_body

CLASSES = ['bird', 'deer', 'frog']
NETS = {20: 200, 100: 200, 500: 100, 1000: 60}  # how many heads stand for all that a size could give


def population(per_class):
    "Features of photos, float16, and their classes as numbers, at most `per_class` of each."
    rows = list_photos(fetch_dataset('cifar10')/'train', CLASSES)[0].groupby('label').head(per_class)
    feats = Features(load_body(find_weights('efficientnet_lite0')), 96)
    rows, _ = feats(rows.reset_index(drop=True))
    return feats[rows.sha256.tolist()].copy(), np.searchsorted(CLASSES, rows.label)


def answers(X, y, size, nets, seed):
    "Which photos of the population each head names right, heads × photos; a head learns from `size` a class."
    rng = np.random.default_rng(seed)
    order = [rng.permutation(np.flatnonzero(y == c)) for c in range(len(CLASSES))]
    half = min(map(len, order))//2
    held, right = np.concatenate([o[half:] for o in order]), []
    for net in range(nets):
        draw = np.random.default_rng([seed, net])
        rows = np.concatenate([draw.permutation(o[:half])[:size] for o in order])
        fit = fit_head(X[rows], y[rows], X[held], y[held], len(CLASSES), epochs=4, seed=net)
        right.append(fit.probs[-1].argmax(1) == y[held])
    return np.stack(right)


def sample(right, seeds, n, group, rng):
    "Heads, `n` test photos and their groups: each photo stands `group` times, as in a burst."
    photos = np.repeat(rng.integers(right.shape[1], size=n//group), group)
    groups = np.repeat(np.arange(n//group), group) if group > 1 else None
    return rng.choice(len(right), seeds, replace=False), photos, groups


def coverage(right, seeds, n, group, reps, rng):
    "How often the interval holds what it speaks of, and how wide it is in points."
    held, width, speaks_of = [], [], ''
    for _ in range(reps):
        nets, photos, groups = sample(right, seeds, n, group, rng)
        found = accuracy_interval(right[np.ix_(nets, photos)], groups)
        speaks_of = found['speaks_of']
        truth = right.mean() if speaks_of == THIS_MANY else right[nets].mean()
        held.append(found['low'] <= truth <= found['high'])
        width.append(found['high'] - found['low'])
    return dict(speaks_of=speaks_of, held=round(float(np.mean(held)), 4),
                width=round(float(100*np.mean(width)), 2))


def false_alarms(right, seeds, n, group, reps, rng):
    "How often four sizes that are truly equal get a step called better or worse (Holm corrected)."
    alarms = []
    for _ in range(reps):
        nets, photos, groups = sample(right, 4*seeds, n, group, rng)
        x = right[np.ix_(nets, photos)].reshape(4, seeds, n)
        ps = [difference(a, b, groups)['p'] for a, b in zip(x, x[1:])]
        alarms.append((holm(ps) < .05).any())
    return round(float(np.mean(alarms)), 4)


def run(reps=400, seed=0, quick=False):
    "Plain values: a row for each size, number of seeds and of test photos, and frames an animal."
    X, y = population(60 if quick else 5000)
    tests = [(60, 1)] if quick else [(100, 1), (500, 1), (3000, 1), (500, 5)]
    nets, rows, rng = {10: 20} if quick else NETS, [], np.random.default_rng(seed)
    for size, many in nets.items():
        right = answers(X, y, size, many, seed)
        for seeds in (1, 3, 5):
            for n, group in tests:
                found = coverage(right, seeds, n, group, reps, rng)
                alarms = None  # one seed claims nothing about sizes
                if found['speaks_of'] != THIS_CLASSIFIER:
                    alarms = false_alarms(right, seeds, n, group, reps, rng)
                rows.append(dict(size=size, seeds=seeds, photos=n, group=group, **found, false_alarms=alarms))
    return dict(reps=reps, seed=seed, nets=nets, rows=rows)
