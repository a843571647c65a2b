"""Datasets by name: what is on this machine is used, what is missing is named in one line."""
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType

import pytest

import imgcls.data.datasets as datasets
from imgcls.core import UserError
from imgcls.csv_files import read_csv
from imgcls.data.datasets import fetch_dataset
from imgcls.data.files import list_photos
from imgcls.data.table import read_photos

no_datasets = importlib.util.find_spec('datasets') is None
needs_datasets = pytest.mark.skipif(no_datasets, reason='the extra imgcls[hub] is not installed')


def test_unknown_name(pics, tmp_path):
    with pytest.raises(UserError, match='known are synth, cifar10') as e: fetch_dataset('cifar11')
    pics.one_line(e)
    with pytest.raises(UserError, match='there is no folder or file') as e: read_photos(tmp_path/'nowhere')
    pics.one_line(e)


# ---- fastai's

@pytest.fixture
def fastai_home(tmp_path, monkeypatch):
    external = pytest.importorskip('fastai.data.external')
    monkeypatch.setattr(external, 'fastai_path', lambda key: tmp_path/key)
    return tmp_path


def test_fastai_dataset_on_this_machine(fastai_home, pics, monkeypatch):
    monkeypatch.setattr(datasets, 'reachable', lambda *a: pytest.fail('the network was asked'))
    for s in ('train', 'test'): pics.folder(fastai_home/'data'/'cifar10'/s, bird=4, frog=4)
    cifar = read_photos('cifar10', classes='bird,frog')
    assert len(cifar) == 16 and cifar.name == cifar.origin == 'cifar10'
    pets = pics.folder(fastai_home/'data'/'oxford-iiit-pet', images=4)/'images'
    for i, n in enumerate(('great_pyrenees_1', 'great_pyrenees_22', 'Bengal_3', 'Bengal_4')):
        (pets/f'{i:03}.jpg').rename(pets/f'{n}.jpg')
    assert read_photos('pets').df.label.value_counts().to_dict() == {'great_pyrenees': 2, 'Bengal': 2}


def test_labels_in_lists_and_deep_folders(fastai_home, pics):
    data = fastai_home/'data'
    pics.folder(data/'oxford-102-flowers', jpg=3)
    for i, s in enumerate(('train', 'valid', 'test')):
        (data/'oxford-102-flowers'/f'{s}.txt').write_text(f'jpg/00{i}.jpg {i}\n')
    assert fetch_dataset('flowers').label.tolist() == ['0', '1', '2']
    pics.folder(data/'food-101'/'images', pizza=2)
    for i, s in enumerate(('train', 'test')): (data/'food-101'/f'{s}.txt').write_text(f'pizza/00{i}\n')
    food = list_photos(fetch_dataset('food101'))[0]
    assert food[['label', 'split']].values.tolist() == [['pizza', 'train'], ['pizza', 'test']]
    for s in ('train', 'test'):
        (data/'cifar100'/s/'fish'/'shark').mkdir(parents=True)
        (data/'cifar100'/s/'fish'/'shark'/'1.png').touch()
    cifar = fetch_dataset('cifar100')
    assert cifar[['label', 'split']].values.tolist() == [['shark', 'test'], ['shark', 'train']]


def test_fastai_dataset_without_a_network(fastai_home, pics, monkeypatch):
    monkeypatch.setattr(datasets, 'reachable', lambda *a: False)
    message = "'imagenette' is not on this machine and its server can't be reached; go online once, or unpack"
    with pytest.raises(UserError, match=message) as e: fetch_dataset('imagenette')
    pics.one_line(e)


@pytest.fixture
def web(tmp_path, fastai_home, monkeypatch):
    "A server on this machine that gives the files of a folder; `clothing` is one of them."
    folder = tmp_path/'web'
    folder.mkdir()
    with ThreadingHTTPServer(('127.0.0.1', 0), partial(QuietServer, directory=folder)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f'http://127.0.0.1:{server.server_port}/clothing.zip'
        monkeypatch.setitem(datasets._ARCHIVES, 'clothing', url)
        yield folder
        server.shutdown()


class QuietServer(SimpleHTTPRequestHandler):
    def log_message(self, *a): pass


def test_an_archive_on_the_web_is_fetched_once(web, pics, tmp_path):
    for s in ('train', 'test'): pics.folder(tmp_path/'made'/'clothing-master'/s, shirt=2, hat=2)
    archive = Path(shutil.make_archive(web/'clothing', 'zip', tmp_path/'made'))
    folder = fetch_dataset('clothing')
    assert sorted(p.name for p in folder.glob('train/*')) == ['hat', 'shirt']
    archive.unlink()
    assert fetch_dataset('clothing') == folder


def test_an_archive_that_never_comes_is_given_up(web, fastai_home, monkeypatch, pics):
    monkeypatch.setattr(datasets, '_STALLED', .2)
    monkeypatch.setattr(QuietServer, 'do_GET', lambda self: time.sleep(1))
    with pytest.raises(UserError, match="'clothing' could not be downloaded.*timed out") as e:
        fetch_dataset('clothing')
    pics.one_line(e)


def test_an_archive_that_is_damaged_leaves_nothing(web, fastai_home, pics):
    (web/'clothing.zip').write_text('<html>Not found')
    with pytest.raises(UserError, match="'clothing' could not be downloaded") as e: fetch_dataset('clothing')
    pics.one_line(e)
    assert not [*(fastai_home/'data').glob('*clothing*')]


def test_fastai_knows_all_our_names():
    external = pytest.importorskip('fastai.data.external')
    assert all(getattr(external.URLs, n).endswith('.tgz') for n in datasets._FASTAI.values())


# ---- the hub's

def hub_cache(home, name='ann/animals', commit='c0ffee'*6 + 'abcd'):
    "The folders in which huggingface_hub keeps a dataset; returns the snapshot."
    base = home/'hub'/f"datasets--{name.replace('/', '--')}"
    (base/'refs').mkdir(parents=True)
    (base/'refs'/'main').write_text(commit)
    snapshot = base/'snapshots'/commit
    snapshot.mkdir(parents=True)
    return snapshot


def parquet(pics, file, n, start=0, **metadata):
    import pyarrow as pa
    import pyarrow.parquet as pq

    def photo(i):
        content = pics.encode(pics.picture(start + i), 'PNG' if i % 2 else 'JPEG')
        return dict(bytes=content, path=f'../../strayed{i}.jpg')

    rows = [dict(image=photo(i), label=i % 2) for i in range(n)]
    rows.append(dict(image=photo(n), label=-1))  # the hub's way to say: no label
    table = pa.Table.from_pylist(rows)
    file.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table.replace_schema_metadata(metadata), file)


NAMES = ['fox', '../../deer']
FEATURES = {'image': {'_type': 'Image'}, 'label': {'names': NAMES, '_type': 'ClassLabel'}}
KNOWN = json.dumps({'info': {'features': FEATURES}})

SHOW = """
import sys, time
import huggingface_hub
from imgcls.core import UserError
from imgcls.data.table import read_photos
start = time.time()
for name in sys.argv[1:]:
    try:
        photos = read_photos(name)
        print(photos.df.groupby(['label', 'split']).size().to_dict(), photos.name, photos.origin)
    except UserError as e: print('UserError', e)
print('seconds', round(time.time() - start, 1))
"""


def in_own_process(names, home, endpoint='http://127.0.0.1:9', offline=''):
    env = {k: v for k, v in os.environ.items() if not k.lower().endswith('_proxy')}
    env |= dict(HF_HOME=str(home), HF_ENDPOINT=endpoint, HF_HUB_OFFLINE=offline)
    env['IMGCLS_CACHE'] = str(home/'imgcls')
    command = [sys.executable, '-c', SHOW, *names.split()]
    r = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, cwd=home)
    assert r.returncode == 0, r.stderr
    return r.stdout


@needs_datasets
def test_hub_dataset_of_parquet_files_in_the_local_cache(tmp_path, pics):
    snapshot = hub_cache(tmp_path)
    parquet(pics, snapshot/'data'/'train-00000-of-00001.parquet', 10, huggingface=KNOWN)
    parquet(pics, snapshot/'data'/'test-00000-of-00001.parquet', 4, start=100, huggingface=KNOWN)
    out = in_own_process('ann/animals', tmp_path)
    assert "('../../deer', 'test'): 2" in out and "('fox', 'train'): 5" in out
    assert 'animals ann/animals' in out
    cache = tmp_path/'imgcls'/'datasets'
    files = [p.relative_to(cache).as_posix() for p in cache.rglob('*') if p.is_file()]
    assert len(files) == 15 and all(f.startswith('ann--animals-') for f in files)
    assert not list(tmp_path.parent.rglob('strayed*')), 'a name from outside became a path'
    before = pics.tree(cache)
    assert in_own_process('ann/animals', tmp_path, offline='1').splitlines()[0] == out.splitlines()[0]
    assert pics.tree(cache) == before, 'unpacked again'


@needs_datasets
def test_parquet_files_that_say_nothing_of_their_columns(tmp_path, pics):
    parquet(pics, tmp_path/'in'/'all.parquet', 6)
    (tmp_path/'out').mkdir()
    datasets._unpack(tmp_path/'in', 'ann/animals', tmp_path/'out')
    rows, _, _ = list_photos(tmp_path/'out'/'photos.csv')
    assert rows.label.value_counts().to_dict() == {'0': 3, '1': 3} and set(rows.split) == {''}


@needs_datasets
def test_parquet_files_without_photos_or_damaged(tmp_path, pics):
    import pandas as pd
    for n in ('words', 'broken'): (tmp_path/n).mkdir()
    pd.DataFrame(dict(text=['a'], label=['b'])).to_parquet(tmp_path/'words'/'a.parquet')
    (tmp_path/'broken'/'a.parquet').write_bytes(b'PAR1 and then nothing')
    with pytest.raises(UserError, match="'words' has no column of photos"):
        datasets._unpack(tmp_path/'words', 'words', tmp_path)
    with pytest.raises(UserError, match="the Parquet files of 'broken' can't be read") as e:
        datasets._unpack(tmp_path/'broken', 'broken', tmp_path)
    pics.one_line(e)


class Rows(list):
    "One split, as the library datasets gives it."
    features = {}
    def cast_column(self, name, kind): return self


@pytest.fixture
def stand_in(monkeypatch):
    "What imgcls uses of the library datasets, for machines without it."
    lib = ModuleType('datasets')
    lib.Image = type('Image', (), dict(__init__=lambda self, decode=True: None))
    lib.ClassLabel = type('ClassLabel', (), dict(int2str=lambda self, i: NAMES[i]))
    monkeypatch.setitem(sys.modules, 'datasets', lib)
    monkeypatch.setattr(datasets, 'find_spec', lambda name: name)
    Rows.features = dict(title=str, picture=lib.Image(), animal=lib.ClassLabel())
    return lib


def test_photos_are_unpacked_into_numbered_files(tmp_path, stand_in):
    photo = lambda content: dict(bytes=content, path='../../strayed.jpg')
    rows = dict(train=Rows([dict(picture=photo(b'a'), animal=0), dict(picture=photo(b'b'), animal=-1)]),
                test=Rows([dict(picture=photo(b'c'), animal=1), dict(picture=photo(None), animal=1)]),
                extra=Rows([dict(picture=photo(b'd'), animal=0), dict(picture=None, animal=0)]))
    stand_in.load_dataset = lambda folder, streaming: rows
    datasets._unpack(tmp_path, 'ann/animals', tmp_path)
    assert read_csv(tmp_path/'photos.csv').values.tolist() == [
        ['0000000.jpg', 'fox', 'train'], ['0000001.jpg', '../../deer', 'test'], ['0000002.jpg', 'fox', '']]
    assert {p.name: p.read_bytes() for p in tmp_path.glob('*.jpg')} == {
        '0000000.jpg': b'a', '0000001.jpg': b'c', '0000002.jpg': b'd'}


def test_what_the_library_can_not_read_is_one_line(tmp_path, stand_in, pics):
    def fail(folder, streaming): raise FileNotFoundError('no data\nfiles')
    stand_in.load_dataset = fail
    with pytest.raises(UserError, match="Parquet files of 'ann/animals' can't be read") as e:
        datasets._unpack(tmp_path, 'ann/animals', tmp_path)
    pics.one_line(e)


def test_a_full_disk_is_not_the_fault_of_the_data_set(tmp_path, stand_in):
    rows = Rows([dict(picture=dict(bytes=b'a'), animal=0)])
    stand_in.load_dataset = lambda folder, streaming: dict(train=rows)
    with pytest.raises(OSError): datasets._unpack(tmp_path, 'ann/animals', tmp_path/'nowhere')


def test_parquet_files_without_the_library_name_the_extra(tmp_path, pics, monkeypatch, own_cache):
    parquet(pics, tmp_path/'train.parquet', 2)
    monkeypatch.setattr(datasets, 'find_spec', lambda name: None)
    with pytest.raises(UserError, match=r'library .* is missing; pip install "imgcls\[hub\]"') as e:
        datasets._photos_in(tmp_path, 'ann/animals')
    pics.one_line(e)
    assert not list((own_cache/'datasets').glob('ann--animals*')), 'a half made folder stayed'


def test_hub_dataset_of_folders_in_the_local_cache(tmp_path, pics):
    pics.folder(hub_cache(tmp_path, 'YakupAkdin/instrument-images')/'images', flute=5, drum=5)
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
        assert first.startswith("UserError 'ann/animals' is not a folder here and not a dataset on"), first
        assert "can't be reached" in first
        assert float(second.split()[1]) < 5, second  # 3 on a machine with nothing else to do


def test_a_hanging_hub_does_not_hide_the_local_copy(tmp_path, hanging, pics):
    pics.folder(hub_cache(tmp_path), flute=5, drum=5)
    assert "('drum', 'train'): 4" in in_own_process('ann/animals', tmp_path, hanging)
