"""Callbacks change nothing but the time, and an interrupted training ends as if nothing had happened."""
import copy
import os
import pickle
from functools import partial

import fastai.callback.progress
import fastai.callback.schedule  # noqa: F401 (they give a `Learner` its no_bar and fit_one_cycle)
import numpy as np
import pytest
import torch
from fastai.callback.core import Callback, CancelFitException, TrainEvalCallback
from fastai.callback.fp16 import MixedPrecision
from fastai.learner import Learner
from fastai.optimizer import SGD, Adam, OptimWrapper
from torch import nn

from imgcls.data.synth import draw
from imgcls.training import callbacks
from imgcls.training.callbacks import (
    Autocast,
    CapturedStep,
    ChannelsLast,
    FrozenNorm,
    Resume,
    adamw,
    freeze_depthwise,
)
from imgcls.training.learner import Averaged, EpochLog, weighted_loss
from imgcls.training.models import load_body
from imgcls.training.pixels import to_pixels
from imgcls.training.tensors import Tensors, augment, normalised, tensor_dls

HALF = (.5, .5, .5)


@pytest.fixture(scope='module')
def photos():
    "48 scenes of 32 pixels and their classes."
    imgs = [draw(c, i, side=32) for i in range(24) for c in ('fox', 'deer')]
    return to_pixels(imgs, 32), torch.arange(48) % 2


def quiet(learn, epochs=1, lr=.01, cbs=()):
    with learn.no_bar(), learn.no_logging(): learn.fit(epochs, lr, cbs=list(cbs))
    return learn


# ---- batch norm

@pytest.mark.parametrize('opt', [adamw, Adam], ids=['adamw', 'fastai'])
def test_frozen_norms_stay(photos, opt):
    net = nn.Sequential(nn.Conv2d(3, 4, 3, 2), nn.BatchNorm2d(4), nn.ReLU(), nn.AdaptiveAvgPool2d(1),
                        nn.Flatten(), nn.BatchNorm1d(4), nn.Linear(4, 2))
    t = Tensors(*photos, normalised(HALF, HALF))
    learn = Learner(tensor_dls(t, t, ['a', 'b'], 16), net, nn.CrossEntropyLoss(), opt_func=opt)
    quiet(learn, 1)  # momentum and gradients from a training before
    before = copy.deepcopy(net.state_dict())
    quiet(learn, 2, cbs=[FrozenNorm()])
    moved = {k for k, v in net.state_dict().items() if not torch.equal(v, before[k])}
    assert moved == {'0.weight', '0.bias', '6.weight', '6.bias'}


def test_depthwise_filters_stay():
    net = load_body('efficientnet_lite0').module
    n = freeze_depthwise(net)
    still = {k for k, p in net.named_parameters() if not p.requires_grad}
    assert still and all('conv_dw' in k for k in still)
    assert n == sum(net.get_parameter(k).numel() for k in still)
    plain = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3, groups=2), nn.Conv2d(1, 2, 3))
    assert freeze_depthwise(plain) == 0 and all(p.requires_grad for p in plain.parameters())


# ---- precision

def test_autocast_leaves_nothing_behind(photos):
    t, seen = Tensors(photos[0].float()/255, photos[1]), []

    def fresh():
        net = nn.Sequential(nn.Flatten(), nn.Linear(3*32*32, 2))
        net[1].register_forward_hook(lambda m, i, out: seen.append(out.dtype))
        return Learner(tensor_dls(t, t, ['a', 'b'], 16), net, nn.CrossEntropyLoss(), opt_func=adamw)

    class Cancel(Callback):
        def before_batch(self): raise CancelFitException
    learn = quiet(fresh(), 1, cbs=[Autocast()])
    assert set(seen) == {torch.bfloat16} and 'forward' not in learn.model.__dict__
    assert learn.model[1].weight.dtype == torch.float32
    assert learn.model(torch.zeros(1, 3, 32, 32)).dtype == torch.float32 and seen[-1] == torch.float32
    learn = quiet(fresh(), 1, cbs=[Autocast(), Cancel()])
    assert 'forward' not in learn.model.__dict__
    pickle.dumps(learn.model.state_dict())
    quiet(quiet(learn, 1, cbs=[Autocast()]), 1, cbs=[Autocast()])
    assert 'forward' not in learn.model.__dict__, 'twice'


def test_numbers_are_chosen_by_a_rule(monkeypatch):
    cpu, card, rule = torch.device('cpu'), torch.device('cuda'), callbacks.training_precision
    dense = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 3, groups=2))
    depthwise = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 3, groups=8))
    monkeypatch.setattr(callbacks, 'precision', lambda device, module=None: torch.bfloat16)
    assert rule(dense, cpu) == (torch.bfloat16, 'bf16') and rule(depthwise, cpu)[0] == torch.float32
    monkeypatch.setattr(callbacks, 'precision', lambda device, module=None: torch.float32)
    assert rule(dense, cpu) == (torch.float32, 'fp32 (this processor has no fast 16-bit numbers)')
    # as a T4: it can only imitate bf16
    monkeypatch.setattr(torch.cuda, 'is_bf16_supported', lambda including_emulation=True: including_emulation)
    assert rule(dense, card) == (torch.float16, 'fp16') and rule(depthwise, card)[0] == torch.float32
    monkeypatch.setattr(torch.cuda, 'is_bf16_supported', lambda including_emulation=True: True)
    assert rule(dense, card) == rule(depthwise, card) == (torch.bfloat16, 'bf16')


# ---- a step at once

class Tape:
    "In the place of a CUDA graph: as there, recording runs Python and computes nothing."
    def __init__(self, device): self.records = 0

    def aside(self, step): return step()

    def record(self, step):
        self.records += 1
        before = [(t, t.clone()) for t in callbacks._tensors(step.__self__.learn)]
        scaler = getattr(step.__self__.learn, 'scaler', None)
        scale = scaler and scaler.state_dict()
        self.step = step
        try:
            with torch.random.fork_rng([]): step()
        finally:
            with torch.no_grad():
                for t, old in before: t.copy_(old)
            if scaler: scaler.load_state_dict(scale)

    def replay(self): return self.step()


class Rounded(Callback):
    "Rates of 32 bits, as a card has them."
    order = 61

    def before_batch(self):
        if self.training: self.opt.set_hyper('lr', float(np.float32(self.opt.hypers[-1]['lr'])))


class Half(MixedPrecision):
    "fastai's mixed precision on a processor."
    def before_fit(self):
        self.learn.scaler, self.scales = torch.amp.GradScaler('cpu', **self.kwargs), []
        self.autocast = torch.autocast('cpu', torch.float16)


class Changing(Half):
    "With a scale that is too large again and again, so that steps are left out."
    def __init__(self): super().__init__(init_scale=2.**21, growth_factor=8., growth_interval=2)


SORTS = {'fp32': [], 'bf16': [Autocast], 'fp16': [Half], 'fp16, scales change': [Changing],
         'frozen norms, channels last': [FrozenNorm, ChannelsLast], 'averaged': [FrozenNorm, Averaged]}


def depthwise_net():
    body = [nn.Conv2d(3, 4, 3, 2), nn.BatchNorm2d(4), nn.Conv2d(4, 4, 3, groups=4), nn.AdaptiveAvgPool2d(2)]
    return nn.Sequential(nn.Sequential(*body, nn.Flatten(), nn.Dropout(.2)), nn.Linear(16, 2))


def captured(photos, *more, sort='fp32', tape=None, epochs=3, opt=adamw, moms=(.9, .9, .9)):
    """A training with four batches of eight and one of four an epoch, captured where there is a `tape`.

    The learner with its log in `book`, the callback, and what it said."""
    (x, y), lines = photos, []
    torch.manual_seed(3)
    model = depthwise_net()
    freeze_depthwise(model)
    dls = tensor_dls(Tensors(x[:36], y[:36], normalised(HALF, HALF, augment)),
                     Tensors(x[36:], y[36:], normalised(HALF, HALF)), ['a', 'b'], 8)
    learn = Learner(dls, model, weighted_loss(np.array([.5, 1.5]), 'cpu', .1), opt_func=opt,
                    cbs=[TrainEvalCallback(), Rounded(), *[cb() for cb in SORTS[sort]]], default_cbs=False)
    learn.book = EpochLog(5*epochs)
    at_once = CapturedStep(lines.append, tape) if tape else None
    cbs = [Resume(None, 0), learn.book, *more, *([at_once] if at_once else [])]
    with learn.no_logging(): learn.fit_one_cycle(epochs, .02, moms=moms, cbs=cbs)
    return learn, at_once, lines


def ends_alike(a, b):
    "Weights, optimizer and all figures of two trainings, to the last bit."
    state, other = a.model.state_dict(), b.model.state_dict()
    for k, v in state.items(): assert torch.equal(v, other[k]), k
    one, two = (o.opt.opt.state_dict() for o in (a, b))
    assert one['param_groups'] == two['param_groups']
    for i, kept in one['state'].items():
        for k, v in kept.items(): assert torch.equal(v, two['state'][i][k]), k
    assert one['state'].keys() == two['state'].keys()
    assert all(p.grad is None for p in a.model.parameters())
    np.testing.assert_array_equal(np.stack(a.book.probs), np.stack(b.book.probs))
    assert a.book.rates == b.book.rates and len(a.book.rates) == 15
    for r, o in zip(a.book.rows, b.book.rows, strict=True): assert {**r, 'seconds': 0} == {**o, 'seconds': 0}


@pytest.mark.parametrize('sort', SORTS)
def test_a_captured_training_is_the_same(photos, sort):
    learn, at_once, lines = captured(photos, sort=sort, tape=Tape)
    ends_alike(learn, captured(photos, sort=sort)[0])
    # not three ordinary steps, nor the one that is made both ways, nor the last batch of each epoch
    assert at_once.replayed == 8 and not lines
    steps = learn.opt.opt.state_dict()['state'][0]['step']
    assert 4 < steps < 15 if sort == 'fp16, scales change' else steps == 15, steps
    assert not torch.is_autocast_enabled('cpu'), 'an autocast was left on'


class Within(Callback):
    def before_step(self): pass


class Reloaded(Callback):
    "Puts the optimizer's numbers elsewhere."
    def before_epoch(self):
        if self.epoch == 1: self.opt.load_state_dict(copy.deepcopy(self.opt.state_dict()))


class SomeShapes(Callback):
    def before_batch(self):
        if self.training: self.learn.xb = (self.xb[0][..., :30+self.iter],)


class OwnLoss(Callback):
    "As fastai's MixUp does it."
    def before_train(self): self.usual, self.learn.loss_func = self.loss_func, self.lf

    def lf(self, pred, y): return self.usual(pred, y)

    def after_train(self): self.learn.loss_func = self.usual


WHY = {'no card': ({}, [], 'the model is not on a graphics card'),
       'fastai': (dict(opt=Adam), [], 'take opt_func=adamw'),
       'not fused': (dict(opt=partial(OptimWrapper, opt=torch.optim.AdamW)), [], 'take opt_func=adamw'),
       'within': ({}, [Within], 'Within acts within a step'),
       'loss': ({}, [OwnLoss], 'OwnLoss changes the loss'),
       'shapes': ({}, [SomeShapes], 'more than two shapes'),
       'momentum': (dict(moms=(.95, .85, .95)), [], 'momentum or weight decay changes')}


@pytest.mark.parametrize('kind', WHY)
def test_what_cannot_be_captured_is_trained_as_usual(photos, kind):
    how, cbs, why = WHY[kind]
    tape = callbacks._CudaGraph if kind == 'no card' else Tape
    learn, at_once, lines = captured(photos, *[cb() for cb in cbs], tape=tape, **how)
    other, _, _ = captured(photos, *[cb() for cb in cbs], **how)
    if kind == 'fastai':
        for k, v in learn.model.state_dict().items(): assert torch.equal(v, other.model.state_dict()[k])
    else: ends_alike(learn, other)
    assert len(lines) == 1 and why in lines[0] and at_once.replayed == 0


class Breaks(Tape):
    "Fails as CUDA does, in the middle of a step and again while the capture is ended."
    def record(self, step):
        opt = step.__self__.learn.opt.opt
        def fails(): raise RuntimeError('operation not permitted\nwhen stream is capturing')
        opt.step = fails
        try: super().record(step)
        finally:
            del opt.step
            raise RuntimeError('the capture was invalidated')


class Wrong(Tape):
    "A graph that reads from elsewhere."
    def replay(self):
        learn, out = self.step.__self__.learn, self.step()
        with torch.no_grad(): learn.model[1].weight += .1
        return out


@pytest.mark.parametrize('tape, why', [(Breaks, 'operation not permitted␊when'), (Wrong, 'other numbers')])
@pytest.mark.parametrize('sort', ['fp32', 'bf16', 'fp16, scales change'])
def test_after_a_capture_that_fails_training_goes_on_as_usual(photos, sort, tape, why):
    learn, at_once, lines = captured(photos, sort=sort, tape=tape)
    ends_alike(learn, captured(photos, sort=sort)[0])
    assert len(lines) == 1 and why in lines[0] and at_once.replayed == 0
    assert not torch.is_autocast_enabled('cpu')


def test_a_step_is_captured_anew_when_its_numbers_have_moved(photos):
    tapes = []
    def tape(device):
        tapes.append(Tape(device))
        return tapes[-1]
    learn, at_once, lines = captured(photos, Reloaded(), tape=tape)
    ends_alike(learn, captured(photos, Reloaded())[0])
    assert [t.records for t in tapes] == [1, 1] and at_once.replayed == 4 and not lines


def test_what_a_step_gave_is_not_written_over(photos):
    "Other callbacks keep losses and scores, while the graph writes into the same memory each time."
    class Same(Tape):
        def replay(self):
            out = self.step()
            if not hasattr(self, 'out'): self.out = out
            for mine, new in zip(self.out, out): mine.copy_(new)
            return self.out

    class Keep(Callback):
        def before_fit(self): self.kept = []

        def after_batch(self):
            if self.training: self.kept.append((self.pred.detach(), self.loss.detach()))
    one, two = Keep(), Keep()
    captured(photos, one, tape=Same), captured(photos, two)
    for a, b in zip(one.kept, two.kept, strict=True):
        assert torch.equal(a[0], b[0]) and torch.equal(a[1], b[1])


@pytest.mark.cuda
@pytest.mark.parametrize('sort', [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize('broken', [False, True])
def test_on_a_card_a_captured_training_is_the_same(photos, sort, broken):
    class Waits(nn.Module):
        def forward(self, x): return x*float(x.mean() > -99) if broken else x

    def train(at_once):
        torch.manual_seed(0)
        x, y = photos
        t = Tensors(x[:36], y[:36], normalised(HALF, HALF))
        body = [nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(2), Waits()]
        net = nn.Sequential(*body, nn.Flatten(), nn.Dropout(.2), nn.Linear(32, 2))
        cast = {torch.float16: [MixedPrecision()], torch.bfloat16: [Autocast()]}.get(sort, [])
        learn = Learner(tensor_dls(t, t, ['a', 'b'], 8, 'cuda'), net.cuda(), nn.CrossEntropyLoss(),
                        opt_func=adamw, cbs=[TrainEvalCallback(), *cast, *at_once], default_cbs=False)
        book = EpochLog(50)
        with learn.no_logging(): learn.fit_one_cycle(10, .01, moms=(.9, .9, .9), cbs=[Resume(None), book])
        return torch.tensor([r['train_loss'] for r in book.rows]), learn
    lines = []
    at_once = CapturedStep(lines.append)
    (got, learn), (want, _) = train([at_once]), train([])
    torch.testing.assert_close(got, want, rtol=.02, atol=.01)
    assert (at_once.replayed, len(lines)) == ((0, 1) if broken else (36, 0))
    assert all(p.grad is None for p in learn.model.parameters())
    assert torch.rand(1, device='cuda').isfinite(), 'random numbers are there, also after an error'

# ---- the average of the last steps

class Steps(Callback):
    "The weights after each step, and those that each epoch is scored with."
    def before_fit(self): self.learned, self.scored = [], []

    def _now(self): return {k: v.clone() for k, v in self.model.state_dict().items()}

    def after_batch(self): (self.learned if self.training else self.scored).append(self._now())


def test_the_average_of_the_last_steps_is_scored_and_kept(photos):
    plain, ours = Steps(), Steps()
    captured(photos, FrozenNorm(), plain)
    learn, _, _ = captured(photos, FrozenNorm(), ours, Averaged(.7))
    for a, b in zip(plain.learned, ours.learned, strict=True):
        for k, v in a.items(): assert torch.equal(v, b[k]), 'it changes what is learned'
    want, ends = None, []
    for i, now in enumerate(plain.learned):
        d = min(.7, (2+i)/(11+i))
        start = new_state() if want is None else want
        want = {k: d*start[k]+(1-d)*v if v.is_floating_point() else v for k, v in now.items()}
        if (i+1) % 5 == 0: ends.append(want)
    for got, want in zip([*ours.scored, learn.model.state_dict()], [*ends, ends[-1]], strict=True):
        for k, v in want.items(): torch.testing.assert_close(got[k], v, rtol=1e-4, atol=1e-6)
    x, y = photos
    with torch.no_grad(): probs = learn.model.eval()(normalised(HALF, HALF)(x[36:], 0)).softmax(1)
    np.testing.assert_allclose(learn.book.probs[-1], probs, atol=1e-3)


def new_state():
    torch.manual_seed(3)
    return depthwise_net().state_dict()


# ---- after an interruption

class Interrupt(Callback):
    "Ctrl-C in the middle of an epoch."
    order = 90

    def __init__(self, before): self.before, self.at = before, 0

    def before_epoch(self): self.at += 1

    def after_batch(self):
        if self.training and self.at == self.before: raise KeyboardInterrupt


class Count(Callback):
    "How many batches were learned from."
    batches = 0

    def after_batch(self): self.batches += self.training


WAYS = ['adamw', 'adam', 'sgd', 'fine_tune', 'averaged']


def new_net():
    body = nn.Sequential(nn.Conv2d(3, 4, 3, 2), nn.BatchNorm2d(4), nn.ReLU(), nn.AdaptiveAvgPool2d(2),
                         nn.Flatten(), nn.Dropout(.2))
    return nn.Sequential(body, nn.Linear(16, 2))


def two_groups(net): return [[*net[0].parameters()], [*net[1].parameters()]]


def new_learner(photos, way, seed=3):
    x, y = photos
    torch.manual_seed(seed)
    train = Tensors(x[:32], y[:32], normalised(HALF, HALF, augment))
    dls = tensor_dls(train, Tensors(x[32:], y[32:], normalised(HALF, HALF)), ['a', 'b'], 8)
    opts = dict(adam=Adam, sgd=lambda p, **kw: SGD(p, **{**kw, 'mom': .9}), fine_tune=Adam)
    more = dict(splitter=two_groups) if way == 'fine_tune' else {}
    return Learner(dls, new_net(), nn.CrossEntropyLoss(), opt_func=opts.get(way, adamw), **more)


def trained(photos, way, file=None, before=None, seed=0):
    "A training of four epochs, cut short in the epoch `before`; the model, the figures and the rates."
    learn, book, count = new_learner(photos, way), EpochLog(16), Count()
    cbs, kept = [book, count, *([Interrupt(before)] if before else [])], dict(diary=book)
    if way == 'averaged':
        kept['average'] = Averaged()
        cbs += [FrozenNorm(), kept['average']]
    cbs.append(Resume(file, seed, kept))
    with learn.no_bar(), learn.no_logging():
        try:
            if way == 'fine_tune': learn.fine_tune(3, base_lr=.02, cbs=cbs)
            else: learn.fit_one_cycle(4, .02, cbs=cbs)
            assert not before, 'nothing was interrupted'
        except KeyboardInterrupt: assert before
    book.batches = count.batches
    return learn.model.state_dict(), book


def alike(a, b):
    (state, book), (other, theirs) = a, b
    for k, v in state.items(): assert torch.equal(v, other[k]), k
    np.testing.assert_array_equal(np.stack(book.probs), np.stack(theirs.probs))
    assert book.rates == theirs.rates and len(book.rates) == 16
    for r, o in zip(book.rows, theirs.rows, strict=True): assert {**r, 'seconds': 0} == {**o, 'seconds': 0}
    assert [r['seconds'] for r in theirs.rows] == sorted(r['seconds'] for r in theirs.rows)


@pytest.fixture(scope='module')
def unbroken(photos): return {way: trained(photos, way) for way in WAYS}


@pytest.mark.parametrize('way', WAYS)
def test_an_interrupted_training_ends_as_if_nothing_had_happened(photos, unbroken, tmp_path, way):
    for before in (1, 2, 4):
        file = tmp_path/f'{before}.pt'
        trained(photos, way, file, before)
        assert file.exists() == (before > 1)
        torch.manual_seed(77)  # another process has drawn other numbers
        got = trained(photos, way, file)
        alike(unbroken[way], got)
        assert got[1].batches == 16-4*(before-1), 'what was learned is learned again'
    trained(photos, way, tmp_path/'twice.pt', 2)
    trained(photos, way, tmp_path/'twice.pt', 3)
    alike(unbroken[way], trained(photos, way, tmp_path/'twice.pt'))
    assert not [p for p in tmp_path.iterdir() if p.name[0] == '.']


@pytest.mark.parametrize('way', ['adamw', 'fine_tune', 'averaged'])
def test_a_training_cut_short_after_its_last_epoch(photos, unbroken, tmp_path, way):
    "Killed while the model was being written: nothing is left to train, and all that was learned is there."
    trained(photos, way, tmp_path/'k.pt')
    got = trained(photos, way, tmp_path/'k.pt')
    alike(unbroken[way], got)
    assert got[1].batches == 0


def test_without_a_file_only_the_seed_counts(photos, unbroken):
    a, b = trained(photos, 'adamw'), trained(photos, 'adamw', seed=1)
    alike(unbroken['adamw'], a)
    assert not torch.equal(a[0]['1.weight'], b[0]['1.weight'])


class _Evil:
    def __init__(self, path): self.path = path

    def __reduce__(self): return os.mkdir, (self.path,)


def _write(kind, good, file, tmp_path):
    "A file that is no whole checkpoint of this training."
    data, kept = good.read_bytes(), torch.load(good, weights_only=True)
    evil = _Evil(str(tmp_path/'evil'))
    if kind == 'evil pickle': file.write_bytes(pickle.dumps(evil))
    elif kind == 'evil torch': torch.save({**kept, 'more': evil}, file)
    elif kind == 'other names': torch.save({**kept, 'model': {'x': torch.ones(2)}}, file)
    elif kind == 'other shapes':
        other = {k: torch.zeros(3, *v.shape) for k, v in kept['model'].items()}
        torch.save({**kept, 'model': other}, file)
    elif kind == 'other optimizer': torch.save({**kept, 'opt': 'adam'}, file)
    elif kind == 'epoch': torch.save({**kept, 'epoch': 'two'}, file)
    elif kind == 'no diary': torch.save({**kept, 'extra': {}}, file)
    elif kind.startswith('no '): torch.save({k: v for k, v in kept.items() if k != kind[3:]}, file)
    elif kind == 'other seed': torch.save({**kept, 'seed': 5}, file)
    elif kind == 'a tensor': torch.save(torch.ones(3), file)
    elif kind == 'weights alone': torch.save(kept['model'], file)
    else:
        parts = dict(half=data[:len(data)//2], start=data[:100], empty=b'', noise=bytes(range(256))*20)
        file.write_bytes(parts[kind])


KINDS = ['half', 'start', 'empty', 'noise', 'evil pickle', 'evil torch', 'a tensor', 'weights alone',
         'no epoch', 'no seed', 'no model', 'no opt', 'no extra', 'no diary',
         'epoch', 'other seed', 'other names', 'other shapes', 'other optimizer']


@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.filterwarnings('ignore')
def test_a_file_that_is_no_checkpoint_means_a_fresh_start(photos, unbroken, tmp_path, kind):
    trained(photos, 'adamw', tmp_path/'good.pt', 3)
    _write(kind, tmp_path/'good.pt', tmp_path/'bad.pt', tmp_path)
    got = trained(photos, 'adamw', tmp_path/'bad.pt')
    assert not (tmp_path/'evil').exists(), 'a program in the file was run'
    alike(unbroken['adamw'], got)


def test_a_nan_after_an_interruption(photos, tmp_path):
    "The last good epoch is the one before the interruption."
    trained(photos, 'adamw', tmp_path/'k.pt', 3)
    kept = torch.load(tmp_path/'k.pt', weights_only=True)['model']

    class Nan(Callback):
        def after_pred(self): self.learn.pred = self.pred*float('nan')
    learn, book = new_learner(photos, 'adamw'), EpochLog(16)
    cbs = [Resume(tmp_path/'k.pt', 0, dict(diary=book)), book, Nan()]
    with learn.no_bar(), learn.no_logging(): learn.fit_one_cycle(4, .02, cbs=cbs)
    assert len(book.rows) == 2 and 'epoch 2' in book.notes[0]
    assert book.good is not None and all(torch.equal(v, kept[k]) for k, v in book.good.items())
