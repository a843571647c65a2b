"""The cache: what goes first, what stays while somebody uses it, and that nothing else is ever touched."""
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import pytest

from imgcls import cache as room
from imgcls.cache import DAY, KINDS, PHOTOS, cache_dir, cache_items, note_study, strangers
from imgcls.cached import cache_table, clear_cache, find_cached
from imgcls.cli import main
from imgcls.core import UserError

posix = pytest.mark.skipif(os.name == 'nt', reason='Windows has no such thing')


@pytest.fixture
def cache(tmp_path, monkeypatch):
    "An empty cache; none of its leases outlives the test."
    root = tmp_path/'cache'
    root.mkdir()
    monkeypatch.setenv('IMGCLS_CACHE', str(root))
    monkeypatch.delenv('IMGCLS_CACHE_GB', raising=False)
    monkeypatch.setattr(room, '_LEASES', {})
    monkeypatch.setattr(room, '_NEXT', {})
    return root


def make(root, kind, name, days=0, size=1000):
    "An item that was used some days ago."
    path = root/kind/name
    file = path if path.suffix else path/'part.safetensors'
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(bytes(size))
    os.utime(path, (time.time()-days*DAY,)*2)
    return path


def ids(root): return {i.id for i in cache_items(root)}


def all_bytes(root): return sum(i.bytes for i in cache_items(root) if i.kind not in PHOTOS)


class Program:
    "Another program with the same cache; it says 'ready', and lives until it is told to end."
    def __init__(self, code):
        code = f'import time\nfrom imgcls.cache import *\n{code}\nprint("ready", flush=True)\ninput()'
        self.p = subprocess.Popen([sys.executable, '-c', code], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                  text=True)
        assert self.p.stdout.readline() == 'ready\n'

    def __enter__(self): return self

    def __exit__(self, *error):
        self.p.kill()
        self.p.communicate()


def said(capsys, *argv):
    "Exit code and lines of a command: results, remarks."
    code, told = main([*argv]), capsys.readouterr()
    return code, told.out.splitlines(), told.err.splitlines()


# Within the limit

def test_what_was_used_longest_ago_goes_first(cache):
    days = {'features/a-1-x': 3, 'looks/b.safetensors': 5, 'features/c-1-x': 1, 'judgements/d.safetensors': 4}
    for name, n in days.items(): make(cache, *name.split('/'), n)
    room._evict(cache, 2500)
    assert ids(cache) == {'features/a-1-x', 'features/c-1-x'}
    room._evict(cache, 1000)
    assert ids(cache) == {'features/c-1-x'}


def test_using_an_item_makes_it_the_last_to_go(cache, monkeypatch):
    for name, days in [('a-1-x', 3), ('b-1-x', 2)]: make(cache, 'features', name, days)
    with Program("cache_dir('features', 'a-1-x')"): pass
    file = make(cache, 'looks', 'c.safetensors', 9)
    room.used_now(file)
    room._evict(cache, 2000)
    assert ids(cache) == {'features/a-1-x', 'looks/c.safetensors'}


def test_photos_neither_count_nor_go(cache):
    for kind in PHOTOS: make(cache, kind, 'owner--name-1', 99, 50_000)
    make(cache, 'features', 'a-1-x')
    room._evict(cache, 1000)
    assert ids(cache) == {'features/a-1-x', *(f'{k}/owner--name-1' for k in PHOTOS)}


def test_two_programs_that_write_keep_the_limit(cache, monkeypatch):
    monkeypatch.setenv('IMGCLS_CACHE_GB', '0.0001')  # 100 kB
    code = '''
import os, time
from imgcls import cache
from imgcls.core import atomic
for i in range(100):
    cache._NEXT.clear()  # look before each write, however long the last look took
    with atomic(cache.cache_dir('looks')/f'{os.getpid()}-{i:03}.safetensors', sync=False) as part:
        part.write_bytes(bytes(10_000))
'''
    writers, most = [subprocess.Popen([sys.executable, '-c', code]) for _ in range(2)], 0
    while any(p.poll() is None for p in writers):
        most = max(most, all_bytes(cache))
        time.sleep(.002)
    assert [p.returncode for p in writers] == [0, 0]
    assert 50_000 < most < 300_000  # of two million
    cache_dir('looks')
    left = sorted(i.name[-15:] for i in cache_items(cache))
    assert 50_000 < all_bytes(cache) <= 100_000 and left[-1] == '099.safetensors'[-15:]


def test_writing_does_not_look_through_the_cache_each_time(cache, monkeypatch):
    looked, evict = [], room._evict
    monkeypatch.setattr(room, '_evict', lambda *a: looked.append(evict(*a)))
    start = time.monotonic()
    for _ in range(300): cache_dir('features', 'a-1-x')
    assert 1 <= len(looked) <= 2+(time.monotonic()-start)/.1
    looked.clear()
    while not looked and time.monotonic() < start+60: cache_dir('features', 'a-1-x')
    assert looked  # again, after a while


@pytest.mark.parametrize('text', ['much', '-1', 'nan', 'inf'])
def test_a_limit_that_is_no_number_is_said_in_one_line(cache, monkeypatch, text):
    monkeypatch.setenv('IMGCLS_CACHE_GB', text)
    with pytest.raises(UserError, match=f"IMGCLS_CACHE_GB is '{text}'; expected .* such as 20, or off"):
        cache_dir('features')


def test_what_was_being_written_or_removed_when_a_program_ended_goes_in_time(cache):
    "What another program writes at this moment stays."
    writes = make(cache, 'looks', '.a.7-0123abcd.safetensors', .1)
    stopped = make(cache, 'looks', '.b.7-0123abcd.safetensors', 2)
    gone = make(cache, 'features', '.gone-0123abcd')
    room._evict(cache, 10_000)
    assert [p.exists() for p in (writes, stopped, gone)] == [True, True, False]
    room._evict(cache, 0)
    assert [p.exists() for p in (writes, stopped)] == [True, False]


# In use

def test_what_a_living_program_uses_stays_until_it_ends_or_crashes(cache, capsys):
    make(cache, 'features', 'a-1-x', 9)
    with Program("cache_dir('features', 'a-1-x')") as other:
        room._evict(cache, 0)
        lines = []
        assert not len(clear_cache('all', say=lines.append))
        assert ids(cache) == {'features/a-1-x'} and f'process {other.p.pid}' in cache_table().in_use[0]
        assert re.fullmatch(rf'features/a-1-x stays: process {other.p.pid} \(-c\) uses it', *lines)
        code, _, err = said(capsys, 'cache', '--clear', 'features', '--yes')
        assert code == 1 and len(err) == 1 and 'uses it' in err[0]
        other.p.send_signal(signal.SIGTERM if os.name == 'nt' else signal.SIGKILL)
        other.p.wait()
        room._evict(cache, 0)
    assert not ids(cache) and not [*(cache/'.leases').iterdir()]


def test_what_was_used_days_ago_is_free_though_the_program_lives(cache):
    make(cache, 'features', 'a-1-x')
    with Program("cache_dir('features', 'a-1-x')"):
        book = next((cache/'.leases').glob('*.json'))
        told = json.loads(book.read_text())
        book.write_text(json.dumps(dict(told, items={'features/a-1-x': time.time()-2*DAY})))
        room._evict(cache, 0)
    assert not ids(cache)


def test_nothing_goes_while_it_is_not_known_what_a_living_program_uses(cache):
    make(cache, 'features', 'b-1-x')
    with Program("cache_dir('features', 'a-1-x')"):
        next((cache/'.leases').glob('*.json')).write_text('{"who": "half')
        room._evict(cache, 0)
        assert 'features/b-1-x' in ids(cache)
    room._evict(cache, -1)
    assert not ids(cache)


@posix
def test_a_forked_process_that_ends_does_not_let_go_for_its_parent(cache):
    cache_dir('features', 'a-1-x')
    child = os.fork()
    if not child:
        with suppress(BaseException):
            cache_dir('features', 'b-1-x')
            room._LEASES.clear()
        os._exit(0)
    os.waitpid(child, 0)
    room._evict(cache, -1)
    assert ids(cache) == {'features/a-1-x'}


def test_two_threads_share_a_lease(cache):
    from concurrent.futures import ThreadPoolExecutor
    names = [f'n{i}-1-x' for i in range(8)]
    with ThreadPoolExecutor(8) as pool: [*pool.map(lambda n: cache_dir('features', n), names)]
    room._evict(cache, -1)
    assert ids(cache) == {f'features/{n}' for n in names} and len([*(cache/'.leases').glob('*.lock')]) == 1


def test_a_cache_that_was_deleted_meanwhile_is_used_as_before(cache):
    cache_dir('features', 'a-1-x')
    shutil.rmtree(cache)
    cache_dir('features', 'a-1-x')
    room._evict(cache, -1)
    assert ids(cache) == {'features/a-1-x'}


def test_photos_that_are_read_or_loaded_are_in_use(cache):
    from imgcls.data.synth import synth_folder
    from imgcls.data.table import Photos, read_photos
    photos = read_photos(synth_folder(cache/'synth'/'0123', per_class=6, side=32))
    assert not len(clear_cache('synth', say=lambda _: None))
    file = photos.save(cache.parent/'photos.parquet')
    room._LEASES.clear()
    Photos.load(file)
    assert not len(clear_cache('synth', say=lambda _: None)) and ids(cache) == {'synth/0123'}
    room._LEASES.clear()
    assert len(clear_cache('synth')) == 1


# Nothing else

@posix
def test_links_are_not_followed(cache, tmp_path):
    outside = make(tmp_path, 'mine', 'a-1-x')
    make(cache, 'features', 'b-1-x')
    (cache/'features'/'b-1-x'/'link').symlink_to(outside)
    (cache/'features'/'c-1-x').symlink_to(outside)
    (cache/'looks').symlink_to(tmp_path/'mine')
    (tmp_path/'mine'/'d.safetensors').write_text('mine')
    assert cache_table().bytes.sum() < 1500
    room._evict(cache, -1)
    make(cache, 'features', 'b-1-x')
    assert {*find_cached('all').name} == {'b-1-x'} and len(clear_cache('all')) == 1
    assert {p.name for p in strangers()} == {'c-1-x', 'looks'}
    assert (outside/'part.safetensors').stat().st_size == 1000 and (tmp_path/'mine'/'d.safetensors').exists()


def test_strangers_and_damaged_files_stay(cache, capsys):
    "Somebody may have named a folder with other things in it."
    mine = [cache/p for p in ('letters/dear.txt', 'notes.txt', 'features/notes.txt', 'looks/x/y.txt')]
    for p in mine:
        p.parent.mkdir(parents=True, exist_ok=True)
        p.write_text('dear you')
    make(cache, 'looks', 'a.safetensors', size=3)  # half a file
    (cache/'.studies').write_bytes(b'{"study": \n\xff\n')
    (cache/'.leases').mkdir()
    (cache/'.leases'/'x.json').write_text('nonsense')
    room._evict(cache, -1)
    make(cache, 'looks', 'a.safetensors', size=3)
    assert [*cache_table().name] == ['a.safetensors']
    code, out, err = said(capsys, 'cache', '--clear', 'all', '--yes')
    assert (code, out, err) == (0, ['removed: 1 item, 3 bytes'], [])
    assert all(p.read_text() == 'dear you' for p in mine)
    code, out, err = said(capsys, 'cache')
    assert code == 0 and 'left alone, because imgcls did not make it: letters, notes.txt' in out[-1]


@pytest.fixture
def read_only(monkeypatch):
    "A cache with an item, which this process may read only; root becomes somebody else for a while."
    # the temporary folder of a test run is closed to others
    root, nobody = Path(tempfile.mkdtemp(dir='/tmp')), 65534
    make(root, 'features', 'a-1-x', 9)
    for p in [*root.rglob('*'), root]: p.chmod(0o444 if p.is_file() else 0o555)
    monkeypatch.setenv('IMGCLS_CACHE', str(root))
    monkeypatch.setattr(room, '_NEXT', {})
    was = os.geteuid()
    if was == 0: os.seteuid(nobody)
    yield root
    os.seteuid(was)
    for p in [root, *root.rglob('*')]: p.chmod(0o755)
    shutil.rmtree(root)


@posix
def test_a_cache_that_is_read_only_can_be_used_and_says_so_when_cleared(read_only, capsys):
    assert cache_dir('features', 'a-1-x').is_dir() and len(cache_table()) == 1
    room._tidy(read_only)
    code, out, err = said(capsys, 'cache', '--clear', 'features', '--yes')
    assert code == 2 and not out and len(err) == 1, err
    assert re.search(r"can't remove .*a-1-x \(Permission denied\); check whether you may write there", err[0])
    assert ids(read_only) == {'features/a-1-x'}


# The command

def test_a_wrong_name_is_answered_with_what_there_is(cache, capsys):
    make(cache, 'features', 'resnet18-224-x')
    for name in ('../features', 'feature', 'resnet34-224-x', '/'):
        code, out, err = said(capsys, 'cache', '--clear', name, '--yes')
        assert code == 2 and not out and len(err) == 1
        assert f"nothing in the cache is called '{name}'; there are features, a name" in err[0]
    assert 'did you mean features?' in said(capsys, 'cache', '--clear', 'featurs')[2][0]
    assert ids(cache) == {'features/resnet18-224-x'}


def test_it_asks_before_it_removes(cache, capsys, monkeypatch):
    make(cache, 'features', 'a-1-x')
    assert 'there is no terminal to ask at; --yes' in said(capsys, 'cache', '--clear', 'all')[2][-1]
    monkeypatch.setattr('sys.stdin.isatty', lambda: True, raising=False)
    for answer, code, left in (('', 1, 1), ('no', 1, 1), ('y', 0, 0)):
        monkeypatch.setattr('builtins.input', lambda *a: answer)
        got, _, err = said(capsys, 'cache', '--clear', 'features')
        assert got == code and len(ids(cache)) == left and err[-1] == 'Remove 1 item, 1.0 kB? [y/N]'
    assert said(capsys, 'cache', '--clear', 'features', '--yes')[:2] == (0, ['removed: 0 items, 0 bytes'])


def test_a_name_a_kind_and_several_at_once(cache):
    for name in ('features/a-1-x', 'features/b-1-x', 'looks/c.safetensors', 'synth/d'):
        make(cache, *name.split('/'))
    clear_cache('b-1-x')
    assert ids(cache) == {'features/a-1-x', 'looks/c.safetensors', 'synth/d'}
    clear_cache(['looks', 'synth/d'])
    assert ids(cache) == {'features/a-1-x'}


def test_as_json(cache, capsys):
    make(cache, 'synth', 'd')
    told = json.loads(''.join(said(capsys, 'cache', '--json')[1]))
    assert told['folder'] == str(cache) and told['limit'] == 20e9
    assert [(i['kind'], i['bytes'], i['in_use']) for i in told['items']] == [('synth', 1000, '')]
    told = json.loads(''.join(said(capsys, 'cache', '--clear', 'all', '--yes', '--json')[1]))
    assert [i['name'] for i in told['removed']] == ['d']


def test_listing_makes_no_folder(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv('IMGCLS_CACHE', str(tmp_path/'none'))
    assert said(capsys, 'cache')[:2][0] == 0 and not (tmp_path/'none').exists()


# Of which study

def test_the_study_is_told(dim_study):
    rows = cache_table()
    features = rows[rows.name.str.startswith('efficientnet_lite0-32-')]
    assert len(features) and features.study.str.contains(str(dim_study.path), regex=False).all()


def test_studies_that_are_gone_or_damaged_are_not_told(cache, tmp_path):
    make(cache, 'synth', 'd')
    make(cache, 'features', 'a-1-x')
    for name in ('gone', 'damaged'): note_study(tmp_path/name, [f'{cache}/synth/d/fox/1.jpg'])
    (tmp_path/'damaged'/'runs'/'r').mkdir(parents=True)
    (tmp_path/'damaged'/'study.json').write_text('{')
    (tmp_path/'damaged'/'runs'/'r'/'run.json').write_text('[]')
    note_study(tmp_path/'gone', [f'{cache}/synth/d/fox/1.jpg'])  # once more
    assert len((cache/'.studies').read_text().splitlines()) == 2
    with open(cache/'.studies', 'a') as f: f.write('{"study": "/half')
    assert cache_table().set_index('kind').study.to_dict() == dict(features='', synth=str(tmp_path/'damaged'))


def test_every_kind_that_the_package_keeps_is_known(root):
    "Else it would neither be listed nor be counted."
    used = {m for p in (root/'imgcls').rglob('*.py') if p.name != 'cache.py'
            for m in re.findall(r'\bcache_dir\(\s*(\S+?)[,)]', p.read_text(encoding='utf-8'))}
    kinds = {u.strip("'") for u in used if u.startswith("'")}
    assert kinds <= {*KINDS} and {'features', 'datasets', 'synth'} <= kinds
    assert used - {f"'{k}'" for k in kinds} == {'kind'}  # of `find_issues`: judgements and looks
