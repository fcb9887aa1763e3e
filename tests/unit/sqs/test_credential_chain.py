"""Credentials are kept, renewed before they expire, and looked for again when SQS refuses them."""

import threading

import pytest

from bridge.sqs import credentials as module
from bridge.sqs.credentials import CredentialChain, NoCredentials
from bridge.sqs.signing import Credentials


class TestRenewal:
    @pytest.fixture
    def chain(self, monkeypatch):
        def next_credentials(*_):
            chain.asked += 1
            if isinstance(chain.next, Exception):
                raise chain.next
            return chain.next

        monkeypatch.setattr(module, "find", next_credentials)
        chain = CredentialChain({}, "r", lambda *_: (500, b""), lambda: chain.clock)
        chain.clock, chain.asked, chain.next = 1000.0, 0, Credentials("A", "s", "t", 1000 + 3600)
        return chain

    def test_they_are_kept_until_well_before_they_expire(self, chain):
        first = chain.get()
        chain.clock += 3600 - module.RENEW - 1
        assert chain.get() is first and chain.asked == 1
        chain.clock += 2
        chain.next = Credentials("B", "s", "t", 10_000)
        assert chain.get() is chain.next and chain.asked == 2

    def test_a_failed_renewal_keeps_the_old_ones_as_long_as_they_live(self, chain):
        first = chain.get()
        chain.next = NoCredentials("STS is away")
        chain.clock += 3600 - 100
        assert chain.get() is first and chain.asked == 2
        assert chain.get() is first and chain.asked == 2, "not asked again at once"
        chain.clock += module.AGAIN
        assert chain.get() is first and chain.asked == 3
        chain.clock += 100
        with pytest.raises(NoCredentials, match="STS is away"):
            chain.get()

    def test_refused_ones_are_looked_for_again(self, chain):
        first = chain.get()
        chain.next = Credentials("B", "s", "t", 10_000)
        chain.forget(first)
        assert chain.get() is chain.next
        chain.forget(first)  # by a request that was sent before
        assert chain.get() is chain.next and chain.asked == 2

    def test_those_that_are_refused_while_a_thread_begins_to_renew_them_are_looked_for(self, chain, monkeypatch):
        first = chain.get()
        chain.clock += 3600 - 100
        chain.next = Credentials("B", "s", "t", 10_000)

        class Lock:
            def acquire(self, timeout):
                chain.forget(first)  # as the loop does it when SQS's answer comes
                return True

            def release(self):
                pass

        monkeypatch.setattr(chain, "_lock", Lock())
        assert chain.get() is chain.next and chain.asked == 2
        first = chain.next
        chain.clock, chain.next = 10_000 - 100, NoCredentials("STS is away")
        with pytest.raises(NoCredentials, match="STS is away"):
            chain.get()

    def test_one_thread_renews_and_the_others_sign_with_the_old_ones(self, chain, monkeypatch):
        first = chain.get()
        chain.clock += 3600 - 100
        entered, leave = threading.Event(), threading.Event()

        def slow(*_):
            entered.set()
            leave.wait(10)
            return Credentials("B", "s", "t", 10_000)

        monkeypatch.setattr(module, "find", slow)
        renewing = threading.Thread(target=chain.get)
        renewing.start()
        assert entered.wait(10)
        assert chain.get() is first
        leave.set()
        renewing.join(10)
        assert chain.get().access_key == "B"
