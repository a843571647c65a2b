"""Names that every system takes, and folders that an earlier version made."""
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imgcls.core import UserError
from imgcls.gather.shelf import safe_name


@pytest.mark.parametrize(
    'text, name',
    [
        ('fox', 'fox'),
        ('Vulpes vulpes', 'Vulpes vulpes'),
        ('AC/DC', 'AC_DC'),
        ('a\\b', 'a_b'),
        ('C:fox', 'C_fox'),
        ('../../x.jpg', '_.._x.jpg'),
        ('.git', 'git'),
        ('CON', '_CON'),
        ('con.jpg', '_con.jpg'),
        ('LPT1 .txt', '_LPT1 .txt'),
        ('COM¹', '_COM¹'),
        ('console', 'console'),
        ('fox.', 'fox'),
        ('fox ', 'fox'),
        (' . fox', 'fox'),
        ('a\0b', 'a_b'),
        ('a\nb', 'a_b'),
        ('a\u00a0b', 'a b'),
        ('a\u202eb', 'ab'),
        ('\ufefffox', 'fox'),
        ('cafe\u0301', 'café'),
        ('Ångström', 'Ångström'),
        ('🦊', '🦊'),
        ('-rf', '-rf'),
        ('~', '~'),
        ('a  b', 'a b'),
        ('what?*', 'what__'),
        ('<b>', '_b_'),
        ('x\ud800y', 'x_y'),
        ('٣', '٣'),
    ],
)
def test_names(text, name):
    assert safe_name(text) == name


@pytest.mark.parametrize(
    'text', ['', ' ', '.', '..', '...', '/', '//', '\0', '\u200b', '_', '.. ..', '\u202e', '???']
)
def test_no_name(text):
    with pytest.raises(UserError, match='no name for a folder'):
        safe_name(text)


@settings(max_examples=400, deadline=None)
@given(
    st.text(max_size=200)
    | st.text(st.characters(categories=('Mn', 'Lu', 'Cf', 'Zs', 'Cc', 'Po')), min_size=20, max_size=200)
)
def test_any_name_is_safe_or_refused(text):
    try:
        name = safe_name(text)
    except UserError:
        return
    assert 0 < len(name.encode()) <= 100 and name == name.strip(' ') and name[0] != '.' and name[-1] != '.'
    assert not set(name) & set('/\\:*?"<>|\0') and all(unicodedata.category(c) != 'Cc' for c in name)
    assert name == unicodedata.normalize('NFC', name) == safe_name(name)


def test_long_names_stay_apart_and_can_be_made(tmp_path):
    names = {safe_name('é'*n) for n in range(90, 130)} | {safe_name('x'*n) for n in range(95, 130)}
    assert len(names) == 40 + 35
    for n in names: (tmp_path/n).mkdir()
