"The shell for anywidget in a browser, with a kernel that the test plays: busy, gone, not to be seen."
import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from imgcls.core import palette
from imgcls.explorer.confusion import Predictions
from imgcls.explorer.host import ExplorerHost
from imgcls.explorer.page import static

pytestmark = pytest.mark.browser
BUSY = 'Waiting for the cell that is running …'
LOST = 'This view has lost its kernel. Run the cell again; decisions are kept.'
MODEL = """
window.sent = []; window.said = []; window.told = ''; window.lost = false;
const state = { first: [['add', [1, 2], 3]], patience: 0.2 };
let hear = null, free = null;
window.kernel = { status: 'busy', requestCommInfo: () => new Promise((done) => { free = done; }) };
window.model = {
  get: (name) => state[name], on: (_, fn) => { hear = fn; }, off: () => {},
  send: (message) => { if (window.broken) throw new Error('Cannot send'); sent.push(message); },
  widget_manager: { get kernel() { return kernel; } },
};
window.reply = (result) => hear({ id: sent[sent.length - 1].id, result });
window.becomesFree = () => { kernel.status = 'idle'; free(); };
window.begin = () => { window.live = imgcls.kernelHost(model, (...said) => { [told, lost] = said; }); };
window.ask = (...args) => { live.host.add(...args).then((x) => said.push(x), (e) => said.push(e.message)); };
begin();
"""


@pytest.fixture
def live(page):
    page.set_default_timeout(20_000)
    page.set_content('<!doctype html><html lang="en"><div id="root"></div></html>')
    page.add_script_tag(content=f"{static('explorer.js')}\n{{{MODEL}}}")
    return page


def told(page, text): page.wait_for_function('text => told === text', arg=text)


def said(page):
    "What came of the questions so far, waiting for the first."
    page.wait_for_function('said.length > 0')
    return page.evaluate('said')


def test_what_is_known_is_not_asked(live):
    live.evaluate('ask(1, 2)')
    assert said(live) == [3] and live.evaluate('sent.length') == 0
    live.evaluate('ask(1, 2)')  # the second time, it may have changed
    assert live.evaluate('sent[0].call') == 'add' and live.evaluate('sent[0].args') == [1, 2]


def test_a_busy_kernel_is_waited_for(live):
    live.evaluate('ask(4, 5)')
    told(live, BUSY)
    live.wait_for_timeout(1500)
    assert live.evaluate('said') == []
    live.evaluate('reply(9)')
    assert said(live) == [9]
    told(live, '')


def test_a_kernel_that_answers_others_first_has_lost_the_view(live):
    live.evaluate('ask(4, 5)')
    told(live, BUSY)
    live.evaluate('becomesFree()')
    told(live, LOST)
    assert live.evaluate('[lost, said, sent.length]') == [True, [], 1]
    live.evaluate('live.retry()')
    told(live, 'Connecting …')
    assert live.evaluate('sent[0].id === sent[1].id && sent[1].args') == [4, 5]  # carried out once
    live.evaluate('reply(9)')
    assert said(live) == [9]
    told(live, '')


def test_the_next_question_brings_back_what_was_lost(live):
    live.evaluate('kernel.status = "dead"; ask(4, 5)')
    told(live, LOST)
    live.evaluate('kernel.status = "idle"; ask(6, 7)')
    assert live.evaluate('sent.map(s => s.args[0])') == [4, 4, 6]
    live.evaluate('reply(13); sent.pop(); reply(9)')
    live.wait_for_function('said.length === 2')
    assert live.evaluate('said') == [13, 9]


@pytest.mark.parametrize('how', ["kernel.status = 'dead'", "kernel.status = 'restarting'", 'kernel = null'])
def test_a_kernel_that_goes_away_while_it_is_waited_for(live, how):
    live.evaluate('ask(4, 5)')
    told(live, BUSY)
    live.evaluate(how)
    told(live, LOST)


def test_a_kernel_that_is_gone_is_not_waited_for(live):
    live.evaluate('window.broken = true; ask(4, 5)')
    assert live.evaluate('told') == LOST
    live.evaluate('live.retry()')
    assert live.evaluate('[told, said]') == [LOST, []]


def test_where_the_kernel_can_not_be_seen_the_page_waits(live):
    live.evaluate('kernel = undefined')
    live.evaluate('ask(4, 5)')
    live.wait_for_timeout(2000)
    assert live.evaluate('[said, told]') == [[], '']
    live.evaluate('reply(9)')
    assert said(live) == [9]


def made_up(title, epochs=4):
    "A host for predictions of 60 photos of three classes."
    rng = np.random.default_rng(0)
    row = dict(run='a', arch='net', recipe='frozen', size=9, seed=0, n_train=9, epochs=epochs)
    targets, probs = rng.integers(0, 3, 60), rng.dirichlet([1, 1, 1], (epochs, 60))
    classes, runs = ['a', 'b', 'c'], pd.DataFrame([row])
    return ExplorerHost(Predictions(title, classes, targets, None, runs, lambda _: probs))


def show(page, first, id='1'):
    "A widget whose state holds `first`, in an element of its own."
    page.evaluate("""([first, id]) => {
        const model = { ...window.model, get: name => ({ first, patience: .2, shows: ['it', id] })[name] };
        const el = document.createElement('div');
        el.id = `widget-${id}`;
        document.getElementById('root').append(el);
        imgcls.widget.initialize({ model });
        imgcls.widget.render({ model, el });
    }""", [first, id])
    page.wait_for_selector(f'#widget-{id} .ic-cell[aria-label]')


def test_the_last_epoch_is_drawn_before_the_others_come(live):
    host = made_up('made up')
    whole = json.dumps(host.first(10**6)[:2])
    run = json.dumps(host.run(0))
    show(live, host.first(len(whole)-1))
    summary, slider = live.inner_text('.ic-summary'), live.locator('.ic-explorer input[aria-label=epoch]')
    assert slider.is_disabled()
    assert live.evaluate('sent.pop().call') == 'photos'
    live.evaluate(f'reply({run})')
    live.wait_for_function("!document.querySelector('.ic-explorer input[aria-label=epoch]').disabled")
    assert live.inner_text('.ic-summary') == summary
    slider.focus()
    live.keyboard.press('Home')
    accuracy = (host.probs(0)[0].argmax(-1) == host.predictions.targets).mean()
    assert f'{100*accuracy:.1f} %' in live.inner_text('.ic-summary')


def test_reconnect_finds_the_widget_that_the_cell_has_made_since(live):
    live.evaluate('kernel.status = "dead"')
    show(live, made_up('before').first(10**6))
    live.click('#widget-1 [role=tab]:has-text("Class")')
    live.click('#widget-1 summary:visible >> nth=1')
    button = live.locator('#widget-1').get_by_role('button', name='Reconnect')
    button.click()
    button.wait_for()  # it is as dead as before
    assert 'before' in live.inner_text('#widget-1') and LOST in live.inner_text('#widget-1')
    live.evaluate('kernel.status = "idle"')
    show(live, made_up('after').first(10**6), '2')
    button.click()
    live.wait_for_function("document.getElementById('widget-1').innerText.includes('after')")
    assert not button.count() and LOST not in live.inner_text('#widget-1')


PAPER = "canvas => [...canvas.getContext('2d').getImageData(0, 0, 1, 1).data.slice(0, 3)]"


def paper(page): return '#'+bytes(page.locator('.ic-plot canvas').evaluate(PAPER)).hex()


def test_the_matrix_follows_the_theme_and_saved_pictures_stay_light(live):
    from axe_playwright_python.sync_playwright import Axe
    light, dark = (palette()[theme]['paper'] for theme in ('colours', 'dark'))
    live.add_style_tag(content=static('style.css'))
    show(live, made_up('<b>made up</b>').first(10**6))
    assert paper(live) == light
    live.emulate_media(color_scheme='dark')
    live.wait_for_function(f'({PAPER})(document.querySelector("canvas"))[0] < 99')
    assert paper(live) == dark
    background = 'e => getComputedStyle(e).backgroundColor'
    for theme, wanted in (('true', light), ('false', dark)):  # JupyterLab's, whatever the system says
        live.emulate_media(color_scheme='dark' if theme == 'true' else 'light')
        live.evaluate('theme => { document.body.dataset.jpThemeLight = theme; }', theme)
        live.wait_for_timeout(100)
        rgb = re.findall(r'\d+', live.locator('.ic-explorer').evaluate(background))
        assert paper(live) == wanted == '#'+bytes(map(int, rgb)).hex()
        seen = Axe().run(live, context='.ic-live').response['violations']
        assert [(v['id'], v['nodes'][0]['html']) for v in seen] == []
    live.click('text=Export')
    with live.expect_download() as saved: live.click('text=SVG')
    text = Path(saved.value.path()).read_text()
    assert light in text and dark not in text
    assert paper(live) == dark
