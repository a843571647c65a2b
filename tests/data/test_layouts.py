"""What real folders and lists look like: read as they say, or refused in one line."""
import csv
import os
import sys
import unicodedata

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from imgcls.core import UserError
from imgcls.csv_files import unguarded
from imgcls.data.files import list_photos, photo_files
from imgcls.data.lists import find_file, texts


def make(root, *files):
    for f in files:
        (root/f).parent.mkdir(parents=True, exist_ok=True)
        (root/f).touch()
    return root


def photos(root, *folders, n=3): return make(root, *(f'{f}/{i}.jpg' for f in folders for i in range(n)))
def counts(source, **kw): return list_photos(source, **kw)[0].groupby(['label', 'split']).size().to_dict()


def refused(source, *words, **kw):
    with pytest.raises(UserError) as e: list_photos(source, **kw)
    assert '\n' not in str(e.value) and all(w in str(e.value) for w in words), str(e.value)


# ---- words in the names of folders

@pytest.mark.parametrize('train, test', [
    ('training_set/training_set', 'test_set/test_set'), ('training_set', 'test_set'),
    ('seg_train/seg_train', 'seg_test'),
    ('TrainImages', 'ValImages'), ('trainset', 'testset'), ('images-train', 'images-validation'),
    ('wood/train', 'wood/test')])
def test_words_for_training_and_testing_inside_names(tmp_path, train, test):
    root = photos(tmp_path/'wood', *(f'{s}/{c}' for s in (train, test) for c in ('cats', 'dogs')))
    assert counts(root) == {(c, s): 3 for c in ('cats', 'dogs') for s in ('train', 'test')}
    notes = list_photos(root)[2]
    assert train == 'wood/train' or any(train.split('/')[0] in n and 'training' in n for n in notes)


def test_names_of_classes_that_only_sound_like_splits(tmp_path):
    root = photos(tmp_path, 'train station', 'test tubes', 'bus')
    assert {label for label, _ in counts(root)} == {'train station', 'test tubes', 'bus'}
    root = photos(tmp_path/'more', 'train_station', 'test_station', 'bus_station')
    assert {label for label, _ in counts(root)} == {'train_station', 'test_station', 'bus_station'}


def test_several_pairs_of_splits_are_refused(tmp_path):
    root = photos(tmp_path, 'cats_train', 'cats_test', 'dogs_train', 'dogs_test')
    refused(root, 'several folders', 'train/fox')
    refused(photos(tmp_path/'flat', 'training_set', 'test_set'), 'no class folder')


def test_a_flat_test_folder_has_no_labels(tmp_path):
    root = photos(tmp_path, 'train/cats', 'train/dogs', 'test')
    rows, left_out, notes = list_photos(root)
    assert counts(root) == {('cats', ''): 3, ('dogs', ''): 3} and len(left_out) == 3
    assert any("'test' has no class folders" in n for n in notes)
    photos(tmp_path, 'valid/cats', 'valid/dogs')
    assert counts(root) == {(c, s): 3 for c in ('cats', 'dogs') for s in ('train', 'test')}


def test_training_photos_without_test_photos(tmp_path):
    root = photos(tmp_path, 'train/cats', 'train/dogs', 'extra')
    refused(root, "'train' looks like the training photos", f'give {root}/train', "classes='extra,train'")
    assert {label for label, _ in counts(root/'train')} == {'cats', 'dogs'}
    assert counts(root, classes='extra,train') == {('extra', ''): 3, ('train', ''): 6}


def test_sibling_folders_that_hold_the_same_folders(tmp_path):
    root = photos(tmp_path, 'garden/fox', 'garden/deer', 'wood/fox', 'wood/deer')
    refused(root, 'garden,wood', 'deer,fox', "classes='garden,wood'")
    assert counts(root, classes='garden,wood') == {('garden', ''): 6, ('wood', ''): 6}
    assert counts(photos(tmp_path/'b', 'fox/images', 'deer/images')) == {('fox', ''): 3, ('deer', ''): 3}


def test_folders_in_class_folders_are_told(tmp_path):
    root = photos(tmp_path, 'fox/may', 'deer/june')
    assert 'deer,fox are the classes' in list_photos(root)[2][0]
    assert list_photos(photos(root, 'fox'))[2] == []


def test_classes_that_are_numbers(tmp_path):
    assert counts(photos(tmp_path, '1', '2', '3'), classes=(1, 2)) == {('1', ''): 3, ('2', ''): 3}
    assert counts(tmp_path, classes=3) == {('3', ''): 3}
    refused(tmp_path, 'classes is empty', classes=[])
    refused(tmp_path, "no class ''", classes='')


# ---- sizes

def test_size_folders_are_told_and_doubted(tmp_path):
    for n in (5, 20): photos(tmp_path/'p', f'{n}/fox', f'{n}/deer', n=n)
    assert 'folders 5,20 are read as training sizes' in list_photos(tmp_path/'p')[2][0]
    photos(tmp_path/'p', '100/fox', '100/deer')
    assert '100 holds 3 photos a class' in list_photos(tmp_path/'p')[2][0]


def test_numbers_that_are_no_sizes(tmp_path):
    root = photos(tmp_path/'a', *(f'{c}/{day}' for c in (1, 2) for day in ('monday', 'tuesday')), n=7)
    refused(root, "classes='1,2'", '1 holds 7 photos a class')
    assert counts(root, classes='1,2') == {('1', ''): 14, ('2', ''): 14}
    assert {x for x, _ in counts(photos(tmp_path/'b', '1/monday', '2/tuesday', n=7))} == {'1', '2'}


# ---- lists

@pytest.fixture
def three(tmp_path): return photos(tmp_path, 'fox', n=3)


def written(root, text):
    (root/'list.csv').write_text(text, encoding='utf-8')
    return root/'list.csv'


@pytest.mark.parametrize('text', [
    'path,label\nfox/0.jpg,a,\nfox/1.jpg,b,\n', 'path,label,\nfox/0.jpg,a,\nfox/1.jpg,b,\n',
    ',path,label\n0,fox/0.jpg,a\n1,fox/1.jpg,b\n', 'sep=;\npath;label\nfox/0.jpg;a\nfox/1.jpg;b\n;;\n',
    'path,label\nfox\\0.jpg,a\nfox\\1.jpg,b\n', 'path\tlabel\nfox/0.jpg\ta\nfox/1.jpg\tb\n'])
def test_csv_files_of_all_kinds(three, text):
    assert counts(written(three, text)) == {('a', ''): 1, ('b', ''): 1}


@pytest.mark.parametrize('cell, words', [
    ('C:\\pics\\1.jpg', 'Windows'), ('https://example.org/1.jpg', 'download it first'),
    ('gone.jpg', 'looked for /')])
def test_a_list_of_photos_that_are_not_there(three, cell, words):
    refused(written(three, f'path,label\n{cell},a\n'), 'no photo that is there', cell, words, str(three))


def test_addresses_of_files_and_the_home_folder(three, monkeypatch):
    monkeypatch.setenv('HOME', str(three))
    file = three/'fox'/'0.jpg'
    assert find_file(file.as_uri(), '/') == find_file('~/fox/0.jpg', '/') == str(file)
    assert len(list_photos('~')[0]) == 3 and len(photo_files('~/fox')[0]) == 3
    assert counts(written(three, 'path,label\n~/fox/0.jpg,a\n')) == {('a', ''): 1}


@pytest.mark.parametrize('text, words', [
    ('path,label,Label\nfox/0.jpg,a,b\n', "'label' and 'Label'"),
    ('path,label,label\nfox/0.jpg,a,b\n', 'two columns'),
    ('path,label\nfox/0.jpg,a,b\n', 'line 2 has 3 cells'),
    ('path,label\n"fox/0.jpg,a\nfox/1.jpg,b\n', 'quotes'),
    ('path,label,is_valid\nfox/0.jpg,a,maybe\n', "'maybe' in the column is_valid")])
def test_lists_that_are_unclear(three, text, words): refused(written(three, text), words)


def test_fastai_marks_validation_photos(three):
    lines = 'path,label,is_valid,mood', 'fox/0.jpg,a,True,1', 'fox/1.jpg,a,False,2', 'fox/2.jpg,b,0,3'
    file = written(three, '\n'.join(lines))
    assert counts(file) == {('a', 'test'): 1, ('a', 'train'): 1, ('b', 'train'): 1}
    assert list_photos(file)[2] == ['list.csv: not used: mood']
    file = written(three, 'path,label,is_valid,split\nfox/0.jpg,a,True,train\nfox/1.jpg,a,False,test\n')
    assert counts(file) == {('a', 'test'): 1, ('a', 'train'): 1}
    assert list_photos(file)[2] == ['list.csv: not used: is_valid']


def test_data_frames_with_missing_cells(three):
    files = [str(three/'fox'/f'{i}.jpg') for i in range(3)]
    t = pd.DataFrame(dict(path=[*files, None], label=[1, None, 7, 8],
                          split=['train', 'test', np.nan, 'test'], group=[np.nan, 'a', None, 'b']))
    rows, left_out, _ = list_photos(t)
    assert rows.label.tolist() == ['1', '7'] and rows.group.tolist() == ['', '']
    assert left_out.reason.tolist() == ['no label', 'no path']
    assert texts(pd.Series([True, pd.NA], dtype='boolean')).tolist() == ['True', '']
    assert texts(pd.Series(['a', None], dtype='category')).tolist() == ['a', '']


def test_sizes_of_a_cleaned_table_are_kept(three):
    file = written(three, 'path,label,sizes,order\nfox/0.jpg,a,"5,20",0\nfox/1.jpg,b,20,1\n')
    rows, _, notes = list_photos(file)
    assert rows.sizes.tolist() == ['5,20', '20'] and notes == []
    rows, _, notes = list_photos(written(three, 'path,label,sizes\nfox/0.jpg,a,large\n'))
    assert rows.sizes.tolist() == [''] and notes == ['list.csv: not used: sizes']


# ---- no folder and no list

def test_an_archive_in_place_of_a_folder(tmp_path):
    (tmp_path/'a.zip').write_bytes(b'PK\3\4')
    refused(tmp_path/'a.zip', 'a zip archive; unpack it and give the folder')


@pytest.mark.parametrize('source', ['', None, 5, ['a'], b'a', 'a\0b'])
def test_what_is_no_path(source): refused(source, 'expected the name of a file or folder')


@pytest.mark.skipif(sys.platform != 'linux', reason='only Linux has names that are no text')
def test_a_folder_whose_name_is_no_text(tmp_path):
    root = os.fsencode(tmp_path) + b'/\xff/animals/fox'
    os.makedirs(root)
    with open(root + b'/1.jpg', 'wb'): pass
    refused(os.fsdecode(root[:-4]), 'not valid text; rename')


# ---- any layout

ROLES = dict(train='train', training_set='train', seg_train='train', test='test', test_set='test',
             seg_test='test', val='test')
NAMES = st.sampled_from(['fox', 'deer', '5', '20', 'may', 'wood', *ROLES])
# the same word twice, such as train/train, would not tell which of the two is the class
PATH = st.lists(NAMES, min_size=1, max_size=3).filter(
    lambda p: not {n for n in p if p.count(n) > 1} & {'5', '20', *ROLES})
TREES = st.sets(PATH.map('/'.join), min_size=1, max_size=6)
quick = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def _said(e): assert '\n' not in str(e) and 20 < len(str(e)) < 1000


def above(folders, label):
    "The folders above that of the class; a folder and the only one in it, of the same name, count once."
    some = folders[:folders.index(label)]
    return [f for i, f in enumerate(some) if some[i-1:i] != [f]]


@quick
@given(TREES)
def test_no_class_that_nobody_made(tmp_path_factory, tree):
    root = photos(tmp_path_factory.mktemp('any'), *tree, n=2)
    try: rows, left_out, notes = list_photos(root)
    except UserError as e: return _said(e)
    assert rows.path.is_unique and not {*rows.path} & {*left_out.path}
    # each photo is used or listed, but for those of folders that a note names
    assert len(rows) + len(left_out) == 2*len(tree) or 'left out' in ' '.join(notes)
    inside = [os.path.relpath(p, root).split('/')[:-1] for p in rows.path]
    tops = [above(f, label) for f, label in zip(inside, rows.label)]
    assert len({len(a) for a in tops}) == 1, 'classes lie in one level of folders'
    names = {folder.split('/')[0] for folder in tree}
    if names <= {*ROLES} - {'seg_train', 'seg_test'} and {ROLES[n] for n in names} == {'train', 'test'}:
        assert all(tops), 'folders for training and testing are no classes'
    tested = 'test' in {*rows.split}
    for top, split, sizes in zip(tops, rows.split, rows.sizes):
        if not top: assert split == sizes == ''
        elif sizes: assert top == [sizes] and any('read as training sizes' in n for n in notes)
        else: assert len(top) == 1 and split == (ROLES[top[0]] if tested else ''), (top, split)
    if not tested and tops[0] and not rows.sizes[0]: assert {ROLES[a[0]] for a in tops} == {'train'}


TEXT = st.text(st.characters(codec='utf-8', exclude_categories=['Cc', 'Cs']), max_size=8)
LABELS = TEXT | st.sampled_from(['fox', 'Fox', 'fox ', 'deer'])
SPLITS = st.sampled_from(['', 'train', 'train', 'Test', 'testing', 'val', 'valid', 'maybe'])
WORDS = dict.fromkeys(['', 'train'], 'train') | dict.fromkeys(['Test', 'testing'], 'test') | dict.fromkeys(
    ['val', 'valid'], 'valid')
ENDS = '\n', '\r\n'
PATHS = st.sampled_from(['0.jpg', '1.jpg', './2.jpg', '3.jpg', 'fox\\4.jpg', 'gone.jpg', ' ', ''])


@pytest.fixture(scope='module')
def five(tmp_path_factory):
    return make(tmp_path_factory.mktemp('five'), '0.jpg', '1.jpg', '2.jpg', '3.jpg', 'fox/4.jpg')


def listed(root, lines):
    "What a list says: labels and splits by file; None where it can't be used."
    found = {}
    for path, label, split in lines:
        file = (root/path.strip().replace('\\', '/')).resolve()
        if path.strip() and label.strip() and file.is_file(): found.setdefault(str(file), (label, split))
    labels = {unicodedata.normalize('NFC', label).strip().casefold(): label for label, _ in found.values()}
    splits = {WORDS.get(split) for _, split in found.values()}
    if not found or None in splits or len(labels) < len({label for label, _ in found.values()}): return None
    if splits == {'train'}: return {file: (label, '') for file, (label, _) in found.items()}
    if 'train' not in splits: return None
    out = 'valid' if 'test' in splits else ''
    return {file: (label, WORDS[split].replace('valid', 'test')) for file, (label, split) in found.items()
            if WORDS[split] != out}


@settings(quick, max_examples=150)
@given(st.lists(st.tuples(PATHS, LABELS, SPLITS), max_size=6), st.sampled_from(',;\t|'),
       st.sampled_from(ENDS), st.permutations([0, 1, 2]), st.booleans(), st.booleans(), st.booleans())
def test_a_list_is_what_it_says_or_refused(five, lines, mark, end, order, bom, number, trail):
    with open(five/'l.csv', 'w', newline='', encoding='utf-8-sig' if bom else 'utf-8') as f:
        w = csv.writer(f, delimiter=mark, lineterminator=end, quoting=csv.QUOTE_NONNUMERIC)
        for n, row in enumerate([('Path', 'label', 'SPLIT'), *lines]):
            w.writerow([n or '']*number + [row[i] for i in order] + ['']*trail)
    says = listed(five, [(p, unguarded(label), s) for p, label, s in lines])
    try: rows = list_photos(five/'l.csv')[0]
    except UserError as e:
        _said(e)
        assert says is None, e
    else: assert dict(zip(rows.path, zip(rows.label, rows.split))) == says


@quick
@given(st.binary(max_size=60) | st.text('path,label\n";x.', max_size=60).map(str.encode))
def test_any_bytes_are_a_list_or_refused_in_one_line(five, data):
    (five/'l.csv').write_bytes(data)
    with pytest.raises(UserError) as e: list_photos(five/'l.csv')
    _said(e.value)
