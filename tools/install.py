"""pip install with a line for each step and how long it usually takes:   python tools/install.py -e ".[dev]"

pip alone is either silent for minutes or prints hundreds of lines. On a terminal, a line below each step
shows what pip is doing and for how long; elsewhere there is only the step and the time that it took.
"""
import os
import re
import shutil
import subprocess
import sys
import threading
import time

PIP = [sys.executable, '-m', 'pip', '--disable-pip-version-check', 'install', '--progress-bar', 'off']
FETCH = 'Finding and downloading what is missing (usually 1 to 3 minutes)'
NOW = re.compile(r'\s*(Requirement already|Collecting|Downloading|Using cached|Building|Preparing) ')
UNPACK = 'Unpacking {} packages (usually 2 to 4 minutes)'


def _took(began):
    minutes, seconds = divmod(round(time.monotonic()-began), 60)
    return f'{minutes} min {seconds} s' if minutes else f'{seconds} s'


class Step:
    "One step: its title, on a terminal what is being done, and at its end the time it took."
    def __init__(self, title):
        self.began, self.detail, self.over = time.monotonic(), '', threading.Event()
        self.ticker = threading.Thread(target=self._tick, daemon=True)
        print(title, flush=True)
        if sys.stdout.isatty(): self.ticker.start()

    def _tick(self):
        width = shutil.get_terminal_size().columns-1
        while not self.over.wait(.5):
            print('\r'+f'  {_took(self.began)}  {self.detail}'[:width].ljust(width), end='', flush=True)

    def end(self):
        self.over.set()
        if self.ticker.is_alive():
            self.ticker.join()
            print('\r'.ljust(shutil.get_terminal_size().columns)+'\r', end='')
        print(f'  {_took(self.began)}', flush=True)


def follow(command):
    "Run pip and show its steps; return its exit code and its lines."
    lines, step = [], Step(FETCH)
    env = os.environ | dict(PYTHONUNBUFFERED='1', PYTHONIOENCODING='utf-8')
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          encoding='utf-8', errors='replace', env=env) as pip:
        for line in pip.stdout:
            lines.append(line)
            if NOW.match(line):
                step.detail = line.strip()
            if line.startswith('Installing collected packages:'):
                step.end()
                step = Step(UNPACK.format(line.count(',')+1))
    step.end()
    return pip.returncode, lines


def main():
    failed, lines = follow([*PIP, *sys.argv[1:]])
    if failed: sys.exit(''.join(lines[-30:]))
    for line in lines:  # such as packages that don't fit together
        if line.startswith('ERROR'): print(line, end='', file=sys.stderr)


if __name__ == '__main__': main()
