import unittest
from types import SimpleNamespace

from validator import Validator
from weir import Document, Log, accept, judge, reject, replace

CONFIG = {"prefixes": {"kafka-topics": "plant-"}}


class TheValidator(unittest.TestCase):
    def setUp(self):
        self.lines = []
        self.validator = Validator(CONFIG, Log(lambda level, line: self.lines.append((level, line))))

    def verdict(self, kind, body, operation="create"):
        return self.validator.check(Document(kind, operation, body, "user:ann"))

    def test_a_name_with_the_prefix_is_accepted(self):
        self.assertEqual(self.verdict("kafka-topics", {"name": "plant-1"}), accept())
        self.assertEqual(self.verdict("schemas", {"name": "office"}), accept())

    def test_another_name_is_rejected_with_the_prefix(self):
        self.assertEqual(self.verdict("kafka-topics", {"name": "office"}), reject("/name", "begin the name with `plant-`"))
        self.assertEqual(self.verdict("kafka-topics", {}, "delete"), accept())

    def test_blanks_at_the_ends_of_a_description_go(self):
        change = {"description": " a  b\n", "ingest": True}
        self.assertEqual(self.verdict("kafka-topics", change, "update"), replace({"description": "a  b", "ingest": True}))

    def test_a_rejection_leaves_a_line_in_the_log(self):
        self.verdict("kafka-topics", {"name": "office"})
        line = "user:ann: the name of a new one of kafka-topics does not begin with plant-"
        self.assertEqual(self.lines, [("info", line)])

    def test_a_wrong_configuration_is_named(self):
        with self.assertRaisesRegex(ValueError, "prefixes.schemas"):
            Validator({"prefixes": {"schemas": 3}}, self.validator.log)


class TheInterface(unittest.TestCase):
    def judge(self, verdict):
        seen = []
        shown = SimpleNamespace(
            kind="schemas", operation=SimpleNamespace(name="CREATE"), subject="user:ann", id=None, body='{"name": "a"}'
        )
        said = judge(SimpleNamespace(check=lambda document: seen.append(document) or verdict), shown)
        self.assertEqual(seen, [Document("schemas", "create", {"name": "a"}, "user:ann")])
        return said

    def test_a_document_is_read_and_its_verdict_kept(self):
        verdict = reject("/name", "too short").and_also("", "too few")
        self.assertEqual(self.judge(verdict).problems, (("/name", "too short"), ("", "too few")))

    def test_no_verdict_is_an_error(self):
        with self.assertRaisesRegex(TypeError, "gave no verdict"):
            self.judge(None)


if __name__ == "__main__":
    unittest.main()
