"""AMQP URLs: RabbitMQ's own rules, the parameters that are taken, and a clear error, without a secret, for each common mistake."""

import pytest

from bridge.amqp.url import BrokerURL

SECRET = "s3cr3t-pa55w0rd"


def refusal(url):
    with pytest.raises(ValueError) as caught:
        BrokerURL(url)
    assert SECRET not in str(caught.value) and "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("url", "parts"),
    [
        ("amqp://h", (False, "h", 5672, "/", None, None)),
        ("amqps://h", (True, "h", 5671, "/", None, None)),
        ("amqp://h/", (False, "h", 5672, "/", None, None)),
        ("amqp://u@h:1/%2F", (False, "h", 1, "/", "u", None)),
        ("amqp://u:p%40%2F%23%3A%25@h/v%2Feu", (False, "h", 5672, "v/eu", "u", "p@/#:%")),
        ("amqp://u:a@b@h/v", (False, "h", 5672, "v", "u", "a@b")),
        ("amqps://[::1]:7/v", (True, "::1", 7, "v", None, None)),
        ("amqp://u:@h", (False, "h", 5672, "/", "u", "")),
    ],
)
def test_the_parts_are_unescaped(url, parts):
    read = BrokerURL(url)
    assert (read.tls, read.host, read.port, read.vhost, read.user, read.password) == parts


@pytest.mark.parametrize(
    ("url", "word"),
    [
        (f"AMQP://u:{SECRET}@h", "lower case"),
        (f"AmqpS://u:{SECRET}@h", "lower case"),
        (f"u:{SECRET}@h", "amqp://"),
        (f"https://u:{SECRET}@h", "amqp://"),
        (f"amqp://u:{SECRET}#{SECRET}@h/v", "%23"),
        (f"amqp://u:{SECRET}/{SECRET}@h/v", "%2F"),
        (f"amqp://u:{SECRET}/1@h/v", "%2F"),
        (f"amqp://u:1/{SECRET}@h/v", "%2F"),
        (f"amqp://u:{SECRET}?{SECRET}@h/v", "%3F"),
        (f"amqp://u:{SECRET}%@h/v", "%25"),
        (f"amqp://u:{SECRET}%zz@h/v", "%25"),
        (f"amqp://u:[{SECRET}@h/v", "%5B"),
        (f"amqp://u:{SECRET}@h/prod/eu", "%2F"),
        (f"amqp://u:{SECRET}@h//", "%2F"),
        (f"amqp://u:{SECRET}@h/a@b", "%40"),
        (f"amqp://u:{SECRET}@h:5671/v", "amqps://"),
        (f"amqp://u:{SECRET}@/v", "names no host"),
        (f"amqp://u:{SECRET}@h:port/v", "HOST:PORT"),
        (f"amqp://u:{SECRET}@h/{'v' * 256}", "255"),
        (f"{SECRET}@h", "%2C"),  # what is left of a password with a comma
    ],
)
def test_a_mistake_is_a_clear_word_without_the_secret(url, word):
    assert word in refusal(url)


def test_rabbitmqs_parameters_are_taken():
    url = BrokerURL(
        "amqps://u@h/v?heartbeat=30&connection_timeout=5000&channel_max=100&frame_max=8192"
        "&verify=verify_peer&auth_mechanism=EXTERNAL&server_name_indication=broker.example"
    )
    assert url.numbers == {"heartbeat": 30, "connection_timeout": 5000, "channel_max": 100, "frame_max": 8192}
    assert (url.mechanism, url.server_name) == ("external", "broker.example")


@pytest.mark.parametrize(
    ("parameter", "setting"),
    [
        ("cacertfile=/ca.pem", "BRIDGE_AMQP_CA_FILE"),
        ("certfile=/c.pem", "BRIDGE_AMQP_CERT"),
        ("keyfile=/k.pem", "BRIDGE_AMQP_KEY"),
        ("verify=verify_none", "BRIDGE_AMQP_CA_FILE"),
        ("password=x", "BRIDGE_AMQP_KEY"),
        ("fail_if_no_peer_cert=true", "leave it out"),
        ("server_name_indication=disable", "host's name"),
        ("auth_mechanism=amqplain", "plain"),
        ("heartbeat=x", "0 to 65535"),
        ("heartbeat=-1", "0 to 65535"),
        ("heartbeat=65536", "0 to 65535"),
        ("connection_timeout=0", "1 to 60000"),
        ("channel_max=1", "4 to 65535"),
        ("frame_max=1024", "4096"),
        ("frame_max=1e4", "4096"),
        ("retry_delay=2", "known are"),
        ("ssl_options={}", "known are"),
    ],
)
def test_what_is_not_taken_names_the_parameter_and_the_setting_to_use(parameter, setting):
    line = refusal(f"amqps://u:{SECRET}@h/v?{parameter}")
    assert parameter.partition("=")[0] in line and setting in line


def test_an_unknown_parameter_that_could_be_a_secret_is_not_named():
    assert "known are" in refusal(f"amqps://u@h/v?{SECRET}=1")
