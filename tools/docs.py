"""Render the site into _docs from nbs/_quarto.yml: with Quarto where it is installed, else with smalldocs.

The steps are those of `nbdev_docs`, which leaves out `_unlink_code` and makes README.md with Quarto.
"""
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

from nbdev.quarto import refresh_quarto_yml
from nbdev.serve import proc_nbs

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent


def _unlink_code(page):
    "nbdev also links the names in a signature's comments, where a link shows as [`name`](https://…)."
    nb = json.loads(page.read_text(encoding='utf-8'))
    for out in (o for c in nb['cells'] for o in c.get('outputs', [])):
        in_code, lines = False, out.get('data', {}).get('text/markdown', [])
        for i, line in enumerate(lines):
            if line.startswith('```'): in_code = not in_code
            if in_code: lines[i] = re.sub(r'\[(`[^`]+`)\]\([^)]*\)', r'\1', line)
    page.write_text(json.dumps(nb), encoding='utf-8')


def _plain_names(page):
    "Quarto names a page by `output-file` (10_data.decode.ipynb: data.decode.html), smalldocs by its file."
    text = re.sub(r'\boutput-file: .*?\\n', '', page.read_text(encoding='utf-8'))
    page.write_text(re.sub(r'\b\d\d_([\w.]+\.ipynb)', r'\1', text), encoding='utf-8')
    page.rename(page.with_name(re.sub(r'^\d\d_', '', page.name)))


def main():
    quarto = shutil.which('quarto')
    if not quarto and sys.version_info < (3, 11): sys.exit('make docs needs Quarto, or Python 3.11 or newer')
    refresh_quarto_yml()
    shutil.rmtree(ROOT/'_proc', ignore_errors=True)
    cache = proc_nbs(n_workers=2)
    pages = list(cache.rglob('*.ipynb'))
    for page in pages: _unlink_code(page)
    if quarto: subprocess.run([quarto, 'render', '--no-cache'], cwd=cache, check=True)
    else:
        for page in [*pages, cache/'sidebar.yml']: _plain_names(page)
        subprocess.run([BIN/'smalldocs', 'render', '--quiet', cache], check=True)
    shutil.rmtree(ROOT/'_docs', ignore_errors=True)
    shutil.move(cache/'_docs', ROOT/'_docs')
    print(f'The site is in {ROOT/"_docs"}: open index.html')


if __name__ == '__main__': main()
