"""Whole requests out of whatever pieces the network delivers. No sockets here: any split of the same bytes gives the same requests."""

from typing import TYPE_CHECKING

from bridge.errors import BodyTooLarge
from bridge.http.framing import MAX_HEAD, ChunkedBody, Request, head_end, held_by, parse_head, skip_empty_lines

if TYPE_CHECKING:
    from mmap import mmap

CR = ord("\r")


class RequestReader:
    """Give it what arrives (`take`, or `buffer`), then call `next` until it returns None while `unfinished` is False.

    `wants_continue` tells that the client waits for "100 Continue" before it sends the body.
    """

    __slots__ = ("_chunks", "_empty_lines", "_head", "_max_body", "buffer", "wants_continue")

    def __init__(self, max_body: int) -> None:
        """max_body is in bytes."""
        self.buffer = bytearray()
        self.wants_continue = False
        self._head: Request | None = None
        self._chunks: ChunkedBody | None = None
        self._empty_lines = 0  # in front of the next request
        self._max_body = max_body

    @property
    def empty(self) -> bool:
        """Whether nothing of a request is there."""
        return not self.buffer and self._head is None

    @property
    def unfinished(self) -> bool:
        """Whether `next` has returned None because it has done enough, and should be called again without more bytes."""
        return self._chunks is not None and self._chunks.unfinished

    @property
    def held(self) -> int:
        """Bytes of memory that unfinished requests take. A bytearray that grows has some to spare, so it is asked; and the allocator keeps
        a part of what many of them have left.
        """
        held = self.buffer.__alloc__() * 9 // 8 if self.buffer else 0
        if self._head is not None:
            held += held_by(self._head.headers)
        return held if self._chunks is None else held + self._chunks.held

    def take(self, received: "mmap", size: int, whole: bool) -> tuple[Request, bytes] | None:
        """Take received[:size], size in bytes; `next` tells what is here then.

        whole: if this is one request, and nothing else is here, return the request and its body, because most messages arrive so, and a
        copy costs. Raises BridgeError as `next` does.
        """
        start = 0
        if whole and self.empty and received[0] != CR:
            end = received.find(b"\r\n\r\n", 0, min(size, MAX_HEAD + 4))
            if end > 0:
                head = self._begin(received[:end])
                start = end + 4
                if head.length == size - start:
                    self._head, self.wants_continue = None, False
                    return head, received[start:size]
        self.buffer += memoryview(received)[start:size]
        return None

    def next(self) -> tuple[Request, bytes] | None:
        """Return the next request and its body, or None when more bytes are needed. Raises BridgeError; then nothing more can be read."""
        head = self._head or self._next_head()
        if head is None:
            return None
        body = self._next_body(head)
        if body is None:
            return None
        self._head = self._chunks = None
        self.wants_continue = False
        return head, body

    def _next_head(self) -> Request | None:
        buffer = self.buffer
        if buffer.startswith(b"\r\n"):
            self._empty_lines = skip_empty_lines(buffer, self._empty_lines)
        end = head_end(buffer)
        if end < 0:
            return None
        head = self._begin(buffer[:end])
        del buffer[: end + 4]
        return head

    def _begin(self, lines: bytes | bytearray) -> Request:
        """Begin the request that has these lines. Raises HeadTooLarge, MalformedRequest, BodyTooLarge."""
        head = parse_head(lines)
        self._empty_lines = 0
        if head.length is None:
            self._chunks = ChunkedBody(self._max_body)
        elif head.length > self._max_body:
            raise BodyTooLarge(f"the body has {head.length} bytes, more than BRIDGE_MAX_BODY={self._max_body}")
        self.wants_continue = head.expects_continue
        self._head = head
        return head

    def _next_body(self, head: Request) -> bytes | None:
        if self._chunks is not None:
            return self._chunks.feed(self.buffer)
        length = head.length or 0
        if len(self.buffer) < length:
            return None
        if len(self.buffer) == length:  # nothing was sent ahead
            body = bytes(self.buffer)
            self.buffer = bytearray()  # clear() leaves its last byte in the middle of the heap
            return body
        with memoryview(self.buffer) as view:
            body = bytes(view[:length])
        del self.buffer[:length]
        return body
