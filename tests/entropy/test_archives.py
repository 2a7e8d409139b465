import numpy as np

from tests.harness import SemCompTestCase
from tfsemcomp.entropy import archives


class ArchivesTest(SemCompTestCase):
    def test_what_fits_comes_back(self):
        path = self.folder / "a.npz"
        arrays = {"one": np.arange(5), "two": np.ones([2, 3], np.int8)}
        np.savez(path, **arrays)
        found = archives.read(path, 10_000)
        self.assertEqual(set(found), set(arrays))
        for name, array in arrays.items():
            np.testing.assert_array_equal(found[name], array)

    def test_what_would_unpack_to_more_is_refused(self):
        path = self.folder / "a.npz"
        np.savez_compressed(path, zeros=np.zeros(10**6, np.int8))
        with self.assertRaisesRegex(ValueError, "the limit is 100000"):
            archives.read(path, 100_000)

    def test_objects_are_refused(self):
        path = self.folder / "a.npz"
        np.savez(path, thing=np.array([{}], object))
        with self.assertRaisesRegex(ValueError, "allow_pickle"):
            archives.read(path, 10_000)
