"""Are the statements about probabilities true? Frozen heads on birds, deer and frogs of CIFAR-10.

`run(reps, seed)` trains heads on a few photos a class and asks the same questions of them as of classifiers
that are calibrated, or too sure, by construction: their targets are drawn from known probabilities. The truth
is that of all photos held back. `estimates` sets the usual measures beside ours, in points."""
import numpy as np
from scipy.special import logit
from truth_claims import CLASSES, population

from imgcls.training.calibration import calibrate, calibration_summary
from imgcls.training.head import fit_head

SHARPER = {'as trained': None, 'perfect': 1., 'a little too sure': 1.3, 'too sure': 2.5, 'too modest': .7}


def usual(sure, right, bins=15):
    "The expected calibration error of Guo et al. (2017)."
    at = np.minimum((sure*bins).astype(int), bins-1)
    return np.abs(np.bincount(at, sure-right, bins)).sum()/len(sure)


def chance(sure, rng, rounds=30):
    "What the usual measure says of a perfect classifier with these probabilities."
    return np.mean([usual(sure, rng.random(len(sure)) < sure) for _ in range(rounds)])


def debiased(sure, right, bins=10):
    "The root of the squared error without bias of Kumar et al. (2019), with its sign."
    total = 0.
    for ix in np.array_split(np.argsort(sure, kind='stable'), bins):
        share = right[ix].mean()
        total += len(ix)/len(sure)*((sure[ix].mean()-share)**2 - share*(1-share)/(len(ix)-1))
    return np.sign(total)*np.sqrt(abs(total))


def answers(head, targets, sharper):
    """Probabilities of a head; those from which classes are drawn, so that it is calibrated or not (None:
    the classes are as they are); and how probably each answer is right, 0 or 1 where nothing is drawn."""
    if sharper is None: return head, None, head.argmax(1) == targets
    return calibrate(head, 1/sharper), head, head.max(1)


def curve_at(probs, right, says):
    "In which share of all photos with nearly this probability the classifier is right; NaN for few photos."
    sure = probs.max(1)
    near = np.abs(logit(sure.clip(1e-6, 1-1e-6))-logit(says)) < .3
    return says+(right-sure)[near].mean() if near.sum() > 500 else np.nan


def one(probs, targets, drawn_from, n, group, rng):
    "What is said with `n` test photos; each photo `group` times, as frames of a burst are."
    ix = rng.choice(len(probs), n//group, replace=False)
    y = targets[ix]
    if drawn_from is not None: y = (drawn_from[ix].cumsum(1)[:, :-1] < rng.random((len(ix), 1))).sum(1)
    ix, p, y = np.repeat(ix, group), np.repeat(probs[ix], group, 0), np.repeat(y, group)
    found, (sure, right) = calibration_summary(p, y, ix), (p.max(1), p.argmax(1) == y)
    others = usual(sure, right), usual(sure, right)-chance(sure, rng), debiased(sure, right)
    return found, others


def row(made, n, group):
    "The figures of one kind of classifier."
    found, others, true, at = zip(*made)
    off = np.array([c.off for c in found])
    held = [c.low <= t <= c.high for c, t in zip(found, true)]
    said = [low <= t <= high for c, ts in zip(found, at)
            for (_, low, high), t in zip(c.levels, ts) if c.told and np.isfinite(t)]
    names = 'usual', 'usual less chance', 'debiased'
    return dict(photos=n, group=group, true=float(100*np.mean(true)), off=float(100*off.mean()),
                bias=float(100*np.mean(off-true)), noise=float(100*off.std()/np.sqrt(len(off))),
                held=float(np.mean(held)), sentence=float(np.mean(said)) if said else None,
                told=float(np.mean([c.told for c in found])),
                **{k: float(100*v) for k, v in zip(names, np.mean(others, 0))})


def run(reps=400, seed=0, quick=False):
    "Plain values: for each kind of classifier and number of test photos, bias in points and coverage."
    rng, (X, y) = np.random.default_rng(seed), population(400 if quick else 5000, quick)
    heads, tests = (2, [(100, 1)]) if quick else (20, [(100, 1), (500, 1), (3000, 1), (500, 5), (3000, 5)])
    made = {}
    for h in range(heads):
        order, size = rng.permutation(len(y)), (20, 100)[h % 2]
        train = np.concatenate([order[y[order] == c][:size] for c in range(len(CLASSES))])
        rest = np.setdiff1d(order, train)
        head = fit_head(X[train], y[train], X[rest], y[rest], len(CLASSES), seed=h).probs[-1].astype(float)
        head /= head.sum(1, keepdims=True)
        for kind, sharper in SHARPER.items():
            probs, drawn_from, right = answers(head, y[rest], sharper)
            true = (probs.max(1)-right).mean()
            for n, group in tests:
                for _ in range(max(1, reps//heads)):
                    found, others = one(probs, y[rest], drawn_from, min(n, len(rest)), group, rng)
                    at = [curve_at(probs, right, level[0]) for level in found.levels]
                    made.setdefault((kind, n, group), []).append((found, others, true, at))
    return dict(reps=reps, seed=seed, heads=heads,
                rows=[dict(kind=kind, **row(m, n, group)) for (kind, n, group), m in made.items()])

