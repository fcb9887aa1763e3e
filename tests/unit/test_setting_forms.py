"""The forms of settings: a time, a size, a count, an address, an origin and a path are read, and nothing else passes for one."""

import pytest

from bridge import settings

SECRET = "s3cr3t-pa55w0rd"  # what must never be seen


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("10s", 10), ("500ms", 0.5), ("5m", 300), ("2h", 7200), ("1d", 86400), ("0", 0), ("0s", 0), ("999999999s", 999999999)],
)
def test_a_time(text, seconds):
    assert settings.duration(text) == seconds


@pytest.mark.parametrize(
    "text",
    [
        "",
        "10",
        "s",
        "-1s",
        "+1s",
        "1.5s",
        "1_0s",
        " 1s",
        "1s ",
        "1 s",
        "1S",
        "1sm",
        "1w",
        "1m30s",
        "\u0661s",
        "1e3s",
        "inf",
        "9" * 400 + "ms",
        "9" * 5000 + "s",
    ],
)
def test_no_time(text):
    with pytest.raises(ValueError, match="time"):
        settings.duration(text)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1", 1),
        ("65536", 65536),
        ("7B", 7),
        ("64K", 65536),
        ("64KiB", 65536),
        ("64kib", 65536),
        ("2MiB", 2 << 20),
        ("2mib", 2 << 20),
        ("2M", 2 << 20),
    ],
)
def test_a_size(text, number):
    assert settings.size(text) == number


@pytest.mark.parametrize(
    "text", ["", "0", "0MiB", "MiB", "-1", "+1", "1.5MiB", "1_0", "2 MiB", "2GiB", "2KM", "2Mi", "2iB", "\u0661", "9" * 5000]
)
def test_no_size(text):
    with pytest.raises(ValueError, match="size"):
        settings.size(text)


@pytest.mark.parametrize(("text", "number"), [("1", 1), ("1000", 1000), ("1000000", 1000000), ("007", 7)])
def test_a_count(text, number):
    assert settings.count(text) == number


@pytest.mark.parametrize("text", ["", "0", "-1", "+1", "1.0", "1_0", " 1", "1000001", "000000019999999999", "\u0661", "x", "9" * 5000])
def test_no_count(text):
    with pytest.raises(ValueError, match="whole number"):
        settings.count(text)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("", None),
        (":3000", ("", 3000)),
        ("127.0.0.1:3000", ("127.0.0.1", 3000)),
        ("localhost:0", ("localhost", 0)),
        ("[::1]:65535", ("::1", 65535)),
        ("[::]:1", ("::", 1)),
    ],
)
def test_an_address(text, address):
    assert settings.address(text) == address


@pytest.mark.parametrize(
    "text",
    [
        "3000",
        "localhost",
        "localhost:",
        "localhost:http",
        ":65536",
        ":-1",
        ":+1",
        ":1_0",
        ": 1",
        "::1:3000",
        "[::1]",
        "[::1",
        ":\u0663",
        ":00000099999",
        ":" + "9" * 5000,
    ],
)
def test_no_address(text):
    with pytest.raises(ValueError):
        settings.address(text)


@pytest.mark.parametrize(
    ("text", "origin"),
    [
        ("", ""),
        ("https://sns.example", "https://sns.example"),
        ("https://sns.example/", "https://sns.example"),
        ("http://127.0.0.1:4566", "http://127.0.0.1:4566"),
        ("http://[::1]:4566", "http://[::1]:4566"),
        ("http://local_stack:4566", "http://local_stack:4566"),
    ],
)
def test_an_origin(text, origin):
    assert settings.origin(text) == origin


@pytest.mark.parametrize(
    "text",
    [
        "sns.example",
        "ftp://x",
        "https://",
        "https://x/path",
        "https://x?y",
        "https://x#y",
        f"https://u:{SECRET}@x",
        "https://x\n",
        "https://x y",
        "https://x:port",
        "https://x:",
        "HTTPS://x",
        "https://ß",
    ],
)
def test_no_origin(text):
    with pytest.raises(ValueError, match="origin") as caught:
        settings.origin(text)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("text", ["", "/", "/sns", "/a/b-c_d~%20"])
def test_a_path(text):
    assert settings.path(text) == text


@pytest.mark.parametrize("text", ["sns", "/a?b", "/a#b", "/a b", "/ß", "/a\n", "http://x/"])
def test_no_path(text):
    with pytest.raises(ValueError, match="path"):
        settings.path(text)
