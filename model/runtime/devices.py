"""The device and the compute type that a model runs with; never silently another one than was requested."""

from collections.abc import Set

from earmark.schemas.errors import JobError

DEFAULT_COMPUTE_TYPES = {"cpu": "float32", "cuda": "bfloat16"}  # of torch models, by kind of device


def choose_device(requested: str, cuda_devices: int) -> str:
    """Return "cpu" or "cuda".

    Args:
        requested: "auto", "cpu" or "cuda".
        cuda_devices: Number of CUDA devices that the engine's runtime sees.

    Raises:
        JobError: "cuda" is requested and there is no CUDA device.
    """
    if requested == "cpu":
        return "cpu"
    if cuda_devices > 0:
        return "cuda"
    if requested == "cuda":
        raise JobError("--device=cuda does not work: no CUDA device is visible; use --device=cpu or check the driver")
    return "cpu"


def check_compute_type(compute_type: str, supported: Set[str], runtime: str) -> None:
    """Check that a compute type is "default" or supported.

    Args:
        runtime: Device or library that the message names.

    Raises:
        JobError: It is neither.
    """
    if compute_type not in {"default", *supported}:
        names = ", ".join(sorted(supported))
        raise JobError(
            f"--compute_type={compute_type} is not supported by {runtime} here: choose from {names}, default"
        )
