import json
import os
import signal
import subprocess
import sys
import time
from unittest import mock

from absl.testing import parameterized

from tests.harness import SemCompTestCase
from tests.serving import model_folder_server, test_manifest
from tfsemcomp.errors import LimitError, ModelMismatchError, SemCompError
from tfsemcomp.serving import fetching, manifest

WEIGHTS = bytes(range(256)) * 40
PATIENCE = fetching.Patience(attempts=3, pause_s=0.0, timeout_s=5.0)
# Of the model "far": card.json, the graph, the weights.
FILES = 3


class FetchingTestCase(SemCompTestCase):
    """A model `far` on a server, and a model `near` that is shipped."""

    def setUp(self):
        super().setUp()
        self.served, shipped = self.folder / "served", self.folder / "shipped"
        for folder, name in ((self.served, "far"), (shipped, "near")):
            folder.mkdir()
            test_manifest.write_model(folder, name, WEIGHTS)
        environment = {
            manifest.ENVIRONMENT_VARIABLE: str(shipped),
            manifest.CACHE_VARIABLE: str(self.folder / "cache"),
            "no_proxy": "127.0.0.1",
        }
        patch = mock.patch.dict(os.environ, environment)
        patch.start()
        self.addCleanup(patch.stop)
        self.shipped = shipped
        self.cache = self.folder / "cache" / "models"
        self.server = model_folder_server.Behaviour(self.served)

    def start(self) -> str:
        context = model_folder_server.serve(self.server)
        url = context.__enter__()
        self.addCleanup(context.__exit__, None, None, None)
        return url

    def fetch(self, name="far", patience=PATIENCE, **options):
        return fetching.fetch(name, self.start(), patience=patience, **options)

    def change_entry(self, **changes):
        path = self.served / "MANIFEST.json"
        content = json.loads(path.read_text())
        content["models"]["far"] |= changes
        path.write_text(json.dumps(content))

    def assert_whole(self, model):
        self.assertEqual(model, manifest.find("far"))
        self.assertEqual(model.path, self.cache / "far" / "1")
        manifest.verify(model)
        self.assertEqual(model.fingerprint, manifest.fingerprint(model.path))
        self.assertEqual(
            model.fingerprint, manifest.fingerprint(self.served / "far" / "1")
        )

    def assert_nothing_fetched(self):
        self.assertEqual([m.name for m in manifest.list_models()], ["near"])
        self.assertFalse((self.cache / "far").exists())


class GoodServerTest(FetchingTestCase):
    def test_a_model_arrives_and_is_found(self):
        shown = []
        model = self.fetch(on_bytes=lambda *of: shown.append(of))
        self.assert_whole(model)
        self.assertEqual([m.name for m in manifest.list_models()], ["far", "near"])
        self.assertIn((len(WEIGHTS), len(WEIGHTS)), shown)
        self.assertEqual(list((self.cache / fetching.PARTIAL).glob("[!.]*")), [])

    def test_what_is_here_costs_no_connection(self):
        model = self.fetch()
        asked = len(self.server.asked)
        self.assertEqual(asked, FILES + 1)
        # Port 1 refuses every connection.
        self.assertEqual(fetching.fetch("far", "http://127.0.0.1:1"), model)
        self.assertEqual(fetching.fetch("near"), manifest.find("near"))
        self.assertLen(self.server.asked, asked)

    def test_the_address_of_the_environment(self):
        with mock.patch.dict(os.environ, {fetching.URL_VARIABLE: self.start() + "//"}):
            self.assert_whole(fetching.fetch("far", patience=PATIENCE))
        self.assertEqual(self.server.asked[0][0], "/MANIFEST.json")

    def test_a_damaged_copy_is_replaced(self):
        url = self.start()
        model = fetching.fetch("far", url, patience=PATIENCE)
        path = model.path / "variables" / "data"
        path.write_bytes(b"other")
        with self.assertRaises(ModelMismatchError):
            manifest.verify(model)
        self.assert_whole(fetching.fetch("far", url, patience=PATIENCE))
        self.assertEqual(path.read_bytes(), WEIGHTS)

    def test_two_processes_fetch_it_once(self):
        code = (
            "import sys; from tfsemcomp.serving import fetching\n"
            "print(fetching.fetch('far', sys.argv[1]).fingerprint.hex())"
        )
        command = [sys.executable, "-c", code, self.start()]
        children = [
            subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
            for _ in range(3)
        ]
        printed = {child.communicate(timeout=120)[0].strip() for child in children}
        self.assertEqual([child.returncode for child in children], [0, 0, 0])
        self.assertEqual(printed, {manifest.find("far").fingerprint.hex()})
        self.assertLen(self.server.asked, FILES + 1)

    def test_a_killed_process_leaves_no_model_and_the_next_one_goes_on(self):
        stalled = "far/1/variables/data"
        self.server.stalls = {stalled}
        url = self.start()
        self.addCleanup(self.server.goes_on.set)
        code = (
            "import sys; from tfsemcomp.serving import fetching\n"
            "fetching.fetch('far', sys.argv[1])"
        )
        with subprocess.Popen([sys.executable, "-c", code, url]) as child:
            end = time.monotonic() + 120
            while f"/{stalled}" not in [asked for asked, _ in self.server.asked]:
                self.assertIsNone(child.poll())
                self.assertLess(time.monotonic(), end)
                time.sleep(0.01)
            time.sleep(0.2)
            child.kill()
        self.assertEqual(child.returncode, -signal.SIGKILL)
        self.assert_nothing_fetched()
        self.server.stalls = set()
        self.assert_whole(fetching.fetch("far", url, patience=PATIENCE))


class ShippedAndFetchedTest(FetchingTestCase):
    def test_a_fetched_model_does_not_become_the_default_beside_a_shipped_one(self):
        self.fetch()
        self.assertEqual(manifest.default_model("a_codec").name, "near")
        self.change_entry(system="b_codec")
        (self.cache / "MANIFEST.json").unlink()
        self.fetch()
        self.assertEqual(manifest.default_model("b_codec").name, "far")

    def test_files_that_were_left_out_are_fetched_by_the_shipped_checksums(self):
        test_manifest.write_model(self.served, "near", WEIGHTS)
        path = self.shipped / "near" / "1" / "saved_model.pb"
        path.unlink()
        model = self.fetch("near")
        self.assertEqual(model.path, self.cache / "near" / "1")
        self.assertTrue(manifest.default_model("a_codec").default)
        self.assertNotIn("/MANIFEST.json", [asked for asked, _ in self.server.asked])

    def test_a_server_cannot_replace_a_shipped_model(self):
        test_manifest.write_model(self.served, "near", b"other weights")
        (self.shipped / "near" / "1" / "saved_model.pb").unlink()
        with self.assertRaisesRegex(ModelMismatchError, "near/1/variables/data"):
            self.fetch("near")

    def test_a_damaged_shipped_model_is_named_not_fetched(self):
        (self.shipped / "near" / "1" / "variables" / "data").write_bytes(b"other")
        with self.assertRaisesRegex(ModelMismatchError, "restore the files"):
            self.fetch("near")
        self.assertEmpty(self.server.asked)

    def test_without_shipped_models_fetched_ones_do(self):
        with (
            mock.patch.dict(os.environ, {manifest.ENVIRONMENT_VARIABLE: ""}),
            mock.patch.object(manifest, "_candidates", return_value=[]),
        ):
            self.assertRaisesRegex(SemCompError, "MANIFEST", manifest.list_models)
            self.fetch()
            self.assertEqual([m.name for m in manifest.list_models()], ["far"])


class BadServerTest(FetchingTestCase):
    @parameterized.parameters(
        (True, [None, "bytes=1000-", "bytes=4000-"]),
        # A server without ranges sends everything again; what comes is still right.
        (False, [None, "bytes=1000-", "bytes=3000-"]),
    )
    def test_cut_connections(self, ranges, starts):
        self.server.ranges = ranges
        # The manifest in two answers, the graph in one, the weights in three.
        self.server.cuts = [20, 10**6, 10**6, 1000, 3000]
        self.assert_whole(self.fetch())
        self.assertEqual(
            [start for path, start in self.server.asked if "data" in path], starts
        )

    def test_another_process_goes_on_where_one_ended(self):
        few = fetching.Patience(attempts=1, pause_s=0.0)
        self.server.cuts = [10**6, 10**6, 5000, 0]
        with self.assertRaisesRegex(SemCompError, "did not come.*is kept, try again"):
            self.fetch(patience=few)
        self.assert_nothing_fetched()
        asked = len(self.server.asked)
        self.assert_whole(self.fetch(patience=few))
        # The manifest, what lacked of the weights, and the card.
        self.assertEqual(
            [start for _, start in self.server.asked[asked:]],
            [None, "bytes=5000-", None],
        )

    def test_a_server_that_never_sends_ends_after_some_attempts(self):
        self.server.cuts = [0] * 100
        with self.assertRaisesRegex(SemCompError, "MANIFEST.json"):
            self.fetch()
        self.assertLen(self.server.asked, PATIENCE.attempts)

    @parameterized.parameters("1/saved_model.pb", "1/variables/data", "card.json")
    def test_wrong_bytes_are_never_used(self, name):
        self.server.changed = {f"far/{name}"}
        with self.assertRaisesRegex(ModelMismatchError, f"{name}: differs"):
            self.fetch()
        self.assert_nothing_fetched()
        # Nothing of them is left to go on from.
        self.assertFalse((self.cache / fetching.PARTIAL / "far" / name).exists())
        self.server.changed = set()
        self.assert_whole(self.fetch())

    @parameterized.parameters(b"old weights", WEIGHTS + b"more", WEIGHTS[:-1] + b"x")
    def test_the_rest_of_another_version_is_thrown_away(self, rest):
        partial = self.cache / fetching.PARTIAL / "far"
        (partial / "1" / "variables").mkdir(parents=True)
        (partial / "1" / "variables" / "data").write_bytes(rest)
        (partial / "1" / "stray").write_bytes(b"would change the fingerprint")
        self.assert_whole(self.fetch())

    def test_a_range_that_was_not_asked_for(self):
        self.server.shift = 1
        self.server.cuts = [10**6, 10**6, 100]
        self.assert_whole(self.fetch())
        starts = [start for path, start in self.server.asked if "data" in path]
        self.assertEqual(starts, [None, "bytes=100-", None])

    def test_a_busy_server_is_asked_again(self):
        self.server.answers = [503, 429, 200]
        self.server.answers.pop()
        self.assert_whole(self.fetch())

    def test_a_server_that_refuses_is_not(self):
        self.server.answers = [403]
        with self.assertRaisesRegex(SemCompError, "answers 403"):
            self.fetch()
        self.assertLen(self.server.asked, 1)

    def test_redirections_are_followed(self):
        far = self.start()
        near = model_folder_server.Behaviour(self.served, moved=far)
        with model_folder_server.serve(near) as url:
            self.assert_whole(fetching.fetch("far", url, patience=PATIENCE))

    def test_but_not_away_from_https(self):
        request = mock.Mock(full_url="https://models.example/MANIFEST.json")
        with self.assertRaisesRegex(SemCompError, "no https"):
            fetching._NoDowngrade().redirect_request(
                request, None, 302, "Found", {}, "http://models.example/MANIFEST.json"
            )

    def test_large_files(self):
        few = fetching.Patience(attempts=3, pause_s=0.0, max_bytes=5000)
        with self.assertRaisesRegex(LimitError, "data.*5000"):
            self.fetch(patience=few)
        self.assert_nothing_fetched()
        data = self.cache / fetching.PARTIAL / "far" / "1" / "variables" / "data"
        self.assertFalse(data.exists())


class HostileManifestTest(FetchingTestCase):
    @parameterized.parameters(
        "../../escaped", "/etc/passwd", "1/../../x", "1//x", "1/.hidden", "a\\b", ""
    )
    def test_paths_stay_inside(self, path):
        graph = {"1/saved_model.pb": 64 * "0"}
        self.change_entry(files=graph | {path: 64 * "0"})
        with self.assertRaisesRegex(ModelMismatchError, "not an entry"):
            self.fetch()
        self.assertLen(self.server.asked, 1)

    @parameterized.parameters(
        {"files": {}},
        {"files": [1]},
        {"files": {"1/saved_model.pb": "../x"}},
        {"files": {"1/saved_model.pb": 5}},
        {"version": "1"},
        {"version": 0, "files": {"0/saved_model.pb": 64 * "0"}},
        {"system": None},
        {"default": "yes"},
    )
    def test_entries_are_checked(self, **changes):
        self.change_entry(**changes)
        with self.assertRaisesRegex(ModelMismatchError, "not an entry"):
            self.fetch()

    @parameterized.parameters("{", "[]", '{"schema": 9, "models": {}}', "<html>")
    def test_what_is_no_manifest(self, text):
        (self.served / "MANIFEST.json").write_text(text)
        with self.assertRaisesRegex(ModelMismatchError, "MANIFEST.json"):
            self.fetch()

    def test_names(self):
        with self.assertRaisesRegex(SemCompError, "no model `other`; there are far"):
            self.fetch("other")
        for name in ("../far", "", ".partial", "far/1", "MANIFEST.json"):
            with self.assertRaisesRegex(ValueError, "`name`"):
                fetching.fetch(name, "http://127.0.0.1:1")

    def test_addresses(self):
        wrong = ("file:///models", "models.example", "ftp://x/y", "http://")
        for url in (*wrong, "http://x/y?z=1", "https://x/y#z"):
            with self.assertRaisesRegex(ValueError, "`url`"):
                fetching.fetch("far", url)
        with self.assertRaisesRegex(SemCompError, fetching.URL_VARIABLE):
            fetching.fetch("far")

    def test_nobody_there(self):
        with self.assertRaisesRegex(SemCompError, "cannot fetch http://127.0.0.1:1/"):
            fetching.fetch("far", "http://127.0.0.1:1", patience=PATIENCE)

    def test_a_cache_that_cannot_be_written(self):
        (self.folder / "cache").write_text("a file")
        with self.assertRaisesRegex(SemCompError, manifest.CACHE_VARIABLE):
            self.fetch()
