"""The version, said once; a build puts the revision it was made from beside it."""

VERSION = "0.1.0"

try:
    from bridge._revision import REVISION as REVISION  # type: ignore[import-not-found,unused-ignore]
except ImportError:
    REVISION = "source"
