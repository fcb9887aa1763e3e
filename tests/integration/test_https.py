"""The HTTPS listener: TLS 1.2 and 1.3, certificates that are read again, client certificates, and clients that can't hold it up."""

import contextlib
import socket
import ssl
import time
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import NameOID

from bridge.simulate.certificates import Authority
from bridge.simulate.delivery import deliver_all
from tests.tools.ports import wait_for


@pytest.fixture
def authority(folder):
    return Authority(folder, "listener")


@pytest.fixture
def files(authority, folder):
    return authority.issue(folder / "listener", "localhost", "127.0.0.1")


@pytest.fixture
def start_https(start_bridge, files):
    return lambda **settings: start_bridge(BRIDGE_TLS_CERT=str(files.certificate), BRIDGE_TLS_KEY=str(files.key), **settings)


def serial(bridge, authority, client=None):
    """The serial number of the certificate that the listener shows."""
    context = ssl.create_default_context(cafile=str(authority.ca_file))
    if client:
        context.load_cert_chain(*client)
    with socket.create_connection((bridge.host, bridge.port), 5) as plain, context.wrap_socket(plain, server_hostname="localhost") as tls:
        return tls.getpeercert()["serialNumber"]


def test_deliveries_over_tls(start_https, broker, queue, sns, authority):
    bridge = start_https()
    endpoint = bridge.endpoint(ca_file=authority.ca_file)
    assert sns.subscribe(endpoint).status == 200
    outcomes = deliver_all(list(sns.notifications(500)), endpoint, connections=16)
    assert [outcome.status for outcome in outcomes].count(200) == 500
    assert sorted(broker.ids(queue)) == sorted(outcome.post.message_id for outcome in outcomes)


def test_large_bodies_over_tls(start_https, broker, queue, sns, authority):
    bridge = start_https()
    outcomes = deliver_all([sns.notification("x" * 262_144) for _ in range(5)], bridge.endpoint(ca_file=authority.ca_file), connections=2)
    assert [outcome.status for outcome in outcomes] == [200] * 5
    assert {stored.body for stored in broker.take(queue)} == {outcome.post.body for outcome in outcomes}


def test_a_renewed_certificate_is_shown_without_a_restart_and_no_delivery_is_dropped(start_https, broker, queue, sns, authority, folder):
    bridge = start_https()
    endpoint = bridge.endpoint(ca_file=authority.ca_file)
    before = serial(bridge, authority)
    with endpoint.connect() as kept:
        assert endpoint.deliver(kept, sns.notification()).status == 200
        authority.issue(folder / "listener", "localhost", "127.0.0.1")
        wait_for("the new certificate", lambda: serial(bridge, authority) != before, 5, 0.1)
        assert endpoint.deliver(kept, sns.notification()).status == 200
    with endpoint.connect() as fresh:
        assert endpoint.deliver(fresh, sns.notification()).status == 200
    assert broker.count(queue) == 3


def test_a_broken_certificate_file_leaves_the_old_one_in_use(start_https, sns, authority, files):
    bridge = start_https()
    before = serial(bridge, authority)
    files.certificate.write_text("garbage")
    bridge.wait_for("tls_certificate_unusable")
    assert serial(bridge, authority) == before


@pytest.mark.parametrize(("version", "accepted"), [("TLSv1_3", True), ("TLSv1_2", True), ("TLSv1_1", False)])
def test_tls_versions(start_https, authority, version, accepted):
    bridge = start_https()
    context = ssl.create_default_context(cafile=str(authority.ca_file))
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = getattr(ssl.TLSVersion, version)
    with socket.create_connection((bridge.host, bridge.port), 5) as plain:
        if accepted:
            with context.wrap_socket(plain, server_hostname="localhost") as tls:
                assert tls.version() == version.replace("_", ".")
        else:
            with pytest.raises((ssl.SSLError, ConnectionError)):
                context.wrap_socket(plain, server_hostname="localhost")


@pytest.mark.rule("BRIDGE_TLS_CLIENT_CA_FILE")
def test_clients_must_show_a_certificate_when_a_client_ca_is_set(start_https, broker, queue, sns, authority, folder):
    clients = Authority(folder, "clients")
    good = clients.issue(folder / "good", "sns-proxy")
    wrong = Authority(folder, "strangers").issue(folder / "wrong", "sns-proxy")
    bridge = start_https(BRIDGE_TLS_CLIENT_CA_FILE=str(clients.ca_file))
    for shown in (None, wrong):
        with pytest.raises(OSError), bridge.endpoint(ca_file=authority.ca_file, client=shown).connect() as connection:
            connection.deliver(sns.notification())
    assert broker.count(queue) == 0
    endpoint = bridge.endpoint(ca_file=authority.ca_file, client=good)
    with endpoint.connect() as connection:
        assert endpoint.deliver(connection, sns.notification()).status == 200
    assert broker.count(queue) == 1


KINDS = {
    "rsa": lambda: rsa.generate_private_key(65537, 3072),
    "p-256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "p-384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "p-521": lambda: ec.generate_private_key(ec.SECP521R1()),
    "ed25519": ed25519.Ed25519PrivateKey.generate,
}


def self_signed(folder, kind):
    """The paths of a certificate, which is its own authority, and of its key."""
    key = KINDS[kind]()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"{kind} {folder.name}")])
    start, names = datetime.now(UTC) - timedelta(days=1), [x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))]
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), start, start + timedelta(days=9))
    builder = builder.add_extension(x509.SubjectAlternativeName(names), False).add_extension(x509.BasicConstraints(True, None), True)
    signed = builder.sign(key, None if kind == "ed25519" else hashes.SHA256())
    folder.mkdir()
    form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    (folder / "key.pem").write_bytes(key.private_bytes(*form))
    (folder / "certificate.pem").write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    return folder / "certificate.pem", folder / "key.pem"


@pytest.mark.rule("BRIDGE_TLS_KEY")
@pytest.mark.parametrize("kind", KINDS)
def test_keys_of_each_kind_serve_on_both_sides(start_bridge, folder, kind):
    mine, theirs = self_signed(folder / "mine", kind), self_signed(folder / "theirs", kind)
    bridge = start_bridge(BRIDGE_TLS_CERT=str(mine[0]), BRIDGE_TLS_KEY=str(mine[1]), BRIDGE_TLS_CLIENT_CA_FILE=str(theirs[0]))
    context = ssl.create_default_context(cafile=str(mine[0]))
    context.load_cert_chain(*theirs)
    for _ in range(20):  # each has a secret of its own for the exchange of keys
        plain = socket.create_connection((bridge.host, bridge.port), 5)
        with context.wrap_socket(plain, server_hostname="localhost") as tls:
            tls.sendall(b"GET /healthy HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            assert tls.recv(4096).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("group", ["prime256v1", "secp384r1", "secp521r1"])
def test_a_client_that_exchanges_keys_by_one_group_alone(start_https, authority, group):
    """The other tests' clients offer X25519 first, and the bridge takes it."""
    context = ssl.create_default_context(cafile=str(authority.ca_file))
    context.set_ecdh_curve(group)
    bridge = start_https()
    with socket.create_connection((bridge.host, bridge.port), 5) as plain, context.wrap_socket(plain, server_hostname="localhost") as tls:
        assert tls.version() == "TLSv1.3"


def test_a_client_that_stops_in_the_handshake_delays_nobody(start_https, sns, authority):
    bridge = start_https(BRIDGE_DEADLINE="3s")
    stuck = [socket.create_connection((bridge.host, bridge.port)) for _ in range(200)]
    for connection in stuck[:100]:
        connection.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")  # the beginning of a ClientHello
    endpoint = bridge.endpoint(ca_file=authority.ca_file)
    start = time.monotonic()
    with endpoint.connect() as connection:
        assert endpoint.deliver(connection, sns.notification()).status == 200
    assert time.monotonic() - start < 1
    for connection in stuck:  # and at the deadline they are closed
        connection.settimeout(8)
        try:
            assert connection.recv(1) == b""
        except ConnectionResetError:
            pass
        connection.close()


def test_a_handshake_that_is_closed_to_make_room_holds_nothing_any_more(start_https, sns, authority):
    """Its visit stood in line then, and came after the end."""
    bridge = start_https(BRIDGE_MAX_CONNECTIONS="20", BRIDGE_MAX_BUFFERED="2MiB")
    for _ in range(10):
        clients = [socket.create_connection((bridge.host, bridge.port)) for _ in range(60)]
        for client in clients:
            with contextlib.suppress(ConnectionError):
                client.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
        time.sleep(0.02)
        for client in clients:
            client.close()
    endpoint = bridge.endpoint(ca_file=authority.ca_file)
    for _ in range(5):
        with endpoint.connect() as connection:
            assert endpoint.deliver(connection, sns.notification()).status == 200


def test_plain_http_on_the_tls_port_is_closed(start_https, sns):
    bridge = start_https()
    with bridge.connect() as connection:
        connection.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
        try:
            assert not connection.socket.recv(4096).startswith(b"HTTP/1.1 2")
        except ConnectionResetError:
            pass
