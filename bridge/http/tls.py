"""The HTTPS listener's TLS context, made from files and made again when they change."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from bridge.config import Config
from bridge.errors import SettingError
from bridge.files import FollowedFiles
from bridge.log import Log
from bridge.sockets import load_certificate

if TYPE_CHECKING:
    import ssl


class ListenerTLS:
    """Certificate, key and client roots as settings name them."""

    def __init__(self, config: Config, log: Log, use: "Callable[[ssl.SSLContext], None]") -> None:
        """use(context) is called now and whenever the files have changed. Raises SettingError."""
        self._config = config
        files = {
            "BRIDGE_TLS_CERT": config.tls_cert,
            "BRIDGE_TLS_KEY": config.tls_key,
            "BRIDGE_TLS_CLIENT_CA_FILE": config.tls_client_ca_file,
        }
        # OpenSSL reads the files by itself; if they have changed meanwhile, the next look finds that
        self._files = FollowedFiles("tls_certificate", files, lambda _contents: use(self._context()), log)
        self.follow = self._files.follow  # to be called again and again; while the files can't be used, the old contents stay in use
        self._files.read()

    def _context(self) -> "ssl.SSLContext":
        import ssl

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
        context.set_ciphers("ECDHE+AESGCM:ECDHE+CHACHA20")
        try:
            load_certificate(context, self._config.tls_cert, self._config.tls_key)
        except OSError as error:
            raise SettingError("BRIDGE_TLS_CERT", f"certificate or key can't be used: {error.strerror or error}") from None
        if self._config.tls_client_ca_file:
            context.verify_mode = ssl.CERT_REQUIRED
            try:
                context.load_verify_locations(self._config.tls_client_ca_file)
            except (OSError, ssl.SSLError) as error:
                raise SettingError("BRIDGE_TLS_CLIENT_CA_FILE", f"can't be used: {error.strerror or error}") from None
        return context
