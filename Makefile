# Every action has one name here. `make` alone lists them.
PYTHON ?= python3
VENV ?= .venv

.DEFAULT_GOAL := list
.PHONY: list venv

list:
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

venv: $(VENV)/.ready ## make the development environment in .venv

$(VENV)/.ready: pyproject.toml tests/requirements.txt bridge/_rsa.c
	@$(PYTHON) -m venv --help >/dev/null 2>&1 || { echo "python3's venv is missing: apt-get install python3-venv"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r tests/requirements.txt
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

-include build/*.mk tests/*/*.mk
