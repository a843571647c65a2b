"""Render the site into _docs from nbs/_quarto.yml: with Quarto where it is installed, else with smalldocs.

The steps are those of `nbdev_docs`, which leaves out `_fold_tests`, `_unlink_code`, `_near` and the live
study, runs hidden cells, and makes README.md with Quarto.

    python tools/docs.py [--small]    # with a study of few photos in it, as tests want
"""
import ast
import gc
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import live
from execnb.nbio import read_nb, write_nb
from nbdev.config import get_config
from nbdev.processors import FilterDefaults
from nbdev.quarto import refresh_quarto_yml

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent


def _hidden(cell): return cell.cell_type == 'code' and re.search(r'^#\|\s*hide\s*$', cell.source, re.M)


def _prepare(cache):
    """What nbdev does to notebooks for a page, in `cache`, beside the other files: [page].

    nbdev runs the imports of hidden cells, too, which no page shows: a third of the time."""
    nbs, pages = ROOT/'nbs', []
    shutil.rmtree(cache, ignore_errors=True)
    shutil.copytree(nbs, cache, ignore=shutil.ignore_patterns('.*', '__*', '_[!q]*'))
    os.environ['IN_TEST'] = '1'
    for page in sorted(cache.rglob('*.ipynb')):
        nb = read_nb(page)
        nb.cells = [c for c in nb.cells if not _hidden(c)]
        FilterDefaults()(nb)
        write_nb(nb, page)
        pages.append(page)
    del os.environ['IN_TEST']
    return pages


def _tests(node):
    "Is this statement a test, or a block that holds one?"
    if isinstance(node, ast.Assert): return True
    name = getattr(getattr(node, 'func', None), 'id', '')
    if name.startswith('test_') or name == 'ExceptionExpected': return True
    return any(map(_tests, ast.iter_child_nodes(node)))


def _only_tests(cell):
    "Does this cell show nothing, and end with a test?"
    if cell['cell_type'] != 'code' or cell['outputs']: return False
    try: body = ast.parse(''.join(cell['source'])).body
    except SyntaxError: return False  # a magic
    return bool(body) and _tests(body[-1])


def _fold_tests(page):
    "Code that only tests is for those who want to check: it folds out."
    nb = json.loads(page.read_text(encoding='utf-8'))
    for c in filter(_only_tests, nb['cells']):
        c['source'] = '#| code-fold: true\n#| code-summary: Tests\n' + ''.join(c['source'])
    page.write_text(json.dumps(nb), encoding='utf-8')


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


SPACE = '\N{NO-BREAK SPACE}'
# the text of a cell such as 79.1 to 83.4
FIGURES = r'(?<=>)[-+−]?\d[\d.,]*(?:[ \N{NO-BREAK SPACE}](?:[-–%]|to|of|[-+−]?\d[\d.,]*))+(?=</t[dh]>)'


def _whole_figures(text):
    "Figures of a table, and all figures with their units, stay on one line; code and scripts are left alone."
    parts = re.split(r'(<(?:pre|code|script|style)\b.*?</(?:pre|code|script|style)>)', text, flags=re.S)
    for i in range(0, len(parts), 2):
        part = re.sub(r'(?<=\d) (?=%|(?:s|px|[kMG]B)\b)', SPACE, parts[i])
        parts[i] = re.sub(FIGURES, lambda m: m[0].replace(' ', SPACE), part)
    return ''.join(parts)


def _mend(page):
    "What smalldocs leaves out for those who read with a keyboard, a screen reader or a phone."
    text = page.read_text(encoding='utf-8')
    for pattern, new in MENDED: text = re.sub(pattern, new, text)
    page.write_text(_whole_figures(text), encoding='utf-8')


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
    cache = ROOT/'_proc'
    pages = _prepare(cache)
    gc.freeze()  # at exit, IPython collects garbage for each notebook: without this, 30 seconds in all
    for page in pages:
        _keep_first(page, ROOT/'nbs'/page.relative_to(cache))
        _fold_tests(page)
        _unlink_code(page)
        _near(page, cache)
    _live(cache, '--small' in sys.argv)
    if quarto: subprocess.run([quarto, 'render', '--no-cache'], cwd=cache, check=True)
    else: _smalldocs(cache, pages)
    shutil.rmtree(ROOT/'_docs', ignore_errors=True)
    shutil.move(cache/'_docs', ROOT/'_docs')
    print(f'The site is in {ROOT/"_docs"}: open index.html')


if __name__ == '__main__': main()
