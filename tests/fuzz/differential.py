"""The two verifiers against each other and against the `cryptography` package, on mutated signatures and certificates.

    python -m tests.fuzz.differential [--signatures N] [--certificates N] [--seed S]

For each case this must hold: bridge.sns._rsa and bridge.sns.rsa give the same verdict, values and reason. `cryptography`, which
brings an OpenSSL of its own, gives the same verdict on every signature, and reads every certificate that we read, with
the same values. The reverse does not hold: bridge.sns.x509 refuses more than it does.
"""

import argparse
import random
import sys
import time
import warnings
from collections import Counter
from functools import cache

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric import rsa as theirs
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from cryptography.x509 import DNSName, ExtensionNotFound, NameOID, SubjectAlternativeName, load_der_x509_certificate

from bridge.sns import rsa
from bridge.sns.signature import BadCertificate, load_certificate
from tests.fuzz import forge

try:
    from bridge.sns import _rsa
except ImportError:
    _rsa = None

HASHES = {"sha1": SHA1(), "sha256": SHA256()}
PADDING = padding.PKCS1v15()
# (bits of the key, share of the cases): the pure-Python verifier needs 1 ms for the largest.
KEYS = [2048] * 8 + [3072, 4096]
MESSAGES = (b"Message\nhello\nMessageId\n1\n", b"", b"x", bytes(range(256)) * 10, bytes(66_000))


class Disagreement(AssertionError):
    pass


# ---- signatures


@cache
def verifiers(bits):
    """The three verifiers of one key: two of ours, and theirs made to look alike."""
    signer = forge.signer(bits)
    encoded = forge.certificate(key=forge.key_info(signer.n))
    public = theirs.RSAPublicNumbers(signer.e, signer.n).public_key()

    def verify(signature, message, digest):
        try:
            public.verify(signature, message, PADDING, HASHES[digest])
        except InvalidSignature:
            return False
        return True

    return load_certificate(encoded, _rsa.Key).verify, load_certificate(encoded, rsa.Key).verify, verify


@cache
def material(bits):
    """Genuine and forged signatures of one key: (signature, message, digest). They are made once, because making one is slow."""
    signer, found = forge.signer(bits), []
    for digest in ("sha1", "sha256"):
        for message in MESSAGES if bits == 2048 else MESSAGES[:1]:
            found.append((signer.sign(message, digest), message, digest))
            for encoded in forge.forgeries(message, digest, signer.size).values():
                found.append((signer.raw(encoded), message, digest))
    return found


def mutated_signature(random_, bits):
    signature, message, digest = random_.choice(material(bits))
    n, size = forge.signer(bits).n, forge.signer(bits).size
    how = random_.randrange(12)
    if how == 0:
        return signature, message, digest
    if how == 1:
        return signature, mutated_bytes(random_, message), digest
    if how == 2:
        return signature, message, "sha1" if digest == "sha256" else "sha256"
    if how == 3:
        return random_.randbytes(random_.choice((0, 1, size - 1, size, size + 1))), message, digest
    if how == 4:
        number = int.from_bytes(signature, "big")
        number = random_.choice((number + n, n - number, n + random_.randrange(-3, 4), number * 2, number ^ 1 << random_.randrange(bits)))
        return (number % (1 << 8 * size)).to_bytes(size, "big"), message, digest
    if how == 5:
        return signature.lstrip(b"\x00") if random_.random() < 0.5 else b"\x00" + signature, message, digest
    return mutated_bytes(random_, signature), message, digest


def check_signatures(cases, seed, progress=None):
    """Return a tally of the verdicts. Raises Disagreement."""
    random_, tally = random.Random(seed), Counter()
    for case in range(cases):
        bits = random_.choice(KEYS)
        signature, message, digest = mutated_signature(random_, bits)
        verdicts = [verify(signature, message, digest) for verify in verifiers(bits)]
        if verdicts not in ([True] * 3, [False] * 3):
            raise Disagreement(f"seed {seed} case {case}: {verdicts} {bits} {digest} {message[:99].hex()} {signature.hex()}")
        tally["genuine" if verdicts[0] else "refused"] += 1
        if progress:
            progress("signatures", case, cases, tally)
    return tally


# ---- certificates


@cache
def certificates():
    """Certificates of many shapes, all readable."""
    keys = [forge.key_info(forge.signer(bits).n) for bits in (2048, 2050, 3072, 4096)]
    names = [forge.common_name("sns.ä.test".encode(code), tag) for code, tag in (("utf-8", 0x0C), ("utf-16-be", 0x1E))]
    names += [
        forge.name((forge.ORGANIZATION, forge.PRINTABLE, b"Amazon"), (forge.COMMON_NAME, forge.IA5, b"a.test")),
        forge.tlv(0x30),
    ]
    usage = forge.extension(b"\x55\x1d\x0f", b"\x03\x02\x05\xa0", b"\x01\x01\xff")
    found = [forge.certificate(key=key) for key in keys]
    found += [forge.certificate(subject=name, issuer=name) for name in names]
    found += [forge.certificate(extensions=value) for value in (b"", usage, usage + forge.alternative_names(b"a.test", b"b.test"))]
    found += [forge.certificate(not_before=forge.tlv(0x17, b"000229000000Z"), not_after=forge.tlv(0x18, b"20500101000000Z"))]
    return found


def mutated_bytes(random_, data):
    """One to three bytes changed, dropped, doubled or put in."""
    data = bytearray(data)
    for _ in range(random_.choice((1, 1, 1, 2, 3))):
        at = random_.randrange(len(data) + 1)
        how = random_.randrange(6)
        if how <= 1 and at < len(data):
            data[at] ^= 1 << random_.randrange(8)
        elif how == 2 and at < len(data):
            data[at] = random_.choice((0, 1, 0x7F, 0x80, 0xFF, random_.randrange(256)))
        elif how == 3:
            del data[at : at + random_.choice((1, 1, 2, 8))]
        elif how == 4:
            data[at:at] = random_.choice((b"\x00", b"\xff", b"\x05\x00", random_.randbytes(3)))
        else:
            data[at:at] = data[at : at + random_.randrange(1, 5)]
    return bytes(data)


def tree(data):
    """DER as a list of [tag, bytes or such a list], or None. What is constructed but no DER stays bytes."""
    found, at = [], 0
    while at < len(data):
        if at + 2 > len(data):
            return None
        tag, length, start = data[at], data[at + 1], at + 2
        if length >= 0x80:
            start += length - 0x80
            length = int.from_bytes(data[at + 2 : start], "big")
        content = data[start : start + length]
        if len(content) < length:
            return None
        inner = tree(content) if tag & 0x20 else None
        found.append([tag, content if inner is None else inner])
        at = start + length
    return found


def flat(nodes):
    return b"".join(forge.tlv(tag, content if isinstance(content, bytes) else flat(content)) for tag, content in nodes)


def places(nodes):
    """Every (list, index) of a tree."""
    for index, (_, content) in enumerate(nodes):
        yield nodes, index
        if isinstance(content, list):
            yield from places(content)


def mutated_certificate(random_):
    """A certificate changed byte-wise, or element-wise with all lengths right again."""
    encoded = random_.choice(certificates())
    if random_.random() < 0.4:
        return mutated_bytes(random_, encoded)
    root = tree(encoded)
    for _ in range(random_.choice((1, 1, 1, 2))):
        nodes, index = random_.choice(list(places(root)))
        how = random_.randrange(8)
        if how == 0:
            del nodes[index]
        elif how == 1:
            nodes.insert(index, nodes[index])
        elif how == 2:
            nodes[index][0] = random_.choice(
                (
                    1,
                    2,
                    3,
                    4,
                    5,
                    6,
                    0x0C,
                    0x13,
                    0x14,
                    0x16,
                    0x17,
                    0x18,
                    0x1A,
                    0x1C,
                    0x1E,
                    0x30,
                    0x31,
                    0x80,
                    0x82,
                    0xA0,
                    0xA3,
                )
            )
        elif how == 3:
            other = random_.choice(list(places(tree(random_.choice(certificates())))))
            nodes[index] = other[0][other[1]]
        elif isinstance(nodes[index][1], bytes):
            nodes[index][1] = mutated_bytes(random_, nodes[index][1])
        if not root:
            break
    return flat(root)


def ours(encoded, key):
    try:
        found = load_certificate(encoded, key)
    except BadCertificate as error:
        return str(error)
    return found.not_before, found.not_after, found.names, found.bits


def has_more(encoded):
    """Whether a certificate has extensions besides the dNSNames: cryptography reads those too, and may refuse them."""
    extensions = tree(encoded)[0][1][0][1][7][1][0][1]
    return any(oid[1] != b"\x55\x1d\x11" or any(tag != 0x82 for tag, _ in tree(rest[-1][1])[0][1]) for _, (oid, *rest) in extensions)


def their_reading(encoded, our_names):
    """What cryptography reads, in our form. When it refuses an extension that we don't read, ours stand in."""
    found = load_der_x509_certificate(encoded)
    names = [str(attribute.value) for attribute in found.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    try:
        names += found.extensions.get_extension_for_class(SubjectAlternativeName).value.get_values_for_type(DNSName)
    except ExtensionNotFound:
        pass
    except ValueError:
        if not has_more(encoded):
            raise
        names += our_names[len(names) :]
    times = (found.not_valid_before_utc, found.not_valid_after_utc)
    return (
        *(int(time_.timestamp()) for time_ in times),
        tuple(names),
        found.public_key().key_size,
    )


def check_certificates(cases, seed, progress=None):
    """Return a tally: how many were read, how many refused. Raises Disagreement."""
    random_, tally = random.Random(seed), Counter()
    for case in range(cases):
        encoded = mutated_certificate(random_)
        native, python = ours(encoded, _rsa.Key), ours(encoded, rsa.Key)
        where = f"seed {seed} case {case}: {encoded.hex()}"
        if native != python:
            raise Disagreement(f"libcrypto {native}, python {python}: {where}")
        if isinstance(native, str):
            tally["refused"] += 1
        else:
            tally["read"] += 1
            try:
                reading = their_reading(encoded, native[2])
            except Exception as error:
                reading = f"{type(error).__name__}: {error}"
                if "TbsCertificate::signature_alg" in reading:  # we ignore the CA's signature, cryptography reads it
                    tally["with an unknown signature algorithm"] += 1
                    continue
            if reading != native:
                raise Disagreement(f"we {native}, cryptography {reading}: {where}")
        if progress:
            progress("certificates", case, cases, tally)
    return tally


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--signatures", type=int, default=500_000)
    parser.add_argument("--certificates", type=int, default=500_000)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    last = [time.monotonic()]

    def progress(what, case, cases, tally):
        if time.monotonic() - last[0] > 5:
            last[0] = time.monotonic()
            print(f"{what}: {case + 1:,} of {cases:,} {dict(tally)}", flush=True)

    print(f"seed {options.seed}", flush=True)
    print("signatures:", dict(check_signatures(options.signatures, options.seed, progress)), flush=True)
    print("certificates:", dict(check_certificates(options.certificates, options.seed, progress)), flush=True)
    print(f"{options.signatures + options.certificates:,} cases, no disagreement")


if __name__ == "__main__":
    if _rsa is None:
        sys.exit("bridge.sns._rsa was not built: apt-get install gcc libssl-dev python3-dev, then make venv")
    main()
