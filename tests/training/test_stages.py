"""A body that was cut is the body, and what lies below the cut is computed once."""
import copy
import tempfile

import numpy as np
import pytest
import torch
from torch import nn

from imgcls.core import UserError
from imgcls.data.synth import draw
from imgcls.training import pixels
from imgcls.training import stages as rooms
from imgcls.training.engine import precision
from imgcls.training.features import fold_batchnorm
from imgcls.training.models import find_weights, load_body
from imgcls.training.pixels import Squares, Store, to_pixels
from imgcls.training.stages import cached_views, cut, stages
from imgcls.training.tensors import Tensors, normalised


@pytest.mark.parametrize('arch, side', [('resnet18', 64), ('efficientnet_lite0', 64), ('mobilenet_v2', 64),
                                        ('densenet121', 64), ('cifar_net', 32)])
def test_the_stages_are_the_body(arch, side):
    module = load_body(find_weights(arch, 'random')).module
    x = torch.randn(2, 3, side, side)
    for net in (module, fold_batchnorm(module, side)):
        steps = stages(net, side)
        shares = [s.share for s in steps]
        assert len(steps) > 8 and 0 < shares[0] and shares == sorted(shares) and shares[-1] == 1
        with torch.inference_mode():
            want = net(x)
            assert torch.equal(nn.Sequential(*(s.module for s in steps))(x), want)
            for share in (-1, .2, .45, .9):
                at, lower, upper = cut(steps, share)
                assert torch.equal(upper(lower(x)), want)
                assert len(lower) == at and len(lower)+len(upper) == len(steps)
                assert all(s <= share for s in shares[:at]) and shares[at] > share
        assert not any(m._forward_hooks for m in net.modules())


def test_the_shares_are_those_of_the_multiplications():
    net = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 8, 3, padding=1, groups=8),
                        nn.Flatten(), nn.Linear(8*16, 2)).eval()
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


# ---- views

@pytest.fixture(scope='module')
def lite(): return load_body('efficientnet_lite0')


@pytest.fixture(scope='module')
def body(lite): return fold_batchnorm(lite.module, 32)


@pytest.fixture(scope='module')
def parts(body): return cut(stages(body, 32), .3)[1:]


@pytest.fixture(scope='module')
def photos(): return to_pixels([draw(c, i, side=32) for i in range(20) for c in ('fox', 'deer')], 32)


def off(a, want): return ((a.float()-want).norm()/want.norm()).item()


def test_views_are_those_of_the_lower_part(lite, body, parts, photos):
    lower, upper = parts
    before = copy.deepcopy(body.state_dict())
    A = cached_views(lower, photos, lite, 3, seed=5)
    with torch.inference_mode():
        ready = normalised(lite.weights.mean, lite.weights.std)(photos, 0)
        want, all_of_it = lower(ready), body(ready)
        on_top = upper(A[0].float())
    low = torch.bfloat16 if precision(torch.device('cpu')) == torch.bfloat16 else torch.float16
    assert A.shape == (3, *want.shape) and A.dtype == low
    assert off(A[0], want) < .03, 'view 0 is not the photo itself'
    assert min(off(A[1], want), off(A[2], want)) > .2, 'other views show the same'
    assert not torch.equal(A[1], A[2])
    torch.testing.assert_close(on_top, all_of_it, rtol=.1, atol=.1*all_of_it.abs().max().item())
    for k, v in body.state_dict().items():
        assert torch.equal(v, before[k]) and v.dtype == before[k].dtype, 'the body was changed'


def test_views_depend_on_the_seed_alone(lite, parts, photos):
    lower, A = parts[0], cached_views(parts[0], photos, lite, 3, seed=5)
    assert torch.equal(A, cached_views(lower, photos, lite, 3, seed=5))
    assert torch.equal(A[:1], cached_views(lower, photos, lite, 1))
    assert not torch.equal(A[1], cached_views(lower, photos, lite, 2, seed=6)[1])


def test_views_are_the_same_in_a_file(lite, parts, photos, tmp_path, monkeypatch):
    A = cached_views(parts[0], photos, lite, 3, seed=5)
    monkeypatch.setattr(tempfile, 'tempdir', str(tmp_path))
    B = cached_views(parts[0], photos, lite, 3, seed=5, budget=10)
    assert isinstance(B, Squares) and len(B) == 3 and B.shape == A.shape
    assert torch.equal(A, B[:]) and torch.equal(A[2], B[2][:]) and torch.equal(A[1, 5:9], B[1][5:9])
    assert not [*tmp_path.iterdir()], 'the file has a name that would stay after a crash'
    y = torch.arange(len(photos))
    (x, _), (same, _) = (Tensors(a, y, views=True).batch([3, 3, 0], 1) for a in (A, B))
    assert torch.equal(x, same)


def test_a_disk_that_is_full_is_told(lite, parts, photos, monkeypatch):
    def no_room(self, row): raise OSError('no space left')
    monkeypatch.setattr(Store, '_write', no_room)
    with pytest.raises(UserError, match='the disk of .* is full'):
        cached_views(parts[0], photos, lite, budget=10)


def test_without_room_on_the_disk_views_stay_in_memory(lite, parts, photos, monkeypatch):
    monkeypatch.setattr(pixels, 'KEEP', 0)
    A = cached_views(parts[0], photos, lite, budget=10)
    assert isinstance(A, torch.Tensor) and A.isfinite().all()


def test_the_photos_themselves_come_first(lite, parts, photos, monkeypatch):
    "What trains the head can begin before other views are made."
    happened, seen = [], []
    real = rooms.augment
    monkeypatch.setattr(rooms, 'augment', lambda x, seed: happened.append('view') or real(x, seed))

    def between(plain):
        happened.append('between')
        seen.append(plain.clone())
    A = cached_views(parts[0], photos, lite, 3, between=between)
    assert happened == ['between', 'view', 'view'] and torch.equal(seen[0], A[0])
