"""Where people run imgcls: the container, Codespaces, conda, the workflows, and how make installs."""
import fnmatch
import http.client
import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import time
from configparser import ConfigParser
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]
WORKFLOWS = sorted((ROOT/'.github/workflows').glob('*.yml'))
DEPENDABOT = ROOT/'.github/dependabot.yml'
PAGE = ROOT/'nbs/course/where_to_run.ipynb'


def settings():
    ini = ConfigParser(delimiters=['='])
    ini.read(ROOT/'settings.ini', encoding='utf-8')
    return ini['DEFAULT']


def tool(name):
    "A command of this environment."
    found = shutil.which(name, path=Path(sys.executable).parent)
    if not found: pytest.skip(f'{name} is not in this environment')
    return found


def run(*command, **kw):
    done = subprocess.run(command, capture_output=True, text=True, **kw)
    assert done.returncode == 0, done.stdout[-3000:]+done.stderr[-3000:]
    return done.stdout


def targets():
    return {*re.findall(r'^([a-z-]+):(?!=)', (ROOT/'Makefile').read_text(encoding='utf-8'), re.M)}


def requirements(*kinds):
    return {Requirement(r).name: r for kind in kinds for r in settings()[kind].split()}


# The container. No engine runs here: its steps are read and made in a folder.

def steps():
    "The instructions of the Dockerfile: [(name, rest)], without comments, one line each."
    text = re.sub(r'^\s*#.*\n', '', (ROOT/'Dockerfile').read_text(encoding='utf-8'), flags=re.M)
    lines = re.sub(r'\\\n\s*', ' ', text).splitlines()
    return [tuple(line.split(maxsplit=1)) for line in lines if line.strip()]


def rest(name): return [words for kind, words in steps() if kind == name]


def learner():
    "The name and number of the user whom a RUN step makes."
    return re.search(r'useradd .*--uid (?P<uid>\d+) .*?(?P<name>\w+)\s+&&', rest('RUN')[0]).groupdict()


def ignored(path):
    "Does .dockerignore keep `path` out? The last line that matches it or a folder above it decides."
    out = False
    for line in (ROOT/'.dockerignore').read_text(encoding='utf-8').splitlines():
        pattern = line.removeprefix('!')
        if line.startswith('#') or not line: continue
        if any(fnmatch.fnmatch(p.as_posix(), pattern) for p in [path, *path.parents][:-1]):
            out = not line.startswith('!')
    return out


def sent():
    "The files that an engine would be sent."
    found = {Path(d, f).relative_to(ROOT) for top in ('imgcls', 'nbs', '.git', 'tests', 'tools')
             for d, _, files in os.walk(ROOT/top) for f in files}
    found |= {p.relative_to(ROOT) for p in ROOT.iterdir() if p.is_file()}
    return {p for p in found if not ignored(p)}


@pytest.fixture(scope='module')
def image(tmp_path_factory):
    "The folders of the image after its COPY steps: (root, the folder of the last WORKDIR)."
    image, here, context = tmp_path_factory.mktemp('image'), Path('/'), sent()
    for kind, words in steps():
        if kind == 'WORKDIR': here = Path(words)
        if kind != 'COPY': continue
        *sources, target = [w for w in words.split() if not w.startswith('--')]
        for source in sources:
            files = [p for p in context if p == Path(source) or Path(source) in p.parents]
            assert files, f'COPY {source}: there is no such file, or .dockerignore leaves it out'
            for p in files:
                inside = p.relative_to(source) if (ROOT/source).is_dir() else p.name
                to = image/str(here/target).lstrip('/')/inside
                to.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT/p, to)
    return image, image/str(here).lstrip('/')


def test_the_dockerfile_passes_its_linter(): run(tool('hadolint'), ROOT/'Dockerfile')


def test_the_image_starts_from_exactly_one_base(load_tool):
    base, = rest('FROM')
    assert re.fullmatch(r'python:(\d+\.\d+)\.\d+-slim-\w+@sha256:[0-9a-f]{64}', base)
    assert base.startswith(f"python:{load_tool('environment').PYTHON}.")


def test_the_image_holds_no_secret_and_runs_as_a_user():
    set_ = ' '.join(rest('ARG')+rest('ENV'))
    assert not re.search('token|passw|secret|key', set_, re.I)
    user, = rest('USER')
    assert int(user) > 0 and learner()['uid'] == user
    kinds = [kind for kind, _ in steps()]
    assert kinds.index('USER') < kinds.index('CMD')


def test_nothing_but_package_and_lessons_is_sent_to_the_engine():
    tops = {p.parts[0] for p in sent()}
    assert tops == {'LICENSE', 'MANIFEST.in', 'README.md', 'pyproject.toml', 'settings.ini', 'setup.py',
                    'imgcls', 'nbs'}
    assert {p.parts[1] for p in sent() if p.parts[0] == 'nbs'} == {'course'}
    assert not [p for p in sent() if '__pycache__' in p.parts]


def test_the_image_installs_what_settings_name():
    known = requirements('requirements', 'dev_requirements')
    commands = [shlex.split(part) for words in rest('RUN') for part in words.split('&&')]
    named = [w for c in commands if c[:2] == ['pip', 'install'] for w in c[2:] if not w.startswith('--')]
    assert '.' in named and {'torch', 'jupyterlab'} < {*named} and {*named}-{'.'} <= {*known}


@pytest.mark.parametrize('option', ['cpu', 'cu130'])
def test_one_build_argument_chooses_the_torch(option):
    name, default = rest('ARG')[0].split('=')
    assert default == 'cpu' and f'https://download.pytorch.org/whl/${{{name}}}' in rest('ENV')[0]
    usage = (ROOT/'Dockerfile').read_text(encoding='utf-8')
    if option != default: assert f'--build-arg {name}={option}' in usage


@pytest.mark.slow
def test_the_package_in_the_image_is_whole(image, tmp_path):
    run(sys.executable, '-m', 'pip', 'install', '--quiet', '--no-deps', '--no-index', '--no-build-isolation',
        '--target', tmp_path, image[0]/'opt/imgcls')
    files = lambda top: {p.relative_to(top).as_posix() for p in (top/'imgcls').rglob('*')
                         if p.is_file() and '__pycache__' not in p.parts}
    assert files(tmp_path) == files(ROOT)
    assert 'study' in run(tmp_path/'bin/imgcls', '--help', env=os.environ | dict(PYTHONPATH=str(tmp_path)))


def wait_for(port):
    for _ in range(100):
        with socket.socket() as s:
            if s.connect_ex(('127.0.0.1', port)) == 0: return
        time.sleep(.2)


@pytest.fixture
def lab(image, tmp_path):
    "JupyterLab, started by the image's CMD: (port, the address that it prints)."
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        port = s.getsockname()[1]
    here = rest('CMD')[0].replace('--ip=0.0.0.0', '--ip=127.0.0.1').replace('--port=8888', f'--port={port}')
    command = json.loads(here)
    command[0] = tool(command[0])
    if not os.geteuid(): command.append('--allow-root')
    env = {k: v for k, v in os.environ.items() if not k.startswith('JUPYTER')} | dict(HOME=str(tmp_path))
    with subprocess.Popen(command, cwd=image[1], env=env, stderr=subprocess.PIPE, text=True) as server:
        try:
            found = (re.search(r'http://127\.0\.0\.1\S+token=\S+', line) for line in server.stderr)
            address = next(m[0] for m in found if m)
            wait_for(port)
            yield port, address
        finally: server.terminate()


def status(port, path):
    connection = http.client.HTTPConnection('127.0.0.1', port, timeout=30)
    connection.request('GET', path)
    return connection.getresponse().status


@pytest.mark.slow
@pytest.mark.skipif(os.name == 'nt', reason='the image is a Linux')
def test_the_container_opens_lesson_1_and_asks_for_the_token(lab):
    port, address = lab
    path, token = re.fullmatch(r'http://127\.0\.0\.1:\d+(\S+)\?token=(\S+)', address).groups()
    assert path == '/lab/tree/01_first_classifier.ipynb'
    file = '/api/contents/01_first_classifier.ipynb?content=0'
    assert status(port, f'{file}&token={token}') == 200 and status(port, file) == 403
    assert f":{rest('EXPOSE')[0]}" in f":{re.search('--port=([0-9]+)', rest('CMD')[0])[1]}"


def test_a_codespace_uses_the_container():
    file = ROOT/'.devcontainer/devcontainer.json'
    about = json.loads(file.read_text(encoding='utf-8'))
    assert (file.parent/about['build']['dockerfile']).resolve() == ROOT/'Dockerfile'
    assert (file.parent/about['build']['context']).resolve() == ROOT
    assert about['remoteUser'] == learner()['name']
    assert [str(p) for p in about['forwardPorts']] == [*about['portsAttributes']] == rest('EXPOSE')
    for name in about['customizations']['codespaces']['openFiles']: assert (ROOT/name).is_file()


# conda and pip

def test_environment_has_every_requirement_and_nothing_else():
    about = yaml.safe_load((ROOT/'environment.yml').read_text(encoding='utf-8'))
    *conda, pip = about['dependencies']
    assert {Requirement(r).name if r[0] != '-' else r: r for r in pip['pip']} == {
        **requirements('requirements', 'dev_requirements'), '-e .': '-e .'}
    python, = [d.partition('=')[2] for d in conda if d.startswith('python=')]
    assert tuple(map(int, python.split('.'))) >= tuple(map(int, settings()['min_python'].split('.')))


def test_environment_is_made_from_the_settings(tmp_path, load_tool):
    environment = load_tool('environment')
    assert (ROOT/'environment.yml').read_text(encoding='utf-8') == environment.render()
    ini = (ROOT/'settings.ini').read_text(encoding='utf-8')
    (tmp_path/'settings.ini').write_text(ini.replace('\nrequirements = ', '\nrequirements = polars '))
    assert 'polars' in yaml.safe_load(environment.render(tmp_path/'settings.ini'))['dependencies'][-1]['pip']


def test_pyproject_says_nothing_else_than_settings():
    about = pytest.importorskip('tomllib').loads((ROOT/'pyproject.toml').read_text(encoding='utf-8'))
    cfg, plain = settings(), lambda v: str(v).lower()
    assert about['project'].pop('dynamic') and about['project'] == {
        'name': cfg['lib_name'], 'requires-python': f">={cfg['min_python']}"}
    for key, value in about['tool']['nbdev'].items(): assert plain(value) == plain(cfg[key]), key
    assert about['tool']['ruff']['target-version'] == f"py{cfg['min_python'].replace('.', '')}"


# How make installs

FAKE_PIP = '''
import sys, time
print('Collecting torch'); print('  Downloading torch-9.whl (848.2 MB)'); time.sleep(.2)
print('Installing collected packages: fastai, torch, timm')
print('WARNING: not now'); print('ERROR: a and b differ')
sys.exit('ERROR: the disk is full' if 'fail' in sys.argv else 0)
'''


@pytest.fixture
def install(monkeypatch, load_tool):
    "A function that installs with a pip that only talks."
    def run(*args):
        tool = load_tool('install')
        monkeypatch.setattr(tool, 'PIP', [sys.executable, '-c', FAKE_PIP])
        monkeypatch.setattr(sys, 'argv', ['install.py', *args])
        tool.main()
    return run


def test_installing_names_each_step_and_how_long_it_takes(install, capsys):
    install()
    out, err = capsys.readouterr()
    first, took, second, took_too = out.splitlines()
    assert 'downloading' in first and 'Unpacking 3 packages' in second
    assert all(re.search(r'usually .* minutes', s) for s in (first, second))
    assert all(re.fullmatch(r'  \d+ s', s) for s in (took, took_too)) and err == 'ERROR: a and b differ\n'


def test_installing_shows_on_a_terminal_what_is_downloaded(install, monkeypatch, capsys):
    monkeypatch.setattr(sys.stdout, 'isatty', lambda: True, raising=False)
    monkeypatch.setitem(globals(), 'FAKE_PIP', FAKE_PIP.replace('sleep(.2)', 'sleep(1.2)'))
    install()
    assert '  Downloading torch-9.whl (848.2 MB)' in capsys.readouterr().out.replace('\r', '\n')


def test_when_installing_fails_pip_says_why(install):
    with pytest.raises(SystemExit) as e: install('fail')
    assert 'ERROR: the disk is full' in str(e.value) and 'Collecting torch' in str(e.value)


# Workflows

@pytest.mark.parametrize('kind, files', [('github-workflows', WORKFLOWS), ('dependabot', [DEPENDABOT])])
def test_workflows_have_the_form_that_github_reads(kind, files):
    run(tool('check-jsonschema'), '--builtin-schema', f'vendor.{kind}', *files)


def test_workflows_are_safe(): run(tool('zizmor'), '--offline', '--no-progress', ROOT/'.github')


def test_every_lesson_runs_each_week_with_the_newest_of_everything():
    about = yaml.safe_load((ROOT/'.github/workflows/course.yml').read_text(encoding='utf-8'))
    assert re.fullmatch(r'\d+ \d+ \* \* \d', about[True]['schedule'][0]['cron'])  # YAML reads `on` as true
    ran = [s['run'] for job in about['jobs'].values() for s in job['steps'] if 'run' in s]
    assert 'make course-latest' in ran
    recipe = run('make', '--dry-run', 'course-latest', cwd=ROOT)
    assert '--upgrade' in recipe and re.search(r'tools/course\.py .*--dry', recipe)


def commands():
    "Where a file tells people or machines to run something: {file: text}."
    texts = {p.name: p.read_text(encoding='utf-8') for p in WORKFLOWS}
    prose = '\n'.join(''.join(c['source']) for c in json.loads(PAGE.read_text(encoding='utf-8'))['cells'])
    texts[PAGE.name] = '\n'.join(re.findall(r'```\w*\n(.*?)```', prose, re.S))
    return texts


def test_commands_name_targets_of_the_makefile():
    for file, text in commands().items():
        named = {*re.findall(r'(?:^|: |&& )make ([a-z-]+)', text, re.M)}
        assert named <= targets(), f'{file}: the Makefile has no {named-targets()}'


def test_the_page_gives_the_commands_of_the_dockerfile():
    page, usage = commands()[PAGE.name], (ROOT/'Dockerfile').read_text(encoding='utf-8')
    docker = [line for line in page.splitlines() if line.startswith('docker ')]
    assert len(docker) >= 4
    for line in docker: assert line.split(' #')[0].strip() in usage, f'the Dockerfile has no line "{line}"'
