"""What all requests that leave the bridge share: their error, the roots that are trusted, and the proxies of the environment.

`requests` says which proxy the environment names, where one is named.
"""

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ssl import SSLContext


class EgressError(Exception):
    """The request failed. `str()` says why in one sentence, without the URL's query, which may hold a Token."""


def proxy_of(url: str) -> str:
    """Return the URL of the proxy that the environment names for a URL, "" for none. Raises EgressError for one of another kind."""
    named = {name.lower() for name in os.environ if name[-6:].lower() == "_proxy" and os.environ[name]} - {"no_proxy"}
    if not named:
        return ""
    from requests import utils

    proxy = utils.select_proxy(url, utils.get_environ_proxies(url, None)) or ""
    if proxy and "://" not in proxy:
        proxy = f"http://{proxy}"
    kind = proxy.partition("://")[0]
    if kind not in ("", "http", "https"):
        raise EgressError(unsupported_proxy(url) or f"a {kind[:10]}:// proxy is not supported; give it an http:// one")
    return proxy


def tls_in_tls(context: "SSLContext") -> Callable[..., Any]:
    """Return what wraps a socket of TLS in TLS, as context.wrap_socket does it for one of TCP."""
    from urllib3.util.ssltransport import SSLTransport  # requests' own way through an https:// proxy

    return lambda sock, server_hostname: SSLTransport(sock, context, server_hostname)


def unsupported_proxy(url: str) -> str:
    """Return what is wrong with the proxy that the environment names for a URL, else ""; not its URL, which may hold a password."""
    for name in (url.partition(":")[0] + "_proxy", "all_proxy"):
        for variable in (name, name.upper()):
            kind, separator, _ = os.environ.get(variable, "").partition("://")
            if separator and kind not in ("http", "https"):
                return f"{variable} names a {kind[:10]}:// proxy, which is not supported; give it an http:// one"
    return ""


def sentence(error: Exception) -> str:
    """Return the innermost cause in words, because requests' own text holds the whole URL."""
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
