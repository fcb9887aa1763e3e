"""The table of body formats: settings, routes and README know the same ones, and each has a meaning."""

import json
import re

import pytest

from bridge.bodies.formats import FORMATS, MEANINGS
from bridge.bodies.routing import Route
from bridge.settings import SETTINGS
from bridge.sns.message import Notification
from tests.tools.launch import ROOT

ID, ARN = "0f1c2a3b-0000-4000-8000-000000000001", "arn:aws:sns:eu-central-1:123456789012:orders"
MEMBERS = {"Type": "Notification", "MessageId": ID, "TopicArn": ARN, "Message": "Größe", "Timestamp": "2026-03-06T19:55:38.903Z"}
MEMBERS |= {"SignatureVersion": "2", "Signature": "", "SigningCertURL": "", "MessageAttributes": {"a": {"Type": "String", "Value": "v"}}}
BODY = json.dumps(MEMBERS).encode()


@pytest.mark.parametrize("name", FORMATS)
def test_settings_routes_and_readme_know_it(name):
    (setting,) = (one for one in SETTINGS if one.name == "BODY")
    assert setting.parse(name) == name and setting.metavar == "|".join(FORMATS) and MEANINGS in setting.meaning
    assert Route(None, "", "", name).body == name
    readme = (ROOT / "README.md").read_text()
    (row,) = (line for line in readme.splitlines() if line.startswith("| body |"))
    assert name == "envelope" or name in row
    assert FORMATS[name].meaning in readme
    assert re.search(rf"`(?:BRIDGE_BODY=)?{name}`", (ROOT / "docs/messages.md").read_text())


@pytest.mark.parametrize("name", FORMATS)
def test_an_attribute_may_stay_out_of_the_headers_only_when_the_body_has_it(name):
    body = FORMATS[name].of_notification(Notification(MEMBERS), BODY, None)
    assert ("MessageAttributes" in body.decode()) == FORMATS[name].has_attributes


@pytest.mark.parametrize(("name", "body"), [("envelope", BODY), ("message", "Größe".encode())])
def test_bodies_byte_for_byte(name, body):
    assert FORMATS[name].of_notification(Notification(MEMBERS), BODY, None) == body
    assert FORMATS[name].of_raw(ID, ARN, b"raw \xff", None) == b"raw \xff"
    assert FORMATS[name].content_type is None


def test_a_cloudevent_has_a_content_type_of_its_own():
    form = FORMATS["cloudevents"]
    assert json.loads(form.of_notification(Notification(MEMBERS), BODY, None))["data"] == "Größe"
    assert json.loads(form.of_raw(ID, ARN, b"raw", None))["data"] == "raw"
    assert form.content_type == b"application/cloudevents+json"
