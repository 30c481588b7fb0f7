"""ClipEncoder: the image and title towers of a loaded model, on one device and in one number format."""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from geotag_batch.encode.encoder import EncoderMemoryError, check_pixels
from geotag_batch.encode.memory import memory_errors
from geotag_batch.encode.models import LoadedModel
from geotag_batch.encode.packed import pack
from geotag_batch.encode.torchvision_shim import import_open_clip
from geotag_batch.errors import EncoderError

__all__ = ["ClipEncoder", "choose_device", "choose_precision"]

_PRECISIONS = {
    "cpu": ("float32", "bfloat16", "int8"),  # float16 is emulated there: slow, and it overflows
    "cuda": ("float16", "bfloat16", "float32"),
    "mps": ("float32",),
}
"""What each kind of device runs in; the first is what "auto" means."""

_TITLES_PER_BATCH = 64  # of like length: larger ones are padded more, and on a CPU measured slower
_ON_A_GPU = 8  # times as many, to give it something to do
_LONGEST_TITLE = 2000
"""Characters. 77 tokens end long before; the tokenizer's time grows with the square of a word's length."""

_MAX_CACHED_WORDS = 200_000


def choose_device(device: str) -> torch.device:
    """Return the device that encoder.device means; "auto" is cuda, else mps, else cpu.

    Raises EncoderError if an explicit device is not there: it is never replaced by another.
    """
    counts = {"cpu": 1, "cuda": torch.cuda.device_count(), "mps": int(torch.backends.mps.is_available())}
    if device == "auto":
        return torch.device(next(kind for kind in ("cuda", "mps", "cpu") if counts[kind]))
    named = re.fullmatch(r"(cpu|cuda|mps)(?::(\d+))?", device)
    if named is None:
        raise EncoderError(f"encoder.device = {device!r} is no device", hint="use auto, cpu, cuda, cuda:1 or mps")
    if int(named[2] or 0) >= counts[named[1]]:
        there = ", ".join(f"{name}:{number}" for name, count in counts.items() for number in range(count))
        raise EncoderError(
            f"encoder.device = {device!r} is not on this machine, which has {there}",
            hint="use --device auto, or install a torch build for that device",
        )
    return torch.device(device)


def choose_precision(precision: str, device: torch.device) -> str:
    """Return the number format that encoder.precision means on `device`. Raises EncoderError if it has no such."""
    offered = _PRECISIONS[device.type]
    if precision == "auto":
        return offered[0]
    if precision not in offered:
        raise EncoderError(
            f"encoder.precision = {precision!r} is not offered on {device.type}", hint=f"use {' or '.join(offered)}"
        )
    return precision


class ClipEncoder:
    """Frozen CLIP; follows the Encoder protocol."""

    def __init__(self, loaded: LoadedModel, device: torch.device, precision: str) -> None:
        """Move `loaded` to `device` in `precision`; its module is taken over, not copied."""
        self.encoder_id = loaded.encoder_id
        self.weights_sha256 = loaded.weights_sha256
        self.dim = loaded.dim
        self.preprocess = loaded.preprocess
        self.precision = precision
        self.device = str(device)
        self._dtype: torch.dtype = getattr(torch, precision)
        self._model: Any = loaded.module.to(device, self._dtype)  # whatever class open_clip chose
        self._tokenizer = loaded.tokenizer
        self._words = dict(getattr(loaded.tokenizer, "cache", {}))
        self._mean = torch.tensor(loaded.preprocess.mean, device=device).view(1, 3, 1, 1)
        self._std = torch.tensor(loaded.preprocess.std, device=device).view(1, 3, 1, 1)
        self._pinned: torch.Tensor | None = None
        if device.type == "cuda":
            torch.backends.cudnn.allow_tf32 = False  # float32 convolutions would keep 10 bits of the mantissa
        self._cuts_titles = _is_plain_clip(loaded.module)
        towers = (loaded.module.visual, loaded.module if self._cuts_titles else None)
        self._packed = [pack(tower) for tower in towers] if device.type == "cpu" else []

    def cast(self, precision: str) -> None:
        """Go on in `precision`, one that the device offers; weights that were rounded stay so."""
        self.precision, self._dtype = precision, getattr(torch, precision)
        self._model.to(self._dtype)
        for transformer in self._packed:
            if transformer is not None:
                transformer.cast(self._dtype)

    def drop_images(self) -> None:
        """Let go of the image encoder, where another one takes its place."""
        self._model.visual = torch.nn.Identity()
        if self._packed:
            self._packed[0] = None

    def encode_images(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return embeddings (n, dim) of images uint8 (n, size, size, 3). Raises EncoderMemoryError, ValueError."""
        check_pixels(pixels, self.preprocess)
        if not len(pixels):
            return np.empty((0, self.dim), np.float32)
        with torch.inference_mode(), memory_errors():
            images = self._to_device(pixels).permute(0, 3, 1, 2).to(torch.float32)
            images = images.div_(255).sub_(self._mean).div_(self._std)  # in float32, as the model's own transform
            return _to_numpy(self._model.encode_image(images.to(self._dtype).contiguous(), normalize=False))

    def _to_device(self, pixels: NDArray[np.uint8]) -> torch.Tensor:
        """Return a copy of `pixels` on the device.

        Into CUDA's memory it goes through page-locked memory, kept for the next batch: the card fetches it by itself,
        while this thread queues the work that follows. That memory is free again when the embeddings have come back.
        """
        if not self.device.startswith("cuda"):
            return torch.tensor(np.ascontiguousarray(pixels), device=self.device)
        if self._pinned is None or len(self._pinned) < len(pixels):
            self._pinned = torch.empty(pixels.shape, dtype=torch.uint8, pin_memory=True)
        staged = self._pinned[: len(pixels)]
        np.copyto(staged.numpy(), pixels)
        return staged.to(self.device, non_blocking=True)

    def encode_titles(self, titles: Sequence[str]) -> NDArray[np.float32]:
        """Return embeddings (n, dim) of titles in the order given. Raises EncoderMemoryError if one title is too much.

        Titles of like length go through the tower together, cut behind the longest one's end: with a causal mask
        no token sees what follows it, so that the padding to the context's length changes nothing but the time.
        """
        embeddings = np.empty((len(titles), self.dim), np.float32)
        if not titles:
            return embeddings
        tokens = self._tokenize(titles)
        lengths = self._lengths(tokens)
        order = lengths.argsort(stable=True)
        start, size = 0, _TITLES_PER_BATCH * (_ON_A_GPU if self.device.startswith("cuda") else 1)
        while start < len(titles):
            rows = order[start : start + size]
            try:
                embeddings[rows.numpy()] = self._encode_tokens(tokens[rows, : int(lengths[rows].max())])
            except EncoderMemoryError:
                if size == 1:
                    raise
                size //= 2
            else:
                start += size
        return embeddings

    def cuts_title(self, title: str) -> bool:
        """Return whether a title is too long to be seen whole: CLIP's context is 77 tokens, two of them marks."""
        context = self._tokenize([""]).shape[1]
        ends = self._tokenizer([title[:_LONGEST_TITLE], ""], context_length=context + 1)[:, -1]
        return len(title) > _LONGEST_TITLE or bool(ends[0] != ends[1])  # padding, unless one more token was there

    def _tokenize(self, titles: Sequence[str]) -> torch.Tensor:
        cache = getattr(self._tokenizer, "cache", {})
        if len(cache) > _MAX_CACHED_WORDS:  # open_clip's tokenizer keeps every word it ever saw
            cache.clear()
            cache.update(self._words)
        return self._tokenizer([title[:_LONGEST_TITLE] for title in titles])

    def _lengths(self, tokens: torch.Tensor) -> torch.Tensor:
        if self._cuts_titles:
            return tokens.argmax(dim=1) + 1  # the end token has the greatest number
        return torch.full((len(tokens),), tokens.shape[1])

    def _encode_tokens(self, tokens: torch.Tensor) -> NDArray[np.float32]:
        with torch.inference_mode(), memory_errors():
            tokens = tokens.to(self.device)
            if self._cuts_titles:
                return _to_numpy(self._encode_cut(tokens))
            return _to_numpy(self._model.encode_text(tokens, normalize=False))

    def _encode_cut(self, tokens: torch.Tensor) -> torch.Tensor:
        """Return what CLIP.encode_text gives for int64 tokens (n, length), length up to the context's."""
        model, length = self._model, tokens.shape[1]
        x = model.token_embedding(tokens) + model.positional_embedding[:length]
        x = model.transformer(x, attn_mask=model.attn_mask[:length, :length])
        ends = x[torch.arange(len(tokens), device=x.device), tokens.argmax(dim=1)]
        features: torch.Tensor = model.ln_final(ends) @ model.text_projection
        return features


def _is_plain_clip(model: torch.nn.Module) -> bool:
    """Return whether `_encode_cut` is this model's encode_text; others (SigLIP, CoCa, ...) get their padding."""
    clip: Any = import_open_clip().CLIP
    if type(model) is not clip:
        return False
    plain: Any = model
    causal = plain.attn_mask is not None and plain.text_pool_type == "argmax"
    return causal and isinstance(plain.text_projection, torch.nn.Parameter)


def _to_numpy(features: torch.Tensor) -> NDArray[np.float32]:
    return features.to(device="cpu", dtype=torch.float32).numpy()
