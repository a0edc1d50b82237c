"""`earmark doctor`: checks whether this machine has what a run needs; each finding with its remedy."""

import dataclasses
import os
import re
from collections.abc import Iterable, Iterator, Mapping

from earmark.pipeline.doctor.check import Check

SECRET_NAMES = re.compile(r"(KEY|KEY_ID|TOKEN|SECRET|PASSWORD|PASSWD)$", re.IGNORECASE)
SHORTEST_SECRET = 6  # characters: shorter values occur in many harmless words


def examine(output: str, models: Iterable[str], scratch_dir: str) -> Iterator[Check]:
    """Every check; the network is used only where `output` or a model is remote.

    Args:
        output: Folder or URL that a run would write to; "" for none.
        models: Models as --model names them.
        scratch_dir: Folder of --scratch_dir.
    """
    from earmark.pipeline.doctor.codecs import codecs
    from earmark.pipeline.doctor.locations import credentials, scratch, writing
    from earmark.pipeline.doctor.machine import devices, extras, versions
    from earmark.pipeline.doctor.models import caches, model

    yield from versions()
    yield from devices()
    yield from codecs()
    yield from credentials()
    yield scratch(scratch_dir)
    if output:
        yield writing(output)
    yield from caches()
    for name in models:
        yield model(name)
    yield from extras([output, *models])


def without_secrets(check: Check, environment: Mapping[str, str] = os.environ) -> Check:
    """The check without the values of keys, tokens and passwords in the environment, should a library repeat them."""
    values = {value for name, value in environment.items() if SECRET_NAMES.search(name)}
    secrets = sorted((value for value in values if len(value) >= SHORTEST_SECRET), key=len, reverse=True)

    def redact(text: str) -> str:
        for secret in secrets:
            text = text.replace(secret, "***")
        return text

    return dataclasses.replace(check, found=redact(check.found), remedy=redact(check.remedy))
