.PHONY: fault
# SOAK: seconds of the soak. QUICK=1: the part that `make test` runs. BRIDGE_UNDER_TEST=binary: dist/bridge instead of the source.
SOAK ?= $(if $(QUICK),60,1800)

fault: $(VENV)/.ready ## kill, freeze, fill, cut and rotate all around the bridge; write docs/faults.md (QUICK=1, SOAK=seconds, FAULT="-h")
	SOAK=$(SOAK) $(VENV)/bin/python -m tests.fault $(if $(QUICK),--quick --no-docs) $(FAULT)
