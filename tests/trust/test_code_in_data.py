"""Data are never code: what no module may use, read off the sources."""

import ast
import pathlib

from absl.testing import parameterized

from tests.harness import SemCompTestCase

ROOT = pathlib.Path(__file__).resolve().parents[2]
PLACES = ("tfsemcomp", "recipes", "tfrecords_tools", "docs_tools")
SOURCES = sorted(
    str(path.relative_to(ROOT))
    for place in PLACES
    for path in (ROOT / place).rglob("*.py")
)
# Processes of one run hand each other errors; nothing is read from a file.
EXCEPT = {"tfsemcomp/evaluation/workers.py": ["14: import of pickle"]}
MODULES = {"pickle", "cPickle", "dill", "marshal", "shelve", "joblib"}
CALLS = {"eval", "exec", "os.system", "os.popen", "yaml.load", "torch.load"}
# Layers and ops that are Python's, or that stand for code in a saved model.
IN_MODELS = {"Lambda", "py_function", "numpy_function", "py_func"}


def found_in(source: str, in_models: bool) -> list[str]:
    """What a source may not use, with line numbers."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            names = [alias.name for alias in node.names]
            names += [getattr(node, "module", None) or ""]
            wrong = [n for n in names if n.partition(".")[0] in MODULES]
            found += [f"{node.lineno}: import of {name}" for name in wrong]
        if not isinstance(node, ast.Call):
            continue
        name = ast.unparse(node.func)
        options = {word.arg: ast.unparse(word.value) for word in node.keywords}
        if name in CALLS or options.get("shell") == "True":
            found.append(f"{node.lineno}: {name}")
        if name in ("np.load", "numpy.load") and options.get("allow_pickle", "") != (
            "False"
        ):
            found.append(f"{node.lineno}: {name} without allow_pickle=False")
        if in_models and name.rpartition(".")[2] in IN_MODELS:
            found.append(f"{node.lineno}: {name}")
        if name.endswith("load_model") and options.get("safe_mode") == "False":
            found.append(f"{node.lineno}: {name} with safe_mode=False")
    return found


class CodeInDataTest(SemCompTestCase):
    @parameterized.parameters(*SOURCES)
    def test_no_source_uses_what_runs_code_from_data(self, path):
        in_models = path.startswith(
            tuple(f"tfsemcomp/{room}" for room in ("models", "layers", "serving"))
        )
        source = (ROOT / path).read_text(encoding="utf-8")
        self.assertEqual(found_in(source, in_models), EXCEPT.get(path, []))

    @parameterized.parameters(
        "import pickle",
        "from marshal import loads",
        "eval('1')",
        "import subprocess\nsubprocess.run('ls', shell=True)",
        "import numpy as np\nnp.load('a.npz')",
        "import numpy as np\nnp.load('a.npz', allow_pickle=True)",
        "tf.keras.layers.Lambda(abs)",
        "tf.numpy_function(abs, [x], tf.int32)",
        "tf.keras.models.load_model('a', safe_mode=False)",
    )
    def test_and_what_does_is_found(self, source):
        self.assertLen(found_in(source, in_models=True), 1)
