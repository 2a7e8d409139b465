import pickle

import numpy as np
from absl.testing import parameterized

from tests.data import layered_codec
from tests.harness import SemCompTestCase, smooth_image
from tfsemcomp import api, bitstream
from tfsemcomp.codecs import base
from tfsemcomp.data import compressed, producers
from tfsemcomp.errors import ModelMismatchError, SemCompError
from tfsemcomp.semantics import edges, roi
from tfsemcomp.serving import manifest


class ProducersTest(SemCompTestCase):
    def setUp(self):
        super().setUp()
        self.enter_context(layered_codec.known())
        self.image = smooth_image(24, 36)

    def produce(self, text):
        self.producer = producers.parse(text)
        values = self.producer(self.image)
        self.assertCountEqual(values, self.producer.planes)
        return values

    def test_the_lower_layers_of_any_layered_codec(self):
        codec = layered_codec.TwoLayersCodec()
        whole = codec.compress(self.image)
        lower = self.produce("codec:two_layers;layers=1")
        self.assertEqual(lower["stream"], bitstream.truncate(whole, 1))
        mean = np.rint(self.image.mean((0, 1)))
        np.testing.assert_array_equal(lower["picture"] - mean, 0 * self.image)
        for text in ("codec:two_layers;layers=2", "codec:two_layers"):
            upper = self.produce(text)
            self.assertEqual(upper["stream"], whole)
            np.testing.assert_array_equal(upper["picture"], self.image)

    def test_a_codec_with_a_model(self):
        values = self.produce("codec:hyperprior;quality=2;verify=false")
        header = bitstream.read(values["stream"]).header
        self.assertEqual(self.producer.fingerprint, header.fingerprint.hex())
        decoded = api.decompress(values["stream"])
        np.testing.assert_array_equal(values["picture"], decoded)
        self.assertEqual(api.info(values["stream"])["codec"], "hyperprior")

    def test_a_stream_of_another_model_than_the_codec_named(self):
        producer = producers.CodecProducer(
            compressed.SentCodec(layered_codec.TwoLayersCodec()), {}, None, "12345678"
        )
        with self.assertRaisesRegex(ModelMismatchError, "0badcafe, not of 12345678"):
            producer(self.image)

    def test_a_codec_without_one(self):
        values = self.produce("codec:jpeg;quality=30;layers=1")
        codec = base.get_codec("jpeg")
        self.assertEqual(values["stream"], codec.compress(self.image, quality=30))
        self.assertEqual(self.producer.fingerprint, "")

    def test_maps(self):
        found = self.produce("roi:contrast")["map"]
        np.testing.assert_allclose(found / 255, roi.contrast_map(self.image), atol=2e-3)
        self.assertEqual(self.producer.fingerprint, "")
        found = self.produce("edges:canny;sigma=1")["map"]
        expected = edges.extract(self.image, sigma=1.0)
        np.testing.assert_array_equal(found, 255 * expected.astype(int))
        found = self.produce("edges:sobel;threshold=.2")["map"]
        expected = edges.extract(self.image, "sobel", threshold=0.2)
        np.testing.assert_array_equal(found, 255 * expected.astype(int))

    def test_maps_of_a_network(self):
        info = manifest.default_model("msroi_jpeg")
        producer = producers.parse("roi:class_features")
        self.assertEqual(producer.fingerprint, info.fingerprint.hex())
        same = producers.parse(f"roi:class_features;model={info.name}")
        self.assertEqual(same.fingerprint, producer.fingerprint)

    @parameterized.parameters(
        "codec:two_layers;layers=1", "roi:contrast", "edges:canny;threshold=0.2"
    )
    def test_can_be_sent_to_other_processes(self, text):
        values = self.produce(text)
        sent = pickle.loads(pickle.dumps(self.producer))
        self.assertEqual(sent.fingerprint, self.producer.fingerprint)
        for name, value in sent(self.image).items():
            np.testing.assert_array_equal(value, values[name])

    @parameterized.parameters(
        ("jpeg", "a producer is codec:NAME"),
        ("codec:", "a producer is codec:NAME"),
        ("codec:none", "none"),
        ("codec:jpeg;quality", "NAME=VALUE"),
        ("codec:jpeg;quality=1000", "`quality`"),
        ("codec:jpeg;quality=best", "number"),
        ("codec:jpeg;layers=0", "`layers`"),
        ("codec:jpeg;shine=1", "`shine` is no option"),
        ("codec:jpeg;exif=1", "`exif` is no option"),
        ("codec:hyperprior;verify=2", "true or false"),
        ("roi:none", "`roi`"),
        ("roi:contrast;model=msroi-small", "`model` is no option"),
        ("edges:none", "`edges`"),
        ("edges:canny;low=1", "`low` is no option"),
        ("edges:canny;threshold=0", "`threshold`"),
        ("edges:sobel;sigma=1", "`sigma` is for canny"),
        ("edges:canny;sigma=wide", "number"),
    )
    def test_wrong_ones(self, text, told):
        with self.assertRaisesRegex(ValueError, told):
            producers.parse(text)

    def test_models_that_are_not_there(self):
        with self.assertRaises(SemCompError):
            producers.parse("roi:class_features;model=none")

    def test_settings_of_a_codec(self):
        codec = base.get_codec("jpeg")
        names = {setting.name: setting for setting in codec.settings}
        self.assertIn("subsampling", names)
        found = producers.parse_settings(codec, ["subsampling=4:4:4"])
        self.assertEqual(found, {"subsampling": "4:4:4"})
