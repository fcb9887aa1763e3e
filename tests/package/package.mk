.PHONY: package package-tools package-requirements distributions

package-tools:
	$(call packages,groff mandoc zsh)

.venv-package/.ready: tests/package/requirements.txt | venv-module
	$(PYTHON) -m venv .venv-package
	.venv-package/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@

package: venv .venv-package/.ready package-tools ## wheel and sdist: checked, installed with and without a compiler, run; the manual page
	$(VENV)/bin/python -m pytest tests/package

# libcrypto stays out of the wheel: the system's has its security updates, and where it is missing Python's own arithmetic verifies.
distributions: .venv-package/.ready native-tools ## sdist and wheel (of this architecture) for PyPI: dist/package
	rm -rf dist/package
	.venv-package/bin/python -m build --sdist --outdir dist/package .
	.venv-package/bin/python -m build --wheel -C=--build-option=--py-limited-api=cp311 --outdir dist/package/linux .
	PATH="$(CURDIR)/.venv-package/bin:$$PATH" .venv-package/bin/auditwheel repair --exclude libcrypto.so.3 --wheel-dir dist/package dist/package/linux/*.whl
	rm -r dist/package/linux
	.venv-package/bin/twine --no-color check --strict dist/package/*

package-requirements: venv
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check uv
	$(VENV)/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	  --no-emit-index-url tests/package/requirements.in -o tests/package/requirements.txt
