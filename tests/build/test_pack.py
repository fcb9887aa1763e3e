"""UPX's filter for calls applies, and the smallest result of all orders of the libraries is taken."""

import pack
import pytest
from recipe import BuildError


@pytest.fixture
def orders(monkeypatch, tmp_path):
    """The orders that a link was made for. `orders.sizes` has the packed size for each, None where the filter does not apply."""

    class Orders(list):
        sizes: list[int | None]
        ran: list[list[str]]

    seen = Orders()
    seen.ran = []
    (tmp_path / "objects").mkdir()

    def cached(_name, _key, make):
        work = tmp_path / "work"
        work.mkdir()
        make(work)
        return work

    def command(_objects, _rest, output, order):
        seen.append(order)
        output.write_text(str(order))
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
    monkeypatch.setattr(pack, "run", lambda command, _log: seen.ran.append([str(word) for word in command]))
    monkeypatch.setattr(pack, "pack", packed)
    return seen


def test_the_smallest_is_taken(orders):
    orders.sizes = [100 + number for number in range(len(pack.ORDERS))]
    orders.sizes[3] = 50
    built = pack.build()
    assert (built / "bridge.unpacked").read_text() == str(pack.ORDERS[3])
    assert sorted(file.name for file in built.iterdir()) == ["bridge", "bridge.unpacked"], "nothing of the other orders is left"
    assert len(orders) == len(set(orders)) == 24
    assert all(sorted(order) == [0, 1, 2, 3] for order in orders), "each has all libraries"
    assert orders.ran[-1][-2:] == [str(built / "3/bridge"), "--version"], "it was tried before the build took it"


def test_of_two_equal_ones_the_first_is_taken(orders):
    orders.sizes = [100] * len(pack.ORDERS)
    assert (pack.build() / "bridge.unpacked").read_text() == str(pack.ORDERS[0])


def test_where_the_filter_does_not_apply_the_result_is_not_taken(orders):
    orders.sizes = [None] * len(pack.ORDERS)
    orders.sizes[7] = 100
    assert (pack.build() / "bridge.unpacked").read_text() == str(pack.ORDERS[7])


def test_the_build_stops_when_the_filter_never_applies(orders):
    orders.sizes = [None] * len(pack.ORDERS)
    with pytest.raises(BuildError, match="change ORDERS"):
        pack.build()
    assert len(orders) == len(pack.ORDERS)
