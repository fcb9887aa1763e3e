"""What commands print."""


def say(line: str) -> None:
    """Print a line. It may hold texts of a broker or of SQS, so a character that is not printable becomes "?"."""
    print("".join(one if one.isprintable() else "?" for one in line))
