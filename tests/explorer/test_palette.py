"One palette: Python, style sheets and scripts take every colour from palette.json."
import json
import re
from pathlib import Path

import pytest

from imgcls.core import luminance, palette, shade
from imgcls.explorer.page import static

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = [p for d in ('common', 'explorer', 'cleaner') for p in sorted((ROOT/'js'/d).glob('*.js'))]
PAGES = [*sorted((ROOT/'imgcls'/'static').glob('*.css')), *SCRIPTS]
HEX = r'(?<![&\w])#(?:[0-9a-fA-F]{6}|[0-9a-fA-F]{3})\b'


@pytest.mark.parametrize('path', PAGES, ids=lambda p: f'{p.parent.name}/{p.name}')
def test_no_script_or_style_sheet_has_colours_of_its_own(path):
    assert re.findall(HEX, path.read_text(encoding='utf-8')) == []


def test_no_module_has_colours_of_its_own(root):
    found = {}
    for path in (root/'imgcls').rglob('*.py'):
        text = path.read_text(encoding='utf-8')
        colours = re.findall(rf'''[:'"(]({HEX})(?=[;'"}})])''', text)
        # black is what matplotlib takes where nobody says otherwise
        if others := set(colours) - {'#000000'}: found[path.name] = others
    assert found == {}


def test_pages_find_all_colours_they_name():
    text = '\n'.join(p.read_text(encoding='utf-8') for p in PAGES)
    patterns = r'var\(--ic-([\w-]+)\)', r'\bcolours\.(?!js\b)(\w+)', r"\bcolours\['([\w-]+)'\]"
    names = {n for pattern in patterns for n in re.findall(pattern, text)}
    assert len(names) > 15 and names <= set(palette()['colours'])
    assert palette()['dark'].keys() == palette()['colours'].keys()
    assert palette()['dark-ramps'].keys() == palette()['ramps'].keys()


def test_a_changed_colour_changes_everywhere(monkeypatch):
    "Styles and coloured cells follow the file; `make check` sees that scripts do, which are bundled with it."
    changed = json.loads(json.dumps(palette()).replace('#0b5cad', '#123456').replace('#08306b', '#654321'))
    monkeypatch.setattr('imgcls.explorer.page.palette', lambda: changed)
    monkeypatch.setattr('imgcls.core.palette', lambda: changed)
    assert '--ic-accent: light-dark(#123456, ' in static('style.css')
    assert shade('right', 1) == ('#654321', 'white')


def test_scripts_hold_the_palette():
    ramps = [*palette()['ramps'].values(), *palette()['dark-ramps'].values()]
    stops = {stop for ramp in ramps for stop in ramp}
    assert all(colour in static('explorer.js') for colour in stops | {palette()['colours']['ink']})


def contrast(*colours):
    "As WCAG measures it: text needs 4.5."
    low, high = sorted(luminance([int(c[i:i+2], 16) for i in (1, 3, 5)]) for c in colours)
    return (high+.05)/(low+.05)


@pytest.mark.parametrize('ramps', ['ramps', 'dark-ramps'])
@pytest.mark.parametrize('ramp', ['right', 'wrong', 'better', 'worse'])
def test_text_reads_on_every_shade(ramp, ramps, monkeypatch):
    changed = dict(palette(), ramps=palette()[ramps])
    monkeypatch.setattr('imgcls.core.palette', lambda: changed)
    for i in range(101):
        fill, ink = shade(ramp, i/100)
        assert contrast(fill, dict(black='#000000', white='#ffffff')[ink]) >= 4.5


@pytest.mark.parametrize('theme', ['colours', 'dark'])
def test_text_reads_on_every_ground(theme):
    c, plain = palette()[theme], ('paper', 'soft', 'accent-soft')
    grounds = {'ink': plain, 'soft-ink': plain, 'accent': plain, 'good': plain[:2], 'bad': plain[:2],
               'paper': ['accent', 'ink'], 'error': ['paper', 'error-soft'], 'keep': ['keep-soft'],
               'warn': ['warn-soft']}
    assert [(a, b) for a, on in grounds.items() for b in on if contrast(c[a], c[b]) < 4.5] == []
