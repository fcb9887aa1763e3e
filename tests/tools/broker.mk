.PHONY: brokers test-broker test-brokers test-newest-broker
# BROKER: the RabbitMQ that tests, faults and benchmark start: 3.10, 4.0, 4.3 or newest; without it the machine's own.
BROKERS = 3.10 4.0 4.3
export BROKER

brokers: venv ## get every RabbitMQ that the tests know, and tell which releases they are (as root, 3 minutes, once)
	$(VENV)/bin/python -m tests.tools.rabbitmq

test-broker: fault-tools venv ## the tests that depend on the broker, integration and quick faults, with BROKER=3.10, 4.0, 4.3 or newest
	$(VENV)/bin/python -m pytest $(SIDE_BY_SIDE) -m "not long" tests/integration
	$(VENV)/bin/python -m pytest $(QUICK_FAULTS)

test-brokers: brokers ## the same with every RabbitMQ that the tests know
	for broker in $(BROKERS); do $(MAKE) --no-print-directory test-broker BROKER=$$broker || exit 1; done

# Debian's newest is unpacked in a minute or two. When it can't be fetched, the target says so and does not fail.
test-newest-broker: fault-tools venv ## the same with the newest RabbitMQ that Debian has
	@if told=$$($(VENV)/bin/python -m tests.tools.rabbitmq newest); then \
		echo "$$told" | tail -1; $(MAKE) --no-print-directory test-broker BROKER=newest; \
	else echo "!!! NOT TESTED ON THE NEWEST: $$(echo "$$told" | tail -1)" >&2; fi
