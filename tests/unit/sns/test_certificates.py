"""The URLs that may name a signing certificate, the rules for a certificate, and the cache of fetched ones."""

import pytest

from bridge.errors import CertificateNotValid, CertificateUnavailable, Overloaded, SigningCertURLRefused
from bridge.sns import certificates as module
from bridge.sns.certificates import Certificates, certificate_source, check_certificate
from bridge.sns.signature import Certificate
from bridge.sns.topic import TopicArn
from tests.fuzz import forge
from tests.unit.stand_ins import Clock

TOPIC = TopicArn("arn:aws:sns:us-west-2:123456789012:orders")
NAME = "SimpleNotificationService-" + "0123456789abcdef" * 2 + ".pem"
HOST = "sns.us-west-2.amazonaws.com"
URL = f"https://{HOST}/{NAME}"
ENDPOINT = "https://vpce-1234.sns.us-west-2.vpce.amazonaws.com"


# ---- the URL rule


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


# ---- dates and name


def certificate(*names: str, begin: int = 1000, end: int = 2000) -> Certificate:
    made = Certificate()
    made.not_before, made.not_after, made.names, made.bits = begin, end, names, 2048
    return made


@pytest.mark.parametrize("name", ["sns.amazonaws.com", "sns.us-west-2.amazonaws.com", "sns-signing.us-west-2.amazonaws.com"])
@pytest.mark.parametrize("now", [1000, 1500.5, 2000])
def test_a_certificate_in_its_time_with_snss_name_is_good(name, now):
    check_certificate(certificate("other", name), TOPIC, "", now)


@pytest.mark.parametrize("now", [999.9, 2000.1, 0, 1e12])
def test_a_certificate_out_of_its_time_is_503_for_our_clock_may_be_wrong(now):
    with pytest.raises(CertificateNotValid, match="clock") as caught:
        check_certificate(certificate("sns.amazonaws.com"), TOPIC, "", now)
    assert caught.value.status == 503


@pytest.mark.parametrize(
    "name",
    [
        "",
        "evil.example",
        "sns.eu-central-1.amazonaws.com",
        "sns-signing.eu-central-1.amazonaws.com",
        "*.amazonaws.com",
        "SNS.AMAZONAWS.COM",
        "sns.amazonaws.com.evil.example",
        "sns.s3-us-west-2.amazonaws.com",
    ],
)
def test_a_certificate_of_another_name_is_not_snss(name):
    with pytest.raises(CertificateNotValid, match="name"):
        check_certificate(certificate(name), TOPIC, "", 1500)
    with pytest.raises(CertificateNotValid, match="name"):
        check_certificate(certificate(), TOPIC, "", 1500)


def test_behind_an_endpoint_the_name_is_the_operators_but_the_dates_count():
    check_certificate(certificate("localstack"), TOPIC, ENDPOINT, 1500)
    with pytest.raises(CertificateNotValid):
        check_certificate(certificate("localstack"), TOPIC, ENDPOINT, 2001)


# ---- the cache


class Fetches:
    """Egress's interface: records the requests; `answer` plays the host."""

    def __init__(self):
        self.asked = []

    def get(self, url, limit, then):
        assert limit == module.MAX_ENCODED
        self.asked.append((url, then))

    def answer(self, status, body, why=""):
        self.asked.pop(0)[1](status, body, why)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def egress():
    return Fetches()


@pytest.fixture
def kept(egress, clock):
    return Certificates("", egress, clock)


@pytest.fixture(scope="module")
def encoded():
    return forge.certificate()


def fetched(certificates, egress, encoded, url=URL, size=0):
    results = []
    certificates.wait(url, results.append, size)
    egress.answer(200, encoded)
    return results[0]


class TestCache:
    def test_the_first_look_asks_for_a_fetch_and_the_second_finds_it(self, kept, egress, encoded):
        assert kept.at_hand(URL, NAME) is None
        found = fetched(kept, egress, encoded)
        assert isinstance(found, Certificate)
        assert kept.at_hand(URL, NAME) is found

    def test_it_stays_as_long_as_it_is_valid(self, kept, egress, clock, encoded):
        found = fetched(kept, egress, encoded)
        for now in (clock.now + 86400, found.not_after):
            clock.now = now
            assert kept.at_hand(URL, NAME) is found

    def test_many_deliveries_wait_for_one_fetch(self, kept, egress, encoded):
        results = []
        for _ in range(module.MAX_WAITING_FOR_ONE):
            assert kept.at_hand(URL, NAME) is None
            kept.wait(URL, results.append)
        assert len(egress.asked) == 1 and not results
        egress.answer(200, encoded)
        assert len(results) == module.MAX_WAITING_FOR_ONE and len(set(map(id, results))) == 1

    def test_two_urls_are_two_fetches(self, kept, egress):
        kept.wait(URL, print)
        kept.wait(URL.replace("0", "1"), print)
        assert len({url for url, _ in egress.asked}) == 2

    @pytest.mark.parametrize(
        ("status", "body", "why", "said"),
        [
            (0, b"", "ConnectTimeout: timed out", "timed out"),
            (404, b"", "", "404"),
            (500, b"oops", "", "500"),
            (302, b"", "", "302"),
            (200, b"", "", "PEM"),
            (200, b"<html>", "", "PEM"),
        ],
    )
    def test_a_failed_fetch_is_503_for_all_who_wait(self, kept, egress, status, body, why, said):
        results = []
        kept.wait(URL, results.append)
        kept.wait(URL, results.append)
        egress.answer(status, body, why)
        assert len(results) == 2
        for result in results:
            assert isinstance(result, CertificateUnavailable) and result.status == 503 and said in str(result)

    def test_a_failure_is_remembered_for_a_few_seconds_only(self, kept, egress, clock, encoded):
        kept.wait(URL, lambda _: None)
        egress.answer(500, b"")
        for later in (0, module.FAILED_FOR - 0.1):
            clock.now += later
            with pytest.raises(CertificateUnavailable, match="500"):
                kept.at_hand(URL, NAME)
        assert not egress.asked
        clock.now += 0.2
        assert kept.at_hand(URL, NAME) is None
        assert fetched(kept, egress, encoded) is kept.at_hand(URL, NAME)

    def test_a_clock_that_is_set_back_does_not_keep_a_failure(self, kept, egress, clock):
        kept.wait(URL, lambda _: None)
        egress.answer(500, b"")
        clock.now -= 86400
        assert kept.at_hand(URL, NAME) is None

    def test_a_failure_of_one_url_is_not_another_ones(self, kept, egress):
        kept.wait(URL, lambda _: None)
        egress.answer(500, b"")
        other = NAME.replace("0", "1")
        assert kept.at_hand(f"https://{HOST}/{other}", other) is None

    def test_it_keeps_a_bounded_number(self, kept, egress, encoded):
        urls = [f"https://{HOST}/SimpleNotificationService-{number:032x}.pem" for number in range(3 * module.MAX_KEPT)]
        for url in urls:
            fetched(kept, egress, encoded, url)
            kept.wait(url + "x", lambda _: None)
            egress.answer(500, b"")
        assert 0 < len(kept._kept) <= module.MAX_KEPT and 0 < len(kept._failed) <= module.MAX_KEPT and not kept._fetches
        assert kept.at_hand(urls[-1], "") is not None

    def test_an_expired_certificate_is_fetched_again(self, kept, egress, clock, encoded):
        first = fetched(kept, egress, encoded)
        clock.now = first.not_after + 1
        assert kept.at_hand(URL, NAME) is None
        assert fetched(kept, egress, encoded) is not first

    def test_one_that_came_expired_is_not_fetched_at_every_delivery(self, kept, egress, clock, encoded):
        clock.now = fetched(kept, egress, encoded).not_after + 1
        again = fetched(kept, egress, encoded)
        clock.now += module.EXPIRED_FOR - 1
        assert kept.at_hand(URL, NAME) is again
        clock.now += 2
        assert kept.at_hand(URL, NAME) is None

    def test_a_new_delivery_can_wait_from_within_the_answer(self, kept, egress, encoded):
        results = []
        kept.wait(URL, lambda result: kept.wait(URL, results.append))
        egress.answer(500, b"")
        egress.answer(200, encoded)
        assert isinstance(results[0], Certificate)


class TestWaitingHasALimit:
    """Messages that wait for a certificate may be forged, so they take nothing from those whose certificate is known."""

    def urls(self, count):
        return [f"https://{HOST}/SimpleNotificationService-{number:032x}.pem" for number in range(count)]

    def test_of_one_url(self, kept, egress, encoded):
        for _ in range(module.MAX_WAITING_FOR_ONE):
            kept.wait(URL, lambda _: None)
        with pytest.raises(Overloaded) as caught:
            kept.wait(URL, lambda _: None)
        assert caught.value.status == 503
        kept.wait(URL.replace("0", "1"), lambda _: None)  # another URL is not concerned
        egress.answer(200, encoded)
        assert kept.at_hand(URL, NAME) is not None

    def test_in_all(self, kept, egress):
        for url in self.urls(module.MAX_WAITING):
            kept.wait(url, lambda _: None)
        with pytest.raises(Overloaded):
            kept.wait(URL, lambda _: None)
        assert URL not in [url for url, _ in egress.asked], "nobody would take the answer"

    def test_of_bytes(self, egress, clock):
        kept = Certificates("", egress, clock, max_held=1000)
        kept.wait(URL, lambda _: None, 600)
        with pytest.raises(Overloaded):
            kept.wait(URL, lambda _: None, 401)
        kept.wait(URL, lambda _: None, 400)

    def test_but_a_message_that_waits_alone_may_be_as_large_as_it_likes(self, egress, clock, encoded):
        kept = Certificates("", egress, clock, max_held=1000)
        assert isinstance(fetched(kept, egress, encoded, size=5000), Certificate)

    def test_whoever_leaves_makes_room_at_once_and_is_not_called(self, kept, egress, encoded):
        results = []
        leaves = [kept.wait(URL, results.append, 1 << 18) for _ in range(module.MAX_WAITING_FOR_ONE)]
        for leave in leaves[1:]:
            leave()
            leave()  # late, or twice: no harm
        assert (kept._waiting, kept._held) == (1, 1 << 18)
        egress.answer(200, encoded)
        leaves[0]()
        assert len(results) == 1 and (kept._waiting, kept._held) == (0, 0)

    def test_after_an_answer_there_is_room_again(self, kept, egress, encoded):
        for status in (500, 200):
            for url in self.urls(module.MAX_WAITING):
                kept.wait(url, lambda _: None, 1000)
            for _ in range(module.MAX_WAITING):
                egress.answer(status, encoded)
            assert (kept._waiting, kept._held) == (0, 0) and not kept._fetches

    def test_the_fetch_goes_on_when_all_who_waited_are_gone(self, kept, egress, encoded):
        kept.wait(URL, lambda _: None)()
        results = []
        kept.wait(URL, results.append)
        assert len(egress.asked) == 1
        egress.answer(200, encoded)
        assert len(results) == 1

    def test_one_waiter_that_ends_another_is_the_only_one_called(self, kept, egress, encoded):
        called = []
        kept.wait(URL, lambda _: (called.append(1), leave_second()))
        leave_second = kept.wait(URL, lambda _: called.append(2))
        egress.answer(200, encoded)
        assert called == [1] and kept._waiting == 0


class TestRefresh:
    """SNS may renew a key under the same URL: a signature that does not match is a forgery only under a fresh certificate."""

    def test_a_certificate_that_was_just_fetched_is_fresh(self, kept, egress, clock, encoded):
        found = fetched(kept, egress, encoded)
        clock.now += module.FRESH_FOR - 1
        assert kept.refresh(URL, NAME, found) is found

    def test_an_older_one_is_fetched_again_and_stays_meanwhile(self, kept, egress, clock, encoded):
        found = fetched(kept, egress, encoded)
        clock.now += module.FRESH_FOR + 1
        assert kept.refresh(URL, NAME, found) is None
        again = []
        kept.wait(URL, again.append)
        assert kept.at_hand(URL, NAME) is found, "those whose signature matches wait for nothing"
        egress.answer(200, encoded)
        assert again[0] is not found and kept.at_hand(URL, NAME) is again[0]

    def test_whoever_holds_the_old_one_gets_the_renewed_one_without_a_fetch(self, kept, egress, clock, encoded):
        old = fetched(kept, egress, encoded)
        clock.now += module.FRESH_FOR + 1
        new = fetched(kept, egress, encoded)
        assert kept.refresh(URL, NAME, old) is new and not egress.asked

    def test_a_flood_of_forgeries_is_one_fetch_in_a_while(self, kept, egress, clock, encoded):
        used = fetched(kept, egress, encoded)
        fetches = 0
        for _ in range(1000):  # one a second
            clock.now += 1
            newer = kept.refresh(URL, NAME, used)
            if newer is None:
                used = fetched(kept, egress, encoded)
                fetches += 1
        assert 1 <= fetches <= 1000 / module.FRESH_FOR + 1

    def test_forgeries_that_come_during_the_fetch_wait_for_it_up_to_the_limit(self, kept, egress, clock, encoded):
        found = fetched(kept, egress, encoded)
        clock.now += module.FRESH_FOR + 1
        refused = 0
        for _ in range(1000):
            assert kept.refresh(URL, NAME, found) is None
            try:
                kept.wait(URL, lambda _: None)
            except Overloaded:
                refused += 1
        assert len(egress.asked) == 1 and refused == 1000 - module.MAX_WAITING_FOR_ONE

    def test_when_the_fetch_fails_nobody_can_tell_so_it_is_503_and_the_old_one_stays(self, kept, egress, clock, encoded):
        found = fetched(kept, egress, encoded)
        clock.now += module.FRESH_FOR + 1
        results = []
        kept.wait(URL, results.append)
        egress.answer(500, b"")
        assert results[0].status == 503 and kept.at_hand(URL, NAME) is found
        with pytest.raises(CertificateUnavailable):
            kept.refresh(URL, NAME, found)
        clock.now += module.FAILED_FOR + 0.1
        assert kept.refresh(URL, NAME, found) is None

    def test_a_clock_that_is_set_back_does_not_make_it_fresh(self, kept, egress, clock, encoded):
        found = fetched(kept, egress, encoded)
        clock.now -= 86400
        assert kept.refresh(URL, NAME, found) is None

    def test_one_that_is_no_longer_kept_is_looked_for_anew(self, kept, egress, clock, encoded):
        found = fetched(kept, egress, encoded)
        kept._kept.clear()
        assert kept.refresh(URL, NAME, found) is None

    def test_a_file_of_the_folder_is_read_again_and_nothing_is_fetched(self, tmp_path, egress, clock, encoded):
        (tmp_path / NAME).write_bytes(encoded)
        kept = Certificates(str(tmp_path), egress, clock)
        found = kept.at_hand(URL, NAME)
        assert kept.refresh(URL, NAME, found) is found
        clock.now += module.FRESH_FOR + 1
        assert kept.refresh(URL, NAME, found) not in (found, None)
        assert not egress.asked


class TestFolder:
    def test_the_folder_comes_before_the_network(self, tmp_path, egress, clock, encoded):
        (tmp_path / NAME).write_bytes(encoded)
        assert isinstance(Certificates(str(tmp_path), egress, clock).at_hand(URL, NAME), Certificate)
        assert not egress.asked

    def test_what_is_not_in_the_folder_is_fetched(self, tmp_path, egress, clock):
        assert Certificates(str(tmp_path), egress, clock).at_hand(URL, NAME) is None

    @pytest.mark.parametrize("content", [b"", b"garbage", b"x" * 100_000])
    def test_a_bad_file_is_503_and_names_the_setting(self, tmp_path, egress, clock, content):
        (tmp_path / NAME).write_bytes(content)
        with pytest.raises(CertificateUnavailable, match="BRIDGE_CERTIFICATES"):
            Certificates(str(tmp_path), egress, clock).at_hand(URL, NAME)

    def test_a_folder_where_the_file_should_be_is_503(self, tmp_path, egress, clock):
        (tmp_path / NAME).mkdir()
        with pytest.raises(CertificateUnavailable, match="BRIDGE_CERTIFICATES"):
            Certificates(str(tmp_path), egress, clock).at_hand(URL, NAME)

    def test_a_file_that_was_mended_is_used_at_once(self, tmp_path, egress, clock, encoded):
        certificates = Certificates(str(tmp_path), egress, clock)
        (tmp_path / NAME).write_bytes(b"half")
        with pytest.raises(CertificateUnavailable):
            certificates.at_hand(URL, NAME)
        (tmp_path / NAME).write_bytes(encoded)
        assert isinstance(certificates.at_hand(URL, NAME), Certificate)
