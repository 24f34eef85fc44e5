"""Text for terminals."""


def printable(text: str) -> str:
    r"""`text` in which nothing can move the cursor, change colors or forge a line: such is escaped.

    >>> print(printable("kind\x1b[2J"))
    kind\x1b[2J
    """
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else _escaped(each) for each in text)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
