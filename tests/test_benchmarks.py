"""Are the benchmarks in step with the package? Each is imported; those that wrap its functions are tried."""
import subprocess
import sys
from importlib import import_module

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def benchmark(root, monkeypatch):
    monkeypatch.syspath_prepend(str(root/'benchmarks'))
    return import_module


def test_each_can_be_imported(root):
    files = sorted((root/'benchmarks').glob('*.py'))
    imports = '\n'.join(f'import {p.stem}' for p in files)
    command = [sys.executable, '-c', imports]
    done = subprocess.run(command, cwd=root/'benchmarks', capture_output=True, text=True)
    assert len(files) > 10 and not done.returncode, done.stderr[-2000:]


def test_all_that_the_large_study_times_is_there(benchmark):
    for module, names in benchmark('scale').STAGES:
        found = import_module(module)
        for name in names.split('.'): found = getattr(found, name)
        assert callable(found)


def test_nested_tells_where_the_seconds_of_a_run_go(benchmark, tmp_path):
    rng = np.random.default_rng(0)
    for kind in ('bird', 'deer', 'frog'):
        for split, n in (('train', 4), ('test', 3)):
            (folder := tmp_path/'photos'/split/kind).mkdir(parents=True)
            for i in range(n):
                Image.fromarray(rng.integers(0, 255, (32, 32, 3), 'uint8')).save(folder/f'{i}.png')
    made = benchmark('nested').whole_process(tmp_path/'photos', [2, 4], tmp_path)
    few, many = made['runs']
    assert few['seconds']+many['seconds'] < made['seconds'] < made['process']
    for part in ('decoding', 'below', 'views', 'scoring'): assert 0 < many[part] < many['seconds'], part
    assert few['passes'] % 6 == 0 and many['passes'] % 12 == 0
