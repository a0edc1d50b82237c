"""Checks of models: where they are cached, whether one is available, and whether it fits into memory.

No model is loaded or fetched: the names, sizes and headers of its files are enough.
"""

import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from fsspec.core import url_to_fs

from earmark.model.checkpoints.checkpoint import HUB_ID, PACKAGED, Checkpoint, find_checkpoint
from earmark.model.checkpoints.copy_from_store import models_folder
from earmark.model.checkpoints.files import is_read
from earmark.model.checkpoints.find_family import find_family
from earmark.model.checkpoints.size import ModelSize, estimate_size, model_size
from earmark.model.plugins.entry_points import NAMED, entry_point, is_own_engine
from earmark.model.served.endpoint import Endpoint, find_endpoint, names_endpoint
from earmark.pipeline.doctor.check import Check
from earmark.pipeline.doctor.locations import without_user
from earmark.pipeline.doctor.machine import model_memory
from earmark.schemas.errors import JobError
from earmark.schemas.job import JobOptions
from earmark.schemas.tasks import BUILT_IN
from earmark.transforms.storage.file_system import StorageError, call_with_timeout, wrap_storage_errors

GB = 1e9
HUB_S = 8.0
SERVER_S = 5.0
REMEDY = "name a folder, hub id or URL as `earmark annotate --help` says"


def caches() -> Iterator[Check]:
    """The folders with models on this machine."""
    from huggingface_hub.constants import HF_HUB_CACHE

    for name, folder in (("hub", Path(HF_HUB_CACHE)), ("object stores", models_folder())):
        existing = next(path for path in (folder, *folder.parents) if path.exists())
        free = shutil.disk_usage(existing).free / GB
        yield Check("model caches", name, "ok", f"{folder}: {_size(folder) / GB:.2f} GB, {free:.1f} GB free")


def _size(folder: Path) -> int:
    """Bytes of all files; a file that disappears in the meantime counts nothing."""
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            path = Path(parent, name)
            if path.is_file() and not path.is_symlink():  # a snapshot of the hub links to blobs
                total += path.stat().st_size
    return total


def model(entry: str) -> Check:
    """Whether a model of --model, given as MODEL or TASK=MODEL, is available here and fits into memory."""
    name = _without_task(entry)
    try:
        if names_endpoint(name):
            return _served(find_endpoint(name))
        if is_own_engine(name):
            return _own_engine(name)
        if name in PACKAGED:
            return _in_folder(name, find_checkpoint(name).folder)
        folder = Path(name.removeprefix("file://")).expanduser()
        if folder.is_dir():
            return _in_folder(name, str(folder))
        if "://" in name:
            return _in_store(name)
        if HUB_ID.fullmatch(name):
            return _on_hub(name)
    except (JobError, ValueError, OSError) as error:
        public = without_user(name)
        finding, _, remedy = str(error).replace(name, public).rpartition("; ")  # the form of earmark's own errors
        return Check("model", public, "problem", finding or remedy, remedy if finding else REMEDY)
    return Check("model", name, "problem", "there is no such folder, and it is not a hub id or URL", REMEDY)


def _without_task(entry: str) -> str:
    task, equals, name = entry.partition("=")
    return name if equals and task.isidentifier() else entry


def _served(endpoint: Endpoint) -> Check:
    from earmark.model.served.engine import check_job

    tasks = [task for task in BUILT_IN if task.name == "transcribe"]
    check_job(endpoint, JobOptions(endpoint_timeout_s=SERVER_S), tasks, here=True)
    return Check("model", endpoint.name, "ok", "the server answers")


def _own_engine(name: str) -> Check:
    parts = NAMED.fullmatch(name)
    assert parts is not None  # because is_own_engine(name)
    point = entry_point(name, parts["entry_point"])
    package = f"{point.dist.name} {point.dist.version}" if point.dist else "a package"
    return Check("model", name, "ok", f"{package} has the engine")


def _in_folder(name: str, folder: str) -> Check:
    family = find_family(Checkpoint(name, folder, ""))
    return _fits(name, f"{folder}: {family.name}", model_size(Path(folder)))


def _in_store(name: str) -> Check:
    def sizes() -> dict[str, int]:
        with wrap_storage_errors():
            file_system, path = url_to_fs(name)
            entries = file_system.ls(path, detail=True)
        return {entry["name"].rpartition("/")[2]: entry.get("size") or 0 for entry in entries}

    try:
        file_bytes = call_with_timeout(sizes)
    except FileNotFoundError as error:
        raise StorageError(f"there is no such folder or bucket {name}") from error
    return _to_fetch(name, file_bytes, models_folder())


def _on_hub(name: str) -> Check:
    from huggingface_hub.constants import HF_HUB_CACHE

    from earmark.model.checkpoints import hub

    if folder := hub.cached_snapshot(name):
        return _in_folder(name, str(folder))
    try:
        sizes = hub.list_file_sizes(name, HUB_S)
    except hub.HUB_ERRORS as error:
        remedy = "check the network, the name and HF_TOKEN; or name a folder of it"
        reason = hub.first_line(error)
        return Check(
            "model", name, "problem", f"not on this machine, and not available from the hub ({reason})", remedy
        )
    return _to_fetch(name, sizes, Path(HF_HUB_CACHE))


def _to_fetch(name: str, file_bytes: Mapping[str, int], cache: Path) -> Check:
    """Whether a model that a run would copy to this machine first fits on its disk and into its memory."""
    size = estimate_size(file_bytes)
    public = without_user(name)
    existing = next(path for path in (cache, *cache.parents) if path.exists())
    total = sum(count for file, count in file_bytes.items() if is_read(file))
    free = shutil.disk_usage(existing).free
    about = f"a run fetches {total / GB:.2f} GB to {cache}"
    if total > free:
        remedy = "make room there, or let HF_HOME or EARMARK_CACHE name another folder"
        return Check("model", public, "problem", f"{about}, where {free / GB:.1f} GB are free", remedy)
    return _fits(public, about, size)


def _fits(name: str, about: str, size: ModelSize) -> Check:
    memory = model_memory()
    needed = size.weight_bytes(JobOptions(), memory.device)
    device = "the GPU" if memory.device == "cuda" else "this machine"
    finding = (
        f"{about}, {size.file_bytes / GB:.2f} GB of weights, about {needed / GB:.2f} GB in memory and more while it"
        f" runs; {device} has {memory.total / GB:.1f} GB, of which {memory.free / GB:.1f} GB are free"
    )
    if needed > memory.total:
        remedy = "take a smaller model, a smaller --compute_type where its engine has one, or a larger device"
        return Check("model", name, "problem", finding, remedy)
    if needed > memory.free:
        return Check("model", name, "warning", finding, "end other programs that use the memory")
    return Check("model", name, "ok", finding)
