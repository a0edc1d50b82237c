"""The registry of checkpoint families: each has an engine's module, and names no file that may hold code."""

import pytest

from earmark.model.audio_chat.chat_format import ChatFormat
from earmark.model.audio_chat.supported_models import CHAT_FORMATS
from earmark.model.checkpoints.files import FILES, is_read
from earmark.model.checkpoints.weights import PICKLES
from earmark.model.engine import import_engine
from earmark.model.families import FAMILIES


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_every_family_has_an_engine(family):
    module = import_engine(family.module)
    assert callable(module.check_job) and callable(module.open_engine)


def test_every_audio_chat_has_a_class():
    assert all(issubclass(chat, ChatFormat) for chat in CHAT_FORMATS.values())


def test_the_files_of_all_families_are_read_and_nothing_else():
    assert all(pattern in FILES for family in FAMILIES for pattern in family.files)
    assert is_read("adapter.deu.safetensors") and is_read("model-00001-of-00002.safetensors")
    # model.bin is CTranslate2's own format, which holds no code.
    assert not any(is_read(f"pytorch_model{suffix}") or is_read(f"weights{suffix}") for suffix in PICKLES)
    assert not is_read("README.md")
