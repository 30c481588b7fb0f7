"""The corpus as a table: case, expected, seen."""

import tempfile
from pathlib import Path

from tests.corpus.mixed import CASES, run_mixed
from tests.faults.report import markdown_table

__all__ = ["corpus_section"]


def corpus_section() -> tuple[str, bool]:
    """Run the job over the corpus; return the section of docs/reliability.md and whether all is as expected."""
    with tempfile.TemporaryDirectory() as folder:
        mixed = run_mixed(Path(folder))
    rows, good = [], mixed.scores == mixed.undisturbed and not mixed.twice and not mixed.canaries
    for case, seen in mixed.seen:
        skipped = mixed.impossible.get(case.name)
        shown = f"not run: {skipped}" if skipped else seen or "NEITHER PREDICTION NOR FAILURE"
        good = good and bool(skipped or seen == case.expected)
        rows.append((case.kind, case.name, case.expected, shown))
    matched = sum(seen == case.expected for case, seen in mixed.seen)
    same = "the same, to the bit, as" if mixed.scores == mixed.undisturbed else "OTHERS THAN"
    text = (
        f"{len(CASES)} cases, of which {len(mixed.impossible)} could not be made on this machine, and "
        f"{len(mixed.scores)} good photos between them went through one run of the installed job: {matched} ended as "
        f"expected, {mixed.twice} photos came out twice, and the good photos' scores are {same} in a run "
        f"without the cases.\n\n{markdown_table(('kind', 'case', 'expected', 'seen'), rows)}"
    )
    return text, good
