"""Labels in the text of a reply: the label that a reply is, and the probability of each label."""

import math
import re
from collections.abc import Sequence

from earmark.model.served.replies import Token

NOT_PLAIN = re.compile(r"[\W_]+")
# Of a label that no returned token begins; OpenAI's API has the same for a token that is not among the likeliest.
UNLIKELY_LOGPROB = -9999.0


def plain(text: str) -> str:
    """Letters and digits only, in lower case: "Throat-clearing." and "throat clearing" are the same answer."""
    return NOT_PLAIN.sub("", text).casefold()


def find_indistinguishable(labels: Sequence[str]) -> tuple[str, str] | None:
    """Two labels whose `plain` texts are the same, or one whose plain text is empty, with ""; else None."""
    label_of: dict[str, str] = {"": ""}
    for label in labels:
        if plain(label) in label_of:
            return label_of[plain(label)], label
        label_of[plain(label)] = label
    return None


def match_label(text: str, labels: Sequence[str]) -> str | None:
    """The label that a reply is, whatever its case and punctuation; None for another text."""
    return next((label for label in labels if plain(label) == plain(text)), None)


def label_logprobs(tokens: Sequence[Token], label: str, labels: Sequence[str]) -> tuple[float, ...] | None:
    """For each of `labels`, the log of the probability that a reply begins with it.

    A reply is read until it can only be one label. At each position, the probability of each of the likeliest tokens
    goes to the labels that it would continue, evenly where these are several, because the tokens after it are unknown.
    So the result is exact for labels that differ in the token at which they part, and never includes tokens that are
    not among the likeliest.

    Args:
        tokens: Tokens of the reply.
        label: Label that the reply is.

    Returns:
        None where the tokens are not those of the label, or where no alternative to them was returned.
    """
    names = [plain(name) for name in labels]
    masses = [0.0] * len(labels)
    prefix, prefix_probability, has_alternatives = b"", 1.0, False
    for token in tokens:
        for candidate in token.likeliest:
            if candidate.text == token.chosen.text:
                continue
            has_alternatives = True
            begun = _plain_bytes(prefix + candidate.text)
            continued = [index for index, name in enumerate(names) if begun and name.startswith(begun)]
            for index in continued:
                masses[index] += prefix_probability * math.exp(candidate.logprob) / len(continued)
        prefix += token.chosen.text
        prefix_probability *= math.exp(token.chosen.logprob)
        if [name for name in names if name.startswith(_plain_bytes(prefix))] == [plain(label)]:
            break
    if not has_alternatives or not _plain_bytes(prefix) or not plain(label).startswith(_plain_bytes(prefix)):
        return None
    masses[labels.index(label)] += prefix_probability
    return tuple(math.log(mass) if mass > 0 else UNLIKELY_LOGPROB for mass in masses)


def _plain_bytes(text: bytes) -> str:
    """Tokens as plain text; half a character at the end is left out, because the next token completes it."""
    return plain(text.decode(errors="ignore"))
