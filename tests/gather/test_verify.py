"""What comes under the name of a photo: every kind of bad bytes, workers that die."""
import asyncio
import gc
import hashlib
import io
import os
import random
import signal
import subprocess
import sys
import time
import zlib
from dataclasses import replace
from pathlib import Path

import imagehash
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import ExifTags, Image, ImageCms, ImageDraw

import imgcls.gather.verify as check
from imgcls.core import UserError
from imgcls.data.decode import PhotoError, Reason, decode
from imgcls.gather.looks import phash_of
from imgcls.gather.verify import Checked, Checkers, check_photo

pytestmark = [pytest.mark.filterwarnings(f'error::{w}')
              for w in ('ResourceWarning', 'pytest.PytestUnraisableExceptionWarning')]

posix = pytest.mark.skipif(os.name != 'posix', reason='signals of POSIX')
FUZZ = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))


def picture(n=0, size=(300, 200)):
    "A picture with detail of its own for each number."
    x = np.random.default_rng(n).integers(0, 256, (8, 12, 3), dtype=np.uint8)
    grain = np.random.default_rng(n + 1000).normal(0, 6, (size[1], size[0], 3))
    return Image.fromarray(
        (np.asarray(Image.fromarray(x).resize(size, Image.Resampling.BICUBIC)) + grain)
        .clip(0, 255)
        .astype(np.uint8)
    )


def encode(img, fmt='JPEG', **kw):
    out = io.BytesIO()
    img.save(out, fmt, **kw)
    return out.getvalue()


def reason(data, **kw):
    "Why it is refused; None when it isn't."
    try: c = check_photo(data, **kw)
    except PhotoError as e:
        assert isinstance(e.reason, Reason) and str(e) and '\n' not in str(e)
        return e.reason
    fits(c, **kw)


def fits(c, max_side=512, **_):
    "What is true of every photo that is kept."
    img = decode(c.data)
    assert img.size == (c.width, c.height) and (max_side is None or max(img.size) <= max_side)
    assert c.sha256 == hashlib.sha256(c.data).hexdigest() and len(c.phash) == 16 and int(c.phash, 16) >= 0
    assert c.data[:2] == b'\xff\xd8' if c.suffix == '.jpg' else c.data[:4] == b'\x89PNG'


def pixels(data): return np.asarray(decode(data))


def chunk(kind, body):
    return len(body).to_bytes(4, 'big') + kind + body + zlib.crc32(kind + body).to_bytes(4, 'big')


PLAIN = encode(picture(), quality=90)
HUGE_PNG = (
    b'\x89PNG\r\n\x1a\n'
    + chunk(b'IHDR', (30_000).to_bytes(4, 'big') * 2 + b'\x08\x02\0\0\0')
    + chunk(b'IDAT', zlib.compress(b'\0' * 1000))
)
HUGE_JPEG = PLAIN.replace(
    (200).to_bytes(2, 'big') + (300).to_bytes(2, 'big'), (30_000).to_bytes(2, 'big') * 2, 1
)
HUGE_GIF = b'GIF89a' + (30_000).to_bytes(2, 'little')*2 + encode(picture(), 'GIF')[10:]
FRAMES = [picture(i, (90, 80)) for i in range(3)]


# ---- one photo

@pytest.mark.parametrize(
    'data, why',
    [
        (b'', Reason.EMPTY),
        (b'\0' * 1000, Reason.NOT_A_PHOTO),
        (b'Dear diary', Reason.NOT_A_PHOTO),
        (PLAIN[: len(PLAIN) // 2], Reason.TRUNCATED),
        (encode(picture(), 'PNG')[:9000], Reason.TRUNCATED),
        (PLAIN[:40], Reason.DAMAGED),
        (HUGE_PNG, Reason.TOO_MANY_PIXELS),
        (HUGE_JPEG, Reason.TOO_MANY_PIXELS),
        (HUGE_GIF, Reason.TOO_MANY_PIXELS),
        (encode(FRAMES[0], 'GIF', save_all=True, append_images=FRAMES[1:]), Reason.ANIMATED),
        (encode(FRAMES[0], 'PNG', save_all=True, append_images=FRAMES[1:]), Reason.ANIMATED),
        (encode(FRAMES[0], 'WEBP', save_all=True, append_images=FRAMES[1:]), Reason.ANIMATED),
        (b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>', Reason.NOT_A_PHOTO),
        (b'\xef\xbb\xbf <?xml version="1.0"?><!-- x --><svg onload="alert(1)"/>', Reason.NOT_A_PHOTO),
        (encode(picture(), 'EPS'), Reason.NOT_A_PHOTO),
        (b'\xc5\xd0\xd3\xc6' + b'\0' * 40, Reason.NOT_A_PHOTO),
        (encode(picture(), 'PDF'), Reason.NOT_A_PHOTO),
        (encode(picture(), 'PPM'), Reason.NOT_A_PHOTO),
        (encode(picture(), 'ICO'), Reason.NOT_A_PHOTO),
        (encode(picture(), 'JPEG2000'), Reason.NOT_A_PHOTO),
        (b'<!DOCTYPE html><html>not found</html>', Reason.NOT_A_PHOTO),
        (b'{"error": 1}', Reason.NOT_A_PHOTO),
        (b'PK\3\4' + PLAIN, Reason.NOT_A_PHOTO),
        (encode(picture(size=(63, 200))), Reason.TOO_SMALL),
        (encode(picture(size=(7, 200))), Reason.TOO_SMALL),
        (encode(picture(size=(64, 8000))), Reason.TOO_NARROW),
    ],
    ids=lambda x: x.name if isinstance(x, Reason) else '',
)
def test_bad_bytes_are_refused_with_the_reason(data, why):
    start = time.perf_counter()
    assert reason(data) == why
    assert time.perf_counter() - start < 5


@pytest.mark.parametrize(
    'data, kind',
    [
        (b'<svg/>', 'SVG'),
        (b'%!PS-Adobe-3.0 EPSF', 'PostScript'),
        (b'%PDF-1.7', 'PDF'),
        (b' \n<HTML>', 'web page'),
        (b'PK\3\4', 'zip'),
    ],
)
def test_the_refusal_names_what_it_is(data, kind):
    with pytest.raises(PhotoError, match=f'not a photo but .*{kind}'):
        check_photo(data)


@pytest.mark.parametrize('fmt', ['JPEG', 'PNG', 'WEBP', 'GIF', 'BMP', 'TIFF', 'AVIF'])
@pytest.mark.parametrize('side', [512, 128, None])
def test_formats_that_are_read(fmt, side):
    data = encode(picture(), fmt)
    c = check_photo(data, max_side=side)
    fits(c, side)
    assert (c.original_width, c.original_height) == (300, 200) and c.original_sha256 == hashlib.sha256(
        data
    ).hexdigest()
    assert c.suffix == ('.png' if side is None and fmt != 'JPEG' else '.jpg')
    if side is None: assert (pixels(c.data) == pixels(data)).all()
    assert bin(int(c.phash, 16) ^ int(check_photo(PLAIN).phash, 16)).count('1') <= (8 if fmt == 'GIF' else 2)


def test_a_phone_jpeg_with_two_pictures_gives_the_first():
    data = encode(picture(0), 'MPO', save_all=True, append_images=[picture(1)], quality=90)
    assert Image.open(io.BytesIO(data)).format == 'MPO'
    for side in 512, 128, None:
        c = check_photo(data, max_side=side)
        fits(c, side)
        assert c.data.count(b'\xff\xd8\xff') == 1 and len(c.data) < .6*len(data)


@pytest.mark.parametrize('turn', range(1, 9))
@pytest.mark.parametrize('size', [(300, 200), (900, 600)])
def test_turned_upright_with_all_metadata_gone(turn, size):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = turn
    exif[ExifTags.Base.Artist] = '"><script>alert(1)</script>\0\r\n\x1b[31m'
    exif.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitude] = (50., 5., 11.)
    data = encode(picture(size=size), exif=exif, comment=b'SECRET', quality=95)
    assert b'script' in data and b'SECRET' in data
    want = np.asarray(decode(data).resize((30, 20) if turn < 5 else (20, 30), Image.Resampling.BOX), float)
    for side in 512, None:
        c = check_photo(data, max_side=side)
        fits(c, side)
        assert not any(s in c.data for s in (b'script', b'SECRET', b'Photoshop')) and not Image.open(
            io.BytesIO(c.data)
        ).getexif().get_ifd(ExifTags.IFD.GPSInfo)
        assert set(Image.open(io.BytesIO(c.data)).getexif()) <= (
            {ExifTags.Base.Orientation} if side is None else set()
        )
        assert (c.original_width > c.original_height) == (turn < 5) == (c.width > c.height)
        got = np.asarray(decode(c.data).resize(want.shape[1::-1], Image.Resampling.BOX), float)
        assert np.abs(got - want).mean() < 4


@pytest.mark.parametrize(
    'kw',
    [
        {},
        dict(progressive=True),
        dict(quality=97, subsampling=0),
        dict(restart_marker_blocks=3),
        dict(keep_rgb=True),
        dict(optimize=True),
        dict(comment=b'c' * 6000),
        dict(icc_profile=ImageCms.ImageCmsProfile(ImageCms.createProfile('sRGB')).tobytes()),
    ],
    ids=lambda kw: ','.join(kw),
)
@pytest.mark.parametrize('mode', ['RGB', 'L', 'CMYK'])
def test_original_jpeg_keeps_every_bit_of_the_picture(mode, kw):
    if mode != 'RGB' and 'keep_rgb' in kw:
        pytest.skip('for RGB only')
    data = encode(picture().convert(mode), **kw)
    c = check_photo(data + b'PK\3\4<?php system(1) ?>', max_side=None)
    assert (pixels(c.data) == pixels(data)).all() and b'php' not in c.data and c.suffix == '.jpg'
    assert Image.open(io.BytesIO(c.data)).mode == mode


def test_checking_twice_is_the_same_as_once():
    for data in (
        PLAIN,
        encode(picture(size=(900, 700))),
        encode(picture(), 'PNG'),
        encode(picture().convert('CMYK')),
    ):
        once = check_photo(data)
        twice = check_photo(once.data)
        assert (twice.data, twice.phash) == (once.data, once.phash)


def test_polyglots_leave_only_the_picture():
    evil = b'<script>fetch("http://evil")</script>'
    for data in (
        PLAIN + evil,
        PLAIN[:2] + b'\xff\xfe' + (len(evil) + 2).to_bytes(2, 'big') + evil + PLAIN[2:],
        encode(picture(), 'PNG') + evil,
        encode(picture(), 'GIF', comment=evil),
    ):
        assert evil in data
        for side in 512, 128, None:
            assert evil not in check_photo(data, max_side=side).data


def test_unusual_jpegs_are_saved_anew():
    odd = PLAIN[:20] + b'ab' + PLAIN[20:]  # something between two segments; decoders skip it
    assert check._bare(odd) is None
    c = check_photo(odd)
    assert c.data[20:22] != b'ab' and check._bare(c.data) == c.data
    fits(c)


def wide_gamut():
    "An RGB profile that is not sRGB: another gamma and other primaries, written by hand."
    def s15(x): return int(round(x*65536)).to_bytes(4, 'big', signed=True)
    def xyz(*v): return b'XYZ \0\0\0\0' + b''.join(map(s15, v))
    gamma = b'curv\0\0\0\0\0\0\0\1' + int(1.8*256).to_bytes(2, 'big') + b'\0\0'
    desc = b'desc\0\0\0\0\0\0\0\5wide\0' + b'\0'*79
    parts = dict(
        rXYZ=xyz(0.79767, 0.28804, 0),
        gXYZ=xyz(0.13519, 0.71188, 0),
        bXYZ=xyz(0.03134, 0.00009, 0.82491),
        wtpt=xyz(0.9642, 1, 0.8249),
        rTRC=gamma,
        gTRC=gamma,
        bTRC=gamma,
        desc=desc,
        cprt=b'text\0\0\0\0x\0\0\0',
    )
    table, body, at = b'', b'', 128 + 4 + 12*len(parts)
    for k, v in parts.items():
        v += b'\0'*(-len(v) % 4)
        table += k.encode() + (at + len(body)).to_bytes(4, 'big') + len(v).to_bytes(4, 'big')
        body += v
    head = (
        b'lcms\2\x10\0\0mntrRGB XYZ '
        + b'\0' * 12
        + b'acsp'
        + b'\0' * 28
        + s15(0.9642)
        + s15(1)
        + s15(0.8249)
        + b'\0' * 48
    )
    whole = head + len(parts).to_bytes(4, 'big') + table + body
    return (len(whole) + 4).to_bytes(4, 'big') + whole


def test_colour_profiles():
    icc = wide_gamut()
    got = check_photo(encode(picture(), quality=95, icc_profile=icc))
    assert 'colours brought to sRGB' in got.notes and b'ICC_PROFILE' not in got.data
    want = ImageCms.profileToProfile(
        Image.open(io.BytesIO(encode(picture(), quality=95))),
        ImageCms.ImageCmsProfile(io.BytesIO(icc)),
        ImageCms.createProfile('sRGB'),
    )
    assert np.abs(pixels(got.data).astype(float) - np.asarray(want)).mean() < 4
    assert np.abs(pixels(got.data).astype(float) - np.asarray(picture())).mean() > 8
    assert (
        pixels(check_photo(encode(picture(), 'PNG', icc_profile=icc), max_side=None).data)
        == np.asarray(
            ImageCms.profileToProfile(
                picture(), ImageCms.ImageCmsProfile(io.BytesIO(icc)), ImageCms.createProfile('sRGB')
            )
        )
    ).all()
    kept = Image.open(io.BytesIO(check_photo(encode(picture(), icc_profile=icc), max_side=None).data))
    assert kept.info['icc_profile'] == icc, 'an original keeps the table that its colours need'


@pytest.mark.parametrize(
    'icc',
    [b'x', b'\0' * 200, wide_gamut()[:200], wide_gamut()[:-60], bytes(128) + b'\xff' * 400],
    ids=range(5),
)
@pytest.mark.parametrize('mode', ['RGB', 'L', 'CMYK'])
def test_broken_profiles_do_not_harm(mode, icc):
    data = encode(picture().convert(mode), icc_profile=icc)
    for side in 512, 100, None:
        c = check_photo(data, max_side=side)
        fits(c, side)
        assert any('profile' in n or 'sRGB' in n for n in c.notes) or mode != 'RGB' or side is None


def test_cmyk_looks_like_the_photo():
    c = check_photo(encode(picture().convert('CMYK'), quality=95))
    assert (
        'converted from CMYK' in c.notes
        and np.abs(pixels(c.data).astype(float) - np.asarray(picture())).mean() < 6
    )


def test_filters():
    logo = Image.new('RGB', (400, 300), 'white')
    ImageDraw.Draw(logo).rectangle((80, 80, 300, 200), 'navy')
    drawn, grey = encode(logo, quality=75), encode(picture().convert('L'))
    assert (reason(drawn), reason(grey)) == (None, None)
    assert reason(drawn, drop=['drawing']) is Reason.DRAWING
    assert reason(grey, drop=['grey', 'drawing']) is Reason.GREY and reason(grey, drop=['drawing']) is None
    for n in range(5): assert reason(encode(picture(n)), drop={'grey', 'drawing'}) is None


def test_phash_is_imagehash():
    for n in range(20): assert phash_of(picture(n)) == str(imagehash.phash(picture(n)))
    assert phash_of(Image.new('RGB', (70, 70), (1, 2, 3))) == phash_of(
        Image.new('L', (90, 70), 200)
    ), 'blank is blank'


def test_phash_survives_saving_and_shrinking():
    for n in range(5):
        a, b = (
            int(check_photo(encode(picture(n, (1200, 800)).resize(s), quality=q)).phash, 16)
            for s, q in (((1200, 800), 95), ((400, 267), 50))
        )
        assert bin(a ^ b).count('1') <= 4


@FUZZ
@given(st.data())
def test_fuzz_no_other_exception(data):
    good = data.draw(st.sampled_from(GOOD))
    b = bytearray(good)
    for _ in range(data.draw(st.integers(1, 8))):
        at = data.draw(st.integers(0, min(len(b) - 1, 700)) | st.integers(0, len(b) - 1)) if b else 0
        what = data.draw(st.sampled_from(['set', 'cut', 'insert', 'repeat']))
        if what == 'set' and b: b[at] = data.draw(st.integers(0, 255))
        elif what == 'cut': del b[at:at + data.draw(st.integers(1, 200))]
        elif what == 'insert': b[at:at] = data.draw(st.binary(max_size=50))
        else: b[at:at] = b[at:at + 100]
    side = data.draw(st.sampled_from([512, 100, None]))
    reason(bytes(b), max_side=side, drop=['grey', 'drawing'][:data.draw(st.integers(0, 2))])


@FUZZ
@given(st.binary(max_size=300))
def test_fuzz_bare_never_fails(b):
    for data in b'\xff\xd8' + b, PLAIN[:600] + b, PLAIN[:-40] + b:
        kept = check._bare(data)
        assert kept is None or kept.endswith(b'\xff\xd9')


def _good():
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    exif[ExifTags.Base.ImageDescription] = 'x'*50
    p = picture(size=(120, 90))
    return [
        encode(p),
        encode(p, exif=exif, progressive=True),
        encode(p, icc_profile=wide_gamut()),
        encode(p.convert('CMYK')),
        encode(p, 'PNG', exif=exif),
        encode(p.convert('P'), 'PNG', transparency=3),
        encode(p, 'GIF'),
        encode(p, 'WEBP', exif=exif),
        encode(p, 'BMP'),
        encode(p, 'TIFF', exif=exif),
        encode(p, 'AVIF'),
    ]


GOOD = _good()


@pytest.mark.parametrize(
    'kw',
    [
        dict(min_side=0),
        dict(min_side='64'),
        dict(max_side=63),
        dict(max_side=0),
        dict(max_side=1.5),
        dict(drop='grey'),
        dict(drop=['gray']),
    ],
)
def test_options_that_cannot_be(kw):
    for f in (lambda: check_photo(PLAIN, **kw)), (lambda: Checkers(**kw)):
        with pytest.raises(UserError) as e:
            f()
        assert not isinstance(e.value, PhotoError) and 'got' in str(e.value)


# ---- workers

def pid(checkers): return [w.process.pid for w in checkers._workers if w.process]


def started(checkers): return sum(w.starts for w in checkers._workers)


def gone(p):
    try: os.kill(p, 0)
    except ProcessLookupError: return True
    return False


async def all_of(checkers, photos):
    return await asyncio.gather(*map(checkers, photos), return_exceptions=True)


def checked(photos, workers=1, **kw):
    "What comes of each photo, and how many processes it took."
    async def main():
        async with Checkers(workers, **kw) as checkers:
            return await all_of(checkers, photos), started(checkers)
    return asyncio.run(main())


def outcomes(found):
    return [f.reason if isinstance(f, PhotoError) else None if isinstance(f, Checked) else f for f in found]


def test_workers_answer_as_the_function_does():
    photos = [PLAIN, b'', HUGE_PNG, encode(picture(1, (900, 600))), PLAIN[:3000], encode(picture(2), 'PNG')]*3

    async def main():
        async with Checkers(2, max_side=256) as checkers:
            found, pids = await all_of(checkers, photos), pid(checkers)
            assert started(checkers) == 2
        with pytest.raises(RuntimeError, match='closed'): await checkers(PLAIN)
        return found, pids
    found, pids = asyncio.run(main())
    for data, f in zip(photos, found):
        if isinstance(f, PhotoError): assert f.reason == reason(data, max_side=256)
        else: assert f == check_photo(data, max_side=256) and isinstance(f, Checked)
    assert len(pids) == 2 and all(map(gone, pids)), 'closing ends them'


SICK = '''
import os, signal, sys, time
import imgcls.gather.verify as c
good = c.check_photo
def sick(data, **kw):
    if data == b'crash': os.kill(os.getpid(), signal.SIGSEGV)
    if data == b'exit': os._exit(3)
    if data == b'hang': time.sleep(1000)
    if data == b'bug': raise KeyError('x')
    if data == b'print': os.write(1, b'Corrupt JPEG data'*100)
    if data in LIES: os.write(3, LIES[data]); os._exit(0)
    return good(open(sys.argv[2], 'rb').read() if data == b'print' else data, **kw)
c.check_photo = sick
real = c._checked
c._checked = lambda data, *a: bytearray(10**10) if data == b'eat' else real(data, *a)
LIES = {b'half': b'{"reas', b'list': b'[]\\n', b'nothing': b'{}\\n', b'huge': b'{"size": 1e99}\\n',
        b'below': b'{"size": -1}\\n',
        b'long': b'x'*10**6, b'deep': b'['*10**5 + b'\\n', b'reason': b'{"size": 0, "reason": 5}\\n'}
'''


@pytest.fixture
def sick(monkeypatch, tmp_path):
    (tmp_path/'plain.jpg').write_bytes(PLAIN)
    monkeypatch.setattr(check, '_CODE', SICK + f'sys.argv.append({str(tmp_path/"plain.jpg")!r})\nc._serve()')


@posix
def test_a_dead_worker_costs_its_photo_and_no_other(sick):
    photos = [PLAIN, b'crash', PLAIN, b'exit', b'bug', b'eat', PLAIN, b'print', PLAIN]*2
    found, started = checked(photos, 2)
    crashed = Reason.CRASHED
    assert (
        outcomes(found) == [None, crashed, None, crashed, crashed, Reason.OUT_OF_MEMORY, None, None, None] * 2
    )
    assert started > 2
    for what, text in (b'crash', r'signal 11'), (b'exit', r'exit 3'), (b'bug', 'KeyError'):
        assert text in str(checked([what])[0][0])


@posix
@pytest.mark.parametrize(
    'lie', [b'half', b'list', b'nothing', b'huge', b'below', b'long', b'deep', b'reason']
)
def test_a_worker_that_answers_nonsense_harms_nobody(sick, lie):
    "As one that an attacker has taken over might."
    found, _ = checked([PLAIN, lie, PLAIN])
    assert outcomes(found) == [None, Reason.CRASHED, None]


@posix
def test_the_photo_behind_a_bad_one_is_checked_by_the_next_worker(sick):
    found, started = checked([b'crash', PLAIN, b'hang', PLAIN, b'exit', PLAIN, b'half', PLAIN], timeout=1)
    assert [isinstance(f, Checked) for f in found] == [False, True]*4 and found[2].reason is Reason.HUNG
    assert started == 5


@posix
def test_a_worker_that_dies_of_nothing_is_not_started_for_ever(monkeypatch):
    monkeypatch.setattr(check, '_CODE', "print('\"ready\"')")
    (found,), started = checked([PLAIN])
    assert 'before it began' in str(found) and found.reason is Reason.CRASHED and started == 3


@posix
def test_a_worker_that_hangs_is_killed(sick):
    async def main():
        async with Checkers(1, timeout=1) as checkers:
            await checkers(PLAIN)
            old, start = pid(checkers)[0], time.perf_counter()
            with pytest.raises(PhotoError, match='no answer') as e: await checkers(b'hang')
            assert e.value.reason is Reason.HUNG and time.perf_counter() - start < 8 and gone(old)
            assert (await checkers(PLAIN)).width == 300
    asyncio.run(main())


def test_a_worker_writes_the_file(tmp_path):
    async def main():
        async with Checkers(1) as checkers:
            got, want = await checkers(PLAIN, tmp_path/'ä b.jpg'), check_photo(PLAIN)
            assert got == replace(want, data=b'') and (tmp_path/'ä b.jpg').read_bytes() == want.data
            assert len(list(tmp_path.iterdir())) == 1
            (tmp_path/'file').touch()
            with pytest.raises(UserError, match="can't write"): await checkers(PLAIN, tmp_path/'file'/'x.jpg')
            with pytest.raises(PhotoError): await checkers(b'', tmp_path/'none.jpg')
            assert not (tmp_path/'none.jpg').exists() and started(checkers) == 1
    asyncio.run(main())


@posix
def test_a_worker_killed_while_idle_costs_nothing():
    async def main():
        async with Checkers(1) as checkers:
            for i in range(4):
                first = await checkers(PLAIN)
                os.kill(pid(checkers)[0], signal.SIGKILL)
                if i % 2: await asyncio.sleep(.2)  # else nobody has noticed yet
                assert await checkers(PLAIN) == first
            assert started(checkers) == 5 and len(pid(checkers)) == 1
    asyncio.run(main())


@posix
def test_who_gives_up_waiting_leaves_no_answer_for_the_next():
    async def main():
        async with Checkers(1) as checkers:
            for seconds in 0, .001, .003, .01, .1:
                task = asyncio.create_task(checkers(encode(picture(1, (1200, 900)))))
                await asyncio.sleep(seconds)
                task.cancel()
                assert await checkers(PLAIN) == check_photo(PLAIN)
        for seconds in 0, .001, .003, .01, .1:  # closed while it starts
            async with Checkers(2) as checkers:
                tasks = [asyncio.create_task(checkers(PLAIN)) for _ in range(3)]
                await asyncio.sleep(seconds)
                for t in tasks: t.cancel()
        async with Checkers(1) as checkers:
            await checkers(PLAIN)
            task = asyncio.create_task(checkers(encode(picture(1, (1200, 900)))))
            await asyncio.sleep(.005)
            for _ in range(9):  # given up again while the process is being stopped
                task.cancel()
                await asyncio.sleep(0)
    asyncio.run(main())
    gc.collect()  # a process that is left running would be an error


CHATTERS = r"""
import os, sys, time
os.write(1, b'"ready"\n')
sys.stdin.buffer.read(1)
if os.fork():
    os.write(1, b'"begun"\n')
    time.sleep(60)
time.sleep(.01)
until = time.monotonic()+.1
while time.monotonic() < until: os.write(1, b'.')
"""


@posix
def test_closing_does_not_wait_for_what_another_reader_took(monkeypatch):
    "A photo is given up, and the checkers are closed while what its process still says is read."
    monkeypatch.setattr(check, '_CODE', CHATTERS)

    async def main():
        async with Checkers(1) as checkers:
            task = asyncio.create_task(checkers(b'a photo'))
            while not checkers._workers[0].begun: await asyncio.sleep(0)
            task.cancel()
            until = time.monotonic()+.02
            while time.monotonic() < until: await asyncio.sleep(0)
            time.sleep(.01)  # so that there is something to read
            await asyncio.sleep(0)
        with pytest.raises(asyncio.CancelledError): await task
    for _ in range(3): asyncio.run(asyncio.wait_for(main(), 20))


@posix
def test_workers_killed_at_random_moments():
    photos = [encode(picture(n, (1200, 900))) for n in range(3)]*15

    async def main():
        async with Checkers(2) as checkers:
            async def killer():
                rng = random.Random(0)
                while True:
                    await asyncio.sleep(rng.uniform(.2, .8))
                    for p in pid(checkers)[:1]: os.kill(p, signal.SIGKILL)
            task = asyncio.create_task(killer())
            try: return await all_of(checkers, photos)
            finally: task.cancel()
    found, want = asyncio.run(main()), [check_photo(p) for p in photos[:3]]*15
    lost = [f for f in found if isinstance(f, PhotoError)]
    assert {f.reason for f in lost} <= {Reason.CRASHED} and len(lost) < len(photos)/2
    assert all(f == w for f, w in zip(found, want) if f not in lost), 'no photo gets the answer of another'


@posix
def test_workers_end_with_their_caller(tmp_path):
    code = f'''
import asyncio, time
from imgcls.gather.verify import Checkers
async def main():
    c = Checkers(1)
    await c(open({str(tmp_path/"p.jpg")!r}, "rb").read())
    print(c._workers[0].process.pid, flush=True)
    time.sleep(100)
asyncio.run(main())'''
    (tmp_path/'p.jpg').write_bytes(PLAIN)
    caller = subprocess.Popen([sys.executable, '-c', code], stdout=subprocess.PIPE, text=True)
    worker = int(caller.stdout.readline())
    caller.kill(); caller.wait(); caller.stdout.close()
    end = time.time() + 10
    while not ended(worker) and time.time() < end: time.sleep(.1)
    assert ended(worker)


def ended(p):
    "Gone, or dead and not yet taken note of by whoever inherited it."
    try: stat = Path(f'/proc/{p}/stat').read_text() if os.path.isdir('/proc/self') else None
    except (FileNotFoundError, ProcessLookupError): return True
    return gone(p) if stat is None else stat.rsplit(')', 1)[1].split()[0] == 'Z'


@posix
def test_closing_while_photos_are_checked(sick):
    async def main():
        checkers = Checkers(1, timeout=60)
        task = asyncio.create_task(checkers(b'hang'))
        while not pid(checkers): await asyncio.sleep(.05)
        await asyncio.sleep(.5)
        await checkers.__aexit__()
        with pytest.raises(RuntimeError, match='closed'):
            await asyncio.wait_for(task, 10)  # it is not the photo's fault
    asyncio.run(main())


def test_a_worker_that_cannot_start_is_said_and_refuses_no_photo(monkeypatch):
    monkeypatch.setattr(check, '_CODE', 'raise SystemExit(5)')
    found, _ = checked([PLAIN, PLAIN])
    assert all(isinstance(f, RuntimeError) and 'does not start (it ended with 5)' in str(f) for f in found)


def test_files_beside_the_user_are_not_run(tmp_path, monkeypatch):
    if sys.version_info < (3, 11): pytest.skip('Python can be told so from 3.11 on')
    (tmp_path/'queue.py').write_text('raise SystemExit(9)')
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, 'path', [p for p in sys.path if p not in ('', str(tmp_path))])
    assert checked([PLAIN])[0][0].width == 300


def test_a_program_without_a_guard_is_not_run_again(tmp_path):
    "Pools of processes would run it once more in each process."
    (tmp_path/'p.jpg').write_bytes(PLAIN)
    (tmp_path/'program.py').write_text('''
import asyncio
from imgcls.gather.verify import Checkers
print('once')
async def main():
    async with Checkers(2) as c: print((await c(open('p.jpg', 'rb').read())).width)
asyncio.run(main())''')
    p = subprocess.run([sys.executable, 'program.py'], cwd=tmp_path, capture_output=True, text=True)
    assert p.stdout.split() == ['once', '300'], p.stderr


def test_workers_are_light():
    heavy = 'torch', 'fastai', 'pandas', 'matplotlib', 'scipy', 'imagehash', 'IPython'
    code = f'import sys, imgcls.gather.verify; print(*{{*{heavy}}} & {{*sys.modules}})'
    assert subprocess.run([sys.executable, '-c', code], capture_output=True, text=True).stdout.strip() == ''
