"""The study that lives in the site, and the pictures of the two widgets on the front page.

    python tools/live.py    # draws nbs/explorer.webp and nbs/cleaner.webp anew, with a browser

The study is that of the front page's table; `small` makes one with few photos, for tests.
"""
import io
import shutil
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
EXPLORER, CLEANER = (ROOT/'nbs'/f'{name}.webp' for name in ('explorer', 'cleaner'))
FILES = 'explorer.html', 'report.html', 'curve.svg'
LIMIT = 2.5e6  # bytes of a page with photos
BROWSERS = 'chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable', 'chrome'
HTML = '''
```{=html}
<iframe class="live" src="explorer.html" title="The explorer, to click through" loading="lazy"></iframe>
<script>
  { // the explorer is as light or dark as this page, whatever the system says
    const frame = document.querySelector('iframe.live');
    const follow = () => {
      const inside = frame.contentDocument?.documentElement;
      const theme = document.querySelector('.quarto-dark') ? 'dark' : 'light';
      if (!inside) return;
      inside.className = `quarto-${theme}`;
      inside.style.colorScheme = theme;
    };
    frame.addEventListener('load', follow);
    const watch = new MutationObserver(follow);
    for (const el of [document.documentElement, document.body]) watch.observe(el, { attributes: true });
  }
</script>
```

![The learning curve: accuracy by number of photos, with 95 % intervals](curve.svg){.live}
'''


def make(folder, small=False):
    "Run the study and write `FILES` into `folder`."
    import imgcls.explorer.report  # noqa: F401 (it brings Study.report)
    from imgcls.data.synth import synth_folder
    from imgcls.explorer.file import save_explorer
    from imgcls.pictures import themed_svg
    from imgcls.studies.plots import plot_learning_curve
    from imgcls.studies.study import study
    photos, how = 'synth', dict(sizes=[20, 100, 500, 1000])
    if small: photos, how = synth_folder(per_class=60), dict(sizes=[10, 20, 40], res=64, seeds=1)
    with tempfile.TemporaryDirectory() as tmp:
        st = study(photos, recipe='frozen', arch='efficientnet_lite0', epochs=4, out=Path(tmp)/'synth', **how)
        save_explorer(st, path=folder/FILES[0], limit=LIMIT)
        st.report(folder/FILES[1], limit=LIMIT)
        (folder/FILES[2]).write_text(themed_svg(plot_learning_curve(st)), encoding='utf-8')


def open_cell(page, row, col):
    "Click a cell of the matrix, counted from 0, and wait for its photos."
    cell = page.locator('.ic-cell[aria-label]')
    cell.press('Control+Home')
    for key in ['ArrowDown']*row+['ArrowRight']*col: cell.press(key)
    box = cell.bounding_box()
    page.mouse.click(box['x']+box['width']/2, box['y']+box['height']/2)
    page.wait_for_selector('.ic-tile')


def photograph(html, to, ready, width=940, height=810):
    "A picture of a widget in a file, after `ready(page)`."
    from PIL import Image
    from playwright.sync_api import sync_playwright
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if not browser: sys.exit('live.py needs Chromium on the PATH')
    with sync_playwright() as p:
        started = p.chromium.launch(executable_path=browser, args=['--no-sandbox', '--disable-gpu'])
        page = started.new_page(viewport=dict(width=width, height=height), color_scheme='light')
        page.goto(html.as_uri())
        ready(page)
        page.mouse.move(0, 0)  # no tooltip
        page.wait_for_timeout(1000)  # thumbnails are decoded
        shown = page.locator('.imgcls').first.bounding_box()
        bottom = min(height, shown['y']+shown['height'])
        clip = dict(x=shown['x'], y=shown['y'], width=shown['width'], height=bottom-shown['y'])
        Image.open(io.BytesIO(page.screenshot(clip=clip))).save(to, quality=85, method=6)
        started.close()
    print(f'{to.relative_to(ROOT)}: {to.stat().st_size/1000:.0f} kB')


def draw_cleaner(folder):
    "The cleaner with the drawings of which one in twenty shows another animal than its label says."
    from imgcls.cleaning.cleaner import save_cleaner
    from imgcls.data.synth import synth_folder
    from imgcls.studies.study import study
    photos = synth_folder(folder/'animals', per_class=200, wrong=.05)
    st = study(photos, sizes=['all'], recipe='frozen', epochs=4, arch='efficientnet_lite0', seeds=1,
               out=folder/'study')
    photograph(save_cleaner(st), CLEANER, lambda page: page.wait_for_selector('.imgcls img'))


def main():
    with tempfile.TemporaryDirectory() as tmp:
        make(Path(tmp))
        # the deer that were taken for foxes
        photograph(Path(tmp)/FILES[0], EXPLORER, lambda page: open_cell(page, 0, 1))
        draw_cleaner(Path(tmp))


if __name__ == '__main__': main()
