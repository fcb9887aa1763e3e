.PHONY: demo requirements

requirements: venv ## resolve the pinned requirements again
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check uv
	for name in tests/requirements tests/contract/localstack; do $(VENV)/bin/uv pip compile --quiet --universal --python-version 3.11 \
	  --generate-hashes --no-header --no-annotate --no-emit-index-url $$name.in -o $$name.txt || exit 1; done

.venv-localstack/.ready: tests/contract/localstack.txt
	$(PYTHON) -m venv .venv-localstack
	.venv-localstack/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@

demo: venv ## show the whole way: a simulated SNS, the bridge, a private RabbitMQ
	$(VENV)/bin/python -m tests.tools.demo
