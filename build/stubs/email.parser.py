# Header fields as RFC 9112 section 5 has them, obsolete folding joined; the first line that is none is a defect and ends them.
import re
from email.errors import FirstHeaderLineIsContinuationDefect, MissingHeaderBodySeparatorDefect
from email.message import Message

_FIELD = re.compile(r"([\x21-\x39\x3b-\x7e]+):(.*)", re.S)


class Parser:
    def __init__(self, _class=Message, *, policy=None):
        self._class = _class

    def parsestr(self, text, headersonly=False):
        message, fields = self._class(), []
        lines = re.split(r"(?<=\n)|(?<=\r)(?!\n)", text)
        while lines:
            line = lines.pop(0)
            field = _FIELD.match(line)
            if field:
                fields.append([field[1], field[2].lstrip(" \t")])
            elif line[:1] in (" ", "\t") and line.strip():
                if fields:
                    fields[-1][1] += line
                else:
                    message.defects.append(FirstHeaderLineIsContinuationDefect(line))
            else:
                if line.strip("\r\n"):
                    message.defects.append(MissingHeaderBodySeparatorDefect())
                    lines.insert(0, line)
                break
        for name, value in fields:
            message[name] = value.rstrip("\r\n")
        message.set_payload("".join(lines))
        return message
