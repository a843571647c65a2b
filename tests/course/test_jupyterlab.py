"The course in JupyterLab, as learners run it: Run All in a browser, then clicks."
import json
import shutil
from pathlib import Path

import pytest

from imgcls.cleaning.journal import Journal

pytestmark = [pytest.mark.browser, pytest.mark.slow]
WAITING = 'Waiting for the cell that is running …'
LOST = 'This view has lost its kernel. Run the cell again; decisions are kept.'
COLOURS = """canvas => new Set(new Uint32Array(
    canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data.buffer)).size"""
EXPLORE = '''from imgcls.all import *
w = matrix = explore('st')
w.patience = .5
w'''
CLEAN = '''w = clean('st', 'story.csv')
w.patience = .5
w'''
BUSY = '''import time
from pathlib import Path
while not Path('go').exists(): time.sleep(.1)'''
BARS = """() => {
    window.bars = [];
    const note = () => document.querySelectorAll('.jp-OutputArea progress').forEach(
        bar => window.bars.push(bar.value / bar.max));
    new MutationObserver(note).observe(document.body, { childList: true, subtree: true });
}"""


def wrong(lab, page):
    "Errors and red boxes in the outputs."
    outputs = sum(lab.outputs(page), [])
    return [o for o in outputs if o['output_type'] == 'error' or o.get('name') == 'stderr']


def popups(page): return page.locator('.Toastify__toast, .jp-toast, .jp-Dialog').all_inner_texts()


def scroll_to(page, index):
    "Bring a cell into view; JupyterLab draws others later."
    page.evaluate("i => window.jupyterapp.shell.currentWidget.content.scrollToItem(i, 'start')", index)


def ours(outputs):
    "Do the outputs of a cell hold the explorer or the cleaner?"
    data = [o['data'] for o in outputs if 'application/vnd.jupyter.widget-view+json' in o.get('data', {})]
    texts = [''.join(d.get('text/plain', '')) for d in data]
    return any('ExplorerWidget' in text or 'CleanerWidget' in text for text in texts)


def widget_cells(lab, page):
    "Positions of the cells that show the explorer or the cleaner."
    return [i for i, outputs in enumerate(lab.outputs(page)) if ours(outputs)]


def with_our_widgets():
    "The notebooks that show the explorer or the cleaner."
    nbs = Path(__file__).resolve().parents[2]/'nbs'
    def cells(p): return json.loads(p.read_text(encoding='utf-8'))['cells']
    own = [p for p in sorted(nbs.rglob('*.ipynb')) if p.parent.name != '.ipynb_checkpoints']
    found = [p for p in own if any(ours(c.get('outputs', [])) for c in cells(p))]
    return [p.relative_to(nbs).as_posix() for p in found]


def matrix_is_drawn(page):
    "The matrix has pixels of several colours."
    page.wait_for_selector('.ic-explorer .ic-cell[aria-label]')
    assert page.locator('.ic-plot canvas').first.evaluate(COLOURS) > 10


def click_an_error(page):  # or a cell
    "Click the first pair in the list of the most confused, which shows its photos."
    page.get_by_role('tab', name='Lists').click()
    page.locator('.ic-explorer td .ic-link').first.click()


def photos_come(page): page.wait_for_function("document.querySelectorAll('.ic-tile img').length > 0")


def candidate_is_drawn(page):
    "The first candidate has its photo, and there are thumbnails."
    page.wait_for_function("document.querySelector('.cl-frame img')?.naturalWidth > 0")
    page.wait_for_selector('.cl-tile img')


def decides(page):
    "Set the photo shown aside, by keyboard; what a lesson's code has decided about it is changed."
    page.click('.cl-frame')
    page.keyboard.press('a')
    page.wait_for_function("document.querySelector('.cl-message').textContent.includes('set aside')")


def test_a_busy_kernel_is_waited_for_and_a_restarted_one_is_told_apart(lab, page, tmp_path):
    lab.write('story.ipynb', EXPLORE, BUSY, CLEAN, BUSY.replace('go', 'go on'), 'matrix')
    lab.open(page, 'story.ipynb')
    lab.run_all(page, wait=False)
    matrix_is_drawn(page)  # while the second cell runs
    click_an_error(page)
    page.get_by_text(WAITING).wait_for()
    page.wait_for_timeout(2000)  # four times its patience
    assert page.get_by_text(WAITING).is_visible() and not page.locator('.ic-error:visible').count()
    page.screenshot(path=tmp_path/'busy.png')
    (lab.home/'go').touch()
    page.wait_for_selector('.jp-Notebook .ic-cleaner', state='attached')
    scroll_to(page, 2)
    candidate_is_drawn(page)  # while the fourth cell runs
    page.screenshot(path=tmp_path/'cleaner.png')
    (lab.home/'go on').touch()
    lab.wait(page)
    decides(page)
    assert page.inner_text('.cl-count').startswith('decided 1 of')
    assert [*Journal(lab.home/'story.csv').decisions.action] == ['aside']
    scroll_to(page, 0)
    photos_come(page)
    assert not wrong(lab, page) and not page.locator('.ic-wait:visible').count()

    page.evaluate('() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()')
    scroll_to(page, 2)
    page.click('.cl-frame')
    page.keyboard.press('d')
    page.get_by_text(LOST).wait_for()
    assert page.inner_text('.cl-count').startswith('decided 1 of')
    page.screenshot(path=tmp_path/'lost.png')
    scroll_to(page, 4)
    other = page.locator('.jp-Cell').nth(4)
    click_an_error(other)
    reconnect = other.get_by_role('button', name='Reconnect')
    reconnect.click()
    reconnect.wait_for()  # the cell has not run again
    lab.run(page, 0)
    scroll_to(page, 4)
    reconnect.click()
    click_an_error(other)
    other.locator('.ic-tile img').first.wait_for()
    assert not reconnect.count()
    page.screenshot(path=tmp_path/'back.png')


def test_bars_go_to_the_end_and_a_learner_says_how_good_it_is(lab, page):
    train = "learn = train(Study('st').photos, 'fastai', 'cifar_net', size=10, epochs=1, res=32)\nlearn"
    lab.write('train.ipynb', 'from imgcls.all import *', train)
    lab.open(page, 'train.ipynb')
    page.evaluate(BARS)
    lab.run_all(page)
    assert not wrong(lab, page)
    assert page.evaluate('Math.max(...window.bars)') == 1
    assert not page.locator('.jp-OutputArea progress').count()
    last = lab.outputs(page)[-1][-1]['data']['text/plain']
    assert 'accuracy' in last and 'test photos' in last and '95 % interval' in last and '0x' not in last


def test_many_bars_hide_no_result(lab, page):
    many = """from imgcls.core import progress
for _ in progress(range(60), label='outer'):
    for _ in progress(range(2), label='inner'): pass
print('the result')"""
    lab.write('many.ipynb', many, "for _ in progress(range(2), label='again'): pass")
    lab.open(page, 'many.ipynb')
    page.evaluate(BARS)
    lab.run_all(page)
    page.get_by_text('the result', exact=True).wait_for()
    first, second = lab.outputs(page)
    assert len(first) == 3 and len(second) == 1  # a place for each of two bars, and the result
    assert not page.get_by_text('Show more outputs').count()
    assert max(page.evaluate('window.bars')) == 1 and not page.locator('.jp-OutputArea progress').count()


@pytest.mark.parametrize('path', ['course/01_first_classifier.ipynb', *with_our_widgets()])
def test_notebook(path, lab, page, root, tmp_path):
    "Lesson 1, and every notebook that shows the explorer or the cleaner."
    (lab.home/path).parent.mkdir(exist_ok=True)
    shutil.copy(root/'nbs'/path, lab.home/path)
    lab.open(page, path)
    page.evaluate("() => window.jupyterapp.commands.execute('notebook:clear-all-cell-outputs')")
    lab.run_all(page)
    assert not wrong(lab, page) and not popups(page)
    assert max(map(len, lab.outputs(page))) < 20  # JupyterLab hides what follows the fiftieth
    shown = widget_cells(lab, page)
    assert shown or '/01_' in path
    for i in shown:
        scroll_to(page, i)
        page.wait_for_selector('.ic-explorer, .ic-cleaner')
        if page.locator('.ic-explorer').count():
            matrix_is_drawn(page)
            click_an_error(page)
            photos_come(page)
        else:
            candidate_is_drawn(page)
            decides(page)
        page.screenshot(path=tmp_path/f'{i}.png')
    assert not page.locator('.ic-error:visible').count()


def test_make_lab_opens_lesson_1(lab_command, root):
    assert lab_command[0] == 'nbs/course/01_first_classifier.ipynb' and (root/lab_command[0]).exists()
