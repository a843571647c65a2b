"""Recipes: what fastai and the frozen body learn on a few photos, what is written down, and what one run must not do to the next."""
import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from imgcls import study as study_room
from imgcls import train as train_room
from imgcls.core import UserError
from imgcls.data import photo_table, take
from imgcls.features import Features
from imgcls.models import create_body, find_weights
from imgcls.study import study
from imgcls.synth import synth_folder
from imgcls.train import Fastai, Frozen, LossIsNaN, find_recipe, fit_fastai, fit_head, train


@pytest.fixture(scope='module')
def table(own_cache): return photo_table(synth_folder(per_class=12, side=64), test=.34)


@pytest.fixture(scope='module')
def resnet18(): return create_body(find_weights('resnet18', 'random'))


def clouds(n=120, classes=3, d=16, seed=0, gap=4.):
    "Features of classes that lie apart."
    r = np.random.default_rng(seed)
    y = np.arange(n) % classes
    return (r.normal(size=(n, d)) + gap*np.eye(d)[y]).astype(np.float16), y.astype(np.int64)


# ---- plain fastai

@pytest.mark.parametrize('arch, res', [('cifar_net', 32), ('resnet18', 64), ('mobilenet_v3_small', 64)])
def test_fastai_on_few_photos(table, arch, res):
    from fastai.vision.all import ClassificationInterpretation, Learner
    n_test, n_train = (table.split == 'test').sum(), (table.split == 'train').sum()
    learn = train(table, Fastai(epochs=1, bs=8), Features(create_body(find_weights(arch, 'random')), res))
    fit = learn.fit_
    assert isinstance(learn, Learner) and fit.probs.shape == (2, n_test, 3) and fit.probs.dtype == np.float16
    assert list(fit.epochs.phase) == (['body', 'body'] if arch == 'cifar_net' else ['head', 'body']) and list(fit.epochs.epoch) == [1, 2]
    assert len(fit.rates) == 2*(n_train//8) and (fit.rates > 0).all() and fit.epochs.seconds.is_monotonic_increasing
    targets = table.label[table.split == 'test'].map(sorted(set(table.label)).index).to_numpy()
    np.testing.assert_allclose(fit.epochs.accuracy, (fit.probs.argmax(-1) == targets).mean(1))
    # the learner that comes back is the trained one
    probs, y = learn.get_preds(dl=learn.dls.valid)
    assert y.tolist() == targets.tolist()
    np.testing.assert_allclose(probs, fit.probs[-1], atol=2e-3)
    assert learn.validate()[1] == pytest.approx(fit.epochs.accuracy.iloc[-1])
    matrix = ClassificationInterpretation.from_learner(learn).confusion_matrix()
    assert matrix.sum() == n_test and np.trace(matrix) == (fit.probs[-1].argmax(-1) == targets).sum()
    assert {k: v.shape for k, v in fit.state.items()} == {k: v.shape for k, v in learn.model.state_dict().items()}


def test_fastai_starts_from_our_weights(table, resnet18):
    dls = train_room.fastai_dls(take(table, 4), table[table.split == 'test'], resnet18, 64)
    x = torch.randn(2, 3, 64, 64)
    body = train_room.fastai_learner(dls, resnet18).model[0].eval().cpu()
    with torch.no_grad(): torch.testing.assert_close(body(x).mean((2, 3)), resnet18.module(x))


def test_the_body_stays_while_the_head_learns(table):
    "Also where fastai builds another net than torchvision and ours is taken."
    body = create_body(find_weights('mobilenet_v3_small', 'random'))
    dls = train_room.fastai_dls(take(table, 4), table[table.split == 'test'], body, 64)
    learn = train_room.fastai_learner(dls, body)
    learn.freeze()
    names = {n for n, p in learn.model.named_parameters() if p.requires_grad and p.ndim > 1}
    assert names == {'1.weight'}, 'more than the head is trained'


def test_fastai_again_is_the_same(table):
    body = create_body('cifar_net')
    rows, test = take(table, 6), table[table.split == 'test']
    a, b, c = (fit_fastai(rows, test, body, 32, Fastai(epochs=1, bs=8), seed)[1] for seed in (0, 0, 1))
    np.testing.assert_array_equal(a.probs, b.probs)
    assert not np.array_equal(a.probs, c.probs)
    assert create_body('cifar_net').sha == body.sha == create_body(find_weights('cifar_net')).sha, 'the body was trained, not its copy'


def test_class_weights_do_not_leak_into_the_next_run(table):
    body, rows, test = create_body('cifar_net'), take(table, 6), table[table.split == 'test']
    recipe = Fastai(epochs=1, bs=8, lr=.05)
    for b in (body, create_body(find_weights('resnet18', 'random'))):
        before = fit_fastai(rows, test, b, 32, recipe)[1]
        weighted = fit_fastai(rows, test, b, 32, recipe, weights=np.array([100., .01, .01]))[1]
        after = fit_fastai(rows, test, b, 32, recipe)[1]
        np.testing.assert_array_equal(before.probs, after.probs)
        assert weighted.probs[-1][:, 0].mean() > before.probs[-1][:, 0].mean(), 'the heavy class must become likelier'


def test_fastai_loss_that_is_no_number(table):
    with pytest.raises(LossIsNaN, match='^the loss is no number.*NaN.*lower the learning rate') as e:
        fit_fastai(take(table, 6), table[table.split == 'test'], create_body('cifar_net'), 32, Fastai(epochs=3, bs=8, lr=1e20))
    assert '\n' not in str(e.value)


def test_fastai_goes_on_where_it_stopped(table, tmp_path, monkeypatch):
    options = dict(recipe='fastai', arch='cifar_net', epochs=1, out=tmp_path/'st', say=lambda s: None)
    one = study(table, sizes=[4], **options)
    fit, calls = train_room.fit_fastai, []
    monkeypatch.setattr(study_room, 'fit_fastai', lambda rows, *a, **kw: calls.append(len(rows)) or fit(rows, *a, **kw))
    both = study(table, sizes=[4, 6], **options)
    assert calls == [18] and both.runs['size'].tolist() == [4, 6]
    np.testing.assert_array_equal(both.probs(one.runs.run[0]), one.probs(one.runs.run[0]))
    for r in both.runs.itertuples():
        p = both.probs(r.run)
        assert p.shape == (2, r.n_test, 3) and (p[-1].argmax(-1) == both.targets).mean() == r.accuracy
        assert len(both.rates(r.run)) == 2 and both.epochs[both.epochs.run == r.run].phase.tolist() == ['body', 'body']
    assert both.features['computed'] == 0, 'fastai needs no features'


# ---- a head on a frozen body

def test_frozen_learner(table, resnet18):
    from fastai.vision.all import ClassificationInterpretation
    learn = train(table, Frozen(epochs=3), Features(resnet18, 64), size=6)
    assert len(learn.fit_.epochs) == 3 and set(learn.fit_.epochs.phase) == {'head'} and set(learn.fit_.state) == {'weight', 'bias'}
    probs, _ = learn.get_preds(dl=learn.dls.valid)
    assert np.abs(probs.numpy() - learn.fit_.probs[-1]).max() < .1  # fastai resizes a little differently, in 32 bits
    assert ClassificationInterpretation.from_learner(learn).confusion_matrix().sum() == (table.split == 'test').sum()
    names = {n for n, p in learn.model.named_parameters() if p.requires_grad and p.ndim > 1}
    assert names == {'1.weight'}, 'the body must stay frozen when the user trains on'


def test_head_learns():
    (X, y), (Xt, yt) = clouds(), clouds(seed=1)
    fit = fit_head(X, y, Xt, yt, 3, Frozen(epochs=10, lr=1e-2))
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
    plain, heavy = (fit_head(X, y, X, y, 3, Frozen(epochs=10, lr=1e-2), weights=w) for w in (None, [10., .1, .1]))
    assert heavy.probs[-1][:, 0].mean() > plain.probs[-1][:, 0].mean() + .1


def test_features_far_from_zero_are_learned_as_well():
    X, y = clouds()
    far = fit_head((X*100 + 3000).astype(np.float16), y, (X*100 + 3000).astype(np.float16), y, 3, Frozen(epochs=10, lr=1e-2))
    assert far.epochs.accuracy.iloc[-1] > .97
    flat = fit_head(np.zeros_like(X), y, np.zeros_like(X), y, 3)  # a body that sees nothing
    assert np.isfinite(flat.probs).all()


def test_head_loss_that_is_no_number():
    X, y = clouds()
    with pytest.raises(LossIsNaN, match='^the loss is no number.* lower the learning rate'): fit_head(X, y, X, y, 3, Frozen(lr=1e20))


def test_rates():
    X, y = clouds(n=96)
    for epochs in (1, 4):
        rates = fit_head(X, y, X, y, 3, Frozen(epochs=epochs, lr=1e-3)).rates
        peak = rates.argmax()
        assert len(rates) == epochs*12 and rates.max() == pytest.approx(1e-3) and (np.diff(rates[:peak]) > 0).all() and (np.diff(rates[peak:]) < 0).all()
        assert rates[-1] < .1e-3 and rates.min() > 0 and peak == len(rates)//4 - 1


def test_recipes_by_name():
    assert find_recipe('frozen', 7) == ('frozen', Frozen(epochs=7)) and find_recipe(Fastai(epochs=2)) == ('fastai', Fastai(epochs=2))
    for bad, says in ((('slow', None), "no recipe is called 'slow'; there are frozen, fastai"), (('frozen', 0), 'epochs is 0'), (('frozen', -1), 'epochs is -1')):
        with pytest.raises(UserError, match=says): find_recipe(*bad)


def test_squish_reaches_fastai_too(tmp_path):
    "A mark at the left edge of a wide photo is seen when it is squished and not when its middle is taken."
    wide = Image.new('RGB', (128, 32), 'black')
    wide.paste('white', (0, 0, 24, 32))
    for i in range(2): wide.save(tmp_path/f'{i}.png')
    rows = pd.DataFrame(dict(path=[str(tmp_path/f'{i}.png') for i in range(2)], label=['a', 'b']))
    body = create_body(find_weights('cifar_net'))
    seen = {}
    for method in ('crop', 'squish'):
        dls = train_room.fastai_dls(rows, rows, body, 32, bs=2, num_workers=0, method=method)
        seen[method] = dls.valid.one_batch()[0].max().item()
    assert seen['crop'] < 0 < seen['squish']  # black is -1, white is 1
