"""fine_tune on 100, 500, 1000 and 5000 photos a class in one study against 5000 alone; writes nested.json.

    python benchmarks/nested.py                # CIFAR-10's bird, deer and frog at 96 px; ten minutes
    python benchmarks/nested.py --sizes 20,100 # smaller ones: a minute

Whole new processes with cold caches, the two in turn. Of each run the table says how many seconds it took,
how many of them went into what the runs of a study share or could share (decoding, and training and test
photos as they are through the lower body), and how many into the scoring of the test photos after each epoch.
The rest is the training of its own weights, on so many photos: each counts once an epoch.
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

from imgcls.cache import cache_dir
from imgcls.studies.runs import machine, versions

FILE, TARGET = Path(__file__).with_suffix('.json'), 1.3
PROGRAM = """
import json, sys, time
from imgcls.studies import study as room
from imgcls.training import finetune, stages

took = dict(decoding=0., below=0., views=0., scoring=0., passes=0)

def timed(owner, name, kind):
    plain = getattr(owner, name)
    def f(*args, **kw):
        start = time.perf_counter()
        try: return plain(*args, **kw)
        finally: took[kind(*args, **kw)] += time.perf_counter()-start
    setattr(owner, name, f)

timed(finetune._Tuning, 'pixels', lambda *a, **kw: 'decoding')
timed(finetune._Tuning, 'scores', lambda *a, **kw: 'scoring')
learn = finetune._Tuning.learn
def counted(self, *args):
    took['passes'] += self.choice.epochs*len(self.y)
    return learn(self, *args)
finetune._Tuning.learn = counted
def as_it_is(run, x, prepare, out, seed=0, label=''): return seed % 1_000_003 == 0
timed(stages, 'through', lambda *a, **kw: 'below' if as_it_is(*a, **kw) else 'views')
made = []
def note(*args, **kw):
    start, before = time.perf_counter(), dict(took)
    run = plain(*args, **kw)
    parts = {k: v-before[k] for k, v in took.items()}
    made.append(dict(run=run.name, seconds=time.perf_counter()-start, **parts))
    return run

from imgcls.studies import executors
plain = executors.make_run
executors.make_run = note
start = time.perf_counter()
st = room.study(**json.loads(sys.argv[1]), say=None)
print(json.dumps(dict(seconds=time.perf_counter()-start, runs=made, accuracy=st.runs.accuracy.tolist())))
"""


def whole_process(photos, sizes, out):
    "Seconds of a study in a new process with nothing cached, and what its runs took."
    how = dict(photos=str(photos), classes='bird,deer,frog', sizes=sizes, recipe='fine_tune', seeds=1, res=96,
               arch='efficientnet_lite0', out=f'{out}/study')
    env = os.environ | dict(IMGCLS_CACHE=f'{out}/cache')
    start = time.perf_counter()
    done = subprocess.run([sys.executable, '-W', 'ignore', '-c', PROGRAM, json.dumps(how)], env=env,
                          capture_output=True, text=True)
    if done.returncode: sys.exit(done.stderr[-2000:])
    return json.loads(done.stdout.strip().splitlines()[-1]) | dict(process=time.perf_counter()-start)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--shared', type=Path, default=Path('../shared'), help='folder with data/cifar10.zip')
    p.add_argument('--sizes', default='100,500,1000,5000', help='photos a class (default: %(default)s)')
    args = p.parse_args()
    data, sizes = cache_dir('bench'), [int(s) for s in args.sizes.split(',')]
    if not (data/'cifar10').is_dir(): zipfile.ZipFile(args.shared/'data'/'cifar10.zip').extractall(data)
    with tempfile.TemporaryDirectory() as a, tempfile.TemporaryDirectory() as b:
        largest, every = (whole_process(data/'cifar10', s, out) for s, out in ((sizes[-1:], a), (sizes, b)))
    ratio = every['process']/largest['process']
    FILE.write_text(json.dumps(dict(machine=machine(), versions=versions(), sizes=sizes, target=TARGET,
                                    ratio=ratio, largest=largest, every=every), indent=1) + '\n')
    print(f"{sizes[-1]} alone {largest['process']:.1f} s, all in one study {every['process']:.1f} s: "
          f'{ratio:.2f} (target {TARGET}); {machine()}')
    for r in every['runs']:
        shared = r['decoding']+r['below']
        print(f"  {r['run']}: {r['seconds']:.1f} s, of which decoding {r['decoding']:.1f}, photos as they "
              f"are through the lower body {r['below']:.1f} ({shared/r['seconds']:.1%}), "
              f"other views {r['views']:.1f}, scoring {r['scoring']:.1f}; {r['passes']:,} photos trained on")


if __name__ == '__main__': main()
