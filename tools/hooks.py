"""Define, in this clone alone, git's merge driver for notebooks and JupyterLab's cleaning on save.

`nbdev_install_hooks` does the same, but writes to the user's own ~/.jupyter and trusts every notebook that
a merge brings in.
"""
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SAVE_HOOK = '''import warnings
warnings.filterwarnings('ignore', 'Overriding existing pre_save_hook')  # Jupyter reads this file twice

def clean_on_save(**kwargs):
    from nbdev.clean import clean_jupyter
    clean_jupyter(**kwargs)

c.ContentsManager.pre_save_hook = clean_on_save
'''


def git(*args):
    "What `git` prints, or None where there is no git or no clone."
    command = ['git', '-C', str(ROOT), *args]
    try: return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError): return None


def main():
    jupyter = Path(sys.prefix)/'etc/jupyter'
    jupyter.mkdir(parents=True, exist_ok=True)
    (jupyter/'jupyter_server_config.py').write_text(SAVE_HOOK)
    top = git('rev-parse', '--show-toplevel')
    if top is None or Path(top).resolve() != ROOT: return  # unpacked from an archive: nothing to merge
    driver = Path(sys.executable).parent/'nbdev_merge'
    git('config', '--local', 'merge.nbdev-merge.name', 'merge notebooks cell by cell')
    git('config', '--local', 'merge.nbdev-merge.driver', f'"{driver.as_posix()}" %O %A %B %P')


if __name__ == '__main__': main()
