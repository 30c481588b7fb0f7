"""What the short form of each row shares: a bed of twelve photos."""

import pytest

from tests.faults.trial import Bed


@pytest.fixture(scope="session")
def bed(tmp_path_factory: pytest.TempPathFactory) -> Bed:
    """Return twelve photos, two of them without an image that can be used, in chunks of five."""
    return Bed(tmp_path_factory.mktemp("faults"), 12)
