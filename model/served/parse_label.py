"""Labels that a model says in words: which one it said, and how likely it was to say each."""

import math
import re
from collections.abc import Sequence

from earmark.model.served.replies import Token

NOT_PLAIN = re.compile(r"[\W_]+")
# Of a label that none of the likeliest tokens begins; OpenAI's API writes the same of a token that is none of them.
UNLIKELY_LOGPROB = -9999.0


def plain(text: str) -> str:
    """Letters and digits alone, small: "Throat-clearing." and "throat clearing" are the same answer."""
    return NOT_PLAIN.sub("", text).casefold()


def alike(labels: Sequence[str]) -> tuple[str, str] | None:
    """Two labels that `plain` makes one, or one of which it leaves nothing; None where all can be told apart."""
    seen: dict[str, str] = {"": ""}
    for label in labels:
        if plain(label) in seen:
            return seen[plain(label)], label
        seen[plain(label)] = label
    return None


def said_label(text: str, labels: Sequence[str]) -> str | None:
    """The label that an answer is, whatever its case and punctuation; None for another answer."""
    return next((label for label in labels if plain(label) == plain(text)), None)


def label_logprobs(tokens: Sequence[Token], label: str, labels: Sequence[str]) -> tuple[float, ...] | None:
    """For each of `labels`, the log of the probability that the model begins an answer with it.

    An answer is read until it can only be one label. At each token, the probability of each of the likeliest tokens
    goes to the labels that it would go on to, evenly where these are several: what follows it was not told. So it is
    exact for labels that differ in the token at which they part, and in no case does an answer tell of tokens that are
    not among the likeliest.

    Args:
        tokens: of the answer.
        label: that the answer is.

    Returns:
        None where the tokens are not those of the label, or tell of no other token than the one that was written.
    """
    names = [plain(name) for name in labels]
    masses = [0.0] * len(labels)
    written, so_far, told_others = b"", 1.0, False
    for token in tokens:
        for other in token.likeliest:
            if other.text == token.written.text:
                continue
            told_others = True
            begun = _read(written + other.text)
            going_on = [index for index, name in enumerate(names) if begun and name.startswith(begun)]
            for index in going_on:
                masses[index] += so_far * math.exp(other.logprob) / len(going_on)
        written += token.written.text
        so_far *= math.exp(token.written.logprob)
        if [name for name in names if name.startswith(_read(written))] == [plain(label)]:
            break
    if not told_others or not _read(written) or not plain(label).startswith(_read(written)):
        return None
    masses[labels.index(label)] += so_far
    return tuple(math.log(mass) if mass > 0 else UNLIKELY_LOGPROB for mass in masses)


def _read(written: bytes) -> str:
    """Tokens as plain text; the half of a character at their end is left to the next token."""
    return plain(written.decode(errors="ignore"))
