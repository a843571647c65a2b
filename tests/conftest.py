"""What all tests share: a cache of their own, one thread a worker, and which tests can't run here."""
import os
import shutil
from pathlib import Path

import pytest
from hypothesis import settings

# `make test` draws the same examples in each run, so that it never fails by luck; `make fuzz` draws others.
settings.register_profile('fixed', derandomize=True)
settings.register_profile('random', max_examples=1000)
settings.load_profile(os.environ.get('HYPOTHESIS_PROFILE', 'fixed'))

# Set before anything imports torch: the workers of `pytest -n` share the cores.
if 'PYTEST_XDIST_WORKER' in os.environ: os.environ.setdefault('OMP_NUM_THREADS', '1')

BROWSERS = 'chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable', 'chrome'
CHROMIUM_OPTIONS = ['--no-sandbox', '--disable-gpu', '--disable-background-networking']


def _browser(): return next(filter(None, map(shutil.which, BROWSERS)), None)


def _cuda():
    import torch
    return torch.cuda.is_available()


def pytest_collection_modifyitems(items):
    cuda = [o for o in items if 'cuda' in o.keywords]
    if cuda and not _cuda():
        for o in cuda: o.add_marker(pytest.mark.skip(reason='no NVIDIA GPU here'))
    # In CI a missing browser is a fault of the set-up: the tests run, and the `chromium` fixture fails them.
    if not _browser() and not os.environ.get('CI'):
        for o in items:
            if 'browser' in o.keywords: o.add_marker(pytest.mark.skip(reason='no Chromium here'))


@pytest.fixture(scope='session', autouse=True)
def own_cache(tmp_path_factory):
    "Tests never see or fill the user's cache; the workers of one run share one."
    base = tmp_path_factory.getbasetemp()
    cache = (base.parent if 'PYTEST_XDIST_WORKER' in os.environ else base)/'imgcls-cache'
    with pytest.MonkeyPatch.context() as m:
        m.setenv('IMGCLS_CACHE', str(cache))
        yield cache


@pytest.fixture(scope='session')
def root():
    "The checkout."
    return Path(__file__).resolve().parents[1]


@pytest.fixture(scope='session')
def chromium():
    "Where Chromium is; mark the tests that use it with `browser`."
    path = _browser()
    if path is None: pytest.fail('no Chromium on the PATH: install it (Debian: apt-get install chromium)')
    return path


@pytest.fixture
def page(chromium):
    "A page of headless Chromium, driven by Playwright."
    from playwright.sync_api import sync_playwright
    with sync_playwright() as p:
        browser = p.chromium.launch(executable_path=chromium, args=CHROMIUM_OPTIONS)
        yield browser.new_page()
        browser.close()
