"One palette: Python, style sheets and scripts take every colour from palette.json."
import json
import re
from importlib.resources import files

import pytest

from imgcls.core import palette, shade
from imgcls.explorer.page import static

STATIC = files('imgcls').joinpath('static')
PAGES = sorted(p.name for p in STATIC.iterdir() if p.name.endswith(('.js', '.css')))
HEX = r'(?<![&\w])#(?:[0-9a-fA-F]{6}|[0-9a-fA-F]{3})\b'


@pytest.mark.parametrize('name', PAGES)
def test_no_script_or_style_sheet_has_colours_of_its_own(name):
    assert re.findall(HEX, STATIC.joinpath(name).read_text(encoding='utf-8')) == []


def test_no_module_has_colours_of_its_own(root):
    found = {}
    for path in (root/'imgcls').rglob('*.py'):
        text = path.read_text(encoding='utf-8')
        if colours := re.findall(rf'''[:'"(]{HEX}(?=[;'"}})])''', text): found[path.name] = colours
    assert found == {}


def test_pages_find_all_colours_they_name():
    text = '\n'.join(STATIC.joinpath(n).read_text(encoding='utf-8') for n in PAGES)
    names = {n for pattern in (r'var\(--ic-([\w-]+)\)', r'\bcolours\.(\w+)', r"\bcolours\['([\w-]+)'\]")
             for n in re.findall(pattern, text)}
    assert len(names) > 15 and names <= set(palette()['colours'])


def test_a_changed_colour_changes_everywhere(monkeypatch):
    "Styles, scripts and coloured cells follow the file."
    changed = json.loads(json.dumps(palette()).replace('#0b5cad', '#123456').replace('#08306b', '#654321'))
    monkeypatch.setattr('imgcls.explorer.page.palette', lambda: changed)
    monkeypatch.setattr('imgcls.core.palette', lambda: changed)
    assert '--ic-accent: #123456;' in static('style.css') and '#654321' in static('common.js', 'explorer.js')
    assert shade('right', 1) == ('#654321', 'white')


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
