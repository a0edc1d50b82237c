"""Well-known names of models, for completion and suggestions; any other hub id works as well."""

import difflib
from pathlib import Path

from earmark.model.families import FAMILIES
from earmark.schemas.suggest import suggest

PACKAGED_NAMES = ("whisper-tiny.en",)
HUB_IDS = tuple(sorted(example for family in FAMILIES for example in family.examples))
KNOWN_MODELS = (*PACKAGED_NAMES, *HUB_IDS)


def suggest_model(name: str) -> str:
    """The end of a message: a folder with a similar name, or else a well-known model with one; "" for none."""
    return suggest_folder(name) or suggest(name, KNOWN_MODELS)


def suggest_folder(name: str) -> str:
    """As suggest_model, for folders alone."""
    path = Path(name.removeprefix("file://")).expanduser()
    if not path.name or not path.parent.is_dir():
        return ""
    try:
        siblings = [folder.name for folder in path.parent.iterdir() if folder.is_dir()]
    except PermissionError:
        return ""
    close = difflib.get_close_matches(path.name, siblings, n=1)  # of the last part, as the parts before it are the same
    return f"; did you mean {path.parent / close[0]}?" if close else ""
