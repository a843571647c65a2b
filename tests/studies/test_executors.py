"""Runs made by others: workers that die, see nothing, are of another version; clusters of Ray and Dask."""
import errno
import os
import platform
import pwd
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import BrokenExecutor, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import ExitStack, suppress
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest

from imgcls import machines
from imgcls.cli import main
from imgcls.core import UserError, atomic
from imgcls.data.synth import synth_folder
from imgcls.machines import Claim, Workers
from imgcls.studies import clusters, runs
from imgcls.studies import executors as room
from imgcls.studies.clusters import check_cluster
from imgcls.studies.executors import executor_for
from imgcls.studies.study import study

RECIPE = '''
"A recipe that dies, fails or waits once, where a file tells it to."
import os, resource, signal, time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from imgcls.training.head import fit_frozen
from imgcls.training.recipes import Frozen


@dataclass(frozen=True)
class Told(Frozen):
    where: str = ''  # a folder
    bs: int = 32

    def fit(self, job):
        for what in ('die', 'eat', 'starve', 'fail', 'wait'):
            try: os.rename(Path(self.where)/what, Path(self.where)/f'{what} {os.getpid()}')
            except FileNotFoundError: continue
            if what == 'die': os.kill(os.getpid(), signal.SIGKILL)
            if what == 'eat':  # a gigabyte each second
                kept = [(np.ones(12_500_000), time.sleep(.1)) for _ in range(99)]
                raise MemoryError(f'{len(kept)} arrays found room')
            if what == 'starve':  # the system gives no more, and kills nobody
                resource.setrlimit(resource.RLIMIT_AS, (2**30, resource.getrlimit(resource.RLIMIT_AS)[1]))
                try: torch.ones(2**30)
                finally: resource.setrlimit(resource.RLIMIT_AS, resource.getrlimit(resource.RLIMIT_AS)[1:]*2)
            if what == 'fail': raise RuntimeError('no luck\\ntoday')
            time.sleep(60)
        return replace(fit_frozen(job, self), notes=[f'batch halved {job.halved} times'])
'''


@pytest.fixture(scope='module')
def told(tmp_path_factory):
    "The recipe, in a module that other processes find, and the folder where it is told what to do."
    where = tmp_path_factory.mktemp('told')
    (where/'told_recipe.py').write_text(RECIPE)
    path = os.pathsep.join([str(where), *filter(None, [os.environ.get('PYTHONPATH')])])
    with pytest.MonkeyPatch.context() as m:
        m.syspath_prepend(where)
        m.setenv('PYTHONPATH', path)
        m.setenv('OMP_NUM_THREADS', '1')
        import told_recipe
        yield told_recipe.Told(where=str(where), epochs=2)


@pytest.fixture(scope='module')
def small(told, tmp_path_factory):
    "A function that makes a study of four runs, and returns it with what it said."
    photos, home = synth_folder(per_class=25, side=64), tmp_path_factory.mktemp('studies')

    def made(on, tell='', out=None, **kw):
        if tell: (Path(told.where)/tell).touch()
        said, out = [], out or home/str(time.monotonic_ns())
        st = study(photos, **dict(dict(sizes=[5, 10], recipe=told, arch='cifar_net', seeds=2), **kw), out=out,
                   on=on, say=said.append)
        assert not [*out.glob('.*')] and not [*(out/'runs').glob('.*')]
        return st, said
    return made


@pytest.fixture(scope='module')
def alone(small):
    "The study as this process makes it, with one thread."
    import torch
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield small(None)[0]
    torch.set_num_threads(before)


@pytest.fixture(scope='module')
def workers(told, alone):
    "Two processes, one thread each, whatever the environment asks for."
    import torch
    with pytest.MonkeyPatch.context() as m:
        m.setenv('OMP_NUM_THREADS', '2')
        workers = Workers(2)
        assert {workers.submit(torch.get_num_threads).result() for _ in range(4)} == {1}
    yield workers
    workers.close()


def same(a, b):
    "Two studies found the same, to the last bit."
    assert a.runs.run.tolist() == b.runs.run.tolist() and len(a.runs)
    same_runs(a, b)


def same_runs(a, b):
    "What the first study found, the second one found, too."
    assert not a.failed and {*a.runs.run} <= {*b.runs.run}
    for r in a.runs.run: np.testing.assert_array_equal(a.probs(r), b.probs(r))


# a process of its own for each worker

def test_a_worker_that_is_killed_is_replaced_and_named(small, alone, workers):
    st, said = small(workers, 'die')
    same(st, alone)
    line, = [s for s in said if 'died' in s]
    again = r'told, (5|10) photos a class, seed [01]: the worker died; the run is made again'
    assert re.fullmatch(again, line)


def test_a_worker_killed_for_memory_makes_the_run_with_half_the_batch(small, told, workers, monkeypatch):
    shot = lambda: len([*Path(told.where).glob('die *')])  # the kernel counts likewise
    monkeypatch.setattr(room, '_oom_kills', shot)
    st, said = small(workers, 'die', sizes=[5], seeds=1)
    assert said[-2:] == [f'told, 5 photos a class, seed 0: {s}' for s in (
        'the worker was killed because memory ran out; the run is made again, with half the batch',
        'batch halved 1 times')]
    assert len(st.runs) == 1


def test_a_worker_that_gets_no_more_memory(small, workers):
    st, said = small(workers, 'starve', sizes=[5], seeds=1)
    assert said[-2:] == [f'told, 5 photos a class, seed 0: {s}' for s in (
        'the worker gave up because memory ran out; the run is made again, with half the batch',
        'batch halved 1 times')]


EATS = '''
import sys
from pathlib import Path
from told_recipe import Told
from imgcls.studies.study import study
def say(line):
    print(line)
    if 'half the batch' in line: (Path(sys.argv[2])/'eat').touch()
if __name__ == '__main__':
    study(sys.argv[1], [5], Told(where=sys.argv[2]), 'cifar_net', seeds=1, out=sys.argv[3], on=1, say=say)
'''


@pytest.fixture
def narrow():
    "A control group of the kernel whose processes have 3 GB of memory; the file that takes their numbers."
    for base, limit in (('/sys/fs/cgroup/memory', 'memory.limit_in_bytes'), ('/sys/fs/cgroup', 'memory.max')):
        group = Path(base)/f'imgcls-{os.getpid()}'
        try:
            group.mkdir()
            (group/limit).write_text('3000000000')
        except OSError:
            with suppress(OSError): group.rmdir()
            continue
        yield group/'cgroup.procs'
        until = time.monotonic()+10
        while (group/'cgroup.procs').read_text() and time.monotonic() < until: time.sleep(.1)
        return group.rmdir()
    pytest.skip('no control groups for memory here')


def test_workers_that_the_kernel_kills_for_memory(told, narrow, tmp_path):
    (tmp_path/'eats.py').write_text(EATS)
    (Path(told.where)/'eat').touch()
    command = [sys.executable, tmp_path/'eats.py', synth_folder(per_class=25, side=64), told.where,
               tmp_path/'st']
    said = subprocess.run(['sh', '-c', 'echo $$ > "$0" && exec "$@"', narrow, *command], capture_output=True,
                          text=True, timeout=100)
    killed = 'told, 5 photos a class, seed 0: the worker was killed because memory ran out'
    assert said.stdout.splitlines()[-2:] == [
        f'{killed}; the run is made again, with half the batch',
        f'not finished: {killed}, as with the one before; take a smaller resolution or batch'], said


FULL = '''
import shutil, subprocess, sys, time
from pathlib import Path
from imgcls.cli import main
photos, home = sys.argv[1], Path(sys.argv[2])
if __name__ == '__main__':
    for name, how in (('full', 'size=32k'), ('fixed', 'ro')):
        (home/name).mkdir()
        subprocess.check_call(['mount', '-t', 'tmpfs', '-o', how, 'tmpfs', home/name])
    for place in ('full/st', 'fixed', 'fixed/st'):
        for more in ([], ['--workers', '2']):
            code = main(['study', photos, '--sizes', '10', '--recipe', 'frozen', '--arch', 'cifar_net',
                         '--seeds', '2', '--out', str(home/place), *more])
            until = time.monotonic()+10  # workers that are sent home need a moment
            while [*home.rglob('.*')] and time.monotonic() < until: time.sleep(.1)
            print(code, sorted(p.name for p in home.rglob('.*')))
            shutil.rmtree(home/'full/st', ignore_errors=True)
'''


def test_folders_that_are_full_or_read_only(tmp_path):
    "As the system has them, for one process and for two workers."
    try: subprocess.run(['unshare', '-m', 'true'], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip('no file systems of our own can be mounted here')
    (tmp_path/'full.py').write_text(FULL)
    photos = synth_folder(per_class=25, side=64)
    command = ['unshare', '-m', sys.executable, tmp_path/'full.py', photos, tmp_path]
    said = subprocess.run(command, capture_output=True, text=True, timeout=200)
    assert said.stdout == '2 []\n'*6, said
    lines = said.stderr.splitlines()
    assert all(re.search("^imgcls: .*can't write /.*(No space left on|Read-only file).*; free some", s)
               for s in lines) and len(lines) == 6, said
    assert ['worker' in s for s in lines] == [False, True, False, False, False, False]


def test_a_worker_that_dies_twice_is_given_up(small, told, workers, monkeypatch):
    take, again = room._Desk.died, Path(told.where)/'die'

    def died(self, task, *how):
        if not task.deaths: again.touch()
        return take(self, task, *how)
    monkeypatch.setattr(room._Desk, 'died', died)
    st, said = small(workers, 'die', sizes=[5], seeds=1)
    assert len(st.runs) == 0 and st.failed == ['told, 5 photos a class, seed 0: the worker died, as did the '
                                               'one before; take a smaller resolution or batch']


def test_an_error_in_one_run_stops_no_other(small, workers):
    st, said = small(workers, 'fail')
    assert len(st.runs) == 3 and len(st.failed) == 1
    says = r'not finished: told, \d+ photos a class, seed \d: RuntimeError: no luck today'
    assert re.fullmatch(says, said[-1])


def test_a_pool_that_breaks_is_replaced(small, alone):
    with ProcessPoolExecutor(1, get_context('spawn')) as pool:
        st, said = small(pool, 'die', sizes=[5])
    assert len(st.runs) == 2
    same_runs(st, alone)
    died = [s for s in said if 'died' in s]
    assert died == ['a process of the pool died, and the pool with it; other processes take its place']


def gone(pid): return not machines._started(pid)


COMMAND = '''
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # tests may have been started without it
from imgcls.cli import main
if __name__ == '__main__': raise SystemExit(main())
'''
ASKS = '''
import sys
from told_recipe import Told
from imgcls.studies.study import study
if __name__ == '__main__':
    study(sys.argv[1], [5], Told(where=sys.argv[2]), 'cifar_net', seeds=1, out=sys.argv[3], on=2)
'''


def test_workers_end_with_the_process_that_asked(small, told, tmp_path):
    "They give back their claims; what the killed process left behind is in nobody's way."
    recipe = type(told)(where=told.where)  # as the other process asks for it
    (tmp_path/'asks.py').write_text(ASKS)
    (Path(told.where)/'wait').touch()
    photos, out = synth_folder(per_class=25, side=64), tmp_path/'st'
    asks = subprocess.Popen([sys.executable, tmp_path/'asks.py', photos, told.where, out])
    until = time.monotonic()+60
    while not (waits := [*Path(told.where).glob('wait *')]) and time.monotonic() < until: time.sleep(.05)
    pid = waits[0].name.split()[1]
    assert not gone(pid)
    asks.send_signal(signal.SIGKILL)
    asks.wait()
    until = time.monotonic()+10
    while not gone(pid) and time.monotonic() < until: time.sleep(.05)
    assert gone(pid) and not [*out.glob('runs/.*.claim')] and [*out.glob('.here-*')]
    began = time.monotonic()
    with ThreadPoolExecutor(1) as pool: st, said = small(pool, out=out, sizes=[5], seeds=1, recipe=recipe)
    assert len(st.runs) == 1 and time.monotonic()-began < 20 and not any('gone' in s for s in said)


@pytest.mark.parametrize('when', ['workers start', 'a run is made'])
def test_ctrl_c(tmp_path, when):
    "It reaches the study and its workers, which were started in one terminal."
    photos, out = synth_folder(per_class=25, side=64), tmp_path/'st'
    command = ['study', str(photos), '--sizes', '10', '--recipe', 'fine_tune:epochs=90',
               '--arch', 'cifar_net', '--workers', '2', '--out', str(out)]
    asks = subprocess.Popen([sys.executable, '-c', COMMAND, *command], start_new_session=True, text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    sign = '.here-*' if when == 'workers start' else 'runs/.*.claim'
    until = time.monotonic()+90
    while not [*out.glob(sign)] and time.monotonic() < until: time.sleep(.02)
    os.killpg(asks.pid, signal.SIGINT)
    said, _ = asks.communicate(timeout=30)
    assert asks.returncode == 130 and 'Traceback' not in said
    assert said.endswith('what is finished stays, and the same command continues from there\n')
    assert not [*out.glob('runs/.*.claim')] and not [*out.glob('.here-*')]


def test_a_script_that_starts_itself_again_is_told_so(told, tmp_path):
    script = ASKS.replace("if __name__ == '__main__'", 'if True')
    (tmp_path/'asks.py').write_text(script)
    photos = synth_folder(per_class=25, side=64)
    asks = subprocess.run([sys.executable, tmp_path/'asks.py', photos, told.where, tmp_path/'st'],
                          capture_output=True, text=True, timeout=100)
    assert asks.returncode == 1 and "a worker can't start; in a script, call study below if" in asks.stderr


def test_closing_ends_workers_in_the_middle_of_a_run():
    workers = Workers(1)
    pid, pool = workers.submit(os.getpid).result(), workers.pools[0]
    future = workers.submit(time.sleep, 60)
    time.sleep(.1)
    workers.close()
    with pytest.raises(BrokenExecutor): future.result(10)
    until = time.monotonic()+10
    while not gone(pid) and time.monotonic() < until: time.sleep(.05)
    assert gone(pid) and workers.pools[0] is pool, 'nobody takes the place of a worker that is sent home'


@pytest.mark.parametrize('n, seen, cards', [(0, None, []), (1, None, []), (2, None, ['0', '1']),
                                            (2, '3,5', ['3', '5'])])
def test_each_worker_gets_a_card(monkeypatch, n, seen, cards):
    monkeypatch.setattr('torch.cuda.device_count', lambda: n)
    if seen: monkeypatch.setenv('CUDA_VISIBLE_DEVICES', seen)
    else: monkeypatch.delenv('CUDA_VISIBLE_DEVICES', raising=False)
    assert machines._cards() == cards


def test_more_workers_than_cards_share_them(monkeypatch):
    "A stand-in tells of two cards; each worker sees one of them, whatever it does with it."
    monkeypatch.setattr(machines, '_cards', lambda: ['0', '5'])
    workers = Workers(3)
    try:
        seen = [workers.pools[i][0].submit(os.getenv, 'CUDA_VISIBLE_DEVICES').result(100) for i in range(3)]
        assert seen == ['0', '5', '0']
        old, pool = workers.pools[1][2].result(100), workers.pools[1][0]
        pool.submit(os._exit, 1).exception(100)
        workers._end(1)
        workers._start(1)  # as when a worker has died
        assert workers.pools[1][0].submit(os.getenv, 'CUDA_VISIBLE_DEVICES').result(100) == '5'
        assert workers.pools[1][2].result(100) != old
    finally: workers.close()


# workers that see nothing

class Through:
    "An executor with one thread, which changes what a worker is told."
    def __init__(self, **change): self.pool, self.change, self.calls = ThreadPoolExecutor(1), change, []

    def submit(self, fn, call):
        self.calls.append(call)
        change = {k: v(len(self.calls)) if callable(v) else v for k, v in self.change.items()}
        return self.pool.submit(fn, dict(call, **change))


@pytest.mark.parametrize('folder', ['missing', 'another', 'read-only'])
def test_a_run_comes_back_as_bytes(small, alone, tmp_path, monkeypatch, folder):
    "Where the worker doesn't see the study, sees another one, or may not write."
    access = os.access
    if folder == 'read-only':
        monkeypatch.setattr(os, 'access', lambda p, how: how != os.W_OK and access(p, how))
    if folder == 'another': shutil.copytree(alone.path, tmp_path/'another')
    by = Through() if folder == 'read-only' else Through(folder=str(tmp_path/folder))
    st, _ = small(by)
    same(st, alone)
    assert sum(call['table'] is not None for call in by.calls) >= 1
    if folder == 'another': assert not [*(tmp_path/'another').rglob('.*')]


def test_bytes_that_came_back_damaged_are_no_run(small, monkeypatch):
    work = room.work
    def broken(call): return dict(work(call), **(dict(files={'run.json': b'{'}) if call['table'] else {}))
    monkeypatch.setattr(room, 'work', broken)
    st, _ = small(Through(folder='/missing'), sizes=[5], seeds=1)
    assert len(st.runs) == 0 and 'what came back is damaged' in st.failed[0]


def test_photos_that_no_worker_sees_are_one_line(small, monkeypatch):
    exists = os.path.exists
    monkeypatch.setattr(os.path, 'exists', lambda p: not str(p).endswith('.jpg') and exists(p))
    says = "no worker makes these runs.* doesn't see 3. photos, such as /.*jpg; put"
    with pytest.raises(UserError, match=says) as e: small(Through())
    assert '\n' not in str(e.value)


def test_a_worker_of_another_version_is_named_and_others_make_the_runs(small, alone):
    st, said = small(Through(version=lambda i: '0.0.1' if i == 2 else room.__version__))
    same(st, alone)
    line, = [s for s in said if s.startswith('worker ')]
    says = r', process \d+ has imgcls [\d.]+ where 0.0.1 is wanted; install the same on both$'
    assert re.search(says, line)
    with pytest.raises(UserError, match='no worker makes these runs.*0.0.1'): small(Through(version='0.0.1'))


def test_a_worker_without_imgcls_is_named(small, monkeypatch):
    class Bare:
        def submit(self, fn, call):
            def nothing(): raise ModuleNotFoundError("No module named 'imgcls'")
            return ThreadPoolExecutor(1).submit(nothing)
    says = 'without imgcls has no imgcls [0-9.]+; install it there'
    with pytest.raises(UserError, match=says): small(Bare())


def test_a_full_disk_stops_the_study_in_one_line(small, monkeypatch):
    def full(run, *a):
        with atomic(run): raise OSError(errno.ENOSPC, 'No space left on device')
    monkeypatch.setattr(runs, '_write_run', full)
    with pytest.raises(UserError, match="can't write .*No space left.*; free some space") as e, \
         ThreadPoolExecutor(1) as pool: small(pool)
    assert '\n' not in str(e.value)


def test_a_run_that_another_process_makes_is_waited_for(small, alone, tmp_path):
    out = tmp_path/'st'
    run = out/'runs'/alone.runs.run[0]
    shutil.copytree(alone.path, out)
    shutil.rmtree(run)
    claim = Claim(run)
    claim.__enter__()
    by = Through()
    ask, looked = by.submit, []

    def submit(fn, call):
        if by.calls: claim.__exit__()  # it is asked for again once the claim is free
        return ask(fn, call)
    by.submit = submit
    with pytest.MonkeyPatch.context() as m:
        m.setattr(Claim, 'free', property(lambda self: looked.append(1) or len(looked) > 3))
        st, said = small(by, out=out)
    same(st, alone)
    assert said.count('waiting for a run that another process is making') == 1 and len(by.calls) == 2


def test_the_quick_runs_are_shown_before_the_slow_ones(small):
    with ThreadPoolExecutor(1) as pool: st, said = small(pool, recipe=None, seeds=None, sizes=[5], epochs=1)
    shown, = [i for i, s in enumerate(said) if s.startswith('Next, which takes longer: fine_tune')]
    assert any(s.startswith('fine_tune:') for s in said[shown:]) and len(st.runs) == 6


def test_a_recipe_that_others_do_not_find(small, told, monkeypatch):
    monkeypatch.setattr(type(told), '__module__', '__main__')
    with pytest.raises(UserError, match='recipe told is defined where other processes do not find it'):
        small(Through())


# where nobody is

@pytest.mark.parametrize('on, says', [
    ('ray://127.0.0.1:1', r'nobody answers at 127.0.0.1:1 .*start it there with ray start'),
    ('dask://127.0.0.1:1', r'nobody answers at 127.0.0.1:1 .*start it there with dask scheduler'),
    ('ray://no.such.host.invalid', 'nobody answers at no.such.host.invalid:10001'),
    ('dask://', 'expected dask://HOST or dask://HOST:PORT'), ('ray://host:port', 'expected ray://HOST'),
    ('spark://host', 'take ray://HOST, dask://HOST, slurm'), ('slurm', 'no command sbatch')])
def test_where_nobody_makes_runs(tmp_path, capsys, monkeypatch, on, says):
    if on == 'slurm': monkeypatch.setenv('PATH', str(tmp_path))
    began = time.monotonic()
    code = main(['study', 'synth', '--sizes', '5', '--on', on, '--out', str(tmp_path/'st')])
    said = capsys.readouterr()
    assert code == 2 and not said.out and said.err.count('\n') == 1 and re.search(says, said.err)
    assert time.monotonic()-began < 5 and not (tmp_path/'st').exists()


def test_a_name_that_nobody_finds_out_about_is_left_in_three_seconds(monkeypatch):
    over, began = threading.Event(), time.monotonic()
    monkeypatch.setattr(socket, 'getaddrinfo', lambda *a, **kw: over.wait(30) and [])
    with pytest.raises(UserError, match='nobody answers'): check_cluster('ray://slow.example')
    assert time.monotonic()-began < 3.5
    over.set()


def test_a_port_that_swallows_everything_is_left_in_three_seconds():
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        s.listen(0)
        port, began = s.getsockname()[1], time.monotonic()
        busy = [socket.socket() for _ in range(3)]
        for b in busy:
            b.setblocking(False)
            b.connect_ex(('127.0.0.1', port))
        with pytest.raises(UserError, match='nobody answers'): check_cluster(f'dask://127.0.0.1:{port}')
        assert time.monotonic()-began < 3.5
        for b in busy: b.close()


@pytest.mark.parametrize('on, extra', [('ray://h', 'ray'), ('dask://h', 'dask'), ('slurm', 'slurm')])
def test_what_is_not_installed_names_the_extra(monkeypatch, on, extra):
    monkeypatch.setattr(clusters, 'find_spec', lambda name: None)
    says = rf'is not installed; pip install "imgcls\[{extra}\]"'
    with pytest.raises(UserError, match=says): check_cluster(on)


def test_workers_and_a_cluster_at_once(capsys):
    assert main(['study', 'synth', '--workers', '2', '--on', 'slurm']) == 2
    assert 'not allowed with argument --workers' in capsys.readouterr().err


@pytest.mark.parametrize('on', [0, -1, 1.5, True])
def test_a_number_of_workers_that_is_none(small, on):
    with pytest.raises(UserError, match='workers is .*must be a whole number'): small(on)


# clusters of several processes

def ports(n):
    "Ports of this machine that are free."
    with ExitStack() as stack:
        taken = [stack.enter_context(socket.socket()) for _ in range(n)]
        for s in taken: s.bind(('127.0.0.1', 0))
        return [s.getsockname()[1] for s in taken]


def test_dask_with_a_worker_that_is_killed(small, alone):
    distributed = pytest.importorskip('distributed')
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        st, said = small(cluster.scheduler_address.replace('tcp', 'dask'), 'die')
        same(st, alone)
        assert any(s.endswith('the process that was making it is gone; the run is made again') for s in said)
        with distributed.Client(cluster) as client:
            for on in (client, client.get_executor()): same_runs(small(on, sizes=[5])[0], alone)
            by = clusters.cluster(client, Path())
            first = by.submit(dict).result()
            by.refuse(first)
            assert first['address'] not in {by.submit(dict).result()['address'] for _ in range(4)}


def test_submitit(small, alone, tmp_path):
    submitit = pytest.importorskip('submitit')
    st, _ = small(submitit.LocalExecutor(tmp_path/'jobs'), sizes=[5])
    assert len(st.runs) == 2
    same_runs(st, alone)


def test_slurm_is_asked_for_what_the_jobs_need(tmp_path, monkeypatch):
    pytest.importorskip('submitit')
    for name in ('sbatch', 'srun', 'scontrol'):
        (tmp_path/name).write_text('#!/bin/sh\necho Slurmctld at host is $CONTROLLER\n')
        (tmp_path/name).chmod(0o755)
    monkeypatch.setenv('PATH', str(tmp_path), prepend=os.pathsep)
    monkeypatch.setenv('CONTROLLER', 'DOWN')
    with pytest.raises(UserError, match='SLURM does not answer'): check_cluster('slurm')
    monkeypatch.setenv('CONTROLLER', 'UP')
    with executor_for('slurm:slurm_partition=gpu:gpus_per_node=1:timeout_min=9', tmp_path) as executor:
        asked = executor.executor._executor.parameters
    wanted = dict(partition='gpu', gpus_per_node=1, time=9, cpus_per_task=4)
    assert wanted.items() <= asked.items()
    with pytest.raises(UserError, match="can't ask SLURM for speed=9: "): check_cluster('slurm:speed=9')


@pytest.fixture(scope='module')
def ray_address(told, own_cache):
    "A Ray cluster of several processes on this machine; it comes up while other tests run."
    pytest.importorskip('ray')
    head_port, client_port, agent_port = ports(3)
    temp = Path('/tmp')/f'ray-{os.getpid()}'  # paths of sockets must be short
    options = f'''--head --block --port={head_port} --ray-client-server-port={client_port} --num-cpus=2
        --runtime-env-agent-port={agent_port} --include-dashboard=false --disable-usage-stats
        --temp-dir={temp} --object-store-memory=80000000 --node-ip-address=127.0.0.1'''
    env = dict(os.environ, RAY_AUTH_MODE='disabled')  # also where somebody's home holds a token of Ray
    head = subprocess.Popen([Path(sys.executable).with_name('ray'), 'start', *options.split()], env=env,
                            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    until = time.monotonic()+60
    while time.monotonic() < until:
        with socket.socket() as s:
            if not s.connect_ex(('127.0.0.1', client_port)): break
        time.sleep(.1)
    time.sleep(3)  # the port answers before Ray's agent is ready
    yield f'ray://127.0.0.1:{client_port}'
    head.terminate()
    with suppress(subprocess.TimeoutExpired): head.wait(15)
    with suppress(ProcessLookupError): os.killpg(head.pid, signal.SIGKILL)
    shutil.rmtree(temp, ignore_errors=True)


@pytest.mark.slow
def test_ray_with_a_worker_that_is_killed(small, alone, ray_address):
    st, said = small(ray_address, 'die')
    same(st, alone)
    assert [s for s in said if s.endswith('the worker died; the run is made again')]


SLURM = '''
ClusterName=test
SlurmctldHost={name}(127.0.0.1)
SlurmctldPort={a}
SlurmdPort={b}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/none
CredType=cred/none
StateSaveLocation={home}/state
SlurmdSpoolDir={home}/spool
SlurmctldPidFile={home}/slurmctld.pid
SlurmdPidFile={home}/slurmd.pid
SlurmdParameters=config_overrides
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
DefMemPerCPU=1500
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=1
JobAcctGatherParams=OverMemoryKill
SchedulerParameters=batch_sched_delay=0
ReturnToService=2
SwitchType=switch/none
MpiDefault=none
KillWait=2
NodeName={name} NodeAddr=127.0.0.1 CPUs=2 RealMemory=8000 State=UNKNOWN
PartitionName=debug Nodes={name} Default=YES
'''


@pytest.fixture(scope='module')
def slurm(told, own_cache, tmp_path_factory):
    "A real SLURM of one node on this machine; the folder of its logs."
    missing = [c for c in ('slurmctld', 'slurmd', 'sbatch', 'squeue') if not shutil.which(c)]
    if missing: pytest.skip(f"no {', '.join(missing)} here (Debian: apt-get install slurm-wlm)")
    pytest.importorskip('submitit')
    home, name, (a, b) = tmp_path_factory.mktemp('slurm'), platform.node(), ports(2)
    user = pwd.getpwuid(os.getuid()).pw_name
    (home/'slurm.conf').write_text(SLURM.format(home=home, name=name, a=a, b=b, user=user))
    with pytest.MonkeyPatch.context() as m, open(home/'said', 'wb') as said:
        m.setenv('SLURM_CONF', str(home/'slurm.conf'))
        daemons = [subprocess.Popen([*c, '-D'], stdout=said, stderr=said, start_new_session=True)
                   for c in (['slurmctld'], ['slurmd', '-N', name])]
        until = time.monotonic()+20
        while 'idle' not in subprocess.run(['sinfo', '-h'], capture_output=True, text=True).stdout:
            assert time.monotonic() < until, (home/'said').read_text()[-2000:]
            time.sleep(.2)
        yield home
        for d in reversed(daemons): d.terminate()
        for d in daemons: d.wait(15)


SMALL_JOB = 'slurm:cpus_per_task=1:mem_gb=2'


def test_slurm_with_a_job_that_takes_too_much_memory(small, alone, slurm, monkeypatch):
    monkeypatch.setattr(clusters, '_LOOK', .5)
    monkeypatch.setattr(clusters, '_LATE', 1.)
    st, said = small(SMALL_JOB, 'eat', sizes=[5], seeds=1)
    same_runs(st, alone)
    assert re.fullmatch(
        r'told, 5 photos a class, seed 0: the worker was killed because memory ran out \(SLURM job \d+: '
        r'OUT_OF_MEMORY, see .*log.err\); the run is made again, with half the batch', said[-2])
    assert said[-1].endswith('batch halved 1 times')


def test_slurm_has_no_place_for_such_a_job(small, slurm, monkeypatch):
    monkeypatch.setattr(clusters, '_LOOK', .5)
    with pytest.raises(UserError, match=r'SLURM can never start job \d+ \(.*ask for less'):
        small('slurm:mem_gb=99')
    with pytest.raises(UserError, match='SLURM takes no such job: .*[Ii]nvalid partition'):
        small('slurm:slurm_partition=none')
    until = time.monotonic()+10
    while left := subprocess.run(['squeue', '-h'], capture_output=True, text=True).stdout:
        assert time.monotonic() < until, left
        time.sleep(.2)
