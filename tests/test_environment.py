import os

from tests.harness import SemCompTestCase
from tfsemcomp import environment

NEW, OLD = "TFSEMCOMP_TEST_NEW", "PATH"


class ChangedTest(SemCompTestCase):
    def test_all_is_as_before_also_after_an_error(self):
        before = dict(os.environ)
        changed = environment.changed({NEW: "1", OLD: "/nowhere"})
        with self.assertRaisesRegex(KeyError, "inside"), changed:
            self.assertEqual((os.environ[NEW], os.environ[OLD]), ("1", "/nowhere"))
            raise KeyError("inside")
        self.assertEqual(dict(os.environ), before)

    def test_a_new_variable_may_be_taken_away_meanwhile(self):
        with environment.changed({NEW: "1"}):
            del os.environ[NEW]
        self.assertNotIn(NEW, os.environ)
