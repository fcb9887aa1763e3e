"""Requests to AWS, off the loop and bounded: fetches of a signing certificate and ConfirmSubscription by `requests`, and what blocks in
SQS's calls.

All of them block, so each has a thread. The number of threads is limited, and a request that hangs is given up by the loop's clock.
"""

import time
from _thread import start_new_thread
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from bridge.sns.egress import EgressError, default_ca_file, sentence, unsupported_proxy
from bridge.version import PRODUCT

if TYPE_CHECKING:
    from requests import PreparedRequest

CONNECT, READ = 3.0, 3.0  # seconds that one step may take
TOTAL = 8.0  # seconds for a whole answer
AT_ONCE = 4  # fetches under way
THREADS = 16  # also counts fetches that were given up, until their sockets time out
WAITING = 64  # fetches that wait for a thread


def fetch(url: str, ca_file: str, limit: int) -> tuple[int, bytes]:
    """GET a URL; return its status and at most limit bytes of body. Raises EgressError. Blocks for up to TOTAL seconds or so.

    HTTPS_PROXY and NO_PROXY are honoured (http:// and https:// proxies; SOCKS needs a package that the bridge does not bring). Redirects
    are not followed. ca_file (PEM) holds the roots that are trusted.
    """
    import requests  # not at the top, because an idle bridge whose certificates are on disk never needs it

    until = time.monotonic() + TOTAL
    try:
        with requests.get(
            url,
            timeout=(CONNECT, READ),
            verify=ca_file,
            stream=True,
            auth=_no_auth,
            allow_redirects=False,
            headers={"User-Agent": PRODUCT, "Accept-Encoding": "identity"},
        ) as response:
            return response.status_code, _read(response.raw, limit, until, TOTAL)
    except requests.RequestException as error:
        proxy = unsupported_proxy(url) if isinstance(error, requests.exceptions.InvalidSchema | requests.exceptions.InvalidURL) else ""
        raise EgressError(proxy or sentence(error)) from None
    except OSError as error:
        raise EgressError(f"{type(error).__name__}: {error.strerror or 'connection failed'}") from None
    except EgressError:
        raise
    except Exception as error:  # requests does not wrap some of urllib3's when the body is read raw
        raise EgressError(type(error).__name__) from None


def _read(raw: Any, limit: int, until: float, total: float) -> bytes:
    """Read an answer's body to its end. Raises EgressError when it is longer than limit bytes or takes longer than total seconds."""
    found = b""
    while len(found) <= limit:
        if time.monotonic() > until:
            raise EgressError(f"the answer took longer than {total:g} s")
        part = raw.read1(limit + 1 - len(found), decode_content=False)
        if not part:
            return found
        found += part
    raise EgressError(f"the answer is longer than {limit} bytes")


def _no_auth(request: "PreparedRequest") -> "PreparedRequest":
    """Change nothing. Without an `auth` requests would look into ~/.netrc."""
    return request


class _Job:
    __slots__ = ("over", "then", "timer", "total", "work")

    def __init__(self, work: Callable[[], Any], total: float, then: Callable[[Any, str], None]) -> None:
        self.work, self.total, self.then = work, total, then
        self.timer: object = None
        self.over = False


class Egress:
    """A few requests at a time, each in a thread of its own; the results come back on the loop."""

    def __init__(
        self,
        call_soon: Callable[[Callable[[], None]], None],
        call_later: Callable[[float, Callable[[], None]], object],
        ca_file: str,
        cancel: Callable[[Any], None] = lambda _timer: None,
        times: int = 1,
    ) -> None:
        """call_soon may be called from any thread; cancel takes what call_later returned; ca_file "" means certifi's.

        times is a factor of all limits.
        """
        self._call_soon, self._call_later, self._cancel = call_soon, call_later, cancel
        self._ca_file, self._times = ca_file, times
        self._waiting: deque[_Job] = deque()
        self._under_way = 0
        self._threads = 0

    @property
    def ca_file(self) -> str:
        """The path of the roots (PEM) that are trusted."""
        return self._ca_file or default_ca_file()

    def get(self, url: str, limit: int, then: Callable[[int, bytes, str], None]) -> None:
        """Fetch a URL; then(status, body, "") or then(0, b"", why it failed) is called on the loop, never at once."""

        def ended(result: tuple[int, bytes] | None, why: str) -> None:
            status, body = result or (0, b"")
            then(status, body, why)

        self.run(lambda: fetch(url, self.ca_file, limit), TOTAL, ended)

    def run(self, work: Callable[[], Any], total: float, then: Callable[[Any, str], None]) -> None:
        """Call work in a thread; then(its result, "") or then(None, why it failed) is called on the loop, never at once.

        work ends by itself after about total seconds at most. It may raise EgressError.
        """
        if len(self._waiting) >= WAITING * self._times:
            self._call_soon(lambda: then(None, "too many fetches are waiting"))
            return
        self._waiting.append(_Job(work, total, then))
        self._start()

    def _start(self) -> None:
        times = self._times
        while self._waiting and self._under_way < AT_ONCE * times and self._threads < THREADS * times:
            job = self._waiting.popleft()
            self._under_way += 1
            self._threads += 1
            job.timer = self._call_later(job.total + 0.5, lambda job=job: self._end(job, None, f"no answer within {job.total:g} s"))  # type: ignore[misc]
            try:
                start_new_thread(self._run, (job,))  # a threading.Thread costs twice as much, because it can be joined
            except RuntimeError as error:  # the machine has no thread left now; the next fetch may get one
                self._call_soon(lambda job=job, why=str(error): self._back(job, None, why))  # type: ignore[misc]

    def _run(self, job: _Job) -> None:
        result, why = None, ""
        try:
            result = job.work()
        except EgressError as error:
            why = str(error)
        except Exception as error:  # else a delivery would wait for a thread that has ended
            why = f"{type(error).__name__} in fetch"
        self._call_soon(lambda: self._back(job, result, why))

    def _back(self, job: _Job, result: Any, why: str) -> None:
        self._threads -= 1
        self._end(job, result, why)

    def _end(self, job: _Job, result: Any, why: str) -> None:
        if not job.over:
            job.over = True
            self._under_way -= 1
            self._cancel(job.timer)
            job.then(result, why)
        self._start()
