"""What the tests of photos share: small pictures, each with detail of its own, and folders of them."""
import io
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image


def picture(n, size=(48, 40)):
    "A picture with detail of its own for each number."
    x = np.random.default_rng(n).integers(0, 256, (8, 10, 3), dtype=np.uint8)
    return Image.fromarray(x).resize(size, Image.Resampling.BICUBIC)


def encode(img, fmt='JPEG', **kw):
    out = io.BytesIO()
    img.save(out, fmt, **kw)
    return out.getvalue()


def folder(root, start=0, **counts):
    "Class folders with the given numbers of photos, each photo different."
    n = start + sum(map(ord, str(root.name)))*1000
    for label, count in counts.items():
        (root/label).mkdir(parents=True, exist_ok=True)
        for i in range(count):
            (root/label/f'{i:03}.jpg').write_bytes(encode(picture(n), quality=92))
            n += 1
    return root


def tree(root):
    "What every file holds and when it was written."
    return {str(p): (p.read_bytes(), p.stat().st_mtime_ns) for p in root.rglob('*') if p.is_file()}


def one_line(e):
    assert '\n' not in str(e.value) and len(str(e.value)) > 20
    return str(e.value)


@pytest.fixture
def pics():
    return SimpleNamespace(picture=picture, encode=encode, folder=folder, tree=tree, one_line=one_line)


@pytest.fixture
def animals(tmp_path): return folder(tmp_path/'animals', fox=12, deer=10)
