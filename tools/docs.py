"""Render the site into _docs: with Quarto where it is installed, else offline with smalldocs, both from nbs/_quarto.yml."""
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent


def _plain_names(cache):
    "Quarto names a page by its `output-file` (02_data.ipynb makes data.html, and links say so); smalldocs by its notebook."
    for page in [*cache.rglob('*.ipynb'), cache/'sidebar.yml']:
        text = page.read_text(encoding='utf-8')
        text = re.sub(r'\boutput-file: .*?\\n', '', text)
        page.write_text(re.sub(r'\b\d+[a-zA-Z0-9]*_(\w+\.ipynb)', r'\1', text), encoding='utf-8')
        if page.suffix == '.ipynb': page.rename(page.with_name(re.sub(r'^\d+[a-zA-Z0-9]*_', '', page.name)))


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
    _plain_names(cache)
    subprocess.run([BIN/'smalldocs', 'render', '--quiet', cache], cwd=ROOT, check=True)
    shutil.rmtree(ROOT/'_docs', ignore_errors=True)
    shutil.move(cache/'_docs', ROOT/'_docs')
    print(f'The site is in {ROOT/"_docs"}: open index.html')


if __name__ == '__main__': main()
