.PHONY: test-dockerfile

test-dockerfile: image venv ## docker/Dockerfile by buildah on a fresh Debian, compared with dist/image.tar (as root, 15 minutes)
	@missing=""; for name in buildah runc debootstrap; do command -v $$name >/dev/null || missing="$$missing $$name"; done; \
	[ -z "$$missing" ] || { apt-get update -q >/dev/null && apt-get install -y --no-install-recommends $$missing >/dev/null; } \
		|| { echo "missing: apt-get install$$missing"; exit 1; }
	$(VENV)/bin/python -m pytest -m long tests/image/test_dockerfile.py
