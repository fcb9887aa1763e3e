# No digests in Python: signatures are hashed by libcrypto, in bridge.sns._rsa, and TLS by OpenSSL. urllib3 looks for three by
# name, to pin a server's certificate by fingerprint, and reports that they are missing when it is asked to.
algorithms_available = algorithms_guaranteed = set()


def new(name, data=b"", **options):
    raise ValueError(f"unsupported hash type {name}")
