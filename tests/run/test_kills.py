"""Killed at random moments, again and again, the job loses nothing, doubles nothing and leaves nobody behind."""

import random
import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pytest

from geotag_batch.config import set_key
from geotag_batch.run.verify import verify
from tests.builders import query
from tests.run.conftest import Archive
from tests.run.processes import processes_of, wait_for


@pytest.mark.slow
def test_twenty_kills_at_random_moments_lose_and_double_nothing(archive: Callable[[int], Archive]) -> None:
    made = archive(240)
    made.image(7).write_bytes(b"")
    made.image(8).unlink()
    command = [sys.executable, "-m", "geotag_batch.jobs", "backfill", "-C", str(made.workspace.root)]
    chance = random.Random(20)
    killed = 0
    for number in range(20):
        # Every other moment is one at which even a run without work is still there, however fast the machine is.
        latest = 3.0 if number % 2 else 0.7
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            try:
                process.wait(chance.uniform(0.1, latest))
            except subprocess.TimeoutExpired:
                process.kill()
                killed += 1
        wait_for(lambda: not processes_of(made.workspace.root), 5)
        problems = verify(made.workspace).problems
        assert problems == []
    set_key(made.workspace, "run.chunk_size", 240)
    made.backfill()
    assert killed >= 5
    assert verify(made.workspace).problems == []
    head = made.config.head.current
    glob = f"{made.workspace.root}/predictions/head={head}/run_date=*/*.parquet"
    assert query(f"SELECT count(*), count(DISTINCT gridimage_id) FROM '{glob}'") == [(238, 238)]
    assert made.rows("SELECT gridimage_id, error_class FROM failures ORDER BY ALL") == [(7, "empty"), (8, "missing")]
    scores = made.scores(str(head))
    for path in made.workspace.predictions.rglob("*.parquet"):
        path.unlink()
    made.backfill()
    assert np.array_equal(scores, made.scores(str(head)))
