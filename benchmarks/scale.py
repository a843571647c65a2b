"""Does a study of many photos take more time a photo, or more memory, than one of few? Writes scale.json.

    python benchmarks/scale.py                    # 10,000 photos against 100,000; eight minutes on two cores
    python benchmarks/scale.py 10000 30000        # other numbers of photos, 400 or more

Drawn photos of four animals at 96 pixels, drawn once into the cache (100,000 take four minutes on one core).
Each study is a new process with an empty cache: body frozen, four sizes, five draws of training photos, from
the start of the program to its report. Stages are timed inside it by wrapping the functions that make them.
Seconds of the processor stand beside those of the clock, because other work on the machine changes them less.
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from imgcls.cache import cache_dir
from imgcls.data.synth import synth_folder
from imgcls.studies.runs import machine, versions

FILE = Path(__file__).with_suffix('.json')
ANIMALS, MOST = ('fox', 'squirrel', 'deer', 'hare'), 25_000  # photos a class
STAGES = {  # where a function is called from, its name → what it does
    ('imgcls.cli', '_look_first'): 'list the files, before PyTorch is loaded',
    ('imgcls.data.table', 'list_photos'): 'list the files',
    ('imgcls.training.features', 'Features.__call__'): 'read the photos, compute features',
    ('imgcls.data.table', 'near_duplicates'): 'seek near-duplicates',
    ('imgcls.studies.study', '_read'): 'make the table, all of the above included',
    ('imgcls.studies.study', 'plan'): 'plan the runs',
    ('imgcls.studies.study', '_write_study'): 'write the table',
    ('imgcls.studies.study', '_features_ready'): 'find the features again',
    ('imgcls.studies.study', '_make_all'): 'make all runs, finding the features included',
    ('imgcls.studies.study', '_closed'): 'open the study'}
PROGRAM = """import json, sys, time
from importlib import import_module
import imgcls.cli
stages = {stages}
seconds, done = {{}}, set()

def timed(f, name):
    def g(*args, **kw):
        start, cpu = time.perf_counter(), time.process_time()
        try: return f(*args, **kw)
        finally:
            so_far = seconds.get(name, (0, 0))
            seconds[name] = so_far[0]+time.perf_counter()-start, so_far[1]+time.process_time()-cpu
    return g

def wrap():
    for (module, name), what in stages.items():
        if module not in sys.modules or what in done: continue
        *owner, name = name.split('.')
        owner = getattr(sys.modules[module], owner[0]) if owner else sys.modules[module]
        if not hasattr(owner, name): continue
        setattr(owner, name, timed(getattr(owner, name), what))
        done.add(what)
import imgcls.cli
seen = imgcls.cli._loading
class loading:
    def __init__(self, what): self.inner = seen(what)
    def __enter__(self): wrap(); self.inner.__enter__()
    def __exit__(self, *e): import imgcls.studies.study; wrap(); return self.inner.__exit__(*e)
imgcls.cli._loading = loading
wrap()
code = imgcls.cli.main()
from imgcls.studies.runs import peak_mb
print(json.dumps(dict(stages=seconds, peak_mb=peak_mb())))
sys.exit(code)"""


def photos_of(n):
    "A folder with n photos; those of a small one are links to those of the large one."
    every = synth_folder(cache_dir('bench')/'scale', ANIMALS, MOST, side=96)
    if n == MOST*len(ANIMALS): return every
    folder = cache_dir('bench')/f'scale-{n}'
    for animal in ANIMALS:
        (folder/animal).mkdir(parents=True, exist_ok=True)
        for file in sorted((every/animal).iterdir())[:n//len(ANIMALS)]:
            if not (folder/animal/file.name).exists(): os.link(file, folder/animal/file.name)
    return folder


def sizes_of(n):
    "Four sizes, the last of them all photos that are not for testing."
    most = n//len(ANIMALS)*4//5
    return ','.join(map(str, [most//200, most//20, most//4, 'all']))


def whole_process(n):
    "What a study of n photos takes, with nothing cached."
    folder = photos_of(n)
    words = f'--sizes {sizes_of(n)} --recipe frozen --arch efficientnet_lite0 --res 96 --json'.split()
    program = PROGRAM.format(stages=STAGES)
    with tempfile.TemporaryDirectory() as tmp:
        command = [sys.executable, '-c', program, 'study', str(folder), *words, '--out', f'{tmp}/study']
        env, before, start = os.environ | dict(IMGCLS_CACHE=f'{tmp}/cache'), os.times(), time.perf_counter()
        done = subprocess.run(command, env=env, capture_output=True, text=True)
        seconds, after = time.perf_counter()-start, os.times()
        disk = sum(p.stat().st_size for p in Path(tmp, 'cache', 'features').rglob('*.safetensors'))
    if done.returncode: sys.exit(f'{command} failed:\n{done.stderr[-3000:]}')
    study, told = map(json.loads, done.stdout.strip().splitlines()[-2:])
    cpu = sum(getattr(after, k)-getattr(before, k) for k in ('children_user', 'children_system'))
    stages = {k: dict(seconds=round(s, 2), processor=round(c, 2)) for k, (s, c) in told['stages'].items()}
    return dict(photos=n, seconds=round(seconds, 1), processor=round(cpu, 1), peak_mb=round(told['peak_mb']),
                sizes=words[1], accuracy=study['runs'][-1]['accuracy'], feature_mb=round(disk/1e6),
                stages=stages)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('photos', nargs='*', type=int, default=[10_000, 100_000], help='how many')
    args = p.parse_args()
    result = dict(machine=machine(), versions=versions(), studies=[])
    print(f"{result['machine']}; {result['versions']}", flush=True)
    for n in args.photos:
        r = whole_process(n)
        result['studies'].append(r)
        print(f"{n:,} photos: {r['seconds']:.0f} s ({r['processor']:.0f} of the processor), "
              f"{1000*r['seconds']/n:.2f} ms a photo ({1000*r['processor']/n:.2f}), peak {r['peak_mb']:,} MB")
        for what, s in r['stages'].items(): print(f"  {s['seconds']:7.2f} s ({s['processor']:7.2f})  {what}")
        sys.stdout.flush()
    FILE.write_text(json.dumps(result, indent=1) + '\n')


if __name__ == '__main__': main()
