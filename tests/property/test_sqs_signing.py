"""Signature Version 4 against botocore's own signer: the same Authorization header for every request."""

import datetime
import hashlib
import hmac
import string

import botocore.auth
import botocore.awsrequest
import botocore.credentials
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bridge.sns.rsa import sha256 as in_python
from bridge.sns.signature import sha256
from bridge.sqs.signing import Credentials, hmac_sha256, sign

TEXT = string.ascii_letters + string.digits
NEVER_SIGNED = set(botocore.auth.SIGNED_HEADERS_BLACKLIST)  # what a proxy may change; `sign` is asked for none of them
MADE_BY_THE_SIGNER = {"x-amz-date", "host", "authorization", "x-amz-security-token"}
secrets = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=100)
segments = st.text(TEXT + "-._~%!$&'()*+,;=:@", min_size=1, max_size=12).filter(lambda text: text not in (".", ".."))
paths = st.lists(segments, max_size=4).map(lambda parts: "/" + "/".join(parts)) | st.just("")
queries = st.dictionaries(st.text(TEXT + "-._~%+", min_size=1, max_size=8), st.text(TEXT + "-._~%+=", max_size=8), max_size=5)
hosts = st.sampled_from(
    ["sqs.eu-central-1.amazonaws.com", "localhost:4566", "[::1]:9324", "SQS.us-east-1.amazonaws.com:443", "127.0.0.1:80"]
)
names = st.text(TEXT + "-", min_size=1, max_size=20).filter(lambda name: name.lower() not in NEVER_SIGNED | MADE_BY_THE_SIGNER)
values = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=30)
headers = st.dictionaries(names, values, max_size=5).filter(lambda found: len({name.lower() for name in found}) == len(found))
times = st.datetimes(datetime.datetime(1970, 1, 2), datetime.datetime(2099, 12, 31)).map(lambda moment: moment.replace(microsecond=0))


def of_botocore(credentials, method, url, headers, body, region, service, moment):
    """The headers that botocore signs, with its clock stopped."""
    request = botocore.awsrequest.AWSRequest(method, url, headers=headers, data=body)
    signer = botocore.auth.SigV4Auth(
        botocore.credentials.Credentials(credentials.access_key, credentials.secret_key, credentials.token or None), service, region
    )
    request.context["timestamp"] = moment.strftime("%Y%m%dT%H%M%SZ")
    signer._modify_request_before_signing(request)
    canonical = signer.canonical_request(request)
    signer._inject_signature_to_request(request, signer.signature(signer.string_to_sign(request, canonical), request))
    return request.headers


@settings(max_examples=200, deadline=None)
@given(
    method=st.sampled_from(["GET", "POST", "PUT", "DELETE", "HEAD"]),
    scheme=st.sampled_from(["http", "https"]),
    host=hosts,
    path=paths,
    query=queries,
    headers=headers,
    body=st.binary(max_size=300) | st.text(max_size=100).map(str.encode),
    access_key=st.text(TEXT, min_size=16, max_size=32),
    secret_key=secrets,
    token=st.just("") | secrets,
    region=st.sampled_from(["us-east-1", "eu-central-1", "cn-north-1", "us-gov-west-1"]),
    service=st.sampled_from(["sqs", "sts"]),
    moment=times,
)
@example(
    method="POST",
    scheme="https",
    host="sqs.eu-central-1.amazonaws.com",
    path="/",
    query={},
    headers={"Content-Type": "application/x-amz-json-1.0", "X-Amz-Target": "AmazonSQS.ReceiveMessage"},
    body='{"a": "Größe ✓ 😀"}'.encode(),
    access_key="AKIDEXAMPLE",
    secret_key="wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY" * 2,
    token="t" * 90,
    region="eu-central-1",
    service="sqs",
    moment=datetime.datetime(2026, 2, 28, 23, 59, 59),
)
def test_every_request_is_signed_as_botocore_signs_it(
    method, scheme, host, path, query, headers, body, access_key, secret_key, token, region, service, moment
):
    url = f"{scheme}://{host}{path}" + ("?" + "&".join(f"{name}={value}" for name, value in query.items()) if query else "")
    credentials = Credentials(access_key, secret_key, token)
    now = moment.replace(tzinfo=datetime.UTC).timestamp()
    ours = sign(credentials, method, url, headers, body, region, service, now)
    theirs = of_botocore(credentials, method, url, headers, body, region, service, moment)
    assert ours == dict(theirs.items())


@given(key=st.binary(max_size=200), message=st.binary(max_size=300))
def test_hmac_is_pythons(key, message):
    assert sha256(message) == in_python(message) == hashlib.sha256(message).digest()
    assert hmac_sha256(key, message) == hmac.digest(key, message, "sha256")
