"""The rules for a signing certificate, and the cache and the folder in which certificates are found."""

import pytest

from bridge.errors import CertificateNotValid, CertificateUnavailable
from bridge.sns import certificates as module
from bridge.sns.certificates import Certificates, check_certificate
from bridge.sns.signature import Certificate
from bridge.sns.topic import TopicArn
from tests.unit.sns.fetches import HOST, NAME, URL, fetched

TOPIC = TopicArn("arn:aws:sns:us-west-2:123456789012:orders")
ENDPOINT = "https://vpce-1234.sns.us-west-2.vpce.amazonaws.com"


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
