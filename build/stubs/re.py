# The build has compiled all patterns (build/patterns.py). The compiler is not in the binary.
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


def _made(pattern, flags=0):
    if isinstance(pattern, (str, bytes)):
        raise RuntimeError("no compiler of regular expressions is in the binary")
    return pattern


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
    return _made(repl)
