"""From Weir's batches, which are in columns, to one value of a reading after the other, and back.

Not to be changed. It runs under any Python as well, so that tests need no WebAssembly.
"""

import math
from dataclasses import dataclass, field, replace as changed
from typing import Callable, Protocol, Union

Value = Union[float, bool, str]


@dataclass(frozen=True)
class Reading:
    """One value of a reading. `unit` is "" where it has none; `time` is in microseconds since the Unix epoch, UTC."""

    sensor: str
    metric: str
    value: Value
    unit: str = ""
    time: int = 0


@dataclass(frozen=True)
class Verdict:
    """What becomes of a value."""

    reason: Union[str, None] = None
    suspicious: bool = False
    value: Union[Value, None] = None
    unit: Union[str, None] = None
    derived: tuple = field(default=())

    def with_unit(self, unit: str) -> "Verdict":
        """The value gets this unit."""
        return changed(self, unit=unit)

    def with_suspicion(self) -> "Verdict":
        """The reading is stored with the quality `suspect`."""
        return changed(self, suspicious=True)

    def derive(self, metric: str, unit: str, value: Value) -> "Verdict":
        """The reading gets a further value."""
        return changed(self, derived=(*self.derived, (metric, unit, value)))


_ACCEPT = Verdict()


def accept() -> Verdict:
    """The value is stored as it is."""
    return _ACCEPT


def reject(reason: str) -> Verdict:
    """The value is not stored, nor are the others of its reading; the reason is for its sender."""
    return Verdict(reason=reason)


def suspect() -> Verdict:
    """The reading is stored with the quality `suspect`."""
    return Verdict(suspicious=True)


def replace(value: Value) -> Verdict:
    """The value is stored as another one: a number, a boolean or a text."""
    return Verdict(value=value)


class Log:
    """Lines for the tenant's own eyes. A call may leave 100 of them."""

    def __init__(self, write: Callable[[str, str], None]) -> None:
        self._write = write

    def debug(self, line: str) -> None:
        self._write("debug", line)

    def info(self, line: str) -> None:
        self._write("info", line)

    def warn(self, line: str) -> None:
        self._write("warn", line)

    def error(self, line: str) -> None:
        self._write("error", line)


class Judge(Protocol):
    def check(self, reading: Reading) -> Verdict: ...


@dataclass
class Outcome:
    """What is to be different, as the interface has it; `rejected` and `derived` as tuples of their fields."""

    rejected: list = field(default_factory=list)
    suspect: list = field(default_factory=list)
    value: list = field(default_factory=list)
    text: list = field(default_factory=list)
    unit: list = field(default_factory=list)
    derived: list = field(default_factory=list)


def judge(validator: Judge, batch) -> Outcome:
    """Shows each value of a batch to a validator, and gathers what is to be different."""
    outcome = Outcome()
    texts = dict(batch.text)
    columns = zip(batch.sensor, batch.metric, batch.unit, batch.time, batch.value)
    for row, (sensor, metric, unit, time, number) in enumerate(columns):
        value: Value = number
        if row in texts:
            value = texts[row] if math.isnan(number) else number != 0
        reading = Reading(batch.sensors[sensor], batch.metrics[metric], value, batch.units[unit], time)
        verdict = validator.check(reading)
        if verdict is not _ACCEPT:
            _note(outcome, row, verdict, reading)
    return outcome


def _note(outcome: Outcome, row: int, verdict: Verdict, reading: Reading) -> None:
    if not isinstance(verdict, Verdict):
        raise TypeError(f"no verdict on {reading.metric}: return accept(), reject(…), suspect() or replace(…)")
    if verdict.reason is not None:
        outcome.rejected.append((row, str(verdict.reason)))
        return
    if verdict.suspicious:
        outcome.suspect.append(row)
    if verdict.unit is not None:
        outcome.unit.append((row, verdict.unit))
    if verdict.value is not None:
        number, text = _columns(verdict.value)
        if not math.isnan(number):
            outcome.value.append((row, number))
        if text is not None:
            outcome.text.append((row, text))
    for metric, unit, value in verdict.derived:
        outcome.derived.append((row, metric, unit, *_columns(value)))


def _columns(value: Value) -> tuple:
    """A value as the two columns have it: text has no number, and a boolean has both."""
    if isinstance(value, bool):
        return (1.0, "true") if value else (0.0, "false")
    if isinstance(value, str):
        return math.nan, value
    return float(value), None
