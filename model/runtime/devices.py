"""Where a model runs; never elsewhere than it was told to."""

from earmark.schemas.errors import JobError

DEFAULT_COMPUTE_TYPES = {"cpu": "float32", "cuda": "bfloat16"}  # of torch models, by kind of device


def choose_device(wanted: str, cuda_devices: int) -> str:
    """ "cpu" or "cuda" for "auto", "cpu" or "cuda", where the engine's runtime sees so many CUDA devices.

    Raises:
        JobError: "cuda" is wanted and there is none.
    """
    if wanted == "cpu":
        return "cpu"
    if cuda_devices > 0:
        return "cuda"
    if wanted == "cuda":
        raise JobError("--device=cuda, and no CUDA device is to be seen; use --device=cpu or look at the driver")
    return "cpu"


def check_compute_type(compute_type: str, possible: "set[str]", chosen: str) -> None:
    """Raises JobError where an engine does not compute in such numbers on the device."""
    if compute_type not in {"default", *possible}:
        words = ", ".join(sorted(possible))
        raise JobError(f"--compute_type={compute_type} is none that {chosen} has here: {words}, default")
