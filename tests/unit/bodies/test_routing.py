"""Exchange and routing key: templates over the message's fields, and rules per topic."""

import json

import pytest

from bridge.bodies.routing import MAX_SHORT_STRING, Route, Template, find_route, parse_routes
from bridge.errors import RoutingFailed
from bridge.sns.message import Notification
from bridge.sns.topic import TopicArn, TopicPattern

TOPIC = TopicArn("arn:aws:sns:eu-central-1:123456789012:orders")
DEFAULT = Route(None, "everything", "{topic}", "envelope")


def notification(subject=None, **attributes):
    members = {
        "Type": "Notification",
        "MessageId": "0f1c2a3b-0000-4000-8000-000000000001",
        "TopicArn": TOPIC.arn,
        "Message": "text",
        "Timestamp": "2026-03-06T19:55:38.903Z",
        "SignatureVersion": "2",
        "Signature": "",
        "SigningCertURL": "",
    }
    if subject is not None:
        members["Subject"] = subject
    members["MessageAttributes"] = {name: {"Type": "String", "Value": value} for name, value in attributes.items()}
    return Notification(json.loads(json.dumps(members)))


class TestTemplate:
    @pytest.mark.parametrize(
        ("text", "filled"),
        [
            ("", ""),
            ("fixed.key", "fixed.key"),
            ("{topic}", "orders"),
            ("{account}/{region}/{topic}", "123456789012/eu-central-1/orders"),
            ("{topic_arn}", TOPIC.arn),
            ("{topic}{topic}", "ordersorders"),
            ("sns.{topic}.{subject}", "sns.orders.Hello"),
            ("{attribute.kind}", "urgent"),
            ("{attribute.kind}-{subject}!", "urgent-Hello!"),
        ],
    )
    def test_fields_are_filled_in(self, text, filled):
        assert Template(text).fill(TOPIC, notification("Hello", kind="urgent")) == filled

    @pytest.mark.parametrize(
        ("text", "only"),
        [
            ("", True),
            ("x", True),
            ("{topic}.{account}", True),
            ("{region}{topic_arn}", True),
            ("{subject}", False),
            ("{topic}{attribute.a}", False),
        ],
    )
    def test_it_knows_whether_the_topic_alone_decides(self, text, only):
        assert Template(text).of_topic_only is only

    @pytest.mark.parametrize(
        "text",
        [
            "{",
            "}",
            "{topic",
            "topic}",
            "{{topic}}",
            "{}",
            "{ topic }",
            "{Topic}",
            "{message}",
            "{message_id}",
            "{attribute}",
            "{attribute.}",
            "{attribute.a b}",
            "{attribute." + "a" * 257 + "}",
            "{topic.name}",
            "{topic!r}",
            "{topic:>9}",
            "{0}",
            "{topic_arn[0]}",
            "{subject.__class__}",
        ],
    )
    def test_a_bad_template_is_refused_with_its_text(self, text):
        with pytest.raises(ValueError) as caught:
            Template(text)
        assert text in str(caught.value) or repr(text) in str(caught.value)

    def test_a_value_is_never_read_as_a_template(self):
        assert Template("{subject}").fill(TOPIC, notification("{topic} {attribute.x}")) == "{topic} {attribute.x}"

    @pytest.mark.parametrize("text", ["{subject}", "{attribute.kind}", "a.{attribute.other}"])
    def test_a_missing_field_is_a_clear_503(self, text):
        with pytest.raises(RoutingFailed) as caught:
            Template(text).fill(TOPIC, notification())
        assert caught.value.status == 503 and text.partition("{")[2] in str(caught.value)

    @pytest.mark.parametrize("text", ["{subject}", "{attribute.kind}"])
    def test_a_raw_delivery_has_no_such_field(self, text):
        with pytest.raises(RoutingFailed):
            Template(text).fill(TOPIC, None)

    @pytest.mark.parametrize("value", ["", "a\nb", "a\0b", "\x7f", "a\x85b", "\ud800"])
    def test_a_value_that_is_no_name_is_a_clear_503(self, value):
        with pytest.raises(RoutingFailed, match="kind"):
            Template("{attribute.kind}").fill(TOPIC, notification(kind=value))

    @pytest.mark.parametrize("value", ["a b", "#", "*", "schön", "新しい\u3000注文", "👩\u200d🚒", "a\u00a0b"])
    def test_any_text_of_people_is_a_name(self, value):
        assert Template("{attribute.kind}").fill(TOPIC, notification(kind=value)) == value

    def test_255_bytes_are_a_key_and_256_a_clear_503(self):
        assert len(Template("{subject}").fill(TOPIC, notification("s" * MAX_SHORT_STRING))) == 255
        for subject in ("s" * 256, "ä" * 128):
            with pytest.raises(RoutingFailed, match="255 bytes"):
                Template("{subject}").fill(TOPIC, notification(subject))
        assert Template("{subject}x").fill(TOPIC, notification("ä" * 127))

    def test_bytes_that_are_no_text_are_refused_at_the_start(self):
        with pytest.raises(ValueError):
            Template("\udcff{topic}")  # what os.environ makes of a byte FF

    def test_a_text_that_can_never_fit_is_refused_at_the_start(self):
        Template("x" * 255)
        for text in ("x" * 256, "ä" * 128, "x" * 250 + "{subject}" + "x" * 6):
            with pytest.raises(ValueError, match="255 bytes"):
                Template(text)


class TestRules:
    def test_a_rule_says_what_differs_from_the_default(self):
        rules = parse_routes(
            """
            [[route]]
            topic = "arn:aws:sns:*:123456789012:orders"
            exchange = "shop"
            routing_key = "orders.{region}"
            body = "message"

            [[route]]
            topic = "arn:*:sns:*:*:*"
            """,
            DEFAULT,
        )
        assert [(rule.pattern.text, rule.exchange.text, rule.routing_key.text, rule.body) for rule in rules] == [
            ("arn:aws:sns:*:123456789012:orders", "shop", "orders.{region}", "message"),
            ("arn:*:sns:*:*:*", "everything", "{topic}", "envelope"),
        ]

    def test_the_first_match_wins(self):
        rules = [
            Route(TopicPattern(f"arn:aws:sns:{region}:*:{name}"), exchange, "", "envelope")
            for region, name, exchange in [("us-east-1", "orders", "not"), ("*", "orders", "first"), ("eu-central-1", "*", "second")]
        ]
        assert find_route(TOPIC, [*rules, DEFAULT]).exchange.text == "first"

    def test_the_default_takes_the_rest(self):
        rule = Route(TopicPattern("arn:aws:sns:us-east-1:*:*"), "not", "", "envelope")
        assert find_route(TOPIC, [rule, DEFAULT]) is DEFAULT

    @pytest.mark.parametrize(
        ("rule", "said"),
        [
            ('topic = "orders"', "orders"),
            ('topic = "arn:aws:sns:eu-*:1:t"', "eu-*"),
            ('exchange = "shop"', "topic"),
            ('topic = "arn:*:sns:*:*:*"\nexchnage = "shop"', "exchnage"),
            ('topic = "arn:*:sns:*:*:*"\nbody = "raw"', "raw"),
            ('topic = "arn:*:sns:*:*:*"\nbody = 1', "string"),
            ('topic = ["arn:*:sns:*:*:*"]', "string"),
            ('topic = "arn:*:sns:*:*:*"\nrouting_key = "{topik}"', "topik"),
            ('topic = "arn:*:sns:*:*:*"\nexchange = "{"', "brace"),
            ('topic = "arn:*:sns:*:*:*"\nexchange = "' + "x" * 256 + '"', "255"),
        ],
    )
    def test_an_error_names_the_route_and_what_is_wrong(self, rule, said):
        good = '[[route]]\ntopic = "arn:*:sns:*:*:*"\n'
        with pytest.raises(ValueError) as caught:
            parse_routes(f"{good}[[route]]\n{rule}\n{good}", DEFAULT)
        assert str(caught.value).startswith("route 2: ") and said in str(caught.value)

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "[route]\ntopic = 'x'",
            "route = 1",
            "route = [1]",
            "[[routes]]\ntopic = 'x'",
            "[[route]]\ntopic",
            "[[route]]\ntopic = 'a'\ntopic = 'b'",
            "x = 1\n[[route]]\ntopic = 'arn:*:sns:*:*:*'",
            "\0",
            "x = " + "[" * 5000,
            "x = " + "{a=" * 5000,
        ],
        ids=["empty", "table", "number", "numbers", "misspelt", "half", "twice", "more", "NUL", "deep", "deep tables"],
    )
    def test_a_file_that_is_no_list_of_routes_is_refused_in_words(self, text):
        with pytest.raises(ValueError) as caught:
            parse_routes(text, DEFAULT)
        assert str(caught.value)
