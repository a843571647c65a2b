"""Is what is made from notebooks and js/ up to date, and are both clean? If not, say what to do, exit 1."""
import filecmp
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import bundle
import environment
from execnb.nbio import nb2str, read_nb
from nbdev.clean import clean_nb
from readme import PICTURES, ROOT, render

BIN = Path(sys.executable).parent
RIGHT = 'docments', 'firs', 'fro', 'nd'  # words that codespell takes for slips


def _exported():
    "Export the notebooks in a copy of the tree and compare with the package: [what differs]."
    with tempfile.TemporaryDirectory() as tmp:
        tmp = Path(tmp)
        shutil.copytree(ROOT/'nbs', tmp/'nbs', ignore=shutil.ignore_patterns('.*', '_*'))
        for name in ('settings.ini', 'pyproject.toml'): shutil.copy(ROOT/name, tmp)
        (tmp/'imgcls').mkdir()
        env = {k: v for k, v in os.environ.items() if k != 'IN_TEST'}
        subprocess.run([BIN/'nbdev_export'], cwd=tmp, env=env, check=True)
        modules = lambda d: {p.relative_to(d).as_posix() for p in (d/'imgcls').rglob('*.py')}
        fresh, ours = modules(tmp), modules(ROOT)
        stale = [f'{f} (no notebook makes it: remove it)' for f in ours-fresh]
        changed = [f for f in fresh if f not in ours or not filecmp.cmp(tmp/f, ROOT/f, shallow=False)]
        return sorted(stale+changed)


def _notebooks():
    "All notebooks, without the copies that JupyterLab keeps of those it has opened."
    return [p for p in sorted((ROOT/'nbs').rglob('[!._]*.ipynb')) if p.parent.name != '.ipynb_checkpoints']


def _unclean():
    "Notebooks that `nbdev_clean` would change."
    def clean(p):
        nb = read_nb(p)
        clean_nb(nb)
        return nb2str(nb)
    return [p.relative_to(ROOT).as_posix() for p in _notebooks() if clean(p) != p.read_text(encoding='utf-8')]


def _readme():
    "README.md and its pictures where they differ from what index.ipynb renders to."
    text, files = render()
    files = {'README.md': text.encode(), **files}
    there = {'README.md', *(f'{PICTURES}/{p.name}' for p in (ROOT/PICTURES).glob('*'))}
    fresh = lambda f: f in files and (ROOT/f).exists() and (ROOT/f).read_bytes() == files[f]
    return sorted(f for f in there | set(files) if not fresh(f))


def _environment():
    "environment.yml where it is not what settings.ini asks for."
    there = ROOT/'environment.yml'
    return [] if there.read_text(encoding='utf-8') == environment.render() else [there.name]


def _texts():
    "What people read: the cells of each notebook, and README.md."
    texts = {'README.md': (ROOT/'README.md').read_text(encoding='utf-8')}
    for p in _notebooks():
        texts[p.relative_to(ROOT).as_posix()] = '\n'.join(c.source for c in read_nb(p).cells)
    return texts


def misspelt(texts):
    "Slips that codespell knows, a line each; `texts` is {name: text}."
    with tempfile.TemporaryDirectory() as tmp:
        for name, text in texts.items():
            (Path(tmp)/name).parent.mkdir(parents=True, exist_ok=True)
            (Path(tmp)/name).write_text(text.replace('**', ''), encoding='utf-8')  # **S**uggestion
        done = subprocess.run([BIN/'codespell', '-L', ','.join(RIGHT), tmp], capture_output=True, text=True)
        if done.stderr: sys.exit(f'check: codespell failed: {done.stderr}')
        return [line.removeprefix(f'{tmp}/').removeprefix('./') for line in done.stdout.splitlines()]


def main():
    bad = False
    checks = [('the package is not what the notebooks export', _exported),
              ('notebooks are not clean', _unclean),
              ('README.md is not what nbs/index.ipynb renders', _readme),
              ('environment.yml is not what settings.ini asks for', _environment),
              ('scripts of the package are not what js/ gives', bundle.stale)]
    for what, check in checks:
        if found := check():
            bad = True
            print(f'check: {what}: {", ".join(found)}; run `make prepare` and commit', file=sys.stderr)
    if found := misspelt(_texts()):
        bad = True
        print('check: misspelt (a word that is right goes to RIGHT in tools/check.py):', *found, sep='\n',
              file=sys.stderr)
    ruff = [BIN/'ruff', 'check', '--quiet', '--output-format', 'concise', ROOT]
    bad |= subprocess.run(ruff, cwd=ROOT).returncode != 0
    if bad: sys.exit(1)
    print('check: all that is made from notebooks, settings and js/ is fresh; ruff and codespell are content')


if __name__ == '__main__': main()
