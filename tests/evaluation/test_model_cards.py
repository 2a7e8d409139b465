import contextlib
import io
import json
import os
from unittest import mock

from absl import flags

from tests.harness import SemCompTestCase
from tfsemcomp.evaluation import model_cards
from tfsemcomp.serving import manifest


class ModelCardsTest(SemCompTestCase):
    def setUp(self):
        super().setUp()
        run = self.folder / "run"
        run.mkdir()
        record = {"flags": {"steps": 7, "batch": 3}, "network": {"size": "tiny"}}
        (run / "run.json").write_text(json.dumps(record))
        self.models = self.folder / "models"
        patch = mock.patch.dict(os.environ, TFSEMCOMP_MODELS=str(self.models))
        patch.start()
        self.addCleanup(patch.stop)

    def write(self, name, *argv, **facts):
        values = flags.FlagValues()
        card = model_cards.define("rnn", flag_values=values)
        values(
            [
                "export",
                f"--run={self.folder / 'run'}",
                f"--name={name}",
                f"--out={self.models}",
                *argv,
            ]
        )
        path = card.root / str(card.version)
        path.mkdir(parents=True)
        (path / "saved_model.pb").write_bytes(b"graph")
        with contextlib.redirect_stdout(io.StringIO()) as out:
            card.write(path, parameters=5, **facts)
        self.assertEqual(json.loads(out.getvalue())["parameters"], 5)
        return json.loads((card.root / "card.json").read_text())

    def test_a_card_tells_where_its_model_is_from(self):
        card = self.write("one", "--terms=photos=free", "--recipe=a", "--recipe=b")
        self.assertEqual(card["network"], {"size": "tiny"})
        self.assertEqual((card["steps"], card["images_seen"]), (7, 21))
        self.assertEqual(card["data"], {"photos": "free"})
        self.assertEqual(card["recipe"], ["a", "b"])
        sha256 = manifest.sha256(self.models / "one" / "1" / "saved_model.pb")
        self.assertEqual(card["sha256"], sha256)

    def test_runs_before_count_if_told(self):
        card = self.write("one", "--steps=70", "--images_seen=900", codes={"x": 1})
        self.assertEqual((card["steps"], card["images_seen"]), (70, 900))
        self.assertEqual(card["codes"], {"x": 1})

    def test_results_are_added(self):
        self.write("one", "--default")
        self.write("two")
        model_cards.enter_results({"one": {"a": 1, "b": 1}, "other": {"a": 9}})
        model_cards.enter_results({"one": {"b": 2}})
        cards = {model.name: model.card for model in manifest.list_models()}
        self.assertEqual(cards["one"]["results"], {"a": 1, "b": 2})
        self.assertEqual(cards["two"]["results"], {})
        self.assertEqual(manifest.default_model("rnn").name, "one")
