"""The URLs that may name a signing certificate."""

import pytest

from bridge.errors import SigningCertURLRefused
from bridge.sns.certificates import certificate_source
from bridge.sns.topic import TopicArn
from tests.unit.sns.fetches import HOST, NAME, URL

TOPIC = TopicArn("arn:aws:sns:us-west-2:123456789012:orders")
ENDPOINT = "https://vpce-1234.sns.us-west-2.vpce.amazonaws.com"


def test_the_genuine_url_is_fetched_as_it_is():
    assert certificate_source(URL, TOPIC, "") == (URL, NAME)


HOSTILE = {
    "@evil": f"https://{HOST}@evil.example/{NAME}",
    "userinfo": f"https://user:password@{HOST}/{NAME}",
    "empty userinfo": f"https://@{HOST}/{NAME}",
    ".evil": f"https://{HOST}.evil.example/{NAME}",
    "-evil": f"https://{HOST}-evil.example/{NAME}",
    "evil.": f"https://evil.{HOST}/{NAME}",
    "evil in the path": f"https://evil.example/{HOST}/{NAME}",
    "trailing dot": f"https://{HOST}./{NAME}",
    "port": f"https://{HOST}:443/{NAME}",
    "other port": f"https://{HOST}:8443/{NAME}",
    "empty port": f"https://{HOST}:/{NAME}",
    "query": f"{URL}?x=y",
    "empty query": f"{URL}?",
    "fragment": f"{URL}#x",
    "empty fragment": f"{URL}#",
    "..": f"https://{HOST}/../{NAME}",
    ".. encoded": f"https://{HOST}/%2e%2e/{NAME}",
    "double slash": f"https://{HOST}//{NAME}",
    "folder": f"https://{HOST}/folder/{NAME}",
    "backslash": f"https://{HOST}\\@evil.example/{NAME}",
    "newline at its end": URL + "\n",
    "newline at its start": "\n" + URL,
    "newline inside": f"https://{HOST}/\n{NAME}",
    "carriage return": URL + "\r",
    "space": URL + " ",
    "tab in the host": f"https://sns\t.us-west-2.amazonaws.com/{NAME}",
    "NUL": URL + "\0",
    "http": f"http://{HOST}/{NAME}",
    "ftp": f"ftp://{HOST}/{NAME}",
    "file": f"file:///{NAME}",
    "no scheme": f"//{HOST}/{NAME}",
    "upper case scheme": f"HTTPS://{HOST}/{NAME}",
    "upper case host": f"https://{HOST.upper()}/{NAME}",
    "upper case digits": f"https://{HOST}/{NAME.replace('abcdef', 'ABCDEF')}",
    "other region": f"https://sns.eu-central-1.amazonaws.com/{NAME}",
    "no region": f"https://sns.amazonaws.com/{NAME}",
    "other partition": f"https://sns.us-west-2.amazonaws.com.cn/{NAME}",
    "S3 bucket sns.s3-us-west-2": f"https://sns.s3-us-west-2.amazonaws.com/{NAME}",
    "S3 bucket sns.s3.us-west-2": f"https://sns.s3.us-west-2.amazonaws.com/{NAME}",
    "other service": f"https://sqs.us-west-2.amazonaws.com/{NAME}",
    "full-width dot": f"https://sns\uff0eus-west-2.amazonaws.com/{NAME}",
    "cyrillic s": f"https://\u0455ns.us-west-2.amazonaws.com/{NAME}",
    "31 digits": f"https://{HOST}/{NAME.replace('f.pem', '.pem')}",
    "33 digits": f"https://{HOST}/{NAME.replace('.pem', '0.pem')}",
    "digits of another script": f"https://{HOST}/{NAME.replace('0', chr(0x660))}",
    "another file": f"https://{HOST}/evil.pem",
    ".pem.exe": f"{URL}.exe",
    "no file": f"https://{HOST}/",
    "host alone": f"https://{HOST}",
    "empty": "",
    "link-local": f"http://169.254.169.254/{NAME}",
    "localhost": f"https://localhost/{NAME}",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_url_is_refused_by_name(name):
    with pytest.raises(SigningCertURLRefused) as caught:
        certificate_source(HOSTILE[name], TOPIC, "")
    assert caught.value.status == 403
    assert "evil" not in str(caught.value), "what the client sent does not come back"


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_url_is_refused_behind_an_endpoint_too(name):
    with pytest.raises(SigningCertURLRefused):
        certificate_source(HOSTILE[name], TOPIC, ENDPOINT)


@pytest.mark.parametrize("name", [name for name, url in HOSTILE.items() if HOST in url and name != "folder"])
def test_the_same_tricks_on_the_endpoint_are_refused(name):
    with pytest.raises(SigningCertURLRefused):
        certificate_source(HOSTILE[name].replace(HOST, ENDPOINT.removeprefix("https://")), TOPIC, ENDPOINT)


def test_china_signs_at_its_own_suffix():
    topic = TopicArn("arn:aws-cn:sns:cn-north-1:123456789012:orders")
    url = f"https://sns.cn-north-1.amazonaws.com.cn/{NAME}"
    assert certificate_source(url, topic, "") == (url, NAME)
    with pytest.raises(SigningCertURLRefused):
        certificate_source(f"https://sns.cn-north-1.amazonaws.com/{NAME}", topic, "")


def test_an_endpoint_takes_the_place_of_the_host_and_sns_is_not_asked():
    assert certificate_source(URL, TOPIC, ENDPOINT) == (f"{ENDPOINT}/{NAME}", NAME)


def test_an_endpoint_may_name_itself_with_a_path_of_its_own():
    url = f"http://127.0.0.1:4566/_aws/sns/{NAME}"
    assert certificate_source(url, TOPIC, "http://127.0.0.1:4566") == (url, NAME)


def test_localstack_with_snss_cert_url_host_names_amazons_host_with_a_path_of_its_own():
    """SNS_CERT_URL_HOST=sns.us-west-2.amazonaws.com: LocalStack replaces the host, and keeps its path."""
    assert certificate_source(f"https://{HOST}/_aws/sns/{NAME}", TOPIC, ENDPOINT) == (f"{ENDPOINT}/_aws/sns/{NAME}", NAME)


@pytest.mark.parametrize(
    "url",
    [
        f"https://{HOST}/_aws/{NAME}",
        f"https://{HOST}/_aws/sns/x/{NAME}",
        f"https://{HOST}/x/_aws/sns/{NAME}",
        f"https://{HOST}//_aws/sns/{NAME}",
        f"https://{HOST}/_aws/sns//{NAME}",
        f"https://{HOST}/_aws/sns/../{NAME}",
        f"https://{HOST}/_AWS/sns/{NAME}",
        f"https://{HOST}/_aws/sns/{NAME}?x",
        f"https://{HOST}/_aws/sns/evil.pem",
        f"https://{HOST}:443/_aws/sns/{NAME}",
        f"http://{HOST}/_aws/sns/{NAME}",
        f"https://sns.eu-central-1.amazonaws.com/_aws/sns/{NAME}",
        f"https://evil.example/_aws/sns/{NAME}",
    ],
)
def test_and_nothing_wider(url):
    with pytest.raises(SigningCertURLRefused):
        certificate_source(url, TOPIC, ENDPOINT)


def test_without_an_endpoint_localstacks_path_is_refused():
    with pytest.raises(SigningCertURLRefused):
        certificate_source(f"https://{HOST}/_aws/sns/{NAME}", TOPIC, "")


@pytest.mark.parametrize(
    "url",
    [
        pytest.param(f"http://127.0.0.1:45660/{NAME}", id="a longer port"),
        pytest.param(f"http://127.0.0.1:4566@evil.example/{NAME}", id="@evil"),
        pytest.param(f"http://127.0.0.1:4566.evil.example/{NAME}", id=".evil"),
        pytest.param(f"https://127.0.0.1:4566/{NAME}", id="another scheme"),
        pytest.param(f"http://127.0.0.1:4566/a/../{NAME}", id=".."),
        pytest.param(f"http://127.0.0.1:4566/./{NAME}", id="."),
        pytest.param(f"http://127.0.0.1:4566//{NAME}", id="double slash"),
        pytest.param(f"http://127.0.0.1:4566/a/b/c/d/e/{NAME}", id="too deep"),
        pytest.param(f"http://127.0.0.1:4566/{NAME}?x", id="query"),
        pytest.param(f"http://127.0.0.1:4566/{NAME}\n", id="newline"),
        pytest.param("http://127.0.0.1:4566/latest/meta-data", id="another file"),
    ],
)
def test_an_endpoint_is_compared_whole(url):
    with pytest.raises(SigningCertURLRefused):
        certificate_source(url, TOPIC, "http://127.0.0.1:4566")
