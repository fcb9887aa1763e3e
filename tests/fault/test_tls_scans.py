"""sslscan and testssl.sh find only TLS 1.2 and 1.3 at the listener, and nothing at the level "medium" or worse."""

import json
import shutil
import subprocess
import xml.etree.ElementTree as ElementTree

import pytest

from bridge.simulate.certificates import Authority

TESTSSL = shutil.which("testssl") or shutil.which("testssl.sh") or ""
BAD = {"MEDIUM", "HIGH", "CRITICAL"}
NOT_OURS = ("cert", "OCSP", "DNS_CAA", "intermediate")  # what it says of the certificate is about the one that this test made
CHECKED = (
    "heartbleed",
    "CCS",
    "ticketbleed",
    "ROBOT",
    "secure_renego",
    "secure_client_renego",
    "CRIME_TLS",
    "POODLE_SSL",
    "SWEET32",
    "FREAK",
    "DROWN",
    "LOGJAM",
    "BEAST",
    "RC4",
    "SSLv2",
    "SSLv3",
)


@pytest.fixture
def listener(start_bridge, folder):
    authority = Authority(folder / "tls", "listener")
    files = authority.issue(folder / "listener", "localhost", "127.0.0.1")
    return start_bridge(BRIDGE_TLS_CERT=str(files.certificate), BRIDGE_TLS_KEY=str(files.key)), authority


@pytest.mark.quick
@pytest.mark.skipif(not shutil.which("sslscan"), reason="sslscan is missing: apt-get install sslscan")
def test_sslscan(listener):
    bridge, _authority = listener
    done = subprocess.run(["sslscan", "--xml=-", f"127.0.0.1:{bridge.port}"], capture_output=True, text=True, timeout=120, check=True)
    found = ElementTree.fromstring(done.stdout).find("ssltest")
    assert found is not None
    enabled = {f"{one.get('type')} {one.get('version')}" for one in found.findall("protocol") if one.get("enabled") == "1"}
    assert enabled == {"tls 1.2", "tls 1.3"}
    ciphers = [dict(one.attrib) for one in found.findall("cipher")]
    assert ciphers
    for cipher in ciphers:
        assert int(cipher["bits"]) >= 128, cipher
        assert cipher["strength"] in ("strong", "acceptable"), cipher
        assert cipher["cipher"].startswith(("TLS_", "ECDHE-")), cipher
    assert {one.get("vulnerable") for one in found.findall("heartbleed")} <= {"0"}
    for name, attribute, wanted in (
        ("renegotiation", "supported", {"0"}),
        ("compression", "supported", {"0"}),
        ("fallback", "supported", {"1"}),
    ):
        assert {one.get(attribute) for one in found.findall(name)} <= wanted, name


@pytest.mark.skipif(not TESTSSL, reason="testssl.sh is missing: apt-get install testssl.sh")
def test_testssl(listener, folder):
    bridge, authority = listener
    report = folder / "report.json"
    words = [
        TESTSSL,
        "--quiet",
        "--color",
        "0",
        "--warnings",
        "batch",
        "--add-ca",
        str(authority.ca_file),
        "--jsonfile",
        str(report),
        "--nodns",
        "none",
        "--protocols",
        "--std",
        "--server-preference",
        "--fs",
        "--server-defaults",
        "--vulnerable",
        f"https://localhost:{bridge.port}/healthy",
    ]
    done = subprocess.run(words, capture_output=True, text=True, timeout=500, check=False, stdin=subprocess.DEVNULL)
    assert report.exists(), done.stdout[-2000:]
    findings = {one["id"]: (one["severity"], one["finding"]) for one in json.loads(report.read_text())}
    assert [findings[name][1] for name in ("TLS1", "TLS1_1")] == ["not offered"] * 2
    assert findings["TLS1_2"][1].startswith("offered")
    assert findings["TLS1_3"][1].startswith("offered")
    bad = {name: found for name, found in findings.items() if found[0] in BAD and not name.startswith(NOT_OURS)}
    assert not bad
    assert {name: findings[name] for name in CHECKED if findings[name][0] != "OK"} == {}
