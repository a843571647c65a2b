"""Render the site into _docs from nbs/_quarto.yml: with Quarto where it is installed, else with smalldocs.

The steps are those of `nbdev_docs`, which leaves out `_unlink_code`, `_near` and the live study, and makes
README.md with Quarto.

    python tools/docs.py [--small]    # with a study of few photos in it, as tests want
"""
import gc
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import live
from nbdev.config import get_config
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


def _keep_first(page, source):
    "nbdev takes title and summary from the first cell and drops what else stands there: badges, a paragraph."
    first = ''.join(json.loads(source.read_text(encoding='utf-8'))['cells'][0]['source'])
    rest = re.sub(r'\A# .*\n+> .*\n*(- [\w-]+: .*\n*)*', '', first)
    if not rest: return
    nb = json.loads(page.read_text(encoding='utf-8'))
    nb['cells'].insert(1, dict(cell_type='markdown', id='rest', metadata={}, source=rest))
    page.write_text(json.dumps(nb), encoding='utf-8')


def _near(page, cache):
    "Links to the site's public address become links to the page beside, so that the site works anywhere."
    cfg = get_config()
    up = '../'*len(page.relative_to(cache).parent.parts) or './'
    text = page.read_text(encoding='utf-8').replace(f']({cfg.doc_host}{cfg.doc_baseurl}/', f']({up}')
    page.write_text(text, encoding='utf-8')


def _live(cache, small):
    "The study on the front page, where its `<!-- live -->` stands."
    live.make(cache, small)
    page = cache/'index.ipynb'
    nb = json.loads(page.read_text(encoding='utf-8'))
    for c in nb['cells']: c['source'] = ''.join(c['source']).replace('<!-- live -->', live.HTML)
    page.write_text(json.dumps(nb), encoding='utf-8')


def _plain_names(page):
    "Quarto names a page by `output-file` (10_data.decode.ipynb: data.decode.html), smalldocs by its file."
    text = re.sub(r'\boutput-file: .*?\\n', '', page.read_text(encoding='utf-8'))
    text = re.sub(r'(\]\((?!\w+:)[^)\s]*?|- [\w/]*)\b\d\d_([\w.]+\.ipynb)', r'\1\2', text)
    page.write_text(text, encoding='utf-8')
    page.rename(page.with_name(re.sub(r'^\d\d_', '', page.name)))


MENDED = [(r'<img (?![^>]*\balt=)', '<img alt="what the code above draws" '),
          (r'role="navigation" aria-expanded', 'role="button" tabindex="0" aria-expanded'),
          (r'<(pre|div class="(?:sd-table|cell-output cell-output-display[^"]*)")(?=[ >])',
           r'<\1 tabindex="0"'),
          (r'<th( style="[^"]*")?></th>', '<td></td>'),
          (r'<th( class="(?:blank|index_name)[^>]*)>\s*(?:&nbsp;|\xa0)?\s*</th>', r'<td\1></td>'),
          (r'<nav class="navbar ', '<nav aria-label="site" class="navbar '),
          (r'<nav class="quarto-secondary-nav', '<nav aria-label="this page" class="quarto-secondary-nav'),
          (r'<nav id="quarto-sidebar"', '<nav aria-label="all pages" id="quarto-sidebar"'),
          (r'<nav id="TOC"', '<nav aria-label="on this page" id="TOC"'),
          (r'<nav class="page-navigation"', '<nav aria-label="neighbours" class="page-navigation"'),
          (r'(<a [^>]*href="(?![a-z]+:)[^"]*?)(?:\b\d\d_)?([a-z_.]+)\.ipynb(?=["#])', r'\1\2.html'),
          (r'<div id="quarto-margin-sidebar"', '<div role="complementary" id="quarto-margin-sidebar"')]


def _mend(page):
    "What smalldocs leaves out for those who read with a keyboard or a screen reader."
    text = page.read_text(encoding='utf-8')
    for pattern, new in MENDED: text = re.sub(pattern, new, text)
    page.write_text(text, encoding='utf-8')


def _drop_guesses(pages):
    "nbdev links every name of the package; those that no page documents, such as `_private`, are no links."
    texts = {p.resolve(): p.read_text(encoding='utf-8') for p in pages}
    ids = {p: set(re.findall(r'\bid="([^"]+)"', text)) for p, text in texts.items()}
    for p, text in texts.items():
        def kept(m): return m[0] if m[2] in ids.get((p.parent/m[1]).resolve(), [m[2]]) else m[3]
        new = re.sub(r'<a href="([^"#:]+)#([\w.]+)">(<code>[^<]*</code>)</a>', kept, text)
        if new != text: p.write_text(new, encoding='utf-8')


def _finish(site):
    "Mend the pages; fonts come from the reader's machine, not from Google's."
    pages = [p for p in site.rglob('*.html') if p.name not in live.FILES]
    for page in pages: _mend(page)
    _drop_guesses(pages)
    for css in site.glob('site_libs/themes/*.css'):
        text = re.sub(r'@import url\([^)]*\);', '', css.read_text(encoding='utf-8'))
        css.write_text(text, encoding='utf-8')


def _smalldocs(cache, pages):
    for page in [*pages, cache/'sidebar.yml']: _plain_names(page)
    subprocess.run([BIN/'smalldocs', 'render', '--quiet', cache], check=True)
    _finish(cache/'_docs')


def main():
    quarto = shutil.which('quarto')
    if not quarto and sys.version_info < (3, 11): sys.exit('make docs needs Quarto, or Python 3.11 or newer')
    refresh_quarto_yml()
    shutil.rmtree(ROOT/'_proc', ignore_errors=True)
    cache = proc_nbs(n_workers=0)  # a second process would spend what it wins on imports
    gc.freeze()  # at exit, IPython collects garbage for each notebook: without this, 30 seconds in all
    pages = list(cache.rglob('*.ipynb'))
    for page in pages:
        _keep_first(page, ROOT/'nbs'/page.relative_to(cache))
        _unlink_code(page)
        _near(page, cache)
    _live(cache, '--small' in sys.argv)
    if quarto: subprocess.run([quarto, 'render', '--no-cache'], cwd=cache, check=True)
    else: _smalldocs(cache, pages)
    shutil.rmtree(ROOT/'_docs', ignore_errors=True)
    shutil.move(cache/'_docs', ROOT/'_docs')
    print(f'The site is in {ROOT/"_docs"}: open index.html')


if __name__ == '__main__': main()
