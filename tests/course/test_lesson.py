"""What lessons share: where they take photos and weights from, where studies go, guesses, the last cell."""
import re
from datetime import date
from pathlib import Path

import pytest
from PIL import Image

import imgcls.course.lesson as module
from imgcls.core import UserError
from imgcls.course.lesson import Guess, show_photos, some_photos, start, swap_labels
from imgcls.data.table import read_photos

DRAWN = dict(photos='synth', classes=['fox', 'owl'], per_class=30, sizes=[10, 20, 24], epochs=4, seeds=3,
             res=96)


@pytest.fixture(scope='module')
def cache(tmp_path_factory): return tmp_path_factory.mktemp('cache')  # photos are drawn once


@pytest.fixture(autouse=True)
def at_home(tmp_path, monkeypatch, cache):
    "A working folder of its own, and no variable that says where the lesson runs."
    for key in ('IMGCLS_COURSE', 'COLAB_RELEASE_TAG', 'KAGGLE_KERNEL_RUN_TYPE'):
        monkeypatch.delenv(key, raising=False)
    monkeypatch.setenv('IMGCLS_CACHE', str(cache))
    (tmp_path/'work').mkdir()
    monkeypatch.chdir(tmp_path/'work')


@pytest.fixture
def mine(tmp_path):
    "A learner's own photos."
    for i, (label, n) in enumerate(dict(mug=6, cup=5).items()):
        (tmp_path/'mine'/label).mkdir(parents=True)
        for k in range(n):
            Image.effect_noise((40+k, 40), 60+20*i).convert('RGB').save(tmp_path/'mine'/label/f'{k}.jpg')
    return tmp_path/'mine'


def fails(f, *words):
    with pytest.raises(UserError) as e: f()
    assert '\n' not in str(e.value) and all(w in str(e.value) for w in words), e.value


# Modes

def test_as_it_is_a_lesson_draws_its_photos():
    lesson = start(3, DRAWN, dict(photos='cifar10', epochs=9))
    assert lesson.mode == 'drawn' and lesson.epochs == 4 and lesson.sizes == [10, 20, 24]
    assert {p.parent.name for p in lesson.photos.rglob('*.jpg')} == {'fox', 'owl'}
    assert len([*lesson.photos.rglob('*.jpg')]) == 60
    assert 'drawn by imgcls' in repr(lesson)


@pytest.mark.parametrize('use_real', [True, False])
def test_a_test_takes_few_photos_and_passes_whatever_the_switch_says(monkeypatch, use_real):
    monkeypatch.setenv('IMGCLS_COURSE', 'test')
    lesson = start(3, DRAWN, dict(photos='cifar10'), use_real)
    assert (lesson.mode, lesson.epochs, lesson.seeds, lesson.per_class, lesson.res) == ('test', 2, 2, 25, 32)
    assert lesson.sizes == [8, 16, 20] and max(lesson.sizes) <= .8*lesson.per_class
    assert DRAWN['epochs'] == 4 and DRAWN['sizes'] == [10, 20, 24]  # the lesson's cell is not changed


def test_a_test_never_sees_studies_of_an_earlier_run(monkeypatch):
    monkeypatch.setenv('IMGCLS_COURSE', 'test')
    first, second = start(3, DRAWN), start(3, DRAWN)
    assert first.folder != second.folder and not [*first.folder.iterdir()] and not [*Path().iterdir()]


@pytest.mark.parametrize('env, use_real', [('', True), ('real', False), ('real', True)])
def test_real_photos_by_the_switch_or_from_outside(monkeypatch, mine, env, use_real):
    monkeypatch.setenv('IMGCLS_COURSE', env)
    monkeypatch.setattr(module, 'fetch_dataset', lambda name: mine)
    lesson = start(3, DRAWN, dict(photos='clothing', classes=['mug', 'cup'], sizes=[3]), use_real)
    assert (lesson.mode, lesson.photos, lesson.sizes) == ('real', mine, [3])
    assert lesson.epochs == 4  # what REAL does not name stays
    assert "the data set 'clothing'" in repr(lesson)


def test_real_without_real_settings_stays_drawn():
    assert start(3, DRAWN, None, use_real=True).mode == 'drawn'


def test_a_folder_of_the_learner(mine):
    lesson = start(3, DRAWN, dict(photos=str(mine), classes=None), use_real=True)
    assert lesson.photos == mine.resolve() and 'your folder' in repr(lesson)
    assert read_photos(lesson.photos, lesson.classes).classes == ['cup', 'mug']
    assert sorted(p.name for p in mine.iterdir()) == ['cup', 'mug']  # only read


def test_a_relative_folder_survives_a_change_of_folder(mine, monkeypatch):
    monkeypatch.chdir(mine.parent)
    lesson = start(3, DRAWN, dict(photos='mine'), use_real=True)
    monkeypatch.chdir('/')
    assert (lesson.photos/'cup').is_dir()


def test_mistakes_are_one_line(monkeypatch):
    fails(lambda: start(3, DRAWN, dict(photos='no/such/folder'), True), 'no/such/folder')
    monkeypatch.setenv('IMGCLS_COURSE', 'tset')
    fails(lambda: start(3, DRAWN), "'tset'", 'test')


# Weights and folders

def test_weights_that_cannot_be_had(monkeypatch):
    def gone(arch): raise UserError('the weights can\'t be downloaded')
    monkeypatch.setattr(module, 'find_weights', gone)
    lesson = start(3, DRAWN | dict(arch='resnet34'))
    assert lesson.arch == 'efficientnet_lite0' and 'weights of resnet34 are not here' in repr(lesson)
    assert lesson.settings['arch'] == 'resnet34'


def test_weights_that_are_there(monkeypatch):
    monkeypatch.setattr(module, 'find_weights', lambda arch: arch)
    lesson = start(3, DRAWN | dict(arch='resnet34'))
    assert lesson.arch == 'resnet34' and 'resnet34, pretrained on ImageNet' in repr(lesson)


def test_studies_lie_beside_the_notebook(monkeypatch):
    here = Path.cwd()
    lesson = start(3, DRAWN)
    monkeypatch.chdir('/')
    assert lesson.folder == here/'lesson-3'


def test_a_working_folder_that_can_only_be_read(monkeypatch):
    access = module.os.access
    here = Path.cwd()
    monkeypatch.setattr(module.os, 'access', lambda p, mode: Path(p).resolve() != here and access(p, mode))
    lesson = start(3, DRAWN)
    assert here not in lesson.folder.parents and lesson.folder.is_dir()
    (lesson.folder/'a').write_text('can be written')


HOSTS = dict(COLAB_RELEASE_TAG='on Colab', KAGGLE_KERNEL_RUN_TYPE='on Kaggle', NOTHING='on this machine')


@pytest.mark.parametrize('key, host', HOSTS.items())
def test_says_where_it_runs(monkeypatch, key, host):
    monkeypatch.setenv(key, 'x')
    assert f'Running {host}' in repr(start(3, DRAWN))


# Guesses

def test_a_guess_before_and_after():
    g = start(3, DRAWN).guess('accuracy with 20 photos, %', 70)
    assert repr(g) == 'Your guess: accuracy with 20 photos, %: 70'
    assert repr(g.was(84.31)) == 'accuracy with 20 photos, %: you guessed 70, it was 84.3'


def test_a_cell_that_runs_twice_leaves_one_guess():
    lesson = start(3, DRAWN)
    for value in (70, 80): lesson.guess('accuracy, %', value)
    assert [g.value for g in lesson.guesses] == [80]


@pytest.mark.parametrize('value', ['many', '80', None, True, [80], {}])
def test_a_guess_is_a_number(value): fails(lambda: start(3, DRAWN).guess('accuracy, %', value), 'number')


def test_each_guess_with_an_outcome_is_drawn():
    lesson = start(3, DRAWN)
    fails(lesson.plot_guesses, 'no guesses')
    lesson.guess('points', 2).was(3)
    lesson.guess('costs $5 or $6?', 5).was(5.)  # a title with dollars is not a formula
    lesson.guess('never asked', 1)
    titles = [ax.get_title(loc='left') for ax in lesson.plot_guesses().axes]
    assert titles == ['points', 'costs $5 or $6?']
    lesson.plot_guesses().savefig('guesses.png')


def test_outcomes_of_any_number_type():
    np = pytest.importorskip('numpy')
    assert isinstance(Guess('x', 1).was(np.float32(2)).outcome, float)
    assert start(3, DRAWN).guess('x', np.int64(3)).value == 3


def test_the_last_cell(capsys):
    start(3, DRAWN).end()
    out = capsys.readouterr().out
    assert re.match(r'Lesson 3 ran on .+ in \d+ s on .+\n', out) and str(date.today().year) in out
    assert 'drawn by imgcls' in out and 'imgcls ' in out and 'torch ' in out


# Photos of a lesson

def test_some_photos_keeps_the_split(mine):
    photos = read_photos(mine, test=.4)
    few = some_photos(photos, 2, 1)
    assert few.df.groupby(['split', 'label']).size().to_dict() == {
        (s, c): n for s, n in (('test', 1), ('train', 2)) for c in ('cup', 'mug')}
    assert {*few.test.path} <= {*photos.test.path} and some_photos(photos, 99, 99).id == photos.id


def test_swapped_labels_are_known(mine):
    photos = read_photos(mine)
    noisy = swap_labels(photos, .3)
    assert (noisy.df.label != noisy.df.true_label).sum() == round(.3*len(photos))
    true = noisy.df.set_index('path').true_label.to_dict()
    assert true == photos.df.set_index('path').label.to_dict()
    assert 'true_label' not in photos.df  # what came in is as it was


@pytest.mark.parametrize('share', [1, 1.5, -.1])
def test_a_share_that_cannot_be(mine, share): fails(lambda: swap_labels(read_photos(mine), share), 'share')


def test_a_dim_grey_photo_is_drawn_dim(dim_study):
    rows = dim_study.photos.test
    drawn = [ax.images[0].get_array().mean() > 30 for ax in show_photos(rows, 'label').axes[:len(rows)]]
    assert drawn == [Path(p).name != '0.png' for p in rows.path]
