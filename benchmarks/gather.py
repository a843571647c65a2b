"""What gathering costs and what it survives, against servers on this machine; writes benchmarks/gather.json.

    python benchmarks/gather.py                  # all of it, some ten minutes on two cores
    python benchmarks/gather.py speed faults     # parts: speed, faults, kills, copies

speed   3,000 photos of about 100 kB from 20 hosts with 50 ms latency and two connections each, beside the limits of network and decoder
faults  the same where a tenth of the answers fails, in each way of tests/badserver.py
kills   `kill -9` at a random moment, 50 times, then once to the end, compared with one run in peace
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

from imgcls.check import Seen, check_photo, near
from imgcls.core import cache_dir

ROOT = Path(__file__).resolve().parents[1]
FILE = Path(__file__).with_name('gather.json')
spec = importlib.util.spec_from_file_location('badserver', ROOT/'tests'/'badserver.py')
badserver = importlib.util.module_from_spec(spec)
spec.loader.exec_module(badserver)
SERVER = ['--hosts', '20', '--latency', '.05', '--per-host', '2']
CLASSES = 'deer', 'fox', 'squirrel'
_RUN = '''
import json, sys, time, resource
from imgcls.gather import gather
source, out, hosts, n = sys.argv[1], sys.argv[2], sys.argv[3].split(','), int(sys.argv[4])
start = time.time()
t = gather([source], per_class=n, out=out, source='urls', allow_hosts=hosts, say=lambda s: print(s, file=sys.stderr))
print(json.dumps(dict(seconds=time.time() - start, photos=len(t), refused=t.attrs['refused'])))
'''


def make_photo(i, size=(1024, 768)):
    "A picture of about 100 kB with a look of its own."
    rng = np.random.default_rng(i)
    img = Image.fromarray(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)).resize(size, Image.Resampling.BICUBIC)
    x = np.asarray(img, np.int16) + rng.integers(-7, 8, (size[1]//2, size[0]//2, 1), dtype=np.int16).repeat(2, 0).repeat(2, 1)
    out = io.BytesIO()
    Image.fromarray(x.clip(0, 255).astype(np.uint8)).save(out, 'JPEG', quality=80)
    return out.getvalue()


def photos(n):
    "A folder of so many photos, made once."
    folder = cache_dir('bench', 'gather')
    missing = [i for i in range(n) if not (folder/f'{i}.jpg').is_file()]
    if missing:
        print(f'drawing {len(missing):,} photos')
        with ProcessPoolExecutor(2) as pool:
            for i, data in zip(missing, pool.map(make_photo, missing, chunksize=50)): (folder/f'{i}.jpg').write_bytes(data)
    return folder


def write_list(path, rows):
    with open(path, 'w', newline='') as f: csv.writer(f).writerows([['url', 'label', 'author', 'licence'], *rows])
    return path


def good_rows(s, n): return [(s.url(f'/ok/{i}.jpg', i % len(s.hosts)), CLASSES[i % 3], f'Ann {i}', 'cc-by') for i in range(n)]


def watch(p):
    "Wait for a process; return the most memory that it and its children had together, in MB, and the most that it had alone."
    most = alone = 0
    me = psutil.Process(p.pid)
    while p.poll() is None:
        try:
            sizes = [x.memory_full_info().pss for x in [me, *me.children(recursive=True)]]
            most, alone = max(most, sum(sizes)), max(alone, sizes[0])
        except psutil.Error: pass
        time.sleep(.25)
    return most/1e6, alone/1e6


def run(source, out, hosts, n=10**6, watched=True):
    "One gather in a process of its own; to watch its memory takes time from it."
    p = subprocess.Popen([sys.executable, '-c', _RUN, str(source), str(out), ','.join(hosts), str(n)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    most, alone = watch(p) if watched else (0, 0)
    said = p.communicate()[0]
    if p.returncode: raise SystemExit(f'gather ended with {p.returncode}')
    return json.loads(said) | dict(memory_mb=round(most), memory_main_mb=round(alone))


async def network(urls, per_host=2):
    "Seconds to fetch the photos with nothing but aiohttp."
    hosts = {}
    for u in urls: hosts.setdefault(u.split('/')[2], []).append(u)

    async def some(session, todo):
        for u in todo:
            async with session.get(u) as r: await r.read()
    start = time.time()
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        await asyncio.gather(*(some(session, h) for mine in hosts.values() for h in [iter(mine)]*per_host))
    return time.time() - start


def check_file(path): return len(check_photo(path.read_bytes()).data)


def decoder(folder, n):
    "Seconds to check the photos in two processes, read from the disk."
    with ProcessPoolExecutor(2) as pool:
        list(pool.map(check_file, [folder/'0.jpg']*4))
        start = time.time()
        list(pool.map(check_file, [folder/f'{i}.jpg' for i in range(n)], chunksize=20))
        return time.time() - start


def speed(tmp, n, rounds=3):
    folder, runs = photos(n), []
    size = sum((folder/f'{i}.jpg').stat().st_size for i in range(n))/n
    with badserver.started(*SERVER, '--folder', str(folder)) as s:
        rows = good_rows(s, n)
        source = write_list(tmp/'speed.csv', rows)
        for k in range(rounds):  # limits and gather in turn, since the machine itself is faster and slower by the minute
            limits = dict(network=asyncio.run(network([r[0] for r in rows])), decoder=decoder(folder, n))
            got = run(source, tmp/f'speed{k}', s.hosts, watched=False)
            runs.append({k: round(v, 2) for k, v in limits.items()} |
                        dict(photos=got['photos'], seconds=round(got['seconds'], 2), times=round(got['seconds']/max(limits.values()), 2)))
            print('  {photos:,} photos in {seconds:.1f} s; limits: network {network:.1f} s, decoder {decoder:.1f} s; {times:.2f} times the slower'.format(**runs[-1]), flush=True)
        memory = {k: v for k, v in run(source, tmp/'speed', s.hosts).items() if k.startswith('memory')}
    out = dict(of=n, kilobytes=round(size/1000), rounds=runs, times_the_limit=statistics.median(r['times'] for r in runs)) | memory
    print(f"speed: {n:,} photos of {out['kilobytes']} kB, {out['times_the_limit']:.2f} times the slower limit (median of {rounds}); "
          f"{out['memory_mb']} MB with the checkers, {out['memory_main_mb']} without", flush=True)
    return out


def bad_rows(s, n, rng):
    "Rows for answers that fail, each fault as often as the others, and the reasons that may be told."
    kinds = [k for k in badserver.FAULTS if k != 'http429_long']
    rows = [(s.url(f'/{kinds[i % len(kinds)]}/{10**6 + i}.jpg', rng.randrange(len(s.hosts))), badserver.FAULTS[kinds[i % len(kinds)]][1]) for i in range(n - n//10)]
    private = 'http://169.254.169.254/{}.jpg', 'http://[::ffff:127.0.0.1]/{}.jpg', 'http://localhost/{}.jpg'
    rows += [(x.format(i), {'private address'}) for i in range(n//30 + 1) for x in private]
    return [((url, CLASSES[i % 3], '', ''), why) for i, (url, why) in enumerate(rows)]


def faults(tmp, n):
    folder, rng = photos(n), random.Random(0)
    with badserver.started(*SERVER, '--folder', str(folder)) as s:
        good, bad = good_rows(s, n - n//10), bad_rows(s, n//10, rng)
        for i in range(len(bad)): (folder/f'{10**6 + i}.jpg').exists() or (folder/f'{10**6 + i}.jpg').symlink_to(f'{i}.jpg')
        rows = [*good, *(r for r, _ in bad)]
        rng.shuffle(rows)
        calm = run(write_list(tmp/'calm.csv', good_rows(s, n)), tmp/'calm', s.hosts)
        got = run(write_list(tmp/'faults.csv', rows), tmp/'faults', s.hosts)
    # of a photo that is announced as shorter than it is, the announced part may be all that arrives before the end
    expected, wrong = {r[0]: why | ({'truncated'} if 'false_length' in r[0] else set()) for r, why in bad}, []
    with open(tmp/'faults'/'refused.csv', newline='') as f:
        for r in csv.DictReader(f):
            if r['reason'] not in expected.pop(r['url'], ()): wrong.append((r['url'], r['reason'], r['detail']))
    out = dict(photos=got['photos'], good=len(good), bad=len(bad), not_told=len(expected), told_wrongly=len(wrong), seconds=round(got['seconds'], 2),
               seconds_without=round(calm['seconds'], 2), times=round(got['seconds']/calm['seconds'], 2), memory_mb=got['memory_mb'])
    print(f"faults: {out['photos']:,} of {len(good):,} good photos arrived; of {len(bad):,} bad ones {len(wrong)} have another reason than expected and {len(expected)} none; "
          f"{out['seconds']:.1f} s, {out['times']:.2f} times the {out['seconds_without']:.1f} s without faults", flush=True)
    for w in wrong[:10]: print('  ', *w)
    return out


def state(folder):
    "All photos and both lists, without the times in them."
    files = {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob('*') if p.is_file() and p.name != 'lock'}
    for name, column in (('manifest.csv', 'fetched_at'), ('refused.csv', 'time')):
        rows = list(csv.DictReader(io.StringIO(files[name].decode(), newline='')))
        files[name] = [{k: v for k, v in r.items() if k != column} for r in rows]
    return files


def listed(folder):
    "Bytes of both lists."
    return sum((folder/f).stat().st_size for f in ('manifest.csv', 'refused.csv') if (folder/f).is_file())


def kills(tmp, rounds, n=1500):
    folder, rng = photos(n), random.Random(1)
    with badserver.started('--hosts', '4', '--latency', '.02', '--folder', str(folder)) as s:
        rows = [(s.url(f'/ok/{i}.jpg', i % 4), CLASSES[i % 3], '', 'cc0') for i in range(n)]
        rows += [(s.url(f'/{k}/{i}.jpg', i % 4), 'fox', '', '') for i, k in enumerate(('http404', 'html', 'gzip_bomb', 'loop', 'to_file', 'empty')*5)]
        rows += [(s.url(f'/ok/{i}.jpg?again', (i + 1) % 4), CLASSES[(i + i % 2) % 3], '', '') for i in range(0, n, 9)]  # copies, half of them under another class
        rng.shuffle(rows)
        source, whole = write_list(tmp/'kills.csv', rows), tmp/'whole'
        run(source, whole, s.hosts, n//4)
        done = 0
        for k in range(rounds):
            p = subprocess.Popen([sys.executable, '-c', _RUN, str(source), str(tmp/'killed'), ','.join(s.hosts), str(n//4)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            # every second time at a random moment, whatever is being done then; else at work, when the lists have grown by a random amount
            until, most = time.time() + (rng.uniform(.2, 1.2) if k % 2 else 60), listed(tmp/'killed') + rng.randrange(1, 12_000)
            while p.poll() is None and time.time() < until and listed(tmp/'killed') < most: time.sleep(.005)
            done += p.poll() is None
            p.send_signal(signal.SIGKILL)
            p.wait()
            for f in (tmp/'killed').rglob('*.jpg'):
                if not f.read_bytes().endswith(b'\xff\xd9'): raise SystemExit(f'a half file: {f}')
        run(source, tmp/'killed', s.hosts, n//4)
    a, b = state(whole), state(tmp/'killed')
    differ = sorted(k for k in a.keys() | b.keys() if a.get(k) != b.get(k))
    print(f'kills: {done} of {rounds} runs were killed at work; then {len(b) - 2:,} photos, {len(differ)} files differ from those of one run {differ[:5]}', flush=True)
    return dict(rounds=rounds, killed_at_work=done, photos=len(b) - 2, differ=len(differ))


def copies(tmp, n=100_000):
    rng = np.random.default_rng(0)
    hashes = rng.integers(0, 2**64, n, dtype=np.uint64)
    hashes[n - n//10:] = hashes[:n//10] ^ (np.uint64(3) << (np.arange(n//10, dtype=np.uint64) % np.uint64(60)))
    start = time.time()
    found = len(near(hashes)[0])
    at_once, start, seen = time.time() - start, time.time(), Seen()
    kept = sum(seen.add(i, f'{i:064x}', f'{h:016x}', 1, 'fox').keep for i, h in enumerate(hashes.tolist()))
    out = dict(records=n, pairs=found, all_at_once=round(at_once, 2), one_after_the_other=round(time.time() - start, 2), kept=kept)
    print(f"copies: {n:,} records, {found:,} pairs in {out['all_at_once']:.2f} s at once, {out['one_after_the_other']:.1f} s one after the other", flush=True)
    return out


def machine():
    name = next((x.split(':')[1].strip() for x in open('/proc/cpuinfo') if x.startswith('model name')), '') if os.path.exists('/proc/cpuinfo') else ''
    return dict(processor=name, cores=len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count(), load=round(os.getloadavg()[0], 1))


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('parts', nargs='*', choices=['speed', 'faults', 'kills', 'copies', []], help='all if none is named')
    p.add_argument('--photos', type=int, default=3000)
    p.add_argument('--rounds', type=int, default=50)
    args = p.parse_args()
    result = json.loads(FILE.read_text()) if FILE.is_file() else {}
    print('machine:', machine())
    tmp = Path(tempfile.mkdtemp(dir=cache_dir('bench')))
    try:
        for part in args.parts or ['speed', 'faults', 'kills', 'copies']:
            how = dict(speed=(speed, [args.photos]), faults=(faults, [args.photos]), kills=(kills, [args.rounds]), copies=(copies, []))[part]
            result[part] = how[0](tmp, *how[1]) | dict(machine=machine())
            FILE.write_text(json.dumps(result, indent=1) + '\n')
    finally: shutil.rmtree(tmp)


if __name__ == '__main__': sys.exit(main())
