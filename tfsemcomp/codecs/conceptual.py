"""`conceptual`: lines and a texture code, painted by a generator; made to be edited.

    x --edges, max-pool--> plane --context_mixing--> `structure` chunk, layer 0
    x --pad, analyze--> z --range_coder--> `texture` chunk, layer 1
    plane --nearest, pad--> S; S, z --synthesize, crop--> x_hat
    x - x_hat --a classical codec--> `residual` chunk, layer 2, where asked for

Lines cost nearly all of the bytes, so quality says which lines are sent and how finely
(`conceptual_structure.STEPS`). Without its texture a file is painted with z = 0.
Nothing that a network computes selects a table: lines and z decode alike everywhere,
pixels may differ by a few grey levels between machines.

Editing takes files and gives files. The chunk that is not edited is copied; a residual
would correct the picture that was, so it is left out.

Source: *Layered Conceptual Image Compression via Deep Semantic Synthesis* (ICIP 2019);
*Conceptual Compression via Deep Structure and Texture Synthesis* (arXiv 2011.04976).
The coders, the steps and the residual are ours.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tfsemcomp import bitstream, errors
from tfsemcomp.codecs import base, conceptual_structure, learned, residual
from tfsemcomp.codecs.conceptual_structure import STEPS

if TYPE_CHECKING:
    import numpy as np

    from tfsemcomp.entropy.context_mixing import Primed
    from tfsemcomp.entropy.tables import Tables
    from tfsemcomp.serving.manifest import ModelInfo
    from tfsemcomp.serving.runner import Runner

MODES = ("linear", "slerp")
# The chunks of a file, layer by layer; a file may end after any.
_CHUNKS = ("structure", "texture", "residual")
# Of residuals whose quality nobody chose.
_RESIDUAL_QUALITY = 20
# Vectors nearer to parallel, or shorter, are interpolated linearly.
_TINY = 1e-6


@dataclasses.dataclass(frozen=True)
class Model:
    """What the codec needs of a trained model.

    Attributes:
        fingerprint: of its files.
        runner: runs its signatures.
        tables: of z, one a channel.
        primed: what its coder of planes starts with; None without.
        stride: sides of padded pictures are multiples of it.
        channels: of z.
        grid: whether z has a vector for each stride x stride pixels, not just one.
        variant: "hf_gan", or "unet", which has no pyramid.
        structure: the method of the lines that it was trained for, and its options.
        server: where its networks and those of lines run; None for here.
    """

    fingerprint: bytes
    runner: Runner
    tables: Tables
    primed: Primed | None
    stride: int
    channels: int
    grid: bool
    variant: str
    structure: Mapping[str, Any]
    server: str | None

    def z_shape(self, height: int, width: int) -> tuple[int, int, int]:
        """Of the texture of a picture."""
        rows = columns = 1
        if self.grid:
            rows, columns = -(-height // self.stride), -(-width // self.stride)
        return rows, columns, self.channels


_CARD = {
    "stride": int,
    "channels": int,
    "grid": bool,
    "variant": str,
    "structure": conceptual_structure.read_card,
}


@functools.lru_cache(maxsize=8)
def _load(info: ModelInfo, server: str | None) -> Model:
    """Makes the model of a folder; a server may run it."""
    from tfsemcomp.entropy import context_mixing, tables
    from tfsemcomp.serving import runner

    facts = learned.read_card(info, "latents", _CARD)
    found = tables.load(info.path / tables.FILE_NAME).get("z")
    if found is None or len(found) != facts["channels"]:
        raise errors.ModelMismatchError(
            f"{info.path}: the card tells {facts['channels']} channels of z, there are "
            f"{0 if found is None else len(found)} tables; export the model again"
        )
    primed = info.path / context_mixing.FILE_NAME
    return Model(
        fingerprint=info.fingerprint,
        runner=runner.shared(info, server),
        tables=found,
        primed=context_mixing.load(primed) if primed.is_file() else None,
        server=server,
        **facts,
    )


@base.register("conceptual")
class ConceptualCodec(learned.LearnedCodec):
    """Codes pictures as lines and texture, and edits such files; see the module.

    Attributes:
        quality_range: 1 to 8, the steps of `conceptual_structure.STEPS`.

    Args, errors: see `LearnedCodec`.
    """

    summary = "Lines and a texture code, painted by a generator; editable."
    quality_range = (1, len(STEPS))
    default_quality = (1 + len(STEPS)) // 2
    settings = (
        *conceptual_structure.SETTINGS,
        base.Setting(
            "residual",
            str,
            "Codec of a correction towards the original, a third layer; default: none.",
            choices=residual.CODECS,
        ),
        base.Setting(
            "residual_quality",
            float,
            "Of that codec; default: 20, or with a target, what still fits.",
        ),
        learned.VERIFY_SETTING,
    )

    def check_settings(self, **wishes: Any) -> dict[str, Any]:
        """Checks them against each other, too."""
        settings = super().check_settings(**wishes)
        conceptual_structure.check_settings(settings)
        if settings["residual"] is not None:
            codec = base.get_codec(settings["residual"])
            codec.check_available()
            if settings["residual_quality"] is not None:
                codec.check_quality(settings["residual_quality"])
        elif settings["residual_quality"] is not None:
            raise ValueError("`residual_quality` needs `residual`, the codec it is of")
        return settings

    def search(self, encoder: Callable[[float], bytes], size: int) -> base.Encoded:
        """Finds the best file of at most `size` bytes; see `base.Codec.search`.

        With a residual of no given quality the lines are those of the default quality
        and the residual takes the rest.
        """
        if isinstance(encoder, _Encoder) and encoder.residual_is_free:
            found = base.search(
                lambda quality: encoder.file(self.default_quality, quality),
                base.get_codec(encoder.residual).qualities(),
                size,
                self.name,
            )
            return dataclasses.replace(found, quality=self.default_quality)
        return super().search(encoder, size)

    def structure(
        self, data: bytes, *, limits: bitstream.Limits | None = None
    ) -> np.ndarray:
        """The lines that a file holds, at the size of its picture; runs no network.

        Args:
            data: a file, or its structure layer.
            limits: as of `decompress`.
        Returns: uint8 [H,W] of 0 and 1, 1 on lines.
        Raises: as `decompress`.
        """
        return self._open(data, limits).lines()

    def return_pyramid(
        self, data: bytes, *, limits: bitstream.Limits | None = None
    ) -> list[np.ndarray]:
        """The picture as the generator builds it up, without residual.

        Args:
            data: a file, or its structure layer.
            limits: as of `decompress`.
        Returns: uint8 [h,w,3] each, from the coarsest to the full size.
        Raises: as `decompress`; SemCompError if the model's variant has no pyramid.
        """
        parsed = self._open(data, limits)
        if parsed.model.variant != "hf_gan":
            raise errors.SemCompError(
                f"only models of variant hf_gan have a pyramid, the stream's is "
                f"{parsed.model.variant}"
            )
        return _pyramid(parsed)

    def swap_texture(
        self, data: bytes, texture: bytes, *, limits: bitstream.Limits | None = None
    ) -> bytes:
        """The lines of a file with the texture of another.

        Args:
            data: whose lines to keep; of any layers.
            texture: a file of the same model, whose texture to take. Where both have
                a grid of textures and their sizes differ, the nearest are taken.
            limits: as of `decompress`.
        Returns: a file of two layers.
        Raises: as `decompress`; ValueError if `texture` has lost its texture;
            ModelMismatchError if the models differ.
        """
        kept, taken = self._open(data, limits), self._open(texture, limits)
        _check_partner(kept, taken)
        if kept.z_shape == taken.z_shape:
            return kept.with_texture(taken.texture)
        return kept.with_z(_fit(taken.z(), kept.z_shape))

    def edit_structure(
        self, data: bytes, structure: Any, *, limits: bitstream.Limits | None = None
    ) -> bytes:
        """The texture of a file with other lines.

        Args:
            data: whose texture to keep, if it has one, and the scale of its lines.
            structure: the lines, as the setting `structure` takes them.
            limits: as of `decompress`.
        Returns: a file of two layers, or one.
        Raises: as `decompress`; as `read_lines` of a map.
        """
        from tfsemcomp.semantics import edges

        parsed = self._open(data, limits)
        lines = conceptual_structure.read_lines(structure, *parsed.size)
        scale = parsed.structure.scale
        payload = conceptual_structure.encode(
            edges.downscale(lines, scale),
            scale,
            parsed.model.primed,
            *parsed.size,
            verify=True,
            coder=parsed.structure.coder,
        )
        return _write(parsed.model, parsed.size, payload, parsed.texture)

    def interpolate(
        self,
        data: bytes,
        texture: bytes,
        count: int,
        *,
        mode: str = "linear",
        limits: bitstream.Limits | None = None,
    ) -> list[bytes]:
        """The lines of a file with textures from its own to another's.

        Args:
            data: whose lines and whose first texture to take.
            texture: a file of the same model with the last texture; as `swap_texture`.
            count: of files, at least 2.
            mode: "linear", or "slerp": along the arc, with lengths in between.
            limits: as of `decompress`.
        Returns: files of two layers. The first has the texture of `data`, the last that
            of `texture`; textures are whole numbers, so steps in between are rounded.
        Raises: as `swap_texture`; ValueError for a wrong `count` or `mode`.
        """
        import numpy as np

        count = base.Setting("count", int, "", low=2).check(count)
        mode = base.Setting("mode", str, "", choices=MODES).check(mode)
        first, last = self._open(data, limits), self._open(texture, limits)
        if first.texture is None:
            raise ValueError("`data` must have a texture to begin with, it was cut off")
        _check_partner(first, last)
        a, b = first.z(), _fit(last.z(), first.z_shape)
        blend = _slerp if mode == "slerp" else _lerp
        places = np.linspace(0, 1, count)
        return [first.with_z(np.rint(blend(a, b, t)).astype(np.int32)) for t in places]

    def _open(self, data: bytes, limits: bitstream.Limits | None) -> _Parsed:
        """A file to be edited."""
        if not isinstance(data, (bytes, bytearray, memoryview)):
            raise ValueError(f"`data` must be bytes, received {type(data).__name__}")
        return self._parse(bytes(data), None, limits or bitstream.Limits())

    def _load(self, info: ModelInfo) -> Model:
        return _load(info, self.server)

    def _best_quality(self, info: ModelInfo) -> int:
        learned.read_card(info, "latents", _CARD)
        return len(STEPS)

    def _encoder(self, image: np.ndarray, **settings: Any) -> _Encoder:
        return _Encoder(self._own_model(), image[None], settings)

    def _encode_batch(
        self, images: np.ndarray, quality: float, **settings: Any
    ) -> list[bytes]:
        return _Encoder(self._own_model(), images, settings).files(int(quality))

    def _parse(
        self, data: bytes, layers: int | None, limits: bitstream.Limits
    ) -> _Parsed:
        stream = self._read(data, limits)
        found = tuple((chunk.type, chunk.layer) for chunk in stream.chunks)
        if found != tuple((kind, i) for i, kind in enumerate(_CHUNKS))[: len(found)]:
            raise errors.BitstreamError(
                f"a stream of {self.name} has the chunks {', '.join(_CHUNKS)}, one a "
                f"layer, or the first of them; this one has "
                f"{', '.join(f'{kind} {layer}' for kind, layer in found[:9])}"
            )
        header = stream.header
        payloads = [chunk.payload for chunk in stream.chunks][:layers]
        return _Parsed(
            self._model_of(header.fingerprint),
            (header.height, header.width),
            conceptual_structure.parse(payloads[0], header.height, header.width),
            *payloads,
        )

    def _decode_batch(self, parsed: Sequence[_Parsed]) -> np.ndarray:
        import numpy as np

        lines = np.stack([item.lines() for item in parsed])
        z = np.stack([item.z() for item in parsed])
        pictures = _synthesize(parsed[0].model, lines, z)
        for number, item in enumerate(parsed):
            if item.residual is not None:
                pictures[number] = residual.apply(item.residual, pictures[number])
        return pictures


@dataclasses.dataclass(frozen=True)
class _Parsed:
    """A file taken apart.

    Attributes:
        model: that made it.
        size: H and W.
        structure: its lines.
        structure_payload, texture, residual: of its chunks; None for those that it
            does not have.
    """

    model: Model
    size: tuple[int, int]
    structure: conceptual_structure.Parsed
    structure_payload: bytes
    texture: bytes | None = None
    residual: bytes | None = None

    @property
    def alike(self) -> tuple:
        """What files that are decoded together have in common."""
        return self.model.fingerprint, self.size

    @property
    def z_shape(self) -> tuple[int, int, int]:
        """Of its texture."""
        return self.model.z_shape(*self.size)

    def lines(self) -> np.ndarray:
        """uint8 [H,W] of 0 and 1."""
        return self.structure.lines(self.model.primed)

    def z(self) -> np.ndarray:
        """int32 [gh,gw,nz], 0 without a texture."""
        import numpy as np

        from tfsemcomp.entropy import range_coder

        if self.texture is None:
            return np.zeros(self.z_shape, np.int32)
        found = range_coder.decode_channels(
            self.model.tables, [self.texture], self.z_shape
        )
        return found[0]

    def with_texture(self, payload: bytes) -> bytes:
        """The file with these lines and that texture."""
        return _write(self.model, self.size, self.structure_payload, payload)

    def with_z(self, z: np.ndarray) -> bytes:
        """The file with these lines and another texture, int32 [gh,gw,nz]."""
        return self.with_texture(_encode_z(self.model, z[None], verify=True)[0])


class _Encoder:
    """Makes files of pictures of one size; of a single one, `encoder(quality)`.

    Textures are made once for all qualities.

    Args:
        model: see there.
        images: uint8 [B,H,W,3].
        settings: of the codec, all present.
    """

    def __init__(
        self, model: Model, images: np.ndarray, settings: dict[str, Any]
    ) -> None:
        self._model, self._images = model, images
        self._verify = settings["verify"]
        self.residual = settings["residual"]
        self._residual_quality = settings["residual_quality"]
        self._drawing = conceptual_structure.drawing(
            model.structure, settings, model.server
        )
        self._coder = settings["structure_codec"]
        self._planes_of: dict[int, list[tuple[np.ndarray, int]]] = {}
        self._structures_of: dict[int, list[bytes]] = {}
        self._pictures_of: dict[int, np.ndarray] = {}

    def __call__(self, quality: float) -> bytes:
        """The file of the only picture."""
        return self.file(quality)

    @property
    def residual_is_free(self) -> bool:
        """Whether a target may choose the quality of the residual."""
        return self.residual is not None and self._residual_quality is None

    def file(self, quality: float, residual_quality: float | None = None) -> bytes:
        """The file of the only picture."""
        return self.files(int(quality), residual_quality)[0]

    def files(self, quality: int, residual_quality: float | None = None) -> list[bytes]:
        """The files of a quality, with residuals of this quality or the setting's."""
        model, size = self._model, self._images.shape[1:3]
        payloads = self._structures(quality)
        if self.residual is None:
            return [
                _write(model, size, payload, texture)
                for payload, texture in zip(payloads, self._textures, strict=True)
            ]
        if residual_quality is None:
            residual_quality = self._residual_quality
        if residual_quality is None:
            residual_quality = _RESIDUAL_QUALITY
        corrections = [
            residual.encode(image, picture, self.residual, residual_quality)
            for image, picture in zip(
                self._images, self._pictures(quality), strict=True
            )
        ]
        parts = zip(payloads, self._textures, corrections, strict=True)
        return [_write(model, size, *part) for part in parts]

    @functools.cached_property
    def _z(self) -> np.ndarray:
        """int32 [B,gh,gw,nz]."""
        import numpy as np

        padded = learned.pad(self._images, self._model.stride).astype(np.float32)
        return self._model.runner.call("analyze", images=padded)["z"]

    @functools.cached_property
    def _textures(self) -> list[bytes]:
        return _encode_z(self._model, self._z, self._verify)

    # The search for the quality of a residual asks for the same lines again and again.

    def _planes(self, quality: int) -> list[tuple[np.ndarray, int]]:
        """The lines of each picture as they are sent, and their scales."""
        if quality not in self._planes_of:
            step = STEPS[quality - 1]
            found = [self._drawing.at(step, image) for image in self._images]
            self._planes_of[quality] = found
        return self._planes_of[quality]

    def _structures(self, quality: int) -> list[bytes]:
        """The payloads of these lines."""
        if quality not in self._structures_of:
            size = self._images.shape[1:3]
            self._structures_of[quality] = [
                conceptual_structure.encode(
                    plane, scale, self._model.primed, *size, self._verify, self._coder
                )
                for plane, scale in self._planes(quality)
            ]
        return self._structures_of[quality]

    def _pictures(self, quality: int) -> np.ndarray:
        """What files without a residual decode to: uint8 [B,H,W,3]."""
        import numpy as np

        if quality not in self._pictures_of:
            size = self._images.shape[1:3]
            lines = [
                conceptual_structure.seen_lines(
                    payload, *drawn, self._model.primed, *size
                )
                for payload, drawn in zip(
                    self._structures(quality), self._planes(quality), strict=True
                )
            ]
            found = _synthesize(self._model, np.stack(lines), self._z)
            self._pictures_of[quality] = found
        return self._pictures_of[quality]


def _write(model: Model, size: tuple[int, int], *payloads: bytes | None) -> bytes:
    """A file of the payloads that are there: structure, texture, residual."""
    height, width = size
    header = bitstream.Header("conceptual", model.fingerprint, width, height)
    return bitstream.write(
        header,
        [
            bitstream.Chunk(kind, payload, layer)
            for layer, (kind, payload) in enumerate(
                zip(_CHUNKS, payloads, strict=False)
            )
            if payload is not None
        ],
    )


def _encode_z(model: Model, z: np.ndarray, verify: bool) -> list[bytes]:
    """Codes textures, int32 [B,gh,gw,nz]."""
    import numpy as np

    from tfsemcomp.entropy import range_coder

    coded = range_coder.encode_channels(model.tables, z)
    if verify:
        again = range_coder.decode_channels(model.tables, coded, z.shape[1:])
        learned.check_verified(np.array_equal(again, z))
    return coded


def _inputs(model: Model, lines: np.ndarray, z: np.ndarray) -> dict[str, np.ndarray]:
    """What the generator takes, for lines uint8 [B,H,W] and int32 [B,gh,gw,nz]."""
    import numpy as np

    padded = learned.pad(lines[..., None], model.stride)
    return {"structure": padded.astype(np.float32), "z": z}


def _synthesize(model: Model, lines: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Pictures uint8 [B,H,W,3] of lines uint8 [B,H,W] and textures [B,gh,gw,nz]."""
    found = model.runner.call("synthesize", **_inputs(model, lines, z))
    return learned.to_pixels(found["images"], *lines.shape[1:])


def _pyramid(parsed: _Parsed) -> list[np.ndarray]:
    """The stages of the picture, coarsest first, without their padding."""
    height, width = parsed.size
    inputs = _inputs(parsed.model, parsed.lines()[None], parsed.z()[None])
    rows, columns = inputs["structure"].shape[1:3]
    stages = parsed.model.runner.call("synthesize", **inputs).values()
    return [
        learned.to_pixels(
            stage,
            -(-height * stage.shape[1] // rows),
            -(-width * stage.shape[2] // columns),
        )[0]
        for stage in sorted(stages, key=lambda stage: stage.shape[1])
    ]


def _check_partner(kept: _Parsed, taken: _Parsed) -> None:
    """Raises unless the second file has a texture for the first one's model."""
    if kept.model.fingerprint != taken.model.fingerprint:
        raise errors.ModelMismatchError(
            "`texture` was made with a model of fingerprint "
            f"{taken.model.fingerprint.hex()}, the other file with "
            f"{kept.model.fingerprint.hex()}; compress both with one model"
        )
    if taken.texture is None:
        raise ValueError("`texture` must be a file with a texture, it was cut off")


def _fit(z: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
    """Textures [gh,gw,nz] on a grid of another size, each the nearest one."""
    import numpy as np

    rows, columns = (
        np.arange(new) * old // new
        for old, new in zip(z.shape[:2], shape[:2], strict=True)
    )
    return z[rows[:, None], columns]


def _lerp(a: np.ndarray, b: np.ndarray, t: float) -> np.ndarray:
    return (1 - t) * a + t * b


def _slerp(a: np.ndarray, b: np.ndarray, t: float) -> np.ndarray:
    """Along the arc between the directions of vectors [...,nz], lengths linear."""
    import numpy as np

    lengths = [np.linalg.norm(v, axis=-1, keepdims=True) for v in (a, b)]
    one, two = (v / np.maximum(n, _TINY) for v, n in zip((a, b), lengths, strict=True))
    angle = np.arccos(np.clip((one * two).sum(axis=-1, keepdims=True), -1, 1))
    sine = np.sin(angle)
    # Opposite vectors have no one arc, and those of length 0 no direction.
    straight = (sine < _TINY) | (lengths[0] < _TINY) | (lengths[1] < _TINY)
    sine = np.where(straight, 1, sine)
    arc = (np.sin((1 - t) * angle) * one + np.sin(t * angle) * two) / sine
    return np.where(straight, _lerp(a, b, t), _lerp(*lengths, t) * arc)
