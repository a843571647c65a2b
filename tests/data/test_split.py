"""Test set, groups, nested training sizes, balance: functions of content and seed alone."""
import hashlib

import numpy as np
import pandas as pd
import pytest

from imgcls.core import UserError
from imgcls.data.split import (
    available_sizes,
    check_burst,
    check_share,
    choose_test,
    class_weights,
    join_groups,
    take,
    training_order,
)


def fake(n=60, labels=('a', 'b', 'c'), seed=0):
    sha = [hashlib.sha256(f'{seed}{i}'.encode()).hexdigest() for i in range(n)]
    label = [labels[i % len(labels)] for i in range(n)]
    t = pd.DataFrame(dict(path=[f'/{seed}/{i}' for i in range(n)], label=label, sha256=sha))
    return t.assign(split='', sizes='', group='')


NO_PAIRS = pd.DataFrame(columns=['a', 'b', 'kind'])


def split(t, pairs=NO_PAIRS, test=.2, seed=0):
    t = t.assign(group=join_groups(t, pairs))
    t['split'] = np.where(choose_test(t, test, seed), 'test', 'train')
    return t.assign(order=training_order(t))


# ---- groups

def test_groups_are_joined_over_content_pairs_and_names():
    t = fake(8)
    t.loc[1, 'sha256'] = t.sha256[0]             # 0 and 1: the same content
    t.loc[[2, 3], 'group'] = 'trap'              # 2 and 3: one camera
    # 1 and 2, 5 and 6 look alike
    pairs = pd.DataFrame(dict(a=['/0/1', '/0/5', 'gone'], b=['/0/2', '/0/6', '/0/7']))
    g = join_groups(t, pairs)
    assert g[:4].nunique() == 1 and g[5] == g[6] and g.nunique() == 4
    assert g[0] == min(t.sha256[:4])[:16] and g[7] == t.sha256[7][:16], 'named by the smallest sha256'
    moved = t.sample(frac=1, random_state=0)
    assert join_groups(moved, pairs).sort_index().tolist() == g.tolist()


def test_groups_do_not_follow_from_the_index():
    t = fake(6)
    t.index = [10, 20, 30, 40, 50, 60]
    g = join_groups(t, pd.DataFrame(dict(a=['/0/0'], b=['/0/5'])))
    assert g[10] == g[60] and g.nunique() == 5


def test_many_photos_of_one_group_cannot_be_parted(pics):
    t = fake(8, 'ab').assign(group=['fox', 'deer']*4)
    with pytest.raises(UserError, match="can't be parted") as e: choose_test(t)
    pics.one_line(e)


def test_large_groups_still_leave_test_photos():
    t = fake(18, 'ab')
    t['group'] = [f'{c}{i//6}' for i, c in enumerate(t.label)]
    assert t[choose_test(t, test=.1)].label.value_counts().to_dict() == {'a': 3, 'b': 3}


def test_groups_of_mixed_sizes_reach_the_share_and_large_ones_are_tested_too():
    rng = np.random.default_rng(0)
    shares, large = [], []
    for seed in range(60):
        sizes = rng.choice([1, 2, 5, 12, 25], 80, p=[.4, .25, .2, .1, .05])
        group = np.repeat([f'g{i}' for i in range(80)], sizes)
        t = fake(int(sizes.sum()), 'a', seed=seed).assign(group=group)
        chosen = choose_test(t, .2, seed)
        shares.append(chosen.mean())
        large.append(chosen[np.repeat(sizes, sizes) == 25].mean() if (sizes == 25).any() else np.nan)
        assert t.assign(chosen=chosen).groupby('group').chosen.nunique().max() == 1
    assert .19 < np.mean(shares) < .215 and .14 < np.nanmean(large) < .26


# ---- the test set

@pytest.mark.parametrize('wrong', ['x', '0.2', None, True, 0, 1, float('nan'), [.2]])
def test_what_is_no_share(wrong):
    with pytest.raises(UserError, match='the share of test photos is .*between 0 and 1'): check_share(wrong)


@pytest.mark.parametrize('wrong', ['x', '60', True, -1, float('nan'), [60]])
def test_what_is_no_number_of_seconds(wrong):
    with pytest.raises(UserError, match='burst is .*a number of seconds'): check_burst(wrong)


@pytest.mark.parametrize('share', [0, 1, -.1, 2])
def test_share_of_test_photos(share):
    with pytest.raises(UserError, match='between 0 and 1'): choose_test(fake(), test=share)


def test_a_class_with_one_photo():
    t = fake(3, 'ab').assign(group=['1', '2', '3'])
    with pytest.raises(UserError, match="class 'b' has 1 photo; it needs at least 2"): choose_test(t)


def test_split_is_a_function_of_content_and_seed():
    t = fake()
    a = split(t)
    renamed = split(t.assign(path='/x' + t.path).sample(frac=1, random_state=1)).sort_index()
    assert a.split.tolist() == renamed.split.tolist() and a.order.tolist() == renamed.order.tolist()
    assert a.split.tolist() != split(t, seed=1).split.tolist()
    more = split(pd.concat([t, fake(30, seed=9).assign(label='d')], ignore_index=True))
    assert more.split[:60].tolist() == a.split.tolist(), 'a new class must not move the others'


def test_a_split_of_old_stays():
    # made by version 0.1: studies that were made then must find the same test photos
    t = split(fake(30))
    assert [i for i, s in enumerate(t.split) if s == 'test'] == [4, 5, 6, 13, 17, 24]
    assert t.order[:12].tolist() == [7, 3, 3, 6, -1, -1, -1, 5, 0, 3, 1, 2]


# ---- sizes

def test_takes_are_nested_and_the_test_set_stays():
    t = split(fake(300))
    tests = set(t.index[t.split == 'test'])
    for seed in range(3):
        last = set()
        for size in (10, 20, 50, 'all'):
            rows = take(t, size, seed)
            assert last < set(rows.index) and not set(rows.index) & tests
            assert size == 'all' or set(rows.label.value_counts()) == {size}
            last = set(rows.index)
    assert set(take(t, 10, 0).index) != set(take(t, 10, 1).index)
    assert available_sizes(t) == [10, 20, 50, 'all'] and take(t, '20').equals(take(t, 20))


def test_takes_do_not_depend_on_the_order_of_rows():
    t = split(fake(90))
    mixed = t.sample(frac=1, random_state=3)
    for seed in (0, 1):
        assert set(take(t, 10, seed).sha256) == set(take(mixed, 10, seed).sha256)


def test_too_few_for_a_size(pics):
    t = split(fake(60, 'ab').drop(range(0, 40, 2)))  # 10 of a, 30 of b
    assert available_sizes(t) == ['all']
    message = "class 'a' has 10 photos, size 10 needs 10 for training after 2 were set aside.*use-all"
    with pytest.raises(UserError, match=message) as e: take(t, 10)
    pics.one_line(e)
    assert take(t, 10, short='use-all').label.value_counts().to_dict() == {'a': 8, 'b': 10}
    with pytest.raises(UserError, match=r'\(1 more class too\)'): take(t, 100)
    for bad in (0, -1, 'many', '1.5'):
        with pytest.raises(UserError, match='number of photos a class'): take(t, bad)
    with pytest.raises(UserError, match='take error or use-all'): take(t, 5, short='maybe')


def test_balance_and_weights():
    t = split(fake(90).iloc[:80].drop(range(0, 60, 3)))
    n = take(t).label.value_counts()
    assert n.min() < n.max()
    assert set(take(t, balance='under').label.value_counts()) == {n.min()}
    over = take(t, balance='over')
    assert set(over.label.value_counts()) == {n.max()} and set(over.index) == set(take(t).index)
    w = class_weights(take(t))
    assert np.allclose(w*n[w.index], (w*n[w.index]).iloc[0]) and np.isclose((w*n[w.index]).sum(), n.sum())
    with pytest.raises(UserError, match='none, over or under'): take(t, 5, balance='both')
