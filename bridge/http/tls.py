"""The HTTPS listener's TLS context, made from files and made again when they change."""

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from bridge.config import Config
from bridge.errors import SettingError
from bridge.log import Log

if TYPE_CHECKING:
    import ssl


class ListenerTLS:
    """Certificate, key and client roots as settings name them."""

    def __init__(self, config: Config, log: Log, use: "Callable[[ssl.SSLContext], None]") -> None:
        """use(context) is called now and whenever the files have changed. Raises SettingError."""
        self._config, self._log, self._use = config, log, use
        self._files = [path for path in (config.tls_cert, config.tls_key, config.tls_client_ca_file) if path]
        self._version = self._stat()
        self._complaint = ""
        use(self._context())

    def _stat(self) -> list[tuple[int, int]]:
        return [(status.st_mtime_ns, status.st_ino) for status in map(os.stat, self._files)]

    def _context(self) -> "ssl.SSLContext":
        import ssl

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
        context.set_ciphers("ECDHE+AESGCM:ECDHE+CHACHA20")
        try:
            context.load_cert_chain(self._config.tls_cert, self._config.tls_key or None)
        except (OSError, ssl.SSLError) as error:
            raise SettingError("BRIDGE_TLS_CERT", f"certificate or key can't be used: {error.strerror or error}") from None
        if self._config.tls_client_ca_file:
            context.verify_mode = ssl.CERT_REQUIRED
            try:
                context.load_verify_locations(self._config.tls_client_ca_file)
            except (OSError, ssl.SSLError) as error:
                raise SettingError("BRIDGE_TLS_CLIENT_CA_FILE", f"can't be used: {error.strerror or error}") from None
        return context

    def follow(self) -> None:
        """Look whether the files have changed. While they can't be used, the old ones stay in use."""
        try:
            version = self._stat()
            if version == self._version:
                return
            self._version = version
            self._use(self._context())
            self._complaint = ""
            self._log.info("tls_certificate_read", explanation="BRIDGE_TLS_CERT has changed and is in use")
        except (OSError, SettingError) as error:
            if str(error) != self._complaint:
                self._complaint = str(error)
                self._log.error("tls_certificate_unusable", explanation=self._complaint)
