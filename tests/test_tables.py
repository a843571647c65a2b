"Tables, statistics, plots and the report: what the notebook 08_tables can't hold."
import json
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from imgcls import tables as T
from imgcls.core import UserError
from imgcls.study import Study

NB = Path(__file__).parents[1]/'nbs'/'08_tables.ipynb'
NET = 'efficientnet_lite0'
EVIL = '<script>alert(1)</script>'


def _writer():
    "`write_study` of the notebook's hidden cell, so that the made-up studies of page and tests are the same"
    cells = [''.join(c['source']) for c in json.loads(NB.read_text(encoding='utf-8'))['cells'] if c['cell_type']=='code']
    ns = {}
    exec('import json,hashlib\nfrom pathlib import Path\nfrom statistics import NormalDist\nimport numpy as np,pandas as pd\n'
         'from safetensors.numpy import save_file\n'+next(c for c in cells if 'def write_study(' in c), ns)
    return ns['write_study']


write_study = _writer()


@pytest.fixture
def make(tmp_path):
    "make(accuracy, **kw) -> Study; accuracy maps (arch, recipe, size) to accuracies by epoch"
    def make(accuracy, name='study', **kw): return Study(write_study(tmp_path/name, accuracy, **kw))
    return make


def frozen(**accs): return {(NET,'frozen',int(k[1:]) if k[1:].isdigit() else k): v for k,v in accs.items()}


@pytest.fixture
def one(make): return make(frozen(s50=[.6,.7,.8], s1000=[.8,.93,.95]))


# ---- statistics

@pytest.mark.parametrize('k,n,lo,hi', [(90,100,82.6,94.5), (900,1000,88.0,91.7), (20,20,83.9,100.)])
def test_wilson_published(k, n, lo, hi):
    assert tuple(round(100*x,1) for x in T.wilson(k,n)) == (lo,hi)


def test_wilson_edges():
    stats = pytest.importorskip('scipy.stats')
    ks,ns = zip(*[(k,n) for n in (1,2,7,100,3000) for k in {0,1,n//2,n-1,n}])
    lo,hi = T.wilson(np.array(ks), np.array(ns))
    want = [stats.binomtest(k,n).proportion_ci(method='wilson') for k,n in zip(ks,ns)]
    np.testing.assert_allclose(lo, [w.low for w in want], atol=1e-12)
    np.testing.assert_allclose(hi, [w.high for w in want], atol=1e-12)
    assert np.isnan(T.wilson(0,0)).all() and np.isnan(T.wilson(np.nan,10)).all()


def test_mcnemar_by_hand_and_scipy():
    stats = pytest.importorskip('scipy.stats')
    assert T.mcnemar(0,0) == T.mcnemar(3,3) == 1
    assert T.mcnemar(1,0) == 1                                   # one coin: heads or tails
    assert T.mcnemar(5,1) == pytest.approx(2*(1+6)/64)
    assert T.mcnemar(1,5) == T.mcnemar(5,1)
    for a,b in [(61,30),(30,61),(499,501),(900,1000),(20000,20500),(2000,0)]:
        assert T.mcnemar(a,b) == pytest.approx(stats.binomtest(a,a+b).pvalue, rel=1e-6, abs=1e-300)


def test_holm():
    np.testing.assert_allclose(T.holm([.01,.04,.03,.005]), [.03,.06,.06,.02])
    assert T.holm([.9,.8]).max() == 1 and T.holm([.02]) == [.02]


def test_difference_counts_and_sign():
    before,after = np.array([1,1,0,0,0,1],bool),np.array([1,0,1,1,1,1],bool)
    d = T.difference(before, after)
    assert (d['mended'],d['broken'],d['p']) == (3,1,.625) and d['difference'] == pytest.approx(2/6)
    back = T.difference(after, before)
    assert back['difference'] == -d['difference'] and back['low'] == pytest.approx(-d['high'], abs=.2)
    assert d['low'] < d['difference'] < d['high']


def test_difference_covers_the_truth():
    rng = np.random.default_rng(5)
    held = wald = 0
    for _ in range(200):
        d = rng.choice([1,-1,0], p=[.12,.06,.82], size=400)
        r = T.difference(d<0, d>0, resamples=2000)
        held += r['low'] <= .06 <= r['high']
        wald += abs((r['high']-r['low'])/2 - 1.96*np.sqrt(((d**2).mean()-d.mean()**2)/400)) < .006
    assert .90 <= held/200 <= .99 and wald == 200               # neither too narrow nor needlessly wide


def test_difference_seeds():
    rng = np.random.default_rng(0)
    base = rng.random(500) < .8
    before = np.stack([base ^ (rng.random(500)<.02) for _ in range(4)])
    after = before | (rng.random((4,500)) < .5)
    d = T.difference(before, after)
    assert d['p'] < .01 and d['low'] > 0 and d['mended'] == (after>before).sum()/4
    same = T.difference(before, before)
    assert same['p'] > .9 and same['low'] < 0 < same['high']
    luck = T.difference(np.zeros((4,500),bool), np.repeat([[1],[0],[0],[1]],500,1).astype(bool))   # seeds disagree wildly
    assert luck['high']-luck['low'] > .5                         # so the interval must be wide, however many photos


# ---- tables

def test_accuracy_table(one):
    t = T.accuracy_table(one)
    assert list(t.columns) == [50,1000] and list(t.index) == [1,2,3]
    for run in one.runs.to_dict('records'):
        want = one.epochs[one.epochs.run==run['run']].sort_values('epoch').accuracy
        np.testing.assert_allclose(t[run['size']], want)
    for part in ('300 test photos', 'one seed', 'frozen', NET, '96 px'): assert part in t.attrs['caption']


def test_sizes_sort_and_all_is_last(make):
    s = make(frozen(all=[.9], s1000=[.9], s50=[.8], s200=[.85]))
    assert list(T.accuracy_table(s).columns) == [50,200,1000,'all']
    st = T.steps(s)
    assert list(zip(st.size_from,st.size_to)) == [(50,200),(200,1000),(1000,'all')]
    assert 'From 1,000 photos a class to all photos' in st.sentence.iloc[-1]


def test_recipes_archs_and_seeds(make):
    s = make({(a,r,n): [.7,.8] for a in ('resnet18',NET) for r in ('frozen','fastai') for n in (20,100)}, seeds=3)
    t = T.accuracy_table(s)
    assert t.columns.names == ['arch','recipe','size'] and t.shape == (2,8)
    pick = s.runs[(s.runs.arch=='resnet18')&(s.runs.recipe=='fastai')&(s.runs['size']==100)]
    assert t[('resnet18','fastai',100)].iloc[-1] == pytest.approx(pick.accuracy.mean())
    f = T.final_table(s).set_index(['arch','recipe','size']).loc[('resnet18','fastai',100)]
    assert f.seeds == 3 and f.sd == pytest.approx(pick.accuracy.std()) and f['min'] == pick.accuracy.min()
    st = T.steps(s)
    assert len(st) == 4 and (st.tests == 4).all() and (st.seeds == 3).all()
    assert 'mean of 3 seeds' in st.sentence[0] and 'Holm' in st.sentence[0]


def test_runs_that_differ_in_more_than_seed_are_not_averaged(make):
    s = make(frozen(s50=[.6,.7]))
    other = Study(write_study(s.path.parent/'other', {(NET,'frozen',50): [.9,.92,.95]}, res=224))
    run = next((other.path/'runs').iterdir())
    shutil.copytree(run, s.path/'runs'/'res224')
    j = json.loads((run/'run.json').read_text())
    (s.path/'runs'/'res224'/'run.json').write_text(json.dumps({**j, 'run':'res224'}))
    t = T.accuracy_table(Study(s.path))
    assert t.columns.names == ['res','size'] and t.shape == (3,2)
    assert np.isnan(t[(96,50)].loc[3]) and 'nan' not in T.text_report(Study(s.path))


def test_overfitting(make):
    bad = make(frozen(s50=[.95,.8,.6]), 'bad', train=frozen(s50=[.8,.95,1.]))
    fine = make(frozen(s50=[.6,.8,.95]), 'fine', train=frozen(s50=[.8,.95,1.]))
    falls = make(frozen(s50=[.95,.8,.6]), 'falls', train=frozen(s50=[.95,.8,.6]))     # worse on both: not overfitting
    assert list(T.final_table(bad).overfitting) == ['beyond chance'] and T.final_table(bad).best_epoch[0] == 1
    assert list(T.final_table(fine).overfitting) == list(T.final_table(falls).overfitting) == ['']
    assert '!' in T.text_report(bad) and '!' not in T.text_report(fine)
    assert 'claim' in T.final_table(bad).attrs['caption']


def test_sentences_say_what_the_figures_say():
    row = dict(size_from=500, size_to=1000, seeds=1, n_test=1000, difference=.021, low=.004, high=.038, mended=61, broken=40,
               p=.002, p_holm=.002, tests=1)
    assert T._sentence(row) == ('From 500 to 1,000 photos a class: 2.1 points better (95 % interval +0.4 to +3.8). 61 of 1,000 test photos '
                                'mended, 40 broken. Chance alone would rarely do this (p = 0.002).')
    assert 'does not show that more photos do not help' in T._sentence({**row, 'low':-.01, 'p_holm':.3})
    assert '2.1 points worse' in (s := T._sentence({**row, 'difference':-.021, 'low':-.05, 'high':.01, 'p_holm':.3}))
    assert 'does not show that more photos harm' in s
    assert 'Borderline' in T._sentence({**row, 'p_holm':.06})
    assert 'no change' in T._sentence({**row, 'difference':0., 'low':-.01, 'high':.01, 'p_holm':1.})


def test_steps_use_shared_seeds_only(make):
    s = make(frozen(s50=[.7], s200=[.9]), seeds=3)
    shutil.rmtree(s.path/'runs'/f'{NET}-frozen-200-1')
    st = T.steps(Study(s.path))
    assert list(st.seeds) == [2]
    for seed in (0,2): shutil.rmtree(s.path/'runs'/f'{NET}-frozen-50-{seed}')
    assert len(T.steps(Study(s.path))) == 0


# ---- what may be missing

@pytest.mark.parametrize('accs', [frozen(s50=[.8]), frozen(s50=[.7,.8]), frozen(s50=[.999999]*2, s100=[.999999]*2)])
def test_little(make, accs):
    s = make(accs, n_test=9)
    html = T.save_report(s).read_text(encoding='utf-8')
    assert T.answer(s) in html.replace('\N{NO-BREAK SPACE}',' ') and 'nan' not in T.text_report(s)
    if len(accs)==1: assert 'smaller size' in T.answer(s)


def test_no_runs(make):
    s = make({})
    assert 'No run has finished' in T.text_report(s) and 'No run has finished' in s._repr_html_()
    assert 'No run has finished' in T.save_report(s).read_text(encoding='utf-8')
    assert json.loads(json.dumps(T.json_report(s), allow_nan=False))['runs'] == []
    for f in (T.accuracy_table, T.final_table, T.steps): assert len(f(s)) == 0
    for f in (T.plot_epochs, T.plot_learning_curve, T.plot_loss, T.plot_rates): assert f(s)._repr_png_().startswith(b'\x89PNG')


def test_nan_loss_and_no_rates(make):
    from safetensors.numpy import load_file, save_file
    s = make(frozen(s50=[.6,.7], s100=[.6,.7]))
    folder = s.path/'runs'/f'{NET}-frozen-100-0'
    p = load_file(folder/'preds.safetensors')
    save_file({**p, 'probs':np.full_like(p['probs'],np.nan), 'lr':np.zeros(0,np.float32)}, folder/'preds.safetensors')
    e = pd.read_csv(folder/'epochs.csv')
    e[['train_loss','valid_loss','train_accuracy','accuracy']] = np.nan
    e.to_csv(folder/'epochs.csv', index=False)
    j = json.loads((folder/'run.json').read_text())
    (folder/'run.json').write_text(json.dumps({**j, 'accuracy':None, 'correct':None}))
    s = Study(s.path)
    j = json.loads(json.dumps(T.json_report(s), allow_nan=False))
    assert j['runs'][1]['epochs'] == [None,None] and j['runs'][1]['accuracy'] is None and j['runs'][1]['interval'] == [None,None]
    assert 'nan' not in T.text_report(s).lower()
    assert T.answer(s).startswith('With 50 photos a class') and len(T.steps(s)) == 0
    T.save_report(s)


# ---- text and json

def test_text_is_plain(one):
    text = T.text_report(one)
    assert text.isascii() and str(one) == text and text.endswith('\n')
    assert max(map(len, text.splitlines())) <= 100
    rows = [r for r in text.splitlines() if re.match(r'\d+ ', r)]
    assert len({len(r) for r in rows[:3]}) == 1                  # aligned
    assert 'Report:' not in text
    report = T.save_report(one)
    assert f'Report: {report}' in T.text_report(one)


def test_json(one):
    j = json.loads(json.dumps(T.json_report(one), allow_nan=False))
    assert set(j) == {'runs','photos','skipped','seconds','peak_mb','device'} and j['photos'] == len(one.table)
    assert [r['size'] for r in j['runs']] == [50,1000]
    r = j['runs'][1]
    assert len(r['epochs']) == 3 and r['epochs'][-1] == pytest.approx(r['accuracy'])
    assert r['interval'] == pytest.approx(list(T.wilson(r['accuracy']*300,300))) and r['interval'][0] < r['accuracy'] < r['interval'][1]
    assert {'recipe','arch','seed','seconds'} <= set(r)


def test_calibration_error_where_runs_have_it(make, one):
    told = make(frozen(s50=[.6,.7], s1000=[.8,.9]), 'told', calibration_error=.021, calibration_error_raw=.083)
    assert T.final_table(told).calibration_error.tolist() == [.021,.021] and T.final_table(told).calibration_error_raw.tolist() == [.083,.083]
    text = T.text_report(told)
    assert text.count('2.1 (8.3)') == 2 and text.count('Off by: the calibration error') == 1 and max(map(len, text.splitlines())) <= 100
    assert [r['calibration_error'] for r in T.json_report(told)['runs']] == [.021,.021]
    page = T.save_report(told).read_text(encoding='utf-8')
    assert page.count('2.1 (8.3)') == 2 and 'Off by: the calibration error' in page
    for without in (one, make(frozen(s50=[.6,.7]), 'none', calibration_error=None)):
        assert 'alibration' not in T.text_report(without) and 'alibration' not in T.save_report(without).read_text(encoding='utf-8')
    assert 'calibration_error' not in T.final_table(one) and 'calibration_error' not in T.json_report(one)['runs'][0]


def test_methods(one):
    for name in 'accuracy_table styled final_table steps plot_epochs plot_learning_curve plot_loss plot_rates'.split():
        assert getattr(one, name)() is not None, name
    assert '<table' in one._repr_html_()


# ---- the report

class Links(HTMLParser):
    "Everything a browser would fetch or run"
    def __init__(self):
        super().__init__()
        self.found,self.tags = [],set()
    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        fetch = 'src','href','xlink:href','data','srcset','action'
        self.found += [(tag,k,v) for k,v in attrs if k in fetch and not (v or '').startswith('#') or k.startswith('on')]


def test_report_is_self_contained(make):
    s = make({(a,'frozen',n): [.7,.8] for a in (NET,'resnet18') for n in (20,100,'all')}, seeds=2)
    path = T.save_report(s)
    html = path.read_text(encoding='utf-8')
    p = Links()
    p.feed(html)
    assert p.found == [] and not p.tags & {'script','link','iframe','img','object','base'}
    assert not re.search(r'https?:|@import|url\((?!#)', html)
    assert path == s.path/'report.html' and path.stat().st_size < 1_000_000
    assert html.count('<svg') == 4 and html.count('</svg>') == 4


def test_everything_from_outside_is_escaped(make, tmp_path):
    s = make({(EVIL,EVIL,EVIL): [.7,.8], (EVIL,'$x$',20): [.7,.8]}, classes=('fox',EVIL,'$\\frac'), weights=EVIL, machine=EVIL,
             skipped=[dict(path=f'/photos/{EVIL}/a.jpg', reason=EVIL)]*60,
             pairs=[dict(a=f'/photos/{EVIL}/00001.jpg', b='/photos/fox/00002.jpg', kind='near')])
    html = T.save_report(s, tmp_path/'r.html').read_text(encoding='utf-8')
    assert '<script' not in html and '&lt;script&gt;alert(1)' in html
    assert 'script' not in (p := Links(), p.feed(html))[0].tags
    assert '<script' not in s._repr_html_() and '<script' not in T.styled(s).to_html()
    assert html.count('<tr><td><code>') == 50+1 and '60 × ' in html       # the first fifty, the count, and one pair


def test_report_tells_leaks_and_conflicts(make):
    s = make(frozen(s50=[.8]), pairs=[dict(a='/photos/fox/00001.jpg', b='/photos/fox/00149.jpg', kind='same'),
                                      dict(a='/photos/fox/00002.jpg', b='/photos/deer/00003.jpg', kind='near')])
    html = T.save_report(s).read_text(encoding='utf-8')
    assert '1 across training and test photos (leaks), 1 under two labels (conflicts)' in html
    assert '>leak<' in html and '>conflict<' in html and 'fox/00149.jpg' in html


def test_report_where_it_cant_be(one, tmp_path):
    (tmp_path/'file').write_text('x')
    with pytest.raises(UserError) as e: T.save_report(one, tmp_path/'file'/'report.html')
    assert '\n' not in str(e.value) and (tmp_path/'file').read_text() == 'x'


def test_names_that_are_not_unicode(one):
    f = one.path/'study.json'
    f.write_text(json.dumps({**json.loads(f.read_text()), 'command':'imgcls study fo\udcffto\n'}))
    assert 'udcff' in T.save_report(one).read_text(encoding='utf-8')


def test_report_is_the_same_twice(one):
    first = T.save_report(one).read_bytes()
    assert T.save_report(one).read_bytes() == first


def test_import_is_light():
    code = ('import sys, imgcls.study; before = set(sys.modules); import imgcls.tables; '
            'heavy = {"matplotlib","jinja2","scipy","torch","fastai","IPython"}; '
            'print(*heavy & {m.split(".")[0] for m in set(sys.modules)-before})')
    out = subprocess.run([sys.executable,'-c',code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == ''


def test_no_pyplot(one):
    code = (f'import sys\nfrom imgcls.study import Study\nfrom imgcls.tables import save_report\nsave_report(Study({str(one.path)!r}))\n'
            'print("matplotlib.pyplot" in sys.modules, "scipy.stats" in sys.modules)')
    out = subprocess.run([sys.executable,'-c',code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == 'False False'


@pytest.mark.browser
@pytest.mark.parametrize('width', [1000,400])
def test_report_in_a_browser(make, tmp_path, chromium, width):
    from PIL import Image
    s = make({(NET,r,n): [.6,.7,.8] for r in ('frozen','fastai') for n in (20,100,500)}, seeds=2, classes=('fox',EVIL))
    path,shot = T.save_report(s),tmp_path/'shot.png'
    run = [chromium,'--headless','--no-sandbox','--disable-gpu','--disable-background-networking',f'--user-data-dir={tmp_path/"profile"}']
    run += [f'--window-size={width},3000']
    subprocess.run([*run, f'--screenshot={shot}', path.as_uri()], check=True, capture_output=True, timeout=90)
    img = np.asarray(Image.open(shot).convert('RGB')).astype(int)
    assert img.shape[1] == width
    ink = (np.abs(img-img[2,2]).sum(2) > 60)
    assert ink[:,:width//2].any(1)[:2500].reshape(-1,100).any(1).mean() > .9     # no large hole on the way down
    blue = (np.abs(img-[0,114,178]).sum(2) < 40).sum()
    assert blue > 100                                            # the lines of the plots are drawn
    dom = subprocess.run([*run,'--dump-dom', path.as_uri()], check=True, capture_output=True, text=True, timeout=90).stdout
    assert '&lt;script&gt;alert(1)' in dom and '<script' not in dom
