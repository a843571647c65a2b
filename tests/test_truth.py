"""Do our claims hold where the truth is known? The parts of benchmarks/truth.py, small and without photos."""
import importlib

import pytest


@pytest.fixture(scope='module')
def part(root):
    "A function that runs one part."
    with pytest.MonkeyPatch.context() as m:
        m.syspath_prepend(str(root/'benchmarks'))
        yield lambda name, reps: importlib.import_module(f'truth_{name}').run(reps, seed=0, quick=True)


@pytest.fixture(scope='module')
def claims(part): return part('claims', 80)


def test_intervals_hold_the_truth_about_as_often_as_they_say(claims):
    held = [r['held'] for r in claims['rows']]
    assert .9 <= min(held) and sum(held)/len(held) <= .99
    assert {r['speaks_of'] for r in claims['rows']} == {'this classifier', 'this many photos'}


def test_equal_sizes_are_seldom_called_different(claims):
    alarms = [r['false_alarms'] for r in claims['rows'] if r['seeds'] > 1]
    assert alarms and max(alarms) <= .1
    assert all(r['false_alarms'] is None for r in claims['rows'] if r['seeds'] == 1)


def test_true_gains_are_found_more_often_than_gains_that_are_not_there(claims):
    false = max(r['false_alarms'] for r in claims['rows'] if r['seeds'] > 1)
    assert all(r['found'] > false for r in claims['steps'] if r['true'] > 5)


def test_probabilities_are_called_off_by_what_they_are(part):
    rows = {(r['kind'], r['photos'], r['group']): r for r in part('calibration', 60)['rows']}
    for r in rows.values():
        assert abs(r['bias']) <= 3*r['noise'] and r['held'] >= .88
    assert rows['too sure', 100, 1]['off'] > rows['perfect', 100, 1]['off'] + 5


def test_bursts_kept_together_are_not_too_good_and_parted_ones_are(part):
    made = part('bursts', 8)
    assert made['parted']['gap'] > 10
    assert abs(made['together']['gap']) < made['parted']['gap']/2
    assert 15 <= made['together']['share'] <= 25


def test_a_course_that_does_not_decline_is_seldom_marked(part):
    assert max(r['marked'] for r in part('marks', 60)['rows']) <= .1


def test_a_cleaned_study_keeps_the_level_that_throwing_suspects_away_would_lift(part):
    rows = part('cleaned', 2)['rows']
    mean = lambda k: sum(r[k] for r in rows)/len(rows)
    assert abs(mean('reported') - mean('as_labelled')) < 5 and mean('without_suspects') > mean('reported') + 2
