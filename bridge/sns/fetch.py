"""The two HTTPS requests that the bridge makes, the signing certificate and ConfirmSubscription, off the loop and bounded.

`requests` blocks, so each fetch has a thread; there are few, and those that hang are given up by the loop's clock.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from requests import PreparedRequest

CONNECT, READ = 3.0, 3.0  # seconds that one step may take
TOTAL = 8.0  # seconds for a whole answer
AT_ONCE = 4  # fetches under way
THREADS = 16  # with those that were given up, until their sockets time out
WAITING = 64


class EgressError(Exception):
    """The fetch failed. `str()` says why, in one sentence without the URL's query (a Token is in there)."""


def fetch(url: str, ca_file: str, limit: int) -> tuple[int, bytes]:
    """GET a URL; return its status and at most limit bytes of body. Raises EgressError. Blocks for up to TOTAL seconds or so.

    HTTPS_PROXY and NO_PROXY are honoured, redirects are not followed, ca_file (PEM) holds the roots that are trusted.
    """
    import requests  # here, not above: an idle bridge whose certificates are on disk never needs it

    until = time.monotonic() + TOTAL
    try:
        with (
            requests.Session() as session,
            session.get(
                url,
                timeout=(CONNECT, READ),
                verify=ca_file,
                stream=True,
                auth=_no_auth,
                allow_redirects=False,
                headers={"User-Agent": "sns-to-rabbitmq", "Accept-Encoding": "identity"},
            ) as response,
        ):
            body = b""
            while len(body) <= limit:
                if time.monotonic() > until:
                    raise EgressError(f"the answer took longer than {TOTAL:g} s")
                part = response.raw.read1(limit + 1 - len(body), decode_content=False)
                if not part:
                    return response.status_code, body
                body += part
            raise EgressError(f"the answer is longer than {limit} bytes")
    except requests.RequestException as error:
        raise EgressError(_sentence(error)) from None
    except OSError as error:
        raise EgressError(f"{type(error).__name__}: {error.strerror or 'connection failed'}") from None
    except EgressError:
        raise
    except Exception as error:  # urllib3 has a few that requests does not wrap when the body is read raw
        raise EgressError(type(error).__name__) from None


def _no_auth(request: "PreparedRequest") -> "PreparedRequest":
    """requests would look into ~/.netrc if it were given nothing."""
    return request


def _sentence(error: Exception) -> str:
    """The innermost cause in words; requests' own text holds the whole URL."""
    cause: BaseException = error
    for _ in range(8):
        inner = getattr(cause, "reason", None) or cause.__cause__ or cause.__context__
        if not isinstance(inner, BaseException):
            inner = next((arg for arg in cause.args if isinstance(arg, BaseException)), None)
        if inner is None:
            break
        cause = inner
    words = str(getattr(cause, "verify_message", "") or getattr(cause, "strerror", "") or "")
    return f"{type(error).__name__}: {words or type(cause).__name__}"


def default_ca_file() -> str:
    """Return the path of the roots that certifi brings."""
    import certifi

    return certifi.where()


class _Job:
    __slots__ = ("limit", "over", "then", "url")

    def __init__(self, url: str, limit: int, then: "Callable[[int, bytes, str], None]") -> None:
        self.url, self.limit, self.then = url, limit, then
        self.over = False


class Egress:
    """A few fetches at a time, each in a thread of its own; the results come back on the loop."""

    def __init__(
        self, call_soon: Callable[[Callable[[], None]], None], call_later: Callable[[float, Callable[[], None]], object], ca_file: str
    ) -> None:
        """call_soon is safe to call from any thread; ca_file "" means certifi's."""
        self._call_soon = call_soon
        self._call_later = call_later
        self._ca_file = ca_file
        self._waiting: deque[_Job] = deque()
        self._under_way = 0
        self._threads = 0

    def get(self, url: str, limit: int, then: Callable[[int, bytes, str], None]) -> None:
        """Fetch a URL; then(status, body, "") or then(0, b"", why it failed) is called on the loop, never at once."""
        if len(self._waiting) >= WAITING:
            self._call_soon(lambda: then(0, b"", "too many fetches are waiting"))
            return
        self._waiting.append(_Job(url, limit, then))
        self._start()

    def _start(self) -> None:
        while self._waiting and self._under_way < AT_ONCE and self._threads < THREADS:
            job = self._waiting.popleft()
            self._under_way += 1
            self._threads += 1
            self._call_later(TOTAL + 0.5, lambda job=job: self._end(job, 0, b"", f"no answer within {TOTAL:g} s"))  # type: ignore[misc]
            try:
                threading.Thread(target=self._run, args=(job,), daemon=True).start()
            except RuntimeError as error:  # the machine has no thread left; it may have one for the next fetch
                self._call_soon(lambda job=job, why=str(error): self._back(job, 0, b"", why))  # type: ignore[misc]

    def _run(self, job: _Job) -> None:
        try:
            status, body = fetch(job.url, self._ca_file or default_ca_file(), job.limit)
            why = ""
        except EgressError as error:
            status, body, why = 0, b"", str(error)
        except Exception as error:  # a thread must not end without a word, or a delivery waits for nothing
            status, body, why = 0, b"", f"{type(error).__name__} in fetch"
        self._call_soon(lambda: self._back(job, status, body, why))

    def _back(self, job: _Job, status: int, body: bytes, why: str) -> None:
        self._threads -= 1
        self._end(job, status, body, why)

    def _end(self, job: _Job, status: int, body: bytes, why: str) -> None:
        if not job.over:
            job.over = True
            self._under_way -= 1
            job.then(status, body, why)
        self._start()
