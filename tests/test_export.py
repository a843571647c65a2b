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
from imgcls.data import photo_table
from imgcls.export import Model, load_model
from imgcls.models import create_body, find_weights
from imgcls.study import study
from imgcls.synth import scene_bytes, synth_folder
from imgcls.train import Fastai, body_and_head, fastai_dls, fastai_learner

CLASSES = ['deer', 'fox', 'squirrel']


def about(arch='cifar_net', kind='plain', res=32, **change):
    return dict(dict(format=1, kind=kind, arch=arch, classes=CLASSES, transform=dict(res=res, method='crop', resample='bilinear', mean=[.5]*3, std=[.5]*3),
                     weights=dict(origin='random', name='random weights', sha='', file=''), temperature=1.5,
                     figures=dict(run='r', recipe='scratch', size=5, seed=0, n_train=15, n_test=30, accuracy=.5, calibration_error=.1), versions=dict(torch='2')), **change)


def write(path, state, said, **more):
    "A model's file by hand; `said` is the description, or its text."
    meta = dict(imgcls=said if isinstance(said, str) else json.dumps(said)) if said is not None else {}
    Path(path).write_bytes(to_bytes({k: v.clone().contiguous() for k, v in state.items()}, {**meta, **more}))
    return Path(path)


def net(arch='cifar_net', n=3, seed=0):
    torch.manual_seed(seed)
    return body_and_head(create_body(find_weights(arch, 'random')), n).eval()


def answers(module, files, res=32, temperature=1.5):
    "Probabilities the long way round."
    from imgcls.core import decode
    from imgcls.features import to_pixels
    x = to_pixels([decode(Path(f).read_bytes(), res) for f in files], res, 'crop', 'bilinear')
    with torch.inference_mode(): return (module((x.float()/255-.5)/.5)/temperature).softmax(1).numpy()


def tell(path):
    "The one line with which a file is refused."
    with pytest.raises(UserError) as e: load_model(path)
    said = str(e.value)
    assert '\n' not in said and len(said) < 900 and Path(path).name in said
    return said


@pytest.fixture(scope='module')
def photos(tmp_path_factory):
    root = tmp_path_factory.mktemp('photos')
    for i in range(70): (root/f'{i:02}.jpg').write_bytes(scene_bytes(CLASSES[i % 3], i, side=48))
    return root


@pytest.fixture(scope='module')
def plain(tmp_path_factory): return write(tmp_path_factory.mktemp('m')/'model.safetensors', net().state_dict(), about())


@pytest.fixture(scope='module')
def scenes(): return synth_folder(per_class=25, side=64)


@pytest.fixture(scope='module')
def st(scenes, tmp_path_factory):
    "A study of two sizes, whose runs keep heads of an untouched body."
    return study(scenes, sizes=[5, 10], recipe='frozen', arch='efficientnet_lite0', res=64, seeds=2, out=tmp_path_factory.mktemp('s')/'st', say=lambda _: None)


# ---- there and back

def test_plain_answers_as_the_net_does(plain, photos):
    m = load_model(plain)
    t = m.predict(photos)
    files = sorted(photos.iterdir())
    assert [*t.columns] == ['path', 'class', 'probability', 'second', 'second_probability'] and t.path.tolist() == [str(f) for f in files]
    p = answers(net(), files)
    assert np.abs(np.array(t.attrs['probs'])-p).max() < 1e-5 and t.attrs['failed'] == []
    assert t['class'].tolist() == [CLASSES[i] for i in p.argmax(1)] and np.allclose(t.probability, p.max(1))
    assert t.second.tolist() == [CLASSES[i] for i in p.argsort(1)[:, 1]] and (t.second_probability <= t.probability).all()
    assert not m.module.training and m.temperature == 1.5 and '\n' not in repr(m) and '50.0%' in repr(m)


def test_temperature_makes_bolder_or_more_careful(tmp_path, photos):
    by = {}
    for t in (.5, 1., 5.): by[t] = load_model(write(tmp_path/'m.safetensors', net().state_dict(), about(temperature=t))).predict(photos)
    assert (by[.5].probability > by[1.].probability).all() and (by[1.].probability > by[5.].probability).all()
    assert by[.5]['class'].tolist() == by[5.]['class'].tolist()


def test_saved_file_equals_the_one_it_came_from(plain, tmp_path, photos):
    file = load_model(plain).save(tmp_path/'new'/'m.safetensors')
    a, b = load_file(plain), load_file(file)
    assert a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)
    with safe_open(plain, 'pt') as f, safe_open(file, 'pt') as g: assert json.loads(f.metadata()['imgcls']) == json.loads(g.metadata()['imgcls'])
    assert load_model(file).predict(photos).attrs['probs'] == load_model(plain).predict(photos).attrs['probs']
    assert [p.name for p in file.parent.iterdir()] == ['m.safetensors']


def test_save_never_overwrites_unasked(plain, tmp_path, monkeypatch):
    m, file = load_model(plain), tmp_path/'m.safetensors'
    file.write_text('mine')
    with pytest.raises(UserError, match='exists; name another file, or say overwrite=True'): m.save(file)
    with pytest.raises(UserError, match='is a folder'): m.save(tmp_path)
    assert file.read_text() == 'mine'
    monkeypatch.setattr('imgcls.export.to_bytes', lambda *_: 1/0)  # breaks off in the middle
    with pytest.raises(ZeroDivisionError): m.save(file, overwrite=True)
    monkeypatch.undo()
    assert file.read_text() == 'mine' and len([*tmp_path.iterdir()]) == 1
    assert load_model(m.save(file, overwrite=True)).classes == CLASSES


@pytest.mark.parametrize('arch, res', [('resnet18', 64), ('test_efficientnet', 64), ('cifar_net', 32)])
def test_fastai_models_come_back(arch, res, scenes, tmp_path, photos):
    table = photo_table(scenes)
    body = create_body(find_weights(arch, 'random'))
    dls = fastai_dls(table[table.split == 'train'], table[table.split == 'test'], body, res, Fastai(bs=8))
    learn = fastai_learner(dls, body)
    net = learn.model.cpu().eval()
    kind = 'plain' if '1.weight' in net.state_dict() else 'fastai'
    file = write(tmp_path/'model.safetensors', net.state_dict(), about(arch, kind, res))
    m = load_model(file)
    files = sorted(photos.iterdir())[:5]
    assert np.abs(np.array(m.predict(files).attrs['probs'])-answers(net, files, res)).max() < 1e-5
    assert load_model(m.save(tmp_path/'again.safetensors')).predict(files).attrs['probs'] == m.predict(files).attrs['probs']
    on = m.to_learner(dls)
    assert len(on.splitter(on.model)) == len(learn.splitter(learn.model)) if kind == 'fastai' else 2


def test_study_gives_its_largest_run(st, scenes, tmp_path):
    said = []
    m = load_model(st.path, say=said.append)
    best = st.runs[(st.runs['size'] == 10) & (st.runs.seed == 0)].iloc[0]
    assert len(said) == 1 and best.run in said[0] and m.figures['run'] == best.run and m.figures['accuracy'] == best.accuracy
    assert m.classes == st.classes and m.transform['res'] == 64
    one = load_model(st.path/'runs'/best.run, say=said.append)  # a run of one's own choice: nothing to tell
    assert len(said) == 1 and one.figures == m.figures
    test = st.table[st.table.split == 'test']
    p, kept = np.array(m.predict(test.path.tolist()).attrs['probs']), st.probs(best.run)[-1].astype(float)
    assert np.abs(p-kept).max() < .1 and (p.argmax(1) == kept.argmax(1)).mean() > .9  # the features were made in 16 bits
    alone = load_model(m.save(tmp_path/'alone.safetensors'))
    assert np.abs(np.array(alone.predict(test.path.tolist()).attrs['probs'])-p).max() < 1e-5


@pytest.mark.parametrize('recipe, kind, off', [('fine_tune:epochs=1', 'plain', .03), ('scratch:epochs=2', 'plain', .03), ('fastai:epochs=1', 'fastai', .15)])
def test_runs_of_every_kind_answer_as_they_were_scored(recipe, kind, off, scenes, tmp_path):
    arch = {} if recipe.startswith('scratch') else dict(arch='efficientnet_lite0', res=64)
    st = study(scenes, sizes=[10], recipe=recipe, **arch, out=tmp_path/'st', say=lambda _: None)
    m, test = load_model(st.path), st.table[st.table.split == 'test']
    assert m.kind == kind and m.figures['recipe'] == st.runs.recipe[0] and m.temperature == pytest.approx(st.runs.temperature[0], abs=1e-3)
    p, kept = np.array(m.predict(test.path.tolist()).attrs['probs']), st.probs(st.runs.run[0])[-1].astype(float)
    assert np.abs(p-kept).max() < off  # fastai resizes photos in a way of its own
    again = load_model(m.save(tmp_path/'again.safetensors')).predict(test.path.tolist())
    assert np.abs(np.array(again.attrs['probs'])-p).max() < 1e-5


def test_runs_of_fine_tune_go_before_others_and_sizes_before_all(st, tmp_path):
    "The choice looks at sizes, recipes and seeds, never at the accuracy."
    from imgcls import export
    rows = [('a', 'frozen', 5, 0), ('b', 'fine_tune', 'all', 1), ('c', 'fine_tune', 'all', 0), ('d', 'frozen', 'all', 0), ('e', 'fine_tune', 5000, 0)]
    fake = type('S', (), dict(path=tmp_path, runs=pd.DataFrame([dict(run=r, recipe=c, size=s, seed=i, arch='resnet18', accuracy=ord(r)) for r, c, s, i in rows])))
    with pytest.MonkeyPatch.context() as mp:
        mp.setattr(export, 'Study', lambda _: fake)
        assert export._choose(tmp_path, lambda _: None) == tmp_path/'runs'/'c'/'model.safetensors'


def test_study_without_runs(st, tmp_path):
    shutil.copytree(st.path, tmp_path/'st', ignore=shutil.ignore_patterns('runs'))
    assert 'has no finished run yet' in tell(tmp_path/'st')
    (tmp_path/'empty').mkdir()
    assert 'is no study' in tell(tmp_path/'empty')
    assert 'no study, run or model' in tell(tmp_path/'nowhere')


# ---- photos

def test_photos_in_every_form(plain, photos, tmp_path):
    m, file = load_model(plain), photos/'00.jpg'
    data = file.read_bytes()
    (tmp_path/'a'/'b').mkdir(parents=True)
    for name in ('a/x.jpg', 'a/b/y.JPEG'): (tmp_path/name).write_bytes(data)
    (tmp_path/'a'/'readme.txt').write_text('no photo by its name')
    t = m.predict([file, str(file), data, bytearray(data), Image.open(file), Image.open(io.BytesIO(data)).convert('CMYK').convert('RGB'), tmp_path])
    assert [Path(p).name for p in t.path] == ['00.jpg', '00.jpg', 'photo 3', 'photo 4', 'photo 5', 'photo 6', 'y.JPEG', 'x.jpg']
    p = np.array(t.attrs['probs'])
    assert np.abs(p[[0, 1, 2, 3, 4, 6, 7]]-p[0]).max() < 1e-6 and np.abs(p[5]-p[0]).max() < .05 and t.attrs['failed'] == []
    for one in (file, data, Image.open(file)): assert len(m.predict(one)) == 1
    turned = io.BytesIO()
    exif = Image.Exif()
    exif[0x112] = 6
    Image.open(file).save(turned, 'PNG', exif=exif)
    turned = turned.getvalue()
    assert m.predict([turned, Image.open(io.BytesIO(turned))]).probability.nunique() == 1


@pytest.mark.parametrize('mode', ['1', 'L', 'LA', 'P', 'RGBA', 'CMYK', 'YCbCr', 'HSV', 'LAB', 'I', 'F', 'I;16'])
def test_pictures_of_every_mode(mode, plain):
    assert len(load_model(plain).predict(Image.new(mode, (40, 50)))) == 1


def test_what_cannot_be_predicted_does_not_stop_the_others(plain, photos, tmp_path):
    (tmp_path/'cut.jpg').write_bytes((photos/'00.jpg').read_bytes()[:700])
    (tmp_path/'page.jpg').write_text('<html>')
    os.symlink('nowhere', tmp_path/'link.jpg')
    t = load_model(plain).predict([tmp_path, 'gone.jpg', Image.new('RGB', (3, 3)), *sorted(photos.iterdir())])
    assert len(t) == 70
    why = {Path(f['path']).name: f['reason'] for f in t.attrs['failed']}
    assert {k: v.split(' ')[0] for k, v in why.items()} == {'cut.jpg': 'truncated', 'page.jpg': 'not', 'link.jpg': 'broken', 'gone.jpg': 'no', 'photo 3': '3×3'}
    none = load_model(plain).predict(tmp_path)  # photos were named, and not one is good
    assert len(none) == 0 and len(none.attrs['failed']) == 3 and none.attrs['probs'] == []


def test_tables_of_predictions_can_be_joined(plain, photos, tmp_path):
    m = load_model(plain)
    a, b = m.predict(photos/'00.jpg'), m.predict(photos/'01.jpg')
    assert len(pd.concat([a, b])) == 2 and len(a.merge(b, how='cross')) == 1
    a.to_parquet(tmp_path/'a.parquet')


def test_no_photo_at_all(plain, tmp_path):
    m = load_model(plain)
    (tmp_path/'readme.txt').write_text('')
    for none in ([], tmp_path, 'gone.jpg', ['gone.jpg', tmp_path], 'a\0b'):
        with pytest.raises(UserError, match='no photo found'): m.predict(none)
    with pytest.raises(UserError, match='not as float'): m.predict([1.5])


# ---- training on

def test_learner_goes_on_training_and_leaves_the_model_alone(plain, scenes):
    m, table = load_model(plain), photo_table(scenes)
    body = create_body('cifar_net')
    dls = fastai_dls(table[table.split == 'train'], table[table.split == 'test'], body, 32, Fastai(bs=8))
    before = [p.clone() for p in m.module.parameters()]
    learn = m.to_learner(dls)
    with learn.no_bar(), learn.no_logging(): learn.fit(1, 1e-3)
    assert all(torch.equal(a, b) for a, b in zip(before, m.module.parameters()))
    assert not torch.equal(before[0], [*learn.model.parameters()][0].cpu())
    learn.freeze()
    assert [p.requires_grad for p in learn.model[1].parameters()] == [True, True] and not any(p.requires_grad for p in learn.model[0].parameters())


def test_learner_wants_the_same_classes_and_adds_what_is_missing(plain, scenes):
    from fastai.vision.all import CategoryBlock, ColReader, DataBlock, ImageBlock, Normalize, Resize
    m, table = load_model(plain), photo_table(scenes)

    def dls(vocab): return DataBlock((ImageBlock, CategoryBlock(vocab=vocab, sort=False)), get_x=ColReader('path'), get_y=ColReader('label'),
                                     item_tfms=Resize(32)).dataloaders(table, bs=8, num_workers=0)
    good = dls(CLASSES)
    m.to_learner(good)
    norms = [f for f in good.after_batch.fs if isinstance(f, Normalize)]
    assert len(norms) == 1 and norms[0].mean.flatten().tolist() == [.5]*3
    m.to_learner(good)  # twice is not two norms
    assert len([f for f in good.after_batch.fs if isinstance(f, Normalize)]) == 1
    with pytest.raises(UserError, match='come in another order: the model has deer, fox, squirrel'): m.to_learner(dls(CLASSES[::-1]))
    with pytest.raises(UserError, match="the model doesn't know wolf"): m.to_learner(dls([*CLASSES, 'wolf']))
    fewer = Model(net(n=4), [*CLASSES, 'wolf'], 'cifar_net', m.transform)
    with pytest.raises(UserError, match='the DataLoaders lack wolf'): fewer.to_learner(good)


# ---- files of strangers

def test_first_bytes_tell_and_nothing_is_run(tmp_path):
    class Evil:
        def __reduce__(self): return os.mkdir, (str(tmp_path/'owned'),)
    for protocol in range(2, 6):
        (tmp_path/'a.safetensors').write_bytes(pickle.dumps(Evil(), protocol))
        assert 'is a pickle' in tell(tmp_path/'a.safetensors')
    torch.save(net(), tmp_path/'b.safetensors')
    assert 'PyTorch file or another zip' in tell(tmp_path/'b.safetensors')
    torch.save(Evil(), tmp_path/'c.pth', _use_new_zipfile_serialization=False)
    assert 'is a pickle' in tell(tmp_path/'c.pth')
    with zipfile.ZipFile(tmp_path/'d.safetensors', 'w') as z: z.writestr('x', 'y')
    assert 'zip' in tell(tmp_path/'d.safetensors')
    for content, says in ((b'', 'is empty'), (b'{', 'no safetensors'), (b'\x89PNG\r\n\x1a\nabc', 'no safetensors'), (pickle.dumps(Evil(), 0), 'no safetensors')):
        (tmp_path/'e.safetensors').write_bytes(content)
        assert says in tell(tmp_path/'e.safetensors')
    # bytes that begin as a safetensors file does, and go on as a pickle
    (tmp_path/'f.safetensors').write_bytes(b'\x02\0\0\0\0\0\0\0{}'+pickle.dumps(Evil()))
    tell(tmp_path/'f.safetensors')
    assert not (tmp_path/'owned').exists()


def test_half_files(plain, tmp_path):
    data, file = plain.read_bytes(), tmp_path/'m.safetensors'
    for n in (1, 8, 9, 20, 500, 2000, len(data)//2, len(data)-1):
        file.write_bytes(data[:n])
        tell(file)
    file.write_bytes(data+b'more')
    assert 'no whole safetensors' in tell(file)
    file.write_bytes((2**62).to_bytes(8, 'little')+data[8:])
    assert 'no whole safetensors' in tell(file)


def test_weights_that_are_no_model(tmp_path):
    assert tell(write(tmp_path/'m.safetensors', net().state_dict(), None, arch='resnet18')).endswith('holds weights but not a model of imgcls; use it with --weights')


WRONG = [
    (dict(format=2), r'was written by a newer imgcls \(format 2\); update imgcls'), (dict(format=0), 'names no format'), (dict(format='1'), 'names no format'),
    (dict(format=True), 'names no format'), (dict(kind='pickle'), 'kind is'), (dict(kind=[]), 'kind is'), (dict(arch=3), 'arch must'), (dict(arch='auto'), 'arch must'),
    (dict(arch='resnet81'), "no architecture is called 'resnet81'"), (dict(arch='../../x'), 'arch must'), (dict(arch='hf-hub:evil/model'), 'arch must'),
    (dict(arch='local-dir:/etc'), 'arch must'), (dict(arch='resnet18'), 'tensors differ'), (dict(arch='x'*4000), 'arch must'), (dict(arch='os.system'), 'no architecture'),
    (dict(classes='deer'), 'classes must'), (dict(classes=[]), 'classes must'), (dict(classes=['a', 1, 'b']), 'classes must'), (dict(classes=['a', 'a', 'b']), 'classes must'),
    (dict(classes=['a', '', 'b']), 'classes must'), (dict(classes=['a', 'b']), "doesn't fit cifar_net with 2 classes: 2 tensors differ"),
    (dict(classes={'a': 1}), 'classes must'), (dict(transform=None), 'transform must'), (dict(weights=None), 'weights must'), (dict(weights=dict(origin='x')), 'weights must'),
    (dict(temperature=0), 'temperature'), (dict(temperature=float('nan')), 'temperature'), (dict(temperature='1'), 'temperature'), (dict(temperature=True), 'temperature'),
    (dict(temperature=10**400), 'temperature'), (dict(figures=[]), 'figures must'), (dict(figures=dict(a=[])), 'figures must'), (dict(versions=dict(a={})), 'versions must'),
    (dict(kind='head'), 'other weights of cifar_net'),
    (dict(kind='fastai'), "differ|can't be built"),
]


@pytest.mark.parametrize('change, says', WRONG, ids=lambda v: str(v)[:40] if isinstance(v, dict) else '')
def test_wrong_descriptions(change, says, tmp_path):
    assert re.search(says, tell(write(tmp_path/'m.safetensors', net().state_dict(), about(**change))))


@pytest.mark.parametrize('change, says', [
    (dict(res=10**9), 'res is 1000000000'), (dict(res=7), 'res is 7'), (dict(res=32.), 'res is 32.0'), (dict(res=True), 'res is True'), (dict(res='32'), 'res is'),
    (dict(res=None), 'res is'), (dict(res=-1), 'res is -1'), (dict(res=10**5000), 'res is|no JSON'), (dict(res=64), 'takes no photos of 64 pixels'),
    (dict(method='zoom'), "method is 'zoom'"), (dict(resample=1), 'transform must'), (dict(mean=[.5]), 'mean and std'), (dict(std=[0, 1, 1]), 'mean and std'),
    (dict(std=[float('inf')]*3), 'mean and std'), (dict(mean='abc'), 'mean and std'), (dict(mean=[1e300]*3), 'mean and std')])
def test_wrong_transforms(change, says, tmp_path):
    d = about()
    d['transform'] |= change
    sys.set_int_max_str_digits(0)  # to write what no reader takes
    try: text = json.dumps(d)
    finally: sys.set_int_max_str_digits(4300)
    assert re.search(says, tell(write(tmp_path/'m.safetensors', net().state_dict(), text)))


@pytest.mark.parametrize('text', ['', 'null', '[]', '{}', '3', '"x"', '{', '['*100_000, '{"format": 1}', 'NaN', '\0', '{"format": 1e999}', '{"format":'+'1'*5000+'}'])
def test_descriptions_that_are_none(text, tmp_path): tell(write(tmp_path/'m.safetensors', net().state_dict(), text))


@pytest.mark.parametrize('key', [*about()])
def test_missing_keys(key, tmp_path):
    d = about()
    del d[key]
    tell(write(tmp_path/'m.safetensors', net().state_dict(), d))


def test_tensors_that_do_not_fit(tmp_path):
    def refused(**change):
        state = {k: v for k, v in {**net().state_dict(), **change}.items() if v is not None}
        return tell(write(tmp_path/'m.safetensors', state, about()))
    assert 'its weights are no numbers' in refused(**{'1.bias': torch.tensor([0., float('nan'), 0.])})
    assert 'its weights are no numbers' in refused(**{'0.0.weight': torch.full((6, 3, 5, 5), float('inf'))})
    assert 'missing' in refused(**{'1.bias': None}) and 'expected missing' in refused(more=torch.zeros(1))
    assert '(4,)' in refused(**{'1.bias': torch.zeros(4)}) and 'int64' in refused(**{'1.bias': torch.zeros(3, dtype=torch.int64)})
    assert 'answers that are no numbers' in refused(**{'1.weight': torch.full((3, 84), 3e38), '0.7.weight': torch.full((120, 400), 3e38)})
    half = {k: v.half() for k, v in net().state_dict().items()}  # 16 bits fit
    assert [*load_model(write(tmp_path/'m.safetensors', half, about())).module.parameters()][0].dtype == torch.float32


def test_heads_know_their_body(tmp_path, photos):
    body = create_body('cifar_net')
    head = nn.Linear(body.n_features, 3)
    mine = dict(origin='random', name='random weights', sha=body.sha, file='')
    file = write(tmp_path/'m.safetensors', head.state_dict(), about(kind='head', weights=mine))
    m = load_model(file)
    files = sorted(photos.iterdir())[:4]
    assert m.kind == 'plain'
    assert np.abs(np.array(m.predict(files).attrs['probs'])-answers(nn.Sequential(body.module, head), files)).max() < 1e-5
    assert 'belongs to other weights of cifar_net' in tell(write(file, head.state_dict(), about(kind='head', weights=dict(mine, sha='0'*12))))
    assert 'its body is missing' in tell(write(file, head.state_dict(), about(kind='head', weights=dict(mine, origin='file', file='/nowhere.safetensors'))))
    for state in ({}, dict(weight=head.weight.detach()), nn.Linear(3, 3).state_dict(), nn.Linear(body.n_features, 4).state_dict()):
        assert "doesn't fit cifar_net with 3 classes" in tell(write(file, state, about(kind='head', weights=mine)))


def test_fuzzed_descriptions_are_refused_or_harmless(tmp_path):
    "Small changes: each is refused in one line, or gives a model with sound values."
    rng, state, file = random.Random(0), net().state_dict(), tmp_path/'m.safetensors'
    odd = [None, True, -1, 0, 1, 2, 10**9, 10**30, .5, float('nan'), float('inf'), '', 'x', '\x1b[2J', '../..', [], [None], ['a', 'b', 'c'], {}, dict(a=1), [[[]]], 'é\n' * 50]
    loaded = 0
    for _ in range(300):
        d = about()
        for _ in range(rng.randint(1, 3)):
            inner = rng.choice([d, d, d.get('transform'), d.get('weights'), d.get('figures')])
            if not isinstance(inner, dict) or not inner: continue
            k = rng.choice([*inner])
            if rng.random() < .2: del inner[k]
            else: inner[k] = rng.choice(odd)
        write(file, state, d)
        try: m = load_model(file)
        except UserError as e:
            assert '\n' not in str(e)
            continue
        loaded += 1
        assert len(m.classes) == 3 and m.arch == 'cifar_net' and m.transform['res'] == 32 and 0 < m.temperature < 101 and '\n' not in repr(m) and '\x1b' not in repr(m)
    assert loaded > 5


def test_fuzzed_bytes_are_refused_or_harmless(plain, tmp_path):
    rng, data, file = random.Random(1), plain.read_bytes(), tmp_path/'m.safetensors'
    header = 8+int.from_bytes(data[:8], 'little')
    for _ in range(300):
        new = bytearray(data)
        for _ in range(rng.randint(1, 4)): new[rng.randrange(header)] = rng.randrange(256)
        file.write_bytes(new)
        try: load_model(file)
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
    assert (code, err) == (0, '') and len(lines) == 72 and lines[0].split() == ['photo', 'class', '%', 'or', 'else', '%']
    at = {m.start() for line in lines[1:] for m in [re.search(r'(deer|fox|squirrel) ', line)]}
    assert len(at) == 1 and len({len(line) for line in lines}) == 1  # columns stand below each other
    assert re.fullmatch(r'\S+00\.jpg  (deer|fox|squirrel) +\d+\.\d%  (deer|fox|squirrel) +\d+\.\d%', lines[1])


def test_predict_json(imgcls, plain, photos):
    code, out, err = imgcls('predict', plain, photos/'00.jpg', 'gone.jpg', '--json')
    d = json.loads(out)
    assert code == 1 and err == 'imgcls: gone.jpg: no such file or folder\n' and d['failed'] == [dict(path='gone.jpg', reason='no such file or folder')]
    assert d['classes'] == CLASSES and d['temperature'] == 1.5 and d['figures']['accuracy'] == .5 and len(d['photos']) == 1
    p = d['photos'][0]
    assert abs(sum(p['probabilities'].values())-1) < 1e-5 and p['probability'] == max(p['probabilities'].values()) == p['probabilities'][p['class']]


def test_predict_names_what_it_could_not_use(imgcls, plain, photos, tmp_path):
    (tmp_path/'cut.jpg').write_bytes((photos/'00.jpg').read_bytes()[:700])
    code, out, err = imgcls('predict', plain, tmp_path, photos/'00.jpg')
    assert code == 1 and len(out.splitlines()) == 2 and err == f'imgcls: {tmp_path}/cut.jpg: truncated JPEG\n'
    code, out, err = imgcls('predict', plain, tmp_path)
    assert (code, out) == (1, '') and err.count('\n') == 1


def test_predict_mistakes_in_one_line(imgcls, plain, photos, tmp_path):
    for args, says in (([plain], 'PHOTO'), ([], 'MODEL'), ([plain, tmp_path], 'no photo found'), ([plain, 'gone.jpg'], 'no photo found: gone.jpg'),
                       (['nowhere', photos], 'no study, run or model at nowhere'), ([photos, photos], 'is no study'), ([photos/'00.jpg', photos], 'no safetensors file')):
        code, out, err = imgcls('predict', *args)
        assert (code, out, err.count('\n')) == (2, '', 1) and says in err


def test_names_cannot_command_the_terminal(imgcls, tmp_path, photos):
    file = write(tmp_path/'m.safetensors', net().state_dict(), about(classes=['a\x1b[2J', 'b\nb', 'fée']))
    shutil.copy(photos/'00.jpg', tmp_path/'x\x1b]0;y\x07.jpg')
    (tmp_path/'z\x1b[1m.jpg').write_text('no photo')
    code, out, err = imgcls('predict', file, *sorted(tmp_path.glob('*.jpg')))
    assert code == 1 and '\x1b' not in out+err and '\x07' not in out and len(out.splitlines()) == 2 and r'x\x1b]0;y\x07.jpg' in out


def test_predict_as_a_process_of_its_own(plain, photos):
    code = 'import sys; from imgcls.cli import main; sys.exit(main())'
    done = subprocess.run([sys.executable, '-c', code, 'predict', plain, photos], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and done.stderr == '' and len(done.stdout.splitlines()) == 71


def test_predict_from_a_study(imgcls, st, scenes):
    code, out, err = imgcls('predict', st.path, Path(scenes)/'fox')
    assert code == 0 and len(out.splitlines()) == 26 and err.count('\n') == 1 and 'size 10, seed 0' in err
