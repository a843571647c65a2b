"""Runs: what defines them, who may make them, and what they keep of the photos they belong to."""
import json
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load_file, save_file

from imgcls.core import UserError
from imgcls.data.synth import synth_folder
from imgcls.data.table import Photos, read_photos
from imgcls.machines import Claim, Claimed
from imgcls.studies import runs as room
from imgcls.studies.runs import RunSpec, Shared, make_run, plan, read_run
from imgcls.studies.study import Study, study
from imgcls.training.head import Fit
from imgcls.training.models import find_weights, load_body
from imgcls.training.recipes import RECIPES, Frozen, Recipe


@pytest.fixture(scope='module')
def photos(): return read_photos(synth_folder(per_class=30, side=64))


@pytest.fixture
def folder(photos, tmp_path):
    "The folder of a study that has photos and no run."
    photos.save(tmp_path/'st'/'photos.parquet')
    return tmp_path/'st'


@pytest.fixture(scope='module')
def uneven(tmp_path_factory):
    "Forty photos of one class, twelve of another."
    whole = read_photos(synth_folder(classes=('fox', 'deer'), per_class=40, side=64))
    few = whole.df[whole.df.label == 'deer'].iloc[12:].path
    return read_photos(whole.df.loc[~whole.df.path.isin(few), ['path', 'label']])


def frozen(photos, **options):
    return plan(photos, 'frozen', 'cifar_net', **{'sizes': [5], 'epochs': 2, 'seeds': 1} | options)


def same(a, b):
    a, b = (load_file(run/'preds.safetensors') for run in (a, b))
    assert [*a] == [*b]
    for k in a: np.testing.assert_array_equal(a[k], b[k], k)


# The spec

def test_a_spec_survives_json(photos):
    for spec in frozen(photos, sizes=[5, 'all'], balance='over'):
        back = RunSpec.from_dict(json.loads(json.dumps(spec.to_dict())))
        assert back == spec and back.id == spec.id


def test_a_newer_field_is_no_error(photos):
    spec, = frozen(photos)
    assert RunSpec.from_dict(dict(spec.to_dict(), colour='blue')) == spec


def test_the_name_of_a_run_is_a_file_name(photos):
    spec, = frozen(photos)
    name = replace(spec, recipe='a/b:c=d\n' + 'e'*300, arch='../x').id
    assert '/' not in name and '\n' not in name and len(name) < 200


def test_weights_in_another_place_are_the_same_run(photos, tmp_path):
    "The name of a run is made of the weights themselves."
    module = load_body(find_weights('cifar_net', 'random')).module
    state = {k: v.numpy() for k, v in module.state_dict().items()}
    ids = []
    for name in ('a', 'b'):
        save_file(state, tmp_path/f'{name}.safetensors')
        ids.append([s.id for s in frozen(photos, weights=tmp_path/f'{name}.safetensors')])
    state = {k: v+1 for k, v in state.items()}
    save_file(state, tmp_path/'c.safetensors')
    ids.append([s.id for s in frozen(photos, weights=tmp_path/'c.safetensors')])
    assert ids[0] == ids[1] != ids[2]


def test_a_recipe_that_can_not_be_stored_is_refused(photos):
    @dataclass(frozen=True)
    class Unstorable(Recipe):
        epochs: int = 1
        where: object = object()
    try:
        with pytest.raises(UserError, match='Unstorable must be a dataclass whose fields'):
            plan(photos, Unstorable(), 'cifar_net')
    finally: RECIPES.pop('unstorable')


# The plan

def test_without_a_recipe_the_curve_comes_first_and_then_one_fine_tuned_classifier(photos):
    kinds = [(s.recipe, s.size, s.seed) for s in plan(photos, archs='cifar_net', sizes=[5, 10, 'all'])]
    curve = [('frozen', size, seed) for size in (5, 10, 'all') for seed in range(5)]
    assert kinds == [*curve, ('fine_tune', 'all', 0)]
    assert plan(photos, archs='cifar_net', sizes=[10, 5])[-1].size == 10
    two = [(s.recipe, s.size, s.seed) for s in plan(photos, archs='cifar_net', sizes=[5, 10], seeds=2)]
    assert two[-2:] == [('fine_tune', 10, 0), ('fine_tune', 10, 1)] and len(two) == 6


def test_a_recipe_that_is_named_is_made_at_every_size_with_its_own_number_of_seeds(photos):
    how = dict(archs='cifar_net', sizes=[5, 10])
    assert [(s.size, s.seed) for s in plan(photos, 'fine_tune', **how)] == [(5, 0), (10, 0)]
    assert len(plan(photos, 'frozen', **how)) == 10
    try:
        class Thrice(Recipe): seeds = 3
        assert len(plan(photos, dataclass(frozen=True)(Thrice)(), **how)) == 6
    finally: RECIPES.pop('thrice')


def test_more_seeds_leave_the_first_runs_as_they_are(photos):
    assert set(s.id for s in frozen(photos)) < set(s.id for s in frozen(photos, seeds=None))


def test_a_plan_is_made_for_photos_that_are_read():
    for source in ('animals', None, pd.DataFrame()):
        with pytest.raises(UserError, match='Photos, from read_photos, not for'): plan(source, 'frozen')


def test_a_run_in_words(photos):
    one, every = frozen(photos, sizes=[5, 'all'])
    assert (str(one), str(every)) == ('frozen, 5 photos a class, seed 0', 'frozen, all photos, seed 0')


# From the folder and the spec alone

def test_a_run_needs_only_the_folder_and_its_spec(photos, folder, tmp_path):
    spec, = frozen(photos)
    run = make_run(folder, RunSpec.from_dict(json.loads(json.dumps(spec.to_dict()))))
    st = study(photos, sizes=[5], recipe='frozen', arch='cifar_net', epochs=2, seeds=1, out=tmp_path/'other',
               say=str)
    assert st.runs.run.tolist() == [spec.id] == [run.name]
    same(run, st.path/'runs'/spec.id)


def test_photos_bodies_and_features_are_loaded_once(photos, folder, monkeypatch):
    count = dict(photos=0, body=0)

    def counted(name, f):
        def g(*a, **kw):
            count[name] += 1
            return f(*a, **kw)
        return g
    monkeypatch.setattr(Photos, 'load', counted('photos', Photos.load))
    monkeypatch.setattr(room, 'find_body', counted('body', room.find_body))
    for spec in frozen(photos, sizes=[5, 10, 20], seeds=2): make_run(folder, spec)
    assert count == dict(photos=1, body=1) and len(list((folder/'runs').iterdir())) == 6


def test_photos_that_changed_since_the_plan(photos, folder):
    spec, = frozen(photos)
    make_run(folder, spec)
    fewer = replace(photos, df=photos.df.drop(index=photos.df.index[photos.df.split == 'train'][:1]))
    fewer.save(folder/'photos.parquet')
    other = replace(spec, seed=1)
    with pytest.raises(UserError, match='changed since run .* was planned'): make_run(folder, other)
    photos.save(folder/'photos.parquet')
    assert read_run(make_run(folder, other))


def test_weights_that_are_gone_are_never_replaced_by_others(photos, folder, tmp_path):
    file = tmp_path/'mine.safetensors'

    def write(seed):
        body = load_body(find_weights('cifar_net', 'random'), seed)
        save_file({k: v.numpy() for k, v in body.module.state_dict().items()}, file)
    write(1)
    spec, = frozen(photos, weights=file)
    assert spec.weights['origin'] == 'file'
    file.unlink()
    with pytest.raises(UserError, match='mine.safetensors'): make_run(folder, spec)
    write(2)
    with pytest.raises(UserError, match=spec.weights['sha']): make_run(folder, spec)
    write(1)
    assert read_run(make_run(folder, spec))
    assert not [p for p in (folder/'runs').iterdir() if p.name != spec.id]


def test_a_run_planned_for_other_numbers_is_refused(photos, folder):
    spec = replace(frozen(photos)[0], precision='float8')
    with pytest.raises(UserError, match='planned for float8, but this machine computes in'):
        make_run(folder, spec)


# Which photos a run belongs to

@pytest.mark.parametrize('balance', ['none', 'weights', 'over', 'under'])
def test_a_run_says_what_it_was_trained_on(uneven, tmp_path, balance, monkeypatch):
    seen, fit = [], Frozen.fit

    def spy(self, job):
        seen.append(job.rows)
        return fit(self, job)
    monkeypatch.setattr(Frozen, 'fit', spy)
    st = study(uneven, sizes=['all'], recipe='frozen', arch='cifar_net', balance=balance, seeds=1,
               out=tmp_path/'st', say=str)
    got, rows = st.trained_on(st.runs.run[0]), seen[0]
    assert got.path.tolist() == rows.path.tolist() and st.runs.n_train[0] == len(rows)
    counts = got.label.value_counts()
    assert (counts['fox'] == counts['deer']) == (balance in ('over', 'under'))
    assert got.path.is_unique == (balance != 'over')


def test_photos_held_out_were_not_trained_on(photos, tmp_path):
    recipe = 'fine_tune:epochs=1:calibrate=.25'
    st = study(photos, sizes=['all'], recipe=recipe, arch='cifar_net', out=tmp_path/'st', say=str)
    rows = st.trained_on(st.runs.run[0])
    assert st.runs.n_train[0] == 72 and 48 <= len(rows) <= 60 and set(rows.label) == set(st.classes)


def test_a_photo_under_two_labels_is_found_under_the_right_one(photos, tmp_path):
    "The same content may be there twice, with contradicting labels."
    df = photos.df[['path', 'label', 'split']]
    twin = tmp_path/'twin.jpg'
    source = df[(df.split == 'train') & (df.label == 'fox')].path.iloc[0]
    twin.write_bytes(open(source, 'rb').read())
    more = pd.DataFrame([dict(path=str(twin), label='deer', split='train')])
    both = read_photos(pd.concat([df, more], ignore_index=True))
    st = study(both, sizes=['all'], recipe='frozen', arch='cifar_net', out=tmp_path/'st', say=str)
    rows = st.trained_on(st.runs.run[0])
    assert dict(zip(rows.path, rows.label)).items() >= {(source, 'fox'), (str(twin), 'deer')}


def test_probabilities_are_matched_by_content(photos, tmp_path):
    "A run whose test photos were in another order reads the same."
    st = study(photos, sizes=[5], recipe='frozen', arch='cifar_net', epochs=2, out=tmp_path/'st', say=str)
    run = st.runs.run[0]
    file, before = st.path/'runs'/run/'preds.safetensors', st.probs(run)
    a, order = load_file(file), np.random.default_rng(0).permutation(before.shape[1])
    save_file(dict(a, probs=np.ascontiguousarray(a['probs'][:, order]), targets=a['targets'][order],
                   test_sha256=np.ascontiguousarray(a['test_sha256'][order])), file)
    np.testing.assert_array_equal(Study(st.path).probs(run), before)
    a['test_sha256'] = a['test_sha256'].copy()
    a['test_sha256'][0] ^= 1
    save_file(a, file)
    with pytest.raises(UserError, match='does not fit the photos'): Study(st.path).probs(run)


# Whole or not at all

@pytest.mark.skipif(sys.platform != 'linux', reason='other systems do not tell')
def test_the_memory_of_a_program_is_not_that_of_the_one_that_started_it():
    large = np.ones(150_000_000)  # 1.2 GB
    code = 'from imgcls.studies.runs import peak_mb; print(peak_mb())'
    told = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True).stdout
    assert 50 < float(told) < large.nbytes/1e6 < room.peak_mb()


def test_a_training_that_fails_leaves_nothing(photos, folder, monkeypatch):
    spec, = frozen(photos)
    with monkeypatch.context() as m:
        m.setattr(Frozen, 'fit', lambda self, job: 1/0)
        with pytest.raises(ZeroDivisionError): make_run(folder, spec)
    assert not [*(folder/'runs').iterdir()]


@pytest.mark.parametrize('write', ['pandas.DataFrame.to_csv', 'imgcls.studies.runs.save',
                                   'pathlib.Path.write_text'])
def test_a_write_that_fails_leaves_nothing(photos, folder, monkeypatch, write):
    spec, = frozen(photos)

    def full(*a, **kw): raise OSError(28, 'No space left on device')
    with monkeypatch.context() as m:
        m.setattr(write, full)
        with pytest.raises(UserError, match="can't write"): make_run(folder, spec)
    assert not [*(folder/'runs').iterdir()]
    assert read_run(make_run(folder, spec))


def test_probabilities_that_are_nan_fail_their_run_and_no_other(photos, tmp_path):
    class Torn(Frozen):
        "Its second seed can't say what the first test photo shows."
        def fit(self, job):
            fit = super().fit(job)
            if job.seed == 1: fit.probs[-1, 0] = np.nan
            return fit
    try:
        torn, said = dataclass(frozen=True)(Torn)(epochs=2), []
        st = study(photos, [5], torn, 'cifar_net', seeds=3, out=tmp_path/'st', say=said.append)
    finally: RECIPES.pop('torn')
    assert st.runs.seed.tolist() == [0, 2] and len([*(st.path/'runs').iterdir()]) == 2
    assert [s for s in said if 'not finished: torn, 5 photos a class, seed 1' in s and '1 test photo' in s]


def test_a_model_whose_arrays_are_odd_is_written(photos, folder, monkeypatch):
    "A recipe of somebody else may leave out what it doesn't need."
    class Guess(Recipe):
        def fit(self, job):
            n = len(job.test), len(job.classes)
            rows = pd.DataFrame([dict(epoch=1, phase='head', train_loss=1., valid_loss=1., train_accuracy=.3,
                                      accuracy=.3, lr=0., seconds=0.)])
            return Fit(rows, np.full((1, *n), 1/n[1], np.float16), np.zeros(1, np.float32), {})
    try:
        spec, = plan(photos, dataclass(frozen=True)(Guess)(), 'cifar_net', [5])
        assert read_run(make_run(folder, spec))
    finally: RECIPES.pop('guess')


# Claims

def test_a_claimed_run_is_not_made(photos, folder):
    spec, = frozen(photos)
    with Claim(folder/'runs'/spec.id), pytest.raises(Claimed, match='another process is making run'):
        make_run(folder, spec)
    assert not [*(folder/'runs').iterdir()]
    assert read_run(make_run(folder, spec))


def test_a_run_made_between_the_look_and_the_claim_is_not_made_again(photos, folder, monkeypatch):
    spec, = frozen(photos)
    make_run(folder, spec)
    looks = []

    def read(run):
        looks.append(run)
        return None if len(looks) == 1 else read_run(run)
    monkeypatch.setattr(room, 'read_run', read)
    monkeypatch.setattr(Frozen, 'fit', lambda *a: pytest.fail('made twice'))
    assert make_run(folder, spec).name == spec.id and len(looks) == 2


@pytest.fixture
def waiting(photos, tmp_path):
    """A study of two runs, one of which somebody else has claimed: its folder, the specs, and how to let go.

    `let_go(make)` calls make(folder of the claimed run), gives the claim back and returns the study."""
    specs, said, got, out = frozen(photos, sizes=[5, 10]), [], [], tmp_path/'st'
    options = dict(recipe='frozen', arch='cifar_net', epochs=2, seeds=1, out=out, say=said.append)
    study(photos, sizes=[20], **options)
    claim = Claim(out/'runs'/specs[0].id)
    t = threading.Thread(target=lambda: got.append(study(photos, sizes=[5, 10], **options)))

    def let_go(make):
        with claim:
            t.start()
            for _ in range(1200):
                if any('waiting for 1 run' in s for s in said): break
                time.sleep(.05)
            assert t.is_alive() and (out/'runs'/specs[1].id).is_dir(), 'the others are made first'
            make(claim.run)
        t.join(60)
        assert not [*(out/'runs').glob('.*')]
        return got[0]
    return specs, let_go


def test_a_study_waits_for_a_claimed_run_and_makes_it_when_it_was_given_up(waiting):
    specs, let_go = waiting
    st = let_go(lambda run: None)
    assert {s.id for s in specs} < set(st.runs.run) and not st.failed


def test_a_study_reads_a_run_that_another_process_made(photos, waiting, tmp_path, monkeypatch):
    specs, let_go = waiting
    photos.save(tmp_path/'other'/'photos.parquet')
    theirs, made, write = make_run(tmp_path/'other', specs[0]), [], room._write_run
    monkeypatch.setattr(room, '_write_run', lambda run, *a: made.append(run.name) or write(run, *a))
    st = let_go(theirs.rename)
    assert {s.id for s in specs} < set(st.runs.run) and made == [specs[1].id]


def test_shared_features_have_one_resolution_for_each_body(photos):
    shared, how = Shared(photos), dict(archs='resnet18', sizes=[5], weights='random', seeds=1)
    specs = plan(photos, ['frozen', 'sgd_step:epochs=1:res=64'], **how, shared=shared)
    assert {s.recipe: s.res for s in specs} == {'frozen': 96, 'sgd_step:epochs=1:res=64': 64}
    assert [f.res for f in shared.made.values()] == [96, 64]
    specs = plan(photos, ['sgd_step:epochs=1:res=64', 'frozen'], **how)
    assert {s.recipe: s.res for s in specs} == {'frozen': 96, 'sgd_step:epochs=1:res=64': 64}
