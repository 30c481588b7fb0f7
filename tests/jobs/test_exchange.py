"""`geotag export` and `geotag embeddings`: what they print and where, and their exit codes."""

import pytest

from geotag_batch.config import set_key
from geotag_batch.workspace import Workspace
from tests.data import write_archive
from tests.jobs.conftest import Geotag


@pytest.fixture
def geotag(workspace: Workspace, run_geotag: Geotag) -> Geotag:
    """Run a command in a workspace with the small archive; return exit code, output and errors."""
    _, current, _ = write_archive(workspace)
    set_key(workspace, "head.current", current)
    return run_geotag


def test_labels_go_to_a_file_and_the_summary_to_standard_error(geotag: Geotag, workspace: Workspace) -> None:
    out = workspace.root / "labels.csv"
    code, shown, told = geotag("export labels", str(out), "--since", "last", "--with-source")
    assert (code, shown) == (0, "")
    assert "labels.csv: everything by head current-" in told
    assert "9 photos, 9 labels, 0 None, 2 Failed; people confirmed 0 of the labels and rejected 0 more" in told
    assert out.read_text(encoding="utf-8").startswith(
        '"gridimage_id","label","score","source"\n1,"Coastal",0.95,"head"\n'
    )
    code, _, told = geotag("export labels", str(out), "--since", "last")
    assert "labels.csv: what has changed by head current-" in told
    assert geotag("export labels", str(out), "--since", "2026-01-02T00:00:30Z")[0] == 0
    assert geotag("export labels", str(out), "--since", "20260102T000000Z-bbbb")[0] == 0
    for words, why in (
        (["labels.txt"], "does not say what to write"),
        ([str(out), "--since", "yesterday"], "neither last, nor a run_id, nor a time"),
        ([str(out), "--since", "20260102Z-bbbb"], "neither last, nor a run_id, nor a time"),
        ([str(out), "--min-score", "nan"], "nan is no number"),  # over which no score is: the site would lose all
    ):
        code, _, told = geotag("export labels", *words)
        assert (code, why in told) == (2, True), told


def test_vectors_go_out_and_in_and_what_was_refused_is_told(geotag: Geotag, workspace: Workspace) -> None:
    out = workspace.root / "vectors.jsonl"
    code, shown, told = geotag("embeddings export", str(out))
    assert (code, shown) == (0, "")
    assert told.endswith("vectors.jsonl: 8 photos, 8 images and 8 titles of encoder-1\n")
    with out.open("a", encoding="utf-8") as file:
        file.write("nonsense\n")
    code, shown, _ = geotag("embeddings import", str(out))
    assert code == 0
    assert shown.startswith("nothing committed: done; encoder encoder-1\n")
    assert "  14 vectors of 7 photos: 0 taken, 14 stored already, 0 other than stored" in shown
    assert "2 refused: the catalogue has no such photo\n  1 refused: is not valid JSON\n" in shown
    assert "refused lines: rejected/embeddings-" in shown
    assert geotag("embeddings import", str(out), "--encoder", "encoder-9")[0] == 2
    code, _, told = geotag("embeddings import", str(workspace.root / "none.jsonl"))
    assert (code, "none.jsonl' does not exist" in told) == (2, True)
    assert geotag("embeddings export", str(out), "--encoder", "openai")[0] == 2
