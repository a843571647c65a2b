"""From a folder or list to names and labels: every layout and every mistake. The files are empty."""
import os
import sys

import pandas as pd
import pytest

from imgcls.core import UserError
from imgcls.data.decode import Reason
from imgcls.data.files import list_photos, photo_files


def folder(root, **counts):
    "Class folders with empty files."
    for label, n in counts.items():
        (root/label).mkdir(parents=True, exist_ok=True)
        for i in range(n): (root/label/f'{i:03}.jpg').touch()
    return root


@pytest.fixture
def animals(tmp_path): return folder(tmp_path/'animals', fox=12, deer=10)


def counts(source, **kw): return list_photos(source, **kw)[0].groupby(['label', 'split']).size().to_dict()


def reasons(source, **kw):
    t = list_photos(source, **kw)[1]
    return dict(zip(t.path.map(os.path.basename), t.reason))


# ---- layouts

def test_class_folders_and_folders_in_them(animals):
    folder(animals/'fox', may=3)
    assert counts(animals) == {('fox', ''): 15, ('deer', ''): 10}
    assert list_photos(animals)[0].path.map(os.path.isabs).all()


SPLITS = ['train test', 'Train valid', 'training validation', 'train val', 'training testing']


@pytest.mark.parametrize('names', SPLITS)
def test_split_folders(tmp_path, names):
    names = names.split()
    for n in names: folder(tmp_path/n, fox=4, deer=3)
    rows = list_photos(tmp_path)[0]
    assert rows.split.value_counts().to_dict() == {'train': 7, 'test': 7}
    assert rows.path[rows.split == 'train'].str.contains(names[0]).all()


def test_test_folder_wins_over_validation_and_a_note_says_so(tmp_path):
    for n in ('train', 'validation', 'test', 'unsorted'): folder(tmp_path/n, fox=4, deer=3)
    rows, _, notes = list_photos(tmp_path)
    assert len(rows) == 14 and not rows.path.str.contains('validation').any()
    assert any('validation' in n and 'left out' in n for n in notes) and any('unsorted' in n for n in notes)


def test_train_folder_alone_brings_no_split(tmp_path):
    folder(tmp_path/'train', fox=5, deer=5)
    assert counts(tmp_path) == {('fox', ''): 5, ('deer', ''): 5}


def test_a_class_may_be_called_train(tmp_path):
    folder(tmp_path/'vehicles', train=5, bus=5)
    assert counts(tmp_path/'vehicles') == {('train', ''): 5, ('bus', ''): 5}


def test_size_folders_have_numbers_and_classes(tmp_path):
    for n in (5, 20): folder(tmp_path/'sizes'/str(n), fox=n, deer=n)
    assert list_photos(tmp_path/'sizes')[0].sizes.value_counts().to_dict() == {'5': 10, '20': 40}
    folder(tmp_path/'digits', **{'0': 4, '1': 4})
    assert counts(tmp_path/'digits') == {('0', ''): 4, ('1', ''): 4}


def test_csv_with_all_columns(tmp_path):
    folder(tmp_path/'pics', a=6, b=6)
    more = dict(licence='CC0', author='Ann')
    rows = [dict(path=f'pics/{c}/{i:03}.jpg', label=f'<b>{c}</b>, "x"', group=f'trap{i//2}', **more)
            for c in 'ab' for i in range(6)]
    rows[0]['path'] = str(tmp_path/rows[0]['path'])
    bad = [dict(path=p, label=c) for p, c in (('pics/gone.jpg', 'a'), ('', 'a'), ('pics/a/001.jpg', ''))]
    pd.DataFrame(rows + bad).to_csv(tmp_path/'list.csv', index=False)
    t, left_out, _ = list_photos(tmp_path/'list.csv')
    assert len(t) == 12 and set(t.label) == {'<b>a</b>, "x"', '<b>b</b>, "x"'}
    assert set(t.licence) == {'CC0'} and set(t.author) == {'Ann'} and t.group.nunique() == 3
    assert sorted(left_out.reason) == ['file is missing', 'no label', 'no path']


@pytest.mark.parametrize('text, message', [
    ('', "can't read"), ('path,label\n', 'has no rows'),
    ('file,class\na.jpg,fox\n', 'has the columns file, class; it needs path and label'),
    ('path,label\nx.jpg,fox\n', 'lists no photo that is there'),
    ('path,label,split\nanimals/fox/000.jpg,fox,maybe\n', "the split 'maybe'"),
    ('path,label,split\nanimals/fox/000.jpg,fox,test\n', 'no row with the split train'),
    ('path,label\n"a', "can't read|lists no photo")])
def test_csv_mistakes(animals, pics, text, message):
    file = animals.parent/'list.csv'
    file.write_text(text)
    with pytest.raises(UserError, match=message) as e: list_photos(file)
    pics.one_line(e)


def test_csv_of_a_spreadsheet(animals):
    file = animals.parent/'list.csv'
    split = ['test']*2 + ['train']*4
    rows = [f'animals/{c}/{i:03}.jpg;{c};{split[i]}' for c in ('fox', 'deer') for i in range(6)]
    text = '\n'.join(['Path;Label;Split', *rows])
    file.write_bytes(b'\xef\xbb\xbf' + text.encode())
    assert list_photos(file)[0].split.value_counts().to_dict() == {'train': 8, 'test': 4}
    file.write_bytes('path,label\nanimals/fox/000.jpg,fähe\n'.encode('latin-1'))
    with pytest.raises(UserError, match='UTF-8'): list_photos(file)


def test_csv_same_photo_twice(animals):
    file = animals.parent/'list.csv'
    rows = [(f'animals/{c}/{i:03}.jpg', c) for c in ('fox', 'deer') for i in range(4)]
    pd.DataFrame(rows + [rows[0], (rows[1][0], 'deer')], columns=['path', 'label']).to_csv(file, index=False)
    t, left_out, _ = list_photos(file)
    assert len(t) == 8 and left_out.reason.tolist() == [Reason.LISTED_TWICE.value, Reason.TWO_LABELS.value]
    assert "'fox' was taken and not 'deer'" in left_out.text[1]


def test_csv_of_test_and_validation_photos(animals):
    files = sorted(animals.rglob('*.jpg'))
    rows = pd.DataFrame(dict(path=[str(p) for p in files], label=[p.parent.name for p in files]))
    three = rows.assign(split=['train', 'valid', 'test']*7 + ['train'])
    t, _, notes = list_photos(three)
    assert t.split.value_counts().to_dict() == {'train': 8, 'test': 7} and 'valid are left out' in notes[0]
    t, _, notes = list_photos(three[three.split != 'test'])
    assert t.split.value_counts().to_dict() == {'train': 8, 'test': 7} and not notes


# ---- nothing, too little, unclear

def test_empty_folder(tmp_path, pics):
    (tmp_path/'fox').mkdir()
    with pytest.raises(UserError, match='holds no photos; make one folder') as e: list_photos(tmp_path)
    pics.one_line(e)


def test_folder_of_photos_without_classes(tmp_path):
    (tmp_path/'a.jpg').touch()
    message = 'no class folder with photos; make one folder a class inside it, such as .*fox/001.jpg'
    with pytest.raises(UserError, match=message): list_photos(tmp_path)


def test_class_that_is_not_there(animals):
    message = "no class 'wolf'; there are deer, fox"
    with pytest.raises(UserError, match=message): list_photos(animals, classes='fox,wolf')
    assert counts(animals, classes=['fox']) == {('fox', ''): 12}


def test_a_class_folder_without_photos_is_noted(animals):
    (animals/'wolf').mkdir()
    assert list_photos(animals)[2] == ["class folder 'wolf' holds no photos and is left out"]


def test_only_a_test_folder(tmp_path):
    folder(tmp_path/'test', fox=3, deer=3)
    with pytest.raises(UserError, match='no train folder'): list_photos(tmp_path)


def test_folders_that_differ_in_case(tmp_path, pics):
    root = folder(tmp_path/'animals', Fox=3, deer=4)
    folder(root, fox=5)
    if len(os.listdir(root)) < 3: pytest.skip('this disk knows no case')
    message = r"'Fox' \(3 photos\) and 'fox' \(5 photos\) differ in case"
    with pytest.raises(UserError, match=message) as e: list_photos(root)
    pics.one_line(e)
    assert set(list_photos(root, classes='Fox,deer')[0].label) == {'Fox', 'deer'}


# ---- names and kinds of files

def test_names(animals):
    names = ['with space.jpg', '🦊🦊.jpg', 'new\nline.jpg', '<script>alert(1)<\\script>.jpg', 'up..jpg',
             '%s{0}.jpg', "quo'te\".jpg", 'IMG_0001']
    if os.name == 'nt': names = names[:2]  # Windows allows none of the others
    for n in names: (animals/'fox'/n).touch()
    t, left_out, _ = list_photos(animals)
    assert {os.path.basename(p) for p in t.path} >= set(names) and not len(left_out)


@pytest.mark.skipif(sys.platform != 'linux', reason='only Linux has names that are no text')
def test_name_that_is_not_text(animals):
    with open(os.fsencode(animals) + b'/fox/\xff\xfe.jpg', 'wb'): pass
    left_out = list_photos(animals)[1]
    assert list(left_out.reason) == ['the name is not valid text']
    left_out.path[0].encode()


def test_files_that_are_no_photos_by_their_name(animals):
    for n in ('video.mp4', 'notes.txt'): (animals/'fox'/n).touch()
    (animals/'README.md').touch()
    (animals/'stray.jpg').touch()
    t = list_photos(animals)[1]
    assert dict(zip(t.path.map(os.path.basename), t.text)) == {
        'video.mp4': 'not a photo (.mp4)', 'notes.txt': 'not a photo (.txt)',
        'stray.jpg': 'not in a class folder'}
    assert t.reason.tolist().count(Reason.NOT_A_PHOTO.value) == 2


def test_hidden_files_and_litter_are_passed_over(animals):
    for p in ('.hidden.jpg', '.ipynb_checkpoints/000-checkpoint.jpg', '__MACOSX/._000.jpg', '.git/fox/a.jpg',
              'fox/.ipynb_checkpoints/000.jpg', 'fox/._000.jpg', 'fox/..dots.jpg', 'fox/.DS_Store',
              'fox/Thumbs.db'):
        (animals/p).parent.mkdir(parents=True, exist_ok=True)
        (animals/p).touch()
    t, left_out, _ = list_photos(animals)
    assert len(t) == 22 and not len(left_out) and set(t.label) == {'fox', 'deer'}


@pytest.mark.skipif(not hasattr(os, 'mkfifo'), reason='no pipes here')
def test_a_pipe_does_not_hang(animals):
    os.mkfifo(animals/'fox'/'pipe.jpg')
    assert reasons(animals) == {'pipe.jpg': 'not a file'}


def test_unreadable_folder(animals, monkeypatch):
    # tests may run as root, who can read everything
    folder(animals/'fox', secret=2)
    real = os.scandir

    def no_scan(path):
        if str(path).endswith('secret'): raise PermissionError(13, 'Permission denied', str(path))
        return real(path)

    monkeypatch.setattr(os, 'scandir', no_scan)
    left_out = list_photos(animals)[1]
    assert left_out.text.tolist() == ['unreadable folder (Permission denied)']


# ---- links

needs_links = pytest.mark.skipif(os.name == 'nt', reason='links need rights on Windows')


@needs_links
@pytest.mark.parametrize('target', ['.', '..', '../..'])
def test_a_link_to_the_folder_itself_or_above_is_no_class(animals, target):
    (animals/'again').symlink_to(target, target_is_directory=True)
    left_out = list_photos(animals)[1]
    assert counts(animals) == {('fox', ''): 12, ('deer', ''): 10}
    assert left_out.path.tolist() == [str(animals/'again')]
    assert left_out.reason.tolist() == ['link to a folder above']


@needs_links
def test_links_inside_class_folders(animals):
    (animals/'fox'/'up').symlink_to(animals, target_is_directory=True)
    (animals/'fox'/'here').symlink_to('.', target_is_directory=True)
    (animals/'fox'/'beside').symlink_to('../deer', target_is_directory=True)
    (animals/'fox'/'self').symlink_to('self')
    (animals/'fox'/'gone.jpg').symlink_to('nowhere.jpg')
    assert counts(animals) == {('fox', ''): 12, ('deer', ''): 10}
    above, already = Reason.LINK_ABOVE.value, Reason.READ_ALREADY.value
    assert reasons(animals) == {'up': above, 'here': above, 'beside': already, 'self': 'unreadable',
                                'gone.jpg': 'broken link'}


@needs_links
def test_a_link_to_a_class_that_is_read_is_no_second_class(animals):
    # the link comes first in the order of names, and the folder itself is still the one that counts
    (animals/'ant').symlink_to('fox', target_is_directory=True)
    assert counts(animals) == {('fox', ''): 12, ('deer', ''): 10}
    assert reasons(animals) == {'ant': Reason.READ_ALREADY.value}


@needs_links
def test_links_to_folders_elsewhere_are_read_once(animals, tmp_path):
    store = folder(tmp_path/'store', wolf=4, cubs=2)
    (store/'wolf'/'cubs').symlink_to('../cubs', target_is_directory=True)
    (store/'wolf'/'up').symlink_to('..', target_is_directory=True)
    (animals/'wolf').symlink_to(store/'wolf', target_is_directory=True)
    (animals/'lupus').symlink_to(store/'wolf', target_is_directory=True)
    assert counts(animals) == {('fox', ''): 12, ('deer', ''): 10, ('lupus', ''): 6}
    assert reasons(animals) == {'wolf': Reason.READ_ALREADY.value, 'up': Reason.LINK_ABOVE.value}


@needs_links
def test_photo_files_of_one_folder(animals):
    (animals/'fox'/'up').symlink_to('..', target_is_directory=True)
    files, left_out = photo_files(animals/'fox')
    assert len(files) == 12 and [s.reason for s in left_out] == [Reason.LINK_ABOVE]
    assert [s.reason for s in photo_files(animals/'nowhere')[1]] == [Reason.UNREADABLE]


# ---- whose photos they are

def test_the_list_of_gather_gives_authors(tmp_path):
    folder(tmp_path/'wild', fox=1, deer=2)
    (tmp_path/'wild'/'deer'/'001.jpg').rename(tmp_path/'wild'/'deer'/'a-2.jpg')
    lines = ['path,label,source,page,url,author,licence',
             'fox/000.jpg,fox,gbif,,u1,"Ann, Oslo",cc0',
             'fox/a-2.jpg,fox,gbif,p2,u2,Bob,cc-by']
    (tmp_path/'wild'/'manifest.csv').write_text('\n'.join(lines))
    t, _, notes = list_photos(tmp_path/'wild')
    got = t.sort_values('path')[['source', 'licence', 'author', 'url']].values.tolist()
    assert got == [['']*4, ['gbif', 'cc-by', 'Bob', 'p2'], ['gbif', 'cc0', 'Ann, Oslo', 'u1']]
    assert notes == ['1 photo of 3 not in manifest.csv: their authors and licences are unknown']
    (tmp_path/'wild'/'manifest.csv').write_text('name,number\na,1\n')
    t, _, notes = list_photos(tmp_path/'wild')
    assert set(t.author) == {''} and 'has no column path' in notes[0]
