"""What a user has set stays: random numbers, PyTorch's switches, gradients and numbers of 64 bits."""
import random
import threading
from dataclasses import dataclass

import numpy as np
import pytest
import torch

from imgcls.borrowed import as_before
from imgcls.data.synth import synth_folder
from imgcls.data.table import read_photos
from imgcls.deploy.model import Model
from imgcls.studies.study import study
from imgcls.training.features import Features
from imgcls.training.head import fit_head
from imgcls.training.models import find_weights, load_body
from imgcls.training.recipes import RECIPES, FineTune, Job, Recipe, train


@pytest.fixture(scope='module')
def photos(own_cache): return read_photos(synth_folder(per_class=12, side=64), test=.34)


def state():
    "All that a training might change."
    cudnn = torch.backends.cudnn
    cards = [s.tolist() for s in torch.cuda.get_rng_state_all()] if torch.cuda.is_available() else []
    switches = [getattr(cudnn, k) for k in ('enabled', 'benchmark', 'deterministic', 'allow_tf32')]
    modes = (torch.is_grad_enabled(), torch.is_inference_mode_enabled(), torch.get_default_dtype(),
             torch.are_deterministic_algorithms_enabled(), torch.get_num_threads())
    name, keys, *rest = np.random.get_state()
    return random.getstate(), keys.tolist(), rest, torch.get_rng_state().tolist(), cards, switches, modes


@pytest.fixture
def as_set(monkeypatch):
    "A program with seeds and switches of its own; it looks whether they stay."
    monkeypatch.setattr(torch.backends.cudnn, 'benchmark', True)
    monkeypatch.setattr(torch.backends.cudnn, 'deterministic', False)
    random.seed(3), np.random.seed(3), torch.manual_seed(3)
    before = state()
    yield
    assert state() == before


RECIPES_TRIED = ['frozen:epochs=1', 'fine_tune:epochs=1', 'fastai:epochs=1:bs=8', 'sgd_step:epochs=1:bs=8']


@pytest.mark.parametrize('recipe', RECIPES_TRIED)
def test_training_leaves_all_as_it_was_and_does_not_mind_what_is_set(photos, as_set, recipe):
    "The figures are the same after other draws, without gradients, and with 64 bits."
    how = dict(recipe=recipe, body='cifar_net', seed=1, say=None)
    usual, before = train(photos, **how), state()
    random.random(), np.random.rand(), torch.rand(1)
    torch.set_default_dtype(torch.float64)
    try:
        with torch.inference_mode(): odd = train(photos, **how)
    finally: torch.set_default_dtype(torch.float32)
    np.testing.assert_array_equal(usual.fit_.probs, odd.fit_.probs)
    assert all(p.dtype == torch.float32 and not p.is_inference() for p in odd.model.parameters())
    odd.fit(1)  # it can be trained on
    random.seed(3), np.random.seed(3), torch.manual_seed(3)
    assert state() == before, 'the first training drew of the random numbers of the user'


def test_a_study_leaves_all_as_it_was_also_when_it_fails(tmp_path, as_set):
    class Careless(Recipe):
        def fit(self, job):
            random.seed(0), np.random.seed(0), torch.manual_seed(0)
            torch.backends.cudnn.deterministic = True
            torch.set_grad_enabled(False)
            raise KeyError('no')
    try:
        recipes = ['frozen:epochs=1', 'scratch:epochs=1', dataclass(frozen=True)(Careless)()]
        with pytest.raises(KeyError):
            study('synth', [5], recipes, 'cifar_net', seeds=1, out=tmp_path/'st', say=None)
    finally: RECIPES.pop('careless')
    assert len([*(tmp_path/'st'/'runs').glob('[!.]*')]) == 2


@pytest.mark.parametrize('arch', ['resnet18', 'cifar_net', 'efficientnet_lite0'])
def test_a_body_is_loaded_without_a_trace(as_set, arch):
    usual = load_body(find_weights(arch, 'random'))
    torch.set_default_dtype(torch.float64)
    try:
        with torch.inference_mode(): odd = load_body(find_weights(arch, 'random'))
        assert odd.takes(32) and odd.sha == usual.sha
    finally: torch.set_default_dtype(torch.float32)


def test_a_head_and_predictions_with_gradients_off_and_64_bits(photos, tmp_path, as_set):
    X, y = np.random.default_rng(0).random((40, 8), np.float32).astype(np.float16), np.arange(40) % 2
    st = study(photos, [5], 'fine_tune:epochs=1', 'cifar_net', seeds=1, out=tmp_path/'st', say=None)
    paths = photos.test.path.tolist()
    def all_of(): return fit_head(X, y, X, y, 2).probs, Model.load(st, say=str).scores(paths)[2]
    usual = all_of()
    torch.set_default_dtype(torch.float64)
    try:
        with torch.inference_mode(): odd = all_of()
    finally: torch.set_default_dtype(torch.float32)
    for a, b in zip(usual, odd): np.testing.assert_array_equal(a, b)


def test_from_random_weights_only_the_seed_counts(photos):
    job = Job(photos, photos.train(), Features('cifar_net', 32))
    fits = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        fits.append(FineTune(epochs=1).fit(job))
    np.testing.assert_array_equal(*(f.probs for f in fits))


def test_two_threads_at_once_leave_all_as_it_was(as_set):
    "The second one begins while the first one trains, and ends later."
    begun, both = threading.Event(), threading.Event()

    def one():
        with as_before():
            random.seed(0), torch.manual_seed(0)
            torch.backends.cudnn.deterministic = True
            begun.set()
            both.wait(10)
    torch.set_default_dtype(torch.float64)
    try:
        t = threading.Thread(target=one)
        t.start()
        assert begun.wait(10)
        with as_before():
            both.set()
            t.join()
            assert torch.get_default_dtype() == torch.float32
            random.random(), torch.rand(1)
        assert torch.get_default_dtype() == torch.float64
    finally: torch.set_default_dtype(torch.float32)
