"""Providers: answers of the shape that the services document, served over HTTP, and others."""
import asyncio
import copy
import gc
import json
import os
import subprocess
import sys
import threading
import time
import unicodedata
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import ModuleType, SimpleNamespace
from urllib.error import HTTPError
from urllib.parse import parse_qs, urlencode, urlsplit
from urllib.request import Request, urlopen

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import imgcls.gather.local  # noqa: F401  it enters its providers into PROVIDERS
from imgcls.core import UserError
from imgcls.data.table import LICENCES
from imgcls.gather.providers import PROVIDERS, USER_AGENT, Provider, ProviderError, find_provider
from imgcls.gather.records import Record, check_licences, licence_id, plain, web

pytestmark = [pytest.mark.filterwarnings(f'error::{w}')
              for w in ('ResourceWarning', 'pytest.PytestUnraisableExceptionWarning')]


INAT, COMMONS = 'https://inaturalist-open-data.s3.amazonaws.com', 'https://upload.wikimedia.org/wikipedia/commons'


class Refused(UserError):
    "What `ask` raises here, as `fetch.FetchError` does."


@contextmanager
def service(routes):
    "A server: `routes` maps paths to answers, or functions of the parameters; yields address and requests."
    requests = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            path, params = (
                urlsplit(self.path).path,
                {k: v[0] for k, v in parse_qs(urlsplit(self.path).query).items()},
            )
            requests.append(SimpleNamespace(path=path, params=params, headers=self.headers))
            answer = routes.get(path)
            answer = answer(params) if callable(answer) else answer
            body = json.dumps(answer).encode()
            self.send_response(404 if answer is None else 200)
            self.send_header('Content-Type', 'application/json; charset=utf-8')
            self.send_header('Content-Length', str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args): pass
    server = ThreadingHTTPServer(('127.0.0.1', 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try: yield f'http://127.0.0.1:{server.server_port}', requests
    finally:
        server.shutdown()
        server.server_close()


async def ask(url, params=None, headers=None):
    "The simplest `ask`: no limits, no retries."
    def get():
        request = Request(url + ('?' + urlencode(params) if params else ''), headers=headers or {})
        try:
            with urlopen(request, timeout=20) as r: return json.load(r)
        except OSError as e:
            if isinstance(e, HTTPError): e.close()
            raise Refused(str(e)) from None
    return await asyncio.to_thread(get)


def run(coro):
    with ThreadPoolExecutor(1) as pool: return pool.submit(asyncio.run, coro).result()


def search(provider, term, ask=ask, **kw):
    async def all(): return [r async for r in provider.search(term, ask, **kw)]
    return run(all())


# ---- iNaturalist ----

TAXA = {
    'total_results': 3,
    'page': 1,
    'per_page': 30,
    'results': [
        {
            'id': 42068,
            'rank': 'genus',
            'name': 'Vulpes',
            'preferred_common_name': 'Typical Foxes',
            'matched_term': 'Vulpes',
            'observations_count': 200,
            'is_active': True,
        },
        {
            'id': 42069,
            'rank': 'species',
            'name': 'Vulpes vulpes',
            'preferred_common_name': 'Red Fox',
            'matched_term': 'Red Fox',
            'observations_count': 150,
            'is_active': True,
        },
        {
            'id': 99,
            'rank': 'species',
            'name': 'Rubra vulpes',
            'preferred_common_name': 'Red Fox',
            'observations_count': 3,
            'is_active': True,
        },
    ],
}


def observation(id, *codes):
    return {
        'id': id,
        'uuid': 'c44b91f3',
        'quality_grade': 'research',
        'uri': f'https://www.inaturalist.org/observations/{id}',
        'license_code': 'cc0',
        'taxon': {'id': 42069, 'name': 'Vulpes vulpes', 'preferred_common_name': 'Red Fox'},
        'user': {'id': 5, 'login': 'ann', 'name': None},
        'photos': [
            {
                'id': 10 * id + i,
                'license_code': code,
                'attribution': '(c) Ann, B. & C., some rights reserved (CC BY)',
                'flags': [],
                'original_dimensions': {'width': 2048, 'height': 1364},
                'url': f'{INAT}/photos/{10 * id + i}/square.jpeg?1536150664',
            }
            for i, code in enumerate(codes)
        ],
    }


def inaturalist(observations, size=200):
    def page(params):
        some = [o for o in observations if o['id'] > int(params['id_above'])]
        return {'total_results': len(some), 'page': 1, 'per_page': size, 'results': some[:size]}
    return {'/taxa': TAXA, '/observations': page}


def test_inaturalist_goes_on_above_the_last_id_until_nothing_is_left():
    with service(inaturalist([observation(i, 'cc-by') for i in range(1, 8)], size=3)) as (base, requests):
        p = find_provider('inaturalist', base=base)
        got = search(p, 'Vulpes vulpes', licences='cc0,cc-by')
    assert [r.id for r in got] == [str(10*i) for i in range(1, 8)] and not p.left_out and not p.notes
    assert got[0] == Record(
        'https://inaturalist-open-data.s3.amazonaws.com/photos/10/large.jpeg?1536150664',
        'https://www.inaturalist.org/observations/1',
        'Ann, B. & C.',
        'cc-by',
        'https://creativecommons.org/licenses/by/4.0/',
        'Red Fox',
        'inaturalist',
        'Vulpes vulpes',
        '10',
    )
    assert [r.params['id_above'] for r in requests[1:]] == ['0', '3', '6']
    wanted = {
        'taxon_id': '42069',
        'quality_grade': 'research',
        'photo_license': 'cc0,cc-by',
        'per_page': '200',
        'order': 'asc',
        'order_by': 'id',
    }
    assert wanted.items() <= requests[1].params.items()


def test_inaturalist_checks_the_licence_of_each_photo_and_takes_one_of_an_observation():
    with service(
        inaturalist(
            [observation(1, 'cc-by-nc', 'cc-by', 'cc-by'), observation(2, None), observation(3, 'gfdl')]
        )
    ) as (base, requests):
        p = find_provider('inaturalist', base=base)
        assert [r.id for r in search(p, 'red fox', licences=['cc-by'])] == ['11']
        assert p.left_out == {
            'licence cc-by-nc': 1,
            'another photo of the same': 1,
            'licence all-rights-reserved': 1,
            'licence unknown': 1,
        }
        assert p.notes == [
            "inaturalist: 'red fox' is taken as Vulpes vulpes (Red Fox)"
        ]  # the one with more observations
        assert [r.id for r in search(find_provider('inaturalist', base=base, every=True), 'red fox')] == [
            '10',
            '11',
            '12',
        ]
        assert requests[-1].params['photo_licensed'] == 'true' and 'photo_license' not in requests[-1].params
        got = search(
            find_provider('inaturalist', base=base, original=True), 'red fox', licences='all-rights-reserved'
        )
        assert [(r.id, r.licence) for r in got] == [
            ('20', 'all-rights-reserved')
        ] and '/original.jpeg' in got[0].url
        assert not {'photo_license', 'photo_licensed'} & {
            *requests[-1].params
        }  # the service has no filter for these
        asked = len(requests)
        assert [
            r.id for r in search(find_provider('inaturalist', base=base), 'red fox', licences='cc-by,pdm')
        ] == ['11'] and requests[-1].params['photo_license'] == 'cc-by'
        assert (
            search(find_provider('inaturalist', base=base), 'red fox', licences='pdm') == []
            and len(requests) == asked + 3
        )  # it has none of these, so only the taxon is asked for


def test_inaturalist_names_the_nearest_taxa():
    with service({'/taxa': TAXA}) as (base, _):
        with pytest.raises(
            ProviderError,
            match=r"no taxon 'fox'; the nearest are Vulpes \(Typical Foxes\), Vulpes vulpes \(Red Fox\)",
        ):
            search(find_provider('inaturalist', base=base), 'fox')
    with service({'/taxa': {'results': []}}) as (base, _):
        with pytest.raises(ProviderError, match='living things only'):
            search(find_provider('inaturalist', base=base), 'teapot')


def test_inaturalist_stops_where_the_service_repeats_itself():
    same = {'total_results': 10**6, 'results': [observation(1, 'cc-by')]}
    with service({'/taxa': TAXA, '/observations': same}) as (base, requests):
        assert len(search(find_provider('inaturalist', base=base), 'Vulpes')) == 1
    assert len(requests) == 3


def test_inaturalist_leaves_out_what_is_kept_elsewhere_as_a_thumbnail():
    old = observation(1, 'cc-by')
    old['photos'][0]['url'] = 'https://farm4.staticflickr.com/3614/3557113604_11b14dfd03_s.jpg'
    with service(inaturalist([old])) as (base, _):
        p = find_provider('inaturalist', base=base)
        assert search(p, 'Vulpes') == [] and p.left_out == {'only a thumbnail': 1}


# ---- GBIF ----

MATCH = {
    'usageKey': 5219243,
    'scientificName': 'Vulpes vulpes (Linnaeus, 1758)',
    'canonicalName': 'Vulpes vulpes',
    'rank': 'SPECIES',
    'status': 'ACCEPTED',
    'confidence': 99,
    'matchType': 'EXACT',
    'kingdom': 'Animalia',
    'synonym': False,
}
NONE = {'confidence': 100, 'matchType': 'NONE', 'synonym': False}


def occurrence(key, *media, **more):
    return {
        'key': key,
        'basisOfRecord': 'HUMAN_OBSERVATION',
        'species': 'Vulpes vulpes',
        'license': 'http://creativecommons.org/publicdomain/zero/1.0/legalcode',
        'media': [
            {
                'type': 'StillImage',
                'format': 'image/jpeg',
                'identifier': f'https://media.example/{key}-{i}.jpg',
                'references': f'https://site.example/{key}',
                'rightsHolder': 'Ann',
                **m,
            }
            for i, m in enumerate(media)
        ],
        **more,
    }


def gbif(occurrences, size=2, match=MATCH, names=()):
    def page(params):
        at = int(params['offset'])
        return {
            'offset': at,
            'limit': size,
            'endOfRecords': at + size >= len(occurrences),
            'count': len(occurrences),
            'results': occurrences[at : at + size],
        }
    return {'/species/match': match, '/species/search': {'results': [*names]}, '/occurrence/search': page}


def test_gbif_reads_licences_as_its_members_write_them():
    said = [
        'http://creativecommons.org/licenses/by-nc/4.0/',
        'CC-BY',
        'Creative Commons Attribution Non-Commercial No Derivatives (CC BY-NC-ND)',
        '© all rights reserved',
        'free',
        None,
    ]
    with service(gbif([occurrence(i, {'license': x}) for i, x in enumerate(said, 1)])) as (base, requests):
        p = find_provider('gbif', base=base)
        got = search(p, 'Vulpes vulpes')
    assert [r.licence for r in got] == [
        'cc-by-nc',
        'cc-by',
        'cc-by-nc-nd',
    ]  # the licence of the observation's data is not the photo's
    assert p.left_out == {'licence all-rights-reserved': 1, 'licence unknown': 2}
    assert got[0] == Record(
        'https://media.example/1-0.jpg',
        'https://site.example/1',
        'Ann',
        'cc-by-nc',
        said[0],
        'Vulpes vulpes',
        'gbif',
        'Vulpes vulpes',
        '1',
    )
    assert got[1].licence_url == LICENCES['cc-by'][1]
    assert (
        [r.params['offset'] for r in requests[1:]] == ['0', '2', '4']
        and requests[1].params['taxonKey'] == '5219243'
        and requests[1].params['mediaType'] == 'StillImage'
    )


def test_gbif_stops_before_the_offsets_it_restricts_and_says_so():
    with service(gbif([occurrence(i, {'license': 'CC0'}) for i in range(9)])) as (base, requests):
        p = find_provider('gbif', base=base)
        p._most = 4
        assert len(search(p, 'Vulpes vulpes')) == 4
    assert 'stopped after 4 observations' in p.notes[0] and len(requests) == 3


def test_gbif_stops_where_the_service_repeats_itself():
    same = {'results': [occurrence(1, {'license': 'CC0'})]}
    with service({'/species/match': MATCH, '/occurrence/search': same}) as (base, requests):
        assert len(search(find_provider('gbif', base=base), 'Vulpes vulpes')) == 1 and len(requests) == 3


def test_gbif_takes_other_media_and_sizes_as_they_are():
    inat = {
        'identifier': 'https://inaturalist-open-data.s3.amazonaws.com/photos/3/original.jpg',
        'license': 'CC0',
    }
    with service(
        gbif([occurrence(1, {'type': 'Sound', 'license': 'CC0'}, inat), occurrence(2), occurrence(3, inat)])
    ) as (base, _):
        p = find_provider('gbif', base=base)
        assert [r.url for r in search(p, 'Vulpes vulpes')] == [
            'https://inaturalist-open-data.s3.amazonaws.com/photos/3/large.jpg'
        ]
        assert p.left_out == {'no photo in it': 2, 'found twice': 1}


def test_gbif_finds_the_taxon_that_is_meant():
    fox = {
        'key': 5219243,
        'canonicalName': 'Vulpes vulpes',
        'vernacularNames': [{'vernacularName': 'Red Fox', 'language': 'eng'}],
    }
    grey = {
        'key': 7,
        'canonicalName': 'Vulpes chama',
        'vernacularNames': [{'vernacularName': 'Red fox', 'language': 'eng'}],
    }

    def key(term, match, names=()):
        with service(gbif([], match=match, names=names)) as (base, requests):
            search(p := find_provider('gbif', base=base), term)
        return requests[-1].params['taxonKey'], p.notes
    assert key(
        'Canis vulpes',
        MATCH | {'usageKey': 1, 'acceptedUsageKey': 5219243, 'status': 'SYNONYM', 'synonym': True},
    ) == ('5219243', [])
    assert key('red fox', NONE, [fox]) == ('5219243', ["gbif: 'red fox' is taken as Vulpes vulpes"])
    for match in (
        MATCH | {'matchType': 'FUZZY'},
        MATCH | {'status': 'DOUBTFUL'},
        MATCH | {'matchType': 'HIGHERRANK', 'canonicalName': 'Vulpes'},
    ):
        with pytest.raises(ProviderError, match="no taxon 'Vulpes vulpis'; the nearest are Vulpes"):
            key('Vulpes vulpis', match)
    with pytest.raises(ProviderError, match='the nearest are Vulpes vulpes, Vulpes chama'):
        key('red fox', NONE, [fox, grey])
    with pytest.raises(ProviderError, match='by their Latin names'): key('teapot', NONE)
    with pytest.raises(ProviderError, match='expected a text at "matchType" in the answer, got a list of 0'):
        key('fox', [])


# ---- Openverse ----

def work(id, **more):
    return {
        'id': f'd544-{id}',
        'title': 'Fox & <b>cub</b>',
        'indexed_on': '2020-05-03T05:48:27Z',
        'foreign_landing_url': f'https://www.flickr.com/photos/x/{id}',
        'url': f'https://live.staticflickr.com/{id}_b.jpg',
        'creator': 'Ann <script>alert(1)</script>',
        'creator_url': 'https://www.flickr.com/photos/x',
        'license': 'by-sa',
        'license_version': '2.0',
        'license_url': 'https://creativecommons.org/licenses/by-sa/2.0/',
        'provider': 'flickr',
        'source': 'flickr',
        'mature': False,
        'attribution': '"Fox" by Ann is licensed under CC BY-SA 2.0.',
        **more,
    }


def openverse(n):
    def page(params):
        at, size = int(params['page'])-1, int(params['page_size'])
        return {
            'result_count': n,
            'page_count': -(-n // size),
            'page_size': size,
            'page': at + 1,
            'results': [work(i) for i in range(at * size, min(n, (at + 1) * size))],
        }
    return {'/images/': page}


def test_openverse_asks_for_small_pages_without_a_token(monkeypatch):
    monkeypatch.delenv('OPENVERSE_TOKEN', raising=False)
    with service(openverse(45)) as (base, requests):
        p = find_provider('openverse', base=base)
        got = search(p, 'fox', licences='cc0,pdm,cc-by-sa')
    assert (
        len(got) == 45
        and [r.params['page'] for r in requests] == ['1', '2', '3']
        and {r.params['page_size'] for r in requests} == {'20'}
    )
    assert (
        requests[0].params['license'] == 'cc0,pdm,by-sa'
        and not requests[0].headers['Authorization']
        and p.rate == 20
    )
    assert got[0] == Record(
        'https://live.staticflickr.com/0_b.jpg',
        'https://www.flickr.com/photos/x/0',
        'Ann',
        'cc-by-sa',
        'https://creativecommons.org/licenses/by-sa/2.0/',
        'Fox & cub',
        'openverse',
        'fox',
        'd544-0',
    )


def test_openverse_with_a_token(monkeypatch):
    monkeypatch.setenv('OPENVERSE_TOKEN', 'sesame')
    with service(openverse(5000)) as (base, requests):
        p = find_provider('openverse', base=base)
        assert len(search(p, 'fox')) == 2000  # twenty pages and no more
    assert {(r.params['page_size'], r.headers['Authorization']) for r in requests} == {
        ('100', 'Bearer sesame')
    } and p.rate == 100


def test_openverse_where_code_and_address_disagree():
    works = [
        work(1, license='by'),
        work(2, license_url=None),
        work(3, license=None),
        work(4, url='data:image/png;base64,AAAA'),
    ]
    with service({'/images/': {'page_count': 1, 'results': works}}) as (base, _):
        p = find_provider('openverse', base=base)
        assert [r.id for r in search(p, 'fox')] == ['d544-2', 'd544-3'] and p.left_out == {
            'licence unknown': 1,
            'no usable address': 1,
        }


# ---- Wikimedia Commons ----

def page(i, short='CC BY-SA 4.0', url='https://creativecommons.org/licenses/by-sa/4.0', **more):
    about = {
        'Artist': {
            'value': '<a href="//commons.wikimedia.org/wiki/User:Ann" title="User:Ann">Ann</a>',
            'source': 'commons-desc-page',
        },
        'ObjectName': {'value': f'Fox {i}'},
    }
    about |= {
        k: {'value': v, 'source': 'commons-desc-page', 'hidden': ''}
        for k, v in (('LicenseShortName', short), ('LicenseUrl', url))
        if v
    }
    return {
        'pageid': i,
        'ns': 6,
        'title': f'File:Fox {i}.jpg',
        'index': i,
        'imagerepository': 'local',
        'imageinfo': [
            {
                'size': 9,
                'width': 4000,
                'height': 3000,
                'mime': 'image/jpeg',
                'url': f'https://upload.wikimedia.org/wikipedia/commons/a/ab/Fox_{i}.jpg',
                'thumburl': f'{COMMONS}/thumb/a/ab/Fox_{i}.jpg/1280px-Fox_{i}.jpg',
                'descriptionurl': f'https://commons.wikimedia.org/wiki/File:Fox_{i}.jpg',
                'extmetadata': about,
                **more,
            }
        ],
    }


def commons(pages, size=2):
    def answer(params):
        at = int(params.get('gsroffset', 0))
        more = {'continue': {'gsroffset': at+size, 'continue': 'gsroffset||'}} if at+size < len(pages) else {}
        return {
            'batchcomplete': True,
            **more,
            **({'query': {'pages': pages[at : at + size][::-1]}} if pages else {}),
        }
    return {'/w/api.php': answer}


def test_wikimedia_follows_continue_and_says_who_we_are():
    with service(commons([page(i) for i in range(1, 6)])) as (base, requests):
        got = search(p := find_provider('wikimedia', base=base + '/w/api.php'), 'fox')
    assert [r.id for r in got] == [
        '1',
        '2',
        '3',
        '4',
        '5',
    ] and not p.left_out  # in the order of the search, not of the answer
    assert got[0] == Record(
        'https://upload.wikimedia.org/wikipedia/commons/thumb/a/ab/Fox_1.jpg/1280px-Fox_1.jpg',
        'https://commons.wikimedia.org/wiki/File:Fox_1.jpg',
        'Ann',
        'cc-by-sa',
        'https://creativecommons.org/licenses/by-sa/4.0',
        'Fox 1',
        'wikimedia',
        'fox',
        '1',
    )
    assert [(r.params.get('gsroffset'), r.params.get('continue')) for r in requests] == [
        (None, None),
        ('2', 'gsroffset||'),
        ('4', 'gsroffset||'),
    ]
    assert {r.headers['User-Agent'] for r in requests} == {USER_AGENT} and 'https://' in USER_AGENT
    assert (
        requests[0].params['gsrsearch'] == 'fox filetype:bitmap' and requests[0].params['gsrnamespace'] == '6'
    )


def test_wikimedia_licences_and_types():
    pages = [
        page(1, 'Public domain', None),
        page(2, 'CC0', 'http://creativecommons.org/publicdomain/zero/1.0/deed.en'),
        page(3, 'GFDL', 'http://www.gnu.org/copyleft/fdl.html'),
        page(4, 'Attribution', None),
        page(5, mime='image/svg+xml'),
        page(6, 'CC BY 2.0', 'https://creativecommons.org/licenses/by-sa/2.0'),
        page(7, thumburl=None),
    ]
    with service(commons(pages, 10)) as (base, _):
        got = search(p := find_provider('wikimedia', base=base + '/w/api.php'), 'fox')
        assert [(r.id, r.licence) for r in got] == [('1', 'pdm'), ('2', 'cc0'), ('7', 'cc-by-sa')] and got[
            2
        ].url.endswith('/a/ab/Fox_7.jpg')
        assert p.left_out == {'licence unknown': 3, 'not a photo (image/svg+xml)': 1}
        assert search(find_provider('wikimedia', base=base + '/w/api.php', original=True), 'fox')[
            0
        ].url.endswith('/a/ab/Fox_1.jpg')


def test_wikimedia_stops_where_the_service_repeats_itself():
    same = {
        'batchcomplete': True,
        'continue': {'gsroffset': 2, 'continue': '||'},
        'query': {'pages': [page(1)]},
    }
    with service({'/w/api.php': same}) as (base, requests):
        assert (
            len(search(find_provider('wikimedia', base=base + '/w/api.php'), 'fox')) == 1
            and len(requests) == 2
        )


def test_wikimedia_nothing_and_errors():
    with service(commons([])) as (base, _):
        assert search(find_provider('wikimedia', base=base + '/w/api.php'), 'fox') == []
    with service({'/w/api.php': {'error': {'code': 'ratelimited', 'info': 'Too many requests'}}}) as (
        base,
        _,
    ):
        with pytest.raises(ProviderError, match='wikimedia refused: Too many requests'):
            search(find_provider('wikimedia', base=base + '/w/api.php'), 'fox')


# ---- Hugging Face ----

FEATURES = [
    {'feature_idx': 0, 'name': 'id', 'type': {'dtype': 'string', '_type': 'Value'}},
    {'feature_idx': 1, 'name': 'image', 'type': {'_type': 'Image'}},
    {'feature_idx': 2, 'name': 'the "label"', 'type': {'names': ['deer', 'red_fox'], '_type': 'ClassLabel'}},
]


def huggingface(
    n=5,
    size=2,
    features=FEATURES,
    card={'cardData': {'license': 'cc-by-4.0'}},
    splits=(('default', 'train'), ('default', 'test'), ('other', 'train')),
):
    column = features[-1]['name']

    def rows(params, only=None):
        some = [i for i in range(n) if only is None or i % 2 == only]
        at, length = int(params['offset']), min(int(params['length']), size)
        src = lambda i: f'https://assets.example/{params["split"]}/{i}.jpg?Expires=1&Signature=a~b__'
        return {
            'features': features,
            'num_rows_total': len(some),
            'num_rows_per_page': 100,
            'partial': False,
            'rows': [
                {
                    'row_idx': i,
                    'truncated_cells': [],
                    'row': {'id': 'x', 'image': {'src': src(i), 'height': 32, 'width': 32}, column: i % 2},
                }
                for i in some[at : at + length]
            ],
        }

    def filtered(params):
        assert params['where'] == '"the ""label"""=1'
        return rows(params, 1)

    return {
        '/api/datasets/ann/wild': card,
        '/splits': {
            'splits': [{'dataset': 'ann/wild', 'config': c, 'split': s} for c, s in splits],
            'pending': [],
            'failed': [],
        },
        '/rows': rows,
        '/filter': filtered,
    }


@contextmanager
def hub(**kw):
    with service(huggingface(**kw)) as (base, requests):
        p = find_provider('huggingface', base=base, token='sesame')
        p.hub = base
        yield p, requests


def test_huggingface_reads_all_splits_of_a_config():
    with hub() as (p, requests): got = search(p, 'ann/wild')
    assert (
        [(r.id, r.label) for r in got[:2]] == [('default/train/0', 'deer'), ('default/train/1', 'red_fox')]
        and len(got) == 10
        and got[-1].id == 'default/test/4'
    )
    assert (
        got[0].url == 'https://assets.example/train/0.jpg?Expires=1&Signature=a~b__'
    )  # a signature does not bear any change
    assert (got[0].licence, got[0].author, got[0].page) == (
        'cc-by',
        'ann',
        'https://huggingface.co/datasets/ann/wild',
    )
    assert {r.headers['Authorization'] for r in requests} == {
        'Bearer sesame'
    } and "'default' is read, one of default, other" in p.notes[0]


def test_huggingface_one_label():
    with hub() as (p, _): assert {r.label for r in search(p, 'ann/wild:red foxes')} == {'red_fox'}
    with hub() as (p, _), pytest.raises(ProviderError, match="no label 'dear'; did you mean deer"):
        search(p, 'ann/wild:dear')
    with hub(features=FEATURES[:2]) as (p, _), pytest.raises(ProviderError, match='has no labels'):
        search(p, 'ann/wild:deer')


def test_huggingface_odd_answers():
    with hub(splits=(('other', 'train'), ('default', 'train'))) as (p, _):
        assert {r.id.split('/')[0] for r in search(p, 'ann/wild')} == {'default'}
    routes = huggingface()
    same = routes['/rows'](dict(offset=0, length=2, split='train')) | {'num_rows_total': 10**9}
    for value in 7, -1, True, None, 'fox':
        same['rows'].append(
            {
                'row_idx': 9,
                'row': {'image': {'src': f'https://assets.example/{value}.jpg'}, 'the "label"': value},
            }
        )
    with service(routes | {'/rows': same}) as (base, requests):
        p = find_provider('huggingface', base=base)
        p.hub = base
        assert [r.label for r in search(p, 'ann/wild')] == ['deer', 'red_fox', '', '', '', '', ''] and len(
            requests
        ) == 2 + 2 * 3  # for each split, the columns and two equal answers


def test_huggingface_cards_and_sets_that_do_not_fit():
    with hub(card=None) as (p, _):
        assert {r.licence for r in search(p, 'ann/wild')} == {
            'unknown'
        } and "can't read the card of ann/wild (HTTP Error 404" in p.notes[0]
        assert search(p, 'ann/wild', licences='cc-by') == [] and p.left_out['licence unknown'] == 10
    with hub(card={'cardData': {'license': ['mit']}}) as (p, _):
        assert {r.licence for r in search(p, 'ann/wild')} == {'unknown'} and p.notes[
            0
        ] == "huggingface: ann/wild has the licence 'mit'"
    with (
        hub(features=FEATURES[:1]) as (p, _),
        pytest.raises(ProviderError, match='no column of photos; it has id'),
    ):
        search(p, 'ann/wild')
    with hub(splits=()) as (p, _), pytest.raises(ProviderError, match='nothing to show'):
        search(p, 'ann/wild')
    with hub() as (p, requests):
        for term in '../../etc/passwd', 'a/b/c', 'a b', '?x=1', ':fox', 'ann/wäld':
            with pytest.raises(ProviderError, match='expected a data set as owner/name'): search(p, term)
        assert not requests


# ---- DuckDuckGo and Bing ----

@pytest.fixture
def ddgs(monkeypatch):
    "A stand-in for the package: pages of results, or what is raised."
    pages, calls = [], []

    def images(term, **kw):
        calls.append((term, kw))
        answer = pages[kw['page']-1]
        if isinstance(answer, Exception): raise answer
        return answer
    module = ModuleType('ddgs')
    module.DDGS = lambda **kw: SimpleNamespace(images=images)
    monkeypatch.setitem(sys.modules, 'ddgs', module)
    for name in 'ddgs', 'duckduckgo', 'bing': monkeypatch.setattr(PROVIDERS[name], 'rate', 6e6)
    return pages, calls


def hit(i):
    return {
        'title': f'Fox {i}',
        'image': f'https://a.example/{i}.jpg',
        'thumbnail': 'https://t.example/x',
        'url': f'https://a.example/{i}',
        'height': 1,
        'width': 1,
        'source': '',
    }


def test_ddgs_reads_pages_until_nothing_new_comes(ddgs):
    pages, calls = ddgs
    pages += [[hit(1), hit(2)], [hit(3)], [hit(1)]]
    got = search(p := find_provider('bing'), 'fox')
    assert (
        [r.title for r in got] == ['Fox 1', 'Fox 2', 'Fox 3']
        and {(r.licence, r.source) for r in got} == {('unknown', 'bing')}
        and p.left_out == {'found twice': 1}
    )
    assert [c[1]['page'] for c in calls] == [1, 2, 3] and calls[0][1]['backend'] == 'bing'
    p = find_provider('duckduckgo')
    assert search(p, 'fox', licences='cc-by') == [] and p.left_out['licence unknown'] == 4


def test_ddgs_errors(ddgs, monkeypatch):
    pages, _ = ddgs
    pages += [RuntimeError('No results found.')]
    assert search(find_provider('ddgs'), 'fox') == []
    pages[:] = [[hit(1)], RuntimeError('No results found.')]
    assert len(search(find_provider('ddgs'), 'fox')) == 1
    pages[:] = [[hit(1)], RuntimeError('403 Forbidden')]
    assert len(search(p := find_provider('ddgs'), 'fox')) == 1 and p.notes == [
        "ddgs failed: 403 Forbidden, after 1 photo of 'fox'"
    ]
    pages[:] = [RuntimeError('403 Forbidden\n<html>')]
    with pytest.raises(
        ProviderError, match='^ddgs failed: 403 Forbidden; try again later, or use another provider$'
    ):
        search(find_provider('ddgs'), 'fox')
    pages[:] = [{'x': 1}]
    with pytest.raises(ProviderError, match='expected a list, got an object with x'):
        search(find_provider('ddgs'), 'fox')
    monkeypatch.setitem(sys.modules, 'ddgs', None)
    with pytest.raises(ProviderError, match=r'pip install ddgs'): search(find_provider('duckduckgo'), 'fox')


def test_ddgs_as_installed(monkeypatch):
    "The package takes what we give it, where it is installed."
    package = pytest.importorskip('ddgs')
    from ddgs.engines.duckduckgo_images import DuckduckgoImages
    from ddgs.results import ImagesResult
    asked = []

    def one(self, query, **kw):
        asked.append((query, kw['page']))
        return [ImagesResult(title='Fox', image='https://a.example/1.jpg', url='https://a.example/')]
    monkeypatch.setattr(DuckduckgoImages, 'search', one)
    monkeypatch.setattr(PROVIDERS['duckduckgo'], 'rate', 6e6)
    assert (
        [r.url for r in search(find_provider('duckduckgo'), 'fox')] == ['https://a.example/1.jpg']
        and asked == [('fox', 1), ('fox', 2)]
        and package.DDGS
    )


# ---- on this machine ----

@pytest.fixture
def photos(tmp_path):
    for f in (
        'fox/b.jpg',
        'fox/a.JPEG',
        'fox/deep/c.webp',
        'deer/d.png',
        'e.jpg',
        '.hidden/f.jpg',
        'fox/.DS_Store',
        'fox/readme.txt',
    ):
        (tmp_path / f).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / f).write_bytes(b'x')
    return tmp_path


def test_folder(photos):
    p = find_provider('folder')
    got = search(p, str(photos))
    assert [(r.id, r.label) for r in got] == [
        ('e.jpg', ''),
        ('deer/d.png', 'deer'),
        ('fox/a.JPEG', 'fox'),
        ('fox/b.jpg', 'fox'),
        ('fox/deep/c.webp', 'fox'),
    ]
    assert (
        got[0].url == str(photos / 'e.jpg')
        and {r.licence for r in got} == {'unknown'}
        and p.left_out == {'not a photo (.txt)': 1}
    )
    assert [r.label for r in search(find_provider('folder', base=str(photos)), 'deer')] == ['']
    with pytest.raises(ProviderError, match='did you mean deer'):
        search(find_provider('folder', base=str(photos)), 'dear')
    with pytest.raises(ProviderError, match='no folder'): search(find_provider('folder'), f'{photos}/e.jpg')


@pytest.mark.parametrize('name', ['folder', 'kaggle', 'imagenet', 'urls'])
@pytest.mark.parametrize(
    'term', ['x' * 5000, 'a\0b', '~nobody-here/x', '\ud800', '../' * 200 + 'nowhere', 'con:|?*']
)
def test_terms_that_are_no_names_of_files(photos, name, term):
    p = find_provider(name, base=str(photos))
    with pytest.raises(ProviderError) as e:
        search(p, term)
    str(e.value).encode()
    assert len(str(e.value)) < 1000


def test_folder_that_can_not_be_read(photos, monkeypatch):
    scandir = os.scandir

    def no_entry(path):
        if str(path).endswith('deep'): raise PermissionError(13, 'Permission denied', path)
        return scandir(path)
    monkeypatch.setattr(os, 'scandir', no_entry)
    p = find_provider('folder')
    assert len(search(p, str(photos / 'fox'))) == 2 and p.left_out == {
        'not a photo (.txt)': 1,
        'unreadable folder (Permission denied)': 1,
    }


@pytest.mark.skipif(sys.platform != 'linux', reason='names that are no text are a speciality of Linux')
def test_folder_with_names_that_are_no_text(tmp_path):
    (tmp_path/'link.jpg').symlink_to('nowhere')
    (tmp_path/'round').symlink_to(tmp_path)
    with open(os.fsencode(tmp_path) + b'/\xff.jpg', 'wb'): pass
    p = find_provider('folder')
    assert search(p, str(tmp_path)) == [] and p.left_out == {
        'not a file': 1,
        'the name is not valid text': 1,
        'link to a folder that is read already': 1,
    }


def test_kaggle(photos):
    (photos/'a'/'b'/'c'/'d'/'e').mkdir(parents=True)
    (photos/'more'/'deer').mkdir(parents=True)
    p = find_provider('kaggle', base=str(photos))
    assert (
        len(search(p, 'Fox')) == 3
        and [r.label for r in search(p, 'fox')] == ['', '', 'deep']
        and [r.id for r in search(p, 'deer')] == ['d.png']
    )
    (photos/'more'/'fox').mkdir()
    with pytest.raises(ProviderError, match="'foxes' is 2 folders: fox, more/fox; name one"):
        search(p, 'foxes')
    with pytest.raises(ProviderError, match="no folder 'deers x'.* did you mean deer"): search(p, 'deers x')
    assert search(p, 'd') == [] and search(p, 'fox/deep')[0].title == 'c'
    with pytest.raises(ProviderError, match="no folder 'e'.* there are a, deer, fox, more"):
        search(p, 'e')  # too deep
    with pytest.raises(ProviderError, match='there is none'):
        search(find_provider('kaggle', base=str(photos / 'more' / 'deer')), 'fox')
    with pytest.raises(ProviderError, match='no folder'):
        search(find_provider('kaggle', base=str(photos / 'fox')), '..')
    with pytest.raises(ProviderError, match='Add Input'):
        search(find_provider('kaggle', base=str(photos / 'nowhere')), 'fox')


@pytest.mark.parametrize('layout', ['', 'train', 'ILSVRC/Data/CLS-LOC/train'])
def test_imagenet(tmp_path, monkeypatch, layout):
    folder = tmp_path/layout/'n02356798'
    folder.mkdir(parents=True)
    (folder/'n02356798_1.JPEG').write_bytes(b'x')
    monkeypatch.setenv('IMAGENET', str(tmp_path))
    for term in 'n02356798', 'N02356798', 'fox squirrel', 'Sciurus niger':
        r, = search(find_provider('imagenet'), term)
        assert (r.id, r.label, r.title, r.url) == (
            'n02356798_1',
            'fox squirrel',
            'fox squirrel, eastern fox squirrel, Sciurus niger',
            str(folder / 'n02356798_1.JPEG'),
        )


def test_imagenet_two_classes_that_begin_with_the_same_word(tmp_path):
    for number in 'n02119022', 'n02119477':
        (tmp_path/number).mkdir()
        (tmp_path/number/'1.JPEG').write_bytes(b'x')
    p = find_provider('imagenet', base=str(tmp_path))
    assert [r.label for term in ('n02119022', 'n02119477') for r in search(p, term)] == [
        'red fox (Vulpes vulpes)',
        'red fox (Vulpes fulva)',
    ]


def test_imagenet_what_is_missing(tmp_path, monkeypatch):
    monkeypatch.delenv('IMAGENET', raising=False)
    with pytest.raises(ProviderError, match='set IMAGENET'): search(find_provider('imagenet'), 'n02119022')
    p = find_provider('imagenet', base=str(tmp_path))
    with pytest.raises(ProviderError, match='no folder n02119022'): search(p, 'n02119022')
    with pytest.raises(ProviderError, match='2 synsets.*n02119022.*n02119477.*give the number'):
        search(p, 'red fox')
    with pytest.raises(
        ProviderError, match=r"no synset 'fox squirel'; the nearest are .*n02356798 \(fox squirrel"
    ):
        search(p, 'fox squirel')
    with pytest.raises(ProviderError, match='no synset n99999999; the nearest are n'): search(p, 'n99999999')
    with pytest.raises(ProviderError, match="no synset 'qqqqqqqqqqq'$"): search(p, 'qqqqqqqqqqq')


def test_urls(tmp_path):
    file = tmp_path/'list.csv'
    file.write_text(
        '\ufeffURL,Label,Author,License,Licence_URL\n'
        'https://a.example/1.jpg,fox,"Ann, B.",CC BY 4.0,\n'
        'https://a.example/2.jpg,../../fox,,cc-by,https://creativecommons.org/licenses/by/2.0/\n'
        'https://a.example/3.jpg,fox,,CC BY 4.0,https://creativecommons.org/licenses/by-nc/4.0/\n'
        'file:///etc/passwd,fox\n,\nhttps://a.example/5.jpg,fox,"Ann\nB."\n'
        'https://a.example/1.jpg,deer\nhttps://a.example/4.jpg,\n',
        encoding='utf-8',
    )
    p = find_provider('urls')
    got = search(p, str(file))
    assert [(r.label, r.author, r.licence, r.licence_url) for r in got] == [
        ('fox', 'Ann, B.', 'cc-by', LICENCES['cc-by'][1]),
        ('../../fox', '', 'cc-by', 'https://creativecommons.org/licenses/by/2.0/'),
        ('fox', '', 'unknown', 'https://creativecommons.org/licenses/by-nc/4.0/'),
        ('fox', 'Ann B.', 'unknown', ''),
    ]
    assert p.left_out == {'no usable address': 1, 'found twice': 1, 'no label': 1}


@pytest.mark.parametrize(
    'content, message',
    [
        (b'', 'it is empty'),
        (b'link,label\n', 'the columns link, label; it needs url and label'),
        (b'url,label,Label\n', 'has the column label twice'),
        (b'url,label\n\xff', 'not in UTF-8'),
        (b'url,label\n"' + b'x' * 200_000, 'as a CSV'),
        (None, 'No such file'),
    ],
)
def test_urls_lists_that_are_none(tmp_path, content, message):
    if content is not None:
        (tmp_path / 'l.csv').write_bytes(content)
    with pytest.raises(ProviderError, match=message):
        search(find_provider('urls'), str(tmp_path / 'l.csv'))
    with pytest.raises(ProviderError, match='expected the name of a file'):
        search(find_provider('urls'), 'a\0b')


# ---- the protocol ----

def test_search_asks_no_further_than_it_is_read():
    async def first(p, n):
        async with aclosing(p.search('fox', ask)) as records:
            async for r in records:
                if (n := n - 1) == 0: return r
    with service(openverse(60)) as (base, requests):
        assert run(first(find_provider('openverse', base=base), 20)).id == 'd544-19' and len(requests) == 1


def test_a_provider_is_a_class_with_three_methods():
    class Mine(Provider): name = 'mine'
    try:
        p = find_provider('mine')
        for step in 'look_up', 'pages', 'photos':
            with pytest.raises(NotImplementedError): search(p, 'fox')

            async def look_up(term, ask): return term

            async def pages(what, ask, licences): yield ['1', '2']
            setattr(
                p,
                step,
                dict(look_up=look_up, pages=pages, photos=lambda i: [Record(f'https://a.example/{i}')])[step],
            )
        p.licensed = False
        assert [(r.url, r.source) for r in search(p, 'fox')] == [
            (f'https://a.example/{i}', 'mine') for i in '12'
        ]
    finally: del PROVIDERS['mine']


def test_search_refuses_what_makes_no_sense():
    p = find_provider('openverse')
    for term in '', ' \n', '\u202e', '<b></b>':
        with pytest.raises(ProviderError, match='give it a term'): search(p, term)
    with pytest.raises(UserError, match="unknown licence 'cc-bye'"): search(p, 'fox', licences='cc-bye')
    with pytest.raises(UserError, match="unknown provider 'ddg'; did you mean ddgs"): find_provider('ddg')
    with pytest.raises(UserError, match="unknown provider 'flickr'; there are inaturalist"):
        find_provider('flickr')
    assert find_provider(' GBIF ').name == 'gbif' and all(find_provider(n).name == n for n in PROVIDERS)


def test_errors_of_ask_go_through():
    with service({}) as (base, _):
        for name in 'inaturalist', 'gbif', 'openverse', 'wikimedia', 'huggingface':
            p = find_provider(name, base=base)
            p.hub = base
            with pytest.raises(Refused, match='404'): search(p, 'fox')
    gc.collect()  # a socket that is left open is an error here, and not in the test that comes next


@pytest.mark.parametrize(
    'answer, got',
    [
        ({'data': []}, 'nothing there'),
        ({'results': None}, 'nothing there'),
        ({'results': {'a': 1}}, 'an object with a there'),
        ([], 'a list of 0'),
        ('maintenance', "the text 'maintenance'"),
        (None, 'nothing'),
        (3, 'a number'),
        (True, 'true or false'),
    ],
)
def test_a_changed_schema_is_said(answer, got):
    async def ask(*args):
        return answer

    with pytest.raises(ProviderError) as e:
        search(find_provider('openverse'), 'fox', ask=ask)
    assert str(e.value) == f'openverse: expected a list at "results" in the answer, got {got}'


def test_a_large_answer_takes_no_time():
    big = work(
        1,
        title='<' * 5_000_000,
        creator='<script' * 700_000,
        foreign_landing_url='https://x/' + 'y' * 1_000_000,
        license='cc by ' + 'nc ' * 1_000_000,
        license_url='https://' + 'a/' * 1_000_000,
    )
    answer = {'page_count': 1, 'results': [big] + [work(i, tags=[{'name': 'x'}]*50) for i in range(2, 5000)]}

    async def ask(*args): return answer
    start = time.perf_counter()
    got = search(find_provider('openverse'), 'fox', ask=ask)
    assert time.perf_counter() - start < 30
    assert len(got) == 4999 and (got[0].author, got[0].page, got[0].licence, len(got[0].title)) == (
        '',
        '',
        'cc-by-nc',
        200,
    )


def test_providers_are_light():
    "Whoever only gathers does not wait for PyTorch."
    code = "import sys, imgcls.gather.local; assert not {'torch', 'fastai', 'timm', 'ddgs'} & {*sys.modules}"
    subprocess.run([sys.executable, '-c', code], check=True)


# ---- texts, addresses, licences ----

anything = st.text(st.characters(), max_size=60)  # with halves of characters, which JSON may hold
pieces = (
    '<b>',
    '</b>',
    '<script>',
    '</script>',
    '<!--',
    '-->',
    '<',
    '>',
    '&lt;',
    '&amp;lt;',
    '&#x202e;',
    '&#27;',
    '<img src=x onerror=y>',
)
markup = st.lists(st.one_of(anything, st.sampled_from(pieces)), max_size=20).map(''.join)


@given(markup)
@example('</')
@example('<<</b></b>b>')
def test_plain_is_plain(text):
    out = plain(text, 40)
    out.encode()
    assert len(out) <= 40 and out == ' '.join(out.split())
    assert not any(
        unicodedata.category(c)[0] == 'C' and unicodedata.category(c) != 'Cn'
        for c in out
        if c not in '\u200c\u200d'
    )
    assert not any(t in out.lower() for t in ('<b>', '<script', '<img', '</'))


@given(
    st.lists(
        st.sampled_from([*pieces, ' ', 'a', 'a  b', 'b;', "'", '\t', '\x7f', '\xa0', '\xad', 'e\u0301']),
        max_size=8,
    ).map(''.join)
)
def test_plain_is_the_same_by_the_short_way(text):
    assert plain(text) == plain(' ' + text), 'a blank in front is what the long way is for'


@given(
    st.one_of(
        anything,
        st.tuples(
            st.sampled_from(
                ['http://', 'https://', 'HTTP://', 'ftp://', 'file:///', '//', 'http://a:b@', 'http://[']
            ),
            anything,
        ).map(''.join),
    )
)
def test_web_is_an_address(text):
    out = web(text)
    if not out:
        return
    u = urlsplit(out)
    assert (
        u.scheme in ('http', 'https')
        and u.hostname
        and not u.username
        and out == web(out)
        and not any(c.isspace() or ord(c) < 32 for c in out)
    )


def test_plain_leaves_what_a_name_needs():
    assert (
        plain('\u0646\u06cc\u200c\u0627') == '\u0646\u06cc\u200c\u0627'
        and plain('Zoe\u0308 O&#39;Neil \u202e<i>x</i>') == 'Zoë O\'Neil x'
    )
    assert (
        plain('a<br>b<p>c</p>d') == 'a b c d'
        and plain('<!-- x -->a<style>b{}</style>') == 'a'
        and plain('x' * 201) == 'x' * 199 + '…'
    )


def test_addresses():
    assert web('https://x.example/a%20b/c~d?e=f%2Bg&h=i j#k') == 'https://x.example/a%20b/c~d?e=f%2Bg&h=i%20j'
    bad = [
        None,
        '',
        'ftp://x/y',
        'file:///etc/passwd',
        '//x/y.jpg',
        'http://',
        'http://[::1',
        'http://me:secret@x/',
        'http://x:99999/',
        'http://x:0/',
        'http://x/\ny',
        'http://x y/',
        'http://x/' + 'y' * 2000,
    ]
    assert [web(x) for x in bad] == ['']*len(bad)
    assert web('https://bücher.example/ü') == 'https://bücher.example/%C3%BC'


STRICT = st.sampled_from(
    [
        'cc by-nc',
        'CC BY-NC-SA 4.0',
        'cc_by_nd',
        'Attribution-NonCommercial 4.0',
        'Creative Commons Attribution, non commercial use only',
        'all rights reserved',
        'https://creativecommons.org/licenses/by-nc-nd/4.0/',
        'not public domain',
        'CC BY; no derivatives',
    ]
)


@given(
    anything,
    STRICT,
    anything,
    st.sampled_from(
        ['', 'CC BY 4.0', 'CC0', 'public domain', 'https://creativecommons.org/licenses/by/4.0/', 'cc-by-sa']
    ),
)
def test_a_licence_is_never_read_as_more_liberal(before, strict, after, liberal):
    for text in f'{before} {strict} {after} {liberal}', f'{liberal} {before} {strict} {after}':
        assert licence_id(text) not in ('cc0', 'pdm', 'cc-by', 'cc-by-sa')


words = (
    'cc by nc nd sa 0 - _ / 4.0 attribution creativecommons.org/licenses/ https:// public domain not'.split()
)


@given(st.one_of(anything, st.lists(st.sampled_from(words), max_size=12).map(' '.join)))
def test_licence_id_knows_its_words(text): assert licence_id(text) in LICENCES


@pytest.mark.parametrize(
    'id, texts',
    {
        'cc0': [
            'cc0',
            'CC0 1.0',
            'cc0-1.0',
            'CC Zero',
            'http://creativecommons.org/publicdomain/zero/1.0/legalcode',
            'CC0 1.0 Universal (CC0 1.0) Public Domain Dedication',
        ],
        'pdm': [
            'pd',
            'PDM',
            'Public domain',
            'https://creativecommons.org/publicdomain/mark/1.0/',
            'Public Domain Mark 1.0',
            'http://creativecommons.org/licenses/publicdomain/',
        ],
        'cc-by': [
            'by',
            'CC-BY',
            'CC BY 3.0 de',
            'by 2.0',
            'cc-by-4.0',
            'Creative Commons Attribution 4.0 International',
            'https://creativecommons.org/licenses/by/2.0/',
            'Attribution 4.0',
        ],
        'cc-by-sa': [
            'by-sa',
            'CC BY-SA 4.0',
            'CC-BY-SA-3.0-migrated',
            'Attribution-ShareAlike 4.0 International',
            'https://creativecommons.org/licences/by-sa/3.0/deed.de',
        ],
        'cc-by-nc-sa': [
            'by-nc-sa',
            'CC BY-NC-SA',
            'cc by-sa-nc',
            'Creative Commons Attribution Non Commercial Share Alike',
            'cc-by-nc-sa-4.0',
        ],
        'cc-by-nc-nd': ['by-nc-nd', 'CC BY-ND-NC 1.0', 'Attribution-NonCommercial-NoDerivs'],
        'all-rights-reserved': ['All rights reserved', '© 2020 Ann. All Rights Reserved.'],
        'unknown': [
            '',
            'GFDL',
            'mit',
            'Copyrighted free use',
            'Photo by Jane',
            'by Jane',
            'step by step',
            'sampling+',
            'CC',
            'http://creativecommons.org/licenses/nd-nc/1.0/',
            'CC BY 4.0 except the logo',
            'CC BY, N.C.',
            'by sa-nd',
            'ccby-x nc',
        ],
    }.items(),
)
def test_licences_as_they_are_written(id, texts):
    assert {t: licence_id(t) for t in texts} == dict.fromkeys(texts, id)


def test_check_licences():
    assert check_licences(['CC0', 'public domain', 'cc-by ', 'cc0']) == [
        'cc0',
        'pdm',
        'cc-by',
    ] and check_licences('unknown') == ['unknown']
    for bad in '', [], ',':
        with pytest.raises(UserError, match='expected a licence|is empty'): check_licences(bad)
    with pytest.raises(UserError, match="unknown licence 'open'; there are cc0, pdm"):
        check_licences('cc0,open')


# ---- answers that nobody documents ----

def goods():
    "For each provider: a term, and good answers by the end of the address."
    occurrences = [occurrence(1, {'license': 'CC0'}, {'license': 'CC BY'}), occurrence(2, {'license': None})]
    routes = huggingface(2, 100)
    rows = routes['/rows'](dict(offset=0, length=100, split='train'))
    return {
        'inaturalist': (
            'red fox',
            {
                '/taxa': TAXA,
                '/observations': {
                    'total_results': 2,
                    'results': [observation(1, 'cc-by', None), observation(2, 'cc0')],
                },
            },
        ),
        'gbif': (
            'red fox',
            {
                '/match': NONE | {'alternatives': [MATCH]},
                '/species/search': {
                    'results': [
                        {
                            'key': 5219243,
                            'canonicalName': 'Vulpes vulpes',
                            'vernacularNames': [{'vernacularName': 'Red fox', 'language': 'eng'}],
                        }
                    ]
                },
                '/occurrence/search': {'endOfRecords': True, 'results': occurrences},
            },
        ),
        'openverse': ('fox', {'/images/': {'page_count': 1, 'results': [work(1), work(2)]}}),
        'wikimedia': (
            'fox',
            {
                '/api.php': {
                    'batchcomplete': True,
                    'continue': {'gsroffset': 2, 'continue': '||'},
                    'query': {'pages': [page(1), page(2)]},
                }
            },
        ),
        'huggingface': (
            'ann/wild:deer',
            {
                '/ann/wild': routes['/api/datasets/ann/wild'],
                '/splits': routes['/splits'],
                '/rows': rows,
                '/filter': rows,
            },
        ),
    }


def places(x, path=()):
    "The paths of all values in an answer."
    yield path
    for k, v in x.items() if isinstance(x, dict) else enumerate(x) if isinstance(x, list) else ():
        yield from places(v, (*path, k))


leaves = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(min_value=10**20),
    st.floats(),
    anything,
    st.sampled_from(['javascript:x', 'http://[', '', '<b>', 'EXACT', 'cc-by']),
)
values = st.recursive(
    leaves,
    lambda x: st.one_of(st.lists(x, max_size=4), st.dictionaries(anything, x, max_size=4)),
    max_leaves=8,
)
GONE = object()


def put(answer, path, value):
    "The answer with another value at a place, or without it."
    if not path: return None if value is GONE else value
    x = answer
    try:
        for k in path[:-1]: x = x[k]
        if value is GONE: del x[path[-1]]
        else: x[path[-1]] = value
    except (KeyError, IndexError, TypeError): pass  # an earlier change took the place away
    return answer


@pytest.mark.parametrize('name', [*goods()])
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_no_answer_is_too_strange(name, data):
    "A parser raises `ProviderError` or returns sound records, and comes to an end, whatever it is told."
    term, answers = goods()[name]
    answers, asked = copy.deepcopy(answers), []
    for end, path in data.draw(
        st.lists(
            st.sampled_from([(e, p) for e, a in answers.items() for p in places(a)]), min_size=1, max_size=4
        )
    ):
        answers[end] = put(
            answers[end],
            path,
            copy.deepcopy(data.draw(st.one_of(st.just(GONE), values)))
            if (v := data.draw(st.sampled_from([None, GONE]))) is None
            else v,
        )

    async def ask(url, params=None, headers=None):
        asked.append(url)
        assert len(asked) < 60, 'it goes on for ever'
        json.dumps(params)
        return next(a for e, a in answers.items() if url.endswith(e))
    p = find_provider(name, every=data.draw(st.booleans()))
    try: got = search(p, term, ask=ask, licences=data.draw(st.sampled_from([None, 'cc0,cc-by', [*LICENCES]])))
    except ProviderError as e:
        str(e).encode()
        assert '\n' not in str(e) and len(str(e)) < 1500
        return
    for r in got:
        assert r.url == web(r.url) != '' and r.licence in LICENCES and r.source == name and r.query == term
        assert all(isinstance(x, str) and len(x) <= 2000 and x.encode() is not None for x in vars(r).values())
        assert (
            all(x in ('', web(x)) for x in (r.page, r.licence_url))
            and r.author == plain(r.author)
            and r.title == plain(r.title)
        )
    assert all(isinstance(x, str) and len(x) < 80 for x in p.left_out) and all(
        x.encode() and len(x) < 1500 for x in p.notes
    )


@given(
    st.lists(
        st.lists(
            st.one_of(anything, st.sampled_from(['https://a.example/1.jpg', 'fox', '"', 'cc-by'])), max_size=7
        ),
        max_size=5,
    )
)
@settings(deadline=None)
def test_no_list_is_too_strange(tmp_path_factory, rows):
    file = tmp_path_factory.getbasetemp() / 'strange.csv'
    file.write_bytes(
        '\n'.join(['url,label,page,author,licence', *(','.join(r) for r in rows)]).encode(errors='ignore')
    )
    try:
        got = search(find_provider('urls'), str(file))
    except ProviderError:
        return
    assert all(r.url == web(r.url) != '' and r.label for r in got)


# ---- the real services ----

@pytest.mark.network
@pytest.mark.parametrize(
    'name, term',
    [
        ('inaturalist', 'Vulpes vulpes'),
        ('gbif', 'Vulpes vulpes'),
        ('openverse', 'red fox'),
        ('wikimedia', 'red fox'),
        ('huggingface', 'uoft-cs/cifar10:deer'),
    ],
)
def test_the_real_services_answer(name, term):
    def named(url, params=None, headers=None):
        return ask(url, params, {'User-Agent': USER_AGENT, **(headers or {})})

    p = find_provider(name)

    async def some():
        got = []
        async with aclosing(p.search(term, named)) as records:
            async for r in records:
                got.append(r)
                if len(got) == 30:
                    return got
        return got

    got = run(some())
    assert len(got) == 30 and all(r.url and r.page and r.licence in LICENCES for r in got), (
        p.left_out,
        p.notes,
    )
    if p.licensed:
        assert all(r.author and r.licence not in ('unknown', 'all-rights-reserved') for r in got)
