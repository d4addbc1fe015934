PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PEERS  := .venv-peers
CONSTRAINTS ?=

.PHONY: help setup lock check test test-all docs docs-pictures train recipes bench bench-peers bench-scaling gpu doctor torture fuzz clean

help:            ## say what each word does
	@grep -hE '^[a-z-]+: .*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):[^#]*## (.*)/  make \1\t\2/' | expand -t 22

setup: $(VENV)/installed   ## make .venv and install everything into it; CONSTRAINTS=requirements.lock: the tested versions

$(VENV)/installed: pyproject.toml $(CONSTRAINTS)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet $(addprefix --constraint ,$(CONSTRAINTS)) --editable '.[dev]'
	touch $@

lock: setup      ## write the versions that are installed into requirements.lock
	$(BIN)/python .ci/lock.py > requirements.lock.new
	mv requirements.lock.new requirements.lock

check: setup     ## what CI runs besides the tests: formatting, lint, types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

test: setup      ## the tests, but for those that are marked slow
	$(BIN)/python -m pytest -n auto --dist worksteal -m "not slow"

test-all: setup  ## every test, before a release: three times as long
	$(BIN)/python -m pytest -n auto --dist worksteal

docs: setup      ## build the documentation into site/, from docs/; a warning stops it
	$(BIN)/zensical build --strict --clean

docs-pictures: setup   ## make the pictures of docs/ again, from real runs; RUN=FOLDER: the page's, too, which needs Chromium
	$(BIN)/python -m docs.terminal
	$(BIN)/python -m docs.practice_pictures
	$(if $(RUN),$(BIN)/python docs/pictures.py $(RUN))

train: setup     ## train the default: coloured glyphs, a small CNN
	$(BIN)/python -m trainer

recipes: setup   ## train every recipe again, and set what it claims beside what comes out; hours; NAMES="smoke noisy_labels"
	$(BIN)/python -u -m benchmarks.recipes $(NAMES)

bench: setup     ## measure speed and memory on this machine
	$(BIN)/python -m benchmarks

bench-peers: $(PEERS)/installed   ## beside fastai, Lightning, timm and plain PyTorch; half an hour to an hour; PHOTOS=FOLDER FASHION_MNIST=FOLDER
	$(PEERS)/bin/python -u -m benchmarks.peers

bench-scaling: setup   ## how time and memory grow with images, pixels and workers
	$(BIN)/python -u -m benchmarks.scaling

gpu: setup       ## check and time training on a GPU, in a few minutes and without a network
	$(BIN)/python -u -m benchmarks.gpu

doctor: setup    ## train labelled runs with faults planted, and count how often the doctor names them; RUNS=FOLDER keeps them
	$(BIN)/python -u -m benchmarks.doctor $(RUNS)

$(PEERS)/installed: | $(VENV)/installed   # the same torch for everyone
	$(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/python -m pip install --quiet --editable . fastai lightning timm psutil \
		$$($(BIN)/python -m pip freeze | grep -E '^torch(vision)?==')
	touch $@

torture: setup   ## kill 200 runs at random moments, and compare what they end in; SEED=1 CASES=200 ONLY=17
	$(BIN)/python -m torture --seed $(or $(SEED),1) --cases $(or $(CASES),200) $(if $(ONLY),--only $(ONLY))

fuzz: setup      ## feed damaged files to every reader of files; FUZZ_SECONDS=180 SEED=1
	$(BIN)/python -m fuzz --seconds $(or $(FUZZ_SECONDS),180) --seed $(or $(SEED),1)

clean:           ## remove what make and the tools have made; runs in outputs/ stay
	rm -rf $(VENV) $(PEERS) .bench-peers dist build site .cache .pytest_cache .mypy_cache .ruff_cache .hypothesis
