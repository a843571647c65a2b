"""Candidates for cleaning: wrong labels, photos that vanish, whose body looks, what cleaning bought."""
import shutil
from dataclasses import replace
from errno import ENOSPC
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from safetensors.torch import save_file

from imgcls.cleaning import issues as room
from imgcls.cleaning.issues import (
    deep_body,
    find_issues,
    judge_labels,
    look,
    nearest_to_centres,
    out_of_fold,
    typical_photos,
)
from imgcls.cleaning.journal import Journal, apply_decisions
from imgcls.core import UserError
from imgcls.data.synth import synth_folder
from imgcls.data.table import read_photos
from imgcls.studies.report import text_report
from imgcls.studies.study import Study, study
from imgcls.studies.tables import cleaning, what_it_bought
from imgcls.training.models import find_weights, load_body

ARCH, TINY = 'efficientnet_lite0', 'test_efficientnet'


def silent(_): pass


HOW = dict(sizes=[10, 'all'], recipe='frozen', arch=ARCH, res=64, seeds=1, say=silent)


# ---- judging labels

def clouds(n=200, k=4, wrong=.05, seed=0):
    "Features of k classes, some with another label; in two views."
    rng = np.random.default_rng(seed)
    true = np.arange(n*k) % k
    X = np.concatenate([np.eye(k, 32)[true]*4+rng.normal(size=(n*k, 32)) for _ in range(2)], 1)
    bad = rng.random(n*k) < wrong
    return X, np.where(bad, (true+1) % k, true), bad, np.arange(n*k).astype(str)


def test_wrong_labels_are_found():
    X, y, bad, groups = clouds()
    wrong, score, P = judge_labels(X, y, groups)
    assert (wrong & bad).sum() >= .8*bad.sum() and (wrong & bad).sum() >= .9*wrong.sum()
    assert score[bad].mean() > .6 > .4 > score[~bad].mean() and np.allclose(P.sum(1), 1)


def test_nothing_is_suspected_where_all_is_right():
    X, y, _, groups = clouds(wrong=0)
    assert judge_labels(X, y, groups)[0].mean() <= .005


def test_labels_of_test_photos_say_nothing_of_training_photos():
    "Else those training photos go that contradict the test photos, and a cleaned study seems too good."
    X, y, _, groups = clouds()
    test = np.arange(len(y)) % 5 == 0
    wrong, score, P = judge_labels(X, y, groups, test)
    others = judge_labels(X, np.where(test, (y+1) % 4, y), groups, test)
    for mine, other in zip((wrong, score, P), others): assert (mine[~test] == other[~test]).all()
    assert not (score[test] == others[1][test]).any()


def test_wrong_labels_of_test_photos_are_found():
    X, y, bad, groups = clouds()
    test = np.arange(len(y)) % 5 == 0
    wrong = judge_labels(X, y, groups, test)[0]
    found = (wrong & bad)[test].sum()
    assert found >= .8*bad[test].sum() and found >= .8*wrong[test].sum()


def test_copies_do_not_vouch_for_each_other():
    "Thirty copies of a photo under a wrong label."
    X, y, _, groups = clouds(50, 2, 0)
    X = np.concatenate([np.repeat(X[:1], 30, 0), X])
    y = np.concatenate([np.full(30, 1-y[0]), y])
    def doubt(copies): return out_of_fold(X, y, np.concatenate([copies, groups]))[0, y[0]]
    assert doubt(['copy']*30) < .5 < doubt([f'c{i}' for i in range(30)])


def test_a_class_of_two_photos():
    X, y, _, groups = clouds(30, 2, 0)
    y = np.concatenate([y, [2, 2]])
    P = out_of_fold(np.concatenate([X, X[:2]+9]), y, np.arange(len(y)).astype(str))
    assert P.shape == (62, 3) and np.allclose(P.sum(1), 1)


def test_typical_photos_lie_at_the_centre_and_are_not_doubtful():
    X, y, bad, _ = clouds()
    X, names = X[:, :32]+1, np.array(list('abcd'))[y]
    found = nearest_to_centres(X, names, bad, 3)
    assert [*found] == [*'abcd'] and {len(rows) for rows in found.values()} == {3}
    for label, rows in found.items():
        own = X[names == label]/np.linalg.norm(X[names == label], axis=1, keepdims=True)
        near = X/np.linalg.norm(X, axis=1, keepdims=True) @ own.mean(0)
        trusted = (names == label) & ~bad
        assert near[rows].tolist() == sorted(near[trusted])[:-4:-1]
    alone = nearest_to_centres(X, names, names == 'a', 3)  # no other photo of this class is there
    assert set(names[alone['a']]) == {'a'} and len(alone['a']) == 3
    assert len(nearest_to_centres(X[:1], names[:1], bad[:1], 3)) == 1


def test_every_body_can_look_deeper():
    for arch in ('resnet18', 'cifar_net'):
        body = load_body(find_weights(arch, 'random'))
        deep = deep_body(body)
        assert deep.n_features >= 2*body.n_features and deep.sha != body.sha


@pytest.mark.parametrize('mode', ['RGB', 'L', 'RGBA', 'P', '1', 'CMYK'])
def test_looks_of_any_kind_of_picture(mode):
    for size in ((1, 1), (3, 500), (64, 64)):
        assert all(0 <= v <= 1 for v in look(Image.new('RGB', size, (200, 10, 10)).convert(mode)))


# ---- of studies and photos

@pytest.fixture(scope='module')
def small(tmp_path_factory):
    "A study of drawings, some with a wrong label."
    tmp = tmp_path_factory.mktemp('clean')
    return study(synth_folder(tmp/'photos', per_class=30, wrong=.1), out=tmp/'before', **HOW)


def test_of_a_study_and_its_folder(small):
    a, b = (find_issues(s, reasons=('label', 'dark')) for s in (small, str(small.path)))
    assert a.equals(b) and set(a.split) <= {'train', 'test'} and a.score.between(0, 1).all() and a.attrs == {}
    labels = a[a.reason == 'label']
    assert len(labels) and (labels.suggestion != labels.label).all() and labels.score.is_monotonic_decreasing


def test_what_is_known_is_not_judged_or_looked_at_again(small, own_cache, monkeypatch):
    "Until a label changes; what is damaged in the cache is made again."
    first = find_issues(small)
    def fail(*a, **kw): raise AssertionError('again')
    with monkeypatch.context() as m:
        m.setattr(room, 'judge_labels', fail)
        m.setattr(room, 'look', fail)
        pd.testing.assert_frame_equal(find_issues(small), first)
        df = small.photos.df
        other = replace(small.photos, df=df.assign(label=df.label.where(df.index > 0, small.classes[-1])))
        with pytest.raises(AssertionError, match='again'): find_issues(other, ARCH, 64)
    for kind in ('judgements', 'looks'):
        for file in (own_cache/kind).iterdir(): file.write_bytes(b'half')
    def full(found): raise OSError(ENOSPC, 'No space left on device')
    with monkeypatch.context() as m:
        m.setattr(room, 'save', full)
        pd.testing.assert_frame_equal(find_issues(small), first)
    pd.testing.assert_frame_equal(find_issues(small), first)


def test_typical_photos_of_a_study(small, monkeypatch, tmp_path):
    "From what a study or `find_issues` has kept; none where nothing is kept."
    train = small.photos.train()
    found = typical_photos(small, set())
    assert [*found] == small.classes
    for label, photos in found.items():
        assert {*photos} <= set(zip(train.path[train.label == label], train.sha256)) and len({*photos}) == 4
    first = found[small.classes[0]][0]
    assert first not in typical_photos(small, {first[1]})[small.classes[0]]
    monkeypatch.setenv('IMGCLS_CACHE', str(tmp_path))
    assert typical_photos(small, set()) == {}
    find_issues(small, reasons=('outlier',))
    assert [*typical_photos(small, set())] == small.classes


def test_photos_that_vanished(tmp_path):
    photos, told = read_photos(synth_folder(tmp_path/'p', per_class=12)), []
    for p in photos.df.path[:3]: Path(p).unlink()
    out = find_issues(photos, ARCH, 64, say=told.append)
    assert told == ["3 photos can't be found any more and could not be looked at"]
    assert not set(out.path) & set(photos.df.path[:3])
    for p in photos.df.path[3:]: Path(p).unlink()
    with pytest.raises(UserError, match='none of the 36 photos'): find_issues(photos, ARCH, 64, say=silent)


def test_a_class_that_vanished(tmp_path):
    photos = read_photos(synth_folder(tmp_path/'p', per_class=12))
    for p in photos.df.path[photos.df.label == photos.classes[0]]: Path(p).unlink()
    out = find_issues(photos, ARCH, 64, say=silent)
    assert photos.classes[0] not in {*out.label, *out.suggestion}


def test_nonsense():
    for what in (None, 7, pd.DataFrame()):
        with pytest.raises(UserError): find_issues(what)
    with pytest.raises(UserError, match='nowhere'): find_issues('nowhere')
    with pytest.raises(UserError, match='no reason'): find_issues('nowhere', reasons=('ugly',))


# ---- whose body looks

def weights_file(path, seed):
    path.parent.mkdir(parents=True, exist_ok=True)
    body = load_body(find_weights(TINY, 'random'), seed=seed)
    save_file(body.module.state_dict(), path)
    return path


@pytest.fixture
def own_weights(tmp_path):
    "A study with a body from a file of somebody's own, and that file."
    file = weights_file(tmp_path/'weights'/'mine.safetensors', 1)
    photos = synth_folder(tmp_path/'photos', per_class=12)
    how = dict(recipe='frozen', arch=TINY, weights=file, res=64, epochs=1, seeds=1, say=silent)
    return study(photos, sizes=['all'], out=tmp_path/'st', **how), file


def test_own_weights_look_at_their_photos(own_weights, tmp_path, monkeypatch):
    st, file = own_weights
    used = []

    def watched(body):
        used.append(body.sha)
        return deep_body(body)
    monkeypatch.setattr('imgcls.cleaning.issues.deep_body', watched)
    elsewhere = weights_file(tmp_path/'elsewhere'/'mine.safetensors', 2)  # somebody else's, of the same name
    monkeypatch.chdir(elsewhere.parent)
    find_issues(st, reasons=('label',))
    assert used == [load_body(find_weights(TINY, file)).sha]


def test_own_weights_that_are_gone_are_named_and_not_replaced(own_weights, tmp_path, monkeypatch):
    st, file = own_weights
    shutil.move(file, tmp_path/'kept.safetensors')
    with pytest.raises(UserError, match='mine.safetensors.* missing') as e: find_issues(st)
    assert '\n' not in str(e.value) and 'arch=' in str(e.value)
    weights_file(tmp_path/'elsewhere'/'mine.safetensors', 2)
    monkeypatch.chdir(tmp_path/'elsewhere')
    with pytest.raises(UserError, match='mine.safetensors.* missing'): find_issues(st)
    weights_file(file, 2)  # others in their place
    with pytest.raises(UserError, match='holds others'): find_issues(st)
    assert len(find_issues(st, reasons=('dark', 'duplicate'))) == 0  # no body needed
    find_issues(st, arch=ARCH, reasons=('label',))  # another body, because somebody asked for it
    shutil.move(tmp_path/'kept.safetensors', file)
    find_issues(st, reasons=('label',))


# ---- what cleaning bought

def test_editing_the_test_buys_nothing(small, tmp_path):
    "Test labels set to what the classifier says would give 100 %; they are reported apart."
    run, test = small.runs.run.iloc[-1], small.photos.test
    guess = np.array(small.classes)[small.probs(run)[-1].argmax(1)]
    df = small.photos.df.copy()
    df.loc[test.index, 'label'] = guess
    after = study(replace(small.photos, df=df), out=tmp_path/'after', **HOW)
    b = what_it_bought(small, after)
    changed = int((guess != test.label).sum())
    assert changed and b.photos.tolist() == [len(guess), changed]
    whole = b[b['test photos'] == 'as they were'].iloc[0]
    assert whole.before == small.runs.accuracy.iloc[-1] and abs(whole.difference) < .2


def test_taking_the_hard_photos_out_of_the_test_changes_no_level(small, tmp_path):
    "Every test photo that goes wrong is deleted, another one is relabelled: the figures stay those of all."
    right = small.probs(small.runs.run.iloc[-1])[-1].argmax(1) == small.targets
    test, j = small.photos.test, Journal(tmp_path/'decisions.csv')
    for r in test[~right].itertuples(): j.decide(r.path, r.sha256, r.label, 'delete')
    easy = test[right].iloc[0]
    j.decide(easy.path, easy.sha256, easy.label, 'relabel', next(c for c in small.classes if c != easy.label))
    cleaned = apply_decisions(j, small, say=silent)
    after = study(cleaned, out=tmp_path/'after', **HOW)
    assert (~right).any() and after.final_table().accuracy.equals(small.final_table().accuracy)
    bought = what_it_bought(small, after).set_index('test photos')
    kinds = {'as they were': len(test), 'label corrected': 1, 'removed': (~right).sum()}
    assert bought.photos.to_dict() == kinds
    assert bought.difference['as they were'] == 0 and bought.before['removed'] == 0


def test_a_study_of_cleaned_photos_tells_what_it_bought(small, tmp_path):
    r = small.photos.df[small.photos.df.split == 'train'].iloc[0]
    other = next(c for c in small.classes if c != r.label)
    Journal(tmp_path/'decisions.csv').decide(r.path, r.sha256, r.label, 'relabel', other)
    cleaned = apply_decisions(tmp_path/'decisions.csv', small, say=silent)
    after = study(cleaned, out=tmp_path/'after', **HOW)
    bought = cleaning(after)
    assert bought.startswith('Cleaning: ') and 'before and' in bought
    assert bought in ' '.join(text_report(after).split())
    assert cleaning(small) == '' and cleaning(study(small.photos, out=tmp_path/'same', **HOW)) == ''
    cleaned.df.to_csv(small.path/'cleaned.csv', index=False)  # as the command writes it
    assert cleaning(study(small.path/'cleaned.csv', out=tmp_path/'command', **HOW)) == bought


def test_studies_that_can_not_be_compared(small, tmp_path):
    photos = synth_folder(tmp_path/'q', per_class=12, seed=5)
    other = study(photos, out=tmp_path/'other', **dict(HOW, sizes=['all']))
    with pytest.raises(UserError, match='no test photo in common'): what_it_bought(small, other)
    with pytest.raises(UserError, match='not a study'): what_it_bought(small, tmp_path)
    assert isinstance(Study(small.path), Study)


def test_grey_photos_of_twelve_bits_are_dark_where_the_others_are_light(dim_study):
    dark = find_issues(dim_study, reasons=('dark',), say=silent).path
    assert {*dark} == {p for p in dim_study.photos.df.path if Path(p).name == '0.png'}
