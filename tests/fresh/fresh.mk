.PHONY: test-fresh

# FRESH="bookworm" or FRESH="trixie demo test" does a part of it.
test-fresh: engine-tools ## README's commands and `make image` on bare Debian 12 and 13 with git and make alone, with times (as root, an hour)
	@$(PYTHON) -m tests.fresh $(FRESH)
