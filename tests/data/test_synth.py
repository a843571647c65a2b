"""The drawn dataset: the same in every process, whole after a kill, and truthful about its faults."""
import hashlib
import os
import signal
import subprocess
import sys
import time
from io import BytesIO

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from imgcls.core import UserError
from imgcls.data import animals, scenery, scenes, synth
from imgcls.data.duplicates import near_duplicates
from imgcls.data.synth import CLASSES, draw, scene, scene_bytes, synth_folder
from imgcls.data.table import check_photos, list_photos

SMALL = dict(side=32)


def truth(folder): return pd.read_csv(folder/'truth.csv', keep_default_na=False)


def digest(folder):
    "What is in a folder: every visible file, name and content"
    h = hashlib.sha256()
    for p in sorted(p for p in folder.rglob('*') if p.is_file() and not p.name.startswith('.')):
        h.update(p.relative_to(folder).as_posix().encode()+p.read_bytes())
    return h.hexdigest()


def python(code, **env):
    return subprocess.run([sys.executable, '-W', 'error', '-c', code], capture_output=True,
                          env=os.environ | env, check=True).stdout


def test_the_same_scene_in_another_process_whatever_was_drawn_before():
    want = hashlib.sha256(b''.join(scene_bytes(c, i, 3) for c in CLASSES for i in (0, 17))).hexdigest()
    code = ("import hashlib\nfrom imgcls.data.synth import CLASSES, scene_bytes\n"
            "scene_bytes('owl', 99, side=64)\n"  # another side first, and then another order
            "d = {(c, i): scene_bytes(c, i, 3) for i in (17, 0) for c in CLASSES[::-1]}\n"
            "print(hashlib.sha256(b''.join(d[c, i] for c in CLASSES for i in (0, 17))).hexdigest())")
    assert python(code, PYTHONHASHSEED='77').decode().split() == [want]


def test_scenes_differ_by_class_number_and_seed():
    seen = {scene_bytes(c, i, s, side=32) for c in CLASSES for i in range(20) for s in (0, 1)}
    assert len(seen) == 10*20*2


@pytest.mark.parametrize('label', CLASSES)
def test_every_animal_in_every_pose_and_place_can_be_drawn(label):
    for k, pose in enumerate(set(scenes.POSES[label])):
        for i, place in enumerate(scenes.BACKGROUNDS):
            im = draw(label, i, side=48, pose=pose, background=place, front=bool((i+k) % 2), occlusion=i/5)
            assert im.mode == 'RGB' and im.size == (48, 48) and np.asarray(im).std() > 4


def test_the_animal_is_in_the_picture():
    "Without the animal a good part of the picture differs: none is drawn outside or hidden wholly."
    for c in CLASSES:
        for i in range(25):
            s = scene(c, i) | dict(blur=0., noise=0., fog=0., light='noon')
            with_it = np.asarray(synth._paint(s, 64), float)
            parts, head = animals.animal_shapes(s)
            P, (x0, y0, x1, y1) = synth._place(parts, head, s, 64)
            canvas, plant = scenery.backdrop(s, 64)
            scenery.cover(canvas, s, plant, (x0, y0, x1, y1), 64)
            without = np.asarray(synth._develop(canvas, s, 64), float)
            seen = (np.abs(with_it-without).max(-1) > 12).mean()
            assert seen > .03, (c, i, seen)


def test_setting_one_factor_leaves_the_others_alone():
    a, b = (np.asarray(draw('fox', 3, side=64, blur=0., noise=0., fog=0., flip=f), int) for f in (False,
                                                                                                  True))
    assert np.abs(a-b).mean() > 1
    top = np.asarray(draw('fox', 3, side=64, noise=0.),
                     int), np.asarray(draw('fox', 3, side=64, noise=0., quality=50), int)
    assert (top[0] == top[1]).all()  # JPEG quality is no matter of the drawing
    s = scene('fox', 3)
    assert (np.asarray(draw('fox', 3, side=64,
                            **{k: s[k] for k in ('pose', 'light', 'blur')})) == np.asarray(draw('fox', 3,
                                                                                                side=64))).all()


def test_side_changes_the_size_and_not_the_scene():
    for c in CLASSES[:3]:
        small = np.asarray(draw(c, 5, side=64, noise=0., blur=0.), float)
        large = np.asarray(draw(c, 5, side=128, noise=0., blur=0.).resize((64, 64), Image.BOX), float)
        assert np.corrcoef(small.ravel(), large.ravel())[0, 1] > .8


def test_counts_truth_and_files(tmp_path):
    out = synth_folder(tmp_path/'d', classes=CLASSES[:4], per_class=40, wrong=.1, near=.2, imbalance=4,
                       seed=5, **SMALL)
    t = truth(out)
    assert list(t.columns) == ['path', 'label', 'true_label', 'copy_of']
    assert sorted(t.path) == sorted(p.relative_to(out).as_posix() for p in out.rglob('*.jpg'))
    assert (t.path.str.split('/').str[0] == t.label).all()
    n = t.label.value_counts()[list(CLASSES[:4])].tolist()
    assert n == [40, 25, 16, 10]  # geometric: each a cube root of 4 smaller
    for c, g in t.groupby('label'):
        assert (g.true_label != c).sum() == round(.1*len(g))
        assert (g.copy_of != '').sum() == round(.2*len(g))
        assert set(g.true_label) <= set(CLASSES[:4])
    faulty = set(t.path[t.true_label != t.label])
    assert faulty.isdisjoint(t.path[t.copy_of != '']) and faulty.isdisjoint(t.copy_of)
    for p in t.path:
        with Image.open(out/p) as im: assert im.format == 'JPEG' and im.size == (32, 32)
    assert len({(out/p).read_bytes() for p in t.path}) == len(t)


def test_a_wrong_label_shows_the_other_animal(tmp_path):
    out = synth_folder(tmp_path/'d', per_class=10, wrong=.3, **SMALL)
    t = truth(out)
    numbers = [*range(10), *(10**6*(i+1)+j for i in range(3) for j in range(10))]
    scenes = {(c, scene_bytes(c, k, 0, 32)) for c in ('fox', 'squirrel', 'deer') for k in numbers}
    for r in t.itertuples(): assert (r.true_label, (out/r.path).read_bytes()) in scenes


def test_near_duplicates_are_found_as_such_and_nothing_else_is(tmp_path):
    out = synth_folder(tmp_path/'d', per_class=50, near=.2, seed=1)
    t = truth(out)
    origin = {str(out/p): str(out/(c or p)) for p, c in zip(t.path, t.copy_of)}
    copies = t[t.copy_of != '']
    assert len(copies) == 30
    for r in copies.itertuples():
        a, b = ((out/p).read_bytes() for p in (r.path, r.copy_of))
        assert a != b
    pairs = near_duplicates(check_photos(list_photos(out)[0])[0])
    assert set(pairs.kind) == {'near'}
    assert all(origin[a] == origin[b] for a, b in zip(pairs.a, pairs.b))
    # nearly all of them are found
    assert len({*pairs.a, *pairs.b} & {str(out/p) for p in copies.path}) >= 26


def test_killed_and_called_again_it_goes_on(tmp_path):
    want = digest(synth_folder(tmp_path/'whole', per_class=110, near=.1, wrong=.1, **SMALL))
    out = tmp_path/'d'
    call = ('from imgcls.data.synth import synth_folder; '
            f'synth_folder({str(out)!r}, per_class=110, near=.1, wrong=.1, side=32)')
    p = subprocess.Popen([sys.executable, '-c', call], stderr=subprocess.DEVNULL)
    end = time.time()+60
    while not (files := list(out.rglob('[0-9]*.jpg'))) and time.time() < end: time.sleep(.01)
    p.send_signal(getattr(signal, 'SIGKILL', signal.SIGTERM)); p.wait()
    assert files and not (out/'truth.csv').exists(), 'it was over before the kill'
    time.sleep(1.5)  # its helpers notice that nobody reads them any more
    kept = {f: f.stat().st_mtime_ns for f in out.rglob('[0-9]*.jpg')}
    assert 0 < len(kept) < 330
    synth_folder(out, per_class=110, near=.1, wrong=.1, **SMALL)
    assert digest(out) == want
    assert all(f.stat().st_mtime_ns == t for f, t in kept.items())


def test_an_empty_photo_is_drawn_again(tmp_path):
    out = synth_folder(tmp_path/'d', per_class=3, **SMALL)
    want = digest(out)
    (out/'fox/00001.jpg').write_bytes(b'')
    (out/'deer/00002.jpg').unlink()
    synth_folder(out, per_class=3, **SMALL)
    assert digest(out) == want


def test_processes_and_one_process_draw_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr(synth, '_cores', lambda: 3)
    a = synth_folder(tmp_path/'a', per_class=105, **SMALL)
    monkeypatch.setattr(synth, '_cores', lambda: 1)
    monkeypatch.setattr(synth, '_share', None)  # must not be needed
    b = synth_folder(tmp_path/'b', per_class=105, **SMALL)
    assert digest(a) == digest(b)


def test_a_script_without_main_guard_works(tmp_path):
    script = tmp_path/'script.py'
    script.write_text('from imgcls.data.synth import synth_folder\n'
                      f"print(synth_folder({str(tmp_path/'d')!r}, per_class=110, side=32))\n")
    done = subprocess.run([sys.executable, '-W', 'error', str(script)], capture_output=True, text=True,
                          timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count('\n') == 1 and len(list((tmp_path/'d').rglob('*.jpg'))) == 330


def test_default_place_is_the_cache_and_knows_its_parameters(tmp_path, monkeypatch):
    monkeypatch.setenv('IMGCLS_CACHE', str(tmp_path))
    a, b = synth_folder(per_class=2, **SMALL), synth_folder(per_class=2, seed=1, **SMALL)
    assert a != b and tmp_path in a.parents and a == synth_folder(per_class=2, **SMALL)
    monkeypatch.setattr(synth, 'VERSION', -1)
    assert synth_folder(per_class=2, **SMALL) not in (a, b)


@pytest.mark.parametrize('holds', ['fox/00000.jpg', 'notes.txt', 'truth.csv'])
def test_a_folder_with_other_files_is_left_alone(tmp_path, holds):
    f = tmp_path/'d'/holds
    f.parent.mkdir(parents=True)
    f.write_text('mine')
    with pytest.raises(UserError, match='other files') as e: synth_folder(tmp_path/'d', per_class=2, **SMALL)
    assert '\n' not in str(e.value) and f.read_text() == 'mine'
    assert [p for p in (tmp_path/'d').rglob('*') if p.is_file()] == [f]


def test_a_folder_of_another_call_is_left_alone(tmp_path):
    out = synth_folder(tmp_path/'d', per_class=2, **SMALL)
    before = digest(out)
    with pytest.raises(UserError, match='other files'): synth_folder(out, per_class=3, **SMALL)
    assert digest(out) == before


def test_a_file_in_the_place_of_the_folder(tmp_path):
    (tmp_path/'d').write_text('mine')
    for out in (tmp_path/'d', tmp_path/'d'/'e'):
        with pytest.raises(UserError, match='folder'): synth_folder(out, per_class=2)
    assert (tmp_path/'d').read_text() == 'mine'


@pytest.mark.parametrize('args, says', [
    (dict(classes=['fox', 'unicorn']), 'fox, squirrel, deer, hare, owl, bear, duck, hedgehog, badger, frog'),
    (dict(classes=['fox', 'fox']), 'different'), (dict(classes=[]), 'none'), (dict(per_class=0), 'per_class'),
    (dict(wrong=1.2), 'wrong'), (dict(wrong=-.1), 'wrong'), (dict(near=.6), 'near'),
    (dict(wrong=.5, near=.3), 'at most 1'), (dict(imbalance=.5), 'imbalance'), (dict(side=4), 'side'),
    (dict(classes='fox', wrong=.1), 'second class')])
def test_bad_values(tmp_path, args, says):
    with pytest.raises(UserError, match=says) as e: synth_folder(tmp_path/'d', **args)
    assert '\n' not in str(e.value) and not (tmp_path/'d').exists()


def test_bad_names():
    for f in (scene, draw, scene_bytes):
        with pytest.raises(UserError, match='badger'): f('unicorn', 0)
    with pytest.raises(UserError, match='occlusion'): draw('fox', 0, hat=1)


@pytest.mark.skipif(not hasattr(os, 'geteuid') or os.geteuid() == 0, reason='root may write anywhere')
def test_a_read_only_place(tmp_path):
    (tmp_path/'ro').mkdir(mode=0o500)
    with pytest.raises(UserError): synth_folder(tmp_path/'ro'/'d', per_class=2, **SMALL)


def test_bytes_are_jpeg_of_the_asked_size():
    with Image.open(BytesIO(scene_bytes('bear', 1, side=200))) as im:
        assert (im.format, im.size) == ('JPEG', (200, 200))
