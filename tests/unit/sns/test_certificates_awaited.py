"""Those who wait for a certificate: how many may, and when a certificate that is kept is fetched again."""

import pytest

from bridge.errors import CertificateUnavailable, Overloaded
from bridge.sns import certificates as module
from bridge.sns.certificates import Certificates
from bridge.sns.signature import Certificate
from tests.unit.sns.fetches import HOST, NAME, URL, fetched


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
