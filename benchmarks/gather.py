"""What gathering costs and what it survives, against servers on this machine; writes benchmarks/gather.json.

    python benchmarks/gather.py                  # all of it, some ten minutes on two cores
    python benchmarks/gather.py speed faults     # parts: speed, faults, kills, copies

speed   3,000 photos of about 100 kB from 20 hosts with 50 ms latency and two connections each, beside the
        limits of network and decoder
faults  the same where a tenth of the answers fails, in each way of tests/gather/badserver.py
kills   `kill -9` at a random moment, 50 times, then once to the end, compared with one undisturbed run
copies  100,000 records searched for copies by perceptual hash
"""
import argparse
import asyncio
import csv
import importlib.util
import io
import json
import os
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import aiohttp
import numpy as np
import psutil
from PIL import Image

from imgcls.cache import cache_dir
from imgcls.gather.looks import Seen
from imgcls.gather.verify import check_photo

ROOT = Path(__file__).resolve().parents[1]
FILE = Path(__file__).with_name('gather.json')
spec = importlib.util.spec_from_file_location('badserver', ROOT/'tests'/'gather'/'badserver.py')
badserver = importlib.util.module_from_spec(spec)
spec.loader.exec_module(badserver)
SERVER = ['--hosts', '20', '--latency', '.05', '--per-host', '2']
CLASSES = 'deer', 'fox', 'squirrel'
_RUN = '''
import json, sys, time
from imgcls.gather.gather import gather
source, out, hosts, n = sys.argv[1], sys.argv[2], sys.argv[3].split(','), int(sys.argv[4])
start = time.time()
got = gather([source], per_class=n, out=out, source='urls', allow_hosts=hosts,
             say=lambda s: print(s, file=sys.stderr))
print(json.dumps(dict(seconds=time.time() - start, photos=len(got))))
'''


def make_photo(i, size=(1024, 768)):
    "A picture of about 100 kB with a look of its own."
    rng, (width, height) = np.random.default_rng(i), size
    small = Image.fromarray(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8))
    noise = rng.integers(-7, 8, (height//2, width//2, 1), dtype=np.int16).repeat(2, 0).repeat(2, 1)
    x = np.asarray(small.resize(size, Image.Resampling.BICUBIC), np.int16) + noise
    out = io.BytesIO()
    Image.fromarray(x.clip(0, 255).astype(np.uint8)).save(out, 'JPEG', quality=80)
    return out.getvalue()


def photos(n):
    "A folder of n photos, made once."
    folder = cache_dir('bench', 'gather')
    missing = [i for i in range(n) if not (folder/f'{i}.jpg').is_file()]
    if not missing: return folder
    print(f'drawing {len(missing):,} photos')
    with ProcessPoolExecutor(2) as pool:
        drawn = pool.map(make_photo, missing, chunksize=50)
        for i, data in zip(missing, drawn): (folder/f'{i}.jpg').write_bytes(data)
    return folder


def write_list(path, rows):
    "Write a list for the provider urls; return its path."
    with open(path, 'w', newline='') as f:
        csv.writer(f).writerows([['url', 'label', 'author', 'licence'], *rows])
    return path


def good_rows(s, n):
    "Rows of a list for n photos of a server."
    urls = [s.url(f'/ok/{i}.jpg', i % len(s.hosts)) for i in range(n)]
    return [(url, CLASSES[i % 3], f'Ann {i}', 'cc-by') for i, url in enumerate(urls)]


def watch(p):
    "Wait for a process; return the most MB that it had with its children, and the most that it had alone."
    most = alone = 0
    me = psutil.Process(p.pid)
    while p.poll() is None:
        try:
            sizes = [x.memory_full_info().pss for x in [me, *me.children(recursive=True)]]
            most, alone = max(most, sum(sizes)), max(alone, sizes[0])
        except psutil.Error: pass
        time.sleep(.25)
    return most/1e6, alone/1e6


def start_gather(source, out, hosts, n, stdout):
    "A gather in a process of its own."
    command = [sys.executable, '-c', _RUN, str(source), str(out), ','.join(hosts), str(n)]
    return subprocess.Popen(command, stdout=stdout, stderr=subprocess.DEVNULL, text=True)


def run(source, out, hosts, n=10**6, watched=True):
    "The figures of one gather; watching its memory takes time from it."
    p = start_gather(source, out, hosts, n, subprocess.PIPE)
    most, alone = watch(p) if watched else (0, 0)
    printed = p.communicate()[0]
    if p.returncode: raise SystemExit(f'gather ended with {p.returncode}')
    return json.loads(printed) | dict(memory_mb=round(most), memory_main_mb=round(alone))


async def network(urls, per_host=2):
    "Seconds to fetch the photos with nothing but aiohttp."
    hosts = {}
    for u in urls: hosts.setdefault(u.split('/')[2], []).append(u)

    async def some(session, todo):
        for u in todo:
            async with session.get(u) as r: await r.read()
    start = time.time()
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        shared = [iter(mine) for mine in hosts.values()]
        await asyncio.gather(*(some(session, todo) for todo in shared for _ in range(per_host)))
    return time.time() - start


def check_file(path): return len(check_photo(path.read_bytes()).data)


def decoder(folder, n):
    "Seconds to check the photos in two processes, read from the disk."
    with ProcessPoolExecutor(2) as pool:
        list(pool.map(check_file, [folder/'0.jpg']*4))
        start = time.time()
        list(pool.map(check_file, [folder/f'{i}.jpg' for i in range(n)], chunksize=20))
        return time.time() - start


def beside_limits(source, urls, folder, s, out):
    "One gather, and what network and decoder alone would take."
    limits = dict(network=asyncio.run(network(urls)), decoder=decoder(folder, len(urls)))
    got = run(source, out, s.hosts, watched=False)
    r = {k: round(v, 2) for k, v in limits.items()}
    r |= dict(photos=got['photos'], seconds=round(got['seconds'], 2),
              times=round(got['seconds']/max(limits.values()), 2))
    print(f"  {r['photos']:,} photos in {r['seconds']:.1f} s; limits: network {r['network']:.1f} s, "
          f"decoder {r['decoder']:.1f} s; {r['times']:.2f} times the slower", flush=True)
    return r


def speed(tmp, n, rounds=3):
    "Gather and the limits, in turn, since the machine itself is faster and slower by the minute."
    folder = photos(n)
    size = sum((folder/f'{i}.jpg').stat().st_size for i in range(n))/n
    with badserver.started(*SERVER, '--folder', str(folder)) as s:
        rows = good_rows(s, n)
        source, urls = write_list(tmp/'speed.csv', rows), [r[0] for r in rows]
        runs = [beside_limits(source, urls, folder, s, tmp/f'speed{k}') for k in range(rounds)]
        watched = run(source, tmp/'speed', s.hosts)
    out = dict(of=n, kilobytes=round(size/1000), rounds=runs,
               times_the_limit=statistics.median(r['times'] for r in runs),
               memory_mb=watched['memory_mb'], memory_main_mb=watched['memory_main_mb'])
    print(f"speed: {n:,} photos of {out['kilobytes']} kB, {out['times_the_limit']:.2f} times the slower "
          f"limit (median of {rounds}); {out['memory_mb']} MB with the checkers, {out['memory_main_mb']} "
          'without', flush=True)
    return out


def bad_rows(s, n, rng):
    "Rows that fail, each fault as often as the others, and the reasons that may be given for each."
    kinds = [k for k in badserver.FAULTS if k != 'http429_long']
    urls = []
    for i in range(n - n//10):
        kind = kinds[i % len(kinds)]
        url = s.url(f'/{kind}/{10**6 + i}.jpg', rng.randrange(len(s.hosts)))
        urls.append((url, badserver.FAULTS[kind][1]))
    private = 'http://169.254.169.254/{}.jpg', 'http://[::ffff:127.0.0.1]/{}.jpg', 'http://localhost/{}.jpg'
    urls += [(x.format(i), {'private address'}) for i in range(n//30 + 1) for x in private]
    return [((url, CLASSES[i % 3], '', ''), reasons) for i, (url, reasons) in enumerate(urls)]


def wrong_reasons(bad, refused):
    "Bad rows with another reason than expected, and the number of those without any."
    expected, wrong = {row[0]: reasons for row, reasons in bad}, []
    for url in expected:
        # the announced part of a photo may be all that arrives before the end
        if 'false_length' in url: expected[url] = expected[url] | {'truncated'}
    with open(refused, newline='') as f:
        for r in csv.DictReader(f):
            if r['reason'] in expected.pop(r['url'], ()): continue
            wrong.append((r['url'], r['reason'], r['detail']))
    return wrong, len(expected)


def faults(tmp, n):
    "A gather where a tenth of the answers fails, beside one without faults."
    folder, rng = photos(n), random.Random(0)
    with badserver.started(*SERVER, '--folder', str(folder)) as s:
        good, bad = good_rows(s, n - n//10), bad_rows(s, n//10, rng)
        for i in range(len(bad)):
            link = folder/f'{10**6 + i}.jpg'
            if not link.exists(): link.symlink_to(f'{i}.jpg')
        rows = [*good, *(row for row, _ in bad)]
        rng.shuffle(rows)
        calm = run(write_list(tmp/'calm.csv', good_rows(s, n)), tmp/'calm', s.hosts)
        got = run(write_list(tmp/'faults.csv', rows), tmp/'faults', s.hosts)
    wrong, without = wrong_reasons(bad, tmp/'faults'/'refused.csv')
    out = dict(photos=got['photos'], good=len(good), bad=len(bad), not_told=without, told_wrongly=len(wrong),
               seconds=round(got['seconds'], 2), seconds_without=round(calm['seconds'], 2),
               times=round(got['seconds']/calm['seconds'], 2), memory_mb=got['memory_mb'])
    print(f"faults: {out['photos']:,} of {len(good):,} good photos arrived; of {len(bad):,} bad ones "
          f"{len(wrong)} have another reason than expected and {without} none; {out['seconds']:.1f} s, "
          f"{out['times']:.2f} times the {out['seconds_without']:.1f} s without faults", flush=True)
    for w in wrong[:10]: print('  ', *w)
    return out


def state(folder):
    "All photos and both lists, without the times in them."
    found = [p for p in folder.rglob('*') if p.is_file() and p.name != 'lock']
    files = {str(p.relative_to(folder)): p.read_bytes() for p in found}
    for name, column in (('manifest.csv', 'fetched_at'), ('refused.csv', 'time')):
        rows = list(csv.DictReader(io.StringIO(files[name].decode(), newline='')))
        files[name] = [{k: v for k, v in r.items() if k != column} for r in rows]
    return files


def listed(folder):
    "Bytes of both lists."
    files = [folder/f for f in ('manifest.csv', 'refused.csv')]
    return sum(f.stat().st_size for f in files if f.is_file())


def rows_to_kill(s, n, rng):
    "Good photos, failing ones, and copies, half of them with another label."
    rows = [(s.url(f'/ok/{i}.jpg', i % 4), CLASSES[i % 3], '', 'cc0') for i in range(n)]
    kinds = ('http404', 'html', 'gzip_bomb', 'loop', 'to_file', 'empty')*5
    rows += [(s.url(f'/{k}/{i}.jpg', i % 4), 'fox', '', '') for i, k in enumerate(kinds)]
    for i in range(0, n, 9):
        rows.append((s.url(f'/ok/{i}.jpg?again', (i + 1) % 4), CLASSES[(i + i % 2) % 3], '', ''))
    rng.shuffle(rows)
    return rows


def kill_one(p, out, k, rng):
    "Kill a gather; was it still at work?"
    # every second time at a random moment, whatever is done then;
    # else at work, when the lists have grown by a random amount
    until = time.time() + (rng.uniform(.2, 1.2) if k % 2 else 60)
    most = listed(out) + rng.randrange(1, 12_000)
    while p.poll() is None and time.time() < until and listed(out) < most: time.sleep(.005)
    at_work = p.poll() is None
    p.send_signal(signal.SIGKILL)
    p.wait()
    for f in out.rglob('*.jpg'):
        if not f.read_bytes().endswith(b'\xff\xd9'): raise SystemExit(f'a half file: {f}')
    return at_work


def kills(tmp, rounds, n=1500):
    "A gather that is killed again and again, beside one that isn't."
    folder, rng, killed = photos(n), random.Random(1), 0
    with badserver.started('--hosts', '4', '--latency', '.02', '--folder', str(folder)) as s:
        source = write_list(tmp/'kills.csv', rows_to_kill(s, n, rng))
        run(source, tmp/'whole', s.hosts, n//4)
        for k in range(rounds):
            p = start_gather(source, tmp/'killed', s.hosts, n//4, subprocess.DEVNULL)
            killed += kill_one(p, tmp/'killed', k, rng)
        run(source, tmp/'killed', s.hosts, n//4)
    a, b = state(tmp/'whole'), state(tmp/'killed')
    differ = sorted(k for k in a.keys() | b.keys() if a.get(k) != b.get(k))
    print(f'kills: {killed} of {rounds} runs were killed at work; then {len(b) - 2:,} photos, {len(differ)} '
          f'files differ from those of one run {differ[:5]}', flush=True)
    return dict(rounds=rounds, killed_at_work=killed, photos=len(b) - 2, differ=len(differ))


def copies(tmp, n=100_000):
    "The search for copies, one photo after the other."
    rng, few = np.random.default_rng(0), n//10
    hashes = rng.integers(0, 2**64, n, dtype=np.uint64)
    hashes[n - few:] = hashes[:few] ^ (np.uint64(3) << (np.arange(few, dtype=np.uint64) % np.uint64(60)))
    texts, seen = [f'{h:016x}' for h in hashes.tolist()], Seen()
    start = time.time()
    kept = sum(seen.add(i, f'{i:064x}', text, 1, 'fox').keep for i, text in enumerate(texts))
    out = dict(records=n, one_after_the_other=round(time.time() - start, 2), kept=kept)
    print(f"copies: {n:,} records in {out['one_after_the_other']:.1f} s one after the other", flush=True)
    return out


def machine():
    "Processor, cores that this process may use, and how busy they are."
    name, info = '', Path('/proc/cpuinfo')
    if info.exists():
        lines = info.read_text().splitlines()
        name = next((x.split(':')[1].strip() for x in lines if x.startswith('model name')), '')
    cores = len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count()
    return dict(processor=name, cores=cores, load=round(os.getloadavg()[0], 1))


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('parts', nargs='*', metavar='PART',
                   help='which figures: speed, faults, kills, copies (default: all)')
    p.add_argument('--photos', type=int, default=3000, help='photos for speed and faults')
    p.add_argument('--rounds', type=int, default=50, help='how often a gather is killed')
    args = p.parse_args()
    parts = dict(speed=lambda tmp: speed(tmp, args.photos), faults=lambda tmp: faults(tmp, args.photos),
                 kills=lambda tmp: kills(tmp, args.rounds), copies=copies)
    if wrong := set(args.parts) - set(parts):
        sys.exit(f"no part is called {', '.join(wrong)}; there are {', '.join(parts)}")
    result = json.loads(FILE.read_text()) if FILE.is_file() else {}
    print('machine:', machine())
    tmp = Path(tempfile.mkdtemp(dir=cache_dir('bench')))
    try:
        for part in args.parts or parts:
            result[part] = parts[part](tmp) | dict(machine=machine())
            FILE.write_text(json.dumps(result, indent=1) + '\n')
    finally: shutil.rmtree(tmp)


if __name__ == '__main__': sys.exit(main())
