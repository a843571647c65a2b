"""Temperatures are those that suit the photos, and what is held out has no copy among what is trained on."""
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgcls.core import UserError
from imgcls.training.calibration import (
    calibrate,
    calibration_summary,
    fit_temperature,
    folds,
    hold_out,
    overconfidence,
    plot_reliability,
)


def scores(seed, n, classes, scale):
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(n, classes))*scale
    p = np.exp(z-z.max(1, keepdims=True))
    return p/p.sum(1, keepdims=True), rng.integers(0, classes, n)


def cost(p, y, t, sigma):
    "What the best temperature makes least: the negative log-likelihood, and how odd the temperature is."
    powers = np.maximum(p, 2.**-25)**(1/t)
    return -np.log(powers[range(len(y)), y]/powers.sum(1)).sum() + np.log(t)**2/(2*sigma**2)


@pytest.mark.parametrize('sigma', [.25, .5, 5])
@pytest.mark.parametrize('n, classes, scale', [(1, 2, 1.), (30, 3, .2), (200, 10, 3.), (500, 3, 12.)])
def test_no_other_temperature_suits_better(n, classes, scale, sigma):
    p, y = scores(n, n, classes, scale)
    best = fit_temperature(p, y, sigma)
    others = np.geomspace(.05, 20, 400)
    costs = [cost(p, y, t, sigma) for t in others]
    assert cost(p, y, best, sigma) <= min(costs)*1.0001
    assert best == pytest.approx(others[np.argmin(costs)], rel=.02)


@given(st.integers(0, 1000), st.floats(.05, 20))
def test_the_most_probable_class_stays(seed, temperature):
    for kind in (np.float16, np.float32, np.float64):
        p = scores(seed, 20, 4, 3.)[0].astype(kind)
        out = calibrate(p, temperature)
        assert out.dtype == kind and (out.argmax(1) == p.argmax(1)).all()
        assert np.abs(out.astype(float).sum(1)-1).max() < 5e-3


def test_calibrating_overconfident_probabilities_reduces_their_error():
    p, _ = scores(0, 3000, 3, 1.)
    rng = np.random.default_rng(1)
    y = np.array([rng.choice(3, p=row) for row in p])
    sure = calibrate(p, 1/3)
    t = fit_temperature(sure, y)
    assert abs(overconfidence(calibrate(sure, t), y)) < .04 < .15 < overconfidence(sure, y)


@pytest.mark.parametrize('wrong', [0., -1., float('nan')])
def test_sigma_must_be_above_0(wrong):
    p, y = scores(0, 5, 3, 1.)
    with pytest.raises(UserError, match='sigma is .*; it must be above 0'): fit_temperature(p, y, wrong)


def test_groups_are_held_out_whole():
    rows = pd.DataFrame(dict(path=[f'{i}.jpg' for i in range(90)], label=['fox', 'owl', 'elk']*30,
                             group=[str(i//2) for i in range(90)]))
    held = hold_out(rows, .3)
    assert 0 < held.sum() < 90 and not set(rows.group[held]) & set(rows.group[~held])
    assert (held == hold_out(rows, .3)).all() and (held != hold_out(rows, .3, seed=1)).any()
    assert set(rows.label[~held]) == {'fox', 'owl', 'elk'}


def test_a_class_keeps_its_photos_when_all_are_in_groups_of_another():
    rows = pd.DataFrame(dict(path=[f'{i}.jpg' for i in range(20)], label=['fox']*18+['owl']*2,
                             group=['a']*9+['b']*9+['a', 'a']))
    for seed in range(10):
        fold = folds(rows, 2, seed)
        assert set(fold[rows.label == 'owl']) == {-1} and len(set(fold[rows.label == 'fox'])) == 2


def test_a_diagram_draws_on_the_given_axes():
    from matplotlib.figure import Figure
    p, y = scores(0, 50, 3, 1.)
    ax = Figure().subplots()
    assert plot_reliability(p, y, ax) is ax.figure and len(ax.patches) > 3
    assert plot_reliability(p, y)._repr_png_()[:4] == b'\x89PNG'


def answers(rng, n, sharper=1., group=1):
    "Probabilities and classes drawn from them, `sharper` times as sure; photos of a group are alike."
    z = np.repeat(rng.normal(size=(n//group, 3)), group, axis=0)*2
    honest = np.exp(z)/np.exp(z).sum(1, keepdims=True)
    y = (honest.cumsum(1) < np.repeat(rng.random((n//group, 1)), group, axis=0)).sum(1)
    return (honest if sharper == 1 else calibrate(honest, 1/sharper)), y


@pytest.mark.parametrize('n', [100, 400])
@pytest.mark.parametrize('sharper', [1., 3.])
@pytest.mark.parametrize('group', [1, 4])
def test_the_error_is_right_on_average_and_its_interval_holds_it(n, sharper, group):
    rng = np.random.default_rng(n)
    big, y = answers(rng, 100_000, sharper)
    true, offs, held = overconfidence(big, y), [], []
    for _ in range(400):
        p, y = answers(rng, n, sharper, group)
        c = calibration_summary(p, y, np.arange(n)//group)
        offs.append(c.off)
        held.append(c.low <= true <= c.high)
    assert abs(np.mean(offs)-true) < .005 + 3*np.std(offs)/20 and .91 < np.mean(held) < .99


def test_what_cannot_be_told_is_not_told():
    p, y = answers(np.random.default_rng(0), 30)
    assert not calibration_summary(p, y).told and "can't tell" in str(calibration_summary(p, y))
    for c in (calibration_summary(p[:0], y[:0]), calibration_summary(p*np.nan, y)):
        assert not c.told and 'Nothing can be said' in str(c)
    assert not calibration_summary(p, y, np.zeros(30)).told, 'all photos of one group'
    assert not calibration_summary(p[:1], y[:1]).told
    for y in (p.argmax(1), (p.argmax(1)+1) % 3):  # all right, all wrong
        c = calibration_summary(p, y)
        assert np.isfinite([c.low, c.high]).all() and c.low <= c.off <= c.high and str(c)


def test_the_sentence_tells_a_bold_classifier_from_an_honest_one():
    for sharper, says in ((1., 'no error shows'), (3., 'points too sure'), (1/3, 'points too modest')):
        text = str(calibration_summary(*answers(np.random.default_rng(1), 2000, sharper)))
        assert text.startswith('When it says') and says in text
