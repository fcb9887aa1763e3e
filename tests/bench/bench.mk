# The figures are about Debian's python3, which is built with PGO and LTO, as the official container images are.
BENCH_PYTHON ?= $(or $(wildcard /usr/bin/python3),$(PYTHON))
BENCH_VENV = .venv-bench
.PHONY: bench bench-requirements pgo

$(BENCH_VENV)/.ready: tests/bench/requirements.txt
	@$(BENCH_PYTHON) -m venv --help >/dev/null 2>&1 || { echo "python3's venv is missing: apt-get install python3-venv"; exit 1; }
	$(BENCH_PYTHON) -m venv $(BENCH_VENV)
	$(BENCH_VENV)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@

bench: $(BENCH_VENV)/.ready ## measure the bridge beside a Go and a FastAPI bridge; QUICK=1: in 3 minutes; BROKER=3.10: on that alone; BENCH="--help": choices
	$(BENCH_VENV)/bin/python -m tests.bench $(if $(QUICK),--quick) $(BENCH)

bench-requirements: venv
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check uv
	$(VENV)/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	  --no-emit-index-url tests/bench/requirements.in -o tests/bench/requirements.txt

pgo: tools $(BENCH_VENV)/.ready ## count what runs while messages are delivered, for the binary's compiler: build/pgo.txt (10 minutes)
	$(BENCH_VENV)/bin/python -m tests.bench.train
