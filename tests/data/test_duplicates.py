"""Photos that are there twice: what is found, what is not, and how long it takes."""
import io
import time

import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageEnhance, ImageOps
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from imgcls.data import duplicates
from imgcls.data.decode import decode
from imgcls.data.duplicates import near_duplicates
from imgcls.data.looks import ALIKE, cuts, dots, look, look_at, waves


def scene(n, size=(224, 168)):
    "A picture with large and small shapes of its own for each number."
    rng = np.random.default_rng(n)
    layers = [rng.normal(0, 60, (k, k, 3)) for k in (3, 6, 12, 24)]
    big = [np.asarray([Image.fromarray(x[..., c].astype(np.float32)).resize(size, Image.Resampling.BICUBIC)
                       for c in range(3)]) for x in layers]
    x = 128 + sum(b/(1 + i/2) for i, b in enumerate(big))
    return Image.fromarray(np.moveaxis(x, 0, -1).clip(0, 255).astype(np.uint8))


def table(imgs):
    names = [f'{i:04}' for i in range(len(imgs))]
    return pd.DataFrame(dict(path=names, sha256=names, look=[look(im) for im in imgs]))


def found(*imgs): return near_duplicates(table(imgs))[['a', 'b']].astype(int).values.tolist()


def cut(im, left, top, right, bottom):
    w, h = im.size
    return im.crop((int(w*left), int(h*top), int(w*(1-right)), int(h*(1-bottom))))


def encode(im, fmt, **how):
    out = io.BytesIO()
    im.save(out, fmt, **how)
    return out.getvalue()


ALTERED = dict(
    small=lambda im: im.resize((112, 84), Image.Resampling.LANCZOS),
    poor=lambda im: decode(encode(im, 'JPEG', quality=20)),
    grey=lambda im: im.convert('L').convert('RGB'),
    lighter=lambda im: ImageEnhance.Brightness(im).enhance(1.2),
    darker=lambda im: ImageEnhance.Brightness(im).enhance(.6),
    mirrored=ImageOps.mirror, flipped=ImageOps.flip,
    turned=lambda im: im.transpose(Image.Transpose.ROTATE_90), upside_down=lambda im: im.rotate(180),
    diagonal=lambda im: im.transpose(Image.Transpose.TRANSVERSE),
    cut_2=lambda im: cut(im, .02, .02, .02, .02),
    cut_5=lambda im: cut(im, .05, .05, .05, .05), frame=lambda im: ImageOps.expand(im, 11, 'white'),
    dark_frame=lambda im: ImageOps.expand(im, 14, 'black'), leaning=lambda im: im.rotate(2))


@pytest.mark.parametrize('how', ALTERED)
def test_copies_are_found_and_nothing_else_is(how):
    imgs = [scene(n) for n in range(20)]
    pairs = found(*imgs, *map(ALTERED[how], imgs))
    assert all(b == a+20 for a, b in pairs) and len(pairs) >= 18


def test_same_table_and_light_but_other_object():
    # what differs is in the middle, as with two T-shirts on one table
    imgs = [scene(0), scene(0)]
    imgs[1].paste(scene(1).crop((60, 40, 160, 130)), (60, 40))
    assert found(*imgs) == []


def test_blank_photos_neither_explode_nor_match():
    blank = [Image.new('RGB', (40, 40), (i % 200, 50 + i % 7*20, 255 - i//2)) for i in range(400)]
    assert found(*blank) == []


def test_a_thousand_equal_photos_are_one_group_soon():
    t = table([scene(1)])
    many = pd.concat([t]*1000, ignore_index=True)
    many['path'] = many['sha256'] = [f'{i:04}' for i in range(1000)]
    start = time.perf_counter()
    pairs = near_duplicates(many)
    assert time.perf_counter() - start < 30
    assert len(pairs) <= 10_000 and {*pairs.a, *pairs.b} == {*many.path}


def test_the_same_file_is_the_same_and_no_photos_are_no_pairs():
    t = table([scene(1), scene(2), scene(1)])
    t['sha256'] = ['x', 'y', 'x']
    assert near_duplicates(t).values.tolist() == [['0000', '0002', 'same']]
    assert len(near_duplicates(t[:0])) == 0 and len(near_duplicates(t[:1])) == 0


def test_the_order_of_photos_changes_no_pair():
    imgs = [scene(0), scene(1), ImageOps.mirror(scene(0)), cut(scene(1), .05, .05, .05, .05), scene(2)]
    t = table(imgs)
    pairs = {frozenset(p) for p in near_duplicates(t)[['a', 'b']].values.tolist()}
    back = {frozenset(p) for p in near_duplicates(t[::-1])[['a', 'b']].values.tolist()}
    assert pairs == back == {frozenset(p) for p in (('0000', '0002'), ('0001', '0003'))}


def test_looks_do_not_depend_on_the_side(pics):
    for n in range(5):
        data = pics.encode(pics.picture(n, (700, 500)))
        assert len({look_at(data, decode(data, side), side) for side in (None, 32, 40, 100, 224)}) == 1


def test_a_png_of_a_jpeg_is_found(pics):
    jpegs = [pics.encode(scene(n, (700, 500)), quality=90) for n in range(20)]
    pngs = [pics.encode(decode(data), 'PNG') for data in jpegs]
    pairs = near_duplicates(pd.DataFrame([
        dict(path=f'{i:04}', sha256=str(i), look=look_at(data, decode(data, 224), 224))
        for i, data in enumerate(jpegs + pngs)]))
    assert pairs[['a', 'b']].astype(int).values.tolist() == [[n, n+20] for n in range(20)]


def in_full(looks):
    "The pairs that are found when each photo is compared with each other one, in all ways."
    x, found = dots(looks), []
    target = waves(x)
    for cut, which, kinds in cuts(x):
        for turned, own in enumerate((kinds, duplicates._turned(kinds))):
            flips = np.einsum('ikd,jkd->ijk', own, target) @ duplicates._FLIPS.T
            i, j = np.nonzero(flips.max(2) >= duplicates._PROPOSED)
            found.append(pd.DataFrame(dict(i=which[i], j=j, likeness=flips.max(2)[i, j].round(2), cut=cut,
                                           flip=flips.argmax(2)[i, j], turned=turned)))
    pairs = pd.concat(found, ignore_index=True)
    pairs = pairs[pairs.i != pairs.j]
    pairs = pairs.assign(lo=pairs[['i', 'j']].min(axis=1), hi=pairs[['i', 'j']].max(axis=1))
    pairs = pairs.sort_values(['likeness', 'i'], ascending=[False, True]).drop_duplicates(['lo', 'hi'])
    pairs = pairs[duplicates._agreement(looks, pairs) >= ALIKE]
    return {*zip(pairs.lo, pairs.hi)}


@pytest.mark.parametrize('large', [False, True])
def test_what_a_comparison_in_full_finds_is_found(monkeypatch, large):
    if large: monkeypatch.setattr(duplicates, '_LARGE', 0)  # as among a million photos
    ways = [*ALTERED.values()]
    imgs = [scene(n, (96, 72)) for n in range(300)]
    imgs += [ways[n % len(ways)](im) for n, im in enumerate(imgs)]
    t = table(imgs)
    want = in_full(t.look.to_numpy())
    got = {*near_duplicates(t)[['a', 'b']].astype(int).itertuples(index=False, name=None)}
    assert len(want) > 250 and got == want


def test_a_crowd_is_one_group_soon():
    "A thousand frames of one scene, each with noise of its own, and a mirrored one."
    rng, dots = np.random.default_rng(0), np.frombuffer(look(scene(3)), np.uint8)
    frames = [(dots + rng.normal(0, 2, 1024)).round().clip(0, 255).astype(np.uint8) for _ in range(1000)]
    frames[77] = frames[77].reshape(32, 32)[:, ::-1].copy()
    t = pd.DataFrame(dict(look=[f.tobytes() for f in frames]))
    t['path'] = t['sha256'] = [f'{i:04}' for i in range(len(t))]
    start = time.process_time()
    pairs = near_duplicates(t)
    assert time.process_time() - start < 30
    graph = coo_array((np.ones(len(pairs)), (pairs.a.astype(int), pairs.b.astype(int))), shape=(1000, 1000))
    assert connected_components(graph, directed=False)[0] == 1


def test_equal_looks_are_partners_of_the_same_photos():
    t = table([scene(0), scene(0), ImageOps.mirror(scene(0)), scene(1), Image.new('RGB', (40, 40))])
    t = pd.concat([t, t.tail(1)], ignore_index=True)
    t['path'] = t['sha256'] = [f'{i:04}' for i in range(len(t))]
    assert near_duplicates(t)[['a', 'b']].astype(int).values.tolist() == [[0, 1], [0, 2], [1, 2]]
