"""Is what is made from notebooks up to date, and are they clean? If not, say what to do and exit 1."""
import filecmp
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from execnb.nbio import nb2str, read_nb
from nbdev.clean import clean_nb
from readme import PICTURES, ROOT, render

BIN = Path(sys.executable).parent


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


def _unclean():
    "Notebooks that `nbdev_clean` would change."
    def clean(p):
        nb = read_nb(p)
        clean_nb(nb)
        return nb2str(nb)
    notebooks = sorted((ROOT/'nbs').rglob('[!._]*.ipynb'))
    return [p.relative_to(ROOT).as_posix() for p in notebooks if clean(p) != p.read_text(encoding='utf-8')]


def _readme():
    "README.md and its pictures where they differ from what index.ipynb renders to."
    text, files = render()
    files = {'README.md': text.encode(), **files}
    there = {'README.md', *(f'{PICTURES}/{p.name}' for p in (ROOT/PICTURES).glob('*'))}
    fresh = lambda f: f in files and (ROOT/f).exists() and (ROOT/f).read_bytes() == files[f]
    return sorted(f for f in there | set(files) if not fresh(f))


def main():
    bad = False
    checks = [('the package is not what the notebooks export', _exported),
              ('notebooks are not clean', _unclean),
              ('README.md is not what nbs/index.ipynb renders', _readme)]
    for what, check in checks:
        if found := check():
            bad = True
            print(f'check: {what}: {", ".join(found)}; run `make prepare` and commit', file=sys.stderr)
    ruff = [BIN/'ruff', 'check', '--quiet', '--output-format', 'concise', ROOT]
    bad |= subprocess.run(ruff, cwd=ROOT).returncode != 0
    if bad: sys.exit(1)
    print('check: the package, README.md and the notebooks agree; ruff is content')


if __name__ == '__main__': main()
