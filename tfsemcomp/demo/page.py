"""The layout of the page, and what its buttons call; the work is done in `studio`."""

from __future__ import annotations

import base64
import dataclasses
import functools
import importlib.resources
import pathlib
from collections.abc import Callable
from typing import Any

import gradio as gr
from absl import logging

from tfsemcomp import api, errors, images
from tfsemcomp.demo import catalogue, studio, words
from tfsemcomp.demo.bounds import Bounds
from tfsemcomp.demo.shelf import Shelf
from tfsemcomp.demo.studio import Photo, Result, Wish
from tfsemcomp.demo.work import Work
from tfsemcomp.semantics import roi

TITLE = "tfsemcomp: semantic image compression"
_INTRO = (
    '<header class="demo-head"><h1>tfsemcomp</h1><p>Drop a photo, pick a codec, see '
    "what is left of it at how many bytes.</p></header>"
)
_ENDS = (
    '<div class="demo-ends"><span>Original</span>'
    "<span>What the file decodes to</span></div>"
)
# Longer side of the photo behind the painter, in pixels.
_PREVIEW_SIDE = 640
# Of a session whose page was closed.
_SESSION_SECONDS = 3600
_CLEAN_SECONDS = 300
_SESSIONS = 64
_WAITING = 64
_FIRST_BYTES, _FIRST_BPP = 20_000, 0.5
_FAMILY = ["system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif"]
_MONOSPACE = ["ui-monospace", "Consolas", "monospace"]


@dataclasses.dataclass(frozen=True)
class Session:
    """What one open page has."""

    photo: Photo | None = None
    result: Result | None = None

    def opened(self) -> Photo:
        """The photo; ValueError if there is none yet."""
        if self.photo is None:
            raise ValueError("drop a photo first")
        return self.photo

    def made(self) -> Result:
        """The result; ValueError if there is none yet."""
        if self.result is None:
            raise ValueError("press Compress first")
        return self.result


def theme() -> gr.themes.Base:
    """The look of the page, with fonts that every system has."""
    return gr.themes.Soft(
        primary_hue="teal",
        neutral_hue="slate",
        font=_FAMILY,
        font_mono=_MONOSPACE,
        radius_size="lg",
    ).set(
        body_background_fill="*neutral_50",
        body_background_fill_dark="*neutral_950",
        block_title_background_fill="none",
        block_title_padding="0",
        block_title_text_color="*body_text_color",
        block_title_text_weight="650",
        block_label_background_fill="none",
        block_label_text_color="*body_text_color",
        block_label_text_weight="650",
    )


def style() -> str:
    """The page's own style sheet."""
    return _asset("style.css")


def build(bounds: Bounds, shelf: Shelf, work: Work) -> gr.Blocks:
    """Lays out the page.

    Args:
        bounds: of what it takes.
        shelf: for the files to download.
        work: that answers are made in.
    """
    entries = catalogue.entries()
    actions = _Actions(bounds, shelf, work)
    with gr.Blocks(
        title=TITLE,
        analytics_enabled=False,
        delete_cache=(_CLEAN_SECONDS, _SESSION_SECONDS),
    ) as blocks:
        session = gr.State(Session(), time_to_live=_SESSION_SECONDS)
        gr.HTML(_INTRO)
        with gr.Row(elem_classes="demo-main"):
            with gr.Column(scale=4, min_width=300, elem_classes="demo-side"):
                asked = _lay_out_wish(entries)
            with gr.Column(scale=8, min_width=320):
                seen = _lay_out_result()
        _connect(actions, session, asked, seen)
    blocks.state_session_capacity = _SESSIONS
    return blocks.queue(max_size=_WAITING, default_concurrency_limit=bounds.workers)


@dataclasses.dataclass(frozen=True)
class _Asked:
    """What a person says."""

    file: gr.File
    codec: gr.Dropdown
    about: gr.HTML
    model: gr.Dropdown
    rate: gr.Radio
    quality: gr.Slider
    size_bytes: gr.Number
    bpp: gr.Number
    button: gr.Button


@dataclasses.dataclass(frozen=True)
class _Seen:
    """What a person sees."""

    photo_line: gr.HTML
    slider: gr.ImageSlider
    layers: gr.Slider
    layer_line: gr.HTML
    tiles: gr.HTML
    file: gr.DownloadButton
    picture: gr.DownloadButton
    chunks: gr.HTML
    map_group: gr.Accordion
    method: gr.Dropdown
    painter: gr.HTML
    caption_group: gr.Group
    caption: gr.Textbox
    recaption: gr.Button
    texture_group: gr.Group
    texture: gr.File
    swap: gr.Button


def _lay_out_wish(entries: list[catalogue.Entry]) -> _Asked:
    first = entries[0]
    scale = catalogue.scale(first.name) if first.available else None
    with gr.Group():
        file = gr.File(label="1. Photo", elem_id="demo-photo", height=132)
    with gr.Group():
        codec = gr.Dropdown(
            [(words.choice(entry), entry.name) for entry in entries],
            value=first.name,
            label="2. Codec",
            elem_id="demo-codec",
        )
        model = gr.Dropdown(
            list(first.models),
            value=next(iter(first.models), None),
            label="Model",
            visible=len(first.models) > 1,
            elem_id="demo-model",
        )
        about = gr.HTML(words.codec_line(first), padding=True)
    with gr.Group():
        rate = gr.Radio(
            [("Quality", "quality"), ("Bytes", "bytes"), ("Bits a pixel", "bpp")],
            value="quality",
            label="3. How large",
            elem_id="demo-rate",
        )
        quality = gr.Slider(
            *((scale.low, scale.high) if scale else (1, 100)),
            value=scale.default if scale else 1,
            step=scale.step if scale else 1,
            label="Quality",
            elem_id="demo-quality",
        )
        size_bytes = gr.Number(
            _FIRST_BYTES,
            precision=0,
            minimum=1,
            label="Bytes, at most",
            visible=False,
            elem_id="demo-bytes",
        )
        bpp = gr.Number(
            _FIRST_BPP,
            minimum=0,
            step=0.05,
            label="Bits a pixel, at most",
            visible=False,
            elem_id="demo-bpp",
        )
    button = gr.Button(
        "Compress", variant="primary", size="lg", elem_id="demo-compress"
    )
    with gr.Accordion("Codecs that cannot run here", open=False):
        gr.HTML(words.missing(entries), elem_id="demo-missing")
    return _Asked(file, codec, about, model, rate, quality, size_bytes, bpp, button)


def _lay_out_result() -> _Seen:
    with gr.Group(elem_classes="demo-stage"):
        photo_line = gr.HTML(words.WELCOME, elem_id="demo-photo-line")
        gr.HTML(_ENDS)
        slider = gr.ImageSlider(
            format="png",
            interactive=False,
            show_label=False,
            container=False,
            max_height=430,
            buttons=["fullscreen"],
            elem_id="demo-slider",
        )
        layers = gr.Slider(
            1,
            2,
            value=2,
            step=1,
            label="Layers",
            info="One file, many pictures: cut it anywhere between its layers.",
            visible=False,
            elem_id="demo-layers",
        )
        layer_line = gr.HTML(visible=False, elem_id="demo-layer-line", padding=True)
    tiles = gr.HTML(elem_id="demo-facts")
    with gr.Row():
        file = gr.DownloadButton(
            "Download the file", interactive=False, elem_id="demo-file"
        )
        picture = gr.DownloadButton(
            "Download the decoded PNG", interactive=False, elem_id="demo-picture"
        )
    chunks = gr.HTML(elem_id="demo-chunks")
    with gr.Accordion(
        "What matters: the map that steers the bits", elem_id="demo-map"
    ) as map_group:
        method = gr.Dropdown(
            list(roi.METHODS),
            value=roi.DEFAULT_METHOD,
            label="Begin with",
            elem_id="demo-method",
        )
        painter = gr.HTML(
            "",
            html_template=_asset("painter.html"),
            js_on_load=_asset("painter.js"),
            photo="",
            start="",
            elem_id="demo-painter",
        )
    with gr.Group(visible=False) as caption_group:
        caption = gr.Textbox(
            label="Caption in the file", lines=2, elem_id="demo-caption"
        )
        recaption = gr.Button("Send this caption", elem_id="demo-recaption")
    with gr.Group(visible=False) as texture_group:
        texture = gr.File(
            label="Photo whose texture to take", elem_id="demo-texture", height=132
        )
        swap = gr.Button("Swap the texture", elem_id="demo-swap")
    return _Seen(
        photo_line,
        slider,
        layers,
        layer_line,
        tiles,
        file,
        picture,
        chunks,
        map_group,
        method,
        painter,
        caption_group,
        caption,
        recaption,
        texture_group,
        texture,
        swap,
    )


def _connect(actions: _Actions, session: gr.State, asked: _Asked, seen: _Seen) -> None:
    """Says what calls what."""
    results = [
        session,
        seen.slider,
        seen.tiles,
        seen.chunks,
        seen.layers,
        seen.layer_line,
        seen.caption,
        seen.file,
        seen.picture,
    ]
    asked.codec.change(
        actions.choose,
        [asked.codec],
        [
            *(asked.about, asked.model, asked.quality, asked.button),
            *(seen.map_group, seen.caption_group, seen.texture_group),
        ],
        api_name="choose",
        show_progress="hidden",
    )
    asked.model.input(
        actions.choose_model,
        [asked.codec, asked.model],
        [asked.quality],
        api_name="choose_model",
        show_progress="hidden",
    )
    asked.rate.change(
        actions.choose_rate,
        [asked.rate],
        [asked.quality, asked.size_bytes, asked.bpp],
        api_name="choose_rate",
        show_progress="hidden",
    )
    opened = asked.file.upload(
        actions.open,
        [asked.file],
        [*results, seen.photo_line],
        api_name="open",
        show_progress_on=seen.slider,
    )
    # The photo is seen before a network has looked at it.
    opened.success(
        actions.draw_map,
        [session, seen.method],
        [seen.painter],
        api_name="draw_first_map",
    )
    seen.method.input(
        actions.draw_map, [session, seen.method], [seen.painter], api_name="draw_map"
    )
    wishes = [asked.codec, asked.model, asked.rate]
    wishes += [asked.quality, asked.size_bytes, asked.bpp, seen.painter, seen.method]
    asked.button.click(
        actions.compress,
        [session, *wishes],
        results,
        api_name="compress",
        # On a phone the pictures are below the button.
        scroll_to_output=True,
        show_progress_on=seen.slider,
    )
    # The last of many moves counts.
    seen.layers.input(
        actions.show,
        [session, seen.layers],
        results,
        api_name="show",
        trigger_mode="always_last",
        show_progress_on=seen.slider,
    )
    seen.recaption.click(
        actions.recaption,
        [session, seen.caption],
        results,
        api_name="recaption",
        show_progress_on=seen.slider,
    )
    seen.swap.click(
        actions.swap_texture,
        [session, seen.texture],
        results,
        api_name="swap_texture",
        show_progress_on=seen.slider,
    )


def _told(function: Callable[..., Any]) -> Callable[..., Any]:
    """Shows errors of the library as they are, and others as faults."""

    @functools.wraps(function)
    def wrapped(*args: Any) -> Any:
        try:
            return function(*args)
        except (errors.SemCompError, ValueError) as error:
            raise gr.Error(str(error), duration=None, print_exception=False) from error
        except MemoryError as error:
            raise gr.Error("not enough memory for this", duration=None) from error
        except Exception as error:
            logging.exception("demo: %s", function.__name__)
            raise gr.Error(
                "unexpected; this is a fault of tfsemcomp, the log of the server "
                "tells more"
            ) from error

    return wrapped


class _Actions:
    """What buttons call: components' values in, components' values out."""

    def __init__(self, bounds: Bounds, shelf: Shelf, work: Work) -> None:
        self._bounds, self._shelf, self._work = bounds, shelf, work

    @_told
    def choose(self, codec: str) -> tuple[Any, ...]:
        """Shows what belongs to a codec."""
        entry = next(e for e in catalogue.entries() if e.name == codec)
        models = list(entry.models)
        return (
            words.codec_line(entry),
            gr.update(
                choices=models,
                value=models[0] if models else None,
                visible=len(models) > 1,
            ),
            _scale(codec, None) if entry.available else gr.skip(),
            gr.update(interactive=entry.available),
            gr.update(visible=codec == studio.MAPPED_CODEC),
            gr.update(visible=codec == studio.CAPTIONED_CODEC and entry.available),
            gr.update(visible=codec == studio.TEXTURED_CODEC and entry.available),
        )

    @_told
    def choose_model(self, codec: str, model: str) -> Any:
        """Shows the qualities of a model."""
        return _scale(codec, model)

    @_told
    def choose_rate(self, rate: str) -> tuple[Any, ...]:
        """Shows the field of a way to say how large the file may be."""
        return tuple(gr.update(visible=rate == name) for name in studio.RATES)

    @_told
    def open(self, path: str | None) -> tuple[Any, ...]:
        """Opens an uploaded photo."""
        photo = self._work.run(self._open, path)
        picture = self._shelf.put(f"{photo.name}.png", _png(photo.pixels))
        return (
            Session(photo),
            (picture, picture),
            "",
            "",
            gr.update(visible=False),
            gr.update(visible=False),
            "",
            gr.update(value=None, interactive=False),
            gr.update(value=None, interactive=False),
            words.photo_line(photo),
        )

    @_told
    def draw_map(self, session: Session, method: str) -> Any:
        """Begins the painter's map anew."""
        if session.photo is None:
            return gr.skip()
        return self._work.run(self._painter, session.photo, method)

    @_told
    def compress(
        self,
        session: Session,
        codec: str,
        model: str | None,
        rate: str,
        quality: float,
        size_bytes: float,
        bpp: float,
        painted: str,
        method: str,
    ) -> tuple[Any, ...]:
        """Compresses the photo."""
        photo = session.opened()
        amounts = {"quality": quality, "bytes": size_bytes, "bpp": bpp}
        wish = Wish(codec, model or None, rate, amounts.get(rate), painted or method)
        result = self._work.run(studio.compress, photo, wish, self._bounds)
        return self._results(photo, result)

    @_told
    def show(self, session: Session, layers: float) -> tuple[Any, ...]:
        """Shows the first layers of the file."""
        photo, result = session.opened(), session.made()
        result = self._work.run(studio.show, photo, result, int(layers), self._bounds)
        return self._results(photo, result)

    @_told
    def recaption(self, session: Session, caption: str) -> tuple[Any, ...]:
        """Compresses the photo again with another caption."""
        photo, result = session.opened(), session.made()
        wish = dataclasses.replace(result.wish, caption=caption.strip() or None)
        result = self._work.run(studio.compress, photo, wish, self._bounds)
        return self._results(photo, result)

    @_told
    def swap_texture(self, session: Session, path: str | None) -> tuple[Any, ...]:
        """Gives the file the texture of another photo."""
        photo, result = session.opened(), session.made()
        other = self._work.run(self._open, path)
        result = self._work.run(studio.swap_texture, photo, result, other, self._bounds)
        return self._results(photo, result)

    def _open(self, path: str | None) -> Photo:
        if path is None:
            raise ValueError("drop a photo first")
        name = pathlib.PurePath(path).name
        return studio.open_photo(api.read_file(path), name, self._bounds)

    def _painter(self, photo: Photo, method: str) -> Any:
        preview = base64.b64encode(studio.preview(photo, _PREVIEW_SIDE)).decode()
        return gr.update(
            value="",
            photo=f"data:image/jpeg;base64,{preview}",
            start=studio.draw_map(photo, method),
        )

    def _results(self, photo: Photo, result: Result) -> tuple[Any, ...]:
        """What the page shows of a result."""
        original = self._shelf.put(f"{photo.name}.png", _png(photo.pixels))
        name = words.picture_name(photo, result)
        picture = self._shelf.put(name, _png(result.pixels))
        file = self._shelf.put(words.file_name(photo, result), result.data)
        layered = result.layers > 1
        return (
            Session(photo, result),
            (original, picture),
            words.tiles(result),
            words.chunks(result),
            # Gradio's sliders have no single place.
            gr.update(
                maximum=max(2, result.layers), value=result.shown, visible=layered
            ),
            gr.update(value=words.layer_line(result), visible=layered),
            result.caption or "",
            gr.update(value=file, interactive=True),
            gr.update(value=picture, interactive=True),
        )


def _scale(codec: str, model: str | None) -> Any:
    scale = catalogue.scale(codec, model)
    return gr.update(
        minimum=scale.low, maximum=scale.high, step=scale.step, value=scale.default
    )


def _png(pixels: Any) -> bytes:
    return images.encode(pixels, "PNG")


def _asset(name: str) -> str:
    folder = importlib.resources.files("tfsemcomp.demo") / "assets"
    return (folder / name).read_text(encoding="utf-8")
