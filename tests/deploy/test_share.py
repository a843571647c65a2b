"""What goes along with a model: its card, and the page for photos."""
import re
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest

from imgcls.core import UserError
from imgcls.data.synth import scene_bytes, synth_folder
from imgcls.data.table import read_photos
from imgcls.deploy.model import Model
from imgcls.deploy.share import model_card, photo_page
from imgcls.studies.study import Study, study
from imgcls.studies.tables import final_table

NASTY = 'a|b <img src=x> *c*'


def quick(photos, out, sizes=(5,)):
    return study(photos, sizes, 'frozen', 'cifar_net', seeds=1, weights='random', epochs=1, res=32, out=out,
                 say=lambda _: None)


@pytest.fixture(scope='module')
def photos(): return read_photos(synth_folder(per_class=25, side=64))


@pytest.fixture(scope='module')
def st(photos, tmp_path_factory): return quick(photos, tmp_path_factory.mktemp('share')/'st')


def rows(card, heading):
    "The cells of each line of the first table below a heading of a card."
    part = card.split(f'## {heading}\n')[1].split('\n## ')[0]
    return [[c.strip() for c in re.split(r'(?<!\\)\|', line)[1:-1]] for line in part.splitlines()
            if line.startswith('|')]


# The card

def test_the_card_says_what_the_study_found(st):
    card, run = model_card(st), st.runs.iloc[0]
    low, high = (100*final_table(st)[side].iloc[0] for side in ('low', 'high'))
    assert f'it names {run.correct} right: **{100*run.accuracy:.1f} %**' in card
    assert f'(95 % interval {low:.1f} to {high:.1f} %)' in card
    _, _, *classes = rows(card, 'How good it is')
    assert [c[0] for c in classes] == st.classes and sum(int(c[1]) for c in classes) == len(st.targets)


def test_the_card_counts_only_photos_it_learned_from(st):
    _, _, *classes = rows(model_card(st), 'What it learned from')
    assert {c: int(n) for c, n in classes} == {c: 5 for c in st.classes}


def test_the_card_is_of_the_run_that_is_named(photos, st):
    more = quick(photos, st.path, [5, 20])
    learned = {size: rows(model_card(more, run), 'What it learned from')[2][1]
               for size, run in more.runs.set_index('size').run.items()}
    assert learned == {5: '5', 20: '20'}
    assert rows(model_card(more), 'What it learned from')[2][1] == '20'  # the one with the most photos
    with pytest.raises(UserError, match="no run 'best'"): model_card(more, 'best')


def test_the_card_tells_nothing_of_this_machine(st):
    card = model_card(st)
    assert str(st.path) not in card and str(st.photos.origin) not in card and 'pytest' not in card


def test_licences_and_authors_are_counted(photos, tmp_path):
    df = photos.df.copy()
    gathered = df.index % 2 == 0
    df.loc[gathered, ['source', 'licence', 'author']] = 'inaturalist', 'cc-by', 'Ann'
    card = model_card(quick(replace(photos, df=df), tmp_path/'st'))
    found = [r for r in rows(card, 'What it learned from') if len(r) == 4][2:]
    assert found[0][:2] == ['inaturalist', 'CC BY 4.0'] and found[0][3] == '1'
    assert sum(int(r[2]) for r in found) == 15 and found[-1][:2] == ['not recorded']*2
    assert 'was not recorded' in model_card(quick(photos, tmp_path/'bare'))


def test_names_of_folders_are_no_markup(photos, tmp_path):
    df = photos.df.assign(label=photos.df.label.replace('fox', NASTY))
    card = model_card(quick(replace(photos, df=df), tmp_path/'st'))
    assert '<img' not in card and '*c*' not in card.replace(r'\*', '')
    widths = {len(r) for r in rows(card, 'How good it is')}
    assert widths == {6}


def test_a_purpose_stands_at_the_top(st):
    card = model_card(st, purpose='To sort *holiday* photos.')
    assert card.splitlines()[2] == 'To sort *holiday* photos.' and card._repr_markdown_() == card


def test_a_study_without_runs_has_no_card(st, tmp_path):
    (tmp_path/'study.json').write_bytes((st.path/'study.json').read_bytes())
    (tmp_path/'photos.parquet').write_bytes((st.path/'photos.parquet').read_bytes())
    with pytest.raises(UserError, match='no finished run'): model_card(Study(tmp_path))


# The page

def file(name, content):
    now = datetime.now()
    return dict(name=name, type='', size=len(content), content=memoryview(content), last_modified=now)


def ask(model, *files):
    "What the page shows after a choice of files."
    upload, shown = photo_page(model).children
    upload.value = tuple(file(*f) for f in files)
    assert upload.value == ()
    return shown.value


def test_the_page_shows_what_predict_says(st):
    model, photo = st.model(say=lambda _: None), scene_bytes('fox', 999, side=64)
    page, said = ask(model, ('new.jpg', photo)), model.predict(photo).iloc[0]
    bars = re.findall(r'<td[^>]*>(\w+)</td><td><meter[^>]*value="([\d.]+)"', page)
    assert bars[0] == (said.label, f'{said.probability:.3f}') and len(bars) == 3
    assert page.count('<img') == page.count('data:image/jpeg;base64,') == 1


def test_a_dim_grey_photo_is_dim_on_the_page(dim_study, shown_right):
    test = dim_study.photos.test.path
    files = [(str(i), Path(p).read_bytes()) for i, p in enumerate(test)]
    page = ask(dim_study.model(say=lambda _: None), *files)
    shown_right(test, re.findall(r'<img alt="" src="([^"]+)"', page))


def test_each_file_of_a_choice_has_its_place(st):
    photo = scene_bytes('deer', 998, side=64)
    model = st.model(say=lambda _: None)
    page = ask(model, ('a.jpg', photo), ('b.txt', b'no photo'), ('c.jpg', photo))
    assert page.index('a.jpg') < page.index('b.txt: ') < page.index('c.jpg') and page.count('<figure') == 2


def test_names_of_files_and_classes_are_no_markup(st):
    model = st.model(say=lambda _: None)
    named = Model(model.module, [NASTY, *model.classes[1:]], model.arch, model.transform)
    page = ask(named, ('<b>.jpg', scene_bytes('fox', 997, side=64)), ('<i>.txt', b''))
    assert not re.search(r'<(b|i)>|<img src=x', page) and '&lt;b&gt;.jpg' in page and '&lt;i&gt;.txt' in page
