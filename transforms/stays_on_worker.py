"""A coder for elements that hold audio: they are never encoded, so audio never crosses a network."""

from typing import Any, NoReturn

import apache_beam as beam


class StaysOnWorker(beam.coders.Coder):
    """Refuses to encode, and tells Beam's size sampling nothing, which would encode as well."""

    def encode(self, value: Any) -> NoReturn:
        raise TypeError(
            f"a {type(value).__name__} would leave its worker: the runner did not fuse the stages around it"
        )

    def decode(self, encoded: bytes) -> NoReturn:
        raise TypeError("what is never encoded cannot be decoded")

    def estimate_size(self, value: Any) -> int:
        return 0

    def is_deterministic(self) -> bool:
        return False

    def to_type_hint(self) -> Any:
        return Any
