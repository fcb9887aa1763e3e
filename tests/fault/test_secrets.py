"""No secret shows anywhere: not in the log (at its most talkative), standard error, the command line, the metrics or an answer."""

import time
from pathlib import Path

import pytest

from bridge.simulate.certificates import Authority
from bridge.simulate.envelope import post
from bridge.simulate.post import Connection, basic
from tests.tools.bridge import Bridge, run
from tests.tools.ports import free_port, wait_for

SECRETS = {
    "password in the URL": "s3cret-in-the-url",
    "password in its file": "s3cret-in-the-file",
    "Basic password": "s3cret-of-basic",
    "a wrong Basic password": "s3cret-that-was-guessed",
    "Message": "s3cret-of-the-message",
    "Subject": "s3cret-of-the-subject",
    "Token": "5ec7e7" * 32,
}
pytestmark = pytest.mark.quick


def everything(bridge: Bridge, admin: int, answers: list[str]) -> str:
    """All that anybody can see of it."""
    pid = bridge.pid()
    with Connection("127.0.0.1", admin) as connection:
        pages = [connection.get(path).body.decode() for path in ("/metrics", "/readyz", "/livez", "/status.json", "/")]
    command_line = Path(f"/proc/{pid}/cmdline").read_text(errors="replace")
    return "\n".join([*map(str, bridge.log), *bridge.not_json, bridge.errors(), command_line, *pages, *answers])


def leaked(text: str) -> list[str]:
    return [name for name, secret in SECRETS.items() if secret in text]


def talk(bridge: Bridge, sns) -> list[str]:
    """Every kind of delivery, genuine and not, with and without credentials; the bodies and headers of all answers."""
    good, bad = basic(f"sns:{SECRETS['Basic password']}"), basic(f"sns:{SECRETS['a wrong Basic password']}")
    notification = sns.notification(SECRETS["Message"], subject=SECRETS["Subject"])
    sns.pending.add((sns.topic, SECRETS["Token"]))
    confirmation = post(sns.signer.confirmation(sns.topic, SECRETS["Token"]))
    end = post(sns.signer.confirmation(sns.topic, SECRETS["Token"], kind="UnsubscribeConfirmation"))
    answers = []
    for sent in (
        notification,
        confirmation,
        end,
        notification._replace(body=notification.body[:-9]),
        notification._replace(body=notification.body * 2),
    ):
        for extra in (good, bad, {}):
            answer = bridge.deliver(sent, extra=extra)
            answers += [str(answer.headers), answer.body.decode()]
    return answers


def test_no_secret_shows(broker, queue, sns, folder, start_bridge):
    admin = free_port()
    (folder / "users").write_text(f"sns:{SECRETS['Basic password']}\n")
    (folder / "password").write_text(SECRETS["password in its file"])
    user = f"user{admin}"
    broker.add_user(user, SECRETS["password in its file"])
    url = broker.url.replace("guest:guest", f"{user}:{SECRETS['password in the URL']}")
    bridge = start_bridge(
        BRIDGE_AMQP_URL=url,
        BRIDGE_AMQP_PASSWORD_FILE=str(folder / "password"),
        BRIDGE_BASIC_AUTH_FILE=str(folder / "users"),
        BRIDGE_ADMIN_LISTEN=f"127.0.0.1:{admin}",
        BRIDGE_LOG_LEVEL="debug",
    )
    answers = talk(bridge, sns)
    assert broker.count(queue) > 0
    sns.confirm_answer = (500, SECRETS["Token"].encode())
    answers += talk(bridge, sns)
    sns.confirm_answer = lambda handler: time.sleep(4)
    answers += talk(bridge, sns)
    broker.change_password(user, "another")
    broker.ctl("close_all_connections", "the password has changed")
    wait_for("a refused password", lambda: len(bridge.events("broker_lost")) >= 2)
    answers += talk(bridge, sns)
    assert not leaked(everything(bridge, admin, answers))
    assert bridge.events("verdict", status=200)
    broker.ctl("delete_user", user)
    bridge.stop()
    assert not leaked(bridge.errors() + str(bridge.log))


@pytest.mark.parametrize(
    "settings",
    [
        {"BRIDGE_AMQP_URL": f"amqp://user:{SECRETS['password in the URL']}@host:port/%2F"},
        {"BRIDGE_AMQP_URL": f"http://user:{SECRETS['password in the URL']}@host/"},
        {"BRIDGE_AMQP_URL": f"amqp://user:{SECRETS['password in the URL']}@127.0.0.1:99999/"},
        {"BRIDGE_SNS_ENDPOINT": f"https://user:{SECRETS['password in the URL']}@host/"},
    ],
)
@pytest.mark.parametrize("command", ["serve", "check"])
def test_no_secret_shows_in_what_is_wrong_with_a_setting(settings, command, sns):
    done = run(command, BRIDGE_TOPICS=sns.topic, **settings)
    assert done.returncode != 0
    assert not leaked(done.stdout + done.stderr)


def test_no_key_shows_when_a_certificate_can_not_be_used(sns, folder):
    """The key and the certificate are of two different authorities."""
    one = Authority(folder / "one", "one").issue(folder / "a", "localhost")
    other = Authority(folder / "two", "two").issue(folder / "b", "localhost")
    done = run(
        "serve", BRIDGE_TOPICS=sns.topic, BRIDGE_TLS_CERT=str(one.certificate), BRIDGE_TLS_KEY=str(other.key), BRIDGE_LISTEN="127.0.0.1:0"
    )
    assert done.returncode == 2
    key = other.key.read_text().splitlines()[1]
    assert key not in done.stdout + done.stderr
