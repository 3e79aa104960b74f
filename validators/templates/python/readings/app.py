"""What Weir calls. Not to be changed: the validator is in validator.py."""

import json

from componentize_py_types import Err
from wit_world import exports
from wit_world.exports.readings import Batch, Derived, Outcome, Rejection
from wit_world.imports import config, log

from validator import Validator
from weir import Log, judge

LEVELS = {"debug": log.Level.DEBUG, "info": log.Level.INFO, "warn": log.Level.WARN, "error": log.Level.ERROR}


class Readings(exports.Readings):
    def check(self, batch: Batch) -> Outcome:
        try:
            validator = Validator(json.loads(config.json()), Log(lambda level, line: log.write(LEVELS[level], str(line))))
        except ValueError as error:
            raise Err(str(error)) from None
        outcome = judge(validator, batch)
        return Outcome(
            [Rejection(*rejected) for rejected in outcome.rejected],
            outcome.suspect,
            outcome.value,
            outcome.text,
            outcome.unit,
            [Derived(*derived) for derived in outcome.derived],
        )
