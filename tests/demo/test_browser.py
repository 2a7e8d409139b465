"""The page as a person uses it, in headless Chromium."""

import json
import pathlib
import unittest
import urllib.parse

import numpy as np

import tfsemcomp
from tests.demo import chromium, clients, pictures
from tfsemcomp import bitstream
from tfsemcomp.demo import catalogue

MISSING = clients.MISSING or chromium.MISSING
_CLIPS = """return [...document.querySelectorAll("#demo-slider img")]
    .map((image) => getComputedStyle(image).clipPath).join()"""
_PICTURES = """return [...document.querySelectorAll("#demo-slider img")]
    .map((image) => image.src).join()"""
_WIDTHS = "return [document.documentElement.scrollWidth, window.innerWidth]"


@unittest.skipIf(MISSING, MISSING)
class BrowserTest(clients.PageTestCase):
    def open(self, **size: int) -> chromium.Window:
        """A window with the page and a photo in it."""
        window = self.enter_context(chromium.window(self.folder, **size))
        window.driver.get(self.url)
        field = window.find("#demo-photo input[type=file]")
        field.send_keys(self.file(pictures.png()))
        window.wait_for(
            lambda: "96\u00d764" in window.text("#demo-photo-line"), "the photo"
        )
        return window

    def bytes_told(self, window: chromium.Window) -> int:
        text = window.text('#demo-facts [data-name="Bytes"] b')
        return int(text.replace(",", "")) if text else 0

    def compress(self, window: chromium.Window) -> int:
        """Presses the button; returns the bytes that the page tells then."""
        before = window.driver.execute_script(_PICTURES)
        window.click("#demo-compress")
        window.wait_for(
            lambda: window.driver.execute_script(_PICTURES) != before, "a result"
        )
        return window.wait_for(lambda: self.bytes_told(window), "the bytes")

    def download(self, window: chromium.Window, button: str, name: str) -> bytes:
        """What a button saves under this name."""
        path = self.folder / name
        window.click(button)
        window.wait_for(lambda: path.is_file() and path.stat().st_size, name)
        return path.read_bytes()

    def hosts(self, window: chromium.Window) -> set[str]:
        """Whom the page asked for anything."""
        found = set()
        for entry in window.driver.get_log("performance"):
            message = json.loads(entry["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                address = urllib.parse.urlsplit(message["params"]["request"]["url"])
                if address.scheme in ("http", "https", "ws", "wss"):
                    found.add(address.netloc)
        return found

    def test_a_visit(self):
        from selenium.webdriver.common.keys import Keys

        window = self.open()
        missing = [entry.name for entry in catalogue.entries() if not entry.available]
        for name in missing[:1]:
            window.choose("#demo-codec", name)
            window.wait_for(lambda: window.visible(".demo-missing"), "the reason")
        window.choose("#demo-codec", "rnn")
        window.wait_for(lambda: window.visible("#demo-model"), "the models")
        size = self.compress(window)
        data = self.download(window, "#demo-file", "a photo-rnn.tfsc")
        self.assertLen(data, size)
        picture = self.download(window, "#demo-picture", "a photo-rnn.png")
        np.testing.assert_array_equal(
            pictures.pixels_of(picture), tfsemcomp.decompress(data)
        )
        clips = window.driver.execute_script(_CLIPS)
        handle = window.find('#demo-slider [data-testid="slider"] .icon.center')
        window.drag(handle, 0.5, -6)
        window.wait_for(
            lambda: window.driver.execute_script(_CLIPS) != clips, "the slider"
        )
        layers = window.find("#demo-layers input[type=range]")
        layers.send_keys(Keys.HOME)
        window.wait_for(lambda: self.bytes_told(window) < size, "the first layer")
        self.assertIn("1 of", window.text("#demo-layer-line"))
        first = self.download(window, "#demo-file", "a photo-rnn-1.tfsc")
        self.assertEqual(first, bitstream.truncate(data, 1))
        host = urllib.parse.urlsplit(self.url).netloc
        self.assertEqual(self.hosts(window), {host})

    def test_painting_the_map(self):
        window = self.open()
        canvas = window.find("#demo-painter canvas")
        window.wait_for(lambda: canvas.get_attribute("height") == "427", "the map")
        self.compress(window)
        plain = self.download(window, "#demo-file", "a photo-msroi_jpeg.jpg")
        pathlib.Path(self.folder / "a photo-msroi_jpeg.jpg").unlink()
        window.click('#demo-painter button[data-level="0"]')
        window.click("#demo-painter button[data-fill]")
        window.click('#demo-painter button[data-level="255"]')
        window.drag(canvas, 0.1, 0.4)
        self.compress(window)
        painted = self.download(window, "#demo-file", "a photo-msroi_jpeg.jpg")
        original = pictures.photo().pixels.astype(float)
        errors = [
            np.square(pictures.pixels_of(data) - original)[24:40, 10:38].mean()
            for data in (plain, painted)
        ]
        self.assertLess(errors[1], errors[0])

    def test_a_phone(self):
        window = self.open(width=390, height=844)
        scrolled, width = window.driver.execute_script(_WIDTHS)
        self.assertEqual(width, 390)
        self.assertLessEqual(scrolled, width)
        window.choose("#demo-codec", "jpeg")
        self.compress(window)
        scrolled, width = window.driver.execute_script(_WIDTHS)
        self.assertLessEqual(scrolled, width)
        self.assertTrue(window.visible("#demo-file"))
