"""UPX's filter for calls applies, or the program is linked for another place in memory."""

import pack
import pytest
from recipe import BuildError


@pytest.fixture
def attempts(monkeypatch, tmp_path):
    """The places in memory that a link was made for; `attempts.good` is the number of the first one where the filter applies."""

    class Attempts(list):
        good = 0

    seen = Attempts()
    (tmp_path / "objects").mkdir()

    def cached(_name, _key, make):
        make(tmp_path)
        return tmp_path

    def command(_objects, _rest, _output, image_base):
        seen.append(image_base)
        return []

    monkeypatch.setattr(pack.link, "build", lambda: tmp_path)
    monkeypatch.setattr(pack.link, "others", lambda _folder: [])
    monkeypatch.setattr(pack.link, "command", command)
    monkeypatch.setattr(pack.freeze, "objects", lambda: tmp_path)
    monkeypatch.setattr(pack, "cached", cached)
    monkeypatch.setattr(pack, "run", lambda *_: None)
    monkeypatch.setattr(pack, "pack", lambda *_: len(seen) > seen.good)
    return seen


def test_the_first_place_is_taken_when_the_filter_applies_there(attempts):
    pack.build()
    assert attempts == [pack.link.IMAGE_BASE]


def test_each_attempt_is_for_another_place(attempts):
    attempts.good = 4
    pack.build()
    assert len(attempts) == len(set(attempts)) == 5
    assert not any(base % 65536 for base in attempts)


def test_the_build_stops_when_the_filter_never_applies(attempts):
    attempts.good = pack.ATTEMPTS
    with pytest.raises(BuildError, match="raise ATTEMPTS"):
        pack.build()
    assert len(attempts) == pack.ATTEMPTS
