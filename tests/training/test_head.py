"""A head on frozen features: what it learns, what it does not learn from, and a loss that becomes NaN."""
import inspect
from dataclasses import fields

import numpy as np
import pandas as pd
import pytest
import torch

from imgcls.training import head as head_room
from imgcls.training.head import Fit, LossIsNaN, fit_head
from imgcls.training.recipes import Frozen


def clouds(n=120, classes=3, d=16, seed=0, gap=4.):
    "Features of classes that lie apart."
    r = np.random.default_rng(seed)
    y = np.arange(n) % classes
    return (r.normal(size=(n, d)) + gap*np.eye(d)[y]).astype(np.float16), y.astype(np.int64)


def test_head_learns():
    (X, y), (Xt, yt) = clouds(), clouds(seed=1)
    fit = fit_head(X, y, Xt, yt, 3, epochs=10, lr=1e-2)
    assert fit.epochs.accuracy.iloc[-1] > .97 and fit.epochs.train_loss.is_monotonic_decreasing
    z = Xt.astype(np.float32) @ fit.state['weight'].numpy().T + fit.state['bias'].numpy()
    assert (z.argmax(1) == fit.probs[-1].argmax(1)).mean() > .99, 'the state is the head that was scored'


def test_head_does_not_learn_from_the_test_photos():
    (X, y), (Xt, yt) = clouds(), clouds(seed=1)
    a = fit_head(X, y, Xt, yt, 3)
    b = fit_head(X, y, Xt[:5]*50, (yt[:5]+1) % 3, 3)
    assert all(torch.equal(a.state[k], b.state[k]) for k in a.state)


def test_head_is_a_function_of_the_seed():
    X, y = clouds(gap=1.)
    a, b, c = (fit_head(X, y, X, y, 3, seed=s) for s in (0, 0, 1))
    np.testing.assert_array_equal(a.probs, b.probs)
    assert not np.array_equal(a.probs, c.probs)


def test_head_weights():
    X, y = clouds(gap=1.)
    plain, heavy = (fit_head(X, y, X, y, 3, epochs=10, lr=1e-2, weights=w) for w in (None, [10., .1, .1]))
    assert heavy.probs[-1][:, 0].mean() > plain.probs[-1][:, 0].mean() + .1


def test_features_far_from_zero_are_learned_as_well():
    X, y = clouds()
    X = (X*100 + 3000).astype(np.float16)
    assert fit_head(X, y, X, y, 3, epochs=10, lr=1e-2).epochs.accuracy.iloc[-1] > .97
    nothing = np.zeros_like(X)  # of a body that sees nothing
    assert np.isfinite(fit_head(nothing, y, nothing, y, 3).probs).all()


def test_head_loss_that_becomes_nan():
    X, y = clouds()
    says = '^the loss became NaN at step 3 of epoch 1.* lower the learning rate'
    with pytest.raises(LossIsNaN, match=says): fit_head(X, y, X, y, 3, lr=1e20)


def test_rates():
    X, y = clouds(n=96)
    for epochs in (1, 4):
        rates = fit_head(X, y, X, y, 3, epochs=epochs, lr=1e-3).rates
        peak = rates.argmax()
        assert len(rates) == epochs*12 and rates.max() == pytest.approx(1e-3)
        assert (np.diff(rates[:peak]) > 0).all() and (np.diff(rates[peak:]) < 0).all()
        assert rates[-1] < .1e-3 and rates.min() > 0 and peak == len(rates)//4 - 1


def test_head_keeps_the_last_good_epoch(monkeypatch):
    X, y = clouds()
    whole, steps, real = fit_head(X, y, X, y, 3, epochs=2), [], torch.optim.AdamW.step

    def step(self):
        real(self)
        steps.append(1)
        if len(steps) == 15*2+3:  # in the third epoch
            self.param_groups[0]['params'][0].data.fill_(float('nan'))
    monkeypatch.setattr(torch.optim.AdamW, 'step', step)
    seen = []
    fit = fit_head(X, y, X, y, 3, epochs=4, on_epoch=seen.append)
    assert list(fit.epochs.epoch) == [r['epoch'] for r in seen] == [1, 2]
    assert fit.probs.shape == (2, 120, 3) and len(whole.epochs) == 2
    says = 'the loss became NaN at step 34 of epoch 3; epoch 2, the last good one, is kept: lower'
    assert len(fit.notes) == 1 and fit.notes[0].startswith(says)
    z = torch.from_numpy(X).float() @ fit.state['weight'].T + fit.state['bias']
    np.testing.assert_allclose(z.softmax(1), fit.probs[-1], atol=2e-3)


def test_the_defaults_are_those_of_the_recipe():
    "Two places, because the recipes can be listed without the machinery."
    takes = inspect.signature(fit_head).parameters
    ours = {f.name: f.default for f in fields(Frozen) if f.name in takes}
    assert ours == {k: takes[k].default for k in ours} and len(ours) == 5


@pytest.mark.parametrize('right, n, says', [
    (12, 12, '100.0 % on 12 test photos (95 % interval: 75.8 to 100.0 %)'),
    (0, 1, '0.0 % on 1 test photo (95 % interval: 0.0 to 79.3 %)'),
    (1, 3, '33.3 % on 3 test photos (95 % interval: 6.1 to 79.2 %)')])
def test_a_fit_says_how_good_it_is(right, n, says):
    "With Wilson's interval, as tables of the literature have it (Newcombe 1998)."
    epochs = pd.DataFrame(dict(accuracy=[.5, right/n]))
    assert str(Fit(epochs, np.zeros((2, n, 3)), None, {})) == f'accuracy {says}'


def test_rows_are_moved_together_in_place():
    X = np.random.default_rng(0).normal(size=(10_000, 3)).astype(np.float16)
    out = np.random.default_rng(1).random(10_000) < .1
    want = X[~out]
    got = head_room._without(X, out)
    assert np.shares_memory(got, X) and np.array_equal(got, want)
