"""Engines run a network as PyTorch does, whichever is chosen; the faster one is taken where it pays off."""
import copy
import os
import platform
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version

import numpy as np
import pytest
import torch
from torch import nn

from imgcls.cache import cache_dir, cache_items, cache_root, strangers
from imgcls.data.synth import synth_folder
from imgcls.data.table import read_photos
from imgcls.training import engine as engine_room
from imgcls.training import features as features_room
from imgcls.training.engine import Engine, OnnxEngine, at_once, engine, fetched, keep_memory, onnx_graph
from imgcls.training.features import Features

SHAPE, CPU = (4, 3, 32, 32), torch.device('cpu')


class Small(nn.Module):
    "A network with depthwise filters."
    def __init__(self, groups=8):
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 8, 3, stride=2), nn.Conv2d(8, 8, 3, groups=groups)

    def forward(self, x): return self.b(self.a(x).relu()).mean((2, 3))


class Picky(Small):
    "A network that no exporter can write down: which way it goes depends on the photos."
    def forward(self, x): return super().forward(x)*(2 if x.mean() > 0 else 1)


@pytest.mark.parametrize('side, photos', [(16, 64), (32, 64), (64, 36), (96, 16), (224, 16), (4000, 16)])
def test_more_small_photos_go_through_a_body_at_once(side, photos):
    assert at_once(CPU, torch.float32, side) == photos
    assert at_once(CPU, torch.bfloat16, side) == 64


@pytest.fixture
def net():
    torch.manual_seed(0)
    return Small().eval()


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv('IMGCLS_CACHE', str(tmp_path/'cache'))
    return tmp_path/'cache'


def photos(n=4): return torch.rand(n, *SHAPE[1:], generator=torch.Generator().manual_seed(1))*255


def chosen(net, photos=10**9, dtype=torch.float32, device=CPU):
    "The name of the engine for so many photos, and what was said."
    said = []
    return engine(net, SHAPE, device, dtype, photos, said.append).name, said


def graphs(): return [*cache_dir('graphs').glob('*.onnx')]


# ---- the same answers

def test_both_engines_answer_the_same(net):
    x, onnx = photos(), OnnxEngine(onnx_graph(net, SHAPE), SHAPE)
    torch.testing.assert_close(onnx(x), Engine(net, SHAPE, CPU, torch.float32)(x), rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize('kind', [Engine, OnnxEngine])
def test_an_answer_does_not_depend_on_the_neighbours(net, kind):
    x, onnx = photos(), kind is OnnxEngine
    run = OnnxEngine(onnx_graph(net, SHAPE), SHAPE) if onnx else Engine(net, SHAPE, CPU, torch.float32)
    for n in (1, 3): assert torch.equal(run(x[:n]), run(x)[:n])
    assert torch.equal(run(x.flip(0)).flip(0), run(x))
    assert torch.equal(run(x.byte()), run(x.byte().float())), 'whole numbers'


def test_features_are_the_same_whoever_computes_them(monkeypatch, tmp_path):
    monkeypatch.setattr(features_room, 'precision', lambda device, module=None: torch.float32)
    rows = read_photos(synth_folder(per_class=10, side=64)).df[:20]
    found = {}
    for name, least in ('PyTorch', 1e99), ('ONNX Runtime', 0):
        monkeypatch.setenv('IMGCLS_CACHE', str(tmp_path/name))
        monkeypatch.setattr(engine_room, '_WORTH_IT', least)
        f = Features('efficientnet_lite0', 64)
        found[name] = f.of(f(rows)[0])
        assert f.notes == [] and f._engine.name == name
    a, b = (X.astype(np.float32) for X in found.values())
    np.testing.assert_allclose(a, b, rtol=2e-3, atol=2e-3)  # a unit in the last place of 16 bits
    assert (a == b).mean() > .95


# ---- which one

def test_the_faster_engine_is_taken_where_it_pays_off(net):
    assert chosen(net, 10) == ('PyTorch', []) and not graphs()
    assert chosen(net) == ('ONNX Runtime', [])
    assert chosen(net, 10) == ('ONNX Runtime', []), 'the graph is there'


@pytest.mark.parametrize('change', [dict(dtype=torch.bfloat16), dict(device=torch.device('meta'))])
def test_other_numbers_and_devices_are_left_to_pytorch(net, change):
    assert chosen(net, **change) == ('PyTorch', [])


def test_networks_without_depthwise_filters_are_left_to_pytorch():
    assert chosen(Small(groups=1).eval()) == ('PyTorch', [])


def test_without_the_library(net, monkeypatch):
    monkeypatch.setattr(engine_room, 'find_spec', lambda name: None)
    assert chosen(net) == ('PyTorch', [])


# ---- graphs that can't be made, or are damaged

def test_a_network_that_cannot_be_written_down():
    name, said = chosen(Picky().eval())
    assert name == 'PyTorch' and not graphs()
    assert len(said) == 1 and "ONNX Runtime can't take this network" in said[0] and len(said[0]) < 300


def test_a_network_that_cannot_be_written_down_is_tried_once(monkeypatch):
    "But again with another version of a library, or when somebody has emptied the cache."
    tries, real, picky = [], onnx_graph, Picky().eval()
    monkeypatch.setattr(engine_room, 'onnx_graph', lambda *a: tries.append(a) or real(*a))
    first, again = chosen(picky), chosen(picky)
    assert first == again and first[0] == 'PyTorch' and len(first[1]) == len(tries) == 1
    assert not strangers() and [i.kind for i in cache_items(cache_root())] == ['graphs']
    chosen(Picky().eval())
    assert len(tries) == 2, 'other weights'
    with monkeypatch.context() as m:
        m.setattr(engine_room, 'version', lambda name: 'newer' if name == 'onnx' else version(name))
        chosen(picky)
    assert len(tries) == 3, 'another version'
    for file in cache_dir('graphs').glob('*.txt'): file.write_bytes(b'')
    assert chosen(picky) == first and len(tries) == 4, 'a damaged note'


@pytest.mark.parametrize('error', [MemoryError(), OSError('no space left on device'),
                                   RuntimeError("DefaultCPUAllocator: can't allocate memory")])
def test_want_of_memory_is_not_held_against_a_network(net, monkeypatch, error):
    def fail(*a): raise error
    with monkeypatch.context() as m:
        m.setattr(engine_room, 'onnx_graph', fail)
        name, said = chosen(net)
        assert name == 'PyTorch' and type(error).__name__ in said[0]
    assert chosen(net) == ('ONNX Runtime', [])


def test_a_graph_that_gives_other_numbers_is_not_used(net, monkeypatch):
    other = onnx_graph(Small().eval(), SHAPE)
    monkeypatch.setattr(engine_room, 'onnx_graph', lambda module, shape: other)
    name, said = chosen(net)
    assert name == 'PyTorch' and 'other numbers' in said[0] and not graphs()


@pytest.mark.parametrize('damage', [lambda data: data[:-100], lambda data: data.replace(b'\x00', b'\x01', 1)])
def test_a_damaged_graph_is_made_again(net, damage):
    chosen(net)
    file, = graphs()
    data = file.read_bytes()
    file.write_bytes(damage(data))
    assert chosen(net) == ('ONNX Runtime', [])
    assert [f.read_bytes() for f in graphs()] == [data]


def test_other_weights_and_shapes_have_a_graph_of_their_own(net):
    chosen(net)
    with torch.no_grad(): net.a.weight += 1
    chosen(net)
    engine(net, (2, *SHAPE[1:]), CPU, torch.float32, 10**9, print)
    assert len(graphs()) == 3


def test_a_cache_that_takes_nothing(net, monkeypatch):
    def full(*a, **k): raise engine_room.UserError('no space left')
    monkeypatch.setattr(engine_room, 'atomic', full)
    assert chosen(net) == ('ONNX Runtime', [])


# ---- memory

def test_memory_is_kept_only_where_it_can_be(monkeypatch):
    assert keep_memory() in (True, False)
    calls = []
    class Libc:
        def mallopt(self, *a): return calls.append(a) or 1
    monkeypatch.setattr(engine_room.ctypes, 'CDLL', lambda name: Libc())
    for system in ('', 'musl'):
        monkeypatch.setattr(engine_room.platform, 'libc_ver', lambda: (system, '1'))
        assert keep_memory() is False and not calls
    monkeypatch.setattr(engine_room.platform, 'libc_ver', lambda: ('glibc', '2.36'))
    assert keep_memory() is True and {k for k, _ in calls} == {-1, -3, -8}


@pytest.mark.skipif(not hasattr(os, 'fork') or platform.libc_ver()[0] != 'glibc', reason='settings of glibc')
def test_large_memory_of_a_thread_is_used_again():
    "Kept pages are not fetched anew; in a process of its own, because the settings can't be taken back."
    program = """
import resource, sys, threading
import torch
from imgcls.training.engine import keep_memory
if sys.argv[1] == 'keep': keep_memory()
def use():
    for _ in range(20): torch.ones(20_000_000)  # 80 MB, more than the pool of a thread holds
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
def twice(): print(-use() + use())
t = threading.Thread(target=twice)
t.start()
t.join()
"""
    def faults(how):
        call = [sys.executable, '-c', program, how]
        return int(subprocess.run(call, capture_output=True, text=True, check=True).stdout)
    assert faults('keep') < faults('usual')/20


@pytest.mark.skipif(not os.path.exists('/proc/self/statm') or platform.libc_ver()[0] != 'glibc',
                    reason='of glibc, told by Linux')
def test_kept_memory_is_given_back_when_asked():
    program = """
import torch
from pathlib import Path
from imgcls.training.engine import free_memory, keep_memory
def resident(): return int(Path('/proc/self/statm').read_text().split()[1])*4096/1e6
keep_memory()
many = [torch.ones(1_000_000) for _ in range(100)]  # 4 MB each
last = many.pop()  # lies above them, so that the heap can't just shrink
before = resident()
del many
kept = resident()
free_memory()
print(before-kept, before-resident())
"""
    call = [sys.executable, '-c', program]
    kept, free = map(float, subprocess.run(call, capture_output=True, text=True, check=True).stdout.split())
    assert kept < 50 and free > 300


@pytest.mark.cuda
def test_many_threads_and_one_card(net):
    "Copies and computing overlap, and each thread gets the answer to its own batch."
    run = Engine(copy.deepcopy(net), SHAPE, torch.device('cuda'), torch.float32)
    batches = [(photos()/(1+i)).byte() for i in range(64)]
    with ThreadPoolExecutor(8) as pool: found = [*pool.map(lambda x: fetched(run(x)), batches)]
    for x, got in zip(batches, found):
        assert got.device.type == 'cpu'
        with torch.no_grad(): torch.testing.assert_close(got, net(x.float()), rtol=.02, atol=.5)
