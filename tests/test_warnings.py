"""Warnings: which ones are shown is the user's choice, also after imgcls was imported and used."""
import subprocess
import sys
import threading
import warnings

from imgcls.core import quiet

LIBRARIES = 'numpy, pandas, matplotlib.pyplot, scipy, sklearn, torch, torchvision, timm'


def test_importing_everything_is_quiet_and_changes_no_filter(tmp_path):
    "Not even where a library that comes with it would (cleanlab mutes all warnings, fastai some)."
    code = f'''
import sys, warnings
import {LIBRARIES}
before = [*warnings.filters]
import imgcls.all, imgcls.cleaning.issues, imgcls.training.finetune, imgcls.deploy.share, fastai.vision.all
assert 'cleanlab' not in sys.modules, 'it takes two seconds'
i = numpy.arange(20)
imgcls.cleaning.issues.judge_labels(numpy.eye(20), i % 2, i.astype(str))
assert 'cleanlab' in sys.modules
assert warnings.filters == before, [f for f in warnings.filters if f not in before]
'''
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0 and not done.stderr, done.stderr


def test_two_threads_that_are_quiet_for_a_while_leave_no_filter_behind():
    "The second one begins while the first one is quiet, and ends later."
    before, first, second = [*warnings.filters], threading.Event(), threading.Event()

    def one():
        with quiet():
            first.set()
            second.wait(10)
    t = threading.Thread(target=one)
    t.start()
    assert first.wait(10)
    with quiet():
        second.set()
        t.join()
        warnings.warn('nobody hears this', stacklevel=1)
    assert warnings.filters == before
