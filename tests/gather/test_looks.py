"""Copies of photos, found in any order: which one stays."""
import gc
import random
import time

import numpy as np
import pytest

from imgcls.core import UserError
from imgcls.data.decode import Reason
from imgcls.gather.looks import Seen


def crowd(rng, n, centres, flips):
    "Hashes around a few centres, some exactly the same."
    c = [rng.getrandbits(64) for _ in range(centres)]
    return [
        rng.choice(c) ^ sum(1 << k for k in {rng.randrange(64) for _ in range(rng.randint(0, flips))})
        for _ in range(n)
    ]


def outcome(photos, distance=4):
    seen, kept = Seen(distance), set()
    for p in photos:
        v = seen.add(*p)
        kept -= set(v.lost)
        if v.keep: kept.add(p[0])
        assert not set(v.lost) & kept
    final = {p[0]: seen.verdict(p[0]) for p in photos}
    assert kept == {k for k, v in final.items() if v.keep}, 'following the news gives the final state'
    return final


def test_the_order_does_not_matter():
    for seed in range(40):
        rng = random.Random(seed)
        photos = [
            (
                f'{i}',
                f'{h % 97:064x}',
                f'{h:016x}',
                rng.choice([100, 200, 300]),
                rng.choice('ab' if seed % 2 else 'a'),
                rng.random() < 0.1,
            )
            for i, h in enumerate(crowd(rng, 60, 12, 3))
        ]
        want = outcome(photos)
        for _ in range(4):
            rng.shuffle(photos)
            assert outcome(photos) == want
        for id, v in want.items():
            if v.reason in (Reason.SAME, Reason.NEAR): assert want[v.of].keep and v.of != id
        assert all(v.keep for id, v in want.items() if [p for p in photos if p[0] == id][0][5]), (
            'what was there stays'
        )
        assert len({v.reason for v in want.values()}) > 1


def test_the_largest_stays():
    seen = Seen()
    assert seen.add('s', '1'*64, 'f'*16, 100, 'fox').keep
    assert seen.add('l', '2'*64, 'f'*15 + 'e', 400, 'fox').lost == ('s',)
    v = seen.add('m', '3'*64, 'f'*15 + 'c', 200, 'fox')
    assert (v.keep, v.reason, v.of, v.lost) == (False, Reason.NEAR, 'l', ())
    assert (
        seen.add('again', '2' * 64, 'f' * 15 + 'e', 400, 'fox').reason in (Reason.SAME, None)
        and sum(seen.verdict(i).keep for i in ('s', 'l', 'm', 'again')) == 1
    )
    assert (
        seen.add('other', '4' * 64, '0' * 16, 1, 'fox').keep
        and len(seen) == 5
        and 'other' in seen
        and 'no' not in seen
    )


def test_two_classes_go_to_neither():
    seen = Seen()
    seen.add('a', '1'*64, 'f'*16, 100, 'fox')
    v = seen.add('b', '1'*64, 'f'*16, 100, 'deer')
    assert (v.keep, v.reason, v.labels, v.lost) == (False, Reason.TWO_LABELS, ('deer', 'fox'), ('a',))
    assert seen.verdict('a').reason is Reason.TWO_LABELS
    assert not seen.add('c', '2'*64, 'f'*16, 900, 'fox').keep, 'a third one does not settle it'


def test_a_chain_is_one_group():
    hashes = [0, 0b1111, 0b11111111]
    seen = Seen()
    seen.add('a', '1'*64, f'{hashes[0]:016x}', 300, 'fox')
    assert seen.add('c', '3'*64, f'{hashes[2]:016x}', 200, 'fox').keep
    v = seen.add('b', '2'*64, f'{hashes[1]:016x}', 100, 'fox')
    assert not v.keep and v.lost == ('c',) and v.of == 'a'


def test_only_the_same_content():
    seen = Seen(None)
    assert seen.add('a', '1'*64, 'f'*16, 1, 'fox').keep and seen.add('b', '2'*64, 'f'*16, 1, 'fox').keep
    assert seen.add('c', '1'*64, '0'*16, 1, 'fox').reason is Reason.SAME
    with pytest.raises(ValueError, match='before'): seen.add('c', '1'*64, '0'*16, 1, 'fox')
    for bad in -1, 32, '4', 2.5:
        with pytest.raises(UserError): Seen(bad)


def test_a_hundred_thousand_records_are_small():
    import tracemalloc
    h = np.random.default_rng(0).integers(0, 2**64, 5000, dtype=np.uint64).tolist()
    gc.collect()
    tracemalloc.start()
    seen = Seen()
    for i, x in enumerate(h): seen.add(i, f'{i:064x}', f'{x:016x}', 1, 'fox')
    per_record = tracemalloc.get_traced_memory()[0]/5000
    tracemalloc.stop()
    assert per_record < 1500 and len(seen) == 5000


def test_thirty_thousand_records_in_time():
    h = np.random.default_rng(0).integers(0, 2**64, 30_000, dtype=np.uint64)
    h[27_000:] = h[:3_000] ^ np.uint64(0b101)
    start, seen = time.perf_counter(), Seen()
    kept = sum(seen.add(i, f'{i:064x}', f'{x:016x}', 1, 'fox').keep for i, x in enumerate(h.tolist()))
    assert kept == 27_000 and time.perf_counter() - start < 20
