"""Normalizers, which make a reference and a hypothesis comparable, by name.

They follow Qwen2-Audio's published evaluation (eval_audio/evaluate_asr.py): tags such as <|en|> are removed; English
is normalised by Whisper's English normaliser and then by its basic one, from the package that it imports
(whisper-normalizer); Chinese and Cantonese are compared by characters, Cantonese after conversion to simplified ones
(zhconv). One thing differs: it spells out digits in Chinese texts (with speechio's cn_tn.py, which has no release; the
maintained cn2an spells 11 of 28 texts differently, 1500米 and 编号27149 among them). Here digits stay digits, so 100
and 一百 differ.
"""

import functools
import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass

from earmark.schemas.errors import JobError
from earmark.schemas.suggest import suggest

TAG = re.compile(r"<\|.*?\|>")
BEFORE_PUNCTUATION = re.compile(r" ?([!,.?;:])")
# Normalizers by language code; `basic` for all other languages.
BY_LANGUAGE = {"en": "whisper-english", "zh": "chinese", "cmn": "chinese", "yue": "cantonese"}


@dataclass(frozen=True, slots=True)
class Normalizer:
    """A function that makes texts comparable.

    Attributes:
        by_characters: Whether each character counts as a word, for languages without spaces.
    """

    name: str
    clean: Callable[[str], str]
    by_characters: bool = False

    def words(self, text: str) -> list[str]:
        """The words of a text, the units of a word error rate."""
        words = self.clean(TAG.sub(" ", text)).split()
        return list("".join(words)) if self.by_characters else words

    def text(self, text: str) -> str:
        """The normalised text, whose characters are the units of a character error rate."""
        return ("" if self.by_characters else " ").join(self.words(text))


def _one_space(text: str) -> str:
    """One space between words and none before punctuation: Whisper's normalisers take "she's  got" for "she is got"."""
    return BEFORE_PUNCTUATION.sub(r"\1", re.sub(r"\s+", " ", text)).lstrip(" ")


@functools.cache
def _whisper_english() -> Callable[[str], str]:
    from whisper_normalizer.english import EnglishTextNormalizer

    english, basic = EnglishTextNormalizer(), _whisper_basic()
    return lambda text: basic(english(_one_space(text)))


@functools.cache
def _whisper_basic() -> Callable[[str], str]:
    from whisper_normalizer.basic import BasicTextNormalizer

    basic: Callable[[str], str] = BasicTextNormalizer()
    return lambda text: basic(_one_space(text))


def _chinese(text: str) -> str:
    """The text in lower case, without punctuation and symbols."""
    return "".join(" " if unicodedata.category(char)[0] in "PSZC" else char for char in text).lower()


def _cantonese(text: str) -> str:
    import zhconv

    return _whisper_basic()(zhconv.convert(_one_space(text), "zh-cn"))


def _lower_no_punctuation(text: str) -> str:
    """The text in lower case, without punctuation other than apostrophes within words."""
    plain = text.lower().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")
    words = "".join(" " if unicodedata.category(char)[0] == "P" and char != "'" else char for char in plain)
    return " ".join(word.strip("'") for word in words.split())


NORMALIZERS = {
    normalizer.name: normalizer
    for normalizer in (
        Normalizer("whisper-english", lambda text: _whisper_english()(text)),
        Normalizer("basic", lambda text: _whisper_basic()(text)),
        Normalizer("chinese", _chinese, by_characters=True),
        Normalizer("cantonese", _cantonese, by_characters=True),
        Normalizer("lower-no-punctuation", _lower_no_punctuation),
        Normalizer("none", str),
    )
}


def find_normalizer(name: str) -> Normalizer:
    """The normalizer of a name. Raises JobError for an unknown name."""
    if name not in NORMALIZERS:
        choices = f"choose from {', '.join(NORMALIZERS)}{suggest(name, NORMALIZERS)}"
        raise JobError(f"--normalizer={name} does not work: {choices}")
    return NORMALIZERS[name]


@functools.cache
def normalizer_for(language: str) -> Normalizer:
    """The normalizer of the published evaluation for a language; `basic` for an unknown language."""
    return NORMALIZERS[BY_LANGUAGE.get(base_language(language), "basic")]


def base_language(language: str) -> str:
    """The language of a code, without its region: zh for zh-CN."""
    return re.split("[-_]", language.lower(), maxsplit=1)[0]
