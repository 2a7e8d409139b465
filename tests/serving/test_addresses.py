from absl.testing import parameterized

from tests.harness import SemCompTestCase
from tfsemcomp.serving.addresses import Address, parse


class AddressTest(SemCompTestCase):
    @parameterized.parameters(
        ("host", Address("grpc", "host", 8500)),
        ("host:1234", Address("grpc", "host", 1234)),
        ("grpc://10.0.0.1:8500", Address("grpc", "10.0.0.1", 8500)),
        ("grpcs://host:9", Address("grpcs", "host", 9)),
        ("http://host", Address("http", "host", 8501)),
        ("https://host:443/", Address("https", "host", 443)),
        ("[::1]:8500", Address("grpc", "::1", 8500)),
        (
            "host:1?timeout=2.5&attempts=1&megabytes=8&check=fingerprint",
            Address("grpc", "host", 1, 2.5, 1, 8, "fingerprint"),
        ),
        (
            "grpcs://host:1?root=a/b.pem&certificate=c%20d.pem&key=e",
            Address("grpcs", "host", 1, root="a/b.pem", certificate="c d.pem", key="e"),
        ),
    )
    def test_what_a_text_stands_for(self, text, expected):
        self.assertEqual(parse(text), expected)
        self.assertEqual(parse(str(expected)).target, expected.target)

    @parameterized.parameters(
        ("", "host:8500"),
        (":8500", "host:8500"),
        ("host:x", "host:8500"),
        ("host:0", "host:8500"),
        ("host:70000", "host:8500"),
        ("ftp://host:1", "ftp"),
        ("http://host:1/v1/models", "host:8500"),
        ("me@host:1", "host:8500"),
        (8500, "a text"),
        ("host?time=1", "no option `time`"),
        ("host?timeout=soon", "`timeout`.*'soon'"),
        ("host?timeout=0", "`timeout`"),
        ("host?timeout=nan", "`timeout`"),
        ("host?attempts=0", "`attempts`"),
        ("host?attempts=1.5", "`attempts`"),
        ("host?megabytes=4096", "`megabytes`"),
        ("host?check=sha", "`check`"),
        ("host?root=ca.pem", "grpcs"),
        ("grpcs://host?certificate=c", "`key`"),
    )
    def test_texts_that_stand_for_nothing(self, text, pattern):
        with self.assertRaisesRegex(ValueError, f"`server`.*{pattern}|{pattern}"):
            parse(text)
