"One palette: Python, style sheets and scripts take every colour from palette.json."
import json
import re
from pathlib import Path

import pytest

from imgcls.core import palette, shade
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
        if colours := re.findall(rf'''[:'"(]{HEX}(?=[;'"}})])''', text): found[path.name] = colours
    assert found == {}


def test_pages_find_all_colours_they_name():
    text = '\n'.join(p.read_text(encoding='utf-8') for p in PAGES)
    patterns = r'var\(--ic-([\w-]+)\)', r'\bcolours\.(?!js\b)(\w+)', r"\bcolours\['([\w-]+)'\]"
    names = {n for pattern in patterns for n in re.findall(pattern, text)}
    assert len(names) > 15 and names <= set(palette()['colours'])


def test_a_changed_colour_changes_everywhere(monkeypatch):
    "Styles and coloured cells follow the file; `make check` sees that scripts do, which are bundled with it."
    changed = json.loads(json.dumps(palette()).replace('#0b5cad', '#123456').replace('#08306b', '#654321'))
    monkeypatch.setattr('imgcls.explorer.page.palette', lambda: changed)
    monkeypatch.setattr('imgcls.core.palette', lambda: changed)
    assert '--ic-accent: #123456;' in static('style.css') and shade('right', 1) == ('#654321', 'white')


def test_scripts_hold_the_palette():
    stops = {stop for stops in palette()['ramps'].values() for stop in stops}
    assert all(colour in static('explorer.js') for colour in stops | {palette()['colours']['ink']})


@pytest.mark.parametrize('ramp', ['right', 'wrong', 'better', 'worse'])
def test_text_reads_on_every_shade(ramp):
    "At least 4.5:1, as WCAG asks of text."
    def light(colour):
        parts = [int(colour[i:i+2], 16)/255 for i in (1, 3, 5)]
        parts = [v/12.92 if v <= .04045 else ((v+.055)/1.055)**2.4 for v in parts]
        return .2126*parts[0]+.7152*parts[1]+.0722*parts[2]
    for i in range(101):
        fill, ink = shade(ramp, i/100)
        a, b = sorted([light(fill), dict(black=0, white=1)[ink]])
        assert (b+.05)/(a+.05) >= 4.5
