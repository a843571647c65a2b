"""Fetching from a server that misbehaves in many ways: good photos arrive, bad ones get a reason."""
import asyncio
import importlib.util
import json
import os
import random
import shutil
import socket
import ssl
import subprocess
import sys
import time
import tracemalloc
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import imgcls.gather.fetch
import imgcls.gather.servers
from imgcls.core import UserError
from imgcls.gather.fetch import Answer, Fetcher
from imgcls.gather.servers import FetchError, Limits, is_public, judge

pytestmark = [pytest.mark.filterwarnings(f'error::{w}')
              for w in ('ResourceWarning', 'pytest.PytestUnraisableExceptionWarning')]

spec = importlib.util.spec_from_file_location('badserver', Path(__file__).with_name('badserver.py'))
badserver = sys.modules['badserver'] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(badserver)
FAULTS, GOOD, BadServer, Names, blob = (
    badserver.FAULTS,
    badserver.GOOD,
    badserver.BadServer,
    badserver.Names,
    badserver.blob,
)

QUICK = dict(timeout=.8, max_seconds=20, grace=.3, backoff=.005, retries=1, max_bytes=300_000, give_up=1000)
RETRIED = [
    k
    for k, (_, reasons) in FAULTS.items()
    if any(FetchError(o).retry for o in reasons) and not k.endswith('_long') and 'at_once' not in k
]


@pytest.fixture(scope='module')
def server():
    with BadServer(hosts=3) as s: yield s


@asynccontextmanager
async def fetching(server, **kw):
    async with fetcher_of(**{'allow_hosts': server.hosts, **kw}) as f: yield f


def fetcher_of(**kw):
    "A quick fetcher; options may be those of `Limits` as well."
    limits = {k: kw.pop(k) for k in [*kw] if k in Limits.__dataclass_fields__}
    return Fetcher(limits=Limits(**QUICK | limits), **kw)


async def outcome(fetcher, url, **kw):
    "The answer, or the reason why there is none."
    try: return await fetcher.get(url, **kw)
    except FetchError as e: return e.reason


def one(server, path, host=0, **kw):
    "Get one link with a fetcher of its own."
    async def main():
        async with fetching(server, **kw) as f:
            return await outcome(f, path if '://' in path else server.url(path, host))
    return asyncio.run(main())


# ---- what is good ----
@pytest.mark.parametrize('kind', GOOD)
def test_photo_arrives(server, kind):
    a = one(server, f'/{kind}/fox-1.jpg?size=large')
    assert isinstance(a, Answer) and a.body == blob('fox-1.jpg') and a.status == 200
    if kind in ('moved', 'abroad'):
        assert a.url.endswith('/ok/fox-1.jpg') and (server.hosts[-1] in a.url) == (kind == 'abroad')
    else:
        assert a.url == server.url(f'/{kind}/fox-1.jpg?size=large')


def test_connection_is_kept_and_we_say_who_we_are(server):
    async def main():
        async with fetching(server) as f:
            for i in range(5): await f.get(server.url(f'/ok/kept-{i}.jpg', 1))
    before = server.connections[server.hosts[1]]
    asyncio.run(main())
    assert server.connections[server.hosts[1]] == before + 1
    headers = server.seen[-1][2]
    assert headers['user-agent'].startswith('imgcls/') and '+https://' in headers['user-agent']
    assert 'cookie' not in headers and 'referer' not in headers and headers['accept-encoding'] == 'identity'


def test_cookies_are_not_kept(server):
    port = server.hosts[0].rpartition(':')[2]

    async def main():
        async with fetching(
            server, allow_hosts=[f'nas.test:{port}'], look_up=Names({'nas.test': [['127.0.0.1']]})
        ) as f:
            for i in range(2):
                await f.get(f'http://nas.test:{port}/ok/cookie.jpg')
    asyncio.run(main())
    assert [('cookie' in h) for _, p, h in server.seen if p == '/ok/cookie.jpg'] == [False, False]


def test_a_body_that_is_not_a_photo_can_be_had(server):
    async def main():
        async with fetching(server) as f: return await f.get(server.url('/html/list.csv'), image=False)
    assert asyncio.run(main()).body.startswith(b'<!DOCTYPE')


def test_no_proxy_is_used(server, monkeypatch):
    for k in ('http_proxy', 'HTTP_PROXY', 'all_proxy', 'ALL_PROXY'):
        monkeypatch.setenv(k, 'http://127.0.0.1:9/')
    assert isinstance(one(server, '/ok/x.jpg'), Answer)


# ---- what is bad ----
@pytest.mark.parametrize('kind', FAULTS)
def test_fault_gets_its_reason(server, kind):
    start = time.monotonic()
    assert one(server, f'/{kind}/bad.jpg') in FAULTS[kind][1]
    assert time.monotonic() - start < 5
    assert server.secret_hits == 0


@pytest.mark.parametrize('kind', RETRIED)
def test_second_try_helps(server, kind):
    if kind == 'http429': server.retry_after = 0
    a = one(server, f'/{kind}/again.jpg?times=1')
    server.retry_after = 1
    assert isinstance(a, Answer) and a.body == blob('again.jpg')


def test_one_try_is_bounded_in_all(server):
    "Fast enough, never silent, and yet without an end."
    start = time.monotonic()
    assert one(server, '/drip/slowly.jpg', min_speed=0, max_seconds=.5, retries=0) == 'too slow'
    assert time.monotonic() - start < 3


def test_faults_that_last_are_not_tried_again(server):
    for kind in ('http403', 'http404', 'html', 'gzip_bomb', 'too_large', 'huge', 'loop', 'to_file', 'empty'):
        one(server, f'/{kind}/never.jpg', retries=3)
        assert server.hits[f'/{kind}/never.jpg'] == 1, kind


def test_no_more_tries_than_allowed(server):
    for kind, retries, n in [('http500', 3, 4), ('http500', 0, 1), ('timeout', 3, 2), ('drip', 3, 2)]:
        path = f'/{kind}/tries-{retries}.jpg'
        one(server, path, retries=retries, timeout=.2)
        assert server.hits[path] == n, path


def test_errors_are_one_short_line(server):
    async def main(path):
        async with fetching(server) as f:
            with pytest.raises(FetchError) as e: await f.get(path)
            return str(e.value)
    for path in [
        server.url('/http403/' + 'x' * 3000),
        'file:///etc/\n\x1b[2J' + 'y' * 3000,
        server.url('/to_user/x.jpg'),
        'ftp://me:secret@x/',
        server.url('/garbage/x'),
    ]:
        text = asyncio.run(main(path))
        assert text.isprintable() and len(text) < 300 and 'secret' not in text


@pytest.mark.parametrize(
    'text', ['127.0.0.1', 'localhost', 'me@x:80', 'x:80/path', 'x:99999', '', 'http://x:80', 'x:0', 'a b:80']
)
def test_allow_host_is_host_and_port(text):
    with pytest.raises(UserError, match='host and its port'):
        Fetcher(allow_hosts=[text])


# ---- private addresses ----
def test_secret_host_could_be_reached_if_allowed(server):
    "The tests above would prove nothing if nobody answered there."
    with BadServer() as s:
        assert isinstance(one(s, f'http://{s.secret}/ok/x.jpg', allow_hosts=[s.secret]), Answer)
        assert s.secret_hits == 1


@pytest.mark.parametrize(
    'address',
    '''127.0.0.1 127.1.2.3 10.0.0.1 172.16.0.1 192.168.0.1 169.254.169.254 100.64.0.1 0.0.0.0 224.0.0.1
    255.255.255.255 ::1 :: fe80::1
    fe80::1%1 2606:4700::1%1 fec0::1
    fc00::1 ff02::1 ::ffff:127.0.0.1 ::ffff:8.8.8.8 ::127.0.0.1 64:ff9b::7f00:1 64:ff9b::a9fe:a9fe
    64:ff9b:1::1 2002:7f00:1:: 2001:0:1::1 2001:db8::1'''.split(),
)
def test_name_with_a_private_address(server, address):
    names = Names({'photos.test': [['93.184.216.34', address]]})
    assert one(server, 'http://photos.test/x.jpg', look_up=names) == 'private address'
    assert names.asked == ['photos.test']
    assert not is_public(address)


@pytest.mark.parametrize(
    'address', ['8.8.8.8', '93.184.216.34', '2606:4700::1111', '64:ff9b::808:808', '2002:808:808::1']
)
def test_public_addresses(address):
    assert is_public(address)


@pytest.mark.skipif(sys.platform != 'linux', reason='needs 127.0.0.2 on the loopback')
def test_name_that_resolves_anew(monkeypatch):
    "127.0.0.2 plays a public address. A name is looked up once a connection, which goes to what came."
    monkeypatch.setattr(imgcls.gather.servers, 'is_public', lambda a: a == '127.0.0.2')
    with BadServer(bind='127.0.0.2', public='rebind.test') as s, BadServer() as inner:
        names = Names({'rebind.test': [['127.0.0.2'], ['127.0.0.1']]})

        async def main():
            async with fetching(inner, look_up=names, allow_hosts=[], retries=0) as f:
                a = await f.get(s.url('/until_close/x.jpg'))  # no connection is left over
                asked = len(names.asked)
                f._session.connector.clear_dns_cache()  # as if some time had passed
                return (
                    a,
                    asked,
                    await outcome(f, s.url('/ok/y.jpg')),
                    await outcome(f, f'http://rebind.test:{inner.secret.rpartition(":")[2]}/'),
                )
        a, asked, second, third = asyncio.run(main())
        assert a.body == blob('x.jpg') and asked == 1
        assert second == third == 'private address' and inner.secret_hits == 0
        assert '/ok/y.jpg' not in s.hits


def test_exception_is_for_that_port_alone(server):
    names = Names({'nas.test': [['127.0.0.1']]})
    port = server.hosts[0].rpartition(':')[2]
    assert isinstance(
        one(server, f'http://nas.test:{port}/ok/x.jpg', look_up=names, allow_hosts=[f'nas.test:{port}']),
        Answer,
    )
    other = server.hosts[1].rpartition(':')[2]
    assert (
        one(server, f'http://nas.test:{other}/ok/x.jpg', look_up=names, allow_hosts=[f'nas.test:{port}'])
        == 'private address'
    )
    assert (
        one(server, f'http://127.0.0.1:{port}/ok/x.jpg', look_up=names, allow_hosts=[f'nas.test:{port}'])
        == 'private address'
    )


@pytest.mark.parametrize(
    'error, reason',
    [
        (socket.gaierror(socket.EAI_NONAME, 'x'), 'no such host'),
        (socket.gaierror(socket.EAI_AGAIN, 'x'), 'name server'),
    ],
)
def test_name_without_address(server, error, reason):
    async def look_up(host, port):
        raise error

    assert one(server, 'http://photos.test/x.jpg', look_up=look_up) == reason


def test_name_with_nothing_behind_it(server):
    assert one(server, 'http://photos.test/x.jpg', look_up=Names({'photos.test': [[]]})) == 'no such host'


def test_name_that_cannot_be_one(server):
    "The system's own look-up; nothing is sent for it."
    assert one(server, 'http://' + 'a'*70 + '.test/x.jpg') == 'no such host'


def test_look_up_that_hangs(server):
    async def look_up(host, port): await asyncio.sleep(60)
    start = time.monotonic()
    assert one(server, 'http://photos.test/x.jpg', look_up=look_up, retries=0) == 'timeout'
    assert time.monotonic() - start < 3


def test_nobody_there(server):
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))  # bound, but nobody listens
        host = '127.0.0.1:%d' % s.getsockname()[1]
        assert one(server, f'http://{host}/x.jpg', allow_hosts=[host]) == 'refused'


def test_a_quick_server_is_not_waited_for_twice(server):
    "Its first try ends after a second, as soon as it is known; the last one has all the time."
    async def main():
        async with fetching(server, timeout=3) as f:
            start = time.perf_counter()
            await outcome(f, server.url('/timeout/unknown.jpg'))
            unknown = time.perf_counter() - start
            for i in range(8): assert isinstance(await outcome(f, server.url(f'/ok/{i}.jpg')), Answer)
            start, n = time.perf_counter(), sum(server.hits.values())
            assert await outcome(f, server.url('/timeout/known.jpg')) == 'timeout'
            return unknown, time.perf_counter() - start, sum(server.hits.values()) - n
    unknown, known, hits = asyncio.run(main())
    assert unknown > 5.9 and 3.9 < known < 5.5 and hits == 2


def test_no_secure_connection(server):
    "Spoken to in the secure way, a server answers in the open."
    async def plain(reader, writer):
        writer.write(b'HTTP/1.1 400 Bad Request\r\n\r\n')
        writer.close()

    async def main():
        async with await asyncio.start_server(plain, '127.0.0.1', 0) as s:
            host = '127.0.0.1:%d' % s.sockets[0].getsockname()[1]
            async with fetching(server, allow_hosts=[host]) as f:
                return await outcome(f, f'https://{host}/x.jpg')
    assert asyncio.run(main()) == 'tls'


CLIENT = """
import asyncio, sys
from imgcls.gather.fetch import Fetcher
from imgcls.gather.servers import FetchError, Limits
async def look_up(host, port): return ['127.0.0.1']
async def main(host):
    async with Fetcher(allow_hosts=[host], look_up=look_up, limits=Limits(retries=0)) as f:
        try: return len((await f.get(f'https://{host}/x.jpg')).body)
        except FetchError as e: return e.reason
print(asyncio.run(main(sys.argv[1])))
"""


@pytest.mark.skipif(not shutil.which('openssl'), reason='openssl makes the certificate')
def test_certificates_are_checked(tmp_path):
    "By the name, although the connection goes to an address."
    cert, key = tmp_path/'cert.pem', tmp_path/'key.pem'
    subprocess.run(
        [
            'openssl',
            'req',
            '-x509',
            '-newkey',
            'rsa:2048',
            '-nodes',
            '-days',
            '2',
            '-subj',
            '/CN=photos.test',
            '-addext',
            'subjectAltName=DNS:photos.test',
            '-keyout',
            key,
            '-out',
            cert,
        ],
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)

    async def serve(reader, writer):
        await reader.readuntil(b'\r\n\r\n')
        writer.write(b'HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n' + blob('x', 1000)[:1000])
        await writer.drain()
        writer.close()

    async def ask(name, port, **env):
        p = await asyncio.create_subprocess_exec(
            sys.executable, '-c', CLIENT, f'{name}:{port}', env=os.environ | env, stdout=subprocess.PIPE
        )
        return (await p.communicate())[0].decode().strip()

    async def main():
        async with await asyncio.start_server(serve, '127.0.0.1', 0, ssl=context) as s:
            port = s.sockets[0].getsockname()[1]
            return await asyncio.gather(
                ask('photos.test', port, SSL_CERT_FILE=str(cert)),
                ask('other.test', port, SSL_CERT_FILE=str(cert)),
                ask('photos.test', port),
            )
    assert asyncio.run(main()) == ['1000', 'tls', 'tls']


TEXT = st.one_of(
    st.text(max_size=60),
    st.text(alphabet='htps:/@[]%?#.0123456789abcdefx-\\ \n\t\x00é１。', max_size=60).map('http://'.__add__),
)


@settings(max_examples=400, deadline=None)
@given(TEXT)
@example('http://\ud800/')
@example('http://xn--a/')
@example('http://[::1%25')
@example('http://' + 'a'*300 + '/')
@example('http://0x7f.1/')
def test_any_text_is_judged(text):
    try: url = judge(text)
    except FetchError as e:
        assert str(e).isprintable()
        return
    assert url.scheme in ('http', 'https') and url.user is None and url.raw_host and judge(url) == url
    if url.raw_host.replace('.', '').isdigit() or ':' in url.raw_host: assert is_public(url.raw_host)


@settings(max_examples=100, deadline=None)
@given(TEXT)
def test_any_text_is_fetched_or_refused(text):
    async def nothing(host, port): raise socket.gaierror(socket.EAI_NONAME, 'nothing')

    async def main():
        async with fetcher_of(timeout=.05, retries=0, look_up=nothing) as f:
            if not text.split('://')[-1][:1].isdigit() and '[' not in text:
                assert isinstance(await outcome(f, text), str)  # numbers may be real addresses
    asyncio.run(main())


# ---- polite ----
def test_two_at_once_and_no_more():
    with BadServer(hosts=3, latency=.01) as s:
        async def main(**kw):
            async with fetching(s, **kw) as f:
                return await asyncio.gather(*[f.get(s.url(f'/ok/{i}.jpg', i % 3)) for i in range(60)])
        assert [a.body for a in asyncio.run(main())] == [blob(f'{i}.jpg') for i in range(60)]
        assert set(s.most_open.values()) == {2}
        s.most_open.clear()
        asyncio.run(main(per_host=5))
        assert max(s.most_open.values()) == 5
        s.most_open.clear()
        asyncio.run(main(per_host=5, concurrent=1))
        assert set(s.most_open.values()) == {1}


def test_limit_spreads_questions(server):
    async def main():
        async with fetching(server) as f:
            f.limit(server.hosts[0], per_minute=1200, concurrent=1)
            start = time.monotonic()
            await asyncio.gather(*[f.get(server.url(f'/ok/limit-{i}.jpg')) for i in range(6)])
            return time.monotonic() - start
    assert .24 < asyncio.run(main()) < 3


def test_retry_after_holds_for_all():
    with BadServer(retry_after=1) as s:
        async def main():
            async with fetching(s, per_host=1) as f:
                start = time.monotonic()
                first = asyncio.ensure_future(f.get(s.url('/http429/a.jpg?times=1')))
                await asyncio.sleep(.2)
                await f.get(s.url('/ok/b.jpg'))
                return time.monotonic() - start, (await first).body
        waited, body = asyncio.run(main())
        assert .99 < waited < 4 and body == blob('a.jpg')


def test_a_long_wish_shuts_the_host_at_once(server):
    async def main():
        async with fetching(server, backoff=30) as f:
            start, url = time.monotonic(), server.url('/http429_long/a.jpg', 2)
            with pytest.raises(FetchError, match='86,400') as e: await f.get(url)
            assert not e.value.retry and time.monotonic() - start < 5
            assert (
                await outcome(f, server.url('/ok/shut.jpg', 2)) == 'http 429'
                and server.hits['/ok/shut.jpg'] == 0
            )
            assert isinstance(await outcome(f, server.url('/ok/shut.jpg', 1)), Answer)
    asyncio.run(main())


def test_host_that_is_down_is_given_up(server):
    async def main():
        async with fetching(server, give_up=4, timeout=.3, patience=.3) as f:
            n = sum(server.hits.values())
            out = await asyncio.gather(*[outcome(f, server.url(f'/timeout/down-{i}.jpg')) for i in range(40)])
            assert set(out) == {'timeout'} and sum(server.hits.values()) - n <= 8
            assert isinstance(await outcome(f, server.url('/ok/x.jpg', 1)), Answer)
            await asyncio.sleep(.35)
            assert isinstance(
                await outcome(f, server.url('/ok/x.jpg')), Answer
            )  # after a while it gets another chance
    asyncio.run(main())


def test_its_own_reason_stays_when_the_host_is_given_up(server):
    async def main():
        async with fetching(server, give_up=2, timeout=.3, backoff=2, per_host=3, retries=2) as f:
            return await asyncio.gather(
                *[outcome(f, server.url(f'/{k}/own.jpg')) for k in ('http500', 'timeout', 'timeout')]
            )
    assert asyncio.run(main())[0] == 'http 500'


def test_a_slow_host_holds_up_nobody(server):
    async def main():
        async with fetching(server, concurrent=3, timeout=5, max_seconds=5) as f:
            slow = [
                asyncio.ensure_future(outcome(f, server.url(f'/timeout/slow-{i}.jpg'))) for i in range(20)
            ]
            await asyncio.sleep(.05)
            start = time.monotonic()
            good = await asyncio.gather(*[outcome(f, server.url(f'/ok/fast-{i}.jpg', 1)) for i in range(20)])
            for o in slow: o.cancel()
            await asyncio.gather(*slow, return_exceptions=True)
            assert all(isinstance(o, Answer) for o in good) and time.monotonic() - start < 3
            assert f._slots._value == 3 and not any(
                h.users for h in f._hosts.values()
            )  # places are given back
    asyncio.run(main())


def test_not_every_server_is_remembered(server, monkeypatch):
    monkeypatch.setattr(imgcls.gather.fetch, '_HOSTS', 2)

    async def main():
        async with fetching(server) as f:
            for i in range(6):
                assert isinstance(await outcome(f, server.url(f'/ok/some-{i}.jpg', i % 3)), Answer)
            return len(f._hosts)
    assert asyncio.run(main()) == 2


# ---- within bounds ----
@pytest.mark.parametrize('kind', ['ok', 'chunked'])
def test_memory_is_bounded(kind, tmp_path):
    "Twenty bodies of 4 MB at once; of large ones there is room for two."
    size = 4_000_000
    (tmp_path/'x.jpg').write_bytes(b'\xff\xd8' + bytes(size - 2))
    with badserver.started('--hosts', '3', '--folder', str(tmp_path)) as s:
        async def main():
            async with fetching(s, max_bytes=size, per_host=10, timeout=20, max_seconds=30) as f:
                f._room.free = 2*size
                sizes = await asyncio.gather(*[sized(f, s.url(f'/{kind}/x.jpg', i % 3)) for i in range(20)])
                assert f._room.free == 2*size
                return sizes

        async def sized(f, url): return len((await f.get(url)).body)
        def peak():
            tracemalloc.start()
            try:
                assert asyncio.run(main()) == [size]*20
                return tracemalloc.get_traced_memory()[1]
            finally: tracemalloc.stop()
        least = min(peak() for _ in range(3))  # how many bodies are on their way differs from time to time
        assert least < 40e6, f'{least/1e6:.0f} MB'  # of 80


def test_bombs_and_endless_bodies_cost_no_memory(server):
    badserver._bomb()
    tracemalloc.start()
    for kind in ('gzip_bomb', 'endless', 'endless_plain', 'huge', 'html_endless'):
        one(server, f'/{kind}/m.jpg', max_bytes=10**6)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 12e6, f'{peak/1e6:.0f} MB'


def test_all_at_once():
    "Good ones and all faults mixed on five hosts: good ones arrive, bad ones have a reason, in seconds."
    with BadServer(hosts=5, latency=.005, retry_after=0) as s:
        kinds = list(FAULTS) * 2
        paths = (
            [f'/ok/{i}.jpg' for i in range(400)]
            + [f'/{k}/{i}.jpg' for i, k in enumerate(kinds) if k != 'http429_long']
            + [f'/{k}/{i}.jpg?times=1' for i, k in enumerate(RETRIED)]
        )
        random.Random(0).shuffle(paths)

        async def main():
            async with fetching(s, per_host=4, timeout=2, max_seconds=4) as f:
                return await asyncio.gather(*[outcome(f, s.url(p, i % 5)) for i, p in enumerate(paths)])
        start = time.monotonic()
        for path, out in zip(paths, asyncio.run(main())):
            kind, name = path.split('/')[1:]
            if kind == 'ok' or 'times' in name:
                assert isinstance(out, Answer) and out.body == blob(name.partition('?')[0]), (path, out)
            else:
                assert out in FAULTS[kind][1], (path, out)
        assert time.monotonic() - start < 30 and s.secret_hits == 0


# ---- JSON ----
def asking(server, path, params=None, **kw):
    async def main():
        async with fetching(server, **kw) as f: return await f.ask(server.url(path), params)
    return asyncio.run(main())


def test_ask(server):
    server.api['/api/x'] = json.dumps(dict(results=[1, 'ü'])).encode()
    assert asking(server, '/api/x', dict(q='red fox&', n=3, licensed=False, page=None)) == dict(
        results=[1, 'ü']
    )
    assert server.seen[-1][1] == '/api/x?q=red+fox%26&n=3&licensed=false'
    server.api['/api_gzip/x'] = json.dumps(list(range(10**6))).encode()
    assert asking(server, '/api_gzip/x', timeout=5, max_seconds=10) == list(range(10**6))


@pytest.mark.parametrize(
    'body, reason',
    [
        (b'<html>', 'bad json'),
        (b'{"a": [1, 2', 'bad json'),
        (b'[' * 200_000, 'bad json'),
        (b'\xff\xfe\x00', 'bad json'),
        (b'', 'empty'),
        (b'1' * 5000, 'bad json'),
        (b'[' + b' ' * 21_000_000 + b']', 'too large'),
    ],
)
def test_ask_bad_json(server, body, reason):
    server.api['/api/bad'] = body
    with pytest.raises(FetchError) as e:
        asking(server, '/api/bad', timeout=5, max_seconds=10)
    assert e.value.reason == reason and str(e.value).isprintable()


def test_ask_bomb(server):
    server.api['/api_gzip/bomb'] = bytes(25_000_000)
    with pytest.raises(FetchError, match='gzip bomb'):
        asking(server, '/api_gzip/bomb', timeout=5, max_seconds=10)


def test_ask_again_sends_the_mark(server, tmp_path):
    server.api['/api_marked/x'] = b'{"v": 1}'
    assert (
        asking(server, '/api_marked/x', cache=tmp_path)
        == asking(server, '/api_marked/x', cache=tmp_path)
        == dict(v=1)
    )
    assert 'if-none-match' in server.seen[-1][2] and 'if-none-match' not in server.seen[-2][2]
    server.api['/api_marked/x'] = b'{"v": 2}'
    assert asking(server, '/api_marked/x', cache=tmp_path) == dict(v=2)
    file, = tmp_path.iterdir()
    for junk in (
        b'',
        b'junk',
        b'[]',
        b'{"news": {"If-None-Match": 3}, "answer": 5}',
        b'{"news": {"If-None-Match": "a\\nb"}, "answer": 5}',
        b'{"news": {"Host": "x"}, "answer": 5}',
    ):
        file.write_bytes(junk)
        assert asking(server, '/api_marked/x', cache=tmp_path) == dict(v=2)
        assert server.seen[-1][2]['host'] == server.hosts[0]


def test_secrets_stay_with_the_host_they_are_for(server):
    async def main():
        async with fetching(server) as f:
            for kind in ('moved', 'abroad'):
                await f.get(server.url(f'/{kind}/s.jpg'), headers={'Authorization': 'Bearer secret'})
    server.seen.clear()
    asyncio.run(main())
    assert [('authorization' in h, h['accept-encoding']) for _, _, h in server.seen] == [
        (True, 'identity')
    ] * 3 + [(False, 'identity')]


# ---- no network ----
def test_online(server):
    async def main(*urls, **kw):
        async with fetching(server, **kw) as f: await f.online(*urls, seconds=.5)

    async def hangs(host, port): await asyncio.sleep(60)
    asyncio.run(main(server.url('/http403/x'), 'http://nowhere.test/', look_up=Names({})))
    start = time.monotonic()
    for kw in (dict(look_up=Names({})), dict(look_up=hangs, timeout=30), dict(look_up=hangs)):
        with pytest.raises(FetchError, match='imgcls study synth.*folder') as e: asyncio.run(main(**kw))
        assert e.value.reason == 'no network' and str(e.value).isprintable()
    for url in (
        server.url('/timeout/x'),
        f'http://{server.secret}/',
    ):  # a portal that wants a log-in gives private addresses
        with pytest.raises(FetchError, match='no network'):
            asyncio.run(main(url))
    assert time.monotonic() - start < 6
