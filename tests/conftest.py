"""What all tests share: a cache of their own, one thread a worker, and which tests can't run here."""
import importlib.util
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest
from hypothesis import settings

# `make test` draws the same examples in each run, so that it never fails by luck; `make fuzz` draws others.
settings.register_profile('fixed', derandomize=True)
settings.register_profile('random', max_examples=1000)
settings.load_profile(os.environ.get('HYPOTHESIS_PROFILE', 'fixed'))

# Set before anything imports torch: the workers of `pytest -n` share the cores.
if 'PYTEST_XDIST_WORKER' in os.environ: os.environ.setdefault('OMP_NUM_THREADS', '1')

# Who is started in the background by a shell without job control is deaf to Ctrl-C, and so are its children.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN: signal.signal(signal.SIGINT, signal.default_int_handler)

BROWSERS = 'chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable', 'chrome'
CHROMIUM_OPTIONS = ['--no-sandbox', '--disable-gpu', '--disable-background-networking']


def _browser(): return next(filter(None, map(shutil.which, BROWSERS)), None)


def _cuda():
    import torch
    return torch.cuda.is_available()


def pytest_collection_modifyitems(items):
    # Slow tests come first and so to one worker, which makes what they share once; the others take the rest.
    items.sort(key=lambda o: 'slow' not in o.keywords)
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
def load_tool(root):
    "A function that returns a module of tools/ by its name."
    def load(name):
        spec = importlib.util.spec_from_file_location(name, root/f'tools/{name}.py')
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module
    return load


@pytest.fixture(scope='session')
def chromium():
    "Where Chromium is; mark the tests that use it with `browser`."
    path = _browser()
    if path is None: pytest.fail('no Chromium on the PATH: install it (Debian: apt-get install chromium)')
    return path


@pytest.fixture(scope='module')
def browser(chromium):
    "Headless Chromium, driven by Playwright; for a module alone, because it keeps asyncio's loop to itself."
    from playwright.sync_api import sync_playwright
    with sync_playwright() as p:
        browser = p.chromium.launch(executable_path=chromium, args=CHROMIUM_OPTIONS)
        yield browser
        browser.close()


@pytest.fixture
def page(browser):
    "A page that shares nothing with those of other tests."
    context = browser.new_context()
    yield context.new_page()
    context.close()


# ---- grey photos with more than 8 bits ----

@pytest.fixture(scope='session')
def dim_study(tmp_path_factory):
    "A study of grey photos of 12 bits; those called 0.png are dim, but read alone they would be as light."
    import numpy as np
    from PIL import Image

    from imgcls.studies.study import study
    root = tmp_path_factory.mktemp('dim')
    for name in ('train/a', 'train/b', 'test/a', 'test/b'):
        (root/'photos'/name).mkdir(parents=True)
        for i in range(3):
            x = np.random.default_rng([i, *name.encode()]).random((64, 64))*.2 + .7
            Image.fromarray((x*(4095 if i else 250)).astype(np.uint16)).save(root/'photos'/name/f'{i}.png')
    return study(root/'photos', sizes=['all'], recipe='frozen', arch='efficientnet_lite0', epochs=1, res=32,
                 seeds=1, out=root/'st', say=lambda _: None)


@pytest.fixture(scope='session')
def shown_right():
    "A function that checks the pictures of such photos, JPEGs as text."
    import base64
    import io

    import numpy as np
    from PIL import Image
    def light(jpeg): return np.asarray(Image.open(io.BytesIO(base64.b64decode(jpeg.split(',')[-1])))).mean()
    def check(files, jpegs):
        assert len(files) > 3 and [light(j) > 30 for j in jpegs] == [Path(f).name != '0.png' for f in files]
    return check


# ---- JupyterLab, with Voilà in it ----

SELDOM = 200  # ms; by default Playwright looks at each frame, and the page is drawn for it 60 times a second
KERNEL = 'window.jupyterapp?.shell.currentWidget?.sessionContext?.session?.kernel'
OUTPUTS = """() => Array.from(window.jupyterapp.shell.currentWidget.content.model.cells)
    .map(cell => cell.type === 'code' ? cell.outputs.toJSON() : [])"""


class Lab:
    "JupyterLab in a folder, and what tests do with it in a browser."
    def __init__(self, home, url): self.home, self.url = home, url

    def write(self, name, *cells):
        "Write a notebook."
        import nbformat
        kernel = dict(name='python3', display_name='python3', language='python')
        cells = [nbformat.v4.new_code_cell(c) for c in cells]
        nb = nbformat.v4.new_notebook(cells=cells, metadata=dict(kernelspec=kernel))
        nbformat.write(nb, self.home/name)

    def open(self, page, name, where='lab/tree'):
        "Open a notebook and wait for a kernel that has nothing to do: what it is asked before is lost."
        page.route(re.compile(r'^https?://(?!127\.0\.0\.1)'), lambda r: r.abort())
        page.set_viewport_size(dict(width=1400, height=1000))
        page.set_default_timeout(120_000)
        page.goto(f'{self.url}/{where}/{name}' + '?reset'*(where == 'lab/tree'))
        if where == 'lab/tree': page.wait_for_selector('.jp-Notebook .jp-Cell')

    def run_all(self, page, wait=True, what='notebook:run-all-cells'):
        "Run All, as from the menu, when the kernel is ready."
        page.wait_for_function(f"{KERNEL}?.connectionStatus === 'connected' && {KERNEL}.status === 'idle'",
                               polling=SELDOM)
        page.evaluate("""what => {
            const ran = window.jupyterapp.commands.execute(what);
            window.ran = false;
            ran.then(() => { window.ran = true; }); }""", what)
        if wait: self.wait(page)

    def run(self, page, index):
        "Run a cell, when the kernel is ready."
        page.evaluate("i => { window.jupyterapp.shell.currentWidget.content.activeCellIndex = i; }", index)
        self.run_all(page, what='notebook:run-cell')

    def wait(self, page):
        "Wait until all cells have run."
        page.wait_for_function('window.ran', timeout=900_000, polling=SELDOM)

    def outputs(self, page):
        "The outputs of each cell, as the notebook holds them."
        return page.evaluate(OUTPUTS)

    def save(self, page):
        page.evaluate("() => window.jupyterapp.commands.execute('docmanager:save')")
        page.wait_for_function("!document.querySelector('.jp-mod-dirty')")


def _free_port():
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]


@pytest.fixture(scope='session')
def lab_command(root, tmp_path_factory):
    "What `make lab` calls Jupyter with: the notebook, the options, and the folders of its configuration."
    bin = tmp_path_factory.mktemp('bin')
    (bin/'jupyter').write_text('#!/bin/sh\necho "$*"\necho "$JUPYTER_CONFIG_PATH"\n')
    (bin/'jupyter').chmod(0o755)
    said = subprocess.check_output(['make', '-s', 'lab', 'READY=', f'BIN={bin}'], cwd=root, text=True)
    command, config = said.splitlines()
    _, notebook, *options = command.split()
    return notebook, options, config


@contextmanager
def serving(home, *options, **env):
    "JupyterLab in a folder, with nothing of the user's settings."
    port, bin = _free_port(), Path(sys.executable).parent
    options = [*options, f'--ServerApp.root_dir={home}', f'--port={port}', '--ip=127.0.0.1',
               '--no-browser', '--IdentityProvider.token=', '--expose-app-in-browser']
    env = {**os.environ, 'PATH': f'{bin}{os.pathsep}{os.environ["PATH"]}', 'OMP_NUM_THREADS': '1',
           'JUPYTER_CONFIG_DIR': str(home/'.config'), 'JUPYTER_RUNTIME_DIR': str(home/'.runtime'),
           'JUPYTERLAB_WORKSPACES_DIR': str(home/'.lab'), 'IMGCLS_COURSE': 'test', **env}
    with open(home/'lab.log', 'wb') as log:
        p = subprocess.Popen([bin/'jupyter-lab', *options], cwd=home, env=env, stdout=log, stderr=log,
                             start_new_session=True)
    try:
        _wait_for(p, f'http://127.0.0.1:{port}', home/'lab.log')
        yield Lab(home, f'http://127.0.0.1:{port}')
    finally:
        os.killpg(p.pid, signal.SIGTERM)
        try: p.wait(15)
        except subprocess.TimeoutExpired: os.killpg(p.pid, signal.SIGKILL)


@pytest.fixture(scope='session')
def lab_study(own_cache):
    "A study of a few photos; the workers of one run make it once."
    from filelock import FileLock

    from imgcls.data.synth import synth_folder
    from imgcls.studies.study import study
    made = own_cache.with_name('lab-study')
    with FileLock(f'{made}.lock'):
        if not made.exists():
            study(synth_folder(per_class=30, side=64, wrong=.15), sizes=[5, 20], recipe='frozen',
                  arch='cifar_net', weights='random', epochs=2, res=32, seeds=1, out=made, say=lambda _: None)
    return made


@pytest.fixture(scope='session')
def lab(lab_command, lab_study, tmp_path_factory):
    "JupyterLab with nothing of the user's settings, in a folder with a study of a few photos called `st`."
    home = tmp_path_factory.mktemp('lab')
    shutil.copytree(lab_study, home/'st')
    _, options, config = lab_command
    with serving(home, *options, JUPYTER_CONFIG_PATH=config) as lab: yield lab


def _wait_for(process, url, log):
    "Wait until a server answers."
    for _ in range(600):
        assert process.poll() is None, log.read_text()
        try: return urlopen(url, timeout=5).close()
        except (URLError, OSError): time.sleep(.2)
    pytest.fail(f'no answer from {url}: {log.read_text()}')


@pytest.fixture
def processes(monkeypatch):
    "A function after which two processes read photos, or none."
    if sys.platform != 'linux': pytest.skip('processes read photos on Linux alone')
    from imgcls import machines
    return lambda n: monkeypatch.setattr(machines, '_processes', lambda photos: n)
