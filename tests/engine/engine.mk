# Docker's own engine, which no other test needs: a Debian machine in a folder runs it, in a network of its own.
.PHONY: test-docker engine-tools
ENGINE = .engine

engine-tools:
	$(call packages,debootstrap unshare:util-linux ip:iproute2)

# A machine with Debian's Docker, and a tree that replaces the images of RabbitMQ and LocalStack, because only a registry has those.
$(ENGINE)/.ready: | engine-tools
	rm -rf $(ENGINE)
	mkdir $(ENGINE)
	debootstrap --variant=minbase --include=ca-certificates,docker.io,docker-cli,docker-compose,docker-buildx,iptables,make trixie $(ENGINE)/machine $(MIRROR) > $(ENGINE)/log
	debootstrap --variant=minbase --include=ca-certificates,curl,python3,rabbitmq-server bookworm $(ENGINE)/services $(MIRROR) >> $(ENGINE)/log
	@touch $@

test-docker: image venv .venv-localstack/.ready $(ENGINE)/.ready ## a real Docker engine: load, run, the README's walkthrough (as root, 5 minutes)
	$(MAKE) --no-print-directory .venv-deploy/.ready
	sh tests/deploy/alone.sh $(VENV)/bin/python -m pytest -m "not long" tests/engine
