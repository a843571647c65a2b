"""From a folder, list or table to Photos: what they hold, and what must never happen to a user's files."""
import dataclasses
import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
from datetime import datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from PIL import ExifTags, Image
from pyarrow import parquet

import imgcls.data.table as table
from imgcls.core import UserError
from imgcls.data.decode import PhotoError, Reason
from imgcls.data.files import list_photos
from imgcls.data.table import COLUMNS, Photos, check_photos, read_photos


def with_file(root, content, name='odd.jpg'):
    (root/'fox'/name).write_bytes(content)
    return read_photos(root)


def texts(photos): return dict(zip(photos.skipped.path.map(os.path.basename), photos.skipped.text))
def reasons(photos): return dict(zip(photos.skipped.path.map(os.path.basename), photos.skipped.reason))


# ---- sources

def test_class_folders(animals, pics):
    before = pics.tree(animals)
    photos = read_photos(animals)
    t = photos.df
    assert list(t.columns) == COLUMNS and len(photos) == len(t) == 22
    counts = {('deer', 'test'): 2, ('deer', 'train'): 8, ('fox', 'test'): 2, ('fox', 'train'): 10}
    assert t.groupby(['label', 'split']).size().to_dict() == counts
    assert t.path.map(os.path.isabs).all() and (photos.name, photos.origin) == ('animals', str(animals))
    assert photos.cleaned_from == '' and photos.classes == ['deer', 'fox'] and not len(photos.skipped)
    assert (t.order[t.split == 'test'] == -1).all()
    assert sorted(t.order[(t.split == 'train') & (t.label == 'fox')]) == list(range(10))
    assert set(zip(t.width, t.height)) == {(48, 40)}
    assert t.sha256[0] == hashlib.sha256(open(t.path[0], 'rb').read()).hexdigest()
    assert pics.tree(animals) == before, 'photos of the user were changed'


def test_photos_are_returned_as_they_are(animals):
    photos = read_photos(animals)
    assert read_photos(photos) is photos
    with pytest.raises(UserError, match='read already'): read_photos(photos, classes='fox')


def test_names_given_in_other_ways(animals, monkeypatch):
    monkeypatch.chdir(animals.parent)
    monkeypatch.setenv('HOME', str(animals.parent))
    assert read_photos('animals').id == read_photos('~/animals').id == read_photos(animals/'..'/'animals').id
    assert read_photos('animals').origin == str(animals)


def test_size_folders(tmp_path, pics):
    big = pics.folder(tmp_path/'20', fox=20, deer=20)
    for label in ('fox', 'deer'):
        (tmp_path/'5'/label).mkdir(parents=True)
        for i in range(5): shutil.copy(big/label/f'{i:03}.jpg', tmp_path/'5'/label/f'another name {i}.jpg')
    photos = read_photos(tmp_path)
    assert len(photos) == 40 and photos.df.sha256.is_unique
    assert photos.sizes == [5, 20] and not len(photos.skipped)
    assert sorted(photos.df.sizes.value_counts().to_dict().items()) == [('20', 30), ('5,20', 10)]
    assert len(photos.test) == 8
    for size in (5, 20):
        rows = photos.train(size)
        assert not set(rows.sha256) & set(photos.test.sha256)
        assert all(str(size) in s.split(',') for s in rows.sizes)
    assert len(photos.train(20)) == 32
    with pytest.raises(UserError, match='no size folder 7'): photos.train(7)


def test_given_split_and_groups(tmp_path, pics):
    for n in ('train', 'test'): pics.folder(tmp_path/n, fox=4, deer=3)
    assert read_photos(tmp_path).df.split.value_counts().to_dict() == {'train': 7, 'test': 7}
    pics.folder(tmp_path/'pics', a=6, b=6)
    rows = [dict(path=f'pics/{c}/{i:03}.jpg', label=c, group=f'trap{i//2}') for c in 'ab' for i in range(6)]
    pd.DataFrame(rows).to_csv(tmp_path/'list.csv', index=False)
    photos = read_photos(tmp_path/'list.csv', test=.34)
    assert photos.df.groupby('group').split.nunique().max() == 1 and photos.df.group.nunique() == 3
    assert (photos.name, photos.origin) == ('list.csv', str(tmp_path/'list.csv'))


def test_data_frame_in_a_notebook(animals):
    files = list(animals.rglob('*.jpg'))
    rows = pd.DataFrame(dict(path=[str(p) for p in files], label=[p.parent.name for p in files]))
    photos = read_photos(rows)
    assert len(photos) == 22 and photos.origin == photos.name == '' and photos.id == read_photos(animals).id
    assert list(rows.columns) == ['path', 'label'], "the user's table was changed"
    given = read_photos(rows.assign(split=['train', 'test']*11))
    assert (len(given.test), len(given.train())) == (11, 11)


def test_cleaned_photos_know_their_study(animals, tmp_path):
    study = tmp_path/'study'
    study.mkdir()
    read_photos(animals).df.to_csv(study/'cleaned.csv', index=False)
    assert read_photos(study/'cleaned.csv').cleaned_from == ''
    (study/'study.json').touch()
    cleaned = read_photos(study/'cleaned.csv')
    assert cleaned.cleaned_from == str(study) and cleaned.id == read_photos(animals).id
    shutil.copy(study/'cleaned.csv', study/'other.csv')
    assert read_photos(study/'other.csv').cleaned_from == ''


def test_a_link_above_brings_no_photos_twice(animals):
    if os.name == 'nt': pytest.skip('links need rights on Windows')
    once = read_photos(animals).id
    (animals/'again').symlink_to(animals, target_is_directory=True)
    (animals/'fox'/'up').symlink_to('..', target_is_directory=True)
    photos = read_photos(animals)
    assert photos.id == once and photos.classes == ['deer', 'fox']
    assert reasons(photos) == {'again': Reason.LINK_ABOVE.value, 'up': Reason.LINK_ABOVE.value}


# ---- too little

def test_one_class(tmp_path, pics):
    pics.folder(tmp_path/'animals', fox=3)
    with pytest.raises(UserError, match="only one class, 'fox' with 3") as e: read_photos(tmp_path/'animals')
    pics.one_line(e)
    pics.folder(tmp_path/'more', fox=3, deer=3)
    with pytest.raises(UserError, match='only one class'): read_photos(tmp_path/'more', classes='fox')


def test_messages_stay_on_one_line(tmp_path, pics):
    with pytest.raises(UserError, match='a b') as e: read_photos(pics.folder(tmp_path/'x', **{'a\nb': 3}))
    pics.one_line(e)


def test_test_class_that_training_lacks(tmp_path, pics):
    pics.folder(tmp_path/'train', fox=3, deer=3)
    pics.folder(tmp_path/'test', fox=3, deer=3, wolf=2)
    message = "class 'wolf' has 2 test photos but none for training"
    with pytest.raises(UserError, match=message) as e: read_photos(tmp_path)
    pics.one_line(e)
    assert len(read_photos(tmp_path, classes='fox,deer')) == 12


def test_training_class_without_test_photos_is_noted(tmp_path, pics):
    pics.folder(tmp_path/'train', fox=3, deer=3, wolf=2)
    pics.folder(tmp_path/'test', fox=3, deer=3)
    assert "class 'wolf' has no test photos" in read_photos(tmp_path).notes


def test_no_usable_photo_at_all(tmp_path, pics):
    for c in ('fox', 'deer'):
        (tmp_path/c).mkdir()
        (tmp_path/c/'a.jpg').write_bytes(b'')
    message = 'none of the 2 photos can be used: empty file'
    with pytest.raises(UserError, match=message) as e: read_photos(tmp_path)
    pics.one_line(e)


def test_a_wrong_share_is_noticed_before_any_photo_is_read(animals):
    check = lambda rows: pytest.fail('the photos were read')
    with pytest.raises(UserError, match='between 0 and 1'): read_photos(animals, test=2, check=check)


def test_no_usable_test_photos(tmp_path, pics):
    pics.folder(tmp_path/'train', fox=3, deer=3)
    pics.folder(tmp_path/'test', fox=1)
    (tmp_path/'test'/'fox'/'000.jpg').write_bytes(b'')
    with pytest.raises(UserError, match='no usable test photos are left'): read_photos(tmp_path)


# ---- odd photos

@pytest.mark.parametrize('name, content, reason, text', [
    ('empty.jpg', lambda h: b'', 'EMPTY', 'empty file'),
    ('page.jpg', lambda h: b'<!doctype html><html></html>', 'NOT_A_PHOTO', 'not a photo but a web page'),
    ('half.jpg', lambda h: h.encode(h.picture(5, (400, 300)))[:6000], 'TRUNCATED', 'truncated JPEG'),
    ('header.jpg', lambda h: h.encode(h.picture(5))[:30], '', ''),
    ('dot.png', lambda h: h.encode(Image.new('RGB', (1, 1)), 'PNG'), 'TOO_SMALL', '1×1 pixels'),
    ('video.mp4', lambda h: b'\0'*100, 'NOT_A_PHOTO', 'not a photo (.mp4)'),
    ('phone.heic', lambda h: b'\0\0\0\x18ftypheic' + b'\0'*40, 'HEIC', 'HEIC')])
def test_photo_that_cannot_be_used(animals, pics, name, content, reason, text, recwarn):
    photos = with_file(animals, content(pics), name)
    assert len(photos) == 22 and list(texts(photos)) == [name] and text in texts(photos)[name]
    assert not reason or reasons(photos)[name] == Reason[reason].value
    assert not [w for w in recwarn if 'PIL' in str(w.filename)], 'a warning of Pillow leaked'


def test_nothing_is_changed_by_bad_photos(animals, pics):
    for i, content in enumerate((b'', b'text', pics.encode(pics.picture(5))[:300])):
        (animals/'fox'/f'bad{i}.jpg').write_bytes(content)
    before = pics.tree(animals)
    photos = read_photos(animals)
    assert len(photos.skipped) == 3 and pics.tree(animals) == before


def test_unreadable_file(animals, monkeypatch):
    # tests may run as root, who can read everything
    real = open

    def no_open(file, *a, **kw):
        if str(file).endswith('003.jpg'): raise PermissionError(13, 'Permission denied', str(file))
        return real(file, *a, **kw)

    monkeypatch.setattr('builtins.open', no_open)
    photos = read_photos(animals)
    assert len(photos) == 20 and texts(photos) == {'003.jpg': 'unreadable (Permission denied)'}


def test_file_that_changes_or_vanishes_after_listing(animals, pics):
    rows = list_photos(animals)[0]
    os.remove(rows.path[0])
    new = pics.encode(pics.picture(4242))
    with open(rows.path[1], 'wb') as f: f.write(new)
    t, left_out = check_photos(rows)
    assert left_out.reason.tolist() == [Reason.MISSING.value]
    assert t.sha256[0] == hashlib.sha256(new).hexdigest()


def test_class_without_usable_photos_is_noted(animals):
    (animals/'wolf').mkdir()
    (animals/'wolf'/'a.jpg').write_bytes(b'')
    assert "class 'wolf' has no usable photo and is left out" in read_photos(animals).notes


# ---- the pass over the photos

def test_use_gets_every_usable_photo_once(animals):
    (animals/'fox'/'bad.jpg').write_bytes(b'')
    rows = list_photos(animals)[0]
    got, threads = {}, set()

    def use(i, facts, x):
        threads.add(threading.current_thread())
        got.setdefault(i, []).append((facts[0], x.shape))

    t, _ = check_photos(rows, use=use, workers=3, cut=np.array)
    assert sorted(got) == [i for i, p in enumerate(rows.path) if not p.endswith('bad.jpg')]
    assert all(len(v) == 1 for v in got.values()) and threading.main_thread() not in threads
    assert [got[i][0][0] for i in sorted(got)] == t.sha256.tolist()


def test_errors_of_use(animals):
    rows = list_photos(animals)[0]

    def refuse(i, facts, x):
        if i % 2: raise PhotoError(Reason.TOO_SMALL, 'too small for this net')

    t, left_out = check_photos(rows, use=refuse, cut=np.array)
    assert len(t) == 11
    assert set(left_out.reason) == {'too small'} and set(left_out.text) == {'too small for this net'}

    def full(i, facts, x): raise OSError(28, 'No space left on device')
    with pytest.raises(OSError, match='No space'): check_photos(rows, use=full, cut=np.array)


def test_known_photos_are_not_decoded(animals, monkeypatch):
    rows = list_photos(animals)[0]
    t, _ = check_photos(rows)
    known = {s: (w, h, look) for s, w, h, look in zip(t.sha256, t.width, t.height, t.look)}
    monkeypatch.setattr(table, 'decode', None)
    pd.testing.assert_frame_equal(check_photos(rows, known=known)[0], t)


def test_looks_do_not_depend_on_the_side(tmp_path, pics):
    for c in 'ab':
        (tmp_path/c).mkdir()
        for i in range(3):
            (tmp_path/c/f'{i}.jpg').write_bytes(pics.encode(pics.picture(ord(c) + 7*i, (700, 500))))
    rows = list_photos(tmp_path)[0]
    plain = check_photos(rows)[0]
    for side in (None, 40, 224):
        t = check_photos(rows, use=lambda *a: None, side=side, cut=np.array)[0]
        assert t.look.tolist() == plain.look.tolist() and set(t.width) == {700}


def test_check_can_be_replaced(animals):
    calls = []

    def check(rows):
        calls.append(len(rows))
        return check_photos(rows.iloc[:-1])

    assert len(read_photos(animals, check=check)) == 21 and calls == [22]


@pytest.fixture
def all_kinds(animals, pics):
    "Photos of many kinds, and files that are none."
    fox, turned = animals/'fox', Image.Exif()
    turned[ExifTags.Base.Orientation], turned[ExifTags.Base.Model] = 6, 'X100'
    turned.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] = '2024:05:01 10:11:12'
    pics.picture(1, (90, 60)).save(fox/'turned.jpg', exif=turned)
    pics.picture(2, (700, 500)).save(fox/'large.jpg')
    pics.picture(3).convert('CMYK').save(fox/'cmyk.jpg')
    pics.picture(4).save(fox/'animated.gif', save_all=True, append_images=[pics.picture(5)])
    pics.picture(6).convert('RGBA').save(fox/'clear.png')
    pics.picture(7, (8, 8)).save(fox/'least.png')
    for i, most in enumerate((4000, 250)):
        x = np.random.default_rng(i).integers(0, most, (40, 40)).astype(np.uint16)
        Image.fromarray(x).save(fox/f'deep {i}.png')
    pics.picture(8, (7, 7)).save(fox/'tiny.png')
    content = pics.encode(pics.picture(9, (400, 300)))
    (fox/'cut.jpg').write_bytes(content[:len(content)//2])
    (fox/'empty.jpg').touch()
    (fox/'page.jpg').write_text('<html>')
    shutil.copy(fox/'large.jpg', fox/'copy.jpg')
    return animals


def test_processes_find_what_threads_find(all_kinds, processes):
    rows, found = list_photos(all_kinds)[0], []
    (all_kinds/'fox'/'large.jpg').rename(all_kinds/'gone.jpg')
    for n in 0, 2:
        processes(n)
        used = {}
        def use(i, facts, x, used=used):
            if i % 7 == 0: raise PhotoError(Reason.TOO_SMALL, 'too small for this net')
            used[i] = facts, x
        how = dict(side=64, cut=lambda img: np.array(img.resize((40, 30))), room=40*30*3)
        found.append((check_photos(rows), check_photos(rows, use, **how), used))
    (a, b, here), (c, d, there) = found
    for want, got in zip((*a, *b), (*c, *d)): pd.testing.assert_frame_equal(want, got)
    assert {*a[1].reason} == {'truncated', 'empty file', 'not a photo', 'too small', 'file is missing'}
    assert {*a[0].span} == {'', '0,4095'} and {*a[0].camera} == {'', 'X100'} and a[0].taken.notna().sum() == 1
    assert len(here) > 20 and here.keys() == there.keys()
    for i, (facts, x) in here.items():
        assert facts == there[i][0] or facts[4] != facts[4]
        np.testing.assert_array_equal(x, there[i][1])


def test_the_table_of_processes_is_that_of_threads(all_kinds, processes):
    photos = []
    for n in 0, 2:
        processes(n)
        photos.append(read_photos(all_kinds, test=.2))
    a, b = photos
    for name in ('df', 'skipped', 'pairs'): pd.testing.assert_frame_equal(getattr(a, name), getattr(b, name))
    assert (a.notes, a.id) == (b.notes, b.id) and any('more than 8 bits' in note for note in a.notes)


# ---- duplicates

def near_copy(path, to, quality=60, scale=.8):
    im = Image.open(path)
    im.resize((int(im.width*scale), int(im.height*scale)), Image.Resampling.LANCZOS).save(to, quality=quality)


def test_same_and_near_photos_stay_on_one_side(tmp_path, pics):
    root = tmp_path/'animals'
    for c in ('fox', 'deer'):
        (root/c).mkdir(parents=True)
        for i in range(10):
            whole = pics.picture(i + 50*(c == 'fox'), (160, 120))
            (root/c/f'{i}.jpg').write_bytes(pics.encode(whole, quality=95))
            near_copy(root/c/f'{i}.jpg', root/c/f'{i} small.jpg')
    shutil.copy(root/'fox'/'3.jpg', root/'fox'/'3 (copy).jpg')
    photos = read_photos(root, test=.3)
    d = photos.duplicates
    assert len(d) == 20 and set(d.kind) == {'near'}
    assert (d.split_a == d.split_b).all() and photos.df.groupby('group').size().eq(2).all()
    assert texts(photos) == {'3 (copy).jpg': f"same content as {root/'fox'/'3.jpg'}"}
    assert photos.test.label.value_counts().to_dict() == {'fox': 6, 'deer': 6}


def test_one_photo_under_two_labels(animals):
    shutil.copy(animals/'fox'/'000.jpg', animals/'deer'/'x.jpg')
    photos = read_photos(animals)
    d = photos.duplicates
    assert len(d) == 1 and d.kind[0] == 'same' and d.split_a[0] == d.split_b[0]
    assert {d.label_a[0], d.label_b[0]} == {'fox', 'deer'}
    assert any('different labels' in n for n in photos.notes)


def test_leak_is_reported_and_nothing_moved(tmp_path, pics):
    pics.folder(tmp_path/'train', fox=6, deer=6)
    pics.folder(tmp_path/'test', fox=4, deer=4)
    shutil.copy(tmp_path/'train'/'fox'/'000.jpg', tmp_path/'test'/'fox'/'again.jpg')
    photos = read_photos(tmp_path)
    assert photos.df.split.value_counts().to_dict() == {'train': 12, 'test': 9}
    d = photos.duplicates
    assert {d.split_a[0], d.split_b[0]} == {'train', 'test'}
    assert any(n.startswith('1 test photo also in training') for n in photos.notes)


def test_test_photos_that_training_shares_are_marked(tmp_path, pics):
    pics.folder(tmp_path/'train', fox=6, deer=6)
    pics.folder(tmp_path/'test', fox=4, deer=4)
    whole = Image.open(tmp_path/'train'/'deer'/'001.jpg')
    whole.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(tmp_path/'test'/'deer'/'mirrored.png')
    photos = read_photos(tmp_path)
    assert [os.path.basename(p) for p in photos.test.path[photos.shared]] == ['mirrored.png']
    assert not read_photos(tmp_path/'train').shared.any()


# ---- bursts, groups, places

def timed(root, pics, seconds, start='2026:05:01 06:00:00', camera='Trap', **counts):
    "Class folders of photos that a camera took one after the other."
    pics.folder(root, **counts)
    begin = datetime.strptime(start, '%Y:%m:%d %H:%M:%S')
    for label, n in counts.items():
        for i in range(n):
            exif = Image.Exif()
            exif[ExifTags.Base.Model] = camera
            when = begin + timedelta(seconds=seconds(i))
            exif.get_ifd(ExifTags.IFD.Exif)[0x9003] = when.strftime('%Y:%m:%d %H:%M:%S')
            file = root/label/f'{i:03}.jpg'
            Image.open(file).copy().save(file, exif=exif, quality=92)
    return root


def frames(photos):
    "The numbers in the files' names by group."
    number = photos.df.path.map(lambda p: int(os.path.basename(p)[:3]))
    return sorted(sorted(n) for n in number.groupby([photos.df.label, photos.df.group]).agg(list))


def test_bursts_stay_on_one_side(tmp_path, pics):
    root = timed(tmp_path/'a', pics, lambda i: i//4*600 + i % 4*20, fox=20, deer=20)
    photos = read_photos(root)
    assert frames(photos) == sorted([[4*k, 4*k+1, 4*k+2, 4*k+3] for k in range(5)]*2)
    assert photos.df.groupby('group').split.nunique().max() == 1
    assert photos.test.label.value_counts().to_dict() == {'fox': 4, 'deer': 4}
    assert any(n.startswith('40 photos taken within 60 s') and '10 bursts' in n for n in photos.notes)
    parted = read_photos(root, burst=None)
    assert parted.df.group.nunique() == 40 and parted.notes == []
    assert read_photos(root, burst=10).df.group.nunique() == 40
    with pytest.raises(UserError, match='number of seconds'): read_photos(root, burst=-1)


@pytest.mark.parametrize('start, seconds, words', [
    ('1969:12:31 23:00:00', lambda i: i, '24 photos taken before 1970'),
    ('2999:01:01 00:00:00', lambda i: i, '24 photos taken in the future'),
    ('2020:01:01 00:00:00', lambda i: 0, 'very same one, as scanners'),
    ('2020:01:01 00:00:00', lambda i: 30*i, "all photos of class 'fox' were taken in one go")])
def test_times_that_say_nothing_group_nothing_and_it_is_said(tmp_path, pics, start, seconds, words):
    photos = read_photos(timed(tmp_path/'a', pics, seconds, start, fox=12, deer=12))
    assert photos.df.group.nunique() == 24 and any(words in n for n in photos.notes)
    assert not any('each wholly' in n for n in photos.notes)


def test_two_cameras_make_two_bursts(tmp_path, pics):
    root = timed(tmp_path/'a', pics, lambda i: i//2*900 + i % 2, camera='One', fox=8, deer=8)
    timed(tmp_path/'b', pics, lambda i: i//2*900 + i % 2, camera='Two', fox=8, deer=8)
    for f in sorted((tmp_path/'b').rglob('*.jpg')): shutil.move(f, root/f.parent.name/f'1{f.name[1:]}')
    assert frames(read_photos(root)) == sorted([[a+2*k, a+2*k+1] for a in (0, 100) for k in range(4)]*2)


def test_columns_group_and_place_keep_photos_together(animals):
    t = list_photos(animals)[0][['path', 'label']]
    t['group'] = [f'animal {i//2}' for i in range(len(t))]
    t['place'] = ['the pond ' if i in (0, 21) else '' for i in range(len(t))]
    t.loc[5, 'place'] = 'the pond'
    photos = read_photos(t)
    group = photos.df.set_index('path').group[t.path]
    assert group.nunique() == 9 and len(set(group.iloc[[0, 1, 4, 5, 20, 21]])) == 1
    assert photos.df.groupby('group').split.nunique().max() == 1
    with pytest.raises(UserError, match='of one group, place or burst'): read_photos(t.assign(place=t.label))


def test_a_given_test_set_that_shares_a_place_is_noted(animals):
    t = list_photos(animals)[0][['path', 'label']]
    t['split'] = ['test' if i % 4 == 0 else 'train' for i in range(len(t))]
    t['place'] = ['pond' if i < 3 else f'elsewhere {i}' for i in range(len(t))]
    photos = read_photos(t)
    assert photos.shared.sum() == 1
    assert any(n.startswith('1 test photo of a group, place or burst') for n in photos.notes)


def test_a_given_test_set_that_tears_groups_is_noted_also_beside_copies_within_it(animals):
    t = list_photos(animals)[0][['path', 'label']]
    t['split'] = ['test' if i % 4 == 0 else 'train' for i in range(len(t))]
    t['group'] = [f'g{i//2}' if i < 4 else None for i in range(len(t))]
    shutil.copy(t.path[0], t.path[8])  # the same photo twice, both for testing
    t.loc[8, 'label'], t.loc[0, 'label'] = 'fox', 'deer'
    photos = read_photos(t)
    assert photos.shared.sum() == 2 and photos.df.group.nunique() == 19
    assert any(n.startswith('2 test photos of a group') for n in photos.notes)


@pytest.mark.parametrize('source', ['', None, 5, ['a']])
def test_what_names_no_folder_is_refused(source):
    with pytest.raises(UserError, match='expected the name of a file or folder'): read_photos(source)


# ---- the value

def test_file_names_change_nothing_but_the_paths(tmp_path, pics):
    one = pics.folder(tmp_path/'a'/'animals', fox=8, deer=8)
    for c in ('fox', 'deer'):
        for i in range(4): shutil.copy(one/c/f'00{i}.jpg', one/c/f'00{i} (copy).jpg')
    other = tmp_path/'b'/'animals'
    for i, p in enumerate(sorted(one.rglob('*.jpg'), reverse=True)):
        (other/p.parent.name).mkdir(parents=True, exist_ok=True)
        shutil.copy(p, other/p.parent.name/f'{i:03}.jpg')
    a, b = read_photos(one), read_photos(other)
    pd.testing.assert_frame_equal(a.df.drop(columns='path'), b.df.drop(columns='path'))
    assert a.id == b.id


def test_rows_are_sorted_by_content(animals):
    photos = read_photos(animals)
    key = ['split', 'label', 'sha256', 'path']
    assert photos.df[key].values.tolist() == sorted(photos.df[key].values.tolist())
    assert photos.test.index.tolist() == list(range(4))
    mixed = dataclasses.replace(photos, df=photos.df.sample(frac=1, random_state=0))
    pd.testing.assert_frame_equal(mixed.df, photos.df)


def test_codes_and_weights_follow_the_classes(animals):
    photos = read_photos(animals)
    rows = photos.train(5, balance='none')
    codes = photos.codes(rows)
    assert codes.dtype == np.int64 and [photos.classes[c] for c in codes] == rows.label.tolist()
    assert np.allclose(photos.class_weights(rows), [1, 1])
    only = rows[rows.label == 'fox']
    assert photos.codes(only).tolist() == [1]*5 and photos.class_weights(only).tolist() == [0, 1]
    with pytest.raises(UserError, match="no class 'wolf'"): photos.codes(rows.assign(label='wolf'))


def test_train_takes_what_the_split_gives(animals, pics):
    photos = read_photos(animals)
    assert photos.sizes == ['all'] and len(photos.train()) == 18
    assert photos.train(10, short='use-all').label.value_counts().to_dict() == {'fox': 10, 'deer': 8}
    assert set(photos.train('all', balance='under').label.value_counts()) == {8}
    with pytest.raises(UserError, match='size 10 needs 10 for training') as e: photos.train(10)
    pics.one_line(e)


def test_id_names_the_content(animals):
    photos = read_photos(animals)
    t, new = photos.df, lambda **kw: dataclasses.replace(photos, **kw).id
    assert len(photos.id) == 12
    assert new(df=t.sample(frac=1, random_state=0).assign(path='elsewhere'), name='x') == photos.id
    others = [t[1:], t.assign(label='a'), t.assign(split='train'), t.assign(group='')]
    assert len({photos.id, *(new(df=df) for df in others)}) == 5


def test_a_table_that_lacks_a_column():
    with pytest.raises(UserError, match='needs the column label'): Photos(pd.DataFrame(dict(path=['a'])))


def test_repr_is_short_and_safe(animals):
    photos = dataclasses.replace(read_photos(animals), name='<script>')
    assert repr(photos) == "Photos('<script>': 22 photos, 2 classes, 4 for testing)"
    page = photos._repr_html_()
    assert '&lt;script&gt;' in page and '<script>' not in page and '<td>8</td>' in page
    assert len(page) < 2000


def test_photos_keep_no_attributes_of_the_table(animals):
    photos = read_photos(animals)
    assert photos.df.attrs == {} and photos.test.attrs == {} and photos.train().attrs == {}


def test_classes_are_in_the_order_in_which_people_count(tmp_path, pics):
    names = ['class 1', 'class 2', 'class 10']
    photos = read_photos(pics.folder(tmp_path/'p', **dict.fromkeys(names, 3)))
    assert photos.classes == names and {*photos.codes(photos.df[photos.df.label == 'class 10'])} == {2}
    file, key = photos.save(tmp_path/'p.parquet'), b'imgcls.photos'
    assert Photos.load(file).classes == names
    # an earlier imgcls kept its probabilities in the order of letters, and did not write which order it is
    t = parquet.read_table(file)
    about = json.loads(t.schema.metadata[key])
    del about['natural']
    parquet.write_table(t.replace_schema_metadata({**t.schema.metadata, key: json.dumps(about)}), file)
    old = Photos.load(file)
    assert old.classes == sorted(names) and Photos.load(old.save(file)).classes == sorted(names)
    assert old.id != photos.id, 'its runs are not those of photos in another order'


def test_saved_photos_come_back(animals):
    (animals/'fox'/'bad.jpg').write_bytes(b'')
    shutil.copy(animals/'fox'/'000.jpg', animals/'deer'/'x.jpg')
    photos = dataclasses.replace(read_photos(animals), cleaned_from='/a/study')
    photos.df['was'] = ''
    back = Photos.load(photos.save(animals.parent/'x'/'t.parquet'))
    for part in ('df', 'skipped', 'pairs', 'duplicates'):
        pd.testing.assert_frame_equal(getattr(back, part), getattr(photos, part))
    for part in ('name', 'notes', 'origin', 'cleaned_from', 'id', 'classes'):
        assert getattr(back, part) == getattr(photos, part)
    assert len(back.skipped) == len(back.pairs) == 1 and back.notes


def test_files_that_hold_no_photos(animals):
    with pytest.raises(UserError, match='is missing'): Photos.load(animals/'none.parquet')
    bad = animals.parent/'bad.parquet'
    bad.write_bytes(b'PAR1')
    with pytest.raises(UserError, match='delete it'): Photos.load(bad)
    read_photos(animals).df.to_parquet(bad)
    with pytest.raises(UserError, match='not photos'): Photos.load(bad)


@pytest.mark.skipif(sys.platform != 'linux', reason='only Linux has names that are no text')
def test_names_of_all_kinds_are_kept(animals, pics):
    with open(os.fsencode(animals) + b'/fox/\xff\xfe.jpg', 'wb') as f: f.write(pics.encode(pics.picture(1)))
    names = ['🦊 🦊.jpg', 'new\nline.jpg', '<script>alert(1)<\\script>.jpg', "quo'te\".jpg"]
    for i, n in enumerate(names): (animals/'fox'/n).write_bytes(pics.encode(pics.picture(700+i)))
    pics.folder(animals, start=60_000, **{'<img src=x>': 3, 'ärger & 🦌': 3})
    photos = read_photos(animals)
    assert {os.path.basename(p) for p in photos.df.path} >= set(names)
    assert list(photos.skipped.reason) == [Reason.BAD_NAME.value]
    assert Photos.load(photos.save(animals.parent/'t.parquet')).df.path.tolist() == photos.df.path.tolist()


def test_import_is_light():
    heavy = {'torch', 'fastai', 'matplotlib', 'scipy', 'huggingface_hub', 'imagehash', 'pyarrow.parquet'}
    code = f'import sys, imgcls.data.table; print(*{heavy} & {{*sys.modules}})'
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ''
