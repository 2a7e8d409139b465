"""Opens a page in headless Chromium, where one is installed."""

import pathlib
import re
import shutil
import subprocess
import tempfile

BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))),
    None,
)
_OPTIONS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    # Time jumps ahead while nothing happens: this is no waiting.
    "--virtual-time-budget=20000",
)


def open_page(page: pathlib.Path, script: str = "", width: int = 1280) -> str:
    """Opens a page in a window of some width, lets its scripts and one more run.

    Args:
        page: the HTML file.
        script: JavaScript to run after the page's own.
        width: of the window in pixels.
    Returns: the DOM as text.
    """
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        if script:
            text = page.read_text(encoding="utf-8")
            page = page.with_name("scripted.html")
            tail = f"<script>\n{script}\n</script></body>"
            page.write_text(text.replace("</body>", tail), encoding="utf-8")
        result = subprocess.run(
            [
                BROWSER,
                *_OPTIONS,
                f"--window-size={width},900",
                f"--user-data-dir={profile}",
                "--dump-dom",
                page.resolve().as_uri(),
            ],
            capture_output=True,
            timeout=120,
            check=False,
        )
    return result.stdout.decode("utf-8")


def body_data(dom: str) -> dict[str, str]:
    """The data-* attributes of the body."""
    body = re.search(r"<body[^>]*>", dom)
    return dict(re.findall(r'data-([a-z]+)="([^"]*)"', body[0])) if body else {}
