"""The short form of each row of docs/reliability.md; `make test-faults` runs the long one."""

import signal
from pathlib import Path

import pytest

from tests.faults import commands, company, cuts, disk, kills, moments
from tests.faults.row import Row
from tests.faults.trial import Bed

pytestmark = pytest.mark.slow


def check(row: Row) -> None:
    """Fail with what does not hold; skip with what was missing."""
    if row.skipped:
        pytest.skip(row.skipped)
    assert row.tally.clean, row.outcome
    assert row.cases


def test_an_archive_that_grows_while_its_runs_are_killed_is_as_if_undisturbed(tmp_path: Path) -> None:
    check(kills.grown_archive(tmp_path, photos=120, kills=8, seed=5))


def test_killed_at_a_step_a_run_leaves_what_the_next_one_completes(bed: Bed) -> None:
    check(kills.kill_at_steps(bed, every=37))


def test_a_prune_that_is_killed_is_finished_by_doing_it_again(bed: Bed) -> None:
    check(kills.prune_killed(bed, every=25))


def test_the_other_commands_that_are_killed_are_finished_by_doing_them_again(bed: Bed) -> None:
    check(commands.commands_killed(bed, every=15, first=1))


def test_a_compaction_that_is_killed_is_finished_by_doing_it_again(bed: Bed) -> None:
    check(kills.compact_killed(bed, every=150))


def test_after_a_power_cut_every_disk_that_may_be_left_is_completed(bed: Bed) -> None:
    check(cuts.power_cuts(bed))


def test_files_are_synced_and_renamed_and_folders_synced_in_that_order(bed: Bed) -> None:
    check(cuts.trace_order(bed))


def test_what_cannot_be_synced_is_not_published(bed: Bed) -> None:
    check(disk.fsync_fails(bed, every=29))


def test_a_disk_that_fills_up_ends_the_run_with_a_clear_error(bed: Bed) -> None:
    check(disk.disk_full(bed, sizes=[60], inodes=[8]))


def test_where_files_may_not_grow_the_run_ends_with_a_clear_error(bed: Bed) -> None:
    check(disk.file_size_limit(bed, [3000]))


def test_where_nothing_may_be_written_the_run_ends_with_a_clear_error(bed: Bed) -> None:
    check(disk.no_permission(bed, folders=(".", "predictions/*/*")))


def test_of_two_runs_at_once_one_works(bed: Bed) -> None:
    check(company.two_runs(bed, rounds=1))


def test_after_the_holder_of_the_lock_is_killed_the_next_run_works(bed: Bed) -> None:
    check(company.lock_holder_killed(bed, rounds=1))


def test_readers_of_the_views_meet_no_error_while_chunks_commit(tmp_path: Path) -> None:
    check(company.readers(tmp_path, chunks=25, count=2))


def test_readers_of_the_views_see_no_change_while_files_are_merged(tmp_path: Path) -> None:
    check(company.compacted_under_readers(tmp_path, files=8, count=2, seconds=1))


def test_signals_stop_a_run_soon_and_cleanly(bed: Bed) -> None:
    check(moments.signals(bed, rounds=1, seed=3, numbers=(signal.SIGTERM,)))


def test_a_clock_that_jumps_changes_neither_order_nor_date(bed: Bed) -> None:
    check(moments.clock_jumps(bed, moments.CLOCKS[:2]))
