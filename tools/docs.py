"""Render the site into _docs: with Quarto where it is installed, else offline with smalldocs, both from nbs/_quarto.yml."""
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent


def main():
    if shutil.which('quarto'):
        (ROOT/'README.md').touch()  # ours is newer than index.ipynb, so nbdev_docs leaves it alone
        subprocess.run([BIN/'nbdev_docs', '--n_workers', '2'], cwd=ROOT, check=True)
        return
    if sys.version_info < (3, 11): sys.exit('make docs needs Quarto, or Python 3.11 or newer')
    from nbdev.quarto import refresh_quarto_yml
    from nbdev.serve import proc_nbs
    refresh_quarto_yml()
    shutil.rmtree(ROOT/'_proc', ignore_errors=True)
    cache = proc_nbs(n_workers=2)
    subprocess.run([BIN/'smalldocs', 'render', '--quiet', cache], cwd=ROOT, check=True)
    shutil.rmtree(ROOT/'_docs', ignore_errors=True)
    shutil.move(cache/'_docs', ROOT/'_docs')
    print(f'The site is in {ROOT/"_docs"}: open index.html')


if __name__ == '__main__': main()
