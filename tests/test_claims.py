"""Claims: who may make a run, and what becomes of the claim of a process that is gone."""
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from imgcls import machines as room
from imgcls.machines import Claim, Claimed


@pytest.fixture
def run(tmp_path): return tmp_path/'runs'/'a-run'


def other_process(run, lives=False):
    "Another process claims a run, and ends without giving it back, at once or when it is killed."
    if not hasattr(os, 'fork'): pytest.skip('processes are not copied here')
    claimed, tell = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            Claim(run).__enter__()
            os.write(tell, b'1')
            if lives: time.sleep(60)
        finally: os._exit(1)
    os.close(tell)
    assert os.read(claimed, 1) == b'1'
    os.close(claimed)
    return pid


def test_a_killed_process_loses_its_claim_at_once(run):
    os.waitpid(other_process(run), 0)
    assert [*run.parent.iterdir()], 'the claim is left behind'
    with Claim(run): pass
    assert not [*run.parent.iterdir()]


def test_a_process_that_ended_but_is_still_listed_loses_its_claim(run):
    "Its parent has not asked how it ended: a zombie."
    pid = other_process(run)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    with Claim(run): pass
    os.waitpid(pid, 0)


def test_a_process_number_that_is_used_again_is_another_process(run):
    with Claim(run) as claim: owner = claim.mine.split('.')
    claim.folder.mkdir()
    (claim.folder/'.'.join([owner[0], owner[1], '1', '00'])).touch()  # our number, started at another time
    with Claim(run): pass
    assert not [*run.parent.iterdir()]


def test_a_living_process_keeps_its_claim(run, monkeypatch):
    monkeypatch.setattr(room, 'STALE', 2.)  # long enough for a machine that is busy with other things
    monkeypatch.setattr(room, 'BEAT', .05)
    pid = other_process(run, lives=True)
    # as if of another machine, where nobody can look for the process
    monkeypatch.setattr(room, '_place', lambda: 'elsewhere')
    beats, until = {}, time.monotonic()+4
    while time.monotonic() < until:
        with pytest.raises(Claimed), Claim(run, beats): pass
        time.sleep(.05)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    since = time.monotonic()
    while time.monotonic()-since < 20:
        try:
            with Claim(run, beats): break
        except Claimed: time.sleep(.05)
    assert 1 < time.monotonic()-since < 10


@pytest.mark.parametrize('hours', [-1, 1])
def test_clocks_an_hour_apart(run, monkeypatch, hours):
    "Another machine's claim counts by its heartbeat and by a clock that nobody sets."
    monkeypatch.setattr(room, 'STALE', .3)
    monkeypatch.setattr(time, 'time', lambda: 0)
    claim, far = Claim(run), Claim(run).folder/'elsewhere.17.4.00'
    far.parent.mkdir(parents=True)
    theirs = 1.8e9+3600*hours

    def beat(n):
        far.write_text(f'{n}')
        os.utime(far, (theirs+n, theirs+n))
    for n in range(4):
        beat(n)
        assert not claim.free
        time.sleep(.2)
    os.utime(far, (1, 1))  # a time is no heartbeat
    time.sleep(.2)
    assert claim.free
    with claim: pass


def test_a_claim_that_was_taken_over_is_not_given_back(run, monkeypatch):
    "A process that slept for long finds that it has lost its claim, and leaves the new one alone."
    monkeypatch.setattr(room, 'BEAT', .02)
    with Claim(run) as slept:
        os.rename(slept.folder/slept.mine, slept.folder/'elsewhere.1.1.00')
        slept.thread.join(5)
        assert not slept.thread.is_alive()
    assert [p.name for p in slept.folder.iterdir()] == ['elsewhere.1.1.00']


@pytest.mark.parametrize('left', ['killed', 'empty', 'free'])
def test_one_of_many_gets_the_claim(run, left):
    "Whatever was there before, and however many try at once."
    for _ in range(20):
        folder = Claim(run).folder
        if left != 'free': folder.mkdir(parents=True)
        if left == 'killed': (folder/f'{room._place()}.{2**22+1}.1.00').touch()
        claims, start, got = [Claim(run) for _ in range(8)], threading.Barrier(8), []

        def ask(claim):
            start.wait()
            if claim._take(): got.append(claim)
        threads = [threading.Thread(target=ask, args=(c,)) for c in claims]
        for t in threads: t.start()
        for t in threads: t.join()
        assert len(got) == 1 and [p.name for p in folder.iterdir()] == [got[0].mine]
        assert [p for p in run.parent.iterdir()] == [folder]
        (folder/got[0].mine).unlink()
        folder.rmdir()


def test_a_worker_that_ends_at_any_moment_gives_its_claim_back(run):
    "Ctrl-C may come between a claim and the run, or while the claim is given back."
    code = f'''
import os, pathlib, random, sys, threading, time
from imgcls import machines
sys.setswitchinterval(1e-6)
for i in range(200):
    if child := os.fork():
        os.waitpid(child, 0)
        continue
    random.seed(i)
    def end(wait=random.random()*.01):
        time.sleep(wait)
        machines._leave()
    threading.Thread(target=end).start()
    while True:
        with machines.Claim(pathlib.Path({str(run)!r})): pass
'''
    left = []
    for _ in range(3):
        assert subprocess.run([sys.executable, '-c', code], timeout=100).returncode == 0
        left += run.parent.iterdir()
    assert not left


@pytest.mark.parametrize('at', ['_take', '_beat'])
def test_ctrl_c_while_a_run_is_claimed_leaves_nothing(run, monkeypatch, at):
    "A signal may come when the claim is there, and the run has not begun."
    def interrupted(self, old=Claim._take):
        old(self)
        raise KeyboardInterrupt
    if at == '_take': monkeypatch.setattr(Claim, '_take', interrupted)
    else: monkeypatch.setattr(threading.Thread, 'start', lambda self: signal.raise_signal(signal.SIGINT))
    with pytest.raises(KeyboardInterrupt), Claim(run): pass
    assert not [*run.parent.iterdir()]
