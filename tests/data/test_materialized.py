from unittest import mock

import numpy as np
import tensorflow as tf

from tests.data import layered_codec
from tests.harness import SemCompTestCase, smooth_image
from tfsemcomp import images
from tfsemcomp.data import materialized, producers, records, sharding
from tfsemcomp.errors import BitstreamError, ModelMismatchError, SemCompError

LAYERS = {
    "lower": "codec:two_layers;layers=1",
    "edges": "edges:canny",
}


class MaterializedTest(SemCompTestCase):
    def setUp(self):
        super().setUp()
        self.enter_context(layered_codec.known())
        self.source = (str(self.folder / "source"), "train")
        self.out = str(self.folder / "out")
        pictures = (
            records.Record(
                image=images.encode(smooth_image(24, 32 + number, number), "png"),
                name=f"{number}.png",
                height=24,
                width=32 + number,
                label=number,
            )
            for number in range(5)
        )
        records.write_shards(pictures, *self.source, 2, ["a"] * 5)

    def make(self, layers=None, **options):
        split = materialized.split(
            self.source, self.out, LAYERS if layers is None else layers, **options
        )
        return sharding.make([split])["train"]

    def test_records_with_their_layers(self):
        index = self.make()
        self.assertEqual((index["records"], len(index["shards"])), (5, 2))
        self.assertEqual(index["classes"], ["a"] * 5)
        found = list(materialized.read(self.out, "train"))
        self.assertEqual(sorted(record.label for record, _ in found), [0, 1, 2, 3, 4])
        for record, layers in found:
            pixels = images.load_bytes(record.image).pixels
            self.assertCountEqual(layers, LAYERS)
            for name, text in LAYERS.items():
                expected = producers.parse(text)(pixels)
                self.assertCountEqual(layers[name], expected)
                for plane, value in expected.items():
                    np.testing.assert_array_equal(layers[name][plane], value)

    def test_in_a_graph(self):
        self.make()
        stream = materialized.dataset(self.out, "train")
        read = materialized.read(self.out, "train")
        for features, (record, layers) in zip(stream, read, strict=True):
            self.assertEqual(features["image/name"].numpy().decode(), record.name)
            pixels = images.load_bytes(record.image).pixels
            np.testing.assert_array_equal(features["image"], pixels)
            lower = layers["lower"]
            found = features["layer/lower/picture"]
            np.testing.assert_array_equal(found, lower["picture"])
            found = features["layer/lower/stream"].numpy()
            self.assertEqual(found, lower["stream"])
            found = features["layer/edges/map"][..., 0]
            np.testing.assert_array_equal(found, layers["edges"]["map"])

    def test_read_as_ordinary_records(self):
        self.make()
        paths = records.shard_paths(self.out, "train")
        names = [
            records.from_parsed(records.parse(serialized)).name
            for serialized in tf.data.TFRecordDataset(paths)
        ]
        self.assertCountEqual(names, [f"{number}.png" for number in range(5)])

    def test_models_are_known_and_checked(self):
        with mock.patch.object(
            producers.compressed, "model_fingerprint", return_value="0badcafe"
        ):
            self.make()
        told = materialized.layers_of(self.out, "train")
        self.assertEqual(told["lower"]["fingerprint"], "0badcafe")
        self.assertEqual(told["lower"]["producer"], LAYERS["lower"])
        materialized.check_models(self.out, "train", {"lower": "0badcafe", "edges": ""})
        for expected, text in (
            ({"lower": "11111111"}, "of model 0badcafe, not of 11111111"),
            ({"upper": "0badcafe"}, "of model none"),
        ):
            with self.assertRaisesRegex(ModelMismatchError, text):
                materialized.check_models(self.out, "train", expected)
        with self.subTest("each record"):
            index = records.read_index(self.out, "train")
            index[sharding.PLAN]["layers"]["lower"]["fingerprint"] = "11111111"
            records.write_json(records.index_path(self.out, "train"), index)
            with self.assertRaisesRegex(BitstreamError, "another model"):
                list(materialized.read(self.out, "train"))

    def test_another_model_makes_another_plan(self):
        self.make()
        with (
            mock.patch.object(
                producers.compressed, "model_fingerprint", return_value="0badcafe"
            ),
            self.assertRaisesRegex(SemCompError, "another layers"),
        ):
            self.make()

    def test_a_producer_that_fails(self):
        decode = layered_codec.TwoLayersCodec._decode

        def failing(codec, data, *, layers, limits):
            decoded = decode(codec, data, layers=layers, limits=limits)
            if decoded.shape[1] == 34:
                raise SemCompError("no luck")
            return decoded[:, :-1] if decoded.shape[1] == 35 else decoded

        with mock.patch.object(layered_codec.TwoLayersCodec, "_decode", failing):
            with self.assertRaisesRegex(SemCompError, "[23].png: layer lower: "):
                self.make()
            index = self.make(skip_broken=True)
        self.assertEqual((index["records"], index["dead_letters"]), (3, 2))
        letters = sharding.read_dead_letters(self.out, "train")
        reasons = {letter["key"]: letter["reason"] for letter in letters}
        self.assertEqual(reasons["2.png"], "layer lower: no luck")
        self.assertIn("34x24 pixels for 35x24", reasons["3.png"])

    def test_damage_is_named(self):
        self.make()
        shard = self.folder / "out" / "train-00001-of-00002.tfrecord"
        content = bytearray(shard.read_bytes())
        content[len(content) // 3] ^= 1
        shard.write_bytes(content)
        with self.assertRaisesRegex(BitstreamError, shard.name):
            list(materialized.read(self.out, "train"))

    def test_wrong_arguments(self):
        for layers, told in (
            ({}, "one layer at least"),
            ({"a/b": "edges:canny"}, "named by letters"),
            ({"a": "edges"}, "a producer is"),
        ):
            with self.subTest(layers), self.assertRaisesRegex(ValueError, told):
                self.make(layers)
        with self.assertRaisesRegex(SemCompError, "another folder"):
            materialized.split(self.source, self.source[0], LAYERS)
        with self.assertRaisesRegex(SemCompError, "has no layers"):
            materialized.layers_of(*self.source)
