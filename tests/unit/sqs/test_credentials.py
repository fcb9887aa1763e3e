"""Credentials come from the places of AWS's SDKs, in their order and by their names; botocore reads the same fakes."""

import json
import os

import pytest

from bridge.sns.egress import EgressError, default_ca_file
from bridge.sqs.credentials import NoCredentials, ask, find
from tests.unit.sqs.agents import KEY, ROLE, SECRET, STS, STS_ERROR, TOKEN, UNIX, both


def web_identity(aws, tmp_path):
    token = tmp_path / "web-token"
    token.write_text("ey.J+h/b=")
    return {
        "AWS_WEB_IDENTITY_TOKEN_FILE": str(token),
        "AWS_ROLE_ARN": ROLE,
        "AWS_ENDPOINT_URL_STS": aws.origin,
        "AWS_REGION": "eu-central-1",
        "AWS_DEFAULT_REGION": "eu-central-1",
    }


class TestTheFivePlaces:
    @pytest.mark.parametrize("names", [(), ("AWS_SESSION_TOKEN",), ("AWS_SECURITY_TOKEN",)])
    def test_the_environment(self, environment, names):
        environment(AWS_ACCESS_KEY_ID=KEY, AWS_SECRET_ACCESS_KEY=SECRET, **dict.fromkeys(names, TOKEN))
        ours = both()
        assert (ours.access_key, ours.secret_key, ours.token, ours.expires) == (KEY, SECRET, TOKEN if names else "", float("inf"))

    def test_the_environments_older_name_of_the_token_wins(self, environment):
        environment(AWS_ACCESS_KEY_ID=KEY, AWS_SECRET_ACCESS_KEY=SECRET, AWS_SESSION_TOKEN="new", AWS_SECURITY_TOKEN="old")
        assert both().token == "old"

    def test_web_identity(self, environment, aws, tmp_path):
        environment(**web_identity(aws, tmp_path))
        ours = both()
        assert (ours.access_key, ours.secret_key, ours.token, ours.expires) == (KEY, SECRET, TOKEN, UNIX)
        assert "Authorization" not in aws.requests[0][2]

    @pytest.mark.parametrize("profile", ["", "staging"])
    def test_the_shared_file(self, environment, tmp_path, profile):
        path = tmp_path / "credentials"
        path.write_text(
            f"# a comment\n[default]\naws_access_key_id = {KEY}\naws_secret_access_key={SECRET}\ns3 =\n  aws_access_key_id = nested\n"
            f"\n[staging]\nregion = x\nAWS_ACCESS_KEY_ID = STAGING\naws_secret_access_key = {SECRET}=\naws_session_token = {TOKEN}\n"
        )
        environment(AWS_SHARED_CREDENTIALS_FILE=str(path), **({"AWS_PROFILE": profile} if profile else {}))
        ours = both()
        assert (ours.access_key, ours.token) == (("STAGING", TOKEN) if profile else (KEY, ""))

    def test_the_shared_file_at_home(self, environment, tmp_path):
        (tmp_path / ".aws").mkdir()
        (tmp_path / ".aws/credentials").write_text(f"[default]\naws_access_key_id={KEY}\naws_secret_access_key={SECRET}\n")
        environment()
        assert both().access_key == KEY

    @pytest.mark.parametrize("token_in", ["environment", "file"])
    def test_a_container(self, environment, aws, tmp_path, token_in):
        environment(AWS_CONTAINER_CREDENTIALS_FULL_URI=aws.origin + "/container?id=1")
        if token_in == "file":
            (tmp_path / "token").write_text("Basic secret")
            environment(AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE=str(tmp_path / "token"))
        else:
            environment(AWS_CONTAINER_AUTHORIZATION_TOKEN="Basic secret")
        ours = both()
        assert (ours.access_key, ours.secret_key, ours.token, ours.expires) == (KEY, SECRET, TOKEN, UNIX)
        assert aws.requests[0][1] == "/container?id=1"

    def test_an_instance(self, environment, aws):
        environment(AWS_EC2_METADATA_DISABLED="false", AWS_EC2_METADATA_SERVICE_ENDPOINT=aws.origin)
        ours = both()
        assert (ours.access_key, ours.secret_key, ours.token, ours.expires) == (KEY, SECRET, TOKEN, UNIX)
        assert [(method, path) for method, path, _, _ in aws.requests[:3]] == [
            ("PUT", "/latest/api/token"),
            ("GET", "/latest/meta-data/iam/security-credentials/"),
            ("GET", "/latest/meta-data/iam/security-credentials/bridge-role"),
        ]

    @pytest.mark.parametrize("expires", ["2099-01-02T03:04:05.678Z", "2099-01-02T03:04:05+00:00", "2099-01-02T03:04:05.678+0000"])
    def test_an_end_of_the_credentials_in_other_forms_of_utc(self, environment, aws, expires):
        environment(AWS_CONTAINER_CREDENTIALS_FULL_URI=aws.origin + "/container", AWS_CONTAINER_AUTHORIZATION_TOKEN="Basic secret")
        aws.members["Expiration"] = expires
        assert both().expires == UNIX

    def test_their_order(self, environment, aws, tmp_path):
        path = tmp_path / "credentials"
        path.write_text("[default]\naws_access_key_id=OFFILE\naws_secret_access_key=s\n")
        names = [
            {"AWS_ACCESS_KEY_ID": "OFENVIRONMENT", "AWS_SECRET_ACCESS_KEY": "s"},
            web_identity(aws, tmp_path),
            {"AWS_SHARED_CREDENTIALS_FILE": str(path)},
            {"AWS_CONTAINER_CREDENTIALS_FULL_URI": aws.origin + "/container", "AWS_CONTAINER_AUTHORIZATION_TOKEN": "Basic secret"},
            {"AWS_EC2_METADATA_DISABLED": "false", "AWS_EC2_METADATA_SERVICE_ENDPOINT": aws.origin},
        ]
        order = []
        while names:
            before = len(aws.requests)
            environment(**{name: value for one in names for name, value in one.items()})
            key = both().access_key
            order.append(key if key != KEY else aws.requests[before][1])
            for name in names.pop(0):
                del os.environ[name]
        assert order == ["OFENVIRONMENT", "/", "OFFILE", "/container", "/latest/api/token"]

    def test_the_agent_of_ecs_is_asked_by_a_relative_uri(self):
        asked = []
        with pytest.raises(NoCredentials):
            find({"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/v2/credentials/1"}, "r", lambda *call: asked.append(call) or (404, b""), 0)
        assert asked == [("GET", "http://169.254.170.2/v2/credentials/1", {}, None, False)]

    def test_ipv6_instances(self):
        asked = []
        with pytest.raises(NoCredentials):
            find({"AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE": "IPv6"}, "r", lambda *call: asked.append(call[1]) or (404, b""), 0)
        assert asked == ["http://[fd00:ec2::254]/latest/api/token"]

    @pytest.mark.parametrize(
        ("region", "host"),
        [
            ("eu-central-1", "sts.eu-central-1.amazonaws.com"),
            ("cn-north-1", "sts.cn-north-1.amazonaws.com.cn"),
            ("eusc-de-east-1", "sts.eusc-de-east-1.amazonaws.eu"),
            ("aws-global", "sts.amazonaws.com"),
        ],
    )
    def test_sts_is_asked_in_the_queues_region_through_the_proxy(self, tmp_path, region, host):
        asked = []
        (tmp_path / "token").write_text("t")
        names = {"AWS_WEB_IDENTITY_TOKEN_FILE": str(tmp_path / "token"), "AWS_ROLE_ARN": ROLE}
        with pytest.raises(NoCredentials):
            find(names, region, lambda *call: asked.append(call) or (500, b""), 0)
        assert asked[0][1] == f"https://{host}/" and asked[0][4] is True


class TestWhatIsSaid:
    """Every failure tells the place and what to do, and holds no secret."""

    def says(self, names, words, ask=lambda *_: (500, b"")):
        with pytest.raises(NoCredentials, match=words) as caught:
            find(names, "eu-central-1", ask, 0)
        assert SECRET not in str(caught.value) and TOKEN not in str(caught.value)

    def test_nothing_is_set_up(self):
        def nobody(*_):
            raise EgressError("ConnectTimeout: timed out")

        self.says({}, "no AWS credentials: set AWS_ACCESS_KEY_ID .* or give the pod, task or instance a role", nobody)

    def test_half_of_the_environment(self):
        self.says({"AWS_ACCESS_KEY_ID": KEY}, "AWS_SECRET_ACCESS_KEY: the secret key is missing")

    def test_a_line_end_in_the_environment(self):
        self.says({"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET + "\n"}, "holds a space")

    def test_no_file(self):
        self.says({"AWS_SHARED_CREDENTIALS_FILE": "/nowhere"}, "AWS_SHARED_CREDENTIALS_FILE: /nowhere can't be read: No such file")
        self.says({"AWS_PROFILE": "x", "HOME": "/nowhere"}, "AWS_PROFILE: /nowhere/.aws/credentials can't be read")

    def test_no_profile(self, tmp_path):
        (tmp_path / "c").write_text("[default]\nrole_arn = x\n")
        self.says({"AWS_PROFILE": "x", "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "c")}, r"has no profile \[x\]")
        self.says({"AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "c")}, "holds no aws_access_key_id; profiles of a role")

    def test_web_identity_without_a_role(self):
        self.says({"AWS_WEB_IDENTITY_TOKEN_FILE": "/x"}, "AWS_ROLE_ARN is not")

    def test_sts_refuses(self, tmp_path):
        (tmp_path / "token").write_text("t")
        names = {"AWS_WEB_IDENTITY_TOKEN_FILE": str(tmp_path / "token"), "AWS_ROLE_ARN": ROLE}
        self.says(names, f"{ROLE}.*403 AccessDenied", lambda *_: (403, STS_ERROR.format(code="AccessDenied").encode()))

    @pytest.mark.parametrize("answer", ["", "<html>", STS.format(role="", key=KEY, secret=SECRET, token=TOKEN, expires="soon"), STS * 2])
    def test_sts_answers_something_else(self, tmp_path, answer):
        (tmp_path / "token").write_text("t")
        names = {"AWS_WEB_IDENTITY_TOKEN_FILE": str(tmp_path / "token"), "AWS_ROLE_ARN": ROLE}
        self.says(names, "STS", lambda *_: (200, answer.encode()))

    @pytest.mark.parametrize(
        "url",
        [
            "http://169.254.169.254/x",
            "http://evil.example/",
            "http://169.254.170.2.evil.example/",
            "ftp://localhost/",
            "file:///etc/passwd",
        ],
    )
    def test_a_containers_uri_elsewhere_is_not_asked(self, url):
        def never(*_):
            raise AssertionError("asked")

        self.says({"AWS_CONTAINER_CREDENTIALS_FULL_URI": url}, "neither https nor an address", never)

    @pytest.mark.parametrize(
        "url", ["http://169.254.170.23/v1/credentials", "http://[fd00:ec2::23]/v1/credentials", "https://agent.example/x"]
    )
    def test_a_containers_uri_of_eks_is_asked(self, url):
        asked = []
        with pytest.raises(NoCredentials):
            find({"AWS_CONTAINER_CREDENTIALS_FULL_URI": url}, "r", lambda *call: asked.append(call[1]) or (404, b""), 0)
        assert asked == [url]

    def test_a_token_with_a_line_end(self):
        names = {"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://localhost/", "AWS_CONTAINER_AUTHORIZATION_TOKEN": "a\r\nX: y"}
        self.says(names, "AWS_CONTAINER_AUTHORIZATION_TOKEN holds a line's end")

    @pytest.mark.parametrize(
        "members",
        [
            b"",
            b"[]",
            b"{}",
            b"[" * 65536,
            json.dumps({"AccessKeyId": KEY, "SecretAccessKey": 5}).encode(),
            b'{"Code": "AssumeRoleUnauthorizedAccess"}',
            json.dumps({"AccessKeyId": KEY, "SecretAccessKey": SECRET, "Token": TOKEN, "Expiration": "2026-13-01T00:00:00Z"}).encode(),
            json.dumps({"AccessKeyId": KEY, "SecretAccessKey": SECRET, "Token": TOKEN}).encode(),
        ],
    )
    def test_an_agent_answers_something_else(self, members):
        self.says({"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/x"}, "the container's credentials", lambda *_: (200, members))

    def test_an_instance_without_a_role(self, environment, aws):
        names = environment(AWS_EC2_METADATA_DISABLED="false", AWS_EC2_METADATA_SERVICE_ENDPOINT=aws.origin)
        aws.answers["/latest/meta-data/iam/security-credentials/"] = 404, ""
        self.says(names, "no AWS credentials", ask(default_ca_file()))
