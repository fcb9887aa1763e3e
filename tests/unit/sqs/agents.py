"""Fakes of what gives credentials, which botocore asks too."""

import datetime
import http.server
import json
import os
import urllib.parse

import botocore.session

from bridge.sns.egress import default_ca_file
from bridge.sqs.credentials import ask, find

KEY, SECRET, TOKEN = "ASIAEXAMPLE1234567", "se/cret+key" * 3, "tok/en+" * 40
EXPIRES = "2099-01-02T03:04:05Z"
UNIX = int(datetime.datetime(2099, 1, 2, 3, 4, 5, tzinfo=datetime.UTC).timestamp())
ROLE = "arn:aws:iam::123456789012:role/bridge"
STS = """<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleWithWebIdentityResult>
<Audience>sts.amazonaws.com</Audience><AssumedRoleUser><AssumedRoleId>AROA:app</AssumedRoleId><Arn>{role}</Arn></AssumedRoleUser>
<Credentials><AccessKeyId>{key}</AccessKeyId><SecretAccessKey>{secret}</SecretAccessKey><SessionToken>{token}</SessionToken>
<Expiration>{expires}</Expiration></Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>"""
STS_ERROR = """<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type><Code>{code}</Code>
<Message>Not authorized to perform sts:AssumeRoleWithWebIdentity</Message></Error></ErrorResponse>"""


class AWS(http.server.ThreadingHTTPServer):
    """STS, a container's agent and an instance's metadata, on one loopback port."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Agent)
        self.origin = f"http://127.0.0.1:{self.server_port}"
        self.requests = []
        self.answers = {}  # (status, text) by path, in place of the usual one
        self.members = {"AccessKeyId": KEY, "SecretAccessKey": SECRET, "Token": TOKEN, "Expiration": EXPIRES}


class Agent(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        path = self.path.partition("?")[0]
        self.server.requests.append((self.command, self.path, dict(self.headers), body))
        status, text = self.server.answers.get(path) or self.usual(path, body)
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    do_POST = do_PUT = do_GET

    def usual(self, path, body):
        if path == "/":
            form = dict(urllib.parse.parse_qsl(body))
            assert form["Action"] == "AssumeRoleWithWebIdentity" and form["Version"] == "2011-06-15" and form["RoleArn"] == ROLE
            assert form["WebIdentityToken"] == "ey.J+h/b=" and form["RoleSessionName"]
            return 200, STS.format(role=ROLE, key=KEY, secret=SECRET, token=TOKEN, expires=EXPIRES)
        if path == "/container":
            return (200, json.dumps(self.server.members)) if self.headers["Authorization"] == "Basic secret" else (401, "")
        if path == "/latest/api/token":
            return (200, "imds/token==") if self.command == "PUT" else (405, "")
        if self.headers["X-aws-ec2-metadata-token"] != "imds/token==":
            return 401, ""
        if path == "/latest/meta-data/iam/security-credentials/":
            return 200, "bridge-role"
        return 200, json.dumps(self.server.members | {"Code": "Success", "Type": "AWS-HMAC"})

    def log_message(self, *_):
        pass


def found(names=os.environ):
    return find(names, "eu-central-1", ask(default_ca_file()), 1_000_000_000)


def both():
    """Our credentials, after botocore has found the same."""
    ours, theirs = found(), botocore.session.Session().get_credentials().get_frozen_credentials()
    assert (ours.access_key, ours.secret_key, ours.token) == (theirs.access_key, theirs.secret_key, theirs.token or "")
    return ours
