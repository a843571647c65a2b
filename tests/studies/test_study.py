"""Studies on disk: cut short, started twice, damaged, of photos that change; they come out the same."""
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
from itertools import chain
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors import safe_open

from imgcls.cli import main
from imgcls.core import UserError
from imgcls.data import table
from imgcls.data.synth import scene_bytes, synth_folder
from imgcls.data.table import Photos, read_photos
from imgcls.machines import Claim
from imgcls.studies import executors
from imgcls.studies import study as room
from imgcls.studies.study import Study, study
from imgcls.training import engine, pixels
from imgcls.training.calibration import calibrate, overconfidence
from imgcls.training.features import Features
from imgcls.training.models import find_weights, load_body
from imgcls.training.recipes import FineTune, Frozen, find_recipe


@pytest.fixture(scope='session')
def scenes(): return synth_folder(per_class=30, side=64)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    "A cache in which nothing is kept yet."
    monkeypatch.setenv('IMGCLS_CACHE', str(tmp_path/'cache'))
    return tmp_path/'cache'


@pytest.fixture
def own(scenes, tmp_path):
    return Path(shutil.copytree(scenes, tmp_path/'photos', ignore=shutil.ignore_patterns('.*')))


def small(photos, out, sizes=(5, 10), **kw):
    "A study with a body that is quick, and what it said."
    said = []
    how = dict(recipe='frozen', arch='cifar_net', epochs=2, seeds=1) | kw
    st = study(photos, sizes=list(sizes), out=out, say=said.append, **how)
    return st, said


def same(a, b):
    "Two studies found the same, to the last bit."
    assert a.runs.run.tolist() == b.runs.run.tolist() and len(a.runs)
    assert a.runs.accuracy.tolist() == b.runs.accuracy.tolist()
    for r in a.runs.run: np.testing.assert_array_equal(a.probs(r), b.probs(r))


# killed, interrupted, started twice

SERVER = '''
import json, os, pathlib, signal, sys, time, traceback
import matplotlib.pyplot, numpy, pandas, torch, torchvision
import imgcls.studies.runs, imgcls.studies.study, imgcls.studies.tables, imgcls.training.features
import imgcls.training.finetune
from imgcls.cli import main
from imgcls.training.features import Features

# a shell that runs tests in the background has it ignored
signal.signal(signal.SIGINT, signal.default_int_handler)
# so that a kill falls between two shards of few photos
imgcls.training.features.at_once, Features.shard = lambda *a: 16, 64
write = imgcls.studies.runs._write_run

def counted(run, *args):
    "Write a run, and note that it was made."
    with open(f'{run.parent.parent}.made', 'a') as f: f.write(run.name + chr(10))
    return write(run, *args)

def written(job, since):
    try: return any(p.stat().st_mtime > since for p in pathlib.Path(job['root']).glob(job['until']))
    except OSError: return False  # moved just now

def start(job):
    pid = os.fork()
    if pid: return pid
    log = os.open(job['log'], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(log, 1), os.dup2(log, 2)
    os.environ['IMGCLS_CACHE'] = job['cache']
    imgcls.studies.runs._write_run = counted
    if 'place' in job: imgcls.machines._place = lambda: job['place']
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
        if j['owner']:
            claim, = pathlib.Path(j['root']).glob('runs/.*.claim/*')
            pid = int(claim.name.split('.')[1])
        if j['after'] is not None:
            time.sleep(j['after'])
            os.kill(pid, j['signal'])
    codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]
    print(json.dumps([codes, time.time()-began]), flush=True)
'''


INTERRUPTED = 'imgcls: interrupted; what is finished stays, and the same command continues from there'


class Processes:
    "The command in processes that are ready at once: copies of a server that has imported everything."
    def __init__(self, root):
        self.root = root
        self.server = subprocess.Popen([sys.executable, '-c', SERVER], stdin=subprocess.PIPE, text=True,
                                       stdout=subprocess.PIPE, start_new_session=True)

    frozen = ('--recipe frozen --arch resnet18 --weights random --res 64'
              ' --sizes 10,all --seeds 3 --epochs 4')

    def __call__(self, *names, after=None, signal=9, options=frozen, until='', photos='photos', owner=False,
                 apart=False):
        """One process for each name of a study, all at the same time; the signal waits for a file `until`.

        With `owner`, it goes to the process that has claimed a run, and to no other. With `apart`, processes
        are like machines: each has a cache of its own, and sees no process of the others.

        Returns exit codes (-9: killed), seconds and what they printed."""
        logs = [self.root/f'{i}.log' for i in range(len(names))]
        args = ['study', str(self.root/photos), *options.split(), '--json', '--out']
        jobs = [dict(args=[*args, str(self.root/name)],
                     cache=str(self.root/f'cache of {name}'), log=str(log), after=after, signal=signal,
                     root=str(self.root/name), until=until, owner=False) for log, name in zip(logs, names)]
        if apart: jobs = [dict(j, place=f'machine{i}', cache=f'{j["cache"]} {i}') for i, j in enumerate(jobs)]
        if owner: jobs = [dict(jobs[0], owner=True), *(dict(j, after=None, until='') for j in jobs[1:])]
        self.server.stdin.write(json.dumps(jobs) + '\n')
        self.server.stdin.flush()
        if not select.select([self.server.stdout], [], [], 150)[0]:
            pytest.fail('a process hangs:\n' + '\n'.join(log.read_text() for log in logs))
        answer = self.server.stdout.readline()
        assert answer, f'the server ended with {self.server.wait(10)}'
        codes, seconds = json.loads(answer)
        return codes, seconds, [log.read_text() for log in logs]

    def made(self, name):
        "The runs that were made for a study, also those made twice."
        return (self.root/f'{name}.made').read_text().split()


@pytest.fixture(scope='module')
def processes(tmp_path_factory):
    if not hasattr(os, 'fork') or sys.platform == 'darwin': pytest.skip('processes are not copied here')
    root = tmp_path_factory.mktemp('processes')
    made = threading.Thread(target=synth_folder, args=(root/'photos',), kwargs=dict(per_class=70, side=64))
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
    assert json.loads(said[0])['features']['computed'] == 210
    return Study(processes.root/'undisturbed'), seconds


def whole(root):
    "Every file under its final name is whole."
    for run in (root/'runs').glob('[!.]*'):
        about = json.loads((run/'run.json').read_text())
        for name in ('preds', 'model'):
            with safe_open(run/f'{name}.safetensors', 'np') as f: assert [f.get_tensor(k) for k in f.keys()]
        assert len(pd.read_csv(run/'epochs.csv')) == 4 and about['run'] == run.name
    if (root/'study.json').exists(): json.loads((root/'study.json').read_text())
    if (root/'photos.parquet').exists(): Photos.load(root/'photos.parquet')


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


@pytest.mark.parametrize('call', ['Photos.save', '_finished', '_make_all', 'Study'])
def test_killed_before_the_first_run(scenes, tmp_path, monkeypatch, call):
    def kill(*a, **kw): raise SystemExit
    with monkeypatch.context() as m:
        m.setattr(*((Photos, 'save') if call == 'Photos.save' else (room, call)), kill)
        with pytest.raises(SystemExit): small(scenes, tmp_path/'st')
    st, _ = small(scenes, tmp_path/'st')
    assert len(st.runs) == 2


def test_left_overs_are_no_runs(scenes, tmp_path):
    st, _ = small(scenes, tmp_path/'st')
    runs = st.path/'runs'
    shutil.copytree(runs/st.runs.run[0], runs/f'.{st.runs.run[0]}.99-0123abcd')
    (runs/'notes of mine.txt').write_text('do not touch')
    shutil.copytree(runs/st.runs.run[0], runs/'copy of a run')
    again, said = small(scenes, tmp_path/'st')
    same(again, st)
    assert (runs/'notes of mine.txt').read_text() == 'do not touch' \
        and any('copy of a run is damaged' in s for s in said)


def test_interrupted_by_the_user(processes, undisturbed):
    expected, seconds = undisturbed
    for share in (.1, .3, .6):
        codes, _, said = processes('interrupted', after=seconds*share, signal=int(signal.SIGINT))
        assert codes in ([130], [0]), said
        if codes == [130]: assert said[0].splitlines()[-1] == INTERRUPTED
        assert 'Traceback' not in said[0], said[0]
    assert processes('interrupted')[0] == [0]
    same(Study(processes.root/'interrupted'), expected)


def test_two_processes_on_one_study(processes, undisturbed):
    "Each run is made once."
    codes, _, said = processes('shared', 'shared')
    assert codes == [0, 0] and not any('Traceback' in s or 'damaged' in s for s in said), said
    same(Study(processes.root/'shared'), undisturbed[0])
    whole(processes.root/'shared')
    for s in said: assert len(json.loads(s.splitlines()[-1])['runs']) == 6
    assert sorted(processes.made('shared')) == sorted(undisturbed[0].runs.run)
    left = [*(processes.root/'shared').rglob('.*'), *(processes.root/'cache of shared').rglob('.*')]
    left = [p for p in left if p.parent.name != '.leases' and p.name not in ('.lock', '.leases', '.studies')]
    assert not left, left


def test_three_machines_with_a_shared_folder(processes, undisturbed):
    "The same command on each of them, and nothing else."
    codes, _, said = processes(*['machines']*3, apart=True)
    assert codes == [0, 0, 0] and not any('Traceback' in s or 'damaged' in s for s in said), said
    same(Study(processes.root/'machines'), undisturbed[0])
    whole(processes.root/'machines')
    assert sorted(processes.made('machines')) == sorted(undisturbed[0].runs.run)
    assert not [*(processes.root/'machines').rglob('.*')]


# A run that trains the body, cut short

TRAINED = {
    'scratch': '--recipe scratch:epochs=6 --sizes 20',
    'fine_tune': '--recipe fine_tune:epochs=5:calibrate=.2 --arch efficientnet_lite0 --res 32 --sizes 20',
    'fastai': '--recipe fastai:epochs=5:bs=16 --arch cifar_net --res 32 --sizes 20'}


def kept(root):
    "What a run leaves, but for the time it took."
    run, = (root/'runs').glob('[!.]*')
    with safe_open(run/'model.safetensors', 'np') as f: state = {k: f.get_tensor(k) for k in f.keys()}
    with safe_open(run/'preds.safetensors', 'np') as f: preds = {k: f.get_tensor(k) for k in f.keys()}
    about = json.loads((run/'run.json').read_text())
    about = dict({k: about['result'][k] for k in ('accuracy', 'temperature', 'overconfidence', 'notes')},
                 spec=about['spec'])
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
        left = [*(root/'runs').glob('.*.claim')]
        assert bool(left) == (code == -9), 'an interrupted process gives its claim back'
        file, = (root/'runs').glob('.[!.]*.pt')
        rows = torch.load(file, weights_only=True)['extra']['diary']['rows']
    assert said[0].splitlines()[-1] == INTERRUPTED
    codes, took, said = processes(root.name, **how)
    assert codes == [0] and 'Traceback' not in said[0] and took < 60, said
    got = kept(root)
    assert got[0] == expected[0] and got[4] == expected[4]
    pd.testing.assert_frame_equal(got[1], expected[1], check_exact=True)
    for a, b in zip(got[2:4], expected[2:4]):
        assert [*a] == [*b]
        for k in a: np.testing.assert_array_equal(a[k], b[k], k)
    assert not [*(root/'runs').glob('.*')], 'the epochs so far are kept for nothing'
    seconds = pd.read_csv(root/'runs'/got[0]/'epochs.csv').seconds
    before = [r['seconds'] for r in rows]
    assert seconds.is_monotonic_increasing and len(rows) >= 2
    assert seconds[:len(rows)].tolist() == pytest.approx(before), 'what was learned is learned again'


def test_a_killed_training_is_taken_over_by_the_process_that_waits(processes):
    "The process that has the run is killed, and the other one continues where it was."
    how = dict(options='--recipe scratch:epochs=12 --sizes 20', photos='few', until='runs/.[!.]*.pt')
    codes, seconds, said = processes('taken over', 'taken over', after=0, owner=True, **how)
    assert sorted(codes) == [-9, 0] and seconds < 60 and any('waiting for 1 run' in s for s in said), said
    run, = processes.made('taken over')
    assert kept(processes.root/'taken over')[0] == run and not [*(processes.root/'taken over').rglob('.*')]


def test_a_damaged_file_of_epochs_means_a_fresh_start(scenes, tmp_path):
    how = dict(sizes=[5], recipe='fastai:bs=8', arch='cifar_net', epochs=1, say=str)
    whole = study(scenes, out=tmp_path/'a', **how)
    (tmp_path/'b'/'runs').mkdir(parents=True)
    (tmp_path/'b'/'study.json').write_text(json.dumps(whole.about))
    (tmp_path/'b'/'runs'/f'.{whole.runs.run[0]}.pt').write_bytes(b'half')
    same(study(scenes, out=tmp_path/'b', **how), whole)
    assert [p.name for p in (tmp_path/'b'/'runs').iterdir()] == whole.runs.run.tolist()


@pytest.fixture(params=['real', 'as PyTorch tells it'])
def full_disk(request, tmp_path, monkeypatch):
    "A folder on a disk that has room for a run, but not for the epochs of a training."
    folder = tmp_path/'disk'
    folder.mkdir()
    if request.param == 'real':
        mount = ['mount', '-t', 'tmpfs', '-o', 'size=600k', 'tmpfs', str(folder)]
        if not shutil.which('mount') or subprocess.run(mount, capture_output=True).returncode:
            pytest.skip('only root can make a small disk')
        yield folder
        subprocess.run(['umount', '-l', str(folder)], check=True)
        return

    def fail(*a): raise RuntimeError('[enforce fail at inline_container.cc:868] . PytorchStreamWriter failed '
                                     'writing file data/3: file write failed')
    monkeypatch.setattr(torch, 'save', fail)
    yield folder


@pytest.mark.parametrize('recipe', ['fine_tune:epochs=2', 'fastai:epochs=1:bs=8'])
def test_a_training_goes_on_where_the_disk_has_no_room_for_its_epochs(scenes, full_disk, recipe):
    said = []
    st = study(scenes, [5], recipe, 'cifar_net', out=full_disk/'st', say=said.append)
    assert len(st.runs) == 1 and not [*(st.path/'runs').glob('.*')]
    line, = [s for s in said if 'epochs are not kept' in s]
    assert "can't write" in line and 'free some space' in line and '\n' not in line


def test_what_run_json_says_of_a_training(scenes, tmp_path):
    recipes = ['fine_tune:epochs=1:calibrate=.2', 'sgd_step:epochs=1:bs=8:freeze=on', 'frozen:epochs=1',
               'scratch:epochs=1:bs=8']
    how = dict(arch='efficientnet_lite0', res=32, seeds=1)
    st = study(scenes, sizes=[10], recipe=recipes, **how, out=tmp_path/'st', say=str)
    assert sorted(st.runs.recipe) == sorted(recipes)
    for r in recipes:
        run = st.runs.run[st.runs.recipe == r].iloc[0]
        about = json.loads((st.path/'runs'/run/'run.json').read_text())
        spec, result = about['spec'], about['result']
        assert spec['settings'] == asdict(find_recipe(r)[1]) and result['notes'] == []
        assert (spec['balance'], spec['method']) == ('none', 'crop')
        assert spec['precision'] and about['versions']
        p = st.probs(run)[-1].astype(np.float32)
        raw = overconfidence(calibrate(p, 1/result['temperature']), st.targets)
        assert result['overconfidence'] == pytest.approx(overconfidence(p, st.targets), abs=1e-5)
        assert result['overconfidence_raw'] == pytest.approx(raw, abs=2e-3)
        assert result['temperature'] == 1 or r.startswith(('fine_tune', 'frozen')), r
        with safe_open(st.path/'runs'/run/'model.safetensors', 'np') as f:
            said = json.loads(f.metadata()['imgcls'])
        assert round(said['temperature'], 4) == result['temperature'] and said['weights'] == spec['weights']
        assert said['arch'] == spec['arch'] == 'efficientnet_lite0'
    assert not [*(st.path/'runs').glob('.*')]


def test_each_recipe_has_its_own_resolution(scenes, tmp_path):
    one = 'sgd_step:arch=resnet18:weights=random:epochs=1:bs=8:res='
    st = study(scenes, sizes=[5], recipe=[one+'32', one+'64', 'scratch:epochs=1'], out=tmp_path/'st', say=str)
    assert dict(zip(st.runs.recipe, st.runs.res)) == {one+'32': 32, one+'64': 64, 'scratch:epochs=1': 32}
    assert set(st.runs.arch) == {'resnet18', 'cifar_net'}


def test_weights_of_another_architecture(scenes, tmp_path, capsys):
    from safetensors.torch import save_file
    other = load_body(find_weights('mobilenet_v3_small', 'random'))
    save_file(other.module.state_dict(), tmp_path/'w.safetensors')
    code = main(['study', str(scenes), '--arch', 'resnet18', '--weights', str(tmp_path/'w.safetensors'),
                 '--out', str(tmp_path/'st')])
    said = capsys.readouterr()
    assert code == 2 and not said.out and said.err.count('\n') == 1 and not (tmp_path/'st').exists()
    why = (r"w.safetensors doesn't fit: \d+ of \d+ tensors differ, such as conv1.weight "
           r".missing; the file has features.*, …\)$")
    assert re.search(why, said.err.strip()), said.err


# nothing twice, and the same again

def test_second_study_computes_no_feature(scenes, tmp_path, cache):
    first, _ = small(scenes, tmp_path/'a', sizes=(5, 10, 'all'))
    assert first.features['computed'] == 90
    second, _ = small(scenes, tmp_path/'b', sizes=(5, 10, 20, 'all'), seeds=2)
    assert second.features['computed'] == 0 and second.features['body'] == 0 and len(second.runs) == 8
    for r in first.runs.run: np.testing.assert_array_equal(first.probs(r), second.probs(r))


@pytest.mark.parametrize('seeds, computed', [(1, 18+3*10), (2, None), (5, None)])
def test_only_photos_that_a_run_needs_go_through_the_body(scenes, tmp_path, monkeypatch, seeds, computed):
    def study_with(name, sizes):
        monkeypatch.setenv('IMGCLS_CACHE', str(tmp_path/name))
        return small(scenes, tmp_path/name/'study', sizes=sizes, seeds=seeds)[0]
    some, every = study_with('some', (5, 10)), study_with('every', (5, 10, 'all'))
    photos = some.photos
    drawn = [photos.train(10, seed).path for seed in range(seeds)]
    needed = len({*photos.test.path, *chain(*drawn)})
    assert every.features['computed'] == 90 and some.features['computed'] == (needed if needed < 68 else 90)
    assert computed in (None, needed)
    for r in some.runs.run: np.testing.assert_array_equal(some.probs(r), every.probs(r))


@pytest.fixture
def decoded(monkeypatch):
    "Of each photo that is decoded the size of its file, as a list."
    seen = []
    for place in (table, pixels):
        plain = place.decode
        monkeypatch.setattr(place, 'decode', lambda data, *a, f=plain: seen.append(len(data)) or f(data, *a))
    return seen


QUICK_TUNE = 'fine_tune:epochs=1:views=1'


@pytest.mark.parametrize('recipes', [
    ('frozen', QUICK_TUNE), (QUICK_TUNE, 'frozen:augment=yes'), (QUICK_TUNE,)])
def test_each_photo_is_decoded_once_a_study(scenes, tmp_path, cache, decoded, recipes):
    st, _ = small(scenes, tmp_path/'a', sizes=(20, 'all'), recipe=recipes, seeds=2)
    assert len(st.runs) == 4*len(recipes) and not st.failed
    assert len(decoded) == len(st.photos) == 90


def test_runs_of_a_study_are_those_made_alone(scenes, tmp_path, monkeypatch):
    "Whatever they share: each in a study and a cache of its own gives the same, to the bit."
    asked = dict(recipe=QUICK_TUNE, seeds=2, arch='efficientnet_lite0', res=64, epochs=None)
    st, _ = small(scenes, tmp_path/'together', sizes=(10, 'all'), **asked)
    for size in (10, 'all'):
        monkeypatch.setenv('IMGCLS_CACHE', str(tmp_path/f'cache {size}'))
        alone, _ = small(scenes, tmp_path/f'{size}', sizes=[size], **asked | dict(seeds=1))
        (run,) = alone.runs.run
        np.testing.assert_array_equal(st.probs(run), alone.probs(run))


def test_moved_and_renamed_photos_are_known(own, tmp_path, cache):
    first, _ = small(own, tmp_path/'a')
    moved = own.rename(tmp_path/'elsewhere')
    files = sorted(moved.rglob('*.jpg'))
    for i, f in enumerate(files): f.rename(f.with_name(f'{(i*37) % len(files):02} renamed.jpeg'))
    second, said = small(moved, tmp_path/'a')
    assert second.features['computed'] == 0 and any('2 runs of this study found' in s for s in said)
    # the runs are the old ones: their probabilities must still belong to the photos at the same place
    tests = [st.photos.test.sha256.tolist() for st in (first, second)]
    assert tests[0] == tests[1] and second.photos.df.path.str.contains('renamed').all()
    third, _ = small(moved, tmp_path/'b')
    same(third, first)


def test_the_same_study_twice_is_the_same(scenes, tmp_path, monkeypatch):
    got = []
    for name in ('a', 'b'):
        monkeypatch.setenv('IMGCLS_CACHE', str(tmp_path/f'cache {name}'))
        got.append(small(scenes, tmp_path/name, sizes=(5, 'all'), seeds=2)[0])
    assert got[1].features['computed'] == 90
    same(*got)
    a = got[0]
    assert not np.array_equal(a.probs(a.runs.run[0]), a.probs(a.runs.run[1])), 'another seed, other photos'
    np.testing.assert_array_equal(a.rates(a.runs.run[0]), got[1].rates(a.runs.run[0]))


def test_what_a_run_keeps(scenes, tmp_path):
    st, _ = small(scenes, tmp_path/'st', sizes=(5, 'all'))
    assert list(st.runs['size']) == [5, 'all'] and st.runs.n_test.eq(len(st.photos.test)).all()
    for r in st.runs.itertuples():
        p, e = st.probs(r.run), st.epochs[st.epochs.run == r.run]
        assert p.shape == (2, r.n_test, 3) and p.dtype == np.float16
        np.testing.assert_allclose(p.sum(-1), 1, atol=5e-3)
        right = (p.argmax(-1) == st.targets).mean(1)
        np.testing.assert_allclose(right, e.accuracy)
        assert r.accuracy == right[-1] and r.correct == round(right[-1]*r.n_test) and list(e.epoch) == [1, 2]
    with safe_open(st.path/'runs'/st.runs.run[0]/'model.safetensors', 'np') as f:
        assert f.get_tensor('weight').shape == (3, 84)


def test_the_kept_head_gives_the_kept_probabilities(scenes, tmp_path):
    st, _ = small(scenes, tmp_path/'st', sizes=('all',))
    X = Features('cifar_net', 32).of(st.photos.test).astype(np.float32)
    with safe_open(st.path/'runs'/st.runs.run[0]/'model.safetensors', 'np') as f:
        z = X @ f.get_tensor('weight').T + f.get_tensor('bias')
    z /= st.runs.temperature[0]
    p = np.exp(z - z.max(1, keepdims=True))
    kept = st.probs(st.runs.run[0])[-1].astype(np.float32)
    np.testing.assert_allclose(p/p.sum(1, keepdims=True), kept, atol=2e-3)


def test_another_order_of_sizes_and_seeds_gives_the_same_runs(scenes, tmp_path):
    all_at_once, _ = small(scenes, tmp_path/'a', sizes=(10, 5), seeds=2)
    small(scenes, tmp_path/'b', sizes=(10,), seeds=1)
    small(scenes, tmp_path/'b', sizes=(5,), seeds=2)
    one_by_one, said = small(scenes, tmp_path/'b', sizes=(5, 10), seeds=2)
    assert any('3 runs of this study found' in s for s in said)
    same(all_at_once, one_by_one)


def test_photos_and_a_folder_and_a_list_are_the_same(scenes, tmp_path):
    photos = read_photos(scenes)
    before = photos.df.copy()
    mixed = photos.df[['path', 'label', 'split']].sample(frac=1, random_state=0)
    a, b, c = (small(p, tmp_path/name)[0] for p, name in ((scenes, 'a'), (photos, 'b'), (mixed, 'c')))
    same(a, b)
    np.testing.assert_array_equal(a.probs(a.runs.run[0]), c.probs(c.runs.run[0]))
    pd.testing.assert_frame_equal(photos.df, before)
    assert a.photos.id == photos.id == b.photos.id and b.photos.name == photos.name


def test_photos_are_not_read_twice(own, tmp_path, monkeypatch):
    "Each photo is decoded once where most are needed: features are computed while photos are checked."
    import imgcls.data.table as table
    paths, check = [], table._check_one

    def counted(path, *a):
        paths.append(path)
        return check(path, *a)
    monkeypatch.setattr(table, '_check_one', counted)
    monkeypatch.setenv('IMGCLS_CACHE', str(tmp_path/'cache'))
    st, _ = small(own, tmp_path/'st', sizes=(5, 'all'), seeds=2)
    assert len(st.runs) == 4 and len(paths) == len(set(paths)) == 90


def test_each_body_has_its_own_resolution(scenes, tmp_path):
    how = dict(recipe='frozen', arch=['cifar_net', 'resnet18'], weights='random', epochs=1, seeds=1)
    st = study(scenes, sizes=[5], **how, out=tmp_path/'st', say=str)
    assert dict(zip(st.runs.arch, st.runs.res)) == {'cifar_net': 32, 'resnet18': 96}


# which run speaks for a study

@pytest.mark.parametrize('rows, best', [
    ([('a', 'frozen', 5, 0), ('b', 'fine_tune', 'all', 1), ('c', 'fine_tune', 'all', 0),
      ('d', 'frozen', 'all', 0), ('e', 'fine_tune', 5000, 0)], 'cb'),
    # a recipe is judged by what it is, not by its name
    ([('a', 'frozen', 'all', 0), ('b', 'scratch', 'all', 0), ('c', 'scratch', 'all', 1)], 'bc'),
    ([('a', 'frozen', 'all', 0), ('b', 'fine_tune_of_somebody_else', 5, 0)], 'a'),
    ([('a', 'frozen', 10, 1), ('b', 'frozen', 5, 0)], 'a')])
@pytest.mark.parametrize('luck', [1, -1])
def test_a_study_without_the_run_asked_for_is_represented_by_size_recipe_and_seed(rows, best, luck):
    "The choice never looks at the accuracy."
    runs = [dict(run=r, recipe=c, size=s, seed=i, arch='resnet18', res=96, accuracy=.5+luck*k/100)
            for k, (r, c, s, i) in enumerate(rows)]
    st = object.__new__(Study)
    st.runs, st.about = pd.DataFrame(runs), {}
    assert set(st.headline.run) == set(best)


def spoken(st): return list(zip(st.headline.recipe, st.headline['size'], st.headline.seed))


def test_the_recipe_asked_for_last_speaks_for_a_study_at_the_last_size_asked_for(scenes, tmp_path):
    how = dict(arch='cifar_net', epochs=1, out=tmp_path/'st', say=str)
    st = study(scenes, [5, 10], ['scratch', 'frozen'], seeds=2, **how)
    assert spoken(st) == [('frozen', 10, 0), ('frozen', 10, 1)]
    assert [r['name'] for r in st.about['settings']['recipes']] == ['scratch', 'frozen']
    assert spoken(study(scenes, [5, 10], ['frozen', 'scratch'], seeds=1, **how)) == [('scratch', 10, 0)]
    assert spoken(study(scenes, [5], 'frozen', seeds=1, **how)) == [('frozen', 5, 0)]
    st = study(scenes, [5], [Frozen(lr=.01), Frozen(lr=.02)], seeds=2, **how)
    lr = [st.spec(run).settings['lr'] for run in st.headline.run]
    assert lr == [.02, .02] and len(st.runs[(st.runs['size'] == 5) & (st.runs.recipe == 'frozen')]) == 6


def test_the_default_study_is_the_curve_and_then_fine_tune(scenes, tmp_path, monkeypatch):
    "The curve is shown before fine-tuning begins, and stands for the study until that is done."
    import imgcls.studies.report  # noqa: F401 (it brings the table)
    said, how = [], dict(sizes=[5, 10], arch='cifar_net', epochs=1, out=tmp_path/'st')
    with monkeypatch.context() as m:
        m.setattr(FineTune, 'fit', lambda *a: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt): study(scenes, **how, say=said.append)
    table = next(s for s in said if 'After the last epoch' in s)
    assert 'mean of 5 seeds' in table and 'fine_tune' not in table
    assert said[-1].startswith('Next, which takes longer: fine_tune, 10 photos a class, seed 0.')
    assert spoken(Study(tmp_path/'st')) == [('frozen', 10, seed) for seed in range(5)]
    said.clear()
    st = study(scenes, **how, say=said.append)
    assert spoken(st) == [('fine_tune', 10, 0)] and len(st.runs) == 11
    assert [i for i, s in enumerate(said) if s.startswith('fine_tune:')] > \
        [i for i, s in enumerate(said) if 'After the last epoch' in s] != []
    said.clear()
    study(scenes, **how, say=said.append)
    assert not any('After the last epoch' in s for s in said), 'nothing is to be waited for'


def test_what_is_the_same_for_each_seed_is_said_once(scenes, tmp_path):
    said = []
    study(scenes, [5], 'fine_tune', 'cifar_net', epochs=1, seeds=2, out=tmp_path/'st', say=said.append)
    assert sum(s.startswith('fine_tune: 15 photos') for s in said) == 1


def test_a_network_that_has_no_graph_is_tried_and_told_once(scenes, tmp_path, monkeypatch):
    monkeypatch.setenv('IMGCLS_CACHE', str(tmp_path/'cache'))
    monkeypatch.setattr(torch.cpu, 'get_capabilities', dict)  # a processor without fast 16-bit numbers
    monkeypatch.setattr(engine, '_WORTH_IT', 0)
    tries, said = [], []

    def fail(*a):
        tries.append(a)
        raise ValueError('no such step')
    monkeypatch.setattr(engine, 'onnx_graph', fail)
    st = study(scenes, [5, 9], 'fine_tune:epochs=1:views=1:share=0.3', 'efficientnet_lite0', seeds=2, res=64,
               out=tmp_path/'st', say=said.append)
    told = [line for line in said if "ONNX Runtime can't take this network" in line]
    # the part below the cut and the part above it, each once for all four runs
    assert len(st.runs) == 4 and len(tries) == 2 and len(told) == 1 and 'no such step' in told[0]


# photos that change

def test_changed_photo(own, tmp_path, cache):
    sizes = 5, 'all'
    first, _ = small(own, tmp_path/'st', sizes=sizes)
    victim = own/'fox'/'00007.jpg'
    victim.write_bytes(scene_bytes('fox', 999, side=64))
    (own/'deer'/'new.jpg').write_bytes(scene_bytes('deer', 999, side=64))
    second, said = small(own, tmp_path/'st', sizes=sizes)
    assert second.about['photos'] != first.about['photos'] and second.features['computed'] == 2
    assert sum('changed since 2 earlier runs' in s for s in said) == 1, said
    assert set(second.runs.run).isdisjoint(first.runs.run), 'old and new runs are mixed'
    assert len(second.runs) == 2
    assert all((tmp_path/'st'/'runs'/r).is_dir() for r in first.runs.run), 'old runs are kept'
    # and back again: the first runs are found
    (own/'deer'/'new.jpg').unlink()
    victim.write_bytes(scene_bytes('fox', 7, side=64))
    third, said = small(own, tmp_path/'st', sizes=sizes)
    same(third, first)
    assert third.features['computed'] == 0 and any('2 runs of this study found' in s for s in said)


def test_photo_that_changes_after_it_was_read(own, tmp_path):
    photos = read_photos(own)
    (own/'fox'/'00007.jpg').write_bytes(scene_bytes('fox', 999, side=64))
    why = '1 photo changed since they were read, such as .*00007.jpg .*read the photos again'
    with pytest.raises(UserError, match=why): small(photos, tmp_path/'st', sizes=['all'])
    assert not (tmp_path/'st'/'runs').exists()


def test_cleaned_photos_say_which_study_they_come_from(scenes, tmp_path):
    st, _ = small(scenes, tmp_path/'st')
    assert st.photos.cleaned_from == ''
    st.photos.df[['path', 'label', 'split']].to_csv(st.path/'cleaned.csv', index=False)
    assert small(st.path/'cleaned.csv', tmp_path/'after')[0].photos.cleaned_from == str(st.path)


# damage

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
        assert sum('kept features were damaged' in s and 'computed again' in s for s in said) == 1, said
        assert st.features['computed'] == first.features['computed'] > 0
        shutil.rmtree(tmp_path/'b')
    same(small(scenes, tmp_path/'c')[0], first)


def test_damaged_features_of_a_second_body_are_told_too(scenes, tmp_path, cache):
    options = dict(sizes=['all'], recipe='frozen', arch=['cifar_net', 'resnet18'], weights='random', epochs=1,
                   res=32)
    study(scenes, **options, out=tmp_path/'a', say=str)
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
        assert sum(f'run {name} is damaged and will be made again' in s for s in said) == 1, said
        same(st, first)
        np.testing.assert_array_equal(st.probs(name), probs)


@pytest.mark.parametrize('file', ['study.json', 'photos.parquet'])
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
    with pytest.raises(UserError, match='is not a study|start the same study again'): Study(first.path)


@pytest.mark.parametrize('command, says', [
    ('imgcls study photos --sizes 10 --out st', r'\(--out\), with its command: imgcls study photos'),
    ('ipykernel_launcher.py -f kernel.json', r'\(--out\)$')])
def test_a_study_of_an_older_imgcls(scenes, tmp_path, command, says):
    "It is refused in one line, and left as it is."
    out = tmp_path/'st'
    out.mkdir()
    text = json.dumps(dict(table='a5f08a447e26', command=command, settings={}))
    (out/'study.json').write_text(text)
    (out/'table.parquet').write_bytes(b'PAR1')
    for use in (lambda: Study(out), lambda: small(scenes, out), lambda: small(read_photos(scenes), out)):
        with pytest.raises(UserError, match=f'an older imgcls; make it again in another folder {says}') as e:
            use()
        assert '\n' not in str(e.value)
    assert (out/'study.json').read_text() == text
    assert sorted(p.name for p in out.iterdir()) == ['study.json', 'table.parquet']


def test_a_study_of_a_newer_imgcls(scenes, tmp_path):
    st, _ = small(scenes, tmp_path/'st')
    (st.path/'study.json').write_text(json.dumps(dict(st.about, format=3)))
    for use in (lambda: Study(st.path), lambda: small(scenes, st.path)):
        with pytest.raises(UserError, match='made by a newer imgcls; update imgcls'): use()


def test_a_damaged_run_that_another_process_makes_is_left_alone(scenes, tmp_path):
    st, _ = small(scenes, tmp_path/'st')
    hurt = st.path/'runs'/st.runs.run[0]
    (hurt/'run.json').unlink()
    with Claim(hurt): room._finished(st.path, st.photos, str)
    assert hurt.is_dir()
    room._finished(st.path, st.photos, str)
    assert not hurt.is_dir()


def test_a_loss_that_becomes_nan(scenes, tmp_path):
    said = []
    st = study(scenes, sizes=[5, 10], recipe=[Frozen(lr=1e20), 'frozen'], arch='cifar_net', epochs=2, seeds=1,
               out=tmp_path/'st', say=said.append)
    assert len(st.failed) == 2 and st.runs['size'].tolist() == [5, 10]
    assert len(list((st.path/'runs').iterdir())) == 2
    assert sum('NaN' in s and 'lower the learning rate' in s for s in said) == 2
    assert np.isfinite(st.epochs[['train_loss', 'valid_loss', 'accuracy']].to_numpy()).all()


def test_a_training_whose_loss_becomes_nan(scenes, tmp_path, capsys):
    "The last good epoch is a result; without a good epoch there is none."
    def run(recipe, arch):
        code = main(['study', str(scenes), '--recipe', recipe, '--arch', arch, '--res', '32', '--sizes', '5',
                     '--out', str(tmp_path/'st'), '--json'])
        return code, capsys.readouterr()

    code, said = run('fine_tune:lr=1e30:epochs=2', 'efficientnet_lite0')
    assert code == 0 and 'Traceback' not in said.err
    line, = (s for s in said.err.splitlines() if 'NaN' in s)
    name = 'fine_tune:lr=1e30:epochs=2, 5 photos a class, seed 0'
    assert line.startswith(f'{name}: the loss became NaN at step ')
    assert 'epoch 1, the last good one, is kept: lower the learning rate' in line
    st = Study(tmp_path/'st')
    about = json.loads((st.path/'runs'/st.runs.run[0]/'run.json').read_text())
    assert list(st.epochs.phase) == ['head'] and len(about['result']['notes']) == 1
    assert st.probs(st.runs.run[0]).shape[0] == 1
    code, said = run('fastai:lr=1e30:epochs=2', 'cifar_net')
    assert code == 1 and 'Traceback' not in said.err
    assert re.search('not finished: fastai:lr=1e30.* nothing of this run is kept', said.err)
    assert len(Study(tmp_path/'st').runs) == 1
    assert [p.name for p in (tmp_path/'st'/'runs').iterdir()] == st.runs.run.tolist()
    assert len(json.loads(said.out)['failed']) == 1


# Refused before anything is computed

@pytest.mark.parametrize('options, says', [
    (dict(sizes=[5, 500]), 'size 500 needs 500'), (dict(sizes=['half']), "size 'half' is unknown"),
    (dict(seeds=0), 'seeds is 0'), (dict(balance='up'), "balance 'up'"), (dict(short='no'), "short 'no'"),
    (dict(epochs=0), 'epochs is 0'), (dict(recipe='slow'), 'no recipe'),
    (dict(recipe=['frozen', 'slow']), 'no recipe'),
    (dict(method='pad'), "method 'pad'"), (dict(test=0), 'between 0 and 1'),
    (dict(arch=['cifar_net', 'efficientnet_lite0'], res=64), 'cifar_net takes no photos of 64 pixels'),
    (dict(arch=['efficientnet_lite0', 'nonet']), "'nonet'"), (dict(weights='missing.pth'), 'missing.pth')])
def test_mistakes(scenes, tmp_path, monkeypatch, options, says):
    monkeypatch.setattr(executors, 'make_run', lambda *a, **kw: pytest.fail('a run was started'))
    with pytest.raises(UserError, match=says) as e:
        study(scenes, **(dict(sizes=[5], arch='cifar_net', out=tmp_path/'st', say=str) | options))
    assert '\n' not in str(e.value) and not (tmp_path/'st').exists()


def test_a_folder_of_other_files_is_refused_before_photos_are_read(scenes, tmp_path, monkeypatch):
    (tmp_path/'letter.txt').write_text('Dear')
    monkeypatch.setattr('imgcls.studies.runs.read_photos', lambda *a, **kw: pytest.fail('photos were read'))
    with pytest.raises(UserError, match='holds other files'): small(scenes, tmp_path)


# what people bring: other folders of the same name, `~`, options of other types

def test_another_folder_of_the_same_name_does_not_take_over_a_study(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    a, b = (synth_folder(tmp_path/x/'photos', per_class=12, side=48, seed=i) for i, x in enumerate('ab'))
    st, _ = small(a, None)
    assert st.path == tmp_path/'studies'/'photos'
    before = (st.path/'study.json').read_bytes()
    says = 'is a study of .*a/photos, not of .*b/photos; .*--out'
    with pytest.raises(UserError, match=says): small(b, None)
    assert (st.path/'study.json').read_bytes() == before
    moved = a.rename(tmp_path/'c')  # the same source goes on, also with more photos, and as a cleaned list
    (moved/'fox'/'new.jpg').write_bytes(scene_bytes('fox', 999, side=48))
    st, _ = small(moved, st.path)
    st.photos.df[['path', 'label', 'split']].iloc[1:].to_csv(st.path/'cleaned.csv', index=False)
    small(st.path/'cleaned.csv', st.path)


def test_a_study_stays_where_it_is_when_the_program_goes_elsewhere(scenes, tmp_path, monkeypatch):
    monkeypatch.setenv('HOME', str(tmp_path))
    st, _ = small(scenes, '~/st', sizes=(5,))
    monkeypatch.chdir(tmp_path)
    near = Study('st')
    (tmp_path/'elsewhere').mkdir()
    monkeypatch.chdir('elsewhere')
    assert st.path == near.path == Study('~/st').path == tmp_path/'st'
    assert near.probs(near.runs.run[0]).shape == st.probs(st.runs.run[0]).shape


def test_a_study_never_lies_in_the_folder_of_its_photos(own, monkeypatch):
    for out in (own/'st', own):
        with pytest.raises(UserError, match='in the folder of its photos|holds other files'): small(own, out)
    monkeypatch.chdir(own)
    with pytest.raises(UserError, match='in the folder of its photos.*--out'): small('.', None)
    assert not (own/'studies').exists()


@pytest.mark.parametrize('options', [
    dict(sizes='many'), dict(sizes=5.5), dict(sizes=[['5']]), dict(sizes=b'5'), dict(sizes=[]),
    dict(seeds=2.5), dict(seeds=[1]), dict(seeds=True), dict(epochs=[1]), dict(test='x'), dict(test=None),
    dict(classes=5), dict(classes=[]), dict(out=5), dict(out=b'x'), dict(res='x'), dict(res=5),
    dict(res=32.5), dict(burst='x'), dict(arch=5), dict(arch=[]), dict(recipe=[]), dict(weights=5),
    dict(photos=5), dict(photos=None)])
def test_an_option_of_another_type_is_one_line(scenes, tmp_path, options):
    how = dict(photos=scenes, sizes=5, recipe='frozen', arch='cifar_net', out=tmp_path/'st', say=None)
    how |= options
    with pytest.raises(UserError): study(**how)
    assert not [*tmp_path.iterdir()]


def test_sizes_as_people_write_them(scenes, tmp_path):
    for sizes, want in (('all', ['all']), (5, [5]), ('5,10', [5, 10])):
        how = dict(epochs=1, seeds='1', test=np.float32(.2), out=tmp_path/str(sizes), say=None)
        st = study(scenes, sizes, 'frozen', 'cifar_net', **how)
        assert st.runs['size'].tolist() == want


def test_a_size_that_no_folder_can_give_is_refused_before_a_photo_is_read(scenes, tmp_path, monkeypatch):
    monkeypatch.setattr('imgcls.data.table.read_photo', lambda *a: pytest.fail('a photo was read'))
    with pytest.raises(UserError, match='30 photos, size 5000 needs 5000'):
        small(scenes, tmp_path/'st', sizes=[5000])
