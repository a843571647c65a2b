"""Can this Python make an environment for imgcls? If not: one line that says what to do."""
import sys
from importlib.util import find_spec

if sys.version_info < (3, 10):
    sys.exit('imgcls needs Python 3.10 or newer, this is %d.%d; name a newer one: make PYTHON=python3.11'
             % sys.version_info[:2])
if not (find_spec('venv') and find_spec('ensurepip')):
    sys.exit("Python's venv module is incomplete; install it and run make again"
             " (Debian, Ubuntu: apt install python3-venv)")
