"""What bursts do to the accuracy, with known truth: a simulated camera trap, parted and kept together.

Each animal is a photo of CIFAR-10 (bird, deer, frog) with five frames of it, a second apart: shifted, lighter
or darker, with noise. A frozen study reads them as anybody's photos, once without bursts and once with, and
the truth is the accuracy on frames of animals that are in neither.
"""
import random
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import ExifTags, Image, ImageChops, ImageEnhance

from imgcls.data.datasets import fetch_dataset
from imgcls.data.table import read_photos
from imgcls.training.features import Features
from imgcls.training.head import fit_head

CLASSES, FRAMES = ('bird', 'deer', 'frog'), 5


def frame(img, rng):
    "A photo a moment later."
    out = ImageChops.offset(img, int(rng.integers(-2, 3)), int(rng.integers(-2, 3)))
    out = ImageEnhance.Brightness(out).enhance(rng.uniform(.85, 1.15))
    x = np.asarray(out) + rng.normal(0, 4, (*out.size[::-1], 3))
    return Image.fromarray(x.clip(0, 255).astype(np.uint8))


def draw(out, animals, seed):
    "Five frames of each animal in class folders; returns path, label, animal."
    rng, source, rows = np.random.default_rng(seed), Path(fetch_dataset('cifar10'))/'train', []
    for label in CLASSES:
        found = sorted((source/label).iterdir())
        files = random.Random(f'{seed}{label}').sample(found, animals//len(CLASSES))
        (out/label).mkdir(parents=True)
        for n, file in enumerate(files):
            img = Image.open(file).convert('RGB')
            for k in range(FRAMES):
                exif, when = Image.Exif(), 3600*n + k
                exif[ExifTags.Base.Model] = 'Trap'
                days, hour = divmod(when//3600, 24)
                clock = f'2026:{1 + days//28:02}:{1 + days % 28:02} {hour:02}:00:{k:02}'
                exif.get_ifd(ExifTags.IFD.Exif)[0x9003] = clock
                path = out/label/f'{n:04}-{k}.jpg'
                frame(img, rng).save(path, quality=92, exif=exif)
                rows.append(dict(path=str(path), label=label, animal=f'{label}{n}'))
    return pd.DataFrame(rows)


def studied(rows, others, feats, burst, seed):
    "The accuracy on the test photos, and on photos of other animals."
    photos = read_photos(rows[['path', 'label']], seed=seed, check=feats, burst=burst)
    train, test = photos.train(), photos.test
    at = {c: i for i, c in enumerate(CLASSES)}
    held = pd.concat([test[['sha256', 'label']], others[['sha256', 'label']]])
    X = (feats[t.sha256.tolist()].astype(np.float32).copy() for t in (train, held))
    y = held.label.map(at).to_numpy().copy()
    fit = fit_head(next(X), train.label.map(at).to_numpy().copy(), next(X), y, len(CLASSES), seed=seed)
    right = fit.probs[-1].argmax(-1) == y
    return right[:len(test)].mean(), right[len(test):].mean(), len(test)/len(photos)


def run(reps=400, seed=0, quick=False):
    "Mean accuracy reported and true, in percent, without and with bursts; `quick` for tests."
    pool, animals = (150, 90) if quick else (1200, 180)
    feats, rng, found = Features('efficientnet_lite0', 96), np.random.default_rng(seed), []
    with tempfile.TemporaryDirectory() as tmp:
        rows = draw(Path(tmp)/'trap', pool, seed)
        rows = rows.merge(feats(rows)[0][['path', 'sha256']], on='path')
        names = rows.groupby('label').animal.unique()
        for rep in range(reps):
            mine = {a for n in names for a in rng.choice(n, animals//len(CLASSES), replace=False)}
            inside = rows.animal.isin(mine)
            for burst in (None, 60):
                reported, true, share = studied(rows[inside], rows[~inside], feats, burst, rep)
                found.append(dict(burst=burst or 0, reported=reported, true=true, share=share))
    t = pd.DataFrame(found).assign(gap=lambda t: t.reported - t.true)
    out = {}
    for burst, part in t.groupby('burst'):
        figures = {k: round(float(100*part[k].mean()), 2) for k in ('reported', 'true', 'gap', 'share')}
        out['together' if burst else 'parted'] = figures | dict(spread=round(float(100*part.gap.std()), 2))
    return dict(reps=reps, seed=seed, animals=animals, frames=FRAMES, **out)

