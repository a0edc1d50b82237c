"""Checks of the machine itself: versions, devices, extras."""

import importlib.metadata
import os
import platform
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import av
import psutil
import soundfile
from packaging.requirements import Requirement

from earmark.pipeline.doctor.check import Check
from earmark.reporting.inspect.players import PLAYERS, find_player

DISTRIBUTION = "earmark"
# Listed with their versions; other libraries only where they are missing or too old.
LISTED = ("apache-beam", "torch", "transformers", "ctranslate2", "pyarrow")
NVIDIA_SMI_S = 5.0
EXTRAS = {"s3fs": "s3", "sherpa-onnx": "sherpa"}  # by the distributions that they install
GIB = 2**30


def versions() -> Iterator[Check]:
    yield _python()
    try:
        yield Check("versions", DISTRIBUTION, "ok", importlib.metadata.version(DISTRIBUTION))
        requirements = [Requirement(line) for line in importlib.metadata.requires(DISTRIBUTION) or ()]
    except importlib.metadata.PackageNotFoundError:
        yield Check("versions", DISTRIBUTION, "warning", "runs from its source, not installed", "pip install .")
        requirements = [Requirement(name) for name in LISTED]
    for requirement in requirements:
        check = _library(requirement)
        if requirement.marker is None and (check.status != "ok" or requirement.name in LISTED):
            yield check
    libraries = {"libavcodec", "libavformat", "libavutil", "libswresample"}
    versions_of = {name: ".".join(map(str, av.library_versions[name])) for name in sorted(libraries)}
    yield Check("versions", "ffmpeg", "ok", ", ".join(f"{name} {version}" for name, version in versions_of.items()))
    yield Check("versions", "libsndfile", "ok", soundfile.__libsndfile_version__)


def _python() -> Check:
    version = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    if tuple(map(int, platform.python_version_tuple()[:2])) >= (3, 11):
        return Check("versions", "python", "ok", version)
    return Check("versions", "python", "problem", version, "install Python 3.11 or later, and earmark in it")


def _library(requirement: Requirement) -> Check:
    remedy = f"pip install --upgrade '{requirement}'"
    try:
        version = importlib.metadata.version(requirement.name)
    except importlib.metadata.PackageNotFoundError:
        return Check("versions", requirement.name, "problem", "not installed", remedy)
    if requirement.specifier.contains(version, prereleases=True):
        return Check("versions", requirement.name, "ok", version)
    return Check("versions", requirement.name, "problem", f"{version}, earmark needs {requirement.specifier}", remedy)


@dataclass(frozen=True, slots=True)
class Memory:
    """Memory of the device that a model would run on, in bytes."""

    device: str
    total: int
    free: int


def devices() -> Iterator[Check]:
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    yield Check("devices", "cpu", "ok", f"{usable} cores")
    memory = psutil.virtual_memory()
    yield Check("devices", "memory", "ok", f"{memory.available / GIB:.1f} GiB free of {memory.total / GIB:.1f} GiB")
    gpus = _nvidia_smi()
    try:
        import torch
    except (ImportError, OSError) as error:  # a CUDA library that is absent or of another version
        yield Check("devices", "torch", "problem", f"cannot be imported ({error})", "install torch again")
        return
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    driver = f", driver {gpus[0].driver}" if gpus else ""
    for index in range(count):
        properties = torch.cuda.get_device_properties(index)
        finding = f"{properties.name}, {properties.total_memory / GIB:.1f} GiB{driver}, CUDA {torch.version.cuda}"
        yield Check("devices", f"cuda:{index}", "ok", finding)
    if count:
        yield _ctranslate2(count)
    elif gpus:
        names = ", ".join(gpu.name for gpu in gpus)
        hidden = "CUDA_VISIBLE_DEVICES" in os.environ
        remedy = "unset CUDA_VISIBLE_DEVICES" if hidden else "update the driver, or install a torch built for it"
        finding = f"the driver {gpus[0].driver} has {names}; torch {torch.__version__} sees none"
        yield Check("devices", "cuda", "warning" if hidden else "problem", finding, remedy)
    else:
        yield Check("devices", "cuda", "ok", "no CUDA device: models run on the CPU")


def _ctranslate2(expected: int) -> Check:
    import ctranslate2

    count = ctranslate2.get_cuda_device_count()
    if count >= expected:
        return Check("devices", "ctranslate2", "ok", f"sees {count} CUDA devices")
    finding = f"sees {count} of {expected} CUDA devices"
    return Check("devices", "ctranslate2", "warning", finding, "install the CUDA libraries that CTranslate2 names")


@dataclass(frozen=True, slots=True)
class _Gpu:
    name: str
    driver: str
    free: int


def _nvidia_smi() -> list[_Gpu]:
    """The GPUs that NVIDIA's own tool lists, whatever torch was built for; empty without the tool or a driver."""
    command = shutil.which("nvidia-smi")
    if command is None:
        return []
    query = [command, "--query-gpu=name,driver_version,memory.free", "--format=csv,noheader,nounits"]
    try:
        process = subprocess.run(query, capture_output=True, text=True, timeout=NVIDIA_SMI_S)
    except (OSError, subprocess.TimeoutExpired):
        return []
    rows = [line.split(", ") for line in process.stdout.splitlines()] if process.returncode == 0 else []
    return [_Gpu(row[0], row[1], int(row[2]) * 2**20) for row in rows if len(row) == 3 and row[2].isdecimal()]


def model_memory() -> Memory:
    """Memory of the largest CUDA device, or of the machine where torch sees none."""
    try:
        import torch

        totals = [torch.cuda.get_device_properties(index).total_memory for index in range(torch.cuda.device_count())]
    except (ImportError, OSError):  # devices() reports it
        totals = []
    if totals:
        return Memory("cuda", max(totals), max((gpu.free for gpu in _nvidia_smi()), default=max(totals)))
    memory = psutil.virtual_memory()
    return Memory("cpu", memory.total, memory.available)


def extras(locations: Sequence[str]) -> Iterator[Check]:
    """Libraries that only some uses need; `locations`: the output and models of the command."""
    for name, extra in EXTRAS.items():
        try:
            yield Check("extras", name, "ok", importlib.metadata.version(name))
        except importlib.metadata.PackageNotFoundError:
            needed = name == "s3fs" and any(location.startswith(("s3://", "s3a://")) for location in locations)
            remedy = f"pip install 'earmark[{extra}]'" + ("" if needed else ", where it is needed")
            yield Check("extras", name, "problem" if needed else "ok", "not installed", remedy)
    player = find_player()
    if player is not None:
        yield Check("extras", "player", "ok", player.path)
    else:
        names = ", ".join(name for name, *_ in PLAYERS)
        remedy = f"for `earmark inspect` to play: install one of {names}"
        yield Check("extras", "player", "ok", "none", remedy)
