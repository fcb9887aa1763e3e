.PHONY: publish

publish: ## push dist/image-index.tar, all architectures: PUBLISH=registry.example.com/sns-to-rabbitmq-bridge:0.1.0
	@command -v skopeo >/dev/null || { echo "skopeo is missing: apt-get install skopeo"; exit 1; }
	@[ -n "$(PUBLISH)" ] || { echo "where to? make publish PUBLISH=registry.example.com/sns-to-rabbitmq-bridge:0.1.0"; exit 1; }
	skopeo copy --all oci-archive:dist/image-index.tar $(if $(findstring :/,$(PUBLISH)),,docker://)$(PUBLISH)
