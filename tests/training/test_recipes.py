"""Recipes by name and of one's own, and `train`, which does all of it in one call."""
import io
import json
import pickle
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from fastai.data.all import DataLoaders, TfmdLists
from fastai.learner import Learner
from fastai.vision.all import (
    ClassificationInterpretation,
    ImageDataLoaders,
    PILImage,
    Resize,
    TensorImage,
    get_image_files,
)
from PIL import Image

from imgcls.core import UserError
from imgcls.data.synth import synth_folder
from imgcls.data.table import read_photos
from imgcls.studies.study import study
from imgcls.training import recipes
from imgcls.training.calibration import calibrate
from imgcls.training.features import Features
from imgcls.training.head import EPOCH_COLUMNS, Fit, score_logits
from imgcls.training.models import find_weights, load_body
from imgcls.training.recipes import (
    RECIPES,
    Fastai,
    FineTune,
    Frozen,
    Job,
    Recipe,
    SgdStep,
    find_recipe,
    photos_of,
    train,
)
from imgcls.training.tensors import Tensors, tensor_dls

QUICK = FineTune(epochs=2, calibrate=.25)


@pytest.fixture(scope='module')
def folder(own_cache): return synth_folder(per_class=12, side=64)


@pytest.fixture(scope='module')
def photos(folder): return read_photos(folder, test=.34)


@pytest.fixture(scope='module')
def lite(): return load_body('efficientnet_lite0')


@pytest.fixture(scope='module')
def resnet18(): return load_body(find_weights('resnet18', 'random'))


@pytest.fixture(scope='module')
def nothing(): return load_body('cifar_net')


@pytest.fixture
def registry(monkeypatch):
    "A copy of the registry, so that recipes of a test are gone after it."
    monkeypatch.setattr(recipes, 'RECIPES', dict(RECIPES))
    return recipes.RECIPES


# ---- recipes by name

def test_recipes_by_name():
    assert [*RECIPES][:5] == ['frozen', 'fine_tune', 'fastai', 'sgd_step', 'scratch']
    assert find_recipe('frozen', 7) == ('frozen', Frozen(epochs=7))
    assert find_recipe(Fastai(epochs=2)) == ('fastai', Fastai(epochs=2))
    assert find_recipe(Fastai) == ('fastai', Fastai())
    assert find_recipe('fine_tune')[1] == FineTune() and find_recipe('fine_tune')[1].epochs is None
    for name, make in RECIPES.items(): assert find_recipe(name) == find_recipe(make()) == (name, make())


NAMES = 'frozen, fine_tune, fastai, sgd_step, scratch'


@pytest.mark.parametrize('bad, says', [
    (('slow',), f"^no recipe is called 'slow'; there are {NAMES}"),
    (('',), "called ''; there are"),
    (('finetune',), f"called 'finetune'; there are {NAMES}.*; did you mean fine_tune"),
    (('scrach:epochs=2',), "called 'scrach'.* did you mean scratch"),
    (('few_shot',), "no recipe is called 'few_shot'"),
    (('frozen', 0), '^epochs is 0; it must be at least 1$'),
    (('frozen', -1), "'epochs' .* from 0 up, not '-1'"),
    (('fastai:epochs=0',), 'epochs is 0'),
    (('fastai:bs=0',), 'bs is 0'),
    (('fastai:augmnt=off',), "^recipe fastai has no field 'augmnt'; .*, freeze; did you mean augment"),
    (('fastai:augment=perhaps',), "^field 'augment' of recipe fastai expects on or off, not 'perhaps'$"),
    (('fastai:lr=nan',), "'lr' .* a number from 0 up, not 'nan'"),
    (('fastai:lr=-1',), 'from 0 up'),
    (('fastai:lr=inf',), 'from 0 up'),
    (('fastai:lr=fast',), "a number from 0 up, not 'fast'"),
    (('fastai:epochs=2.5',), "a whole number from 0 up, not '2.5'"),
    (('fastai:epochs',), "a whole number from 0 up, not ''"),
    (('frozen:',), "no field ''"),
    ((3,), 'expected a recipe or the name of one .*, not 3'),
    ((None,), 'expected a recipe')])
def test_names_and_values_that_are_not_possible(bad, says):
    with pytest.raises(UserError, match=says) as e: find_recipe(*bad)
    assert '\n' not in str(e.value)


@pytest.mark.parametrize('recipe', [
    'fine_tune:calibrate=1', 'fine_tune:smoothing=3', 'fine_tune:warmup=2', 'frozen:smoothing=3',
    'sgd_step:step=0', 'fastai:bs=1'])
def test_values_that_no_training_can_have(photos, nothing, recipe):
    field = recipe.split(':')[1].split('=')[0]
    with pytest.raises(UserError, match=f'^{field} is .*it must be at least') as e:
        train(photos, recipe, nothing, res=32, epochs=1, say=None)
    assert '\n' not in str(e.value)


def test_a_batch_of_one_photo_where_batch_norm_needs_two(photos, resnet18):
    with pytest.raises(UserError, match='two photos in a batch; take bs=2 or more$'):
        train(photos, 'sgd_step:epochs=1:bs=1', resnet18, res=32, say=None)


def test_fields_by_name():
    text = 'fastai:augment=off:epochs=2:lr=1e-3'
    assert find_recipe(text) == (text, Fastai(epochs=2, lr=1e-3, augment=False))
    assert find_recipe('fastai: augment = no : freeze = YES')[1] == Fastai(augment=False, freeze=True)
    assert find_recipe('fine_tune:epochs=3:share=.5:views=2')[1] == FineTune(epochs=3, share=.5, views=2)
    assert find_recipe('fine_tune:epochs=3:epochs=auto')[1] == FineTune()
    scratch = SgdStep(step=25, augment=False, arch='resnet18', res=32, weights=None)
    assert find_recipe('scratch:arch=resnet18:weights=none')[1] == scratch
    assert find_recipe('fastai:epochs=2', 5)[1].epochs == 5


def test_the_names_are_there_at_once():
    "The command line lists them, so that importing them must not import the machinery."
    code = 'import imgcls.training.recipes as r, json, sys; print(json.dumps([[*r.RECIPES], [*sys.modules]]))'
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True)
    names, modules = json.loads(done.stdout)
    assert names == NAMES.split(', ') and not {'torch', 'fastai', 'pandas', 'numpy', 'scipy'} & {*modules}


# ---- recipes of the user

@dataclass(frozen=True)
class Steady(Fastai):
    "What a user may write: all weights, one rate."
    epochs: int = 2
    lr: float = .01
    bs: int = 8

    @property
    def n_epochs(self): return self.epochs

    def train(self, learn, cbs): learn.fit(self.epochs, self.lr, cbs=cbs)


@dataclass(frozen=True)
class NearestMean(Recipe):
    "And with a `fit` of its own: the class whose mean features are nearest."
    quick = uses_features = True
    scale: float = 1.

    def fit(self, job):
        X, X_test = (torch.tensor(job.features.of(rows)).float()*self.scale for rows in (job.rows, job.test))
        means = torch.stack([X[job.y == c].mean(0) for c in range(len(job.classes))])
        head = dict(weight=means*self.scale, bias=-means.square().sum(1)/2)
        scores, probs = score_logits(X_test @ means.T + head['bias'], torch.tensor(job.y_test))
        epochs = pd.DataFrame([dict(epoch=1, phase='head', **scores)], columns=EPOCH_COLUMNS)
        return Fit(epochs, probs[None], np.zeros(1, np.float32), head)


def test_a_recipe_of_the_user_has_a_name():
    assert RECIPES['steady'] is Steady and find_recipe('nearest_mean')[1] == NearestMean()
    assert find_recipe('steady:lr=.02:bs=4') == ('steady:lr=.02:bs=4', Steady(lr=.02, bs=4))
    assert find_recipe(Steady(epochs=9)) == ('steady', Steady(epochs=9))
    with pytest.raises(UserError, match='did you mean steady'): find_recipe('stedy')
    with pytest.raises(UserError, match="nearest_mean has no field 'epochs'"): find_recipe('nearest_mean', 3)


def test_names_of_classes(registry):
    class Quick2Head(Recipe): pass
    class KNN(Recipe): name = 'neighbours'
    class Next(KNN): pass
    assert [*registry][-3:] == ['quick2_head', 'neighbours', 'next']


def test_a_cell_may_be_run_again_but_no_recipe_hides_another(registry):
    cell = 'class Mine(Recipe):\n    size = {}'
    for size in (1, 2): exec(cell.format(size), {'Recipe': Recipe, '__name__': '__main__'})
    assert registry['mine'].size == 2
    for name in ('Frozen', 'Scratch', 'Mine'):
        says = f"a recipe called '{name.lower()}' already; give yours another name"
        with pytest.raises(UserError, match=says): type(name, (Recipe,), {})
    assert registry['frozen'] is Frozen


def test_a_recipe_without_fit_says_so(registry, photos, nothing):
    class Empty(Recipe): pass
    with pytest.raises(NotImplementedError, match='Empty is a recipe without a method fit'):
        train(photos, 'empty', nothing, res=32, say=None)


def test_a_field_that_no_text_can_hold(registry):
    @dataclass(frozen=True)
    class Listed(Recipe):
        rates: tuple = (1, 2)
        most: 'int | None' = None
    assert find_recipe('listed:most=3')[1].most == 3 and find_recipe('listed:most=none')[1].most is None
    says = "^field 'rates' of recipe listed can only be set in Python$"
    with pytest.raises(UserError, match=says): find_recipe('listed:rates=3')


def test_a_recipe_of_the_user_in_train(photos, lite):
    learn = train(photos, 'nearest_mean', Features(lite, 64), say=None)
    assert isinstance(learn, Learner) and len(learn.fit_.epochs) == 1
    with learn.no_bar(): probs, _ = learn.get_preds()
    right = (probs.argmax(1).numpy() == photos.codes(photos.test)).mean()
    # fastai resizes a little differently
    assert right == pytest.approx(learn.fit_.epochs.accuracy.iloc[-1], abs=.17)
    trained = [p for p in learn.model[0].parameters() if p.requires_grad and p.ndim > 1]
    assert not trained, 'an untouched body stays frozen'


def test_a_recipe_of_the_user_in_a_study(photos, tmp_path):
    how = dict(sizes=[4], arch='cifar_net', out=tmp_path/'st', say=lambda s: None)
    st = study(photos, recipe=[Steady(), 'frozen', 'nearest_mean'], **how)
    assert set(st.runs.recipe) == {'steady', 'frozen', 'nearest_mean'} and not st.failed
    run = st.runs.run[st.runs.recipe == 'steady'].iloc[0]
    assert st.probs(run).shape[0] == 2 and set(st.rates(run)) == {np.float32(.01)}
    st = study(photos, recipe=Steady(lr=.02), **how)
    assert (st.runs.recipe == 'steady').sum() == 2, 'another rate, another run'


def test_a_study_continues_where_it_stopped(photos, tmp_path, monkeypatch):
    trained, fit = [], Fastai.fit
    monkeypatch.setattr(Fastai, 'fit', lambda self, job: trained.append(len(job.rows)) or fit(self, job))
    options = dict(recipe='fastai', arch='cifar_net', epochs=1, out=tmp_path/'st', say=lambda s: None)
    one = study(photos, sizes=[4], **options)
    both = study(photos, sizes=[4, 6], **options)
    assert trained == [12, 18] and both.runs['size'].tolist() == [4, 6]
    np.testing.assert_array_equal(both.probs(one.runs.run[0]), one.probs(one.runs.run[0]))
    for r in both.runs.itertuples():
        p = both.probs(r.run)
        assert p.shape == (2, r.n_test, 3) and (p[-1].argmax(-1) == both.targets).mean() == r.accuracy
        phases = both.epochs.phase[both.epochs.run == r.run]
        assert len(both.rates(r.run)) == 2 and phases.tolist() == ['body', 'body']


# ---- what a recipe gets

def test_a_job(photos, lite):
    rows = photos.train(4)
    job = Job(photos, rows, Features(lite, 64))
    assert job.classes == photos.classes and (np.array(job.classes)[job.y] == rows.label).all()
    assert (np.array(job.classes)[job.y_test] == job.test.label).all() and job.body is lite and job.res == 64
    assert '12 photos to train on, 12 to test on' in str(job) and len(repr(job)) < 120


def test_the_temperature_of_a_frozen_body_is_not_learned_from_test_photos(photos, nothing):
    labels = photos.df.label.where(photos.df.split == 'train', np.roll(photos.df.label, 5))
    wrong = replace(photos, df=photos.df.assign(label=labels))
    a, b = (Frozen(epochs=8, lr=.01).fit(Job(p, p.train(), Features(nothing, 32))) for p in (photos, wrong))
    assert a.temperature == b.temperature != 1 and all(torch.equal(v, b.state[k]) for k, v in a.state.items())


@pytest.mark.parametrize('recipe', ['frozen', 'fine_tune:epochs=1', 'fastai:epochs=1:bs=8'])
def test_a_class_without_test_photos(photos, nothing, recipe):
    df = photos.df[(photos.df.split == 'train') | (photos.df.label != 'fox')]
    learn = train(replace(photos, df=df), recipe, nothing, res=32, say=None)
    assert list(learn.dls.vocab) == ['deer', 'fox', 'squirrel'] and learn.fit_.probs.shape[2] == 3
    assert 0 <= learn.fit_.epochs.accuracy.iloc[-1] <= 1


# ---- one call for all

def test_frozen_learner(photos, resnet18):
    learn = train(photos, Frozen(epochs=3), Features(resnet18, 64), size=6)
    fit = learn.fit_
    assert len(fit.epochs) == 3 and set(fit.epochs.phase) == {'head'} and set(fit.state) == {'weight', 'bias'}
    probs, _ = learn.get_preds(dl=learn.dls.valid)
    # fastai resizes a little differently, in 32 bits
    assert np.abs(calibrate(probs.numpy(), fit.temperature) - fit.probs[-1]).max() < .1
    matrix = ClassificationInterpretation.from_learner(learn).confusion_matrix()
    assert matrix.sum() == len(photos.test)
    names = {n for n, p in learn.model.named_parameters() if p.requires_grad and p.ndim > 1}
    assert names == {'1.weight'}, 'the body must stay frozen when the user trains on'


@pytest.mark.parametrize('recipe', ['fastai:freeze=on:epochs=2', 'sgd_step:freeze=on:epochs=2:lr=.01'])
def test_a_body_that_stays_frozen(photos, resnet18, recipe):
    learn = train(photos, recipe+':bs=8', Features(resnet18, 64), say=None)
    ours = [v for v in resnet18.module.state_dict().values() if v.ndim == 4]
    theirs = [v.cpu() for v in learn.model[0].state_dict().values() if v.ndim == 4]
    same = [torch.equal(a, b) for a, b in zip(ours, theirs, strict=True)]
    assert len(ours) == 20 and all(same), 'the body was trained'
    if recipe.startswith('sgd_step'):  # nor its batch norms: neither what they learn nor what they count
        before, after = resnet18.module.state_dict(), learn.model[0].state_dict()
        assert all(torch.equal(v, after[k].cpu()) for k, v in before.items())
    assert list(learn.fit_.epochs.phase) == ['head', 'head'] and learn.fit_.probs.shape[0] == 2
    assert not np.array_equal(learn.fit_.probs[0], learn.fit_.probs[1])


def test_rates_that_fall_in_steps(photos, nothing):
    fit = train(photos, 'sgd_step:epochs=7:step=3:gamma=.5:bs=9:lr=.01', nothing, res=32, say=None).fit_
    per_epoch = len(fit.rates)//7
    assert per_epoch == 2
    np.testing.assert_allclose(fit.rates, np.repeat(.01*.5**(np.arange(7)//3), per_epoch), rtol=1e-6)
    assert list(fit.epochs.phase) == ['body']*7


def test_scratch_needs_no_words(photos, nothing):
    learn = train(photos, 'scratch:epochs=1', say=None)
    assert type(learn.model[0]).__name__ == '_CifarNet' and learn.dls.train.bs == 4
    assert learn.dls.valid.one_batch()[0].shape[1:] == (3, 32, 32)
    fresh = nothing.module.state_dict()
    moved = [(v.cpu()-fresh[k]).abs().max() for k, v in learn.model[0].state_dict().items()]
    assert all(0 < m < .1 for m in moved), 'it begins with the seed\'s random weights, and all of them learn'


@pytest.mark.parametrize('options', [
    dict(seed='x'), dict(seed=None), dict(seed=-1), dict(seed=1.5), dict(size=2.5), dict(size=[5]),
    dict(res=5), dict(res='x'), dict(res=-32), dict(body=5), dict(body=None), dict(epochs='x'),
    dict(photos=5)])
def test_an_option_of_another_type_is_one_line(photos, options):
    how = dict(photos=photos, recipe='frozen', body='cifar_net', say=None) | options
    with pytest.raises(UserError): train(**how)


def test_a_few_photos_are_enough(lite):
    few = read_photos(synth_folder(classes=('fox', 'deer'), per_class=4, side=64), test=.25)
    assert len(few) == 8
    fit_of = lambda recipe: train(few, recipe, lite, res=64, say=None).fit_
    plain, more = (fit_of(f'frozen:augment={word}') for word in ('off', 'on'))
    assert len(more.rates) > 4*len(plain.rates), 'there are no other views'
    for word, fit in (('off', plain), ('on', more)):
        assert len(fit.epochs) == 4 and fit.epochs.train_loss.iloc[-1] < fit.epochs.train_loss.iloc[0]
        np.testing.assert_array_equal(fit.probs, fit_of(f'frozen:augment={word}').probs)
    assert fit_of('fine_tune:epochs=1').temperature == 1, 'nothing can be held out'


def test_a_learner_that_can_be_trained_on(photos, lite):
    learn = train(photos, QUICK, Features(lite, 64), say=None)
    before = learn.model[0].conv_stem.weight.detach().cpu().clone()
    with learn.no_bar(), learn.no_logging(): learn.fit(1, 1e-2)
    after = learn.model[0].conv_stem.weight.cpu()
    assert not torch.equal(before, after), 'all weights of the model that comes back can be trained'


@pytest.mark.parametrize('recipe', ['frozen:epochs=1', 'sgd_step:epochs=1'])
def test_a_learner_takes_what_those_of_fastai_take(folder, photos, nothing, recipe):
    learn = train(photos, recipe, nothing, res=32, say=None)
    file = Path(photos.test.path.iloc[0])
    data, img = file.read_bytes(), Image.open(file)
    forms = [file, str(file), data, memoryview(data), img, img.convert('RGBA'), np.array(img),
             PILImage.create(file), TensorImage(np.array(img)).permute(2, 0, 1)]
    grey = np.array(img.convert('L'))
    turned, exif = img.copy(), Image.Exif()
    exif[0x112] = 3  # upside down
    turned.transpose(Image.Transpose.ROTATE_180).save(upside := io.BytesIO(), 'PNG', exif=exif)
    with learn.no_bar():
        first = learn.get_preds(dl=learn.dls.valid)[0][0]
        for form in [*forms, Image.open(upside)]:
            assert torch.allclose(learn.predict(form)[2], first, atol=1e-5), type(form)
        assert torch.equal(learn.predict(grey)[2], learn.predict(Image.fromarray(grey))[2])
        files = get_image_files(folder)
        for items in (files, [str(f) for f in files], [np.array(Image.open(f)) for f in files]):
            probs = learn.get_preds(dl=learn.dls.test_dl(items))[0]
            assert len(probs) == 36 and torch.allclose(probs[files.index(file)], first, atol=1e-5)
        assert torch.allclose(pickle.loads(pickle.dumps(learn)).predict(data)[2], first, atol=1e-5)


ANOTHER = '''import sys
from fastai.learner import load_learner
learn = load_learner(sys.argv[1])
with learn.no_bar(): print(*learn.predict(sys.argv[2])[2].tolist())'''


def test_an_exported_learner_serves_another_program(photos, nothing, tmp_path):
    learn, file = train(photos, 'frozen:epochs=1', nothing, res=32, say=None), photos.test.path.iloc[0]
    learn.export(tmp_path/'mine.pkl')
    done = subprocess.run([sys.executable, '-c', ANOTHER, tmp_path/'mine.pkl', file],
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    with learn.no_bar():
        assert np.allclose([float(x) for x in done.stdout.split()], learn.predict(file)[2], atol=1e-5)


def test_a_folder_is_enough(folder, nothing):
    said = []
    learn = train(folder, 'frozen', nothing, size=4, res=32, say=said.append)
    assert len(learn.dls.train_ds) == 12 and len(said) == 1 and said[0].startswith('frozen: accuracy ')


# ---- what is shown

def test_it_ends_with_how_good_it_got(photos, nothing):
    said = []
    learn = train(photos, 'frozen', nothing, res=32, say=said.append)
    line, share = said[0].removeprefix('frozen: '), learn.fit_.epochs.accuracy.iloc[-1]
    assert len(said) == 1
    assert line.startswith(f'accuracy {100*share:.1f} % on 12 test photos (95 % interval: ')
    assert repr(learn) == f'fastai Learner for deer, fox, squirrel, trained to {line}'
    assert repr(learn.fit_).startswith('4 epochs: accuracy')


def test_a_learner_of_others_looks_as_ever(photos, nothing):
    learn = train(photos, 'frozen', nothing, res=32, say=None)
    del learn.fit_
    assert repr(learn).startswith('<fastai.learner.Learner object at 0x')


@pytest.mark.usefixtures('same_numbers')  # the last epoch of a training in 16 bits is scored again
@pytest.mark.parametrize('recipe, n', [
    ('frozen:epochs=3', 3), ('fine_tune:epochs=2', 3), ('fastai:epochs=1:bs=8', 2)])
def test_a_terminal_gets_a_line_an_epoch(photos, lite, monkeypatch, recipe, n):
    monkeypatch.setattr(recipes, '_watched', lambda: 'terminal')
    monkeypatch.setattr('imgcls.core._watched', lambda: '')  # no bars
    said = []
    learn = train(photos, recipe, Features(lite, 64), size=4, say=said.append)
    lines = said[-n-2:-1]
    assert lines[0] == 'epoch  training loss  test loss  accuracy  seconds'
    for line, r in zip(lines[1:], learn.fit_.epochs.itertuples(), strict=True):
        assert line.split()[0] == str(r.epoch) and len(line) == len(lines[0])
        losses = [f'{r.train_loss:.3f}', f'{r.valid_loss:.3f}']
        assert line.split()[1:] == [*losses, f'{100*r.accuracy:.1f}', '%', f'{r.seconds:.1f}']


def test_a_notebook_gets_a_table_that_fills(photos, nothing, monkeypatch):
    shown = []

    class Handle:
        def update(self, html): shown.append(html.data)

    def display(html, display_id):
        shown.append(html.data)
        return Handle()
    monkeypatch.setattr(recipes, '_watched', lambda: 'notebook')
    monkeypatch.setattr('IPython.display.display', display)
    said = []
    train(photos, 'frozen:epochs=3', nothing, res=32, say=said.append)
    assert [s.count('<tr') for s in shown] == [2, 3, 4] and 'test loss' in shown[0] and len(said) == 1


def test_nothing_is_shown_where_nobody_watches(photos, nothing, capfd):
    train(photos, 'frozen', nothing, res=32, say=None)
    assert capfd.readouterr() == ('', '')
    train(photos, 'frozen', nothing, res=32)
    out, err = capfd.readouterr()
    assert len(out.splitlines()) == 1 and not err


# ---- `DataLoaders` of the user

def loaders(kind, folder):
    how = dict(item_tfms=Resize(64), bs=8, num_workers=0)
    files = get_image_files(folder)
    labels = [f.parent.name for f in files]
    if kind == 'folder': return ImageDataLoaders.from_folder(folder, valid_pct=.3, seed=1, **how)
    if kind == 'lists': return ImageDataLoaders.from_lists(folder, files, labels, valid_pct=.3, seed=1, **how)
    names = [str(f.relative_to(folder)) for f in files]
    df = pd.DataFrame(dict(name=names, label=labels, held=np.arange(len(files)) % 3 == 0))
    return ImageDataLoaders.from_df(df, folder, fn_col='name', label_col='label', valid_col='held', **how)


@pytest.mark.parametrize('kind', ['folder', 'lists', 'df'])
def test_loaders_of_the_user(folder, lite, kind):
    dls, said = loaders(kind, folder), []
    learn = train(dls, body=lite, epochs=1, say=said.append)
    assert isinstance(learn, Learner) and list(learn.dls.vocab) == list(dls.vocab)
    assert learn.dls.valid.one_batch()[0].shape[-1] == 64 and 'at 64 px' in said[0]
    t = photos_of(dls).df
    assert (t.split == 'test').sum() == dls.valid.n and (t.split == 'train').sum() == len(dls.train_ds)
    assert all(p.split('/')[-2] == c for p, c in zip(t.path, t.label))
    items = dls.valid.items
    held = dict(folder=lambda: items, lists=lambda: [f for f, _ in items],
                df=lambda: [folder/n for n in items['name']])[kind]()
    assert {*t.path[t.split == 'test']} == {*map(str, held)}
    with learn.no_bar(), learn.no_logging(): loss, right = learn.validate()
    last = learn.fit_.epochs.iloc[-1]
    assert right == pytest.approx(last.accuracy, abs=1.1/dls.valid.n)
    assert loss == pytest.approx(last.valid_loss, abs=.06)


def test_loaders_of_tensors_are_refused(lite):
    x, y = torch.zeros(8, 3, 32, 32), torch.arange(8) % 2
    pairs, how = [*zip(x, y)], dict(bs=4, num_workers=0, device='cpu')
    plain = torch.utils.data.TensorDataset(x, y)
    several = [tensor_dls(Tensors(x, y), Tensors(x, y), ['a', 'b'], 4),
               DataLoaders.from_dsets(pairs, pairs, **how),
               DataLoaders(*(torch.utils.data.DataLoader(plain, 4) for _ in range(2))),
               DataLoaders.from_dsets(*(TfmdLists(pairs, [lambda p: p]) for _ in range(2)), **how)]
    for dls in several:
        with pytest.raises(UserError, match='give train photos, from read_photos') as e:
            train(dls, body=lite, say=None)
        assert '\n' not in str(e.value)
