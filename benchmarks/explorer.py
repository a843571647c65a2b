"""The explorer's speed in a real browser: 100 classes × 50,000 photos in JupyterLab, and explorer.html with
3,000 photos; writes benchmarks/explorer.json.

    python benchmarks/explorer.py                # about three minutes; wants Chromium

First paint: from running the cell to a matrix on the screen. Click: from the mouse to 24 decoded thumbnails.
Slider: from a step to the next frame. Figures are the median and the largest of several tries. The photos are
drawings, each used many times; the probabilities are drawn at random around the truth.
"""
import argparse
import json
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from imgcls.data.synth import synth_folder
from imgcls.explorer.confusion import Predictions
from imgcls.explorer.file import save_explorer
from imgcls.studies.runs import machine, versions

FILE = Path(__file__).with_name('explorer.json')
sys.path.append(str(FILE.parents[1]/'tests'))
# milliseconds, where the name has no other unit
TARGETS = dict(first_paint=1000, click=200, slider=50, notebook_kb=300, file_mb=15, file_opens=2000)

CELLS = """import sys; sys.path.append({here!r})
from explorer import made_up
from imgcls.explorer.widget import explore
made = made_up({classes}, {photos}, {epochs})""", 'explore(made)'

WATCH = """() => { window.painted = null; const begin = performance.now();
  const shown = () => requestAnimationFrame(() => { window.painted = performance.now()-begin });
  const there = () => document.querySelector('.ic-cell[aria-label]');
  new MutationObserver((_, o) => { if (there()) { o.disconnect(); requestAnimationFrame(shown) } })
    .observe(document.body, {subtree: true, childList: true, attributes: true}); }"""
CLICK = """() => { window.clicked = null; const before = document.querySelector('.ic-gallery');
  document.addEventListener('pointerdown', () => { const begin = performance.now(); const look = async () => {
    const g = document.querySelector('.ic-gallery');
    const imgs = g && g !== before ? [...g.querySelectorAll('img')] : [];
    if (imgs.length < 24) return setTimeout(look, 4);
    await Promise.all(imgs.map(i => i.decode()));
    requestAnimationFrame(() => { window.clicked = performance.now()-begin }); }; look();
  }, {once: true, capture: true}); }"""
SLIDE = """to => new Promise(done => {
  const s = document.querySelector('.imgcls input[type=range]'), begin = performance.now();
  s.value = to;
  for (const kind of ['input', 'change']) s.dispatchEvent(new Event(kind, {bubbles: true}));
  requestAnimationFrame(() => done(performance.now()-begin)); })"""


def made_up(classes, photos, epochs, runs=1):
    "Predictions of a classifier that learns, drawn at random from a seed."
    rng, files = np.random.default_rng(0), sorted(map(str, synth_folder(per_class=100).rglob('*.jpg')))
    targets = rng.integers(0, classes, photos)

    def probs(name):
        z = np.random.default_rng(int(name)).normal(size=(epochs, photos, classes)).astype(np.float32)
        for e in range(epochs): z[e, np.arange(photos), targets] += 1.5+e
        z = np.exp(2*z)
        return (z/z.sum(-1, keepdims=True)).astype(np.float16)
    same = dict(arch='made up', recipe='made up', seed=0, epochs=epochs)
    table = pd.DataFrame([dict(same, run=str(r), size=100*(r+1), n_train=100*(r+1)) for r in range(runs)])
    kept, names = {r: probs(r) for r in table.run}, [f'class {i:03}' for i in range(classes)]
    paths = [files[i % len(files)] for i in range(photos)]
    return Predictions(f'{classes} classes, {photos:,} photos', names, targets, paths, table, kept.get)


def first_paints(page, idle, command):
    "Milliseconds from running the cell to a matrix, three times."
    out = []
    for _ in range(3):
        if out: command('notebook:clear-cell-output')
        page.evaluate(WATCH)
        command('notebook:run-cell')
        page.wait_for_function('window.painted')
        out.append(page.evaluate('window.painted'))
        page.wait_for_function(idle)
    return out


def clicks(page):
    "Milliseconds from the mouse to the thumbnails, for eight cells."
    out = []
    page.locator('.ic-cell').focus()
    page.keyboard.press('Control+Home')  # it opens on the most frequent error
    for _ in range(8):
        page.locator('.ic-cell').focus()
        # along the diagonal, where there are many photos
        page.keyboard.press('ArrowDown')
        page.keyboard.press('ArrowRight')
        box = page.locator('.ic-cell').bounding_box()
        page.evaluate(CLICK)
        page.mouse.click(box['x']+box['width']/2, box['y']+box['height']/2)
        page.wait_for_function('window.clicked')
        out.append(page.evaluate('window.clicked'))
    return out


def in_lab(page, home, classes, photos, epochs):
    "Milliseconds of the live widget, and by how many kB the notebook grew."
    from conftest import serving
    asked = dict(here=str(FILE.parent), classes=classes, photos=photos, epochs=epochs)
    with serving(home, '--allow-root') as lab:
        lab.write('big.ipynb', *(c.format(**asked) for c in CELLS))
        size = (home/'big.ipynb').stat().st_size
        lab.open(page, 'big.ipynb')
        idle = "document.querySelector('.jp-Notebook-ExecutionIndicator')?.dataset.status === 'idle'"
        command = lambda c: page.evaluate(f"window.jupyterapp.commands.execute('{c}')")  # noqa: E731
        lab.run(page, 0)  # it waits for the kernel: what is asked before is lost
        page.evaluate('() => { window.jupyterapp.shell.currentWidget.content.activeCellIndex = 1; }')
        page.wait_for_function(idle)
        paints = first_paints(page, idle, command)
        slides = [page.evaluate(SLIDE, min(to, epochs)) for to in [1, 2, 3, 4, 5]*4]
        pressed = clicks(page)
        lab.save(page)
        time.sleep(1)
    grown = (home/'big.ipynb').stat().st_size-size
    return dict(first_paint=paints, click=pressed, slider=slides, notebook_kb=[grown/1e3])


def one_file(page, home):
    "MB of explorer.html with 3,000 photos, and ms until it shows its matrix."
    path = save_explorer(made_up(10, 3000, 4, runs=2), path=home/'explorer.html')
    opens = []
    for _ in range(5):
        page.goto('about:blank')
        start = time.perf_counter()
        page.goto(path.as_uri())
        page.wait_for_selector('.ic-cell[aria-label]')
        opens.append(1e3*(time.perf_counter()-start))
    return dict(file_mb=[path.stat().st_size/1e6], file_opens=opens)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, n in (('classes', 100), ('photos', 50_000), ('epochs', 5)):
        p.add_argument(f'--{name}', type=int, default=n, help=f'of the made-up predictions (default: {n:,})')
    args = p.parse_args()
    chromium = next(filter(None, map(shutil.which, ('chromium', 'chromium-browser', 'google-chrome'))), None)
    if not chromium: sys.exit('no Chromium on the PATH; install it (Debian: apt-get install chromium)')
    from playwright.sync_api import sync_playwright
    with tempfile.TemporaryDirectory() as home, sync_playwright() as pw:
        browser = pw.chromium.launch(executable_path=chromium, args=['--no-sandbox', '--disable-gpu'])
        figures = one_file(browser.new_page(), Path(home))
        figures |= in_lab(browser.new_page(), Path(home), args.classes, args.photos, args.epochs)
        browser.close()
    result = {k: dict(median=round(statistics.median(v), 1), largest=round(max(v), 1), target=TARGETS[k])
              for k, v in figures.items()}
    for k, v in result.items():
        met = 'met' if v['median'] <= v['target'] else 'NOT met'
        print(f"{k:12} {v['median']:>9,.1f}  largest {v['largest']:>9,.1f}  target {v['target']:>6,}  {met}")
    made = dict(machine=machine(), versions=versions(), of=vars(args), figures=result)
    FILE.write_text(json.dumps(made, indent=1)+'\n')


if __name__ == '__main__': main()
