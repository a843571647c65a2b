"""From the bytes of a file to a picture, or to the reason why not."""
import io
import os
import pickle
import struct
import time
import tracemalloc
import zlib

import numpy as np
import pytest
from PIL import ExifTags, Image, TiffImagePlugin

from imgcls.core import UserError
from imgcls.data.decode import (
    MAX_PIXELS,
    Extremes,
    PhotoError,
    Reason,
    about_span,
    decode,
    extremes,
    read_photo,
    span_of,
    taken,
)
from imgcls.data.table import read_photos


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


# ---- grey photos with more than 8 bits

def grey(x, fmt='TIFF', **kw):
    out = io.BytesIO()
    Image.fromarray(x).save(out, fmt, **kw)
    return out.getvalue()


RAMP = np.arange(256).reshape(16, 16)


@pytest.mark.parametrize('bits', [8, 10, 12, 14, 16])
@pytest.mark.parametrize('fmt', ['PNG', 'TIFF'])
def test_a_photo_of_so_many_bits_looks_like_its_twin_of_8(bits, fmt):
    data = grey((RAMP*(2**bits-1)/255).round().astype(np.uint16), fmt)
    span = span_of([extremes(data), Extremes(0, 3, True)])
    assert span == f'0,{2**bits-1}'
    assert np.array_equal(np.asarray(decode(data, span=span))[..., 0], RAMP)


@pytest.mark.parametrize('x, span', [
    (RAMP*16 - 1024, '-1024,3056'), (RAMP.astype(np.float32)/255, '0,1'), (RAMP*300, '0,76500')])
def test_signed_photos_and_floats_go_from_the_smallest_to_the_largest_value(x, span):
    data = grey(x.astype(np.float32 if x.dtype == np.float32 else np.int32))
    assert span_of([extremes(data)]) == span
    assert np.abs(np.asarray(decode(data, span=span))[..., 0].astype(int) - RAMP).max() <= 1


def test_a_dark_photo_stays_dark_beside_a_light_one():
    dark, light = (grey(np.full((16, 16), v, np.uint16)) for v in (400, 4000))
    span = span_of([extremes(dark), extremes(light)])
    assert [decode(d, span=span).getpixel((3, 3))[0] for d in (dark, light)] == [25, 249]


@pytest.mark.parametrize('odd', [np.nan, np.inf, -np.inf, -3.4e38, -9999.])
def test_a_value_that_is_none_does_not_make_the_rest_black(odd):
    x = RAMP.astype(np.float32)
    x[0, 0] = odd
    data = grey(x, tiffinfo={42113: '-9999'})
    assert span_of([extremes(data)]) == '1,255'
    got = np.asarray(decode(data))[..., 0]
    assert got[0, 0] == (255 if odd == np.inf else 0) and np.abs(got - RAMP)[0, 1:].max() <= 1
    for nothing in (np.nan, -9999):
        nowhere = grey(np.full((16, 16), nothing, np.float32), tiffinfo={42113: '-9999'})
        assert why(nowhere).reason is Reason.DAMAGED and 'none of its values' in str(why(nowhere))


def test_ordinary_photos_have_no_span(pics):
    for fmt in ('JPEG', 'PNG', 'TIFF', 'WEBP', 'GIF'):
        data = pics.encode(pics.picture(3), fmt)
        assert extremes(data) is None and decode(data, span='0,9').tobytes() == decode(data).tobytes()
    assert about_span(['', ''], [np.nan]*2) == []


def colours(values):
    "A PNG with 16 bits a colour, which Pillow can't write."
    def chunk(name, data):
        return struct.pack('>I', len(data)) + name + data + struct.pack('>I', zlib.crc32(name+data))
    h, w, _ = values.shape
    head, lines = struct.pack('>IIBBBBB', w, h, 16, 2, 0, 0, 0), values.astype('>u2')
    data = zlib.compress(b''.join(b'\0' + line.tobytes() for line in lines))
    return b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', head) + chunk(b'IDAT', data) + chunk(b'IEND', b'')


@pytest.mark.parametrize('top, n', [(4095, 7), (65535, 0)])
def test_nearly_black_colours_of_16_bits_are_told_and_other_dark_photos_are_not(tmp_path, top, n):
    (tmp_path/'a').mkdir()
    (tmp_path/'b').mkdir()
    for i in range(7):
        x = np.random.default_rng(i).random((32, 32, 3))
        (tmp_path/'a'/f'{i}.png').write_bytes(colours((top*x).round()))
        Image.fromarray((12*x).astype(np.uint8)).save(tmp_path/'b'/f'{i}.png')  # 8 bits, and dark
        x = 900*x[..., 0] + (i == 0)*60_000
        (tmp_path/'b'/f'grey{i}.png').write_bytes(grey(x.astype(np.uint16), 'PNG'))
    notes = [t for t in read_photos(tmp_path).notes if 'a colour' in t]
    assert [t.split(',')[0] for t in notes] == ['7 photos with 16 bits a colour nearly black']*(n > 0)


def test_photos_of_8_bits_beside_grey_ones_of_12_stay_as_they_are(tmp_path):
    for label in 'ab':
        (tmp_path/label).mkdir()
        for i in range(6):
            x = np.random.default_rng([i, *label.encode()]).random((16, 16))
            x = (255*x).astype(np.uint8) if i % 2 else (4095*x).astype(np.uint16)
            (tmp_path/label/f'{i}.png').write_bytes(grey(x, 'PNG'))
    photos = read_photos(tmp_path)
    assert (photos.span, len(photos)) == ('0,4095', 12) and photos.notes[0].startswith('6 grey photos')
    for r in photos.df.itertuples():
        stored = np.asarray(Image.open(r.path))
        seen = np.asarray(decode(read_photo(r.path), span=photos.span))[..., 0]
        assert np.abs(seen - stored*(255/(255 if stored.dtype == np.uint8 else 4095))).max() <= .5
        assert (r.span == '') == (stored.dtype == np.uint8)


# ---- more pixels than may be unpacked

def sized(jpeg, w, h):
    "A JPEG whose header says that it is larger than it is."
    at = next(jpeg.find(m) for m in (b'\xff\xc0', b'\xff\xc2') if m in jpeg)
    return jpeg[:at+5] + h.to_bytes(2, 'big') + w.to_bytes(2, 'big') + jpeg[at+9:]


@pytest.mark.parametrize('side', [None, 64, 8000])
@pytest.mark.parametrize('w, h', [(12_000, 9_000), (16_320, 12_240)])
def test_a_jpeg_of_108_or_200_million_pixels_is_read_smaller(pics, monkeypatch, w, h, side):
    "The pixels are missing here, so only their number is looked at."
    size = []
    def load(img):
        size.append(img.size)
        raise EOFError
    monkeypatch.setattr('PIL.ImageFile.ImageFile.load', load)
    with pytest.raises(PhotoError, match='truncated'): decode(sized(pics.encode(pics.picture(3)), w, h), side)
    assert (side or 0) <= 64 and 64 <= min(size[0]) <= h/2 or size == [(w//2, h//2)]
    assert size[0][0]*size[0][1] < MAX_PIXELS


def test_bombs_are_refused(pics):
    plain, all_at_once = (pics.encode(pics.picture(3), progressive=p) for p in (False, True))
    for jpeg, w, h in ((plain, 30_000, 9_000), (plain, 65_000, 65_000), (all_at_once, 12_000, 9_000)):
        assert why(sized(jpeg, w, h)).reason is Reason.TOO_MANY_PIXELS


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
