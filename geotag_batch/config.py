"""geotag.toml and GEOTAG_* variables to one frozen Config; the commented file that `geotag init` writes.

Flags win over variables, variables over the file, the file over the defaults given here.
"""

import difflib
import os
import tomllib
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

import tomlkit
import tomlkit.exceptions

from geotag_batch.atomic import write_bytes
from geotag_batch.errors import ConfigError
from geotag_batch.workspace import CONFIG_NAME, Workspace

__all__ = [
    "Config",
    "EncoderConfig",
    "HeadConfig",
    "ImagesConfig",
    "PhotosConfig",
    "ReviewConfig",
    "RunConfig",
    "default_toml",
    "load_config",
    "set_key",
]


def _key(
    default: Any,  # noqa: ANN401
    doc: str,
    *,
    choices: tuple[str, ...] = (),
    least: float | None = None,
    most: float = 1e15,
) -> Any:  # noqa: ANN401
    return field(default=default, metadata={"doc": doc, "choices": choices, "least": least, "most": most})


@dataclass(frozen=True, slots=True)
class PhotosConfig:
    """Where the catalogue is."""

    path: str = _key("photos/*.parquet", "the catalogue; a glob, relative to this file, absolute, or s3://bucket/...")


@dataclass(frozen=True, slots=True)
class ImagesConfig:
    """Where the images are, and the limits within which they are fetched and decoded."""

    root: str = _key("images", "a folder, an http(s) URL, or s3://bucket/prefix")
    template: str = _key("{bucket:05d}/{gridimage_id}.jpg", "path below the root; bucket = gridimage_id // 10000")
    column: str | None = _key(None, "instead of the template: the catalogue's column with a path or URL")
    max_bytes: int = _key(50_000_000, "a larger file is a failure", least=1)
    max_pixels: int = _key(50_000_000, "an image of more pixels is a failure, decided before decoding", least=1)
    decode: str = _key(
        "full", "JPEGs at full size, or at the half, quarter or eighth that still covers the encoder's square: faster, "
        "a little other (geotag precision-check)", choices=("full", "scaled")
    )  # fmt: skip
    decode_timeout: float = _key(20.0, "seconds after which a decoder is given up", least=0.1, most=1e6)
    decode_memory: int = _key(2_000_000_000, "bytes of address space a decoding process may take", least=1)
    fetch_timeout: float = _key(30.0, "seconds for one image over http(s), retries left aside", least=0.1, most=1e6)
    fetch_attempts: int = _key(4, "tries for what is transient: timeouts, resets, 429, 5xx", least=1)
    connections: int = _key(8, "images fetched at the same time over http(s)", least=1)
    allow_hosts: tuple[str, ...] = _key((), "other hosts that URLs of images.column may name")


@dataclass(frozen=True, slots=True)
class EncoderConfig:
    """Which frozen CLIP, in which number format, on which device."""

    model: str = _key("ViT-B-32-quickgelu", "any open_clip model name, or a model config file (.json)")
    weights: str = _key("openai", "a pretrained tag of that model, or a file (.safetensors, .pt)")
    activation: str | None = _key(
        None, "needed with a weights file: the activation it was trained with", choices=("quickgelu", "gelu")
    )
    precision: str = _key("auto", "number format", choices=("auto", "float32", "bfloat16", "float16", "int8"))
    min_agreement: float = _key(
        0.995, "share of photos whose tags must be float32's for auto to use a faster format, and for int8", least=0.0
    )
    device: str = _key("auto", "auto | cpu | cuda | cuda:1 | mps")


@dataclass(frozen=True, slots=True)
class HeadConfig:
    """Which head is in use."""

    current: str | None = _key(None, "head_id of the head in use; set by `geotag heads use`")


@dataclass(frozen=True, slots=True)
class RunConfig:
    """How a run works."""

    chunk_size: int = _key(4096, "photos in a chunk, the unit of work and of commit", least=1)
    batch_size: int | str = _key(
        "auto", "images that go through the encoder together; auto: 32 on a CPU, what a GPU is fastest with",
        choices=("auto",), least=1,
    )  # fmt: skip
    workers: int | str = _key(
        "auto", "processes that decode images; auto: from the cores and the device", choices=("auto",), least=1
    )
    max_failure_rate: float = _key(0.05, "share of first attempts that may fail, from 200 photos on", least=0.0)
    retry_after_hours: float = _key(
        20.0, "first wait after a transient failure; doubles each time", least=0.0, most=1e5
    )
    canary: int = _key(4, "stored photos encoded again and compared before a run encodes; 0 for none", least=0)
    missing_image: str = _key(
        "fail", "a photo whose image cannot be had: fail, or score by a bundle's other heads", choices=("fail", "score")
    )
    memory_limit: str = _key("1500MiB", "what DuckDB may take before it spills to cache/")


@dataclass(frozen=True, slots=True)
class ReviewConfig:
    """Links for people who review."""

    photo_url: str = _key("https://www.geograph.org.uk/photo/{gridimage_id}", "a photo's page")
    licence: str = _key("CC BY-SA 2.0", "stands beside each contributor's name on the review page")
    licence_url: str = _key("https://creativecommons.org/licenses/by-sa/2.0/", "where it can be read")


@dataclass(frozen=True, slots=True)
class Config:
    """The whole configuration; see the sections."""

    photos: PhotosConfig = PhotosConfig()
    images: ImagesConfig = ImagesConfig()
    encoder: EncoderConfig = EncoderConfig()
    head: HeadConfig = HeadConfig()
    run: RunConfig = RunConfig()
    review: ReviewConfig = ReviewConfig()

    def with_flags(self, flags: Mapping[str, Any]) -> "Config":
        """Return a copy in which dotted keys ("run.chunk_size") with a value other than None are replaced.

        Raises ConfigError if a value does not fit its key.
        """
        config = self
        for dotted, value in flags.items():
            if value is not None:
                config = _set(config, dotted, value, f"--{dotted.split('.')[1].replace('_', '-')}")
        return config


_SECTIONS = tuple(section.name for section in fields(Config))


def load_config(workspace: Workspace, environ: Mapping[str, str] | None = None) -> Config:
    """Read the workspace's geotag.toml, then GEOTAG_SECTION_KEY variables.

    Raises ConfigError naming the file or variable, the key, and the nearest known key.
    """
    path = workspace.config_file
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from error
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigError(f"{path}: is not valid TOML: {error}") from error
    config = Config()
    for section, keys in document.items():
        if section not in _SECTIONS:
            raise ConfigError(f"{path}: unknown section [{section}]{_nearest(section, _SECTIONS)}")
        if not isinstance(keys, dict):
            raise ConfigError(f"{path}: {section} should be a section, [{section}]")
        for key, value in keys.items():
            config = _set(config, f"{section}.{key}", value, str(path))
    images = document.get("images", {})
    if "column" in images and "template" in images:
        raise ConfigError(f"{path}: [images] has both template and column", hint="keep one of the two")
    return _apply_environment(config, os.environ if environ is None else environ)


def _apply_environment(config: Config, environ: Mapping[str, str]) -> Config:
    for name, text in sorted(environ.items()):
        prefix, _, rest = name.partition("_")
        section, _, key = rest.lower().partition("_")
        if prefix == "GEOTAG" and section in _SECTIONS and key:
            config = _set(config, f"{section}.{key}", _parse(section, key, text), f"variable {name}")
    return config


def _parse(section: str, key: str, text: str) -> object:
    """Turn the text of a variable into the key's type; what does not parse is left for `_check` to refuse."""
    kind = _kinds(section).get(key)
    if kind is None or (str in kind and not (int in kind and text.strip().isdecimal())):
        return text
    if tuple in kind:
        return tuple(part.strip() for part in text.split(",") if part.strip())
    try:
        return int(text) if int in kind else float(text)
    except ValueError:
        return text


def _kinds(section: str) -> dict[str, tuple[type, ...]]:
    """Return, for each key of a section, the Python types that it takes."""
    hints = typing.get_type_hints(type(getattr(Config(), section)))
    found = {}
    for key, hint in hints.items():
        union = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
        found[key] = tuple(typing.get_origin(part) or part for part in union)
    return found


def _set(config: Config, dotted: str, value: object, where: str) -> Config:
    section_name, key = dotted.split(".", 1)
    section = getattr(config, section_name)
    known = {item.name: item for item in fields(section)}
    if key not in known:
        every = [f"{name}.{item.name}" for name in _SECTIONS for item in fields(getattr(config, name))]
        nearest = _nearest(key, known) or _nearest(dotted, every)
        raise ConfigError(f"{where}: unknown key {dotted}{nearest}")
    checked = _check(dotted, value, _kinds(section_name)[key], known[key].metadata, where)
    return replace(config, **{section_name: replace(section, **{key: checked})})


def _check(dotted: str, value: object, kinds: tuple[type, ...], rules: Mapping[str, Any], where: str) -> object:
    if tuple in kinds and isinstance(value, list):
        value = tuple(value)
    if float in kinds and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, kinds):
        wanted = " or ".join(_KIND_NAMES[kind] for kind in kinds if kind is not types.NoneType)
        raise ConfigError(f"{where}: {dotted} = {value!r} should be {wanted}")
    if isinstance(value, tuple) and not all(isinstance(part, str) for part in value):
        raise ConfigError(f"{where}: {dotted} should be a list of texts")
    if isinstance(value, str) and "\0" in value:
        raise ConfigError(f"{where}: {dotted} contains a NUL character")
    if rules["choices"] and isinstance(value, str) and value not in rules["choices"]:
        raise ConfigError(
            f"{where}: {dotted} = {value!r} should be one of {', '.join(rules['choices'])}"
            f"{' or a whole number' if int in kinds else ''}"
            f"{_nearest(str(value), rules['choices'])}"
        )
    if rules["least"] is not None and isinstance(value, int | float) and not value >= rules["least"]:
        raise ConfigError(f"{where}: {dotted} = {value!r} should be at least {rules['least']}")
    if isinstance(value, int | float) and not value <= rules["most"]:
        raise ConfigError(f"{where}: {dotted} = {value!r} should be at most {rules['most']:g}")
    return value


_KIND_NAMES = {str: "text", int: "a whole number", float: "a number", tuple: "a list of texts"}


def _nearest(name: str, known: typing.Iterable[str]) -> str:
    matches = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f"; did you mean {matches[0]}?" if matches else ""


def default_toml() -> str:
    """Return the commented geotag.toml that `geotag init` writes: every key with its default and meaning."""
    document = tomlkit.document()
    document.add(tomlkit.comment("Configuration of a geotag-batch workspace. Paths are relative to this file."))
    document.add(tomlkit.comment("GEOTAG_RUN_CHUNK_SIZE=512 and the like win over this file, flags over both."))
    for section in fields(Config):
        table = tomlkit.table()
        for item in fields(getattr(Config(), section.name)):
            doc = item.metadata["doc"]
            if item.metadata["choices"]:
                doc += f": {' | '.join(item.metadata['choices'])}"
            if item.default is None:
                table.add(tomlkit.comment(f"{item.name} = ...  # {doc}"))
                continue
            value = tomlkit.item(list(item.default) if isinstance(item.default, tuple) else item.default)
            table.add(item.name, value.comment(doc))
        document.add(tomlkit.nl())
        document.add(section.name, table)
    return tomlkit.dumps(document)


def set_key(workspace: Workspace, dotted: str, value: str | int | float) -> None:
    """Set one key in geotag.toml, keeping everything else in the file, comments included."""
    path = workspace.config_file
    section, key = dotted.split(".", 1)
    _set(Config(), dotted, value, CONFIG_NAME)
    try:
        document = tomlkit.parse(path.read_text(encoding="utf-8"))
    except (OSError, tomlkit.exceptions.TOMLKitError) as error:
        raise ConfigError(f"{path}: cannot be edited: {error}") from error
    if section not in document:
        document.add(section, tomlkit.table())
    typing.cast(dict[str, Any], document[section])[key] = value
    write_bytes(tomlkit.dumps(document).encode(), path, workspace.staging, replace=True)
