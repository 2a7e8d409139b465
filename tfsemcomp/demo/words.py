"""Results in the words and the HTML of the page; all that came from outside escaped."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence

from tfsemcomp import metrics
from tfsemcomp.demo.catalogue import Entry
from tfsemcomp.demo.studio import Photo, Result

# Bits of a pixel that is not compressed.
_RAW_BITS = 24
_DIGITS = {"psnr": 2, "ssim": 4, "ms_ssim": 4}
WELCOME = (
    '<div class="demo-welcome"><b>Drop a photo to begin</b>'
    "<span>It stays on the machine that this page comes from.</span></div>"
)


def photo_line(photo: Photo) -> str:
    """What was opened, and what was done to it."""
    height, width = photo.pixels.shape[:2]
    text = f"<b>{html.escape(photo.name)}</b> {width}\u00d7{height}"
    text += f", {photo.file_bytes:,} bytes as uploaded"
    notes = "".join(f"<li>{html.escape(note)}</li>" for note in photo.notes)
    return f'<div class="demo-photo">{text}<ul>{notes}</ul></div>'


def tiles(result: Result) -> str:
    """Bytes, bpp and metrics of what is shown, as tiles."""
    facts = result.facts
    shown = [
        ("Bytes", f"{facts['bytes']:,}", _smaller(facts["bpp"])),
        ("Bits a pixel", f"{facts['bpp']:.3f}", _quality(result)),
    ]
    for name, value in result.scores.items():
        metric = metrics.get(name)
        if math.isinf(value):
            shown.append((metric.label, "\u221e", "identical"))
        else:
            text = f"{value:.{_DIGITS[name]}f}"
            shown.append((metric.label, text, metric.unit or "1 is equal"))
    cells = "".join(
        f'<div class="demo-tile" data-name="{label}"><span>{label}</span>'
        f"<b>{value}</b><small>{html.escape(note)}</small></div>"
        for label, value, note in shown
    )
    return f'<div class="demo-tiles">{cells}</div>'


def chunks(result: Result) -> str:
    """Where the bytes of what is shown are: a bar and a table."""
    facts = result.facts
    pixels = facts["width"] * facts["height"]
    rows = [
        (chunk["type"], f"{chunk['layer'] + 1}", chunk["bytes"])
        for chunk in facts["chunks"]
    ]
    header = facts["bytes"] - sum(size for _, _, size in rows)
    if header:
        rows.insert(0, ("header", "\u2013", header))
    bar = "".join(
        f'<i class="demo-part demo-part-{number % 6}" style="flex-grow:{size}" '
        f'title="{kind}: {size:,} bytes"></i>'
        for number, (kind, _, size) in enumerate(rows)
    )
    table = "".join(
        f'<tr><td><i class="demo-dot demo-part-{number % 6}"></i>{kind}</td>'
        f"<td>{layer}</td><td>{size:,}</td><td>{8 * size / pixels:.4f}</td></tr>"
        for number, (kind, layer, size) in enumerate(rows)
    )
    return (
        f'<div class="demo-chunks"><div class="demo-bar">{bar}</div><table><thead><tr>'
        "<th>Chunk</th><th>Layer</th><th>Bytes</th><th>Bits a pixel</th></tr></thead>"
        f"<tbody>{table}</tbody></table></div>"
    )


def layer_line(result: Result) -> str:
    """How many layers are shown, and of what."""
    kinds = dict.fromkeys(chunk["type"] for chunk in result.facts["chunks"])
    return f"Shown: {result.shown} of {result.layers} layers ({', '.join(kinds)})"


def codec_line(entry: Entry) -> str:
    """What a codec is, or why it cannot run."""
    summary = html.escape(entry.summary)
    if entry.available:
        return f'<p class="demo-about">{summary}</p>'
    reason = html.escape(entry.reason)
    return (
        f'<p class="demo-about">{summary}</p>'
        f'<p class="demo-missing"><b>Not available here:</b> {reason}.</p>'
    )


def missing(entries: Sequence[Entry]) -> str:
    """The codecs that cannot run here, with the reasons."""
    items = "".join(
        f"<li><b>{entry.name}</b> {html.escape(entry.reason)}.</li>"
        for entry in entries
        if not entry.available
    )
    if not items:
        return '<p class="demo-about">All of them can run here.</p>'
    return f'<ul class="demo-list">{items}</ul>'


def choice(entry: Entry) -> str:
    """A codec's name in a list of choices."""
    return entry.name if entry.available else f"{entry.name} (not available)"


def file_name(photo: Photo, result: Result) -> str:
    """Of the compressed file, cut or whole."""
    cut = f"-{result.shown}" if result.shown < result.layers else ""
    return f"{photo.name}-{result.wish.codec}{cut}{result.suffix}"


def picture_name(photo: Photo, result: Result) -> str:
    """Of the decoded PNG."""
    return f"{file_name(photo, result).removesuffix(result.suffix)}.png"


def _smaller(bpp: float) -> str:
    return f"1/{_RAW_BITS / bpp:.0f} of raw pixels" if bpp < _RAW_BITS else ""


def _quality(result: Result) -> str:
    """The quality that was asked for, or that a target came to."""
    return "" if result.quality is None else f"quality {result.quality:g}"
