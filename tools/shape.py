"""Print how the code and its notebooks are built: lines, functions, cells, prose.

    python tools/shape.py [FOLDER]    # FOLDER: a checkout; this one when left out
"""
import ast
import json
import re
import sys
from pathlib import Path
from statistics import median, quantiles

ROOT = Path(__file__).resolve().parents[1]
LONG_LINE, LONG_FUNCTION, MANY_PARAMETERS, LONG_ROOM = 110, 40, 6, 400
LESSON_PROSE, LESSON_MEDIAN, LESSON_LINES = .5, 4, 8  # at least, at most, at most
TEST = re.compile(r'\b(test_\w+\(|assert |ExceptionExpected|test_fail)')


def modules(root):
    "Python files of the package, without those that hold no code of ours: [(name, source)]."
    files = sorted((root/'imgcls').rglob('*.py'))
    return [(p.relative_to(root/'imgcls').with_suffix('').as_posix().replace('/', '.'),
             p.read_text(encoding='utf-8'))
            for p in files if p.name not in ('_modidx.py', '__init__.py')]


def functions(source):
    "Name, lines and number of parameters of each function, without `self`."
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef): continue
        args = node.args
        names = [a.arg for a in (*args.posonlyargs, *args.args, *args.kwonlyargs) if a.arg not in ('self',
                                                                                                   'cls')]
        yield node.name, node.end_lineno-node.lineno+1, len(names)


def cells(notebooks):
    "All cells: dicts with kind, source (without directives), directives, outputs."
    for path in notebooks:
        for c in json.loads(path.read_text(encoding='utf-8'))['cells']:
            lines = ''.join(c['source']).splitlines()
            told = [line[2:].strip() for line in lines if line.startswith('#|')]
            body = [line for line in lines if not line.startswith('#|')]
            yield dict(kind=c['cell_type'], lines=body, told=' '.join(told), outputs=c.get('outputs', []))


def silent(c):
    "Is this a code cell that shows nothing on purpose: imports alone, or the set-up for Colab and Kaggle?"
    if any('%pip' in line for line in c['lines']): return True
    return all(re.match(r'\s*(import |from |#|$)', line) for line in c['lines'])


def lesson_shape(path):
    "How a lesson is built: cells, share of prose, lines of a code cell, cells that show or test nothing."
    found = [c for c in cells([path]) if c['lines']]
    code = [c for c in found if c['kind'] == 'code']
    sizes = [len(c['lines']) for c in code]
    idle = [c for c in code if not (silent(c) or c['outputs'] or TEST.search('\n'.join(c['lines'])))]
    return dict(cells=len(found), prose=1-len(code)/max(1, len(found)), median=median(sizes or [0]),
                longest=max(sizes or [0]), idle=len(idle))


def print_lessons(paths):
    "A line a lesson, with a star where it breaks a rule."
    for path in paths:
        s = lesson_shape(path)
        long = s['median'] > LESSON_MEDIAN or s['longest'] > LESSON_LINES
        star = '   *' if long or s['idle'] or s['prose'] < LESSON_PROSE else ''
        print(f"  {s['cells']:3} cells, {s['prose']:.0%} prose, code cells of {s['median']:.0f} lines "
              f"(longest {s['longest']}), {s['idle']} without output or test  {path.stem}{star}")


def print_rooms(rooms):
    "Lines of each module, the largest first."
    counted = sorted(((len(s.splitlines()), name) for name, s in rooms), reverse=True)
    print('Lines of each room:')
    for n, name in counted: print(f"  {n:5,} {name}{'   *' if n > LONG_ROOM else ''}")
    total = sum(n for n, _ in counted)
    over = sum(n > LONG_ROOM for n, _ in counted)
    print(f'package: {total:,} lines in {len(counted)} rooms, {over} over {LONG_ROOM}')
    gather = sum(n for n, name in counted if re.match(r'(gather|providers|fetch|check)\b', name))
    print(f'gather: {gather:,} lines')


def print_functions(rooms):
    "How long functions are, and how many parameters they have."
    found = [(lines, params, f'{room}:{name}') for room, s in rooms for name, lines, params in functions(s)]
    lengths = [n for n, *_ in found]
    longest, _, name = max(found)
    print(f'functions: {len(found):,}, median {median(lengths):.0f} lines, longest {longest} ({name})')
    long = sorted((f for f in found if f[0] > LONG_FUNCTION), reverse=True)
    many = sorted((f for f in found if f[1] > MANY_PARAMETERS), key=lambda f: -f[1])
    print(f'over {LONG_FUNCTION} lines: {len(long)}: ' + ', '.join(f'{name} {n}' for n, _, name in long))
    print(f'over {MANY_PARAMETERS} parameters: {len(many)}: ' + ', '.join(f'{name} {k}'
                                                                          for _, k, name in many))


def print_cells(name, notebooks):
    "How notebooks are built."
    found = [c for c in cells(notebooks) if c['lines']]
    if not found: return
    code = [c for c in found if c['kind'] == 'code']
    exported = [len(c['lines']) for c in code if re.search(r'\bexporti?\b', c['told'])]
    shown = [c for c in code if not re.search(r'\b(export|hide|default_exp)', c['told'])]
    sizes = [len(c['lines']) for c in code]
    lines = [line for c in code for line in c['lines']]
    long = sum(len(line) > LONG_LINE for line in lines)
    share = lambda part, whole: f'{part/max(1, whole):.0%}'  # noqa: E731
    print(f'{name}: {len(found):,} cells, {share(len(found)-len(code), len(found))} prose')
    nine = quantiles(sizes, n=10)[-1]
    print(f'  lines of a code cell: median {median(sizes):.0f}, nine in ten below {nine:.0f}')
    if exported: print(f'  lines of an exported cell: median {median(exported):.0f}, longest {max(exported)}')
    told = sum(bool(c['outputs']) for c in shown)
    tested = sum(bool(TEST.search('\n'.join(c['lines']))) for c in code)
    print(f'  shown code cells with output: {share(told, len(shown))}; code cells with tests: '
          f'{share(tested, len(code))}')
    print(f'  lines over {LONG_LINE} characters: {long:,} of {len(lines):,} ({long/max(1, len(lines)):.1%})')


def main():
    root = Path(sys.argv[1]).resolve() if sys.argv[1:] else ROOT
    rooms = modules(root)
    print_rooms(rooms)
    print_functions(rooms)
    own = lambda p: p.parent.name != '.ipynb_checkpoints'  # JupyterLab's copies
    notebooks = [p for p in sorted((root/'nbs').rglob('[!._]*.ipynb')) if own(p)]
    print_cells('reference', [p for p in notebooks if re.match(r'\d', p.name) and 'course' not in p.parts])
    course = [p for p in notebooks if 'course' in p.parts]
    print_cells('course', course)
    print_lessons([p for p in course if re.match(r'\d', p.name) and p.parent.name == 'course'])


if __name__ == '__main__': main()
