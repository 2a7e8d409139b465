import os
import pathlib
import stat
import sys
from unittest import mock

import numpy as np
from absl.testing import parameterized

from tests.harness import SemCompTestCase, smooth_image
from tfsemcomp.codecs import conceptual_structure, vvc
from tfsemcomp.errors import BitstreamError, SemCompError, UnavailableError
from tfsemcomp.semantics import edges

# Away from the package: programs must not need its seconds to start.
FAKE = """#!{python}
import runpy, sys
runpy.run_path({path!r})["main"](sys.argv)
"""
FAKE_PATH = pathlib.Path(__file__).with_name("fake_vvc.py")
PLANE = edges.downscale(edges.extract(smooth_image(90, 131)), 2)


class VvcTest(SemCompTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.programs = self.folder / "programs"
        self.programs.mkdir()
        self.environment = {"PATH": str(self.programs), vvc.VTM_CONFIG: ""}
        self.enter_context(mock.patch.dict(os.environ, self.environment))
        self.temporary = self.folder / "name with blanks"
        self.temporary.mkdir()
        self.enter_context(mock.patch("tempfile.tempdir", str(self.temporary)))

    def install(self, *names: str, script: str | None = None) -> None:
        fake = FAKE.format(python=sys.executable, path=str(FAKE_PATH))
        for name in names:
            program = self.programs / name
            text = script or fake
            program.write_text(text, encoding="utf-8")
            program.chmod(program.stat().st_mode | stat.S_IXUSR)

    def log(self) -> list[str]:
        return (self.programs / "log").read_text(encoding="utf-8").splitlines()

    def test_round_trip_by_vvenc(self):
        self.install("vvencapp", "vvdecapp")
        plane = 255 * PLANE
        data = vvc.encode(plane, 41)
        # 45x66, in whole units of 8 and at least 64.
        self.assertRegex(self.log()[0], r"^vvencapp -i .* -s 72x64 -c yuv420 .* -q 41 ")
        np.testing.assert_array_equal(vvc.decode(data, *plane.shape), plane)
        self.assertEmpty(list(self.temporary.iterdir()))
        with self.assertRaisesRegex(BitstreamError, "should have 64x64 samples"):
            vvc.decode(data, 9, 9)
        with self.assertRaisesRegex(BitstreamError, "vvdecapp .*no stream of VVC$"):
            vvc.decode(b"x", 9, 9)

    def test_round_trip_by_vtm(self):
        self.install("EncoderApp", "DecoderApp")
        self.assertRegex(vvc.unavailable_reason(), vvc.VTM_CONFIG)
        with mock.patch.dict(os.environ, {vvc.VTM_CONFIG: "intra.cfg"}):
            self.assertIsNone(vvc.unavailable_reason())
            data = vvc.encode(255 * PLANE, 50)
        self.assertRegex(self.log()[0], "^EncoderApp -c intra.cfg .* -q 50 .*=400$")
        np.testing.assert_array_equal(vvc.decode(data, *PLANE.shape), 255 * PLANE)

    def test_lines_go_through_it(self):
        self.install("vvencapp", "vvdecapp")
        conceptual_structure.check_coder("vvc")
        payload = conceptual_structure.encode(
            PLANE, 2, None, 90, 131, verify=True, coder="vvc"
        )
        parsed = conceptual_structure.parse(payload, 90, 131)
        self.assertEqual((parsed.scale, parsed.coder), (2, "vvc"))
        np.testing.assert_array_equal(parsed.decode(None), PLANE)

    @parameterized.parameters("vvencapp", "vvdecapp")
    def test_missing_programs(self, name):
        self.install(name)
        reason = vvc.unavailable_reason()
        self.assertEqual(name in vvc.DECODERS, "vvencapp and EncoderApp" in reason)
        with self.assertRaisesRegex(UnavailableError, "install VVenC"):
            conceptual_structure.check_coder("vvc")

    def test_programs_that_fail(self):
        self.install("vvencapp", script="#!/bin/sh\nexit 3\n")
        with self.assertRaisesRegex(SemCompError, "vvencapp failed: exit status 3"):
            vvc.encode(255 * PLANE, 50)
        self.install("vvencapp", script="#!/bin/sh\nexit 0\n")
        with self.assertRaisesRegex(SemCompError, "wrote no file"):
            vvc.encode(255 * PLANE, 50)
