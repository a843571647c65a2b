"""Frozen studies and the yardsticks, in turn, whole processes, cold caches; writes benchmarks/frozen.json.

    make bench                                    # or some parts, such as:
    python benchmarks/frozen.py cifar clothing --shared ../shared --rounds 3

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
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import pandas as pd
from tune import where

from imgcls.cache import cache_dir
from imgcls.data.synth import synth_folder
from imgcls.data.table import Photos, read_photos
from imgcls.studies.runs import machine, versions
from imgcls.studies.study import Study, study
from imgcls.studies.tables import final_table, steps
from imgcls.training.features import Features

BIRDS = 'bird,deer,frog'
CIFAR = ['cifar10', '--classes', BIRDS, '--sizes', '100,500,1000,5000', '--res', '96']
CLOTHES = ['clothing', '--sizes', 'all', '--res', '224']
FROZEN = dict(recipe='frozen', arch='efficientnet_lite0', epochs=4, seeds=1)
OURS = ['--recipe', 'frozen', '--arch', 'efficientnet_lite0', '--epochs', '4', '--json']
ONCE = ['--seeds', '1']  # as the yardsticks do, which train once
IMGCLS = [sys.executable, '-c', 'import sys; from imgcls.cli import main; sys.exit(main())']
ABOUT = dict(
    study='make study with nothing cached',
    cifar=f'CIFAR-10 {BIRDS}, 96 px, 100, 500, 1000, 5000 a class, 3,000 test photos, '
          'in turn with the bare script',
    clothing='all training photos, 224 px, 372 test photos, in turn with the bare script',
    memory='peak memory at 1,000 and 50,000 training photos',
    fastai='clothing, 100 a class, 128 px, the same photos, against plain fastai',
    spread='the embedded dataset, three drawings and three test sets')


def say(*words): print(*words, flush=True)


def cache_at(folder): return patch.dict(os.environ, IMGCLS_CACHE=str(folder))


def run(command, data, **env):
    "The last line of standard output as JSON, with the seconds of the whole process."
    start = time.time()
    pipes = dict(stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    done = subprocess.run([*map(str, command)], cwd=data, env={**os.environ, **env}, **pipes)
    if done.returncode: sys.exit(f'{command} failed:\n{done.stderr[-2000:]}')
    printed = json.loads(done.stdout.strip().splitlines()[-1])
    return dict(printed, process=round(time.time()-start, 1))


def ours(args, data, cache, out):
    "One study as a user would make it, with its report."
    r = run([*IMGCLS, 'study', *args, *OURS, *ONCE, '--out', out], data, IMGCLS_CACHE=str(cache))
    f, cores = r['features'], os.cpu_count()
    figures = dict(process=r['process'], accuracy={str(x['size']): x['accuracy'] for x in r['runs']},
                   computed=f['computed'], body=round(f['body']/cores, 1), features=round(f['wall'], 1),
                   peak_mb=r['peak_mb'], photos=r['photos'])
    if f['computed']: figures['overhead'] = round(f['wall']*cores/f['body']-1, 3)
    return figures


def in_turn(args, yardstick, data, tmp, rounds):
    "Ours (cold, then again on the same photos) and the yardstick, in turn."
    rows = []
    for i in range(rounds):
        cold, warm = (ours(args, data, tmp/f'cache-{i}', tmp/f'{i}-{k}') for k in 'ab')
        bare = run([sys.executable, *yardstick], data)
        row = dict(ours=cold, again=warm, yardstick=bare,
                   ratio=round(cold['process']/bare['process'], 3),
                   ratio_again=round(warm['process']/bare['process'], 3))
        rows.append(row)
        say(f"  round {i+1}: ours {cold['process']} s, again {warm['process']} s, "
            f"yardstick {bare['process']} s: ratios {row['ratio']}, {row['ratio_again']}")
    middle = {k: statistics.median(r[k] for r in rows) for k in ('ratio', 'ratio_again')}
    return dict(rounds=rows, **middle, overhead=statistics.median(r['ours']['overhead'] for r in rows))


def drawn_by_yardstick(photos, data):
    "The photos with their training order replaced by that of bare_study.py."
    random.seed(0)
    order = {}
    for c in BIRDS.split(','):
        files = sorted((data/'cifar10'/'train'/c).iterdir())
        random.shuffle(files)
        order.update((str(f), i) for i, f in enumerate(files))
    df = photos.df.copy()
    train = df.split == 'train'
    df.loc[train, 'order'] = [order[p] for p in df.path[train]]
    return replace(photos, df=df)


def same_photos(data, tmp):
    "Accuracy when ours learns from the same photos as the yardstick."
    photos = drawn_by_yardstick(Photos.load(tmp/'0-a'/'photos.parquet'), data)
    with cache_at(tmp/'cache-0'):
        st = study(photos, sizes=[100, 500, 1000, 5000], res=96, out=tmp/'same', say=lambda s: None, **FROZEN)
    return {str(r['size']): r['accuracy'] for r in st.runs.to_dict('records')}


def listed(rows, file):
    "Write photos (path, label, split) as a CSV file."
    pd.DataFrame(rows, columns=['path', 'label', 'split']).to_csv(file, index=False)
    return file


def against_fastai(shared, data, tmp, rounds):
    "Plain fastai on clothing, 100 photos a class, and ours on the same photos."
    plain = run([sys.executable, shared/'bench'/'plain_fastai.py', 'clothing', 100, 128, 4], data)
    root, rows = data/'clothing', []
    classes = sorted(p.name for p in (root/'train').iterdir())
    random.seed(0)
    for c in classes:
        files = sorted((root/'train'/c).iterdir())
        rows += [(f, c, 'train') for f in random.sample(files, min(100, len(files)))]
    for c in classes: rows += [(f, c, 'test') for f in sorted((root/'test'/c).iterdir())]
    file = listed(rows, tmp/'same.csv')
    mine = ours([file, '--sizes', 'all', '--res', 128], data, tmp/'cache-fastai', tmp/'fastai')
    accuracy, theirs = mine['accuracy']['all'], plain['accuracy'][-1]
    say(f"  plain fastai {theirs:.1%} after {plain['seconds']} s of fine_tune; "
        f"ours {accuracy:.1%} after {mine['process']} s, everything included")
    ratio = round(plain['seconds']/mine['process'], 1) if accuracy >= theirs else None
    return dict(plain=plain, ours=mine, ratio=ratio)


def some_of_cifar(data, n):
    "About n training photos of CIFAR-10 and a fifth as many test photos: path, label, split."
    rows = []
    for split, each in ('train', n//10), ('test', n//50):
        for c in sorted((data/'cifar10'/split).iterdir()):
            rows += [(f, c.name, split) for f in sorted(c.iterdir())[:each]]
    return rows


def memory(shared, data, tmp, rounds):
    "Peak memory at 1,000 and at 50,000 training photos."
    result = {}
    for n in (1000, 50_000):
        file = listed(some_of_cifar(data, n), tmp/f'{n}.csv')
        r = ours([file, '--sizes', 'all', '--res', 96], data, tmp/f'cache-{n}', tmp/f'memory-{n}')
        result[str(n)] = dict(photos=r['photos'], peak_mb=r['peak_mb'], seconds=r['process'],
                              accuracy=r['accuracy']['all'])
        say(f"  {r['photos']:,} photos: {r['peak_mb']:,.0f} MB, {r['process']} s")
    return result


def embedded(shared, data, tmp, rounds):
    "`make study` with nothing cached, the drawing of the photos included."
    command = [*IMGCLS, 'study', 'synth', '--sizes', '20,100,500,1000', *OURS, '--out', tmp/'study']
    r = run(command, tmp, IMGCLS_CACHE=str(tmp/'cache-study'))
    say(f"  {r['process']} s: {[(x['size'], round(x['accuracy'], 3)) for x in r['runs']]}")
    st = Study(tmp/'study')
    bought = steps(st)[['size_to', 'difference', 'low', 'high', 'verdict']].to_dict('records')
    final = final_table(st)[['size', 'seeds', 'accuracy', 'low', 'high', 'sd']].to_dict('records')
    return dict(machine=where(), process=r['process'], peak_mb=r['peak_mb'], runs=r['runs'], steps=bought,
                final=final)


def embedded_spread(shared, data, tmp, rounds):
    "The curve of the embedded dataset over three drawings × three test sets × two draws of training photos."
    rows = []
    for drawn, aside in itertools.product(range(3), range(3)):
        with cache_at(tmp/'cache'):
            photos = read_photos(synth_folder(seed=drawn), seed=aside,
                                 check=Features('efficientnet_lite0', res=128))
            st = study(photos, sizes=[20, 100, 500, 1000], res=128, say=lambda s: None,
                       out=tmp/f'spread-{drawn}-{aside}', **FROZEN | dict(seeds=2))
        rows.append(st.runs.groupby('size').accuracy.mean())
    spread = {}
    for n, column in pd.DataFrame(rows).items():
        spread[str(n)] = [round(float(x), 4) for x in (column.mean(), column.min(), column.max())]
    say(f'  mean, least and most of nine studies: {spread}')
    return spread


def cifar(shared, data, tmp, rounds):
    "Four sizes of three classes of CIFAR-10, and the accuracy on the yardstick's own draw."
    yardstick = [shared/'bench'/'bare_study.py', 'cifar10', '96', BIRDS, '100,500,1000,5000']
    result = in_turn(CIFAR, yardstick, data, tmp, rounds)
    result['same_photos'] = same_photos(data, tmp)
    say(f"  accuracy on the yardstick's own draw {result['same_photos']}, "
        f"yardstick {result['rounds'][0]['yardstick']['accuracy']}")
    return result


def clothing(shared, data, tmp, rounds):
    "All photos of the clothing dataset."
    result = in_turn(CLOTHES, [shared/'bench'/'bare_study.py', 'clothing', '224'], data, tmp, rounds)
    first = result['rounds'][0]
    say(f"  accuracy {first['ours']['accuracy']}, yardstick {first['yardstick']['accuracy']}")
    return result


PARTS = dict(study=embedded, cifar=cifar, clothing=clothing, memory=memory, fastai=against_fastai,
             spread=embedded_spread)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('parts', nargs='*', metavar='PART',
                   help=f"which figures to measure again: {', '.join(PARTS)} (default: all)")
    p.add_argument('--shared', type=Path, default=Path('../shared'), help='folder with data and yardsticks')
    p.add_argument('--rounds', type=int, default=3, help='how often ours and the yardstick take turns')
    args = p.parse_args()
    if wrong := set(args.parts) - set(PARTS):
        sys.exit(f"no part is called {', '.join(wrong)}; there are {', '.join(PARTS)}")
    shared = args.shared.resolve()
    if not (shared/'bench'/'bare_study.py').is_file():
        sys.exit(f'{shared} has no bench/bare_study.py; name the folder with the yardsticks: --shared DIR')
    data, file = cache_dir('bench'), Path(__file__).with_suffix('.json')
    for name in ('cifar10', 'clothing'):
        if not (data/name).is_dir(): zipfile.ZipFile(shared/'data'/f'{name}.zip').extractall(data)
    result = json.loads(file.read_text()) if file.exists() else {}
    result |= dict(machine=machine(), versions=versions())
    say(f"{result['machine']}; {result['versions']}")
    for part in args.parts or PARTS:
        say(f'{part}: {ABOUT[part]}')
        with tempfile.TemporaryDirectory() as tmp:
            result[part] = PARTS[part](shared, data, Path(tmp), args.rounds)
        file.write_text(json.dumps(result, indent=1) + '\n')


if __name__ == '__main__': main()
