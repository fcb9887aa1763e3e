"""What went wrong at STS, at an agent or at the metadata service is told in its own words, with the setting that it concerns."""

import json

import pytest

from bridge.sns.egress import EgressError, default_ca_file
from bridge.sqs.credentials import NoCredentials, ask, find
from tests.unit.sqs.agents import ROLE

POD = {"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://169.254.170.23/v1/credentials"}


def problem(names, answers=lambda *_: (404, b"")):
    with pytest.raises(NoCredentials) as caught:
        find(names, "eu-central-1", answers, 0)
    return str(caught.value)


def away(*_):
    raise EgressError("no byte for 2 s")


class TestTheMetadataService:
    def answers(self, token, roles=None, keys=None):
        """The answers to the three questions, of which the first is a PUT."""
        return lambda method, url, *_: token if method == "PUT" else roles if url.endswith("/security-credentials/") else keys

    def test_its_silence_is_told_and_what_it_may_mean_in_a_container(self):
        said = problem({}, away)
        assert said.startswith("no AWS credentials: set AWS_ACCESS_KEY_ID ")
        assert said.endswith("; no answer from EC2's metadata service: no byte for 2 s; in a container on EC2 its hop limit must be 2")

    @pytest.mark.parametrize("status", [400, 403, 404])
    def test_a_refusal_is_told(self, status):
        said = problem({}, self.answers((status, b"")))
        assert said.endswith(f"role; EC2's metadata service answered {status} to the question for a token")

    def test_an_instance_without_a_role_is_told(self):
        assert problem({}, self.answers((200, b"token"), (404, b""))).endswith("; the instance has no role")

    @pytest.mark.parametrize("status", [429, 500, 503])
    def test_what_passes_by_itself_is_not_taken_for_an_instance_without_a_role(self, status):
        ends = f"EC2's metadata service answered {status} to the question for %s; it is asked again"
        assert problem({}, self.answers((status, b""))) == ends % "a token"
        assert problem({}, self.answers((200, b"token"), (status, b""))) == ends % "the instance's role"

    def test_its_reason_for_no_keys_is_told(self):
        keys = json.dumps({"Code": "AssumeRoleUnauthorizedAccess", "Message": "EC2 cannot assume the role bridge."}).encode()
        said = problem({}, self.answers((200, b"token"), (200, b"bridge"), (200, keys)))
        assert said == "the instance's credentials: the answer is 200 AssumeRoleUnauthorizedAccess EC2 cannot assume the role bridge."


class TestAnAgent:
    def test_its_own_error_is_told(self):
        """Of EKS's Pod Identity agent, and of ECS's."""
        answer = b'{"code": "AccessDenied", "message": "EKS does not have permissions to assume the associated role."}'
        said = problem(POD, lambda *_: (400, answer))
        assert (
            said
            == "the container's credentials: the answer is 400 AccessDenied EKS does not have permissions to assume the associated role."
        )

    def test_no_more_than_200_characters_of_it_are_told_and_not_the_token(self):
        long = json.dumps({"message": "x" * 5000}).encode()
        assert problem(POD, lambda *_: (500, long)).endswith("is 500 " + "x" * 200)
        names = POD | {"AWS_CONTAINER_AUTHORIZATION_TOKEN": "ey.secret"}
        assert problem(names, lambda *_: (401, b'{"message": "ey.secret is wrong"}')) == "the container's credentials: the answer is 401"

    @pytest.mark.parametrize(
        "answer", [b"", b"Authorization header missing", b"[]", b'{"message": {}}', b'{"AccessKeyId": "A", "Code": 5}']
    )
    def test_an_answer_without_a_text_is_told_with_its_status(self, answer):
        assert "403" in problem(POD, lambda *_: (403, answer))

    def test_its_silence_is_told_with_the_settings_name(self):
        assert "no answer from the container's agent: no byte for 2 s (AWS_CONTAINER_CREDENTIALS_FULL_URI" in problem(POD, away)

    def test_its_token_files_name_is_told(self, tmp_path):
        token = tmp_path / "token"
        names = POD | {"AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(token)}
        token.write_text("t\n")
        assert problem(names) == "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE holds a line's end or another character that a header can't carry"


@pytest.mark.parametrize("text", ["", "\n"])
def test_an_empty_token_file_is_told(tmp_path, text):
    path = tmp_path / "token"
    path.write_text(text)
    pod = POD | {"AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(path)}
    assert problem(pod) == f"AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE: {path} is empty"
    web = {"AWS_ROLE_ARN": ROLE, "AWS_WEB_IDENTITY_TOKEN_FILE": str(path)}
    assert problem(web) == f"AWS_WEB_IDENTITY_TOKEN_FILE: {path} is empty"


SETTINGS = [
    *("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN"),
    *("AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ROLE_ARN", "AWS_ROLE_SESSION_NAME", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL_STS"),
    *("AWS_SHARED_CREDENTIALS_FILE", "AWS_PROFILE", "AWS_DEFAULT_PROFILE", "HOME"),
    *("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI"),
    *("AWS_CONTAINER_AUTHORIZATION_TOKEN", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"),
    *("AWS_EC2_METADATA_DISABLED", "AWS_EC2_METADATA_SERVICE_ENDPOINT", "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE"),
]
ODD = [
    *("http://[::1/creds", "http://[x]/", "http://127.0.0.1:99999/", "http://127.0.0.1:1/\udcff", "http://\udcff/", "http://\u2100/", "//"),
    *("\udcff", "\n", " ", "/", "[", "~/", "x" * 5000, "\u00e9"),
]


@pytest.mark.parametrize("setting", SETTINGS)
def test_no_setting_raises_anything_else_than_the_documented_error(environment, monkeypatch, tmp_path, setting):
    def refuses(*_):
        raise ConnectionRefusedError

    monkeypatch.setattr("socket.create_connection", refuses)
    environment()
    token = tmp_path / "token"
    token.write_text("t")
    places = [
        {"AWS_ACCESS_KEY_ID": "A", "AWS_SECRET_ACCESS_KEY": ""},
        {"AWS_WEB_IDENTITY_TOKEN_FILE": str(token), "AWS_ROLE_ARN": ROLE},
        {"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/x"},
        {"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://localhost/"},
        {},
    ]
    for names in places:
        for value in ODD:
            try:
                find({"HOME": str(tmp_path)} | names | {setting: value}, "eu-central-1", ask(default_ca_file()), 0)
            except NoCredentials:
                pass


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ({"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://[::1/creds"}, "AWS_CONTAINER_CREDENTIALS_FULL_URI is not a URL"),
        ({"AWS_ROLE_ARN": "x\udcff"}, "AWS_ROLE_ARN is not UTF-8, or holds a line's end"),
        ({"AWS_ROLE_ARN": ROLE + "\n"}, "AWS_ROLE_ARN is not UTF-8, or holds a line's end"),
        ({"AWS_ROLE_ARN": ROLE, "AWS_ROLE_SESSION_NAME": "\udcff"}, "AWS_ROLE_SESSION_NAME is not UTF-8"),
        ({"AWS_EC2_METADATA_SERVICE_ENDPOINT": "http://[::1"}, r"metadata service \(AWS_EC2_METADATA_SERVICE_ENDPOINT\): the URL"),
        ({"AWS_ROLE_ARN": ROLE, "AWS_ENDPOINT_URL_STS": "http://[::1"}, "no answer from STS: the URL.*AWS_ENDPOINT_URL_STS"),
    ],
)
def test_a_setting_that_cant_be_used_is_named(tmp_path, names, said):
    token = tmp_path / "token"
    token.write_text("t")
    web = {"AWS_WEB_IDENTITY_TOKEN_FILE": str(token)} if "AWS_ROLE_ARN" in names else {}
    with pytest.raises(NoCredentials, match=said):
        find(names | web, "eu-central-1", ask(default_ca_file()), 0)
