"""The tables of the front page, as Markdown, from benchmarks/*.json: nothing here is measured, only shown."""
import json
from pathlib import Path
from statistics import mean

BENCHMARKS = Path(__file__).resolve().parents[1]/'benchmarks'
LETTERS = 'ABCDEFG'
SETS = {
    'clothing-100': 'clothing, 100 photos a class, 128 px',
    'clothing-all': 'clothing, all 3,068, 224 px',
    'birds-100': 'CIFAR-10 bird, deer, frog, 100 a class, 96 px',
    'birds-500': '… 500 a class',
    'birds-1000': '… 1000 a class',
    'birds-5000': '… 5000 a class',
    'ten-500': 'CIFAR-10, all ten classes, 500 a class, 96 px',
    'synth-100': 'drawn animals, 100 a class, 128 px',
    'clothing-100-resnet18': 'clothing-100 with our stand-in for resnet18¹',
    'ten-500-resnet18': 'CIFAR-10-500 with the stand-in¹',
    'clothing-100-random': 'clothing-100 from random weights',
    'ten-500-random': 'CIFAR-10-500 from random weights'}


def _read(name): return json.loads((BENCHMARKS/f'{name}.json').read_text(encoding='utf-8'))


def _table(head, rows):
    "A Markdown table, numbers to the right."
    lines = [head, ['---:']*len(head), *rows]
    return '\n'.join('| '+' | '.join(map(str, cells))+' |' for cells in lines)


def _prose(text):
    "One paragraph, however its lines were broken here."
    return ' '.join(text.split())


def _percent(x): return f'{100*x:.1f} %'


def _range(values):
    "' (85.8 to 89.8)', or nothing for a single value."
    return f' ({100*min(values):.1f} to {100*max(values):.1f})' if len(values) > 1 else ''


def study():
    "The embedded study: accuracy by epoch and number of photos."
    made = _read('frozen')['study']
    runs = made['runs']
    bought = {str(s['size_to']): f"{100*s['difference']:+.1f} points, {s['verdict']}" for s in made['steps']}
    epochs = [f'epoch {i}' for i in range(1, 5)]
    head = ['photos a class', *epochs, '95 % interval', 'against the size before']
    rows = [[r['size'], *map(_percent, r['epochs']), ' to '.join(map(_percent, r['interval'])),
             bought.get(str(r['size']), '')] for r in runs]
    return _table(head, rows)+'\n\n'+_prose(f"""
        Fox, squirrel and deer, drawn by imgcls itself: four sizes, four epochs (an epoch is one pass over
        the training photos), {runs[0]['n_test']} test photos, **{made['process']:.0f} seconds** on two
        cores, the drawing included. "better" means that chance alone would rarely do this.""")


def _tuned_row(name, one, letter):
    c, runs = one['compared'], one['runs']
    frozen = ''
    if runs.get('frozen'):
        accuracy = mean(r['rows'][-1][1] for r in runs['frozen'])
        frozen = f"{_percent(accuracy)}, {runs['frozen'][0]['seconds']:.0f} s"
    ours = f"{_percent(c['fine_tune'])}{_range(c['fine_tune_all'])}, {c['fine_tune_seconds']:.0f} s"
    low, high = (f'{100*x:+.1f}' for x in c['interval'])
    sooner = f"{c['sooner']:.1f} ×" if c['sooner'] else 'not reached'
    return [f'{SETS[name]} ({letter})', f"{_percent(c['fastai'])}, {c['fastai_seconds']:.0f} s", ours, frozen,
            sooner, f"{100*c['difference']:+.1f} ({low} to {high})"]


def _versions(sets, library): return ' and '.join(sorted({s['versions'][library] for s in sets.values()}))


def tuned():
    "fine_tune beside plain fastai."
    sets = {n: s for n in SETS if 'compared' in (s := _read('tune')['sets'].get(n, {}))}
    machines = sorted({s['machine'] for s in sets.values()})
    letters = dict(zip(machines, LETTERS))
    rows = [_tuned_row(n, s, letters[s['machine']]) for n, s in sets.items()]
    compared = [s['compared'] for s in sets.values()]
    loop = [c['loop_share'] for c in compared]
    named = '; '.join(f'{letter} {machine}' for machine, letter in letters.items())
    head = ['', 'plain fastai', 'fine_tune', 'frozen', 'sooner', 'points better']
    return _table(head, rows)+'\n\n'+_prose(f"""
        Accuracy on the test photos and seconds of training, in turn on the same photos, test photos, body
        and resolution; everything is imported beforehand. For fastai the seconds are those of `fine_tune(4)`
        alone, for ours those of decoding, lower body, head and all epochs. fine_tune: mean and range over
        seeds that draw other training photos; "sooner": when ours first reaches the final accuracy of
        fastai; "points better": with the 95 % interval, on the photos of seed 0. The training loop does
        {min(loop):.0%} to {max(loop):.0%} of the photos a second of the bare step (forward, backward,
        optimizer). Peak memory {max(c['peak_mb'] for c in compared):,} MB. Machines: {named}; torch
        {_versions(sets, 'torch')}, fastai {_versions(sets, 'fastai')}; body efficientnet_lite0 unless the
        table names another. `python benchmarks/tune.py` makes these figures.""")


def card():
    "The same on a graphics card."
    one = _read('tune-cuda')['sets']['clothing-100-resnet18-224']
    c = one['compared']
    return _prose(f"""
        With a graphics card ({one['machine']}, torch {one['versions']['torch']}), clothing-100 with the
        stand-in¹ at 224 px: plain fastai {_percent(c['fastai'])} after {c['fastai_seconds']:.0f} s,
        fine_tune {_percent(c['fine_tune'])}{_range(c['fine_tune_all'])} after {c['fine_tune_seconds']:.0f}
        s, {c['sooner']:.1f} times sooner at the accuracy of fastai; loop {c['loop_share']:.0%} of the bare
        step.""")+'\n\n'+_prose("""
        ¹ Weights that we trained for an hour, for measuring only: no figure of ResNet-18's own.""")


def _frozen_row(name, part, ours):
    "A line of the table: seconds of each round, the ratio, accuracies."
    seconds = lambda who: ', '.join(f"{r[who]['process']:.0f}" for r in part['rounds'])  # noqa: E731
    bare = part['rounds'][0]['yardstick']['accuracy']
    accuracies = (', '.join(map(_percent, a.values())) for a in (ours, bare))
    times = [seconds(who) for who in ('ours', 'again', 'yardstick')]
    return [name, *times, f"{part['ratio']:.2f}", *accuracies]


def frozen():
    "Frozen studies beside a script without any comfort."
    bench = _read('frozen')
    c, k = bench['cifar'], bench['clothing']
    birds = 'CIFAR-10 bird, deer, frog, 96 px; 100, 500, 1000, 5000 a class'
    rows = [_frozen_row(birds, c, c['same_photos']),
            _frozen_row('clothing, all 3,068 training photos, 224 px', k, k['rounds'][0]['ours']['accuracy'])]
    head = ['', 'imgcls, s', 'again, s', 'bare script, s', 'ratio', 'imgcls', 'bare script']
    return '\n\n'.join([_table(head, rows), *map(_prose, _frozen_notes(bench))])


def _frozen_notes(bench):
    c, k, f, v = bench['cifar'], bench['clothing'], bench['fastai'], bench['versions']
    yield f"""
        Seconds of whole processes from start to report, nothing cached, in turn with a script that does the
        same without any comfort (frozen features of the same body, logistic regression, the same resolution
        and test photos; for CIFAR-10 the accuracies are of the same training photos, too). "Again" is a
        second study on the same photos: no feature is computed twice. Decoding and bookkeeping add
        {c['overhead']:.0%} (CIFAR-10) and {k['overhead']:.0%} (clothing) to the time in the body."""
    memory = (f"{m['peak_mb']:,.0f} MB at {m['photos']:,} photos" for m in bench['memory'].values())
    yield f"Peak memory: {', '.join(memory)}."
    yield f"""
        What a fastai user would write today (`vision_learner`, `fine_tune(4)`; clothing, 100 photos a class,
        128 px, the same photos) ends at {_percent(f['plain']['accuracy'][-1])} after
        {f['plain']['seconds']:.0f} s of `fine_tune`; imgcls ends at {_percent(f['ours']['accuracy']['all'])}
        after {f['ours']['process']:.0f} s, everything included: {f['ratio']:.0f} times sooner."""
    spread = (f'{_percent(m)} ({_percent(low)} to {_percent(high)}) at {n}'
              for n, (m, low, high) in bench['spread'].items())
    yield f"""
        The embedded data set over nine studies (three drawings, three test sets), mean and range:
        {', '.join(spread)} a class."""
    yield f"""
        Machine: {bench['machine']} (AVX-512 with bf16), Python {v['python']}, torch {v['torch']}, timm
        {v['timm']}; body: efficientnet_lite0 with its packaged ImageNet weights; seed 0. `make bench` makes
        these figures and keeps them in `benchmarks/frozen.json`. Absolute times drift by half on this
        machine; ratios hold."""


def _found_row(name, r):
    known = ['', '', '']
    if r['wrong']: known = [f'{r[k]:.2f}' for k in ('precision', 'recall', 'average_precision')]
    return [name, f"{r['photos']:,}", r['wrong'], f"{r['suspected']} ({r['suspected_share']:.1%})", *known]


def found():
    "How well wrong labels are found."
    bench = _read('clean')
    rows = [_found_row(n, r) for n, r in bench['sets'].items()]
    head = ['', 'photos', 'wrong', 'suspected', 'precision', 'recall', 'average precision']
    return _table(head, rows)+'\n\n'+_prose(f"""
        Labels that are wrong on purpose: in the drawings, a share of each folder shows another animal; in
        CIFAR-10, labels were swapped at random. `python benchmarks/clean.py` makes these figures
        ({bench['machine']}, torch {bench['versions']['torch']}).""")
