"""Photos in memory: the same photos as decoding gives, in an ordinary fastai `Learner`."""

import fastai.callback.progress  # noqa: F401 (gives a `Learner` its no_bar)
import pytest
import torch
from fastai.learner import Learner
from fastai.metrics import accuracy
from torch import nn

from imgcls.data.synth import draw
from imgcls.training.callbacks import adamw
from imgcls.training.pixels import to_pixels
from imgcls.training.tensors import TensorLoader, Tensors, augment, normalised, tensor_dls


@pytest.fixture(scope='module')
def photos():
    "48 scenes of 32 pixels and their classes."
    imgs = [draw(c, i, side=32) for i in range(24) for c in ('fox', 'deer')]
    return to_pixels(imgs, 32), torch.arange(48) % 2


def test_other_views(photos):
    x, before = photos[0], photos[0].clone()
    a, b, c = (augment(x, s) for s in (1, 1, 2))
    assert torch.equal(a, b) and not torch.equal(a, c) and a.dtype == torch.float32 and a.shape == x.shape
    assert a.min() >= 0 and 100 < a.max() <= 255 and torch.equal(x, before)
    assert (a-x).flatten(1).abs().mean(1).min() > 1, 'a photo stays as it is'
    state = torch.get_rng_state()
    augment(x, 3)
    assert torch.equal(state, torch.get_rng_state()), "the caller's random numbers are used up"


def test_views_where_little_may_change(photos):
    x = photos[0].float()
    plain = augment(photos[0], 0, area=1., light=0.)  # nothing is left to change but left and right
    same, mirrored = ((plain-was).abs().flatten(1).amax(1) < .5 for was in (x, x.flip(3)))
    assert (same | mirrored).all() and same.any() and mirrored.any(), 'some are mirrored and some not'
    grey = torch.full((64, 3, 8, 8), 128, dtype=torch.uint8)
    lit = augment(grey, 0, area=1., light=.2)[:, 0, 0, 0]
    assert lit.std() > 5 and lit.min() > 128*.75 and lit.max() < 128*1.25


def test_normalised():
    x = torch.randint(0, 256, (2, 3, 4, 4), dtype=torch.uint8)
    mean, std = (.1, .2, .3), (.4, .5, .6)
    want = (x/255-torch.tensor(mean).view(3, 1, 1))/torch.tensor(std).view(3, 1, 1)
    torch.testing.assert_close(normalised(mean, std)(x, 0), want)
    seen = []
    normalised(mean, std, lambda x, seed: seen.append(seed) or x.float())(x, 9)
    assert seen == [9]


# ---- loaders

def test_batches_hold_all_photos_in_a_new_order_each_time(photos):
    x, y = photos
    def sizes(n):
        dls = tensor_dls(Tensors(x[:n], y[:n]), Tensors(x, y), ['a', 'b'], bs=8)
        return [len(b[1]) for b in dls.train]
    assert sizes(33) == [8]*4, 'a batch of one photo'
    assert sizes(34) == [8]*4 + [2], 'a photo was left out for nothing'
    dls = tensor_dls(Tensors(x, y), Tensors(x, y), ['fox', 'deer'], bs=8)
    assert dls.c == 2 and list(dls.vocab) == ['fox', 'deer']
    orders = {tuple(torch.cat([b[1] for b in dls.train]).tolist()) for _ in range(3)}
    assert len(orders) > 1, 'not shuffled'


def test_tensors_in_a_plain_learner(photos):
    x, y = photos
    prepare = normalised((.5,)*3, (.5,)*3)
    train, valid = (Tensors(x[part], y[part], prepare) for part in (slice(33), slice(33, None)))
    dls = tensor_dls(train, valid, ['fox', 'deer'], bs=8)
    net = nn.Sequential(nn.Conv2d(3, 4, 3, 2), nn.BatchNorm2d(4), nn.ReLU(), nn.AdaptiveAvgPool2d(1),
                        nn.Flatten(), nn.Linear(4, 2))
    learn = Learner(dls, net, nn.CrossEntropyLoss(), opt_func=adamw, metrics=accuracy)
    with learn.no_bar(), learn.no_logging():
        learn.fit(2, .01)
        probs, targets = learn.get_preds()
        loss, right = learn.validate()
    net.eval()
    with torch.no_grad(): scores = net(prepare(x[33:], 0))
    assert targets.tolist() == y[33:].tolist(), 'another order'
    torch.testing.assert_close(torch.as_tensor(probs), scores, rtol=1e-4, atol=1e-5)
    assert right == pytest.approx((scores.argmax(1) == y[33:]).float().mean().item())
    assert loss == pytest.approx(nn.CrossEntropyLoss()(scores, y[33:]).item(), rel=1e-4)


def test_one_of_several_views_is_drawn():
    views = torch.arange(4).view(4, 1, 1).expand(4, 50, 1)*100 + torch.arange(50).view(1, 50, 1)
    t = Tensors(views.half(), torch.arange(50) % 2, views=True)
    x, y = t.batch([*range(50)], 7)
    which, photo = (x[:, 0]//100).long(), (x[:, 0] % 100).long()
    assert photo.tolist() == [*range(50)] and y.tolist() == (photo % 2).tolist()
    assert set(which.tolist()) == {0, 1, 2, 3} and x.dtype == torch.float32
    assert torch.equal(t.batch([*range(50)], 7)[0], x) and not torch.equal(t.batch([*range(50)], 8)[0], x)
    dl = TensorLoader(t, bs=10, shuffle=True)
    a, b = (torch.cat([batch[0] for batch in dl]).sort(0)[0] for _ in range(2))
    assert not torch.equal(a, b), 'the same views in each epoch'
