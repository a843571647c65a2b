"""The fast path: what is chosen, what is held out, that nothing is learned from test photos, and that the model which comes back is the one that was scored."""
import copy
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import pytest
import torch
from fastai.callback.core import Callback
from torch import nn

from imgcls import finetune, speed
from imgcls.calibration import calibrate, fit_temperature, hold_out
from imgcls.core import UserError
from imgcls.data import photo_table, take
from imgcls.features import Features
from imgcls.finetune import choose, fit_tuned
from imgcls.fit import fit_recipe, table_of, train
from imgcls.models import create_body, find_weights
from imgcls.speed import Stage, load_pixels, normalised
from imgcls.study import study
from imgcls.synth import synth_folder
from imgcls.train import Fastai, FineTune, Frozen, LossIsNaN, SgdStep

QUICK = FineTune(epochs=2, calibrate=.25)


@pytest.fixture(scope='module')
def folder(own_cache): return synth_folder(per_class=12, side=64)


@pytest.fixture(scope='module')
def table(folder): return photo_table(folder, test=.34)


@pytest.fixture(scope='module')
def lite(): return create_body('efficientnet_lite0')


@pytest.fixture(scope='module')
def nothing(): return create_body('cifar_net')


@pytest.fixture(scope='module')
def tuned(table, lite): return fit_tuned(take(table, 'all'), table[table.split == 'test'], lite, 64, QUICK)


def parts(table): return take(table, 'all'), table[table.split == 'test']


def answers(model, rows, body, res=64):
    with torch.no_grad(): return model(normalised(body.weights.mean, body.weights.std)(load_pixels(rows.path.tolist(), res, 'crop', body.weights.resample), 0)).softmax(1).numpy()


# ---- what is chosen

STEPS = [Stage(str(i), nn.Identity(), s) for i, s in enumerate((.05, .15, .25, .35, .5, .8, 1., 1.))]


def test_choice(lite, nothing):
    few, some, many = (choose(FineTune(), n, lite, STEPS) for n in (30, 1000, 20000))
    assert few.epochs > some.epochs >= many.epochs and few.bs < some.bs < many.bs == 32 and few.lr < some.lr < many.lr == pytest.approx(7e-4)
    assert few.share == .35 and some.share == .25 and many.share == .15 and (few.at, some.at, many.at) == (4, 3, 2) and few.steps == 8 and few.pretrained
    assert few.epochs <= 12 and many.epochs >= 4 and few.views == few.epochs
    assert choose(FineTune(augment=False), 30, lite, STEPS).views == 1 and choose(FineTune(views=3), 30, lite, STEPS).views == 3
    slow = choose(FineTune(), 1000, lite, STEPS, heavy=True)
    assert slow.share > some.share and slow.epochs < some.epochs and choose(FineTune(), 30, lite, STEPS, heavy=True).epochs == few.epochs
    assert 'head first' in str(few) and '35%' in str(few) and 'step 4 of 8' in str(few)


def test_what_is_said_is_done(lite):
    c = choose(FineTune(epochs=3, lr=.01, bs=4, share=.6, views=2), 20000, lite, STEPS)
    assert (c.epochs, c.lr, c.bs, c.share, c.at, c.views) == (3, .01, 4, .5, 5, 2)
    whole = choose(FineTune(share=0.), 100, lite, STEPS)
    assert whole.at == 0 and whole.share == 0 and whole.views == 1 and 'no part' in str(whole)
    assert choose(FineTune(share=.999), 100, lite, STEPS[:-1]).at == 6, 'at least one step is trained'


def test_without_weights_all_is_trained(nothing):
    c = choose(FineTune(), 100, nothing, STEPS)
    assert not c.pretrained and c.at == 0 and c.share == 0 and c.lr == pytest.approx(3e-3) and 'random weights' in str(c)
    still = choose(FineTune(), 100, create_body(find_weights('efficientnet_lite0', 'random')), STEPS)
    assert still.filters and 'all of the body is trained, but for its depthwise filters' in str(still) and not c.filters and 'depthwise' not in str(c)


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
def test_a_share_that_makes_no_sense(lite, nothing, share):
    for body in (lite, nothing):
        with pytest.raises(UserError, match=f'share is {share}; it must be from 0 to below 1'): choose(FineTune(share=share), 100, body, STEPS)


# ---- what is held out

def rows_of(**counts):
    "Photos by class, each of a group of its own."
    labels = [c for c, n in counts.items() for _ in range(n)]
    return pd.DataFrame(dict(path=[f'{i}.jpg' for i in range(len(labels))], label=labels, group=[f'g{i}' for i in range(len(labels))]))


def test_held_out_per_class():
    rows = rows_of(a=100, b=40, c=19, d=1)
    for seed in range(4):
        out = hold_out(rows, .05, seed)
        assert out.dtype == bool and rows.label[out].value_counts().to_dict() == dict(a=5, b=2)
    assert (hold_out(rows, .05, 1) == hold_out(rows, .05, 1)).all() and not (hold_out(rows, .05, 1) == hold_out(rows, .05, 2)).all()
    assert not hold_out(rows, 0.).any() and hold_out(rows[['path', 'label']], .05).sum() == 7


def test_groups_are_not_parted():
    rows = rows_of(a=60, b=60)
    rows['group'] = [f'g{i//6}' for i in range(120)]
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

def test_head_first_then_the_body(table, lite, tuned):
    fit, model = tuned
    rows, test = parts(table)
    assert list(fit.epochs.phase) == ['head', 'body', 'body'] and list(fit.epochs.epoch) == [1, 2, 3] and fit.epochs.seconds.is_monotonic_increasing and not fit.notes
    assert fit.probs.shape == (3, len(test), 3) and fit.probs.dtype == np.float16 and fit.kind == 'plain' and fit.rates.max() <= choose(QUICK, 18, lite, STEPS).lr*1.001
    np.testing.assert_allclose(fit.epochs.accuracy, (fit.probs.argmax(-1) == finetune._codes(test, sorted(test.label.unique())).numpy()).mean(1))
    assert [*fit.state] == [f'0.{k}' for k in lite.module.state_dict()] + ['1.weight', '1.bias'], 'other names than the ordinary ones'
    assert {k: v.shape for k, v in fit.state.items()} == {k: v.shape for k, v in model.state_dict().items()} and not model.training
    assert all(torch.equal(v, model.state_dict()[k]) for k, v in fit.state.items())


@pytest.mark.parametrize('share', [None, 0.])
def test_the_model_is_the_one_that_was_scored(table, lite, tuned, share):
    rows, test = parts(table)
    fit, model = tuned if share is None else fit_tuned(rows, test, lite, 64, replace(QUICK, share=0., epochs=1))
    assert fit.temperature != 1
    got = calibrate(answers(model, test, lite), fit.temperature)
    assert np.abs(got-fit.probs[-1]).max() < (.1 if share is None else .006), 'cached activations have 16 bits, others 32'
    assert np.abs(got-fit.probs[0]).max() > .1, 'nothing was learned after the head'


def test_what_was_not_to_change_has_not(table, lite):
    before, grads = copy.deepcopy(lite.module.state_dict()), [p.requires_grad for p in lite.module.parameters()]
    fit, model = fit_tuned(*parts(table), lite, 64, FineTune(epochs=1, share=.4))
    assert all(torch.equal(v, before[k]) for k, v in lite.module.state_dict().items()), 'the body was changed'
    assert not any(m.training for m in lite.module.modules()) and [p.requires_grad for p in lite.module.parameters()] == grads
    assert not {p.data_ptr() for p in model.parameters()} & {p.data_ptr() for p in lite.module.parameters()}
    moved = {k: ((fit.state[f'0.{k}']-v).abs().max()/v.abs().max()).item() for k, v in before.items() if v.is_floating_point()}
    assert moved['conv_head.weight'] > 1e-3, 'the upper body is to be trained'
    assert max(v for k, v in moved.items() if k.startswith(('conv_stem', 'bn1', 'blocks.0', 'blocks.1'))) < 5e-4, 'the lower body is not to be trained'  # rounding alone
    assert max(v for k, v in moved.items() if k.endswith(('running_mean', 'running_var', 'conv_dw.weight'))) < 1e-5


def test_a_function_of_the_seed(table, lite, tuned):
    a, b = fit_tuned(*parts(table), lite, 64, QUICK)[0], fit_tuned(*parts(table), lite, 64, QUICK, seed=1)[0]
    np.testing.assert_array_equal(a.probs, tuned[0].probs)
    assert a.temperature == tuned[0].temperature and all(torch.equal(v, a.state[k]) for k, v in tuned[0].state.items())
    assert not np.array_equal(a.probs, b.probs)


def test_sixteen_bits_are_a_function_of_the_seed_too(table, monkeypatch):
    resnet = create_body(find_weights('resnet18', 'random'))
    resnet.weights = replace(resnet.weights, origin='file')  # as if they were trained
    monkeypatch.setattr(finetune, 'training_precision', lambda *a: (torch.bfloat16, 'bf16'))
    a, b = (fit_tuned(*parts(table), resnet, 64, QUICK)[0] for _ in range(2))
    np.testing.assert_array_equal(a.probs, b.probs)


def test_test_photos_are_never_learned_from(table, lite, monkeypatch):
    rows, test = parts(table)
    aside, seen, drawn = hold_out(rows, .25), [], []
    real, loader = speed.load_pixels, speed.tensor_dls
    monkeypatch.setattr(finetune, 'load_pixels', lambda paths, *a, **kw: seen.append(paths) or real(paths, *a, **kw))
    def spy(train_on, score_on, *a):
        drawn.append((train_on, score_on))
        return loader(train_on, score_on, *a)
    monkeypatch.setattr(finetune, 'tensor_dls', spy)
    fit_tuned(rows, test, lite, 64, replace(QUICK, share=0., epochs=1))
    assert [set(p) for p in seen] == [set(rows.path[~aside]), set(rows.path[aside]), set(test.path)] and not set(seen[0]) & (set(seen[1]) | set(seen[2]))
    (train_on, score_on), = drawn
    assert torch.equal(train_on.x, real(seen[0], 64)) and torch.equal(score_on.x, real(seen[2], 64)) and len(train_on) == (~aside).sum() and aside.sum() == 6
    assert train_on.y.tolist() == finetune._codes(rows[~aside], sorted(rows.label.unique())).tolist()


def test_test_labels_change_nothing_that_is_kept(table, lite, tuned):
    rows, test = parts(table)
    wrong = test.assign(label=np.roll(test.label, 5))
    fit = fit_tuned(rows, wrong, lite, 64, QUICK)[0]
    assert fit.temperature == tuned[0].temperature and all(torch.equal(v, fit.state[k]) for k, v in tuned[0].state.items())
    np.testing.assert_array_equal(fit.probs, tuned[0].probs)
    assert list(fit.epochs.accuracy) != list(tuned[0].epochs.accuracy)


def test_the_temperature_is_that_of_the_held_out_photos(table, lite, tuned):
    rows, test = parts(table)
    aside = rows[hold_out(rows, .25)]
    want = fit_temperature(answers(tuned[1], aside, lite), finetune._codes(aside, sorted(test.label.unique())).numpy(), sigma=.25)
    assert tuned[0].temperature == pytest.approx(want, abs=.1) and tuned[0].temperature != 1
    fit = fit_tuned(rows, test, lite, 64, FineTune(epochs=1, calibrate=0.))[0]
    assert fit.temperature == 1


def test_from_random_weights_the_whole_body_is_trained(table, nothing):
    rows, test = parts(table)
    for body, res in ((nothing, 32), (create_body(find_weights('resnet18', 'random')), 32)):
        before = copy.deepcopy(body.module.state_dict())
        fit, model = fit_tuned(rows, test, body, res, FineTune(epochs=2))
        assert list(fit.epochs.phase) == ['body', 'body'] and [*fit.state] == [f'0.{k}' for k in before] + ['1.weight', '1.bias']
        same = [k for k, v in before.items() if torch.equal(fit.state[f'0.{k}'], v)]
        assert not same, f'{same} were not trained'
        assert all(torch.equal(v, before[k]) for k, v in body.module.state_dict().items())
        np.testing.assert_allclose(calibrate(answers(model, test, body, res), fit.temperature), fit.probs[-1], atol=2e-3)


def test_from_random_weights_the_depthwise_filters_stay(table):
    rows, test = parts(table)
    body = create_body(find_weights('mobilenet_v3_small', 'random'))
    said = []
    fit, _ = fit_tuned(rows, test, body, 32, FineTune(epochs=1), say=said.append)
    same = {k for k, v in body.module.state_dict().items() if torch.equal(fit.state[f'0.{k}'], v)}
    filters = {f'{n}.weight' for n, m in body.module.named_modules() if m in speed.depthwise(body.module)}
    assert filters and same == filters and 'all of the body is trained, but for its depthwise filters' in said[0]


def test_a_loss_that_is_no_number_leaves_the_head(table, lite, nothing):
    rows, test = parts(table)
    fit, model = fit_tuned(rows, test, lite, 64, FineTune(epochs=2, lr=1e12))
    assert list(fit.epochs.phase) == ['head'] and len(fit.notes) == 1 and 'NaN' in fit.notes[0] and 'epoch 1, the last good one, is kept' in fit.notes[0]
    assert all(v.isfinite().all() for v in fit.state.values())
    assert np.abs(calibrate(answers(model, test, lite), fit.temperature)-fit.probs[0]).max() < .1
    with pytest.raises(LossIsNaN, match='nothing of this run is kept'): fit_tuned(rows, test, nothing, 32, FineTune(epochs=2, lr=1e30))


class _Nan(Callback):
    def after_pred(self):
        if self.training and self.epoch == 1: self.learn.pred = self.pred*float('nan')


class _Stop(Callback):
    order = 90

    def after_batch(self):
        if self.training and self.epoch == 1: raise KeyboardInterrupt


@pytest.mark.parametrize('cut', [False, True])
def test_a_loss_that_is_no_number_later_leaves_the_last_good_epoch(table, lite, tmp_path, cut):
    rows, test = parts(table)
    if cut:
        with pytest.raises(KeyboardInterrupt): fit_tuned(rows, test, lite, 64, replace(QUICK, share=0.), keep=tmp_path/'k.pt', cbs=(_Stop(),))
    fit, model = fit_tuned(rows, test, lite, 64, replace(QUICK, share=0.), keep=tmp_path/'k.pt', cbs=(_Nan(),))
    assert list(fit.epochs.phase) == ['head', 'body'] and 'epoch 2, the last good one, is kept' in fit.notes[0]
    assert np.abs(calibrate(answers(model, test, lite), fit.temperature)-fit.probs[-1]).max() < .006, 'the model is not the one of the last good epoch'


def test_a_training_whose_result_was_not_written_any_more(table, lite, tuned, tmp_path):
    "Killed between the last epoch and the run's files."
    for _ in range(2): fit = fit_tuned(*parts(table), lite, 64, QUICK, keep=tmp_path/'k.pt')[0]
    np.testing.assert_array_equal(fit.probs, tuned[0].probs)
    assert len(fit.epochs) == 3 and fit.temperature == tuned[0].temperature


def test_weights_of_classes_count(table, lite, nothing):
    for body, res in ((lite, 64), (nothing, 32)):
        how = replace(QUICK, share=0., lr=.003)
        plain, heavy = (fit_tuned(*parts(table), body, res, how, weights=w)[0] for w in (None, np.array([100., .01, .01])))
        assert (heavy.probs[-1][:, 0].astype(float).mean() > plain.probs[-1][:, 0].astype(float).mean()+.03), body.weights.arch
    assert heavy.epochs.valid_loss.iloc[-1] > plain.epochs.valid_loss.iloc[-1], 'the loss on test photos is not weighed'


# ---- memory that runs out

def greedy(body, layer, most, error=lambda: torch.OutOfMemoryError('CUDA out of memory')):
    "A body that needs more memory than there is for training on more than `most` photos at once; and the batches that went through."
    module, sizes = copy.deepcopy(body.module), []
    def hook(m, x):
        if not torch.is_grad_enabled(): return
        if len(x[0]) > most: raise error()
        sizes.append(len(x[0]))
    module.get_submodule(layer).register_forward_pre_hook(hook)
    return replace(body, module=module), sizes


@pytest.mark.parametrize('error', [MemoryError, lambda: RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried")], ids=['python', 'pytorch'])
def test_smaller_batches_where_memory_runs_out(table, nothing, tmp_path, error):
    body, sizes = greedy(nothing, '0', 8, error)
    fit, learn = fit_recipe(table, take(table, 'all'), Features(body, 32), Fastai(epochs=1, bs=24), keep=tmp_path/'k.pt')
    assert len(fit.epochs) == 2 and fit.notes == ['out of memory with batches of 24 photos; 12 were taken instead', 'out of memory with batches of 12 photos; 6 were taken instead']
    assert max(sizes) == 6 and len(fit.rates) == 2*4
    same = fit_recipe(table, take(table, 'all'), Features(nothing, 32), Fastai(epochs=1, bs=6))[0]
    np.testing.assert_array_equal(fit.probs, same.probs)


def test_smaller_batches_for_fine_tune(table, lite):
    body, sizes = greedy(lite, 'conv_head', 4)
    fit, _ = fit_recipe(table, take(table, 'all'), Features(body, 64), QUICK)
    assert max(sizes) == 4 and list(fit.epochs.phase) == ['head', 'body', 'body']
    assert fit.notes == ['out of memory with batches of 8 photos; 4 were taken instead'], 'what was never tried is told of'


def test_an_epoch_of_the_larger_batches_is_no_epoch_of_the_smaller_ones(table, nothing, tmp_path):
    "Memory runs out in the second epoch, when something else on the machine takes it."
    sizes, body = [], replace(nothing, module=copy.deepcopy(nothing.module))
    def hook(m, x):
        if not torch.is_grad_enabled(): return
        sizes.append(len(x[0]))
        if len(sizes) == 5: raise MemoryError
    body.module[0].register_forward_pre_hook(hook)
    fit = fit_recipe(table, take(table, 'all'), Features(body, 32), Fastai(epochs=1, bs=8), keep=tmp_path/'k.pt')[0]
    assert sizes == [8]*5+[4]*12 and len(fit.rates) == 12 and len(fit.notes) == 1
    np.testing.assert_array_equal(fit.probs, fit_recipe(table, take(table, 'all'), Features(nothing, 32), Fastai(epochs=1, bs=4))[0].probs)


@pytest.mark.parametrize('recipe', [Fastai(epochs=1, bs=8), FineTune(epochs=1), SgdStep(epochs=1)])
def test_not_even_the_smallest_batch_fits(table, nothing, recipe):
    body, sizes = greedy(nothing, '0', 0)
    with pytest.raises(UserError, match='out of memory with the smallest batch; take a smaller resolution .--res. or a smaller architecture') as e:
        fit_recipe(table, take(table, 'all'), Features(body, 32), recipe)
    assert '\n' not in str(e.value) and not sizes


def test_other_errors_are_no_lack_of_memory(table, nothing):
    body, _ = greedy(nothing, '0', 0, lambda: RuntimeError('shapes differ'))
    with pytest.raises(RuntimeError, match='shapes differ'): fit_recipe(table, take(table, 'all'), Features(body, 32), Fastai(epochs=1, bs=8))


# ---- one call for all

def loaders(kind, folder):
    from fastai.vision.all import ImageDataLoaders, Resize, get_image_files
    how = dict(item_tfms=Resize(64), bs=8, num_workers=0)
    files = get_image_files(folder)
    if kind == 'folder': return ImageDataLoaders.from_folder(folder, valid_pct=.3, seed=1, **how)
    if kind == 'lists': return ImageDataLoaders.from_lists(folder, files, [f.parent.name for f in files], valid_pct=.3, seed=1, **how)
    df = pd.DataFrame(dict(name=[str(f.relative_to(folder)) for f in files], label=[f.parent.name for f in files], held=np.arange(len(files)) % 3 == 0))
    return ImageDataLoaders.from_df(df, folder, fn_col='name', label_col='label', valid_col='held', **how)


@pytest.mark.parametrize('kind', ['folder', 'lists', 'df'])
def test_loaders_of_the_user(folder, lite, kind):
    from fastai.learner import Learner
    dls, said = loaders(kind, folder), []
    learn = train(dls, body=lite, epochs=1, say=said.append)
    assert isinstance(learn, Learner) and list(learn.dls.vocab) == list(dls.vocab) and learn.dls.valid.one_batch()[0].shape[-1] == 64 and 'at 64 px' in said[0]
    t = table_of(dls)
    assert (t.split == 'test').sum() == dls.valid.n and (t.split == 'train').sum() == len(dls.train_ds) and all(p.split('/')[-2] == c for p, c in zip(t.path, t.label))
    held = dict(folder=lambda: dls.valid.items, lists=lambda: [f for f, _ in dls.valid.items], df=lambda: [folder/n for n in dls.valid.items['name']])[kind]()
    assert {*t.path[t.split == 'test']} == {*map(str, held)}
    with learn.no_bar(), learn.no_logging(): loss, right = learn.validate()
    assert right == pytest.approx(learn.fit_.epochs.accuracy.iloc[-1], abs=1.1/dls.valid.n) and loss == pytest.approx(learn.fit_.epochs.valid_loss.iloc[-1], abs=.06)


def test_loaders_of_tensors_are_refused(lite):
    from fastai.data.all import DataLoaders, TfmdLists
    x, y = torch.zeros(8, 3, 32, 32), torch.arange(8) % 2
    pairs = [*zip(x, y)]
    several = [speed.tensor_dls(speed.Tensors(x, y), speed.Tensors(x, y), ['a', 'b'], 4), DataLoaders.from_dsets(pairs, pairs, bs=4, num_workers=0, device='cpu'),
               DataLoaders(*(torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x, y), 4) for _ in range(2))),
               DataLoaders.from_dsets(*(TfmdLists(pairs, [lambda p: p]) for _ in range(2)), bs=4, num_workers=0, device='cpu')]
    for dls in several:
        with pytest.raises(UserError, match='give train a table, from photo_table') as e: train(dls, body=lite, say=None)
        assert '\n' not in str(e.value)


def test_a_learner_that_can_be_trained_on(table, lite):
    learn = train(table, QUICK, Features(lite, 64), say=None)
    before = learn.model[0].conv_stem.weight.detach().clone()
    with learn.no_bar(), learn.no_logging(): learn.fit(1, 1e-2)
    assert not torch.equal(before, learn.model[0].conv_stem.weight.cpu()), 'all weights of the model that comes back can be trained'


@dataclass(frozen=True)
class Steady(Fastai):
    "What a user may write: all weights, one rate."
    epochs: int = 2
    lr: float = .01
    bs: int = 8

    @property
    def n_epochs(self): return self.epochs

    def fit(self, learn, cbs): learn.fit(self.epochs, self.lr, cbs=cbs)


def test_a_recipe_of_the_user(table, tmp_path):
    st = study(table, sizes=[4], recipe=[Steady(), 'frozen'], arch='cifar_net', out=tmp_path/'st', say=lambda s: None)
    assert set(st.runs.recipe) == {'steady', 'frozen'} and not st.failed
    run = st.runs.run[st.runs.recipe == 'steady'].iloc[0]
    assert st.probs(run).shape[0] == 2 and set(st.rates(run)) == {np.float32(.01)}
    st = study(table, sizes=[4], recipe=Steady(lr=.02), arch='cifar_net', out=tmp_path/'st', say=lambda s: None)
    assert (st.runs.recipe == 'steady').sum() == 2, 'another rate, another run'


def test_the_temperature_of_a_frozen_body_is_not_learned_from_test_photos(table, nothing):
    wrong = table.assign(label=np.where(table.split == 'test', np.roll(table.label, 12), table.label))
    a, b = (fit_recipe(t, take(t, 'all'), Features(nothing, 32), Frozen(epochs=8, lr=.01))[0] for t in (table, wrong))
    assert a.temperature == b.temperature != 1 and all(torch.equal(v, b.state[k]) for k, v in a.state.items())


@pytest.mark.parametrize('recipe, says', [('fine_tune:calibrate=1', 'calibrate'), ('fine_tune:smoothing=3', 'smoothing'), ('fine_tune:warmup=2', 'warmup'),
                                          ('frozen:smoothing=3', 'smoothing'), ('sgd_step:step=0', 'step')])
def test_values_that_no_training_can_have(table, nothing, recipe, says):
    with pytest.raises(UserError, match=says) as e: train(table, recipe, nothing, res=32, epochs=1, say=None)
    assert '\n' not in str(e.value)
