# Every action has one name here. `make` alone lists them.
PYTHON ?= python3
VENV ?= .venv
# Files of tests run side by side in so many processes, each with a broker of its own: they wait more than they work. The long ones begin.
# The quick faults promise times, so fewer of them run at once. WORKERS=0 FAULT_WORKERS=0: one process.
TESTS ?= tests/integration tests/contract tests/fuzz tests/unit tests/build tests/property
WORKERS ?= 3
FAULT_WORKERS ?= 2
SIDE_BY_SIDE = -n $(WORKERS) --dist loadfile --no-loadscope-reorder
QUICK_FAULTS = -n $(FAULT_WORKERS) --dist loadfile -m quick tests/fault

.DEFAULT_GOAL := list
.PHONY: list venv venv-module native-tools suite-tools test lint types pytest size-if-built audit clean

# $(call packages,WORDS,SHELL): Debian packages, installed when we are root, else named. A word is a command of the package's name,
# or COMMAND:PACKAGE; SHELL may add to $$missing.
define packages
@missing=""; for pair in $(1); do command -v $${pair%%:*} >/dev/null || missing="$$missing $${pair##*:}"; done; $(2) \
[ -z "$$missing" ] || { [ "$$(id -u)" = 0 ] && apt-get update -q >/dev/null \
	&& DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $$missing >/dev/null; } \
	|| { echo "missing: apt-get install$$missing"; exit 1; }
endef

list:
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## /{printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

venv: $(VENV)/.ready ## make the development environment in .venv

venv-module:
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null \
		|| { [ "$$(id -u)" = 0 ] && apt-get update -q >/dev/null && apt-get install -y --no-install-recommends python3-venv >/dev/null; } \
		|| { echo "python3's venv is missing: apt-get install python3-venv"; exit 1; }

# The native verifier is compiled with these. Without them `pip install` leaves it out, and it would not be tested.
native-tools:
	$(call packages,gcc,$(PYTHON) -c 'import os; import sysconfig; os.stat(sysconfig.get_path("include") + "/Python.h")' 2>/dev/null \
	|| missing="$$missing python3-dev"; printf '#include <stdlib.h>\n#include <openssl/evp.h>\n' | gcc -E - >/dev/null 2>&1 \
	|| missing="$$missing libc6-dev libssl-dev";)

# The programs that the suites of `make test`, test-binary and test-image run.
suite-tools:
	$(call packages,haproxy sslscan openssl ip:iproute2 unshare:util-linux pgrep:procps dpkg-source:dpkg-dev gpg gpg-agent)

$(VENV)/.ready: pyproject.toml tests/requirements.txt bridge/sns/_rsa.c | native-tools venv-module
	rm -f bridge/sns/_rsa.*.so
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r tests/requirements.txt
	PYTHONWARNINGS=ignore $(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@ls bridge/sns/_rsa.*.so >/dev/null || { echo "bridge/sns/_rsa.c was not built; $(VENV)/bin/python -m pip install -v --no-deps --no-build-isolation -e . shows why"; exit 1; }
	@touch $@

test: lint types pytest size-if-built ## lint, types, unit, property, integration, contract and quick fault tests (real broker, TLS, signals)

lint: venv ## style and common mistakes
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .

types: venv ## mypy, strict
	$(VENV)/bin/mypy

pytest: suite-tools venv .venv-localstack/.ready
	$(VENV)/bin/python -m pytest $(SIDE_BY_SIDE) -m "not long" $(TESTS)
	$(VENV)/bin/python -m pytest $(QUICK_FAULTS)

size-if-built:
	@if [ -e dist/size.json ]; then $(MAKE) --no-print-directory size; else echo "size: no image is built here (make image)"; fi

audit: venv ## known vulnerabilities of the frozen packages, by PyPI's advisories (needs the internet)
	$(VENV)/bin/pip-audit --disable-pip --no-deps -r build/requirements.txt

clean: ## remove all that was built in this folder; the caches of the image's build stay
	rm -rf dist $(VENV) .venv-bench .venv-demo .venv-deploy .venv-localstack .venv-package .engine .fresh .pytest_cache .mypy_cache .ruff_cache .hypothesis

-include build/*.mk tests/*/*.mk
