"""The manual page docs/bridge.1 and the shell completion docs/completion/bridge, made from the tables of commands and settings.

python -m tests.tools.manual        # write both (settings_table does it too)
"""

import re
from pathlib import Path

from bridge.cli import COMMANDS
from bridge.settings import SETTINGS, Setting
from bridge.version import VERSION

ROOT = Path(__file__).resolve().parents[2]
DATE = "2026-11-24"
HEAD = """\
.\\" Made by tests/tools/manual.py from the tables of commands and settings.
.TH BRIDGE 1 {date} "sns-to-rabbitmq-bridge {version}"
.SH NAME
bridge \\- publishes Amazon SNS notifications to RabbitMQ
.SH SYNOPSIS
.B bridge
.RI [ COMMAND ]
.RI [ \\-\\-SETTING
.IR VALUE "] ..."
.SH DESCRIPTION
Amazon SNS posts notifications over HTTP(S).
.B bridge
verifies each one, publishes it to RabbitMQ, and answers 200 only when RabbitMQ has confirmed it into a queue.
Anything else is answered so that SNS keeps the message and sends it again (503),
or gives it up, because the same bytes would always be refused (4xx).
The answer's body and the log tell the reason.
.PP
It has no queue, no disk and no state of its own.
SIGTERM, SIGINT and SIGQUIT end it: it takes no new requests, and answers those in flight.
.SH COMMANDS
"""
TAIL = """\
.SH ROUTING
.B BRIDGE_EXCHANGE
and
.B BRIDGE_ROUTING_KEY
are templates with the fields {topic}, {account}, {region}, {topic_arn} and {subject}, which Amazon signs,
and {attribute.NAME}, which nobody signs.
.B BRIDGE_ROUTES
names a TOML file of rules, of which the first that matches wins:
.PP
.nf
.RS
[[route]]
topic = "arn:aws:sns:*:123456789012:orders"
exchange = "orders"
routing_key = "{region}.{attribute.kind}"
body = "message"
.RE
.fi
.SH EXIT STATUS
.TP
.B 0
done
.TP
.B 1
the command found something wrong
.TP
.B 2
the settings or arguments can't be used; one line on standard error says which
.SH EXAMPLES
Publish what one topic sends to the quorum queue
.IR orders ,
which is declared:
.PP
.nf
.RS
export BRIDGE_TOPICS=arn:aws:sns:eu\\-central\\-1:123456789012:orders
export BRIDGE_AMQP_URL=amqps://bridge@broker.example.com/%2F
export BRIDGE_AMQP_PASSWORD_FILE=/run/secrets/amqp BRIDGE_QUEUE=orders
bridge check && bridge
.RE
.fi
.PP
Is this message genuine?
.PP
.nf
.RS
bridge verify \\-\\-at message message.json
.RE
.fi
"""
COMPLETION = """\
# Completion of bridge's commands and settings, for bash, and for zsh when it is sourced. Made by tests/tools/manual.py.
[ -z "$ZSH_VERSION" ] || {{ autoload -U +X bashcompinit && bashcompinit; }}
_bridge() {{
    local word=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD-1]}} words=
    case $before in
        {files}) COMPREPLY=($(compgen -f -- "$word")); return ;;
        {folders}) COMPREPLY=($(compgen -d -- "$word")); return ;;
{choices}
        {others}) return ;;
    esac
    [ -n "$words" ] || words="{flags} --help --version"
    [ "$COMP_CWORD" != 1 ] || words="{commands} $words"
    if [ "${{COMP_WORDS[1]}}" = verify ] && [ "$COMP_CWORD" != 1 ]; then
        case $word in -*) words="--at $words" ;; *) COMPREPLY=($(compgen -f -- "$word")); return ;; esac
    fi
    COMPREPLY=($(compgen -W "$words" -- "$word"))
}}
complete -F _bridge bridge
"""


def roff(text: str) -> str:
    """Text of the tables as roff: `code` and **strong** in bold."""
    text = text.replace("\\", "\\e").replace("…", "...").replace("-", "\\-")
    text = re.sub(r"\*\*(.+?)\*\*|`(.+?)`", lambda match: f"\\fB{match[1] or match[2]}\\fR", text)
    return re.sub(r"^(?=[.'])", r"\\&", text)


def entry(setting: Setting) -> str:
    """One setting's entry."""
    default = f"\nDefault: \\fB{roff(setting.default)}\\fR." if setting.default else ""
    names = f"\\fB{roff(setting.flag)}\\fR \\fI{roff(setting.metavar)}\\fR, \\fB{roff(setting.variable)}\\fR"
    return f".TP\n{names}\n{roff(setting.meaning)}{default}\n"


def manual() -> str:
    """The page, for man(7)."""
    commands = "".join(f".TP\n.B {name}\n{roff(meaning)}\n" for name, meaning in COMMANDS.items())
    options = ".TP\n.B \\-\\-version\nprint the versions of all that is inside\n.TP\n.B \\-\\-help\nprint commands and settings\n"
    settings = "".join(map(entry, SETTINGS))
    intro = "Each is a flag and an environment variable; an unknown\n.B BRIDGE_*\nvariable is an error.\n"
    return f"{HEAD.format(date=DATE, version=VERSION)}{commands}{options}.SH SETTINGS\n{intro}{settings}{TAIL}"


def completion() -> str:
    """The script."""
    words = {s.flag: s.metavar.split("|") for s in SETTINGS if "|" in s.metavar and s.metavar.islower()}
    kinds = {metavar: "|".join(s.flag for s in SETTINGS if s.metavar == metavar) for metavar in ("FILE", "FOLDER")}
    others = "|".join(s.flag for s in SETTINGS if s.metavar not in kinds and s.flag not in words)
    return COMPLETION.format(
        files=kinds["FILE"],
        folders=kinds["FOLDER"],
        choices="\n".join(f'        {flag}) words="{" ".join(choices)}" ;;' for flag, choices in words.items()),
        others=others,
        flags=" ".join(setting.flag for setting in SETTINGS),
        commands=" ".join(COMMANDS),
    )


FILES = {ROOT / "docs/bridge.1": manual, ROOT / "docs/completion/bridge": completion}


def write() -> None:
    """Write both files."""
    for path, made in FILES.items():
        path.write_text(made(), encoding="utf-8")


if __name__ == "__main__":
    write()
