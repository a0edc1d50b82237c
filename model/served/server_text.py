"""Text of a server, made fit for a line of earmark's own."""

SHOWN_CHARACTERS = 200


def shortened(text: str, secret: str = "") -> str:
    """At most SHOWN_CHARACTERS of a text in one line, without control sequences of terminals and without `secret`."""
    if secret:
        text = text.replace(secret, "[key]")
    line = " ".join(text.split())
    if len(line) > SHOWN_CHARACTERS:
        line = line[:SHOWN_CHARACTERS] + "…"
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in line)
