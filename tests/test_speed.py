"""The pieces that make training fast, each alone: they change nothing but the time, and an interrupted training ends as if nothing had been."""
import copy
import gc
import os
import pickle
import tempfile
from pathlib import Path

import fastai.callback.progress
import fastai.callback.schedule  # noqa: F401 (they give a `Learner` its no_bar and fit_one_cycle)
import numpy as np
import pytest
import torch
from fastai.callback.core import Callback, CancelFitException
from fastai.learner import Learner
from fastai.optimizer import SGD, Adam
from PIL import Image
from torch import nn

from imgcls import speed
from imgcls.core import UserError, decode
from imgcls.features import fold_batchnorm, precision, to_pixels
from imgcls.models import create_body, find_weights
from imgcls.speed import (
    Autocast,
    FrozenNorm,
    Resume,
    TensorLoader,
    Tensors,
    adamw,
    augment,
    cached_views,
    cut,
    empty,
    freeze_depthwise,
    load_pixels,
    normalised,
    stages,
    tensor_dls,
    unfold_batchnorm,
)
from imgcls.synth import draw
from imgcls.train import diary

NORMS = nn.BatchNorm1d, nn.BatchNorm2d


@pytest.fixture(scope='module')
def lite(): return create_body('efficientnet_lite0')


@pytest.fixture(scope='module')
def photos():
    "48 scenes of 32 pixels and their classes."
    imgs = [draw(c, i, side=32) for i in range(24) for c in ('fox', 'deer')]
    return to_pixels(imgs, 32), torch.arange(48) % 2


def lively(arch, seed=0):
    "A body with random weights whose batch norms do something; some of their channels are switched off, wholly or nearly."
    g = torch.Generator().manual_seed(seed)
    module = create_body(find_weights(arch, 'random'), seed).module
    for m in module.modules():
        if not isinstance(m, NORMS): continue
        n = m.num_features
        m.running_mean, m.running_var = torch.randn(n, generator=g)*.1, torch.rand(n, generator=g)+.5
        m.weight.data, m.bias.data = torch.rand(n, generator=g)+.5, torch.randn(n, generator=g)*.1
        m.weight.data[:2], m.weight.data[2:4] = 0, 1e-6
    return module.eval()


def quiet(learn, epochs=1, lr=.01, cbs=()):
    with learn.no_bar(), learn.no_logging(): learn.fit(epochs, lr, cbs=list(cbs))
    return learn


# ---- memory

def test_a_large_tensor_lies_in_a_file_without_a_name(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, 'tempdir', str(tmp_path))
    made = []
    real = torch.from_file
    monkeypatch.setattr(torch, 'from_file', lambda name, **kw: made.append(name) or real(name, **kw))
    small = empty((3, 4), torch.float16, 1000)
    assert small.shape == (3, 4) and small.dtype == torch.float16 and not made
    for dtype in (torch.uint8, torch.bfloat16, torch.float32):
        big = empty((5, 7, 11), dtype, 100)
        assert big.shape == (5, 7, 11) and big.dtype == dtype and Path(made[-1]).parent == tmp_path
        big.fill_(3)
        assert (big == 3).all() and not [*tmp_path.iterdir()], 'a file stays behind'
        del big
        gc.collect()
    monkeypatch.setattr(torch, 'from_file', lambda *a, **kw: 1/0)
    with pytest.raises(ZeroDivisionError): empty((5, 7, 11), torch.uint8, 100)
    assert not [*tmp_path.iterdir()], 'a file stays behind where something failed'


# ---- photos

def test_pixels_are_those_of_the_decoded_photo(tmp_path):
    img, paths = draw('fox', 1, side=96), []
    for name, im, more in (('a.jpg', img, {}), ('b.png', img.resize((80, 50)), {}), ('turned.jpg', img.crop((0, 0, 90, 60)), dict(exif=True)), ('grey.png', img.convert('L'), {}),
                           ('grey.jpg', img.convert('L').resize((50, 70)), {}), ('clear.png', img.convert('RGBA'), {})):
        if more:
            more = dict(exif=Image.Exif())
            more['exif'][0x0112] = 6
        im.save(tmp_path/name, **more)
        paths.append(str(tmp_path/name))
    for method in ('crop', 'squish'):
        for resample in ('bicubic', 'bilinear'):
            got = load_pixels(paths, 48, method, resample)
            assert got.shape == (6, 3, 48, 48) and got.dtype == torch.uint8
            for g, p in zip(got, paths): assert torch.equal(g, to_pixels([decode(Path(p).read_bytes(), 48)], 48, method, resample)[0]), p
    crop, squish = (load_pixels(paths, 48, m).float() for m in ('crop', 'squish'))
    assert (crop[2]-squish[2]).abs().mean() > 1, 'the method is not heeded'
    upright = np.asarray(Image.open(paths[2]).transpose(Image.Transpose.ROTATE_270).crop((0, 15, 60, 75)).resize((48, 48), Image.Resampling.BICUBIC).convert('RGB'))
    assert np.abs(crop[2].permute(1, 2, 0).numpy()-upright).mean() < 6, 'not upright'
    assert torch.equal(load_pixels(paths, 48, budget=10), crop.byte()), 'in a file, the same'


@pytest.mark.parametrize('content', [None, b'', b'no photo'])
def test_a_photo_that_vanished_is_named(tmp_path, content):
    draw('fox', 1, side=32).save(tmp_path/'good.png')
    if content is not None: (tmp_path/'lost.png').write_bytes(content)
    paths = [str(tmp_path/f) for f in ('good.png', 'lost.png')]
    with pytest.raises(UserError, match='lost.png could be read when the table was made.*make the table anew') as e: load_pixels(paths, 32)
    assert '\n' not in str(e.value)


def test_other_views(photos):
    x, before = photos[0], photos[0].clone()
    a, b, c = (augment(x, s) for s in (1, 1, 2))
    assert torch.equal(a, b) and not torch.equal(a, c) and a.dtype == torch.float32 and a.shape == x.shape
    assert a.min() >= 0 and a.max() <= 255 and a.max() > 100 and torch.equal(x, before)
    assert (a-x).flatten(1).abs().mean(1).min() > 1, 'a photo stays as it is'
    state = torch.get_rng_state()
    augment(x, 3)
    assert torch.equal(state, torch.get_rng_state()), "the caller's chance is used up"
    plain = augment(x, 0, area=1., light=0.)  # nothing is left to change but left and right
    for got, was in zip(plain, x.float()): assert min((got-was).abs().max(), (got-was.flip(2)).abs().max()) < .5
    assert {bool((got-was).abs().max() < .5) for got, was in zip(plain, x.float())} == {True, False}, 'some are mirrored and some not'
    lit = augment(torch.full((64, 3, 8, 8), 128, dtype=torch.uint8), 0, area=1., light=.2)[:, 0, 0, 0]
    assert lit.std() > 5 and lit.min() > 128*.75 and lit.max() < 128*1.25


def test_normalised():
    x = torch.randint(0, 256, (2, 3, 4, 4), dtype=torch.uint8)
    mean, std = (.1, .2, .3), (.4, .5, .6)
    torch.testing.assert_close(normalised(mean, std)(x, 0), (x/255-torch.tensor(mean).view(3, 1, 1))/torch.tensor(std).view(3, 1, 1))
    seen = []
    normalised(mean, std, lambda x, seed: seen.append(seed) or x.float())(x, 9)
    assert seen == [9]


# ---- loaders

def test_tensors_in_a_plain_learner(photos):
    x, y = photos
    prepare = normalised((.5,)*3, (.5,)*3)
    dls = tensor_dls(Tensors(x[:33], y[:33], prepare), Tensors(x[33:], y[33:], prepare), ['fox', 'deer'], bs=8)
    sizes = [len(b[1]) for b in dls.train]
    assert sizes == [8]*4 and dls.c == 2 and list(dls.vocab) == ['fox', 'deer'], 'a batch of one photo'
    assert sum(len(b[1]) for b in tensor_dls(Tensors(x[:34], y[:34]), Tensors(x[33:], y[33:]), 'ab', bs=8).train) == 34, 'a photo was left out for nothing'
    orders = [torch.cat([b[1] for b in dls.train]).tolist() for _ in range(3)]
    assert len({*map(tuple, orders)}) > 1, 'not shuffled'
    from fastai.metrics import accuracy
    net = nn.Sequential(nn.Conv2d(3, 4, 3, 2), nn.BatchNorm2d(4), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
    learn = quiet(Learner(dls, net, nn.CrossEntropyLoss(), opt_func=adamw, metrics=accuracy), 2)
    with learn.no_bar(), learn.no_logging():
        probs, targets = learn.get_preds()
        loss, right = learn.validate()
    net.eval()
    with torch.no_grad(): scores = net(prepare(x[33:], 0))
    assert targets.tolist() == y[33:].tolist(), 'another order'
    torch.testing.assert_close(torch.as_tensor(probs), scores, rtol=1e-4, atol=1e-5)
    assert right == pytest.approx((scores.argmax(1) == y[33:]).float().mean().item()) and loss == pytest.approx(nn.CrossEntropyLoss()(scores, y[33:]).item(), rel=1e-4)


def test_one_of_several_views_is_drawn():
    views = torch.arange(4).view(4, 1, 1).expand(4, 50, 1)*100 + torch.arange(50).view(1, 50, 1)
    t = Tensors(views.half(), torch.arange(50) % 2, views=True)
    x, y = t.batch([*range(50)], 7)
    which, photo = (x[:, 0]//100).long(), (x[:, 0] % 100).long()
    assert photo.tolist() == [*range(50)] and y.tolist() == (photo % 2).tolist() and set(which.tolist()) == {0, 1, 2, 3} and x.dtype == torch.float32
    assert torch.equal(t.batch([*range(50)], 7)[0], x) and not torch.equal(t.batch([*range(50)], 8)[0], x)
    dl = TensorLoader(t, bs=10, shuffle=True)
    assert not torch.equal(torch.cat([b[0] for b in dl]).sort(0)[0], torch.cat([b[0] for b in dl]).sort(0)[0]), 'the same views in each epoch'


# ---- batch norm

@pytest.mark.parametrize('opt', [adamw, Adam], ids=['adamw', 'fastai'])
def test_frozen_norms_stay(photos, opt):
    net = nn.Sequential(nn.Conv2d(3, 4, 3, 2), nn.BatchNorm2d(4), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.BatchNorm1d(4), nn.Linear(4, 2))
    t = Tensors(photos[0], photos[1], normalised((.5,)*3, (.5,)*3))
    learn = Learner(tensor_dls(t, t, ['a', 'b'], 16), net, nn.CrossEntropyLoss(), opt_func=opt)
    quiet(learn, 1)  # momentum and gradients from a training before
    before = copy.deepcopy(net.state_dict())
    quiet(learn, 2, cbs=[FrozenNorm()])
    moved = {k for k, v in net.state_dict().items() if not torch.equal(v, before[k])}
    assert moved == {'0.weight', '0.bias', '6.weight', '6.bias'}


@pytest.mark.parametrize('arch, side', [('efficientnet_lite0', 64), ('resnet18', 64), ('mobilenet_v2', 64)])
def test_unfolding_takes_folding_back(arch, side):
    module = lively(arch)
    before, x = copy.deepcopy(module.state_dict()), torch.randn(4, 3, side, side, generator=torch.Generator().manual_seed(1))
    folded = fold_batchnorm(module, side)
    assert folded is not module and not any(isinstance(m, NORMS) for m in folded.modules())
    g = torch.Generator().manual_seed(2)
    for trained in (False, True):
        if trained:
            with torch.no_grad():
                for p in folded.parameters(): p += .05*p.std().nan_to_num(0)*torch.randn(p.shape, generator=g)
        out = unfold_batchnorm(folded, module, side)
        with torch.inference_mode(): a, b, old = folded(x), out(x), module(x)
        torch.testing.assert_close(b, a, rtol=1e-3, atol=1e-3*a.abs().max().item())
        assert [*out.state_dict()] == [*before] and all(v.isfinite().all() for v in out.state_dict().values())
        assert trained == (not torch.allclose(a, old, rtol=1e-2, atol=1e-2*a.abs().max().item()))
        assert all(torch.equal(v, before[k]) for k, v in module.state_dict().items()), 'the body was changed'


def test_unfolding_where_all_of_a_norm_is_switched_off():
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.AdaptiveAvgPool2d(1), nn.Flatten()).eval()
    module[1].weight.data.zero_()
    module[1].bias.data.normal_()
    folded, x = fold_batchnorm(module, 16), torch.randn(2, 3, 16, 16)
    folded[0].weight.data += .1
    out = unfold_batchnorm(folded, module, 16)
    assert all(v.isfinite().all() for v in out.state_dict().values())
    with torch.inference_mode(): torch.testing.assert_close(out(x), folded(x), rtol=1e-4, atol=1e-4)


def test_depthwise_filters_stay(lite):
    net = copy.deepcopy(lite.module)
    n = freeze_depthwise(net)
    still = {k for k, p in net.named_parameters() if not p.requires_grad}
    assert still and all('conv_dw' in k for k in still) and n == sum(net.get_parameter(k).numel() for k in still)
    plain = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3, groups=2), nn.Conv2d(1, 2, 3))
    assert freeze_depthwise(plain) == 0 and all(p.requires_grad for p in plain.parameters())


# ---- the way through a body

@pytest.mark.parametrize('arch, side', [('resnet18', 64), ('efficientnet_lite0', 64), ('mobilenet_v2', 64), ('cifar_net', 32)])
def test_the_stages_are_the_body(arch, side):
    module = create_body(find_weights(arch, 'random')).module
    x = torch.randn(2, 3, side, side)
    for net in (module, fold_batchnorm(module, side)):
        steps = stages(net, side)
        assert len(steps) > 8 and steps[-1].share == 1 and steps[0].share > 0 and all(a.share <= b.share for a, b in zip(steps, steps[1:]))
        with torch.inference_mode():
            want = net(x)
            assert torch.equal(nn.Sequential(*(s.module for s in steps))(x), want)
            for share in (-1, .2, .45, .9):
                at, lower, upper = cut(steps, share)
                assert torch.equal(upper(lower(x)), want) and len(lower) == at and len(lower)+len(upper) == len(steps)
                assert (steps[at-1].share <= share if at else share < steps[0].share) and steps[at].share > share
        assert not any(m._forward_hooks for m in net.modules())


def test_the_shares_are_those_of_the_multiplications():
    net = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 8, 3, padding=1, groups=8), nn.Flatten(), nn.Linear(8*16, 2)).eval()
    work = np.cumsum([8*16*27, 0, 8*16*9, 0, 2*8*16])
    assert [s.share for s in stages(net, 4)] == pytest.approx((work/work[-1]).tolist())


def _vit():
    from torchvision.models import VisionTransformer
    v = VisionTransformer(image_size=32, patch_size=8, num_layers=1, num_heads=2, hidden_dim=16, mlp_dim=16)
    v.heads = nn.Identity()
    return v.eval()


class _Odd(nn.Module):
    "What lies between its parts no one can guess."
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 4, 3), nn.Linear(4, 2)

    def forward(self, x): return self.b(self.a(x).square().mean((2, 3)))


@pytest.mark.parametrize('make', [_vit, lambda: _Odd().eval()], ids=['vit', 'odd'])
def test_a_body_that_cannot_be_cut_is_one_stage(make):
    module = make()
    steps = stages(module, 32)
    assert len(steps) == 1 and steps[0].module is module and steps[0].share == 1
    assert cut(steps, .9)[0] == 0


def test_views_are_computed_once(lite, photos, tmp_path, monkeypatch):
    x = photos[0][:40]
    body = fold_batchnorm(lite.module, 32)
    _, lower, upper = cut(stages(body, 32), .3)
    before = copy.deepcopy(body.state_dict())
    A = cached_views(lower, x, lite, 3, seed=5)
    with torch.inference_mode():
        ready = normalised(lite.weights.mean, lite.weights.std)(x, 0)
        want = lower(ready)
        assert A.shape == (3, *want.shape) and A.dtype == (torch.bfloat16 if precision(torch.device('cpu')) == torch.bfloat16 else torch.float16)
        assert ((A[0].float()-want).norm()/want.norm()).item() < .03, 'view 0 is not the photo itself'
        assert min(((A[k].float()-want).norm()/want.norm()).item() for k in (1, 2)) > .2 and not torch.equal(A[1], A[2]), 'other views are no others'
        torch.testing.assert_close(upper(A[0].float()), body(ready), rtol=.1, atol=.1*body(ready).abs().max().item())
    assert torch.equal(A, cached_views(lower, x, lite, 3, seed=5)) and torch.equal(A[:1], cached_views(lower, x, lite, 1))
    assert not torch.equal(A[1], cached_views(lower, x, lite, 2, seed=6)[1])
    monkeypatch.setattr(tempfile, 'tempdir', str(tmp_path))
    assert torch.equal(A, cached_views(lower, x, lite, 3, seed=5, budget=10)) and not [*tmp_path.iterdir()]
    assert all(torch.equal(v, before[k]) and v.dtype == before[k].dtype for k, v in body.state_dict().items()), 'the body was changed'


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
    assert set(seen) == {torch.bfloat16} and 'forward' not in learn.model.__dict__ and learn.model[1].weight.dtype == torch.float32
    assert learn.model(torch.zeros(1, 3, 32, 32)).dtype == torch.float32 and seen[-1] == torch.float32
    learn = quiet(fresh(), 1, cbs=[Autocast(), Cancel()])
    assert 'forward' not in learn.model.__dict__
    pickle.dumps(learn.model.state_dict())
    quiet(quiet(learn, 1, cbs=[Autocast()]), 1, cbs=[Autocast()])
    assert 'forward' not in learn.model.__dict__, 'twice'


def test_numbers_are_chosen_by_a_rule(monkeypatch):
    cpu, dense = torch.device('cpu'), nn.Sequential(nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 3, groups=2))
    depthwise = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 3, groups=8))
    monkeypatch.setattr(speed, 'precision', lambda device, module=None: torch.bfloat16)
    assert speed.training_precision(dense, cpu) == (torch.bfloat16, 'bf16')
    assert speed.training_precision(depthwise, cpu)[0] == torch.float32
    monkeypatch.setattr(speed, 'precision', lambda device, module=None: torch.float32)
    assert speed.training_precision(dense, cpu) == (torch.float32, 'fp32 (this processor has no fast 16-bit numbers)')
    card = torch.device('cuda')
    monkeypatch.setattr(torch.cuda, 'is_bf16_supported', lambda including_emulation=True: including_emulation)  # as a T4: it can only imitate bf16
    assert speed.training_precision(dense, card) == (torch.float16, 'fp16') and speed.training_precision(depthwise, card)[0] == torch.float32
    monkeypatch.setattr(torch.cuda, 'is_bf16_supported', lambda including_emulation=True: True)
    assert speed.training_precision(dense, card) == speed.training_precision(depthwise, card) == (torch.bfloat16, 'bf16')


# ---- going on

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


WAYS = ['adamw', 'adam', 'sgd', 'fine_tune']


def trained(photos, way, file=None, before=None, extra=True, seed=0):
    "A training of four epochs, cut short in the epoch `before`; the model, the figures and the rates."
    x, y = photos
    torch.manual_seed(3)
    prepare = normalised((.5,)*3, (.5,)*3, augment)
    net = nn.Sequential(nn.Sequential(nn.Conv2d(3, 4, 3, 2), nn.BatchNorm2d(4), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Dropout(.2)), nn.Linear(16, 2))
    dls = tensor_dls(Tensors(x[:32], y[:32], prepare), Tensors(x[32:], y[32:], normalised((.5,)*3, (.5,)*3)), ['a', 'b'], 8)
    opt = dict(adamw=adamw, adam=Adam, sgd=lambda p, **kw: SGD(p, **{**kw, 'mom': .9}), fine_tune=Adam)[way]
    learn = Learner(dls, net, nn.CrossEntropyLoss(), opt_func=opt, splitter=lambda m: [[*m[0].parameters()], [*m[1].parameters()]] if way == 'fine_tune' else [*m.parameters()])
    book, count = diary(16, ''), Count()
    cbs = [Resume(file, seed, dict(diary=book) if extra else {}), book, count, *([Interrupt(before)] if before else [])]
    with learn.no_bar(), learn.no_logging():
        try:
            if way == 'fine_tune': learn.fine_tune(3, base_lr=.02, cbs=cbs)
            else: learn.fit_one_cycle(4, .02, cbs=cbs)
            assert not before, 'nothing was interrupted'
        except KeyboardInterrupt: assert before
    book.batches = count.batches
    return net.state_dict(), book


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
def test_an_interrupted_training_ends_as_if_nothing_had_been(photos, unbroken, tmp_path, way):
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


@pytest.mark.parametrize('way', ['adamw', 'fine_tune'])
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
    elif kind == 'other shapes': torch.save({**kept, 'model': {k: torch.zeros(3, *v.shape) for k, v in kept['model'].items()}}, file)
    elif kind == 'other optimizer': torch.save({**kept, 'opt': 'adam'}, file)
    elif kind == 'epoch': torch.save({**kept, 'epoch': 'two'}, file)
    elif kind == 'no diary': torch.save({**kept, 'extra': {}}, file)
    elif kind.startswith('no '): torch.save({k: v for k, v in kept.items() if k != kind[3:]}, file)
    elif kind == 'other seed': torch.save({**kept, 'seed': 5}, file)
    elif kind == 'a tensor': torch.save(torch.ones(3), file)
    elif kind == 'weights alone': torch.save(kept['model'], file)
    else: file.write_bytes(dict(half=data[:len(data)//2], start=data[:100], empty=b'', noise=bytes(range(256))*20)[kind])


@pytest.mark.parametrize('kind', ['half', 'start', 'empty', 'noise', 'evil pickle', 'evil torch', 'a tensor', 'weights alone', 'other seed', 'no epoch', 'no seed', 'no model',
                                  'no opt', 'no extra', 'no diary', 'epoch', 'other names', 'other shapes', 'other optimizer'])
@pytest.mark.filterwarnings('ignore')
def test_a_file_that_is_no_checkpoint_means_a_fresh_start(photos, unbroken, tmp_path, kind):
    trained(photos, 'adamw', tmp_path/'good.pt', 3)
    _write(kind, tmp_path/'good.pt', tmp_path/'bad.pt', tmp_path)
    got = trained(photos, 'adamw', tmp_path/'bad.pt')
    assert not (tmp_path/'evil').exists(), 'a program in the file was run'
    alike(unbroken['adamw'], got)


def test_a_loss_that_is_no_number_after_an_interruption(photos, tmp_path):
    "The last good epoch is the one before the interruption."
    trained(photos, 'adamw', tmp_path/'k.pt', 3)
    kept = torch.load(tmp_path/'k.pt', weights_only=True)['model']

    class Nan(Callback):
        def after_pred(self): self.learn.pred = self.pred*float('nan')
    x, y = photos
    t = Tensors(x[:32], y[:32], normalised((.5,)*3, (.5,)*3))
    net = nn.Sequential(nn.Sequential(nn.Conv2d(3, 4, 3, 2), nn.BatchNorm2d(4), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Dropout(.2)), nn.Linear(16, 2))
    learn, book = Learner(tensor_dls(t, t, ['a', 'b'], 8), net, nn.CrossEntropyLoss(), opt_func=adamw), diary(16, '')
    with learn.no_bar(), learn.no_logging(): learn.fit_one_cycle(4, .02, cbs=[Resume(tmp_path/'k.pt', 0, dict(diary=book)), book, Nan()])
    assert len(book.rows) == 2 and 'epoch 2, the last good one, is kept' in book.notes[0]
    assert book.good is not None and all(torch.equal(v, kept[k]) for k, v in book.good.items())
