"Confusion matrices of predictions from anywhere, and one line for everything else."
import numpy as np
import pandas as pd
import pytest

from imgcls.core import UserError, image
from imgcls.csv_files import guarded
from imgcls.data.synth import synth_folder
from imgcls.explorer.confusion import compare, confused_order, confusion, plot_confusion, predictions
from imgcls.studies.study import Study, study

NASTY = ['<script>alert(1)</script>', '</td>"\'&', '\u202egnp.exe', '\U0001f98a'*20, 'x'*300]


@pytest.fixture(scope='module')
def scenes(): return synth_folder(per_class=20, side=64)


@pytest.fixture(scope='module')
def st(scenes, tmp_path_factory):
    return study(scenes, sizes=[5, 10], recipe='frozen', arch='cifar_net', weights='random', epochs=2, res=32,
                 seeds=2, out=tmp_path_factory.mktemp('st')/'st', say=lambda _: None)


# ---- from anywhere

def test_study_and_its_folder(st):
    p = predictions(st.path)
    assert p.runs.run.tolist() == st.runs.run.tolist() and p.runs.n_train[p.run()] == st.runs.n_train.max()
    assert p.sha256 == st.photos.test.sha256.tolist() and p.paths == st.photos.test.path.tolist()
    for r, accuracy in zip(st.runs.run, st.runs.accuracy):
        assert confusion(p, run=r).accuracy[0] == pytest.approx(accuracy)
    by_epoch = st.epochs[st.epochs.run == st.runs.run[0]].accuracy
    got = [confusion(st, run=st.runs.run[0], epoch=e).accuracy[0] for e in (1, 2)]
    assert got == pytest.approx(by_epoch.tolist())


def test_one_run(st, tmp_path):
    name = st.runs.run[1]
    c = confusion(st.path/'runs'/name)
    assert (c.counts == confusion(st, run=name).counts).all()
    assert predictions(str(st.path/'runs'/name)).runs.run.tolist() == [name]
    (tmp_path/'runs'/'x').mkdir(parents=True)
    (tmp_path/'runs'/'x'/'run.json').write_text('{}')
    with pytest.raises(UserError, match='is not a study'): confusion(tmp_path/'runs'/'x')


def test_learner_and_interpretation(scenes):
    import torch
    from fastai.vision.all import ClassificationInterpretation, ImageDataLoaders, Learner, Resize, nn
    torch.manual_seed(0)
    dls = ImageDataLoaders.from_folder(scenes, valid_pct=.5, seed=0, item_tfms=Resize(16), bs=8,
                                       num_workers=0)
    learn = Learner(dls, nn.Sequential(nn.Flatten(), nn.Linear(3*16*16, 3)), loss_func=nn.CrossEntropyLoss())
    with learn.no_bar():
        c, again = confusion(learn), confusion(ClassificationInterpretation.from_learner(learn))
        _, targets = learn.get_preds()
    assert (c.counts == again.counts).all() and c.classes == ['deer', 'fox', 'squirrel']
    assert (c.counts.sum(1) == np.bincount(targets, minlength=3)).all()
    assert all(p.endswith('.jpg') for p in c.photos.path)


def test_csv_and_table(tmp_path):
    t = pd.DataFrame(dict(path=['a.jpg', 'b.jpg'], label=['1', '2'], **{'1': [.9, .8], '2': [.1, .2]}))
    t.to_csv(tmp_path/'predictions.csv', index=False)
    for source in (t, tmp_path/'predictions.csv', str(tmp_path/'predictions.csv')):
        c = confusion(source)
        assert c.counts.tolist() == [[1, 0], [1, 0]] and c.worst.path.tolist() == ['b.jpg']


@pytest.mark.parametrize('names', [
    ['None', 'NA'], ['nan', ''], ['null', 'True'], ['007', '7'], ['1.0', '1e5'], ['#N/A', 'N/A'],
    ['=1+1', '-b'], ["'=x", '@c'], ['+', "'"]])
def test_names_of_classes_stay_as_they_are(names, tmp_path):
    names = [n or 'none' for n in names]
    t = pd.DataFrame(dict(path=['a.jpg', 'b.jpg'], label=names, **dict(zip(names, [[.9, .8], [.1, .2]]))))
    t.map(guarded).rename(columns=guarded).to_csv(tmp_path/'predictions.csv', index=False)
    for source in (t, tmp_path/'predictions.csv'):
        c = confusion(source)
        assert c.classes == names and c.counts.tolist() == [[1, 0], [1, 0]]
    assert predictions(tmp_path/'predictions.csv').at().tolist() == [[.9, .1], [.8, .2]]


@pytest.mark.parametrize('text, says', [
    ('label,a,b\na,.9,\nb,.1,.9\n', 'numbers'), ('label,a,b\n,.9,.1\n', 'label'),
    ('a,b\n.9,.1\n', "column 'label'"), ('label,a,b\nNone,.9,.1\n', "such as 'None'"), ('', "can't read"),
    ('label,a,b\na,"0,9","0,1"\n', 'numbers')])
def test_lists_without_predictions_in_one_line(text, says, tmp_path):
    (tmp_path/'p.csv').write_text(text)
    with pytest.raises(UserError, match=says) as e: confusion(tmp_path/'p.csv')
    assert '\n' not in str(e.value)


def test_a_table_with_a_missing_label_or_no_file_at_all(st, tmp_path, monkeypatch):
    t = pd.DataFrame(dict(label=['1', None], **{'1': [.9, .8], '2': [.1, .2]}))
    with pytest.raises(UserError, match='1 row without a label'): confusion(t)
    monkeypatch.chdir(st.path)  # which is never looked at unasked
    with pytest.raises(UserError, match='expected the name of a file or folder'): confusion('')
    monkeypatch.setenv('HOME', str(st.path.parent))
    assert predictions(f'~/{st.path.name}').runs.run.tolist() == st.runs.run.tolist()


# ---- no predictions

@pytest.mark.parametrize('args, says', [
    (([0, 1], [[.5, .5]]), '1 targets are expected'),
    (([0, 2], [[.5, .5], [.1, .9]]), 'targets are expected from 0 to 1, not from 0 to 2'),
    (([0, 1], [[3., -1.], [2., 2.]]), 'softmax'),
    (([0, 1], [[np.nan, 1.], [.5, .5]]), 'NaN or infinite'),
    (([], np.zeros((0, 2))), 'empty'),
    (([0, 1], np.eye(2), ['one']), '1 class named'),
    ((pd.DataFrame(dict(fox=[.5])),), "column 'label'"),
    ((pd.DataFrame(dict(label=['fox', 'deer'], fox=[1., 1.])),), "without a column .*, such as 'deer'"),
    ((pd.DataFrame(dict(label=['fox'], fox=['high'])),), 'as numbers'),
    (('nowhere',), 'no study and no CSV file'),
    ((7,), 'not int')])
def test_one_line_says_what_is_wrong(args, says):
    with pytest.raises(UserError, match=says) as e: confusion(*args)
    assert '\n' not in str(e.value)


def test_unknown_runs_and_epochs(st):
    with pytest.raises(UserError, match='no run'): confusion(st, run='x')
    for e in (0, 3):
        with pytest.raises(UserError, match='epochs 1 to 2'): confusion(st, epoch=e)
    with pytest.raises(UserError, match='name or confused'): plot_confusion(st, order='best')


def test_study_without_runs(st, tmp_path):
    for name in ('study.json', 'photos.parquet'): (tmp_path/name).write_bytes((st.path/name).read_bytes())
    with pytest.raises(UserError, match='no finished run'): predictions(Study(tmp_path))


# ---- names, pictures, two runs

def test_hostile_names_stay_text():
    c = confusion([0, 1, 2, 3, 4], np.roll(np.eye(5), 1, 1), NASTY, NASTY)
    html = c._repr_html_()
    assert '<script>' not in html and '&lt;script&gt;' in html and '</td>"' not in html
    assert image(plot_confusion([0, 1, 2, 3, 4], np.eye(5), NASTY)).startswith(b'\x89PNG')


def test_four_sizes_on_one_page(st):
    assert len(plot_confusion(st).axes) == 2
    assert len(plot_confusion(st, run=st.runs.run[0]).axes) == 1


def test_compare_counts_what_changed(st):
    before, after = st.runs.run[0], st.runs.run[3]
    delta, changed, d = compare(st, before, after)
    right = [st.probs(r)[-1].argmax(1) == st.targets for r in (before, after)]
    assert (changed.change == 'mended').sum() == (~right[0] & right[1]).sum() == d['mended']
    assert (changed.change == 'broken').sum() == (right[0] & ~right[1]).sum() == d['broken']
    assert delta.to_numpy().trace() == right[1].sum()-right[0].sum()


def test_order_is_always_a_permutation():
    rng = np.random.default_rng(0)
    for k in (2, 3, 50): assert sorted(confused_order(rng.integers(0, 9, (k, k)))) == [*range(k)]
    assert sorted(confused_order(np.zeros((4, 4), int))) == [0, 1, 2, 3]
