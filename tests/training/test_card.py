"""The check for whoever has a graphics card runs, so that no minute of a card is spent on its mistakes."""
import os
import subprocess
import sys

import pytest
import torch


def check(root, *args, **env):
    command = [sys.executable, root/'benchmarks'/'card.py', *args]
    return subprocess.run(command, capture_output=True, text=True, timeout=900,
                          env=dict(os.environ, **env), cwd=root)


@pytest.mark.slow
def test_the_check_of_a_card_runs_without_one(root, tmp_path):
    file = root/'benchmarks'/'card.json'
    before = file.read_bytes() if file.exists() else None
    done = check(root, '--dry', '--shared', str(tmp_path), IMGCLS_CACHE=str(tmp_path/'cache'))
    assert done.returncode == 0, done.stderr[-2000:]
    for line in ('photo table of 75 photos', 'frozen pass, resnet18', 'captured step alone', 'the loop is',
                 'training losses of an epoch differ at most by', 'size study, resnet18'):
        assert line in done.stdout, done.stdout
    assert 'not captured' not in done.stdout
    assert before == (file.read_bytes() if file.exists() else None), 'tiny numbers are no measurement'
    apart = float(done.stdout.split('differ at most by: ')[1].split()[0])
    assert apart < .02


def test_without_a_card_it_says_so(root):
    done = check(root, 'nothing')
    assert done.returncode == 1 and 'no part is called nothing; there are table' in done.stderr
    if torch.cuda.is_available(): return
    done = check(root)
    assert done.returncode == 1 and done.stderr.endswith('no NVIDIA card here; --dry runs without one\n')
