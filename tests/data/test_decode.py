"""From the bytes of a file to a picture, or to the reason why not."""
import os
import pickle
import time
import tracemalloc
import zlib

import numpy as np
import pytest
from PIL import ExifTags, Image, TiffImagePlugin

from imgcls.core import UserError
from imgcls.data.decode import PhotoError, Reason, decode, read_photo, taken


def png_header(w, h):
    head = b'IHDR' + w.to_bytes(4, 'big') + h.to_bytes(4, 'big') + b'\x08\x02\0\0\0'
    chunk = lambda c: len(c[4:]).to_bytes(4, 'big') + c + zlib.crc32(c).to_bytes(4, 'big')
    return b'\x89PNG\r\n\x1a\n' + chunk(head) + chunk(b'IDAT' + zlib.compress(b'\0'*1000)) + chunk(b'IEND')


def lying_on_its_side():
    e = Image.Exif()
    e[ExifTags.Base.Orientation] = 6
    return e


def why(data):
    with pytest.raises(PhotoError) as e: decode(data)
    return e.value


# ---- reasons

@pytest.mark.parametrize('data, reason, text', [
    (b'', 'EMPTY', 'empty file'),
    (b'not a photo at all', 'NOT_A_PHOTO', 'none of JPEG'),
    (b'<!doctype html><html></html>', 'NOT_A_PHOTO', 'not a photo but a web page'),
    (b'\n <svg xmlns="x"/>', 'NOT_A_PHOTO', 'not a photo but an SVG drawing'),
    (b'%PDF-1.7', 'NOT_A_PHOTO', 'not a photo but a PDF'),
    (b'\0\0\0\x18ftypheic' + b'\0'*40, 'HEIC', 'save it as JPEG'),
    (png_header(30_000, 30_000), 'TOO_MANY_PIXELS', 'million pixels, the limit is 89 million'),
    (png_header(10_000, 10_000), 'TOO_MANY_PIXELS', '100 million pixels, the limit is 89 million')])
def test_each_file_that_is_no_photo_has_its_reason(data, reason, text):
    e = why(data)
    assert e.reason is Reason[reason] and text in str(e)


def test_damaged_photos_have_their_reason(pics):
    jpeg, png = (pics.encode(pics.picture(5, (400, 300)), fmt) for fmt in ('JPEG', 'PNG'))
    cut = why(jpeg[:len(jpeg)//2])
    assert cut.reason is Reason.TRUNCATED and str(cut) == 'truncated JPEG'
    broken = bytearray(png)
    broken[len(png)//2] ^= 255
    assert why(bytes(broken)).reason is Reason.DAMAGED and 'PNG' in str(why(bytes(broken)))
    assert why(pics.encode(Image.new('RGB', (900, 2)), 'PNG')).reason is Reason.TOO_SMALL


def test_a_photo_that_memory_is_too_small_for(pics, monkeypatch):
    def no_memory(*a): raise MemoryError
    monkeypatch.setattr('PIL.ImageFile.ImageFile.load', no_memory)
    assert why(pics.encode(pics.picture(1))).reason is Reason.OUT_OF_MEMORY


def test_files_that_cannot_be_read(tmp_path, monkeypatch):
    with pytest.raises(PhotoError) as e: read_photo(tmp_path/'gone.jpg')
    assert e.value.reason is Reason.MISSING and str(e.value) == Reason.MISSING.value
    with pytest.raises(PhotoError, match='unreadable') as e: read_photo(tmp_path)
    assert e.value.reason is Reason.UNREADABLE
    (tmp_path/'a.jpg').touch()
    os.truncate(tmp_path/'a.jpg', 600_000_000)
    with pytest.raises(PhotoError, match='600 MB, the limit is 500 MB') as e: read_photo(tmp_path/'a.jpg')
    assert e.value.reason is Reason.TOO_LARGE


def test_a_reason_crosses_to_another_process():
    e = pickle.loads(pickle.dumps(PhotoError(Reason.TRUNCATED, 'truncated JPEG')))
    assert type(e) is PhotoError and e.reason is Reason.TRUNCATED and str(e) == 'truncated JPEG'
    assert isinstance(e, UserError) and str(PhotoError(Reason.EMPTY)) == 'empty file'


def test_reasons_have_texts_of_their_own():
    assert len({r.value for r in Reason}) == len(Reason.__members__)


def test_huge_png_is_refused_before_it_is_unpacked():
    tracemalloc.start()
    start = time.perf_counter()
    with pytest.raises(UserError, match='million pixels'): decode(png_header(30_000, 30_000))
    assert time.perf_counter() - start < 1 and tracemalloc.get_traced_memory()[1] < 20e6
    tracemalloc.stop()


# ---- odd photos that can be used

deep = Image.fromarray((np.arange(48*40).reshape(40, 48)*34).astype(np.uint16))


def glass(picture):
    img = picture.convert('RGBA')
    img.putalpha(Image.linear_gradient('L').resize(img.size))
    return img


ODD = {
    '16-bit-png': lambda p, q: (deep, 'PNG', {}),
    '16-bit-tiff': lambda p, q: (deep, 'TIFF', {}),
    'cmyk': lambda p, q: (p.convert('CMYK'), 'JPEG', {}),
    'palette-alpha': lambda p, q: (glass(p).quantize(16), 'PNG', dict(transparency=0)),
    'rgba': lambda p, q: (glass(p), 'PNG', {}),
    'grey-alpha': lambda p, q: (glass(p).convert('LA'), 'PNG', {}),
    'gif': lambda p, q: (p, 'GIF', dict(save_all=True, append_images=[q])),
    'webp': lambda p, q: (p, 'WEBP', dict(save_all=True, append_images=[q])),
    'one-bit': lambda p, q: (p.convert('1'), 'PNG', {}),
    'exif-jpeg': lambda p, q: (p, 'JPEG', dict(exif=lying_on_its_side())),
    'exif-png': lambda p, q: (p, 'PNG', dict(exif=lying_on_its_side())),
    'exif-tiff': lambda p, q: (p, 'TIFF', dict(exif=lying_on_its_side()))}


@pytest.mark.parametrize('kind', ODD)
def test_odd_photo_that_can_be_used(pics, kind, recwarn):
    img, fmt, options = ODD[kind](pics.picture(3), pics.picture(4))
    size = (40, 48) if 'exif' in kind else (48, 40)
    got = decode(pics.encode(img, fmt, **options))
    assert got.mode == 'RGB' and got.size == got.info['size'] == size and np.asarray(got).std() > 10
    assert not [w for w in recwarn if 'PIL' in str(w.filename)], 'a warning of Pillow leaked'


def test_what_odd_photos_look_like(pics):
    picture, encode = pics.picture, pics.encode
    grey = np.asarray(decode(encode(deep, 'PNG')))[..., 0].astype(int)
    assert np.abs(grey - np.asarray(deep)//257).max() <= 1
    first = decode(encode(picture(3), 'GIF', save_all=True, append_images=[picture(4)]))
    apart = lambda a, b: np.abs(np.asarray(a).astype(int) - np.asarray(b)).mean()
    assert apart(first, picture(3)) < 10 < apart(first, picture(4))
    lying, upright = picture(3), picture(3).transpose(Image.Transpose.ROTATE_270)
    assert apart(decode(encode(lying, exif=lying_on_its_side(), quality=95)), upright) < 10
    assert apart(decode(encode(lying, 'TIFF', exif=lying_on_its_side())), upright) == 0
    clear = Image.new('RGBA', (16, 16), (0, 0, 0, 0))
    assert decode(encode(clear, 'PNG')).getpixel((8, 8)) == (255, 255, 255)
    assert apart(decode(encode(picture(3).convert('CMYK'), quality=95)), picture(3)) < 12


def test_a_reduced_jpeg_reports_its_whole_size(pics):
    whole = pics.encode(pics.picture(3, (800, 600)), exif=lying_on_its_side())
    img = decode(whole, side=100)
    assert img.size == (150, 200) and img.info['size'] == (600, 800)


# ---- when it was taken

def exif(when=None, make=None, model=None, serial=None):
    e = Image.Exif()
    if make: e[ExifTags.Base.Make] = make
    if model: e[ExifTags.Base.Model] = model
    inner = e.get_ifd(ExifTags.IFD.Exif)
    if when is not None: inner[ExifTags.Base.DateTimeOriginal] = when
    if serial: inner[ExifTags.Base.BodySerialNumber] = serial
    return e


NOON = 1_777_636_800.  # 2026-05-01 12:00:00, as a clock without a time zone shows it


@pytest.mark.parametrize('fmt', ['JPEG', 'PNG', 'WEBP'])
def test_time_and_camera_are_found(pics, fmt):
    e = exif('2026:05:01 12:00:00', 'Reconyx', 'HC500', '17')
    assert taken(pics.encode(pics.picture(3), fmt, exif=e)) == (NOON, 'Reconyx HC500 17')


def test_time_and_camera_of_a_tiff(pics):
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[ExifTags.Base.Model] = 'HC500'
    tags[ExifTags.IFD.Exif] = {ExifTags.Base.DateTimeOriginal: '2026:05:01 12:00:00'}
    assert taken(pics.encode(pics.picture(3), 'TIFF', tiffinfo=tags)) == (NOON, 'HC500')


@pytest.mark.parametrize('when, seconds', [
    ('2026:05:01 12:00:00.75', NOON), ('2026:05:01 12:00:00\0', NOON), ('2026:05:01 12:00:00+02:00', NOON),
    ('1970:01:01 00:00:00', 0.), ('0000:00:00 00:00:00', 0.),
    ('1969:12:31 23:59:00', -60.), ('2999:01:01 00:00:00', 32472144000.)])
def test_times_are_those_of_the_clock(pics, when, seconds):
    "To the second; what can't be true is sorted out later, when all photos are known."
    assert taken(pics.encode(pics.picture(3), exif=exif(when)))[0] == seconds


@pytest.mark.parametrize('when', [
    '    :  :     :  :  ', '', '2026:02:30 12:00:00', '2026:05:01', '1777636800',
    '2026-05-01T12:00:00', 'yesterday'])
def test_times_that_are_none(pics, when):
    "As cameras without a clock and scanners write them; the camera is known all the same."
    seconds, camera = taken(pics.encode(pics.picture(3), exif=exif(when, model='Trap')))
    assert np.isnan(seconds) and camera == 'Trap'


def test_a_camera_that_gives_no_name(pics):
    assert taken(pics.encode(pics.picture(3), exif=exif('2026:05:01 12:00:00'))) == (NOON, '')
    padded = exif('2026:05:01 12:00:00', model='Trap \0\0', serial='\0')
    assert taken(pics.encode(pics.picture(3), exif=padded))[1].strip() == 'Trap'


BROKEN = [lambda d: b'', lambda d: d[:60], lambda d: d.replace(b'Exif\0\0', b'Exif\0\0??', 1)]


@pytest.mark.parametrize('damage', BROKEN, ids=['nothing', 'cut', 'garbled'])
def test_photos_that_say_nothing_of_themselves(pics, damage):
    bare = pics.encode(pics.picture(3))
    data = damage(pics.encode(pics.picture(3), exif=exif('2026:05:01 12:00:00', model='Trap')))
    for content in (bare, data):
        seconds, camera = taken(content)
        assert np.isnan(seconds) and camera == ''
