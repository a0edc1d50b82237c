"""The counters of a run: Beam metrics everywhere, and a tally in this process that a terminal can watch."""

import contextlib
import functools
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from apache_beam.metrics import Metrics

NAMESPACE = "earmark"
_lock = threading.Lock()
_tallies: dict[str, Counter[str]] = {}


@dataclass(frozen=True, slots=True)
class Counters:
    """Counts for one run."""

    run_id: str

    def add(self, name: str, count: int = 1) -> None:
        _metric(name).inc(count)
        with _lock:
            _tallies.setdefault(self.run_id, Counter())[name] += count

    @contextlib.contextmanager
    def time(self, name: str) -> Iterator[None]:
        """Count the milliseconds inside the context; those of all workers add up."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self.add(name, round(1000 * (time.perf_counter() - began)))

    def here(self) -> Counter[str]:
        """Counts of this process for the run so far."""
        with _lock:
            return _tallies.get(self.run_id, Counter()).copy()


NO_RUN = Counters("")  # for pipelines that are not a run of earmark


@functools.cache  # some counters are increased for every row
def _metric(name: str) -> Any:
    return Metrics.counter(NAMESPACE, name)
