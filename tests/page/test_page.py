"""The status page in a browser: it loads without a complaint, its numbers change by themselves, and SNS's texts stay text."""

import os
import signal
import time
from pathlib import Path

import pytest

from bridge.simulate.post import Connection
from tests.page.browser import Browser
from tests.tools.ports import free_port, wait_for

HOSTILE = "arn:aws:sns:eu-central-1:123456789012:<img src=x onerror=alert(1)><script>alert(2)</script>"
PICTURES = Path(os.environ.get("PICTURES", ""))  # PICTURES=folder keeps the screenshots


@pytest.fixture(scope="module")
def browser():
    with Browser() as browser:
        yield browser


@pytest.fixture
def page(browser, start_bridge):
    """(bridge, URL) of a bridge with a page, and the browser without complaints of an earlier test."""
    port = free_port()
    bridge = start_bridge(BRIDGE_ADMIN_LISTEN=f"127.0.0.1:{port}", BRIDGE_PROCESSES="1")
    browser.call("Page.navigate", url="about:blank")
    browser.complaints.clear()
    browser.requests.clear()
    return bridge, f"http://127.0.0.1:{port}/"


def text(browser, selector):
    return browser.evaluate(f"document.querySelector({selector!r}).innerText")


def published(browser):
    return browser.evaluate("document.querySelector('dd').firstChild.data")


def test_it_shows_what_is_there_and_follows(browser, page, sns):
    bridge, url = page
    browser.open(url)
    browser.wait_for("document.querySelector('#state').innerText === 'Ready'")
    assert published(browser) == "0"
    for _ in range(3):
        assert bridge.deliver(sns.notification()).status == 200
    browser.wait_for("document.querySelector('dd').firstChild.data === '3'")
    assert sns.topic.rpartition(":")[2] in text(browser, "#topics")
    browser.wait_for("document.querySelector('#published path.a').getAttribute('d').includes('4.0')")  # the highest point is at the top
    assert browser.complaints == []
    assert {one for one in browser.requests if not one.startswith(("about:", "data:"))} == {url, url + "status.json"}


def test_what_a_message_says_stays_text(browser, page, sns):
    bridge, url = page
    browser.open(url)
    assert bridge.deliver(sns.notification(topic=HOSTILE, subject=HOSTILE)).status in (400, 403)
    browser.wait_for("document.querySelector('#refusals').innerText.includes('onerror')")
    assert HOSTILE in text(browser, "#refusals")
    assert browser.evaluate("document.querySelectorAll('img, main script').length") == 0
    assert browser.complaints == []


def test_the_policy_holds(browser, page):
    """A script that got into the page would not run. The browser complains, which also proves that complaints are seen."""
    _, url = page
    browser.open(url)
    browser.evaluate("document.body.append(Object.assign(document.createElement('script'), {text: 'window.ran = 1'}))")
    browser.evaluate("document.body.insertAdjacentHTML('beforeend', '<p style=\"color:red\" onclick=\"ran=1\">x</p>')")
    browser.evaluate("fetch('http://127.0.0.1:9/').catch(() => 0)")
    assert browser.evaluate("window.ran === undefined")
    wait_for("complaints", lambda: browser.evaluate("1") and len(browser.complaints) >= 3)
    assert all("Content Security Policy" in one for one in browser.complaints), browser.complaints


def test_it_tells_when_the_broker_or_the_bridge_is_gone(browser, start_bridge, mortal_broker):
    port = free_port()
    bridge = start_bridge(BRIDGE_AMQP_URL=mortal_broker.url, BRIDGE_ADMIN_LISTEN=f"127.0.0.1:{port}")
    browser.open(f"http://127.0.0.1:{port}/")
    browser.wait_for("document.querySelector('#state').className === 'good'")
    mortal_broker.kill()
    told = "Not ready: the bridge is not connected to the broker (BRIDGE_AMQP_URL)"
    browser.wait_for(f"document.querySelector('#state').innerText.startsWith('{told}')", 30)
    assert browser.evaluate("document.title").startswith("(!)")
    bridge.send_signal(signal.SIGTERM)
    bridge.stop()
    browser.wait_for("document.querySelector('#state').innerText.startsWith('No answer from the bridge since')", 30)
    assert browser.evaluate("document.body.className") == "lost"


@pytest.mark.parametrize(("width", "dark"), [(1200, False), (1200, True), (390, False), (390, True)])
def test_it_fits_and_can_be_read(browser, page, sns, width, dark):
    bridge, url = page
    bridge.deliver(sns.notification())
    forged = sns.notification()
    bridge.deliver(forged._replace(body=forged.body.replace(b"hello", b"hullo")))
    browser.look(width=width, dark=dark)
    browser.open(url)
    browser.wait_for("document.querySelectorAll('#refusals code').length > 0")
    assert browser.evaluate("document.documentElement.scrollWidth") <= width
    assert browser.evaluate(CONTRAST) == []
    names = {
        (node["role"]["value"], node.get("name", {}).get("value", ""))
        for node in browser.call("Accessibility.getFullAXTree")["nodes"]
        if not node["ignored"]
    }
    assert {("table", "Topics"), ("table", "Answers"), ("table", "Last refusals"), ("heading", "SNS to RabbitMQ")} <= names
    images = [name for role, name in names if role == "image"]
    assert len(images) == 3 and all(", now " in name and ", highest " in name for name in images)
    if PICTURES.name:
        browser.screenshot(PICTURES / f"{'narrow' if width < 600 else 'wide'}-{'dark' if dark else 'light'}.png")
    assert browser.complaints == []


# Every text has a contrast of 4.5 at least with what is behind it (WCAG 2.2, 1.4.3).
CONTRAST = """
(() => {
  const parts = colour => colour.match(/[0-9.]+/g).map(Number);
  const light = colour => parts(colour).slice(0, 3).map(v => v / 255).map(v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
    .reduce((sum, v, at) => sum + v * [.2126, .7152, .0722][at], 0);
  const ground = e => getComputedStyle(e).backgroundColor;
  const behind = e => parts(ground(e))[3] === 0 ? behind(e.parentElement) : ground(e);
  return [...document.body.querySelectorAll("*:not(script, style, noscript, svg *)")]
    .filter(e => [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim()))
    .map(e => [e.tagName, e.innerText, [light(getComputedStyle(e).color), light(behind(e))].sort((a, b) => b - a)])
    .filter(([, , [a, b]]) => (a + .05) / (b + .05) < 4.5).map(([tag, text]) => tag + " " + text);
})()
"""


def test_an_answer_is_the_same_for_a_client_that_is_no_browser(page):
    _, url = page
    with Connection("127.0.0.1", int(url.rpartition(":")[2].strip("/"))) as connection:
        answer = connection.get("/")
        for name, value in {
            "content-type": "text/html; charset=utf-8",
            "x-content-type-options": "nosniff",
            "cache-control": "no-store",
        }.items():
            assert answer.headers[name] == value
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
        begun = time.monotonic()
        for _ in range(20):
            assert connection.get("/status.json").status == 200
        assert time.monotonic() - begun < 5
