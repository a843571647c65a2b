"""What bursts do to the accuracy, with known truth: a simulated camera trap, parted and kept together.

Each animal is a photo of CIFAR-10 (bird, deer, frog) with five frames of it, a second apart: shifted, lighter
or darker, with noise. A repetition takes some of the animals; a frozen study reads their photos as anybody's,
once without bursts and once with, and the truth is the accuracy on frames of the animals left over. Nothing
is read or computed twice: only the split is made anew, by `read_photos`, and the head.
"""
import random
import tempfile
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pandas as pd
from PIL import ExifTags, Image, ImageChops, ImageEnhance

from imgcls.data.datasets import fetch_dataset
from imgcls.data.duplicates import near_duplicates
from imgcls.data.files import skipped_table
from imgcls.data.table import check_photos, read_photos
from imgcls.training.features import Features
from imgcls.training.head import fit_head

CLASSES, FRAMES = ('bird', 'deer', 'frog'), 5
FACTS = ['sha256', 'width', 'height', 'look', 'taken', 'camera', 'span', 'peak']


def cifar(label, many, seed):
    "Photos of a class."
    found = sorted((Path(fetch_dataset('cifar10'))/'train'/label).iterdir())
    return [Image.open(file).convert('RGB') for file in random.Random(f'{seed}{label}').sample(found, many)]


def blots(label, many, seed):
    "Pictures of no animals: blots of their own, a little lighter from class to class."
    rng, at = np.random.default_rng([seed, CLASSES.index(label)]), CLASSES.index(label)
    x = rng.normal(110 + 12*at, 45, (many, 5, 5, 3)).clip(0, 255).astype(np.uint8)
    return [Image.fromarray(a).resize((32, 32), Image.Resampling.BICUBIC) for a in x]


def frame(img, rng):
    "A photo a moment later."
    out = ImageChops.offset(img, int(rng.integers(-2, 3)), int(rng.integers(-2, 3)))
    out = ImageEnhance.Brightness(out).enhance(rng.uniform(.85, 1.15))
    x = np.asarray(out) + rng.normal(0, 4, (*out.size[::-1], 3))
    return Image.fromarray(x.clip(0, 255).astype(np.uint8))


def exif(hour, second):
    "What the camera notes."
    days, hour = divmod(hour, 24)
    found = Image.Exif()
    found[ExifTags.Base.Model] = 'Trap'
    found.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] = (
        f'{2024 + days//336}:{1 + days//28 % 12:02}:{1 + days % 28:02} {hour:02}:00:{second:02}')
    return found


def photographed(out, photos_of, animals, seed):
    "Five frames of each animal in class folders, an hour from animal to animal; returns path, label, animal."
    rng, rows = np.random.default_rng(seed), []
    for label in CLASSES:
        (out/label).mkdir(parents=True)
        for n, img in enumerate(photos_of(label, animals//len(CLASSES), seed)):
            for k in range(FRAMES):
                path = out/label/f'{n:04}-{k}.jpg'
                frame(img, rng).save(path, quality=92, exif=exif(n, k))
                rows.append(dict(path=str(path), label=label, animal=f'{label}{n}'))
    return pd.DataFrame(rows)


def body(rows):
    "Facts and features of photos, by a frozen body."
    feats = Features('efficientnet_lite0', 96)
    good, _ = feats(rows)
    return good, feats[good.sha256.tolist()].astype(np.float32)


def dots(rows):
    "The same without a body: the grey values of thumbnails."
    good, _ = check_photos(rows)
    return good, np.frombuffer(b''.join(good.look), np.uint8).reshape(len(good), -1).astype(np.float32)/50


class Trap:
    "All photos of the trap with their features, read once; `split` reads some of them as anybody's."
    def __init__(self, rows, features):
        self.facts, self.X = features(rows)
        self.y = np.searchsorted(CLASSES, self.facts.label)
        self.at = pd.Series(range(len(rows)), self.facts.path)
        self.pairs = near_duplicates(self.facts)

    def read(self, rows):
        "What `check_photos` returns."
        known = self.facts.iloc[self.at[rows.path]].set_index(rows.index)
        return rows.assign(**{c: known[c] for c in FACTS}), skipped_table([])

    def near(self, rows): return self.pairs[self.pairs[['a', 'b']].isin(set(rows.path)).all(axis=1)]

    def split(self, mine, burst, seed):
        "Rows of training and of test photos among `mine`."
        rows = self.facts.loc[mine, ['path', 'label']]
        with patch('imgcls.data.table.near_duplicates', self.near):
            photos = read_photos(rows, seed=seed, check=self.read, burst=burst)
        return (self.at[rows.path].to_numpy() for rows in (photos.train(), photos.test))


def studied(trap, mine, burst, seed):
    "The accuracy on the test photos, and on photos of other animals; the share of test photos."
    train, test = trap.split(mine, burst, seed)
    X, y = trap.X, trap.y
    fit = fit_head(X[train], y[train], X[test], y[test], len(CLASSES), seed=seed)
    weight, bias = (fit.state[k].numpy() for k in ('weight', 'bias'))
    right = (X @ weight.T + bias).argmax(1) == y
    return right[test].mean(), right[~mine].mean(), len(test)/mine.sum()


def summary(found):
    "Means in percent; `gap`: reported less true; `noise`: its standard error; `spread`: of a single study."
    t = found.assign(gap=found.reported - found.true)
    means = {k: round(float(100*t[k].mean()), 2) for k in ('reported', 'true', 'gap', 'share')}
    spread = 100*t.gap.std()
    return means | dict(spread=round(float(spread), 2), noise=round(float(spread/np.sqrt(len(t))), 2))


def run(reps=400, seed=0, quick=False):
    "Accuracy reported and true without and with bursts; `quick` for tests: drawn blots, no body."
    pool, animals, photos_of, features = (60, 36, blots, dots) if quick else (1200, 180, cifar, body)
    rng, found = np.random.default_rng(seed), []
    with tempfile.TemporaryDirectory() as tmp:
        trap = Trap(photographed(Path(tmp)/'trap', photos_of, pool, seed), features)
        names = trap.facts.groupby('label').animal.unique()
        for rep in range(reps):
            drawn = {a for n in names for a in rng.choice(n, animals//len(CLASSES), replace=False)}
            mine = trap.facts.animal.isin(drawn).to_numpy()
            for burst in (None, 60):
                reported, true, share = studied(trap, mine, burst, rep)
                found.append(dict(burst=burst, reported=reported, true=true, share=share))
    t = pd.DataFrame(found)
    return dict(reps=reps, seed=seed, animals=animals, frames=FRAMES,
                parted=summary(t[t.burst.isna()]), together=summary(t[t.burst == 60]))
