# Patterns that are known when the binary is built are compiled then (build/patterns.py). The compiler is for others, and is
# imported at the first of them.
import _sre

__version__ = "2.2.1"
NOFLAG = 0
I = IGNORECASE = 2  # noqa: E741
L = LOCALE = 4
M = MULTILINE = 8
S = DOTALL = 16
U = UNICODE = 32
X = VERBOSE = 64
A = ASCII = 256
_SPECIAL = {ord(character): "\\" + character for character in "()[]{}?*+-|^$\\.&~# \t\n\r\v\f"}
_compiled = {}


def _made(pattern, flags=0):
    if not isinstance(pattern, (str, bytes)):
        return pattern
    key = type(pattern), pattern, flags
    found = _compiled.get(key)
    if found is None:
        from re import _compiler

        if len(_compiled) >= 512:
            _compiled.clear()
        found = _compiled[key] = _compiler.compile(pattern, flags)
    return found


compile = _made


def match(pattern, string, flags=0):
    return _made(pattern, flags).match(string)


def fullmatch(pattern, string, flags=0):
    return _made(pattern, flags).fullmatch(string)


def search(pattern, string, flags=0):
    return _made(pattern, flags).search(string)


def findall(pattern, string, flags=0):
    return _made(pattern, flags).findall(string)


def finditer(pattern, string, flags=0):
    return _made(pattern, flags).finditer(string)


def split(pattern, string, maxsplit=0, flags=0):
    return _made(pattern, flags).split(string, maxsplit)


def sub(pattern, repl, string, count=0, flags=0):
    return _made(pattern, flags).sub(repl, string, count)


def escape(pattern):
    if isinstance(pattern, str):
        return pattern.translate(_SPECIAL)
    return str(pattern, "latin1").translate(_SPECIAL).encode("latin1")


def _compile_template(pattern, repl):  # the C half calls it
    from re import _parser

    return _sre.template(pattern, _parser.parse_template(repl, pattern))
