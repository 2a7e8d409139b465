import numpy as np
from PIL import Image

from tests.harness import SemCompTestCase, noise_image, smooth_image
from tfsemcomp import images
from tfsemcomp.data import similarity, similarity_kernels


def photos():
    """The demo photos by name."""
    import pathlib

    folder = pathlib.Path(__file__).resolve().parents[2] / "recipes" / "demo_photos"
    return {path.name: images.read(path) for path in images.list_images(folder)}


class SimilarityTest(SemCompTestCase):
    def leaks(self, first, second, **limits):
        splits = {
            "train": similarity.prints_of(first.items()),
            "test": similarity.prints_of(second.items()),
        }
        return similarity.leaks(splits, **limits)

    def test_the_same_picture_is_found_however_it_was_stored(self):
        held = photos()
        changed = {}
        for number, (name, pixels) in enumerate(held.items()):
            small = Image.fromarray(pixels).resize((200, 150 + 10 * number))
            data = images.encode(np.asarray(small), "jpeg", quality=40)
            changed[f"copy of {name}"] = images.load_bytes(data).pixels
        found = self.leaks(held, changed)
        self.assertLen(found, len(held))
        for leak in found:
            self.assertEqual(leak.first[0], "train")
            self.assertEqual(leak.second, ("test", f"copy of {leak.first[1]}"))

    def test_different_pictures_are_not(self):
        held = photos()
        others = {str(n): noise_image(64, 64, n) for n in range(50)}
        others["smooth"] = smooth_image(64, 64)
        self.assertEmpty(self.leaks(held, others))

    def test_flat_pictures_need_more_than_a_hash(self):
        flat = {str(g): np.full((32, 32, 3), g, np.uint8) for g in (0, 100, 250)}
        found = self.leaks(flat, flat)
        self.assertLen(found, 3)
        self.assertLen(self.leaks(flat, flat, max_difference=255.0), 9)

    def test_three_splits_are_compared_with_each_other(self):
        one = similarity.prints_of(photos().items())
        count = len(one.names)
        found = similarity.leaks({"train": one, "val": one, "test": one})
        pairs = {(leak.first[0], leak.second[0]) for leak in found}
        expected = {("train", "val"), ("train", "test"), ("val", "test")}
        self.assertEqual(pairs, expected)
        self.assertLen(found, 3 * count)
        self.assertEqual({leak.bits for leak in found}, {0})

    def test_bits_are_counted(self):
        rng = np.random.default_rng(0)
        hashes = rng.integers(0, 2**64, 30, np.uint64, endpoint=False)
        thumbnails = np.zeros((30, 4), np.uint8)
        arguments = (hashes, thumbnails, hashes[::-1].copy(), thumbnails)
        found = {
            (i, j): bits
            for i, j, bits in similarity_kernels.near_pairs(*arguments, 64, 0.0)
        }
        self.assertLen(found, 900)
        for (i, j), bits in found.items():
            expected = bin(int(hashes[i]) ^ int(hashes[29 - j])).count("1")
            self.assertEqual(bits, expected)

    def test_empty_splits(self):
        self.assertEmpty(self.leaks({}, photos()))
