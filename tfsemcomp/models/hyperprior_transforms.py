"""The transforms of `hyperprior`: the published convolutions, and ours around a DCT."""

from collections.abc import Sequence

import tensorflow as tf

from tfsemcomp.layers import block_dct
from tfsemcomp.layers.gdn import Gdn
from tfsemcomp.layers.subpixel import SubpixelTranspose
from tfsemcomp.models.hyperprior_conditions import Lower, LowerBlocks

layers = tf.keras.layers


def _down(filters: int, dtype: str | None = None) -> layers.Layer:
    return layers.Conv2D(filters, 5, 2, "same", dtype=dtype)


def _up(filters: int, dtype: str | None = None) -> layers.Layer:
    return layers.Conv2DTranspose(filters, 5, 2, "same", dtype=dtype)


class GdnAnalysis(layers.Layer):
    """g_a of Balle et al.: x [B,H,W,3] -> y [B,H/16,W/16,M].

    x/255 --(5x5 s2--> N --GDN-->) three times, 5x5 s2--> M

    Args:
        width: N.
        channels: M.
    Call args:
        x: float [B,H,W,3] in [0, 255], H and W multiples of 16.
        condition: not used; see `DctAnalysis`.
        lower: what the picture is analysed beside, or None; see
            `hyperprior_conditions`.
    """

    def __init__(self, width: int, channels: int, **kwargs) -> None:
        super().__init__(**kwargs)
        self.width, self.channels = width, channels
        steps = []
        for _ in range(3):
            steps += [_down(width), Gdn()]
        self.steps = [*steps, _down(channels)]

    def call(
        self,
        x: tf.Tensor,
        condition: tf.Tensor | None = None,
        lower: Lower | None = None,
    ) -> tf.Tensor:
        """Analyses pictures."""
        x = x / 255
        if lower is not None:
            base, structure = lower
            below = tf.concat([base / 255, structure], axis=-1)
            x = tf.concat([x, tf.cast(below, x.dtype)], axis=-1)
        for step in self.steps:
            x = step(x)
        return x

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        config = {"width": self.width, "channels": self.channels}
        return {**super().get_config(), **config}


class GdnSynthesis(layers.Layer):
    """g_s of Balle et al., the mirror of `GdnAnalysis`: y_hat -> x_hat, not clipped.

    Args:
        width: N.
    Call args:
        y_hat: float [B,h,w,M].
        condition, lower: not used; see `hyperprior_conditions.ScmcSynthesis`.
    Returns: float [B,16h,16w,3], about [0, 255].
    """

    def __init__(self, width: int, **kwargs) -> None:
        super().__init__(**kwargs)
        self.width = width
        steps = []
        for _ in range(3):
            steps += [_up(width), Gdn(inverse=True)]
        self.steps = [*steps, SubpixelTranspose(3)]

    def call(
        self,
        y_hat: tf.Tensor,
        condition: tf.Tensor | None = None,
        lower: Lower | None = None,
    ) -> tf.Tensor:
        """Synthesises pictures."""
        for step in self.steps:
            y_hat = step(y_hat)
        return y_hat * 255

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        return {**super().get_config(), "width": self.width}


class ResidualBranch(layers.Layer):
    """What a fixed transform misses: a small residual network that starts at zero.

    c [B,h,w,C] --3x3--> W --blocks--> --3x3, zero--> + --> r [B,h,w,C]
    c --1x1, zero-------------------------------------^
    block: x + 3x3(f(3x3(f(x)) * (1 + scale) + shift)), f = leaky ReLU

    Scale and shift are linear in the condition, so that one network serves all rates.
    What else there is to see comes in by a 3x3 and a 1x1 of its own, zero at the start:
    the branch then goes on as one that never saw it.

    Args:
        width: W.
        blocks: how many.
        channels: C.
        sees: whether there is something else to see.
    Call args:
        c: float [B,h,w,C].
        condition: float [B,D].
        seen: float [B,h,w,S], with `sees`.
    Returns: float [B,h,w,C].
    """

    def __init__(
        self, width: int, blocks: int, channels: int, sees: bool = False, **kwargs
    ) -> None:
        super().__init__(**kwargs)
        self.width, self.blocks, self.channels = width, blocks, channels
        self.sees = sees
        self.enter = layers.Conv2D(width, 3, padding="same")
        self.first = [layers.Conv2D(width, 3, padding="same") for _ in range(blocks)]
        self.second = [layers.Conv2D(width, 3, padding="same") for _ in range(blocks)]
        self.modulate = [
            layers.Dense(2 * width, kernel_initializer="zeros") for _ in range(blocks)
        ]
        self.leave = layers.Conv2D(
            channels, 3, padding="same", kernel_initializer="zeros"
        )
        self.mix = layers.Dense(channels, use_bias=False, kernel_initializer="zeros")
        self.enter_seen = self.mix_seen = None
        if sees:
            silent = {"use_bias": False, "kernel_initializer": "zeros"}
            self.enter_seen = layers.Conv2D(width, 3, padding="same", **silent)
            self.mix_seen = layers.Dense(channels, **silent)

    def call(
        self, c: tf.Tensor, condition: tf.Tensor, seen: tf.Tensor | None = None
    ) -> tf.Tensor:
        """Returns the correction of `c`."""
        x = self.enter(c)
        if self.sees:
            x += self.enter_seen(seen)
        steps = zip(self.first, self.second, self.modulate, strict=True)
        for first, second, modulate in steps:
            scale, shift = tf.split(modulate(condition)[:, None, None], 2, axis=-1)
            inner = first(tf.nn.leaky_relu(x)) * (1 + scale) + shift
            x += second(tf.nn.leaky_relu(inner))
        found = self.leave(tf.nn.leaky_relu(x)) + self.mix(c)
        return found + self.mix_seen(seen) if self.sees else found

    def weights_of_seen(self) -> list[tf.Variable]:
        """Kernels by which something else is seen."""
        return [self.enter_seen.kernel, self.mix_seen.kernel] if self.sees else []

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        config = {
            "width": self.width,
            "blocks": self.blocks,
            "channels": self.channels,
            "sees": self.sees,
        }
        return {**super().get_config(), **config}


class DctAnalysis(layers.Layer):
    """g_a around a block DCT: y = c + R(c), R zero at the start.

    x [B,H,W,3] --BlockDct--> c [B,H/8,W/8,192] --ResidualBranch--> + --> y

    The DCT and the sum are float32 under any policy: bfloat16 tells a DC coefficient
    to two grey levels only. The branch follows the policy.

    Args:
        width: of the branch.
        blocks: of the branch.
        sees: whether the branch sees what is below.
    Call args:
        x: float [B,H,W,3] in [0, 255], H and W multiples of 8.
        condition: float [B,D], which rate is wanted.
        lower: see `hyperprior_conditions`; with `sees`.
    Returns: float [B,H/8,W/8,192], of the order of 1.
    """

    def __init__(self, width: int, blocks: int, sees: bool = False, **kwargs) -> None:
        super().__init__(**{**kwargs, "dtype": "float32"})
        self.width, self.blocks, self.sees = width, blocks, sees
        self.look = LowerBlocks() if sees else None
        self.transform = block_dct.BlockDct(dtype="float32")
        self.branch = ResidualBranch(width, blocks, block_dct.CHANNELS, sees)

    def call(
        self, x: tf.Tensor, condition: tf.Tensor, lower: Lower | None = None
    ) -> tf.Tensor:
        """Analyses pictures."""
        c = self.transform(x)
        seen = self.look(lower) if self.sees else None
        return c + tf.cast(self.branch(c, condition, seen), c.dtype)

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        config = {"width": self.width, "blocks": self.blocks, "sees": self.sees}
        return {**super().get_config(), **config}


class DctSynthesis(layers.Layer):
    """g_s around an inverse block DCT: x_hat = IDCT(y_hat + R(y_hat)).

    Neighbouring blocks meet in R's 3x3 kernels: it takes off blocking and ringing. The
    DCT and the sum are float32, as in `DctAnalysis`.

    Args:
        width: of the branch.
        blocks: of the branch.
        sees: whether the branch sees what is below.
    Call args:
        y_hat: float [B,h,w,192], of the order of 1.
        condition: float [B,D], which rate it was made for.
        lower: see `hyperprior_conditions`; with `sees`.
    Returns: float [B,8h,8w,3], about [0, 255].
    """

    def __init__(self, width: int, blocks: int, sees: bool = False, **kwargs) -> None:
        super().__init__(**{**kwargs, "dtype": "float32"})
        self.width, self.blocks, self.sees = width, blocks, sees
        self.look = LowerBlocks() if sees else None
        self.transform = block_dct.BlockDct(inverse=True, dtype="float32")
        self.branch = ResidualBranch(width, blocks, block_dct.CHANNELS, sees)

    def call(
        self, y_hat: tf.Tensor, condition: tf.Tensor, lower: Lower | None = None
    ) -> tf.Tensor:
        """Synthesises pictures."""
        seen = self.look(lower) if self.sees else None
        correction = tf.cast(self.branch(y_hat, condition, seen), y_hat.dtype)
        return self.transform(y_hat + correction)

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        config = {"width": self.width, "blocks": self.blocks, "sees": self.sees}
        return {**super().get_config(), **config}


def hyper_analysis(kind: str, hyper_channels: int, width: int) -> tf.keras.Sequential:
    """h_a: y (its magnitude for `scale`) [B,h,w,M] -> z [B,h/4,w/4,N].

    Args:
        kind: "scale" (ReLU), "mean_scale" (leaky ReLU) or "light", which mixes the
            channels by a 1x1 convolution only, for latents of stride 8.
        hyper_channels: N.
        width: channels of the first layer.
    """
    kernel = 1 if kind == "light" else 3
    activation = tf.nn.relu if kind == "scale" else tf.nn.leaky_relu
    return tf.keras.Sequential(
        [
            layers.Conv2D(width, kernel, padding="same"),
            layers.Activation(activation),
            _down(hyper_channels),
            layers.Activation(activation),
            _down(hyper_channels),
        ],
        name="h_a",
    )


def hyper_synthesis(
    kind: str, widths: Sequence[int], outputs: int, dtype: str | None = None
) -> tf.keras.Sequential:
    """h_s: z_hat [B,h,w,N] -> parameters of y [B,4h,4w,outputs].

    Args:
        kind: as of `hyper_analysis`.
        widths: channels of the two layers that double the resolution.
        outputs: M for scales alone, 2M for means and scales.
        dtype: "float64" for the copy that decoders run.
    """
    kernel = 1 if kind == "light" else 3
    activation = tf.nn.relu if kind == "scale" else tf.nn.leaky_relu
    return tf.keras.Sequential(
        [
            _up(widths[0], dtype),
            layers.Activation(activation, dtype=dtype),
            _up(widths[1], dtype),
            layers.Activation(activation, dtype=dtype),
            layers.Conv2D(
                outputs,
                kernel,
                padding="same",
                kernel_initializer="zeros" if kind == "light" else "glorot_uniform",
                dtype=dtype,
            ),
        ],
        name="h_s",
    )
