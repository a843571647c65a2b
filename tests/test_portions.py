"""Work in portions, by threads or by copies of this process: the same results, and nothing stays behind."""
import gc
import mmap
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from imgcls import machines
from imgcls.core import UserError
from imgcls.machines import in_portions

linux = pytest.mark.skipif(sys.platform != 'linux', reason='processes do the work on Linux alone')


def draw(n):
    "A number, and an array of a shape and content of its own; none for each fifth."
    return n, None if n % 5 == 0 else np.full((n % 3 + 1, 2, n % 4), n % 251, np.uint8)


def content(i, n, x): return n, x.shape, x.tobytes()


# ---- who does the work

@linux
@pytest.mark.parametrize('change, want', [
    ({}, 16), (dict(n=999), 0), (dict(n=0), 0), (dict(cores=4), 0), (dict(cores=5), 5), (dict(cores=64), 16),
    (dict(threads=1), 0), (dict(threads=8), 8), (dict(threads=8, smt=True), 16),
    (dict(threads=2, smt=True), 0), (dict(system='darwin'), 0), (dict(system='win32'), 0),
    (dict(daemon=True), 0)])
def test_many_cores_and_many_photos_are_worth_processes(monkeypatch, change, want):
    case = dict(n=1000, cores=16, threads=16, smt=False, system='linux', daemon=False) | change
    monkeypatch.setattr(os, 'sched_getaffinity', lambda pid: range(case['cores']))
    monkeypatch.setattr(torch, 'get_num_threads', lambda: case['threads'])
    monkeypatch.setattr(machines, '_smt', lambda: case['smt'])
    monkeypatch.setattr(sys, 'platform', case['system'])
    monkeypatch.setitem(multiprocessing.current_process()._config, 'daemon', case['daemon'])
    assert machines._processes(case['n']) == want


@pytest.fixture(params=['threads', pytest.param('processes', marks=linux)])
def both(request, monkeypatch):
    "Threads or processes do the work, however little there is; afterwards no process is left."
    monkeypatch.setattr(machines, '_processes', lambda n: 2 if request.param == 'processes' else 0)
    yield request.param
    assert not multiprocessing.active_children()


@pytest.fixture
def processes(monkeypatch):
    monkeypatch.setattr(machines, '_processes', lambda n: 2)
    yield
    assert not multiprocessing.active_children()


# ---- what comes of it

@pytest.mark.parametrize('n', [0, 1, 7, 500])
def test_each_item_is_done_once(both, n):
    got = [*in_portions(draw, range(n), content, room=18, threads=2)]
    want = [(i, content(i, *draw(i)) if i % 5 else i) for i in range(n)]
    assert sorted(got, key=lambda r: r[0]) == want


def test_where_it_is_done(both):
    pids = {pid for _, pid in in_portions(lambda n: (os.getpid(), None), range(100), threads=2)}
    assert (os.getpid() in pids) == (both == 'threads')


@linux
@pytest.mark.parametrize('each, copies', [(1, False), (9, False), (10, True)])
def test_what_an_item_holds_counts(monkeypatch, each, copies):
    "A hundred items of ten photos each are a thousand photos."
    monkeypatch.setattr(os, 'sched_getaffinity', lambda pid: range(16))
    monkeypatch.setattr(torch, 'get_num_threads', lambda: 16)
    pids = {pid for _, pid in in_portions(lambda n: (os.getpid(), None), range(100), each=each)}
    assert (os.getpid() in pids) != copies


@linux
def test_arrays_without_room(processes):
    "Threads do the work where nobody said how large the arrays are; larger ones than was said are an error."
    def whose(n): return os.getpid(), draw(1)[1]
    assert {pid for _, pid in in_portions(whose, range(50), lambda i, pid, x: pid)} == {os.getpid()}
    with pytest.raises(ValueError, match='an array of 18 bytes; there is room for 17'):
        for _ in in_portions(draw, range(50), content, room=17): pass


def test_arrays_stay_as_they_were(both):
    "The memory in which they come is used again and again."
    kept = {}
    for _ in in_portions(draw, range(400), lambda i, n, x: kept.update({i: x}), room=18, threads=2): pass
    assert len(kept) == 320 and all((x == i % 251).all() for i, x in kept.items())


def test_in_a_thread_of_its_own(both):
    with ThreadPoolExecutor(1) as pool:
        assert len(pool.submit(lambda: [*in_portions(draw, range(100), room=18)]).result()) == 100


def test_few_portions_are_under_way_at_once(both):
    # a slow consumer must hold back the others, or else memory grows with the number of photos
    started = mmap.mmap(-1, 10_000)
    def start(i):
        started[i] = 1
        return i, None
    results = in_portions(start, range(10_000), threads=2)
    next(results)
    time.sleep(.2)
    assert 0 < sum(started[:]) <= 10*32
    results.close()


@pytest.mark.parametrize('where', ['do', 'use'])
def test_an_error_ends_the_work(both, where):
    def fail(i, *rest):
        if i == 71: raise UserError('number 71 is no good')
        return draw(i) if where == 'do' else None
    with pytest.raises(UserError, match='^number 71 is no good$'):
        for _ in in_portions(*((fail,) if where == 'do' else (draw,)), range(10_000), fail, room=18): pass


@linux
def test_who_stops_early_waits_for_no_more_than_a_photo(processes):
    def slow(n):
        time.sleep(.2*(n > 40))
        return n, None
    results = in_portions(slow, range(10_000))
    next(results)
    start = time.monotonic()
    results.close()
    assert time.monotonic()-start < 1


@linux
def test_who_stops_early_uses_no_more(processes):
    def use(i, n, x): time.sleep(.1)
    results = in_portions(draw, range(10_000), use, room=18)
    next(results)
    start = time.monotonic()
    results.close()
    assert time.monotonic()-start < 1


# ---- faults

@linux
@pytest.mark.parametrize('at', [0, 3, 70])
def test_a_killed_process_is_replaced_by_threads(processes, monkeypatch, at):
    here, used, said = os.getpid(), [], []
    monkeypatch.setattr(machines, 'step', lambda *words: said.append(words))
    def do(n):
        if os.getpid() != here: os.kill(os.getpid(), signal.SIGKILL) if n == at else time.sleep(.005)
        return draw(n)
    def use(i, *rest):
        used.append(i)
        return content(i, *rest)
    got = dict(in_portions(do, range(300), use, room=18))
    assert got == {i: content(i, *draw(i)) if i % 5 else i for i in range(300)}
    assert sorted(used) == [i for i in range(300) if i % 5], 'used twice, or not at all'
    assert len(said) == 1 and 'was killed; threads take over' in said[0][1]


@linux
def test_what_a_program_does_when_it_is_told_to_end_is_not_done_by_processes(processes):
    "The others are told to end when one of them was killed."
    here, before = os.getpid(), signal.signal(signal.SIGTERM, lambda *a: time.sleep(30))
    def do(n):
        if os.getpid() != here: os.kill(os.getpid(), signal.SIGKILL) if n == 40 else time.sleep(.01)
        return n, None
    start = time.monotonic()
    try: assert len([*in_portions(do, range(100))]) == 100
    finally: signal.signal(signal.SIGTERM, before)
    assert time.monotonic()-start < 10


class Ring:
    "Garbage that notes where it is cleared away."
    def __init__(self, note): self.me, self.note, self.home = self, note, os.getpid()
    def __del__(self): self.note[0] |= self.home != os.getpid()


@linux
def test_processes_clear_nothing_away(processes):
    "It may belong to a graphics card."
    note, on = mmap.mmap(-1, 1), gc.isenabled()
    gc.disable()
    try:
        Ring(note)
        assert len([*in_portions(lambda n: (gc.collect(), None), range(50))]) == 50
    finally:
        if on: gc.enable()
    assert note[0] == 0


@linux
def test_processes_never_hear_of_ctrl_c(processes):
    deaf = lambda: signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, [])
    assert {d for _, d in in_portions(lambda n: (deaf(), None), range(50))} == {True} and not deaf()


@linux
def test_processes_say_nothing(processes, capfd):
    assert len([*in_portions(lambda n: (print(n, flush=True), None), range(50))]) == 50
    assert capfd.readouterr() == ('', '')


@linux
@pytest.mark.parametrize('allowed', [0, 1])
def test_a_system_that_allows_too_few_processes(processes, monkeypatch, allowed):
    fork, made = os.fork, []
    def limited():
        if len(made) == allowed: raise BlockingIOError(11, 'Resource temporarily unavailable')
        made.append(fork())
        return made[-1]
    monkeypatch.setattr(os, 'fork', limited)
    assert {pid for _, pid in in_portions(lambda n: (os.getpid(), None), range(50))} == {os.getpid()}
    assert len(made) == allowed


SCRIPT = '''
import sys, time
from imgcls import machines
machines._processes = lambda n: 3
def slow(n):
    time.sleep(.01)
    return n, None
for i, _ in machines.in_portions(slow, range(100_000)):
    if i == 20: print('going', flush=True)
'''


@pytest.fixture
def script():
    "A script that is at work, in a session of its own, without `if __name__ == '__main__':`."
    how = dict(stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)
    p = subprocess.Popen([sys.executable, '-c', SCRIPT], **how)
    assert p.stdout.readline() == 'going\n'
    yield p
    try: os.killpg(p.pid, signal.SIGKILL)
    except ProcessLookupError: pass
    p.communicate()


def gone(group, seconds=3):
    "Have all processes of a group ended in time?"
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try: os.killpg(group, 0)
        except ProcessLookupError: return True
        time.sleep(.05)


@linux
@pytest.mark.parametrize('all_of_them', [True, False], ids=['in a terminal', 'this process alone'])
def test_ctrl_c_ends_everything(script, all_of_them):
    (os.killpg if all_of_them else os.kill)(script.pid, signal.SIGINT)
    _, err = script.communicate(timeout=3)
    assert err.count('Traceback') == 1 and err.endswith('KeyboardInterrupt\n')
    assert gone(script.pid)


@linux
@pytest.mark.parametrize('how', [signal.SIGKILL, signal.SIGTERM])
def test_processes_end_when_the_program_is_killed(script, how):
    script.send_signal(how)
    script.communicate(timeout=3)
    assert gone(script.pid)
