"""From Weir's documents, which have their body as text, to dictionaries.

Not to be changed. It runs under any Python as well, so that tests need no WebAssembly.
"""

import json
from dataclasses import dataclass
from typing import Any, Callable, Protocol, Union


@dataclass(frozen=True)
class Document:
    """A resource of the platform on its way to the database.

    `kind` is that of the resource, as in the path: `kafka-topics`. `operation` is `create`, `update` or `delete`. `body` is what was
    sent: all of a new resource, the changed fields of another, nothing of one to be deleted. `subject` asks, as in the policy. `id` is
    its name or id; none before it has one.
    """

    kind: str
    operation: str
    body: dict
    subject: str = ""
    id: Union[str, None] = None


@dataclass(frozen=True)
class Verdict:
    """What becomes of a document."""

    body: Union[dict, None] = None
    problems: tuple = ()

    def and_also(self, path: str, reason: str) -> "Verdict":
        """It is refused for a further reason."""
        return Verdict(problems=(*self.problems, (path, reason)))


def accept() -> Verdict:
    """The document goes on as it is."""
    return Verdict()


def replace(body: dict) -> Verdict:
    """It goes on as this. Not for one to be deleted."""
    return Verdict(body=body)


def reject(path: str, reason: str) -> Verdict:
    """It is refused. `path` is a JSON Pointer to what is wrong, such as `/name`; the empty text is the whole."""
    return Verdict(problems=((path, reason),))


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


class Checks(Protocol):
    """What has a verdict for a document."""

    def check(self, document: Document) -> Verdict: ...


def judge(validator: Checks, document: Any) -> Verdict:
    """Shows a document, as the interface has it, to a validator."""
    operation = getattr(document.operation, "name", document.operation).lower()
    shown = Document(document.kind, operation, json.loads(document.body), document.subject, document.id)
    verdict = validator.check(shown)
    if not isinstance(verdict, Verdict):
        raise TypeError("the validator gave no verdict: return accept(), replace(…) or reject(…)")
    return verdict
