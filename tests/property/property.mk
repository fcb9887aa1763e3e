.PHONY: property
ROUNDS ?= 10

property: $(VENV)/.ready ## the property tests ROUNDS=10 times, each time with new examples (`make test` tries the same ones each time)
	for round in $$(seq $(ROUNDS)); do $(VENV)/bin/python -m pytest -q --hypothesis-profile=new tests/property || exit 1; done
