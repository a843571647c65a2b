"""The fast path: what is chosen and held out, and that the model it returns is the one that was scored."""
import copy
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from fastai.callback.core import Callback
from torch import nn

from imgcls.core import UserError
from imgcls.data.synth import synth_folder
from imgcls.data.table import read_photos
from imgcls.training import finetune
from imgcls.training.calibration import calibrate, fit_temperature, hold_out
from imgcls.training.engine import depthwise
from imgcls.training.features import Features
from imgcls.training.finetune import choose, fit_tuned
from imgcls.training.head import LossIsNaN
from imgcls.training.models import find_weights, load_body
from imgcls.training.pixels import Pixels
from imgcls.training.recipes import FineTune, Job
from imgcls.training.stages import Stage, Views
from imgcls.training.tensors import normalised, tensor_dls

QUICK = FineTune(epochs=2, calibrate=.5)


@pytest.fixture(scope='module')
def photos(own_cache): return read_photos(synth_folder(per_class=12, side=64), test=.34)


@pytest.fixture(scope='module')
def lite(): return load_body('efficientnet_lite0')


@pytest.fixture(scope='module')
def nothing(): return load_body('cifar_net')


def job_of(photos, body, res=64, **more): return Job(photos, photos.train(), Features(body, res), **more)


@pytest.fixture(scope='module')
def tuned(photos, lite): return fit_tuned(job_of(photos, lite), QUICK)


def answers(model, rows, body, res=64):
    x = Pixels(res, 'crop', body.weights.resample).of(rows)[:]
    x = normalised(body.weights.mean, body.weights.std)(x, 0)
    with torch.no_grad(): return model(x).softmax(1).numpy()


def same_state(a, b): return all(torch.equal(v, b.state[k]) for k, v in a.state.items())


# ---- what is chosen

STEPS = [Stage(str(i), nn.Identity(), s) for i, s in enumerate((.05, .15, .25, .35, .5, .8, 1., 1.))]


def test_choice(lite):
    few, some, many = (choose(FineTune(), n, lite, STEPS) for n in (30, 1000, 20000))
    assert few.epochs > some.epochs >= many.epochs and few.bs < some.bs < many.bs == 32
    assert few.lr < some.lr < many.lr == pytest.approx(7e-4)
    assert [(c.share, c.at) for c in (few, some, many)] == [(.35, 4), (.25, 3), (.15, 2)]
    assert few.epochs <= 12 and many.epochs >= 4 and few.views == few.epochs
    assert few.steps == 8 and few.pretrained
    assert choose(FineTune(augment=False), 30, lite, STEPS).views == 1
    assert choose(FineTune(views=3), 30, lite, STEPS).views == 3
    assert 'head first' in str(few) and '35%' in str(few) and 'step 4 of 8' in str(few)


def test_a_body_without_depthwise_filters_gets_half_the_rate_at_most(lite):
    resnet = load_body(find_weights('resnet18', 'random'))
    resnet.weights = replace(resnet.weights, origin='file')  # as if they were trained
    rates = [[choose(FineTune(), n, body, STEPS).lr for n in (300, 20000)] for body in (lite, resnet)]
    assert rates[0][0] == rates[1][0] and rates[1][1] == rates[0][1]/2 == pytest.approx(3.5e-4)


def test_choice_where_a_step_takes_long(lite):
    some, slow = (choose(FineTune(), 1000, lite, STEPS, heavy=h) for h in (False, True))
    assert slow.share > some.share and slow.epochs < some.epochs
    few, slow = (choose(FineTune(), 30, lite, STEPS, heavy=h) for h in (False, True))
    assert few.epochs == slow.epochs


def test_what_the_recipe_fixes_is_not_chosen(lite):
    c = choose(FineTune(epochs=3, lr=.01, bs=4, share=.6, views=2), 20000, lite, STEPS)
    assert (c.epochs, c.lr, c.bs, c.share, c.at, c.views) == (3, .01, 4, .5, 5, 2)
    whole = choose(FineTune(share=0.), 100, lite, STEPS)
    assert whole.at == 0 and whole.share == 0 and whole.views == 1 and 'no part' in str(whole)
    assert choose(FineTune(share=.999), 100, lite, STEPS[:-1]).at == 6, 'at least one step is trained'


def test_without_weights_all_is_trained(nothing):
    c = choose(FineTune(), 100, nothing, STEPS)
    assert not c.pretrained and c.at == 0 and c.share == 0 and c.lr == pytest.approx(3e-3)
    assert 'random weights' in str(c) and not c.filters and 'depthwise' not in str(c)
    still = choose(FineTune(), 100, load_body(find_weights('efficientnet_lite0', 'random')), STEPS)
    assert still.filters and 'all of the body is trained, but for its depthwise filters' in str(still)


def test_memory_limits_the_views(lite, monkeypatch):
    asked = []

    def size(at):
        asked.append(at)
        return 1_000_000
    assert choose(FineTune(epochs=12), 100, lite, STEPS, size).views == 10 and set(asked) == {4}
    assert choose(FineTune(epochs=12), 10**6, lite, STEPS, size).views == 1
    monkeypatch.setattr(finetune, 'MEMORY', 3e8)
    assert choose(FineTune(epochs=12), 100, lite, STEPS, size).views == 3


@pytest.mark.parametrize('share', [1., 1.5, -.1])
def test_an_impossible_share(lite, nothing, share):
    for body in (lite, nothing):
        with pytest.raises(UserError, match=f'share is {share}; it must be from 0 to below 1'):
            choose(FineTune(share=share), 100, body, STEPS)


# ---- what is held out

def rows_of(**counts):
    "Photos by class, each of a group of its own."
    labels = [c for c, n in counts.items() for _ in range(n)]
    n = range(len(labels))
    return pd.DataFrame(dict(path=[f'{i}.jpg' for i in n], label=labels, group=[f'g{i}' for i in n]))


def test_held_out_per_class():
    rows = rows_of(a=100, b=40, c=19, d=1)
    for seed in range(4):
        out = hold_out(rows, .1, seed)
        assert out.dtype == bool and rows.label[out].value_counts().to_dict() == dict(a=10, b=4, c=1)
    one, again, two = (hold_out(rows, .1, s) for s in (1, 1, 2))
    assert (one == again).all() and not (one == two).all()
    assert not hold_out(rows, 0.).any() and not hold_out(rows, .05).any()
    assert hold_out(rows[['path', 'label']], .1).sum() == 15


def test_groups_are_not_parted():
    rows = rows_of(a=60, b=60)
    rows['group'] = [f'g{i//2}' for i in range(120)]
    rows = pd.concat([rows, rows[:7]])  # balance='over' repeats photos
    for seed in range(5):
        out = hold_out(rows, .2, seed)
        assert 0 < out.sum() < 60 and not set(rows.group[out]) & set(rows.group[~out])


def test_a_class_is_never_held_out_as_a_whole():
    "Not even where its photos are of groups that other classes have too."
    rows = rows_of(a=40, b=2)
    rows.loc[rows.label == 'b', 'group'] = ['g0', 'g1']
    for seed in range(12): assert set(rows.label[~hold_out(rows, .5, seed)]) == {'a', 'b'}


# ---- training

def test_head_first_then_the_body(photos, lite, tuned):
    model, job = tuned.learner, job_of(photos, lite)
    assert list(tuned.epochs.phase) == ['head', 'body', 'body'] and list(tuned.epochs.epoch) == [1, 2, 3]
    assert tuned.epochs.seconds.is_monotonic_increasing and not tuned.notes
    assert tuned.probs.shape == (3, len(job.test), 3) and tuned.probs.dtype == np.float16
    assert tuned.kind == 'plain'
    assert tuned.rates.max() <= choose(QUICK, 18, lite, STEPS).lr*1.001
    np.testing.assert_allclose(tuned.epochs.accuracy, (tuned.probs.argmax(-1) == job.y_test).mean(1))
    np.testing.assert_array_equal(tuned.held_out, hold_out(job.rows, .5))
    names = [f'0.{k}' for k in lite.module.state_dict()]
    assert [*tuned.state] == names + ['1.weight', '1.bias'], 'other names than the ordinary ones'
    assert not model.training and all(torch.equal(v, model.state_dict()[k]) for k, v in tuned.state.items())


@pytest.mark.usefixtures('same_numbers')
@pytest.mark.parametrize('share', [None, 0.])
def test_the_model_is_the_one_that_was_scored(photos, lite, tuned, share):
    fit = tuned if share is None else fit_tuned(job_of(photos, lite), replace(QUICK, share=0., epochs=1))
    assert fit.temperature != 1
    got = calibrate(answers(fit.learner, photos.test, lite), fit.temperature)
    most = .1 if share is None else .006  # cached activations have 16 bits, others 32
    assert np.abs(got-fit.probs[-1]).max() < most
    assert np.abs(got-fit.probs[0]).max() > .1, 'nothing was learned after the head'


@pytest.mark.parametrize('numbers', [torch.float32, torch.bfloat16], ids=str)
def test_each_epoch_tells_of_the_model_as_it_then_was(photos, lite, monkeypatch, numbers):
    monkeypatch.setattr(finetune, 'training_precision', lambda *a: (numbers, 'as asked'))
    seen = []

    class Ask(Callback):
        def after_epoch(self):
            model = nn.Sequential(*self.model)  # in 32 bits, whatever callbacks have done to `model`
            with torch.no_grad(): scores = model(self.dls.valid.dataset.x[:].float())
            seen.append(nn.functional.cross_entropy(scores, self.dls.valid.dataset.y).item())
    fit = fit_tuned(job_of(photos, lite), replace(QUICK, epochs=3), cbs=[Ask()])
    apart = np.abs(fit.epochs.valid_loss[1:].to_numpy()-seen)
    assert len(set(seen)) == 3 and apart.max() < (1e-4 if numbers == torch.float32 else .02)
    assert apart[-1] < 1e-4, 'the last epoch is scored in 32 bits'


def test_what_was_not_to_change_has_not(photos, lite):
    module = lite.module
    before, grads = copy.deepcopy(module.state_dict()), [p.requires_grad for p in module.parameters()]
    fit = fit_tuned(job_of(photos, lite), FineTune(epochs=1, share=.4))
    assert all(torch.equal(v, before[k]) for k, v in module.state_dict().items()), 'the body was changed'
    assert not any(m.training for m in module.modules())
    assert [p.requires_grad for p in module.parameters()] == grads
    assert not {p.data_ptr() for p in fit.learner.parameters()} & {p.data_ptr() for p in module.parameters()}
    moved = {k: ((fit.state[f'0.{k}']-v).abs().max()/v.abs().max()).item()
             for k, v in before.items() if v.is_floating_point()}
    assert moved['conv_head.weight'] > 1e-3, 'the upper body is to be trained'
    lower = [v for k, v in moved.items() if k.startswith(('conv_stem', 'bn1', 'blocks.0', 'blocks.1'))]
    assert max(lower) < 5e-4, 'the lower body is not to be trained'  # rounding alone
    still = [v for k, v in moved.items() if k.endswith(('running_mean', 'running_var', 'conv_dw.weight'))]
    assert max(still) < 1e-5


def test_a_function_of_the_seed(photos, lite, tuned):
    a, b = (fit_tuned(job_of(photos, lite, seed=s), QUICK) for s in (0, 1))
    np.testing.assert_array_equal(a.probs, tuned.probs)
    assert a.temperature == tuned.temperature and same_state(tuned, a)
    assert not np.array_equal(a.probs, b.probs)


def test_sixteen_bits_are_a_function_of_the_seed_too(photos, monkeypatch):
    resnet = load_body(find_weights('resnet18', 'random'))
    resnet.weights = replace(resnet.weights, origin='file')  # as if they were trained
    monkeypatch.setattr(finetune, 'training_precision', lambda *a: (torch.bfloat16, 'bf16'))
    a, b = (fit_tuned(job_of(photos, resnet, 32), replace(QUICK, epochs=1)) for _ in range(2))
    np.testing.assert_array_equal(a.probs, b.probs)


def test_test_photos_are_never_learned_from(photos, lite, monkeypatch):
    job, seen, drawn = job_of(photos, lite), [], []
    aside = hold_out(job.rows, .5)

    class Spy(Pixels):
        def of(self, rows):
            seen.append(rows.path.tolist())
            return super().of(rows)

    def spy(train_on, score_on, *a):
        drawn.append((train_on, score_on))
        return tensor_dls(train_on, score_on, *a)
    job.features._pixels = Spy(64)
    monkeypatch.setattr(finetune, 'tensor_dls', spy)
    fit_tuned(job, replace(QUICK, share=0., epochs=1))
    paths = job.rows.path
    assert [set(p) for p in seen] == [set(paths[~aside]), set(paths[aside]), set(job.test.path)]
    assert not set(seen[0]) & (set(seen[1]) | set(seen[2]))
    (train_on, score_on), = drawn
    rows = job.rows.set_index('path', drop=False)
    assert torch.equal(train_on.x[:].cpu(), Pixels(64).of(rows.loc[seen[0]])[:])
    assert torch.equal(score_on.x[:].cpu(), Pixels(64).of(job.test)[:])
    assert len(train_on) == (~aside).sum() and aside.sum() == 12
    assert train_on.y.tolist() == job.y[~aside].tolist()


def test_test_labels_change_nothing_that_is_kept(photos, lite, tuned):
    labels = photos.df.label.where(photos.df.split == 'train', np.roll(photos.df.label, 5))
    wrong = replace(photos, df=photos.df.assign(label=labels))
    fit = fit_tuned(job_of(wrong, lite), QUICK)
    assert fit.temperature == tuned.temperature and same_state(tuned, fit)
    at = wrong.test.sha256.map([*photos.test.sha256].index).to_numpy()
    np.testing.assert_array_equal(fit.probs, tuned.probs[:, at])
    assert list(fit.epochs.accuracy) != list(tuned.epochs.accuracy)


def test_activations_in_a_file_change_nothing(photos, lite, tuned, monkeypatch):
    seen, real = [], finetune.tensor_dls
    monkeypatch.setattr(finetune, 'tensor_dls', lambda *a: seen.append(a[0].x) or real(*a))
    monkeypatch.setattr(finetune, '_IN_MEMORY', 0)
    fit = fit_tuned(job_of(photos, lite), QUICK)
    assert isinstance(seen[0], Views), 'they were in memory'
    np.testing.assert_array_equal(fit.probs, tuned.probs)
    assert fit.temperature == tuned.temperature and same_state(tuned, fit)


def test_the_temperature_is_that_of_the_held_out_photos(photos, lite, tuned):
    rows = photos.train()
    aside = rows[hold_out(rows, .5)]
    want = fit_temperature(answers(tuned.learner, aside, lite), photos.codes(aside), sigma=.25)
    assert tuned.temperature == pytest.approx(want, abs=.1) and tuned.temperature != 1
    assert fit_tuned(job_of(photos, lite), FineTune(epochs=1, calibrate=0.)).temperature == 1


def test_from_random_weights_the_whole_body_is_trained(photos, nothing):
    for body in (nothing, load_body(find_weights('resnet18', 'random'))):
        before = copy.deepcopy(body.module.state_dict())
        fit = fit_tuned(job_of(photos, body, 32), FineTune(epochs=2))
        assert list(fit.epochs.phase) == ['body', 'body']
        assert [*fit.state] == [f'0.{k}' for k in before] + ['1.weight', '1.bias']
        same = [k for k, v in before.items() if torch.equal(fit.state[f'0.{k}'], v)]
        assert not same, f'{same} were not trained'
        assert all(torch.equal(v, before[k]) for k, v in body.module.state_dict().items())
        got = calibrate(answers(fit.learner, photos.test, body, 32), fit.temperature)
        np.testing.assert_allclose(got, fit.probs[-1], atol=2e-3)


def test_from_random_weights_the_depthwise_filters_stay(photos):
    "And the epochs are those of the whole body, although a part of it stays."
    body, said = load_body(find_weights('mobilenet_v3_small', 'random')), []
    fit = fit_tuned(job_of(photos, body, 32, say=said.append), FineTune(epochs=1))
    same = {k for k, v in body.module.state_dict().items() if torch.equal(fit.state[f'0.{k}'], v)}
    kept = depthwise(body.module)
    filters = {f'{n}.weight' for n, m in body.module.named_modules() if m in kept}
    assert filters and same == filters and list(fit.epochs.phase) == ['body']
    assert 'all of the body is trained, but for its depthwise filters' in said[0]


@pytest.mark.parametrize('cut', [True, False])
def test_a_class_without_test_photos(photos, lite, cut):
    "Its place among the classes stays; it can be predicted, too."
    df = photos.df[(photos.df.split == 'train') | (photos.df.label != 'deer')]
    job = job_of(replace(photos, df=df), lite)
    assert job.classes == ['deer', 'fox', 'squirrel'] and set(job.test.label) == {'fox', 'squirrel'}
    fit = fit_tuned(job, FineTune(epochs=1, share=None if cut else 0.))
    assert fit.probs.shape == (2, len(job.test), 3)
    np.testing.assert_allclose(fit.epochs.accuracy, (fit.probs.argmax(-1) == job.y_test).mean(1))


# ---- what goes wrong

@pytest.mark.usefixtures('same_numbers')
@pytest.mark.parametrize('share, most', [(None, .1), (0., .002)])
def test_a_loss_that_becomes_nan_leaves_the_head(photos, lite, nothing, monkeypatch, share, most):
    "Its figures are those of 32 bits, although its features came in 16."
    monkeypatch.setattr('imgcls.training.stages.precision', lambda *a: torch.bfloat16)
    fit = fit_tuned(job_of(photos, lite), FineTune(epochs=2, lr=1e37, share=share))
    assert list(fit.epochs.phase) == ['head'] and len(fit.notes) == 1
    assert 'NaN' in fit.notes[0] and 'epoch 1, the last good one, is kept' in fit.notes[0]
    assert all(v.isfinite().all() for v in fit.state.values())
    got = calibrate(answers(fit.learner, photos.test, lite), fit.temperature)
    assert np.abs(got-fit.probs[0]).max() < most
    with pytest.raises(LossIsNaN, match='nothing of this run is kept'):
        fit_tuned(job_of(photos, nothing, 32), FineTune(epochs=2, lr=1e30))


class _Nan(Callback):
    def after_pred(self):
        if self.training and self.epoch == self.iter == 1: self.learn.pred = self.pred*float('nan')


class _Stop(Callback):
    order = 90

    def after_batch(self):
        if self.training and self.epoch == 1: raise KeyboardInterrupt


@pytest.mark.usefixtures('same_numbers')
@pytest.mark.parametrize('cut', [False, True])
def test_a_loss_that_becomes_nan_later_leaves_the_last_good_epoch(photos, lite, tmp_path, cut):
    job, how = job_of(photos, lite, resume=tmp_path/'k.pt'), replace(QUICK, share=0., lr=.003)
    if cut:
        with pytest.raises(KeyboardInterrupt): fit_tuned(job, how, cbs=(_Stop(),))
    fit = fit_tuned(job, how, cbs=(_Nan(),))
    assert list(fit.epochs.phase) == ['head', 'body']
    assert 'epoch 2, the last good one, is kept' in fit.notes[0]
    got = calibrate(answers(fit.learner, photos.test, lite), fit.temperature)
    assert np.abs(got-fit.probs[-1]).max() < .006, 'the model is not the one of the last good epoch'


def test_a_training_whose_result_was_not_written_any_more(photos, lite, tuned, tmp_path):
    "Killed between the last epoch and the run's files."
    for _ in range(2): fit = fit_tuned(job_of(photos, lite, resume=tmp_path/'k.pt'), QUICK)
    np.testing.assert_array_equal(fit.probs, tuned.probs)
    assert len(fit.epochs) == 3 and fit.temperature == tuned.temperature


def test_weights_of_classes_count(photos, lite, nothing):
    for body, res in ((lite, 64), (nothing, 32)):
        how = replace(QUICK, share=0., lr=.003, calibrate=0.)
        jobs = (job_of(photos, body, res, weights=w) for w in (None, np.array([100., .01, .01])))
        plain, heavy = (fit_tuned(j, how) for j in jobs)
        first = [f.probs[-1][:, 0].astype(float).mean() for f in (plain, heavy)]
        assert first[1] > first[0]+.03, body.weights.arch
    losses = [f.epochs.valid_loss.iloc[-1] for f in (plain, heavy)]
    assert losses[1] > losses[0], 'the loss on test photos is not weighed'
