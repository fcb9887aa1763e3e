.PHONY: demo requirements

requirements: venv ## resolve the pinned requirements again
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check uv
	for name in tests/requirements tests/contract/localstack tests/tools/demo; do $(VENV)/bin/uv pip compile --quiet --universal --python-version 3.11 \
	  --generate-hashes --no-header --no-annotate --no-emit-index-url $$name.in -o $$name.txt || exit 1; done

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
