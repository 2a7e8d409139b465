"""The site of docs/: whole, with links that lead somewhere, and nothing fetched."""

import os
import pathlib
import re
import subprocess
import sys

import yaml
from absl.testing import parameterized

from docs_tools import docstrings, hooks
from tests.harness import SemCompTestCase
from tfsemcomp.codecs import base

ROOT = pathlib.Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
# Files that a browser loads by itself; links that people follow are none.
LOADED = re.compile(
    r"<(?:script|link|img|iframe|source|video|object)\b[^>]*\b(?:src|href|data)="
    r"\"?(?:https?:)?//[^>]*>"
)


def pages_of(nav: list | dict | str) -> list[str]:
    """All paths of a navigation, in order."""
    if isinstance(nav, str):
        return [nav]
    below = nav.values() if isinstance(nav, dict) else nav
    return [page for item in below for page in pages_of(item)]


class NavigationTest(SemCompTestCase):
    def setUp(self):
        super().setUp()
        text = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
        self.config = yaml.safe_load(text)
        self.pages = pages_of(self.config["nav"])

    def test_it_names_every_page_once(self):
        inside = [path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")]
        self.assertCountEqual(self.pages, [*inside, *hooks.OUTSIDE.values()])
        self.assertEqual(self.pages[0], "index.md")

    @parameterized.parameters(
        "msroi_jpeg", "hyperprior", "rnn", "conceptual", "layered", "semantic_enhanced"
    )
    def test_every_system_has_its_page(self, name):
        self.assertIn(name, base.codec_names())
        self.assertIn(f"{name}.md", self.pages)

    def test_pages_from_outside_are_there(self):
        for path in hooks.OUTSIDE:
            self.assertTrue((ROOT / path).is_file(), path)

    def test_the_reference_names_modules_that_are_there(self):
        named = []
        for page in (DOCS / "api").glob("*.md"):
            named += re.findall(r"(?m)^::: (\S+)$", page.read_text(encoding="utf-8"))
        self.assertLen(set(named), len(named))
        for module in named:
            path = ROOT / module.replace(".", "/")
            self.assertTrue(path.is_dir() or path.with_suffix(".py").is_file(), module)


class LinksTest(SemCompTestCase):
    @parameterized.parameters(
        ("TRAINING.md", "../recipes/README.md#flags", "recipes.md#flags"),
        ("RESULTS.md", "../tfsemcomp/evaluation/anchor_data/README.md", "anchors.md"),
        ("api/codecs.md", "../BITSTREAM.md", "../BITSTREAM.md"),
        ("api/codecs.md", "../../SECURITY.md", "../security.md"),
        ("recipes.md", "../docs/rnn.md", "rnn.md"),
        ("anchors.md", "../../../docs/images/a.png", "images/a.png"),
        ("changelog.md", 'docs/rnn.md "title"', 'rnn.md "title"'),
        ("index.md", "https://arxiv.org/abs/1612.08712", None),
        ("index.md", "#start", None),
        ("index.md", "mailto:someone@models.example", None),
    )
    def test_links_of_the_checkout_become_those_of_the_site(self, page, link, expected):
        text = hooks.rewrite(f"[a]({link}) and ![b]({link})", page)
        expected = expected or link
        self.assertEqual(text, f"[a]({expected}) and ![b]({expected})")

    def test_a_link_to_no_page_is_warned_of(self):
        with self.assertLogs("mkdocs.hooks.links", "WARNING") as logs:
            text = hooks.rewrite("[a](../setup.py)", "index.md")
        self.assertEqual(text, "[a](../setup.py)")
        self.assertIn("docs/index.md: links to ../setup.py", logs.output[0])


class DocstringsTest(SemCompTestCase):
    def test_sections_are_set_apart(self):
        text = "Does it.\nArgs:\n    a: one.\nReturns: two,\n    and three.\nRaises:\n"
        self.assertEqual(
            docstrings.normalise(text + "    ValueError: if not.\n").splitlines(),
            [
                "Does it.",
                "",
                "Args:",
                "    a: one.",
                "",
                "**Returns:** two,",
                "and three.",
                "",
                "Raises:",
                "    ValueError: if not.",
            ],
        )

    def test_what_names_no_exception_is_a_paragraph(self):
        text = docstrings.normalise("Raises:\n    As `read`.")
        self.assertEqual(text.splitlines(), ["", "**Raises:**", "As `read`."])

    def test_arguments_that_share_a_text(self):
        text = docstrings.normalise("Args:\n    low, high: numbers.")
        self.assertEqual(
            text.splitlines(),
            ["", "Args:", "    low: as `high`.", "    high: numbers."],
        )

    def test_other_text_stays(self):
        text = "A line.\n\n    x --g_a--> y: code\n\nNote: Returns: nothing."
        self.assertEqual(docstrings.normalise(text), text)


class SiteTest(SemCompTestCase):
    def test_it_builds_without_a_warning_and_fetches_nothing(self):
        site = self.folder / "site"
        done = subprocess.run(
            [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet"]
            + ["--site-dir", str(site)],
            capture_output=True,
            text=True,
            cwd=ROOT,
            env={**os.environ, "NO_MKDOCS_2_WARNING": "1", "PYTHONPATH": str(ROOT)},
            timeout=600,
            check=False,
        )
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "", ""))
        pages = list(site.rglob("*.html"))
        self.assertGreater(len(pages), 30)
        for page in pages:
            text = page.read_text(encoding="utf-8")
            self.assertEqual(LOADED.findall(text), [], page.name)
            # What the theme would fetch a script for.
            self.assertNotIn('class="mermaid"', text)
        for sheet in site.rglob("*.css"):
            text = sheet.read_text(encoding="utf-8")
            self.assertNotRegex(text, r"url\([\"']?(?:https?:)?//|@import")
        reference = (site / "api" / "codecs.html").read_text(encoding="utf-8")
        self.assertIn('id="tfsemcomp.codecs.base.Codec.compress"', reference)
