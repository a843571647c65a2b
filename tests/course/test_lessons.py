"""The lessons as files: their shape, their links, their numbers. `nbdev_test` runs them."""
import json
import re
from functools import cache
from html import unescape
from pathlib import Path

import pytest

from imgcls.course.exercises import EXERCISES

ROOT = Path(__file__).resolve().parents[2]
COURSE = ROOT/'nbs/course'
LESSONS = sorted(COURSE.glob('0*.ipynb'))
SOLUTIONS = sorted((COURSE/'solutions').glob('0*.ipynb'))
PAGES = [*LESSONS, *sorted(COURSE.glob('[!._0]*.ipynb')), *SOLUTIONS]
STEPS = ['Photos', 'Split', 'Train', 'Measure', 'Look']
name = lambda p: p.relative_to(COURSE).as_posix()
each_lesson = pytest.mark.parametrize('path', LESSONS, ids=name)
each_with_code = pytest.mark.parametrize('path', LESSONS+SOLUTIONS, ids=name)
each_page = pytest.mark.parametrize('path', PAGES, ids=name)


@cache
def cells(path, kind='code'):
    "Source and outputs of each cell of a kind."
    found = json.loads(path.read_text(encoding='utf-8'))['cells']
    return [(''.join(c['source']), c.get('outputs', [])) for c in found if c['cell_type'] == kind]


def code(path): return [source for source, _ in cells(path)]
def prose(path): return '\n\n'.join(source for source, _ in cells(path, 'markdown'))


def shown(outputs):
    "The text of a cell's outputs, without the tags of its HTML."
    texts = []
    for o in outputs:
        data = o.get('data', {})
        html = re.sub(r'<style.*?</style>|data:image/[^"]*|<[^>]*>', ' ', ''.join(data.get('text/html', '')),
                      flags=re.S)
        texts += [''.join(o.get('text', '')), ''.join(data.get('text/plain', '')), unescape(html)]
    return '\n'.join(texts)


# How a lesson is made

def test_there_are_seven_lessons_with_solutions():
    assert [p.name[:2] for p in LESSONS] == [f'0{i}' for i in range(1, 8)]
    assert [p.name for p in SOLUTIONS] == [p.name for p in LESSONS]


@each_with_code
def test_the_first_two_code_cells_are_those_of_every_lesson(path):
    first, second = code(path)[:2]
    assert [first, second] == code(LESSONS[0])[:2]
    assert first.startswith('# Colab and Kaggle') and second.startswith('from imgcls.all import *')


@each_with_code
def test_badges_open_this_notebook(path):
    top, at = cells(path, 'markdown')[0][0], f'nbs/course/{name(path)}'
    assert re.match(rf'# (Solutions · )?{path.name[1]} · \S', top)
    links = re.findall(r'\((https://(?:colab\.research|kaggle)\S+\.ipynb)\)', top)
    assert len(links) == 2 or path in SOLUTIONS and not links
    assert all(link.endswith(f'github.com/imgcls/imgcls/blob/main/{at}') or
               link.endswith(f'github/imgcls/imgcls/blob/main/{at}') for link in links), links


@each_lesson
def test_five_steps_in_order(path):
    headings = re.findall(rf'^## ({"|".join(STEPS)})\b', prose(path), re.M)
    assert headings == STEPS


@each_lesson
def test_shape(path, load_tool):
    shape = load_tool('shape')
    s = shape.lesson_shape(path)
    assert s['longest'] <= shape.LESSON_LINES and s['median'] <= shape.LESSON_MEDIAN, s
    assert s['prose'] >= shape.LESSON_PROSE, s
    assert not s['idle'], f"{s['idle']} code cells show nothing and test nothing"


@each_lesson
def test_a_result_stands_on_the_first_screen(path):
    early = [(outputs, any({'image/png', 'text/html'} & {*o.get('data', {})} for o in outputs),
              re.search(r'\b(study|train)\(', source)) for source, outputs in cells(path)[:5]]
    assert any(seen or trained and shown(outputs).strip() for outputs, seen, trained in early)


@each_lesson
def test_questions_guesses_and_things_to_change(path):
    text, source = prose(path), '\n'.join(code(path))
    details = re.findall(r'<details>\s*<summary>(.+?)</summary>\s*(.+?)\s*</details>', text, re.S)
    assert len(details) >= 12 and len(details) == text.count('<details') == text.count('</details>')
    assert len(re.findall(r'change this and run again', text, re.I)) >= 2
    guesses = re.findall(r'^(\w+) = lesson\.guess\(', source, re.M)
    assert guesses and len(guesses) == source.count('lesson.guess(')
    forgotten = [g for g in guesses if not re.search(rf'\b{g}\.was\(', source)]
    assert not forgotten, f'guesses without an outcome: {forgotten}'


@each_with_code
def test_the_last_cell_says_when_it_ran(path):
    last, outputs = cells(path)[-1]
    assert last == 'lesson.end()'
    assert re.search(r'Lesson \d ran on .+\nPhotos: .+\nVersions: ', shown(outputs))
    if path in LESSONS: assert 'lesson.plot_guesses()' in code(path)


# Exercises

@each_lesson
def test_exercises_and_their_solutions(path):
    number, solved = int(path.name[:2]), COURSE/'solutions'/path.name
    names = [f'{number}.{i}' for i in (1, 2, 3)]
    assert [n for n in EXERCISES if n.startswith(f'{number}.')] == names
    lines = {line.strip() for source in code(solved) for line in source.splitlines()}
    asked = '\n'.join(code(path))
    for n in names:
        missing = [s for s in EXERCISES[n].solution.splitlines() if s.strip() and s.strip() not in lines]
        assert not missing, f"the solutions notebook lacks lines of solution('{n}'): {missing}"
        assert f"hint('{n}')" in asked and f'**{n}**' in prose(path).replace(f'**{n} ', f'**{n}** ')
        assert re.search(rf"check\('{n}', .+\)", '\n'.join(lines))


@pytest.mark.parametrize('path', SOLUTIONS, ids=name)
def test_solutions_are_right(path):
    said = '\n'.join(shown(outputs) for _, outputs in cells(path))
    assert len(re.findall(r'^Right\. ', said, re.M)) >= 3 and 'Not yet' not in said


# Files and what was saved

@each_page
def test_no_notebook_is_large(path): assert path.stat().st_size < 1_000_000


@each_with_code
def test_saved_outputs_are_from_real_photos(path):
    *_, (_, outputs) = cells(path)
    assert "Photos: the data set '" in shown(outputs), 'run `make course`: it saves outputs from real photos'


# Links

def slug(heading): return re.sub(r'[^\w -]', '', heading.strip().lower()).replace(' ', '-')


@cache
def anchors(path): return {slug(h) for h in re.findall(r'^#+ (.+)$', prose(path), re.M)}


def links(path):
    "Addresses in the prose of a page, in Markdown and in HTML."
    text = re.sub(r'```.*?```|`[^`\n]*`', '', prose(path), flags=re.S)
    return re.findall(r'\]\(<?([^)\s>]+)', text) + re.findall(r'<a [^>]*href="([^"]+)"', text)


@each_page
def test_links_lead_somewhere(path):
    for link in links(path):
        if re.match(r'https?:|mailto:', link): continue
        file, _, anchor = link.partition('#')
        target = (path.parent/file).resolve() if file else path
        assert target.exists(), f'{path.name}: there is no {link}'
        if anchor and target.suffix == '.ipynb':
            assert anchor in anchors(target), f'{path.name}: {target.name} has no heading for #{anchor}'


@each_lesson
def test_words_are_explained_in_the_glossary(path):
    assert len({link for link in links(path) if 'glossary.ipynb#' in link}) >= 3


def test_the_glossary_is_in_order_and_leads_back_to_the_lessons():
    first, *entries = [source for source, _ in cells(COURSE/'glossary.ipynb', 'markdown')]
    heads = [re.match(r'## (.+)\n', e)[1] for e in entries]
    assert heads == sorted(heads) and len({*heads}) == len(heads) > 40
    for head, entry in zip(heads, entries):
        assert head == head.lower(), 'JupyterLab tells #Recall from #recall'
        assert re.search(r'\(0\d_\w+\.ipynb\)', entry), f'{head} names no lesson that uses it'


@pytest.mark.parametrize('word', ['accuracy', 'epoch', 'fine-tuning', 'hyperparameter', 'batch size', 'head',
    'augmentation', 'confusion matrix', 'true positive', 'precision', 'recall', 'validation set', 'test set',
    'oversampling', 'undersampling', 'overfitting', 'transfer learning', 'backbone', 'learning curve',
    'interval', 'calibration', 'mean average precision', 'bounding box', 'confidence threshold'])
def test_the_glossary_knows(word): assert slug(word) in anchors(COURSE/'glossary.ipynb')


# Numbers

NUMBER = re.compile(r'(?<![\w.,/#·-])(\d{1,3}(?:,\d{3})+|\d+)(\.\d+)?(?![\w/])( ?%| percent)?')
THINKING = re.compile(r'\b(suppose|imagine)\b', re.I)  # a number to think with, not a result


def said(text):
    "What prose says, without headings, code, addresses, and names of lessons and exercises."
    text = re.sub(r'^#.*$', '', text, flags=re.M)
    text = re.sub(r'```.*?```|`[^`\n]*`|<code>.*?</code>', '', text, flags=re.S)
    text = re.sub(r'\]\([^)]*\)|<[^>]*>|\[', ' ', text)
    return re.sub(r'(?i)\b(lessons?|exercises?) \d(\.\d)?|\*\*\d\.\d|^\s*\d+\. ', '', text, flags=re.M)


def blocks(text):
    "A question with its answer, or a paragraph."
    return [b for part in re.split(r'(<details>.*?</details>)', text, flags=re.S)
            for b in ([part] if part.startswith('<details>') else part.split('\n\n'))]


def claims(text):
    "The numbers that prose claims: percentages, decimals, counts above twelve."
    for block in blocks(text):
        if THINKING.search(block): continue
        text = said(block)
        for m in NUMBER.finditer(text):
            value = float(m[1].replace(',', '') + (m[2] or ''))
            interval = value == 95 and re.match(r'\s*(interval|confidence|sure|of 100)', text[m.end():])
            year = 1900 <= value <= 2100 and not m[2] and not m[3] and ',' not in m[1]
            if not year and not interval and (m[2] or m[3] or value > 12): yield value, m[0].strip()


def printed(path):
    "All numbers in the code of a lesson, in its solutions and in what it printed; shares as percent, too."
    solutions = [e.solution for n, e in EXERCISES.items() if n.startswith(f'{int(path.name[:2])}.')]
    text = '\n'.join([*solutions, *(source + '\n' + shown(outputs) for source, outputs in cells(path))])
    found = {float(n.replace(',', '').replace('_', '')) for n in re.findall(r'\d[\d,_]*\.?\d*|\.\d+', text)
             if n.replace(',', '').replace('_', '').strip('.')}
    return found | {round(100*n, 6) for n in found if n <= 1}


@each_lesson
def test_numbers_in_prose_come_from_a_cell(path):
    there = printed(path)
    loose = [words for value, words in claims(prose(path)) if value not in there]
    assert not loose, f'no cell prints these numbers of the prose: {loose}'


@pytest.mark.parametrize('text, want', [
    ('It reaches 98.2 % with 5,000 photos and 3 classes.', [98.2, 5000]),
    ('## 40 photos\nIn 2025, lesson 3 and exercise 3.1 took resnet34, CIFAR-10 and 12 epochs.', []),
    ('The 95 % [interval](a.ipynb#b) is wide, 95 % of it.', [95]),
    ('Use `size=500`, or [500](a.ipynb#500).', [500]),
    ('<details><summary>Suppose 97 % are right?</summary>3 % are not.</details>\n\nBut 40 photos.', [40]),
    ('1. first\n2. second\n\nabout .5 or 0.5 of it', [.5]),
])
def test_what_counts_as_a_number(text, want): assert [v for v, _ in claims(text)] == want


# Spelling

def test_slips_are_found(monkeypatch, load_tool):
    for library in ('codespell_lib', 'nbdev.clean', 'execnb'): pytest.importorskip(library)
    monkeypatch.syspath_prepend(ROOT/'tools')
    check = load_tool('check')
    found = check.misspelt({'a/b.ipynb': 'A fine word.\nWe recieve photos.', 'README.md': 'Nothing here.'})
    assert len(found) == 1 and found[0].startswith('a/b.ipynb:2: recieve ==> receive')
