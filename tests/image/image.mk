.PHONY: test-dockerfile

test-dockerfile: image venv ## docker/Dockerfile by buildah on a fresh Debian, compared with dist/image.tar (as root, 15 minutes)
	$(call packages,buildah runc debootstrap)
	$(VENV)/bin/python -m pytest -m long tests/image/test_dockerfile.py
