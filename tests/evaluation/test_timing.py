from tests.harness import SemCompTestCase
from tfsemcomp.evaluation import timing


class TimingTest(SemCompTestCase):
    def test_works_take_turns_and_the_first_run_does_not_count(self):
        order = []
        works = {name: lambda name=name: order.append(name) for name in "ab"}
        found = timing.seconds(works, 2)
        self.assertEqual(order, list("ababab"))
        self.assertEqual(set(found), {"a", "b"})
        for value in found.values():
            self.assertGreater(value, 0)

    def test_no_run_is_refused(self):
        with self.assertRaisesRegex(ValueError, "`repeats` must be at least 1"):
            timing.seconds({}, 0)
