"Predictions in a notebook: photos and bars, whatever names and photos there are."
import pickle

import numpy as np
import pytest
from PIL import Image

from imgcls.data.synth import scene_bytes
from imgcls.deploy.predicted import best_labels

CLASSES = ['<script>alert(1)</script>', 'שועל', 'x'*300]


def predicted(n, **kw):
    probs = np.tile(np.float32([.2, .7, .1]), (n, 1))
    return best_labels(CLASSES, [f'{i}<b>.jpg' for i in range(n)], ['']*n, probs, **kw)


@pytest.fixture(scope='module')
def photo(): return scene_bytes('fox', 1, side=64)


def test_photos_and_bars_are_shown_and_names_never_become_code(photo):
    html = predicted(2, photos=[photo, Image.new('RGB', (40, 30), 'red')])._repr_html_()
    assert html.count('<img') == 2 and html.count('width:70.0%') == 2 and html.count('70.0\xa0%</span>') == 2
    assert '<script' not in html and '<b>' not in html and '<bdi>שועל</bdi>' in html
    assert html.index('שועל') < html.index('&lt;script&gt;')  # the most probable first


def test_a_photo_that_cannot_be_read_says_why():
    t = best_labels(CLASSES, ['a', 'gone.jpg'], ['it is <no> photo', ''],
                    np.float32([[np.nan]*3, [.2, .7, .1]]), photos=[object(), 'gone.jpg'])
    html = t._repr_html_()
    assert 'it is &lt;no&gt; photo' in html and 'the photo is gone' in html and '<img' not in html
    assert t.label.tolist() == ['', 'שועל'] and t.probability.isna().tolist() == [True, False]


def test_of_many_photos_the_first_are_shown(photo):
    html = predicted(30, photos=[photo]*30)._repr_html_()
    assert html.count('<img') == 12 and 'And 18 more photos' in html and len(html) < 300_000


def test_a_part_of_it_is_a_plain_table(photo):
    t = predicted(3, photos=[photo]*3)
    for part in (t[t.probability > .5], t.head(2), t.sort_values('path'), pickle.loads(pickle.dumps(t))):
        assert '<table' in part._repr_html_() and '<img' not in part._repr_html_()
    assert '<img' not in repr(t) and predicted(0)._repr_html_()
