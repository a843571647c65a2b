"""Gathering from servers that misbehave: what must arrive, be written down, and survive `kill -9`."""
import csv
import errno
import importlib.util
import io
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

import pytest
from PIL import Image

import imgcls.gather.gather as G
import imgcls.gather.search as search
import imgcls.gather.verify as check
from imgcls.core import UserError
from imgcls.csv_files import CsvLog, guarded
from imgcls.data.files import list_photos
from imgcls.gather.fetch import Fetcher
from imgcls.gather.gather import contact_sheet, gather, run_async, write_credits
from imgcls.gather.providers import find_provider
from imgcls.gather.servers import FetchError, Limits
from imgcls.gather.shelf import MANIFEST, REFUSED, Shelf, key_of

pytestmark = [pytest.mark.filterwarnings(f'error::{w}')
              for w in ('ResourceWarning', 'pytest.PytestUnraisableExceptionWarning')]

spec = importlib.util.spec_from_file_location('badserver', Path(__file__).with_name('badserver.py'))
badserver = sys.modules['badserver'] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(badserver)
BadServer, FAULTS, jpeg = badserver.BadServer, badserver.FAULTS, badserver.jpeg


@lru_cache(None)
def picture(name):
    "A small photo; 'fox@200.jpg' looks like 'fox@100.jpg' and is larger."
    look, _, side = name.removesuffix('.jpg').partition('@')
    return jpeg(look, side=int(side or 96), noise=1)


@pytest.fixture(scope='module')
def server():
    with BadServer(hosts=4, photo=picture) as s: yield s


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(G, '_LIMITS', Limits(timeout=.6, grace=.3, backoff=.01, retries=1, max_bytes=300_000,
                                             max_seconds=20, give_up=1000))


def listed(path, rows):
    "A CSV of addresses for the provider `urls`."
    with open(path, 'w', newline='') as f:
        lines = [['url', 'label', 'author', 'licence', 'page', 'title'], *rows]
        csv.writer(f).writerows([map(guarded, line) for line in lines])
    return str(path)


def table(folder, name):
    with open(Path(folder)/name, newline='') as f: return list(csv.DictReader(f))


def reasons(folder): return {r['url']: r['reason'] for r in table(folder, 'refused.csv')}


def photos(folder):
    return {
        str(p.relative_to(folder)): p.read_bytes()
        for p in Path(folder).rglob('*')
        if p.suffix in ('.jpg', '.png')
    }


def state(folder):
    "All photos and both lists, without the times in them."
    lists = [
        [{k: v for k, v in r.items() if k not in ('fetched_at', 'time')} for r in table(folder, n)]
        for n in ('manifest.csv', 'refused.csv')
    ]
    return photos(folder), *lists, sorted(os.listdir(folder/'.gather'))


class Gatherer:
    def __init__(self, server, tmp): self.server, self.tmp, self.out, self.said = server, tmp, tmp/'wild', []

    def __call__(self, *rows, **kw):
        "Gather what is at these addresses: ('/ok/1.jpg', 'fox', …)."
        rows = [
            (r[0] if ':' in r[0] else self.server.url(r[0], i % len(self.server.hosts)), *r[1:])
            for i, r in enumerate(rows)
        ]
        self.rows = listed(self.tmp/'list.csv', rows)
        options = dict(
            out=self.out, source='urls', allow_hosts=self.server.hosts, workers=2, say=self.said.append
        )
        return gather([self.rows], **options | kw)


@pytest.fixture
def get(server, tmp_path): return Gatherer(server, tmp_path)


def some(n, label='fox', start=0):
    return [
        (f'/ok/{label}{i}.jpg', label, f'Ann {i}', 'CC BY 4.0', 'https://example.org/p')
        for i in range(start, start + n)
    ]


# ---- what arrives ----
def test_photos_arrive_with_lines_that_say_whose_they_are(get, server):
    got = get(*some(6), *some(6, 'deer'))
    t = got.df
    assert (
        Counter(t.label) == dict(fox=6, deer=6)
        and {*t.licence} == {'cc-by'}
        and {*t.author} == {f'Ann {i}' for i in range(6)}
    )
    assert {*t.path} == {*photos(get.out)} and got.refused == {} and len(got) == 12
    hits = server.hits.total()
    assert (get(*some(6), *some(6, 'deer')).df.path == t.path).all() and server.hits.total() == hits


def test_a_class_ends_when_it_is_full_and_goes_on_when_more_is_wanted(get, server):
    before = server.hits.total()
    assert len(get(*some(200), per_class=5)) == 5
    assert server.hits.total() - before <= 5 + 8 + 1
    assert sorted(get(*some(200), per_class=7).df.author) == sorted(f'Ann {i}' for i in range(7))


def test_the_order_of_arrival_does_not_matter(get, server, tmp_path, monkeypatch):
    rows = [
        *some(30),
        *[('/http404/x.jpg', 'fox'), ('/ok/fox3@140.jpg', 'fox'), ('/ok/fox8@150.jpg', 'deer')],
        *some(20, 'deer'),
    ]
    random.Random(0).shuffle(rows)
    get(*rows, per_class=20)
    one, old = state(get.out), search.Gathering.bring

    async def late(self, *a):
        import asyncio
        await asyncio.sleep(random.random()*.2)
        return await old(self, *a)
    monkeypatch.setattr(search.Gathering, 'bring', late)
    get.out = tmp_path/'late'
    get(*rows, per_class=20)
    assert state(get.out) == one


def test_faults_get_their_reasons_and_good_photos_arrive(get, server, impatient):
    faults = [
        (f'/{k}/{k}.jpg', 'deer') for k in FAULTS if k != 'http429_long'
    ]  # after that one a host is not asked any more
    odd = [
        (u, 'deer')
        for u in (
            'http://169.254.169.254/x.jpg',
            'http://[::ffff:127.0.0.1]:80/x.jpg',
            'http://localhost:99/x.jpg',
            f'http://{server.secret}/admin',
        )
    ]
    rows = [*some(40), *faults, *odd]
    random.Random(1).shuffle(rows)
    start = time.monotonic()
    t = get(*rows).df
    assert len(t) == 40 and time.monotonic() - start < 40 and server.secret_hits == 0
    for url, why in reasons(get.out).items():
        kind = url.split('/')[3]
        assert why in (FAULTS[kind][1] if kind in FAULTS else {'private address'}), url
    assert len(reasons(get.out)) == len(faults) + len(odd)


def test_photos_that_are_none_or_too_small(get, server, monkeypatch):
    bad = {
        'svg.jpg': b'<?xml version="1.0"?><svg onload="alert(1)"/>'.ljust(600),
        'cut.jpg': picture('cut')[:-700],
        'tiny.jpg': jpeg('tiny', side=40),
    }
    monkeypatch.setattr(server, 'photo', lambda name: bad.get(name) or picture(name))
    get(*some(2), *[(f'/ok/{n}', 'fox') for n in bad])
    assert sorted(reasons(get.out).values()) == ['not an image', 'too small', 'truncated']


# ---- copies ----
def test_the_largest_of_a_class_stays(get):
    t = get(
        ('/ok/a@100.jpg', 'fox'),
        ('/ok/a@200.jpg', 'fox'),
        ('/ok/a@150.jpg', 'fox'),
        ('/ok/a@200.jpg?2', 'fox'),
    ).df
    assert len(t) == 1 and t.width[0] == 200 and len(photos(get.out)) == 1
    assert Counter(reasons(get.out).values()) == {'nearly the same': 2, 'same content': 1}


def test_a_photo_of_two_classes_goes_to_neither_and_the_classes_go_on(get):
    rows = [('/ok/a.jpg', 'fox'), *some(6), ('/ok/a@120.jpg', 'deer'), *some(6, 'deer')]
    t = get(*rows, per_class=4).df
    assert Counter(t.label) == dict(fox=4, deer=4)
    assert reasons(get.out) == {
        get.server.url('/ok/a.jpg', 0): 'two labels',
        get.server.url('/ok/a@120.jpg', 7 % 4): 'two labels',
    }
    assert state(get.out)[0].keys() == {*t.path}


def test_a_class_that_lost_a_photo_first_takes_those_that_it_passed_over(get):
    rows = [('/ok/a.jpg', 'fox'), *some(3), ('/ok/a@120.jpg', 'deer'), *some(2, start=3), *some(2, 'deer')]
    assert sorted(get(*rows, per_class=2).df.query("label == 'fox'").author) == ['Ann 0', 'Ann 1']


def test_copies_are_known_in_the_next_call(get):
    get(('/ok/a@200.jpg', 'fox'), ('/ok/b.jpg', 'fox'))
    t = get(('/ok/a@100.jpg', 'fox'), ('/ok/b.jpg?b', 'deer'), ('/ok/c.jpg', 'deer')).df
    assert sorted(zip(t.label, t.width)) == [('deer', 96), ('fox', 200)]
    t = get(('/ok/b.jpg?c', 'fox')).df  # a third one of two that were found for two classes
    assert Counter(reasons(get.out).values()) == {'nearly the same': 1, 'two labels': 3} and len(t) == 2


def test_photos_of_the_user_stay_and_are_not_doubled(get, tmp_path):
    get(*some(2))
    mine = {'fox/mine.jpg': picture('mine@100'), 'fox/notes.txt': b'no photo'}
    for name, data in mine.items(): (get.out/name).write_bytes(data)
    (tmp_path/'test'/'fox').mkdir(parents=True)
    (tmp_path/'test'/'fox'/'1.jpg').write_bytes(picture('held@100'))
    t = get(*some(2), ('/ok/mine@200.jpg', 'fox'), ('/ok/held@200.jpg', 'fox'), against=tmp_path/'test').df
    assert len(t) == 2 and sorted(reasons(get.out).values()) == ['nearly the same']*2
    assert all((get.out/n).read_bytes() == d for n, d in mine.items())
    assert any('2 photos of yours' in s and '1 not a photo' in s for s in get.said)
    with pytest.raises(UserError, match='no folder'): get(*some(2), against=tmp_path/'nowhere', per_class=3)


# ---- going on ----
def test_what_failed_for_now_is_tried_again_and_what_failed_for_good_is_not(get, server, impatient):
    rows = [*some(1), ('/http500/later.jpg?times=2', 'fox'), ('/http404/never.jpg', 'fox')]
    get(*rows)
    assert sorted(reasons(get.out).values()) == ['http 404', 'http 500']
    assert len(get(*rows)) == 2 and [*reasons(get.out).values()] == ['http 404']
    assert server.hits['/http404/never.jpg'] == 1


def test_photos_that_the_user_removed_or_moved(get, server):
    t = get(*some(4), *some(1, 'deer')).df
    gone, moved = t.path[t.label == 'fox'].iloc[:2]
    (get.out/gone).unlink()
    (get.out/moved).rename(get.out/'deer'/Path(moved).name)
    hits = server.hits.total()
    t = get(*some(4), *some(1, 'deer')).df
    assert server.hits.total() == hits and Counter(t.label) == dict(fox=2, deer=2)
    assert sorted(reasons(get.out).values()) == ['moved', 'removed'] and {*t.path} == {*photos(get.out)}
    assert t.author[t.path == f'deer/{Path(moved).name}'].item().startswith('Ann')
    once = state(get.out)
    get(*some(4), *some(1, 'deer'))
    assert state(get.out) == once


def test_a_line_that_was_cut_is_mended(get):
    get(*some(3))
    whole = state(get.out)
    for name in 'manifest.csv', 'refused.csv':
        with open(get.out/name, 'ab') as f: f.write(b'fox/x.jpg,fox,"ur')
    get(*some(3))
    assert state(get.out) == whole


def test_an_end_between_line_and_photo(get):
    "A photo that has its line and is hidden gets its name; a hidden one without a line is thrown away."
    t = get(*some(3)).df
    whole = state(get.out)
    with Shelf(get.out) as shelf: hidden = shelf.part(key_of(t.iloc[0]))
    (get.out/t.path[0]).rename(hidden)
    (get.out/'.gather'/'stray').write_bytes(b'x')
    get(*some(3))
    assert state(get.out) == whole


def test_an_end_while_a_photo_is_taken_out(get, tmp_path):
    "A photo found under two labels is neither; the end came when that was written down for one of them."
    fox, deer = ('/ok/a.jpg', 'fox'), ('/ok/a@130.jpg', 'deer')
    get(*some(1), fox, deer)
    whole, get.out = state(get.out), tmp_path/'stopped'
    t = get(*some(1), fox).df
    row = t[t.url.str.contains('/ok/a.jpg')].iloc[0].to_dict()
    with Shelf(get.out) as shelf: shelf.refuse(row, 'fox', 'two labels', 'also found for deer')
    get(*some(1), fox, deer)
    assert state(get.out) == whole and {*reasons(get.out).values()} == {'two labels'}


RUN = '''import sys
from imgcls.gather.gather import gather
hosts = sys.argv[3].split(",")
gather(sys.argv[1], 25, sys.argv[2], source="urls", allow_hosts=hosts, workers=1, say=lambda s: None)'''


def test_kill_at_a_random_moment(get, server, tmp_path):
    rng = random.Random(0)
    rows = [
        *some(30),
        *some(30, 'deer'),
        *[(f'/{k}/k.jpg', 'fox') for k in ('http404', 'html', 'loop', 'empty')],
    ]
    rows += [(f'/ok/fox{i}@130.jpg', ('fox', 'deer')[i % 2]) for i in range(0, 20, 3)]
    rng.shuffle(rows)
    start = time.monotonic()
    get(*rows, per_class=25)
    args, took, killed = (
        [sys.executable, '-c', RUN, get.rows, str(tmp_path / 'killed'), ','.join(server.hosts)],
        time.monotonic() - start,
        0,
    )
    for _ in range(10):
        p = subprocess.Popen(args, stderr=subprocess.DEVNULL)
        lock = tmp_path/'killed'/'.gather'
        while p.poll() is None and not lock.exists(): time.sleep(.02)
        try: p.wait(.7 + rng.random()*took*.5)
        except subprocess.TimeoutExpired: killed += 1
        p.send_signal(signal.SIGKILL)
        p.wait()
        for name, data in photos(tmp_path / 'killed').items():
            assert name.startswith('.') or Image.open(io.BytesIO(data)).load()
    subprocess.run(args, check=True)
    assert killed >= 3 and state(tmp_path/'killed') == state(get.out)


def test_one_at_a_time(get):
    with Shelf(get.out), pytest.raises(UserError, match='another gather is at work'): get(*some(1))
    assert len(get(*some(1))) == 1


# ---- how many ----
def test_a_list_means_all_of_it(get):
    "Not only a hundred, as of a search."
    got = get(*some(130), per_class=None)
    assert len(got) == 130 and not got.notes


def test_what_a_limit_leaves_is_said(get):
    got = get(*some(30), *some(3, 'deer'), *some(5, start=30), per_class=4)
    assert Counter(got.df.label) == dict(fox=4, deer=3)
    assert 'fox: 31 more in the list, left because of the limit of 4 a class (--per-class)' in got.notes
    assert not any('deer' in n and 'left' in n for n in got.notes) and {*got.notes} <= {*get.said}
    got = get(*some(30), *some(3, 'deer'), *some(5, start=30), per_class=None)
    assert Counter(got.df.label) == dict(fox=35, deer=3) and not got.notes


def test_a_search_gives_a_hundred(tmp_path):
    for source, n in (
        ('gbif', 100),
        ('urls', float('inf')),
        ('folder', float('inf')),
        ('gbif,urls', 100),
        ('imagenet', 100),
    ):
        assert G._per_class(None, G._providers(source, False, False)) == n
    assert G._per_class(7, G._providers('urls', False, False)) == 7


# ---- folders of an earlier version ----
def test_a_folder_of_an_earlier_version_gets_the_new_columns(get, server):
    rows = [
        *some(3),
        ('/ok/a@100.jpg', 'fox'),
        ('/ok/a@200.jpg', 'fox'),
        ('/ok/b@100.jpg', 'fox'),
        ('/ok/b@100.jpg?2', 'deer'),
    ]
    get(*rows)
    whole, hits = state(get.out), server.hits.total()
    names = dict(path='file', label='class', source='provider', original_sha256='source_sha256',
                 original_width='source_width', original_height='source_height')
    reasons = {'nearly the same': 'near', 'same content': 'same', 'two labels': 'two classes'}
    for name, columns in ('manifest.csv', MANIFEST), ('refused.csv', REFUSED):
        with open(get.out/name, newline='') as f: lines = list(csv.reader(f))
        lines[0] = [names.get(c, c) for c in columns]
        with open(get.out/name, 'w', newline='') as f:
            csv.writer(f, lineterminator='\n').writerows(
                [[reasons.get(x, x) for x in line] for line in lines]
            )
    assert len(get(*rows)) == 4 and state(get.out) == whole and server.hits.total() == hits


# ---- from a notebook ----
def test_run_async_with_and_without_a_loop():
    import asyncio

    async def three(): return (await asyncio.sleep(.001)) or 3

    async def bad(): raise FetchError('timeout')

    async def inside():
        with pytest.raises(FetchError): run_async(bad())
        return run_async(three())
    assert run_async(three()) == 3 == asyncio.run(inside())


# ---- providers in turn ----
def observation(server, i):
    return dict(
        id=i,
        uri=f'https://www.inaturalist.org/observations/{i}',
        taxon=dict(name='Vulpes vulpes'),
        photos=[
            dict(
                id=i,
                license_code='cc-by',
                attribution=f'(c) <b>Ann</b> {i}, some rights reserved',
                url=server.url(f'/ok/square.jpg?{i}'),
            )
        ],
    )


@contextmanager
def inaturalist(server, n=5):
    taxa = dict(
        results=[dict(id=1, name='Vulpes vulpes', preferred_common_name='Red Fox', observations_count=9)]
    )
    seen = dict(total_results=n, results=[observation(server, i) for i in range(1, n + 1)])
    server.api.update(
        {'/api/taxa': json.dumps(taxa).encode(), '/api/observations': json.dumps(seen).encode()}
    )
    before, server.photo = server.photo, lambda name: picture(name)
    p = find_provider('inaturalist', base=server.url('/api'))
    p.rate = 6000
    try: yield p
    finally: server.api.clear(); server.photo = before


def test_a_provider_that_fails_is_said_and_passed_over(server, tmp_path, monkeypatch):
    said, gbif = [], find_provider('gbif', base=server.url('/http500'))
    monkeypatch.setattr(G, '_LIMITS', Limits(timeout=2, backoff=.01))
    with inaturalist(server) as p:
        monkeypatch.setattr(search.Gathering, 'bring', _by_number(search.Gathering.bring))
        t = gather(
            'Vulpes vulpes',
            per_class=4,
            out=tmp_path / 'wild',
            source=[gbif, p],
            allow_hosts=server.hosts,
            say=said.append,
        ).df
    assert (
        len(t) == 4
        and {*t.source} == {'inaturalist'}
        and {*t.label} == {'Vulpes vulpes'}
        and t.path[0] == 'Vulpes vulpes/inaturalist-1.jpg'
    )
    assert any(s.startswith('gbif: http 500') for s in said) and any(
        s.startswith('Vulpes vulpes: 4 photos') for s in said
    )
    assert t.author[0] == 'Ann 1'


def _by_number(bring):
    "iNaturalist names all sizes of a photo alike; here the number tells them apart."
    from dataclasses import replace

    async def other(self, r, key, local):
        return await bring(self, replace(r, url=r.url.replace('/large.jpg?', '/number')), key, local)
    return other


def test_terms_without_results_and_with_too_few(server, tmp_path):
    said = []
    with inaturalist(server, 2) as p:
        with pytest.raises(
            UserError, match='no photo came. .*knows no taxon .wolf.; the nearest are Vulpes vulpes'
        ):
            gather('wolf', out=tmp_path / 'none', source=p, allow_hosts=server.hosts, say=said.append)
        got = gather(
            ['wolf', 'red fox'], out=tmp_path / 'few', source=p, allow_hosts=server.hosts, say=said.append
        )
    assert {*got.df.label} == {'red fox'}
    assert any("no photos were found for 'wolf'" in n for n in got.notes)
    assert any(n.startswith('fewer than 100 photos of red fox') for n in got.notes)


def test_what_a_provider_answered_is_not_sent_again(server, tmp_path, monkeypatch):
    monkeypatch.setattr(search.Gathering, 'bring', _by_number(search.Gathering.bring))
    with inaturalist(server) as p:
        server.api.update({k.replace('/api/', '/api_marked/'): v for k, v in server.api.items()})
        p.base = server.url('/api_marked')
        n = [
            len(
                gather(
                    'Vulpes vulpes',
                    per_class=k,
                    out=tmp_path / 'wild',
                    source=p,
                    allow_hosts=server.hosts,
                    say=lambda s: None,
                )
            )
            for k in (2, 4)
        ]
    asked = [
        'if-none-match' in headers for _, path, headers in server.seen if path.startswith('/api_marked/')
    ]
    assert n == [2, 4] and asked == [False, False, True, True]  # taxa and observations, twice


def test_a_folder_of_class_folders(tmp_path):
    for c in 'fox', 'deer':
        (tmp_path/'own'/c).mkdir(parents=True)
        for i in range(3): (tmp_path/'own'/c/f'{i}.jpg').write_bytes(picture(f'{c}{i}'))
    (tmp_path/'own'/'fox'/'bad.jpg').write_bytes(b'x'*600)
    got = gather(tmp_path/'own', out=tmp_path/'wild', source='folder', say=lambda s: None)
    assert Counter(got.df.label) == dict(fox=3, deer=3) and got.refused == dict(fox={'not a photo': 1})


# ---- bad input ----
def test_no_network_is_said_in_seconds(tmp_path, monkeypatch):
    async def dead(host, port): raise OSError(errno.ENETUNREACH, 'Network is unreachable')
    monkeypatch.setattr(G, 'Fetcher', lambda *a, **kw: Fetcher(*a, **kw, look_up=dead))
    start = time.monotonic()
    with pytest.raises(UserError, match='no network.*imgcls study synth.*folder of your own'):
        gather('fox', out=tmp_path / 'wild', say=lambda s: None)
    assert time.monotonic() - start < 6


@pytest.mark.parametrize(
    'terms, options, text',
    [
        ('fox', dict(source='inat'), 'did you mean inaturalist'),
        ('fox', dict(licences='cc-bi'), 'did you mean cc-by'),
        ('fox', dict(source=[]), 'source is empty'),
        ('fox', dict(source=5), "unknown provider '5'"),
        ([], {}, 'name what is to be found'),
        ([' '], {}, 'name what is to be found'),
        *((terms, {}, 'name what is to be found') for terms in (None, 5, b'fox', [None])),
        ('fox', dict(against=5), 'expected the name of a file or folder as against'),
        ('fox', dict(out=None), 'expected the name of a file or folder as out'),
        ('fox', dict(licences=5), "unknown licence '5'"),
        ('..', {}, 'no name for a folder'),
        (['a/b', 'A_B'], {}, 'share the folder'),
        ('fox', dict(per_class=0), 'per_class is 0; it must be a whole number'),
        ('fox', dict(side='x'), "side 'x' is unknown; it must be a whole number"),
        ('fox', dict(drop='gray'), "'grey' and 'drawing'"),
        ('fox', dict(distance=99), 'distance: expected a number of bits'),
        ('fox', dict(allow_hosts=['nas']), 'host and its port'),
        ('fox', dict(workers=-1), 'workers'),
    ],
)
def test_mistakes_are_one_line(tmp_path, terms, options, text):
    with pytest.raises(UserError, match=text) as e:
        gather(terms, **(dict(out=tmp_path / 'wild', say=lambda s: None) | options))
    assert '\n' not in str(e.value)


def test_output_that_is_something_else(get, tmp_path):
    (tmp_path/'file').write_text('x')
    (tmp_path/'full').mkdir()
    (tmp_path/'full'/'thesis.doc').write_text('x')
    for out, text in (
        (tmp_path / 'file', 'is a file'),
        (tmp_path / 'file' / 'in', 'name another'),
        (tmp_path / 'full', 'holds something else .thesis.doc.'),
    ):
        get.out = out
        with pytest.raises(UserError, match=text):
            get(*some(1))
    assert (tmp_path/'full'/'thesis.doc').read_text() == 'x' and os.listdir(tmp_path/'full') == ['thesis.doc']


@pytest.mark.parametrize(
    'file',
    [
        '../../precious.jpg',
        '/etc/passwd',
        'fox/../../precious.jpg',
        '.gather/lock',
        'precious.jpg',
        'a\\b/x.jpg',
    ],
)
def test_a_manifest_does_not_lead_out_of_its_folder(get, tmp_path, file):
    t = get(*some(2), *some(1, 'deer')).df
    text = (get.out / 'manifest.csv').read_text()
    (get.out / 'manifest.csv').write_text(text.replace(t.path[0], file))
    (tmp_path / 'precious.jpg').write_bytes(b'x')
    with pytest.raises(UserError, match='none of its photos'):
        get(*some(2))
    assert (tmp_path / 'precious.jpg').exists()


def test_lists_that_were_changed(get):
    get(*some(2))
    text = (get.out/'manifest.csv').read_text()
    for new, why in (
        (text.replace('path,label', 'pfad,label'), 'expected path,label'),
        (text + 'x,y\n', 'has 2 fields'),
    ):
        (get.out / 'manifest.csv').write_text(new)
        with pytest.raises(UserError, match=why):
            get(*some(2))
    (get.out / 'manifest.csv').write_bytes(
        b'\xef\xbb\xbf' + text.replace('\n', '\r\n').encode()
    )  # as a spreadsheet saves it
    assert len(get(*some(2))) == 2


def test_a_photo_that_a_power_cut_left_empty_comes_again(get):
    t = get(*some(3)).df
    whole = photos(get.out)
    (get.out/t.path[0]).write_bytes(b'')
    assert len(get(*some(3))) == 3 and photos(get.out) == whole and any('power cut' in x for x in get.said)


FULL = '''
import errno
from pathlib import Path
from imgcls.gather.verify import _serve
n, write = [0], Path.write_bytes
def full(*a):
    n[0] += 1
    if n[0] > 2: raise OSError(errno.ENOSPC, 'No space left on device')
    return write(*a)
Path.write_bytes = full
_serve()'''


@pytest.mark.parametrize('where', ['photo', 'line'])
def test_a_disk_that_fills(get, monkeypatch, where):
    get(*some(3))
    n, whole, old = [0], state(get.out), CsvLog._write

    def full(self, f, data):
        n[0] += 1
        if n[0] > 2:
            f.write(data[:9])
            raise OSError(errno.ENOSPC, 'No space left on device')
        return old(self, f, data)
    if where == 'photo': monkeypatch.setattr(check, '_CODE', FULL)
    else: monkeypatch.setattr(CsvLog, '_write', full)
    with pytest.raises(UserError, match='free some space'): get(*some(9))
    monkeypatch.undo()
    assert all(Image.open(io.BytesIO(d)).load() for d in photos(get.out).values())
    assert len(get(*some(9))) == 9 and whole[0].items() <= photos(get.out).items()


# ---- what is made of it ----
NASTY = '<img src=x onerror=alert(1)> [x](javascript:alert(1)) `*_'


def testcredits_are_escaped_and_complete(get):
    get(
        *some(2),
        (
            '/ok/n.jpg',
            'deer',
            NASTY,
            'CC BY-SA 3.0',
            'javascript:alert(1)',
            '</li><script>alert(2)</script>[t](http://e)',
        ),
        ('/ok/u.jpg', 'deer'),
    )
    text = write_credits(get.out)
    page = (get.out/'credits.html').read_text()
    assert text == (get.out/'credits.md').read_text() and '4 photos by 3 authors' in text
    for bad in '<img', '<script', 'href="javascript': assert bad not in text and bad not in page
    assert '](javascript' not in text and '[t](http' not in text
    for name in 'CC BY 4.0', 'CC BY-SA 4.0', 'Unknown licence': assert name in page
    assert (
        '[CC BY 4.0](<https://creativecommons.org/licenses/by/4.0/>): 2 photos' in text and 'by Ann 1' in page
    )
    with pytest.raises(UserError, match='has no manifest.csv'): write_credits(get.tmp)


def test_contact_sheet(get):
    t = get(*some(3), *some(2, 'deer')).df
    (get.out/t.path[0]).unlink()
    sheet = contact_sheet(get.out, n=3, size=50)
    assert sheet.size == (200, 140) and len(sheet.getcolors(1 << 24)) > 500


def test_a_table_of_photos_reads_it(get):
    from imgcls.data.table import read_photos
    get(*some(12), *some(12, 'deer'))
    write_credits(get.out)
    photos = read_photos(get.out)
    assert len(photos) == 24 and not len(photos.skipped) and not photos.notes
    for column, value in dict(source='urls', licence='cc-by', url='https://example.org/p').items():
        assert {*photos.df[column]} == {value}
    shutil.copy(next((get.out/'fox').iterdir()), get.out/'fox'/'mine.jpg')
    photos = read_photos(get.out)
    assert (photos.df.source == '').sum() == 1 and '1 photo of 25 not in manifest.csv' in photos.notes[0]


# ---- the real services ----
@pytest.mark.network
@pytest.mark.parametrize(
    'source, term',
    [
        ('inaturalist', 'Vulpes vulpes'),
        ('gbif', 'Vulpes vulpes'),
        ('openverse', 'red fox'),
        ('wikimedia', 'red fox'),
        ('huggingface', 'uoft-cs/cifar10:deer'),
    ],
)
def test_photos_of_the_real_services(source, term, tmp_path):
    t = gather(term, per_class=8, out=tmp_path / 'wild', source=source, min_side=32).df
    assert (
        len(t) == 8
        and {*t.path} == {*photos(tmp_path / 'wild')}
        and (source == 'huggingface' or all(t.author) and all(t.page))
    )
    write_credits(tmp_path / 'wild')


def test_names_that_look_like_formulas_are_texts_in_the_lists_and_come_back(get):
    names = ['=1+1', '+ann', '-ann', '@ann', "'=ann", "'ann", 'Ann']
    found = get(*((f'/ok/{i}.jpg', 'fox', name, 'CC BY 4.0') for i, name in enumerate(names)))
    assert sorted(found.df.author) == sorted(names)
    cells = [r['author'] for r in table(get.out, 'manifest.csv')]
    assert sorted(cells) == sorted(["'=1+1", "'+ann", "'-ann", "'@ann", "''=ann", "'ann", 'Ann'])
    assert sorted(list_photos(get.out)[0].author) == sorted(names)
    assert '7 authors' in write_credits(get.out)
