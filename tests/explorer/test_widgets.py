"Explorer and cleaner in JupyterLab and Voilà: a real server, a real kernel, a real browser."
import os
import re
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import nbformat
import numpy as np
import pytest

from imgcls.cleaning.journal import Journal
from imgcls.data.synth import synth_folder
from imgcls.explorer.confusion import confusion
from imgcls.studies.study import Study, study

pytestmark = [pytest.mark.browser, pytest.mark.slow]
BIN = Path(sys.executable).parent


@pytest.fixture(scope='module')
def home(tmp_path_factory):
    "A folder with a study and the notebook that shows it."
    home = tmp_path_factory.mktemp('home')
    study(synth_folder(per_class=30, side=64, wrong=.15), sizes=[5, 20], recipe='frozen', arch='cifar_net',
          weights='random', epochs=2, res=32, out=home/'st', say=lambda _: None)
    write(home/'explore.ipynb', "from imgcls.explorer.widget import explore\nexplore('st')")
    for name in ('lab', 'voila'):
        pid = f"import os\nopen('{name}.pid', 'w').write(str(os.getpid()));"
        show = f"from imgcls.cleaning.cleaner import clean\nclean('st', '{name}.csv')"
        write(home/f'clean_{name}.ipynb', pid, show)
    return home


def write(path, *cells):
    kernel = dict(name='python3', display_name='python3', language='python')
    cells = [nbformat.v4.new_code_cell(c) for c in cells]
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=dict(kernelspec=kernel)), path)


@contextmanager
def server(home, *command):
    "A Jupyter program on a free port, with nothing of the user's settings: its address."
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        port = s.getsockname()[1]
    env = {**os.environ, 'PATH': f'{BIN}{os.pathsep}{os.environ["PATH"]}', 'OMP_NUM_THREADS': '1',
           'JUPYTER_CONFIG_DIR': str(home/'.config'), 'JUPYTER_RUNTIME_DIR': str(home/'.runtime'),
           'JUPYTERLAB_WORKSPACES_DIR': str(home/'.lab')}
    program = BIN/('voila' if command[0] == 'voila' else f'jupyter-{command[0]}')
    with open(home/f'{command[0]}.log', 'wb') as log:
        p = subprocess.Popen([program, *command[1:], '--no-browser', f'--port={port}'],
                             cwd=home, env=env, stdout=log, stderr=log, start_new_session=True)
    url = f'http://127.0.0.1:{port}'
    try:
        for _ in range(300):
            try: urlopen(url, timeout=5).close()
            except (URLError, OSError): time.sleep(.2)
            else: break
            assert p.poll() is None, (home/f'{command[0]}.log').read_text()
        yield url
    finally:
        os.killpg(p.pid, signal.SIGTERM)
        try: p.wait(15)
        except subprocess.TimeoutExpired: os.killpg(p.pid, signal.SIGKILL)


@pytest.fixture(scope='module')
def lab(home):
    options = ['--allow-root', '--ip=127.0.0.1', '--ServerApp.token=', '--ServerApp.password=',
               '--expose-app-in-browser', f'--ServerApp.root_dir={home}', '--LabApp.news_url=',
               '--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate']
    with server(home, 'lab', *options) as url: yield url


def offline(page):
    "Let nothing but this machine be reached."
    page.route(re.compile(r'^https?://(?!127\.0\.0\.1)'), lambda r: r.abort())
    page.set_viewport_size(dict(width=1400, height=1000))
    page.set_default_timeout(90_000)


def open_and_run(page, url, name):
    "Open a notebook in JupyterLab and run all of it."
    offline(page)
    page.goto(f'{url}/lab/tree/{name}?reset')
    page.wait_for_selector('.jp-Notebook .jp-Cell')
    run(page)


def ready(page):
    "Wait for a kernel that is connected and has nothing to do; what is asked of a notebook before is lost."
    kernel = 'window.jupyterapp?.shell.currentWidget?.sessionContext?.session?.kernel'
    page.wait_for_function(f"{kernel}?.connectionStatus === 'connected' && {kernel}.status === 'idle'")


def run(page):
    ready(page)
    page.evaluate("window.jupyterapp.commands.execute('notebook:run-all-cells')")


def errors_of(st):
    "The cell of the matrix with most errors: (row, column, photos)."
    c = confusion(st)
    row, col = np.unravel_index(np.argmax(c.counts*(1-np.eye(len(c.classes)))), c.counts.shape)
    mine = c.photos[(c.photos.label == c.classes[row]) & (c.photos.predicted == c.classes[col])]
    return int(row), int(col), mine.sort_values('probability', ascending=False)


def click_cell(page, row, col, classes=3):
    "Click a cell with the mouse, where the overlay that follows the keyboard says it is."
    page.locator('.ic-cell').focus()
    for _ in range(classes): page.keyboard.press('ArrowUp'), page.keyboard.press('ArrowLeft')
    for _ in range(row): page.keyboard.press('ArrowDown')
    for _ in range(col): page.keyboard.press('ArrowRight')
    box = page.locator('.ic-cell').bounding_box()
    page.mouse.click(box['x']+box['width']/2, box['y']+box['height']/2)


def shows_the_right_photos(page, st):
    page.wait_for_selector('.ic-cell[aria-label]')
    row, col, want = errors_of(st)
    click_cell(page, row, col)
    tiles = 'n => document.querySelectorAll(".ic-tile img").length === n'
    page.wait_for_function(tiles, arg=min(len(want), 24))
    assert page.get_attribute('.ic-tile >> nth=0', 'title') == '/'.join(Path(want.path.iloc[0]).parts[-2:])
    page.locator('.ic-tile').first.click()
    page.wait_for_selector('dialog .ic-photo-image img')
    page.keyboard.press('Escape')


def test_explorer_in_lab(home, lab, page, tmp_path):
    st = Study(home/'st')
    open_and_run(page, lab, 'explore.ipynb')
    shows_the_right_photos(page, st)
    page.focus('.imgcls input[type=range]')
    page.keyboard.press('Home')
    assert f'{100*confusion(st, epoch=1).accuracy[0]:.1f}' in page.inner_text('.ic-summary')
    page.screenshot(path=tmp_path/'lab.png')
    page.evaluate("window.jupyterapp.commands.execute('docmanager:save')")
    page.wait_for_function("!document.querySelector('.jp-mod-dirty')")
    time.sleep(1)
    saved = (home/'explore.ipynb').read_text()
    assert len(saved) < 300_000 and '<details>' in saved


def test_explorer_in_voila(home, page, tmp_path):
    with server(home, 'voila', 'explore.ipynb', '--Voila.ip=127.0.0.1') as url:
        offline(page)
        page.goto(url)
        shows_the_right_photos(page, Study(home/'st'))
        page.screenshot(path=tmp_path/'voila.png')


def count(page): return page.inner_text('.cl-count')


def marks(page): return page.locator('.cl-mark:visible').all_inner_texts()


def decide(page, *keys):
    "Press keys, each a decision, and wait until the journal has it."
    for k in keys:
        before = count(page)
        page.keyboard.press(k)
        page.wait_for_function('was => document.querySelector(".cl-count").textContent !== was', arg=before)


def opens(page):
    page.wait_for_selector('.cl-tile img')
    page.wait_for_function("document.querySelector('.cl-frame[aria-busy=false] img')?.naturalWidth > 0")
    page.click('.cl-frame')


def mends_labels(page, journal):
    "A label is changed by keyboard; the filter changes, and changes back: mark and journal still have it."
    opens(page)
    file, label = page.inner_text('.cl-file'), page.inner_text('.cl-class >> nth=0')
    page.keyboard.press('r')
    page.wait_for_selector('.cl-classes li')
    new = page.inner_text('.cl-classes li >> nth=-1').removesuffix(' suggestion')
    page.keyboard.type(new)
    page.keyboard.press('Enter')
    page.wait_for_function("document.querySelector('.cl-count').textContent.startsWith('decided 1 ')")
    decide(page, 'd', 'k')
    decided = ['\u2192 '+new, 'delete', 'kept']
    assert marks(page) == decided
    at = page.locator('.cl-filters select').first
    options = at.locator('option').all_inner_texts()
    at.select_option(index=next(i for i, o in enumerate(options) if i and not o.startswith(label)))
    assert page.inner_text('.cl-class >> nth=0') != label and count(page).startswith('decided 3 of')
    at.select_option(index=0)
    page.click('.cl-frame')
    page.keyboard.press('Home')
    assert marks(page) == decided and page.inner_text('.cl-file') == file
    assert page.inner_text('.cl-said') == f'relabelled: {new}'
    got = Journal(journal).decisions
    assert [*got.action] == ['relabel', 'delete', 'keep']
    assert (got.old[0], got.new[0]) == (label, new) and got.photo[0].endswith(file)
    return decided


def still_mends(page, journal, decided):
    "What was decided before the kernel died is there, and can be undone."
    opens(page)
    assert marks(page) == decided
    decide(page, 'u', 'a', 'u')
    got = Journal(journal)
    assert marks(page) == decided[:2] and [*got.decisions.action] == ['relabel', 'delete'] and got.notes == []


def kill(pid_file): os.kill(int(pid_file.read_text()), signal.SIGKILL)


def test_cleaner_in_lab(home, lab, page, tmp_path):
    open_and_run(page, lab, 'clean_lab.ipynb')
    decided = mends_labels(page, home/'lab.csv')
    page.screenshot(path=tmp_path/'lab.png')
    # keys are the cleaner's: d d deletes no cell
    assert page.locator('.jp-Notebook .jp-CodeCell').count() == 2
    kill(home/'lab.pid')
    page.click('.jp-Dialog .jp-mod-accept')
    page.click('.cl-frame')
    page.keyboard.press('l')
    page.keyboard.press('k')
    page.wait_for_selector('.cl-cleaner [role=alert]:visible, .ic-error:visible')
    page.screenshot(path=tmp_path/'dead.png')
    assert count(page).startswith('decided 3 of')
    page.evaluate("window.jupyterapp.commands.execute('notebook:clear-all-cell-outputs')")
    run(page)
    still_mends(page, home/'lab.csv', decided)
    page.screenshot(path=tmp_path/'back.png')
    page.evaluate("window.jupyterapp.commands.execute('docmanager:save')")
    page.wait_for_function("!document.querySelector('.jp-mod-dirty')")
    time.sleep(1)
    saved = (home/'clean_lab.ipynb').read_text()
    assert len(saved) < 300_000 and '<details>' in saved


def test_cleaner_in_voila(home, page, tmp_path):
    with server(home, 'voila', 'clean_voila.ipynb', '--Voila.ip=127.0.0.1') as url:
        offline(page)
        page.goto(url)
        decided = mends_labels(page, home/'voila.csv')
        page.screenshot(path=tmp_path/'voila.png')
        kill(home/'voila.pid')
        page.reload()
        still_mends(page, home/'voila.csv', decided)
        page.screenshot(path=tmp_path/'back.png')
