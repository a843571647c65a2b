"Statistics against published figures, scipy, and made-up answers of which the truth is known."
import numpy as np
import pytest
from scipy.stats import binomtest, norm

from imgcls.studies.stats import (
    accuracy_interval,
    decline,
    difference,
    effective_photos,
    holm,
    mcnemar,
    wilson,
)


@pytest.mark.parametrize('k,n,low,high',
                         [(90, 100, 82.6, 94.5), (900, 1000, 88., 91.7), (20, 20, 83.9, 100.)])
def test_wilson_published(k, n, low, high):
    assert tuple(round(100*x, 1) for x in wilson(k, n)) == (low, high)


def test_wilson_edges():
    pairs = [(k, n) for n in (1, 2, 7, 100, 3000) for k in {0, 1, n//2, n - 1, n}]
    low, high = wilson(*map(np.array, zip(*pairs)))
    want = [binomtest(k, n).proportion_ci(method='wilson') for k, n in pairs]
    np.testing.assert_allclose(low, [w.low for w in want], atol=1e-12)
    np.testing.assert_allclose(high, [w.high for w in want], atol=1e-12)
    assert np.isnan(wilson(0, 0)).all() and np.isnan(wilson(np.nan, 10)).all()


def test_mcnemar_by_hand():
    assert mcnemar(0, 0) == mcnemar(3, 3) == 1
    assert mcnemar(1, 0) == 1  # one coin: heads or tails
    assert mcnemar(5, 1) == pytest.approx(2*(1 + 6)/64)
    assert mcnemar(1, 5) == mcnemar(5, 1)
    assert 0 < mcnemar(900, 1000) < 1 and mcnemar(2000, 0) < 1e-100


def test_holm():
    np.testing.assert_allclose(holm([.01, .04, .03, .005]), [.03, .06, .06, .02])
    assert holm([.9, .8]).max() == 1 and holm([.02]) == [.02]


def test_difference_counts_and_sign():
    before, after = np.array([1, 1, 0, 0, 0, 1], bool), np.array([1, 0, 1, 1, 1, 1], bool)
    d = difference(before, after)
    assert (d['mended'], d['broken'], d['p']) == (3, 1, .625) and d['difference'] == pytest.approx(2/6)
    back = difference(after, before)
    assert back['difference'] == -d['difference'] and back['low'] == pytest.approx(-d['high'], abs=.2)
    assert d['low'] < d['difference'] < d['high']


def test_difference_covers_the_truth():
    rng = np.random.default_rng(5)
    held = wald = 0
    for _ in range(200):
        d = rng.choice([1, -1, 0], p=[.12, .06, .82], size=400)
        r = difference(d < 0, d > 0)
        held += r['low'] <= .06 <= r['high']
        half = 1.96*np.sqrt(((d**2).mean() - d.mean()**2)/400)
        wald += abs((r['high'] - r['low'])/2 - half) < .006
    assert .90 <= held/200 <= .99 and wald == 200  # neither too narrow nor needlessly wide


def test_difference_seeds():
    rng = np.random.default_rng(0)
    base = rng.random(500) < .8
    before = np.stack([base ^ (rng.random(500) < .02) for _ in range(4)])
    after = before | (rng.random((4, 500)) < .5)
    d = difference(before, after)
    assert d['p'] < .01 and d['low'] > 0 and d['mended'] == (after > before).sum()/4
    same = difference(before, before)
    assert same['p'] > .9 and same['low'] < 0 < same['high']
    luck = np.repeat([[1], [0], [0], [1]], 500, axis=1).astype(bool)  # seeds disagree wildly
    wide = difference(np.zeros((4, 500), bool), luck)
    assert wide['high'] - wide['low'] > .5  # so the interval must be wide, however many photos


# ---- two questions, and groups

def trainings(rng, seeds, photos, spread=.2, frames=1):
    "Made-up answers, seeds × photos, whose mean over draws and photos is .8; frames of one animal are alike"
    hard = rng.normal(size=photos//frames).repeat(frames)
    luck, rest = spread*rng.normal(size=(seeds, 1)), rng.normal(size=(seeds, photos))*.5
    scale = np.sqrt(1 + spread**2 + .25)
    return hard + luck + rest < norm.ppf(.8)*scale


@pytest.mark.parametrize('seeds,photos', [(3, 100), (3, 500), (5, 500), (5, 3000)])
def test_the_interval_of_this_many_photos_covers_other_draws(seeds, photos):
    rng = np.random.default_rng(photos)
    found = [accuracy_interval(trainings(rng, seeds, photos)) for _ in range(400)]
    assert .92 <= np.mean([f['low'] <= .8 <= f['high'] for f in found]) <= .985
    assert {f['speaks_of'] for f in found} == {'this many photos'}


def test_one_seed_does_not_cover_other_draws_and_says_so():
    rng = np.random.default_rng(1)
    found = [accuracy_interval(trainings(rng, 1, 3000)) for _ in range(200)]
    assert np.mean([f['low'] <= .8 <= f['high'] for f in found]) < .5
    assert {f['speaks_of'] for f in found} == {'this classifier'}


def test_frames_of_one_animal_are_not_independent():
    rng, groups = np.random.default_rng(2), np.arange(100).repeat(5)
    made = [trainings(rng, 1, 500, spread=0, frames=5) for _ in range(400)]
    by_photo, by_group = ([accuracy_interval(x, g) for x in made] for g in (None, groups))
    covered = lambda found: np.mean([f['low'] <= .8 <= f['high'] for f in found])
    assert covered(by_photo) < .85 and .92 <= covered(by_group) <= .985
    assert 100 <= np.mean([effective_photos(x, groups) for x in made]) < 250


def test_equal_groups_of_frames_are_seldom_told_apart():
    rng, groups = np.random.default_rng(3), np.arange(60).repeat(5)
    def alarms(names):
        pairs = [(trainings(rng, 1, 300, 0, 5), trainings(rng, 1, 300, 0, 5)) for _ in range(300)]
        return np.mean([difference(a, b, names)['p'] < .05 for a, b in pairs])
    assert alarms(groups) <= .08 < .15 < alarms(None)


def pair(rng, seeds, photos, spread=.2, gain=0.):
    "Two sizes, the second with the same photos, other draws, and a `gain` of each draw"
    hard = rng.normal(size=photos)
    luck, rest = spread*rng.normal(size=(2, seeds, 1)), .5*rng.normal(size=(2, seeds, photos))
    return hard + luck + rest < np.reshape([.9, .9 + gain], (2, 1, 1))


@pytest.mark.parametrize('seeds,photos,spread', [(2, 1000, .2), (3, 500, .1), (3, 1000, .2), (5, 1000, .1)])
def test_sizes_that_are_equal_are_seldom_called_better(seeds, photos, spread):
    "Also where the seeds happen to be alike, so that their luck looks small"
    rng = np.random.default_rng(4)
    found = [difference(*pair(rng, seeds, photos, spread))['p'] for _ in range(300)]
    assert np.mean(np.array(found) < .05) <= .075  # 5 % and twice what chance does to 300


def test_one_seed_calls_equal_sizes_different_for_it_is_about_two_classifiers():
    rng = np.random.default_rng(4)
    assert np.mean([difference(*pair(rng, 1, 1000))['p'] < .05 for _ in range(100)]) > .4


def test_sizes_that_differ_are_still_found():
    rng = np.random.default_rng(6)
    found = [difference(*pair(rng, 5, 1000, .1, gain=.3)) for _ in range(100)]
    assert np.mean([f['p'] < .05 and f['difference'] > 0 for f in found]) > .8


FOURS = np.arange(200)//4


@pytest.mark.parametrize('seeds,groups', [(2, None), (3, None), (5, FOURS), (1, FOURS)])
def test_the_interval_leaves_out_zero_where_p_is_small(seeds, groups):
    rng = np.random.default_rng(7)
    found = [difference(*pair(rng, seeds, 200, .1, gain), groups) for gain in np.linspace(0, 1, 60)]
    small = [f['p'] < .05 for f in found]
    assert small == [not f['low'] <= 0 <= f['high'] for f in found] and 5 < sum(small) < 60


@pytest.mark.parametrize('pieces', [2, 3, 4, 8, 13])
def test_few_groups_prove_nothing(pieces):
    "One photo mended of some groups of two"
    before = np.zeros((1, 2*pieces), bool)
    after = before.copy()
    after[0, 0] = True
    assert difference(before, after, np.arange(2*pieces)//2)['p'] > .3


def test_draws_that_share_photos_have_wider_intervals():
    x = trainings(np.random.default_rng(5), 5, 1000)
    def wide(share): return np.subtract(*(accuracy_interval(x, share=share)[k] for k in ('high', 'low')))
    assert wide(0.) < wide(.3) < wide(.6)
    assert accuracy_interval(x, share=1.)['speaks_of'] == 'this classifier'


@pytest.mark.parametrize('right,groups', [
    (np.ones((3, 2), bool), None), (np.zeros((1, 2), bool), None), (np.eye(2, dtype=bool), [0, 0]),
    (np.ones((5, 40), bool), np.arange(40)//20), (np.ones((1, 1), bool), ['a']),
    (np.eye(4, dtype=bool)[:1], [0, 0, 1, 1])])
def test_little_is_told_from_little(right, groups):
    found = accuracy_interval(right, groups)
    assert 0 <= found['low'] <= found['accuracy'] <= found['high'] <= 1 and found['high'] - found['low'] > .05
    d = difference(right, ~right, groups)
    assert -1 <= d['low'] <= d['high'] <= 1 and 0 <= d['p'] <= 1


def test_no_photos():
    found = accuracy_interval(np.ones((2, 0), bool))
    assert np.isnan([found['accuracy'], found['low'], found['high']]).all()


# ---- the mark for overfitting

def answers(rng, curve, photos=300, seeds=1, alike=.9):
    "Seeds × epochs × photos: named right? Photos differ in difficulty, an epoch resembles the one before"
    hard, right = rng.normal(size=photos), []
    for _ in range(seeds):
        luck, z = rng.normal(size=photos), rng.normal(size=photos)
        for accuracy in curve:
            z = alike*z + np.sqrt(1 - alike**2)*rng.normal(size=photos)
            right.append(np.sqrt(.6)*hard + np.sqrt(.2)*(luck + z) < norm.ppf(accuracy))
    return np.stack(right).reshape(seeds, len(curve), photos)


def share_found(curve, repeats, **kw):
    "How often `decline` finds one"
    rng = np.random.default_rng(len(curve))
    return np.mean([decline(answers(rng, curve, **kw), resamples=300) < .05 for _ in range(repeats)])


# Of 300 studies, chance makes more than 24 alarms once in a hundred times when the true rate is 5 %.
@pytest.mark.parametrize('epochs,alike', [(2, .9), (4, 0), (4, .9), (12, .9), (25, 0), (25, .9), (25, .99)])
def test_equal_epochs_are_seldom_called_overfitting(epochs, alike):
    assert share_found([.9]*epochs, 300, alike=alike) <= .08


def test_the_best_epoch_against_the_last_was_no_test():
    "The fault that `decline` mends: McNemar's test of an epoch that was picked for being best"
    rng, alarms = np.random.default_rng(25), 0
    for _ in range(300):
        right = answers(rng, [.9]*25, alike=0)[0]
        best = right[right.mean(1).argmax()]
        alarms += mcnemar((right[-1] > best).sum(), (right[-1] < best).sum()) < .05
    assert alarms/300 > .1


@pytest.mark.parametrize('photos,accuracy', [(30, .8), (2000, .97)])
def test_equal_epochs_few_and_many_photos(photos, accuracy):
    assert share_found([accuracy]*12, 200, photos=photos) <= .08


@pytest.mark.parametrize('seeds', [2, 3, 5])
def test_equal_epochs_of_several_seeds(seeds):
    assert share_found([.9]*12, 200, seeds=seeds) <= .085


@pytest.mark.parametrize('epochs', [4, 12, 25])
@pytest.mark.parametrize('peak', [.3, .75])
def test_real_overfitting_is_found(epochs, peak):
    "Six points lost since the best epoch, wherever that was"
    best = round(peak*(epochs - 1))
    curve = np.interp(range(epochs), [0, best, epochs - 1], [.8, .94, .88])
    assert share_found(curve, 60, photos=500) > .8
    assert share_found(curve, 30, photos=500, seeds=3) > .9


def test_improving_epochs_are_no_overfitting():
    assert share_found(np.linspace(.7, .9, 12), 200) == 0


def test_decline_edges():
    assert decline(np.ones((1, 1, 30), bool)) == decline(np.ones((3, 5, 30), bool)) == 1
    right = np.ones((1, 2, 30), bool)
    right[0, 1, :6] = False  # six coins, all heads: once in 64 times
    assert decline(right, resamples=20_000) == pytest.approx(1/64, abs=.004)
    assert decline(right) == decline(right)
