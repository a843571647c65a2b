"""fastai's own way: what it learns and what is written down; what happens when memory runs out."""
import copy
from dataclasses import dataclass, replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from fastai.callback.core import Callback
from fastai.vision.all import ClassificationInterpretation, Learner
from PIL import Image

from imgcls.core import UserError
from imgcls.data.synth import synth_folder
from imgcls.data.table import read_photos
from imgcls.training.features import Features
from imgcls.training.head import LossIsNaN
from imgcls.training.learner import fastai_dls, fastai_learner, fit_learner
from imgcls.training.models import find_weights, load_body
from imgcls.training.pixels import Pixels
from imgcls.training.recipes import Fastai, FineTune, Job, SgdStep, find_recipe
from imgcls.training.tensors import normalised


@pytest.fixture(scope='module')
def photos(own_cache): return read_photos(synth_folder(per_class=12, side=64), test=.34)


@pytest.fixture(scope='module')
def resnet18(): return load_body(find_weights('resnet18', 'random'))


@pytest.fixture(scope='module')
def nothing(): return load_body('cifar_net')


def job_of(photos, body, res=32, size=6, **more):
    return Job(photos, photos.train(size), Features(body, res), **more)


@pytest.mark.usefixtures('same_numbers')
@pytest.mark.parametrize('arch, res', [('cifar_net', 32), ('resnet18', 64), ('mobilenet_v3_small', 64)])
def test_fastai_on_few_photos(photos, arch, res):
    job = job_of(photos, load_body(find_weights(arch, 'random')), res, 'all')
    fit, n_test = fit_learner(job, Fastai(epochs=1, bs=8, lr=.02)), len(job.test)  # fewer ties with that rate
    learn = fit.learner
    assert isinstance(learn, Learner) and fit.probs.shape == (2, n_test, 3) and fit.probs.dtype == np.float16
    assert list(fit.epochs.phase) == (['body', 'body'] if arch == 'cifar_net' else ['head', 'body'])
    assert list(fit.epochs.epoch) == [1, 2] and fit.epochs.seconds.is_monotonic_increasing
    assert len(fit.rates) == 2*(len(job.rows)//8) and (fit.rates > 0).all()
    np.testing.assert_allclose(fit.epochs.accuracy, (fit.probs.argmax(-1) == job.y_test).mean(1))
    # the learner that comes back is the trained one
    probs, y = learn.get_preds(dl=learn.dls.valid)
    assert y.tolist() == job.y_test.tolist()
    np.testing.assert_allclose(probs, fit.probs[-1], atol=2e-3)
    second, most = np.sort(fit.probs[-1].astype(np.float32), 1)[:, -2:].T
    tied = (most-second < 4e-3).sum()  # of these, rounding decides which class is named
    right = fit.epochs.accuracy.iloc[-1]*n_test
    # that net, untrained, says nearly the same of all photos
    if arch != 'mobilenet_v3_small': assert tied <= n_test/2
    assert abs(learn.validate()[1]*n_test-right) <= tied+1e-6
    matrix = ClassificationInterpretation.from_learner(learn).confusion_matrix()
    assert matrix.sum() == n_test and abs(np.trace(matrix)-right) <= tied+1e-6
    state = learn.model.state_dict()
    assert fit.state.keys() == state.keys()
    assert all(torch.equal(v, state[k].cpu()) for k, v in fit.state.items())


def test_fastai_starts_from_our_weights(photos, resnet18):
    dls, x = fastai_dls(job_of(photos, resnet18, 64), Fastai()), torch.randn(2, 3, 64, 64)
    body = fastai_learner(dls, resnet18).model[0].eval().cpu()
    with torch.no_grad(): torch.testing.assert_close(body(x).mean((2, 3)), resnet18.module(x))


def test_the_body_stays_while_the_head_learns(photos):
    "Also where fastai builds another net than torchvision and ours is taken."
    body = load_body(find_weights('mobilenet_v3_small', 'random'))
    learn = fastai_learner(fastai_dls(job_of(photos, body, 64), Fastai()), body)
    learn.freeze()
    names = {n for n, p in learn.model.named_parameters() if p.requires_grad and p.ndim > 1}
    assert names == {'1.weight'}, 'more than the head is trained'


def test_fastai_again_is_the_same(photos, nothing):
    a, b, c = (fit_learner(job_of(photos, nothing, seed=s), Fastai(epochs=1, bs=8)) for s in (0, 0, 1))
    np.testing.assert_array_equal(a.probs, b.probs)
    assert not np.array_equal(a.probs, c.probs)
    fresh = load_body('cifar_net').module.state_dict()
    same = [torch.equal(v, fresh[k]) for k, v in nothing.module.state_dict().items()]
    assert all(same), 'the body was trained'


def test_class_weights_do_not_leak_into_the_next_run(photos, nothing, resnet18):
    recipe = Fastai(epochs=1, bs=8, lr=.05)
    for body in (nothing, resnet18):
        before = fit_learner(job_of(photos, body), recipe)
        weighted = fit_learner(job_of(photos, body, weights=np.array([100., .01, .01])), recipe)
        after = fit_learner(job_of(photos, body), recipe)
        np.testing.assert_array_equal(before.probs, after.probs)
        heavy, plain = (f.probs[-1][:, 0].mean() for f in (weighted, before))
        assert heavy > plain, 'the heavy class must become likelier'


def test_a_class_without_test_photos(photos, nothing):
    "Its place among the classes stays, whatever learns."
    df = photos.df[(photos.df.split == 'train') | (photos.df.label != 'fox')]
    job = job_of(replace(photos, df=df), nothing)
    assert job.classes == ['deer', 'fox', 'squirrel'] and set(job.test.label) == {'deer', 'squirrel'}
    fit = Fastai(epochs=1, bs=8).fit(job)
    assert list(fit.learner.dls.vocab) == job.classes and fit.probs.shape[2] == 3
    np.testing.assert_allclose(fit.epochs.accuracy, (fit.probs.argmax(-1) == job.y_test).mean(1))


class _Tf32(Callback):
    "May a graphics card shorten the numbers? By whether the net trains."
    def __init__(self): self.seen = set()

    def after_pred(self): self.seen.add((self.training, torch.backends.cudnn.allow_tf32))


def test_test_photos_are_scored_in_whole_32_bits(photos, nothing, monkeypatch):
    "As `predict` answers; training may be as quick as the card allows."
    monkeypatch.setattr(torch.backends.cudnn, 'allow_tf32', True)
    spy = _Tf32()
    fit_learner(job_of(photos, nothing), Broken(epochs=1, bs=8, nan=spy))
    assert spy.seen == {(True, True), (False, False)} and torch.backends.cudnn.allow_tf32


# ---- a loss that becomes NaN

def test_a_loss_that_becomes_nan(photos, nothing):
    with pytest.raises(LossIsNaN, match='^the loss became NaN at .*lower the learning rate') as e:
        fit_learner(job_of(photos, nothing), Fastai(epochs=3, bs=8, lr=1e20))
    assert '\n' not in str(e.value)


class _Nan(Callback):
    "Makes the loss NaN in one step of the training; counts the steps."
    def __init__(self, step): self.step, self.made = step, 0

    def after_pred(self):
        if not self.training: return
        self.made += 1
        if self.made == self.step: self.learn.pred = self.pred*float('nan')


@dataclass(frozen=True)
class Broken(Fastai):
    name = 'broken'  # the recipe that `_Nan` breaks
    nan: object = None

    def train(self, learn, cbs): super().train(learn, [*cbs, self.nan])


def test_the_last_good_epoch_is_kept(photos, nothing):
    fit = fit_learner(job_of(photos, nothing), Broken(epochs=2, bs=8, lr=.02, nan=_Nan(step=4)))
    assert len(fit.epochs) == len(fit.probs) == len(fit.notes) == 1 and len(fit.rates) == 4
    assert 'step 4 of epoch 2; epoch 1, the last good one, is kept' in fit.notes[0]
    with fit.learner.no_bar(): probs, _ = fit.learner.get_preds(dl=fit.learner.dls.valid)
    np.testing.assert_allclose(probs, fit.probs[-1], atol=2e-3)
    one = fit_learner(job_of(photos, nothing), Fastai(epochs=2, bs=8, lr=.02))
    np.testing.assert_array_equal(one.probs[0], fit.probs[0])
    moved = np.abs(one.probs[1].astype(float)-one.probs[0]).max()
    assert moved > .02, 'nothing is learned in the second epoch'


def test_after_a_nan_nothing_is_trained_any_more(photos, nothing):
    "`fine_tune` calls fit twice."
    nan = _Nan(step=1)
    with pytest.raises(LossIsNaN, match='step 1 of epoch 1; nothing of this run is kept'):
        fit_learner(job_of(photos, nothing), Broken(epochs=2, bs=8, nan=nan))
    assert nan.made == 1


# ---- what the photos go through

def seen(photos, recipe, body):
    "Photos as a recipe shows them in training, and the way they are; all test photos."
    test, recipe = photos.test, find_recipe(recipe)[1]
    dls = fastai_dls(Job(photos, test, Features(body, 32)), recipe)
    assert dls.train.bs == min(len(test), recipe.bs) and dls.train.drop_last
    x = Pixels(32, resample='bilinear').of(test)[:]
    whole = lambda dl: torch.cat([b[0] for b in dl]).cpu().as_subclass(torch.Tensor)
    return whole(dls.train), whole(dls.valid), normalised((.5,)*3, (.5,)*3)(x, 0)


def distances(x, plain):
    "From each photo to the most similar one, as the mean over its numbers."
    return torch.cdist(x.flatten(1), plain.flatten(1), p=1).min(1)[0]/x[0].numel()


@pytest.mark.parametrize('recipe', ['fastai', 'sgd_step', 'scratch'])
def test_augmentation_on_and_off(photos, nothing, recipe):
    for word in ('on', 'off'):
        learned, scored, plain = seen(photos, f'{recipe}:augment={word}:bs=12', nothing)
        away = distances(learned, plain)
        assert distances(scored, plain).max() < .045, 'test photos are changed'
        assert away.max() < .045 if word == 'off' else away.median() > .07, (word, away)
    if recipe == 'scratch': assert not find_recipe('scratch')[1].augment


def test_squish_reaches_fastai_too(tmp_path, nothing):
    "A mark at the left edge of a wide photo is seen when it is squished and not when its middle is taken."
    wide = Image.new('RGB', (128, 32), 'black')
    wide.paste('white', (0, 0, 24, 32))
    for i in range(2): wide.save(tmp_path/f'{i}.png')
    rows = pd.DataFrame(dict(path=[str(tmp_path/f'{i}.png') for i in range(2)], label=['a', 'b']))
    for method in ('crop', 'squish'):
        job = SimpleNamespace(photos=SimpleNamespace(span=''), rows=rows, test=rows, classes=['a', 'b'],
                              body=nothing, res=32, method=method)
        brightest = fastai_dls(job, Fastai(bs=2), num_workers=0).valid.one_batch()[0].max()
        assert (brightest > 0) == (method == 'squish')  # black is -1, white is 1


# ---- memory that runs out

def greedy(body, layer, most, error=lambda: torch.OutOfMemoryError('CUDA out of memory')):
    "A body that runs out of memory with more than `most` photos at once; the batches that went through."
    module, sizes = copy.deepcopy(body.module), []

    def hook(m, x):
        if not torch.is_grad_enabled(): return
        if len(x[0]) > most: raise error()
        sizes.append(len(x[0]))
    module.get_submodule(layer).register_forward_pre_hook(hook)
    return replace(body, module=module), sizes


def _allocator(): return RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried")


@pytest.mark.parametrize('error', [MemoryError, _allocator], ids=['python', 'pytorch'])
def test_smaller_batches_where_memory_runs_out(photos, nothing, tmp_path, error):
    body, sizes = greedy(nothing, '0', 8, error)
    fit = Fastai(epochs=1, bs=24).fit(job_of(photos, body, size='all', resume=tmp_path/'k.pt'))
    assert len(fit.epochs) == 2 and max(sizes) == 6 and len(fit.rates) == 2*4
    assert fit.notes == ['out of memory with batches of 24 photos; 12 were taken instead',
                         'out of memory with batches of 12 photos; 6 were taken instead']
    same = Fastai(epochs=1, bs=6).fit(job_of(photos, nothing, size='all'))
    np.testing.assert_array_equal(fit.probs, same.probs)


def test_smaller_batches_for_fine_tune(photos):
    body, sizes = greedy(load_body('efficientnet_lite0'), 'conv_head', 4)
    fit = FineTune(epochs=2, calibrate=.25).fit(job_of(photos, body, 64, 'all'))
    assert max(sizes) == 4 and list(fit.epochs.phase) == ['head', 'body', 'body']
    says = 'out of memory with batches of 8 photos; 4 were taken instead'
    assert fit.notes == [says], 'what was never tried is reported'


@pytest.mark.parametrize('recipe', [Fastai(epochs=1, bs=24), FineTune(epochs=1, calibrate=0)])
def test_half_the_batch_after_a_process_was_killed_for_memory(photos, nothing, tmp_path, recipe):
    "Epochs that the killed process kept are of the larger batch."
    body, sizes = greedy(nothing, '0', 999, MemoryError)
    (tmp_path/'k.pt').write_bytes(b'of the larger batch')
    fit = recipe.fit(job_of(photos, body, size='all', resume=tmp_path/'k.pt', halved=1))
    most = dict(fastai=12, fine_tune=4)[recipe.name]
    assert fit.notes == [f'out of memory with batches of {2*most} photos; {most} were taken instead']
    assert max(sizes) == most


def test_an_epoch_of_the_larger_batches_is_no_epoch_of_the_smaller_ones(photos, nothing, tmp_path):
    "Memory runs out in the second epoch, when something else on the machine takes it."
    sizes, body = [], replace(nothing, module=copy.deepcopy(nothing.module))

    def hook(m, x):
        if not torch.is_grad_enabled(): return
        sizes.append(len(x[0]))
        if len(sizes) == 5: raise MemoryError
    body.module[0].register_forward_pre_hook(hook)
    fit = Fastai(epochs=1, bs=8).fit(job_of(photos, body, size='all', resume=tmp_path/'k.pt'))
    assert sizes == [8]*5+[4]*12 and len(fit.rates) == 12 and len(fit.notes) == 1
    same = Fastai(epochs=1, bs=4).fit(job_of(photos, nothing, size='all'))
    np.testing.assert_array_equal(fit.probs, same.probs)


@pytest.mark.parametrize('recipe', [Fastai(epochs=1, bs=8), FineTune(epochs=1), SgdStep(epochs=1)])
def test_not_even_the_smallest_batch_fits(photos, nothing, recipe):
    body, sizes = greedy(nothing, '0', 0)
    says = 'out of memory with the smallest batch; take a smaller resolution .--res. or a smaller arch'
    with pytest.raises(UserError, match=says) as e: recipe.fit(job_of(photos, body))
    assert '\n' not in str(e.value) and not sizes


def test_other_errors_are_no_lack_of_memory(photos, nothing):
    body, _ = greedy(nothing, '0', 0, lambda: RuntimeError('shapes differ'))
    with pytest.raises(RuntimeError, match='shapes differ'): Fastai(epochs=1, bs=8).fit(job_of(photos, body))
