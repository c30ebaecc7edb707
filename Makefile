# Two commands: `make train` and `make test`. Each sets up .venv the first time and when pyproject.toml
# or constraints.txt change. pip's own settings (PIP_INDEX_URL, PIP_FIND_LINKS, ...) are honoured.
PYTHON ?= python3
ifeq ($(OS),Windows_NT)
BIN := .venv/Scripts
else
BIN := .venv/bin
endif
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
# The build tool comes from the constraints too, so a fresh clone builds as CI does.
INSTALL := $(PIP) --no-build-isolation --editable

.PHONY: train test lint shapes
train: .venv/installed
	$(BIN)/glimpse train reinforce --env glimpse/Digits-v0

# One thread each: two test processes share the cores.
test: .venv/installed-for-tests
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n 2

# The same tests with every shape and type checked at run time.
shapes: .venv/installed-for-tests
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n 2 --jaxtyping-packages=glimpse,beartype.beartype

lint: .venv/installed-for-tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(PIP) setuptools
	$(INSTALL) .
	touch $@

.venv/installed-for-tests: .venv/installed
	$(INSTALL) ".[test,lint]"
	touch $@
