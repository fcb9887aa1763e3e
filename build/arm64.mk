# The image for arm64 (make image ARCH=arm64: dist/arm64), cross-built by the same steps; this machine runs it by qemu-user.
ARCHES = amd64 arm64
ON_ARM64 = test_publishing test_commands test_https test_amqp_tls test_authentication test_confirmation test_stopping
# The emulated bridge is ten times slower, so the test of 20,000 messages and the one that allows a second are left out.
IN_TIME = not test_20_000_messages and not test_a_client_that_stops_in_the_handshake

.PHONY: image-index arm64-tools test-arm64

image-index: tools ## the images of all architectures in one OCI archive: dist/image-index.tar
	@for arch in $(ARCHES); do $(MAKE) --no-print-directory image ARCH=$$arch || exit 1; done
	@$(PYTHON) build/index.py

arm64-tools: test-tools
	$(call packages,qemu-aarch64-static:qemu-user-static skopeo)

test-arm64: image-index venv arm64-tools ## the promises of the arm64 image and the index, and deliveries through the arm64 binary, under qemu
	BRIDGE_UNDER_TEST=arm64 $(VENV)/bin/python -m pytest tests/image/test_arm64.py
	BRIDGE_UNDER_TEST=arm64 $(VENV)/bin/python -m pytest -m "not long" -k "$(IN_TIME)" $(ON_ARM64:%=tests/integration/%.py)
