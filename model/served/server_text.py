"""What a server says, made fit for a line of earmark's own."""

SHOWN_CHARACTERS = 200


def shortened(text: str, secret: str = "") -> str:
    """At most SHOWN_CHARACTERS of a text in one line, nothing in it that a terminal would obey, `secret` left out."""
    if secret:
        text = text.replace(secret, "[key]")
    line = " ".join(text.split())
    if len(line) > SHOWN_CHARACTERS:
        line = line[:SHOWN_CHARACTERS] + "…"
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in line)
