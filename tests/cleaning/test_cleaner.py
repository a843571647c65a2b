"""The cleaner: what its messages answer, the shell without anywidget, the page in a browser, by keyboard."""
import base64
import csv
import io
import json
import re
import shlex
import time
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from imgcls.cleaning import host as cleaner_host
from imgcls.cleaning.cleaner import CleanerWidget, PlainCleaner, clean, save_cleaner
from imgcls.cleaning.host import CleanerHost
from imgcls.cleaning.journal import Journal, apply_decisions
from imgcls.commands import parser
from imgcls.core import UserError
from imgcls.data.table import COLUMNS, Photos
from imgcls.explorer.page import static
from imgcls.explorer.thumbnails import shown_photo

HOSTILE = ['<script>window.bad=1</script>', '</script><img src=x onerror=window.bad=2>', '"fox" & \'co\'',
           '\U0001f98a', '\u05e9\u05d5\u05e2\u05dc \u0623\u0633\u062f', 'x'*300, 'two\nlines']


def made(tmp_path, classes=('deer', 'fox', 'hare'), n=30, name='photo'):
    "Photos, and an issue about each of them."
    rows, issues, name = [], [], name.replace('/', '\u2215')[:200]  # a slash can't stand in a file's name
    for i in range(n):
        path = tmp_path/f'{name}{i:03d}.jpg'
        Image.new('RGB', (300, 200), (40+7*i % 200, 90, 255-5*i % 200)).save(path)
        label, other = classes[i % len(classes)], classes[(i+1) % len(classes)]
        known = dict(path=str(path), label=label, split='test' if i % 5 == 2 else 'train', sha256=f'{i:064x}')
        rows.append(dict.fromkeys(COLUMNS, '') | known)
        reason, other = ('dark', '') if i % 3 == 2 else ('label', other)
        issues.append(dict(known, reason=reason, score=1-i/n, suggestion=other, text=f'because of {label}'))
    return Photos(pd.DataFrame(rows)), pd.DataFrame(issues)


@pytest.fixture
def animals(tmp_path, monkeypatch):
    "A function that makes photos of which every one is a candidate, and names a journal for them."
    def make(*args, **kw):
        photos, issues = made(tmp_path, *args, **kw)
        monkeypatch.setattr(cleaner_host, 'find_issues', lambda photos, **_: issues)
        return photos, tmp_path/'decisions.csv'
    return make


def ask(host, *calls):
    "What a widget sends back for some messages, through JSON as on the line."
    w, sent = CleanerWidget(host), []
    w.send = lambda content, buffers=None: sent.append((content, buffers))
    for k, (call, *args) in enumerate(calls):
        message = json.dumps(dict(id=f'm{k}', call=call, args=args))
        w._hear(w, json.loads(message), [])
    assert all(not b for _, b in sent)  # Colab loses binary buffers
    return [json.loads(json.dumps(content, allow_nan=False)) for content, _ in sent]


def test_messages(animals):
    photos, journal = animals()
    calls = [('start',), ('photos', [0, 7]), ('photo', 3), ('decide', 0, 'relabel', 'fox'),
             ('decide', 4, 'keep'), ('undo',), ('redo',), ('redo',)]
    answers = ask(CleanerHost(photos, journal), *calls)
    assert [a['id'] for a in answers] == [f'm{k}' for k in range(8)]
    start, some, photo, one, two, undone, redone, again = (a['result'] for a in answers)
    assert len(start['items']) == 30 and start['decisions'] == {}
    assert start['classes'] == ['deer', 'fox', 'hare']
    assert [p['id'] for p in some] == [0, 7]
    for url in (some[0]['thumb'], photo['image']): assert url.startswith('data:image/jpeg;base64,')
    assert max(Image.open(io.BytesIO(base64.b64decode(some[0]['thumb'].split(',')[1]))).size) <= 256
    assert (one['decisions'], one['undo'], one['redo']) == ({'0': dict(action='relabel', new='fox')}, 1, 0)
    assert two['decisions']['4'] == dict(action='keep', new='')
    assert ([*undone['decisions']], undone['last'], undone['redo']) == (['0'], 4, 1)
    assert (redone['decisions'], redone['redo']) == (two['decisions'], 0)
    assert again['decisions'] == two['decisions'] and again['last'] is None


def test_messages_that_make_no_sense(animals):
    photos, journal = animals()
    decisions = [(0, 'explode'), (99, 'keep'), (-1, 'keep'), ('x', 'keep'),
                 (0, 'relabel', 'unicorn'), (0, 'relabel', ''), (0, 'relabel', 'deer')]
    wrong = [('decide', *d) for d in decisions] + [('__init__',), ('all',), ('photos', [99]), ('photo',)]
    for a in ask(CleanerHost(photos, journal), *wrong): assert 'result' not in a and '\n' not in a['error']
    assert not journal.exists() or not len(Journal(journal).decisions)


def test_one_decision_about_several(animals):
    host = CleanerHost(*animals())
    assert [*host.decide([0, 4], 'take')['decisions'].values()] == [
        dict(action='relabel', new='fox'), dict(action='relabel', new='hare')]
    with pytest.raises(UserError): host.decide([1, 2], 'take')  # nothing is suggested for the second
    host.decide([7, 3], 'aside')
    undone = CleanerHost(host.all, host.journal.path).undo()
    assert ([*undone['decisions']], undone['last'], undone['redo']) == ([0, 4], 3, 2)
    assert [*host.redo()['decisions']] == [0, 3, 4, 7] and host.decide([], 'keep')['last'] is None


def test_typical_photos_beside_a_candidate(dim_study, tmp_path, monkeypatch):
    "Three each of the label and the suggestion, and never the photo itself."
    train = dim_study.photos.train()
    row = train[train.label == 'a'].iloc[0]
    issue = dict(row[['path', 'label', 'split', 'sha256']], reason='label', score=1., suggestion='b', text='')
    issues, span = pd.DataFrame([issue]), dim_study.photos.span
    host = CleanerHost(dim_study, tmp_path/'j.csv', issues)
    small = {p: shown_photo(p, 96, span)[0] for p in train.path}
    own, other = host.photo(0)['typical']
    assert {*own} == {small[p] for p in train.path[train.label == 'a'] if p != row.path}
    assert {*other} == {small[p] for p in train.path[train.label == 'b']}
    (_, _, known), = host.first(10**6)
    assert known['thumbs'][0]['typical'] == [own, other]
    plain = PlainCleaner(host)
    assert all(src in plain.about.value for src in own+other)
    page = save_cleaner(dim_study, tmp_path/'clean.html', tmp_path/'j.csv', issues=issues)
    inside = json.loads(re.search('type="application/json"[^>]*>(.*?)</script>', page.read_text(), re.S)[1])
    there = {label: [o['id'] for o in photos] for label, photos in inside['typical']}
    assert there == dict(a=[None, None, 0], b=[None]*3)
    monkeypatch.setenv('IMGCLS_CACHE', str(tmp_path/'empty'))
    for source in (dim_study, dim_study.photos):
        assert CleanerHost(source, tmp_path/'j.csv', issues).photo(0)['typical'] == [[], []]


def test_commands_that_come_after(dim_study, animals, tmp_path):
    host = CleanerHost(dim_study, tmp_path/'my journal.csv', made(tmp_path)[1].iloc[:0])
    (_, clean), (_, again) = host.start()['commands']
    asked = parser().parse_args(shlex.split(clean)[1:])
    assert (asked.study, asked.apply) == (str(dim_study.path), [str(tmp_path/'my journal.csv')])
    asked = parser().parse_args(shlex.split(again)[1:])
    assert (asked.photos, asked.out) == (f'{dim_study.path}/cleaned.csv', f'{dim_study.path}-cleaned')
    assert asked.recipe == ['frozen'] and asked.res == 32
    photos, journal = animals()
    assert 'apply_decisions' in CleanerHost(photos, journal).start()['commands'][0][1]


def test_two_cleaners_and_one_that_comes_back(animals):
    photos, journal = animals()
    one, two = CleanerHost(photos, journal), CleanerHost(photos, journal)
    one.start(), two.start()
    one.decide(0, 'keep')
    answer = two.decide(1, 'delete')
    assert [*answer['decisions']] == [0, 1] and '1 mark' in answer['message']
    assert [*one.undo()['decisions']] == [0]  # the last decision is that of the other
    assert [*CleanerHost(photos, journal).start()['decisions']] == [0]


def test_the_same_photo_under_two_labels(animals):
    photos, journal = animals(n=4)
    issues = cleaner_host.find_issues(photos).assign(sha256='ab')
    same = replace(photos, df=photos.df.assign(sha256='ab'))
    host = CleanerHost(same, journal, issues)
    assert host.decide(1, 'keep')['decisions'] == {1: dict(action='keep', new='')}
    assert [*host.decide(2, 'delete')['decisions']] == [1, 2]
    assert (host.undo()['last'], host.undo()['last'], host.redo()['last']) == (2, 1, 1)


def test_journal_that_was_cut(animals):
    photos, journal = animals()
    host = CleanerHost(photos, journal)
    host.decide(0, 'keep'), host.decide(1, 'aside')
    journal.write_bytes(journal.read_bytes()[:-20])
    start = CleanerHost(photos, journal).start()
    assert 0 in start['decisions'] and 'it is left out' in start['note']
    assert 2 in host.decide(2, 'keep')['decisions']


def test_what_could_not_be_looked_at_is_on_the_page(animals, monkeypatch):
    photos, journal = animals()
    issues = cleaner_host.find_issues(photos)

    def with_note(photos, say):
        say('3 photos are gone')
        return issues
    monkeypatch.setattr(cleaner_host, 'find_issues', with_note)
    assert CleanerHost(photos, journal).start()['note'] == '30 photos of 30 to look at; 3 photos are gone'


def test_read_only(animals, tmp_path):
    photos, _ = animals()
    (tmp_path/'file').write_text('not a folder')
    host = CleanerHost(photos, tmp_path/'file'/'decisions.csv')
    start, answer, later = ask(host, ('start',), ('decide', 0, 'keep'), ('start',))
    assert 'result' in start and 'result' not in answer and 'decisions.csv' in answer['error']
    assert later['result']['decisions'] == {}
    plain = PlainCleaner(host)
    plain.buttons['keep'].click()
    assert plain.marks == {} and 'Not saved' in plain.status.value


def test_little_is_saved(animals):
    w = clean(*animals(n=90))
    assert isinstance(w, CleanerWidget)
    state = json.dumps(w.get_state(), default=str)
    assert len(state) + len(w.picture) < 300_000


def test_kaggle(animals, monkeypatch):
    photos, journal = animals()
    monkeypatch.setenv('KAGGLE_KERNEL_RUN_TYPE', 'Interactive')
    assert isinstance(clean(photos, journal), PlainCleaner)
    with pytest.raises(UserError, match="not 'flash'"): clean(photos, journal, shell='flash')


# ---- without anywidget ----

def widgets_in(w): return 1 + sum(map(widgets_in, getattr(w, 'children', ())))


def test_plain_shell(animals):
    w = PlainCleaner(CleanerHost(*animals()))
    w.buttons['take'].click()
    w.filters['label'].value = 'fox'
    assert w.id == 1 and w.buttons['take'].disabled is False
    w.to.value = 'hare'
    w.buttons['relabel'].click()
    w.filters['label'].index = 0
    assert {i: m['new'] for i, m in w.marks.items()} == {0: 'fox', 1: 'hare'}
    w.buttons['undo'].click(), w.buttons['undo'].click()
    assert w.marks == {} and w.id == 0 and w.buttons['undo'].disabled
    w.buttons['redo'].click()
    assert [*w.marks] == [0] and 'decided 1 of 30' in w.status.value
    w.filters['decided'].value = True
    w.buttons['undo'].click()
    assert w.id is None and 'No candidate' in w.about.value and w.buttons['keep'].disabled


def test_plain_shell_goes_through_what_is_undecided(animals):
    w = PlainCleaner(CleanerHost(*animals(n=4)))
    w.filters['decided'].value = False
    shown = []
    for _ in range(4):
        shown.append(w.id)
        w.buttons['keep'].click()
    assert shown == [0, 1, 2, 3] and w.id is None
    w.filters['decided'].index = 0
    w.buttons['next'].click(), w.buttons['next'].click(), w.buttons['back'].click()
    assert w.id == 1


def test_plain_shell_does_not_grow_with_the_classes(animals):
    few = widgets_in(PlainCleaner(CleanerHost(*animals())))
    many = animals([f'class {i}' for i in range(200)], 200)
    assert widgets_in(PlainCleaner(CleanerHost(*many))) == few < 30


def test_hostile_text_is_escaped(animals, tmp_path):
    photos, journal = animals(HOSTILE, 12, '<img src=x onerror=window.bad=3>')
    w = PlainCleaner(CleanerHost(photos, journal))
    for _ in range(12):
        w.buttons['next'].click()
        for html in (w.about.value, w.status.value, w.photo.value):
            assert not re.search('<script|<img src=x|</script', html)
    html = save_cleaner(photos, tmp_path/'clean.html', journal).read_text()
    assert html.count('<script') == 2 and html.count('</script') == 2 and '<img src=x' not in html


def test_vanished_photos(animals, tmp_path):
    photos, journal = animals(n=4)
    issues = cleaner_host.find_issues(photos)
    for p in issues.path[:2]: Path(p).unlink()
    some, large = ask(CleanerHost(photos, journal), ('photos', [0, 2]), ('photo', 0))
    gone, there = some['result']
    assert (gone['thumb'], large['result']['image']) == (None, None) and gone['note'] and there['thumb']
    assert PlainCleaner(CleanerHost(photos, journal)).id == 0
    assert save_cleaner(photos, tmp_path/'clean.html', journal).exists()


def test_no_candidates(animals, tmp_path, monkeypatch):
    photos, journal = animals(n=3)
    none = cleaner_host.find_issues(photos).iloc[:0]
    monkeypatch.setattr(cleaner_host, 'find_issues', lambda photos, **_: none)
    for w in (clean(photos, journal), clean(photos, journal, shell='ipywidgets')): assert w
    assert CleanerHost(photos, journal).start()['items'] == []
    assert save_cleaner(photos, tmp_path/'clean.html', journal).exists()


def test_a_dim_grey_photo_is_dim_in_the_cleaner(dim_study, shown_right, tmp_path):
    df, journal = dim_study.photos.df, tmp_path/'j.csv'
    issues = df[['path', 'label', 'split', 'sha256']].assign(reason='dark', score=1., suggestion='', text='')
    host, every = CleanerHost(dim_study, journal, issues), [*range(len(df))]
    shown_right(df.path, [o['thumb'] for o in host.photos(every)])
    shown_right(df.path, [host.photo(i)['image'] for i in every])
    (_, _, known), = host.first(10**6)
    shown_right(df.path, [o['thumb'] for o in known['thumbs']])
    page = save_cleaner(dim_study, tmp_path/'clean.html', journal, issues=issues).read_text()
    inside = json.loads(re.search('type="application/json"[^>]*>(.*?)</script>', page, re.S)[1])
    shown_right(df.path, inside['thumbs'])


def test_page_holds_the_first_candidates(animals, tmp_path):
    photos, journal = animals(n=40)
    file = save_cleaner(photos, tmp_path/'clean.html', journal, most=25, limit=40_000)
    found = re.search('type="application/json"[^>]*>(.*?)</script>', file.read_text(), re.S)
    inside = json.loads(found[1])
    assert [o['id'] for o in inside['data']['items']] == [*range(25)]
    assert 'The first 25 of 40 candidates' in inside['data']['note']
    assert sum(len(t or '') for t in inside['thumbs']) < 50_000


# ---- in a browser ----

def opened(page, file):
    "The page from disk, the network cut; whatever it asks for is noted."
    asked, said = [], []
    page.context.set_offline(True)

    def note(request):
        if not request.url.startswith(('file:', 'data:', 'blob:')): asked.append(request.url)
    page.on('request', note)
    page.on('pageerror', lambda e: said.append(str(e)))
    page.on('console', lambda m: said.append(m.text) if m.type == 'error' else None)
    page.set_default_timeout(15_000)
    page.goto(file.as_uri())
    page.wait_for_selector('.cl-strip img')
    return asked, said


def press(page, *keys):
    "Press keys; each waits until the page has answered the one before."
    for k in keys:
        page.keyboard.press(k)
        page.wait_for_timeout(40)
        # a busy machine draws later
        page.evaluate('() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))')


def tab_to(page, what):
    "Reach an element by the tab key alone."
    for _ in range(40):
        there = f'document.activeElement && document.activeElement.matches({json.dumps(what)})'
        if page.evaluate(there): return
        page.keyboard.press('Tab')
    raise AssertionError(f'the tab key never reaches {what}')


def shown(page): return page.locator('.cl-file').inner_text(), page.locator('.cl-said').inner_text()


def count(page): return page.locator('.cl-count').inner_text()


def marks(page): return page.locator('.cl-mark:visible').all_inner_texts()


@pytest.mark.browser
def test_page_by_keyboard(page, animals, tmp_path):
    photos, journal = animals()
    asked, said = opened(page, save_cleaner(photos, tmp_path/'clean.html', journal))
    press(page, 's', 'k', 'd', 'a', 'r')
    page.keyboard.type('de')
    press(page, 'Enter')
    assert count(page) == 'decided 5 of 30' and shown(page) == ('photo005.jpg', 'not decided yet')
    press(page, 'Home')
    assert shown(page) == ('photo000.jpg', 'relabelled: fox')
    # a filter that hides the mark, and back
    tab_to(page, 'select')
    press(page, 'ArrowDown', 'ArrowDown')
    assert page.locator('.cl-where').inner_text().endswith('of 10') and marks(page) == ['kept', '→ deer']
    press(page, 'ArrowUp', 'ArrowUp')
    assert shown(page) == ('photo000.jpg', 'relabelled: fox') and count(page) == 'decided 5 of 30'
    # undo, redo, and a decision after an undo
    tab_to(page, '.cl-tile[aria-current]')
    press(page, 'u', 'u')
    assert count(page) == 'decided 3 of 30' and shown(page) == ('photo003.jpg', 'not decided yet')
    press(page, 'Shift+U', 'y')
    assert count(page) == 'decided 5 of 30' and shown(page) == ('photo004.jpg', 'relabelled: deer')
    press(page, 'y')
    assert 'nothing to redo' in page.locator('.cl-message').inner_text()
    page.reload()
    assert count(page) == 'decided 5 of 30'
    assert marks(page) == ['→ fox', 'kept', 'delete', 'aside', '→ deer']
    with page.expect_download() as download:
        tab_to(page, '.cl-save')
        page.keyboard.press('Enter')
    file = tmp_path/'mine.csv'
    download.value.save_as(file)
    assert download.value.suggested_filename == 'decisions.csv'
    got = Journal(file)
    assert got.notes == [] and got.can_undo == 5
    assert [*got.decisions.action] == ['relabel', 'keep', 'delete', 'aside', 'relabel']
    cleaned = apply_decisions(got, photos).df
    now = dict(zip(cleaned.path.map(lambda p: p[-12:]), cleaned.label))
    assert (now['photo000.jpg'], now['photo004.jpg']) == ('fox', 'deer')
    # one of the two is a test photo: it stays, and what was decided is noted
    assert len(cleaned) == 29 and (cleaned.removed != '').sum() == 1
    assert (asked, said) == ([], [])


@pytest.mark.browser
def test_page_goes_on_from_the_journal(page, animals, tmp_path):
    photos, journal = animals()
    host = CleanerHost(photos, journal)
    host.decide(0, 'relabel', 'hare'), host.decide(1, 'keep'), host.undo()
    opened(page, save_cleaner(photos, tmp_path/'clean.html', journal))
    assert count(page) == 'decided 1 of 30' and shown(page)[0] == 'photo001.jpg'
    press(page, 'y', 'u', 'u')
    assert count(page) == 'decided 0 of 30'
    press(page, 'd')
    with page.expect_download() as download: page.click('.cl-save')
    download.value.save_as(tmp_path/'mine.csv')
    rows = [*csv.DictReader((tmp_path/'mine.csv').open(newline='', encoding='utf-8'))]
    assert [r['action'] for r in rows] == ['relabel', 'keep', 'undo', 'redo', 'undo', 'undo', 'delete']
    assert [*Journal(tmp_path/'mine.csv').decisions.action] == ['delete']


@pytest.mark.browser
def test_hostile_names_are_text(page, animals, tmp_path):
    photos, journal = animals(HOSTILE, 12, '<img src=x onerror=window.bad=3>"\u202e')
    asked, said = opened(page, save_cleaner(photos, tmp_path/'clean.html', journal))
    for i in range(12):
        assert page.locator('.cl-class').first.text_content() == HOSTILE[i % len(HOSTILE)]
        press(page, 'r' if i % 3 else 's')
        if i % 3:
            assert page.locator('.cl-classes li').count() == len(HOSTILE)-1
            press(page, 'ArrowDown', 'Enter')
    assert count(page) == 'decided 12 of 12'
    press(page, 'u', 'y', '?', 'Escape')
    assert page.evaluate('window.bad') is None and page.locator('.cl-stage img').count() == 1
    assert (asked, said) == ([], [])


@pytest.mark.browser
def test_decisions_about_several_and_the_end(page, animals, tmp_path):
    "Select by keys and by clicks, decide once, undo once; then the summary says what to do with the file."
    photos, journal = animals()
    asked, said = opened(page, save_cleaner(photos, tmp_path/'clean.html', journal))
    message = page.locator('.cl-message')
    tab_to(page, '.cl-tile[aria-current]')
    press(page, 'Shift+ArrowRight', 'Shift+ArrowRight', 'd')
    assert page.locator('.cl-selected').inner_text() == '3 selected' and 'one photo' in message.inner_text()
    assert page.locator('.cl-decide [data-do=delete]').count() == 0
    press(page, 's')
    assert marks(page) == ['→ fox', '→ hare'] and 'no suggestion' in message.inner_text()  # not of the third
    assert page.locator('.cl-selected').count() == 0
    press(page, 'u')
    assert (marks(page), message.inner_text()) == ([], 'Undone: 2 photos.')
    assert shown(page)[0] == 'photo000.jpg'
    press(page, 'y')
    assert marks(page) == ['→ fox', '→ hare']
    press(page, 'x', 'Escape', 'x', 'x', 'k')  # nothing is selected any more
    assert marks(page) == ['kept', '→ hare']
    page.locator('.cl-pick input').nth(3).check()
    page.locator('.cl-tile').nth(5).click(modifiers=['Shift'])
    assert page.locator('.cl-selected').inner_text() == '4 selected'
    page.get_by_text('Clear').click()
    page.get_by_label('Select all on this page').check()
    press(page, 'k')
    assert count(page) == 'decided 24 of 30' and shown(page)[0] == 'photo024.jpg'
    press(page, 'PageUp')
    assert set(marks(page)) == {'kept'}
    press(page, 'u')
    assert marks(page) == ['kept', '→ hare']
    press(page, 'y', 'PageDown')
    page.get_by_label('Select all on this page').check()
    page.click('[data-do=aside]')
    assert 'All 30 candidates are decided' in page.locator('.cl-end').inner_text()
    rows = page.locator('.cl-tally tbody tr').all_inner_texts()
    assert rows[0].split() == ['all', '–', '24', '6', '–'] and len(rows) == 4
    with page.expect_download() as download: page.click('.cl-end .cl-main')
    download.value.save_as(tmp_path/'mine.csv')
    got = Journal(tmp_path/'mine.csv')
    assert got.notes == [] and [*got.decisions.action] == ['keep']*24 + ['aside']*6
    assert len(apply_decisions(got, photos).df) == 25  # a test photo is only noted
    # one undo in Python takes back what was one decision in the browser
    assert got.undo() and [*got.decisions.action] == ['keep']*24
    page.context.grant_permissions(['clipboard-read', 'clipboard-write'])
    page.locator('.cl-command button').click()
    page.get_by_text('Copied.', exact=True).wait_for()
    assert page.evaluate('navigator.clipboard.readText()') == page.locator('.cl-command code').inner_text()
    press(page, 'u')
    assert count(page) == 'decided 24 of 30' and page.locator('.cl-end').count() == 0
    page.get_by_text('Summary and what comes next').click()
    assert '6 of 30 candidates are not decided yet' in page.locator('.cl-end').inner_text()
    page.get_by_text('Go on').click()
    assert shown(page) == ('photo024.jpg', 'not decided yet') and (asked, said) == ([], [])


@pytest.fixture
def page_of_a_study(dim_study, tmp_path):
    "A page with typical photos."
    df = dim_study.photos.df
    other = df.label.map(dict(a='b', b='a'))
    known = df[['path', 'label', 'split', 'sha256']]
    issues = known.assign(reason='label', score=.9, text='why', suggestion=other)
    return save_cleaner(dim_study, tmp_path/'clean.html', tmp_path/'j.csv', issues=issues)


def sizes(page, what):
    return page.evaluate(f"""() => [...document.querySelectorAll({json.dumps(what)})]
        .map(e => e.getBoundingClientRect()).filter(r => r.width).map(r => [r.width, r.height])""")


@pytest.mark.browser
def test_on_a_phone(browser, page_of_a_study):
    "Nothing is wider than the screen, decisions stay in sight, and a thumb hits what it aims at."
    how = dict(viewport=dict(width=390, height=844), has_touch=True, is_mobile=True)
    context = browser.new_context(**how)
    page = context.new_page()
    opened(page, page_of_a_study)
    page.wait_for_selector('.cl-typical img')
    assert page.evaluate('document.documentElement.scrollWidth') == 390
    assert sizes(page, 'kbd') == [] and min(min(s) for s in sizes(page, '.cl-decide button')) >= 44
    assert min(h for _, h in sizes(page, '.imgcls :is(button, select)')) >= 44
    assert min(min(s) for s in sizes(page, '.cl-pick')) >= 44
    for what in ('.cl-frame', '.cl-typical', '.cl-strip', '.cl-foot'):
        page.evaluate(f"document.querySelector('{what}').scrollIntoView({{ block: 'center' }})")
        at = page.locator('.cl-decide').bounding_box()
        assert at['y'] >= 0 and at['y']+at['height'] <= 844, what
    page.locator('.cl-tile').nth(4).tap()  # the photo comes to where it can be seen
    page.wait_for_function("document.querySelector('.cl-frame').getBoundingClientRect().top >= 0")
    page.locator('.cl-pick').nth(2).tap()
    assert page.locator('.cl-selected').inner_text() == '1 selected'
    page.locator('[data-do=aside]').tap()
    assert marks(page) == ['aside']
    context.close()


@pytest.mark.browser
@pytest.mark.parametrize('width, scheme', [(1400, 'light'), (390, 'dark')])
def test_axe(page, page_of_a_study, width, scheme):
    from axe_playwright_python.sync_playwright import Axe
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size(dict(width=width, height=900))
    opened(page, page_of_a_study)
    page.wait_for_selector('.cl-typical img')
    for keys in ((), ('s', 'k', 'd', 'a', 'Home'), ('x',), ('Escape', 'r'), ('Escape', '?'),
                 ('Escape', 'End', 'k', 'k', 'k', 'k', 'k', 'k', 'k', 'k')):
        press(page, *keys)
        found = Axe().run(page)
        assert found.violations_count == 0, found.generate_report()
    assert page.locator('.cl-end').is_visible() and page.locator('.cl-command').count() == 2


@pytest.mark.browser
def test_full_browser_shows_no_mark(page, animals, tmp_path):
    photos, journal = animals()
    full = "throw new DOMException('full', 'QuotaExceededError');"
    page.add_init_script(f'Storage.prototype.setItem = () => {{ {full} }}')
    opened(page, save_cleaner(photos, tmp_path/'clean.html', journal))
    press(page, 'k')
    assert 'Not saved' in page.get_by_role('alert').inner_text()
    assert count(page) == 'decided 0 of 30' and shown(page) == ('photo000.jpg', 'not decided yet')
    assert marks(page) == []


LIVE = """
const state = (last = null) => ({
  decisions: Object.fromEntries(log), undo: log.length, redo: 0, last, message: '',
});
const reasons = [{ kind: 'label', score: 0.5, text: 'why' }];
const item = (_, id) => ({
  id, file: `${id}.jpg`, label: id % 2 ? 'deer' : 'fox', split: 'train', suggestion: 'hare', reasons,
});
const items = Array.from({ length: 10000 }, item);
const data = {
  title: 'many', note: '', classes: ['deer', 'fox', 'hare'], items, journal: 'decisions.csv', live: true,
  decisions: {}, undo: 0, redo: 0, commands: [],
};
window.log = []; window.asked = []; window.wait = 0; window.leak = []; window.broken = false;
const later = () => new Promise(done => setTimeout(done, wait));
const host = {
  async photos(ids) { asked.push(ids); return ids.map(id => ({ id, thumb: null, file: '', note: 'none' })); },
  async photo() { return { image: null, note: 'none' }; },
  async decide(ids, action, to) {
    await later();
    if (broken) throw new Error('The kernel does not answer.');
    for (const id of ids) log.push([id, { action, new: to }]);
    return state(ids[0]);
  },
};
document.addEventListener('keydown', e => leak.push(e.key));
imgcls.show(document.getElementById('root'), data, host);
"""


@pytest.fixture
def live(page):
    "The cleaner as in a notebook, with a host that the test can slow down and break."
    page.set_default_timeout(5000)
    style = static('style.css', 'cleaner.css')
    page.set_content(f"<!doctype html><html lang='en'><style>{style}</style>"
                     "<input id='outside'><div id='root'></div></html>")
    page.add_script_tag(content=f"{static('cleaner.js')}\n{{{LIVE}}}")
    page.click('.cl-frame')
    return page


@pytest.mark.browser
def test_many_candidates(live):
    assert live.locator('.cl-tile').count() <= 24
    press(live, 'l', 'k', 'PageDown', 'End')
    live.wait_for_function('asked.length >= 3')
    assert live.locator('.cl-where').inner_text() == '10,000 of 10,000'
    assert live.locator('.cl-tile').count() <= 24
    asked = live.evaluate('asked.map(a => a.length)')
    assert max(asked) <= 24 and sum(asked) <= 72
    started = time.perf_counter()
    live.select_option('.cl-filters select >> nth=0', '1')
    assert live.locator('.cl-where').inner_text().endswith('of 5,000') and time.perf_counter()-started < 2


@pytest.mark.browser
def test_keys_stay_inside(live):
    assert live.locator('#root').get_attribute('data-lm-suppress-shortcuts') == 'true'
    press(live, 'k', 'd', 'j', 'Enter', 'x', 'Escape')
    assert live.evaluate('leak') == [] and live.evaluate('log.length') == 2
    live.focus('#outside')
    press(live, 'k', 'd')
    live.focus('.cl-filters select')
    press(live, 'd')
    live.focus('.cl-step >> nth=0')
    press(live, 'Control+k', 'Alt+d', 'Meta+a')
    press(live, 'r')
    live.keyboard.type('kd')
    press(live, 'Escape')
    assert live.evaluate('log.length') == 2 and live.evaluate('leak') == ['k', 'd']


@pytest.mark.browser
def test_kernel_gone(live):
    live.evaluate('broken = true')
    press(live, 'k')
    assert 'The kernel does not answer' in live.get_by_role('alert').inner_text()
    assert count(live) == 'decided 0 of 10,000' and shown(live) == ('0.jpg', 'not decided yet')
    live.evaluate('broken = false')
    press(live, 'k')
    assert live.locator('.ic-error').is_hidden()
    assert count(live) == 'decided 1 of 10,000' and shown(live)[0] == '1.jpg'


@pytest.mark.browser
def test_slow_kernel(live):
    "A second key never decides about a photo that isn't on the screen yet, and whoever moved on stays there."
    live.evaluate('wait = 2000')
    live.keyboard.press('k')
    press(live, 'd', 'a', 'l', 'l')
    live.wait_for_function("document.querySelector('.cl-count').textContent.includes('1 of')")
    assert live.evaluate('log') == [[0, {'action': 'keep', 'new': ''}]] and shown(live)[0] == '2.jpg'


@pytest.mark.browser
def test_the_first_candidates_are_drawn_before_the_others_come(page, animals):
    host = CleanerHost(*animals())
    host.decide(0, 'keep')
    (_, _, known), = host.first(6000)
    assert 1 <= len(known['items']) < 29 and known['items'][0]['id'] == 1 and known['thumbs'][0]['thumb']
    page.set_content('<!doctype html><html lang="en"><div id="root"></div></html>')
    page.add_script_tag(content=static('cleaner.js'))
    page.evaluate("""known => { window.asked = [];
        const host = { photos: ids => { asked.push(...ids); return new Promise(() => {}); },
            photo: () => new Promise(() => {}) };
        window.shown = imgcls.show(document.getElementById('root'), known, host); }""", known)
    assert shown(page)[0] == 'photo001.jpg' and count(page) == 'decided 1 of 30'
    assert page.locator('.cl-frame img').get_attribute('src') == known['thumbs'][0]['thumb']
    assert known['items'][0]['id'] not in page.evaluate('asked')
    page.select_option('.cl-filters select >> nth=0', '1')
    host.decide(1, 'delete')
    page.evaluate('now => shown.update(now)', json.loads(json.dumps(host.start())))
    assert count(page) == 'decided 2 of 30' and page.locator('.cl-where').inner_text().endswith('of 10')
    page.select_option('.cl-filters select >> nth=0', '')
    assert page.locator('.cl-where').inner_text().endswith('of 30') and marks(page) == ['kept', 'delete']
