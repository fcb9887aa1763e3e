# The static binary and the image. The steps are build/*.py; their results are kept in $XDG_CACHE_HOME (~/.cache).
IMAGE_NAME = localhost/sns-to-rabbitmq-bridge:$(shell sed -n 's/^VERSION = "\(.*\)"/\1/p' bridge/version.py)
CONTAINERS ?= $(shell command -v podman || command -v docker)
ifneq (,$(findstring podman,$(CONTAINERS)))
# By default podman asks for higher limits than a machine may allow.
RUNTIME = --runtime runc --ulimit nofile=$(shell ulimit -Hn):$(shell ulimit -Hn) --ulimit nproc=1024:1024
endif

.PHONY: tools test-tools sources binary onefile image run where size update test-binary test-image test-reproducible

tools: ## install what the image's build needs on a Debian machine (as root; else name it)
	$(call packages,dpkg-source:dpkg-dev file gcc make perl xz:xz-utils patch,$(PYTHON) -c 'import pip' 2>/dev/null || missing="$$missing python3-pip";)

sources: tools ## all that the build needs in one archive, which builds without a network: dist/sources.tar
	@$(PYTHON) build/sources.py

binary: tools ## the static binary: dist/bridge, dist/bridge.unpacked
	@$(PYTHON) build/binary.py

onefile: tools ## Nuitka's own --onefile of the same inputs, to compare: dist/bridge.onefile
	@$(PYTHON) build/onefile.py

# LARGER=allowed: an image above its budget is no failure.
image: binary ## the container image: dist/image.tar, with its sizes, bill of materials, digests
	@$(PYTHON) build/image.py
	@$(MAKE) --no-print-directory size || [ "$(LARGER)" = allowed ]

where: ## files and lines of the PLACE="…" of a log's line "bug", for the revision that make binary built
	@$(PYTHON) build/where.py '$(PLACE)'

size: ## the image's files against build/size-budget.toml
	@$(PYTHON) build/size.py $(if $(RECORD),--record)

# ONLY="openssl requests": only these. LOOK=1: only the table. The changed pins stay in the work tree.
update: tools venv ## raise all pins to the newest versions: what changed, a build, tests, sizes (15 minutes; ONLY=openssl, LOOK=1)
	@LOOK=$(LOOK) $(PYTHON) build/update.py $(ONLY)

run: ## run the image, with the BRIDGE_... settings of the environment
	@[ -n "$(CONTAINERS)" ] || { echo "podman or docker is missing: apt-get install podman runc"; exit 1; }
	$(CONTAINERS) load -q -i dist/image.tar
	$(CONTAINERS) run --rm $(RUNTIME) --network host --read-only $(foreach name,$(filter BRIDGE_%,$(.VARIABLES)),--env $(name)) $(IMAGE_NAME)

test-tools: suite-tools tools
	$(call packages,podman runc)

test-binary: suite-tools binary venv ## the integration tests against dist/bridge
	BRIDGE_UNDER_TEST=binary $(VENV)/bin/python -m pytest $(SIDE_BY_SIDE) -m "not long" tests/integration

test-image: image venv test-tools ## the image's promises, the libraries' own tests on the frozen modules, deliveries through the container
	BRIDGE_UNDER_TEST=image $(VENV)/bin/python -m pytest -m "not long" tests/image
	BRIDGE_UNDER_TEST=image $(VENV)/bin/python -m pytest -m "not long" tests/integration/test_publishing.py tests/integration/test_stopping.py \
	  tests/integration/test_sqs.py

test-reproducible: image venv ## build all again in another folder, umask, locale and time zone, and compare the digests (10 minutes)
	$(VENV)/bin/python -m pytest -m long tests/image/test_reproducible.py
