# Host names outside ASCII are refused, by the name that requests expects.
class IDNAError(UnicodeError):
    pass


def encode(s, *args, **options):
    try:
        return s.encode("ascii")
    except UnicodeError:
        raise IDNAError("only ASCII host names (write the xn-- form)") from None
