"""What makes a test too easy: told where it is so, and not where it isn't."""
import numpy as np
from PIL import Image

from imgcls.data.table import read_photos
from imgcls.studies.leaks import leak_notes, much_nearer, shortcuts
from imgcls.studies.study import study


def folder(root, light, side=(40, 40), n=30, seed=0):
    rng = np.random.default_rng(seed)
    for label in light:
        (root/label).mkdir(parents=True)
        for i in range(n):
            x = rng.normal(light[label], 30, (*side, 3)).clip(0, 255).astype(np.uint8)
            Image.fromarray(x).save(root/label/f'{i}.png')
    return root


def test_brightness_that_tells_the_class_is_told(tmp_path):
    t = shortcuts(read_photos(folder(tmp_path/'a', dict(fox=90, deer=150)))).set_index('what')
    assert t.above['brightness'] and t.right['brightness'] > .95 and not t.above['size']


def test_brightness_is_that_of_the_set_where_photos_have_12_bits(tmp_path):
    "Read alone, a photo of the dim class would be as light as one of the other."
    for label, top in dict(dim=1023, light=4095).items():
        (tmp_path/label).mkdir()
        for i in range(25):
            x = np.random.default_rng([i, top]).random((40, 40))*top
            Image.fromarray(x.astype(np.uint16)).save(tmp_path/label/f'{i}.png')
    assert shortcuts(read_photos(tmp_path)).set_index('what').above['brightness']


def test_labels_by_lot_seldom_seem_to_be_told(tmp_path):
    told = [shortcuts(read_photos(folder(tmp_path/str(s), dict(fox=120, deer=120), seed=s))).above.any()
            for s in range(4)]
    assert sum(told) == 0


def test_too_few_photos_say_nothing(tmp_path):
    assert not len(shortcuts(read_photos(folder(tmp_path/'a', dict(fox=90, deer=150), n=8))))


def test_frames_of_a_series_are_much_nearer_and_others_are_not():
    rng = np.random.default_rng(0)
    animals = rng.normal(size=(100, 40))
    assert much_nearer(animals + .1*rng.normal(size=animals.shape), animals).all()
    assert much_nearer(animals, rng.normal(size=(100, 40))).mean() < .05
    assert not much_nearer(animals[:5], animals).any() and len(much_nearer(animals, animals[:0])) == 0


def test_nearness_is_the_same_in_portions():
    "More training photos than are looked at together; the nearest ten may lie anywhere."
    rng = np.random.default_rng(1)
    test = rng.normal(size=(700, 16)).astype(np.float16)
    train = rng.normal(size=(9000, 16)).astype(np.float16)
    train[::30] = test[:300] + .01*rng.normal(size=(300, 16))
    a, b = (x.astype(float)/np.linalg.norm(x.astype(float), axis=1, keepdims=True) for x in (train, test))
    near = np.sort(1 - b @ a.T, axis=1)[:, :10]
    want = near[:, 0] < .5*near[:, 9]
    found = much_nearer(train, test)
    assert want[:300].all() and not want[300:].all()
    assert (found != want).sum() <= 1


def test_notes_of_a_study(tmp_path):
    photos = read_photos(folder(tmp_path/'a', dict(fox=90, deer=150)))
    st = study(photos, sizes=['all'], recipe='frozen', arch='cifar_net', weights='random', epochs=1, res=32,
               seeds=1, out=tmp_path/'st', say=lambda _: None)
    assert [n for n in leak_notes(st) if n.startswith('Brightness alone tells the class of')]
