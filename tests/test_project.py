"""The rules of the repository: imports between rooms, notebooks, what is installed, the site, git."""
import ast
import json
import re
import shutil
import subprocess
import sys
import time
from configparser import ConfigParser
from itertools import groupby
from pathlib import Path
from types import SimpleNamespace

import pytest

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted(p for p in (ROOT/'nbs').rglob('[!._]*.ipynb') if p.parent.name != '.ipynb_checkpoints')
ROOMS = {m[2]: int(m[1]) for p in (ROOT/'nbs/api').glob('*.ipynb') if (m := re.fullmatch(r'(\d\d)_([\w.]+)',
                                                                                         p.stem))}
each_notebook = pytest.mark.parametrize('path', NOTEBOOKS, ids=lambda p: p.stem)


def cells(path, kind):
    return [''.join(c['source']) for c in json.loads(path.read_text(encoding='utf-8'))['cells']
            if c['cell_type'] == kind]


def outputs(path):
    return [o for c in json.loads(path.read_text(encoding='utf-8'))['cells'] for o in c.get('outputs', [])]


def own_imports(source, package='imgcls'):
    """What `source`, in a file of `package`, imports from imgcls: [(room, name)], such as ('core', 'plural').

    The name is None where the room itself is imported."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import): found += [(a.name, None) for a in node.names]
        if not isinstance(node, ast.ImportFrom): continue
        above = package.split('.')[:len(package.split('.'))-node.level+1] if node.level else []
        base = '.'.join([*above, *filter(None, [node.module])])
        for a in node.names:
            whole = f'{base}.{a.name}'.removeprefix('imgcls.')
            found.append((f'imgcls.{whole}', None) if whole in ROOMS else (base, a.name))
    return [(room.removeprefix('imgcls.'), name) for room, name in found if room.startswith('imgcls.')]


def notebook_source(path):
    "A notebook's Python, without magics and shell lines."
    code = [s for s in cells(path, 'code') if not s.lstrip().startswith('%%')]
    return '\n'.join(re.sub(r'^\s*[%!].*$', '', s, flags=re.M) for s in code)


def settings():
    ini = ConfigParser(delimiters=['='])
    ini.read(ROOT/'settings.ini', encoding='utf-8')
    return ini['DEFAULT']


# Rooms

def test_room_numbers_are_unique():
    assert len(set(ROOMS.values())) == len(ROOMS) > 30


def test_rooms_of_a_package_stand_together():
    "Their numbers follow each other, so that the sidebar and the folders show the same order."
    packages = [room.partition('.')[0] for room in sorted(ROOMS, key=ROOMS.get)]
    together = [name for name, _ in groupby(packages)]
    assert len(together) == len({*together}), together


@each_notebook
def test_rooms_import_only_lower_rooms(path):
    room = re.sub(r'^\d\d_', '', path.stem)
    if room not in ROOMS: return  # the front page and lessons may import everything
    for other, name in own_imports(notebook_source(path)):
        # a notebook may import its own module, to show it as its reader will
        assert other in ROOMS, f'{path.name} imports imgcls.{other}, which no notebook makes'
        assert ROOMS[other] <= ROOMS[room], f'{path.name} imports imgcls.{other}, which comes later'
        if room != 'all': assert name != '*', f'{path.name}: import names from imgcls.{other}, not *'


def test_modules_import_only_lower_rooms():
    modules = {p.relative_to(ROOT/'imgcls').with_suffix('').as_posix().replace('/', '.'): p
               for p in (ROOT/'imgcls').rglob('*.py') if not p.name.startswith('_')}
    assert {*modules} == {*ROOMS}
    for room, p in modules.items():
        package = '.'.join(['imgcls', *room.split('.')[:-1]])
        for other, _ in own_imports(p.read_text(encoding='utf-8'), package):
            assert other in ROOMS, f'imgcls.{room} imports imgcls.{other}, which no notebook makes'
            assert ROOMS[other] < ROOMS[room], f'imgcls.{room} imports imgcls.{other}'


def test_own_imports_sees_every_form():
    lines = ('import imgcls.data.table', 'from imgcls.core import *', 'from ..core import plural',
             'from .split import take', 'from . import files', 'from imgcls.data import table',
             'from imgcls import __version__', 'import os')
    assert own_imports('\n'.join(lines), 'imgcls.data') == [
        ('data.table', None), ('core', '*'), ('core', 'plural'), ('data.split', 'take'), ('data.files', None),
        ('data.table', None)]


def test_tests_lie_in_the_folders_of_the_package():
    packages = {r.partition('.')[0] for r in ROOMS if '.' in r}
    folders = {p.parent.relative_to(ROOT/'tests').as_posix() for p in (ROOT/'tests').rglob('test_*.py')}
    assert folders - {'.'} <= packages


def test_no_data_in_attrs():
    "A DataFrame's attrs vanish in joins and copies; values of their own carry what belongs to a table."
    for p in [*(ROOT/'imgcls').rglob('*.py'), *NOTEBOOKS]:
        assert not re.search(r'\w\.attrs\b(?! = \{k: v for k, v in tag)',
                             p.read_text(encoding='utf-8')), f'{p.name} uses DataFrame.attrs'


# Notebooks

@each_notebook
def test_notebook_begins_with_title_and_summary(path):
    first = json.loads(path.read_text(encoding='utf-8'))['cells'][0]
    assert first['cell_type'] == 'markdown'
    assert re.match(r'# \S.*\n+> \S', ''.join(first['source'])), 'first cell: # title, then > summary'


@each_notebook
def test_notebook_names_its_kernel(path):
    "Without it JupyterLab asks which kernel to use; more than that is some tool's own affair."
    assert json.loads(path.read_text(encoding='utf-8'))['metadata'] == {
        'kernelspec': {'display_name': 'python3', 'language': 'python', 'name': 'python3'}}


@each_notebook
def test_notebook_has_no_error_and_carries_outputs(path):
    assert not [o for o in outputs(path) if o['output_type'] == 'error']
    code = [s for s in cells(path, 'code') if not re.search(r'^#\|\s*(export|hide|default_exp)', s, re.M)]
    if code: assert outputs(path), f'{path.name} has no output: run it before you commit it'


@each_notebook
def test_imports_stand_alone(path):
    "The docs tools run cells with imports, so nothing else may stand in these; exported cells run anyway."
    for source in cells(path, 'code'):
        if re.search(r'^#\|\s*export', source, re.M): continue
        body = ast.parse(re.sub(r'^\s*[%!].*', '', source, flags=re.M)).body
        kinds = {isinstance(node, (ast.Import, ast.ImportFrom)) for node in body}
        assert len(kinds) < 2, f'{path.name}: imports want a cell of their own:\n{source}'


# What is installed

def test_package_has_no_caps():
    for req in settings()['requirements'].split(): assert re.fullmatch(r'[\w.-]+(>=[\d.]+)?', req), req


def test_pyproject_agrees_with_settings():
    text = (ROOT/'pyproject.toml').read_text(encoding='utf-8')
    cfg = settings()
    assert f'\nname = "{cfg["lib_name"]}"\n' in text
    assert f'\nrequires-python = ">={cfg["min_python"]}"\n' in text
    assert f'\nlib_path = "{cfg["lib_path"]}"\n' in text


def test_version_has_one_source():
    import imgcls
    assert imgcls.__version__ == settings()['version']
    shown = subprocess.run([sys.executable, 'setup.py', '--version'], cwd=ROOT, capture_output=True,
                           text=True, check=True).stdout
    assert shown.strip().splitlines()[-1] == settings()['version']


def test_setup_needs_no_pkg_resources():
    code = ('import sys; sys.modules["pkg_resources"] = None; sys.argv = ["setup.py", "--version"]; '
            'exec(open("setup.py").read())')
    code = f'__file__ = "setup.py"; {code}'
    subprocess.run([sys.executable, '-c', code], cwd=ROOT, capture_output=True, check=True)


LIGHT = """
import sys
def check(brought, heavy, since=()):
    found = {m.split('.')[0] for m in sys.modules if m not in since} & {*heavy}
    assert not found, f'{brought} imports {found}'

import imgcls.training.calibration
check('calibration', ['torch', 'scipy', 'matplotlib'])
import imgcls.training.models, imgcls.training.features
check('models or features', ['fastai'])
import imgcls.studies.study
before = {*sys.modules}
import imgcls.studies.tables
check('tables', ['matplotlib', 'jinja2', 'scipy', 'torch', 'fastai', 'IPython'], before)
from imgcls.studies import made_up, plots
st = made_up.made_up_study({('a', 'b', 5): [.7, .8]})
for plot in plots.__all__: getattr(plots, plot)(st)._repr_png_()
assert 'matplotlib.pyplot' not in sys.modules, 'plots draw without pyplot, which keeps figures'
"""


STAR = """
import gc, sys
from imgcls.all import *
heavy = 'fastai', 'timm', 'torchvision', 'torch._dynamo', 'matplotlib', 'scipy', 'sklearn', 'cleanlab'
found = {*heavy} & {*sys.modules}
assert 'torch' in sys.modules and not found, f'the star import brings {found}'
assert gc.isenabled()
"""


@pytest.mark.parametrize('code', [LIGHT, STAR], ids=['rooms', 'star import'])
def test_no_more_is_imported_than_is_needed(code):
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-500:]


def star_imports(*modules):
    "What star imports bring: {name: value} of each module alone, and of both, one after the other."
    alone = [{}, {}]
    for names, module in zip(alone, modules): exec(f'from {module} import *', names)
    both = {}
    for module in modules: exec(f'from {module} import *', both)
    return alone, both


@pytest.mark.parametrize('order', [('imgcls.all', 'fastai.vision.all'), ('fastai.vision.all', 'imgcls.all')],
                         ids=['first', 'last'])
def test_star_imports_of_imgcls_and_fastai_live_together(order):
    alone, both = star_imports(*order)
    for names in alone:
        broken = [n for n, v in names.items() if n != '__builtins__' and both[n] is not v]
        assert not broken, f'{order}: {broken} mean something else when both are imported'


def test_star_import_hides_no_builtin():
    import builtins

    import imgcls.all
    assert not {*imgcls.all.__all__} & {*dir(builtins)} - {'__doc__'}


# The command

def test_help_is_quick_and_leaves_heavy_packages_alone():
    def run(*options):
        code = 'import sys; from imgcls.cli import main; sys.argv = ["imgcls", "--help"]; main()'
        start = time.perf_counter()
        done = subprocess.run([sys.executable, *options, '-c', code], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-500:]
        return time.perf_counter()-start, done
    _, done = run('-X', 'importtime')
    lines = [line for line in done.stderr.splitlines() if line.startswith('import time:')]
    loaded = {line.rsplit('|', 1)[1].strip() for line in lines}
    assert 'imgcls.cli' in loaded and 'study' in done.stdout
    assert not loaded & {'torch', 'fastai', 'timm', 'torchvision', 'pandas', 'numpy', 'matplotlib', 'scipy'}
    assert min(run()[0] for _ in range(3)) < .5  # the best of three: other work may run here


AT_FIRST_PHOTO = """
import os, sys
from imgcls.cli import main

def watch(event, args):
    if event != 'open' or not str(args[0]).endswith('.jpg'): return
    print(*sys.modules, file=sys.__stdout__, flush=True)
    os._exit(0)

sys.addaudithook(watch)
main()
"""


def test_a_study_reads_its_first_photo_before_it_loads_what_it_needs_later(tmp_path):
    from PIL import Image
    for name in ('a/1.jpg', 'a/2.jpg', 'b/1.jpg', 'b/2.jpg'):
        (tmp_path/name).parent.mkdir(exist_ok=True)
        Image.new('RGB', (64, 64)).save(tmp_path/name)
    command = [sys.executable, '-c', AT_FIRST_PHOTO, 'study', tmp_path, '--arch', 'efficientnet_lite0']
    done = subprocess.run(command, capture_output=True, text=True)
    loaded = {*done.stdout.split()}
    assert 'torch' in loaded, done.stderr[-500:]
    assert not loaded & {'fastai', 'matplotlib', 'scipy', 'IPython', 'ipywidgets', 'anywidget', 'sklearn',
                         'cleanlab', 'jinja2', 'aiohttp'}


NO_PHOTOS = [('empty', 'holds no photos'), ('nothing', 'there is no folder or file')]


@pytest.mark.parametrize('photos, said', NO_PHOTOS, ids=['empty', 'nothing'])
def test_what_holds_no_photos_is_said_before_torch_is_loaded(tmp_path, photos, said):
    (tmp_path/'empty').mkdir()
    code = 'import sys; from imgcls.cli import main; code = main(); print(code, "torch" in sys.modules)'
    command = [sys.executable, '-c', code, 'study', str(tmp_path/photos)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.stdout == '2 False\n' and said in done.stderr and done.stderr.count('\n') == 1


# git

def git(*args, cwd, ok=True):
    done = subprocess.run(['git', '-c', 'user.name=t', '-c', 'user.email=t@t', *args], cwd=cwd,
                          capture_output=True, text=True)
    assert not ok or done.returncode == 0, done.stderr
    return done


in_clone = pytest.mark.skipif(not (ROOT/'.git').exists() or not shutil.which('git'), reason='not a git clone')


@in_clone
def test_merge_driver_is_defined():
    named = git('check-attr', 'merge', 'nbs/index.ipynb', cwd=ROOT).stdout.strip().rsplit(' ', 1)[1]
    driver = git('config', f'merge.{named}.driver', cwd=ROOT, ok=False).stdout.strip()
    assert driver, f'this clone does not define the merge driver {named} of .gitattributes: run make setup'
    assert Path(re.match(r'"(.*?)"', driver)[1]).exists(), driver


@in_clone
def test_merging_keeps_a_notebook_valid(tmp_path):
    "Both sides ran the notebook and one also changed a cell: text merging would leave markers in the JSON."
    def notebook(first, shown):
        cell = lambda i, src, out: dict(cell_type='code', execution_count=None, id=f'c{i}', metadata={},
                                        source=[src], outputs=[
            dict(output_type='stream', name='stdout', text=[out])])
        cells = [cell(0, first, 'one\n'), cell(1, 'print("two")', shown)]
        return json.dumps(dict(cells=cells, metadata={}, nbformat=4, nbformat_minor=5), indent=1)+'\n'
    git('init', '-q', '-b', 'main', cwd=tmp_path)
    git('config', 'merge.nbdev-merge.driver',
        git('config', 'merge.nbdev-merge.driver', cwd=ROOT).stdout.strip(), cwd=tmp_path)
    for name in ('.gitattributes', 'settings.ini', 'pyproject.toml'): shutil.copy(ROOT/name, tmp_path)
    nb = tmp_path/'a.ipynb'
    def commit(text, msg):
        nb.write_text(text, newline='\n')
        git('add', '.', cwd=tmp_path)
        git('commit', '-qm', msg, cwd=tmp_path)
    commit(notebook('print("one")', '0 s\n'), 'base')
    git('checkout', '-qb', 'theirs', cwd=tmp_path)
    commit(notebook('print("one")', '1 s\n'), 'theirs')
    git('checkout', '-q', 'main', cwd=tmp_path)
    commit(notebook('print("eins")', '2 s\n'), 'ours')
    git('merge', 'theirs', cwd=tmp_path)
    merged = json.loads(nb.read_text())
    assert ''.join(merged['cells'][0]['source']) == 'print("eins")'
    assert not any('<<<<<<<' in ''.join(c['source']) for c in merged['cells'])


def test_saving_in_jupyter_cleans(monkeypatch, load_tool):
    pytest.importorskip('nbdev')
    monkeypatch.chdir(ROOT)
    scope = {'c': SimpleNamespace(ContentsManager=SimpleNamespace())}
    exec(load_tool('hooks').SAVE_HOOK, scope)
    code = dict(cell_type='code', id='a', execution_count=7, metadata={'scrolled': True}, source='1',
                outputs=[])
    content = dict(cells=[code], metadata={'junk': 1}, nbformat=4, nbformat_minor=5)
    scope['c'].ContentsManager.pre_save_hook(model=dict(type='notebook', content=content), path='',
                                             contents_manager=None)
    assert content['metadata'] == {} and code['execution_count'] is None and code['metadata'] == {}


# The site, the README and CI

def test_sidebar_lists_every_notebook():
    listed = re.findall(r'- (\S+\.ipynb)', (ROOT/'nbs/sidebar.yml').read_text(encoding='utf-8'))
    assert sorted(listed) == sorted(p.relative_to(ROOT/'nbs').as_posix() for p in NOTEBOOKS)


def test_sidebar_shows_lessons_first_and_in_order():
    listed = re.findall(r'- (\S+\.ipynb)', (ROOT/'nbs/sidebar.yml').read_text(encoding='utf-8'))
    lessons = [p for p in listed if re.match(r'course/\d', p)]
    assert listed[0] == 'index.ipynb' and listed[1:1+len(lessons)] == lessons == sorted(lessons)
    last = max(i for i, p in enumerate(listed) if p.startswith('course/'))
    assert not any(p.startswith('api/') for p in listed[:last])


def test_tables_of_the_front_page_are_those_of_the_benchmarks(load_tool):
    try: figures = load_tool('figures')
    except ImportError: pytest.skip('the tables are made with execnb, which is not in this environment')
    made = [s for page in figures.PAGES for s in cells(page, 'markdown') if figures.MADE.match(s)]
    assert len(made) > 7
    for s in made: assert s == figures.fill(s), f'run `make prepare`: {s.splitlines()[0]} is not up to date'


def test_front_page_is_prose():
    assert cells(ROOT/'nbs/index.ipynb', 'code') == []


def test_readme_is_short():
    "At most two screens before the tables for reference."
    text = (ROOT/'README.md').read_text(encoding='utf-8').partition('## Where it runs')[0]
    assert len(text.splitlines()) < 100


def test_workflow_actions_are_pinned():
    used = [u for p in (ROOT/'.github/workflows').glob('*.yml') for u in re.findall(r'uses: *(\S+)',
                                                                                    p.read_text(encoding='utf-8'))]
    assert used and all(re.fullmatch(r'[\w./-]+@[0-9a-f]{40}', u) for u in used), used


@pytest.fixture(scope='module')
def readme(load_tool):
    try: return load_tool('readme')
    except ImportError: pytest.skip('the README is made with nbdev 2, which is not in this environment')


def test_readme_tables_survive_github(readme):
    "GitHub drops style sheets but shows their text, and a blank line ends an HTML block."
    html = ('<div>\n<style scoped>\n .dataframe {}\n\n</style>\n<table class="dataframe">\n\n'
            '    <tr><td style="x">1</td></tr></table></div>')
    assert readme._plain_table(html) == '<table>\n<tr><td>1</td></tr></table>'


def test_readme_links_start_at_the_root(readme):
    source = '[a](api/00_core.ipynb) [b](https://x.org/y) [c](#part) ![d](pic.png)'
    want = '[a](nbs/api/00_core.ipynb) [b](https://x.org/y) [c](#part) ![d](nbs/pic.png)'
    assert readme._from_root(source) == want


def test_readme_keeps_title_options_tables_and_pictures(readme, tmp_path):
    cell = lambda kind, source, *outs: dict(cell_type=kind, id=source.encode().hex()[-16:], metadata={},
                                            source=source, **(
        dict(execution_count=None, outputs=list(outs)) if kind == 'code' else {}))
    shown = lambda **data: dict(output_type='display_data', metadata={},
                                data={k.replace('_', '/'): v for k, v in data.items()})
    nb = dict(nbformat=4, nbformat_minor=5, metadata={}, cells=[
        cell('markdown', '# name\n\n> A claim'),
        cell('code', '#| hide\nsecret = 1'),
        cell('code', '#| echo: false\nframe',
             shown(text_html='<table><tr><td>7</td></tr></table>', text_plain='7')),
        cell('code', '#| fig-alt: A curve\nplot()', shown(image_png='aGk=', text_plain='<Figure>'))])
    (tmp_path/'index.ipynb').write_text(json.dumps(nb))
    text, files = readme.render(tmp_path/'index.ipynb')
    assert text.startswith('# name\n\n> A claim\n')
    assert 'secret' not in text and 'frame' not in text and '<td>7</td>' in text
    assert '```python\nplot()\n```' in text and '![A curve](index_files/figure-1.png)' in text
    assert '<Figure>' not in text
    assert files == {'index_files/figure-1.png': b'hi'}
