"""Candidates for cleaning: labels that are wrong, classes with hardly any photos, photos that vanish, and what cleaning bought."""
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from imgcls.clean import deep_body, find_issues, judge_labels, look, out_of_fold
from imgcls.core import UserError
from imgcls.data import photo_table
from imgcls.journal import Journal, apply
from imgcls.models import create_body, find_weights
from imgcls.study import Study, study
from imgcls.synth import synth_folder
from imgcls.tables import what_it_bought

ARCH = 'efficientnet_lite0'


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


def test_copies_do_not_vouch_for_each_other():
    X, y, _, groups = clouds(50, 2, 0)
    X, y = np.concatenate([np.repeat(X[:1], 30, 0), X]), np.concatenate([np.full(30, 1-y[0]), y])  # thirty copies of a photo under a wrong label
    known, unknown = (out_of_fold(X, y, np.concatenate([copies, groups]))[0, y[0]] for copies in (['copy']*30, [f'c{i}' for i in range(30)]))
    assert known < .5 < unknown


def test_a_class_of_two_photos():
    X, y, _, groups = clouds(30, 2, 0)
    y = np.concatenate([y, [2, 2]])
    P = out_of_fold(np.concatenate([X, X[:2]+9]), y, np.arange(len(y)).astype(str))
    assert P.shape == (62, 3) and np.allclose(P.sum(1), 1)


def test_every_body_can_look_deeper():
    for arch in ('resnet18', 'cifar_net'):
        body = create_body(find_weights(arch, 'random'))
        deep = deep_body(body)
        assert deep.n_features >= 2*body.n_features and deep.sha != body.sha


@pytest.mark.parametrize('mode', ['RGB', 'L', 'RGBA', 'P', '1', 'CMYK'])
def test_looks_of_any_kind_of_picture(mode):
    for size in ((1, 1), (3, 500), (64, 64)):
        assert all(0 <= v <= 1 for v in look(Image.new('RGB', size, (200, 10, 10)).convert(mode)))


@pytest.fixture(scope='module')
def small(tmp_path_factory):
    "A study of drawings, some with a wrong label."
    tmp = tmp_path_factory.mktemp('clean')
    folder = synth_folder(tmp/'photos', per_class=30, wrong=.1)
    return study(str(folder), sizes=[10, 'all'], recipe='frozen', arch=ARCH, res=64, out=tmp/'before', say=lambda _: None)


def test_of_a_study_and_its_folder(small):
    a, b = find_issues(small, reasons=('label', 'dark')), find_issues(str(small.path), reasons=('label', 'dark'))
    assert a.equals(b) and set(a.split) <= {'train', 'test'} and a.score.between(0, 1).all()
    assert (a[a.reason == 'label'].suggestion != a[a.reason == 'label'].label).all() and a.score.is_monotonic_decreasing


def test_photos_that_vanished(small, tmp_path):
    folder = synth_folder(tmp_path/'p', per_class=12)
    t = photo_table(folder)
    for p in t.path[:3]: (tmp_path/p).unlink()
    out = find_issues(t, ARCH, 64)
    assert '3 photos' in out.attrs['notes'][0] and not set(out.path) & set(t.path[:3])
    for p in t.path[3:]: (tmp_path/p).unlink()
    with pytest.raises(UserError, match='none of the 36 photos'): find_issues(t, ARCH, 64)


def test_nonsense():
    for what in (None, 7, pd.DataFrame()):
        with pytest.raises(UserError): find_issues(what)
    with pytest.raises(UserError, match='is no study'): find_issues('nowhere')
    with pytest.raises(UserError, match='no reason'): find_issues('nowhere', reasons=('ugly',))


def test_editing_the_test_buys_nothing(small, tmp_path):
    "Test labels set to what the classifier says would give 100 %; they are reported apart."
    run = small.runs.run.iloc[-1]
    said = np.array(small.classes)[small.probs(run)[-1].argmax(1)]
    t = small.table.copy()
    t.loc[t.split == 'test', 'label'] = said
    after = study(t, sizes=[10, 'all'], recipe='frozen', arch=ARCH, res=64, out=tmp_path/'after', say=lambda _: None)
    b = what_it_bought(small, after)
    changed = int((said != small.table.label[small.table.split == 'test']).sum())
    assert changed and b.photos.tolist() == [len(said)-changed, changed]
    same = b[b['test photos'] == 'label the same'].iloc[0]
    assert same.before == 1 and abs(same.difference) < .2 and f'{changed} test label' in b.attrs['text'] and 'not part of this comparison' in b.attrs['text']


def test_a_study_of_a_cleaned_table_tells_what_it_bought(small, tmp_path):
    r = small.table[small.table.split == 'train'].iloc[0]
    other = next(c for c in small.classes if c != r.label)
    Journal(tmp_path/'decisions.csv').decide(r.path, r.sha256, r.label, 'relabel', other)
    how = dict(sizes=[10, 'all'], recipe='frozen', arch=ARCH, res=64, say=lambda _: None)
    cleaned = apply(tmp_path/'decisions.csv', small.table, say=lambda _: None)
    after = study(cleaned, out=tmp_path/'after', **how)
    told = what_it_bought(small, after).attrs['text']
    assert after.cleaning() == f'Cleaning: {told}' and told in ' '.join(after.text_report().split()) and told.split(' (')[0] in after._repr_html_()
    assert small.cleaning() == '' and study(small.table, out=tmp_path/'same', **how).cleaning() == ''
    cleaned.to_csv(small.path/'cleaned.csv', index=False)  # as the command writes it
    assert study(small.path/'cleaned.csv', out=tmp_path/'command', **how).cleaning() == after.cleaning()


def test_studies_that_can_not_be_compared(small, tmp_path):
    other = study(str(synth_folder(tmp_path/'q', per_class=12, seed=5)), sizes=['all'], recipe='frozen', arch=ARCH, res=64, out=tmp_path/'other', say=lambda _: None)
    with pytest.raises(UserError, match='no test photo in common'): what_it_bought(small, other)
    with pytest.raises(UserError, match='no study'): what_it_bought(small, tmp_path)
    assert isinstance(Study(small.path), Study)
