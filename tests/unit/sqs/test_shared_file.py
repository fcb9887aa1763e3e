"""The shared file is read as botocore reads it: its grammar, its profiles, and the place that is asked when it holds no keys."""

import botocore.session
import pytest

from bridge.sqs.credentials import NoCredentials, find
from tests.unit.sqs.agents import KEY, SECRET, TOKEN, both, found

KEYS = f"aws_access_key_id = {KEY}\naws_secret_access_key = {SECRET}\n"
INDENTED = f"  aws_access_key_id = {KEY}\n  aws_secret_access_key = {SECRET}\n"


@pytest.fixture
def path(environment, tmp_path):
    path = tmp_path / "credentials"
    environment(AWS_SHARED_CREDENTIALS_FILE=str(path))
    return path


class TestGrammar:
    @pytest.mark.parametrize(
        "text",
        [
            "[default]\n" + INDENTED,
            "[default]\n" + INDENTED.replace("  ", "\t"),
            "  [default]\n" + INDENTED,
            "  [other]\n  region = x\n  [default]\n" + INDENTED,
            "  [default]\n" + KEYS,
            "[default]\n    region = x\n" + INDENTED,
            "[default]\n" + KEYS.replace(" = ", ": "),
            "[default]\n" + KEYS.replace(" = ", ":"),
            "[default]\n" + KEYS.replace("\n", "=:=\n"),
            "[default]\n" + KEYS.replace(" = ", ":") + "aws_session_token=a:b=c\n",
            "[default]\r\n" + KEYS.replace("\n", "\r\n"),
            "[default] # mine\n" + KEYS,
            "; a comment\n[default]\n  # another: one\n" + KEYS.replace("\n", "\n\n"),
            "[default]\ns3 =\n  aws_access_key_id = nested\n\n  # a comment\n  max = 5\n" + KEYS,
            "[default]\ns3 =\n  [other] = x\n  aws_access_key_id = nested\n" + KEYS,
            "[default]\n  s3 =\n    aws_access_key_id = nested\n" + INDENTED,
            "[DEFAULT]\n" + KEYS + "[default]\nregion = x\n",
            f"[DEFAULT]\naws_access_key_id = OTHER\naws_secret_access_key = {SECRET}\n[default]\naws_access_key_id = {KEY}\n",
        ],
    )
    def test_botocore_reads_the_same(self, path, text):
        path.write_text(text, newline="")
        assert both().access_key.startswith(KEY)

    @pytest.mark.parametrize("names", [("aws_security_token",), ("aws_session_token",), ("aws_session_token", "aws_security_token")])
    def test_the_older_name_of_the_token_wins(self, path, names):
        path.write_text("[default]\n" + KEYS + "".join(f"{name} = {name}\n" for name in names))
        assert both().token == names[-1]


class TestProfiles:
    TWO = "[default]\n" + KEYS + "[a]\n" + KEYS.replace(KEY, "OFA") + "[b]\n" + KEYS.replace(KEY, "OFB")

    @pytest.mark.parametrize(
        ("names", "key"),
        [
            ({"AWS_DEFAULT_PROFILE": "a"}, "OFA"),
            ({"AWS_PROFILE": "a"}, "OFA"),
            ({"AWS_PROFILE": "a", "AWS_DEFAULT_PROFILE": "b"}, "OFB"),
        ],
    )
    def test_the_environment_names_one_as_botocore_takes_it(self, environment, path, names, key):
        path.write_text(self.TWO)
        environment(**names)
        assert both().access_key == key

    def test_an_empty_name_is_none(self, environment, path):
        path.write_text(self.TWO)
        environment(AWS_PROFILE="a", AWS_DEFAULT_PROFILE="")
        assert found().access_key == "OFA"

    @pytest.mark.parametrize("setting", ["AWS_PROFILE", "AWS_DEFAULT_PROFILE"])
    def test_one_that_the_file_does_not_have_is_told(self, environment, path, setting):
        """As the keys in ~/.aws/config are not read, the text says so."""
        path.write_text("[DEFAULT]\n" + KEYS + "[profile x]\n" + KEYS)
        for name in ("x", "DEFAULT"):
            environment(**{setting: name})
            with pytest.raises(NoCredentials, match=rf"^{setting}: {path} has no profile \[{name}\]; ~/.aws/config is not read$"):
                found()

    @pytest.mark.parametrize("setting", ["AWS_PROFILE", "AWS_DEFAULT_PROFILE"])
    def test_one_that_is_named_and_has_no_keys_is_told(self, environment, path, setting):
        path.write_text("[x]\nregion = x\n")
        environment(**{setting: "x"})
        with pytest.raises(NoCredentials, match=r"profile \[x\] holds no aws_access_key_id; .* nor is ~/.aws/config"):
            found()


class TestAFileWithoutKeys:
    @pytest.mark.parametrize("text", ["", "[default]\n", "[default]\nregion = eu-central-1\n", "[other]\n" + KEYS])
    def test_the_next_place_is_asked(self, environment, path, aws, text):
        path.write_text(text)
        environment(AWS_CONTAINER_CREDENTIALS_FULL_URI=aws.origin + "/container", AWS_CONTAINER_AUTHORIZATION_TOKEN="Basic secret")
        assert both().token == TOKEN

    def test_it_is_told_when_no_place_has_any(self, environment, path):
        path.write_text("[default]\nregion = x\n")
        assert botocore.session.Session().get_credentials() is None
        with pytest.raises(NoCredentials, match=rf"^no AWS credentials: .*; {path}: profile \[default\] holds no aws_access_key_id"):
            found()

    @pytest.mark.parametrize("setting", ["role_arn", "credential_process", "sso_session", "sso_start_url"])
    def test_a_profile_whose_keys_are_elsewhere_does_not_become_another_identity(self, path, setting):
        path.write_text(f"[default]\n{setting} = x\n")
        names = {"AWS_SHARED_CREDENTIALS_FILE": str(path), "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/x"}
        with pytest.raises(NoCredentials, match="profiles of a role, of SSO or of a credential_process are not read"):
            find(names, "r", lambda *_: pytest.fail("asked"), 0)
