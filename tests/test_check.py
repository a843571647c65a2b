"""What comes under the name of a photo: every kind of bad bytes, workers that die, copies in any order, names of any kind."""
import asyncio
import gc
import hashlib
import io
import os
import random
import signal
import subprocess
import sys
import threading
import time
import unicodedata
import zlib
from dataclasses import replace

import imagehash
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import ExifTags, Image, ImageCms, ImageDraw

import imgcls.check as check
from imgcls.check import Checked, Checkers, Refusal, Seen, check_photo, near, safe_name
from imgcls.core import PhotoError, UserError, decode

posix = pytest.mark.skipif(os.name != 'posix', reason='signals of POSIX')
FUZZ = settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))


def picture(n=0, size=(300, 200)):
    "A picture with detail of its own for each number."
    x = np.random.default_rng(n).integers(0, 256, (8, 12, 3), dtype=np.uint8)
    grain = np.random.default_rng(n + 1000).normal(0, 6, (size[1], size[0], 3))
    return Image.fromarray((np.asarray(Image.fromarray(x).resize(size, Image.Resampling.BICUBIC)) + grain).clip(0, 255).astype(np.uint8))


def encode(img, fmt='JPEG', **kw):
    out = io.BytesIO()
    img.save(out, fmt, **kw)
    return out.getvalue()


def reason(data, **kw):
    "Why it is refused; '' when it isn't."
    try: c = check_photo(data, **kw)
    except Refusal as e:
        assert isinstance(e, PhotoError) and str(e) and '\n' not in str(e)
        return e.reason
    fits(c, **kw)
    return ''


def fits(c, max_side=512, **_):
    "What is true of every photo that is kept."
    img = decode(c.data)
    assert img.size == (c.width, c.height) and (max_side is None or max(img.size) <= max_side)
    assert c.sha256 == hashlib.sha256(c.data).hexdigest() and len(c.phash) == 16 and int(c.phash, 16) >= 0
    assert c.data[:2] == b'\xff\xd8' if c.suffix == '.jpg' else c.data[:4] == b'\x89PNG'


def pixels(data): return np.asarray(decode(data))


def chunk(kind, body): return len(body).to_bytes(4, 'big') + kind + body + zlib.crc32(kind + body).to_bytes(4, 'big')


PLAIN = encode(picture(), quality=90)
HUGE_PNG = b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', (30_000).to_bytes(4, 'big')*2 + b'\x08\x02\0\0\0') + chunk(b'IDAT', zlib.compress(b'\0'*1000))
HUGE_JPEG = PLAIN.replace((200).to_bytes(2, 'big') + (300).to_bytes(2, 'big'), (30_000).to_bytes(2, 'big')*2, 1)
HUGE_GIF = b'GIF89a' + (30_000).to_bytes(2, 'little')*2 + encode(picture(), 'GIF')[10:]
FRAMES = [picture(i, (90, 80)) for i in range(3)]


# ---- one photo

@pytest.mark.parametrize('data, why', [
    (b'', 'empty'), (b'\0'*1000, 'not a photo'), (b'Dear diary', 'not a photo'),
    (PLAIN[:len(PLAIN)//2], 'truncated'), (encode(picture(), 'PNG')[:9000], 'truncated'), (PLAIN[:40], 'damaged'),
    (HUGE_PNG, 'too many pixels'), (HUGE_JPEG, 'too many pixels'), (HUGE_GIF, 'too many pixels'),
    (encode(FRAMES[0], 'GIF', save_all=True, append_images=FRAMES[1:]), 'animated'),
    (encode(FRAMES[0], 'PNG', save_all=True, append_images=FRAMES[1:]), 'animated'),
    (encode(FRAMES[0], 'WEBP', save_all=True, append_images=FRAMES[1:]), 'animated'),
    (b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>', 'not a photo'),
    (b'\xef\xbb\xbf <?xml version="1.0"?><!-- x --><svg onload="alert(1)"/>', 'not a photo'),
    (encode(picture(), 'EPS'), 'not a photo'), (b'\xc5\xd0\xd3\xc6' + b'\0'*40, 'not a photo'),
    (encode(picture(), 'PDF'), 'not a photo'), (encode(picture(), 'PPM'), 'not a photo'), (encode(picture(), 'ICO'), 'not a photo'),
    (encode(picture(), 'JPEG2000'), 'not a photo'), (b'<!DOCTYPE html><html>not found</html>', 'not a photo'), (b'{"error": 1}', 'not a photo'),
    (b'PK\3\4' + PLAIN, 'not a photo'), (encode(picture(size=(63, 200))), 'too small'), (encode(picture(size=(7, 200))), 'too small'),
    (encode(picture(size=(64, 8000))), 'too narrow')], ids=lambda x: x if isinstance(x, str) else '')
def test_bad_bytes_are_refused_with_the_reason(data, why):
    start = time.perf_counter()
    assert reason(data) == why
    assert time.perf_counter() - start < 5


@pytest.mark.parametrize('data, kind', [(b'<svg/>', 'SVG'), (b'%!PS-Adobe-3.0 EPSF', 'PostScript'), (b'%PDF-1.7', 'PDF'), (b' \n<HTML>', 'web page'), (b'PK\3\4', 'zip')])
def test_the_refusal_names_what_it_is(data, kind):
    with pytest.raises(Refusal, match=f'not a photo but .*{kind}'): check_photo(data)


@pytest.mark.parametrize('fmt', ['JPEG', 'PNG', 'WEBP', 'GIF', 'BMP', 'TIFF', 'AVIF'])
@pytest.mark.parametrize('side', [512, 128, None])
def test_formats_that_are_read(fmt, side):
    data = encode(picture(), fmt)
    c = check_photo(data, max_side=side)
    fits(c, side)
    assert (c.source_width, c.source_height) == (300, 200) and c.source_sha256 == hashlib.sha256(data).hexdigest()
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
        assert not any(s in c.data for s in (b'script', b'SECRET', b'Photoshop')) and not Image.open(io.BytesIO(c.data)).getexif().get_ifd(ExifTags.IFD.GPSInfo)
        assert set(Image.open(io.BytesIO(c.data)).getexif()) <= ({ExifTags.Base.Orientation} if side is None else set())
        assert (c.source_width > c.source_height) == (turn < 5) == (c.width > c.height)
        got = np.asarray(decode(c.data).resize(want.shape[1::-1], Image.Resampling.BOX), float)
        assert np.abs(got - want).mean() < 4
    kept = check_photo(data, strip=False)
    assert b'script' in kept.data and (kept.width > kept.height) == (turn < 5), 'strip=False keeps EXIF but never turns twice'


@pytest.mark.parametrize('kw', [{}, dict(progressive=True), dict(quality=97, subsampling=0), dict(restart_marker_blocks=3), dict(keep_rgb=True), dict(optimize=True),
                                dict(comment=b'c'*6000), dict(icc_profile=ImageCms.ImageCmsProfile(ImageCms.createProfile('sRGB')).tobytes())],
                         ids=lambda kw: ','.join(kw))
@pytest.mark.parametrize('mode', ['RGB', 'L', 'CMYK'])
def test_original_jpeg_keeps_every_bit_of_the_picture(mode, kw):
    if mode != 'RGB' and 'keep_rgb' in kw: pytest.skip('for RGB only')
    data = encode(picture().convert(mode), **kw)
    c = check_photo(data + b'PK\3\4<?php system(1) ?>', max_side=None)
    assert (pixels(c.data) == pixels(data)).all() and b'php' not in c.data and c.suffix == '.jpg'
    assert Image.open(io.BytesIO(c.data)).mode == mode


def test_checking_twice_is_the_same_as_once():
    for data in PLAIN, encode(picture(size=(900, 700))), encode(picture(), 'PNG'), encode(picture().convert('CMYK')):
        once = check_photo(data)
        twice = check_photo(once.data)
        assert (twice.data, twice.phash) == (once.data, once.phash)


def test_polyglots_leave_only_the_picture():
    evil = b'<script>fetch("http://evil")</script>'
    for data in (PLAIN + evil, PLAIN[:2] + b'\xff\xfe' + (len(evil)+2).to_bytes(2, 'big') + evil + PLAIN[2:], encode(picture(), 'PNG') + evil,
                 encode(picture(), 'GIF', comment=evil)):
        assert evil in data
        for side in 512, 128, None: assert evil not in check_photo(data, max_side=side).data


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
    parts = dict(rXYZ=xyz(.79767, .28804, 0), gXYZ=xyz(.13519, .71188, 0), bXYZ=xyz(.03134, .00009, .82491), wtpt=xyz(.9642, 1, .8249),
                 rTRC=gamma, gTRC=gamma, bTRC=gamma, desc=desc, cprt=b'text\0\0\0\0x\0\0\0')
    table, body, at = b'', b'', 128 + 4 + 12*len(parts)
    for k, v in parts.items():
        v += b'\0'*(-len(v) % 4)
        table += k.encode() + (at + len(body)).to_bytes(4, 'big') + len(v).to_bytes(4, 'big')
        body += v
    head = b'lcms\2\x10\0\0mntrRGB XYZ ' + b'\0'*12 + b'acsp' + b'\0'*28 + s15(.9642) + s15(1) + s15(.8249) + b'\0'*48
    whole = head + len(parts).to_bytes(4, 'big') + table + body
    return (len(whole) + 4).to_bytes(4, 'big') + whole


def test_colour_profiles():
    icc = wide_gamut()
    got = check_photo(encode(picture(), quality=95, icc_profile=icc))
    assert 'colours brought to sRGB' in got.notes and b'ICC_PROFILE' not in got.data
    want = ImageCms.profileToProfile(Image.open(io.BytesIO(encode(picture(), quality=95))), ImageCms.ImageCmsProfile(io.BytesIO(icc)), ImageCms.createProfile('sRGB'))
    assert np.abs(pixels(got.data).astype(float) - np.asarray(want)).mean() < 4
    assert np.abs(pixels(got.data).astype(float) - np.asarray(picture())).mean() > 8
    assert (pixels(check_photo(encode(picture(), 'PNG', icc_profile=icc), max_side=None).data) == np.asarray(ImageCms.profileToProfile(
        picture(), ImageCms.ImageCmsProfile(io.BytesIO(icc)), ImageCms.createProfile('sRGB')))).all()
    kept = Image.open(io.BytesIO(check_photo(encode(picture(), icc_profile=icc), max_side=None).data))
    assert kept.info['icc_profile'] == icc, 'an original keeps the table that its colours need'


@pytest.mark.parametrize('icc', [b'x', b'\0'*200, wide_gamut()[:200], wide_gamut()[:-60], bytes(128) + b'\xff'*400], ids=range(5))
@pytest.mark.parametrize('mode', ['RGB', 'L', 'CMYK'])
def test_broken_profiles_do_not_harm(mode, icc):
    data = encode(picture().convert(mode), icc_profile=icc)
    for side in 512, 100, None:
        c = check_photo(data, max_side=side)
        fits(c, side)
        assert any('profile' in n or 'sRGB' in n for n in c.notes) or mode != 'RGB' or side is None


def test_cmyk_looks_like_the_photo():
    c = check_photo(encode(picture().convert('CMYK'), quality=95))
    assert 'converted from CMYK' in c.notes and np.abs(pixels(c.data).astype(float) - np.asarray(picture())).mean() < 6


def test_filters():
    logo = Image.new('RGB', (400, 300), 'white')
    ImageDraw.Draw(logo).rectangle((80, 80, 300, 200), 'navy')
    drawn, grey = encode(logo, quality=75), encode(picture().convert('L'))
    assert (reason(drawn), reason(grey)) == ('', '')
    assert reason(drawn, drop=['drawing']) == 'drawing' and reason(grey, drop=['grey', 'drawing']) == 'grey' and reason(grey, drop=['drawing']) == ''
    for n in range(5): assert reason(encode(picture(n)), drop={'grey', 'drawing'}) == ''


def test_phash_is_imagehash():
    for n in range(20): assert check._phash(picture(n)) == str(imagehash.phash(picture(n)))
    assert check._phash(Image.new('RGB', (70, 70), (1, 2, 3))) == check._phash(Image.new('L', (90, 70), 200)), 'blank is blank'


def test_phash_survives_saving_and_shrinking():
    for n in range(5):
        a, b = (int(check_photo(encode(picture(n, (1200, 800)).resize(s), quality=q)).phash, 16) for s, q in (((1200, 800), 95), ((400, 267), 50)))
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
    reason(bytes(b), max_side=side, strip=data.draw(st.booleans()), drop=['grey', 'drawing'][:data.draw(st.integers(0, 2))])


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
    return [encode(p), encode(p, exif=exif, progressive=True), encode(p, icc_profile=wide_gamut()), encode(p.convert('CMYK')), encode(p, 'PNG', exif=exif),
            encode(p.convert('P'), 'PNG', transparency=3), encode(p, 'GIF'), encode(p, 'WEBP', exif=exif), encode(p, 'BMP'), encode(p, 'TIFF', exif=exif), encode(p, 'AVIF')]


GOOD = _good()


@pytest.mark.parametrize('kw', [dict(min_side=0), dict(min_side='64'), dict(max_side=63), dict(max_side=0), dict(max_side=1.5), dict(drop='grey'), dict(drop=['gray']),
                                dict(strip='no')])
def test_options_that_cannot_be(kw):
    for f in (lambda: check_photo(PLAIN, **kw)), (lambda: Checkers(**kw)):
        with pytest.raises(UserError) as e: f()
        assert not isinstance(e.value, PhotoError) and 'got' in str(e.value)


# ---- workers

def pid(checkers): return [w.process.pid for w in checkers._workers if w.process]


def gone(p):
    try: os.kill(p, 0)
    except ProcessLookupError: return True
    return False


def test_workers_answer_as_the_function_does():
    photos = [PLAIN, b'', HUGE_PNG, encode(picture(1, (900, 600))), PLAIN[:3000], encode(picture(2), 'PNG')]*3
    with Checkers(2, max_side=256) as checkers:
        async def everything(): return await asyncio.gather(*map(checkers, photos), return_exceptions=True)
        found = asyncio.run(everything())
        for data, f in zip(photos, found):
            if isinstance(f, Refusal): assert f.reason == reason(data, max_side=256)
            else: assert f == check_photo(data, max_side=256) and isinstance(f, Checked)
        assert checkers.started == 2
        pids = pid(checkers)
    assert all(map(gone, pids)), 'closing ends them'
    with pytest.raises(RuntimeError, match='closed'): checkers.check(PLAIN)


SICK = '''
import os, signal, sys, time
import imgcls.check as c
good = c.check_photo
def sick(data, **kw):
    if data == b'crash': os.kill(os.getpid(), signal.SIGSEGV)
    if data == b'exit': os._exit(3)
    if data == b'hang': time.sleep(1000)
    if data == b'bug': raise KeyError('x')
    if data == b'print': os.write(1, b'Corrupt JPEG data'*100)
    if data == b'half': os.write(3, b'1234'); os.write(4, b'1234'); os._exit(0)
    return good(open(sys.argv[2], 'rb').read() if data == b'print' else data, **kw)
c.check_photo = sick
real = c._checked
c._checked = lambda data, *a: bytearray(10**10) if data == b'eat' else real(data, *a)
'''


@pytest.fixture
def sick(monkeypatch, tmp_path):
    (tmp_path/'plain.jpg').write_bytes(PLAIN)
    monkeypatch.setattr(check, '_CODE', SICK + f'sys.argv.append({str(tmp_path/"plain.jpg")!r})\nc._serve()')


@posix
def test_a_dead_worker_costs_its_photo_and_no_other(sick):
    photos = [PLAIN, b'crash', PLAIN, b'exit', b'bug', b'eat', PLAIN, b'print', b'half', PLAIN]*2
    with Checkers(2) as checkers:
        async def everything(): return await asyncio.gather(*map(checkers, photos), return_exceptions=True)
        found = [f.reason if isinstance(f, Refusal) else '' if isinstance(f, Checked) else f for f in asyncio.run(everything())]
        assert found == ['', 'crashed the decoder', '', 'crashed the decoder', 'crashed the decoder', 'out of memory', '', '', 'crashed the decoder', '']*2
        assert checkers.started > 2
        with pytest.raises(Refusal, match=r'signal 11'): checkers.check(b'crash')
        with pytest.raises(Refusal, match=r'exit 3'): checkers.check(b'exit')
        with pytest.raises(Refusal, match=r'KeyError'): checkers.check(b'bug')


@posix
def test_the_photo_behind_a_bad_one_is_checked_by_the_next_worker(sick):
    photos = [b'crash', PLAIN, b'hang', PLAIN, b'exit', PLAIN, b'half', PLAIN]
    with Checkers(1, timeout=1) as checkers:
        async def everything(): return await asyncio.gather(*map(checkers, photos), return_exceptions=True)
        found = asyncio.run(everything())
        assert [isinstance(f, Checked) for f in found] == [False, True]*4 and found[2].reason == 'hung the decoder'
        assert 5 <= checkers.started <= 8  # one more for each that died, and for some that were about to


@posix
def test_a_worker_that_dies_of_nothing_is_not_started_for_ever(monkeypatch):
    monkeypatch.setattr(check, '_CODE', 'import sys; from imgcls.check import _send; _send(sys.stdout.buffer, b"ready")')
    with Checkers(1) as checkers:
        with pytest.raises(Refusal, match='before it began'): checkers.check(PLAIN)
        assert checkers.started <= 4


@posix
def test_a_worker_that_hangs_is_killed(sick):
    with Checkers(1, timeout=1) as checkers:
        checkers.check(PLAIN)
        old, start = pid(checkers)[0], time.perf_counter()
        with pytest.raises(Refusal, match='no answer') as e: checkers.check(b'hang')
        assert e.value.reason == 'hung the decoder' and time.perf_counter() - start < 8 and gone(old)
        assert checkers.check(PLAIN).width == 300


def test_a_worker_writes_the_file(tmp_path):
    with Checkers(1) as checkers:
        got, want = checkers.check(PLAIN, tmp_path/'ä b.jpg'), check_photo(PLAIN)
        assert got == replace(want, data=b'') and (tmp_path/'ä b.jpg').read_bytes() == want.data and len(list(tmp_path.iterdir())) == 1
        (tmp_path/'file').touch()
        with pytest.raises(UserError, match="can't write"): checkers.check(PLAIN, tmp_path/'file'/'x.jpg')
        with pytest.raises(Refusal): checkers.check(b'', tmp_path/'none.jpg')
        assert not (tmp_path/'none.jpg').exists() and checkers.started == 1


@pytest.mark.skipif(sys.platform != 'linux', reason='elsewhere a pipe keeps its size')
def test_a_whole_photo_fits_into_the_pipe_of_a_worker():
    import fcntl
    with Checkers(1) as checkers:
        checkers.check(PLAIN)
        assert fcntl.fcntl(checkers._workers[0].process.stdin, fcntl.F_GETPIPE_SZ) >= 2**20


@posix
def test_a_worker_killed_while_idle_costs_nothing():
    with Checkers(1) as checkers:
        for _ in range(3):
            first = checkers.check(PLAIN)
            os.kill(pid(checkers)[0], signal.SIGKILL)
            time.sleep(.2)
            assert checkers.check(PLAIN) == first
        assert checkers.started == 4 and len(pid(checkers)) == 1


@posix
def test_workers_killed_at_random_moments():
    photos = [encode(picture(n, (1200, 900))) for n in range(3)]*15
    with Checkers(2) as checkers:
        over = threading.Event()

        def killer():
            rng = random.Random(0)
            while not over.wait(rng.uniform(.2, .8)):
                for p in pid(checkers)[:1]: os.kill(p, signal.SIGKILL)
        t = threading.Thread(target=killer)
        t.start()
        try:
            async def everything(): return await asyncio.gather(*map(checkers, photos), return_exceptions=True)
            found = asyncio.run(everything())
        finally: over.set(); t.join()
    want = [check_photo(p) for p in photos[:3]]*15
    lost = [f for f in found if isinstance(f, Refusal)]
    assert {f.reason for f in lost} <= {'crashed the decoder'} and len(lost) < len(photos)/2
    assert all(f == w for f, w in zip(found, want) if not isinstance(f, Refusal)), 'no photo gets the answer of another'


@posix
def test_workers_end_with_their_caller(tmp_path):
    code = f'''
import sys, time
from imgcls.check import Checkers
c = Checkers(1); c.check(open({str(tmp_path/"p.jpg")!r}, "rb").read())
print([w.process.pid for w in c._workers][0], flush=True); time.sleep(100)'''
    (tmp_path/'p.jpg').write_bytes(PLAIN)
    caller = subprocess.Popen([sys.executable, '-c', code], stdout=subprocess.PIPE, text=True)
    worker = int(caller.stdout.readline())
    caller.kill(); caller.wait(); caller.stdout.close()
    end = time.time() + 10
    while not ended(worker) and time.time() < end: time.sleep(.1)
    assert ended(worker)


def ended(p):
    "Gone, or dead and not yet taken note of by whoever inherited it."
    try: return open(f'/proc/{p}/stat').read().rsplit(')', 1)[1].split()[0] == 'Z' if os.path.isdir('/proc/self') else gone(p)
    except (FileNotFoundError, ProcessLookupError): return True


@posix
def test_closing_while_photos_are_checked(sick):
    checkers = Checkers(1, timeout=60)
    caught = []

    def ask():
        try: checkers.check(b'hang')
        except BaseException as e: caught.append(e)
    t = threading.Thread(target=ask)
    t.start()
    while not pid(checkers): time.sleep(.05)
    time.sleep(.3)
    checkers.close()
    t.join(10)
    assert not t.is_alive() and isinstance(caught[0], RuntimeError), 'closing is not the photo\'s fault'


def test_a_worker_that_cannot_start_is_said_and_refuses_no_photo(monkeypatch):
    monkeypatch.setattr(check, '_CODE', 'raise SystemExit(5)')
    with Checkers(1) as checkers:
        for _ in range(2):
            with pytest.raises(RuntimeError, match='does not start'): checkers.check(PLAIN)


def test_files_beside_the_user_are_not_run(tmp_path, monkeypatch):
    if sys.version_info < (3, 11): pytest.skip('Python can be told so from 3.11 on')
    (tmp_path/'queue.py').write_text('raise SystemExit(9)')
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, 'path', [p for p in sys.path if p not in ('', str(tmp_path))])
    with Checkers(1) as checkers: assert checkers.check(PLAIN).width == 300


def test_workers_are_light():
    code = 'import sys, imgcls.check; print(*{"torch", "fastai", "pandas", "matplotlib", "scipy", "imagehash", "IPython"} & set(sys.modules))'
    assert subprocess.run([sys.executable, '-c', code], capture_output=True, text=True).stdout.strip() == ''


# ---- duplicates

def brute(h, distance, most):
    a, b = [], []
    for i in range(len(h)):
        js = [j for j in range(i+1, len(h)) if bin(h[i] ^ h[j]).count('1') <= distance][:most]
        a += [i]*len(js); b += js
    return a, b


def crowd(rng, n, centres, flips):
    "Hashes around a few centres, some exactly the same."
    c = [rng.getrandbits(64) for _ in range(centres)]
    return [rng.choice(c) ^ sum(1 << k for k in {rng.randrange(64) for _ in range(rng.randint(0, flips))}) for _ in range(n)]


@pytest.mark.parametrize('distance', [0, 1, 3, 4, 8, 15, 31])
@pytest.mark.parametrize('most', [1, 10, None])
def test_near_finds_what_brute_force_finds(distance, most):
    rng = random.Random(distance)
    for n, centres in ((0, 1), (1, 1), (2, 1), (120, 3), (120, 40), (60, 1)):
        h = crowd(rng, n, centres, 6)
        a, b = near(h, distance, most)
        assert (a.tolist(), b.tolist()) == brute(h, distance, most)


def test_near_takes_a_hundred_thousand():
    h = np.random.default_rng(0).integers(0, 2**64, 100_000, dtype=np.uint64)
    h[99_000:] = h[:1000] ^ np.uint64(0b1111)
    start = time.perf_counter()
    a, b = near(h)
    assert (a.tolist(), b.tolist()) == (list(range(1000)), list(range(99_000, 100_000))) and time.perf_counter() - start < 10
    start = time.perf_counter()
    assert len(near(np.zeros(100_000, np.uint64))[0]) == 10*99_990 + 45 and time.perf_counter() - start < 20


def outcome(photos, distance=4):
    seen, kept = Seen(distance), set()
    for p in photos:
        v = seen.add(*p)
        kept -= set(v.lost)
        if v.keep: kept.add(p[0])
        assert not set(v.lost) & kept
    final = {p[0]: seen.verdict(p[0]) for p in photos}
    assert kept == {k for k, v in final.items() if v.keep}, 'following the news gives the final state'
    return final


def test_the_order_does_not_matter():
    for seed in range(40):
        rng = random.Random(seed)
        photos = [(f'{i}', f'{h % 97:064x}', f'{h:016x}', rng.choice([100, 200, 300]), rng.choice('ab' if seed % 2 else 'a'), rng.random() < .1)
                  for i, h in enumerate(crowd(rng, 60, 12, 3))]
        want = outcome(photos)
        for _ in range(4):
            rng.shuffle(photos)
            assert outcome(photos) == want
        for id, v in want.items():
            if v.reason in ('same', 'near'): assert want[v.of].keep and v.of != id
        assert all(v.keep for id, v in want.items() if [p for p in photos if p[0] == id][0][5]), 'what was there stays'
        assert len({v.reason for v in want.values()}) > 1


def test_the_largest_stays():
    seen = Seen()
    assert seen.add('s', '1'*64, 'f'*16, 100, 'fox').keep
    assert seen.add('l', '2'*64, 'f'*15 + 'e', 400, 'fox').lost == ('s',)
    v = seen.add('m', '3'*64, 'f'*15 + 'c', 200, 'fox')
    assert (v.keep, v.reason, v.of, v.lost) == (False, 'near', 'l', ())
    assert seen.add('again', '2'*64, 'f'*15 + 'e', 400, 'fox').reason in ('same', '') and sum(seen.verdict(i).keep for i in ('s', 'l', 'm', 'again')) == 1
    assert seen.add('other', '4'*64, '0'*16, 1, 'fox').keep and len(seen) == 5 and 'other' in seen and 'no' not in seen


def test_two_classes_go_to_neither_until_decided():
    seen = Seen()
    seen.add('a', '1'*64, 'f'*16, 100, 'fox')
    v = seen.add('b', '1'*64, 'f'*16, 100, 'deer')
    assert (v.keep, v.reason, v.labels, v.lost) == (False, 'two classes', ('deer', 'fox'), ('a',)) and seen.verdict('a').reason == 'two classes'
    assert not seen.add('c', '2'*64, 'f'*16, 900, 'fox').keep, 'a third one does not settle it'
    assert seen.decide('a', 'deer') == seen.verdict('a') and seen.verdict('c').keep and seen.verdict('c').label == 'deer'
    assert [seen.verdict(x).reason for x in 'ab'] == ['near', 'near']
    assert seen.add('d', '5'*64, 'f'*16, 2000, 'fox').lost == ('c',), 'the decision holds for what comes'


def test_a_chain_is_one_group():
    hashes = [0, 0b1111, 0b11111111]
    seen = Seen()
    seen.add('a', '1'*64, f'{hashes[0]:016x}', 300, 'fox')
    assert seen.add('c', '3'*64, f'{hashes[2]:016x}', 200, 'fox').keep
    v = seen.add('b', '2'*64, f'{hashes[1]:016x}', 100, 'fox')
    assert not v.keep and v.lost == ('c',) and v.of == 'a'


def test_only_the_same_content():
    seen = Seen(None)
    assert seen.add('a', '1'*64, 'f'*16, 1, 'fox').keep and seen.add('b', '2'*64, 'f'*16, 1, 'fox').keep
    assert seen.add('c', '1'*64, '0'*16, 1, 'fox').reason == 'same'
    with pytest.raises(ValueError, match='before'): seen.add('c', '1'*64, '0'*16, 1, 'fox')
    for bad in -1, 32, '4', 2.5:
        with pytest.raises(UserError): Seen(bad)


def test_a_hundred_thousand_records_are_small():
    import tracemalloc
    h = np.random.default_rng(0).integers(0, 2**64, 5000, dtype=np.uint64).tolist()
    gc.collect()
    tracemalloc.start()
    seen = Seen()
    for i, x in enumerate(h): seen.add(i, f'{i:064x}', f'{x:016x}', 1, 'fox')
    per_record = tracemalloc.get_traced_memory()[0]/5000
    tracemalloc.stop()
    assert per_record < 1500 and len(seen) == 5000


@pytest.mark.slow
def test_a_hundred_thousand_records_in_time():
    h = np.random.default_rng(0).integers(0, 2**64, 100_000, dtype=np.uint64)
    h[90_000:] = h[:10_000] ^ np.uint64(0b101)
    start, seen = time.perf_counter(), Seen()
    kept = sum(seen.add(i, f'{i:064x}', f'{x:016x}', 1, 'fox').keep for i, x in enumerate(h.tolist()))
    assert kept == 90_000 and time.perf_counter() - start < 60


# ---- names

@pytest.mark.parametrize('text, name', [
    ('fox', 'fox'), ('Vulpes vulpes', 'Vulpes vulpes'), ('AC/DC', 'AC_DC'), ('a\\b', 'a_b'), ('C:fox', 'C_fox'), ('../../x.jpg', '_.._x.jpg'), ('.git', 'git'),
    ('CON', '_CON'), ('con.jpg', '_con.jpg'), ('LPT1 .txt', '_LPT1 .txt'), ('COM¹', '_COM¹'), ('console', 'console'), ('fox.', 'fox'), ('fox ', 'fox'), (' . fox', 'fox'),
    ('a\0b', 'a_b'), ('a\nb', 'a_b'), ('a\u00a0b', 'a b'), ('a\u202eb', 'ab'), ('\ufefffox', 'fox'), ('cafe\u0301', 'café'), ('Ångström', 'Ångström'), ('🦊', '🦊'),
    ('-rf', '-rf'), ('~', '~'), ('a  b', 'a b'), ('what?*', 'what__'), ('<b>', '_b_'), ('x\ud800y', 'x_y'), ('٣', '٣')])
def test_names(text, name): assert safe_name(text) == name


@pytest.mark.parametrize('text', ['', ' ', '.', '..', '...', '/', '//', '\0', '\u200b', '_', '.. ..', '\u202e', '???'])
def test_no_name(text):
    with pytest.raises(UserError, match='no name for a folder'): safe_name(text)


@settings(max_examples=400, deadline=None, derandomize=True)
@given(st.text(max_size=200) | st.text(st.characters(categories=('Mn', 'Lu', 'Cf', 'Zs', 'Cc', 'Po')), min_size=20, max_size=200))
def test_any_name_is_safe_or_refused(text):
    try: name = safe_name(text)
    except UserError: return
    assert 0 < len(name.encode()) <= 100 and name == name.strip(' ') and name[0] != '.' and name[-1] != '.'
    assert not set(name) & set('/\\:*?"<>|\0') and all(unicodedata.category(c) != 'Cc' for c in name)
    assert name == unicodedata.normalize('NFC', name) == safe_name(name)


def test_long_names_stay_apart_and_can_be_made(tmp_path):
    names = {safe_name('é'*n) for n in range(90, 130)} | {safe_name('x'*n) for n in range(95, 130)}
    assert len(names) == 40 + 35
    for n in names: (tmp_path/n).mkdir()
