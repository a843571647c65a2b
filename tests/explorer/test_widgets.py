"Explorer and cleaner in JupyterLab and Voilà: a real server, a real kernel, a real browser."
import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest

from imgcls.cleaning.journal import Journal
from imgcls.core import palette
from imgcls.explorer.confusion import confusion
from imgcls.studies.study import Study

pytestmark = [pytest.mark.browser, pytest.mark.slow]
VOILA = 'voila/render'


@pytest.fixture(scope='module')
def home(lab):
    "The folder with a study and the notebooks that show it."
    lab.write('explore.ipynb', "from imgcls.explorer.widget import explore\nexplore('st')")
    for name in ('lab', 'voila'):
        pid = f"import os\nopen('{name}.pid', 'w').write(str(os.getpid()));"
        show = f"from imgcls.cleaning.cleaner import clean\nclean('st', '{name}.csv')"
        lab.write(f'clean_{name}.ipynb', pid, show)
    return lab.home


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


def saved(lab, page, name):
    "The notebook on disk, after it was saved in JupyterLab."
    lab.save(page)
    time.sleep(1)
    return (lab.home/name).read_text()


IS_DARK = '''dark => document.querySelector('.ic-plot canvas').getContext('2d').getImageData(0, 0, 1, 1)
    .data.slice(0, 3).join() === dark'''
DARK = ','.join(str(int(palette()['dark']['paper'][i:i+2], 16)) for i in (1, 3, 5))
THEME = "theme => window.jupyterapp.commands.execute('apputils:change-theme', { theme })"
STATE = "window.jupyterapp.commands.execute('@jupyter-widgets/jupyterlab-manager:saveWidgetState')"
COLOURS = '''canvas => new Set(new Uint32Array(
    canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data.buffer)).size'''


def reopened(lab, page, name, shows):
    "What a saved notebook shows when it is opened without the kernel that ran it."
    page.evaluate('window.jupyterapp.shell.currentWidget.sessionContext.shutdown()')
    lab.open(page, name)
    page.wait_for_selector(shows)
    assert 'model not found' not in page.inner_text('.jp-Notebook')
    return page.locator(shows).first


def test_explorer_in_lab(home, lab, page, tmp_path):
    st = Study(home/'st')
    lab.open(page, 'explore.ipynb')
    lab.run_all(page)
    shows_the_right_photos(page, st)
    page.focus('.imgcls input[type=range]')
    page.keyboard.press('Home')
    assert f'{100*confusion(st, epoch=1).accuracy[0]:.1f}' in page.inner_text('.ic-summary')
    page.screenshot(path=tmp_path/'lab.png')
    page.evaluate(THEME, 'JupyterLab Dark')
    page.wait_for_function(IS_DARK, arg=DARK)
    page.screenshot(path=tmp_path/'dark.png')
    page.evaluate(THEME, 'JupyterLab Light')
    assert len(saved(lab, page, 'explore.ipynb')) < 300_000
    assert not page.locator('.ic-still').is_visible()
    assert reopened(lab, page, 'explore.ipynb', '.ic-still img').evaluate('i => i.naturalWidth') > 200
    page.screenshot(path=tmp_path/'picture.png')
    lab.run_all(page)
    page.evaluate(STATE)
    assert len(saved(lab, page, 'explore.ipynb')) < 300_000
    assert reopened(lab, page, 'explore.ipynb', '.ic-plot canvas').evaluate(COLOURS) > 10
    page.screenshot(path=tmp_path/'state.png')
    page.evaluate(STATE)


def test_explorer_in_voila(home, lab, page, tmp_path):
    lab.open(page, 'explore.ipynb?theme=dark', VOILA)
    shows_the_right_photos(page, Study(home/'st'))
    page.wait_for_function(IS_DARK, arg=DARK)
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
    lab.open(page, 'clean_lab.ipynb')
    lab.run_all(page)
    decided = mends_labels(page, home/'lab.csv')
    page.screenshot(path=tmp_path/'lab.png')
    # keys are the cleaner's: d d deletes no cell
    assert page.locator('.jp-Notebook .jp-CodeCell').count() == 2
    kill(home/'lab.pid')
    page.click('.jp-Dialog .jp-mod-accept')
    page.click('.cl-frame')
    page.keyboard.press('l')
    page.keyboard.press('k')
    page.get_by_text('Run the cell again').wait_for()
    page.screenshot(path=tmp_path/'dead.png')
    assert count(page).startswith('decided 3 of')
    page.evaluate("window.jupyterapp.commands.execute('notebook:clear-all-cell-outputs')")
    lab.run_all(page)
    still_mends(page, home/'lab.csv', decided)
    page.screenshot(path=tmp_path/'back.png')
    text = saved(lab, page, 'clean_lab.ipynb')
    assert len(text) < 300_000 and 'The first ' in text


def test_cleaner_in_voila(home, lab, page, tmp_path):
    lab.open(page, 'clean_voila.ipynb', VOILA)
    decided = mends_labels(page, home/'voila.csv')
    page.screenshot(path=tmp_path/'voila.png')
    kill(home/'voila.pid')
    page.keyboard.press('k')
    page.get_by_text('Reload this page').wait_for()
    page.reload()
    still_mends(page, home/'voila.csv', decided)
    page.screenshot(path=tmp_path/'back.png')
