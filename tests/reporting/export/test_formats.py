"""The registry of export formats."""

import pytest

from earmark.reporting.export.formats import FORMATS


def test_formats_have_the_names_that_scripts_use():
    assert list(FORMATS) == ["nemo", "hf", "vtt", "srt", "lhotse", "csv"]


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_has_its_writer(name):
    assert FORMATS[name].writer().__name__ == "write"
