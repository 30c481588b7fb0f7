"""How good heads are on labelled photos, one beside the other, in numbers, figures and a page of mistakes."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geotag_batch.config import Config
from geotag_batch.draw.evaluation import draw_calibration, draw_co_occurrence, draw_f1
from geotag_batch.draw.page import render_page
from geotag_batch.errors import UsageError
from geotag_batch.predict.head import HeadInfo, find_head_id, load_head
from geotag_batch.predict.policy import PLAIN
from geotag_batch.run.evaluate_text import markdown
from geotag_batch.run.judging import Judged, Labelling, Reviewed, judge, seed_of, split_warning
from geotag_batch.run.report_folder import ReportFolder
from geotag_batch.run.thumbnails import load_thumbnails
from geotag_batch.taxonomy import tag_names
from geotag_batch.train.compare import Interval, Resampled, resample
from geotag_batch.train.dataset import Split
from geotag_batch.train.metrics import calibration, macro_f1, micro_f1, score_tags, subset_accuracy
from geotag_batch.workspace import Workspace

__all__ = ["Evaluation", "Question", "evaluate"]

_MISTAKES = 60
_MAX_HEADS = 8


@dataclass(frozen=True, slots=True)
class Question:
    """What to evaluate: heads (head_ids or beginnings of them) on `ids`, or on a split's validation photos.

    `seed` is that of the split, by default the first head's own. Without `decisions` contributors' tags alone are the
    truth. `out` None stands for a folder in `reports/`.
    """

    heads: tuple[str, ...]
    ids: tuple[int, ...] | None = None
    seed: int | None = None
    max_tags: int = 5
    resamples: int = 1000
    out: Path | None = None
    decisions: bool = True


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The answer: `document` is what evaluate.json holds, `files` what was written."""

    document: dict[str, Any]
    files: list[Path]


def evaluate(workspace: Workspace, config: Config, question: Question) -> Evaluation:
    """Judge heads on labelled photos, under their own policies and under plain 0.5; write tables, figures, a page.

    Raises UsageError for too many heads or a repeated one, HeadError, InputError, CatalogueError, StorageError.
    """
    head_ids = [find_head_id(workspace, head) for head in question.heads]
    if len(set(head_ids)) != len(head_ids) or len(head_ids) > _MAX_HEADS:
        raise UsageError(f"give each head once, and at most {_MAX_HEADS}", hint="`geotag heads list` shows them")
    heads = [load_head(workspace, head_id) for head_id in head_ids]
    split = Split(seed_of(heads[0]) if question.seed is None else question.seed, validation_ids=question.ids)
    judged = judge(workspace, config, heads, split, Labelling(question.max_tags, question.decisions))
    chosen = [head.info.policy.choose(scores) for head, scores in zip(heads, judged.given, strict=True)]
    resampled = resample(judged.truth, chosen, question.resamples, split.seed)
    document = {
        "photos": len(judged.ids),
        "split": judged.split,
        "left_out": judged.left_out,
        "unknown_tags": dict(list(judged.unknown_tags.items())[:20]),
        "decisions": _decisions(judged.reviewed),
        "warnings": [text for head in heads if (text := split_warning(head, split)) is not None],
        "resamples": question.resamples,
        "heads": [_head(head.info, judged, place, chosen[place], resampled) for place, head in enumerate(heads)],
        "comparisons": [
            _comparison(resampled, heads[place].info, heads[0].info, place) for place in range(1, len(heads))
        ],
    }
    out = question.out or workspace.reports / f"evaluate-{head_ids[0]}"
    with ReportFolder(out) as report:
        files = [report.write_json("evaluate.json", document), report.write_text("evaluate.md", markdown(document))]
        files += _write_figures(report, document, judged, chosen)
        page = _page(workspace, config, heads[0].info, judged, chosen[0])
        files.append(report.write_text("misclassified.html", page))
    return Evaluation(document, files)


def _head(
    info: HeadInfo, judged: Judged, place: int, chosen: NDArray[np.bool_], resampled: dict[str, Resampled]
) -> dict[str, Any]:
    truth, scores = judged.truth, judged.given[place]
    found = calibration(truth, scores)
    return {
        "head_id": info.head_id,
        "policy": info.policy.to_json(),
        "policy_id": info.policy.policy_id,
        "policy_in_words": info.policy.describe(),
        **_decided(truth, chosen, scores),
        "intervals": {name: asdict(values.interval(place)) for name, values in resampled.items()},
        "plain_0.5": {"policy_in_words": PLAIN.describe(), **_decided(truth, PLAIN.choose(scores), scores)},
        "on_decisions": _agreement(info, judged.reviewed, place),
        "expected_calibration_error": _number(found.error),
        "calibration": [
            {"decisions": int(count), "mean_score": _number(score), "share_right": _number(share)}
            for count, score, share in zip(found.count, found.score, found.share, strict=True)
        ],
    }


def _decisions(reviewed: Reviewed | None) -> dict[str, int] | None:
    """Return how many decisions the truth rests on."""
    if reviewed is None:
        return None
    given, rejected = reviewed.decided & reviewed.truth, reviewed.decided & ~reviewed.truth
    return {"photos": len(reviewed.decided), "given": int(given.sum()), "rejected": int(rejected.sum())}


def _agreement(info: HeadInfo, reviewed: Reviewed | None, place: int) -> dict[str, Any] | None:
    """Return how often a head says of a tag what people decided, photos with rejected tags alone included."""
    if reviewed is None:
        return None
    chosen = info.policy.choose(reviewed.given[place])
    right = int((chosen & reviewed.truth & reviewed.decided).sum())
    again = int((chosen & ~reviewed.truth & reviewed.decided).sum())
    decided = int(reviewed.decided.sum())
    rejected = int((reviewed.decided & ~reviewed.truth).sum())
    return {"agreement": (right + rejected - again) / decided, "given_found": right, "rejected_given_again": again}


def _decided(truth: NDArray[np.bool_], chosen: NDArray[np.bool_], scores: NDArray[np.float32]) -> dict[str, Any]:
    tags = score_tags(truth, chosen, scores)
    known = tags.average_precision[np.isfinite(tags.average_precision)]
    return {
        "subset_accuracy": subset_accuracy(truth, chosen),
        "macro_f1": macro_f1(truth, chosen),
        "micro_f1": micro_f1(truth, chosen),
        "mean_average_precision": float(known.mean()) if len(known) else None,
        "tags_per_photo": {
            "given": float(truth.sum(axis=1).mean()),
            "chosen": float(chosen.sum(axis=1).mean()),
            "photos_without_tag": int((~chosen.any(axis=1)).sum()),
            "chosen_counts": np.bincount(chosen.sum(axis=1)).tolist(),
        },
        "tags": [
            {
                "tag": tag,
                "support": int(tags.support[row]),
                "chosen": int(tags.chosen[row]),
                "precision": _number(tags.precision[row]),
                "recall": _number(tags.recall[row]),
                "f1": _number(tags.f1[row]),
                "average_precision": _number(tags.average_precision[row]),
            }
            for row, tag in enumerate(tag_names())
        ],
    }


def _number(value: float) -> float | None:
    return None if math.isnan(value) else float(value)


def _comparison(resampled: dict[str, Resampled], info: HeadInfo, base: HeadInfo, place: int) -> dict[str, Any]:
    differences: dict[str, Interval] = {name: values.difference(place, 0) for name, values in resampled.items()}
    return {
        "head_id": info.head_id,
        "compared_with": base.head_id,
        **{name: {**asdict(value), "answer": value.answer} for name, value in differences.items()},
    }


def _write_figures(
    report: ReportFolder, document: dict[str, Any], judged: Judged, chosen: Sequence[NDArray[np.bool_]]
) -> list[Path]:
    heads = document["heads"]
    names = [head["head_id"] for head in heads]
    f1 = [[row["f1"] if row["f1"] is not None else math.nan for row in head["tags"]] for head in heads]
    support = [row["support"] for row in heads[0]["tags"]]
    curves = [
        [(row["mean_score"], row["share_right"], row["decisions"]) for row in head["calibration"] if row["decisions"]]
        for head in heads
    ]
    together = judged.truth.T.astype(np.int64) @ chosen[0].astype(np.int64)
    return [
        report.write_figure("f1.png", draw_f1(tag_names(), support, names, f1)),
        report.write_figure("calibration.png", draw_calibration(names, curves)),
        report.write_figure("tags.png", draw_co_occurrence(tag_names(), together, names[0])),
    ]


def _page(workspace: Workspace, config: Config, info: HeadInfo, judged: Judged, chosen: NDArray[np.bool_]) -> str:
    """Return the page of photos whose set of tags is wrong, the surest mistakes first."""
    scores = judged.given[0].astype(np.float64)
    certainty = np.log(np.maximum(np.where(chosen, scores, 1 - scores), 1e-12)).sum(axis=1)
    wrong = np.flatnonzero((judged.truth != chosen).any(axis=1))
    rows = wrong[np.argsort(-certainty[wrong], kind="stable")][:_MISTAKES]
    pictures = load_thumbnails(workspace, config, [int(judged.ids[row]) for row in rows], 224)
    photos = [
        {
            "picture": pictures[int(judged.ids[row])],
            "given": [tag for tag, is_so in zip(tag_names(), judged.truth[row], strict=True) if is_so],
            "chosen": [
                (tag, float(score), bool(right))
                for tag, score, is_so, right in zip(
                    tag_names(), scores[row], chosen[row], judged.truth[row], strict=True
                )
                if is_so
            ],
            "missed": [
                (tag, float(score))
                for tag, score, is_so, right in zip(
                    tag_names(), scores[row], chosen[row], judged.truth[row], strict=True
                )
                if right and not is_so
            ],
        }
        for row in rows
    ]
    return render_page("misclassified.html", head=info.head_id, photos=photos, wrong=len(wrong), of=len(judged.ids))
