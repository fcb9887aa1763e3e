"""Settings: the values that each takes, and for others one clear line that names the setting and holds no secret."""

import pytest

from bridge.amqp.url import BrokerURL
from bridge.config import given, load
from bridge.errors import SettingError
from bridge.settings import SETTINGS
from tests.tools import settings_table

TOPICS = "arn:aws:sns:eu-central-1:123456789012:orders"
SECRET = "s3cr3t-pa55w0rd"  # what must never be seen
NAMES = [setting.name for setting in SETTINGS]


def loaded(**texts):
    return load({"TOPICS": TOPICS} | texts)


def refusal(**texts):
    """The one line about settings that can't be used."""
    with pytest.raises(SettingError) as caught:
        loaded(**texts)
    line = str(caught.value)
    assert "\n" not in line and SECRET not in line
    return line


@pytest.fixture
def files(tmp_path):
    """The paths that a setting can name: an existing file, a missing one, a folder."""
    (tmp_path / "file").write_text("x:y\n")
    return tmp_path


# ---- each setting


def test_the_defaults_are_a_config():
    config = loaded()
    assert [topic.text for topic in config.topics] == [TOPICS]
    assert (config.listen, config.path, config.raw, config.processes) == (("", 3000), "", False, 1)
    assert (config.admin_listen, config.admin_given) == (("127.0.0.1", 3001), False)
    assert (config.max_age, config.deadline, config.max_body, config.max_buffered) == (7200, 10, 2 << 20, 64 << 20)
    assert (config.max_connections, config.max_in_flight, config.log_level, config.log_format) == (1000, 1000, "info", "json")
    assert (config.broker.urls, config.broker.heartbeat) == (("amqp://guest@localhost:5672/%2F",), 10)
    [default] = config.routes
    assert (default.pattern, default.exchange.text, default.routing_key.text, default.body) == (None, "", "{topic}", "envelope")


@pytest.mark.parametrize("text", ["", "off"])
def test_the_admin_listener_can_be_left_out(text):
    config = loaded(ADMIN_LISTEN=text)
    assert (config.admin_listen, config.admin_given) == (None, True)


BAD = {
    "TOPICS": ["", "orders", "arn:aws:sns:eu-*:123456789012:x", "arn:aws:sns:eu-central-1:123456789012:x.fifo"],
    "AMQP_URL": [
        "",
        ",",
        "http://x",
        "amqp://",
        f"amqp://u:{SECRET}@",
        f"amqp://u:{SECRET}@h:port/",
        f"amqp://u:{SECRET}@h:99999/",
        f"amqp://u:{SECRET}@[::1/",
        f"amqp://u:{SECRET}\u2100@h/",
        f"amqp://u:{SECRET}@h/%2F?heartbeat=x",
        f"u:{SECRET}@h",
        f"amqp://u:{SECRET}@h/%2F,nothing",
        f"amqp://u:{SECRET},@h/%2F",
    ],
    "AMQP_PASSWORD_FILE": ["/nowhere", "/"],
    "AMQP_CA_FILE": ["/nowhere", "/"],
    "AMQP_CERT": ["/nowhere", "/"],
    "AMQP_KEY": ["/nowhere", "/"],
    "AMQP_HEARTBEAT": ["", "10", "500ms", "65536s", "x"],
    "EXCHANGE": ["{", "{message}", "x" * 256, "shop\n", "\x00", '"shop"', "\u2028"],
    "ROUTING_KEY": ["}", "{Topic}", "x" * 256, "\udcff", "key\n", "key\r", "'key'"],
    "ROUTES": ["/nowhere", "/"],
    "QUEUE": ["x" * 256, "a\nb", "q\n", "\udcff", '"q"', "'q'"],
    "BODY": ["", "raw", "Envelope"],
    "TRACE_ATTRIBUTE": ["x" * 256, "a\nb", "trace\n", '"trace"'],
    "RAW": ["", "yes", "true", "1", "ON"],
    "LISTEN": ["", "off", "3000", "::1:3000", ":99999"],
    "PATH": ["sns", "/a?b"],
    "TLS_CERT": ["/nowhere", "/"],
    "TLS_KEY": ["/nowhere", "/"],
    "TLS_CLIENT_CA_FILE": ["/nowhere", "/"],
    "BASIC_AUTH_FILE": ["/nowhere", "/"],
    "MAX_AGE": ["", "2", "-1h"],
    "DEADLINE": ["", "0", "999ms", "15s", "1h"],
    "MAX_BODY": ["", "0", "2GB"],
    "MAX_BUFFERED": ["", "0", "1MiB"],
    "MAX_CONNECTIONS": ["", "0", "-1", "many"],
    "MAX_IN_FLIGHT": ["", "0", "1e3"],
    "CERTIFICATES": ["/nowhere", "/etc/passwd"],
    "CA_FILE": ["/nowhere", "/"],
    "SNS_ENDPOINT": ["localhost:4566", f"https://u:{SECRET}@x", "https://x/path"],
    "SQS_QUEUES": ["orders", f"https://u:{SECRET}@sqs.eu-west-1.amazonaws.com/123456789012/q", "http://localhost:4566/000000000000/q"],
    "SQS_ENDPOINT": ["localhost:4566", f"https://u:{SECRET}@x", "https://x/path"],
    "ADMIN_LISTEN": ["9090", ":x", "none"],
    "PROCESSES": ["", "0", "two"],
    "LOG_LEVEL": ["", "INFO", "trace"],
    "LOG_FORMAT": ["", "JSON", "xml"],
}


def test_every_setting_has_its_bad_values_here():
    assert set(BAD) == set(NAMES)


@pytest.mark.parametrize(("name", "text"), [(name, text) for name, texts in BAD.items() for text in texts])
def test_a_bad_value_is_one_line_that_names_its_setting(name, text):
    line = refusal(**{name: text})
    assert line.startswith(f"BRIDGE_{name}: "), line
    assert len(line) > len(name) + 20, "and says what is wrong"


@pytest.mark.parametrize(
    "name",
    [setting.name for setting in SETTINGS if setting.metavar == "FILE" and setting.name not in ("ROUTES", "TLS_KEY", "TLS_CLIENT_CA_FILE")],
)
def test_a_file_that_is_there_is_taken(files, name):
    loaded(**{name: str(files / "file")})


def test_a_folder_of_certificates_is_taken(files):
    assert loaded(CERTIFICATES=str(files)).certificates == str(files)


def test_no_topic_list_is_no_start_and_says_what_to_do():
    with pytest.raises(SettingError) as caught:
        load({})
    assert str(caught.value).startswith("BRIDGE_TOPICS: ") and "arn:aws:sns:" in str(caught.value)
    load({}, need_topics=False)
    with pytest.raises(SettingError):
        load({"TOPICS": "orders"}, need_topics=False)


# ---- settings that belong together


def test_raw_delivery_needs_authentication(files):
    line = refusal(RAW="on")
    assert "BRIDGE_RAW" in line and "BRIDGE_BASIC_AUTH_FILE" in line and "BRIDGE_TLS_CLIENT_CA_FILE" in line
    assert loaded(RAW="on", BASIC_AUTH_FILE=str(files / "file")).raw
    assert loaded(RAW="on", TLS_CERT=str(files / "file"), TLS_CLIENT_CA_FILE=str(files / "file")).raw


def test_processes_cannot_share_a_port_that_the_kernel_chooses():
    assert refusal(PROCESSES="2", LISTEN="127.0.0.1:0").startswith("BRIDGE_PROCESSES: ")


def test_a_file_of_routes_has_a_mebibyte_at_most(tmp_path):
    path = tmp_path / "routes.toml"
    path.write_text("#" * (1 << 20) + "\n")
    assert refusal(ROUTES=str(path)).startswith("BRIDGE_ROUTES: ")


@pytest.mark.rule("BRIDGE_TLS_CERT")
@pytest.mark.parametrize("name", ["TLS_KEY", "TLS_CLIENT_CA_FILE"])
def test_a_tls_setting_without_the_certificate_is_not_plain_http(files, name):
    assert refusal(**{name: str(files / "file")}).startswith("BRIDGE_TLS_CERT: is missing")


@pytest.mark.parametrize(
    ("given", "exchange", "key"),
    [
        ({}, "", "{topic}"),
        ({"QUEUE": "q"}, "", "q"),
        ({"QUEUE": "q", "ROUTING_KEY": "k"}, "", "k"),
        ({"QUEUE": "q", "EXCHANGE": "e"}, "e", "{topic}"),
        ({"EXCHANGE": "e", "ROUTING_KEY": "{subject}"}, "e", "{subject}"),
    ],
)
def test_the_routing_key_when_none_is_given(given, exchange, key):
    [default] = loaded(**given).routes
    assert (default.exchange.text, default.routing_key.text) == (exchange, key)


def test_rules_come_before_the_default_and_take_from_it(tmp_path):
    path = tmp_path / "routes.toml"
    path.write_text('[[route]]\ntopic = "arn:*:sns:*:*:a"\nexchange = "shop"\n')
    rule, default = loaded(ROUTES=str(path), BODY="message", ROUTING_KEY="k").routes
    assert (rule.exchange.text, rule.routing_key.text, rule.body) == ("shop", "k", "message")
    assert (default.pattern, default.exchange.text) == (None, "")


@pytest.mark.parametrize("content", [b"[[route]]\nexchange = 'x'", b"[[", b"\xff", b"x = " + b"[" * 5000])
def test_a_bad_file_of_routes_is_one_line_that_names_the_file(tmp_path, content):
    path = tmp_path / "routes.toml"
    path.write_bytes(content)
    line = refusal(ROUTES=str(path))
    assert line.startswith(f"BRIDGE_ROUTES: {path}: ")


# ---- brokers


def test_several_brokers():
    assert loaded(AMQP_URL="amqp://a@one , amqps://two:1/v%2Fh,").broker.urls == ("amqp://a@one", "amqps://two:1/v%2Fh")


@pytest.mark.parametrize(
    "url", ["amqp://h", "amqp://u@h", f"amqp://u:{SECRET}@h:1/v", "amqps://h/%2F?heartbeat=5", "amqp://[::1]:5672/%2F", "amqp://g%40b:x@h"]
)
def test_an_amqp_url(url):
    BrokerURL(url)


def test_a_brokers_name_for_the_log_has_neither_user_nor_password():
    assert str(BrokerURL(f"amqps://user:{SECRET}@host/v%2Fh?verify=verify_peer")) == "host:5671/v%2Fh"
    assert str(BrokerURL(f"amqp://user:{SECRET}@host")) == "host:5672/"


# ---- environment and flags


def test_environment_and_flags_are_the_same_settings():
    texts, rest = given(
        {"BRIDGE_TOPICS": "a", "BRIDGE_QUEUE": "q", "HOME": "/", "OTHER": "x"}, ["--queue", "flag wins", "--max-age=1h", "file"]
    )
    assert texts == {"TOPICS": "a", "QUEUE": "flag wins", "MAX_AGE": "1h"} and rest == ["file"]


@pytest.mark.parametrize("setting", SETTINGS, ids=NAMES)
def test_every_setting_has_a_variable_and_a_flag(setting):
    assert given({setting.variable: "x"}, [])[0] == {setting.name: "x"}
    assert given({}, [f"{setting.flag}=x"])[0] == given({}, [setting.flag, "x"])[0] == {setting.name: "x"}


def test_a_value_may_be_empty_or_hold_an_equals_sign():
    assert given({}, ["--queue=", "--routing-key=a=b"])[0] == {"QUEUE": "", "ROUTING_KEY": "a=b"}


@pytest.mark.parametrize("arguments", [["--queue"], ["--queue", "--listen", ":1"]])
def test_a_flag_without_its_value_is_said_so(arguments):
    with pytest.raises(SettingError, match=r"^--queue: has no value"):
        given({}, arguments)


@pytest.mark.parametrize("name", ["BRIDGE_TOPIC", "BRIDGE_topics", "BRIDGE_", "BRIDGE_AMQP_PASSWORD", "BRIDGE_PORT", "BRIDGE_SERVICE"])
def test_an_unknown_variable_is_one_line_that_names_it_without_its_value(name):
    with pytest.raises(SettingError) as caught:
        given({name: SECRET}, [])
    assert str(caught.value).startswith(f"{name}: is not a setting") and SECRET not in str(caught.value)


@pytest.mark.parametrize("flag", ["--topic", "--Topics", "--", "--bridge-topics", "--amqp_url"])
def test_an_unknown_flag_is_one_line_that_names_it_without_its_value(flag):
    with pytest.raises(SettingError) as caught:
        given({}, [f"{flag}={SECRET}"])
    assert str(caught.value).startswith(f"{flag}: is not a setting") and SECRET not in str(caught.value)


@pytest.mark.parametrize("service", ["BRIDGE", "BRIDGE_ADMIN", "BRIDGE_AMQP", "BRIDGE_2"])
def test_what_kubernetes_adds_for_a_service_named_bridge_is_nobodys_mistake(service):
    added = {
        f"{service}_SERVICE_HOST": "10.0.0.7",
        f"{service}_SERVICE_PORT": "3000",
        f"{service}_SERVICE_PORT_HTTP": "3000",
        f"{service}_PORT": "tcp://10.0.0.7:3000",
        f"{service}_PORT_3000_TCP": "tcp://10.0.0.7:3000",
        f"{service}_PORT_3000_TCP_PROTO": "tcp",
        f"{service}_PORT_3000_TCP_PORT": "3000",
        f"{service}_PORT_3000_TCP_ADDR": "10.0.0.7",
        f"{service}_PORT_53_UDP": "udp://10.0.0.7:53",
    }
    assert given(added, []) == ({}, [])


def test_no_setting_looks_like_one_of_kubernetes():
    for setting in SETTINGS:
        with pytest.raises(SettingError):
            given({setting.variable + "_X": "tcp://1.2.3.4:5"}, [])


@pytest.mark.parametrize("arguments", [["--amqp-url", f"amqp://u:{SECRET}@h"], [f"--amqp-url=amqp://a@b,amqps://u:{SECRET}@h"]])
def test_a_password_on_the_command_line_is_refused(arguments):
    with pytest.raises(SettingError) as caught:
        given({}, arguments)
    assert "BRIDGE_AMQP_PASSWORD_FILE" in str(caught.value) and SECRET not in str(caught.value)
    assert given({}, ["--amqp-url=amqps://u@h:5671/v"])[0]


def test_a_password_in_the_environment_is_taken():
    assert given({"BRIDGE_AMQP_URL": f"amqp://u:{SECRET}@h"}, [])[0]


# ---- the table


def test_names_are_unique_and_every_setting_says_what_it_is():
    assert len(set(NAMES)) == len(NAMES)
    for setting in SETTINGS:
        assert (
            setting.name == setting.name.upper()
            and setting.meaning.endswith((".", ".)"))
            and "\n" not in setting.meaning
            and setting.metavar
        )


@pytest.mark.parametrize(
    "text", ["", settings_table.BEGIN, settings_table.END + settings_table.BEGIN, 2 * (settings_table.BEGIN + settings_table.END)]
)
def test_a_document_without_both_markers_is_not_rewritten(text):
    with pytest.raises(ValueError, match="settings"):
        settings_table.rewritten(text)


def test_a_documents_table_is_rewritten_and_nothing_else():
    new = settings_table.rewritten(f"above\n{settings_table.BEGIN}\nold\n{settings_table.END}\nbelow\n")
    assert new == f"above\n{settings_table.BEGIN}\n{settings_table.table()}\n{settings_table.END}\nbelow\n"
    assert settings_table.rewritten(new) == new and settings_table.between_markers(new) == settings_table.table()
