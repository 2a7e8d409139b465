"""Pages of the site that do not lie in docs/, and the links between those and docs/.

In a checkout each file links to its neighbours by its own place, such as
`../recipes/README.md`. The site has all pages in one tree, so that links are written
anew for it. A link to a file that is no page of the site is a warning, which fails a
build with --strict.
"""

import logging
import pathlib
import posixpath
import re

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

# Path in the checkout -> path in the site.
OUTSIDE = {
    "CHANGELOG.md": "changelog.md",
    "SECURITY.md": "security.md",
    "recipes/README.md": "recipes.md",
    "tfsemcomp/evaluation/anchor_data/README.md": "anchors.md",
}
_DOCS = "docs"
_LINK = re.compile(r"\]\((?P<path>[^)\s#:]+)(?P<rest>(?:[#\s][^)]*)?)\)")
_LOG = logging.getLogger("mkdocs.hooks.links")


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Adds the pages from outside docs/."""
    root = pathlib.Path(config.config_file_path).parent
    for path, page in OUTSIDE.items():
        text = (root / path).read_text(encoding="utf-8")
        files.append(File.generated(config, page, content=text))
    return files


def on_page_markdown(
    markdown: str, *, page: Page, config: MkDocsConfig, files: Files
) -> str:
    """Writes the page's links anew."""
    return rewrite(markdown, page.file.src_uri)


def rewrite(markdown: str, page: str) -> str:
    """Writes links between files of the checkout as links between pages of the site.

    Args:
        markdown: text of the page, in whose links paths are those of the checkout.
        page: path of the page in the site.
    Returns: the text; links that lead nowhere stay, and are warned of.
    """
    sources = {site: path for path, site in OUTSIDE.items()}
    source = sources.get(page, f"{_DOCS}/{page}")

    def replace(match: re.Match) -> str:
        path = posixpath.join(posixpath.dirname(source), match["path"])
        target = _in_site(posixpath.normpath(path))
        if target is None:
            _LOG.warning(
                "%s: links to %s, which is no page of the site; name it as text, or "
                "add it to OUTSIDE in docs_tools/hooks.py",
                source,
                match["path"],
            )
            return match[0]
        relative = posixpath.relpath(target, posixpath.dirname(page) or ".")
        return f"]({relative}{match['rest']})"

    return _LINK.sub(replace, markdown)


def _in_site(path: str) -> str | None:
    if path.startswith(f"{_DOCS}/"):
        return path.removeprefix(f"{_DOCS}/")
    return OUTSIDE.get(path)
