"""How long imgcls takes to start: until `imgcls study` reads its first photo, the star import, the help.

    python benchmarks/start.py                    # two minutes
    python benchmarks/start.py --against FOLDER   # beside another checkout, in turn

Each figure is the median of five programs, after one that only fills the file cache: seconds from the start
of the program (of an import: until the program has ended) and, in brackets, seconds of the processor, which
other work on the machine changes less. PyTorch and fastai alone stand beside them. The photos are thirty
drawings a class. An audit hook in a `sitecustomize` sees that a photo is opened, and ends the program.
"""
import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from imgcls.data.synth import synth_folder

ROOT = Path(__file__).resolve().parents[1]
HOOK = """
import os, sys, time
def watch(event, args):
    if event == 'open' and str(args[0]).startswith(os.environ['PHOTOS']) and str(args[0]).endswith('.jpg'):
        os.write(2, f"first photo: {time.time()} {time.process_time()}".encode())
        os._exit(0)
if 'PHOTOS' in os.environ: sys.addaudithook(watch)
"""
STAR = 'from imgcls.all import *'
COMMAND = 'from imgcls.cli import main; main()'


def figures(args, root, tmp, **env):
    "Seconds by the clock and of the processor, of a program or until it reads a photo."
    env = {**os.environ, 'PYTHONPATH': f'{tmp}{os.pathsep}{root}', 'IMGCLS_CACHE': str(tmp/'cache'), **env}
    before, start = os.times(), time.time()
    done = subprocess.run([sys.executable, '-c', *args], env=env, cwd=tmp, capture_output=True, text=True)
    after, end = os.times(), time.time()
    if done.returncode: sys.exit(done.stderr[-2000:])
    seen = re.search(r'first photo: (\S+) (\S+)', done.stderr)
    if seen: return float(seen[1])-start, float(seen[2])
    if 'PHOTOS' in env: sys.exit('no photo was read')
    cpu = sum(getattr(after, k)-getattr(before, k) for k in ('children_user', 'children_system'))
    return end-start, cpu


def programs(roots, tmp):
    "What is measured: name → arguments of `figures`."
    photos = synth_folder(tmp/'photos', per_class=30, side=96)
    study = [COMMAND, 'study', str(photos), '--arch', 'efficientnet_lite0']
    for name, root in roots.items():
        yield f'imgcls --help{name}', ([COMMAND, '--help'], root), {}
        yield f'{STAR}{name}', ([STAR], root), {}
        yield f'imgcls study, until its first photo{name}', (study, root), dict(PHOTOS=str(photos))
    for name in ('import torch', 'import fastai.vision.all'): yield name, ([name], ROOT), {}


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument('--against', metavar='FOLDER', help='another checkout')
    p.add_argument('--tries', type=int, default=5, help='programs of each kind (default: 5)')
    args = p.parse_args()
    roots = {'': ROOT}
    if args.against: roots[f', {Path(args.against).name}'] = Path(args.against).resolve()
    with tempfile.TemporaryDirectory() as folder:
        tmp = Path(folder)
        (tmp/'sitecustomize.py').write_text(HOOK)
        todo, found = [*programs(roots, tmp)], {}
        for _ in range(args.tries+1):
            for name, (code, root), env in todo:
                found.setdefault(name, []).append(figures(code, root, tmp, **env))
    for name, got in found.items():
        wall, cpu = (median(x) for x in zip(*got[1:]))
        print(f'{wall:6.2f} s ({cpu:5.2f})  {name}')


if __name__ == '__main__': main()
