"""Headless Chromium, steered by Selenium, where both are installed."""

import contextlib
import importlib.util
import pathlib
import shutil
import time
from collections.abc import Callable, Iterator
from typing import Any

from tests.evaluation.browser import BROWSER

DRIVER = shutil.which("chromedriver")
if BROWSER is None or DRIVER is None:
    MISSING = (
        "needs Chromium and its driver on PATH: apt-get install chromium "
        "chromium-driver"
    )
elif importlib.util.find_spec("selenium") is None:
    MISSING = "needs Selenium: pip install 'tfsemcomp[dev]'"
else:
    MISSING = ""
_OPTIONS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-proxy-server",
)
_PATIENCE_SECONDS = 300
_POLL_SECONDS = 0.1


@contextlib.contextmanager
def window(
    downloads: pathlib.Path, width: int = 1280, height: int = 900
) -> Iterator["Window"]:
    """A window of this size that saves files to a folder without asking."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER
    for option in (*_OPTIONS, f"--window-size={width},{height}"):
        options.add_argument(option)
    options.set_capability("goog:loggingPrefs", {"performance": "ALL"})
    options.add_experimental_option(
        "prefs", {"download.default_directory": str(downloads)}
    )
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    try:
        driver.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {
                "width": width,
                "height": height,
                "deviceScaleFactor": 1,
                "mobile": width < 600,
            },
        )
        yield Window(driver)
    finally:
        driver.quit()


class Window:
    """What a person does in a window; what is not there yet is waited for."""

    def __init__(self, driver: Any) -> None:
        self.driver = driver

    def find(self, selector: str) -> Any:
        """The first element of a CSS selector."""
        found = self.wait_for(
            lambda: self.driver.find_elements("css selector", selector), selector
        )
        return found[0]

    def visible(self, selector: str) -> bool:
        """Whether an element is there and seen."""
        found = self.driver.find_elements("css selector", selector)
        return bool(found) and found[0].is_displayed()

    def click(self, selector: str) -> None:
        """Clicks an element."""
        self._show(self.find(selector)).click()

    def choose(self, selector: str, text: str) -> None:
        """Picks what begins with a text from a drop-down list."""
        self.click(f"{selector} input")
        options = f"{selector} [role=option], ul [role=option]"
        self.find(options)
        for option in self.driver.find_elements("css selector", options):
            words = option.text.replace("\u2713", "").strip()
            if words == text or words.startswith(f"{text} "):
                option.click()
                return
        raise AssertionError(f"no {text} in {selector}")

    def drag(self, element: Any, start: float, end: float) -> None:
        """Drags across an element, from and to shares of its width."""
        from selenium.webdriver import ActionChains

        self._show(element)
        width = element.size["width"]
        actions = ActionChains(self.driver, duration=20)
        actions.move_to_element_with_offset(element, int((start - 0.5) * width), 0)
        actions.click_and_hold().move_by_offset(int((end - start) * width), 0)
        actions.release().perform()

    def text(self, selector: str) -> str:
        """What an element says."""
        return self.find(selector).text

    def wait_for(self, value: Callable[[], Any], what: str) -> Any:
        """The first value of a function that is true."""
        from selenium.common.exceptions import StaleElementReferenceException

        end = time.monotonic() + _PATIENCE_SECONDS
        while time.monotonic() < end:
            with contextlib.suppress(StaleElementReferenceException):
                found = value()
                if found:
                    return found
            time.sleep(_POLL_SECONDS)
        raise AssertionError(f"waited in vain for {what}")

    def _show(self, element: Any) -> Any:
        self.driver.execute_script(
            "arguments[0].scrollIntoView({block: 'center'})", element
        )
        return element
