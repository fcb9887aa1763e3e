"""A broker's stream, cut anywhere: each confirm reaches its channel in its place among the other frames, whichever way it is read."""

import struct
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from pika import frame, spec

from bridge.amqp.connection import _Connection
from bridge.amqp.frames import leading_confirms

CHANNELS = st.integers(1, 3)
TAGS = st.integers(0, (1 << 64) - 1)
CONFIRMS = st.builds(
    lambda number, method: frame.Method(number, method),
    CHANNELS,
    st.one_of(st.builds(spec.Basic.Ack, TAGS, st.booleans()), st.builds(spec.Basic.Nack, TAGS, st.booleans(), st.booleans())),
)
OTHERS = st.one_of(
    st.just(frame.Heartbeat()),
    st.builds(frame.Method, CHANNELS, st.just(spec.Basic.QosOk())),
    st.builds(frame.Method, CHANNELS, st.builds(spec.Basic.Return, st.just(312), st.just("NO_ROUTE"), st.just(""), st.just("key"))),
    st.builds(frame.Body, CHANNELS, st.binary(min_size=1, max_size=40)),
)


def meaning(one):
    """What a frame says to the bridge."""
    if isinstance(one, frame.Method) and isinstance(one.method, (spec.Basic.Ack, spec.Basic.Nack)):
        return one.channel_number, one.method.delivery_tag, one.method.multiple, isinstance(one.method, spec.Basic.Ack)
    return one.marshal()


class Channel:
    """Notes its confirms."""

    def __init__(self, number, seen):
        self.number, self.seen = number, seen

    def confirm(self, tag, multiple, acked):
        self.seen.append((self.number, tag, multiple, acked))


class Connection(_Connection):
    """Notes what pika gets to see, and has no socket."""

    def __init__(self, seen, channels):
        self.seen, self.confirming = seen, {number: Channel(number, seen) for number in channels}
        self._frame_buffer, self.bytes_received = b"", 0

    def _process_frame(self, frame_value):
        self.seen.append(meaning(frame_value))


@given(st.lists(st.one_of(CONFIRMS, OTHERS), max_size=12), st.lists(st.integers(0, 400), max_size=6))
def test_every_frame_is_read_once_and_in_its_order_wherever_the_stream_is_cut(sent, cuts):
    stream, seen = b"".join(one.marshal() for one in sent), []
    connection = Connection(seen, (1, 2, 3))
    places = [0, *sorted(cuts), len(stream)]
    for start, end in pairwise(places):
        connection._on_data_available(stream[start:end])
    assert seen == [meaning(one) for one in sent]
    assert connection.bytes_received == len(stream), "pika's heartbeat would miss them"


@given(st.lists(CONFIRMS, max_size=8), st.one_of(OTHERS.map(lambda one: one.marshal()), st.binary(max_size=60)))
def test_confirms_at_the_start_of_a_stream_are_what_pika_reads(confirms, rest):
    stream = b"".join(one.marshal() for one in confirms) + rest
    found, length = leading_confirms(stream)
    assert found[: len(confirms)] == [meaning(one) for one in confirms] and length == 21 * len(found)
    for number, one in enumerate(found):
        used, read = frame.decode_frame(stream[21 * number :])
        assert (used, meaning(read)) == (21, one)


def test_a_confirm_of_a_channel_that_has_gone_is_dropped():
    seen = []
    Connection(seen, (1,))._on_data_available(b"".join(frame.Method(number, spec.Basic.Ack(7)).marshal() for number in (2, 1)))
    assert seen == [(1, 7, False, True)]


def test_what_only_looks_like_a_confirm_is_left_to_pika():
    ack = frame.Method(1, spec.Basic.Ack(7)).marshal()
    wrong_end, wrong_size = ack[:-1] + b"\0", ack[:3] + struct.pack(">L", 14) + ack[7:]
    body, deliver = bytes((spec.FRAME_BODY,)) + ack[1:], ack[:7] + struct.pack(">L", spec.Basic.Deliver.INDEX) + ack[11:]
    for stream in (wrong_end, wrong_size, body, deliver, ack[:-1], b""):
        assert leading_confirms(stream) == ([], 0), stream
        assert leading_confirms(ack + stream) == ([(1, 7, False, True)], len(ack)), stream
