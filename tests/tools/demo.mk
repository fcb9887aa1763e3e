.PHONY: demo requirements

# UPGRADE="boto3 botocore": take the newest versions of these.
requirements: venv-module ## resolve the pinned requirements again (UPGRADE="boto3 botocore")
	$(PYTHON) -m venv .venv-uv
	.venv-uv/bin/python -m pip install --quiet --disable-pip-version-check uv
	for name in tests/requirements tests/contract/localstack tests/tools/demo; do .venv-uv/bin/uv pip compile --quiet --universal --python-version 3.11 \
	  --generate-hashes --no-header --no-annotate --no-emit-index-url $(UPGRADE:%=--upgrade-package %) $$name.in -o $$name.txt || exit 1; done

.venv-localstack/.ready: tests/contract/localstack.txt | venv-module
	$(PYTHON) -m venv .venv-localstack
	.venv-localstack/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@

.venv-demo/.ready: tests/tools/demo.txt | venv-module
	$(PYTHON) -m venv .venv-demo
	.venv-demo/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@

demo: .venv-demo/.ready ## show the whole way: a simulated SNS, the bridge, a private RabbitMQ
	.venv-demo/bin/python -m tests.tools.demo
