"""A coder for elements that hold audio: they are never encoded, so audio never crosses a network."""

from typing import Any, NoReturn

import apache_beam as beam


class StaysOnWorker(beam.coders.Coder):
    """A coder that refuses to encode; every size is 0, as Beam would encode elements to estimate it."""

    def encode(self, value: Any) -> NoReturn:
        raise TypeError(
            f"a {type(value).__name__} would leave its worker: the runner did not fuse the stages around it"
        )

    def decode(self, encoded: bytes) -> NoReturn:
        raise TypeError("elements of this coder are never encoded")

    def estimate_size(self, value: Any) -> int:
        return 0

    def is_deterministic(self) -> bool:
        return False

    def to_type_hint(self) -> Any:
        return Any
