"""What made a result: told where known, left out where not."""

import hashlib
import shutil
import subprocess
from unittest import mock

import numpy as np
import PIL

import tfsemcomp
from tests.harness import SemCompTestCase
from tfsemcomp.codecs import base
from tfsemcomp.evaluation import provenance
from tfsemcomp.serving import manifest


class ProvenanceTest(SemCompTestCase):
    def test_versions(self):
        found = provenance.versions()
        self.assertEqual(found["tfsemcomp"], tfsemcomp.__version__)
        self.assertEqual(found["numpy"], np.__version__)
        self.assertEqual(found["pillow"], PIL.__version__)
        for name in ("python", "tensorflow", "libjpeg-turbo", "libwebp"):
            self.assertRegex(found[name], r"^\d+\.\d+")

    def test_models_by_codec(self):
        shipped = manifest.default_model("msroi_jpeg")
        name = f"{shipped.name} {shipped.version} {shipped.fingerprint.hex()}"
        codecs = [
            base.get_codec("jpeg"),
            base.get_codec("msroi_jpeg"),
            base.get_codec("msroi_jpeg", model=shipped.name),
        ]
        self.assertEqual(
            provenance.models(codecs),
            {"msroi_jpeg": name, f"msroi_jpeg {shipped.name}": name},
        )
        self.assertEqual(
            provenance.models([base.get_codec("msroi_jpeg", model="elsewhere")]), {}
        )

    def test_machine(self):
        names = ["system", "processor", "cores", "load at the start"]
        self.assertCountEqual(provenance.machine(), names)
        self.assertTrue(all(provenance.machine().values()))
        without = mock.Mock(side_effect=OSError)
        with mock.patch("os.getloadavg", without):
            self.assertCountEqual(provenance.machine(), names[:3])

    def test_digests(self):
        path = self.folder / "x"
        path.write_bytes(b"abc")
        self.assertEqual(
            provenance.file_digest(path), hashlib.sha256(b"abc").hexdigest()
        )
        self.assertIsNone(provenance.file_digest(self.folder / "y"))


class CommitTest(SemCompTestCase):
    def setUp(self):
        super().setUp()
        if shutil.which("git") is None:
            self.skipTest("git is not installed")
        self.root = self.folder / "checkout"
        self.file = self.root / "tfsemcomp" / "evaluation" / "provenance.py"
        self.file.parent.mkdir(parents=True)
        self.file.write_text("one", encoding="utf-8")
        patch = mock.patch.object(provenance, "__file__", str(self.file))
        patch.start()
        self.addCleanup(patch.stop)

    def git(self, *arguments):
        identity = ("-c", "user.name=t", "-c", "user.email=t@example.org")
        subprocess.run(
            ["git", "-C", str(self.root), *identity, *arguments],
            check=True,
            capture_output=True,
        )

    def test_a_checkout_names_its_commit_and_its_changes(self):
        self.git("init")
        self.git("add", ".")
        self.git("commit", "-m", "one")
        clean = provenance.commit()
        self.assertRegex(clean, "^[0-9a-f]{40}$")
        (self.root / "untracked").write_text("x", encoding="utf-8")
        self.assertEqual(provenance.commit(), clean)
        self.file.write_text("two", encoding="utf-8")
        self.assertEqual(provenance.commit(), clean + "+dirty")

    def test_none_elsewhere(self):
        self.assertIsNone(provenance.commit())
        # In a checkout, but not its root: somebody else's.
        self.git("init")
        shutil.move(self.root / ".git", self.folder / ".git")
        self.assertIsNone(provenance.commit())
        # A checkout without a commit.
        shutil.move(self.folder / ".git", self.root / ".git")
        self.assertIsNone(provenance.commit())
        with mock.patch.dict("os.environ", {"PATH": ""}):
            self.assertIsNone(provenance.commit())
