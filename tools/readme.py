"""Make README.md and its pictures from nbs/index.ipynb, as `nbdev_readme` does, but without Quarto."""
import base64
import re
import sys
from pathlib import Path

import yaml
from bs4 import BeautifulSoup
from execnb.nbio import nb2str, read_nb
from nbconvert import MarkdownExporter
from nbdev.processors import FilterDefaults
from nbformat import reads

ROOT = Path(__file__).resolve().parents[1]
PICTURES = 'index_files'


def _plain_table(html):
    "`html` as GitHub shows it: no styles, scripts or classes; no blank lines, which would end the block."
    soup = BeautifulSoup(html, 'html.parser')
    for tag in soup(['style', 'script']): tag.decompose()
    kept = 'href', 'src', 'alt', 'align', 'colspan', 'rowspan'
    for tag in soup(True): tag.attrs = {k: v for k, v in tag.attrs.items() if k in kept}
    for tag in soup('div'): tag.unwrap()
    return '\n'.join(line.strip() for line in str(soup).splitlines() if line.strip())


def _front_matter(cell):
    "nbdev turns the title cell into front matter for Quarto; a README wants the title back."
    meta = yaml.safe_load(cell.source.strip().strip('-'))
    cell.cell_type = 'markdown'
    cell.source = f'# {meta["title"]}\n\n> {meta["description"]}'


def _from_root(source):
    "Markdown with the links that are relative to nbs/ made relative to the README."
    return re.sub(r'(\]\()(?!\w+:|[#/])', r'\1nbs/', source)


def _options(source):
    "Split a code cell into its `#| key: value` options and the code below them."
    lines = source.splitlines()
    n = next((i for i, line in enumerate(lines) if not line.startswith('#|')), len(lines))
    options = '\n'.join(line[2:].strip() for line in lines[:n] if ':' in line)
    return yaml.safe_load(options) or {}, '\n'.join(lines[n:]).strip()


def render(index=ROOT/'nbs/index.ipynb'):
    "The README's text and its pictures, as a dict from path to bytes."
    nb = read_nb(index)
    FilterDefaults()(nb)
    nb = reads(nb2str(nb), as_version=4)
    files = {}
    for cell in nb.cells:
        if cell.cell_type == 'raw' and cell.source.startswith('---'): _front_matter(cell)
        if cell.cell_type == 'markdown': cell.source = _from_root(cell.source)
        if cell.cell_type != 'code': continue
        opts, cell.source = _options(cell.source)
        if opts.get('echo') is False: cell.source = ''
        for out in cell.outputs:
            data = out.get('data', {})
            if 'image/png' in data:
                name = f'{PICTURES}/figure-{len(files)+1}.png'
                files[name] = base64.b64decode(data['image/png'])
                caption = opts.get('fig-cap') or opts.get('fig-alt') or ''
                out['data'] = {'text/markdown': f'![{caption}]({name})'}
            elif 'text/html' in data: out['data'] = {'text/html': _plain_table(data['text/html'])}
    nb.metadata['language_info'] = {'name': 'python'}
    text = MarkdownExporter().from_notebook_node(nb)[0]
    text = re.sub(r'^```(?:python)?\n\s*```$', '', text, flags=re.M)   # cells that show their output alone
    text = '\n'.join(line.rstrip() for line in text.splitlines())
    return re.sub(r'\n{3,}', '\n\n', text).strip()+'\n', files


def main():
    text, files = render()
    (ROOT/'README.md').write_text(text, encoding='utf-8')
    for old in (ROOT/PICTURES).glob('*.png'): old.unlink()
    for name, data in files.items():
        (ROOT/name).parent.mkdir(exist_ok=True)
        (ROOT/name).write_bytes(data)
    print(f'README.md: {len(text):,} characters, {len(files)} pictures', file=sys.stderr)


if __name__ == '__main__': main()
