"""Holds the names of new resources to a prefix, and takes blanks off the ends of descriptions. This is the file to change."""

from weir import Document, Log, Verdict, accept, reject, replace


class Validator:
    def __init__(self, config: dict, log: Log) -> None:
        """Called once for each document. A ValueError refuses it: it says what is wrong with the configuration.

        The configuration is what the validator was deployed with: `{"prefixes": {"kafka-topics": "plant-"}}`.
        """
        self.log = log
        self.prefixes = config.get("prefixes", {})
        for kind, prefix in self.prefixes.items():
            if not isinstance(prefix, str):
                raise ValueError(f"the configuration is wrong at `prefixes.{kind}`: give a text")

    def check(self, document: Document) -> Verdict:
        """Called for the document: all of a new resource, or the fields of another that are to change."""
        if document.operation == "delete":
            return accept()
        prefix, name = self.prefixes.get(document.kind, ""), document.body.get("name")
        # That there is a name is Weir's own affair.
        if document.operation == "create" and isinstance(name, str) and not name.startswith(prefix):
            self.log.info(f"{document.subject}: the name of a new one of {document.kind} does not begin with {prefix}")
            return reject("/name", f"begin the name with `{prefix}`")
        description = document.body.get("description")
        if not isinstance(description, str) or description == description.strip():
            return accept()
        return replace({**document.body, "description": description.strip()})
