import dataclasses
import re

from tests.demo import pictures
from tests.demo.pictures import BOUNDS
from tests.harness import SemCompTestCase
from tfsemcomp.demo import catalogue, studio, words
from tfsemcomp.demo.studio import Wish

PHOTO = pictures.photo()
EVIL = "<script>alert(1)</script>"


class WordsTest(SemCompTestCase):
    def test_tiles_tell_bytes_bpp_and_metrics(self):
        result = studio.compress(PHOTO, Wish("jpeg", None, "bytes", 1500), BOUNDS)
        text = words.tiles(result)
        names = re.findall('data-name="([^"]*)"', text)
        self.assertEqual(names, ["Bytes", "Bits a pixel", "PSNR", "SSIM", "MS-SSIM"])
        self.assertIn(f"<b>{result.facts['bytes']:,}</b>", text)
        self.assertIn(f"<b>{result.facts['bpp']:.3f}</b>", text)
        self.assertIn(f"<b>{result.scores['psnr']:.2f}</b>", text)
        self.assertIn(f"quality {result.quality:g}", text)

    def test_equal_pictures_have_no_number_of_decibels(self):
        result = studio.compress(PHOTO, Wish("jpeg"), BOUNDS)
        equal = dataclasses.replace(result, scores={"psnr": float("inf")})
        self.assertIn("identical", words.tiles(equal))

    def test_chunks_add_up_to_the_file(self):
        for codec in ("rnn", "conceptual", "jpeg"):
            result = studio.compress(PHOTO, Wish(codec), BOUNDS)
            rows = re.findall("<tr><td>.*?</tr>", words.chunks(result))
            cells = [re.findall("<td>([^<]*)</td>", row) for row in rows]
            sizes = [int(row[-2].replace(",", "")) for row in cells]
            self.assertEqual(sum(sizes), len(result.data))
            bits = sum(float(row[-1]) for row in cells)
            self.assertAlmostEqual(bits, result.facts["bpp"], delta=0.001)

    def test_names_of_files(self):
        result = studio.compress(PHOTO, Wish("rnn", amount=2), BOUNDS)
        self.assertEqual(words.file_name(PHOTO, result), "a photo-rnn.tfsc")
        first = studio.show(PHOTO, result, 1, BOUNDS)
        self.assertEqual(words.file_name(PHOTO, first), "a photo-rnn-1.tfsc")
        self.assertEqual(words.picture_name(PHOTO, first), "a photo-rnn-1.png")
        self.assertIn("1 of 2 layers (codes)", words.layer_line(first))

    def test_what_came_from_outside_is_escaped(self):
        photo = dataclasses.replace(PHOTO, name=EVIL, notes=(EVIL,))
        entry = catalogue.Entry("x", EVIL, (), EVIL)
        for text in (
            words.photo_line(photo),
            words.codec_line(entry),
            words.missing([entry]),
        ):
            self.assertNotIn("<script", text)
            self.assertIn("&lt;script", text)

    def test_codecs_that_cannot_run_are_told_with_the_reason(self):
        can = catalogue.Entry("a", "A.", (), "")
        cannot = catalogue.Entry("b", "B.", (), "needs a thing")
        self.assertEqual(words.choice(cannot), "b (not available)")
        self.assertIn("needs a thing", words.codec_line(cannot))
        self.assertNotIn("<b>a</b>", words.missing([can, cannot]))
        self.assertIn("needs a thing", words.missing([can, cannot]))
        self.assertIn("All of them", words.missing([can]))
