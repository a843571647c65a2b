"""Six runs one after the other and by two workers, and what Dask and Ray cost a run; writes workers.json.

    python benchmarks/workers.py             # about five minutes, on two cores that have nothing else to do

The runs are six seeds of `fine_tune` on 144 drawn photos at 96 px, with one thread each. A ratio of .5 would
be perfect; two workers also have to start. (The seconds of the processor, loading PyTorch included, show
whether something else ran meanwhile.) The cost of a cluster is that of runs which are there already, so
that a question and an answer travel and nothing else is done, less what the same takes without a cluster.
"""
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

TARGET = .6
os.environ['OMP_NUM_THREADS'] = '2'  # of two workers, each has one

from imgcls.data.synth import synth_folder  # noqa: E402
from imgcls.studies.executors import executor_for, hand_out  # noqa: E402
from imgcls.studies.runs import Shared, machine, versions  # noqa: E402
from imgcls.studies.study import Study, study  # noqa: E402

ALONE = '''
import json, sys
from imgcls.studies.study import study
if __name__ == '__main__':
    how = json.loads(sys.argv[1])
    print(study(**how, say=None).seconds)
'''


def made(threads, **how):
    "Seconds of a study in a new process, and of the processor with its workers."
    env = dict(os.environ, OMP_NUM_THREADS=str(threads))
    before = os.times()
    said = subprocess.check_output([sys.executable, '-W', 'ignore', '-c', ALONE, json.dumps(how)], env=env)
    after = os.times()
    worked = after.children_user+after.children_system-before.children_user-before.children_system
    return round(float(said.split()[-1]), 1), round(worked, 1)


def two_workers(home):
    "Seconds of six runs, one after the other and by two workers."
    how = dict(photos=str(synth_folder(home/'photos', per_class=60, side=96)), sizes=['all'], seeds=6,
               recipe='fine_tune:epochs=10', arch='efficientnet_lite0', res=96)
    made(2, **dict(how, recipe='frozen', seeds=1), out=str(home/'first'))  # now files are read from memory
    one, cpu_one = made(1, **how, out=str(home/'one'))
    two, cpu_two = made(2, **how, out=str(home/'two'), on=2)
    a, b = Study(home/'one'), Study(home/'two')
    assert all((a.probs(r) == b.probs(r)).all() for r in a.runs.run) and len(b.runs) == 6
    return dict(one_after_the_other=one, two_workers=two, ratio=round(two/one, 3), target=TARGET,
                processor_one=cpu_one, processor_two=cpu_two)


@contextmanager
def dask():
    from distributed import LocalCluster
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        yield cluster.scheduler_address.replace('tcp', 'dask')


def free_port():
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]


@contextmanager
def ray():
    port, temp = free_port(), tempfile.mkdtemp(prefix='ray-', dir='/tmp')
    options = f'''--head --block --port={free_port()} --ray-client-server-port={port} --num-cpus=2
        --runtime-env-agent-port={free_port()} --include-dashboard=false --disable-usage-stats
        --temp-dir={temp} --object-store-memory=80000000'''
    head = subprocess.Popen([Path(sys.executable).with_name('ray'), 'start', *options.split()],
                            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for _ in range(600):
        with socket.socket() as s:
            if not s.connect_ex(('127.0.0.1', port)): break
        time.sleep(.1)
    time.sleep(3)  # the port answers before Ray's agent is ready
    try: yield f'ray://127.0.0.1:{port}'
    finally:
        head.terminate()
        head.wait(60)
        shutil.rmtree(temp, ignore_errors=True)


def handed_out(executor, st, specs):
    "Seconds until all runs are known to be there."
    start = time.perf_counter()
    assert not any(why for _, why in hand_out(executor, st.path, specs, Shared(st.photos), say=str))
    return time.perf_counter()-start


def cost(cluster, st):
    "Seconds to connect and have the first answer, and of each run."
    specs = [st.spec(r) for r in st.runs.run]
    with ThreadPoolExecutor(2) as here: least = min(handed_out(here, st, specs) for _ in range(3))
    with cluster() as on:
        start = time.perf_counter()
        with executor_for(on, st.path) as executor:
            handed_out(executor, st, specs[:2])
            first = time.perf_counter()-start
            took = min(handed_out(executor, st, specs) for _ in range(3))
    return dict(first_answer=round(first, 1), a_run=round((took-least)/len(specs), 3))


def main():
    home = Path(tempfile.mkdtemp())
    os.environ['IMGCLS_CACHE'] = str(home/'cache')
    out = dict(machine=machine(), versions=versions(), seconds=two_workers(home))
    print(out['seconds'], flush=True)
    st = study(home/'photos', [5, 10], 'frozen:epochs=1', 'cifar_net', seeds=10, out=home/'quick', say=None)
    for name, cluster in dict(dask=dask, ray=ray).items():
        out[name] = cost(cluster, st)
        print(name, out[name], flush=True)
    Path(__file__).with_suffix('.json').write_text(json.dumps(out, indent=1) + '\n')
    shutil.rmtree(home)


if __name__ == '__main__': main()
