"""The corpus as a table: case, expected, seen."""

import tempfile
from pathlib import Path

from tests.corpus.mixed import CASES, run_mixed
from tests.corpus.rows import input_rows
from tests.faults.report import markdown_table
from tests.faults.row import Row, rows_table

__all__ = ["corpus_section", "inputs_section"]


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


def inputs_section() -> tuple[str, bool]:
    """Run the long form of the rows of bad input; return their section and whether every row is clean."""
    made: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="geotag-inputs-") as folder:
        for row in input_rows(Path(folder)):
            made.append(row)
            print(rows_table([row]).splitlines()[-1], flush=True)
    cases = sum(row.cases for row in made)
    return f"{rows_table(made)}\n\n{cases:,} cases.", all(row.tally.clean for row in made)
