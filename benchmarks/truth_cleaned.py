"""Is the level of a cleaned study true? Real frozen heads on birds, deer and frogs of CIFAR-10.

Some labels are swapped, in training and test alike. A head learns without the training photos that imgcls
suspects, and is scored on the test photos as they were. The truth is its accuracy on all photos held back:
by labels of which as many are wrong, and by the right ones. `without_suspects` is the level when suspects
leave the test photos too.
"""
import numpy as np
from truth_claims import CLASSES, Halves, population

from imgcls.cleaning.issues import judge_labels
from imgcls.studies.stats import accuracy_interval
from imgcls.training.head import fit_head

WRONG, SIZE, TEST = (0., .05, .1), 100, 300
LEVELS = 'reported', 'as_labelled', 'true', 'without_suspects'


def swapped(y, wrong, rng):
    "Labels of which a share is wrong."
    other = (y + rng.integers(1, len(CLASSES), len(y))) % len(CLASSES)
    return np.where(rng.random(len(y)) < wrong, other, y)


def cleaned(halves, wrong, size, test, rng):
    "Levels of one cleaned study, and whether its interval holds the two truths."
    X, held = halves.X, rng.permutation(halves.held)
    rows, said = np.concatenate(halves.draw(size, rng)), swapped(halves.y, wrong, rng)
    mine = np.concatenate([rows, held[:test]])
    views = np.hstack([X[mine]]*2).astype(np.float32)  # of a photo and its mirror image: here the same
    tests = np.arange(len(mine)) >= len(rows)
    suspected = judge_labels(views, said[mine], mine, tests)[0]
    keep, left = rows[~suspected[:len(rows)]], ~suspected[len(rows):]
    fit = fit_head(X[keep], said[keep], X[held], said[held], len(CLASSES), seed=int(rng.integers(1 << 30)))
    named = fit.probs[-1].argmax(1)
    right, rest = named == said[held], slice(test, None)
    found = accuracy_interval(right[:test])
    truths = right[rest].mean(), (named == halves.y[held])[rest].mean()
    return [found['accuracy'], *truths, right[:test][left].mean(),
            *(found['low'] <= t <= found['high'] for t in truths)]


def run(reps=400, seed=0, quick=False):
    "Plain values: a row for each share of wrong labels; levels in percent."
    halves, rng = Halves(*population(120 if quick else 5000, quick), seed), np.random.default_rng(seed)
    size, test, reps = (20, 60, min(reps, 2)) if quick else (SIZE, TEST, reps)
    rows = []
    for wrong in WRONG:
        found = np.mean([cleaned(halves, wrong, size, test, rng) for _ in range(reps)], axis=0)
        levels = dict(zip(LEVELS, (100*found[:4]).round(2).tolist()))
        rows.append(dict(wrong=wrong, photos=test, **levels, held=round(float(found[4]), 4),
                         held_true=round(float(found[5]), 4)))
    return dict(reps=reps, seed=seed, rows=rows)
