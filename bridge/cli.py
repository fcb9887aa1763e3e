"""The command line: which command, which settings, which exit status.

0 done, 1 something is wrong with what was looked at, 2 the settings or arguments can't be used.
"""

import os
import select
import sys

from bridge.config import given, load, topics_and_queues
from bridge.errors import SettingError
from bridge.settings import SETTINGS
from bridge.sns.signature import RSA_ENGINE
from bridge.sqs.queue_url import default_region
from bridge.version import REVISION, VERSION

COMMANDS = {
    "serve": "run the bridge (the default)",
    "verify": "tell whether messages in files are genuine: verify [--at TIME|message] FILE...",
    "check": "try the settings, the broker and the queues, and tell what is wrong",
    "healthcheck": "ask the bridge that runs here whether it is ready",
    "policy": "print the policies to set at SNS, SQS and IAM, and how",
    "simulate": "send what SNS would send, to try a bridge: simulate --help (not in the image)",
}


def main() -> int:
    """Run the command that sys.argv names; return its exit status. It is 1 too when the reader of stdout has closed the pipe."""
    try:
        try:
            return run(sys.argv[1:])
        finally:
            if sys.stdout:
                sys.stdout.flush()  # here, where a closed pipe can still be told from other errors
    except SettingError as error:
        print(f"bridge: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        if not is_unread():
            raise
        return 1


def run(arguments: list[str]) -> int:
    """Run a command; return its exit status. Raises SettingError. A command's module is imported only when the command is called."""
    if arguments[:1] == ["simulate"]:
        return simulate(arguments[1:])
    if "--version" in arguments or "--help" in arguments or "-h" in arguments:
        print(version() if "--version" in arguments else usage())
        return 0
    command = arguments[0] if arguments and not arguments[0].startswith("-") else ""
    if command and command not in COMMANDS:
        raise SettingError(command, f"is not a command; the commands are {', '.join(COMMANDS)}")
    arguments = arguments[1:] if command else arguments
    if command == "verify":
        from bridge.commands.verify import verify

        return verify(arguments)
    texts, rest = given(os.environ, arguments)
    if rest:
        raise SettingError(rest[0], "is one argument too many")
    if command == "policy":
        from bridge.commands.policy import policy

        return policy(*topics_and_queues(texts, default_region(os.environ) or "REGION"))
    if command == "healthcheck":
        from bridge.commands.healthcheck import healthcheck

        return healthcheck(load(texts, need_topics=False))
    if command == "check":
        from bridge.commands.check import check

        return check(load(texts))
    from bridge.commands.serve import serve

    return serve(load(texts))


def simulate(arguments: list[str]) -> int:
    """Run `bridge simulate`; return its exit status. Raises SettingError, also when its packages are not installed."""
    try:
        from bridge.simulate.command import simulate
    except ImportError as error:
        raise SettingError("simulate", f"needs {error.name}: in a checkout of the source, pip install '.[simulate]'") from None
    return simulate(arguments)


def is_unread() -> bool:
    """Tell whether the reader of stdout has closed the pipe (`bridge policy | head`). If so, stdout is /dev/null from then on."""
    waiting = select.poll()
    waiting.register(sys.stdout, 0)  # poll(2) reports errors and hang-ups unasked
    if not waiting.poll(0):
        return False
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else the interpreter flushes again at its end, and complains
    return True


def version() -> str:
    """Return one line with the versions of the bridge, CPython and OpenSSL, and with the RSA verifier in use."""
    import ssl

    return f"bridge {VERSION} (revision {REVISION}, CPython {sys.version.split()[0]}, {ssl.OPENSSL_VERSION}, verifier {RSA_ENGINE})"


def usage() -> str:
    """Return the help, made from the tables of commands and settings."""
    lines = ["usage: bridge [COMMAND] [--SETTING VALUE]...", "", "commands:"]
    lines += [f"  {name:<12} {meaning}" for name, meaning in COMMANDS.items()]
    lines += [
        "  --version    print the versions of all that is inside",
        "",
        "settings, each also as an environment variable (--amqp-url is BRIDGE_AMQP_URL):",
    ]
    for setting in SETTINGS:
        meaning = setting.meaning.replace("`", "").replace("**", "")
        default = f" [{setting.default}]" if setting.default else ""
        lines.append(f"  {setting.flag} {setting.metavar}\n      {meaning}{default}")
    return "\n".join(lines)
