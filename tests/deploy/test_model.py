"""Models that are kept: what comes back, what the files of strangers can't do, and `imgcls predict`."""
import io
import json
import os
import pickle
import random
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file
from safetensors.torch import save as to_bytes
from torch import nn

from imgcls import cli
from imgcls.core import UserError
from imgcls.data.decode import decode
from imgcls.data.synth import scene_bytes, synth_folder
from imgcls.data.table import read_photos
from imgcls.deploy.model import Model
from imgcls.studies.study import study
from imgcls.training import engine as engine_room
from imgcls.training.features import Features
from imgcls.training.head import body_and_head
from imgcls.training.learner import fastai_dls, fastai_learner
from imgcls.training.models import find_weights, load_body
from imgcls.training.pixels import to_pixels
from imgcls.training.recipes import Fastai, Job

CLASSES = ['deer', 'fox', 'squirrel']
CROP = dict(res=32, method='crop', resample='bilinear', mean=[.5]*3, std=[.5]*3)
RANDOM = dict(origin='random', name='random weights', sha='', file='')
FIGURES = dict(run='r', recipe='scratch', size=5, seed=0, n_train=15, n_test=30, accuracy=.5)


def silent(_): pass


def about(arch='cifar_net', kind='plain', res=32, **change):
    d = dict(format=1, kind=kind, arch=arch, classes=CLASSES, transform=dict(CROP, res=res),
             weights=dict(RANDOM), temperature=1.5, figures=dict(FIGURES), versions=dict(torch='2'))
    return d | change


def write(path, state, text, **more):
    "A model's file by hand; `text` is the description, a dict or the JSON itself."
    meta = {} if text is None else dict(imgcls=text if isinstance(text, str) else json.dumps(text))
    Path(path).write_bytes(to_bytes({k: v.clone().contiguous() for k, v in state.items()}, {**meta, **more}))
    return Path(path)


def net(arch='cifar_net', n=3, seed=0):
    torch.manual_seed(seed)
    return body_and_head(load_body(find_weights(arch, 'random')), n).eval()


def answers(module, files, res=32, temperature=1.5):
    "Probabilities the long way round."
    x = to_pixels([decode(Path(f).read_bytes(), res) for f in files], res, 'crop', 'bilinear')
    with torch.inference_mode(): return (module((x.float()/255-.5)/.5)/temperature).softmax(1).numpy()


def probs(model, photos): return model.probabilities(photos).drop(columns='path').to_numpy()


def tell(path):
    "The one line with which a file is refused."
    with pytest.raises(UserError) as e: Model.load(path)
    text = str(e.value)
    assert '\n' not in text and len(text) < 900 and Path(path).name in text
    return text


@pytest.fixture
def same_numbers(monkeypatch):
    "Let a graphics card calculate as the processor does: in 32 bits, which it else shortens to 19."
    monkeypatch.setattr(torch.backends.cudnn, 'allow_tf32', False)


@pytest.fixture(scope='module')
def photos(tmp_path_factory):
    root = tmp_path_factory.mktemp('photos')
    for i in range(70): (root/f'{i:02}.jpg').write_bytes(scene_bytes(CLASSES[i % 3], i, side=48))
    return root


@pytest.fixture(scope='module')
def plain(tmp_path_factory):
    return write(tmp_path_factory.mktemp('m')/'model.safetensors', net().state_dict(), about())


@pytest.fixture(scope='module')
def scenes(): return synth_folder(per_class=25, side=64)


@pytest.fixture(scope='module')
def st(scenes, tmp_path_factory):
    "A study of two sizes, whose runs keep heads of an untouched body."
    out = tmp_path_factory.mktemp('s')/'st'
    how = dict(recipe='frozen', arch='efficientnet_lite0', res=64, seeds=2, say=silent)
    return study(scenes, sizes=[5, 10], out=out, **how)


# ---- there and back

@pytest.mark.usefixtures('same_numbers')
def test_plain_answers_as_the_net_does(plain, photos):
    m = Model.load(plain)
    t, files = m.predict(photos), sorted(photos.iterdir())
    assert [*t.columns] == ['path', 'label', 'probability', 'second', 'second_probability', 'reason']
    assert t.path.tolist() == [str(f) for f in files] and set(t.reason) == {''}
    p = answers(net(), files)
    assert np.abs(probs(m, photos)-p).max() < 1e-5
    assert [*m.probabilities(files[:2]).columns] == ['path', *CLASSES]
    assert t.label.tolist() == [CLASSES[i] for i in p.argmax(1)] and np.allclose(t.probability, p.max(1))
    assert t.second.tolist() == [CLASSES[i] for i in p.argsort(1)[:, 1]]
    assert (t.second_probability <= t.probability).all()
    assert not m.module.training and m.temperature == 1.5 and '\n' not in repr(m) and '50.0%' in repr(m)


def test_temperature_makes_bolder_or_more_careful(tmp_path, photos):
    by = {}
    for t in (.5, 1., 5.):
        file = write(tmp_path/'m.safetensors', net().state_dict(), about(temperature=t))
        by[t] = Model.load(file).predict(photos)
    assert (by[.5].probability > by[1.].probability).all() and (by[1.].probability > by[5.].probability).all()
    assert by[.5].label.tolist() == by[5.].label.tolist()


def description(file):
    with safe_open(file, 'pt') as f: return json.loads(f.metadata()['imgcls'])


def test_saved_file_equals_the_one_it_came_from(plain, tmp_path, photos):
    file = Model.load(plain).save(tmp_path/'new'/'m.safetensors')
    a, b = load_file(plain), load_file(file)
    assert a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)
    assert description(plain) == description(file)
    assert (probs(Model.load(file), photos) == probs(Model.load(plain), photos)).all()
    assert [p.name for p in file.parent.iterdir()] == ['m.safetensors']


def test_save_never_overwrites_unasked(plain, tmp_path, monkeypatch):
    m, file = Model.load(plain), tmp_path/'m.safetensors'
    file.write_text('mine')
    with pytest.raises(UserError, match='exists; name another file, or say overwrite=True'): m.save(file)
    with pytest.raises(UserError, match='is a folder'): m.save(tmp_path)
    assert file.read_text() == 'mine'
    monkeypatch.setattr('imgcls.deploy.file.to_bytes', lambda *_: 1/0)  # breaks off in the middle
    with pytest.raises(ZeroDivisionError): m.save(file, overwrite=True)
    monkeypatch.undo()
    assert file.read_text() == 'mine' and len([*tmp_path.iterdir()]) == 1
    assert Model.load(m.save(file, overwrite=True)).classes == CLASSES


def job(photos, body, res): return Job(photos, photos.train(), Features(body, res))


@pytest.mark.usefixtures('same_numbers')
@pytest.mark.parametrize('arch, res', [('resnet18', 64), ('test_efficientnet', 64), ('cifar_net', 32)])
def test_fastai_models_come_back(arch, res, scenes, tmp_path, photos):
    body = load_body(find_weights(arch, 'random'))
    dls = fastai_dls(job(read_photos(scenes), body, res), Fastai(bs=8))
    learn = fastai_learner(dls, body)
    net = learn.model.cpu().eval()
    kind = 'plain' if '1.weight' in net.state_dict() else 'fastai'
    file = write(tmp_path/'model.safetensors', net.state_dict(), about(arch, kind, res))
    m, files = Model.load(file), sorted(photos.iterdir())[:5]
    assert np.abs(probs(m, files)-answers(net, files, res)).max() < 1e-5
    assert (probs(Model.load(m.save(tmp_path/'again.safetensors')), files) == probs(m, files)).all()
    groups = len(m.to_learner(dls).splitter(m.module))
    if kind == 'fastai': assert groups == len(learn.splitter(learn.model))


# ---- of a study

def test_study_gives_its_largest_run(st, tmp_path):
    told = []
    m = Model.load(st.path, say=told.append)
    best = st.runs[(st.runs['size'] == 10) & (st.runs.seed == 0)].iloc[0]
    assert len(told) == 1 and best.run in told[0]
    assert m.figures['run'] == best.run and m.figures['accuracy'] == best.accuracy
    assert m.classes == st.classes and m.transform['res'] == 64
    for one in (Model.load(st.path/'runs'/best.run, say=told.append), st.model(best.run, say=told.append)):
        assert len(told) == 1 and one.figures == m.figures  # a run of your own choice: no message
    files = st.photos.test.path.tolist()
    p, kept = probs(m, files), st.probs(best.run)[-1].astype(float)
    # the features were made in 16 bits
    assert np.abs(p-kept).max() < .1 and (p.argmax(1) == kept.argmax(1)).mean() > .9
    assert np.abs(probs(Model.load(m.save(tmp_path/'alone.safetensors')), files)-p).max() < 1e-5


def test_study_predicts(st, photos):
    t = st.predict(photos/'00.jpg', say=silent)
    assert t.equals(st.model(say=silent).predict(photos/'00.jpg'))
    with pytest.raises(UserError, match="no run 'x'"): st.predict(photos, run='x')


RECIPES = [('frozen', 'plain'), ('fine_tune:epochs=1', 'plain'), ('scratch:epochs=2', 'plain'),
           ('fastai:epochs=1', 'fastai'), ('sgd_step:epochs=1', 'plain')]


@pytest.mark.parametrize('recipe, kind', RECIPES)
def test_runs_of_every_kind_answer_as_they_were_scored(recipe, kind, scenes, tmp_path):
    arch = {} if recipe.startswith('scratch') else dict(arch='efficientnet_lite0', res=64)
    st = study(scenes, sizes=[10], recipe=recipe, seeds=1, **arch, out=tmp_path/'st', say=silent)
    m, files = st.model(), st.photos.test.path.tolist()
    assert m.kind == kind and m.figures['recipe'] == st.runs.recipe[0]
    assert m.temperature == pytest.approx(st.runs.temperature[0], abs=1e-3)
    p, kept = probs(m, files), st.probs(st.runs.run[0])[-1].astype(float)
    assert np.abs(p-kept).max() < .001
    assert np.abs(probs(Model.load(m.save(tmp_path/'again.safetensors')), files)-p).max() < 1e-5


@pytest.mark.parametrize('recipe, res', [('frozen', 32), ('fine_tune:epochs=1', 64)])
def test_models_answer_as_they_were_scored_where_16_bits_are_fast(recipe, res, scenes, tmp_path, monkeypatch):
    "A frozen body computes in them, as on some processors; another is trained in them, as on graphics cards."
    monkeypatch.setattr(torch.cpu, 'get_capabilities', lambda: dict(avx512_bf16=recipe == 'frozen'))
    short = lambda *a: (torch.bfloat16, 'bf16')
    monkeypatch.setattr('imgcls.training.finetune.training_precision', short)
    how = dict(arch='efficientnet_lite0', res=res, seeds=1, say=silent)
    st = study(scenes, sizes=[10], recipe=recipe, out=tmp_path/'st', **how)
    m, kept = st.model(), st.probs(st.runs.run[0])[-1].astype(float)
    if not torch.cuda.is_available(): assert ('numbers' in m.transform) == (recipe == 'frozen')
    assert np.abs(probs(m, st.photos.test.path.tolist())-kept).max() < .001
    assert st.runs.accuracy[0] == (kept.argmax(1) == st.targets).mean()


# ---- grey photos with more than 8 bits

@pytest.mark.parametrize('recipe', ['frozen', 'fine_tune:epochs=1:views=1'])
def test_many_photos_go_through_the_graph_of_the_study(recipe, scenes, tmp_path, monkeypatch, same_numbers):
    "Where a graph is faster, answers are those of PyTorch but for rounding; a frozen model has one already."
    monkeypatch.setenv('IMGCLS_CACHE', str(tmp_path/'cache'))
    monkeypatch.setattr(torch.cpu, 'get_capabilities', dict)  # a processor without fast 16-bit numbers
    monkeypatch.setattr(engine_room, '_WORTH_IT', 0)
    st = study(scenes, sizes='all', recipe=recipe, arch='efficientnet_lite0', seeds=1, res=64, say=None,
               out=tmp_path/'st')
    model, made, real = st.model(), [], engine_room.onnx_graph
    paths = [*st.photos.df.path[:70], __file__]
    with monkeypatch.context() as m:
        m.setattr(engine_room, '_pays_off', lambda *a: (False, False))
        want = model.probabilities(paths)
    monkeypatch.setattr(engine_room, 'onnx_graph', lambda *a: made.append(a) or real(*a))
    got = model.probabilities(paths)
    assert len(made) == (recipe != 'frozen')
    np.testing.assert_allclose(got[st.classes], want[st.classes], atol=1e-3)
    assert not np.array_equal(got[st.classes][:70], want[st.classes][:70]), 'the graph was not used'
    assert got[st.classes][70:].isna().all(axis=None) and got.path.tolist() == want.path.tolist()


@pytest.fixture(scope='module')
def deep(tmp_path_factory):
    "Ten bits in sixteen: read as sixteen, all photos are black; read alone, all are as light."
    root = tmp_path_factory.mktemp('deep')
    for label, light in dict(dim=.2, lit=.8).items():
        (root/label).mkdir()
        for i in range(16):
            x = np.random.default_rng([i, int(100*light)]).random((12, 12))*light
            x = np.kron(x*1023, np.ones((4, 4))).round().astype(np.uint16)
            Image.fromarray(x).save(root/label/f'{i}.png')
    return root


DEEP = ['frozen', 'frozen:augment=on:epochs=5', 'fine_tune:epochs=3', 'fastai:epochs=3:bs=8',
        'sgd_step:epochs=12:bs=8:lr=0.1', 'scratch:epochs=12:lr=0.02:bs=8']


@pytest.mark.parametrize('recipe', DEEP)
def test_grey_photos_of_ten_bits_are_learned_and_predicted_alike(recipe, deep, tmp_path):
    st = study(deep, sizes=['all'], recipe=recipe, arch='cifar_net', weights='random', res=32, seeds=1,
               out=tmp_path/'st', say=silent)
    assert len(st.photos) == 32 and not len(st.photos.pairs), 'black photos would all be alike'
    assert st.photos.span == '0,1023' and 'shown black and 1023 white' in st.photos.notes[0]
    m, kept = st.model(say=silent), st.probs(st.runs.run[0])[-1].astype(float)
    one_by_one = np.concatenate([probs(m, path) for path in st.photos.test.path])
    assert np.abs(one_by_one-kept).max() < .001
    assert st.runs.accuracy[0] > .9, 'read as 16 bits it is a half'


def test_study_without_runs(st, tmp_path):
    shutil.copytree(st.path, tmp_path/'st', ignore=shutil.ignore_patterns('runs'))
    assert 'has no finished run yet' in tell(tmp_path/'st')
    (tmp_path/'empty').mkdir()
    assert 'is not a study' in tell(tmp_path/'empty')
    assert 'no study, run or model' in tell(tmp_path/'nowhere')


# ---- photos

@pytest.mark.usefixtures('same_numbers')
def test_photos_in_every_form(plain, photos, tmp_path):
    m, file = Model.load(plain), photos/'00.jpg'
    data = file.read_bytes()
    (tmp_path/'a'/'b').mkdir(parents=True)
    for name in ('a/x.jpg', 'a/b/y.JPEG'): (tmp_path/name).write_bytes(data)
    (tmp_path/'a'/'readme.txt').write_text('not a photo by its name')
    cmyk = Image.open(io.BytesIO(data)).convert('CMYK').convert('RGB')
    forms = [file, str(file), data, bytearray(data), Image.open(file), cmyk, tmp_path]
    t, p = m.predict(forms), probs(m, forms)
    names = ['00.jpg', '00.jpg', 'photo 3', 'photo 4', 'photo 5', 'photo 6']
    assert [Path(f).name for f in t.path] == [*names, 'y.JPEG', 'x.jpg'] and set(t.reason) == {''}
    assert np.abs(p[[0, 1, 2, 3, 4, 6, 7]]-p[0]).max() < 1e-6 and np.abs(p[5]-p[0]).max() < .05
    for one in (file, data, Image.open(file)): assert len(m.predict(one)) == 1


def test_photos_are_turned_upright(plain, photos):
    turned, exif = io.BytesIO(), Image.Exif()
    exif[0x112] = 6
    Image.open(photos/'00.jpg').save(turned, 'PNG', exif=exif)
    turned = turned.getvalue()
    assert Model.load(plain).predict([turned, Image.open(io.BytesIO(turned))]).probability.nunique() == 1


MODES = ['1', 'L', 'LA', 'P', 'RGBA', 'CMYK', 'YCbCr', 'HSV', 'LAB', 'I', 'F', 'I;16']


@pytest.mark.parametrize('mode', MODES)
def test_pictures_of_every_mode(mode, plain):
    assert Model.load(plain).predict(Image.new(mode, (40, 50))).reason.tolist() == ['']


def test_what_cannot_be_predicted_does_not_stop_the_others(plain, photos, tmp_path):
    (tmp_path/'cut.jpg').write_bytes((photos/'00.jpg').read_bytes()[:700])
    (tmp_path/'page.jpg').write_text('<html>')
    os.symlink('nowhere', tmp_path/'link.jpg')
    (tmp_path/'again').symlink_to(tmp_path)
    m, asked = Model.load(plain), [tmp_path, 'gone.jpg', Image.new('RGB', (3, 3)), *sorted(photos.iterdir())]
    t = m.predict(asked)
    bad = t[t.reason != '']
    why = {Path(p).name: reason.split(' ')[0] for p, reason in zip(bad.path, bad.reason)}
    assert why == {'cut.jpg': 'truncated', 'page.jpg': 'not', 'link.jpg': 'broken', 'gone.jpg': 'no',
                   'photo 3': '3×3'}
    assert len(t) == 75 and t.path.tolist()[-70:] == [str(f) for f in asked[3:]]  # in their order
    assert set(bad.label) == set(bad.second) == {''} and bad.probability.isna().all()
    assert m.probabilities(asked).deer.isna().sum() == 5
    none = m.predict(tmp_path)  # photos were named, and not one is good
    assert len(none) == 3 and (none.reason != '').all()


def test_tables_of_predictions_are_plain_tables(plain, photos, tmp_path):
    m = Model.load(plain)
    a, b = m.predict(photos/'00.jpg'), m.predict(photos/'01.jpg')
    assert len(pd.concat([a, b])) == 2 and len(a.merge(b, how='cross')) == 1 and a.attrs == {}
    a.to_parquet(tmp_path/'a.parquet')


def test_no_photo_at_all(plain, tmp_path):
    m = Model.load(plain)
    (tmp_path/'readme.txt').write_text('')
    for none in ([], tmp_path, 'gone.jpg', ['gone.jpg', tmp_path], 'a\0b'):
        with pytest.raises(UserError, match='no photo found'): m.predict(none)
    with pytest.raises(UserError, match='with float in it'): m.predict([1.5])


@pytest.mark.usefixtures('same_numbers')
def test_open_files_buffers_and_arrays(plain, photos, tmp_path):
    m, file = Model.load(plain), photos/'00.jpg'
    data, picture = file.read_bytes(), Image.open(file)
    read = open(file, 'rb')  # noqa: SIM115 (as a user leaves it)
    read.read()  # a file that was read before is a photo all the same
    grey = picture.convert('L')
    class Upload:  # as web frameworks give it
        def read(self): return data
    class Entry(os.PathLike):
        def __fspath__(self): return os.fsencode(file)
    forms = [open(file, 'rb'), read, io.BytesIO(data), Upload(), Entry(),  # noqa: SIM115
             memoryview(data), memoryview(bytearray(data)), np.array(picture), np.array(picture)[::1, :, :]]
    p = probs(m, [*forms, np.array(grey), grey, np.array(picture)[..., ::-1]])
    assert np.abs(p[:len(forms)]-p[0]).max() < 1e-6 and (p[-3] == p[-2]).all()
    assert np.abs(p[-1]-p[0]).max() > 1e-6, 'blue and red must not be the same'
    for one in forms[:-1]: assert (probs(m, one) == probs(m, [one])).all()
    path = str(file)
    several = (path, file), {file: 1}.keys(), pd.Series([path]*2), np.array([path]), iter([file])
    assert [len(m.predict(x)) for x in several] == [2, 1, 2, 1, 1]


class Closed(io.BytesIO):
    def read(self): raise ValueError('I/O operation on closed file')


@pytest.mark.parametrize('what, says', [
    (5, 'not int'), (None, 'not NoneType'), ([None], 'NoneType in it'), (dict(a=1), 'not dict'),
    (pd.DataFrame(dict(path=['a'])), 'not DataFrame'), ([['a.jpg']], 'list with list in it'),
    (torch.zeros(3, 8, 8), 'not Tensor'), (np.zeros((8, 8)), 'not 8 × 8, float64'),
    (np.zeros((3, 8, 9), np.uint8), 'not 3 × 8 × 9, uint8'), (np.zeros((2, 8, 8, 3), np.uint8), 'not 2 × 8'),
    ([np.zeros(8, np.uint16)], 'not 8, uint16'), (io.StringIO('abc'), 'not one of str'),
    (Closed(), 'closed file'), ('', 'the path is empty'), ([''], 'the path is empty'),
    (['~nobody/here', ''], 'no such file')])
def test_what_is_no_photo_is_refused_by_name(what, says, plain, photos, monkeypatch):
    monkeypatch.chdir(photos)  # which is never looked at unasked
    with pytest.raises(UserError, match=says) as e: Model.load(plain).predict(what)
    assert '\n' not in str(e.value)


def test_an_empty_path_beside_a_photo_has_its_reason(plain, photos, monkeypatch):
    monkeypatch.chdir(photos)
    assert Model.load(plain).predict(['00.jpg', '']).reason.tolist() == ['', 'the path is empty']


@pytest.mark.parametrize('nothing', [None, 5, '', b'x', []])
def test_what_is_no_model_is_refused(nothing, plain, monkeypatch):
    monkeypatch.chdir(plain.parent)  # which is never looked at unasked
    with pytest.raises(UserError, match='expected the name of a file or folder as the study, run or model'):
        Model.load(nothing)
    with pytest.raises(UserError, match='as the model'): Model.load(plain).save(nothing)


def test_the_home_folder_in_paths(plain, photos, monkeypatch):
    monkeypatch.setenv('HOME', str(plain.parent))
    m = Model.load(f'~/{plain.name}')
    file = m.save('~/again.safetensors')
    assert file == plain.parent/'again.safetensors' and Model.load(file).classes == m.classes
    monkeypatch.setenv('HOME', str(photos))
    assert m.predict('~/00.jpg').path.tolist() == [str(photos/'00.jpg')]


# ---- training it further

def test_learner_trains_on_and_leaves_the_model_alone(plain, scenes):
    m = Model.load(plain)
    dls = fastai_dls(job(read_photos(scenes), load_body('cifar_net'), 32), Fastai(bs=8))
    before = [p.clone() for p in m.module.parameters()]
    learn = m.to_learner(dls)
    with learn.no_bar(), learn.no_logging(): learn.fit(1, 1e-3)
    assert all(torch.equal(a, b) for a, b in zip(before, m.module.parameters()))
    assert not torch.equal(before[0], [*learn.model.parameters()][0].cpu())
    learn.freeze()
    body, head = learn.model
    assert all(p.requires_grad for p in head.parameters())
    assert not any(p.requires_grad for p in body.parameters())


def test_learner_wants_the_same_classes_and_adds_what_is_missing(plain, scenes):
    from fastai.vision.all import CategoryBlock, ColReader, DataBlock, ImageBlock, Normalize, Resize
    m, df = Model.load(plain), read_photos(scenes).df

    def dls(vocab):
        blocks = ImageBlock, CategoryBlock(vocab=vocab, sort=False)
        block = DataBlock(blocks, get_x=ColReader('path'), get_y=ColReader('label'), item_tfms=Resize(32))
        return block.dataloaders(df, bs=8, num_workers=0)

    def norms(): return [f for f in good.after_batch.fs if isinstance(f, Normalize)]
    good = dls(CLASSES)
    m.to_learner(good)
    assert len(norms()) == 1 and norms()[0].mean.flatten().tolist() == [.5]*3
    m.to_learner(good)  # twice is not two norms
    assert len(norms()) == 1
    order = 'come in another order: the model has deer, fox, squirrel'
    with pytest.raises(UserError, match=order): m.to_learner(dls(CLASSES[::-1]))
    with pytest.raises(UserError, match="the model doesn't know wolf"): m.to_learner(dls([*CLASSES, 'wolf']))
    fewer = Model(net(n=4), [*CLASSES, 'wolf'], 'cifar_net', m.transform)
    with pytest.raises(UserError, match='the DataLoaders lack wolf'): fewer.to_learner(good)


# ---- files of strangers

class Evil:
    def __init__(self, folder): self.folder = folder
    def __reduce__(self): return os.mkdir, (str(self.folder/'owned'),)


def test_first_bytes_tell_and_nothing_is_run(tmp_path):
    evil = Evil(tmp_path)
    for protocol in range(2, 6):
        (tmp_path/'a.safetensors').write_bytes(pickle.dumps(evil, protocol))
        assert 'is a pickle' in tell(tmp_path/'a.safetensors')
    torch.save(net(), tmp_path/'b.safetensors')
    assert 'PyTorch file or another zip' in tell(tmp_path/'b.safetensors')
    torch.save(evil, tmp_path/'c.pth', _use_new_zipfile_serialization=False)
    assert 'is a pickle' in tell(tmp_path/'c.pth')
    with zipfile.ZipFile(tmp_path/'d.safetensors', 'w') as z: z.writestr('x', 'y')
    assert 'zip' in tell(tmp_path/'d.safetensors')
    (tmp_path/'e.safetensors').write_bytes(b'')
    assert 'is empty' in tell(tmp_path/'e.safetensors')
    for content in (b'{', b'\x89PNG\r\n\x1a\nabc', pickle.dumps(evil, 0)):
        (tmp_path/'e.safetensors').write_bytes(content)
        assert 'not a safetensors file' in tell(tmp_path/'e.safetensors')
    # bytes that begin as a safetensors file does, and continue as a pickle
    (tmp_path/'f.safetensors').write_bytes(b'\x02\0\0\0\0\0\0\0{}'+pickle.dumps(evil))
    tell(tmp_path/'f.safetensors')
    assert not (tmp_path/'owned').exists()


def test_half_files(plain, tmp_path):
    data, file = plain.read_bytes(), tmp_path/'m.safetensors'
    for n in (1, 8, 9, 20, 500, 2000, len(data)//2, len(data)-1):
        file.write_bytes(data[:n])
        tell(file)
    file.write_bytes(data+b'more')
    assert 'not a whole safetensors' in tell(file)
    file.write_bytes((2**62).to_bytes(8, 'little')+data[8:])
    assert 'not a whole safetensors' in tell(file)


def test_weights_that_are_not_a_model(tmp_path):
    file = write(tmp_path/'m.safetensors', net().state_dict(), None, arch='resnet18')
    assert tell(file).endswith('holds weights but not a model of imgcls; use it with --weights')


PLACES = 'auto', '../../x', 'hf-hub:evil/model', 'local-dir:/etc', 'x'*4000
NAMES = 'deer', [], ['a', 1, 'b'], ['a', 'a', 'b'], ['a', '', 'b'], {'a': 1}
WRONG = {
    r'was written by a newer imgcls \(format 2\); update imgcls': [dict(format=2)],
    'names no format': [dict(format=0), dict(format='1'), dict(format=True)],
    'kind is': [dict(kind='pickle'), dict(kind=[])],
    'arch must': [dict(arch=a) for a in (3, *PLACES)],
    "no architecture is called 'resnet81'": [dict(arch='resnet81')],
    'no architecture': [dict(arch='os.system')],
    'tensors differ': [dict(arch='resnet18')],
    'classes must': [dict(classes=c) for c in NAMES],
    "doesn't fit cifar_net with 2 classes: 2 tensors differ": [dict(classes=['a', 'b'])],
    'transform must': [dict(transform=None)],
    'weights must': [dict(weights=None), dict(weights=dict(origin='x'))],
    'temperature': [dict(temperature=t) for t in (0, float('nan'), '1', True, 10**400)],
    'figures must': [dict(figures=[]), dict(figures=dict(a=[]))],
    'versions must': [dict(versions=dict(a={}))],
    'its body is missing': [dict(kind='head')],
    "differ|can't be built": [dict(kind='fastai')],
}
CASES = [(change, says) for says, changes in WRONG.items() for change in changes]


@pytest.mark.parametrize('change, says', CASES, ids=lambda v: str(v)[:40] if isinstance(v, dict) else '')
def test_wrong_descriptions(change, says, tmp_path):
    assert re.search(says, tell(write(tmp_path/'m.safetensors', net().state_dict(), about(**change))))


TRANSFORMS = {
    'res is 1000000000': [dict(res=10**9)], 'res is 7': [dict(res=7)], 'res is 32.0': [dict(res=32.)],
    'res is True': [dict(res=True)], 'res is -1': [dict(res=-1)], 'res is': [dict(res='32'), dict(res=None)],
    'res is|not JSON': [dict(res=10**5000)], 'takes no photos of 64 pixels': [dict(res=64)],
    "method is 'zoom'": [dict(method='zoom')], 'transform must': [dict(resample=1)],
    'mean and std': [dict(mean=[.5]), dict(std=[0, 1, 1]), dict(std=[float('inf')]*3), dict(mean='abc'),
                     dict(mean=[1e300]*3)],
    'span is': [dict(span=s) for s in ('0', '0,x', '0,1,2', '9,1', '1e999,2', 'nan,1', [0], None, '0,9\n')],
}
CASES = [(change, says) for says, changes in TRANSFORMS.items() for change in changes]


@pytest.mark.parametrize('change, says', CASES, ids=range(len(CASES)))
def test_wrong_transforms(change, says, tmp_path):
    d = about()
    d['transform'] |= change
    sys.set_int_max_str_digits(0)  # to write what no reader takes
    try: text = json.dumps(d)
    finally: sys.set_int_max_str_digits(4300)
    assert re.search(says, tell(write(tmp_path/'m.safetensors', net().state_dict(), text)))


TEXTS = ['', 'null', '[]', '{}', '3', '"x"', '{', '['*100_000, 'NaN', '\0',
         '{"format": 1}', '{"format": 1e999}', '{"format":'+'1'*5000+'}']


@pytest.mark.parametrize('text', TEXTS, ids=range(len(TEXTS)))
def test_texts_that_are_not_a_description(text, tmp_path):
    tell(write(tmp_path/'m.safetensors', net().state_dict(), text))


@pytest.mark.parametrize('key', [*about()])
def test_missing_keys(key, tmp_path):
    d = about()
    del d[key]
    tell(write(tmp_path/'m.safetensors', net().state_dict(), d))


def test_tensors_that_do_not_fit(tmp_path):
    def refused(**change):
        state = {k: v for k, v in {**net().state_dict(), **change}.items() if v is not None}
        return tell(write(tmp_path/'m.safetensors', state, about()))
    numbers = 'its weights are not numbers'
    assert numbers in refused(**{'1.bias': torch.tensor([0., float('nan'), 0.])})
    assert numbers in refused(**{'0.0.weight': torch.full((6, 3, 5, 5), float('inf'))})
    assert 'missing' in refused(**{'1.bias': None}) and 'expected missing' in refused(more=torch.zeros(1))
    assert '(4,)' in refused(**{'1.bias': torch.zeros(4)})
    assert 'int64' in refused(**{'1.bias': torch.zeros(3, dtype=torch.int64)})
    huge = {'1.weight': torch.full((3, 84), 3e38), '0.7.weight': torch.full((120, 400), 3e38)}
    assert 'its scores are not numbers' in refused(**huge)
    half = {k: v.half() for k, v in net().state_dict().items()}  # 16 bits fit
    m = Model.load(write(tmp_path/'m.safetensors', half, about()))
    assert {p.dtype for p in m.module.parameters()} == {torch.float32}


@pytest.mark.usefixtures('same_numbers')
def test_heads_know_their_body(tmp_path, photos):
    body = load_body('cifar_net')
    head = nn.Linear(body.n_features, 3)
    mine = dict(RANDOM, sha=body.sha)
    def kept(state, weights=mine):
        return write(tmp_path/'m.safetensors', state, about(kind='head', weights=weights))
    m, files = Model.load(kept(head.state_dict())), sorted(photos.iterdir())[:4]
    assert m.kind == 'plain'
    assert np.abs(probs(m, files)-answers(nn.Sequential(body.module, head), files)).max() < 1e-5
    assert 'its body is missing' in tell(kept(head.state_dict(), dict(mine, sha='0'*12)))
    gone = dict(mine, origin='file', file='/nowhere.safetensors')
    assert '/nowhere.safetensors' in tell(kept(head.state_dict(), gone))
    other, more = nn.Linear(3, 3), nn.Linear(body.n_features, 4)
    for state in ({}, dict(weight=head.weight.detach()), other.state_dict(), more.state_dict()):
        assert "doesn't fit cifar_net with 3 classes" in tell(kept(state))


ODD = [None, True, -1, 0, 1, 2, 10**9, 10**30, .5, float('nan'), float('inf'), '', 'x', '\x1b[2J', '../..',
       [], [None], ['a', 'b', 'c'], {}, dict(a=1), [[[]]], 'é\n'*50]


def garbled(rng):
    "A description with up to three odd values."
    d = about()
    for _ in range(rng.randint(1, 3)):
        inner = rng.choice([d, d, d.get('transform'), d.get('weights'), d.get('figures')])
        if not isinstance(inner, dict) or not inner: continue
        k = rng.choice([*inner])
        if rng.random() < .2: del inner[k]
        else: inner[k] = rng.choice(ODD)
    return d


def test_fuzzed_descriptions_are_refused_or_harmless(tmp_path):
    "Each is refused in one line, or gives a model with sound values."
    rng, state, loaded = random.Random(0), net().state_dict(), 0
    for _ in range(300):
        file = write(tmp_path/'m.safetensors', state, garbled(rng))
        try: m = Model.load(file)
        except UserError as e:
            assert '\n' not in str(e)
            continue
        loaded += 1
        assert len(m.classes) == 3 and m.arch == 'cifar_net' and m.transform['res'] == 32
        assert 0 < m.temperature < 101 and '\n' not in repr(m) and '\x1b' not in repr(m)
    assert loaded > 5


def test_fuzzed_bytes_are_refused_or_harmless(plain, tmp_path):
    rng, data, file = random.Random(1), plain.read_bytes(), tmp_path/'m.safetensors'
    header = 8+int.from_bytes(data[:8], 'little')
    for _ in range(300):
        new = bytearray(data)
        for _ in range(rng.randint(1, 4)): new[rng.randrange(header)] = rng.randrange(256)
        file.write_bytes(new)
        try: Model.load(file)
        except UserError as e: assert '\n' not in str(e)


# ---- the command

@pytest.fixture
def imgcls(capsys):
    def call(*args):
        capsys.readouterr()
        code = cli.main([*map(str, args)])
        return code, *capsys.readouterr()
    return call


def test_predict_prints_a_line_a_photo(imgcls, plain, photos):
    code, out, err = imgcls('predict', plain, photos/'00.jpg', photos)
    lines = out.splitlines()
    assert (code, err) == (0, '') and len(lines) == 72
    assert lines[0].split() == ['photo', 'label', '%', 'or', 'else', '%']
    at = {re.search(r'(deer|fox|squirrel) ', line).start() for line in lines[1:]}
    assert len(at) == 1 and len({len(line) for line in lines}) == 1  # columns stand below each other
    assert re.fullmatch(r'\S+00\.jpg  (deer|fox|squirrel) +\d+\.\d%  (deer|fox|squirrel) +\d+\.\d%', lines[1])


def test_predict_json(imgcls, plain, photos):
    code, out, err = imgcls('predict', plain, photos/'00.jpg', 'gone.jpg', '--json')
    d, why = json.loads(out), 'no such file or folder'
    assert code == 1 and err == f'imgcls: gone.jpg: {why}\n'
    assert d['failed'] == [dict(path='gone.jpg', reason=why)]
    assert d['classes'] == CLASSES and d['temperature'] == 1.5 and d['figures']['accuracy'] == .5
    [p] = d['photos']
    assert abs(sum(p['probabilities'].values())-1) < 1e-5
    assert p['probability'] == max(p['probabilities'].values()) == p['probabilities'][p['label']]


def test_predict_names_what_it_could_not_use(imgcls, plain, photos, tmp_path):
    (tmp_path/'cut.jpg').write_bytes((photos/'00.jpg').read_bytes()[:700])
    code, out, err = imgcls('predict', plain, tmp_path, photos/'00.jpg')
    assert code == 1 and len(out.splitlines()) == 2 and err == f'imgcls: {tmp_path}/cut.jpg: truncated JPEG\n'
    code, out, err = imgcls('predict', plain, tmp_path)
    assert (code, out) == (1, '') and err.count('\n') == 1


def test_predict_mistakes_in_one_line(imgcls, plain, photos, tmp_path):
    wrong = [([plain], 'PHOTO'), ([], 'MODEL'), ([plain, tmp_path], 'no photo found'),
             ([plain, 'gone.jpg'], 'no photo found: gone.jpg'),
             (['nowhere', photos], f"no study, run or model at {os.path.abspath('nowhere')}"),
             ([photos, photos], 'is not a study'), ([photos/'00.jpg', photos], 'not a safetensors file')]
    for args, says in wrong:
        code, out, err = imgcls('predict', *args)
        assert (code, out, err.count('\n')) == (2, '', 1) and says in err


def test_names_cannot_command_the_terminal(imgcls, tmp_path, photos):
    file = write(tmp_path/'m.safetensors', net().state_dict(), about(classes=['a\x1b[2J', 'b\nb', 'fée']))
    shutil.copy(photos/'00.jpg', tmp_path/'x\x1b]0;y\x07.jpg')
    (tmp_path/'z\x1b[1m.jpg').write_text('not a photo')
    code, out, err = imgcls('predict', file, *sorted(tmp_path.glob('*.jpg')))
    assert code == 1 and '\x1b' not in out+err and '\x07' not in out
    assert len(out.splitlines()) == 2 and r'x\x1b]0;y\x07.jpg' in out


def test_predict_as_a_process_of_its_own(plain, photos):
    code = 'import sys; from imgcls.cli import main; sys.exit(main())'
    command = [sys.executable, '-c', code, 'predict', plain, photos]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and done.stderr == '' and len(done.stdout.splitlines()) == 71


def test_predict_from_a_study(imgcls, st, scenes):
    code, out, err = imgcls('predict', st.path, Path(scenes)/'fox')
    assert code == 0 and len(out.splitlines()) == 26 and err.count('\n') == 1 and 'size 10, seed 0' in err
