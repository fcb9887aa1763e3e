"""The product's name and version; a build writes the revision that it was made from into `_revision.py` beside this file."""

PRODUCT = "sns-to-rabbitmq"  # as the broker and AWS see it
VERSION = "0.1.0"

try:
    from bridge._revision import REVISION as REVISION  # type: ignore[import-not-found,unused-ignore]
except ImportError:
    REVISION = "source"
