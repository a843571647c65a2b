"The explorer in a browser, as one file, by keyboard, with hostile names; and what its host replies."
import base64
import json
import re
import shutil
from html import unescape
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import imgcls.explorer.report  # noqa: F401 (it brings Study.report)
from imgcls.cleaning.host import CleanerHost
from imgcls.core import UserError
from imgcls.data.synth import synth_folder
from imgcls.explorer import host as host_module
from imgcls.explorer.confusion import Predictions, compare, confusion, predictions
from imgcls.explorer.file import embedded, save_explorer
from imgcls.explorer.host import ExplorerHost
from imgcls.explorer.thumbnails import thumbnail
from imgcls.explorer.widget import explore, plain_explorer
from imgcls.journal import Journal
from imgcls.studies.stats import mcnemar, wilson
from imgcls.studies.study import study

NASTY = ['<script>window.ran = 1</script>', '</script><img src=x onerror="window.ran = 1">', '"\'&amp;',
         '\u202egnp.exe\u2066', '\U0001f98a fox', 'x'*300]


@pytest.fixture(scope='module')
def st(tmp_path_factory):
    return study(synth_folder(per_class=50, side=64), sizes=[5, 30], recipe='frozen', arch='cifar_net',
                 weights='random', epochs=3, res=32, seeds=1, out=tmp_path_factory.mktemp('st')/'st',
                 say=lambda _: None)


@pytest.fixture
def closed(page):
    "A page without a network that remembers what went wrong."
    page.asked, page.wrong = [], []
    page.route(re.compile('^(?!file:|data:|blob:)'), lambda r: (page.asked.append(r.request.url), r.abort()))
    page.on('pageerror', lambda e: page.wrong.append(str(e)))
    page.on('console', lambda m: page.wrong.append(m.text) if m.type == 'error' else None)
    yield page
    assert page.asked == [] and page.wrong == []


def opened(page, path):
    page.goto(path.as_uri())
    page.wait_for_selector('.ic-cell[aria-label]')
    return page


def largest(st):
    "The cell with most errors: (row, column, photos)."
    c = confusion(st)
    row, col = np.unravel_index(np.argmax(c.counts*(1-np.eye(len(c.classes)))), c.counts.shape)
    return int(row), int(col), int(c.counts[row, col])


def box(page, selector):
    "Where an element lies: left, top, right, bottom."
    return page.eval_on_selector(selector, 'e => { const b = e.getBoundingClientRect();'
                                           ' return [b.left, b.top, b.right, b.bottom] }')


def cell(page): return page.get_attribute('.ic-cell', 'aria-label')


def go_to(page, row, col):
    "Move to a cell of the matrix by keyboard and open it."
    page.focus('.ic-cell')
    page.keyboard.press('Control+Home')
    for _ in range(40): page.keyboard.press('ArrowUp'), page.keyboard.press('ArrowLeft')
    for _ in range(row): page.keyboard.press('ArrowDown')
    for _ in range(col): page.keyboard.press('ArrowRight')
    page.keyboard.press('Enter')


def comparison(page):
    "The text of the tab 'Compare'."
    page.wait_for_selector('.ic-panel:not([hidden]) >> text=mends')
    return page.inner_text('.ic-panel:not([hidden])')


def no_violations(page):
    from axe_playwright_python.sync_playwright import Axe
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()


# ---- one file

@pytest.mark.browser
def test_file_shows_the_figures_of_the_study(st, closed, tmp_path):
    path = save_explorer(st, path=tmp_path/'explorer.html')
    page = opened(closed, path)
    c = confusion(st)
    share, low, high = c.accuracy
    summary = page.inner_text('.ic-summary')
    for x in (share, low, high): assert f'{100*x:.1f}' in summary
    for row in range(3):
        for col in range(3):
            go_to(page, row, col)
            n = c.counts[row, col]
            assert all(text in cell(page) for text in (f': {n} photo', c.classes[row], c.classes[col]))
            tiles = 'n => document.querySelectorAll(".ic-gallery .ic-tile").length === n'
            if n: page.wait_for_function(tiles, arg=min(int(n), 24))
    page.screenshot(path=tmp_path/'explorer.png', full_page=True)


@pytest.mark.browser
def test_opens_on_the_largest_error_its_photos_most_confident_first(st, closed, tmp_path):
    page = opened(closed, save_explorer(st, path=tmp_path/'explorer.html'))
    c, (row, col, _) = confusion(st), largest(st)
    page.wait_for_selector('.ic-tile')
    want = c.photos[(c.photos.label == c.classes[row]) & (c.photos.predicted == c.classes[col])]
    want = want.sort_values('probability', ascending=False)
    shown = page.eval_on_selector_all('.ic-tile', 'tiles => tiles.map(t => t.title)')
    names = ['/'.join(Path(p).parts[-2:]) for p in want.path][:24]
    label, predicted, of = c.classes[row], c.classes[col], c.counts[row].sum()
    sentence = f'Most often, {label} is taken for {predicted} ({len(want)} of {of}).'
    assert page.inner_text('.ic-most') == sentence
    assert f'true {label}, predicted {predicted}' in cell(page)
    assert label not in page.inner_text('.ic-gallery'), 'the heading says what all photos share'
    assert shown[0] == names[0] and set(shown) == set(names)
    page.focus('.ic-tile')
    page.keyboard.press('Enter')
    page.wait_for_selector('dialog .ic-bars li')
    assert page.locator('dialog .ic-bars li').count() >= 3
    page.keyboard.press('Escape')
    page.locator('dialog').wait_for(state='detached')  # a browser reports the end of a dialog a moment later
    assert page.evaluate('document.activeElement.className') == 'ic-tile'


@pytest.mark.browser
def test_epochs_sizes_and_comparison(st, closed, tmp_path):
    page = opened(closed, save_explorer(st, path=tmp_path/'explorer.html'))
    page.focus('input[type=range]')
    page.keyboard.press('Home')
    assert f'{100*confusion(st, epoch=1).accuracy[0]:.1f}' in page.inner_text('.ic-summary')
    page.keyboard.press('End')
    small, large = st.runs.run
    page.select_option('select >> nth=0', label='5 photos a class')
    shows = 't => document.querySelector(".ic-summary").innerText.includes(t)'
    page.wait_for_function(shows, arg=f'{100*confusion(st, run=small).accuracy[0]:.1f}')
    page.select_option('select >> nth=1', index=1)
    page.get_by_role('tab', name='Compare').click()
    right = [st.probs(r)[-1].argmax(1) == st.targets for r in (small, large)]
    text = comparison(page)
    mended, broken = int((right[0] & ~right[1]).sum()), int((~right[0] & right[1]).sum())
    p = mcnemar(mended, broken)
    assert f'{mended} ' in text and (f'{p:.3f}' in text or f'{p:.2f}' in text or '< 0.001' in text)
    no_violations(page)


@pytest.mark.browser
def test_comparison_is_tested_at_the_end_and_corrected(closed, tmp_path):
    """Any epoch of any two runs can be compared here, so a verdict without correction would come by chance.

    Six photos mended and none broken are p = 0.031 for one pair of runs, and 0.094 among three pairs."""
    targets = np.arange(60) % 2
    wrong = dict(a=[*range(6)], b=[], c=[*range(30, 36)])

    def probs(name):
        p = np.repeat(np.eye(2)[targets][None], 2, 0)
        p[:, wrong[name]] = p[:, wrong[name], ::-1]
        return p*.8+.1
    rows = [dict(run=r, arch='net', recipe='frozen', size=n, seed=0, n_train=n, epochs=2)
            for r, n in zip('acb', (5, 10, 30))]
    p = Predictions('made up', ['fox', 'deer'], targets, None, pd.DataFrame(rows), probs)
    page = opened(closed, save_explorer(p, path=tmp_path/'explorer.html'))
    page.select_option('select >> nth=1', label='5 photos a class')
    text = comparison(page)
    assert mcnemar(6, 0) < .05
    assert 'This could be chance (p = 0.094 after correction for 3 pairs of runs)' in text
    page.focus('input[type=range]')
    page.keyboard.press('Home')
    panel = 'document.querySelector(".ic-panel:not([hidden])")'
    page.wait_for_function(f'() => {panel}.innerText.includes("epoch 1")')
    text = page.inner_text('.ic-panel:not([hidden])')
    assert '6 photos' in text and 'tested after the last epoch only' in text
    assert 'p =' not in text and 'chance (' not in text


@pytest.mark.browser
def test_photos_of_one_animal_count_together(closed, tmp_path):
    "Twelve photos mended, of two animals: told by photo it were p < .001, told by animal it may be chance."
    targets = np.arange(60) % 2
    wrong = dict(a=[*range(12)], b=[])

    def probs(name):
        p = np.eye(2)[targets][None]*.8+.1
        p[:, wrong[name]] = p[:, wrong[name], ::-1]
        return p
    rows = [dict(run=r, arch='net', recipe='frozen', size=n, seed=0, n_train=n, epochs=1)
            for r, n in zip('ab', (5, 30))]
    p = Predictions('made up', ['fox', 'deer'], targets, None, pd.DataFrame(rows), probs,
                    groups=np.arange(60)//6)
    page = opened(closed, save_explorer(p, path=tmp_path/'explorer.html'))
    page.select_option('select >> nth=1', label='5 photos a class')
    text, (_, changed, d) = comparison(page), compare(p, 'a', 'b')
    assert mcnemar(12, 0) < .001 < .05 < d['p'] and len(changed) == d['mended'] == 12
    assert f"This could be chance (p = {d['p']:.2f})" in text
    assert f"{100*d['low']:+.1f} to {100*d['high']:+.1f} points".replace('-', '−') in text
    assert 'compares these two classifiers, by 10 groups' in text and 'luck of the draw' in text
    c = confusion(p, run='a')
    assert all(f'{100*x:.1f}' in text for x in c.accuracy) and c.accuracy[1] < wilson(48, 60)[0]
    page.get_by_role('tab', name='Class').click()
    figures = confusion(p, run='b').per_class.loc['deer']  # the run that is shown
    page.select_option('.ic-panel:not([hidden]) select', label='deer')
    shown = page.inner_text('.ic-panel:not([hidden])')
    for column in ('recall_low', 'precision_low'): assert f'{100*figures[column]:.1f}–' in shown
    assert figures.recall_low < wilson(30, 30)[0]


@pytest.mark.browser
def test_class_figures_are_those_of_python(st, closed, tmp_path):
    page = opened(closed, save_explorer(st, path=tmp_path/'explorer.html'))
    page.get_by_role('tab', name='Class').click()
    chosen = page.locator('.ic-panel:not([hidden]) select')
    assert chosen.input_value() == str(largest(st)[0]), 'the class is that of the chosen cell'
    chosen.select_option(index=0)
    figures = confusion(st).per_class.iloc[0]
    assert page.inner_text('.ic-shares dt >> nth=0') == 'Recall'
    for folded in page.locator('.ic-panel:not([hidden]) summary').all(): folded.click()
    page.wait_for_selector('.ic-pr')
    text = page.inner_text('.ic-panel:not([hidden])')
    shares = ['precision', 'recall', 'precision_low', 'precision_high', 'recall_low', 'recall_high']
    for x in figures[shares]: assert f'{100*x:.1f}' in text
    for n in figures[['TP', 'FP', 'FN', 'TN']].astype(int): assert re.search(rf'\b{n}\b', text)
    low, high = wilson(figures.TP, figures.TP+figures.FN)
    assert f'{100*low:.1f}' in text and f'{100*high:.1f}' in text


@pytest.mark.browser
def test_exports(st, closed, tmp_path):
    page = opened(closed, save_explorer(st, path=tmp_path/'explorer.html'))
    got, names = {}, []
    page.get_by_role('button', name='recall').click()
    page.get_by_role('button', name='Export').click()
    for item in page.locator('.ic-menu button').all():
        with page.expect_download() as d: item.click()
        got[d.value.suggested_filename.rsplit('.')[-1], len(got)] = d.value.path()
        names.append(d.value.suggested_filename)
        if not page.locator('.ic-menu').is_visible(): page.get_by_role('button', name='Export').click()
    kinds = sorted(k for k, _ in got)
    assert kinds == ['csv', 'csv', 'png', 'svg']
    files = {k: p for (k, _), p in got.items() if k != 'csv'}
    assert min(Image.open(files['png']).size) > 300 and '<svg' in files['svg'].read_text()[:80]
    assert any('support' in p.read_text() for (k, _), p in got.items() if k == 'csv')
    svg = files['svg'].read_text()
    run = st.runs.run[predictions(st).run()]
    assert f'{predictions(st).title}: ' in svg and '30 photos a class, epoch 3' in svg and 'recall: %' in svg
    assert all(run in name and predictions(st).title in name for name in names)


@pytest.mark.browser
def test_hostile_names_are_text(closed, tmp_path):
    src = next(synth_folder(per_class=20, side=64).rglob('*.jpg')).read_bytes()
    names = '<b>x.jpg', '"onerror=alert(1).jpg', '\u202egpj.jpg', '\U0001f98a.jpg', 'a&b.jpg', 'gone.jpg'
    paths = [tmp_path/n for n in names]
    for p in paths[:-1]: p.write_bytes(src)
    probs = np.roll(np.eye(6), 1, 1)
    page = opened(closed, save_explorer(np.arange(6), probs, NASTY, paths, path=tmp_path/'explorer.html'))
    go_to(page, 1, 0)  # the page sorts classes by name
    page.wait_for_selector('.ic-tile')
    page.locator('.ic-cell').hover()
    page.wait_for_selector('.ic-tip:not([hidden])')
    for tab in ('Class', 'Lists'): page.get_by_role('tab', name=tab).click()
    assert page.evaluate('window.ran') is None
    assert '<script>window.ran' in page.inner_text('.imgcls')
    no_violations(page)


@pytest.mark.browser
def test_without_errors_it_says_so(closed, tmp_path):
    page = opened(closed, save_explorer(np.arange(3), np.eye(3), path=tmp_path/'explorer.html'))
    assert page.inner_text('.ic-most') == 'Every test photo is named right.'
    assert page.locator('.ic-tile').count() == 0


@pytest.mark.browser
def test_fits_the_window_and_keeps_what_is_selected(st, closed, tmp_path):
    """One row of choices at 1400 px, the matrix no higher than the window, the tooltip beside its cell."""
    closed.set_viewport_size(dict(width=1400, height=500))
    page = opened(closed, save_explorer(st, path=tmp_path/'explorer.html'))
    row, col, n = largest(st)
    page.wait_for_selector('.ic-tile')
    bottoms = 'all => all.map(e => e.getBoundingClientRect().bottom)'
    ends = page.eval_on_selector_all('.ic-controls > *', bottoms)
    assert max(ends)-min(ends) < 4, 'the choices stand in one row'
    top, bottom = box(page, '.ic-plot canvas')[1::2]
    assert bottom-top < 500
    page.get_by_label('photo size').fill('240')
    for step in ('recall', 'precision', 'counts'): page.get_by_role('button', name=step).click()
    page.focus('input[aria-label=epoch]')
    page.keyboard.press('Home')
    page.select_option('select >> nth=0', label='5 photos a class')
    c = confusion(st)
    assert f'true {c.classes[row]}, predicted {c.classes[col]}' in cell(page)
    assert page.locator('.ic-cell[aria-selected=true]').count() == 1
    assert page.get_by_role('tab', name='Photos').get_attribute('aria-selected') == 'true'
    assert page.get_by_label('photo size').input_value() == '240'
    for i in (0, 2):
        go_to(page, i, 2-i)
        left, top, right, bottom = box(page, '.ic-cell')
        page.mouse.move((left+right)/2, (top+bottom)/2)
        tip = box(page, '.ic-tip:not([hidden])')
        assert tip[0] >= right or tip[2] <= left or tip[1] >= bottom or tip[3] <= top, 'it covers its cell'
        assert tip[0] >= 0 and tip[1] >= 0 and tip[2] <= 1400 and tip[3] <= 500
    left, top, right, bottom = box(page, '.ic-grid')  # in its middle a cell that was not opened
    page.mouse.move((left+right)/2, (top+bottom)/2)
    page.locator('.ic-tip img').first.wait_for()
    n = confusion(st, run=st.runs.run[0], epoch=1).counts[1, 1]
    assert page.locator('.ic-tip img').count() == min(3, n)
    page.mouse.move(0, 0)
    assert not page.locator('.ic-tip').is_visible()


@pytest.mark.browser
def test_measures_and_the_difference_keep_what_is_selected(st, closed, tmp_path):
    page = opened(closed, save_explorer(st, path=tmp_path/'explorer.html'))
    row, col, _ = largest(st)
    go_to(page, col, row)  # another cell than that which it opens on
    chosen, title = cell(page).split(':')[0], page.inner_text('.ic-panel:not([hidden]) h3')
    page.select_option('select >> nth=1', index=1)
    page.get_by_role('tab', name='Photos').click()
    page.get_by_role('slider', name='photo size').fill('240')
    for step in ('difference', 'recall', 'other run', 'precision', 'difference', 'counts', 'this run'):
        button = page.get_by_role('button', name=step, exact=True)
        button.click()
        assert button.get_attribute('aria-pressed') == 'true'
        assert cell(page).split(':')[0] == chosen, step
        assert page.locator('.ic-cell[aria-selected=true]').count() == 1, step
        assert page.get_by_role('tab', name='Photos').get_attribute('aria-selected') == 'true', step
        assert page.inner_text('.ic-panel:not([hidden]) h3') == title, step
        assert page.get_by_role('slider', name='photo size').input_value() == '240', step
    assert 'of this class' in page.inner_text('.ic-panel:not([hidden])')
    page.get_by_role('button', name='difference').click()
    page.get_by_text('only in the other').wait_for()  # the photos that one run alone has in this cell


@pytest.mark.browser
def test_wrong_labels_become_a_journal(st, closed, tmp_path):
    """In a file the browser keeps what is said, and a download is what the cleaner reads."""
    path = save_explorer(st, path=tmp_path/'explorer.html')
    page, (row, col, _) = opened(closed, path), largest(st)
    label, predicted = (st.classes[k] for k in (row, col))
    page.locator('.ic-tile').first.click()
    page.locator('.ic-mend .ic-primary').click()
    page.wait_for_selector('dialog .ic-said')
    assert page.inner_text('dialog .ic-said').split() == ['you', 'said:', predicted]
    page.get_by_role('button', name='Undo').click()
    page.locator('dialog .ic-said').wait_for(state='detached')
    third = next(k for k in range(3) if k not in (row, col))
    page.get_by_label('It is').select_option(label=st.classes[third])
    page.locator('.ic-mend .ic-primary').click()
    page.wait_for_selector('dialog .ic-said')
    no_violations(page)
    assert f'imgcls clean {st.path} --apply decisions.csv' in page.inner_text('dialog')
    with page.expect_download() as d: page.get_by_role('button', name='Download').click()
    d.value.save_as(tmp_path/'decisions.csv')
    found = Journal(tmp_path/'decisions.csv')
    said = found.decisions[['old', 'new', 'action']].values.tolist()
    assert said == [[label, st.classes[third], 'relabel']]
    assert [*found.history][1]['action'] == 'undo' and found.notes == []
    page.reload()
    page.wait_for_selector('.ic-tile .ic-said')
    assert found.decisions.sha256[0] in {*st.photos.test.sha256}
    page.locator('.ic-tile').first.click()
    other = page.context.new_page()  # a second window decides: that is not the first one's to undo
    other.goto(path.as_uri())
    other.locator('.ic-tile').nth(1).click()
    other.locator('.ic-mend .ic-primary').click()
    other.wait_for_selector('dialog .ic-said')
    page.get_by_role('button', name='Undo').click()
    page.get_by_text('something else was decided since').wait_for()


def test_wrong_labels_reach_the_cleaner(st, tmp_path):
    "Explorer and cleaner write into one journal, and each shows what was said in the other."
    shutil.copytree(st.path, tmp_path/'st')
    host = ExplorerHost(predictions(tmp_path/'st'))
    label, other = (st.classes[k] for k in (host.predictions.targets[4], host.predictions.targets[4]-1))
    assert host.decide(4, 'relabel', other) == dict(mark=dict(action='relabel', new=other), last=True)
    test = st.photos.test.iloc[4]
    issue = pd.DataFrame([dict(path=test.path, sha256=test.sha256, label=label, split='test', reason='label',
                               score=1., text='', suggestion='')])
    cleaner = CleanerHost(tmp_path/'st', tmp_path/'st'/'decisions.csv', issue)
    assert [*cleaner.start()['decisions'].values()] == [dict(action='relabel', new=other)]
    cleaner.journal.undo()
    assert host.photos([4])[0]['mark'] is None
    with pytest.raises(UserError, match='decide about this photo again'): host.undo(4)
    (tmp_path/'st'/'decisions.csv').write_text('a,b\n')
    broken = ExplorerHost(predictions(tmp_path/'st')).start()
    assert broken['journal'] == '' and 'not a journal' in broken['note']


@pytest.mark.browser
def test_on_a_phone_photos_come_to_the_thumb(st, closed, tmp_path):
    closed.set_viewport_size(dict(width=390, height=844))
    page = opened(closed, save_explorer(st, path=tmp_path/'explorer.html'))
    assert 'Keys' not in page.inner_text('.imgcls')
    small = '''all => all.map(e => [e.textContent.trim(), e.getBoundingClientRect()])
        .filter(([_, b]) => b.width && (b.height < 43.9 || b.width < 43.9)).map(([text]) => text)'''
    assert page.eval_on_selector_all(
        '.imgcls :is(button:not(.ic-link), select, input[type=range])', small) == []
    page.locator('.ic-cell').click()
    assert -1 <= box(page, '.ic-right')[1] < 2 and box(page, '.ic-gallery')[1] < 400
    no_violations(page)
    page.get_by_role('button', name='to the matrix').click()
    assert -1 <= box(page, '.ic-plot')[1] < 500


@pytest.mark.browser
def test_report_and_island_show_it(st, page, tmp_path):
    opened(page, st.report(tmp_path/'report.html'))
    assert page.locator('main > section h2').count() > 4
    island = tmp_path/'island.html'
    island.write_text(embedded(st, limit=500_000), encoding='utf-8')
    page.goto(island.as_uri())
    page.frame_locator('iframe').locator('.ic-cell[aria-label]').wait_for()


# ---- sizes, and what its host replies

def test_size_is_bounded_and_shown(tmp_path):
    photos = sorted(synth_folder(per_class=50, side=64).rglob('*.jpg'))*4
    n = len(photos)
    probs = np.random.default_rng(0).dirichlet(np.ones(3), n)
    for limit, all_inside in ((3e6, True), (400e3, False)):
        path = tmp_path/'e.html'
        save_explorer(np.arange(n) % 3, probs, ['a', 'b', 'c'], photos, path=path, limit=limit)
        assert path.stat().st_size < limit*1.05
        inside = inside_of(path)
        there = sum(t is not None for t in inside['thumbs'])
        assert (there == n) == all_inside and f'{there:,} of {n:,}' in inside['data']['note']
        if not all_inside:  # those that are there are wrong predictions
            wrong = probs.argmax(1) != np.arange(n) % 3
            assert wrong[[i for i, t in enumerate(inside['thumbs']) if t]].mean() > wrong.mean()


def test_nearest_are_photos_the_run_was_trained_on(st):
    host = ExplorerHost(predictions(st), nearest=True)
    assert host.photo(0, 0, 0)['nearest'] == [] and 'random weights' in host.photo(0, 0, 0)['why']
    real = study(st.photos, sizes=[5], recipe='frozen', arch='efficientnet_lite0', epochs=1, res=64, seeds=1,
                 out=st.path.parent/'real', say=lambda _: None)
    host = ExplorerHost(predictions(real))
    got, (near, why) = host.photo(0, 0, 3), host.nearest(0, 3, 99)
    assert len(near) == 15 and len(got['nearest']) == 4 and got['why'] == why == ''
    alike = [t['similarity'] for t in got['nearest']]
    assert alike == sorted(alike, reverse=True) and max(alike) <= 1.001


def test_nearest_are_only_photos_the_run_was_trained_on(tmp_path):
    "Balancing leaves photos out: drawn again without it, most of the photos shown were new to the run."
    folder = tmp_path/'photos'
    for c, n in zip(('deer', 'fox', 'squirrel'), (12, 40, 40)):
        (folder/c).mkdir(parents=True)
        for p in sorted((synth_folder(per_class=50, side=64)/c).glob('*.jpg'))[:n]: shutil.copy(p, folder/c)
    st = study(folder, sizes=['all'], recipe='frozen', arch='efficientnet_lite0', epochs=1, res=64,
               balance='under', out=tmp_path/'st', say=lambda _: None)
    trained, host = set(st.trained_on(st.runs.run[0]).sha256), ExplorerHost(predictions(st))
    shown = {alike.sha256 for j in range(len(st.targets)) for alike in host.nearest(0, j)[0]}
    assert shown and shown <= trained
    assert len(trained) < len(st.photos.train('all')), 'nothing was left out, so this tests nothing'


def test_nearest_needs_the_weights_of_the_run(st, monkeypatch):
    "Where the body of a run can't be found again, the page says so and takes no other."
    real = study(st.photos, sizes=[5], recipe='frozen', arch='efficientnet_lite0', epochs=1, res=64, seeds=1,
                 out=st.path.parent/'real', say=lambda _: None)
    def gone(*_): raise UserError('the weights abc of efficientnet_lite0 were in w.pth, which is missing')
    monkeypatch.setattr(host_module, 'find_body', gone)
    one = ExplorerHost(predictions(real)).photo(0, 0, 0)
    assert one['nearest'] == [] and 'w.pth, which is missing' in one['why']


def test_a_run_whose_probabilities_are_nan_among_others(tmp_path):
    "It is shown as photos without a prediction; compared with another one, it is named."
    targets = np.arange(20) % 2
    good = np.eye(2)[targets][None]*.8+.1
    rows = [dict(run=r, arch='net', recipe='frozen', size=n, seed=0, n_train=n, epochs=1)
            for r, n in zip('ab', (5, 30))]
    p = Predictions('made up', ['fox', 'deer'], targets, None, pd.DataFrame(rows),
                    lambda run: good*np.nan if run == 'a' else good)
    assert save_explorer(p, path=tmp_path/'explorer.html').stat().st_size
    shown = [np.frombuffer(base64.b64decode(ExplorerHost(p).run(i)['pred']), '<u2') for i in (0, 1)]
    assert (shown[0] == 65535).all() and (shown[1] == targets).all()
    with pytest.raises(UserError, match='NaN or infinite'): compare(p, 'a', 'b')


def test_photos_without_location(tmp_path):
    exif = Image.Exif()
    exif[0x8825] = {1: 'N', 2: (50., 0., 0.)}
    Image.new('RGB', (300, 200), 'red').save(tmp_path/'p.jpg', exif=exif)
    assert b'Exif' not in thumbnail(tmp_path/'p.jpg')


def inside_of(path): return json.loads(re.search(r'-data">(.*?)</script>', path.read_text()).group(1))


def test_a_dim_grey_photo_is_dim_in_the_explorer(dim_study, shown_right, tmp_path):
    st, n = dim_study, len(dim_study.targets)
    test, host = st.photos.test.path, ExplorerHost(predictions(st), nearest=True)
    shown_right(test, [o['thumb'] for o in host.photos([*range(n)])])
    asked = [host.photo(0, 0, j) for j in range(n)]
    shown_right(test, [o['image'] for o in asked])
    shown_right(*zip(*[(o['file'], o['thumb']) for one in asked for o in one['nearest']]))
    inside = inside_of(save_explorer(st, path=tmp_path/'explorer.html', nearest=True))
    shown_right(test, inside['thumbs'])
    shown_right(*zip(*[(o['file'], o['thumb']) for o in inside['train']]))


def test_the_home_folder_in_paths(st, tmp_path, monkeypatch):
    monkeypatch.setenv('HOME', str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert save_explorer(st, path='~/e.html') == tmp_path/'e.html' and (tmp_path/'e.html').is_file()
    assert [p.name for p in tmp_path.iterdir()] == ['e.html']
    monkeypatch.setenv('HOME', str(st.path.parent))
    assert save_explorer(f'~/{st.path.name}') == st.path/'explorer.html'


def test_state_is_small_and_saved_picture_is_escaped(st):
    w = explore(st)
    state = sum(len(str(v)) for v in w.get_state().values())
    assert state + len(w.picture) < 300_000
    assert '<script' not in w.picture and '<img alt="confusion matrix' in w.picture
    assert '<script' not in explore(np.arange(6), np.eye(6), NASTY).picture


def test_front_end_without_anywidget(st, monkeypatch):
    monkeypatch.setenv('KAGGLE_KERNEL_RUN_TYPE', 'Interactive')
    box = explore(st)
    assert type(box).__name__ == 'VBox' and type(explore(st, shell='anywidget')).__name__ == 'ExplorerWidget'
    c, (true, pred) = confusion(st), box.children[2].children
    row, col = np.unravel_index(np.argmax(c.counts*(1-np.eye(3))), (3, 3))
    true.value, pred.value = int(row), int(col)
    assert f'{c.counts[row, col]} photo' in box.children[3].value
    assert box.children[3].value.count('<img') == min(24, c.counts[row, col])
    paths = [f'{n}.jpg' for n in '<b>'*2]
    nasty = plain_explorer(ExplorerHost(predictions(np.arange(6), np.roll(np.eye(6), 1, 1), NASTY, paths)))
    for html in (nasty.children[3].value, nasty.children[1].children[1].value):
        assert not re.search('<script|<img src=x|<b>', html.replace('<b>1 photo</b>', ''))
    assert '<script>window.ran' in unescape(nasty.children[1].children[1].value)
