"""What `from imgcls.all import *` adds to what it imports: each option is explained in its help."""
import pydoc

import pytest

import imgcls.all as everything


def shown_help(f): return pydoc.plain(pydoc.render_doc(f))


@pytest.mark.parametrize('name, option', [
    ('explore', 'nearest\n        compute features that are missing'),
    ('clean', 'journal\n        the file of decisions'),
    ('predict', 'photos\n        a path, a folder'),
    ('report', 'path\n        where to'),
    ('model', "run\n        name of a run; '': the one that the headline speaks of")])
def test_help_of_a_method_of_a_study_explains_its_options(name, option):
    text = shown_help(getattr(everything.Study, name))
    assert 'Parameters\n    ----------' in text and option in text and 'Returns' in text
    assert '\n    self\n' not in text and text.count('Parameters') == 1


def test_help_of_a_function_explains_its_options():
    text = shown_help(everything.study)
    assert 'Parameters\n    ----------' in text and 'seeds\n        how many seeds' in text


def test_options_are_explained_once_however_often_it_is_asked():
    before = everything.Study.explore.__doc__
    everything._explain(everything.Study.explore)
    assert everything.Study.explore.__doc__ == before
