"""
A server on loopback that answers as it is asked to, well or badly: for tests/gather and benchmarks/gather.py.

    with BadServer(hosts=3, latency=.05, per_host=2) as s:
        s.url('/ok/fox-1.jpg')            # a photo
        s.url('/reset/fox-2.jpg', 1)      # breaks off in the middle, at the second host
        s.url('/http500/fox-3.jpg?times=2')  # twice an error, then the photo

Each host is a port of its own. `FAULTS` tells what can go wrong, and the reasons that a fetch may give.
In a process of its own, for figures that the server doesn't spoil:
`with started('--hosts', '20', '--latency', '.05') as s`
gives an object with `hosts`, `secret` and `url` as above.
"""
import argparse
import asyncio
import contextlib
import gzip
import hashlib
import io
import json
import random
import socket
import struct
import subprocess
import sys
import threading
import zlib
from collections import Counter
from functools import cached_property
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import parse_qs, urlsplit

FAULTS = {}  # name → (how to answer, the reasons that may be told); filled by `fault`


def fault(*reasons):
    "Enter a function into `FAULTS` under its own name."
    def enter(f):
        FAULTS[f.__name__.strip('_')] = f, set(reasons)
        return f
    return enter


def blob(name, size=3000):
    "Bytes that begin like a JPEG and are different for each name; no photo."
    return b'\xff\xd8\xff\xe0\x00\x10JFIF\x00' + random.Random(name).randbytes(size) + b'\xff\xd9'


def jpeg(name, side=512, noise=24):
    "A real photo of about 100 kB that looks different for each name."
    import numpy as np
    from PIL import Image
    rng = np.random.default_rng(int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], 'big'))
    img = Image.fromarray(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)).resize(
        (side, side * 3 // 4), Image.Resampling.BICUBIC
    )
    x = np.asarray(img, dtype=np.int16) + rng.integers(
        -noise, noise + 1, (side * 3 // 4, side, 1), dtype=np.int16
    )
    out = io.BytesIO()
    Image.fromarray(x.clip(0, 255).astype(np.uint8)).save(out, 'JPEG', quality=88)
    return out.getvalue()


class Exchange:
    "One question and the means to answer it."
    def __init__(self, server, reader, writer, host, path, headers):
        self.server, self.reader, self.writer, self.host, self.path, self.headers = (
            server,
            reader,
            writer,
            host,
            path,
            headers,
        )
        self.keep = True  # may the connection serve another question?

    @cached_property
    def body(self): return self.server.photo(urlsplit(self.path).path.strip('/').partition('/')[2])

    async def send(self, data):
        self.writer.write(data)
        await self.writer.drain()

    async def head(self, status='200 OK', *lines, length=None):
        lines = [f'HTTP/1.1 {status}', *lines] + ([] if length is None else [f'Content-Length: {length}'])
        await self.send(('\r\n'.join(lines) + '\r\n\r\n').encode('latin-1'))

    async def answer(self, body=b'', status='200 OK', *lines):
        text = '\r\n'.join([f'HTTP/1.1 {status}', *lines, f'Content-Length: {len(body)}']) + '\r\n\r\n'
        await self.send(text.encode('latin-1') + body)

    async def silent(self):
        "Say nothing until the other side has enough."
        self.keep = False
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self.reader.read(), self.server.stall)

    async def endless(self, data):
        self.keep = False
        while True: await self.send(data)

    async def reset(self):
        "Break off without a goodbye."
        self.keep = False
        await asyncio.sleep(.02)  # what was sent before should be there first
        self.writer.transport.get_extra_info('socket').setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0)
        )
        self.writer.transport.abort()


JPEG = 'Content-Type: image/jpeg'


async def ok(x): await x.answer(x.body, '200 OK', JPEG, f'ETag: "{zlib.crc32(x.body)}"', 'Set-Cookie: seen=1')


# ---- slow ----
@fault('timeout')
async def timeout(x): await x.silent()


@fault('timeout')
async def stall(x):
    await x.head('200 OK', JPEG, length=len(x.body))
    await x.send(x.body[:1000])
    await x.silent()


@fault('too slow')
async def drip(x):
    await x.head('200 OK', JPEG, length=len(x.body))
    x.keep = False
    for i in range(len(x.body)):
        await x.send(x.body[i:i+1])
        await asyncio.sleep(x.server.drip)


@fault('timeout')
async def drip_head(x):
    x.keep = False
    await x.send(b'HTTP/1.1 200 OK\r\nX-Slow: ')
    while True:
        await x.send(b'x')
        await asyncio.sleep(x.server.drip)


# ---- broken off ----
@fault('reset')
async def reset(x):
    await x.head('200 OK', JPEG, length=len(x.body))
    await x.send(x.body[:len(x.body)//2])
    await x.reset()


@fault('reset')
async def reset_first(x): await x.reset()


@fault('reset')
async def hang_up(x): x.keep = False


@fault('reset')
async def chunks_cut(x):
    await x.head('200 OK', JPEG, 'Transfer-Encoding: chunked')
    await x.send(b'%x\r\n' % len(x.body) + x.body + b'\r\n')
    x.keep = False


# ---- a length that is not true ----
@fault('wrong length')
async def short(x):
    await x.head('200 OK', JPEG, length=len(x.body) + 500)
    await x.send(x.body)
    x.keep = False


@fault('wrong length', 'bad answer')
async def false_length(x):
    await x.head('200 OK', JPEG, length=1000)
    await x.send(x.body[:500])
    await asyncio.sleep(.05)
    await x.endless(x.body[500:])


@fault('bad answer', 'wrong length')
async def false_length_at_once(x):
    x.writer.write(b'HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n' + x.body)
    await x.endless(x.body)


@fault('too large')
async def huge(x):
    await x.head('200 OK', JPEG, length=10**13)
    await x.endless(x.body)


@fault('too large')
async def endless(x):
    await x.head('200 OK', JPEG, 'Transfer-Encoding: chunked')
    await x.endless(b'%x\r\n' % len(x.body) + x.body + b'\r\n')


@fault('too large')
async def endless_plain(x):
    await x.head('200 OK', JPEG, 'Connection: close')
    await x.endless(x.body)


@fault('empty')
async def empty(x): await x.answer(b'', '200 OK', JPEG)


# ---- another status ----
@fault('http 403')
async def http403(x): await x.answer(b'no', '403 Forbidden')


@fault('http 404')
async def http404(x): await x.answer(b'no', '404 Not Found')


@fault('http 429')
async def http429(x):
    await x.answer(b'later', '429 Too Many Requests', f'Retry-After: {x.server.retry_after}')


@fault('http 429')
async def http429_long(x): await x.answer(b'tomorrow', '429 Too Many Requests', 'Retry-After: 86400')


@fault('http 500')
async def http500(x): await x.answer(b'oops', '500 Internal Server Error')


@fault('http 503')
async def http503(x): await x.answer(b'busy', '503 Service Unavailable')


@fault('http 304')
async def http304(x): await x.head('304 Not Modified')


@fault('http 206')
async def http206(x):
    await x.answer(x.body[:100], '206 Partial Content', f'Content-Range: bytes 0-99/{len(x.body)}')


# ---- something else than a photo ----
@fault('not an image')
async def html(x):
    await x.answer(
        b'<!DOCTYPE html><title>Sign in</title>' + b'<p>please</p>' * 200, '200 OK', 'Content-Type: text/html'
    )


@fault('not an image')
async def html_as_jpeg(x): await x.answer(b'\n <html>gone</html>', '200 OK', JPEG)


@fault('not an image')
async def json_text(x): await x.answer(b'{"error": "quota"}', '200 OK', 'Content-Type: application/json')


@fault('not an image')
async def html_endless(x):
    await x.head('200 OK', 'Content-Type: text/html', 'Transfer-Encoding: chunked')
    await x.endless(b'1000\r\n' + b'<p>more</p>\n'.ljust(4096, b' ') + b'\r\n')


# ---- packed ----
@fault('gzip bomb')
async def gzip_bomb(x): await x.answer(_bomb(), '200 OK', JPEG, 'Content-Encoding: gzip')


@fault('bad encoding')
async def gzip_bad(x): await x.answer(x.body, '200 OK', JPEG, 'Content-Encoding: gzip')


@fault('wrong length')
async def gzip_cut(x): await x.answer(gzip.compress(x.body)[:-20], '200 OK', JPEG, 'Content-Encoding: gzip')


@fault('bad encoding')
async def brotli(x): await x.answer(x.body, '200 OK', JPEG, 'Content-Encoding: br')


@fault('bad encoding')
async def gzip_twice(x):
    await x.answer(gzip.compress(_bomb()), '200 OK', JPEG, 'Content-Encoding: gzip, gzip')


# ---- not HTTP ----
@fault('bad answer')
async def garbage(x):
    await x.send(b'\x00\x01\x02 not HTTP at all\r\n\r\n')
    x.keep = False


@fault('bad answer')
async def long_header(x):
    await x.answer(x.body, '200 OK', 'X-Long: ' + 'x'*100_000)
    x.keep = False


@fault('bad answer')
async def many_headers(x):
    await x.answer(x.body, '200 OK', *[f'X-{i}: x' for i in range(2000)])
    x.keep = False


# ---- redirects ----
async def _to(x, place): await x.answer(b'', '302 Found', f'Location: {place}')


@fault('redirect loop')
async def loop(x): await _to(x, x.path)


@fault('redirect loop')
async def hops(x): await _to(x, f'/hops/{random.random()}')


@fault('private address')
async def to_loopback(x): await _to(x, f'http://{x.server.secret}/admin')


@fault('private address')
async def to_localhost(x): await _to(x, f'http://localhost:{x.server.secret.rpartition(":")[2]}/admin')


@fault('private address')
async def to_mapped(x): await _to(x, f'http://[::ffff:127.0.0.1]:{x.server.secret.rpartition(":")[2]}/admin')


@fault('private address')
async def to_number(x): await _to(x, f'http://2130706433:{x.server.secret.rpartition(":")[2]}/admin')


@fault('private address', 'no such host')  # not every system takes it for an address
async def to_hex(x): await _to(x, f'http://0x7f000001:{x.server.secret.rpartition(":")[2]}/admin')


@fault('private address')
async def to_link_local(x): await _to(x, 'http://169.254.169.254/latest/meta-data/')


@fault('private address')
async def to_nat64(x): await _to(x, 'http://[64:ff9b::7f00:1]/')


@fault('private address')
async def to_network(x): await _to(x, '//10.0.0.1/photo.jpg')


@fault('scheme')
async def to_file(x): await _to(x, 'file:///etc/passwd')


@fault('scheme')
async def to_data(x): await _to(x, 'data:image/png;base64,iVBORw0KGgo=')


@fault('bad url')
async def to_user(x): await _to(x, f'http://me:secret@{x.host}/ok/x.jpg')


@fault('bad url')
async def to_nonsense(x): await _to(x, 'http://[::1/')


@fault('bad answer')
async def to_nowhere(x): await x.answer(b'', '302 Found')


# ---- answers of a provider, for `ask` ----
async def api(x):
    await x.answer(x.server.api.get(urlsplit(x.path).path, b'{}'), '200 OK', 'Content-Type: application/json')


async def api_gzip(x):
    await x.answer(
        gzip.compress(x.server.api.get(urlsplit(x.path).path, b'{}')), '200 OK', 'Content-Encoding: gzip'
    )


async def api_marked(x):
    body = x.server.api.get(urlsplit(x.path).path, b'{}')
    mark = f'"{zlib.crc32(body)}"'
    if x.headers.get('if-none-match') == mark: await x.head('304 Not Modified', f'ETag: {mark}')
    else: await x.answer(body, '200 OK', f'ETag: {mark}')


async def moved(x): await _to(x, '/ok/' + urlsplit(x.path).path.rpartition('/')[2])


async def abroad(x):
    await _to(x, f'http://{x.server.hosts[-1]}/ok/' + urlsplit(x.path).path.rpartition('/')[2])


async def gzip_ok(x): await x.answer(gzip.compress(x.body), '200 OK', JPEG, 'Content-Encoding: gzip')


async def chunked(x):
    await x.head('200 OK', JPEG, 'Transfer-Encoding: chunked')
    step = max(1000, len(x.body)//100)
    for i in range(0, len(x.body), step):
        await x.send(b'%x\r\n' % len(x.body[i : i + step]) + x.body[i : i + step] + b'\r\n')
    await x.send(b'0\r\n\r\n')


async def until_close(x):
    await x.head('200 OK', JPEG, 'Connection: close')
    await x.send(x.body)
    x.keep = False


GOOD = dict(
    ok=ok, moved=moved, abroad=abroad, gzip_ok=gzip_ok, chunked=chunked, until_close=until_close
)  # a photo arrives
_ANSWERS = (
    GOOD | dict(api=api, api_gzip=api_gzip, api_marked=api_marked) | {k: f for k, (f, _) in FAULTS.items()}
)
_bombs = []


def _bomb():
    "50 MB in 50 kB."
    if not _bombs:
        z = zlib.compressobj(9, wbits=31)
        _bombs.append(b''.join([z.compress(bytes(10**6)) for _ in range(50)] + [z.flush()]))
    return _bombs[0]


class BadServer:
    "Hosts on ports of their own, in a thread of its own."
    def __init__(
        self,
        hosts=1,  # how many
        latency=0.,  # seconds before each answer, and before the first question of a connection
        per_host=None,  # questions that a host answers at the same time; the others wait
        photo=blob,  # name → bytes
        drip=.02,  # seconds between two bytes of a slow answer
        stall=60.,  # seconds of silence at most
        retry_after=1,  # seconds, for http429
        bind='127.0.0.1',
        public=None,  # the name under which the hosts are known; the address if not given
    ):
        self.n, self.latency, self.per_host, self.photo, self.drip, self.stall, self.retry_after = (
            hosts,
            latency,
            per_host,
            photo,
            drip,
            stall,
            retry_after,
        )
        self.bind, self.public = bind, public or bind
        self.hosts, self.secret, self.api = [], '', {}
        self.hits, self.seen, self.open, self.most_open, self.connections, self.secret_hits = (
            Counter(),
            [],
            Counter(),
            Counter(),
            Counter(),
            0,
        )
        self._ready, self._loop, self._stop = threading.Event(), None, None

    def url(self, path, host=0): return f'http://{self.hosts[host]}{path}'

    def __enter__(self):
        _bomb()  # takes a moment, which no question should wait for
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)
        self._thread.start()
        assert self._ready.wait(10), 'the server did not start'
        return self

    def __exit__(self, *_):
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    async def _run(self):
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        self._loop.set_exception_handler(lambda *_: None)  # those who hang up are no news here
        servers = [await self._listen(False) for _ in range(self.n)] + [await self._listen(True)]
        *self.hosts, self.secret = [f'{self.public}:{s.sockets[0].getsockname()[1]}' for s in servers]
        self._ready.set()
        await self._stop.wait()
        for s in servers: s.close()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for t in tasks: t.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(.01)  # for the connections to close

    async def _listen(self, secret):
        "Start one host; the secret one only counts who comes."
        slots = asyncio.Semaphore(self.per_host) if self.per_host else contextlib.nullcontext()
        host = [None]

        async def serve(reader, writer):
            if secret: self.secret_hits += 1
            try:
                if self.latency: await asyncio.sleep(self.latency)
                self.connections[host[0]] += 1
                while await self._exchange(reader, writer, host[0], slots): pass
            except (OSError, EOFError, asyncio.LimitOverrunError): pass  # hung up, or no HTTP
            finally: writer.close()
        server = await asyncio.start_server(serve, self.bind, 0, backlog=512)
        host[0] = f'{self.public}:{server.sockets[0].getsockname()[1]}'
        return server

    async def _exchange(self, reader, writer, host, slots):
        "Answer one question; False when the connection is done with."
        lines = (await reader.readuntil(b'\r\n\r\n')).decode('latin-1').split('\r\n')
        path, headers = (
            lines[0].split(' ')[1],
            {k.lower(): v.strip() for k, _, v in (o.partition(':') for o in lines[1:])},
        )
        self.hits[path] += 1
        self.seen.append((host, path, headers))
        self.open[host] += 1
        self.most_open[host] = max(self.most_open[host], self.open[host])
        try:
            async with slots:
                if self.latency: await asyncio.sleep(self.latency)
                parts = urlsplit(path)
                kind = parts.path.strip('/').partition('/')[0]
                times = parse_qs(parts.query).get('times')
                if times and self.hits[path] > int(times[0]): kind = 'ok'
                x = Exchange(self, reader, writer, host, path, headers)
                if kind in _ANSWERS: await _ANSWERS[kind](x)
                else: await x.answer(b'?', '404 Not Found')
        finally: self.open[host] -= 1
        return x.keep


class Names:
    "A name server for `Fetcher(look_up=…)`: each look-up of a name takes its next answer; the last stays."
    def __init__(self, table): self.table, self.asked = {k: list(v) for k, v in table.items()}, []

    async def __call__(self, host, port):
        self.asked.append(host)
        if host not in self.table: raise socket.gaierror(socket.EAI_NONAME, 'no such name')
        answers = self.table[host]
        return answers.pop(0) if len(answers) > 1 else answers[0]


@contextlib.contextmanager
def started(*options):
    "The server in a process of its own; `options` as on the command line."
    p = subprocess.Popen([sys.executable, __file__, *options], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        s = SimpleNamespace(**json.loads(p.stdout.readline()))
        s.url = lambda path, host=0: f'http://{s.hosts[host]}{path}'
        yield s
    finally:
        p.stdin.close()
        p.stdout.close()
        p.wait(20)


def main():
    a = argparse.ArgumentParser(
        description='Serve photos and faults on loopback until stdin ends; print the hosts as JSON.'
    )
    a.add_argument('--hosts', type=int, default=1)
    a.add_argument('--latency', type=float, default=0, help='seconds')
    a.add_argument('--per-host', type=int, help='questions answered at the same time')
    a.add_argument('--retry-after', type=int, default=1, help='seconds')
    a.add_argument('--drip', type=float, default=1, help='seconds between two bytes')
    a.add_argument('--folder', type=Path, help='photos to send, by their names; made up if not given')
    o = a.parse_args()
    photo = (lambda name: (o.folder/Path(name).name).read_bytes()) if o.folder else blob
    with BadServer(o.hosts, o.latency, o.per_host, photo, o.drip, 600, o.retry_after) as s:
        print(json.dumps(dict(hosts=s.hosts, secret=s.secret)), flush=True)
        sys.stdin.read()


if __name__ == '__main__': main()
