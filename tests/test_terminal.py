"What a terminal shows, tried in real ones of 80 and 120 columns, and what a pipe gets."
import os
import re
import struct
import subprocess
import sys

import pytest

from imgcls.terminal import commands, fold, plain

CODES = re.compile(r'\x1b\[[0-9;?]*[A-Za-z]')
COLOURS = re.compile(r'\x1b\[(?:[0-9;]*;)?(?:3|4|9)[0-9]')
PATH = '/a/folder/' + 'x'*130 + '/study.json'
SAYS = f"""
from imgcls.core import busy, progress, step
from imgcls.terminal import columns, commands, fold, remark, show
with busy('loading'): pass
step('Reading photos', 'my-photos')
for _ in progress(range(3), label='reading photos'): pass
remark('imgcls: ' + 'remark '*60)
show([[('verdict', fold('verdict '*80, columns())), ('table', 'epoch  50.7*'), ('line', {PATH!r})],
      commands('Next', [('imgcls explore st', 'the photos behind each error')], columns())])
"""


def in_terminal(width, **env):
    "What the program writes into a terminal of that width."
    fcntl, pty, termios = (pytest.importorskip(name) for name in ('fcntl', 'pty', 'termios'))
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack('HHHH', 50, width, 0, 0))
    keep = {k: v for k, v in os.environ.items() if k not in ('NO_COLOR', 'FORCE_COLOR', 'COLUMNS', 'CI')}
    p = subprocess.Popen([sys.executable, '-c', SAYS], stdin=theirs, stdout=theirs, stderr=theirs,
                         env=keep | {'TERM': 'xterm-256color', **env})
    os.close(theirs)
    said = b''
    try:
        while part := os.read(ours, 65536): said += part
    except OSError: pass  # Linux: the other end is closed
    os.close(ours)
    assert p.wait(60) == 0, said
    return said.decode()


@pytest.mark.parametrize('width', [80, 120])
def test_a_terminal_gets_lines_as_wide_as_it_is_in_colours(width):
    said = in_terminal(width)
    text = CODES.sub('', said.replace('\r\n', '\n').replace('\r', '\n'))
    lines = [line.rstrip() for line in text.splitlines()]
    assert COLOURS.search(said) and 'Reading photos  my-photos' in lines
    for word in ('remark', 'verdict'):
        found = [line for line in lines if word in line]
        assert width - len(word) <= max(map(len, found)) <= width and len(found) > 1, found
    assert PATH in lines, 'a path is cut, and can not be copied'
    assert lines[-1] == '  imgcls explore st  the photos behind each error'


@pytest.mark.parametrize('env', [dict(NO_COLOR='1'), dict(TERM='dumb')], ids=str)
def test_no_colours_where_they_are_not_wanted(env):
    said = in_terminal(80, **env)
    assert not COLOURS.search(said) and 'verdict' in said and 'Reading photos' in said


def test_a_pipe_gets_plain_text_and_whole_remarks():
    env = os.environ | {'CI': 'true'}
    r = subprocess.run([sys.executable, '-c', SAYS], capture_output=True, text=True, env=env)
    assert r.stderr == 'imgcls: ' + 'remark '*60 + '\n', 'a bar, a step or a broken line'
    assert '\x1b' not in r.stdout and r.stdout.startswith('verdict ')
    assert max(len(line) for line in r.stdout.splitlines() if line != PATH) <= 80


@pytest.mark.parametrize('width', [30, 60, 120])
def test_commands_can_be_copied_at_any_width(width):
    rows = [('imgcls clean my-study', 'photos whose label looks wrong'),
            ('imgcls predict my-study PHOTOS', '')]
    lines = plain([commands('Next', rows, width)]).splitlines()
    assert [any(line.startswith(f'  {command}') for line in lines) for command, _ in rows] == [True, True]
    assert (len(lines) == 3) == (width > 60) and lines[-1] == '  imgcls predict my-study PHOTOS'


def test_a_fold_never_cuts_a_word():
    assert fold('see ' + PATH, 40).splitlines()[1].strip() == PATH
