"""Heads of a workspace: import, choose, and set the decision policy."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from geotag_batch.config import Config, load_config, set_key
from geotag_batch.encode.clip import load_encoder
from geotag_batch.encode.identity import OPENAI_ENCODER_ID
from geotag_batch.errors import HeadError, UsageError
from geotag_batch.fingerprint import software_versions
from geotag_batch.predict.bundle import load_scorer, save_bundle
from geotag_batch.predict.features import MODALITIES, PUBLISHED_RULE
from geotag_batch.predict.head import (
    HeadDraft,
    HeadInfo,
    find_head_id,
    read_head_info,
    save_head,
    save_policy,
)
from geotag_batch.predict.head_file import HeadFile, read_head_file, stated_by_name
from geotag_batch.predict.head_info import check_tensors, make_head_id
from geotag_batch.predict.policy import Policy
from geotag_batch.run.lock import hold_lock
from geotag_batch.workspace import Workspace
from geotag_batch.write.views import rebuild_views

__all__ = ["HeadStatements", "bundle_heads", "import_head", "set_policy", "use_head"]

_PUBLISHED_DIM = 512
"""The length of one embedding that the published heads take: OpenAI's CLIP ViT-B/32."""


@dataclass(frozen=True, slots=True)
class HeadStatements:
    """What is said of a head file that does not say it itself; None is left to its published name.

    `encoder` is "openai", "current" (the configured encoder, loaded to know its id) or an encoder_id.
    """

    type: str | None = None
    modalities: tuple[str, ...] | None = None
    name: str | None = None
    encoder: str = "openai"


def import_head(workspace: Workspace, config: Config, path: Path, said: HeadStatements) -> HeadInfo:
    """Import a head file from elsewhere, with the published heads' tags, location rule and decision policy.

    Importing a head again mends its files and keeps the policy it has. Raises HeadError if the file is no head of the
    stated type and modalities, or if the head has predictions made with another encoder; EncoderError if the
    configured encoder is wanted and cannot be loaded; UsageError, LockedError, StorageError.
    """
    file = read_head_file(path)
    modalities = _modalities(path, said)
    encoder_id, declared, dim = _encoder(workspace, config, said.encoder)
    _check_type(path, check_tensors(file.tensors, modalities, dim, str(path)), said)
    name, location = said.name or path.stem, PUBLISHED_RULE if "location" in modalities else None
    head_id = make_head_id(name, file.tensors, modalities, location)
    with hold_lock(workspace):
        before = _already_there(workspace, head_id)
        if before is not None and before.encoder_id != encoder_id:
            _refuse_predicted(workspace, before, encoder_id)
        policy = before.policy if before is not None else Policy()
        draft = HeadDraft(name, modalities, dim, location, encoder_id, declared, policy, {}, _provenance(path, file))
        return save_head(workspace, draft, file.tensors)


def _modalities(path: Path, said: HeadStatements) -> tuple[str, ...]:
    named = stated_by_name(path.stem)
    given = said.modalities or (named and named[1])
    if not given:
        raise HeadError(
            f"{path.name} does not state what the head was trained on: it is no name like linear-img-txt-loc-mixup.pth",
            hint="add --modalities, for example --modalities image,title,location",
        )
    unknown = [modality for modality in given if modality not in MODALITIES]
    if unknown:
        raise UsageError(f"{unknown[0]!r} is no modality", hint=f"use some of {', '.join(MODALITIES)}")
    return tuple(modality for modality in MODALITIES if modality in given)


def _check_type(path: Path, found: str, said: HeadStatements) -> None:
    named = stated_by_name(path.stem)
    stated = said.type or (named and named[0])
    if stated and stated != found:
        source = "--type" if said.type else "its name"
        raise HeadError(
            f"{path} is {found} by its tensors, {stated} by {source}", hint=f"check it, or add --type {found}"
        )


def _encoder(workspace: Workspace, config: Config, choice: str) -> tuple[str, str, int]:
    """Return encoder_id, how it was declared, and the length of an embedding."""
    if choice == "openai":
        return OPENAI_ENCODER_ID, choice, _PUBLISHED_DIM
    if choice == "current":
        encoder = load_encoder(config.encoder, workspace.root)
        return encoder.encoder_id, choice, encoder.dim
    if not re.fullmatch(r"[A-Za-z0-9._-]+-[0-9a-f]{8}", choice):
        stored = sorted(folder.name.partition("=")[2] for folder in workspace.embeddings.glob("encoder=*"))
        raise UsageError(
            f"--encoder {choice} is no encoder_id",
            hint=f"use openai, current or an encoder_id such as {' or '.join(stored or [OPENAI_ENCODER_ID])}",
        )
    return choice, "given", _PUBLISHED_DIM


def _already_there(workspace: Workspace, head_id: str) -> HeadInfo | None:
    try:
        return read_head_info(workspace, head_id)
    except HeadError:  # not there; or broken, and this import mends it
        return None


def _refuse_predicted(workspace: Workspace, head: HeadInfo, encoder_id: str) -> None:
    if any((workspace.predictions / f"head={head.head_id}").glob("*/*.parquet")):
        raise HeadError(
            f"head {head.head_id} has predictions made with encoder {head.encoder_id}, not {encoder_id}",
            hint="import it under another --name, or remove those predictions first with `geotag prune`",
        )


def _provenance(path: Path, file: HeadFile) -> dict[str, object]:
    return {
        "source": path.name,
        "source_sha256": file.sha256,
        "imported_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "software": software_versions(),
    }


def use_head(workspace: Workspace, text: str) -> HeadInfo:
    """Make the head that `text` names, or begins, the one in use, and rebuild the views for it.

    Raises HeadError if it is not exactly one head or its files are broken; LockedError, ConfigError, StorageError.
    """
    with hold_lock(workspace):
        head: HeadInfo = load_scorer(workspace, find_head_id(workspace, text)).info
        set_key(workspace, "head.current", head.head_id)
        rebuild_views(workspace, load_config(workspace))
    return head


def bundle_heads(workspace: Workspace, name: str, texts: Sequence[str]) -> HeadInfo:
    """Make a bundle of the heads that `texts` name, or begin. Raises HeadError, LockedError, StorageError."""
    with hold_lock(workspace):
        return save_bundle(workspace, name, [find_head_id(workspace, text) for text in texts])


def set_policy(
    workspace: Workspace, text: str, *, threshold: float | None = None, at_least_one: bool | None = None
) -> HeadInfo:
    """Give the head that `text` names, or begins, another decision policy; None keeps what it has.

    Nothing is decided here: the next run decides again, from stored scores. Raises HeadError, UsageError, LockedError.
    """
    with hold_lock(workspace):
        head = read_head_info(workspace, find_head_id(workspace, text))
        try:
            policy = Policy(
                head.policy.threshold if threshold is None else threshold,
                head.policy.at_least_one if at_least_one is None else at_least_one,
            )
        except ValueError as error:
            raise UsageError(str(error), hint="for example --threshold 0.2") from error
        return save_policy(workspace, head.head_id, policy)
