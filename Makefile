# Everything runs in .venv, made from hash-pinned locks; nothing else on the machine is touched.
# Needs: Python 3.11 or newer with pip (22.3 or newer), and make. No compiler, no ensurepip.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin

# With .venv activated, python3 would be the venv's own: it has no pip, and cannot remake itself.
export PATH := $(subst $(CURDIR)/$(BIN):,,$(PATH))

# Debian's python3 has no ensurepip, so the venv is made empty and the system's pip fills it.
PIP     := $(PYTHON) -m pip --python $(BIN)/python --disable-pip-version-check
INSTALL  = $(PIP) install --quiet --require-hashes --only-binary :all: --requirement
PROJECT  = $(PIP) install --quiet --no-deps --no-build-isolation --no-index --editable .

# Both locks hold the build backend, which is what --no-build-isolation builds the project with.
UV      = $(VENV)-lock/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
          --no-emit-index-url --no-annotate --no-header

.DEFAULT_GOAL := help
.PHONY: help run test lint bench schema model lock clean

help:  ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-6s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: $(VENV)/run  ## start the gateway (ARGS="--port 9000")
	@exec $(BIN)/gateway serve $(ARGS)

test: $(VENV)/dev  ## run the tests (ARGS="tests/gateway -k merge")
	$(BIN)/python -m pytest -q $(ARGS)

lint: $(VENV)/dev  ## formatting, rules and types
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy

bench: $(VENV)/dev  ## measure the gateway (ARGS="--help")
	$(BIN)/python -m bench $(ARGS)

schema: $(VENV)/dev  ## write what an editor needs to check routing.yaml
	$(BIN)/python -c 'import sys, gateway.config; sys.stdout.buffer.write(gateway.config.json_schema())' \
	    > deploy/routing.schema.json

model: $(VENV)/dev  ## make the demo model that is checked in
	$(BIN)/python -m tools.demo_model $(ARGS)

lock:  ## pin the newest versions of everything, with hashes
	$(PYTHON) -m venv --clear --without-pip $(VENV)-lock
	$(PYTHON) -m pip --python $(VENV)-lock/bin/python --disable-pip-version-check install --quiet uv
	$(PYTHON) -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"], sep="\n")' \
	    > $(VENV)-lock/backend.in
	$(UV) --upgrade --output-file requirements-dev.lock pyproject.toml $(VENV)-lock/backend.in \
	    --extra demo --extra dev
	$(UV) --upgrade --output-file requirements.lock pyproject.toml $(VENV)-lock/backend.in \
	    --extra demo --constraint requirements-dev.lock
	sed -i '1i # Made by `make lock` from pyproject.toml.' requirements.lock requirements-dev.lock
	rm -rf $(VENV)-lock

clean:  ## remove what was made here
	rm -rf $(VENV) $(VENV)-lock build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
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
