"""Do intervals and verdicts hold? Real frozen heads on birds, deer and frogs of CIFAR-10.

Heads are trained on draws from one half of the photos; the other half is the population: what a head names
right there is the truth. A repetition draws heads and test photos and asks imgcls what it says of them.
`rows`: intervals of the accuracy, and four sizes that are truly equal; `steps`: sizes that truly differ;
`shares`: draws that take a large share of the photos at hand.
"""
from unittest.mock import patch

import numpy as np

from imgcls.data.datasets import fetch_dataset
from imgcls.data.files import list_photos
from imgcls.studies import stats
from imgcls.studies.stats import THIS_MANY, accuracy_interval, difference, holm, question
from imgcls.training.features import Features
from imgcls.training.head import fit_head
from imgcls.training.models import find_weights, load_body

CLASSES = ['bird', 'deer', 'frog']
NETS = {20: 200, 100: 200, 500: 100, 1000: 60}  # how many heads stand for all that a size could give
SHARES, SHARED = (.2, .4, .5, .6, .7, .8), 20  # of the photos at hand; how many of each class that is


def clouds(per_class, width=32):
    "Features and classes of no real photos: three clouds that overlap."
    rng, y = np.random.default_rng(0), np.repeat(np.arange(len(CLASSES)), per_class)
    X = .4*rng.normal(size=(len(CLASSES), width))[y] + rng.normal(size=(len(y), width))
    return X.astype(np.float16), y


def population(per_class, quick=False):
    "Features of photos, float16, and their classes as numbers, at most `per_class` of each; quick: `clouds`."
    if quick: return clouds(per_class)
    rows = list_photos(fetch_dataset('cifar10')/'train', CLASSES)[0].groupby('label').head(per_class)
    feats = Features(load_body(find_weights('efficientnet_lite0')), 96)
    rows, _ = feats(rows.reset_index(drop=True))
    return feats[rows.sha256.tolist()].copy(), np.searchsorted(CLASSES, rows.label)


class Halves:
    "Photos in two halves, one to learn from and one for the truth."
    def __init__(self, X, y, seed=0):
        rng = np.random.default_rng(seed)
        order = [rng.permutation(np.flatnonzero(y == c)) for c in range(len(CLASSES))]
        half = min(map(len, order))//2
        self.X, self.y, self.learn = X, y, [o[:half] for o in order]  # rows of each class
        self.held = np.concatenate([o[half:] for o in order])
        self.seen = X[self.held].astype(np.float32)

    def draw(self, size, rng, among=None):
        "Rows of `size` photos of each class; the first of them are those of a smaller size."
        return [rng.permutation(rows)[:size] for rows in among or self.learn]

    def right(self, rows, seed):
        "Which photos of the other half a head names right that learned from `rows`."
        rows, few = np.concatenate(rows), self.held[:1]
        fit = fit_head(self.X[rows], self.y[rows], self.X[few], self.y[few], len(CLASSES), seed=seed)
        weight, bias = (fit.state[k].numpy() for k in ('weight', 'bias'))
        return (self.seen @ weight.T + bias).argmax(1) == self.y[self.held]

    def heads(self, size, nets, seed):
        "Right answers, heads × photos; a head learns from `size` photos a class."
        rngs = [np.random.default_rng([seed, net]) for net in range(nets)]
        return np.stack([self.right(self.draw(size, rng), net) for net, rng in enumerate(rngs)])


def tested(right, n, group, rng):
    "`n` test photos and their groups: each photo stands `group` times, as in a burst."
    photos = np.repeat(rng.integers(right.shape[-1], size=n//group), group)
    return photos, np.repeat(np.arange(n//group), group) if group > 1 else None


def summary(found, truths):
    "How often intervals hold the truth, and how wide they are in points."
    held = [f['low'] <= t <= f['high'] for f, t in zip(found, truths)]
    width = np.mean([f['high'] - f['low'] for f in found])
    return dict(held=round(float(np.mean(held)), 4), width=round(float(100*width), 2))


def coverage(right, seeds, n, group, reps, rng):
    "How often the interval holds what it speaks of."
    found, truths, speaks_of = [], [], question(seeds)
    for _ in range(reps):
        nets, (photos, groups) = rng.choice(len(right), seeds, False), tested(right, n, group, rng)
        found.append(accuracy_interval(right[np.ix_(nets, photos)], groups))
        truths.append(right.mean() if speaks_of == THIS_MANY else right[nets].mean())
    return dict(speaks_of=speaks_of, **summary(found, truths))


def false_alarms(right, seeds, n, group, reps, rng):
    "How often four sizes that are truly equal get a step called better or worse (Holm corrected)."
    alarms = []
    for _ in range(reps):
        nets, (photos, groups) = rng.choice(len(right), 4*seeds, False), tested(right, n, group, rng)
        x = right[np.ix_(nets, photos)].reshape(4, seeds, n)
        ps = [difference(a, b, groups)['p'] for a, b in zip(x, x[1:])]
        alarms.append((holm(ps) < .05).any())
    return round(float(np.mean(alarms)), 4)


def gains(made, seeds, n, reps, rng):
    "Steps between sizes of nested draws: the true gain, how often it is found, and the interval."
    for (a, before), (b, after) in zip(made.items(), list(made.items())[1:]):
        nets, found = min(len(before), len(after)), []
        true = after[:nets].mean() - before[:nets].mean()
        for _ in range(reps):
            at = np.ix_(rng.choice(nets, seeds, False), tested(before, n, 1, rng)[0])
            found.append(difference(before[at], after[at]))
        better = np.mean([f['p'] < .05 and f['difference'] > 0 for f in found])
        yield dict(size_from=a, size_to=b, true=round(float(100*true), 2), seeds=seeds, photos=n,
                   found=round(float(better), 4), **summary(found, [true]*reps))


def pools(halves, share, many, seed):
    "Right answers, pools × heads × photos: five draws of a `share` of the photos of each pool."
    made = []
    for pool in range(many):
        rng = np.random.default_rng([seed, pool, round(100*share)])
        hand = halves.draw(round(SHARED/share), rng)
        made.append([halves.right(halves.draw(SHARED, rng, hand), 5*pool + k) for k in range(5)])
    return np.array(made)


def shared(halves, shares, many, tests, reps, seed, rng):
    "How often the interval of 'this many photos' would hold, whatever the share."
    made = {share: pools(halves, share, many, seed) for share in shares}
    truth = np.mean([m.mean() for m in made.values()])
    for share, right in made.items():
        for seeds in (3, 5):
            for n in tests:
                found = []
                for r in range(reps):
                    at = np.ix_(rng.choice(5, seeds, False), tested(right, n, 1, rng)[0])
                    with patch.object(stats, 'MOST_SHARED', 1):
                        found.append(accuracy_interval(right[r % many][at], share=share))
                yield dict(share=share, seeds=seeds, photos=n, speaks_of=question(seeds, share),
                           **summary(found, [truth]*reps))


def run(reps=400, seed=0, quick=False):
    "Plain values: rows for sizes, seeds, test photos and frames an animal; steps; shares."
    halves, rng = Halves(*population(120 if quick else 5000, quick), seed), np.random.default_rng(seed)
    tests = [(60, 1)] if quick else [(100, 1), (500, 1), (3000, 1), (500, 5)]
    nets, rows, steps = {10: 12, 30: 12} if quick else NETS, [], []
    made = {size: halves.heads(size, n, seed) for size, n in nets.items()}
    many = (1, 3) if quick else (1, 3, 5)
    single = [n for n, group in tests if group == 1]
    for size, right in made.items():
        for seeds in many:
            for n, group in tests:
                found = coverage(right, seeds, n, group, reps, rng)
                alarms = None  # one seed claims nothing about sizes
                if seeds > 1: alarms = false_alarms(right, seeds, n, group, reps, rng)
                rows.append(dict(size=size, seeds=seeds, photos=n, group=group, **found, false_alarms=alarms))
    for seeds in many[1:]:
        for n in single: steps += gains(made, seeds, n, reps, rng)
    shares, at_hand = ((.2, .8), 2) if quick else (SHARES, 100)
    shares = list(shared(halves, shares, at_hand, single[-2:], reps, seed, rng))
    return dict(reps=reps, seed=seed, nets=nets, rows=rows, steps=steps, shares=shares)
