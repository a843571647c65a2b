"""Studies on disk: cut short, started twice, damaged, changed under their feet; they always come out the same."""
import json
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import threading
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors import safe_open

from imgcls import study as study_room
from imgcls.calibration import calibrate, calibration_error
from imgcls.cli import main
from imgcls.core import UserError
from imgcls.data import photo_table, table_id
from imgcls.models import create_body, find_weights
from imgcls.study import Study, study
from imgcls.synth import scene_bytes, synth_folder
from imgcls.train import Frozen, find_recipe


@pytest.fixture(scope='session')
def scenes(): return synth_folder(per_class=30, side=64)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    "A cache in which nothing is kept yet."
    monkeypatch.setenv('IMGCLS_CACHE', str(tmp_path/'cache'))
    return tmp_path/'cache'


@pytest.fixture
def own(scenes, tmp_path): return Path(shutil.copytree(scenes, tmp_path/'photos', ignore=shutil.ignore_patterns('.*')))


def small(photos, out, sizes=(5, 10), **kw):
    "A study with a body that is quick, and what it said."
    said = []
    st = study(photos, sizes=list(sizes), recipe='frozen', arch='cifar_net', epochs=2, out=out, say=said.append, **kw)
    return st, said


def same(a, b):
    "Two studies found the same, to the last bit."
    assert a.runs.run.tolist() == b.runs.run.tolist() and len(a.runs)
    assert a.runs.accuracy.tolist() == b.runs.accuracy.tolist()
    for r in a.runs.run: np.testing.assert_array_equal(a.probs(r), b.probs(r))


# ---- killed, interrupted, started twice

SERVER = '''
import json, os, pathlib, signal, sys, time, traceback
import matplotlib.pyplot, numpy, pandas, torch, torchvision, imgcls.features, imgcls.finetune, imgcls.study, imgcls.tables
from imgcls.cli import main
from imgcls.features import Features
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell that runs tests in the background has it ignored
imgcls.features.at_once, Features.shard = lambda *a: 16, 64  # so that a kill falls between two shards of few photos
def written(job, since):
    try: return any(p.stat().st_mtime > since for p in pathlib.Path(job['root']).glob(job['until']))
    except OSError: return False  # moved just now
def start(job):
    pid = os.fork()
    if pid: return pid
    log = os.open(job['log'], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(log, 1), os.dup2(log, 2)
    os.environ['IMGCLS_CACHE'] = job['cache']
    code = 99
    try: code = main(job['args'])
    except BaseException: traceback.print_exc()
    finally: os._exit(code)
for line in sys.stdin:
    jobs, began = json.loads(line), time.time()
    pids = [start(j) for j in jobs]
    for pid, j in zip(pids, jobs):
        if j['until']:
            while not written(j, began) and time.time()-began < 30: time.sleep(.001)
        if j['after'] is not None:
            time.sleep(j['after'])
            os.kill(pid, j['signal'])
    codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]
    print(json.dumps([codes, time.time()-began]), flush=True)
'''


class Processes:
    "The command in processes that are ready at once: a server that has imported everything makes copies of itself."
    def __init__(self, root):
        self.root = root
        self.server = subprocess.Popen([sys.executable, '-c', SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True)

    frozen = '--recipe frozen --arch resnet18 --weights random --res 64 --sizes 10,50,all --seeds 3 --epochs 6'

    def __call__(self, *names, after=None, signal=9, options=frozen, until='', photos='photos'):
        "One process for each name of a study, all at the same time; returns exit codes (-9: killed), seconds and what they said; the signal waits for a file."
        jobs = [dict(args=['study', str(self.root/photos), *options.split(), '--out', str(self.root/name), '--json'], cache=str(self.root/f'cache of {name}'),
                     log=str(self.root/f'{i}.log'), after=after, signal=signal, root=str(self.root/name), until=until) for i, name in enumerate(names)]
        self.server.stdin.write(json.dumps(jobs) + '\n')
        self.server.stdin.flush()
        if not select.select([self.server.stdout], [], [], 150)[0]: pytest.fail('a process hangs:\n' + '\n'.join((self.root/f'{i}.log').read_text() for i in range(len(jobs))))
        answer = self.server.stdout.readline()
        assert answer, f'the server ended with {self.server.wait(10)}'
        codes, seconds = json.loads(answer)
        return codes, seconds, [(self.root/f'{i}.log').read_text() for i in range(len(jobs))]


@pytest.fixture(scope='module')
def processes(tmp_path_factory):
    if not hasattr(os, 'fork') or sys.platform == 'darwin': pytest.skip('processes are not copied here')
    root = tmp_path_factory.mktemp('processes')
    made = threading.Thread(target=synth_folder, args=(root/'photos',), kwargs=dict(per_class=160, side=64))
    made.start()
    p = Processes(root)
    synth_folder(root/'few', per_class=30, side=64)
    made.join()
    yield p
    os.killpg(p.server.pid, signal.SIGKILL)  # with what may still run
    p.server.wait(10)
    p.server.stdin.close()
    p.server.stdout.close()


@pytest.fixture(scope='module')
def undisturbed(processes):
    "A study that nothing happened to, and how long it took."
    codes, seconds, said = processes('undisturbed')
    assert codes == [0], said
    assert json.loads(said[0])['features']['computed'] == 480
    return Study(processes.root/'undisturbed'), seconds


def whole(root):
    "Every file under its final name is whole."
    for run in (root/'runs').glob('[!.]*'):
        about = json.loads((run/'run.json').read_text())
        for name in ('preds', 'model'):
            with safe_open(run/f'{name}.safetensors', 'np') as f: assert [f.get_tensor(k) for k in f.keys()]
        assert len(pd.read_csv(run/'epochs.csv')) == 6 and about['run'] == run.name
    if (root/'study.json').exists(): json.loads((root/'study.json').read_text())
    if (root/'table.parquet').exists(): pd.read_parquet(root/'table.parquet')


def test_killed_at_any_moment(processes, undisturbed):
    expected, seconds = undisturbed
    root, kills = processes.root/'killed', 0
    for i in range(1, 10, 2):
        codes, _, said = processes('killed', after=seconds*i/12)
        assert codes[0] in (0, -9), said
        kills += codes[0] == -9
        whole(root)
        for shard in processes.root.glob('cache of killed/features/*/[!.]*.safetensors'):
            with safe_open(shard, 'np') as f: assert len(f.get_tensor('features')) >= 1
    assert kills >= 3, 'too quick to be killed: take more photos'
    codes, _, said = processes('killed')
    assert codes == [0] and 'Traceback' not in said[0] and 'damaged' not in said[0], said
    same(Study(root), expected)
    whole(root)
    shown = {r['run'] for r in json.loads(said[0].splitlines()[-1])['runs']}
    assert shown == set(expected.runs.run), 'a left-over was counted as a run'


def test_killed_before_there_was_a_study(scenes, tmp_path):
    out = tmp_path/'st'
    out.mkdir()
    (out/'.study.123-0a1b2c3d.json').write_text('{"tab')  # what a kill leaves of the first file
    st, _ = small(scenes, out)
    assert len(st.runs) == 2
    (out/'study.json').rename(out/'.study.124-0a1b2c3d.json')
    with pytest.raises(UserError, match='holds other files and no study'): small(scenes, out)


def test_killed_before_the_table_was_written(scenes, tmp_path, monkeypatch):
    def kill(*a, **kw): raise SystemExit
    for name in ('save_table', 'skipped', 'Study'):
        with monkeypatch.context() as m:
            m.setattr(study_room, name, kill)
            with pytest.raises(SystemExit): small(scenes, tmp_path/'st')
        small(scenes, tmp_path/name)
        st, _ = small(scenes, tmp_path/'st')
        assert len(st.runs) == 2
        shutil.rmtree(tmp_path/'st')


def test_left_overs_are_no_runs(scenes, tmp_path):
    st, _ = small(scenes, tmp_path/'st')
    runs = st.path/'runs'
    shutil.copytree(runs/st.runs.run[0], runs/f'.{st.runs.run[0]}.99-0123abcd')
    (runs/'notes of mine.txt').write_text('do not touch')
    shutil.copytree(runs/st.runs.run[0], runs/'copy of a run')
    again, said = small(scenes, tmp_path/'st')
    same(again, st)
    assert (runs/'notes of mine.txt').read_text() == 'do not touch' and any('copy of a run is damaged' in s for s in said)


def test_interrupted_by_the_user(processes, undisturbed):
    expected, seconds = undisturbed
    for share in (.1, .3, .6):
        codes, _, said = processes('interrupted', after=seconds*share, signal=int(signal.SIGINT))
        assert codes in ([130], [0]), said
        if codes == [130]: assert said[0].splitlines()[-1] == 'imgcls: interrupted; what is finished stays, and the same command goes on from there'
        assert 'Traceback' not in said[0], said[0]
    assert processes('interrupted')[0] == [0]
    same(Study(processes.root/'interrupted'), expected)


def test_two_processes_on_one_study(processes, undisturbed):
    codes, _, said = processes('shared', 'shared')
    assert codes == [0, 0] and not any('Traceback' in s or 'damaged' in s for s in said), said
    same(Study(processes.root/'shared'), undisturbed[0])
    whole(processes.root/'shared')
    for s in said: assert len(json.loads(s.splitlines()[-1])['runs']) == 9
    left = [p for p in (processes.root/'shared').rglob('.*')] + [p for p in (processes.root/'cache of shared').rglob('.*')]
    assert not left, left


# ---- a run that trains the body, cut short

TRAINED = {'scratch': '--recipe scratch:epochs=8 --sizes 20', 'fine_tune': '--recipe fine_tune:epochs=6:calibrate=.2 --arch efficientnet_lite0 --res 64 --sizes 20',
           'fastai': '--recipe fastai:epochs=5:bs=16 --arch cifar_net --res 32 --sizes 20'}


def kept(root):
    "What a run leaves, but for the time it took."
    run, = (root/'runs').glob('[!.]*')
    with safe_open(run/'model.safetensors', 'np') as f: state = {k: f.get_tensor(k) for k in f.keys()}
    with safe_open(run/'preds.safetensors', 'np') as f: preds = {k: f.get_tensor(k) for k in f.keys()}
    about = json.loads((run/'run.json').read_text())
    about = {k: about[k] for k in ('accuracy', 'temperature', 'calibration_error', 'notes', 'settings')}
    return run.name, pd.read_csv(run/'epochs.csv').drop(columns='seconds'), state, preds, about


@pytest.mark.parametrize('recipe', TRAINED)
def test_a_training_cut_short_goes_on(processes, recipe):
    how = dict(options=TRAINED[recipe], photos='few')
    codes, _, said = processes(f'{recipe} whole', **how)
    assert codes == [0], said
    expected = kept(processes.root/f'{recipe} whole')
    root = processes.root/f'{recipe} cut short'
    for number, code in ((9, -9), (int(signal.SIGINT), 130)):  # each when at least one more epoch is done
        codes, _, said = processes(root.name, after=0, signal=number, until='runs/.[!.]*.pt', **how)
        assert codes == [code] and not [*(root/'runs').glob('[!.]*')] and 'Traceback' not in said[0], said
        file, = (root/'runs').glob('.[!.]*.pt')
        rows = torch.load(file, weights_only=True)['extra']['diary']['rows']
    assert said[0].splitlines()[-1] == 'imgcls: interrupted; what is finished stays, and the same command goes on from there'
    codes, _, said = processes(root.name, **how)
    assert codes == [0] and 'Traceback' not in said[0], said
    got = kept(root)
    assert got[0] == expected[0] and got[4] == expected[4]
    pd.testing.assert_frame_equal(got[1], expected[1], check_exact=True)
    for a, b in zip(got[2:4], expected[2:4]):
        assert [*a] == [*b]
        for k in a: np.testing.assert_array_equal(a[k], b[k], k)
    assert not [*(root/'runs').glob('.[!.]*.pt')], 'the epochs so far are kept for nothing'
    seconds = pd.read_csv(root/'runs'/got[0]/'epochs.csv').seconds
    assert seconds.is_monotonic_increasing and len(rows) >= 2 and seconds[:len(rows)].tolist() == pytest.approx([r['seconds'] for r in rows]), 'what was learned is learned again'


def test_a_damaged_file_of_epochs_means_a_fresh_start(scenes, tmp_path):
    how = dict(sizes=[5], recipe='fastai:bs=8', arch='cifar_net', epochs=1, say=lambda s: None)
    whole = study(scenes, out=tmp_path/'a', **how)
    (tmp_path/'b'/'runs').mkdir(parents=True)
    (tmp_path/'b'/'study.json').write_text(json.dumps(whole.about))
    (tmp_path/'b'/'runs'/f'.{whole.runs.run[0]}.pt').write_bytes(b'half')
    same(study(scenes, out=tmp_path/'b', **how), whole)
    assert [p.name for p in (tmp_path/'b'/'runs').iterdir()] == whole.runs.run.tolist()


def test_what_run_json_says_of_a_training(scenes, tmp_path):
    recipes = ['fine_tune:epochs=1:calibrate=.2', 'sgd_step:epochs=1:bs=8:freeze=on', 'few_shot:epochs=1', 'scratch:epochs=1:bs=8']
    st = study(scenes, sizes=[10], recipe=recipes, arch='efficientnet_lite0', res=32, out=tmp_path/'st', say=lambda s: None)
    assert sorted(st.runs.recipe) == sorted(recipes)
    for r in recipes:
        run = st.runs.run[st.runs.recipe == r].iloc[0]
        about = json.loads((st.path/'runs'/run/'run.json').read_text())
        for k, v in asdict(find_recipe(r)[1]).items(): assert about['settings'][k] == v or k == 'weights', (r, k)  # which weights is told by their hash
        assert about['settings'].keys() >= {'balance', 'short', 'method', 'weights', 'precision'} and about['notes'] == []
        p = st.probs(run)[-1].astype(np.float32)
        assert about['calibration_error'] == pytest.approx(calibration_error(p, st.targets), abs=1e-5)
        assert about['calibration_error_raw'] == pytest.approx(calibration_error(calibrate(p, 1/about['temperature']), st.targets), abs=2e-3)
        assert (about['temperature'] != 1) == r.startswith(('fine_tune', 'few_shot')), r
        with safe_open(st.path/'runs'/run/'model.safetensors', 'np') as f: said = json.loads(f.metadata()['imgcls'])
        assert round(said['temperature'], 4) == about['temperature'] and said['arch'] == about['arch'] == ('efficientnet_lite0')
    assert not [*(st.path/'runs').glob('.*')]


def test_each_recipe_has_its_own_resolution(scenes, tmp_path):
    one = 'sgd_step:arch=resnet18:weights=random:epochs=1:bs=8:res='
    st = study(scenes, sizes=[5], recipe=[one+'32', one+'64', 'scratch:epochs=1'], out=tmp_path/'st', say=lambda s: None)
    assert dict(zip(st.runs.recipe, st.runs.res)) == {one+'32': 32, one+'64': 64, 'scratch:epochs=1': 32} and set(st.runs.arch) == {'resnet18', 'cifar_net'}


def test_weights_of_another_architecture(scenes, tmp_path, capsys):
    from safetensors.torch import save_file
    save_file(create_body(find_weights('mobilenet_v3_small', 'random')).module.state_dict(), tmp_path/'w.safetensors')
    code = main(['study', str(scenes), '--arch', 'resnet18', '--weights', str(tmp_path/'w.safetensors'), '--out', str(tmp_path/'st')])
    said = capsys.readouterr()
    assert code == 2 and not said.out and said.err.count('\n') == 1 and not (tmp_path/'st').exists()
    assert re.search(r"w.safetensors doesn't fit: \d+ of \d+ tensors differ, such as conv1.weight .missing; the file has features.*, …\)$", said.err.strip()), said.err


# ---- nothing twice, and the same again

def test_second_study_computes_no_feature(scenes, tmp_path, cache):
    first, _ = small(scenes, tmp_path/'a')
    assert first.features['computed'] == 90
    second, _ = small(scenes, tmp_path/'b', sizes=(5, 10, 20, 'all'), seeds=2)
    assert second.features['computed'] == 0 and second.features['body'] == 0 and len(second.runs) == 8
    for r in first.runs.run: np.testing.assert_array_equal(first.probs(r), second.probs(r))


def test_moved_and_renamed_photos_are_known(own, tmp_path, cache):
    first, _ = small(own, tmp_path/'a')
    moved = own.rename(tmp_path/'elsewhere')
    files = sorted(moved.rglob('*.jpg'))
    for i, f in enumerate(files): f.rename(f.with_name(f'{(i*37) % len(files):02} renamed.jpeg'))
    second, said = small(moved, tmp_path/'a')
    assert second.features['computed'] == 0 and any('2 runs of this study found' in s for s in said)
    # the runs are the old ones: their probabilities must still belong to the photos at the same place in the table
    tests = [st.table.sha256[st.table.split == 'test'].tolist() for st in (first, second)]
    assert tests[0] == tests[1] and second.table.path.str.contains('renamed').all()
    third, _ = small(moved, tmp_path/'b')
    same(third, first)


def test_the_same_study_twice_is_the_same(scenes, tmp_path, monkeypatch):
    got = []
    for name in ('a', 'b'):
        monkeypatch.setenv('IMGCLS_CACHE', str(tmp_path/f'cache {name}'))
        got.append(small(scenes, tmp_path/name, seeds=2)[0])
    assert got[1].features['computed'] == 90
    same(*got)
    a = got[0]
    assert not np.array_equal(a.probs(a.runs.run[0]), a.probs(a.runs.run[1])), 'another seed, other photos'
    np.testing.assert_array_equal(a.rates(a.runs.run[0]), got[1].rates(a.runs.run[0]))


def test_what_a_run_keeps(scenes, tmp_path):
    st, _ = small(scenes, tmp_path/'st', sizes=(5, 'all'))
    assert list(st.runs['size']) == [5, 'all'] and st.runs.n_test.eq((st.table.split == 'test').sum()).all()
    for r in st.runs.itertuples():
        p, e = st.probs(r.run), st.epochs[st.epochs.run == r.run]
        assert p.shape == (2, r.n_test, 3) and p.dtype == np.float16
        np.testing.assert_allclose(p.sum(-1), 1, atol=5e-3)
        right = (p.argmax(-1) == st.targets).mean(1)
        np.testing.assert_allclose(right, e.accuracy)
        assert r.accuracy == right[-1] and r.correct == round(right[-1]*r.n_test) and list(e.epoch) == [1, 2]
    with safe_open(st.path/'runs'/st.runs.run[0]/'model.safetensors', 'np') as f: assert f.get_tensor('weight').shape == (3, 84)


def test_the_kept_head_gives_the_kept_probabilities(scenes, tmp_path):
    from imgcls.features import Features, features
    st, _ = small(scenes, tmp_path/'st', sizes=('all',))
    X = features(st.table, Features('cifar_net', 32))[st.table.split == 'test'].astype(np.float32)
    with safe_open(st.path/'runs'/st.runs.run[0]/'model.safetensors', 'np') as f: z = X @ f.get_tensor('weight').T + f.get_tensor('bias')
    z /= st.runs.temperature[0]
    p = np.exp(z - z.max(1, keepdims=True))
    np.testing.assert_allclose(p/p.sum(1, keepdims=True), st.probs(st.runs.run[0])[-1].astype(np.float32), atol=2e-3)


def test_another_order_of_sizes_and_seeds_gives_the_same_runs(scenes, tmp_path):
    all_at_once, _ = small(scenes, tmp_path/'a', sizes=(10, 5), seeds=2)
    small(scenes, tmp_path/'b', sizes=(10,), seeds=1)
    small(scenes, tmp_path/'b', sizes=(5,), seeds=2)
    one_by_one, said = small(scenes, tmp_path/'b', sizes=(5, 10), seeds=2)
    assert any('3 runs of this study found' in s for s in said)
    same(all_at_once, one_by_one)


def test_a_table_and_a_folder_are_the_same_photos(scenes, tmp_path):
    table = photo_table(scenes)
    before = table.copy()
    a, b = small(scenes, tmp_path/'a')[0], small(table.sample(frac=1, random_state=0), tmp_path/'b')[0]
    same(a, b)
    pd.testing.assert_frame_equal(table, before)
    assert table_id(a.table) == table_id(table) and b.table.attrs['name'] == table.attrs['name']


def test_each_body_has_its_own_resolution(scenes, tmp_path):
    st = study(scenes, sizes=[5], recipe='frozen', arch=['cifar_net', 'resnet18'], weights='random', epochs=1, out=tmp_path/'st', say=lambda s: None)
    assert dict(zip(st.runs.arch, st.runs.res)) == {'cifar_net': 32, 'resnet18': 96}


# ---- photos that change

def test_changed_photo(own, tmp_path, cache):
    first, _ = small(own, tmp_path/'st')
    victim = own/'fox'/'00007.jpg'
    victim.write_bytes(scene_bytes('fox', 999, side=64))
    (own/'deer'/'new.jpg').write_bytes(scene_bytes('deer', 999, side=64))
    second, said = small(own, tmp_path/'st')
    assert second.about['table'] != first.about['table'] and second.features['computed'] == 2
    assert sum('changed since 2 earlier runs' in s for s in said) == 1, said
    assert set(second.runs.run).isdisjoint(first.runs.run) and len(second.runs) == 2, 'old and new runs are mixed'
    assert all((tmp_path/'st'/'runs'/r).is_dir() for r in first.runs.run), 'old runs are kept'
    # and back again: the first runs are found
    (own/'deer'/'new.jpg').unlink()
    victim.write_bytes(scene_bytes('fox', 7, side=64))
    third, said = small(own, tmp_path/'st')
    same(third, first)
    assert third.features['computed'] == 0 and any('2 runs of this study found' in s for s in said)


def test_photo_that_changes_after_the_table_was_made(own, tmp_path):
    table = photo_table(own)
    (own/'fox'/'00007.jpg').write_bytes(scene_bytes('fox', 999, side=64))
    with pytest.raises(UserError, match='1 photo changed since the table was made, such as .*00007.jpg .*make the table anew'): small(table, tmp_path/'st')


# ---- damage

def test_damaged_features(scenes, tmp_path, cache):
    first, _ = small(scenes, tmp_path/'a')
    shard, = cache.glob('features/*/*.safetensors')
    good = shard.read_bytes()
    flipped = bytearray(good)
    flipped[-5] ^= 4  # one bit of one feature
    for bad in (good[:len(good)//2], b'', bytes(flipped), os.urandom(5000)):
        for f in cache.glob('features/*/*.safetensors'): f.unlink()
        shard.write_bytes(bad)
        st, said = small(scenes, tmp_path/'b')
        assert sum('kept features were damaged' in s and 'computed again' in s for s in said) == 1 and st.features['computed'] == 90, said
        shutil.rmtree(tmp_path/'b')
    same(small(scenes, tmp_path/'c')[0], first)


def test_damaged_features_of_a_second_body_are_told_too(scenes, tmp_path, cache):
    options = dict(sizes=[5], recipe='frozen', arch=['cifar_net', 'resnet18'], weights='random', epochs=1, res=32)
    study(scenes, **options, out=tmp_path/'a', say=lambda s: None)
    next(cache.glob('features/resnet18-*/*.safetensors')).write_bytes(b'x')
    said = []
    st = study(scenes, **options, out=tmp_path/'b', say=said.append)
    assert sum('kept features were damaged' in s for s in said) == 1 and st.features['computed'] == 90


@pytest.mark.parametrize('file', ['preds.safetensors', 'model.safetensors', 'run.json', 'epochs.csv'])
def test_damaged_run_is_made_again(scenes, tmp_path, file):
    first, _ = small(scenes, tmp_path/'st')
    name = first.runs.run[0]
    path = first.path/'runs'/name/file
    probs = first.probs(name)
    for bad in (path.read_bytes()[:-40], b'', b'{}', b'[]', b'null', b'\xff\xfe\0', None):
        path.unlink() if bad is None else path.write_bytes(bad)
        assert len(Study(first.path).runs) == 1, f'{bad} counts as a run'
        st, said = small(scenes, tmp_path/'st')
        assert sum(f'run {name} is damaged and made anew' in s for s in said) == 1, said
        same(st, first)
        np.testing.assert_array_equal(st.probs(name), probs)


@pytest.mark.parametrize('file', ['study.json', 'table.parquet'])
def test_damaged_study(scenes, tmp_path, file):
    first, _ = small(scenes, tmp_path/'st')
    for bad in (b'', b'{}', b'[1]', b'null', b'PAR1', os.urandom(200)):
        (first.path/file).write_bytes(bad)
        with pytest.raises(UserError, match='start the same study again') as e: Study(first.path)
        assert file in str(e.value) and '\n' not in str(e.value)
        st, said = small(scenes, tmp_path/'st')
        assert any('2 runs of this study found' in s for s in said)
        same(st, first)
    (first.path/file).unlink()
    with pytest.raises(UserError, match='is no study|start the same study again'): Study(first.path)


def test_loss_that_is_no_number(scenes, tmp_path):
    said = []
    st = study(scenes, sizes=[5, 10], recipe=[Frozen(lr=1e20), 'frozen'], arch='cifar_net', epochs=2, out=tmp_path/'st', say=said.append)
    assert len(st.failed) == 2 and st.runs['size'].tolist() == [5, 10] and len(list((st.path/'runs').iterdir())) == 2
    assert sum('NaN' in s and 'lower the learning rate' in s for s in said) == 2
    assert np.isfinite(st.epochs[['train_loss', 'valid_loss', 'accuracy']].to_numpy()).all()


def test_a_training_whose_loss_is_no_number(scenes, tmp_path, capsys):
    "The last good epoch is a result; no good epoch at all is none."
    def run(recipe, arch):
        code = main(['study', str(scenes), '--recipe', recipe, '--arch', arch, '--res', '32', '--sizes', '5', '--out', str(tmp_path/'st'), '--json'])
        return code, capsys.readouterr()

    code, said = run('fine_tune:lr=1e12:epochs=2', 'efficientnet_lite0')
    assert code == 0 and 'Traceback' not in said.err
    line, = (s for s in said.err.splitlines() if 'NaN' in s)
    assert line.startswith('fine_tune:lr=1e12:epochs=2, 5 photos a class, seed 0: the loss is no number any more (NaN) at step ')
    assert 'epoch 1, the last good one, is kept: lower the learning rate' in line
    st = Study(tmp_path/'st')
    assert list(st.epochs.phase) == ['head'] and len(json.loads((st.path/'runs'/st.runs.run[0]/'run.json').read_text())['notes']) == 1 and st.probs(st.runs.run[0]).shape[0] == 1
    code, said = run('fastai:lr=1e30:epochs=2', 'cifar_net')
    assert code == 1 and 'Traceback' not in said.err and re.search('not finished: fastai:lr=1e30.* nothing of this run is kept', said.err)
    assert len(Study(tmp_path/'st').runs) == 1 and [p.name for p in (tmp_path/'st'/'runs').iterdir()] == st.runs.run.tolist()
    assert len(json.loads(said.out)['failed']) == 1


# ---- said before anything is computed

@pytest.mark.parametrize('options, says', [
    (dict(sizes=[5, 500]), 'size 500 needs 500'), (dict(seeds=0), 'seeds is 0'), (dict(balance='up'), "balance 'up'"), (dict(short='no'), "short 'no'"),
    (dict(epochs=0), 'epochs is 0'), (dict(recipe='slow'), 'no recipe'), (dict(method='pad'), "method 'pad'"), (dict(test=0), 'between 0 and 1')])
def test_mistakes(scenes, tmp_path, monkeypatch, options, says):
    monkeypatch.setattr(study_room, 'fit_recipe', lambda *a, **kw: pytest.fail('a run was started'))
    with pytest.raises(UserError, match=says) as e: study(scenes, **(dict(sizes=[5], arch='cifar_net', out=tmp_path/'st', say=print) | options))
    assert '\n' not in str(e.value) and not (tmp_path/'st').exists()
