"The shell for anywidget in a browser, with a kernel that the test plays: busy, gone, not to be seen."
import json

import numpy as np
import pandas as pd
import pytest

from imgcls.explorer.confusion import Predictions
from imgcls.explorer.host import ExplorerHost
from imgcls.explorer.page import static

pytestmark = pytest.mark.browser
BUSY, LOST = 'Waiting for the cell that is running …', 'This view has lost its kernel'
MODEL = """
window.sent = []; window.said = []; window.told = '';
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
window.begin = () => { window.live = imgcls.kernelHost(model, (text) => { told = text; }); };
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
    assert said(live)[0].startswith(LOST)
    live.evaluate('ask(6, 7)')  # each try is a new one
    live.evaluate('reply(13)')
    live.wait_for_function('said.length === 2')
    assert live.evaluate('said[1]') == 13


@pytest.mark.parametrize('how', ["kernel.status = 'dead'", "kernel.status = 'restarting'", 'kernel = null'])
def test_a_kernel_that_goes_away_while_it_is_waited_for(live, how):
    live.evaluate('ask(4, 5)')
    told(live, BUSY)
    live.evaluate(how)
    assert said(live)[0].startswith(LOST)


def test_a_kernel_that_is_gone_is_not_waited_for(live):
    live.evaluate('window.broken = true')
    live.evaluate('ask(4, 5)')
    assert said(live)[0].startswith(LOST)


def test_where_the_kernel_can_not_be_seen_the_page_waits(live):
    live.evaluate('kernel = undefined')
    live.evaluate('ask(4, 5)')
    live.wait_for_timeout(2000)
    assert live.evaluate('[said, told]') == [[], '']
    live.evaluate('reply(9)')
    assert said(live) == [9]


def test_the_last_epoch_is_drawn_before_the_others_come(live):
    rng = np.random.default_rng(0)
    runs = pd.DataFrame([dict(run='a', arch='net', recipe='frozen', size=9, seed=0, n_train=9, epochs=4)])
    targets, probs = rng.integers(0, 3, 60), rng.dirichlet([1, 1, 1], (4, 60))
    p = Predictions('made up', ['a', 'b', 'c'], targets, None, runs, lambda _: probs)
    host = ExplorerHost(p)
    whole = json.dumps(host.first(10**6))
    part = host.first(len(whole)-1)
    run = json.dumps(host.run(0))
    live.evaluate('''part => {
        model.get = name => ({ first: part, patience: 1 })[name];
        imgcls.widget.render({ model, el: document.getElementById('root') });
    }''', part)
    live.wait_for_selector('.ic-cell[aria-label]')
    summary, slider = live.inner_text('.ic-summary'), live.locator('.ic-explorer input[type=range]')
    assert slider.is_disabled()
    live.evaluate(f'reply({run})')
    live.wait_for_function("!document.querySelector('.ic-explorer input[type=range]').disabled")
    assert live.inner_text('.ic-summary') == summary
    slider.focus()
    live.keyboard.press('Home')
    accuracy = (host.probs(0)[0].argmax(-1) == p.targets).mean()
    assert f'{100*accuracy:.1f} %' in live.inner_text('.ic-summary')
