.PHONY: fault fault-tools
# SOAK: seconds of the soak. QUICK=1: the part that `make test` runs. BRIDGE_UNDER_TEST=binary: dist/bridge instead of the source.
SOAK ?= $(if $(QUICK),60,1800)
# LETTERS: dead letters in SQS before each fault; as many again come during it
LETTERS ?= $(if $(QUICK),500,5000)
# how often the bridge is killed while it drains a queue
KILLS ?= $(if $(QUICK),25,500)

fault-tools:
	$(call packages,slowhttptest haproxy sslscan testssl:testssl.sh openssl faketime qemu-$(shell uname -m):qemu-user ip:iproute2 unshare:util-linux)

fault: fault-tools $(VENV)/.ready .venv-bench/.ready ## kill, freeze, fill, cut and rotate everything around the bridge; write docs/faults.md (QUICK=1, SOAK=seconds, BROKER=4.3, FAULT="-h")
	SOAK=$(SOAK) LETTERS=$(LETTERS) KILLS=$(KILLS) $(VENV)/bin/python -m tests.fault $(if $(QUICK),--quick --no-docs) $(FAULT)
