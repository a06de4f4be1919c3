# `make demo` and `make test` need Python 3.11 or newer with pip, and make; all else they set up themselves.
# A second run finds the environments finished and starts at once.

PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3 python; do \
  $$p -c 'import sys, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && { echo $$p; break; }; done)
VENV ?= .venv
DEMO_VENV ?= .venv-demo
CLIENTS_VENV ?= .venv-clients
TEST_ARGS ?=
BENCH_ARGS ?=
INSTALL = -m pip install -qq --disable-pip-version-check

.DEFAULT_GOAL := help
.PHONY: help demo test check slow lint format docs bench pins clean

help:
	@echo 'make demo    train three models and serve them (Ctrl-C ends)'
	@echo 'make test    set up an environment of its own and run the checks'
	@echo 'make slow    the tests that take minutes: old Pythons and libraries, long crowds, the demo trained anew'
	@echo 'make lint    ruff and mypy alone;  make format  puts imports and layout right'
	@echo 'make docs    build the documentation into docs/_build/html'
	@echo 'make bench   measure beside the prototype (needs wrk)'
	@echo 'make pins    resolve the pinned requirements again'

# --- environments ----------------------------------------------------------------------------------------------------

# $(1) folder, $(2) requirement file, $(3) more options of pip
define venv
	@test -n "$(PYTHON)" || { echo 'Python 3.11 or newer (with pip and venv) is needed; name one with: make PYTHON=/path/to/python $@' >&2; exit 1; }
	@echo 'Setting up $(1) with $(PYTHON) from $(2), which takes a minute or two …'
	@rm -f $(1)/.pins $(1)/.ready $(1)/.frameworks
	@$(PYTHON) -m venv --clear $(1)
	@$(1)/bin/python $(INSTALL) --only-binary :all: $(3) -r $(2)
	@touch $@
endef

# The package itself, editable: a new version of pyproject.toml is installed again in a second.
define package
	@$(1)/bin/python $(INSTALL) --no-deps --no-build-isolation --editable .
	@touch $@
endef

$(DEMO_VENV)/.pins: requirements/demo.txt
	$(call venv,$(DEMO_VENV),requirements/demo.txt)

$(DEMO_VENV)/.ready: $(DEMO_VENV)/.pins pyproject.toml
	$(call package,$(DEMO_VENV))

$(VENV)/.pins: requirements/test.txt
	$(call venv,$(VENV),requirements/test.txt)

$(VENV)/.ready: $(VENV)/.pins pyproject.toml
	$(call package,$(VENV))

# uWSGI comes as source only, and what another Python built (pip keeps it) does not fit this one; without a C compiler its tests skip (in CI they fail instead).
$(VENV)/.uwsgi: requirements/uwsgi.txt $(VENV)/.pins
	@$(VENV)/bin/python $(INSTALL) --no-cache-dir -r requirements/uwsgi.txt >/dev/null 2>&1 || echo 'uWSGI could not be built here; its tests will skip.'
	@touch $@

# PyTorch, Keras, CatBoost: a gigabyte that only continuous integration and `make slow` want; without them their tests skip.
$(VENV)/.frameworks: requirements/frameworks.txt $(VENV)/.pins
	@echo 'Adding PyTorch, Keras and CatBoost, which takes a minute …'
	@$(VENV)/bin/python $(INSTALL) --only-binary :all: -r requirements/frameworks.txt
	@touch $@

# Clients of other servers (KServe, Triton, MLflow), for the tests that run them; what they want does not go with what we want.
$(CLIENTS_VENV)/.ready: requirements/clients.txt
	$(call venv,$(CLIENTS_VENV),requirements/clients.txt,--no-deps --no-compile)

# --- the two commands of the README ----------------------------------------------------------------------------------

demo: $(DEMO_VENV)/.ready
	@exec $(DEMO_VENV)/bin/carafe demo

test check: lint $(VENV)/.uwsgi $(CLIENTS_VENV)/.ready $(if $(CI),$(VENV)/.frameworks)
	$(VENV)/bin/python -m pytest -m 'not slow' $(TEST_ARGS)

# --- the rest --------------------------------------------------------------------------------------------------------

slow: $(VENV)/.ready $(VENV)/.uwsgi $(CLIENTS_VENV)/.ready $(VENV)/.frameworks
	$(VENV)/bin/python -m pytest -m slow $(TEST_ARGS)

lint: $(VENV)/.ready
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy

format: $(VENV)/.ready
	$(VENV)/bin/ruff check --fix .

docs: $(VENV)/.ready
	$(VENV)/bin/python -m sphinx -W --keep-going -q -b html docs docs/_build/html
	@echo 'docs/_build/html/index.html'

bench: $(VENV)/.ready
	$(VENV)/bin/python benchmarks/run.py $(BENCH_ARGS)

pins:
	$(PYTHON) requirements/pin.py $(PYTHONS)

clean:
	rm -rf $(VENV) $(DEMO_VENV) $(CLIENTS_VENV) docs/_build .pytest_cache .mypy_cache .ruff_cache .hypothesis
