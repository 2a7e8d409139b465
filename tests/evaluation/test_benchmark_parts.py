import contextlib
import io
import json

from tests.harness import SemCompTestCase
from tfsemcomp.evaluation import benchmark_parts


class BenchmarkPartsTest(SemCompTestCase):
    def measure(self, wanted, parts):
        with contextlib.redirect_stdout(io.StringIO()):
            return benchmark_parts.measure(self.path, wanted, parts)

    def setUp(self):
        super().setUp()
        self.path = self.folder / "new" / "result.json"

    def test_parts_that_are_not_measured_again_stay(self):
        parts = {"a": lambda: {"x": 1}, "b": lambda: {"x": 2}}
        self.measure(["b", "a"], parts)
        found = self.measure(["a"], {**parts, "a": lambda: {"x": 3}})
        self.assertEqual((found["a"], found["b"]), ({"x": 3}, {"x": 2}))
        self.assertEqual(json.loads(self.path.read_text()), found)
        self.assertLessEqual({"commit", "versions", "machine"}, set(found))

    def test_what_is_done_is_kept_when_a_part_fails(self):
        def fails():
            raise OSError("full")

        with self.assertRaises(OSError):
            self.measure(["a", "b"], {"a": lambda: {"x": 1}, "b": fails})
        self.assertEqual(json.loads(self.path.read_text())["a"], {"x": 1})

    def test_an_unknown_part_is_named_before_work_begins(self):
        with self.assertRaisesRegex(ValueError, "`parts` must be of a; received c"):
            self.measure(["a", "c"], {"a": self.fail})
