.PHONY: test-dockerfile test-sources test-newest

test-dockerfile: image venv ## docker/Dockerfile by buildah on a fresh Debian, compared with dist/image.tar (as root, 15 minutes)
	$(call packages,buildah runc debootstrap)
	$(VENV)/bin/python -m pytest -m long tests/image/test_dockerfile.py

test-sources: image sources venv ## build the image from the archive of `make sources` alone, without a network (5 minutes, 10 without caches)
	$(call packages,unshare:util-linux)
	$(VENV)/bin/python -m pytest -m long tests/image/test_sources.py

test-newest: tools venv ## whether the changes to CPython and OpenSSL fit Debian's newest sources, and compile (4 minutes)
	$(VENV)/bin/python -m pytest -m long -s tests/image/test_newest.py
