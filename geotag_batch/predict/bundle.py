"""Bundles: heads for several sets of modalities, of which each photo gets the best one for what it has.

A bundle is a head.json that names its members; it has a head_id and one decision policy of its own.
"""

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from geotag_batch.errors import HeadError
from geotag_batch.fingerprint import named_id, software_versions
from geotag_batch.predict.features import MODALITIES
from geotag_batch.predict.head import Head, load_head, read_head_info, save_head_info
from geotag_batch.predict.head_info import BUNDLE, HeadInfo
from geotag_batch.workspace import Workspace

__all__ = ["Scorer", "load_scorer", "save_bundle"]


class Scorer:
    """What a run scores by: a bundle, or one head as a bundle of itself.

    `takes_imageless`: photos whose image cannot be used are scored too, by a member that takes none.
    """

    def __init__(self, info: HeadInfo, members: Sequence[Head], *, takes_imageless: bool = False) -> None:
        """Take the members, the best one first."""
        self.info = info
        self.members = tuple(members)
        self._needs = np.array([[name in head.info.modalities for name in MODALITIES] for head in members])
        self.takes_imageless = takes_imageless and not self._needs[:, 0].all()

    def choose(self, available: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Return the place of each photo's member, int64 (n,), for what of MODALITIES it has, bool (n, 3).

        It is the first member that takes nothing which the photo lacks; where there is none, the first one that does
        not take an image which is not there, for a missing title or location has a value of its own.
        """
        fits = (available[:, None, :] | ~self._needs[None]).all(axis=2)
        second = available[:, None, 0] | ~self._needs[None, :, 0]
        chosen: NDArray[np.int64] = np.where(fits.any(axis=1), fits.argmax(axis=1), second.argmax(axis=1))
        return chosen


def load_scorer(workspace: Workspace, head_id: str, missing_image: str = "fail") -> Scorer:
    """Return a head or a bundle with all its members' weights. Raises HeadError as `load_head` does.

    With `missing_image` "score" photos without image are scored, if a member takes none.
    """
    info = read_head_info(workspace, head_id)
    if info.type != BUNDLE:
        return Scorer(info, [load_head(workspace, head_id)])
    if info.head_id != _bundle_id(info.name, info.members):
        raise HeadError(f"{workspace.head_dir(head_id)} was changed: it does not describe {head_id} any more")
    members = [load_head(workspace, member) for member in info.members]
    return Scorer(info, members, takes_imageless=missing_image == "score")


def save_bundle(workspace: Workspace, name: str, head_ids: Sequence[str]) -> HeadInfo:
    """Publish a bundle of heads; its policy is that of the best one.

    The best one is that with the most modalities, then with the best subset accuracy known. Raises HeadError if there
    are fewer than two, two take the same modalities, or they differ in encoder or location rule.
    """
    heads = [load_head(workspace, head_id).info for head_id in head_ids]
    heads.sort(key=lambda head: (-len(head.modalities), -head.metrics.get("validation_subset_accuracy", 0.0)))
    if len({head.modalities for head in heads}) < max(2, len(heads)):
        raise HeadError(
            "a bundle has at least two heads, each for modalities of its own",
            hint="name heads such as linear-img-txt-loc, linear-img-loc and linear-txt-loc",
        )
    first = heads[0]
    for other in heads[1:]:
        if other.encoder_id != first.encoder_id:
            raise HeadError(
                f"{first.head_id} was trained on encoder {first.encoder_id}, {other.head_id} on {other.encoder_id}",
                hint="bundle heads of one encoder",
            )
    rules = {head.location for head in heads if head.location is not None}
    if len(rules) > 1:
        raise HeadError("the heads were taught locations by different rules", hint="bundle heads of one origin")
    members = tuple(head.head_id for head in heads)
    info = HeadInfo(
        head_id=_bundle_id(name, members),
        name=name,
        type=BUNDLE,
        modalities=tuple(each for each in MODALITIES if any(each in head.modalities for head in heads)),
        dim=first.dim,
        tags=first.tags,
        location=next(iter(rules), None),
        policy=first.policy,
        encoder_id=first.encoder_id,
        encoder_declared=first.encoder_declared,
        metrics={},
        provenance={"software": software_versions()},
        sha256=hashlib.sha256(" ".join(members).encode()).hexdigest(),
        members=members,
    )
    save_head_info(workspace, info)
    return info


def _bundle_id(name: str, members: Sequence[str]) -> str:
    return named_id(name, {"members": list(members)})
