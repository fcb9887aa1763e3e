"""HTTP answers as bytes. The plain 200 is made once a second."""

from time import gmtime, strftime, time

# The statuses that are answered here, with the words of RFC 9110 section 15 and RFC 6585 section 5.
PHRASES = {
    200: "OK",
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    413: "Content Too Large",
    431: "Request Header Fields Too Large",
    500: "Internal Server Error",
    503: "Service Unavailable",
}


class Responses:
    """Makes answers (RFC 9110, RFC 9112 section 4), each with Date and Content-Length."""

    def __init__(self) -> None:
        self._second = 0
        self._date = ""
        self._ok = b""

    def ok(self, keep_alive: bool) -> bytes:
        """Return 200 without a body."""
        if keep_alive and int(time()) == self._second:
            return self._ok
        return self.make(200, "", "", keep_alive)

    def make(self, status: int, text: str, headers: str, keep_alive: bool) -> bytes:
        """Return an answer; headers are whole lines with their CRLF, text (ASCII) is the body."""
        second = int(time())
        if second != self._second:
            self._second = second
            self._date = strftime("%a, %d %b %Y %H:%M:%S GMT", gmtime(second))  # in English: nothing here sets a locale
            self._ok = self._bytes(200, "", "", True)
        return self._bytes(status, text, headers, keep_alive)

    def _bytes(self, status: int, text: str, headers: str, keep_alive: bool) -> bytes:
        kind = "Content-Type: text/plain\r\n" if text and "Content-Type" not in headers else ""
        end = "" if keep_alive else "Connection: close\r\n"
        head = f"HTTP/1.1 {status} {PHRASES[status]}\r\nDate: {self._date}\r\n{headers}{end}{kind}Content-Length: {len(text)}\r\n\r\n"
        return (head + text).encode()
