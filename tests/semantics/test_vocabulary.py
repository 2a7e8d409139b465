import json
import re

import numpy as np
from absl.testing import parameterized

from tests.harness import SemCompTestCase
from tfsemcomp.errors import ModelMismatchError
from tfsemcomp.semantics import vocabulary
from tfsemcomp.semantics.vocabulary import Vocabulary

CAPTIONS = ("A dog runs .", "a dog sits, a cat runs", "Cat and dog !")


class TokensTest(SemCompTestCase):
    @parameterized.parameters(
        ("A Dog runs .", ["a", "dog", "runs", "."]),
        ("its T-shirt, the dog's", ["its", "t-shirt", ",", "the", "dog's"]),
        ("'quoted' -- well", ["'", "quoted", "'", "-", "-", "well"]),
        ("Été 3rd 東京", ["Été", "3rd", "東京"]),
        (" \t\n ", []),
        ("", []),
    )
    def test_tokens(self, text, expected):
        self.assertEqual(vocabulary.tokens(text), expected)

    def test_tokens_hold_all_but_white_space(self):
        text = "".join(map(chr, range(1, 0x250))) + "ſKİ\u2028x"
        joined = "".join(vocabulary.tokens(text))
        expected = re.sub(f"[{vocabulary.SPACE}]", "", vocabulary.lower(text))
        self.assertEqual(joined, expected)

    def test_lower_and_upper_change_ascii_only(self):
        self.assertEqual(vocabulary.lower("AZ É İ"), "az É İ")
        self.assertEqual(vocabulary.upper("az é ß"), "AZ é ß")


class VocabularyTest(SemCompTestCase):
    def test_is_built_most_frequent_first(self):
        words = vocabulary.build(CAPTIONS).words
        self.assertEqual(words, ("a", "dog", "cat", "runs"))
        self.assertEqual(vocabulary.build(reversed(CAPTIONS)).words, words)
        self.assertEqual(vocabulary.build(CAPTIONS, least=3).words, ("a", "dog"))

    @parameterized.parameters(
        ("A dog runs .", 6, [4, 5, 7, 2, 0, 0]),
        ("A dog runs", 4, [4, 5, 7, 2]),
        ("A dog runs", 3, [4, 5, 7]),
        ("A dog runs", 2, [4, 5]),
        ("The dog . . .", 4, [3, 5, 2, 0]),
        ("", 3, [2, 0, 0]),
    )
    def test_ids(self, text, length, expected):
        ids = vocabulary.build(CAPTIONS).ids(text, length)
        self.assertEqual(ids.dtype, np.int32)
        self.assertEqual(ids.tolist(), expected)

    def test_text_is_a_sentence(self):
        own = Vocabulary(("a", "dog", ",", "(", ")", "runs", "été"))
        self.assertEqual(own.text([1, 4, 5, 6, 3, 9, 2, 4]), "A dog, runs.")
        self.assertEqual(own.text([4, 7, 5, 8, 9]), "A (dog) runs.")
        self.assertEqual(own.text([10, 9]), "été runs.")
        self.assertEqual(own.text([2, 4]), "")

    def test_ids_of_text_are_the_ids(self):
        words = ("a", "dog", ",", "(", ")", "'", "'s", "t-shirt", "!", "3", "-", "x")
        own = Vocabulary(tuple(w for w in words if w != "'s"))
        rng = np.random.default_rng(1)
        for _ in range(200):
            ids = rng.integers(4, len(own), rng.integers(1, 12))
            again = own.ids(own.text(ids), len(ids))
            self.assertEqual(again.tolist(), ids.tolist())

    def test_is_saved_and_loaded(self):
        own = Vocabulary(("a", "été", '"', "東京"))
        path = self.folder / vocabulary.FILE_NAME
        vocabulary.save(path, own)
        self.assertEqual(vocabulary.load(path), own)
        self.assertEqual(json.loads(path.read_text("utf-8"))["words"], list(own.words))

    @parameterized.parameters(
        "",
        "[]",
        "{}",
        '{"words": "a"}',
        '{"words": []}',
        '{"words": ["a", "a"]}',
        '{"words": ["A"]}',
        '{"words": ["a b"]}',
        '{"words": [["a"]]}',
        "[" * 100000,
    )
    def test_refuses_files_that_are_none(self, text):
        path = self.folder / "v.json"
        path.write_text(text)
        with self.assertRaisesRegex(ModelMismatchError, "v.json.*no vocabulary"):
            vocabulary.load(path)

    def test_refuses(self):
        with self.assertRaisesRegex(ModelMismatchError, "no vocabulary"):
            vocabulary.load(self.folder / "missing")
        with self.assertRaisesRegex(ValueError, "`length`"):
            Vocabulary(("a",)).ids("a", 0)
        with self.assertRaisesRegex(ValueError, "`ids` must be 0 to 4; got 5"):
            Vocabulary(("a",)).text([5])
        with self.assertRaisesRegex(ValueError, "at least 3 times"):
            vocabulary.build(["a a"], least=3)
