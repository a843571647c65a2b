"""Is training too long seen where it was not? Real frozen heads on birds, deer and frogs of CIFAR-10.

Heads are trained for 4, 12 and 25 epochs. What they name right on photos held back is the truth. Their epochs
are put in an order in which the last is truly the best, so every mark for overfitting is a false alarm.
"""
import numpy as np
from truth_claims import CLASSES, Halves, population, tested

from imgcls.studies.stats import decline
from imgcls.training.head import fit_head

EPOCHS, SIZE, HEADS = (4, 12, 25), 100, 20


def course(halves, size, epochs, seed):
    "Right answers of a head after each epoch, epochs × photos."
    rows = np.concatenate(halves.draw(size, np.random.default_rng([seed, epochs])))
    held, (X, y) = halves.held, (halves.X, halves.y)
    fit = fit_head(X[rows], y[rows], X[held], y[held], len(CLASSES), epochs=epochs, seed=seed)
    return fit.probs.argmax(2) == y[held]


def best_last(right):
    "Heads × epochs × photos, with the epoch that is best for all heads together in place of the last."
    best, order = right.mean((0, 2)).argmax(), np.arange(right.shape[1])
    order[[best, -1]] = order[[-1, best]]
    return right[:, order]


def marked(right, seeds, n, group, reps, rng):
    "How often some epoch seems to beat the last one beyond chance."
    found = []
    for _ in range(reps):
        nets, (photos, groups) = rng.choice(len(right), seeds, False), tested(right, n, group, rng)
        found.append(decline(best_last(right[nets])[:, :, photos], groups) < .05)
    return round(float(np.mean(found)), 4)


def run(reps=400, seed=0, quick=False):
    "Plain values: a row for each number of epochs, seeds and test photos, and frames an animal."
    halves, rng = Halves(*population(120 if quick else 3000, quick), seed), np.random.default_rng(seed)
    tests = [(60, 1)] if quick else [(100, 1), (500, 1), (3000, 1), (500, 5)]
    epochs, size, heads, many = ((4,), 20, 4, (1, 3)) if quick else (EPOCHS, SIZE, HEADS, (1, 3, 5))
    rows = []
    for e in epochs:
        right = np.stack([course(halves, size, e, s) for s in range(heads)])
        rows += [dict(epochs=e, seeds=seeds, photos=n, group=group,
                      marked=marked(right, seeds, n, group, reps, rng))
                 for seeds in many for n, group in tests]
    return dict(reps=reps, seed=seed, rows=rows)
