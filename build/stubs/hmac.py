from _operator import _compare_digest

compare_digest = _compare_digest
