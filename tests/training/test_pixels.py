"""Photos as squares: the same as decoding gives, decoded once, and again where there is no room for them."""
import errno
import gc
import hashlib
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from imgcls import machines
from imgcls.core import UserError
from imgcls.data.decode import decode
from imgcls.data.synth import draw
from imgcls.training import pixels as room
from imgcls.training.pixels import Pixels, Store, empty, to_pixels


def table(paths):
    "Rows of photos as they were when they were read; one that is missing or damaged had another content."
    def sha(p):
        data = p.read_bytes() if p.exists() else b''
        return hashlib.sha256(data if len(data) > 20 else b'a photo').hexdigest()
    return pd.DataFrame(dict(path=[*map(str, paths)], sha256=[*map(sha, paths)]))


# ---- memory

def test_a_large_tensor_lies_in_a_file_without_a_name(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, 'tempdir', str(tmp_path))
    made, real = [], torch.from_file
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

@pytest.fixture
def odd_photos(tmp_path):
    "Paths of photos of several sizes and kinds; the third is turned by its EXIF data."
    img, turned = draw('fox', 1, side=96), Image.Exif()
    turned[0x0112] = 6
    img.save(tmp_path/'a.jpg')
    img.resize((80, 50)).save(tmp_path/'b.png')
    img.crop((0, 0, 90, 60)).save(tmp_path/'c turned.jpg', exif=turned)
    img.convert('L').save(tmp_path/'d grey.png')
    img.convert('L').resize((50, 70)).save(tmp_path/'e grey.jpg')
    img.convert('RGBA').save(tmp_path/'f clear.png')
    return table(sorted(tmp_path.iterdir()))


@pytest.mark.parametrize('method', ['crop', 'squish'])
@pytest.mark.parametrize('resample', ['bicubic', 'bilinear'])
def test_pixels_are_those_of_the_decoded_photo(odd_photos, method, resample):
    got = Pixels(48, method, resample).of(odd_photos)
    assert got.shape == (6, 3, 48, 48) and got[:].dtype == torch.uint8
    for g, p in zip(got[:], odd_photos.path):
        assert torch.equal(g, to_pixels([decode(Path(p).read_bytes(), 48)], 48, method, resample)[0]), p


def test_pixels_are_cut_and_turned_as_wanted(odd_photos):
    crop, squish = (Pixels(48, m).of(odd_photos)[:].float() for m in ('crop', 'squish'))
    assert (crop[2]-squish[2]).abs().mean() > 1, 'the method is not heeded'
    upright = Image.open(odd_photos.path[2]).transpose(Image.Transpose.ROTATE_270).crop((0, 15, 60, 75))
    want = np.asarray(upright.resize((48, 48), Image.Resampling.BICUBIC).convert('RGB'))
    assert np.abs(crop[2].permute(1, 2, 0).numpy()-want).mean() < 6, 'not upright'


@pytest.mark.parametrize('content', [None, b'', b'no photo'])
def test_a_photo_that_vanished_is_named(tmp_path, content):
    draw('fox', 1, side=32).save(tmp_path/'good.png')
    if content is not None: (tmp_path/'lost.png').write_bytes(content)
    rows = table([tmp_path/f for f in ('good.png', 'lost.png')])
    why = 'lost.png could be read before' if content is None else 'lost.png changed since it was read'
    with pytest.raises(UserError, match=f'{why}.*read the photos again') as e: Pixels(32).of(rows)
    assert '\n' not in str(e.value)


@pytest.mark.skipif(sys.platform != 'linux', reason='processes decode on Linux alone')
@pytest.mark.parametrize('keep', [4e9, 1e3], ids=['kept', 'decoded again'])
@pytest.mark.parametrize('method', ['crop', 'squish'])
def test_pixels_are_the_same_whoever_decodes(odd_photos, monkeypatch, method, keep):
    monkeypatch.setattr(room, 'KEEP', keep)
    rows, got = odd_photos.sample(40, replace=True, random_state=0), []
    for n in 0, 2:
        monkeypatch.setattr(machines, '_processes', lambda photos, n=n: n)
        got.append(Pixels(48, method).of(rows)[:])
    assert torch.equal(*got) and len(got[0]) == 40
    Path(rows.path.iloc[3]).write_bytes(b'')
    with pytest.raises(UserError, match='changed since it was read; read the photos again'):
        Pixels(48, method).of(rows)


@pytest.mark.parametrize('together', [1, 5_000, 1_000_000], ids='{} bytes together'.format)
def test_photos_of_all_shapes_keep_their_places(tmp_path, monkeypatch, together):
    monkeypatch.setattr(room, '_TOGETHER', together)
    sides = [(32, 32)]*18 + [(40, 30), (32, 32), (300, 200)] + [(24, 36)]*18
    for i, (w, h) in enumerate(sides):
        draw(('fox', 'deer')[i % 2], i, side=300).resize((w, h)).save(tmp_path/f'{i:02}.png')
    rows, bar = table(sorted(tmp_path.iterdir())), []
    monkeypatch.setattr(room, 'progress', lambda items, total, label: bar.append(total) or items)
    got = Pixels(24, 'squish').of(rows)[:]
    for x, path in zip(got, rows.path, strict=True):
        assert torch.equal(x, to_pixels([decode(Path(path).read_bytes(), 24)], 24, 'squish')[0]), path
    assert bar == [39]


# ---- decoded once

@pytest.fixture
def decoded(monkeypatch):
    "How many photos were decoded, as a list."
    seen = []
    monkeypatch.setattr(room, 'decode', lambda data, *a: seen.append(len(data)) or decode(data, *a))
    return seen


def test_each_photo_is_decoded_once(odd_photos, decoded):
    pixels = Pixels(48)
    a = pixels.of(odd_photos[:4])
    assert len(decoded) == 4
    b = pixels.of(odd_photos[2:])
    assert len(decoded) == 6
    twice = pixels.of(pd.concat([odd_photos, odd_photos[::-1]]))
    assert len(decoded) == 6 and len(twice) == 12 and twice.shape == (12, 3, 48, 48)
    assert torch.equal(a[:][2:], b[:][:2]) and torch.equal(twice[:6], twice[6:].flip(0))
    assert torch.equal(twice[torch.tensor([7, 0])], torch.stack([twice[:][7], twice[:][0]]))


def test_pixels_that_were_seen_elsewhere_are_used(odd_photos, decoded):
    pixels, marked = Pixels(48), torch.full((1, 3, 48, 48), 7, dtype=torch.uint8)
    pixels.add([odd_photos.sha256[1]], marked)
    assert torch.equal(pixels.of(odd_photos)[1:2], marked) and len(decoded) == 5


def test_a_store_has_a_limit(odd_photos, decoded, monkeypatch):
    want = Pixels(48).of(odd_photos)[:]
    monkeypatch.setattr(room, 'KEEP', 4*3*48*48)
    pixels = Pixels(48)
    few = pixels.of(odd_photos[:3])
    assert torch.equal(few[:], want[:3]) and len(decoded) == 9
    assert torch.equal(pixels.of(odd_photos)[:], want) and len(decoded) == 15
    assert torch.equal(pixels.of(odd_photos[1:3])[:], want[1:3]) and len(decoded) == 15


def test_a_store_takes_a_quarter_of_the_free_disk(monkeypatch):
    monkeypatch.setattr(room.shutil, 'disk_usage', lambda path: SimpleNamespace(free=4*3*48*48*5))
    assert Pixels(48).most == 5


@pytest.mark.parametrize('how', ['an error', 'half a row'])
def test_a_full_disk_means_decoding_again(odd_photos, decoded, monkeypatch, how):
    want, real = Pixels(48).of(odd_photos)[:], tempfile.TemporaryFile

    def full(**kw):
        file, room_left = real(**kw), [3]

        class Full:
            def __getattr__(self, name): return getattr(file, name)

            def write(self, data):
                room_left[0] -= 1
                if room_left[0] >= 0: return file.write(data)
                if how == 'an error': raise OSError(errno.ENOSPC, 'No space left on device')
                return file.write(data[:1])
        return Full()
    monkeypatch.setattr(tempfile, 'TemporaryFile', full)
    pixels = Pixels(48)
    assert torch.equal(pixels.of(odd_photos)[:], want) and len(pixels.at) == 3
    assert torch.equal(pixels.of(odd_photos[::-1])[:], want.flip(0))


def test_nothing_stays_behind(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, 'tempdir', str(tmp_path))
    store = Store((4,), torch.float32)
    store.add(['a'], torch.ones(1, 4))
    assert torch.equal(store[['a']], torch.ones(1, 4))
    with pytest.raises(KeyError): store[['b']]
    del store
    gc.collect()
    assert not [*tmp_path.iterdir()]


def test_deep_photos_keep_the_span_of_their_set(tmp_path):
    grey = Image.fromarray(np.linspace(0, 4000, 64*64, dtype=np.uint16).reshape(64, 64))
    grey.save(tmp_path/'deep.png')
    data = (tmp_path/'deep.png').read_bytes()
    sha, span = hashlib.sha256(data+b'0,65535').hexdigest(), '0,65535'
    rows = pd.DataFrame(dict(path=[str(tmp_path/'deep.png')], sha256=[sha], span=[span]))
    assert Pixels(32).of(rows)[:].max() < 20 and to_pixels([decode(data, 32)], 32).max() > 200
