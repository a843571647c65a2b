"""The rules of the repository: how rooms import each other, what notebooks look like, what is installed, what git does with them."""
import ast
import importlib.util
import json
import re
import shutil
import subprocess
import sys
import time
from configparser import ConfigParser
from pathlib import Path
from types import SimpleNamespace

import pytest

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted((ROOT/'nbs').rglob('[!._]*.ipynb'))
ROOMS = {m[2]: m[1] for p in NOTEBOOKS if (m := re.fullmatch(r'(\d\d[a-z]?)_(\w+)\.ipynb', p.name))}  # 05 < 05a < 06
each_notebook = pytest.mark.parametrize('path', NOTEBOOKS, ids=lambda p: p.stem)


def cells(path, kind):
    return [''.join(c['source']) for c in json.loads(path.read_text(encoding='utf-8'))['cells'] if c['cell_type'] == kind]


def outputs(path):
    return [o for c in json.loads(path.read_text(encoding='utf-8'))['cells'] for o in c.get('outputs', [])]


def own_imports(source):
    "What `source` imports from imgcls: [(room, name)]; the name is None for `import imgcls.room`."
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom):
            full = ('imgcls.' if node.level else '')+(node.module or '')
            if full == 'imgcls' or full == 'imgcls.': found += [(a.name, None) for a in node.names if a.name != '__version__']
            elif full.startswith('imgcls.'): found += [(full.split('.')[1], a.name) for a in node.names]
        elif isinstance(node, ast.Import): found += [(a.name.split('.')[1], None) for a in node.names if a.name.startswith('imgcls.')]
    return found


def notebook_source(path):
    "A notebook's Python, without magics and shell lines."
    return '\n'.join(re.sub(r'^\s*[%!].*$', '', s, flags=re.M) for s in cells(path, 'code') if not s.lstrip().startswith('%%'))


def settings():
    ini = ConfigParser(delimiters=['='])
    ini.read(ROOT/'settings.ini', encoding='utf-8')
    return ini['DEFAULT']


# Rooms

def test_room_numbers_are_unique():
    assert len(set(ROOMS.values())) == len(ROOMS)


@each_notebook
def test_rooms_import_only_lower_rooms(path):
    room = re.sub(r'^\d\d[a-z]?_', '', path.stem)
    if room not in ROOMS: return  # index and lessons may import everything
    for other, name in own_imports(notebook_source(path)):
        # a notebook may import its own module, to show it as its reader will
        assert other in ROOMS, f'{path.name} imports imgcls.{other}, which no notebook makes'
        assert ROOMS[other] <= ROOMS[room], f'{path.name} imports imgcls.{other}, a higher room'
        if room != 'all': assert name != '*', f'{path.name}: import names from imgcls.{other}, not *'


def test_modules_import_only_lower_rooms():
    modules = [p for p in (ROOT/'imgcls').glob('*.py') if not p.name.startswith('_')]
    assert {p.stem for p in modules} == set(ROOMS)
    for p in modules:
        for other, _ in own_imports(p.read_text(encoding='utf-8')):
            assert other in ROOMS, f'imgcls.{p.stem} imports imgcls.{other}, which no notebook makes'
            assert ROOMS[other] < ROOMS[p.stem], f'imgcls.{p.stem} imports imgcls.{other}'


def test_own_imports_sees_every_form():
    lines = 'import imgcls.data', 'from imgcls.core import *', 'from . import synth', 'from .study import Study', 'from imgcls import cli'
    assert own_imports('\n'.join(lines)) == [('data', None), ('core', '*'), ('synth', None), ('study', 'Study'), ('cli', None)]


# Notebooks

@each_notebook
def test_notebook_begins_with_title_and_summary(path):
    nb = json.loads(path.read_text(encoding='utf-8'))
    first = nb['cells'][0]
    assert first['cell_type'] == 'markdown' and re.match(r'# \S.*\n+> \S', ''.join(first['source'])), 'first cell: # title, then > summary'


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
    "The docs tools run cells with imports, so that nothing else may stand in these; exported cells are run anyway."
    for source in cells(path, 'code'):
        if re.search(r'^#\|\s*export', source, re.M): continue
        kinds = {isinstance(node, (ast.Import, ast.ImportFrom)) for node in ast.parse(re.sub('^[%!].*', '', source, flags=re.M)).body}
        assert len(kinds) < 2, f'{path.name}: imports want a cell of their own:\n{source}'


@pytest.mark.slow
def test_the_site_renders(tmp_path):
    if not shutil.which('smalldocs', path=Path(sys.executable).parent): pytest.skip('smalldocs is not in this environment')
    for name in subprocess.run(['git', 'ls-files', 'nbs', 'imgcls', 'tools', 'settings.ini'], cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines():
        (tmp_path/name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT/name, tmp_path/name)
    done = subprocess.run([sys.executable, tmp_path/'tools'/'docs.py'], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    pages = {p.stem for p in (tmp_path/'_docs').glob('*.html')}
    assert {re.sub(r'^\d\d[a-z]?_', '', p.stem) for p in NOTEBOOKS} <= pages
    assert '<iframe title=' in (tmp_path/'_docs'/'explorer.html').read_text(encoding='utf-8')


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
    shown = subprocess.run([sys.executable, 'setup.py', '--version'], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert shown.strip().splitlines()[-1] == settings()['version']


def test_setup_needs_no_pkg_resources():
    code = 'import sys; sys.modules["pkg_resources"] = None; sys.argv = ["setup.py", "--version"]; exec(open("setup.py").read())'
    code = f'__file__ = "setup.py"; {code}'
    subprocess.run([sys.executable, '-c', code], cwd=ROOT, capture_output=True, check=True)


def test_importing_everything_is_quiet():
    done = subprocess.run([sys.executable, '-c', 'import imgcls.all, fastai.vision.all'], capture_output=True, text=True, check=True)
    assert done.stderr == ''


# The command

def test_help_is_quick_and_leaves_heavy_packages_alone():
    def run(*options):
        code = 'import sys; from imgcls.cli import main; sys.argv = ["imgcls", "--help"]; main()'
        start = time.perf_counter()
        done = subprocess.run([sys.executable, *options, '-c', code], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-500:]
        return time.perf_counter()-start, done
    _, done = run('-X', 'importtime')
    loaded = {line.rsplit('|', 1)[1].strip() for line in done.stderr.splitlines() if line.startswith('import time:')}
    assert 'imgcls.cli' in loaded and 'study' in done.stdout
    assert not loaded & {'torch', 'fastai', 'timm', 'torchvision', 'pandas', 'numpy', 'matplotlib', 'scipy'}
    assert min(run()[0] for _ in range(3)) < .5  # the best of three: other work may run here


# git

def git(*args, cwd, ok=True):
    done = subprocess.run(['git', '-c', 'user.name=t', '-c', 'user.email=t@t', *args], cwd=cwd, capture_output=True, text=True)
    assert not ok or done.returncode == 0, done.stderr
    return done


in_clone = pytest.mark.skipif(not (ROOT/'.git').exists() or not shutil.which('git'), reason='not a git clone')


@in_clone
def test_merge_driver_is_defined():
    named = git('check-attr', 'merge', 'nbs/index.ipynb', cwd=ROOT).stdout.strip().rsplit(' ', 1)[1]
    driver = git('config', f'merge.{named}.driver', cwd=ROOT, ok=False).stdout.strip()
    assert driver, f'.gitattributes names the merge driver {named}, which this clone does not define: run make setup'
    assert Path(re.match(r'"(.*?)"', driver)[1]).exists(), driver


@in_clone
def test_merging_keeps_a_notebook_valid(tmp_path):
    "Both sides ran the notebook and one also changed a cell: text merging would leave markers in the JSON."
    def notebook(first, shown):
        cell = lambda i, src, out: dict(cell_type='code', execution_count=None, id=f'c{i}', metadata={}, source=[src], outputs=[
            dict(output_type='stream', name='stdout', text=[out])])
        cells = [cell(0, first, 'one\n'), cell(1, 'print("two")', shown)]
        return json.dumps(dict(cells=cells, metadata={}, nbformat=4, nbformat_minor=5), indent=1)+'\n'
    git('init', '-q', '-b', 'main', cwd=tmp_path)
    git('config', 'merge.nbdev-merge.driver', git('config', 'merge.nbdev-merge.driver', cwd=ROOT).stdout.strip(), cwd=tmp_path)
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


def load_tool(name):
    spec = importlib.util.spec_from_file_location(name, ROOT/f'tools/{name}.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_saving_in_jupyter_cleans(monkeypatch):
    pytest.importorskip('nbdev')
    monkeypatch.chdir(ROOT)
    scope = {'c': SimpleNamespace(ContentsManager=SimpleNamespace())}
    exec(load_tool('hooks').SAVE_HOOK, scope)
    code = dict(cell_type='code', id='a', execution_count=7, metadata={'scrolled': True}, source='1', outputs=[])
    content = dict(cells=[code], metadata={'junk': 1}, nbformat=4, nbformat_minor=5)
    scope['c'].ContentsManager.pre_save_hook(model=dict(type='notebook', content=content), path='', contents_manager=None)
    assert content['metadata'] == {} and code['execution_count'] is None and code['metadata'] == {}


# The site, the README and CI

def test_sidebar_lists_every_notebook():
    listed = re.findall(r'- (\S+\.ipynb)', (ROOT/'nbs/sidebar.yml').read_text(encoding='utf-8'))
    assert sorted(listed) == sorted(p.relative_to(ROOT/'nbs').as_posix() for p in NOTEBOOKS)


def test_workflow_actions_are_pinned():
    used = [u for p in (ROOT/'.github/workflows').glob('*.yml') for u in re.findall(r'uses: *(\S+)', p.read_text(encoding='utf-8'))]
    assert used and all(re.fullmatch(r'[\w./-]+@[0-9a-f]{40}', u) for u in used), used


@pytest.fixture(scope='module')
def readme():
    try: return load_tool('readme')
    except ImportError: pytest.skip('the README is made with nbdev 2, which is not in this environment')


def test_readme_tables_survive_github(readme):
    "GitHub drops style sheets but shows their text, and a blank line ends an HTML block."
    html = '<div>\n<style scoped>\n .dataframe {}\n\n</style>\n<table class="dataframe">\n\n    <tr><td style="x">1</td></tr></table></div>'
    assert readme._plain_table(html) == '<table>\n<tr><td>1</td></tr></table>'


def test_readme_links_start_at_the_root(readme):
    source = '[a](00_core.ipynb) [b](https://x.org/y) [c](#part) ![d](pic.png)'
    assert readme._from_root(source) == '[a](nbs/00_core.ipynb) [b](https://x.org/y) [c](#part) ![d](nbs/pic.png)'


def test_readme_keeps_title_options_tables_and_pictures(readme, tmp_path):
    cell = lambda kind, source, *outs: dict(cell_type=kind, id=source.encode().hex()[-16:], metadata={}, source=source, **(
        dict(execution_count=None, outputs=list(outs)) if kind == 'code' else {}))
    shown = lambda **data: dict(output_type='display_data', metadata={}, data={k.replace('_', '/'): v for k, v in data.items()})
    nb = dict(nbformat=4, nbformat_minor=5, metadata={}, cells=[
        cell('markdown', '# name\n\n> A claim'),
        cell('code', '#| hide\nsecret = 1'),
        cell('code', '#| echo: false\nframe', shown(text_html='<table><tr><td>7</td></tr></table>', text_plain='7')),
        cell('code', '#| fig-alt: A curve\nplot()', shown(image_png='aGk=', text_plain='<Figure>'))])
    (tmp_path/'index.ipynb').write_text(json.dumps(nb))
    text, files = readme.render(tmp_path/'index.ipynb')
    assert text.startswith('# name\n\n> A claim\n')
    assert 'secret' not in text and 'frame' not in text and '<td>7</td>' in text
    assert '```python\nplot()\n```' in text and '![A curve](index_files/figure-1.png)' in text and '<Figure>' not in text
    assert files == {'index_files/figure-1.png': b'hi'}
