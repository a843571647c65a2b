"""Features are what the frozen body gives for a photo, whatever comes with it; none is computed twice."""
import copy

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from torch import nn

from imgcls.core import UserError
from imgcls.data.synth import draw, scene_bytes, synth_folder
from imgcls.data.table import read_photos
from imgcls.training import features as features_room
from imgcls.training.features import Features, auto_resolution, fold_batchnorm
from imgcls.training.finetune import unfold_batchnorm
from imgcls.training.models import Body, find_weights, load_body
from imgcls.training.pixels import to_pixels


@pytest.fixture(scope='module')
def photos(own_cache): return read_photos(synth_folder(per_class=30, side=64))


@pytest.fixture(scope='module')
def rows(photos): return photos.df


def files(folder): return pd.DataFrame(dict(path=[str(p) for p in sorted(folder.iterdir())], label='fox'))


@pytest.fixture
def cache(tmp_path, monkeypatch):
    "Gives an empty cache, and another one each time it is called."
    def fresh(name): monkeypatch.setenv('IMGCLS_CACHE', str(tmp_path/name))
    fresh('cache')
    return fresh


def norms(module): return [m for m in module.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]


def random_body(arch, seed=0):
    "A body with random weights and, unlike fresh ones, batch norms that do something."
    from imgcls.training.models import _card, _structure
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


# ---- the same whoever decodes

@pytest.fixture
def large_and_small(tmp_path):
    "Photos larger and smaller than 64 pixels, wide and high; one is damaged."
    (tmp_path/'photos').mkdir()
    for i, size in enumerate([(200, 150), (90, 300), (64, 64), (40, 50), (60, 30), (500, 333), (33, 90)]*6):
        animal, kind = ('fox', 'jpg') if i % 2 else ('deer', 'png')
        draw(animal, i, side=128).resize(size).save(tmp_path/f'photos/{i}.{kind}')
    (tmp_path/'photos/2.png').write_bytes((tmp_path/'photos/2.png').read_bytes()[:900])
    return files(tmp_path/'photos')


@pytest.mark.parametrize('method', ['crop', 'squish'])
def test_features_are_the_same_whoever_decodes(large_and_small, cache, processes, method):
    torch.rand(500, 500) @ torch.rand(500, 500)  # all threads of PyTorch run when processes are copied
    got = []
    for n in 0, 2:
        cache(f'{n}')
        processes(n)
        f = Features('efficientnet_lite0', 64, method)
        f.keep_pixels = True
        good, skipped = f(large_and_small)
        got.append((good, skipped, f[good.sha256.tolist()], f.pixels.of(good)[:], f.computed))
    (a, bad, X, pixels, n), (b, bad2, X2, pixels2, n2) = got
    pd.testing.assert_frame_equal(a, b)
    pd.testing.assert_frame_equal(bad, bad2)
    assert (n, n2) == (41, 41) and len(bad) == 1 and torch.equal(pixels, pixels2)
    np.testing.assert_array_equal(X, X2)


def test_pixels_alone_are_the_same_whoever_decodes(large_and_small, cache, processes):
    got = []
    for n in 0, 2:
        processes(n)
        f = Features('cifar_net', 32)
        good, _ = f.decode(large_and_small)
        assert len(f.pixels.at) == 41
        got.append(f.pixels.of(good)[:])
    assert torch.equal(*got)


# ---- the same whatever comes with it

# processors without fast 16-bit numbers take their time for these
@pytest.mark.parametrize('dtype, small', [(torch.bfloat16, 32), (torch.float32, 64)])
@pytest.mark.parametrize('arch, res', [('efficientnet_lite0', None), ('resnet18', None), ('test_vit', 160)])
def test_features_do_not_depend_on_their_neighbours(rows, cache, monkeypatch, arch, res, dtype, small):
    res = res or small
    monkeypatch.setattr(features_room, 'at_once', lambda device, dtype: 8)
    monkeypatch.setattr(features_room, 'precision', lambda device, module: dtype)
    body = load_body(arch) if arch == 'efficientnet_lite0' else random_body(arch)
    rows = rows[::4].reset_index(drop=True)  # two batches and some
    X = Features(body, res).of(rows)
    assert X.shape == (23, body.n_features) and X.dtype == np.float16 and np.isfinite(X).all()
    cache('other order')
    shuffled = rows.sample(frac=1, random_state=1)
    again = Features(body, res)
    np.testing.assert_array_equal(again.of(shuffled), X[shuffled.index])
    assert again.computed == 23
    cache('in two goes')  # as after a kill
    again = Features(body, res)
    again.of(shuffled[:11])
    np.testing.assert_array_equal(again.of(rows), X)
    assert again.computed == 23
    cache('one alone')
    np.testing.assert_array_equal(Features(body, res).of(rows[5:6]), X[5:6])


def test_known_photos_are_not_sent_through_the_body(rows, cache, monkeypatch):
    body = load_body('cifar_net')
    X = Features(body, 32).of(rows)
    monkeypatch.setattr(Features, '_forward', lambda *a: pytest.fail('computed again'))
    f = Features(body, 32)
    np.testing.assert_array_equal(f.of(rows), X)
    assert f.computed == 0 and f.seconds['body'] == 0


def test_photos_are_read_once(rows, cache, monkeypatch):
    "The runs of a study ask for the same photos again and again, in any order, some of them twice."
    f = Features('cifar_net', 32)
    X = f.of(rows)
    monkeypatch.setattr(features_room, 'check_photos', lambda *a, **k: pytest.fail('read again'))
    monkeypatch.setattr(features_room, '_read_shard', lambda *a: pytest.fail('looked up again'))
    some = rows.sample(200, replace=True, random_state=0)
    np.testing.assert_array_equal(f.of(some), X[some.index])
    np.testing.assert_array_equal(f[some.sha256.tolist()], X[some.index])
    assert f.of(rows[:0]).shape == (0, 84)


def test_photos_read_with_their_features_are_not_read_again(cache, monkeypatch):
    f = Features('cifar_net', 32)
    df = read_photos(synth_folder(per_class=4, side=64), check=f).df
    monkeypatch.setattr(features_room, 'check_photos', lambda *a, **k: pytest.fail('read again'))
    assert f.of(df).shape == (12, 84) and f.computed == 12


def test_features_that_are_not_there_are_a_key_error(rows, cache):
    f = Features('cifar_net', 32)
    with pytest.raises(KeyError): f[rows.sha256.tolist()]
    f.of(rows[:3])
    assert f[rows.sha256[:3].tolist()].shape == (3, 84)
    with pytest.raises(KeyError): f[rows.sha256[:4].tolist()]


def test_what_a_feature_depends_on_names_its_folder(cache):
    body, cifar = random_body('resnet18'), find_weights('cifar_net')
    ways = [Features(body, 64), Features(body, 96), Features(body, 64, 'squish')]
    ways += [Features(load_body(cifar, seed), 32) for seed in (0, 1)]
    ways.append(Features(random_body('resnet18', 1), 64))
    ways.append(Features(body, 64))
    ways[-1].dtype = torch.float64
    assert len({f.folder for f in ways}) == len(ways)


def test_a_file_that_is_being_written_is_left_alone(rows, cache):
    f = Features('cifar_net', 32)
    other = f.folder/'.0123456789abcdef.77-deadbeef.safetensors'  # another process is writing it
    other.write_bytes(b'half')
    f.of(rows)
    assert other.read_bytes() == b'half' and not f.notes


# ---- what the body gives

def exact(body, imgs):
    "The features by the book: float32, no folding, one photo at a time."
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (body.weights.mean, body.weights.std))
    xs = [torch.from_numpy(np.array(i)).permute(2, 0, 1)/255 for i in imgs]
    with torch.inference_mode(): return torch.cat([body.module(((x - mean)/std)[None]) for x in xs]).numpy()


@pytest.mark.usefixtures('same_numbers')
@pytest.mark.parametrize('arch', ['efficientnet_lite0', 'resnet18', 'test_vit'])
def test_features_are_those_of_the_body(tmp_path, cache, arch):
    body = load_body(arch) if arch == 'efficientnet_lite0' else random_body(arch)
    side = 160 if arch == 'test_vit' else 96
    imgs = [draw(c, i, side=side) for c in ('fox', 'deer') for i in range(4)]
    for i, img in enumerate(imgs): img.save(tmp_path/f'{i}.png')
    want = exact(body, imgs)
    (tmp_path/'cache').mkdir(exist_ok=True)
    rows = pd.DataFrame(dict(path=[str(tmp_path/f'{i}.png') for i in range(8)], label='fox'))
    for dtype, worst in ((torch.float32, .99999), (torch.bfloat16, .99)):
        f = Features(body, side)
        f.dtype = dtype
        good, skipped = f(rows)
        got = f[good.sha256.tolist()]
        assert not len(skipped) and cosine(got, want).min() > worst, f'{dtype}: {cosine(got, want).min()}'
        if dtype == torch.float32:
            np.testing.assert_allclose(got, want, rtol=2e-3, atol=2e-3*np.abs(want).max())


def test_the_processor_counts_with_few_bits_only_where_that_is_as_good(rows, cache):
    body = load_body('efficientnet_lite0')
    quick, sure = Features(body, 64), Features(body, 64)
    sure.dtype = torch.float32
    assert cosine(quick.of(rows), sure.of(rows)).min() > .99


@pytest.mark.parametrize('size', [(300, 200), (200, 300), (96, 96), (50, 70), (97, 95), (40, 40)])
@pytest.mark.parametrize('method', ['crop', 'squish'])
def test_photos_of_any_size(tmp_path, cache, size, method):
    from torchvision.transforms.v2 import functional as T
    body, side, folder = load_body('efficientnet_lite0'), 96, tmp_path/'p'
    folder.mkdir()
    imgs = [draw('fox', i, side=300).resize(size, Image.Resampling.BICUBIC) for i in range(3)]
    for i, img in enumerate(imgs): img.save(folder/f'{i}.png')
    squares = [T.center_crop(i, [min(i.size)]*2) for i in imgs] if method == 'crop' else imgs
    how = dict(antialias=True, interpolation=T.InterpolationMode.BICUBIC)
    small = [T.resize(i, [side, side], **how) for i in squares]
    f = Features(body, side, method)
    good, skipped = f(files(folder))
    assert not len(skipped) and list(zip(good.width, good.height)) == [size]*3
    assert cosine(f[good.sha256.tolist()], exact(body, small)).min() > .985


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
    folder = tmp_path/'p'
    folder.mkdir()
    for i, size in enumerate([(64, 64), (300, 200), (20, 31), (64, 65), (500, 64)]):
        draw('fox', i, side=300).resize(size).save(folder/f'{i}.png')
    rows, body = files(folder), load_body('efficientnet_lite0')
    f = Features(body, 64)
    X = f.of(f(rows)[0])
    for i in range(5):
        cache(f'alone {i}')
        f = Features(body, 64)
        np.testing.assert_array_equal(f.of(f(rows[i:i+1])[0]), X[i:i+1])


# ---- nothing in the body is trained

def test_the_frozen_body_does_not_change(photos, cache):
    from imgcls.training.recipes import Frozen, train
    body = random_body('resnet18')
    before = copy.deepcopy(body.module.state_dict())
    assert not any(m.training for m in body.module.modules())
    learn = train(photos, Frozen(epochs=2, lr=.1), Features(body, 64), size=10, say=None)
    for k, v in body.module.state_dict().items(): assert torch.equal(v, before[k]), f'{k} changed'
    for k, v in learn.model[0].state_dict().items():
        assert torch.equal(v.cpu(), before[k]), f'{k} of the learner changed'
    assert not any(m.training for m in body.module.modules())


# ---- folding

SIDES = dict(resnet18=64, resnet50=64, efficientnet_lite0=64, test_resnet=96, test_efficientnet=96,
             mobilenet_v3_small=64, test_vit=160, test_convnext=96)


@pytest.mark.parametrize('arch, side', SIDES.items())
def test_folding_gives_the_same_features(arch, side):
    module = random_body(arch).module
    before, n = copy.deepcopy(module.state_dict()), len(norms(module))
    folded = fold_batchnorm(module, side)
    x = torch.randn(4, 3, side, side, generator=torch.Generator().manual_seed(3))
    with torch.inference_mode(): a, b = module(x), folded(x)
    torch.testing.assert_close(b, a, rtol=1e-3, atol=1e-3*a.abs().max().item())
    assert (n == 0) == (arch in ('test_vit', 'test_convnext')) and len(norms(folded)) == 0
    assert len(norms(module)) == n, 'the body was changed'
    assert all(torch.equal(v, before[k]) for k, v in module.state_dict().items()), 'the body was changed'


class Twice(nn.Module):
    "A net that uses its convolution twice, with the same norm after it or with another one."
    def __init__(self, same=False):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 3, 3, padding=1), nn.BatchNorm2d(3)
        self.again = None if same else nn.BatchNorm2d(3)
        self.norm.running_mean += 1

    def forward(self, x):
        again = self.again or self.norm
        return again(self.conv(self.norm(self.conv(x)))).mean((2, 3))


@pytest.mark.parametrize('same', [False, True])
def test_a_layer_used_twice_is_folded_only_with_its_norm(same):
    module, x = Twice(same).eval(), torch.randn(2, 3, 16, 16)
    folded = fold_batchnorm(module, 16)
    with torch.inference_mode(): torch.testing.assert_close(folded(x), module(x), rtol=1e-4, atol=1e-5)
    assert (not norms(folded)) == same and len(norms(module)) == 2-same
    assert {id(p) for p in folded.parameters()}.isdisjoint(map(id, module.parameters())), 'shared weights'


def test_a_body_that_is_not_folded_keeps_its_numbers(rows, cache, monkeypatch):
    monkeypatch.setattr(features_room, 'precision', lambda device, module=None: torch.bfloat16)
    body = Body(Twice().eval(), find_weights('efficientnet_lite0'), 'twice', 3)
    Features(body, 64)(rows[:2])
    assert {p.dtype for p in body.module.parameters()} == {torch.float32}


def test_what_was_not_folded_is_not_unfolded():
    module, x = Twice().eval(), torch.randn(2, 3, 16, 16)
    trained = copy.deepcopy(fold_batchnorm(module, 16))
    with torch.no_grad(): trained.conv.weight += .1
    out = unfold_batchnorm(trained, module, 16)
    with torch.inference_mode(): torch.testing.assert_close(out(x), trained(x))
    assert not torch.equal(module.conv.weight, trained.conv.weight), 'the body was changed'


def lively(arch):
    "A body some of whose channels are switched off, wholly or nearly."
    module = random_body(arch).module
    for m in norms(module): m.weight.data[:2], m.weight.data[2:4] = 0, 1e-6
    return module


@pytest.mark.parametrize('trained', [False, True])
@pytest.mark.parametrize('arch', ['efficientnet_lite0', 'resnet18', 'mobilenet_v2'])
def test_unfolding_takes_folding_back(arch, trained):
    module, g = lively(arch), torch.Generator().manual_seed(2)
    before, x = copy.deepcopy(module.state_dict()), torch.randn(4, 3, 64, 64, generator=g)
    folded = fold_batchnorm(module, 64)
    assert folded is not module and not norms(folded)
    if trained:
        with torch.no_grad():
            for p in folded.parameters(): p += .05*p.std().nan_to_num(0)*torch.randn(p.shape, generator=g)
    out = unfold_batchnorm(folded, module, 64)
    with torch.inference_mode(): a, b, old = folded(x), out(x), module(x)
    torch.testing.assert_close(b, a, rtol=1e-3, atol=1e-3*a.abs().max().item())
    assert trained == (not torch.allclose(a, old, rtol=1e-2, atol=1e-2*a.abs().max().item()))
    assert [*out.state_dict()] == [*before] and all(v.isfinite().all() for v in out.state_dict().values())
    assert all(torch.equal(v, before[k]) for k, v in module.state_dict().items()), 'the body was changed'


def test_unfolding_where_all_of_a_norm_is_switched_off():
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten()).eval()
    module[1].weight.data.zero_()
    module[1].bias.data.normal_()
    folded, x = fold_batchnorm(module, 16), torch.randn(2, 3, 16, 16)
    folded[0].weight.data += .1
    out = unfold_batchnorm(folded, module, 16)
    assert all(v.isfinite().all() for v in out.state_dict().values())
    with torch.inference_mode(): torch.testing.assert_close(out(x), folded(x), rtol=1e-4, atol=1e-4)


# ---- what can't work

@pytest.mark.parametrize('factor', [float('nan'), 1e9])
def test_weights_that_give_no_numbers(rows, cache, factor):
    body = load_body('cifar_net')
    body.module[-2].weight.data *= factor
    f = Features(body, 32)
    with pytest.raises(UserError, match='NaN or infinite; its weights are damaged') as e: f.of(rows)
    assert '\n' not in str(e.value)


def test_resolution(rows, tmp_path, cache):
    small, large, gone = rows.path.tolist(), [str(tmp_path/'large.jpg')], [str(tmp_path/'gone.jpg')]
    (tmp_path/'large.jpg').write_bytes(scene_bytes('fox', 0, side=300))
    lite, cifar = load_body('efficientnet_lite0'), load_body('cifar_net')
    vit = random_body('vit_tiny_patch16_224')
    assert [auto_resolution(paths, lite) for paths in (small, large, gone)] == [96, 224, 224]
    assert auto_resolution(small, cifar) == 32
    assert auto_resolution(small, vit) == 224, 'a body for one resolution only gets it'
    for body, res in ((cifar, 64), (vit, 96)):
        says = f'{body.weights.arch} takes no photos of {res} pixels; leave the resolution out'
        with pytest.raises(UserError, match=says) as e: Features(body, res)
        assert '\n' not in str(e.value)


def test_unknown_method():
    with pytest.raises(UserError, match="no method is 'stretch'; take crop or squish"):
        Features('cifar_net', 32, 'stretch')


def test_features_of_photos_that_changed_or_vanished(rows, tmp_path, cache):
    t, photo, f = rows.copy(), tmp_path/'x.jpg', Features('cifar_net', 32)
    photo.write_bytes(scene_bytes('fox', 500, side=64))
    t.loc[3, 'path'] = str(photo)
    with pytest.raises(UserError, match='1 photo changed .*x.jpg .other content'): f.of(t)
    photo.unlink()
    with pytest.raises(UserError, match='1 photo changed .*x.jpg .*missing') as e: f.of(t)
    assert '\n' not in str(e.value)


def test_a_photo_that_changes_between_two_calls_is_noticed(rows, tmp_path, cache):
    "What was returned before is kept in memory, and must not be returned for another photo."
    photo, f = tmp_path/'x.jpg', Features('cifar_net', 32)
    t = rows[:4].copy()
    photo.write_bytes(open(t.path[2], 'rb').read())
    t.loc[2, 'path'] = str(photo)
    f.of(t)
    photo.write_bytes(scene_bytes('fox', 500, side=64))
    with pytest.raises(UserError, match='x.jpg .other content'): f.of(t)


# ---- grey photos with more than 8 bits

def grey_folder(root, scale, kind=np.uint16, fmt='png'):
    "Class folders of the same grey photos, with values up to 255 times `scale`; and one in colours."
    for label, tone in dict(fine=1, rough=4).items():
        (root/label).mkdir(parents=True)
        for i in range(6):
            x = np.random.default_rng(100*tone + i).integers(0, 200, (48//tone, 48//tone))
            x = np.kron(x, np.ones((tone, tone))).astype(int)
            x[0, 0] = 255 if i == 0 else x[0, 0]
            Image.fromarray((x*scale).round().astype(kind)).save(root/label/f'{i}.{fmt}')
    (root/'fine/colours.jpg').write_bytes(scene_bytes('fox', 0, side=48))
    return root


def test_photos_of_12_bits_have_the_features_of_their_twins_of_8(tmp_path, cache):
    f = Features('cifar_net', 32)
    twins = read_photos(grey_folder(tmp_path/'8', 1, np.uint8), check=f)
    photos = read_photos(grey_folder(tmp_path/'12', 4095/255), check=f)
    assert (photos.span, twins.span, f.computed) == ('0,4095', '', 25), 'the colours are known from the first'
    assert 'in all of them 0 is shown black and 4095 white' in photos.notes[0] and not twins.notes
    name = lambda p: p.df.path.str[-12:].str.rsplit('/', n=2).str[-2:].str.join('/').str.split('.').str[0]
    at = lambda p: pd.Series([*f.of(p.df)], index=name(p)).sort_index()
    for a, b in zip(at(photos), at(twins)): np.testing.assert_array_equal(a, b)
    again, some = Features('cifar_net', 32), photos.df.sample(5, random_state=0)
    np.testing.assert_array_equal(again.of(some), f.of(some), 'a part of the set has the span of the whole')
    assert again.computed == 0


def test_another_span_gives_other_features(tmp_path, cache):
    a = read_photos(grey_folder(tmp_path/'a', 4095/255), check=(f := Features('cifar_net', 32)))
    Image.fromarray(np.full((48, 48), 60_000, np.uint16)).save(tmp_path/'a/fine/x.png')
    b = read_photos(tmp_path/'a', check=f)
    assert (b.span, f.computed) == ('0,65535', 13 + 13), 'only the photo in colours is known'
    assert '12 of them nearly black' in b.notes[0] and len({*a.df.sha256} & {*b.df.sha256}) == 1


def test_a_model_of_12_bits_answers_as_it_was_scored(tmp_path, cache):
    "Photo by photo: the dark ones too are read with the span of the set that the model learned from."
    from imgcls.deploy.model import Model
    from imgcls.studies.study import study
    st = study(grey_folder(tmp_path/'12', 4095/255), sizes=[3], recipe='frozen', arch='cifar_net',
               weights='random', epochs=2, res=32, seeds=1, out=tmp_path/'st', say=lambda _: None)
    model = Model.load(st.path, say=lambda _: None)
    assert model.transform['span'] == '0,4095'
    got = np.concatenate([model.probabilities(p).iloc[:, 1:].to_numpy() for p in st.photos.test.path])
    np.testing.assert_allclose(got, st.probs(st.runs.run[0])[-1], atol=1e-3)
    saved = Model.load(model.save(tmp_path/'m.safetensors'))
    np.testing.assert_array_equal(saved.probabilities(st.photos.test.path[:1].item()).iloc[:, 1:], got[:1])
