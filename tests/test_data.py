"""From photos to a table: every kind of bad input, and what must never happen to a user's files."""
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import threading
import time
import zlib
from http.server import BaseHTTPRequestHandler, HTTPServer

import numpy as np
import pandas as pd
import pytest
from PIL import ExifTags, Image

import imgcls.data as data
from imgcls.core import UserError, decode
from imgcls.data import (
    available_sizes,
    check_photos,
    class_weights,
    duplicates,
    fetch_dataset,
    list_photos,
    load_table,
    near_duplicates,
    photo_table,
    save_table,
    skipped,
    split_photos,
    table_id,
    take,
)


def picture(n, size=(48, 40)):
    "A picture with detail of its own for each number."
    x = np.random.default_rng(n).integers(0, 256, (8, 10, 3), dtype=np.uint8)
    return Image.fromarray(x).resize(size, Image.Resampling.BICUBIC)


def encode(img, fmt='JPEG', **kw):
    out = io.BytesIO()
    img.save(out, fmt, **kw)
    return out.getvalue()


def folder(root, start=0, **counts):
    "Class folders with the given numbers of photos, each photo different."
    n = start + sum(map(ord, str(root.name)))*1000
    for label, count in counts.items():
        (root/label).mkdir(parents=True, exist_ok=True)
        for i in range(count):
            (root/label/f'{i:03}.jpg').write_bytes(encode(picture(n), quality=92))
            n += 1
    return root


def tree(root):
    "What every file holds and when it was written."
    return {str(p): (p.read_bytes(), p.stat().st_mtime_ns) for p in root.rglob('*') if p.is_file()}


def one_line(e):
    assert '\n' not in str(e.value) and len(str(e.value)) > 20
    return str(e.value)


@pytest.fixture
def animals(tmp_path): return folder(tmp_path/'animals', fox=12, deer=10)


def with_file(root, content, name='odd.jpg'):
    (root/'fox'/name).write_bytes(content)
    return photo_table(root)


def reasons(t): return dict(zip(skipped(t).path.map(os.path.basename), skipped(t).reason))


# ---- layouts

def test_class_folders(animals):
    before = tree(animals)
    t = photo_table(animals)
    assert list(t.columns) == data.COLUMNS and len(t) == 22
    counts = {('deer', 'test'): 2, ('deer', 'train'): 8, ('fox', 'test'): 2, ('fox', 'train'): 10}
    assert t.groupby(['label', 'split']).size().to_dict() == counts
    assert t.path.map(os.path.isabs).all() and t.attrs['name'] == 'animals' and not t.attrs['given_split']
    assert (t.order[t.split == 'test'] == -1).all()
    assert sorted(t.order[(t.split == 'train') & (t.label == 'fox')]) == list(range(10))
    assert set(zip(t.width, t.height)) == {(48, 40)}
    assert t.sha256[0] == hashlib.sha256(open(t.path[0], 'rb').read()).hexdigest()
    assert tree(animals) == before, 'photos of the user were changed'


def test_photos_in_folders_of_class_folders_count(animals):
    folder(animals/'fox', start=9000, may=3)
    assert (photo_table(animals).label == 'fox').sum() == 15


@pytest.mark.parametrize('names', ['train test', 'Train valid', 'training validation', 'train val', 'training testing'])
def test_split_folders(tmp_path, names):
    names = names.split()
    for n in names: folder(tmp_path/n, fox=4, deer=3)
    t = photo_table(tmp_path)
    assert t.attrs['given_split'] and t.split.value_counts().to_dict() == {'train': 7, 'test': 7}
    assert t.path[t.split == 'train'].str.contains(names[0]).all()


def test_test_folder_wins_over_validation_and_this_is_said(tmp_path):
    for n in ('train', 'validation', 'test', 'unsorted'): folder(tmp_path/n, fox=4, deer=3)
    t = photo_table(tmp_path)
    assert len(t) == 14 and not t.path.str.contains('validation').any()
    assert any('validation' in n and 'left out' in n for n in t.attrs['notes']) and any('unsorted' in n for n in t.attrs['notes'])


def test_train_folder_alone_gives_its_test_photos(tmp_path):
    folder(tmp_path/'train', fox=5, deer=5)
    t = photo_table(tmp_path)
    assert not t.attrs['given_split'] and t.split.value_counts().to_dict() == {'train': 8, 'test': 2}


def test_a_class_may_be_called_train(tmp_path):
    folder(tmp_path/'vehicles', train=5, bus=5)
    assert set(photo_table(tmp_path/'vehicles').label) == {'train', 'bus'}


def test_size_folders(tmp_path):
    big = folder(tmp_path/'20', fox=20, deer=20)
    for label in ('fox', 'deer'):
        (tmp_path/'5'/label).mkdir(parents=True)
        for i in range(5): shutil.copy(big/label/f'{i:03}.jpg', tmp_path/'5'/label/f'another name {i}.jpg')
    t = photo_table(tmp_path)
    assert len(t) == 40 and t.sha256.is_unique and available_sizes(t) == [5, 20]
    assert sorted(t.sizes.value_counts().to_dict().items()) == [('20', 30), ('5,20', 10)]
    assert (t.split == 'test').sum() == 8
    tests = set(t.sha256[t.split == 'test'])
    for size in (5, 20):
        rows = take(t, size)
        assert not set(rows.sha256) & tests and all(str(size) in s.split(',') for s in rows.sizes)
    assert len(take(t, 20)) == 32
    with pytest.raises(UserError, match='no size folder 7'): take(t, 7)


def test_digits_are_classes_not_sizes(tmp_path):
    folder(tmp_path/'digits', **{'0': 4, '1': 4})
    assert set(photo_table(tmp_path/'digits').label) == {'0', '1'}


def test_csv_with_all_columns(tmp_path):
    folder(tmp_path/'pics', a=6, b=6)
    rows = [dict(path=f'pics/{c}/{i:03}.jpg', label=f'<b>{c}</b>, "x"', group=f'trap{i//2}', licence='CC0', author='Ann')
            for c in 'ab' for i in range(6)]
    rows[0]['path'] = str(tmp_path/rows[0]['path'])
    pd.DataFrame(rows + [dict(path='pics/gone.jpg', label='a'), dict(path='', label='a'), dict(path='pics/a/001.jpg', label='')]
                 ).to_csv(tmp_path/'list.csv', index=False)
    t = photo_table(tmp_path/'list.csv', test=.34)
    assert len(t) == 12 and set(t.label) == {'<b>a</b>, "x"', '<b>b</b>, "x"'} and set(t.licence) == {'CC0'} and set(t.author) == {'Ann'}
    assert sorted(skipped(t).reason) == ['file is missing', 'no label', 'no path']
    assert t.groupby('group').split.nunique().max() == 1 and t.group.nunique() == 3, "the user's groups stay together"


@pytest.mark.parametrize('text, message', [
    ('', "can't read"), ('path,label\n', 'has no rows'),
    ('file,class\na.jpg,fox\n', 'has the columns file, class; it needs path and label'),
    ('path,label\nx.jpg,fox\n', 'lists no photo that is there'), ('path,label,split\nanimals/fox/000.jpg,fox,maybe\n', "the split 'maybe'"),
    ('path,label,split\nanimals/fox/000.jpg,fox,test\n', 'no row with the split train'), ('path,label\n"a', "can't read|lists no photo")])
def test_csv_mistakes(animals, text, message):
    file = animals.parent/'list.csv'
    file.write_text(text)
    with pytest.raises(UserError, match=message) as e: photo_table(file)
    one_line(e)


def test_csv_of_a_spreadsheet(animals):
    file = animals.parent/'list.csv'
    rows = [f'animals/{c}/{i:03}.jpg;{c};{"test" if i < 2 else "train"}' for c in ('fox', 'deer') for i in range(6)]
    text = '\n'.join(['Path;Label;Split', *rows])
    file.write_bytes(b'\xef\xbb\xbf' + text.encode())
    assert photo_table(file).split.value_counts().to_dict() == {'train': 8, 'test': 4}
    file.write_bytes('path,label\nanimals/fox/000.jpg,fähe\n'.encode('latin-1'))
    with pytest.raises(UserError, match='UTF-8'): photo_table(file)


def test_csv_same_photo_twice(animals):
    file = animals.parent/'list.csv'
    rows = [(f'animals/{c}/{i:03}.jpg', c) for c in ('fox', 'deer') for i in range(4)]
    pd.DataFrame(rows + [rows[0], (rows[1][0], 'deer')], columns=['path', 'label']).to_csv(file, index=False)
    t = photo_table(file)
    assert len(t) == 8 and any('two labels' in r for r in skipped(t).reason) and 'listed twice' in set(skipped(t).reason)


def test_data_frame_in_a_notebook(animals):
    files = list(animals.rglob('*.jpg'))
    t = photo_table(pd.DataFrame(dict(path=[str(p) for p in files], label=[p.parent.name for p in files])))
    assert len(t) == 22


# ---- nothing, too little, unclear

def test_empty_folder(tmp_path):
    (tmp_path/'fox').mkdir()
    with pytest.raises(UserError, match='holds no photos; make one folder a class') as e: photo_table(tmp_path)
    one_line(e)


def test_folder_of_photos_without_classes(tmp_path):
    (tmp_path/'a.jpg').write_bytes(encode(picture(1)))
    with pytest.raises(UserError, match='no class folder with photos; make one folder a class inside it, such as .*fox/001.jpg'):
        photo_table(tmp_path)


def test_no_such_folder(tmp_path):
    with pytest.raises(UserError, match='there is no folder or file') as e: photo_table(tmp_path/'nowhere')
    one_line(e)


def test_one_class(tmp_path):
    folder(tmp_path/'animals', fox=3)
    with pytest.raises(UserError, match="only one class, 'fox' with 3 photos") as e: photo_table(tmp_path/'animals')
    one_line(e)
    with pytest.raises(UserError, match='only one class'): photo_table(folder(tmp_path/'more', fox=3, deer=3), classes='fox')


def test_messages_stay_on_one_line(tmp_path):
    with pytest.raises(UserError, match='a b') as e: photo_table(folder(tmp_path/'x', **{'a\nb': 3}))
    one_line(e)


def test_class_that_is_not_there(animals):
    with pytest.raises(UserError, match="no class 'wolf'; there are deer, fox"): photo_table(animals, classes='fox,wolf')


def test_class_with_one_photo(tmp_path):
    with pytest.raises(UserError, match="class 'deer' has 1 photo; it needs at least 2"): photo_table(folder(tmp_path/'a', fox=5, deer=1))


def test_too_few_for_a_size(animals):
    t = photo_table(animals)
    assert available_sizes(t) == ['all']
    message = "class 'deer' has 10 photos, size 10 needs 10 for training after 2 were set aside.*use-all"
    with pytest.raises(UserError, match=message) as e: take(t, 10)
    one_line(e)
    assert take(t, 10, short='use-all').label.value_counts().to_dict() == {'fox': 10, 'deer': 8}
    for bad in (0, -1, 'many', '1.5'):
        with pytest.raises(UserError, match='number of photos a class'): take(t, bad)


def test_test_class_that_training_lacks(tmp_path):
    folder(tmp_path/'train', fox=3, deer=3)
    folder(tmp_path/'test', fox=3, deer=3, wolf=2)
    with pytest.raises(UserError, match="class 'wolf' has 2 test photos but none for training") as e: photo_table(tmp_path)
    one_line(e)
    assert len(photo_table(tmp_path, classes='fox,deer')) == 12


def test_training_class_without_test_photos_is_noted(tmp_path):
    folder(tmp_path/'train', fox=3, deer=3, wolf=2)
    folder(tmp_path/'test', fox=3, deer=3)
    assert "class 'wolf' has no test photos" in photo_table(tmp_path).attrs['notes']


def test_only_a_test_folder(tmp_path):
    folder(tmp_path/'test', fox=3, deer=3)
    with pytest.raises(UserError, match='no train folder'): photo_table(tmp_path)


@pytest.mark.parametrize('share', [0, 1, -.1, 2])
def test_share_of_test_photos(animals, share):
    with pytest.raises(UserError, match='between 0 and 1'): photo_table(animals, test=share)


def test_folders_that_differ_in_case(tmp_path):
    root = folder(tmp_path/'animals', Fox=3, deer=4)
    try: folder(root, start=500, fox=5)
    except OSError: pytest.skip('this disk knows no case')
    if len(os.listdir(root)) < 3: pytest.skip('this disk knows no case')
    with pytest.raises(UserError, match=r"'Fox' \(3 photos\) and 'fox' \(5 photos\) differ in case") as e: photo_table(root)
    one_line(e)
    assert set(photo_table(root, classes='Fox,deer').label) == {'Fox', 'deer'}


# ---- odd photos

def png_header(w, h):
    head = b'IHDR' + w.to_bytes(4, 'big') + h.to_bytes(4, 'big') + b'\x08\x02\0\0\0'
    chunk = lambda c: len(c[4:]).to_bytes(4, 'big') + c + zlib.crc32(c).to_bytes(4, 'big')
    return b'\x89PNG\r\n\x1a\n' + chunk(head) + chunk(b'IDAT' + zlib.compress(b'\0'*1000)) + chunk(b'IEND')


@pytest.mark.parametrize('name, content, reason', [
    ('empty.jpg', b'', 'empty file'),
    ('text.jpg', b'not a photo at all', 'not a photo'),
    ('page.jpg', b'<!doctype html><html></html>', 'web page'),
    ('half.jpg', encode(picture(5, (400, 300)), quality=95)[:9000], 'truncated JPEG'),
    ('half.png', encode(picture(5, (400, 300)), 'PNG')[:9000], 'PNG'),
    ('header.jpg', encode(picture(5))[:30], 'JPEG|photo|header'),
    ('dot.png', encode(Image.new('RGB', (1, 1)), 'PNG'), '1×1 pixels'),
    ('line.png', encode(Image.new('RGB', (900, 2)), 'PNG'), '900×2 pixels'),
    ('huge.png', png_header(30_000, 30_000), '900 million pixels, the limit is 89 million'),
    ('large.png', png_header(10_000, 10_000), '100 million pixels, the limit is 89 million'),
    ('video.mp4', b'\0'*100, r'not a photo \(.mp4\)'),
    ('notes.txt', b'x', r'not a photo \(.txt\)'),
    ('phone.heic', b'\0\0\0\x18ftypheic' + b'\0'*40, 'HEIC')])
def test_photo_that_cannot_be_used(animals, name, content, reason, recwarn):
    t = with_file(animals, content, name)
    assert len(t) == 22 and list(reasons(t)) == [name]
    assert pd.Series([reasons(t)[name]]).str.contains(reason)[0], reasons(t)
    assert not [w for w in recwarn if 'PIL' in str(w.filename)], 'a warning of Pillow leaked'


def test_huge_png_is_refused_before_it_is_unpacked(tmp_path):
    import tracemalloc
    tracemalloc.start()
    start = time.perf_counter()
    with pytest.raises(UserError, match='900 million'): decode(png_header(30_000, 30_000))
    assert time.perf_counter() - start < 1 and tracemalloc.get_traced_memory()[1] < 20e6
    tracemalloc.stop()


def _exif(): e = Image.Exif(); e[ExifTags.Base.Orientation] = 6; return e


deep = Image.fromarray((np.arange(48*40).reshape(40, 48)*34).astype(np.uint16))
glass = picture(3).convert('RGBA')
glass.putalpha(Image.linear_gradient('L').resize(glass.size))


GOOD = {
    '16-bit-png': encode(deep, 'PNG'),
    '16-bit-tiff': encode(deep, 'TIFF'),
    'cmyk': encode(picture(3).convert('CMYK')),
    'palette-alpha': encode(glass.quantize(16), 'PNG', transparency=0),
    'rgba': encode(glass, 'PNG'),
    'grey-alpha': encode(glass.convert('LA'), 'PNG'),
    'gif': encode(picture(3), 'GIF', save_all=True, append_images=[picture(4)]),
    'webp': encode(picture(3), 'WEBP', save_all=True, append_images=[picture(4)]),
    'one-bit': encode(picture(3).convert('1'), 'PNG'),
    'exif-jpeg': encode(picture(3), exif=_exif()),
    'exif-png': encode(picture(3), 'PNG', exif=_exif()),
    'exif-tiff': encode(picture(3), 'TIFF', exif=_exif())}


@pytest.mark.parametrize('kind', GOOD)
def test_odd_photo_that_can_be_used(animals, kind, recwarn):
    content, size = GOOD[kind], (40, 48) if 'exif' in kind else (48, 40)
    t = with_file(animals, content)
    row = t[t.path.str.endswith('odd.jpg')].iloc[0]
    assert not len(skipped(t)) and (row.width, row.height) == size
    img = decode(content)
    assert img.mode == 'RGB' and img.size == size and np.asarray(img).std() > 10
    assert not [w for w in recwarn if 'PIL' in str(w.filename)]


def test_what_odd_photos_look_like():
    assert np.abs(np.asarray(decode(encode(deep, 'PNG')))[..., 0].astype(int) - np.asarray(deep)//257).max() <= 1
    first = decode(encode(picture(3), 'GIF', save_all=True, append_images=[picture(4)]))
    near = lambda a, b: np.abs(np.asarray(a).astype(int) - np.asarray(b)).mean()
    assert near(first, picture(3)) < 10 < near(first, picture(4))
    lying = picture(3)
    assert near(decode(encode(lying, exif=_exif(), quality=95)), lying.transpose(Image.Transpose.ROTATE_270)) < 10
    assert near(decode(encode(lying, 'TIFF', exif=_exif())), lying.transpose(Image.Transpose.ROTATE_270)) == 0
    clear = Image.new('RGBA', (16, 16), (0, 0, 0, 0))
    assert decode(encode(clear, 'PNG')).getpixel((8, 8)) == (255, 255, 255)
    assert near(decode(encode(picture(3).convert('CMYK'), quality=95)), picture(3)) < 12


def test_a_reduced_jpeg_reports_its_whole_size():
    whole = encode(picture(3, (800, 600)), exif=_exif())
    img = decode(whole, side=100)
    assert img.size == (150, 200) and img.info['size'] == (600, 800)


def test_names(animals):
    names = ['with space.jpg', '🦊🦊.jpg', 'new\nline.jpg', '<script>alert(1)<\\script>.jpg', 'up..jpg', '%s{0}.jpg', "quo'te\".jpg",
             'IMG_0001']
    if os.name == 'nt': names = names[:2]  # Windows allows none of the others
    for i, n in enumerate(names): (animals/'fox'/n).write_bytes(encode(picture(700+i)))
    folder(animals, start=60_000, **{'<img src=x>': 3, 'ärger & 🦌': 3} if os.name != 'nt' else {'ärger & 🦌': 3})
    t = photo_table(animals)
    assert {os.path.basename(p) for p in t.path} >= set(names) and not len(skipped(t))
    assert load_table(save_table(t, animals.parent/'t.parquet')).path.tolist() == t.path.tolist()


@pytest.mark.skipif(sys.platform != 'linux', reason='only Linux has names that are no text')
def test_name_that_is_not_text(animals):
    with open(os.fsencode(animals) + b'/fox/\xff\xfe.jpg', 'wb') as f: f.write(encode(picture(1)))
    t = photo_table(animals)
    assert list(skipped(t).reason) == ['the name is not valid text']
    save_table(t, animals.parent/'t.parquet')


def test_hidden_files_and_litter_are_passed_over(animals):
    for p in ('.hidden.jpg', '.ipynb_checkpoints/000-checkpoint.jpg', '__MACOSX/._000.jpg', 'fox/.ipynb_checkpoints/000.jpg',
              'fox/._000.jpg', 'fox/..dots.jpg', 'fox/.DS_Store', 'fox/Thumbs.db', '.git/fox/a.jpg'):
        (animals/p).parent.mkdir(parents=True, exist_ok=True)
        (animals/p).write_bytes(encode(picture(len(p))))
    t = photo_table(animals)
    assert len(t) == 22 and not len(skipped(t)) and set(t.label) == {'fox', 'deer'}


@pytest.mark.skipif(os.name == 'nt', reason='links need rights on Windows')
def test_symlink_loops(animals):
    (animals/'fox'/'up').symlink_to(animals, target_is_directory=True)
    (animals/'fox'/'self').symlink_to('self')
    (animals/'fox'/'here').symlink_to('.', target_is_directory=True)
    (animals/'fox'/'gone.jpg').symlink_to('nowhere.jpg')
    t = photo_table(animals, classes='fox,deer')
    assert (t.label == 'deer').sum() == 10
    assert set(skipped(t).reason) >= {'broken link', 'link to a folder that was already read'}


@pytest.mark.skipif(not hasattr(os, 'mkfifo'), reason='no pipes here')
def test_a_pipe_does_not_hang(animals):
    os.mkfifo(animals/'fox'/'pipe.jpg')
    assert reasons(photo_table(animals)) == {'pipe.jpg': 'not a file'}


def test_unreadable_file_and_folder(animals, monkeypatch):
    # tests may run as root, who can read everything
    folder(animals/'fox', start=800, secret=2)
    real_open, real_scan = open, os.scandir

    def no_open(file, *a, **kw):
        if str(file).endswith('003.jpg'): raise PermissionError(13, 'Permission denied', str(file))
        return real_open(file, *a, **kw)

    def no_scan(path):
        if str(path).endswith('secret'): raise PermissionError(13, 'Permission denied', str(path))
        return real_scan(path)

    monkeypatch.setattr('builtins.open', no_open)
    monkeypatch.setattr(os, 'scandir', no_scan)
    t = photo_table(animals)
    assert len(t) == 20 and reasons(t) == {'003.jpg': 'unreadable (Permission denied)', 'secret': 'unreadable folder (Permission denied)'}


def test_file_that_changes_or_vanishes_after_listing(animals):
    names, _ = list_photos(animals)
    os.remove(names.path[0])
    new = encode(picture(4242))
    with open(names.path[1], 'wb') as f: f.write(new)
    t, bad = check_photos(names)
    assert [b['reason'] for b in bad] == ['vanished while reading'] and t.sha256[0] == hashlib.sha256(new).hexdigest()


def test_no_usable_photo_at_all(tmp_path):
    for c in ('fox', 'deer'):
        (tmp_path/c).mkdir()
        (tmp_path/c/'a.jpg').write_bytes(b'')
    with pytest.raises(UserError, match='none of the 2 photos can be used: empty file') as e: photo_table(tmp_path)
    one_line(e)


def test_class_without_usable_photos_is_noted(animals):
    (animals/'wolf').mkdir()
    (animals/'wolf'/'a.jpg').write_bytes(b'')
    assert any("'wolf' has no usable photo" in n for n in photo_table(animals).attrs['notes'])


def test_nothing_is_changed_by_bad_photos(animals):
    for i, c in enumerate((b'', b'text', png_header(30_000, 30_000), encode(picture(5))[:300])):
        (animals/'fox'/f'bad{i}.jpg').write_bytes(c)
    before = tree(animals)
    t = photo_table(animals)
    assert len(skipped(t)) == 4 and tree(animals) == before


# ---- the pass over the photos

def test_use_gets_every_usable_photo_once(animals):
    (animals/'fox'/'bad.jpg').write_bytes(b'')
    names, _ = list_photos(animals)
    got, threads = {}, set()

    def use(i, sha, img):
        threads.add(threading.current_thread())
        got.setdefault(i, []).append((sha, img.size, img.mode))

    t, _ = check_photos(names, use=use, workers=3)
    assert sorted(got) == [i for i, p in enumerate(names.path) if not p.endswith('bad.jpg')] and all(len(v) == 1 for v in got.values())
    assert [got[i][0][0] for i in sorted(got)] == t.sha256.tolist() and threading.main_thread() not in threads


def test_errors_of_use(animals):
    names, _ = list_photos(animals)
    def refuse(i, sha, img):
        if i == 3: raise data.PhotoError('I do not like it')
    t, bad = check_photos(names, use=refuse)
    assert len(t) == 21 and bad == [dict(path=names.path[3], reason='I do not like it')]
    def break_(i, sha, img): raise ZeroDivisionError
    with pytest.raises(ZeroDivisionError): check_photos(names, use=break_)
    def full(i, sha, img): raise OSError(28, 'No space left on device')  # not the photo's fault
    with pytest.raises(OSError, match='No space'): check_photos(names, use=full)


def test_few_photos_are_under_way_at_once():
    # a slow consumer must hold back the readers, or else memory grows with the number of photos
    started = []
    results = data._in_portions(lambda i: started.append(i), 10_000, workers=2)
    next(results)
    time.sleep(.1)
    assert len(started) <= 5*16
    results.close()


def test_known_photos_are_not_decoded(animals, monkeypatch):
    names, _ = list_photos(animals)
    t, _ = check_photos(names)
    known = {s: (w, h, d) for s, w, h, d in zip(t.sha256, t.width, t.height, t.dhash)}
    monkeypatch.setattr(data, 'decode', None)
    pd.testing.assert_frame_equal(check_photos(names, known=known)[0], t)


def test_fingerprints_do_not_depend_on_the_side(tmp_path):
    for c in 'ab':
        (tmp_path/c).mkdir()
        for i in range(3): (tmp_path/c/f'{i}.jpg').write_bytes(encode(picture(ord(c) + 7*i, (700, 500))))
    names, _ = list_photos(tmp_path)
    plain = check_photos(names)[0]
    for side in (None, 40, 100, 224):
        t = check_photos(names, use=lambda *a: None, side=side)[0]
        assert t.dhash.tolist() == plain.dhash.tolist() and set(t.width) == {700}


# ---- duplicates

def near_copy(path, to, quality=60, scale=.8):
    im = Image.open(path)
    im.resize((int(im.width*scale), int(im.height*scale)), Image.Resampling.LANCZOS).save(to, quality=quality)


def test_same_and_near_photos_stay_on_one_side(tmp_path):
    root = tmp_path/'animals'
    for c in ('fox', 'deer'):
        (root/c).mkdir(parents=True)
        for i in range(10):
            (root/c/f'{i}.jpg').write_bytes(encode(picture(i + 50*(c == 'fox'), (160, 120)), quality=95))
            near_copy(root/c/f'{i}.jpg', root/c/f'{i} small.jpg')
    shutil.copy(root/'fox'/'3.jpg', root/'fox'/'3 (copy).jpg')
    t = photo_table(root, test=.3)
    near = duplicates(t)
    assert len(near) == 20 and set(near.kind) == {'near'}
    assert (near.split_a == near.split_b).all() and t.groupby('group').size().eq(2).all()
    assert reasons(t) == {'3 (copy).jpg': f"same content as {root/'fox'/'3.jpg'}"}
    assert t[t.split == 'test'].label.value_counts().to_dict() == {'fox': 6, 'deer': 6}


def test_one_photo_under_two_labels(animals):
    shutil.copy(animals/'fox'/'000.jpg', animals/'deer'/'x.jpg')
    t = photo_table(animals)
    d = duplicates(t)
    assert len(d) == 1 and (d.kind[0], {d.label_a[0], d.label_b[0]}) == ('same', {'fox', 'deer'}) and d.split_a[0] == d.split_b[0]
    assert any('different labels' in n for n in t.attrs['notes'])


def test_leak_is_reported_and_nothing_moved(tmp_path):
    folder(tmp_path/'train', fox=6, deer=6)
    folder(tmp_path/'test', fox=4, deer=4)
    shutil.copy(tmp_path/'train'/'fox'/'000.jpg', tmp_path/'test'/'fox'/'again.jpg')
    t = photo_table(tmp_path)
    assert t.split.value_counts().to_dict() == {'train': 12, 'test': 9}
    d = duplicates(t)
    assert {d.split_a[0], d.split_b[0]} == {'train', 'test'}
    assert any(n.startswith('1 test photo also in training') for n in t.attrs['notes'])


def test_blank_photos_neither_explode_nor_match(tmp_path):
    n = 400
    t = pd.DataFrame(dict(path=[str(tmp_path/f'{i}.png') for i in range(n)], sha256=[f'{i:064x}' for i in range(n)], dhash='0'*16))
    for i, p in enumerate(t.path): Image.new('RGB', (16, 16), (i % 200, 50 + i % 7 * 20, 255 - i//2)).save(p)
    start = time.perf_counter()
    assert len(near_duplicates(t)) < n
    assert time.perf_counter() - start < 20
    assert len(data.near(np.zeros(5000, np.uint64), 4)[0]) <= 50_000


def test_same_table_and_light_but_other_object():
    # what differs is small and in the middle, as with two T-shirts on one table
    x = np.random.default_rng(0).integers(60, 200, (64, 64, 3), dtype=np.uint8)
    a, b = Image.fromarray(x).resize((32, 32), Image.Resampling.BOX), Image.fromarray(x).resize((32, 32), Image.Resampling.BOX)
    y = np.array(b)
    y[8:24, 8:24] = np.random.default_rng(1).integers(60, 200, (16, 16, 3), dtype=np.uint8)
    a, y = ((x, data._detail(x)) for x in (np.asarray(a), y))
    assert data._alike([a, a], [a, y]).tolist() == [True, False]


def test_proposals_are_all_there():
    h = np.random.default_rng(0).integers(0, 2**64, 3000, dtype=np.uint64)
    h[2500:] = h[:500] ^ (np.uint64(1) << np.arange(500, dtype=np.uint64) % 64) ^ np.uint64(6)
    a, b = data.near(h, 4)
    want = [(i, j) for i in range(600) for j in range(2400, 3000) if bin(int(h[i] ^ h[j])).count('1') <= 4]
    assert set(want) <= set(zip(a.tolist(), b.tolist())) and len(want) == 500


def test_many_photos_of_one_group_cannot_be_parted(tmp_path):
    folder(tmp_path/'p', fox=4, deer=4)
    rows = [dict(path=f'p/{c}/{i:03}.jpg', label=c, group=c) for c in ('fox', 'deer') for i in range(4)]
    pd.DataFrame(rows).to_csv(tmp_path/'l.csv', index=False)
    with pytest.raises(UserError, match="can't be parted") as e: photo_table(tmp_path/'l.csv')
    one_line(e)


def test_large_groups_still_leave_test_photos(tmp_path):
    folder(tmp_path/'p', fox=9, deer=9)
    rows = [dict(path=f'p/{c}/{i:03}.jpg', label=c, group=f'{c}{i//3}') for c in ('fox', 'deer') for i in range(9)]
    pd.DataFrame(rows).to_csv(tmp_path/'l.csv', index=False)
    t = photo_table(tmp_path/'l.csv', test=.1)
    assert t[t.split == 'test'].label.value_counts().to_dict() == {'fox': 3, 'deer': 3}


# ---- split and sizes

def fake(n=60, labels=('a', 'b', 'c'), seed=0):
    sha = [hashlib.sha256(f'{seed}{i}'.encode()).hexdigest() for i in range(n)]
    label = [labels[i % len(labels)] for i in range(n)]
    return pd.DataFrame(dict(path=[f'/{seed}/{i}' for i in range(n)], label=label, split='', sizes='', sha256=sha))


NO_PAIRS = pd.DataFrame(columns=['a', 'b', 'kind'])


def test_split_is_a_function_of_content_and_seed():
    t = fake()
    a = split_photos(t, NO_PAIRS)
    renamed = split_photos(t.assign(path='/x' + t.path).sample(frac=1, random_state=1), NO_PAIRS).sort_index()
    assert a.split.tolist() == renamed.split.tolist() and a.order.tolist() == renamed.order.tolist()
    assert a.split.tolist() != split_photos(t, NO_PAIRS, seed=1).split.tolist()
    more = split_photos(pd.concat([t, fake(30, seed=9).assign(label='d')], ignore_index=True), NO_PAIRS)
    assert more.split[:60].tolist() == a.split.tolist(), 'a new class must not move the others'


def test_takes_are_nested_and_the_test_set_stays():
    t = split_photos(fake(300), NO_PAIRS)
    t.attrs = {}
    tests = set(t.index[t.split == 'test'])
    for seed in range(3):
        last = set()
        for size in (10, 20, 50, 'all'):
            rows = take(t, size, seed)
            assert last < set(rows.index) and not set(rows.index) & tests
            assert size == 'all' or set(rows.label.value_counts()) == {size}
            last = set(rows.index)
    assert set(take(t, 10, 0).index) != set(take(t, 10, 1).index)
    assert available_sizes(t) == [10, 20, 50, 'all'] and take(t, '20').equals(take(t, 20))


def test_balance_and_weights():
    t = split_photos(fake(90).iloc[:80].drop(range(0, 60, 3)), NO_PAIRS)
    n = take(t, 'all').label.value_counts()
    assert n.min() < n.max()
    assert set(take(t, 'all', balance='under').label.value_counts()) == {n.min()}
    over = take(t, 'all', balance='over')
    assert set(over.label.value_counts()) == {n.max()} and set(over.index) == set(take(t, 'all').index)
    w = class_weights(take(t, 'all'))
    assert np.allclose(w*n[w.index], (w*n[w.index]).iloc[0]) and np.isclose((w*n[w.index]).sum(), n.sum())
    with pytest.raises(UserError, match='none, over or under'): take(t, 5, balance='both')


def test_table_id_names_the_content():
    t = split_photos(fake(), NO_PAIRS)
    assert table_id(t) == table_id(t.sample(frac=1, random_state=0).assign(path='elsewhere')) and len(table_id(t)) == 12
    assert len({table_id(t), table_id(t[1:]), table_id(t.assign(label='a')), table_id(t.assign(split='train'))}) == 4


def test_saved_table_comes_back(animals):
    (animals/'fox'/'bad.jpg').write_bytes(b'')
    t = photo_table(animals)
    back = load_table(save_table(t, animals.parent/'x'/'t.parquet'))
    pd.testing.assert_frame_equal(back, t)
    assert json.loads(json.dumps(t.attrs)) == back.attrs == t.attrs
    with pytest.raises(UserError, match='missing'): load_table(animals/'none.parquet')
    (animals.parent/'bad.parquet').write_bytes(b'PAR1')
    with pytest.raises(UserError, match='delete it'): load_table(animals.parent/'bad.parquet')


def test_check_can_be_replaced(animals):
    calls = []
    def check(t): calls.append(len(t)); return check_photos(t.iloc[:-1])
    assert len(photo_table(animals, check=check)) == 21 and calls == [22]


# ---- datasets by name

def test_unknown_name():
    with pytest.raises(UserError, match='known are synth, cifar10') as e: fetch_dataset('cifar11')
    one_line(e)


@pytest.fixture
def fastai_home(tmp_path, monkeypatch):
    external = pytest.importorskip('fastai.data.external')
    monkeypatch.setattr(external, 'fastai_path', lambda key: tmp_path/key)
    return tmp_path


def test_fastai_dataset_on_this_machine(fastai_home, monkeypatch):
    monkeypatch.setattr(data, 'reachable', lambda *a: pytest.fail('the network was asked'))
    for s in ('train', 'test'): folder(fastai_home/'data'/'cifar10'/s, bird=4, frog=4)
    assert len(photo_table('cifar10', classes='bird,frog')) == 16
    pets = folder(fastai_home/'data'/'oxford-iiit-pet', images=4)/'images'
    for i, n in enumerate(('great_pyrenees_1', 'great_pyrenees_22', 'Bengal_3', 'Bengal_4')): (pets/f'{i:03}.jpg').rename(pets/f'{n}.jpg')
    assert photo_table('pets').label.value_counts().to_dict() == {'great_pyrenees': 2, 'Bengal': 2}


def test_fastai_dataset_without_a_network(fastai_home, monkeypatch):
    monkeypatch.setattr(data, 'reachable', lambda *a: False)
    message = "'imagenette' is not on this machine and its server can't be reached; go online once, or unpack"
    with pytest.raises(UserError, match=message) as e: photo_table('imagenette')
    one_line(e)


def test_fastai_knows_all_our_names():
    external = pytest.importorskip('fastai.data.external')
    assert all(getattr(external.URLs, n).endswith('.tgz') for n in data._FASTAI.values())


def hub_cache(home, name='ann/animals', commit='c0ffee'*6 + 'abcd'):
    "The folders in which huggingface_hub keeps a dataset; returns the snapshot."
    base = home/'hub'/f"datasets--{name.replace('/', '--')}"
    (base/'refs').mkdir(parents=True)
    (base/'refs'/'main').write_text(commit)
    snapshot = base/'snapshots'/commit
    snapshot.mkdir(parents=True)
    return snapshot


def parquet(file, n, names=('fox', '../../deer'), start=0):
    import pyarrow as pa
    import pyarrow.parquet as pq
    photo = lambda i: dict(bytes=encode(picture(start+i), 'PNG' if i % 2 else 'JPEG'), path=f'../../evil{i}.jpg')
    rows = [dict(image=photo(i), label=i % 2) for i in range(n)]
    rows.append(dict(image=photo(n), label=-1))  # the hub's way to say: no label
    info = {'info': {'features': {'image': {'_type': 'Image'}, 'label': {'names': list(names), '_type': 'ClassLabel'}}}}
    table = pa.Table.from_pylist(rows)
    file.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table.replace_schema_metadata({'huggingface': json.dumps(info)}), file)


SHOW = "import sys, time; t = time.time(); from imgcls.core import UserError\n" \
       "from imgcls.data import photo_table; import huggingface_hub; t = time.time()\n" \
       "for name in sys.argv[1:]:\n" \
       "    try: x = photo_table(name); print(x.groupby(['label', 'split']).size().to_dict(), x.attrs['given_split'])\n" \
       "    except UserError as e: print('UserError', e)\n" \
       "print('seconds', round(time.time()-t, 1))"


def in_own_process(names, home, endpoint='http://127.0.0.1:9', offline=''):
    env = {k: v for k, v in os.environ.items() if not k.lower().endswith('_proxy')}
    env |= dict(HF_HOME=str(home), HF_ENDPOINT=endpoint, HF_HUB_OFFLINE=offline, IMGCLS_CACHE=str(home/'imgcls'))
    r = subprocess.run([sys.executable, '-c', SHOW, *names.split()], env=env, capture_output=True, text=True, timeout=60, cwd=home)
    assert r.returncode == 0, r.stderr
    return r.stdout


def test_hub_dataset_of_parquet_files_in_the_local_cache(tmp_path):
    snapshot = hub_cache(tmp_path)
    parquet(snapshot/'data'/'train-00000-of-00001.parquet', 10)
    parquet(snapshot/'data'/'test-00000-of-00001.parquet', 4, start=100)
    out = in_own_process('ann/animals', tmp_path)
    assert "('../../deer', 'test'): 2" in out and "('fox', 'train'): 5" in out and 'True' in out
    files = sorted(p.relative_to(tmp_path/'imgcls').as_posix() for p in (tmp_path/'imgcls').rglob('*') if p.is_file())
    assert len(files) == 15 and all(f.startswith('datasets/ann--animals-') for f in files), 'a name from outside became a path'
    assert not list(tmp_path.parent.rglob('evil*'))
    before = tree(tmp_path/'imgcls')
    assert in_own_process('ann/animals', tmp_path, offline='1').splitlines()[0] == out.splitlines()[0]
    assert tree(tmp_path/'imgcls') == before, 'unpacked again'


def test_hub_dataset_of_folders_in_the_local_cache(tmp_path):
    folder(hub_cache(tmp_path, 'YakupAkdin/instrument-images')/'images', flute=5, drum=5)
    assert "('drum', 'train'): 4" in in_own_process('YakupAkdin/instrument-images', tmp_path)


@pytest.fixture
def hanging():
    "A server that takes connections and never answers."
    stop = threading.Event()

    class Hang(BaseHTTPRequestHandler):
        def do_HEAD(self): stop.wait(30)
        do_GET = do_HEAD
        def log_message(self, *a): pass

    server = HTTPServer(('127.0.0.1', 0), Hang)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f'http://127.0.0.1:{server.server_port}'
    stop.set()
    server.shutdown()
    server.server_close()


def test_missing_network_is_noticed_within_three_seconds(tmp_path, hanging):
    for endpoint in ('http://127.0.0.1:9', hanging):  # refuses, hangs
        first, second = in_own_process('ann/animals', tmp_path, endpoint).splitlines()
        assert first.startswith("UserError 'ann/animals' is neither a folder here nor on this machine as a dataset"), first
        assert "can't be reached" in first
        assert float(second.split()[1]) < 5, second  # 3 on a machine with nothing else to do


def test_a_hanging_hub_does_not_hide_the_local_copy(tmp_path, hanging):
    folder(hub_cache(tmp_path), flute=5, drum=5)
    assert "('drum', 'train'): 4" in in_own_process('ann/animals', tmp_path, hanging)


def test_import_is_light():
    heavy = "import sys, imgcls.data; print(*{'torch', 'fastai', 'matplotlib', 'scipy', 'huggingface_hub', 'imagehash'} & {*sys.modules})"
    assert subprocess.run([sys.executable, '-c', heavy], capture_output=True, text=True, check=True).stdout.strip() == ''
