"""Write environment.yml, the conda environment of the course, from the requirements in settings.ini."""
from configparser import ConfigParser
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PYTHON = '3.12'  # the Dockerfile's, too
HEAD = '''\
# Made from settings.ini by tools/environment.py: change settings.ini and run `make prepare`.
#     conda env create -f environment.yml && conda activate imgcls && jupyter lab nbs/course
name: {name}
channels: [conda-forge]
dependencies:
  - python={python}
  - pip
  - git
  - make
  - pip:
'''


def render(settings=ROOT/'settings.ini'):
    "The text of environment.yml."
    ini = ConfigParser(delimiters=['='])
    ini.read(settings, encoding='utf-8')
    cfg = ini['DEFAULT']
    wanted = [*cfg['requirements'].split(), *cfg['dev_requirements'].split(), '-e .']
    return HEAD.format(name=cfg['lib_name'], python=PYTHON)+''.join(f'      - {r}\n' for r in wanted)


def main(): (ROOT/'environment.yml').write_text(render(), encoding='utf-8')


if __name__ == '__main__': main()
