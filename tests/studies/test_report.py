"Reports of made-up studies: text, JSON and the page, with names that try to be code."
import base64
import html
import io
import json
import re
import shlex
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from imgcls.core import UserError
from imgcls.explorer import report as P
from imgcls.studies import report as R
from imgcls.studies.made_up import made_up_study
from imgcls.studies.stats import wilson
from imgcls.studies.tables import accuracy_table, final_table, steps, styled

NET = 'efficientnet_lite0'
EVIL = '<script>alert(1)</script>'


def frozen(**accs): return {(NET, 'frozen', int(k[1:]) if k[1:].isdigit() else k): v for k, v in accs.items()}


@pytest.fixture
def make(tmp_path):
    "make(accuracy, …) → a made-up study with a folder"
    def make(*args, **kw):
        st = made_up_study(*args, **kw)
        st.path = tmp_path
        return st
    return make


@pytest.fixture
def one(make): return make(frozen(s50=[.6, .7, .8], s1000=[.8, .93, .95]))


@pytest.fixture
def pictures(): "For the tests that look at the plots, which take a second a report."


@pytest.fixture(autouse=True)
def _quick(request, monkeypatch):
    if 'pictures' not in request.fixturenames: monkeypatch.setattr(P, '_svg', lambda fig, alt: '<svg></svg>')


def page(st, path=None, limit=0): return st.report(path, limit).read_text(encoding='utf-8')


def with_photos(st, folder):
    "Give the test photos files: grey, each a little lighter than the one before."
    test = st.photos.test.index
    for i, at in enumerate(test):
        path = folder/f'{i:03}.png'
        Image.new('RGB', (40, 30), (i % 256,)*3).save(path)
        st.photos.df.loc[at, 'path'] = str(path)
    return st


def pairs(*rows): return pd.DataFrame(rows, columns=['a', 'b', 'kind'])


def skipped(*rows): return pd.DataFrame(rows, columns=['path', 'reason', 'text'])


# ---- what may be missing

@pytest.mark.parametrize('accs', [frozen(s50=[.8]), frozen(s50=[.7, .8]),
                                  frozen(s50=[.999999]*2, s100=[.999999]*2)])
def test_little(make, accs):
    st = make(accs, n_test=9)
    assert R.answer(st) in page(st).replace('\N{NO-BREAK SPACE}', ' ').replace('&#39;', "'")
    assert 'nan' not in R.text_report(st)
    if len(accs) == 1: assert 'smaller size' in R.answer(st)


def test_no_runs(make):
    st = make({})
    for text in (R.text_report(st), st._repr_html_(), page(st)): assert 'No run has finished' in text
    assert json.loads(json.dumps(R.json_report(st), allow_nan=False))['runs'] == []
    for f in (accuracy_table, final_table, steps): assert len(f(st)) == 0


def test_nan_loss_and_no_rates(make):
    st = make(frozen(s50=[.6, .7], s100=[.6, .7]))
    run = st.runs.run[1]
    st.kept[run] = np.full_like(st.kept[run][0], np.nan), np.zeros(0, np.float32)
    st.epochs.loc[st.epochs.run == run, ['train_loss', 'valid_loss', 'train_accuracy', 'accuracy']] = np.nan
    st.runs.loc[1, ['accuracy', 'correct']] = np.nan
    j = json.loads(json.dumps(R.json_report(st), allow_nan=False))
    assert j['runs'][1]['epochs'] == [None, None] and j['runs'][1]['accuracy'] is None
    assert j['runs'][1]['interval'] == [None, None]
    assert 'nan' not in R.text_report(st).lower()
    assert R.answer(st).startswith('With 50 photos a class') and len(steps(st)) == 0
    page(st)


def bad(kind, make):
    "Studies of which little can be said."
    n = 2 if kind == 'two test photos' else 60
    st = make(frozen(s50=[.7], s200=[.8]), seeds=2, n_test=n, classes=('a', 'b'))
    df, right = st.photos.df, np.eye(2)[st.targets][None]
    kept = {run: (right if kind == 'all right' else 1-right, rates) for run, (_, rates) in st.kept.items()}
    if kind in ('all right', 'all wrong'):
        st.kept = kept
        st.runs['accuracy'] = st.epochs['accuracy'] = float(kind == 'all right')
    if kind == 'groups are whole classes': df.loc[df.split == 'test', 'group'] = df.label
    if kind == 'one group': df.loc[df.split == 'test', 'group'] = 'a walk'
    return st


@pytest.mark.parametrize('kind', ['two test photos', 'all right', 'all wrong', 'groups are whole classes',
                                  'one group'])
def test_bad_input_gives_figures_that_say_little_and_never_nan(make, kind):
    st = bad(kind, make)
    text, final = R.text_report(st), final_table(st)
    assert 'nan' not in text.lower()
    if kind == 'one group': assert 'nan' not in re.sub('<svg.*?</svg>', '', page(st), flags=re.S).lower()
    assert (final.low <= final.accuracy).all() and (final.accuracy <= final.high).all()
    assert (final.high - final.low).min() > (.05 if kind in ('all right', 'all wrong') else .5)
    assert ((steps(st).p >= .05) | (steps(st).verdict == 'unclear')).all()
    same = not (steps(st).mended + steps(st).broken).any()
    assert same >= (kind in ('all right', 'all wrong'))
    assert same == ('Both sizes name the same photos right.' in ' '.join(text.split()))


def test_all_photos(make):
    st = make(frozen(s50=[.6, .7], all=[.8, .9]), most=800)
    assert R.answer(st).startswith('With all 2,400 photos the classifier names ')
    assert 'from 50 to all, bought' in R.answer(st)


# ---- text and json

def test_text_is_plain(one):
    text = R.text_report(one)
    assert text.isascii() and str(one) == text and text.endswith('\n')
    assert max(map(len, text.splitlines())) <= 80
    rows = [r for r in text.splitlines() if re.match(r'\d+ ', r)]
    assert len({len(r) for r in rows[:3]}) == 1  # aligned
    assert text.startswith(R.answer(one)[:40]) and 'Report:' not in text
    report = one.report(limit=0)
    assert f'Report: {report}' in R.text_report(one)


@pytest.mark.parametrize('width', [80, 120])
def test_wide_tables_fit_a_terminal(make, width):
    "Nine sizes of two recipes with five seeds: every figure is there, in lines that are no longer."
    sizes = (10, 20, 50, 100, 200, 500, 1000, 2000, 5000)
    accs = {(NET, recipe, n): [.7 + .01*i, .75 + .01*i] for recipe in ('frozen', 'fine_tune')
            for i, n in enumerate(sizes)}
    st = make(accs, seeds=5, n_test=60, overconfidence=.02)
    text, final = R.text_report(st, width), final_table(st)
    assert width - 15 < max(map(len, text.splitlines())) <= width
    table = text[text.index('After the last epoch'):]
    for r in final.itertuples():
        for low, high in ((r.low, r.high), (r.min, r.max)): assert f'{100*low:.1f} - {100*high:.1f}' in table
    assert table.count('frozen 5,000') == table.count('fine_tune 5,000') > 1


def test_a_study_shows_the_answer_the_table_and_the_curve(make, one):
    html = one._repr_html_()
    places = [html.index(s) for s in (R.answer(one)[:30], '<table', 'data:image/svg+xml', '<details>')]
    assert places == sorted(places) and 'alt="Accuracy after the last epoch by photos' in html
    single = make(frozen(s50=[.6, .7]))  # one size has no curve
    assert 'alt="Accuracy after each epoch' in single._repr_html_()


def test_what_may_make_the_test_too_easy_is_told_once_wherever_a_study_is_shown(make, monkeypatch):
    from imgcls.studies import leaks
    looks = []
    told = pd.DataFrame([('brightness', .9, .5, True)], columns=['what', 'right', 'chance', 'above'])
    monkeypatch.setattr(leaks, 'shortcuts', lambda photos: (looks.append(photos), told)[1])
    st = make(frozen(s50=[.7]), n_test=280)  # photos that no other test has looked at
    say = 'Brightness alone tells the class of 90 % of the photos (50 % is'
    for text in (' '.join(R.text_report(st).split()), st._repr_html_(), page(st).replace('\xa0', ' ')):
        assert text.count(say) == 1
    assert len(looks) == 1, 'the photos are read once'


@pytest.mark.parametrize('n, says', [(1, '1 test photo of 300 is in training too'),
                                     (30, '30 test photos of 300 are in training too')])
def test_test_photos_that_are_in_training_are_told_apart(make, n, says):
    st = make(frozen(s50=[.7]))
    df, test = st.photos.df, st.photos.test.index[:n]
    df.loc[test, 'group'] = df.group[df.split == 'train'].to_numpy()[:n]
    right = (st.probs(st.runs.run[0])[-1].argmax(1) == st.targets)[n:]
    text = ' '.join(R.text_report(st).split())
    assert says in text and f'On the others it is {100*right.mean():.1f} %' in text


def test_json(one):
    j = json.loads(json.dumps(R.json_report(one), allow_nan=False))
    assert set(j) == {'runs', 'photos', 'skipped', 'seconds', 'peak_mb', 'device'}
    assert j['photos'] == len(one.photos) and j['skipped'] == 0
    assert [r['size'] for r in j['runs']] == [50, 1000]
    r = j['runs'][1]
    assert len(r['epochs']) == 3 and r['epochs'][-1] == pytest.approx(r['accuracy'])
    assert r['interval'] == pytest.approx(list(wilson(r['accuracy']*300, 300)))
    assert r['interval'][0] < r['accuracy'] < r['interval'][1]
    assert {'recipe', 'arch', 'seed', 'seconds', 'weights', 'res'} <= set(r)


def test_overconfidence_where_runs_have_it(make, one):
    accs = frozen(s50=[.6, .7], s1000=[.8, .9])
    st = make(accs, overconfidence=.021, overconfidence_raw=.083)
    assert final_table(st).overconfidence.tolist() == [.021, .021]
    assert final_table(st).overconfidence_raw.tolist() == [.083, .083]
    text = R.text_report(st)
    assert text.count('Off by: how many points') == 1 and 'When it says' in text
    assert max(map(len, text.splitlines())) <= 80
    assert [r['overconfidence'] for r in R.json_report(st)['runs']] == [.021, .021]
    text = page(st)
    assert 'Off by: how many points' in text and 'When it says' in text
    few = make(frozen(s50=[.7]), n_test=12, overconfidence=.02)
    assert 'Off by' not in R.text_report(few) and "test photos can't tell how far off" in R.text_report(few)
    for without in (one, make(accs, overconfidence=None, overconfidence_raw=None)):
        assert 'off by' not in R.text_report(without).lower() and 'off by' not in page(without).lower()
    assert 'overconfidence' not in final_table(one)
    assert 'overconfidence' not in R.json_report(one)['runs'][0]


def test_methods(one):
    for name in ('answer', 'cleaning', 'text_report', 'json_report', 'plot_epochs', 'plot_learning_curve',
                 'plot_loss', 'plot_rates'):
        assert getattr(one, name)() is not None, name
    assert '<table' in one._repr_html_()


# ---- the page

class Links(HTMLParser):
    "Everything a browser would fetch or run"
    def __init__(self, text):
        super().__init__()
        self.found, self.tags = [], set()
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        fetch = 'src', 'href', 'xlink:href', 'data', 'srcset', 'action'
        self.found += [(tag, k, v) for k, v in attrs
                       if k in fetch and not (v or '').startswith('#') or k.startswith('on')]


def test_report_is_self_contained(make, pictures):
    st = make({(a, 'frozen', n): [.7, .8] for a in (NET, 'resnet18') for n in (20, 100, 'all')}, seeds=2)
    with_photos(st, st.path)
    path = st.report(limit=0)
    text = path.read_text(encoding='utf-8')
    links = Links(text)
    photos = [v for _, k, v in links.found if k == 'src' and v.startswith('data:image/jpeg;base64,')]
    assert len(photos) == len(links.found) == 8
    assert not links.tags & {'script', 'link', 'iframe', 'object', 'base'}
    assert not re.search(r'https?:|@import|url\((?!#)', text)
    assert path == st.path/'report.html' and path.stat().st_size < 1_000_000
    assert text.count('<svg') == 4 and text.count('</svg>') == 4
    assert "script-src 'none'" in html.unescape(text)


def test_everything_from_outside_is_escaped(make, tmp_path):
    accs = {(EVIL, EVIL, 20): [.7, .8], (EVIL, '$x$', 20): [.7, .8]}
    st = make(accs, classes=('fox', EVIL, '$\\frac'), weights=EVIL)
    st.about['machine'] = st.photos.name = EVIL
    st.photos.notes.append(EVIL)
    st.photos.df[['source', 'licence', 'author']] = EVIL
    st.photos.skipped = skipped(*[(f'/photos/{EVIL}/a.jpg', EVIL, EVIL)]*60)
    st.photos.pairs = pairs((f'/photos/{EVIL}/00001.jpg', '/photos/fox/00002.jpg', 'near'))
    text = page(with_photos(st, tmp_path), path=tmp_path/'r.html')
    assert '<script' not in text and '&lt;script&gt;alert(1)' in text
    assert 'script' not in Links(text).tags and 'class="strip"' in text
    assert '<script' not in st._repr_html_() and '<script' not in styled(st).to_html()
    assert text.count('row">\n<td role="cell"><code>') == 50 + 1 and '60 × ' in text  # fifty, one pair


def test_report_says_leaks_and_conflicts(make):
    st = make(frozen(s50=[.8]))
    by = {key: rows.path.tolist() for key, rows in st.photos.df.groupby(['label', 'split'])}
    deer, fox, test = by['deer', 'train'], by['fox', 'train'], by['fox', 'test']
    st.photos.pairs = pairs((deer[0], deer[1], 'near'), (fox[0], test[1], 'same'), (fox[2], deer[3], 'near'))
    text = page(st)
    assert '1 across training and test photos (leaks),\n1 under two labels (conflicts)' in text
    assert text.index('>leak<') < text.index('>conflict<') < text.index('"cell"></td></tr>\n</tbody>')
    assert 'fox/' in text and '/photos/fox' not in text


def test_report_says_where_photos_are_from(make):
    st = make(frozen(s50=[.8]))
    df = st.photos.df
    df[['source', 'licence', 'author']] = ''
    df.loc[df.label == 'fox', ['source', 'licence', 'author']] = 'inaturalist', 'cc-by', 'Ann'
    text = page(st)
    assert '<th scope="row">inaturalist</th>\n<td>CC BY 4.0</td>' in text
    assert '<th scope="row">not given</th>' in text


def test_reasons_with_and_without_details(make):
    st = make(frozen(s50=[.8]))
    st.photos.skipped = skipped(('/p/a.jpg', 'too small', '5×5 pixels, at least 8×8 are needed'),
                                ('/p/b.jpg', 'truncated', 'truncated'))
    text = page(st)
    assert '>too small: 5×5 pixels, at least 8×8 are needed</td>' in text and '>truncated</td>' in text


def test_the_policy_names_the_explorers_script(one, monkeypatch):
    "What is done to the page around it (90 % stays on one line) must not touch it."
    script = '<script>let a = 5 % 2</script>'
    monkeypatch.setattr(P, 'explorer_fragment', lambda st, limit: (f'<p>90 %</p>{script}', 'abc='))
    text = page(one, limit=1e5)
    assert "script-src 'sha256-abc='" in html.unescape(text) and script in text


def numbers(text):
    "The three numbers: [(number, what it is)]."
    found = re.findall(r'<dt>([^<]*)</dt>\n<dd>(.*?)</dd>', text.split('class="answer"')[0], re.S)
    return [(n.replace('\xa0', ' '), re.sub('<[^>]*>', ' ', what).replace('\xa0', ' ')) for n, what in found]


def test_three_numbers_come_first_and_are_those_of_the_tables(make):
    st = make(frozen(s50=[.6, .7], s1000=[.8, .9]), overconfidence=.02, overconfidence_raw=.08)
    (right, _), (step, about), (sure, says) = numbers(page(st))
    last = final_table(st).iloc[-1]
    assert right == f'{100*last.accuracy:.1f} %'
    assert step == f'{100*(last.accuracy - final_table(st).accuracy[0]):+.1f} points'
    assert 'from 50 to 1,000 photos a class' in about and 'more than chance' in about
    told = ' '.join(R.text_report(st).split())
    said = re.search(r'When it says (\d+ %), it is right in (\d+ to \d+ of 100)', told)
    assert sure == said[2] and f'where it says {said[1]}' in says


def test_numbers_that_are_not_known(make):
    few = make(frozen(s50=[.7]), n_test=12, overconfidence=.02)
    assert [n for n, _ in numbers(page(few))][1:] == ['unknown']  # one size: no step
    plain = make(frozen(s50=[.7]), overconfidence=None)
    wrong = (plain.probs(plain.runs.run[0])[-1].argmax(1) != plain.targets).sum()
    assert numbers(page(plain))[-1] == (f'{wrong} of 300', 'test photos are named wrong')


def test_the_surest_errors_are_shown_the_surest_first_and_photos_that_are_gone_are_not(make, tmp_path):
    st = with_photos(make(frozen(s50=[.6])), tmp_path)
    probs = st.probs(st.runs.run[0])[-1].astype(np.float32)
    wrong = np.flatnonzero(probs.argmax(1) != st.targets)
    order = wrong[np.argsort(-probs[wrong].max(1), kind='stable')]
    (tmp_path/f'{order[0]:03}.png').unlink()
    text = page(st)
    said = re.findall(r'labelled ([^"]*)">\n<p>named <b dir="auto">([^<]*)</b>, ([\d.]+)', text)
    classes = np.array(st.classes)
    assert said == [(classes[st.targets[j]], classes[probs[j].argmax()], f'{100*probs[j].max():.1f}')
                    for j in order[1:9]]
    jpegs = re.findall(r'src="data:image/jpeg;base64,([^"]*)"', text)
    shown = [np.asarray(Image.open(io.BytesIO(base64.b64decode(j)))).mean() for j in jpegs]
    assert np.abs(np.array(shown) - order[1:9] % 256).max() < 2


def test_what_next_names_the_study(make, tmp_path):
    st = make(frozen(s50=[.6]))
    st.path = tmp_path/"o'hara & co"
    st.path.mkdir()
    text = html.unescape(page(st))
    commands = re.findall(r'<dt><code>(imgcls [^<]*)</code>', text)
    want = [[word, str(st.path)] for word in ('explore', 'clean', 'predict')]
    assert [shlex.split(c)[1:3] for c in commands] == want


def test_report_where_it_cant_be(one, tmp_path):
    (tmp_path/'file').write_text('x')
    with pytest.raises(UserError) as e: one.report(tmp_path/'file'/'report.html', limit=0)
    assert '\n' not in str(e.value) and (tmp_path/'file').read_text() == 'x'


def test_names_that_are_not_unicode(one):
    one.about['command'] = 'imgcls study fo\udcffto\n'
    assert 'udcff' in page(one)


def test_report_is_the_same_twice(one, pictures):
    first = one.report(limit=0).read_bytes()
    assert one.report(limit=0).read_bytes() == first


ODD = EVIL, 'a "quoted" \'name\'', 'ثعلب أحمر', 'long'*75


@pytest.fixture
def odd(make, tmp_path, pictures):
    "The report of a study whose names try everything."
    accs = {(NET, r, n): [.6, .7, .8] for r in ('frozen', 'fastai') for n in (20, 100, 500)}
    st = with_photos(make(accs, seeds=2, classes=ODD, overconfidence=.02), tmp_path)
    st.photos.skipped = skipped(*[(f'/p/{name}.jpg', 'truncated', name) for name in ODD])
    by = [rows.path.tolist() for _, rows in st.photos.df[st.photos.df.split == 'train'].groupby('label')]
    st.photos.pairs = pairs((by[0][0], by[1][0], 'near'), (by[2][0], by[3][0], 'same'))
    return st.report(limit=0).as_uri()


SMALL = """[...document.querySelectorAll('a, summary')].filter(e => {
    const box = e.getBoundingClientRect();
    return box.width < 44 || box.height < 44 }).map(e => e.innerText)"""
BEYOND = """[...document.querySelectorAll('main *')].filter(e => !e.closest('.wide, svg') &&
    e.getBoundingClientRect().right > innerWidth).map(e => e.outerHTML.slice(0, 200))"""


@pytest.mark.browser
@pytest.mark.parametrize('scheme', ['light', 'dark'])
@pytest.mark.parametrize('width', [390, 1400])
def test_report_in_a_browser(page, odd, width, scheme):
    from axe_playwright_python.sync_playwright import Axe
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size(dict(width=width, height=844))
    page.goto(odd)
    page.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true })")
    found = Axe().run(page).response['violations']
    assert [f"{v['id']}: {v['nodes'][0]['html'][:200]}" for v in found] == []
    assert page.evaluate('document.documentElement.scrollWidth') <= width
    assert page.evaluate(BEYOND) == [] and page.evaluate(SMALL) == []
    assert page.evaluate("[...document.images].every(i => i.naturalWidth > 0)")
    for link in page.locator('nav a').all():
        link.click()
        heading = page.locator(f"{link.get_attribute('href')} h2").first.bounding_box()
        nav = page.locator('nav').bounding_box()
        assert nav['y'] == 0 and nav['height'] <= heading['y'] < 844


@pytest.mark.browser
def test_the_curve_stands_beside_the_table_where_there_is_room(page, one, pictures):
    page.goto(one.report(limit=0).as_uri())
    def boxes(): return [page.locator(f'.beside > {x}').first.bounding_box() for x in ('.grid', 'figure')]
    page.set_viewport_size(dict(width=1400, height=900))
    table, curve = boxes()
    assert curve['x'] > table['x'] + 100 and abs(curve['y'] - table['y']) < 2
    page.set_viewport_size(dict(width=390, height=844))
    table, curve = boxes()
    assert curve['y'] > table['y'] + 100 and curve['width'] > 300
