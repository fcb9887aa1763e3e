"""UPX's filter for calls applies, and the smallest result of several places in memory is taken."""

import pack
import pytest
from recipe import BuildError


@pytest.fixture
def places(monkeypatch, tmp_path):
    """The places in memory that a link was made for. `places.sizes` has the packed size for each, None where the filter does not apply."""

    class Places(list):
        sizes: list[int | None]

    seen = Places()
    (tmp_path / "objects").mkdir()

    def cached(_name, _key, make):
        work = tmp_path / "work"
        work.mkdir()
        make(work)
        return work

    def command(_objects, _rest, output, image_base):
        seen.append(image_base)
        output.write_text(str(image_base))
        return []

    def packed(program, result, _log):
        size = seen.sizes[int(result.parent.name)]
        result.write_bytes(b"x" * (size or 9))
        return size is not None

    monkeypatch.setattr(pack.link, "build", lambda: tmp_path)
    monkeypatch.setattr(pack.link, "others", lambda _folder: [])
    monkeypatch.setattr(pack.link, "command", command)
    monkeypatch.setattr(pack.freeze, "objects", lambda: tmp_path)
    monkeypatch.setattr(pack, "cached", cached)
    monkeypatch.setattr(pack, "run", lambda *_: None)
    monkeypatch.setattr(pack, "pack", packed)
    return seen


def base(place):
    return str(pack.link.IMAGE_BASE + place * pack.STEP)


def test_the_smallest_is_taken(places):
    places.sizes = [100 + place for place in range(pack.PLACES)]
    places.sizes[3] = 50
    built = pack.build()
    assert (built / "bridge.unpacked").read_text() == base(3)
    assert sorted(file.name for file in built.iterdir()) == ["bridge", "bridge.unpacked"], "nothing of the other places is left"
    assert len(places) == len(set(places)) == pack.PLACES
    assert not any(place % 65536 for place in places)


def test_of_two_equal_ones_the_first_is_taken(places):
    places.sizes = [100] * pack.PLACES
    assert (pack.build() / "bridge.unpacked").read_text() == base(0)


def test_where_the_filter_does_not_apply_the_result_is_not_taken(places):
    places.sizes = [None] * pack.PLACES
    places.sizes[7] = 100
    assert (pack.build() / "bridge.unpacked").read_text() == base(7)


def test_the_build_stops_when_the_filter_never_applies(places):
    places.sizes = [None] * pack.PLACES
    with pytest.raises(BuildError, match="raise PLACES"):
        pack.build()
    assert len(places) == pack.PLACES
