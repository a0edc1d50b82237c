"""Where a model runs, and in which numbers; checked before any work where this machine is the one that runs it."""

import ctranslate2

from schemas.errors import JobError


def choose_device(wanted: str) -> str:
    """ "cpu" or "cuda" for "auto", "cpu" or "cuda".

    Raises:
        JobError: "cuda" is wanted and there is none; a model never runs elsewhere than it was told to.
    """
    if wanted == "cpu":
        return "cpu"
    if ctranslate2.get_cuda_device_count() > 0:
        return "cuda"
    if wanted == "cuda":
        raise JobError("--device=cuda, and no CUDA device is to be seen; use --device=cpu or look at the driver")
    return "cpu"


def check_device(device: str, compute_type: str) -> None:
    """Raises JobError where there is no such device here, or it does not compute in such numbers."""
    chosen = choose_device(device)
    possible = sorted(ctranslate2.get_supported_compute_types(chosen))
    if compute_type not in ("default", *possible):
        raise JobError(f"--compute_type={compute_type} is none that {chosen} has here: {', '.join(possible)}, default")
