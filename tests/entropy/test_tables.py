import io
import zipfile

import numpy as np
from absl.testing import parameterized

from tests.harness import SemCompTestCase
from tfsemcomp.entropy import builders, tables
from tfsemcomp.entropy.tables import Tables
from tfsemcomp.errors import ModelMismatchError, SemCompError

# Two tables of precision 8: three symbols and an escape; two symbols without one.
LOOKUP = np.int32([-8, 0, 100, 200, 250, 256, 8, 0, 1, 256])
OFFSETS = np.int32([-1, 5])


def write_npz(path, compression=zipfile.ZIP_DEFLATED, **arrays) -> None:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, array in arrays.items():
            buffer = io.BytesIO()
            np.save(buffer, array, allow_pickle=True)
            archive.writestr(f"{name}.npy", buffer.getvalue())


class TablesTest(SemCompTestCase):
    def test_properties_read_the_lookup(self):
        item = Tables(LOOKUP, OFFSETS)
        self.assertLen(item, 2)
        self.assertEqual(item.precision, 8)
        self.assertSequenceEqual(list(item.starts), [0, 6])
        self.assertSequenceEqual(list(item.counts), [3, 2])
        self.assertSequenceEqual(list(item.escapes), [True, False])

    def test_arrays_are_frozen_copies(self):
        lookup = LOOKUP.copy()
        item = Tables(lookup, OFFSETS)
        lookup[2] = 7
        self.assertEqual(item.lookup[2], 100)
        with self.assertRaises(ValueError):
            item.lookup[2] = 7

    @parameterized.named_parameters(
        ("falls", [-8, 0, 100, 90, 256]),
        ("stands_still", [-8, 0, 100, 100, 256]),
        ("starts_above_zero", [-8, 1, 100, 256]),
        ("starts_below_zero", [-8, -1, 100, 256]),
        ("ends_early", [-8, 0, 100, 255]),
        ("goes_beyond", [-8, 0, 100, 257]),
        ("nothing_after_precision", [-8, 0, 256, 8]),
        ("no_zero", [-8, 256]),
        ("stray_end", [-8, 0, 256, 256]),
        ("two_precisions", [-8, 0, 256, 9, 0, 512]),
        ("precision_7", [-7, 0, 128]),
        ("precision_17", [-17, 0, 2**17]),
        ("precision_0", [0, 0, 1]),
        ("wild_precision", [-(2**31), 0, 256]),
        ("wraps", [8, 0, 2**31 - 1, -(2**31), 256]),
        ("empty", []),
    )
    def test_broken_lookups_are_refused(self, lookup):
        lookup = np.array(lookup, np.int32)
        with self.assertRaisesRegex(ValueError, "`lookup`"):
            Tables(lookup, np.zeros(1, np.int32))

    @parameterized.named_parameters(
        ("too_few", np.int32([0])),
        ("too_many", np.int32([0, 0, 0])),
        ("too_far", np.int32([0, 2**30 + 1])),
        ("lowest", np.int32([0, -(2**31)])),
        ("dtype", np.int64([0, 0])),
        ("rank", np.int32([[0, 0]])),
    )
    def test_broken_offsets_are_refused(self, offsets):
        with self.assertRaisesRegex(ValueError, "`offsets`"):
            Tables(LOOKUP, offsets)


class TablesFileTest(SemCompTestCase):
    def setUp(self):
        super().setUp()
        self.path = self.folder / "tables.npz"
        self.tables = {
            "y": builders.gaussian_tables([0.5, 3.0]),
            "z": Tables(LOOKUP, OFFSETS),
        }

    def test_round_trip(self):
        tables.save(self.path, self.tables)
        loaded = tables.load(self.path)
        self.assertSequenceEqual(list(loaded), ["y", "z"])
        for name, item in self.tables.items():
            np.testing.assert_array_equal(loaded[name].lookup, item.lookup)
            np.testing.assert_array_equal(loaded[name].offsets, item.offsets)

    def test_bytes_depend_on_the_content_only(self):
        # The fingerprint of a model is drawn from its files.
        tables.save(self.path, self.tables)
        first = self.path.read_bytes()
        tables.save(self.path, dict(reversed(self.tables.items())))
        self.assertEqual(self.path.read_bytes(), first)

    def test_any_changed_value_is_found(self):
        tables.save(self.path, self.tables)
        with np.load(self.path) as archive:
            arrays = dict(archive)
        for name, array in arrays.items():
            changed = array.copy()
            # Still whole tables: only the checksum tells.
            place = 2 if name.endswith("lookup") else 0
            changed[place] += 1
            write_npz(self.path, **{**arrays, name: changed})
            with (
                self.subTest(name),
                self.assertRaisesRegex(ModelMismatchError, "tables.npz: .*checksum"),
            ):
                tables.load(self.path)

    def test_exchanged_names_are_found(self):
        tables.save(self.path, self.tables)
        with np.load(self.path) as archive:
            arrays = dict(archive)
        swap = str.maketrans("yz", "zy")
        renamed = {
            name if name == "sha256" else name.translate(swap): array
            for name, array in arrays.items()
        }
        write_npz(self.path, **renamed)
        with self.assertRaisesRegex(ModelMismatchError, "checksum"):
            tables.load(self.path)

    def test_every_cut_and_damaged_byte_is_refused(self):
        tables.save(self.path, {"z": self.tables["z"]})
        whole = self.path.read_bytes()
        for cut in range(len(whole)):
            self.path.write_bytes(whole[:cut])
            with self.subTest(cut=cut), self.assertRaises(ModelMismatchError):
                tables.load(self.path)
        expected = self.tables["z"]
        for place in range(len(whole)):
            damaged = bytearray(whole)
            damaged[place] ^= 0xFF
            self.path.write_bytes(damaged)
            with self.subTest(place=place):
                try:
                    loaded = tables.load(self.path)["z"]
                except ModelMismatchError:
                    continue
                # Time stamps and the like of the archive carry no content.
                np.testing.assert_array_equal(loaded.lookup, expected.lookup)
                np.testing.assert_array_equal(loaded.offsets, expected.offsets)

    @parameterized.named_parameters(
        ("objects", {"y.lookup": np.array([print]), "y.offsets": OFFSETS}),
        ("floats", {"y.lookup": LOOKUP.astype(float), "y.offsets": OFFSETS}),
        ("rank_2", {"y.lookup": LOOKUP[None], "y.offsets": OFFSETS}),
        ("broken", {"y.lookup": LOOKUP[:-1], "y.offsets": OFFSETS}),
        ("half", {"y.lookup": LOOKUP}),
        ("extra", {"y.lookup": LOOKUP, "y.offsets": OFFSETS, "y.more": OFFSETS}),
        ("name", {"../y.lookup": LOOKUP, "../y.offsets": OFFSETS}),
        ("nothing", {}),
    )
    def test_other_content_is_refused(self, arrays):
        write_npz(self.path, sha256=np.zeros(32, np.uint8), **arrays)
        with self.assertRaisesRegex(ModelMismatchError, "tables.npz: is no file"):
            tables.load(self.path)

    def test_bombs_are_refused_before_they_unpack(self):
        write_npz(self.path, **{"y.lookup": np.zeros(2**25, np.int32)})
        self.assertLess(self.path.stat().st_size, 2**18)
        with self.assertRaisesRegex(ModelMismatchError, "unpacks to"):
            tables.load(self.path)

    def test_declared_sizes_are_not_believed(self):
        header = b"{'descr': '<i4', 'fortran_order': False, 'shape': (1000000000000,)}"
        member = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header
        with zipfile.ZipFile(self.path, "w") as archive:
            archive.writestr("y.lookup.npy", member)
        with self.assertRaises(ModelMismatchError):
            tables.load(self.path)

    def test_missing_file_is_named(self):
        with self.assertRaisesRegex(ModelMismatchError, "absent.npz"):
            tables.load(self.folder / "absent.npz")

    def test_wrong_names_are_refused(self):
        for names in ([], ["Y"], ["y.z"], [""], ["../y"], ["y" * 33]):
            with (
                self.subTest(names=names),
                self.assertRaisesRegex(ValueError, "`tables`"),
            ):
                tables.save(self.path, dict.fromkeys(names, self.tables["y"]))
        self.assertFalse(self.path.exists())

    def test_unwritable_place_is_an_error_of_ours(self):
        with self.assertRaises(SemCompError):
            tables.save(self.folder / "none" / "tables.npz", self.tables)
