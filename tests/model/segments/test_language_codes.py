"""Language codes of models and manifests, in earmark's spelling."""

import pytest

from earmark.model.segments.language_codes import THREE_LETTERS, TWO_LETTERS, all_codes, language_code, short_code
from earmark.schemas.errors import RowError


@pytest.mark.parametrize(
    ("language", "short", "codes"),
    [
        ("en", "en", ("en", "eng")),
        ("en-US", "en", ("en", "eng")),
        ("ENG", "en", ("eng",)),
        ("pt_BR", "pt", ("pt", "por")),
        ("zh-Hans-CN", "zh", ("zh", "zho", "cmn")),
        ("cmn-script_simplified", "zh", ("cmn", "zho")),
        ("swh", "sw", ("swh", "swa")),
        ("ms", "ms", ("ms", "msa", "zsm", "zlm")),
        ("nb", "nb", ("nb", "nob")),
        ("no", "no", ("no", "nor", "nob")),
        ("nob", "nb", ("nob",)),
        ("yue", "yue", ("yue",)),
        ("tw", "tw", ("tw", "twi")),
    ],
)
def test_a_language_is_recognised_by_its_codes(language, short, codes):
    assert short_code(language) == short
    assert all_codes(language) == codes


def test_every_two_letter_code_of_the_standard_has_its_three_letters():
    assert len(THREE_LETTERS) == 183  # ISO 639-1, without the withdrawn sh
    assert all(len(two) == 2 for two in THREE_LETTERS)
    assert all(len(three) == 3 for codes in THREE_LETTERS.values() for three in codes)
    assert TWO_LETTERS.keys() == {three for codes in THREE_LETTERS.values() for three in codes}
    firsts = [codes[0] for codes in THREE_LETTERS.values()]
    assert len(set(firsts)) == len(firsts)


def test_an_empty_language_is_none_and_an_invalid_one_an_error():
    assert (language_code(""), language_code("pt_BR"), language_code("YUE")) == (None, "pt", "yue")
    for text in ("English", "e", "12", "-", "*"):
        with pytest.raises(RowError, match="is not a language code; use one such as en, zh, de"):
            language_code(text)
