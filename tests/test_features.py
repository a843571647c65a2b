"""Features are what the frozen body gives for a photo, whatever else was asked at the same time, and are never computed twice."""
import copy
import io
import os
import platform
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from torch import nn

from imgcls import features as features_room
from imgcls.core import UserError
from imgcls.data import list_photos, photo_table
from imgcls.features import Features, auto_resolution, features, fold_batchnorm, keep_memory, to_pixels
from imgcls.models import Body, create_body, find_weights
from imgcls.synth import draw, scene_bytes, synth_folder


@pytest.fixture(scope='module')
def table(own_cache): return photo_table(synth_folder(per_class=30, side=64))


@pytest.fixture
def cache(tmp_path, monkeypatch):
    "Gives an empty cache, and another one each time it is called."
    def fresh(name): monkeypatch.setenv('IMGCLS_CACHE', str(tmp_path/name))
    fresh('cache')
    return fresh


def norms(module): return [m for m in module.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]


def random_body(arch, seed=0):
    "A body with random weights and, unlike fresh ones, batch norms that do something; timm's too, without its weights."
    from imgcls.models import _card, _structure
    g = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)
    module = _structure(arch).eval()
    for m in norms(module):
        m.running_mean = torch.randn(m.num_features, generator=g)*.1
        m.running_var = torch.rand(m.num_features, generator=g) + .5
        m.weight.data = torch.rand(m.num_features, generator=g) + .5
        m.bias.data = torch.randn(m.num_features, generator=g)*.1
    w = _card(arch)
    with torch.inference_mode(): n = module(torch.zeros(1, 3, w.res, w.res)).shape[1]
    return Body(module, w, f'{arch}{seed}', n)


def cosine(a, b):
    a, b = (np.asarray(x, np.float64) for x in (a, b))
    return (a*b).sum(1)/np.linalg.norm(a, axis=1)/np.linalg.norm(b, axis=1)


# ---- the same whatever comes with it

@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float32])
@pytest.mark.parametrize('arch, res', [('efficientnet_lite0', 64), ('resnet18', 64), ('test_vit', 160)])
def test_features_do_not_depend_on_their_neighbours(table, cache, monkeypatch, arch, res, dtype):
    monkeypatch.setattr(features_room, 'at_once', lambda device, dtype: 16)
    monkeypatch.setattr(features_room, 'precision', lambda device, module: dtype)
    body = create_body(arch) if arch == 'efficientnet_lite0' else random_body(arch)
    X = features(table, Features(body, res))
    assert X.shape == (90, body.n_features) and X.dtype == np.float16 and np.isfinite(X).all()
    cache('other order')
    shuffled = table.sample(frac=1, random_state=1)
    again = Features(body, res)
    np.testing.assert_array_equal(features(shuffled, again), X[shuffled.index])
    assert again.computed == 90
    cache('in two goes')  # as after a kill
    again = Features(body, res)
    features(shuffled[:37], again)
    np.testing.assert_array_equal(features(table, again), X)
    assert again.computed == 90
    cache('one alone')
    np.testing.assert_array_equal(features(table[5:6], Features(body, res)), X[5:6])


def test_known_photos_are_not_sent_through_the_body(table, cache, monkeypatch):
    body = create_body('cifar_net')
    X = features(table, Features(body, 32))
    monkeypatch.setattr(Features, '_forward', lambda *a: pytest.fail('computed again'))
    f = Features(body, 32)
    np.testing.assert_array_equal(features(table, f), X)
    assert f.computed == 0 and f.seconds['body'] == 0


def test_what_a_feature_depends_on_names_its_folder(table, cache):
    body = random_body('resnet18')
    ways = [Features(body, 64), Features(body, 96), Features(body, 64, 'squish'), Features(random_body('resnet18', 1), 64), Features('cifar_net', 32)]
    ways.append(Features(body, 64))
    ways[-1].dtype = torch.float64
    assert len({f.folder for f in ways}) == len(ways)
    assert Features(create_body(find_weights('cifar_net'), seed=1), 32).folder != Features('cifar_net', 32).folder


def test_a_file_that_is_being_written_is_left_alone(table, cache):
    f = Features('cifar_net', 32)
    other = f.folder/'.0123456789abcdef.77-deadbeef.safetensors'  # another process is at it
    other.write_bytes(b'half')
    features(table, f)
    assert other.read_bytes() == b'half' and not f.notes


# ---- what the body gives

def exact(body, imgs):
    "The features by the book: float32, no folding, one photo at a time."
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (body.weights.mean, body.weights.std))
    with torch.inference_mode():
        return torch.cat([body.module(((torch.from_numpy(np.array(i)).permute(2, 0, 1)/255 - mean)/std)[None]) for i in imgs]).numpy()


@pytest.mark.parametrize('arch', ['efficientnet_lite0', 'resnet18', 'test_vit'])
def test_features_are_those_of_the_body(tmp_path, cache, arch):
    body = create_body(arch) if arch == 'efficientnet_lite0' else random_body(arch)
    side = 160 if arch == 'test_vit' else 96
    imgs = [draw(c, i, side=side) for c in ('fox', 'deer') for i in range(4)]
    for i, img in enumerate(imgs):
        (tmp_path/'p'/'ab'[i//4]).mkdir(parents=True, exist_ok=True)
        img.save(tmp_path/'p'/'ab'[i//4]/f'{i}.png')
    t, want = list_photos(tmp_path/'p')[0], exact(body, imgs)
    for dtype, worst in ((torch.float32, .99999), (torch.bfloat16, .99)):
        f = Features(body, side)
        f.dtype = dtype
        t2, bad = f(t)
        got = f[t2.sha256.tolist()]
        assert not bad and cosine(got, want).min() > worst, f'{dtype}: {cosine(got, want).min()}'
        if dtype == torch.float32: np.testing.assert_allclose(got, want, rtol=2e-3, atol=2e-3*np.abs(want).max())


def test_the_processor_counts_with_few_bits_only_where_that_is_as_good(table, cache):
    body = create_body('efficientnet_lite0')
    quick, sure = Features(body, 64), Features(body, 64)
    sure.dtype = torch.float32
    assert cosine(features(table, quick), features(table, sure)).min() > .99


@pytest.mark.parametrize('size', [(300, 200), (200, 300), (96, 96), (50, 70), (97, 95), (40, 40)])
@pytest.mark.parametrize('method', ['crop', 'squish'])
def test_photos_of_any_size(tmp_path, cache, size, method):
    from torchvision.transforms.v2 import functional as T
    body, side = create_body('efficientnet_lite0'), 96
    (tmp_path/'p').mkdir()
    imgs = [draw('fox', i, side=300).resize(size, Image.Resampling.BICUBIC) for i in range(3)]
    for i, img in enumerate(imgs): img.save(tmp_path/'p'/f'{i}.png')
    small = [T.resize(T.center_crop(i, [min(i.size)]*2) if method == 'crop' else i, [side, side], antialias=True, interpolation=T.InterpolationMode.BICUBIC) for i in imgs]
    f = Features(body, side, method)
    t, bad = f(pd.DataFrame(dict(path=[str(tmp_path/'p'/f'{i}.png') for i in range(3)], label='fox')))
    assert not bad and list(zip(t.width, t.height)) == [size]*3
    assert cosine(f[t.sha256.tolist()], exact(body, small)).min() > .985


def test_crop_and_squish_differ_and_give_squares():
    wide = Image.new('RGB', (90, 30), 'red')
    wide.paste('blue', (30, 0, 60, 30))
    tall = wide.transpose(Image.Transpose.ROTATE_90)
    for img in (wide, tall):
        crop, squish = (to_pixels([img], 30, m)[0].permute(1, 2, 0).numpy() for m in ('crop', 'squish'))
        assert crop.shape == squish.shape == (30, 30, 3) and crop.dtype == np.uint8
        assert (crop == [0, 0, 255]).all(), 'crop takes the middle'
        red = (squish[..., 0] > 128).mean()
        assert .6 < red < .73, 'squish keeps all of it'


def test_mixed_sizes_in_one_batch(tmp_path, cache):
    sizes = [(64, 64), (300, 200), (20, 31), (64, 65), (500, 64)]
    (tmp_path/'p'/'fox').mkdir(parents=True)
    for i, s in enumerate(sizes): draw('fox', i, side=300).resize(s).save(tmp_path/'p'/'fox'/f'{i}.png')
    t = list_photos(tmp_path/'p')[0]
    body = create_body('efficientnet_lite0')
    X = features(Features(body, 64)(t)[0], Features(body, 64))
    for i in range(len(sizes)):
        cache(f'alone {i}')
        f = Features(body, 64)
        np.testing.assert_array_equal(f[f(t[i:i+1])[0].sha256.tolist()], X[i:i+1])


# ---- nothing in the body is trained

def test_the_frozen_body_does_not_change(table, cache):
    from imgcls.fit import train
    from imgcls.train import Frozen
    body = random_body('resnet18')
    before = copy.deepcopy(body.module.state_dict())
    assert not any(m.training for m in body.module.modules())
    learn = train(table, Frozen(epochs=2, lr=.1), Features(body, 64), size=10)
    for k, v in body.module.state_dict().items(): assert torch.equal(v, before[k]), f'{k} changed'
    for k, v in learn.model[0].state_dict().items(): assert torch.equal(v.cpu(), before[k]), f'{k} of the learner changed'
    assert not any(m.training for m in body.module.modules())


# ---- folding

@pytest.mark.parametrize('arch, side', [('resnet18', 64), ('resnet50', 64), ('efficientnet_lite0', 64), ('test_resnet', 96), ('test_efficientnet', 96),
                                        ('mobilenet_v3_small', 64), ('test_vit', 160), ('test_convnext', 96)])
def test_folding_gives_the_same_features(arch, side):
    module = random_body(arch).module
    before, n = copy.deepcopy(module.state_dict()), len(norms(module))
    folded = fold_batchnorm(module, side)
    x = torch.randn(4, 3, side, side, generator=torch.Generator().manual_seed(3))
    with torch.inference_mode(): a, b = module(x), folded(x)
    torch.testing.assert_close(b, a, rtol=1e-3, atol=1e-3*a.abs().max().item())
    assert (n == 0) == (arch in ('test_vit', 'test_convnext')) and len(norms(folded)) == 0
    assert len(norms(module)) == n and all(torch.equal(v, before[k]) for k, v in module.state_dict().items()), 'the body was changed'


def test_a_layer_used_twice_is_not_folded():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.norm = nn.Conv2d(3, 3, 3, padding=1), nn.BatchNorm2d(3)
            self.norm.running_mean += 1

        def forward(self, x): return self.norm(self.conv(self.norm(self.conv(x)))).mean((2, 3))
    module = Twice().eval()
    x = torch.randn(2, 3, 16, 16)
    with torch.inference_mode(): torch.testing.assert_close(fold_batchnorm(module, 16)(x), module(x))


# ---- memory

def test_memory_is_kept_only_where_it_can_be(monkeypatch):
    assert keep_memory() in (True, False)
    calls = []
    class Libc:
        def mallopt(self, *a): return calls.append(a) or 1
    monkeypatch.setattr(features_room.ctypes, 'CDLL', lambda name: Libc())
    for system in ('', 'musl'):
        monkeypatch.setattr(features_room.platform, 'libc_ver', lambda: (system, '1'))
        assert keep_memory() is False and not calls
    monkeypatch.setattr(features_room.platform, 'libc_ver', lambda: ('glibc', '2.36'))
    assert keep_memory() is True and {k for k, _ in calls} == {-1, -3, -8}


@pytest.mark.skipif(not hasattr(os, 'fork') or platform.libc_ver()[0] != 'glibc', reason='settings of glibc')
def test_large_memory_of_a_thread_is_used_again():
    "Kept pages are not fetched anew, once a few places have been tried: in a process of its own, because the settings can't be taken back."
    program = """
import resource, sys, threading
import torch
from imgcls.features import keep_memory
if sys.argv[1] == 'keep': keep_memory()
def use():
    for _ in range(20): torch.ones(20_000_000)  # 80 MB, more than the pool of a thread holds
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
def twice(): print(-use() + use())
t = threading.Thread(target=twice)
t.start()
t.join()
"""
    usual, kept = (int(subprocess.run([sys.executable, '-c', program, how], capture_output=True, text=True, check=True).stdout) for how in ('usual', 'keep'))
    assert kept < usual/20


# ---- what can't work

@pytest.mark.parametrize('factor', [float('nan'), 1e9])
def test_weights_that_give_no_numbers(table, cache, factor):
    body = create_body('cifar_net')
    body.module[-2].weight.data *= factor
    with pytest.raises(UserError, match='no numbers .*weights are damaged') as e: features(table, Features(body, 32))
    assert '\n' not in str(e.value)


def test_resolution(table, tmp_path, cache):
    small, large = table.path.tolist(), [str(tmp_path/'large.jpg')]
    (tmp_path/'large.jpg').write_bytes(scene_bytes('fox', 0, side=300))
    assert auto_resolution(small, create_body('efficientnet_lite0')) == 96 and auto_resolution(large, create_body('efficientnet_lite0')) == 224
    assert auto_resolution(small, create_body('cifar_net')) == 32
    assert auto_resolution(small, random_body('vit_tiny_patch16_224')) == 224, 'a body for one resolution only gets it'
    assert auto_resolution([str(tmp_path/'gone.jpg')], create_body('efficientnet_lite0')) == 224
    for arch, res in (('cifar_net', 64), ('vit_tiny_patch16_224', 96)):
        with pytest.raises(UserError, match=f'{arch} takes no photos of {res} pixels; leave the resolution out') as e: Features(random_body(arch), res)
        assert '\n' not in str(e.value)


def test_features_of_photos_that_vanished(table, tmp_path, cache):
    t = table.copy()
    (tmp_path/'x.jpg').write_bytes(io.BytesIO(scene_bytes('fox', 500, side=64)).getvalue())
    t.loc[3, 'path'] = str(tmp_path/'x.jpg')
    with pytest.raises(UserError, match='1 photo changed .*x.jpg .other content'): features(t, Features('cifar_net', 32))
    (tmp_path/'x.jpg').unlink()
    with pytest.raises(UserError, match='vanished'): features(t, Features('cifar_net', 32))
