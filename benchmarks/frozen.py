"""Frozen studies against the yardsticks, in turn, whole processes, cold caches; writes benchmarks/frozen.json.

    make bench                                    # or: python benchmarks/frozen.py cifar clothing --shared ../shared --rounds 3

SHARED holds `data/{cifar10,clothing}.zip` and the yardsticks `bench/{bare_study,plain_fastai}.py`.
The data are unzipped into the cache of imgcls; nothing is written into SHARED. About 40 minutes on two cores.
"""
import argparse
import itertools
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd

from imgcls.core import cache_dir
from imgcls.data import load_table, photo_table
from imgcls.features import Features
from imgcls.study import Study, machine, study, versions
from imgcls.synth import synth_folder
from imgcls.tables import steps

BIRDS = 'bird,deer,frog'
CIFAR = ['cifar10', '--classes', BIRDS, '--sizes', '100,500,1000,5000', '--res', '96']
CLOTHES = ['clothing', '--sizes', 'all', '--res', '224']
OURS = ['--recipe', 'frozen', '--arch', 'efficientnet_lite0', '--epochs', '4', '--json']


TOLD = dict(study='make study with nothing cached', cifar=f'CIFAR-10 {BIRDS}, 96 px, 100, 500, 1000, 5000 a class, 3,000 test photos, in turn with the bare script',
            clothing='all training photos, 224 px, 372 test photos, in turn with the bare script', memory='peak memory at 1,000 and 50,000 training photos',
            fastai='clothing, 100 a class, 128 px, the same photos, against plain fastai', spread='the embedded dataset, three drawings and three test sets')


def say(*words): print(*words, flush=True)


def run(command, data, **env):
    "Last line of standard output as JSON, with the seconds of the whole process."
    start = time.time()
    done = subprocess.run([*map(str, command)], cwd=data, env={**os.environ, **env}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.returncode: sys.exit(f'{command} failed:\n{done.stderr[-2000:]}')
    return dict(json.loads(done.stdout.strip().splitlines()[-1]), process=round(time.time()-start, 1))


def ours(args, data, cache, out):
    "One study as a user would make it, with its report."
    r = run([sys.executable, '-c', 'import sys; from imgcls.cli import main; sys.exit(main())', 'study', *args, *OURS, '--out', out], data, IMGCLS_CACHE=str(cache))
    f, cores = r['features'], os.cpu_count()
    more = {'overhead': round(f['wall']*cores/f['body']-1, 3)} if f['computed'] else {}
    return dict(process=r['process'], accuracy={str(x['size']): x['accuracy'] for x in r['runs']}, computed=f['computed'],
                body=round(f['body']/cores, 1), features=round(f['wall'], 1), peak_mb=r['peak_mb'], photos=r['photos'], **more)


def in_turn(args, yardstick, data, tmp, rounds):
    "Ours (cold, then again on the same photos) and the yardstick, in turn."
    rows = []
    for i in range(rounds):
        cold, warm = (ours(args, data, tmp/f'cache-{i}', tmp/f'{i}-{k}') for k in 'ab')
        bare = run([sys.executable, *yardstick], data)
        rows.append(dict(ours=cold, again=warm, yardstick=bare, ratio=round(cold['process']/bare['process'], 3), ratio_again=round(warm['process']/bare['process'], 3)))
        say(f"  round {i+1}: ours {cold['process']} s, again {warm['process']} s, yardstick {bare['process']} s: ratios {rows[-1]['ratio']}, {rows[-1]['ratio_again']}")
    middle = {k: statistics.median(r[k] for r in rows) for k in ('ratio', 'ratio_again')}
    return dict(rounds=rows, **middle, overhead=statistics.median(r['ours']['overhead'] for r in rows))


def same_photos(data, tmp):
    "Accuracy on the very photos that the yardstick drew: its shuffle in place of our order."
    os.environ['IMGCLS_CACHE'] = str(tmp/'cache-0')
    table = load_table(tmp/'0-a'/'table.parquet')
    random.seed(0)
    rank = {}
    for c in BIRDS.split(','):
        files = sorted((data/'cifar10'/'train'/c).iterdir())
        random.shuffle(files)
        rank.update({str(f): i for i, f in enumerate(files)})
    train = table.split == 'train'
    table.loc[train, 'order'] = [rank[p] for p in table.path[train]]
    st = study(table, sizes=[100, 500, 1000, 5000], arch='efficientnet_lite0', res=96, out=tmp/'same', say=lambda s: None)
    return {str(r['size']): r['accuracy'] for r in st.runs.to_dict('records')}


def against_fastai(shared, data, tmp, rounds):
    "Plain fastai on clothing, 100 photos a class, and ours on the same photos."
    plain = run([sys.executable, shared/'bench'/'plain_fastai.py', 'clothing', 100, 128, 4], data)
    root = data/'clothing'
    classes = sorted(p.name for p in (root/'train').iterdir())
    random.seed(0)
    train = [f for c in classes for f in random.sample(sorted((root/'train'/c).iterdir()), min(100, len(list((root/'train'/c).iterdir()))))]
    rows = [(f, f.parent.name, 'train') for f in train] + [(f, c, 'test') for c in classes for f in sorted((root/'test'/c).iterdir())]
    pd.DataFrame(rows, columns=['path', 'label', 'split']).to_csv(tmp/'same.csv', index=False)
    mine = ours([tmp/'same.csv', '--sizes', 'all', '--res', 128], data, tmp/'cache-fastai', tmp/'fastai')
    reached = mine['accuracy']['all'] >= plain['accuracy'][-1]
    say(f"  plain fastai {plain['accuracy'][-1]:.1%} after {plain['seconds']} s of fine_tune; ours {mine['accuracy']['all']:.1%} after {mine['process']} s, all included")
    return dict(plain=plain, ours=mine, ratio=round(plain['seconds']/mine['process'], 1) if reached else None)


def memory(shared, data, tmp, rounds):
    "Peak memory at 1,000 and at 50,000 training photos (and CIFAR-10's test photos)."
    result = {}
    for n in (1000, 50_000):
        rows = [(f, f.parent.name, s) for s in ('train', 'test') for c in sorted((data/'cifar10'/s).iterdir()) for f in sorted(c.iterdir())[:n//10 if s == 'train' else n//50]]
        pd.DataFrame(rows, columns=['path', 'label', 'split']).to_csv(tmp/f'{n}.csv', index=False)
        r = ours([tmp/f'{n}.csv', '--sizes', 'all', '--res', 96], data, tmp/f'cache-{n}', tmp/f'memory-{n}')
        result[str(n)] = dict(photos=r['photos'], peak_mb=r['peak_mb'], seconds=r['process'], accuracy=r['accuracy']['all'])
        say(f"  {r['photos']:,} photos: {r['peak_mb']:,.0f} MB, {r['process']} s")
    return result


def embedded(shared, data, tmp, rounds):
    "`make study` with nothing cached, the drawing of the scenes included."
    sizes, cache = '20,100,500,1000', tmp/'cache-study'
    r = run([sys.executable, '-c', 'import sys; from imgcls.cli import main; sys.exit(main())', 'study', 'synth', '--sizes', sizes, *OURS, '--out', tmp/'study'],
            tmp, IMGCLS_CACHE=str(cache))
    say(f"  {r['process']} s: {[(x['size'], round(x['accuracy'], 3)) for x in r['runs']]}")
    return dict(process=r['process'], peak_mb=r['peak_mb'], runs=r['runs'], steps=steps(Study(tmp/'study'))[['size_to', 'difference', 'low', 'high', 'verdict']].to_dict('records'))


def embedded_spread(shared, data, tmp, rounds):
    "The curve of the embedded dataset over three drawings × three test sets × two draws of training photos."
    os.environ['IMGCLS_CACHE'], rows = str(tmp/'cache'), []
    for drawn, aside in itertools.product(range(3), range(3)):
        feats = Features('efficientnet_lite0', res=128)
        table = photo_table(synth_folder(seed=drawn), seed=aside, check=feats)
        st = study(table, sizes=[20, 100, 500, 1000], arch='efficientnet_lite0', res=128, seeds=2, out=tmp/f'spread-{drawn}-{aside}', say=lambda s: None)
        rows.append(st.runs.groupby('size').accuracy.mean())
    spread = {str(n): [round(float(f(c)), 4) for f in (np.mean, np.min, np.max)] for n, c in pd.DataFrame(rows).items()}
    say(f'  mean, least and most of nine studies: {spread}')
    return spread


def cifar(shared, data, tmp, rounds):
    result = in_turn(CIFAR, [shared/'bench'/'bare_study.py', 'cifar10', '96', BIRDS, '100,500,1000,5000'], data, tmp, rounds)
    result['same_photos'] = same_photos(data, tmp)
    say(f"  accuracy on the yardstick's own draw {result['same_photos']}, yardstick {result['rounds'][0]['yardstick']['accuracy']}")
    return result


def clothing(shared, data, tmp, rounds):
    result = in_turn(CLOTHES, [shared/'bench'/'bare_study.py', 'clothing', '224'], data, tmp, rounds)
    say(f"  accuracy {result['rounds'][0]['ours']['accuracy']}, yardstick {result['rounds'][0]['yardstick']['accuracy']}")
    return result


PARTS = dict(study=embedded, cifar=cifar, clothing=clothing, memory=memory, fastai=against_fastai, spread=embedded_spread)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('parts', nargs='*', metavar='PART', help=f"which figures to make anew: {', '.join(PARTS)} (default: all)")
    p.add_argument('--shared', type=Path, default=Path('../shared'))
    p.add_argument('--rounds', type=int, default=3)
    args = p.parse_args()
    if wrong := set(args.parts) - set(PARTS): sys.exit(f"no part is called {', '.join(wrong)}; there are {', '.join(PARTS)}")
    shared = args.shared.resolve()
    if not (shared/'bench'/'bare_study.py').is_file(): sys.exit(f'{shared} has no bench/bare_study.py; name the folder with the yardsticks: --shared DIR')
    data, file = cache_dir('bench'), Path(__file__).with_suffix('.json')
    for name in ('cifar10', 'clothing'):
        if not (data/name).is_dir(): zipfile.ZipFile(shared/'data'/f'{name}.zip').extractall(data)
    result = json.loads(file.read_text()) if file.exists() else {}
    result |= dict(machine=machine(), versions=versions())
    say(f"{result['machine']}; {result['versions']}")
    for part in args.parts or PARTS:
        with tempfile.TemporaryDirectory() as tmp:
            say(f'{part}: {TOLD[part]}')
            result[part] = PARTS[part](shared, data, Path(tmp), args.rounds)
        file.write_text(json.dumps(result, indent=1) + '\n')


if __name__ == '__main__': main()
