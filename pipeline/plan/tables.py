"""Tables of devices, models, speeds and prices: speeds.yaml and prices.yaml, or files of the same form."""

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Literal, TypeVar

import yaml
from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass as checked

from earmark.schemas.errors import JobError

T = TypeVar("T")
STRICT = ConfigDict(extra="forbid")  # a misspelled name is an error


@checked(frozen=True, config=STRICT)
class Device:
    """A device that runs models; speeds.yaml describes the fields of these records."""

    name: str
    kind: Literal["cpu", "cuda"]
    called: str
    memory_gb: float
    cores: int = 0


@checked(frozen=True, config=STRICT)
class KnownModel:
    name: str
    family: str
    parameters_m: float
    cache_values: int = 0
    known_as: tuple[str, ...] = ()


@checked(frozen=True, config=STRICT)
class Speed:
    device: str
    model: str
    tasks: tuple[str, ...]
    compute_type: str
    rtfx: float
    recording_s: float
    measured: Literal["command", "engine"]
    bench: str
    date: datetime.date
    start_s: float = 0.0
    beam_size: int = 0
    timestamps: bool = False


@checked(frozen=True, config=STRICT)
class SpeedTable:
    devices: tuple[Device, ...] = ()
    models: tuple[KnownModel, ...] = ()
    speeds: tuple[Speed, ...] = ()


@checked(frozen=True, config=STRICT)
class Price:
    machine: str
    device: str
    usd_per_hour: float
    date: datetime.date
    source: str
    devices: int = 1


@checked(frozen=True, config=STRICT)
class PriceTable:
    lost_share: float
    machines: tuple[Price, ...]


@dataclass(frozen=True, slots=True)
class Tables:
    """The tables that estimates are made from."""

    speed_table: SpeedTable
    prices: PriceTable


def read_tables(speeds: str = "", prices: str = "") -> Tables:
    """earmark's own tables, the entries of the file `speeds` before its own, those of `prices` instead of its own.

    Raises:
        JobError: A file cannot be read or has another form, or names a device or a model that no table has.
    """
    table = _parse(_own("speeds.yaml"), "speeds.yaml", SpeedTable)
    if speeds:
        table = _merge(_parse(_read(speeds, "speeds"), f"--speeds={speeds}", SpeedTable), table)
    priced = _parse(_read(prices, "prices"), f"--prices={prices}", PriceTable) if prices else _own_prices()
    _check_names("device", [speed.device for speed in table.speeds], [device.name for device in table.devices])
    _check_names("device", [price.device for price in priced.machines], [device.name for device in table.devices])
    _check_names("model", [speed.model for speed in table.speeds], [model.name for model in table.models])
    return Tables(table, priced)


def _own_prices() -> PriceTable:
    return _parse(_own("prices.yaml"), "prices.yaml", PriceTable)


def _merge(users: SpeedTable, own: SpeedTable) -> SpeedTable:
    return SpeedTable(
        devices=(*users.devices, *(device for device in own.devices if device.name not in _names(users.devices))),
        models=(*users.models, *(model for model in own.models if model.name not in _names(users.models))),
        speeds=(*users.speeds, *own.speeds),
    )


def _names(entries: Sequence[Device] | Sequence[KnownModel]) -> set[str]:
    return {entry.name for entry in entries}


def _own(name: str) -> str:
    return resources.files("earmark.pipeline.plan").joinpath(name).read_text(encoding="utf-8")


def _read(path: str, option: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise JobError(f"--{option}={path} cannot be read: {error}") from error


def _parse(text: str, called: str, kind: type[T]) -> T:
    try:
        return TypeAdapter(kind).validate_python(yaml.safe_load(text))
    except yaml.YAMLError as error:
        raise JobError(f"{called} is not YAML: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        location = ".".join(map(str, first["loc"])) or "the file"
        raise JobError(
            f"{called}: {location}: {first['msg']} (pipeline/plan/speeds.yaml and prices.yaml show the form)"
        ) from error


def _check_names(what: str, named: Sequence[str], listed: Sequence[str]) -> None:
    for name in named:
        if name not in listed:
            raise JobError(f"there is no {what} {name!r} in the tables of plan; they have {', '.join(listed)}")
