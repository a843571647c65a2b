"""Run the lessons, each in a kernel of its own with an empty cache; their outputs are kept in the notebooks.

    make course                                    # real photos, as the saved outputs are made
    python tools/course.py 03 06 --photos drawn    # two lessons, as a learner gets them offline
    python tools/course.py --dry                   # run all, write nothing (the weekly check)

Real photos are downloaded once; where `--shared` has them as zip files, they come from there.
"""
import argparse
import os
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

ROOT = Path(__file__).resolve().parents[1]
COURSE = ROOT/'nbs'/'course'
MINUTES = 15  # the longest a cell may take


def _unzip(shared):
    "Put the photos of `shared` where fastai keeps its data; return that folder."
    from imgcls.cache import cache_dir
    home = cache_dir('course')
    (home/'data').mkdir(exist_ok=True)
    for file in shared.glob('data/*.zip'):
        if (home/'data'/file.stem).is_dir(): continue
        with tempfile.TemporaryDirectory(dir=home) as tmp:
            with zipfile.ZipFile(file) as z: z.extractall(tmp)
            os.replace(Path(tmp)/file.stem, home/'data'/file.stem)
    return home


def _run(file, dry):
    "Seconds that a lesson took, and what went wrong or ''."
    began, nb = time.perf_counter(), nbformat.read(file, 4)
    with tempfile.TemporaryDirectory(prefix='course-') as work:
        os.environ['IMGCLS_CACHE'] = str(Path(work)/'cache')
        client = NotebookClient(nb, timeout=60*MINUTES, kernel_name='python3', store_widget_state=False,
                                resources={'metadata': {'path': work}})
        try: client.execute()
        except CellExecutionError as e: return time.perf_counter()-began, str(e)
    if not dry:
        nbformat.write(nb, file)
        subprocess.run([Path(sys.executable).with_name('nbdev_clean'), '--fname', file], check=True)
    return time.perf_counter()-began, ''


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('lessons', nargs='*', help='how names begin, such as 03 or solutions/03; none: all')
    parser.add_argument('--photos', choices=['real', 'drawn', 'test'], default='real')
    parser.add_argument('--shared', type=Path, help='a folder with data/cifar10.zip and data/clothing.zip')
    parser.add_argument('--dry', action='store_true', help='write nothing')
    args = parser.parse_args()
    os.environ['IMGCLS_COURSE'] = args.photos
    if args.shared and args.shared.is_dir(): os.environ['FASTAI_HOME'] = str(_unzip(args.shared.resolve()))
    files = [*sorted(COURSE.glob('0*.ipynb')), *sorted(COURSE.glob('solutions/*.ipynb'))]
    wanted = tuple(args.lessons)
    if wanted: files = [f for f in files if f.relative_to(COURSE).as_posix().startswith(wanted)]
    if not files: parser.error(f"no lesson begins with {' or '.join(wanted)}; take one such as 03")
    failed, took = [], dict(lessons=0, solutions=0)
    for file in files:
        seconds, error = _run(file, args.dry)
        print(f'{file.relative_to(COURSE)}: {seconds:.0f} s{"; failed" if error else ""}', flush=True)
        took['lessons' if file.parent == COURSE else 'solutions'] += seconds
        if error: failed.append(f'{file.name}: {error}')
    minutes = ', '.join(f'{name} {seconds/60:.1f} minutes' for name, seconds in took.items())
    print(f'{args.photos} photos: {minutes}')
    if failed: sys.exit('\n'.join(failed))


if __name__ == '__main__': main()
