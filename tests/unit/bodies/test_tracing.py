"""W3C Trace Context: a valid context is handed on, an invalid one is ignored."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import trace as otel
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from bridge.amqp import frames
from bridge.bodies import tracing
from tests.unit.amqp.test_frames import headers, notification

TRACE_ID, SPAN_ID = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
PARENT = f"00-{TRACE_ID}-{SPAN_ID}-01"
OTHER = f"00-{'a' * 32}-{'b' * 16}-00"


def found(parent, state=None):
    """(traceparent, tracestate) that a request with these headers is published with, or None."""
    trace = tracing.find({"traceparent": parent} | ({} if state is None else {"tracestate": state}), None, "")
    return None if trace is None else (trace.parent, trace.state)


def by_opentelemetry(parent):
    """(trace id, span id) as the consumers' own library reads them, or None."""
    span = otel.get_current_span(TraceContextTextMapPropagator().extract({"traceparent": parent})).get_span_context()
    return (f"{span.trace_id:032x}", f"{span.span_id:016x}") if span.is_valid else None


@pytest.mark.parametrize("parent", [PARENT, OTHER, f"00-{TRACE_ID}-{SPAN_ID}-ff", f"00-{'0' * 31}1-{'0' * 15}1-00"])
def test_a_traceparent_is_handed_on_as_it_is(parent):
    assert found(parent) == (parent, "")
    assert by_opentelemetry(parent) == (parent[3:35], parent[36:52])


@pytest.mark.parametrize(
    "parent",
    [
        "",
        "x",
        PARENT.upper(),
        PARENT + " ",
        PARENT + "\n",
        " " + PARENT,
        PARENT + "-",
        PARENT + "-01",
        PARENT + ", " + PARENT,
        "ff" + PARENT[2:],
        "0" + PARENT,
        "0x" + PARENT[2:],
        f"00-{'0' * 32}-{SPAN_ID}-01",
        f"00-{TRACE_ID}-{'0' * 16}-01",
        f"00-{TRACE_ID[1:]}-{SPAN_ID}-01",
        f"00-{TRACE_ID}0-{SPAN_ID}-01",
        f"00-{TRACE_ID}-{SPAN_ID[1:]}-01",
        f"00-{TRACE_ID}-{SPAN_ID}0-01",
        f"00-{TRACE_ID}-{SPAN_ID}-1",
        f"00-{TRACE_ID}-{SPAN_ID}-001",
        f"00-{TRACE_ID}-{SPAN_ID}",
        f"00_{TRACE_ID}_{SPAN_ID}_01",
        f"00-{TRACE_ID[:-1]}g-{SPAN_ID}-01",
        f"00-{TRACE_ID}-{SPAN_ID}-0g",
        f"00-{TRACE_ID[:-1]}\u0661-{SPAN_ID}-01",
        f"01-{TRACE_ID}-{SPAN_ID}-01.what",
        f"01-{TRACE_ID}-{SPAN_ID}-01-\n",
        f"01-{TRACE_ID}-{SPAN_ID}-0",
    ],
)
def test_what_is_not_exactly_a_traceparent_is_not_there(parent):
    assert found(parent, "a=1") is None


@pytest.mark.parametrize("rest", ["01", "01-", "01-what-the-future-will-be-like", "03", "ff"])
def test_a_later_version_is_handed_on_as_the_one_that_is_known(rest):
    assert found(f"cc-{TRACE_ID}-{SPAN_ID}-{rest}") == (PARENT, "")
    assert found(f"01-{TRACE_ID}-{SPAN_ID}-02") == (PARENT[:-2] + "00", "")


@pytest.mark.parametrize(
    ("state", "handed_on"),
    [
        ("a=1", "a=1"),
        ("congo=t61rcWkgMzE,rojo=00f067aa0ba902b7", None),
        ("a=1 ,\tb=2", "a=1,b=2"),
        ("a=1,,b=2,", "a=1,b=2"),
        ("fw529a3039@dt=FfAAAAAAPGIGKAEA,0tenant@sys=x", None),
        ("a=" + "v" * 256, None),
        ("a" * 256 + "=1", None),
        ("a_-*/9=!  ~", None),
        (",".join(f"a{number}=1" for number in range(32)), None),
        ("", ""),
    ],
)
def test_a_tracestate_goes_with_it(state, handed_on):
    assert found(PARENT, state) == (PARENT, state if handed_on is None else handed_on)


@pytest.mark.parametrize(
    "state",
    [
        *("a", "=1", "a=", "A=1", "0=1", "a=1;b=2", "a =1", "a=1=2", "a=ä", "ä=1", "a=\x00", "a=1\nb: 2"),
        *("@a=1", "a@=1", "a@B=1", "a@b@c=1"),
        "a=1,a=2",
        "a=1,B=2",
        "a=" + "v" * 257,
        "a" * 257 + "=1",
        "a@" + "b" * 15 + "=1",
        ",".join(f"a{number}=1" for number in range(33)),
        ",".join(f"a{number}=" + "v" * 100 for number in range(6)),
    ],
)
def test_a_tracestate_that_is_wrong_anywhere_is_dropped_whole_and_the_parent_stays(state):
    assert found(PARENT, state) == (PARENT, "")


@given(st.from_regex(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}", fullmatch=True) | st.text())
def test_what_is_handed_on_is_what_opentelemetry_reads(parent):
    mine = found(parent)
    if mine is not None:
        assert by_opentelemetry(mine[0]) == (mine[0][3:35], mine[0][36:52]) == by_opentelemetry(parent)
    elif parent.isascii() and parent == parent.strip():
        assert by_opentelemetry(parent) is None


@given(st.text(max_size=600) | st.lists(st.from_regex(r"[a-z0-9@]{1,3}=[ -~]{1,3}", fullmatch=True)).map(",".join))
def test_any_tracestate_is_handed_on_well_formed_or_not_at_all(state):
    _, handed_on = found(PARENT, state)
    assert found(PARENT, handed_on) == (PARENT, handed_on)
    assert len(handed_on) <= 512 and handed_on.isascii() and handed_on.isprintable()


# ---- which one wins


def attributes(**values):
    return notification({name: ("String", value) for name, value in values.items()})


@pytest.mark.parametrize(
    ("sent", "message", "name", "expected"),
    [
        ({}, attributes(), "traceparent", None),
        ({}, None, "traceparent", None),
        ({"tracestate": "a=1"}, attributes(tracestate="b=2"), "traceparent", None),
        ({"traceparent": PARENT, "tracestate": "a=1"}, attributes(), "traceparent", (PARENT, "a=1")),
        ({}, attributes(traceparent=OTHER, tracestate="b=2"), "traceparent", (OTHER, "b=2")),
        ({"traceparent": PARENT, "tracestate": "a=1"}, attributes(traceparent=OTHER), "traceparent", (OTHER, "")),
        ({"traceparent": PARENT, "tracestate": "a=1"}, attributes(traceparent="hostile", tracestate="b=2"), "traceparent", (PARENT, "a=1")),
        ({"traceparent": PARENT}, attributes(traceparent=OTHER), "", (PARENT, "")),
        ({"traceparent": PARENT}, attributes(context=OTHER), "context", (OTHER, "")),
        ({"traceparent": "hostile"}, attributes(traceparent="hostile"), "traceparent", None),
    ],
)
def test_the_attribute_is_the_publishers_and_wins(sent, message, name, expected):
    trace = tracing.find(sent, message, name)
    assert (trace and (trace.parent, trace.state)) == expected


def test_the_trace_is_two_headers_of_the_publish_or_one():
    for state, more in (("a=1", {"tracestate": "a=1"}), ("", {})):
        fields = frames.header_fields("5f4f40d4-8e53-4c5c-9d1b-1f0a1cbb2f10", None, None, tracing.Trace(PARENT, state))
        assert headers(fields) == {"x-deduplication-header": "5f4f40d4-8e53-4c5c-9d1b-1f0a1cbb2f10", "traceparent": PARENT} | more
    assert tracing.Trace(PARENT, "").trace_id == TRACE_ID
