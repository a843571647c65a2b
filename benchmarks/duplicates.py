"""How many altered copies are found, and how many pairs among photos that have none; writes duplicates.json.

    python benchmarks/duplicates.py          # with FASTAI_HOME where `clothing` and `cifar10` lie

160 photos of clothes, each altered in one way: the share found by what was used before (a difference hash of
64 bits, at most 4 of them different) and by `near_duplicates`. The limits of `near_duplicates` were chosen on
160 other photos. About five minutes.
"""
import io
import json
import random
import time
from pathlib import Path

import imagehash
import numpy as np
import pandas as pd
from PIL import Image, ImageDraw, ImageEnhance, ImageOps

from imgcls.data.datasets import fetch_dataset
from imgcls.data.decode import decode
from imgcls.data.duplicates import LOOK_SIDE, look, near_duplicates
from imgcls.studies.runs import machine


def saved(img, fmt='JPEG', **how):
    out = io.BytesIO()
    img.save(out, fmt, **({'quality': 90} if fmt == 'JPEG' else {}) | how)
    return out.getvalue()


def cut(img, left, top, right, bottom):
    w, h = img.size
    return img.crop((round(w*left), round(h*top), round(w*(1 - right)), round(h*(1 - bottom))))


def label(img):
    img, (w, h) = img.copy(), img.size
    ImageDraw.Draw(img).rectangle((w*.7, h*.9, w, h), fill='white')
    return img


def framed(img, share, colour): return ImageOps.expand(img, round(max(img.size)*share), colour)
def changed(change): return lambda img: saved(change(img))


ALTERED = {
    'half the size': changed(lambda m: m.resize((m.width//2, m.height//2), Image.Resampling.LANCZOS)),
    'quality 20': lambda m: saved(m, quality=20), 'PNG': lambda m: saved(m, 'PNG'),
    'WebP': lambda m: saved(m, 'WEBP'), 'label in a corner': changed(label),
    'grey': changed(lambda m: m.convert('L').convert('RGB')),
    'lighter': changed(lambda m: ImageEnhance.Brightness(m).enhance(1.3)),
    'darker': changed(lambda m: ImageEnhance.Brightness(m).enhance(.6)),
    'mirrored': changed(ImageOps.mirror),
    'turned 90': changed(lambda m: m.transpose(Image.Transpose.ROTATE_90)),
    'turned 180': changed(lambda m: m.transpose(Image.Transpose.ROTATE_180)),
    'turned 2': changed(lambda m: m.rotate(2, Image.Resampling.BICUBIC)),
    'turned 5': changed(lambda m: m.rotate(5, Image.Resampling.BICUBIC)),
    **{f'cut {s:.0%} at each side': changed(lambda m, s=s: cut(m, s, s, s, s)) for s in (.02, .05, .1)},
    'cut 10% at the left': changed(lambda m: cut(m, .1, 0, 0, 0)),
    'white frame 5%': changed(lambda m: framed(m, .05, 'white')),
    'black frame 10%': changed(lambda m: framed(m, .1, 'black'))}


def before(img):
    if max(img.size) > 64: img = img.resize((36, 32), Image.Resampling.BOX)
    return imagehash.dhash(img)


def rates(photos):
    "The share of altered copies found, in percent: before and now."
    whole, out = [decode(p.read_bytes(), LOOK_SIDE) for p in photos], {}
    for name, alter in ALTERED.items():
        twins = [decode(alter(decode(p.read_bytes())), LOOK_SIDE) for p in photos]
        names = [f'{i:04}' for i in range(2*len(photos))]
        rows = pd.DataFrame(dict(path=names, sha256=names, look=[*map(look, whole + twins)]))
        pairs = {(int(a), int(b)) for a, b in near_duplicates(rows)[['a', 'b']].values}
        now = np.mean([(i, i + len(photos)) in pairs for i in range(len(photos))])
        then = np.mean([before(a) - before(b) <= 4 for a, b in zip(whole, twins)])
        out[name] = dict(before=round(100*float(then)), now=round(100*float(now)))
        print(name, out[name], flush=True)
    return out


def table(files):
    "What `near_duplicates` reads, of photos as they are."
    return pd.DataFrame([dict(path=str(p), sha256=str(p), look=look(decode(p.read_bytes(), LOOK_SIDE)))
                         for p in files])


def pairs_among(rows):
    "Photos, pairs and seconds of the search."
    start = time.process_time()
    n = len(near_duplicates(rows))
    found = dict(photos=len(rows), pairs=n, seconds=round(time.process_time() - start, 1))
    print(found, flush=True)
    return found


def unseen(files, many):
    "Photos on which no limit was chosen."
    chosen = set(random.Random(0).sample(files, 160))
    return random.Random(1).sample([f for f in files if f not in chosen], many)


def main():
    clothes = sorted(Path(fetch_dataset('clothing')).rglob('*.jpg'))
    files = sorted(p for p in Path(fetch_dataset('cifar10')).glob('*/*/*'))
    cifar = table(files).sample(frac=1, random_state=0)
    birds = cifar[[Path(p).parent.name in ('bird', 'deer', 'frog') for p in cifar.path]]
    out = dict(seed=1, photos=160, machine=machine(), found=rates(unseen(clothes, 160)),
               clothing=pairs_among(table(clothes)), cifar=pairs_among(birds),
               timed=[pairs_among(cifar[:n]) for n in (5000, 20_000, 60_000)])
    Path(__file__).with_suffix('.json').write_text(json.dumps(out, indent=1) + '\n')


if __name__ == '__main__': main()
