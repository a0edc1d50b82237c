"""Names of models that people ask for, to complete them and to say what was meant; any other hub id works as well."""

import difflib
from pathlib import Path

from earmark.model.families import FAMILIES
from earmark.schemas.suggest import suggest

PACKAGED_NAMES = ("whisper-tiny.en",)
HUB_IDS = tuple(sorted(example for family in FAMILIES for example in family.examples))
KNOWN_MODELS = (*PACKAGED_NAMES, *HUB_IDS)


def suggest_model(name: str) -> str:
    """The end of a sentence: which folder beside the one of that name, or else which known name, was meant."""
    return suggest_folder(name) or suggest(name, KNOWN_MODELS)


def suggest_folder(name: str) -> str:
    """As suggest_model, of folders alone."""
    path = Path(name.removeprefix("file://")).expanduser()
    if not path.name or not path.parent.is_dir():
        return ""
    try:
        beside = [one.name for one in path.parent.iterdir() if one.is_dir()]
    except PermissionError:
        return ""
    close = difflib.get_close_matches(path.name, beside, n=1)  # of the last part, as the rest is the same
    return f"; did you mean {path.parent / close[0]}?" if close else ""
