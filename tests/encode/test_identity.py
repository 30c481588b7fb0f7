import subprocess
import sys

from geotag_batch.encode.identity import OPENAI_ENCODER_ID, make_encoder_id
from geotag_batch.preprocess import OPENAI_PREPROCESS, Preprocess


def test_the_published_heads_encoder_is_known_without_torch() -> None:
    code = (
        "import sys; from geotag_batch.encode.identity import OPENAI_ENCODER_ID as i; print(i, 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [OPENAI_ENCODER_ID, "False"]


def test_the_published_heads_encoder_keeps_its_id() -> None:
    # Written into the heads and embeddings of every workspace: a new value would orphan them all.
    assert OPENAI_ENCODER_ID == "ViT-B-32-quickgelu-4a534232"


def test_every_fact_changes_the_id() -> None:
    other = Preprocess(224, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    ids = {
        make_encoder_id("M", "w", OPENAI_PREPROCESS, "gelu"),
        make_encoder_id("N", "w", OPENAI_PREPROCESS, "gelu"),
        make_encoder_id("M", "v", OPENAI_PREPROCESS, "gelu"),
        make_encoder_id("M", "w", other, "gelu"),
        make_encoder_id("M", "w", OPENAI_PREPROCESS, "quickgelu"),
        make_encoder_id("M", "w", OPENAI_PREPROCESS, "gelu", {"text_cfg": {"heads": 8}}),
        make_encoder_id("M", "w", OPENAI_PREPROCESS, "gelu", {"text_cfg": {"heads": 4}}),
    }
    assert len(ids) == 7
