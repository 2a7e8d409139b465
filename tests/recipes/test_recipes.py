import ast
import pathlib
import re

from absl.testing import parameterized

from tests.harness import SemCompTestCase

FOLDER = pathlib.Path(__file__).resolve().parents[2] / "recipes"
RECIPES = sorted(p.name for p in FOLDER.glob("*.py") if p.name != "__init__.py")
# One file in, one file out: there is nothing to leave out.
NO_SMOKE = ("export_", "figure_")


class RecipesTest(SemCompTestCase):
    def test_the_list_is_whole(self):
        lines = (FOLDER / "README.md").read_text(encoding="utf-8").splitlines()
        rows = [re.split(r"\s*\|\s*", line)[1:-1] for line in lines if line[:1] == "|"]
        self.assertEqual(
            rows[0], ["recipe", "command, in short", "data", "cost", "expect"]
        )
        self.assertCountEqual([row[0].strip("`") for row in rows[2:]], RECIPES)
        for row in rows[2:]:
            self.assertLen(row, 5)
            self.assertTrue(all(row), row[0])

    @parameterized.parameters(*RECIPES)
    def test_documents_itself(self, name):
        tree = ast.parse((FOLDER / name).read_text(encoding="utf-8"))
        text = ast.get_docstring(tree) or ""
        for title in ("Paper", "Run", "Cost", "(?:Expect|Result)"):
            self.assertRegex(text, rf"(?m)^{title}:\s+\S")
        self.assertIn(f"recipes/{name}", text)

    @parameterized.parameters(*RECIPES)
    def test_takes_the_flags_of_its_kind(self, name):
        tree = ast.parse((FOLDER / name).read_text(encoding="utf-8"))
        flags, shared = set(), False
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                if node.func.attr.startswith("DEFINE_"):
                    flags.add(node.args[0].value)
                # --size, --max_steps, --smoke and the rest of a training.
                shared |= ast.unparse(node.func) == "recipe_flags.define"
        self.assertEqual(shared, name.startswith("train_"))
        if not shared and not name.startswith(NO_SMOKE):
            self.assertIn("smoke", flags)
