"""Write the tables of the prose pages into their notebooks, and the list of lessons.

Nothing here is measured: the figures are those of benchmarks/*.json. A markdown cell that begins with
`<!-- made by tools/figures.py: NAME -->` holds what the function NAME below returns.
"""
import json
import re
import sys
from pathlib import Path
from statistics import mean, median

from execnb.nbio import read_nb, write_nb

ROOT = Path(__file__).resolve().parents[1]
BENCHMARKS = ROOT/'benchmarks'
COURSE = ROOT/'nbs'/'course'
PAGES = [ROOT/'nbs'/f'{name}.ipynb' for name in ('index', 'benchmarks', 'truth')]
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


def _table(head, rows, align='---:'):
    "A Markdown table, numbers to the right."
    lines = [head, [align]*len(head), *rows]
    return '\n'.join('| '+' | '.join(map(str, cells))+' |' for cells in lines)


def _prose(text):
    "One paragraph, however its lines were broken here."
    return ' '.join(text.split())


def _percent(x): return f'{100*x:.1f} %'


def _range(values):
    "' (85.8 to 89.8)', or nothing for a single value."
    return f' ({100*min(values):.1f} to {100*max(values):.1f})' if len(values) > 1 else ''


def _bought(steps):
    "{size: what it bought against the size before}."
    return {s['size_to']: f"{100*s['difference']:+.1f} points, {s['verdict']}" for s in steps}


def _means(runs):
    "{size: accuracy after each epoch, the mean over seeds}."
    sizes = dict.fromkeys(r['size'] for r in runs)
    return {n: [mean(e) for e in zip(*(r['epochs'] for r in runs if r['size'] == n))] for n in sizes}


def study():
    "The claim of the front page: accuracy by number of photos, in the time that the study takes."
    made = _read('frozen')['study']
    final, bought = made['final'], _bought(made['steps'])
    (few, first), (many, last) = ((r['size'], _percent(r['accuracy'])) for r in (final[0], final[-1]))
    head = ['photos a class', 'accuracy', '95 % interval', 'gained']
    rows = [[r['size'], _percent(r['accuracy']), f"{100*r['low']:.1f} to {100*r['high']:.1f}",
             bought.get(r['size'], '')] for r in final]
    claim = f"""
        **{few} photos of each animal are enough to name {first} of new photos right, {many} for {last}:
        measured in {made['process']:.0f} seconds on two cores, from the photos to the report.**"""
    note = f"""{_study_note(final, made['runs'][0]['n_test'])} Measured on {made['machine']}; a processor
        without bf16, fast 16-bit numbers, takes longer."""
    return '\n\n'.join([_prose(claim), _table(head, rows), _prose(note)])


def _study_note(final, n_test):
    "What the intervals and the word 'better' speak of."
    seeds = final[0]['seeds']
    drawn = f'Fox, squirrel and deer, drawn by imgcls; {n_test} test photos;'
    if seeds == 1: return f'{drawn} one seed: the luck with the training photos is not in it.'
    return f'{drawn} mean of {seeds} seeds: other photos each, at {final[-1]["size"]} the same.'


def epochs():
    "The study of the front page, epoch by epoch."
    made = _read('frozen')['study']
    means = _means(made['runs'])
    head = ['photos a class', *(f'epoch {i+1}' for i in range(len([*means.values()][0])))]
    rows = [[size, *map(_percent, accuracies)] for size, accuracies in means.items()]
    return _table(head, rows)+'\n\n'+_prose("""
        Accuracy on the test photos after each epoch; an epoch is one pass over the training photos.""")


def _compared():
    "Each set of photos on which fine_tune ran beside fastai."
    return {n: s for n in SETS if 'compared' in (s := _read('tune')['sets'].get(n, {}))}


def _few_to_many(values, form):
    "'3.5 to 56.4, median 20.2'."
    return f'{min(values):{form}} to {max(values):{form}}, median {median(values):{form}}'


def _fastai_seeds(compared):
    "'fastai with one seed', or with how many."
    seeds = sorted({len(c['fastai_all']) for c in compared})
    if seeds == [1]: return 'fastai with one seed'
    return f"fastai with {' or '.join(map(str, seeds))} seeds"


def five():
    "The five figures that matter, the unfavourable ones with them."
    sets = [s['compared'] for s in _compared().values()]
    points = _few_to_many([100*c['difference'] for c in sets], '+.1f')
    whole, crossing = (_few_to_many([c[k] for c in sets if c[k]], '.1f') for k in ('whole', 'crossing'))
    card = _read('tune-cuda')['sets']['clothing-100-resnet18-224']['compared']
    bench, clean = _read('frozen'), _read('clean')['sets']['CIFAR-10 bird, deer and frog, 5% flipped']
    ratio = ' and '.join(f"{bench[k]['ratio']:.2f}" for k in ('cifar', 'clothing'))
    rows = [
        ['fine-tuning against plain fastai, points of accuracy', points,
         f'{len(sets)} comparisons (photos, weights), two cores'],
        ['… how many times as fast',
         f"whole training against whole training: {whole}; until each first has fastai's final accuracy: "
         f'{crossing}', f'the same; {_fastai_seeds(sets)}'],
        ['… with a graphics card',
         f"whole against whole: {card['whole']:.1f}; to fastai's final accuracy: {card['crossing']:.1f}; its "
         f"loop does {100*card['loop_share']:.0f} % of what a bare loop does",
         f'clothing, 100 photos a class, 224 px; {_fastai_seeds([card])}'],
        ['a whole frozen study against a bare script', f'{ratio} of the time', 'CIFAR-10; clothing'],
        ['wrong labels on real photos',
         f"{100*clean['recall']:.0f} % found; {100*clean['precision']:.0f} % of the suspects are wrong",
         'CIFAR-10, 5 % of the labels swapped']]
    return _table(['what', 'figure', 'measured on'], rows, ':---')


def _tuned_row(name, one, letter):
    c, runs = one['compared'], one['runs']
    frozen = ''
    if runs.get('frozen'):
        accuracy = mean(r['rows'][-1][1] for r in runs['frozen'])
        frozen = f"{_percent(accuracy)}, {runs['frozen'][0]['seconds']:.0f} s"
    ours = f"{_percent(c['fine_tune'])}{_range(c['fine_tune_all'])}, {c['fine_tune_seconds']:.0f} s"
    low, high = (f'{100*x:+.1f}' for x in c['interval'])
    crossing = f"{c['crossing']:.1f} ×" + '²'*c['head_alone'] if c['crossing'] else 'not reached'
    if len(c['crossing_all']) > 1: crossing += f" ({min(c['crossing_all'])} to {max(c['crossing_all'])})"
    plain = f"{_percent(c['fastai'])}{_range(c['fastai_all'])}, {c['fastai_seconds']:.0f} s"
    return [f'{SETS[name]} ({letter})', plain, ours, frozen, f"{c['whole']:.1f} ×",
            crossing, f"{100*c['difference']:+.1f} ({low} to {high})"]


def _versions(sets, library): return ' and '.join(sorted({s['versions'][library] for s in sets.values()}))


def tuned():
    "fine_tune beside plain fastai."
    sets = _compared()
    machines = sorted({s['machine'] for s in sets.values()})
    letters = dict(zip(machines, LETTERS))
    rows = [_tuned_row(n, s, letters[s['machine']]) for n, s in sets.items()]
    compared = [s['compared'] for s in sets.values()]
    loop = [c['loop_share'] for c in compared]
    named = '; '.join(f'{letter} {machine}' for machine, letter in letters.items())
    head = ['', 'plain fastai', 'fine_tune', 'frozen', 'whole against whole', "to fastai's accuracy",
            'points better']
    return '\n\n'.join([_table(head, rows), _prose(f"""
        Accuracy on the test photos and seconds of training, in turn on the same photos, test photos, body
        and resolution; everything is imported beforehand. For fastai the seconds are those of `fine_tune(4)`
        alone, for ours those of decoding, lower body, head and all epochs. fine_tune: mean and range over
        seeds that draw other training photos; {_fastai_seeds(compared)}, so that its luck with photos and
        weights is in every line. The training loop does
        {min(loop):.0%} to {max(loop):.0%} of the photos a second of the bare step (forward, backward,
        optimizer). Peak memory {max(c['peak_mb'] for c in compared):,} MB. {_not_in_turn(sets)}
        Machines: {named}; torch
        {_versions(sets, 'torch')}, fastai {_versions(sets, 'fastai')}; body efficientnet_lite0 unless the
        table names another. `python benchmarks/tune.py` makes these figures."""),
        _prose(_what_is_compared(compared)), _prose(_threads())])


def _not_in_turn(sets):
    "Which sets were measured again in a part of their trainings only."
    apart = [f"{name} ({s['ended']['fastai']} and {s['ended']['fine_tune']})" for name, s in sets.items()
             if s.get('ended') and s['ended']['fastai'] != s['ended']['fine_tune']]
    return f"Not in turn, but fastai earlier and fine_tune later: {'; '.join(apart)}." if apart else ''


def _what_is_compared(compared):
    head = sum(c['head_alone'] for c in compared)
    return f"""
        "Whole against whole" divides the seconds of the two trainings. "To fastai's accuracy"
        divides the seconds after which each first has the accuracy with which fastai ends; fastai
        may have it an epoch or more before its end. With several seeds of fastai it is the median,
        with the range. On clothing from random weights fastai ends about where guessing does, so
        when it first is there is mostly luck. ² In {head} of the {len(compared)} sets our head alone has it,
        before the body learns: there this figure says more about frozen features than about
        fine-tuning. "Points better": on the photos of seed 0, with the interval of these two classifiers
        on other test photos; the luck of the training photos is not in it, for the spread over
        seeds see the ranges. [How our figures are checked](truth.ipynb) says what such an interval
        is worth."""


def _threads():
    "What one thread and two do to the result, in words."
    made = _read('tune')['threads']
    one, two = made['accuracy'].values()
    apart = max(abs(a-b) for a, b in zip(one, two))
    return f"""
        One thread and two round sums in another order, and fine_tune ends in other weights: on
        {made['photos']} drawn photos, {len(one)} seeds end at {', '.join(map(_percent, one))} with one
        thread and at {', '.join(map(_percent, two))} with two, up to {100*apart:.1f} points apart at the
        same seed; from seed to seed they lie up to {100*(max(one+two)-min(one+two)):.1f} points apart
        ({made['n_test']} test photos)."""


def card():
    "The same on a graphics card."
    one = _read('tune-cuda')['sets']['clothing-100-resnet18-224']
    c = one['compared']
    return _prose(f"""
        With a graphics card ({one['machine']}, torch {one['versions']['torch']}), clothing-100 with the
        stand-in¹ at 224 px: plain fastai {_percent(c['fastai'])} after {c['fastai_seconds']:.0f} s,
        fine_tune {_percent(c['fine_tune'])}{_range(c['fine_tune_all'])} after {c['fine_tune_seconds']:.0f}
        s: {c['whole']:.1f} times as fast, whole against whole, and {c['crossing']:.1f} times to the accuracy
        with which fastai ends ({_fastai_seeds([c])}); loop {c['loop_share']:.0%} of the bare
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


WORK = dict(
    clothing='clothing, all photos, 224 px, one seed', some='… 20 and 100 a class', five='… with five seeds',
    birds='CIFAR-10 bird, deer, frog, 100 to 5000 a class, 96 px, one seed')


def before():
    "Frozen studies as they are now against an earlier commit."
    bench, lines, commits = _read('before'), [], set()
    for numbers, parts in ((k, bench[k]) for k in ('32 bits', 'usual numbers') if k in bench):
        for part, name in ((k, v) for k, v in WORK.items() if k in parts):
            r = parts[part]
            commits.add(r['commit'])
            then, now = (median(x[who] for x in r['rounds']) for who in ('before', 'now'))
            lines.append([name, numbers, f'{then:.0f}', f'{now:.0f}', f"{r['ratio']:.2f}"])
    return _table(['', 'numbers', 'before, s', 'now, s', 'ratio'], lines)+'\n\n'+_prose(f"""
        Seconds of whole processes, nothing cached, in turn with commit {', '.join(sorted(commits))}, before
        frozen bodies ran on ONNX Runtime where that is faster, and before photos that no run needs were left
        out. "32 bits": the processor's 16-bit numbers were switched off. `python benchmarks/before.py`
        ({bench['machine']}, torch {bench['versions']['torch']}).""")


def _nested_row(r):
    size = r['run'].split('-')[-3]
    seconds = [f'{r[part]:.1f}' for part in ('decoding', 'below', 'views', 'scoring')]
    return [size, f"{r['seconds']:.0f}", *seconds, f"{r['passes']:,}"]


def nested():
    bench = _read('nested')
    every, largest = bench['every'], bench['largest']
    head = ['photos a class', 'seconds', 'decoding', 'as they are', 'other views', 'scoring',
            'photos trained on']
    passes = [r['passes'] for r in every['runs']]
    return _table(head, [_nested_row(r) for r in every['runs']])+'\n\n'+_prose(f"""
        fine_tune on CIFAR-10's bird, deer and frog at 96 px: all of it in one study {every['process']:.0f} s,
        the largest size alone {largest['process']:.0f} s, whole processes with nothing cached: a ratio of
        {bench['ratio']:.2f}. Decoding, and the photos as they are through the lower body, are what runs could
        share; photos are decoded once a study. Each run has weights of its own to train and, after each
        epoch, to score with. A photo that it trains on counts once an epoch: {sum(passes):,} in all,
        {sum(passes)/passes[-1]:.2f} times as many as the largest size alone.
        `python benchmarks/nested.py` ({bench['machine']}, torch {bench['versions']['torch']}).""")


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
        CIFAR-10, labels were swapped at random. With {bench['page']['photos']:,} clothing photos, whose
        features are known, the cleaner shows its first photo {min(bench['page']['seconds']):.0f} to
        {max(bench['page']['seconds']):.0f} s after it is called in a new process.
        `python benchmarks/clean.py` makes these figures
        ({bench['machine']}, torch {bench['versions']['torch']}).""")


def _grid(rows, down, across, value):
    "A row for each value of the columns `down`, a column for each of `across`, as names and cells."
    columns, lines = {}, {}
    for r in rows:
        columns[across(r)] = True
        lines.setdefault(tuple(r[d] for d in down), {})[across(r)] = value(r)
    return [*columns], [[*key, *(line.get(c, '') for c in columns)] for key, line in lines.items()]


def _tested(r):
    "'500 tested', or that they are frames of animals."
    return f"{r['photos']:,} tested" + (f", {r['group']} an animal" if r['group'] > 1 else '')


def _share(x): return '' if x is None else f'{100*x:.1f}'
class _NotYet(LookupError): "A part of a benchmark that has not been run."


def _part(name):
    made = _read('truth')
    if name in made: return made[name]
    raise _NotYet(f'Not measured yet: `python benchmarks/truth.py {name}`.')


def _outside(values, low, high): return sum(not low <= v <= high for v in values)


def _made(name):
    part = _part(name)
    return f"{part['reps']} repetitions, seed {part['seed']}; `python benchmarks/truth.py {name}`."


def coverage():
    "How often the interval of the accuracy holds the truth."
    rows = _part('claims')['rows']
    columns, lines = _grid(rows, ('size', 'seeds', 'speaks_of'), _tested, lambda r: _share(r['held']))
    held = [r['held'] for r in rows]
    return _table(['photos a class', 'seeds', 'speaks of', *columns], lines)+'\n\n'+_prose(f"""
        In how many of 100 studies the 95 % interval held the truth. Of these {len(held)} figures
        {_outside(held, .93, .97)} lie outside 93 to 97; the lowest is {_share(min(held))}, the highest
        {_share(max(held))}. A figure itself is uncertain by about 2. {_made('claims')}""")


def alarms():
    "How often a study of equal sizes calls one better or worse."
    rows = [r for r in _part('claims')['rows'] if r['false_alarms'] is not None]
    columns, lines = _grid(rows, ('size', 'seeds'), _tested, lambda r: _share(r['false_alarms']))
    wrong = [r['false_alarms'] for r in rows]
    return _table(['photos a class', 'seeds', *columns], lines)+'\n\n'+_prose(f"""
        In how many of 100 studies of four sizes that are truly equal, at least one step was called better or
        worse. It should be 5 or less; {_outside(wrong, 0, .06)} of these {len(wrong)} figures are above 6,
        the highest is {_share(max(wrong))}. With one seed there is no verdict on sizes. {_made('claims')}""")


def probabilities():
    "What is said of a classifier's probabilities."
    kinds = ('as trained', 'perfect', 'too sure')
    rows = [r for r in _part('calibration')['rows'] if r['kind'] in kinds]
    lines = [[r['kind'], _tested(r), f"{r['true']:+.1f}", f"{r['off']:+.1f}", f"{r['usual']:.1f}",
              _share(r['held']), _share(r['sentence'])] for r in rows]
    bias = max(abs(r['bias']) for r in _part('calibration')['rows'])
    sentence = [r['sentence'] for r in _part('calibration')['rows']]
    head = ['classifier', 'photos', 'off by', 'imgcls says', 'usual measure', 'interval held',
            'sentence held']
    return _table(head, lines)+'\n\n'+_prose(f"""
        Points by which the probabilities are too high (+) or too low (−), means. Of all
        {len(sentence)} kinds and numbers of photos, the largest mistake in the mean is {bias:.2f} points; the
        sentence "when it says 90 %, it is right in …" held in {_share(min(sentence))} to
        {_share(max(sentence))} of 100. The usual measure is the expected calibration error (Guo et al. 2017).
        {_made('calibration')}""")


def bursts():
    "What a camera trap's accuracy is worth."
    part = _part('bursts')
    lines = [[name, *(f'{part[k][c]:.1f}' for c in ('reported', 'true')),
              f"{part[k]['gap']:+.1f} ± {2*part[k]['noise']:.1f}", f"{part[k]['spread']:.0f}"]
             for name, k in (('photos parted as they come', 'parted'), ('bursts kept together', 'together'))]
    head = ['', 'reported, %', 'true, %', 'too good by, points', 'spread of one study, points']
    return _table(head, lines)+'\n\n'+_prose(f"""
        {part['animals']} animals, {part['frames']} frames of each; true is the accuracy on frames of animals
        that the classifier has never seen. ±: two standard errors of the mean. {_made('bursts')}""")


def marks():
    "How often training that did not go on too long is called too long."
    rows = _part('marks')['rows']
    columns, lines = _grid(rows, ('epochs', 'seeds'), _tested, lambda r: _share(r['marked']))
    return _table(['epochs', 'seeds', *columns], lines)+'\n\n'+_prose(f"""
        In how many of 100 studies the report said "overfitting beyond chance" although the last epoch is
        truly the best. It should be 5 or less. {_made('marks')}""")


def cleaned():
    "The level of a cleaned study."
    rows = _part('cleaned')['rows']
    lines = [[f"{100*r['wrong']:.0f} %", *(f'{r[k]:.1f}' for k in ('reported', 'as_labelled', 'true',
             'without_suspects')), _share(r['held'])] for r in rows]
    head = ['wrong labels', 'reported, %', 'true, labels as they are, %', 'true, right labels, %',
            'without suspects, %', 'interval held']
    return _table(head, lines)+'\n\n'+_prose(f"""
        {rows[0]['photos']:,} test photos with as many wrong labels as the training photos. "Without
        suspects": what one would report if suspected test photos were thrown away. {_made('cleaned')}""")


def copies():
    "Altered copies of photos that are found."
    made = _read('duplicates')
    lines = [[name, r['before'], r['now']] for name, r in made['found'].items()]
    sets = ' and '.join(f"{made[k]['pairs']} pairs among {made[k]['photos']:,} photos of {name}"
                        for k, name in (('clothing', 'clothes'), ('cifar', 'CIFAR-10')))
    return _table(['altered', 'difference hash, %', 'imgcls, %'], lines)+'\n\n'+_prose(f"""
        Of {made['photos']} photos of clothes, each altered in one way. As they are, the sets hold {sets}.
        `python benchmarks/duplicates.py`.""")


def scale():
    "Studies of few and of many photos, a photo at a time."
    made = _read('scale')
    rows = [[f"{r['photos']:,}", f"{r['seconds']:,.0f}", f"{1000*r['seconds']/r['photos']:.2f}",
             f"{1000*r['processor']/r['photos']:.2f}", f"{r['peak_mb']:,}", f"{r['feature_mb']:,}"]
            for r in made['studies']]
    head = ['photos', 'seconds', 'ms a photo', 'ms of the processor', 'peak memory, MB', 'features, MB']
    return _table(head, rows)+'\n\n'+_prose(f"""
        Studies of drawn photos at 96 pixels: body frozen, four sizes, five draws each, whole processes
        with an empty cache. {made['machine']}. `python benchmarks/scale.py`.""")


def million():
    "Near-duplicates among very many photos."
    made = _read('duplicates').get('million')
    if not made: return 'Not measured yet: `python benchmarks/duplicates.py million`.'
    rows = [[f"{r['photos']:,}", f"{r['seconds']:,.0f}", f"{r['processor']:,.0f}", f"{r['peak_mb']:,}",
             _share(_of_full(r['copies']))] for r in made]
    head = ['photos', 'seconds', 'of the processor', 'peak memory, MB', 'found, %']
    return _table(head, rows)+'\n\n'+_prose(f"""
        The memory is that of the whole process, with the looks themselves, 1 KB a photo. "Found": of the
        altered copies that a comparison of every photo with every other one finds, so many are found.
        {made[-1]['machine']}. `python benchmarks/duplicates.py million`.""")


def _of_full(copies):
    "The share found of the copies that a comparison of all pairs finds."
    both, full = (sum(c[k] for c in copies.values()) for k in ('both', 'in_full'))
    return both/full


def _slope(few, many, value): return (value(many)-value(few))/(many['photos']-few['photos'])


def _length(seconds): return f'{seconds/60:,.0f} min' if seconds < 5400 else f'{seconds/3600:,.0f} h'


def ten_million():
    "What ten million photos would take, by the slope from the smallest to the largest study."
    few, many = _read('scale')['studies'][0], _read('scale')['studies'][-1]
    n, stages = 10**7, {}
    for what in many['stages']:
        spent = _slope(few, many, lambda r, what=what: r['stages'].get(what, dict(seconds=0))['seconds'])*n
        if spent >= 60: stages[what] = [what, _length(spent), _length(spent/8)]
    memory = _slope(few, many, lambda r: r['peak_mb'])*n/1e3
    disk = many['feature_mb']/many['photos']*n/1e3
    table = _table(['ten million photos', 'two cores', 'sixteen cores, at best'], [*stages.values()])
    return table+'\n\n'+_prose(f"""
        Not measured: extrapolated in a straight line from {few['photos']:,} to {many['photos']:,} photos,
        and for sixteen cores divided by eight, which only reading and features come near. Features would
        take {disk:,.0f} GB on disk in {n//1024:,} shards. Memory would be {memory:,.0f} GB.""")


def _minutes(nb):
    "Reading at 200 words a minute and the run that the last cell tells of, to the next five minutes."
    words = sum(len(c.source.split()) for c in nb.cells if c.cell_type == 'markdown')
    text = ''.join(str(o.get('text', '')) for c in nb.cells for o in c.get('outputs', []))
    ran = re.search(r'ran on .*? in (?:(\d+) min )?\d+ s', text)
    return 5*-(-int(words/200+int(ran[1] or 0)+1 if ran else words/200)//5)


def lessons():
    "The lessons with what is found out in each, and how long it takes."
    lines = []
    for file in sorted(COURSE.glob('[0-9]*.ipynb')):
        nb = read_nb(file)
        title, line = re.match(r'# (.*)\n+> (.*)', nb.cells[0].source).groups()
        lines.append(f'- [**{title}**](course/{file.name}) {line}. *{_minutes(nb)} minutes*')
    return '\n'.join(lines)


MADE = re.compile(r'<!-- made by tools/figures.py: (\w+) -->')


def fill(source):
    "The source of a markdown cell with its table as it is now."
    found = MADE.match(source)
    if not found: return source
    try: table = globals()[found[1]]()
    except _NotYet as e: table = str(e)
    return f'{found[0]}\n\n{table}'


def main():
    for page in PAGES:
        nb = read_nb(page)
        before = [c.source for c in nb.cells]
        for c in nb.cells: c.source = fill(c.source)
        if before == [c.source for c in nb.cells]: continue
        write_nb(nb, page)
        print(f'{page.name}: new tables', file=sys.stderr)


if __name__ == '__main__': main()
