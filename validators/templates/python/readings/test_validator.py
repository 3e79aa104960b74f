import math
import unittest
from types import SimpleNamespace

from validator import Validator
from weir import Log, Reading, accept, judge, replace, suspect

CONFIG = {"limits": {"temperature": {"min": -40, "max": 85}}}


class TheValidator(unittest.TestCase):
    def setUp(self):
        self.lines = []
        self.validator = Validator(CONFIG, Log(lambda level, line: self.lines.append((level, line))))

    def verdict(self, metric, value):
        return self.validator.check(Reading("room-4", metric, value))

    def test_what_is_inside_is_accepted(self):
        self.assertEqual(self.verdict("temperature", 85.0), accept())
        self.assertEqual(self.verdict("humidity", 900.0), accept())

    def test_what_is_outside_is_rejected_with_the_limit(self):
        self.assertEqual(self.verdict("temperature", 86.5).reason, "temperature is 86.5, above the limit of 85")
        self.assertEqual(self.verdict("temperature", -41.0).reason, "temperature is -41, below the limit of -40")

    def test_a_rejection_leaves_a_line_in_the_log(self):
        self.verdict("temperature", 86.5)
        self.assertEqual(self.lines, [("info", "room-4: temperature is 86.5, above the limit of 85")])

    def test_a_wrong_configuration_is_named(self):
        with self.assertRaisesRegex(ValueError, "limits.temperature"):
            Validator({"limits": {"temperature": {"min": 0}}}, self.validator.log)


class TheColumns(unittest.TestCase):
    def test_verdicts_keep_their_rows(self):
        batch = SimpleNamespace(
            sensors=["first", "second"],
            metrics=["temperature", "open", "mode"],
            units=["", "Cel"],
            sensor=[0, 0, 1],
            metric=[0, 1, 2],
            unit=[1, 0, 0],
            time=[10, 10, 20],
            value=[21.5, 1.0, math.nan],
            text=[(1, "true"), (2, "eco")],
        )
        seen = []
        verdicts = iter([replace(294.65).with_unit("K"), suspect(), replace(False).derive("open", "", True)])
        outcome = judge(SimpleNamespace(check=lambda reading: seen.append(reading.value) or next(verdicts)), batch)
        self.assertEqual(seen, [21.5, True, "eco"])
        self.assertEqual(outcome.value, [(0, 294.65), (2, 0.0)])
        self.assertEqual(outcome.text, [(2, "false")])
        self.assertEqual(outcome.unit, [(0, "K")])
        self.assertEqual(outcome.suspect, [1])
        self.assertEqual(outcome.derived, [(2, "open", "", 1.0, "true")])


if __name__ == "__main__":
    unittest.main()
