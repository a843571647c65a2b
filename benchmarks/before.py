"""An earlier commit against this checkout, whole processes with cold caches; writes benchmarks/before.json.

    python benchmarks/before.py                   # all parts against COMMIT, twice each
    python benchmarks/before.py clothing --rounds 3 --usual-numbers

The two take turns within one run and are compared as a ratio (this checkout over the earlier commit), because
absolute times drift. By default 16-bit numbers are switched off in both, so that a processor that has them
counts as one that has none; `--usual-numbers` leaves them as they are. About 15 minutes on two cores.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

from imgcls.cache import cache_dir
from imgcls.studies.runs import machine, versions

ROOT, FILE = Path(__file__).resolve().parents[1], Path(__file__).with_suffix('.json')
COMMIT = 'd46e319'  # before there was an engine
FROZEN = '--recipe frozen --arch efficientnet_lite0 --epochs 4 --json'
PARTS = dict(
    clothing='clothing --sizes all --seeds 1 --res 224',
    some='clothing --sizes 20,100 --seeds 1 --res 224',
    five='clothing --sizes 20,100 --res 224',
    birds='cifar10 --classes bird,deer,frog --sizes 100,500,1000,5000 --seeds 1 --res 96')
PROGRAM = """import sys
import torch
if not {usual}: torch.cpu.get_capabilities = dict
from imgcls.cli import main
sys.exit(main())"""


def whole_process(code, args, usual, data):
    "Seconds of a study with nothing cached, and the accuracy of its runs."
    with tempfile.TemporaryDirectory() as tmp:
        command = [sys.executable, '-c', PROGRAM.format(usual=usual), 'study', *args, '--out', f'{tmp}/study']
        env = os.environ | dict(IMGCLS_CACHE=f'{tmp}/cache', PYTHONPATH=str(code))
        start = time.perf_counter()
        done = subprocess.run(command, cwd=data, env=env, capture_output=True, text=True)
        seconds = round(time.perf_counter()-start, 1)
    if done.returncode: sys.exit(f'{command} failed:\n{done.stderr[-2000:]}')
    runs = json.loads(done.stdout.strip().splitlines()[-1])['runs']
    return seconds, [r['accuracy'] for r in runs]


def compare(old, args, usual, data, rounds):
    "The earlier commit and this checkout in turn; the median of their ratios."
    rows, accuracy = [], {}
    for _ in range(rounds):
        row = {}
        for name, code in dict(before=old, now=ROOT).items():
            row[name], accuracy[name] = whole_process(code, args, usual, data)
        rows.append(row | dict(ratio=round(row['now']/row['before'], 3)))
    return dict(rounds=rows, ratio=statistics.median(r['ratio'] for r in rows), accuracy=accuracy)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('parts', nargs='*', metavar='PART', help=f"some of {', '.join(PARTS)} (default: all)")
    p.add_argument('--shared', type=Path, default=Path('../shared'), help='folder with data/*.zip')
    p.add_argument('--commit', default=COMMIT, help='the earlier commit (default: %(default)s)')
    p.add_argument('--rounds', type=int, default=2, help='how often the two take turns')
    p.add_argument('--usual-numbers', action='store_true', help='16-bit numbers where the processor has them')
    args = p.parse_args()
    data = cache_dir('bench')
    for name in ('cifar10', 'clothing'):
        if not (data/name).is_dir(): zipfile.ZipFile(args.shared/'data'/f'{name}.zip').extractall(data)
    result = json.loads(FILE.read_text()) if FILE.exists() else {}
    result |= dict(machine=machine(), versions=versions())
    numbers = 'usual numbers' if args.usual_numbers else '32 bits'
    print(f"{result['machine']}; {result['versions']}; {numbers}", flush=True)
    with tempfile.TemporaryDirectory() as tmp:
        subprocess.run(['git', 'clone', '-q', ROOT, tmp], check=True)
        subprocess.run(['git', 'checkout', '-q', args.commit], cwd=tmp, check=True)
        for part in args.parts or PARTS:
            words = [*PARTS[part].split(), *FROZEN.split()]
            r = compare(tmp, words, args.usual_numbers, data, args.rounds)
            result.setdefault(numbers, {})[part] = r | dict(commit=args.commit, options=PARTS[part])
            print(f"{part}: {r['rounds']}; accuracy {r['accuracy']}", flush=True)
            FILE.write_text(json.dumps(result, indent=1) + '\n')


if __name__ == '__main__': main()
