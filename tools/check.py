"""Is everything that is made from the notebooks up to date, and are they clean? Changes nothing; exits 1 and says what to do."""
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
        fresh, ours = ({p.relative_to(d).as_posix() for p in (d/'imgcls').rglob('*.py')} for d in (tmp, ROOT))
        stale = [f'{f} (no notebook makes it: remove it)' for f in ours-fresh]
        return sorted(stale+[f for f in fresh if f not in ours or not filecmp.cmp(tmp/f, ROOT/f, shallow=False)])


def _unclean():
    "Notebooks that `nbdev_clean` would change."
    def clean(p):
        nb = read_nb(p)
        clean_nb(nb)
        return nb2str(nb)
    return [p.relative_to(ROOT).as_posix() for p in sorted((ROOT/'nbs').rglob('[!._]*.ipynb')) if clean(p) != p.read_text(encoding='utf-8')]


def _readme():
    "README.md and its pictures where they differ from what index.ipynb renders to."
    text, files = render()
    files = {'README.md': text.encode(), **files}
    there = {'README.md', *(f'{PICTURES}/{p.name}' for p in (ROOT/PICTURES).glob('*'))}
    return sorted(f for f in there | set(files) if f not in files or not (ROOT/f).exists() or (ROOT/f).read_bytes() != files[f])


def main():
    bad = False
    for what, check in [('the package is not what the notebooks export', _exported), ('notebooks are not clean', _unclean),
                        ('README.md is not what nbs/index.ipynb renders', _readme)]:
        if found := check():
            bad = True
            print(f'check: {what}: {", ".join(found)}; run `make prepare` and commit', file=sys.stderr)
    bad |= subprocess.run([BIN/'ruff', 'check', '--quiet', '--output-format', 'concise', ROOT], cwd=ROOT).returncode != 0
    if bad: sys.exit(1)
    print('check: the package, README.md and the notebooks agree; ruff is content')


if __name__ == '__main__': main()
