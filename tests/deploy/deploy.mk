# The packages that README's `pip install .` gets in a network of its own.
OFFLINE = pika|requests|certifi|urllib3|idna|charset-normalizer|setuptools
.PHONY: test-deploy deploy-requirements deploy-tools

.venv-deploy/.ready: tests/deploy/requirements.txt tests/deploy/package-lock.json | venv-module
	$(PYTHON) -m venv .venv-deploy
	.venv-deploy/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	awk '/^($(OFFLINE))==/,!/\\$$/' tests/requirements.txt > .venv-deploy/offline.txt
	.venv-deploy/bin/python -m pip download --quiet --disable-pip-version-check --require-hashes -d .venv-deploy/packages -r .venv-deploy/offline.txt
	cp tests/deploy/package.json tests/deploy/package-lock.json .venv-deploy
	cd .venv-deploy && npm ci --silent --ignore-scripts
	@touch $@

deploy-tools:
	$(call packages,systemd-analyze:systemd npm ip:iproute2 unshare:util-linux openssl haproxy gh)

test-deploy: deploy-tools binary venv .venv-localstack/.ready ## compose, Kubernetes, CloudFormation, systemd, the workflow; the commands of the documentation
	$(MAKE) --no-print-directory .venv-deploy/.ready
	sh tests/deploy/alone.sh $(VENV)/bin/python -m pytest tests/deploy tests/docs

deploy-requirements: venv ## resolve the pinned requirements of test-deploy again
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check uv
	$(VENV)/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	  --no-emit-index-url tests/deploy/requirements.in -o tests/deploy/requirements.txt
