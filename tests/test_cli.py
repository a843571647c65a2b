"""The command from the outside: what it prints, how it ends, and every way of handing it photos."""
import base64
import csv
import hashlib
import html
import io
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import zlib
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from PIL import ExifTags, Image

from imgcls import cache, cli
from imgcls.cleaning.journal import Journal
from imgcls.commands import parser
from imgcls.csv_files import read_csv
from imgcls.data.synth import scene_bytes, synth_folder
from imgcls.data.table import Photos, read_photos
from imgcls.studies.study import Study
from imgcls.training import recipes
from imgcls.training.models import find_weights, load_body

# a body at 32 pixels, whose weights need not be found
TINY = ['--arch', 'cifar_net', '--epochs', '2', '--recipe', 'frozen', '--seeds', '1']


def command(*args, **env):
    "The command as a process of its own."
    code = 'import sys; from imgcls.cli import main; sys.exit(main())'
    return subprocess.run([sys.executable, '-c', code, *map(str, args)], env=os.environ | env,
                          capture_output=True, text=True, timeout=120)


@pytest.fixture
def imgcls(capsys, monkeypatch):
    "The command in this process, without the pictures of the report: exit code, standard output and error."
    import imgcls.explorer.report  # noqa: F401 (it brings Study.report)
    monkeypatch.setattr(Study, 'report', lambda st, path=None: Path(path or st.path/'report.html'))

    def call(*args):
        capsys.readouterr()
        code = cli.main([*map(str, args)])
        return code, *capsys.readouterr()
    return call


def tree(root):
    "What every file holds, and when it was written."
    files = [p for p in Path(root).rglob('*') if p.is_file()]
    return {os.fsencode(p): (p.read_bytes(), p.stat().st_mtime_ns) for p in files}


def folders(root, start=0, **counts):
    "Class folders of drawn scenes, each of them different."
    for label, n in counts.items():
        (root/label).mkdir(parents=True, exist_ok=True)
        for i in range(start, start+n): (root/label/f'{i:03}.jpg').write_bytes(scene_bytes(label, i, side=48))
    return root


@pytest.fixture(scope='session')
def scenes(): return synth_folder(per_class=30, side=64)


# ---- what comes out

def without_scripts(page):
    "The page without its two scripts: data that can't end its element, and the code that its policy names."
    data, code = re.findall(r'<script[^>]*>(.*?)</script>', page, re.S)
    assert '<' not in data and page.count('<script') == 2
    sha = base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()
    policy = "default-src 'none'; img-src data: blob:; style-src 'unsafe-inline'"
    assert f"{policy}; script-src 'sha256-{sha}'" in html.unescape(page)
    return re.sub(r'<script.*?</script>', '', page, flags=re.S)


KEYS = {'size', 'recipe', 'arch', 'seed', 'epochs', 'accuracy', 'interval', 'seconds'}


def test_json_is_alone_on_standard_output_and_the_report_needs_nothing_else(scenes, tmp_path):
    out = tmp_path/'st'
    r = command('study', scenes, *TINY, '--sizes', '5,10,all', '--seeds', '2', '--out', out, '--json')
    assert r.returncode == 0, r.stderr
    d = json.loads(r.stdout)  # one object and nothing beside it
    assert {'runs', 'photos', 'skipped', 'seconds', 'peak_mb', 'device'} <= d.keys()
    assert all(KEYS <= x.keys() for x in d['runs'])
    assert [(x['size'], x['seed']) for x in d['runs']] == [(s, i) for s in (5, 10, 'all') for i in (0, 1)]
    assert d['photos'] == 90 and d['skipped'] == 0 and d['device']
    assert d['seconds'] > 0 and 50 < d['peak_mb'] < 10_000
    for x in d['runs']:
        low, high = x['interval']
        assert len(x['epochs']) == 2 and x['epochs'][-1] == x['accuracy'] and low < x['accuracy'] < high
        assert (x['recipe'], x['arch']) == ('frozen', 'cifar_net')
    assert 'Traceback' not in r.stderr and 'Warning' not in r.stderr
    page = Path(d['report']).read_text(encoding='utf-8')
    assert Path(d['report']) == out/'report.html' and without_scripts(page).count('<svg') == 4
    outside = r'src\s*=(?!"data:)|href\s*=\s*"(?!#)|url\((?!["\']?#)|@import|https?://'
    assert not re.search(outside, without_scripts(page)), 'the report asks for something outside'
    files = {'study.json', 'photos.parquet', 'skipped.csv', 'report.html', 'runs'}
    assert {p.name for p in out.iterdir()} == files


def test_text_then_table_and_report(scenes, tmp_path, imgcls, monkeypatch):
    out = tmp_path/'st'
    code, text, err = imgcls('study', scenes, *TINY, '--sizes', '5,10', '--out', out)
    assert code == 0 and err == ''
    st = Study(out)
    accuracies = [f'{100*a:.1f}' for a in st.runs.accuracy]
    for want in ('After the last epoch', 'photos a class', *accuracies): assert want in text
    assert text.startswith('With 10 photos a class the classifier names ')  # the answer comes first
    after = [line.split()[:3] for line in text.splitlines() if line.startswith('  imgcls ')]
    assert after == [['imgcls', name, str(out)] for name in ('explore', 'clean', 'predict')]
    code, again, err = imgcls('table', out)
    assert (code, err) == (0, '') and again.split('Report:')[0].strip() == text.split('Report:')[0].strip()
    code, obj, err = imgcls('table', out, '--json')
    assert code == 0 and [r['accuracy'] for r in json.loads(obj)['runs']] == st.runs.accuracy.tolist()
    monkeypatch.undo()
    assert imgcls('report', out, '--out', tmp_path/'x'/'my.html')[:2] == (0, f"{tmp_path/'x'/'my.html'}\n")
    assert (tmp_path/'x'/'my.html').stat().st_size > 10_000
    assert json.loads(imgcls('report', out, '--json')[1]) == {'report': str(out/'report.html')}
    assert (out/'report.html').is_file()


def test_without_a_recipe_the_curve_is_shown_first_and_the_result_stays_alone(scenes, tmp_path, imgcls):
    few = ['study', scenes, '--arch', 'cifar_net', '--epochs', '1', '--sizes', '5', '--out', tmp_path/'st']
    code, out, err = imgcls(*few)
    table, _, rest = err.partition('Next, which takes longer: fine_tune, 5 photos a class')
    assert code == 0 and 'frozen' in table and 'fine_tune' not in table and 'fine_tune: ' in rest
    assert out.count('After the last epoch') == 1 and 'fine_tune' in out and 'Next' not in out
    shutil.rmtree(tmp_path/'st')
    code, out, err = imgcls(*few, '--json')
    assert [r['recipe'] for r in json.loads(out)['runs']].count('fine_tune') == 1 and 'After' in err


def test_help_explains_every_option(capsys):
    for args in ([], ['study'], ['table'], ['report'], ['predict']):
        with pytest.raises(SystemExit) as e: cli.main([*args, '--help'])
        assert e.value.code == 0
    said = capsys.readouterr().out
    for command in parser()._subparsers._group_actions[0].choices.values():
        for action in command._actions: assert action.help, action.option_strings
    for word in ('sizes', 'recipe', 'arch', 'weights', 'epochs', 'seeds', 'res', 'test', 'classes', 'out',
                 'json', 'balance', 'short'): assert f'--{word}' in said
    for name in recipes.RECIPES: assert name in said


def test_a_recipe_of_the_users_own_is_in_the_help(capsys, monkeypatch):
    monkeypatch.setattr(recipes, 'RECIPES', dict(recipes.RECIPES))
    monkeypatch.setattr('imgcls.commands.RECIPES', recipes.RECIPES)

    class Lottery(recipes.Recipe): 'Draw the labels by lot.'
    with pytest.raises(SystemExit): cli.main(['study', '--help'])
    assert 'lottery' in capsys.readouterr().out


# ---- mistakes

@pytest.mark.parametrize('args, says', [
    (['stdy'], 'did you mean imgcls study?'), (['study'], 'PHOTOS'),
    (['study', 'P', '--szies', '5'], '--szies'), (['study', 'nowhere'], "'nowhere'"),
    (['study', 'P', '--sizes', '500'], 'size 500 needs 500'),
    (['study', 'P', '--sizes', 'many'], "size 'many'"),
    (['study', 'P', '--sizes', ','], 'commas'), (['study', 'P', '--sizes', '0'], "size '0'"),
    (['study', 'P', '--epochs', '0'], "not '0'"), (['study', 'P', '--epochs', '1.5'], "not '1.5'"),
    (['study', 'P', '--seeds', '-1'], '--seeds'), (['study', 'P', '--test', '1'], 'between 0 and 1'),
    (['study', 'P', '--test', 'nan'], 'between 0 and 1'), (['study', 'P', '--test', 'x'], '--test'),
    (['study', 'P', '--classes', 'fox,wolf'], "no class 'wolf'"),
    (['study', 'P', '--classes', 'fox'], 'only one class'),
    (['study', 'P', '--arch', 'resnet81', '--recipe', 'frozen'], "no architecture is called 'resnet81'"),
    (['study', 'P', '--recipe', 'frosen'], 'there are frozen'),
    (['study', 'P', '--balance', 'up'], '--balance'),
    (['study', 'P', '--burst', '0'], "such as 60, or off, not '0'"),
    (['study', 'P', '--burst', 'on'], "not 'on'"),
    (['study', 'P', '--weights', 'no.safetensors'], 'no.safetensors; --weights expects'),
    (['study', 'P', '--res', '64'], 'cifar_net takes no photos of 64 pixels'),
    (['table', 'nowhere'], 'is not a study'), (['report', 'P'], 'is not a study')])
def test_a_mistake_is_one_line_and_exit_code_2(scenes, tmp_path, imgcls, monkeypatch, args, says):
    monkeypatch.chdir(tmp_path)
    args = [str(scenes) if a == 'P' else a for a in args]
    complete = {'--arch', '--epochs', '--recipe', '--seeds'} & {*args}
    if args[:1] == ['study'] and len(args) > 1 and not complete: args += TINY
    code, out, err = imgcls(*args)
    assert (code, out) == (2, '') and says in err, err
    assert err.startswith('imgcls: ') and err.count('\n') == 1 and len(err) < 500
    assert not list(tmp_path.iterdir()), 'a mistake left something behind'


def test_a_mistake_of_the_process_too(tmp_path):
    r = command('credits', tmp_path)
    assert (r.returncode, r.stdout) == (2, '') and r.stderr.count('\n') == 1 and 'gather' in r.stderr


def test_exit_code_1_when_a_run_could_not_be_done(scenes, tmp_path, imgcls, monkeypatch):
    monkeypatch.setitem(recipes.RECIPES, 'wild', lambda: recipes.Frozen(lr=1e20))
    args = ['study', scenes, *TINY, '--sizes', '5', '--recipe', 'wild,frozen', '--out', tmp_path/'st']
    code, out, err = imgcls(*args, '--json')
    d = json.loads(out)
    assert code == 1 and [r['recipe'] for r in d['runs']] == ['frozen'] and len(d['failed']) == 1
    assert 'not finished: wild, 5 photos a class, seed 0: the loss became NaN' in err
    assert 'lower the learning rate' in err
    assert len([*(tmp_path/'st'/'runs').glob('[!.]*')]) == 1


def test_interrupted(scenes, tmp_path, imgcls, monkeypatch):
    def ctrl_c(*a, **kw): raise KeyboardInterrupt
    monkeypatch.setattr(recipes.Frozen, 'fit', ctrl_c)
    code, out, err = imgcls('study', scenes, *TINY, '--out', tmp_path/'st')
    assert code == 130 and out == '' and 'the same command continues' in err.splitlines()[-1]


def test_folder_with_other_files_is_left_alone(scenes, tmp_path, imgcls):
    (tmp_path/'thesis.docx').write_bytes(b'years of work')
    code, _, err = imgcls('study', scenes, *TINY, '--out', tmp_path)
    assert code == 2 and 'holds other files and no study' in err
    assert [p.name for p in tmp_path.iterdir()] == ['thesis.docx']


# ---- layouts and options

def runs(out): return Study(out).runs.set_index(['size', 'seed'])


def test_train_and_test_folders(tmp_path, imgcls):
    folders(tmp_path/'p'/'train', fox=8, deer=6)
    folders(tmp_path/'p'/'valid', fox=4, deer=4, start=100)
    assert imgcls('study', tmp_path/'p', *TINY, '--out', tmp_path/'st')[0] == 0
    test = Photos.load(tmp_path/'st'/'photos.parquet').test
    assert test.path.str.contains('valid').all() and runs(tmp_path/'st').n_test.tolist() == [8]
    assert runs(tmp_path/'st').n_train.tolist() == [14]


def test_no_size_folder_trains_on_test_photos(tmp_path, imgcls):
    big = folders(tmp_path/'p'/'20', fox=20, deer=20)
    for n, i in ((5, 3), (10, 8)):
        for label in ('fox', 'deer'):
            (tmp_path/'p'/str(n)/label).mkdir(parents=True)
            for k in range(n):
                shutil.copy(big/label/f'{i+k:03}.jpg', tmp_path/'p'/str(n)/label/f'renamed {k}.jpg')
    code, out, err = imgcls('study', tmp_path/'p', *TINY, '--out', tmp_path/'st', '--json')
    assert code == 0, err
    assert [r['size'] for r in json.loads(out)['runs']] == [5, 10, 20]
    photos = Photos.load(tmp_path/'st'/'photos.parquet')
    tests = set(photos.test.sha256)

    def content(folder): return {hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.rglob('*.jpg')}
    for size, n_train in runs(tmp_path/'st').n_train.droplevel('seed').items():
        rows = photos.train(size)
        assert n_train == len(rows) and not tests & set(rows.sha256)
        assert set(rows.sha256) == content(tmp_path/'p'/str(size)) - tests
    assert tests & content(tmp_path/'p'/'10'), 'no trap: no photo of a small size folder is a test photo'


def test_csv_with_split_and_group(tmp_path, imgcls):
    folders(tmp_path/'p', fox=10, deer=10)
    lines = [f'p/{c}/{i:03}.jpg,{c},{"test" if i < 3 else "train"},g{i}'
             for c in ('fox', 'deer') for i in range(10)]
    (tmp_path/'list.csv').write_text('\n'.join(['path,label,split,group', *lines]))
    assert imgcls('study', tmp_path/'list.csv', *TINY, '--out', tmp_path/'st')[0] == 0
    test = Photos.load(tmp_path/'st'/'photos.parquet').test
    assert sorted(set(map(os.path.basename, test.path))) == ['000.jpg', '001.jpg', '002.jpg']
    assert set(runs(tmp_path/'st').n_test) == {6}


def test_photos_of_a_burst_stay_together_unless_it_is_switched_off(tmp_path, imgcls):
    "Two photos every ten minutes, 30 seconds apart: 80 bursts that the split may part or not."
    for c in ('fox', 'deer'):
        (tmp_path/'p'/c).mkdir(parents=True)
        for i in range(40):
            exif, taken = Image.Exif(), f'2024:05:01 {8+i//12:02}:{i//2%6*10:02}:{i%2*30:02}'
            exif[ExifTags.Base.Make] = exif[ExifTags.Base.Model] = 'Camera'
            exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] = taken
            Image.open(io.BytesIO(scene_bytes(c, i, side=48))).save(tmp_path/'p'/c/f'{i:03}.jpg', exif=exif)
    parted = {}
    for burst in ('60', '10', 'off'):
        args = ['study', tmp_path/'p', *TINY, '--sizes', '4', '--burst', burst, '--out', tmp_path/burst]
        code, _, err = imgcls(*args)
        df = Study(tmp_path/burst).photos.df
        pair = df.label + df.path.str[-7:-4].astype(int).floordiv(2).astype(str)
        parted[burst] = (df.groupby(pair).split.nunique() > 1).sum()
        assert code == 0 and ('burst' in err) == (burst == '60'), err
    assert parted['60'] == 0 < min(parted['10'], parted['off']), parted


def test_classes_short_and_test_share(tmp_path, imgcls):
    folders(tmp_path/'p', fox=20, deer=8, squirrel=12)
    some = ['--classes', 'fox,deer', '--sizes', '10', '--test', '0.5']
    args = ['study', tmp_path/'p', *TINY, *some, '--out', tmp_path/'st']
    code, _, err = imgcls(*args)
    assert code == 2 and "class 'deer' has 8 photos, size 10 needs 10" in err and '--short use-all' in err
    assert not (tmp_path/'st').exists()
    assert imgcls(*args, '--short', 'use-all')[0] == 0
    r = runs(tmp_path/'st').iloc[0]
    assert (r.n_train, r.n_test) == (10+4, 10+4) and Study(tmp_path/'st').classes == ['deer', 'fox']


def test_balance(tmp_path, imgcls):
    folders(tmp_path/'p', fox=20, deer=8)
    for how, n in (('none', 22), ('weights', 22), ('over', 32), ('under', 12)):
        args = [*TINY, '--epochs', '30', '--balance', how]
        assert imgcls('study', tmp_path/'p', *args, '--out', tmp_path/how)[0] == 0
        assert runs(tmp_path/how).n_train['all'].tolist() == [n], how
    probs = {how: Study(tmp_path/how).probs(Study(tmp_path/how).runs.run[0]) for how in ('none', 'weights')}
    deer = {k: p[-1, :, 0].mean() for k, p in probs.items()}
    assert deer['weights'] > deer['none'], 'weights for the rare class must make it likelier'


def test_seeds_recipes_and_archs(scenes, tmp_path, imgcls, monkeypatch):
    monkeypatch.setenv('IMGCLS_CACHE', str(tmp_path/'cache'))
    what = ['--arch', 'cifar_net,resnet18', '--weights', 'random', '--recipe', 'frozen,fastai']
    how = ['--res', '32', '--epochs', '1', '--sizes', '4', '--seeds', '2']
    code, out, err = imgcls('study', scenes, *what, *how, '--out', tmp_path/'st', '--json')
    assert code == 0, err
    d = json.loads(out)
    all_of_them = {(a, r, s) for a in ('cifar_net', 'resnet18') for r in ('frozen', 'fastai') for s in (0, 1)}
    assert {(r['arch'], r['recipe'], r['seed']) for r in d['runs']} == all_of_them
    assert {(r['recipe'], len(r['epochs'])) for r in d['runs']} == {('frozen', 1), ('fastai', 2)}
    st = Study(tmp_path/'st')
    needed = {*st.photos.test.path, *st.photos.train(4, 0).path, *st.photos.train(4, 1).path}
    assert d['features']['computed'] == 2*len(needed), 'features of both bodies count'
    phases = st.epochs.groupby('recipe').phase.unique().map(set)
    assert phases.to_dict() == dict(frozen={'head'}, fastai={'head', 'body'})


def test_weights_from_a_file(scenes, tmp_path, imgcls):
    from safetensors.torch import save_file
    file = tmp_path/'mine.safetensors'
    body = load_body(find_weights('cifar_net'), seed=7)
    save_file(body.module.state_dict(), file, metadata=dict(arch='cifar_net'))
    few = ['study', scenes, '--recipe', 'frozen', '--sizes', '5', '--seeds', '1', '--epochs', '1']
    code, out, err = imgcls(*few, '--weights', file, '--out', tmp_path/'st', '--json')
    assert code == 0, err
    assert [(r['arch'], r['weights']) for r in json.loads(out)['runs']] == [('cifar_net', 'mine.safetensors')]
    st = Study(tmp_path/'st')
    assert st.spec(st.runs.run[0]).weights['sha'] == body.sha
    save_file(body.module.state_dict(), tmp_path/'nameless.safetensors')
    code, _, err = imgcls(*few, '--weights', tmp_path/'nameless.safetensors', '--out', tmp_path/'other')
    assert code == 2 and '--arch' in err and not (tmp_path/'other').exists()


def test_random_weights_are_never_swapped_for_trained_ones(scenes, tmp_path, imgcls):
    few = ['--recipe', 'frozen', '--sizes', '5', '--seeds', '1', '--epochs', '1', '--res', '32']
    code, out, err = imgcls('study', scenes, *few, '--weights', 'random', '--out', tmp_path/'st', '--json')
    assert code == 0 and [r['weights'] for r in json.loads(out)['runs']] == ['random weights'], err


# ---- a folder as it comes from a phone, the web and an enemy

def jpeg(n, **kw):
    out = io.BytesIO()
    Image.open(io.BytesIO(scene_bytes('fox', n, side=64))).save(out, 'JPEG', **kw)
    return out.getvalue()


def in_format(img, fmt, **kw):
    out = io.BytesIO()
    img.save(out, fmt, **kw)
    return out.getvalue()


def huge_png():
    def chunk(c): return len(c[4:]).to_bytes(4, 'big') + c + zlib.crc32(c).to_bytes(4, 'big')
    header = b'IHDR' + (30_000).to_bytes(4, 'big')*2 + b'\x08\x02\0\0\0'
    return b'\x89PNG\r\n\x1a\n' + chunk(header) + chunk(b'IDAT' + zlib.compress(b'\0'*999)) + chunk(b'IEND')


def bad_photos():
    "name → (content, a part of the reason why it can't be used)"
    return {
        'empty.jpg': (b'', 'empty file'), 'cut.jpg': (jpeg(1)[:700], 'truncated'),
        'text.jpg': (b'dear diary', 'not a photo'), 'notes.txt': (b'hello', 'not a photo'),
        'dot.png': (in_format(Image.new('RGB', (1, 1)), 'PNG'), '1×1 pixels'),
        'bomb.png': (huge_png(), 'million pixels, the limit is'),
        '<script>alert(1)<%2Fscript>.jpg': (b'<html><script>alert(2)</script>', 'web page')}


def odd_photos():
    "name → content of photos that can be used"
    scene = [Image.open(io.BytesIO(scene_bytes('fox', 200+i, side=64))) for i in range(12)]
    turned = Image.Exif()
    turned[ExifTags.Base.Orientation] = 6
    palette = scene[2].convert('RGBA')
    palette.putalpha(Image.linear_gradient('L').resize((64, 64)))
    sixteen = Image.fromarray((np.asarray(scene[0].convert('L')).astype(np.uint16))*256)
    names = ('with space.jpg', 'fuchs 🦊.jpg', 'two\nlines.jpg', '<img src=x onerror=alert(1)>.jpg',
             "'; DROP TABLE photos; --.jpg")
    return {
        '16bit.png': in_format(sixteen, 'PNG'), 'print.jpg': in_format(scene[1].convert('CMYK'), 'JPEG'),
        'glass.png': in_format(palette.quantize(64), 'PNG'),
        'moving.gif': in_format(scene[3], 'GIF', save_all=True, append_images=scene[4:6]),
        'phone.jpg': in_format(scene[6].crop((0, 0, 64, 40)), 'JPEG', exif=turned),
        **{name: jpeg(301+i) for i, name in enumerate(names)}}


@pytest.mark.skipif(sys.platform == 'win32', reason='Windows knows no such names')
def test_odd_photos(tmp_path, capsys):
    photos, st = folders(tmp_path/'photos', fox=12, deer=14), tmp_path/'st'
    bad, odd = bad_photos(), odd_photos()
    for name, (content, _) in bad.items(): (photos/'fox'/name).write_bytes(content)
    for name, content in {**odd, '..hidden.jpg': jpeg(400)}.items(): (photos/'fox'/name).write_bytes(content)
    (photos/'<script>alert(3)<').mkdir()
    for i in range(6): (photos/'<script>alert(3)<'/f'{i}.jpg').write_bytes(scene_bytes('owl', i, side=48))
    before = tree(photos)
    assert cli.main(['study', str(photos), *TINY, '--sizes', '4', '--out', str(st), '--json']) == 0
    got = capsys.readouterr()
    d = json.loads(got.out)
    assert tree(photos) == before, "the user's folder was changed"
    kept = pd.read_csv(st/'skipped.csv', keep_default_na=False)
    told = dict(zip(kept.path.map(os.path.basename), kept.reason + ' ' + kept.text))
    assert told.keys() == bad.keys() and all(why in told[k] for k, (_, why) in bad.items()), told
    assert d['skipped'] == len(bad) and d['photos'] == 12+14+6+len(odd)
    assert f'{len(bad)} files left out; {st/"skipped.csv"} says why' in got.err
    page = (st/'report.html').read_text(encoding='utf-8')
    rest = without_scripts(page)
    assert '<script' not in rest
    assert all(' src="data:image/jpeg;base64,' in img for img in re.findall('<img[^>]*>', rest))
    assert '&lt;script&gt;alert(1)' in page and '&lt;script&gt;alert(3)' in page
    # what the first command wrote is shown again by the two others
    assert cli.main(['table', str(st)]) == 0 and cli.main(['report', str(st)]) == 0


# ---- explore and clean

@pytest.fixture
def st(scenes, tmp_path, imgcls):
    assert imgcls('study', scenes, *TINY, '--sizes', '10', '--out', tmp_path/'st')[0] == 0
    return tmp_path/'st'


def test_explore(st, tmp_path, imgcls):
    code, out, err = imgcls('explore', st)
    assert (code, err) == (0, '') and out.startswith(str(st/'explorer.html'))
    assert (st/'explorer.html').stat().st_size < 15e6
    told = json.loads(imgcls('explore', st, '--out', tmp_path/'e.html', '--json')[1])
    assert told == {'explorer': str(tmp_path/'e.html')}
    run = st/'runs'/Study(st).runs.run[0]
    assert imgcls('explore', run)[1].startswith(str(run/'explorer.html')) and len(Study(st).runs) == 1


def two_people(folder, photos):
    "Two journals that agree about one photo and differ about another."
    files = [folder/'ann.csv', folder/'bob.csv']
    df = photos.df[photos.df.split == 'train'].reset_index(drop=True)  # decisions change no test photo
    for file, new in zip(files, ('hare', 'owl')):
        j = Journal(file)
        j.decide(df.path[0], df.sha256[0], df.label[0], 'delete')
        j.decide(df.path[1], df.sha256[1], df.label[1], 'relabel', new)
    return files


def test_clean(st, scenes, tmp_path, imgcls):
    before, photos = tree(scenes), Study(st).photos
    code, out, err = imgcls('clean', st, '--json')
    d, t = json.loads(out), pd.read_csv(st/'candidates.csv')
    assert (code, err) == (0, '') and Path(d['page']).is_file()
    assert d['photos'] == t.path.nunique() and sum(d['reasons'].values()) == len(t)
    code, out, err = imgcls('clean', st, '--apply', *two_people(tmp_path, photos), '--move')
    assert code == 1 and err.count('\n') == 2 and 'another journal says something else' in err
    assert '1 deleted' in out and '1 photo left as before' in out
    cleaned = pd.read_csv(st/'cleaned.csv')
    gone = photos.df.index[photos.df.split == 'train'][0]
    assert cleaned.path.tolist() == photos.df.path.drop(gone).tolist()
    assert cleaned.label.tolist() == photos.df.label.drop(gone).tolist()
    assert len(tree(scenes)) == len(before)-1 and [*(st/'removed').rglob('*.jpg')]
    assert imgcls('clean', st, '--restore')[:2] == (0, f"1 restored from {st/'removed'}\n")
    assert tree(scenes) == before
    # the command that it prints makes the same study of the cleaned table, with the same test photos
    line, = [s for s in out.splitlines() if s.startswith('  imgcls study')]
    assert all(f'{TINY[i]} {TINY[i+1]}' in line for i in range(0, 8, 2)) and '--sizes 10 ' in line, line
    code, out, err = imgcls(*shlex.split(line)[1:])
    assert code == 0 and 'after cleaning on the' in ' '.join(out.split()), err
    assert [*Study(f'{st}-cleaned').runs['size'].astype(str)] == ['10']


def test_the_same_study_of_fewer_photos_uses_all_that_are_left(tmp_path):
    asked = SimpleNamespace(study='st/')
    st = SimpleNamespace(about=dict(settings=dict(options=['--sizes', '5,8,all', '--recipe', 'frozen'])))
    for n, more in {8: '', 7: ' --short use-all'}.items():
        photos = SimpleNamespace(df=pd.DataFrame(dict(split='train', label=['a']*9 + ['b']*n)))
        said = cli._study_again(asked, st, photos, 'a b.csv')
        assert said == f"imgcls study 'a b.csv' --sizes 5,8,all --recipe frozen{more} --out st-cleaned"


def test_no_spreadsheet_runs_what_the_command_writes(tmp_path, imgcls):
    photos, st = folders(tmp_path/'photos', fox=8, owl=8), tmp_path/'a study'
    (photos/'fox').rename(photos/'=fox')
    (photos/'owl'/'000.jpg').write_bytes(b'')
    shutil.copy(photos/'=fox'/'001.jpg', photos/'owl'/'x.jpg')
    assert imgcls('study', photos, *TINY, '--sizes', '4', '--out', st)[0] == 0
    row = Study(st).photos.df.query("split == 'train'").iloc[0]
    Journal(tmp_path/'j.csv').decide(row.path, row.sha256, row.label, 'relabel', 'owl')
    assert f" '{st}' " in imgcls('clean', st)[1]
    assert f" '{st}/cleaned.csv' " in imgcls('clean', st, '--apply', tmp_path/'j.csv')[1]
    for name in ('candidates', 'cleaned', 'skipped'):
        with open(st/f'{name}.csv', newline='') as f: rows = list(csv.reader(f))
        assert len(rows) > 1 and not [c for r in rows for c in r if c[:1] in ('=', '+', '@')], name
    assert {*read_csv(st/'cleaned.csv').label} == {*read_photos(st/'cleaned.csv').classes} == {'=fox', 'owl'}


def test_clean_mistakes(st, tmp_path, imgcls):
    (tmp_path/'x.csv').write_text('a,b\n1,2\n')
    for line in (['--apply', tmp_path/'none.csv'], ['--apply', tmp_path/'x.csv'], ['--move'], ['--restore'],
                 ['--reasons', 'ugly']):
        code, out, err = imgcls('clean', st, *line)
        assert (code, out, err.count('\n')) == (2, '', 1) and 'Traceback' not in err, line


# ---- disks

def test_out_that_cannot_be_made(scenes, tmp_path, imgcls):
    (tmp_path/'file').write_text('mine')
    for out in (tmp_path/'file'/'st', tmp_path/'file'):
        code, text, err = imgcls('study', scenes, *TINY, '--sizes', '5', '--out', out)
        assert (code, text) == (2, '') and err.count('\n') == 1 and str(out) in err, err
    assert (tmp_path/'file').read_text() == 'mine'


def test_a_user_without_a_home(tmp_path, imgcls, monkeypatch):
    pwd = pytest.importorskip('pwd')
    def nobody(_): raise KeyError('no such user')
    for name in ('HOME', 'IMGCLS_CACHE', 'XDG_CACHE_HOME'): monkeypatch.delenv(name, raising=False)
    for name in ('getpwuid', 'getpwnam'): monkeypatch.setattr(pwd, name, nobody)
    monkeypatch.chdir(tmp_path)
    for args, says in {('study', '~/x'): 'the home folder of ~/x is not known; write the whole path',
                       ('predict', '~/a', 'b.jpg'): 'the home folder of ~/a is not known',
                       ('study', 'synth', *TINY): 'set IMGCLS_CACHE to a folder'}.items():
        code, out, err = imgcls(*args)
        assert (code, out, err.count('\n')) == (2, '', 1) and says in err, err
    assert not [*tmp_path.iterdir()]


@pytest.fixture
def small_disk(tmp_path):
    "A disk of 300 kB."
    disk = tmp_path/'disk'
    disk.mkdir()
    mount = ['mount', '-t', 'tmpfs', '-o', 'size=300k', 'tmpfs', str(disk)]
    if sys.platform != 'linux' or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip('no right to make a disk')
    yield disk
    for lease in cache._LEASES.values(): lease.lock.close()  # where this process used a cache on the disk
    cache._LEASES.clear()
    subprocess.run(['umount', str(disk)], check=True)


def files(root): return sorted(p.relative_to(root).as_posix() for p in root.rglob('*') if p.is_file())


def test_full_disk_for_the_study(scenes, small_disk, imgcls):
    args = ['study', scenes, *TINY, '--sizes', '5,10', '--out', small_disk/'st']
    (small_disk/'fill').write_bytes(bytes(260_000))
    code, out, err = imgcls(*args)
    assert (code, out) == (2, '') and err.count('\n') == 1, err
    assert "can't write" in err and 'No space left' in err, err
    for f in files(small_disk):
        assert '/.' not in f, f'{f} is left over'
        if f.endswith('run.json'): json.loads((small_disk/f).read_text())
    (small_disk/'fill').unlink()
    code, _, err = imgcls(*args)
    assert code == 0 and len(Study(small_disk/'st').runs) == 2, err


def test_full_disk_for_the_features(scenes, small_disk, imgcls, monkeypatch, tmp_path):
    (small_disk/'fill').write_bytes(bytes(300_000))
    monkeypatch.setenv('IMGCLS_CACHE', str(small_disk))
    args = ['study', scenes, *TINY, '--sizes', '5', '--out', tmp_path/'st']
    code, out, err = imgcls(*args)
    assert (code, out) == (2, '') and err.count('\n') == 1, err
    assert 'No space left' in err and str(small_disk) in err, err
    assert [f for f in files(small_disk) if not f.startswith(('.lock', '.leases/', '.studies'))] == ['fill']
    (small_disk/'fill').unlink()
    assert imgcls(*args)[0] == 0


def test_cache_that_cannot_be_made(scenes, tmp_path, imgcls, monkeypatch):
    (tmp_path/'file').write_text('mine')
    monkeypatch.setenv('IMGCLS_CACHE', str(tmp_path/'file'/'cache'))
    code, _, err = imgcls('study', scenes, *TINY, '--out', tmp_path/'st')
    assert code == 2 and err.count('\n') == 1 and 'IMGCLS_CACHE' in err


# ---- what people type

def test_the_bare_command_shows_help_and_a_slip_gets_the_nearest_command(imgcls):
    with pytest.raises(SystemExit) as e: imgcls()
    assert e.value.code == 0
    code, out, err = imgcls('stduy')
    assert (code, out) == (2, '') and err.endswith('did you mean imgcls study?\n') and err.count('\n') == 1


def test_a_reader_that_leaves_early_is_no_mistake():
    code = 'import sys; from imgcls.cli import main; sys.exit(main())'
    p = subprocess.Popen([sys.executable, '-c', code, '--help'], env=os.environ | {'PYTHONUNBUFFERED': ''},
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    p.stdout.close()
    assert p.stderr.read() == b'' and p.wait(60) == 141
    p.stderr.close()
