"""Checks of the locations that a run reads and writes: credentials, and the right to write."""

import configparser
import contextlib
import os
import shutil
import tempfile
import urllib.parse
import uuid
from collections.abc import Iterator
from pathlib import Path

from earmark.pipeline.doctor.check import Check
from earmark.schemas.errors import JobError
from earmark.transforms.output.store import JOB_PATH, OutputStore
from earmark.transforms.storage.file_system import call_with_timeout

GIB = 2**30
LOW_GIB = 2.0  # a scratch folder holds 512 MiB of a shard, for each of some workers
PROBE = b"earmark doctor tests whether it may write here; this may be removed"


def credentials() -> Iterator[Check]:
    """Report the locations of credentials, never their values; whether they are still valid is not checked."""
    yield _google()
    yield _aws()
    yield _hub()
    yield _endpoint()


def _google() -> Check:
    if named := os.environ.get("GOOGLE_APPLICATION_CREDENTIALS"):
        if Path(named).is_file():
            return Check("credentials", "google", "ok", f"GOOGLE_APPLICATION_CREDENTIALS: {named}")
        finding = f"GOOGLE_APPLICATION_CREDENTIALS names {named}, which is not a file"
        return Check("credentials", "google", "problem", finding, "correct it, or unset it")
    config = Path(os.environ.get("CLOUDSDK_CONFIG") or "~/.config/gcloud").expanduser()
    if (config / "application_default_credentials.json").is_file():
        return Check("credentials", "google", "ok", f"{config / 'application_default_credentials.json'}")
    remedy = "for gs:// from elsewhere than Google's own machines: gcloud auth application-default login"
    return Check("credentials", "google", "ok", "none found", remedy)


def _aws() -> Check:
    if os.environ.get("AWS_ACCESS_KEY_ID"):
        if os.environ.get("AWS_SECRET_ACCESS_KEY"):
            return Check("credentials", "aws", "ok", "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are set")
        finding = "AWS_ACCESS_KEY_ID is set, AWS_SECRET_ACCESS_KEY is not"
        return Check("credentials", "aws", "problem", finding, "set both, or neither")
    for variable in ("AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"):
        if os.environ.get(variable):
            return Check("credentials", "aws", "ok", f"{variable} is set")
    profile = os.environ.get("AWS_PROFILE") or "default"
    for variable, default, section in (
        ("AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials", profile),
        ("AWS_CONFIG_FILE", "~/.aws/config", profile if profile == "default" else f"profile {profile}"),
    ):
        path = Path(os.environ.get(variable) or default).expanduser()
        if _has_section(path, section):
            return Check("credentials", "aws", "ok", f"profile {profile} in {path}")
    if os.environ.get("AWS_PROFILE"):
        finding = f"AWS_PROFILE is {profile}, which no file of AWS's has"
        return Check("credentials", "aws", "problem", finding, "correct it, or unset it")
    remedy = "for s3:// from elsewhere than Amazon's own machines: aws configure"
    return Check("credentials", "aws", "ok", "none found", remedy)


def _has_section(path: Path, section: str) -> bool:
    config = configparser.RawConfigParser()
    with contextlib.suppress(configparser.Error, UnicodeDecodeError):  # whose messages would show the file's content
        config.read(path)
    return config.has_section(section)


def _hub() -> Check:
    from huggingface_hub import get_token

    if get_token():
        return Check("credentials", "hugging face", "ok", "a token is set")
    remedy = "for models that require consent: hf auth login, or HF_TOKEN"
    return Check("credentials", "hugging face", "ok", "no token", remedy)


def _endpoint() -> Check:
    from earmark.model.served.client import KEY_VARIABLES, find_key

    try:
        variable, _ = find_key()
    except JobError as error:
        return Check("credentials", "served models", "problem", str(error), "set it again, or unset it")
    if variable:
        return Check("credentials", "served models", "ok", f"{variable} is set")
    remedy = f"for served models that require a key: {' or '.join(KEY_VARIABLES)}"
    return Check("credentials", "served models", "ok", "no key", remedy)


def scratch(scratch_dir: str) -> Check:
    """Writes a file to the folder of --scratch_dir, and removes it."""
    folder = scratch_dir or tempfile.gettempdir()
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(PROBE)
        free = shutil.disk_usage(folder).free / GIB
    except OSError as error:
        remedy = "make room or the right to write there, or name another folder with --scratch_dir"
        return Check("places", "scratch folder", "problem", f"{folder}: {error}", remedy)
    finding = f"{folder}: a file was written and removed; {free:.1f} GiB free"
    if free < LOW_GIB:
        remedy = "make room, or name another folder with --scratch_dir"
        return Check("places", "scratch folder", "warning", finding, remedy)
    return Check("places", "scratch folder", "ok", finding)


def writing(output: str) -> Check:
    """Creates an object in the output as runs do, and removes it again, with the folders that it needed."""
    public = without_user(output)
    local = output.removeprefix("file://")
    is_url = "://" in local
    store = OutputStore((output if is_url else os.path.abspath(local)).rstrip("/"))
    path = f"_earmark/doctor-{uuid.uuid4().hex}"
    made = [] if is_url else _absent_folders(store.root)
    try:
        state = call_with_timeout(lambda: _probe(store, path))
    except (OSError, JobError) as error:
        reason = str(error).replace(output, public)
        remedy = "sign in, ask for the right to write there, or name another output"
        return Check("places", "output", "problem", f"{public} cannot be written: {reason}", remedy)
    finally:
        for folder in made:
            with contextlib.suppress(OSError):  # not created, or it holds other files by now
                os.rmdir(folder)
    return Check("places", "output", "ok", f"{public}: an object was created and removed; {state}")


def without_user(url: str) -> str:
    """A path or URL without the parts that may be secret: user, password and query."""
    scheme, separator, address = url.partition("://")
    if not separator:
        return url
    host, slash, path = address.partition("?")[0].partition("/")
    return f"{scheme}://{urllib.parse.unquote(host).rpartition('@')[2]}{slash}{path}"


def _absent_folders(root: str) -> list[str]:
    """The folders that the first object in an output would create, innermost first."""
    needed = [f"{root}/_earmark/tmp", f"{root}/_earmark", root, *map(str, Path(root).parents)]
    return [folder for folder in needed if not os.path.exists(folder)]


def _probe(store: OutputStore, path: str) -> str:
    """Writes an object and removes it; returns whether the output has runs already, as a phrase."""
    has_job = _has_job(store)
    store.create(path, PROBE)
    store.remove(path)
    return "runs have written there" if has_job else "there is no output yet"


def _has_job(store: OutputStore) -> bool:
    try:
        store.read(JOB_PATH)
    except FileNotFoundError:
        return False
    return True
