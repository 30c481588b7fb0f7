"""geotag.toml and variables: what is read, what is refused, and how a key is changed."""

import tomllib
from dataclasses import fields

import pytest

from geotag_batch.config import Config, load_config, set_key
from geotag_batch.errors import ConfigError
from geotag_batch.workspace import Workspace


def write(workspace: Workspace, text: str) -> None:
    workspace.config_file.write_text(text, encoding="utf-8")


def test_the_file_that_init_writes_gives_the_defaults(workspace: Workspace) -> None:
    assert load_config(workspace, {}) == Config()


def test_the_file_that_init_writes_names_every_key(workspace: Workspace) -> None:
    text = workspace.config_file.read_text(encoding="utf-8")
    for section in fields(Config):
        assert f"[{section.name}]" in text
        for key in fields(getattr(Config(), section.name)):
            assert f"\n{key.name} = " in text or f"\n# {key.name} = " in text


def test_flags_win_over_variables_and_variables_over_the_file(workspace: Workspace) -> None:
    write(workspace, "[run]\nchunk_size = 10\nbatch_size = 20\nworkers = 3\n")
    config = load_config(workspace, {"GEOTAG_RUN_BATCH_SIZE": "21", "GEOTAG_RUN_WORKERS": "4", "GEOTAG_SHARED": "x"})
    config = config.with_flags({"run.workers": 5, "run.chunk_size": None})
    assert (config.run.chunk_size, config.run.batch_size, config.run.workers) == (10, 21, 5)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[run]\nchunksize = 5\n", r"geotag\.toml: unknown key run\.chunksize; did you mean chunk_size\?"),
        ("[runs]\n", r"unknown section \[runs\]; did you mean run\?"),
        ("[run]\nchunk_size = 'many'\n", r"run\.chunk_size = 'many' should be a whole number"),
        ("[run]\nchunk_size = 0\n", r"run\.chunk_size = 0 should be at least 1"),
        ("[run]\nchunk_size = true\n", "should be a whole number"),
        ("[run]\nchunk_size = 1.5\n", "should be a whole number"),
        ("[run]\nmax_failure_rate = nan\n", "should be at least 0"),
        ("[encoder]\nprecision = 'float61'\n", r"should be one of .*; did you mean float16\?"),
        ("[images]\nroot = 5\n", r"images\.root = 5 should be text"),
        ("[images]\ncolumn = 'image'\ntemplate = 'x'\n", "both template and column"),
        ("run = 3\n", r"run should be a section, \[run\]"),
        ("[run\n", "is not valid TOML"),
        ("x = " + "[" * 50_000, "is not valid TOML"),
        ("[images]\ndecode_timeout = inf\n", r"images\.decode_timeout = inf should be at most 1e\+06"),
        ("[run]\nretry_after_hours = 1e300\n", r"run\.retry_after_hours = 1e\+300 should be at most 100000"),
    ],
)
def test_a_wrong_key_or_value_is_named_with_the_nearest_known_one(
    workspace: Workspace, text: str, message: str
) -> None:
    write(workspace, text)
    with pytest.raises(ConfigError, match=message):
        load_config(workspace, {})


def test_a_wrong_variable_is_named(workspace: Workspace) -> None:
    with pytest.raises(ConfigError, match=r"variable GEOTAG_RUN_WORKERS: run\.workers = 'two' should be"):
        load_config(workspace, {"GEOTAG_RUN_WORKERS": "two"})


def test_a_count_is_auto_or_a_whole_number(workspace: Workspace) -> None:
    assert load_config(workspace, {}).run.batch_size == "auto"
    config = load_config(workspace, {"GEOTAG_RUN_BATCH_SIZE": "64", "GEOTAG_RUN_WORKERS": "auto"})
    assert (config.run.batch_size, config.run.workers) == (64, "auto")
    for wrong, message in (("'all'", "should be one of auto or a whole number"), ("0", "should be at least 1")):
        write(workspace, f"[run]\nbatch_size = {wrong}\n")
        with pytest.raises(ConfigError, match=message):
            load_config(workspace, {})


def test_a_wrong_flag_is_named() -> None:
    with pytest.raises(ConfigError, match=r"--precision: encoder\.precision = 'half' should be one of"):
        Config().with_flags({"encoder.precision": "half"})


def test_a_changed_key_keeps_everything_else_in_the_file(workspace: Workspace) -> None:
    write(workspace, "# mine\n[run]\nworkers = 3 # three\n\n[head]\n# none yet\n")
    set_key(workspace, "head.current", "linear-1")
    text = workspace.config_file.read_text(encoding="utf-8")
    assert "# mine" in text and "workers = 3 # three" in text and "# none yet" in text
    assert tomllib.loads(text) == {"run": {"workers": 3}, "head": {"current": "linear-1"}}


def test_a_key_can_be_set_where_its_section_is_missing(workspace: Workspace) -> None:
    write(workspace, "")
    set_key(workspace, "head.current", "linear-1")
    assert load_config(workspace, {}).head.current == "linear-1"
