.PHONY: test-page

# PICTURES=folder keeps the screenshots.
test-page: venv ## the status page in Debian's Chromium: no complaint, live numbers, hostile text, light and dark, narrow and wide
	@command -v chromium >/dev/null || { [ "$$(id -u)" = 0 ] && apt-get update -q >/dev/null \
		&& DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends chromium fonts-dejavu-core >/dev/null; } \
		|| { echo "missing: apt-get install chromium fonts-dejavu-core"; exit 1; }
	$(VENV)/bin/python -m pytest tests/page
