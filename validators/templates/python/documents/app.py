"""What Weir calls. Not to be changed: the validator is in validator.py."""

import json

from componentize_py_types import Err
from wit_world import exports
from wit_world.exports.documents import Document, Problem, Verdict, Verdict_Accept, Verdict_Reject, Verdict_Replace
from wit_world.imports import config, log

from validator import Validator
from weir import Log, judge

LEVELS = {"debug": log.Level.DEBUG, "info": log.Level.INFO, "warn": log.Level.WARN, "error": log.Level.ERROR}


class Documents(exports.Documents):
    def check(self, document: Document) -> Verdict:
        try:
            validator = Validator(json.loads(config.json()), Log(lambda level, line: log.write(LEVELS[level], str(line))))
        except ValueError as error:
            raise Err(str(error)) from None
        verdict = judge(validator, document)
        if verdict.problems:
            return Verdict_Reject([Problem(path, reason) for path, reason in verdict.problems])
        if verdict.body is None:
            return Verdict_Accept()
        return Verdict_Replace(json.dumps(verdict.body))
