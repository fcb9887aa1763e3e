.PHONY: fuzz fuzz-keep differential
FUZZ_SECONDS ?= 60
FUZZ_TARGETS ?=

fuzz: $(VENV)/.ready ## fuzz framing, message, certificate, URL and routes, FUZZ_SECONDS=60 each (FUZZ_TARGETS="framing message")
	$(VENV)/bin/python -m tests.fuzz.run $(FUZZ_TARGETS) --seconds $(FUZZ_SECONDS)

fuzz-keep: $(VENV)/.ready ## put what `make fuzz` found worth keeping into tests/fuzz/corpus
	$(VENV)/bin/python -m tests.fuzz.run $(FUZZ_TARGETS) --keep

differential: $(VENV)/.ready ## a million mutated signatures and certificates: both verifiers and `cryptography` must agree
	$(VENV)/bin/python -m tests.fuzz.differential
