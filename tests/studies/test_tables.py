"Tables of made-up studies, of which the truth is known, and what cleaning bought in real ones."
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import imgcls.explorer.report  # noqa: F401 (it brings Study.report)
from imgcls.core import UserError
from imgcls.data.synth import synth_folder
from imgcls.data.table import read_photos
from imgcls.studies import tables as T
from imgcls.studies.made_up import made_up_study
from imgcls.studies.report import answer, text_report
from imgcls.studies.study import study
from imgcls.training.calibration import calibration_summary

NET = 'efficientnet_lite0'


def frozen(**accs):
    "Accuracies by size: s50=[.6, .7] are those of 50 photos a class"
    return {(NET, 'frozen', int(k[1:]) if k[1:].isdigit() else k): v for k, v in accs.items()}


def without(st, *runs):
    "`st` as it is when these runs are missing"
    st.runs = st.runs[~st.runs.run.isin(runs)].reset_index(drop=True)
    st.epochs = st.epochs[~st.epochs.run.isin(runs)].reset_index(drop=True)
    return st


@pytest.fixture
def one(): return made_up_study(frozen(s50=[.6, .7, .8], s1000=[.8, .93, .95]))


# ---- groups and accuracy

def test_accuracy_table(one):
    t = T.accuracy_table(one)
    assert list(t.columns) == [50, 1000] and list(t.index) == [1, 2, 3]
    for run in one.runs.to_dict('records'):
        want = one.epochs[one.epochs.run == run['run']].sort_values('epoch').accuracy
        np.testing.assert_allclose(t[run['size']], want)
    for part in ('300 test photos', 'one seed', 'frozen', NET, '96 px'): assert part in T.caption(one)
    assert not t.attrs and not T.final_table(one).attrs


def test_sizes_sort_and_all_is_last():
    st = made_up_study(frozen(all=[.9], s1000=[.9], s50=[.8], s200=[.85]))
    assert list(T.accuracy_table(st).columns) == [50, 200, 1000, 'all']
    found = T.steps(st)
    assert list(zip(found.size_from, found.size_to)) == [(50, 200), (200, 1000), (1000, 'all')]
    assert 'From 1,000 photos a class to all photos' in found.sentence.iloc[-1]


def test_recipes_archs_and_seeds():
    accs = {(a, r, n): [.7, .8] for a in ('resnet18', NET) for r in ('frozen', 'fastai') for n in (20, 100)}
    st = made_up_study(accs, seeds=3)
    t = T.accuracy_table(st)
    assert t.columns.names == ['arch', 'recipe', 'size'] and t.shape == (2, 8)
    pick = st.runs[(st.runs.arch == 'resnet18') & (st.runs.recipe == 'fastai') & (st.runs['size'] == 100)]
    assert t[('resnet18', 'fastai', 100)].iloc[-1] == pytest.approx(pick.accuracy.mean())
    f = T.final_table(st).set_index(['arch', 'recipe', 'size']).loc[('resnet18', 'fastai', 100)]
    assert f.seeds == 3 and f.sd == pytest.approx(pick.accuracy.std()) and f['min'] == pick.accuracy.min()
    found = T.steps(st)
    assert len(found) == 4 and (found.tests == 4).all() and (found.seeds == 3).all()
    assert 'mean of 3 seeds' in found.sentence[0] and 'Holm' in found.sentence[0]


def both(a, b):
    "One study with the runs of two; those of the second get other names"
    names = {run: f'{run}-b' for run in b.runs.run}
    a.runs = pd.concat([a.runs, b.runs.assign(run=b.runs.run.map(names))], ignore_index=True)
    a.epochs = pd.concat([a.epochs, b.epochs.assign(run=b.epochs.run.map(names))], ignore_index=True)
    a.kept |= {names[run]: kept for run, kept in b.kept.items()}
    return a


def test_runs_that_differ_in_more_than_seed_are_not_averaged():
    other = made_up_study({(NET, 'frozen', 50): [.9, .92, .95]}, res=224)
    st = both(made_up_study(frozen(s50=[.6, .7])), other)
    t = T.accuracy_table(st)
    assert t.columns.names == ['res', 'size'] and t.shape == (3, 2)
    assert np.isnan(t[(96, 50)].loc[3]) and 'nan' not in text_report(st)


def test_seeds_with_another_number_of_epochs_are_not_averaged():
    "They can't be compared epoch by epoch, not even when no seed has both"
    longer = made_up_study(frozen(s50=[.6, .7, .9, .8]), seed=1)
    st = both(made_up_study(frozen(s50=[.6, .7])), longer)
    assert T.groups(st)[0] == ['epochs', 'size']
    assert list(T.final_table(st).epochs) == [2, 4]


def test_runs_of_another_setting_are_not_averaged():
    st = both(made_up_study(frozen(s50=[.6, .7])), made_up_study(frozen(s50=[.8, .9])))
    assert T.groups(st)[0] == ['run', 'size'] and len(T.final_table(st)) == 2


# ---- overfitting

def test_overfitting():
    rises, falls = frozen(s50=[.8, .95, 1.]), frozen(s50=[.95, .8, .6])
    bad = made_up_study(falls, rises)
    fine = made_up_study(frozen(s50=[.6, .8, .95]), rises)
    worse = made_up_study(falls, falls)  # worse on both kinds of photos: not overfitting
    assert list(T.final_table(bad).overfitting) == ['beyond chance'] and T.final_table(bad).best_epoch[0] == 1
    assert list(T.final_table(fine).overfitting) == list(T.final_table(worse).overfitting) == ['']
    assert '!' in text_report(bad) and '!' not in text_report(fine)
    assert 'not a claim' in text_report(bad)


def test_off_by_is_told_where_the_test_photos_can_tell():
    "The same figure as calibration's own, the mean over seeds; nothing where one of them is missing."
    st = made_up_study(frozen(s50=[.8], s200=[.9]), seeds=2, overconfidence=.02)
    t = T.final_table(st)
    found = [calibration_summary(st.probs(run)[-1], st.targets) for run in st.runs.run[:2]]
    assert t.off[0] == pytest.approx(np.mean([c.off for c in found]))
    assert t.off_low[0] == pytest.approx(np.mean([c.low for c in found])) and (t.off < t.off_high).all()
    st.runs.loc[0, 'overconfidence'] = None
    assert list(T.final_table(st).off.isna()) == [True, False]
    few = T.final_table(made_up_study(frozen(s50=[.8]), n_test=12, overconfidence=.02))
    assert few[['off', 'off_low', 'off_high']].isna().all(axis=None)
    assert 'off' not in T.final_table(made_up_study(frozen(s50=[.8])))


def test_equal_epochs_are_seldom_marked_beyond_chance():
    "The whole way from a study to the mark: chance may do it once in twenty times"
    rng, marked, n, epochs = np.random.default_rng(0), 0, 100, 25
    st = made_up_study(frozen(s50=[.9]*epochs))
    run, targets = st.runs.run[0], st.targets
    for _ in range(n):
        right = rng.random((epochs, len(targets))) < .9  # independent epochs: the worst case
        probs = np.zeros((epochs, len(targets), 3), np.float16)
        named = np.where(right, targets, (targets + 1) % 3)
        np.put_along_axis(probs, named[..., None], 1, axis=2)
        st.kept[run] = probs, st.kept[run][1]
        st.epochs['accuracy'] = right.mean(1)
        marked += T.final_table(st).overfitting[0] == 'beyond chance'
    assert marked/n <= .1  # by comparing the best epoch with the last: .18


def test_overfitting_of_several_seeds():
    accs, train = frozen(s50=[.8, .92, .9, .82]), frozen(s50=[.8, .9, .95, 1.])
    assert list(T.final_table(made_up_study(accs, train, seeds=3)).overfitting) == ['beyond chance']


# ---- steps

def test_sentences_say_what_the_figures_say():
    row = dict(size_from=500, size_to=1000, seeds=1, n_test=1000, difference=.021, low=.004, high=.038,
               mended=61, broken=40, p=.002, p_holm=.002, tests=1, speaks_of='this classifier')
    def said(**new): return T._sentence({**row, **new}, '')
    assert said() == ('From 500 to 1,000 photos a class: 2.1 points better (95 % interval +0.4 to +3.8). '
                      '61 of 1,000 test photos mended, 40 broken. '
                      'On other test photos these two classifiers would differ in the same direction '
                      '(p = 0.002); the luck of the draw is not in it.')
    many = dict(seeds=5, speaks_of='this many photos')
    assert 'Other draws of photos would gain too (p = 0.002).' in said(**many)
    assert 'luck of the draw' not in said(**many) and 'these classifiers would differ' in said(seeds=5)
    assert 'does not show that these two classifiers are equally good' in said(low=-.01, p_holm=.3)
    assert 'does not show that more photos do not help' in said(low=-.01, p_holm=.3, **many)
    worse = said(difference=-.021, low=-.05, high=.01, p_holm=.3, **many)
    assert '2.1 points worse' in worse and 'does not show that more photos harm' in worse
    assert 'Borderline: between these two classifiers it may be real' in said(p_holm=.06)
    assert 'Borderline: it may be real' in said(p_holm=.06, **many)
    assert 'no change' in said(difference=0., low=-.01, high=.01, p_holm=1.)
    same = said(difference=0., low=-.01, high=.01, p_holm=1., mended=0, broken=0)
    assert 'Both sizes name the same photos right.' in same and 'p = ' not in same


def test_steps_use_shared_seeds_only():
    st = made_up_study(frozen(s50=[.7], s200=[.9]), seeds=3)
    assert list(T.steps(without(st, f'{NET}-frozen-200-1')).seeds) == [2]
    assert len(T.steps(without(st, f'{NET}-frozen-50-0', f'{NET}-frozen-50-2'))) == 0


def test_verdicts(one):
    assert list(T.steps(one).verdict) == ['better']
    down = made_up_study(frozen(s50=[.9], s200=[.7], s1000=[.71]))
    assert list(T.steps(down).verdict) == ['worse', 'unclear']
    assert 'cost' in answer(made_up_study(frozen(s50=[.9], s200=[.7])))


# ---- what cleaning bought

def quick(photos, out, **kw):
    "A real study with a body that is quick"
    kw = dict(sizes=[5], recipe='frozen', arch='cifar_net', epochs=2, seeds=1) | kw
    return study(photos, out=out, say=lambda _: None, **kw)


@pytest.fixture(scope='module')
def cleaned(tmp_path_factory):
    "A study, and another one of the same photos with corrected labels"
    folder = tmp_path_factory.mktemp('cleaned')
    photos = read_photos(synth_folder(per_class=30, side=64))
    before = quick(photos, folder/'before')
    df, test = photos.df.copy(), photos.test.index
    df.loc[test[0], 'label'] = next(label for label in photos.classes if label != df.label[test[0]])
    df = df.drop(test[[1, 2]])
    after = quick(replace(photos, df=df, cleaned_from=str(folder/'before')), folder/'after')
    return before, after


def test_what_cleaning_bought(cleaned):
    before, after = cleaned
    bought = T.what_it_bought(before, after).set_index('test photos')
    n = len(before.photos.test)
    assert bought.photos.to_dict() == {'as they were': n - 2, 'label corrected': 1, 'left out': 2}
    run, test, late = before.runs.run[0], before.photos.test, after.photos.test
    both = test.sha256.isin(late.sha256).to_numpy()
    right = before.probs(run)[-1].argmax(1) == before.targets
    assert bought.before['as they were'] == pytest.approx(right[both].mean())  # by the old labels
    assert T.what_it_bought(before.path, after.path).equals(T.what_it_bought(before, after))


def test_a_study_of_cleaned_photos_says_what_it_bought(cleaned):
    before, after = cleaned
    assert T.cleaning(before) == ''
    text = T.cleaning(after)
    n = len(before.photos.test)
    assert text.startswith('Cleaning: cifar_net, frozen, 5 photos a class, 1 seed: ')
    assert f'on the {n - 2} test photos as they were' in text and '1 test label corrected' in text
    assert '2 test photos missing in the second study' in text
    assert 'Cleaning: ' in text_report(after) and 'Cleaning: ' in after._repr_html_()
    assert 'Cleaning: ' in after.report(limit=0).read_text(encoding='utf-8')


def test_studies_that_cannot_be_compared(cleaned, one, tmp_path):
    before, _ = cleaned
    with pytest.raises(UserError, match='no run in common'): T.what_it_bought(before, one)
    with pytest.raises(UserError, match='no finished run'): T.what_it_bought(before, made_up_study({}))
    one.photos.cleaned_from = str(tmp_path/'gone')
    assert T.cleaning(one).startswith('What cleaning bought is unknown: ')


def test_a_photo_under_two_labels_is_compared_once():
    before, after = (made_up_study(frozen(s50=[a])) for a in (.7, .9))
    for st in (before, after):
        sha256 = st.photos.df.sha256[st.photos.test.index[0]]
        st.photos.df.loc[st.photos.test.index[-1], 'sha256'] = sha256
    assert T.what_it_bought(before, after).photos.sum() == 299


# ---- the room

def test_methods(one):
    for name in ('accuracy_table', 'caption', 'styled', 'final_table', 'steps'):
        assert getattr(one, name)() is not None, name
    assert '<table' in one._repr_html_()
