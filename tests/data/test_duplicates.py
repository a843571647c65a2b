"""Photos that are there twice: what is found, what is not, and how long it takes."""
import io
import random
import time

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from imgcls.data.decode import decode
from imgcls.data.duplicates import _alike, _detail, fingerprint, fingerprint_at, near, near_duplicates

hexed = lambda numbers: [f'{h:016x}' for h in numbers]


def test_blank_photos_neither_explode_nor_match(tmp_path):
    n = 400
    paths = [str(tmp_path/f'{i}.png') for i in range(n)]
    t = pd.DataFrame(dict(path=paths, sha256=[f'{i:064x}' for i in range(n)], dhash='0'*16))
    for i, p in enumerate(t.path): Image.new('RGB', (16, 16), (i % 200, 50 + i % 7 * 20, 255 - i//2)).save(p)
    start = time.perf_counter()
    assert len(near_duplicates(t)) < n
    assert time.perf_counter() - start < 20
    assert len(near(['0'*16]*5000, 4)[0]) <= 50_000


def test_same_table_and_light_but_other_object():
    # what differs is small and in the middle, as with two T-shirts on one table
    x = np.random.default_rng(0).integers(60, 200, (64, 64, 3), dtype=np.uint8)
    a = np.asarray(Image.fromarray(x).resize((32, 32), Image.Resampling.BOX))
    b = a.copy()
    b[8:24, 8:24] = np.random.default_rng(1).integers(60, 200, (16, 16, 3), dtype=np.uint8)
    a, b = ((x, _detail(x)) for x in (a, b))
    assert _alike([a, a], [a, b]).tolist() == [True, False]


def test_proposals_are_all_there():
    h = np.random.default_rng(0).integers(0, 2**64, 3000, dtype=np.uint64)
    h[2500:] = h[:500] ^ (np.uint64(1) << np.arange(500, dtype=np.uint64) % 64) ^ np.uint64(6)
    a, b = near(hexed(h), 4)
    want = [(i, j) for i in range(600) for j in range(2400, 3000) if bin(int(h[i] ^ h[j])).count('1') <= 4]
    assert set(want) <= set(zip(a.tolist(), b.tolist())) and len(want) == 500
    assert all(bin(int(h[i] ^ h[j])).count('1') <= 4 for i, j in zip(a, b))


def test_partners_are_limited_for_each_photo():
    a, b = near(['0'*16]*30, most=3)
    assert pd.Series(a).value_counts().max() == 3 and (a < b).all() and b[a == 0].tolist() == [1, 2, 3]


def test_fingerprints_do_not_depend_on_the_side(pics):
    for n in range(5):
        data = pics.encode(pics.picture(n, (700, 500)))
        assert len({fingerprint_at(data, decode(data, side), side) for side in (None, 32, 40, 100, 224)}) == 1


def test_fingerprints_of_a_copy_and_of_another_photo(pics):
    one, other = pics.picture(1, (400, 300)), pics.picture(2, (400, 300))
    small = io.BytesIO()
    one.resize((200, 150)).save(small, 'JPEG', quality=60)
    apart = lambda a, b: (int(fingerprint(a), 16) ^ int(fingerprint(b), 16)).bit_count()
    assert apart(one, decode(small.getvalue())) <= 4 < 12 < apart(one, other)


def test_a_photo_that_vanished_is_in_no_pair(tmp_path, pics):
    for n in 'ab': (tmp_path/f'{n}.png').write_bytes(pics.encode(pics.picture(1), 'PNG'))
    t = pd.DataFrame(dict(path=[str(tmp_path/f'{n}.png') for n in 'ab'], sha256=['1', '2'], dhash='0'*16))
    assert near_duplicates(t).kind.tolist() == ['near']
    (tmp_path/'b.png').unlink()
    assert not len(near_duplicates(t))


def brute(hashes, distance, most):
    a, b = [], []
    for i, h in enumerate(hashes):
        close = [j for j in range(i+1, len(hashes)) if (h ^ hashes[j]).bit_count() <= distance][:most]
        a += [i]*len(close)
        b += close
    return a, b


def crowd(rng, n, centres, flips):
    "Hashes around a few centres, some exactly the same."
    middle = [rng.getrandbits(64) for _ in range(centres)]
    bits = lambda: {rng.randrange(64) for _ in range(rng.randint(0, flips))}
    return [rng.choice(middle) ^ sum(1 << k for k in bits()) for _ in range(n)]


@pytest.mark.parametrize('distance', [0, 1, 3, 4, 8, 15, 31])
@pytest.mark.parametrize('most', [1, 10, None])
def test_near_finds_what_brute_force_finds(distance, most):
    rng = random.Random(distance)
    for n, centres in ((0, 1), (1, 1), (2, 1), (120, 3), (120, 40), (60, 1)):
        hashes = crowd(rng, n, centres, 6)
        a, b = near(hexed(hashes), distance, most)
        assert (a.tolist(), b.tolist()) == brute(hashes, distance, most)
