"""The exercises: what a check says of right answers, of wrong ones and of what is no answer at all."""
import ast
import inspect
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import fisher_exact

from imgcls.core import UserError
from imgcls.course.exercises import EXERCISES, check, hint, solution
from imgcls.studies.made_up import made_up_study

each = pytest.mark.parametrize('name', sorted(EXERCISES))


def told(capsys, name, *answer):
    "What `check` prints."
    check(name, *answer)
    out = capsys.readouterr().out
    assert out.count('\n') == 1 and out.startswith(('Right. ', 'Not yet: ')), out
    return out.strip()


# Every exercise

@each
@pytest.mark.parametrize('answer', [None, 'many', '', [], {}, (), object(), float('nan'), -1e9, True, int,
                                    pd.DataFrame(), np.array([1, 2])], ids=lambda a: repr(a)[:12])
def test_what_is_no_answer(capsys, name, answer):
    n = len(inspect.signature(EXERCISES[name].wrong).parameters)
    assert told(capsys, name, *[answer]*n).startswith('Not yet: ')


@each
def test_hints_and_solutions(capsys, name):
    hint(name)
    assert len(capsys.readouterr().out.split()) >= 5
    solution(name)
    code = capsys.readouterr().out
    calls = [n for n in ast.walk(ast.parse(code)) if isinstance(n, ast.Call) and
             isinstance(n.func, ast.Name) and n.func.id == 'check']
    assert len(calls) == 1 and calls[0].args[0].value == name
    assert EXERCISES[name].right.endswith('.')


@each
def test_too_few_and_too_many_answers(name):
    many = len(inspect.signature(EXERCISES[name].wrong).parameters) + 1
    with pytest.raises(UserError, match='check'): check(name, *[1]*many)


def test_an_exercise_that_is_not_there():
    for f in (check, hint, solution):
        with pytest.raises(UserError, match="no exercise '9.9'"): f('9.9')


def test_a_number_names_an_exercise(capsys):
    hint(6.1)
    assert capsys.readouterr().out == f"{EXERCISES['6.1'].hint}\n"


# Lesson 3

def test_the_smallest_validation_set(capsys):
    assert told(capsys, '3.1', 55).startswith('Right')
    assert 'too low' in told(capsys, '3.1', 54)  # 53 of 54 are 98.1 %
    assert 'too high' in told(capsys, '3.1', 56)


def test_counts_by_hand(capsys):
    matrix = pd.DataFrame([[5, 1, 2], [0, 7, 1], [1, 0, 9]], [*'abc'], [*'abc'])
    counts = dict(TP=5, FP=1, FN=3, TN=17)
    assert told(capsys, '3.2', matrix, 'a', counts).startswith('Right')
    assert told(capsys, '3.2', matrix, 'a', {k: np.int64(n) for k, n in counts.items()}).startswith('Right')
    assert 'too low; count the photos neither' in told(capsys, '3.2', matrix, 'a', counts | dict(TN=7))
    assert 'swapped' in told(capsys, '3.2', matrix, 'a', counts | dict(FP=3, FN=1))
    assert 'a dict with TP' in told(capsys, '3.2', matrix, 'a', (5, 1, 3, 17))


def test_points_of_five_seeds(capsys):
    points = [1, -2, 3, 0, 4.5]
    runs = pd.DataFrame([dict(seed=i, size=size, accuracy=.8 + p*(size == 100)/100)
                         for i, p in enumerate(points) for size in (20, 100)])
    pair = SimpleNamespace(runs=runs)
    assert told(capsys, '3.3', pair, np.array(points)).startswith('Right')
    assert 'seed 2: 2 points is too low' in told(capsys, '3.3', pair, [1, -2, 2, 0, 4.5])
    assert 'signs' in told(capsys, '3.3', pair, [-p for p in points])
    assert 'shares' in told(capsys, '3.3', pair, [p/100 for p in points])
    assert 'five seeds' in told(capsys, '3.3', SimpleNamespace(runs=runs[runs.seed < 4]), points)
    assert 'two sizes' in told(capsys, '3.3', SimpleNamespace(runs=runs[runs['size'] == 20]), points)


# Lesson 4

def test_the_gap(capsys):
    small = SimpleNamespace(epochs=pd.DataFrame(dict(train_accuracy=[.5, .95], accuracy=[.4, .45])))
    assert told(capsys, '4.1', 50., small).startswith('Right')
    assert 'points' in told(capsys, '4.1', .5, small)
    assert 'too low' in told(capsys, '4.1', 10., small)  # of the first epoch
    assert 'small' in told(capsys, '4.1', 50.)
    level = SimpleNamespace(epochs=small.epochs.assign(train_accuracy=.45))
    assert told(capsys, '4.1', 0., level).startswith('Right')  # no gap is no share


def test_enough_test_photos(capsys):
    assert told(capsys, '4.2', 382).startswith('Right')
    assert 'too low' in told(capsys, '4.2', 380)
    assert 'too high' in told(capsys, '4.2', 400)


def test_the_class_that_suffers_most(capsys):
    def recalls(*values):
        return SimpleNamespace(per_class=pd.DataFrame(dict(recall=values), index=['deer', 'fox', 'owl']))
    sharp, blurred = recalls(.9, .9, .8), recalls(.8, .5, .4)
    assert told(capsys, '4.3', 'fox', sharp, blurred).startswith('Right')
    assert told(capsys, '4.3', 'owl', sharp, blurred).startswith('Right')  # it loses as much
    assert "'deer' loses 10.0 points" in told(capsys, '4.3', 'deer', sharp, blurred)
    assert 'deer, fox, owl' in told(capsys, '4.3', 'wolf', sharp, blurred)
    assert 'sharp and blurred' in told(capsys, '4.3', 'fox')


# Lesson 5

def test_the_share_of_the_head(capsys):
    body = SimpleNamespace(module=torch.nn.Linear(10, 99), n_features=99)  # 1,089 weights
    assert told(capsys, '5.1', body, 3, 100*300/1389).startswith('Right')
    assert 'multiply it by 100' in told(capsys, '5.1', body, 3, 300/1389)
    assert 'too high' in told(capsys, '5.1', body, 3, 100*300/1089)


def test_momentum(capsys):
    assert told(capsys, '5.2', 9.999).startswith('Right')
    assert 'too low' in told(capsys, '5.2', .9)


def test_mended_and_broken(capsys):
    names = dict(fine_tune='deer-fine_tune-10-0', frozen='deer-frozen-10-0')
    st = made_up_study({('deer', recipe, 10): [a] for recipe, a in dict(frozen=.7, fine_tune=.9).items()})
    right = {r: st.probs(name)[-1].argmax(1) == st.targets for r, name in names.items()}
    before, after = right['frozen'], right['fine_tune']
    mended, broken = int((after & ~before).sum()), int((before & ~after).sum())
    assert told(capsys, '5.3', st, 10, (mended, broken)).startswith('Right')
    assert 'swapped' in told(capsys, '5.3', st, 10, [broken, mended])
    assert 'broken: ' in told(capsys, '5.3', st, 10, (mended, broken+1))
    assert 'expected (mended, broken), not 7' in told(capsys, '5.3', st, 10, 7)


# Lesson 6

@pytest.fixture
def slips():
    "Twenty training and ten test photos; three labels of each are wrong; two of the three suspects are."
    rows = [(f'{split}/{i}.jpg', split, 'fox' if i < 3 else 'deer', 'deer')
            for split, n in (('train', 20), ('test', 10)) for i in range(n)]
    df = pd.DataFrame(rows, columns=['path', 'split', 'label', 'true_label'])
    suspects = pd.DataFrame(dict(path=['train/0.jpg', 'train/9.jpg', 'train/2.jpg'],
                                 label=['fox', 'deer', 'fox'], suggestion=['deer', 'fox', 'deer']))
    return suspects, SimpleNamespace(df=df)


def test_a_perfect_classifier(capsys, slips):
    _, noisy = slips
    assert told(capsys, '6.1', 70, noisy).startswith('Right')
    assert 'too high' in told(capsys, '6.1', 100, noisy)
    assert 'too low' in told(capsys, '6.1', 69, noisy)
    assert 'percent' in told(capsys, '6.1', .7, noisy)
    assert 'noisy' in told(capsys, '6.1', 70)


def test_suggestions_accepted_unseen(capsys, slips):
    assert told(capsys, '6.2', 2, *slips).startswith('Right')  # one was missed, one was right before
    assert told(capsys, '6.2', np.int64(2), *slips).startswith('Right')
    assert 'too low' in told(capsys, '6.2', 1, *slips)
    assert 'too high' in told(capsys, '6.2', 3, *slips)
    assert 'suspects' in told(capsys, '6.2', 2)
    assert 'suspects' in told(capsys, '6.2', 2, *slips[::-1])


def test_half_of_the_errors(capsys, slips):
    assert told(capsys, '6.3', 1, *slips).startswith('Right')
    assert 'too high' in told(capsys, '6.3', 3, *slips)


# Lesson 7
@pytest.fixture
def sure():
    "Twenty test photos: the two least sure are wrong, and one that is sure."
    right = [False, False] + [True]*17 + [False]
    photos = pd.DataFrame(dict(probability=np.linspace(.4, .97, 20), right=right))
    return photos.sample(frac=1, random_state=0)


def test_a_person_for_the_unsure(capsys, sure):
    assert told(capsys, '7.1', 95., sure).startswith('Right')
    assert 'percent' in told(capsys, '7.1', .95, sure)
    assert 'too low' in told(capsys, '7.1', 85., sure)  # the model alone
    assert 'photos' in told(capsys, '7.1', 95.)


def test_the_promised_accuracy(capsys, sure):
    truth = 100*sure.probability.mean()
    assert told(capsys, '7.2', truth, sure).startswith('Right')
    assert 'percent' in told(capsys, '7.2', truth/100, sure)
    assert 'too high' in told(capsys, '7.2', 85., sure)  # the true accuracy


def test_photos_of_a_friend(capsys, sure):
    p = fisher_exact([[28, 12], [17, 3]]).pvalue
    assert told(capsys, '7.3', p, sure).startswith('Right')
    assert 'too low' in told(capsys, '7.3', .01, sure)
