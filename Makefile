# Everything runs in .venv, made from hash-pinned locks; nothing else on the machine is touched.
# Needs: Python 3.11 or newer with pip (22.3 or newer), and make. No compiler, no ensurepip.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
TAIL   := .venv-litellm
OTHERS := .venv-clients

# With .venv activated, python3 would be the venv's own: it has no pip, and cannot remake itself.
export PATH := $(subst $(CURDIR)/$(BIN):,,$(PATH))

# Debian's python3 has no ensurepip, so the venv is made empty and the system's pip fills it.
PIP     := $(PYTHON) -m pip --python $(BIN)/python --disable-pip-version-check
LOCKED  := install --quiet --require-hashes --only-binary :all: --requirement
ITSELF  := install --quiet --no-deps --no-build-isolation --no-index --editable .
INSTALL  = $(PIP) $(LOCKED)
PROJECT  = $(PIP) $(ITSELF)

# litellm runs as a process of its own, on a Python of its own: its pins are not the gateway's.
PIP_TAIL := $(PYTHON) -m pip --python $(TAIL)/bin/python --disable-pip-version-check

# Both locks hold the build backend, which is what --no-build-isolation builds the project with.
UV      = $(VENV)-lock/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
          --no-emit-index-url --no-annotate --no-header

.DEFAULT_GOAL := help
.PHONY: help run litellm venvs test lint bench soak schema monitoring prices model lock clean

help:  ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: $(VENV)/run  ## start the gateway (ARGS="--port 9000")
	@exec $(BIN)/gateway serve $(ARGS)

litellm: $(TAIL)/ready  ## install litellm for providers of adapter litellm, as GATEWAY_LITELLM_PYTHON=.venv-litellm/bin/python

# What the tests need; on two processors, some of it at a time (--jobs).
venvs: $(VENV)/dev $(TAIL)/ready $(OTHERS)/ready

test: venvs  ## run the tests (ARGS="tests/gateway -k merge")
	$(BIN)/python -m pytest -q $(ARGS)

lint: $(VENV)/dev  ## formatting, rules and types
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy

bench: $(VENV)/dev  ## measure the gateway (ARGS="--help")
	$(BIN)/python -m bench $(ARGS)

soak: $(VENV)/dev  ## ten minutes of everything that goes wrong, and no wrong answer or lost token (ARGS="--quick", "--proofs")
	$(BIN)/python -m tools.soak $(ARGS)

schema: $(VENV)/dev  ## write what an editor needs to check routing.yaml
	$(BIN)/python -c 'import sys, gateway.config; sys.stdout.buffer.write(gateway.config.json_schema())' \
	    > deploy/routing.schema.json

monitoring: $(VENV)/dev  ## write the dashboard and the list of metrics that are checked in
	$(BIN)/python -m tools.monitoring

prices: $(VENV)/dev $(TAIL)/ready  ## write the price list that is checked in, from litellm's
	$(BIN)/python -m tools.prices $(TAIL)

model: $(VENV)/dev  ## make the demo model that is checked in
	$(BIN)/python -m tools.demo_model $(ARGS)

lock:  ## pin the newest versions of everything, with hashes
	$(PYTHON) -m venv --clear --without-pip $(VENV)-lock
	$(PYTHON) -m pip --python $(VENV)-lock/bin/python --disable-pip-version-check install --quiet uv
	$(PYTHON) -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"], sep="\n")' \
	    > $(VENV)-lock/backend.in
	$(UV) --upgrade --output-file requirements-dev.lock pyproject.toml $(VENV)-lock/backend.in \
	    --extra demo --extra dev --extra tokenizers
	$(UV) --upgrade --output-file requirements.lock pyproject.toml $(VENV)-lock/backend.in \
	    --extra demo --constraint requirements-dev.lock
	$(UV) --upgrade --output-file requirements-litellm.lock pyproject.toml $(VENV)-lock/backend.in \
	    --extra litellm --constraint requirements.lock
	printf '%s\n' aiohttp pyyaml requests > $(VENV)-lock/needs.in
	printf '%s\n' lamini==3.4.6 lamini-configuration > $(VENV)-lock/lamini.in
	printf '%s\n' lamini==2.0.16 > $(VENV)-lock/old.in
	{ $(UV) $(VENV)-lock/needs.in && $(UV) --no-deps $(VENV)-lock/lamini.in; } > requirements-lamini.lock
	$(UV) --no-deps $(VENV)-lock/old.in > requirements-lamini-old.lock
	sed -i '1i # Made by `make lock`.' requirements-lamini.lock requirements-lamini-old.lock
	sed -i '1i # Made by `make lock` from pyproject.toml.' \
	    requirements.lock requirements-dev.lock requirements-litellm.lock
	rm -rf $(VENV)-lock

clean:  ## remove what was made here
	rm -rf $(VENV) $(VENV)-lock $(TAIL) $(OTHERS) build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find adapters gateway tests bench tools -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true

# The venv's stamps. pyproject.toml counts too: the console script and the package list come from it.
# A Python that went away or was upgraded remakes all of it.
$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("needs Python 3.11 or newer: make PYTHON=...")'
	$(PYTHON) -m venv --clear --without-pip $(VENV)

$(VENV)/run: requirements.lock pyproject.toml $(BIN)/python
	@echo "installing requirements.lock into $(VENV) (a minute at most, and only when it changed)"
	@$(INSTALL) requirements.lock
	@$(PROJECT)
	@touch $@

# The development lock holds the same versions and more, so it serves `make run` as well.
$(VENV)/dev: requirements-dev.lock requirements.lock pyproject.toml $(BIN)/python
	@echo "installing requirements-dev.lock into $(VENV) (a minute at most, and only when it changed)"
	@$(INSTALL) requirements-dev.lock
	@$(PROJECT)
	@touch $(VENV)/run $@

$(TAIL)/bin/python:
	$(PYTHON) -m venv --clear --without-pip $(TAIL)

$(TAIL)/ready: requirements-litellm.lock $(TAIL)/bin/python
	@echo "installing requirements-litellm.lock into $(TAIL) (a minute, and only when it changed)"
	@$(PIP_TAIL) $(LOCKED) requirements-litellm.lock
	@$(PIP_TAIL) $(ITSELF)
	@touch $@

# Lamini's clients of both generations, for the tests. Without most of what they name as their dependencies, a gigabyte
# for training and indexing, in whose place stand tests/clients/stubs.
$(OTHERS)/bin/python:
	$(PYTHON) -m venv --clear --without-pip $(OTHERS)

$(OTHERS)/ready: requirements-lamini.lock requirements-lamini-old.lock $(OTHERS)/bin/python
	@echo "installing Lamini's clients into $(OTHERS) (only when their locks changed)"
	@$(PYTHON) -m pip --python $(OTHERS)/bin/python --disable-pip-version-check $(LOCKED) requirements-lamini.lock --no-deps
	@$(PYTHON) -m pip --python $(OTHERS)/bin/python --disable-pip-version-check $(LOCKED) requirements-lamini-old.lock \
	    --no-deps --upgrade --target $(OTHERS)/old
	@touch $@
