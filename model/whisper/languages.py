"""Which languages a Whisper checkpoint knows."""

from collections.abc import Mapping
from typing import Any

from tokenizers import Tokenizer

from earmark.model.segments.language_codes import primary_code
from earmark.schemas.errors import RowError

# Tokens of a multilingual vocabulary; the English-only one is smaller (whisper/model.py, is_multilingual).
MULTILINGUAL_TOKENS = 51_865
ENGLISH_ONLY = frozenset({"en"})


def whisper_languages(tokenizer: Tokenizer, generation_config: Mapping[str, Any] | None = None) -> frozenset[str]:
    """Codes such as "en" and "zh"; English alone for an English-only checkpoint, whose tokens name others in vain.

    Args:
        generation_config: of a checkpoint of transformers, which says so itself unless it is an old one; the
            tokenizer tells where it does not.
    """
    said = generation_config or {}
    if said.get("is_multilingual") is False:
        return ENGLISH_ONLY
    if said.get("lang_to_id"):
        return frozenset(name.strip("<|>") for name in said["lang_to_id"])
    start, end = (tokenizer.token_to_id(name) for name in ("<|startoftranscript|>", "<|translate|>"))
    if tokenizer.get_vocab_size() < MULTILINGUAL_TOKENS or start is None or end is None:
        return ENGLISH_ONLY
    names = (tokenizer.id_to_token(token) for token in range(start + 1, end))
    return frozenset(name.strip("<|>") for name in names if name)


def spoken_language(wanted: str, known: frozenset[str]) -> str:
    """The code in `known` for a language as manifests name it: "en", "en-US", "pt_BR".

    Raises:
        RowError: the checkpoint does not know the language.
    """
    language = primary_code(wanted)
    if language in known:
        return language
    if known == ENGLISH_ONLY:
        raise RowError("language", f"the model knows English only, and is asked for {wanted!r}")
    raise RowError("language", f"the model knows no language {wanted!r}; use a code such as en, de, zh")
