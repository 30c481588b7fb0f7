"""An evaluation in words: the Markdown report, and what the command prints."""

from typing import Any

__all__ = ["markdown", "summary"]


def summary(document: dict[str, Any]) -> str:
    """Return the numbers that matter, the warnings, and whether one head is better than another."""
    lines = [f"judged by {document['photos']:,} photos ({document['split']})"]
    used = document["decisions"]
    if used:
        lines.append(
            f"people decided on {used['photos']:,} photos held out: {used['given']:,} tags given, "
            f"{used['rejected']:,} rejected"
        )
    lines += [f"left out: {count:,} labelled photos {why}" for why, count in document["left_out"].items() if count]
    lines += [f"warning: {text}" for text in document["warnings"]]
    if document["unknown_tags"]:
        some = ", ".join(f"{tag!r} ({count:,})" for tag, count in list(document["unknown_tags"].items())[:5])
        lines.append(f"not judged, for they are none of the 49 tags: {some}")
    for head in document["heads"]:
        plain = head["plain_0.5"]
        lines += [
            "",
            head["head_id"],
            f"  {head['policy_in_words']}",
            f"    subset accuracy {_with(head, 'subset_accuracy')}   macro F1 {_with(head, 'macro_f1')}   "
            f"micro F1 {head['micro_f1']:.3f}",
            f"    tags per photo {head['tags_per_photo']['chosen']:.2f} (contributors gave "
            f"{head['tags_per_photo']['given']:.2f}), none for {head['tags_per_photo']['photos_without_tag']:,} photos",
            f"  {plain['policy_in_words']}",
            f"    subset accuracy {plain['subset_accuracy']:.3f}   macro F1 {plain['macro_f1']:.3f}   "
            f"micro F1 {plain['micro_f1']:.3f}",
            f"  mean average precision {_or_dash(head['mean_average_precision'])}   expected calibration error "
            f"{_or_dash(head['expected_calibration_error'])}",
        ]
        if used:
            found = head["on_decisions"]
            lines.append(
                f"  agrees with {found['agreement']:.1%} of the decisions: gives {found['given_found']:,} of the "
                f"{used['given']:,} tags given, and {found['rejected_given_again']:,} of the {used['rejected']:,} "
                "rejected"
            )
    for comparison in document["comparisons"]:
        lines += ["", *_answers(comparison)]
    return "\n".join(lines)


def _with(head: dict[str, Any], name: str) -> str:
    interval = head["intervals"][name]
    return f"{head[name]:.3f} ({interval['low']:.3f} to {interval['high']:.3f})"


def _or_dash(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _answers(comparison: dict[str, Any]) -> list[str]:
    lines = [f"Is {comparison['head_id']} better than {comparison['compared_with']}?"]
    for name in ("subset_accuracy", "macro_f1"):
        found = comparison[name]
        lines.append(
            f"  {name.replace('_', ' ').replace('f1', 'F1')}: {found['answer']} "
            f"({found['value']:+.4f}, 95 % of resamples between {found['low']:+.4f} and {found['high']:+.4f})"
        )
    return lines


def markdown(document: dict[str, Any]) -> str:
    """Return the whole report as Markdown: the summary, then a table of tags for each head."""
    lines = [
        "# Evaluation",
        "",
        "```",
        summary(document),
        "```",
        "",
        f"Intervals are 95 % of {document['resamples']:,} paired bootstrap resamples of the photos. Macro F1 is the "
        "mean over the tags that were given or chosen at least once. The expected calibration error is over all "
        "photos and tags, in 15 bins of equal width.",
    ]
    for head in document["heads"]:
        lines += [
            "",
            f"## {head['head_id']}",
            "",
            "| tag | photos | chosen | precision | recall | F1 | average precision |",
            "| --- | --: | --: | --: | --: | --: | --: |",
        ]
        for row in sorted(head["tags"], key=lambda row: -row["support"]):
            numbers = [_or_dash(row[name]) for name in ("precision", "recall", "f1", "average_precision")]
            lines.append(f"| {row['tag']} | {row['support']} | {row['chosen']} | {' | '.join(numbers)} |")
    return "\n".join(lines)
