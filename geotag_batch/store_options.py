"""Endpoint and credentials of an object store, where the library would not find them by itself."""

import os
import re
from pathlib import Path
from typing import Any

from geotag_batch.errors import ConfigError

__all__ = ["STORE_HINT", "store_options"]

STORE_HINT = "README.md, `Object storage`, says which variables give endpoint, region and credentials"
"""What to try when a store cannot be reached with what the environment says."""


def store_options(root: str) -> dict[str, Any]:
    """Return endpoint and credentials where the library would not find them by itself, in environment or profile."""
    options: dict[str, Any] = {}
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    if endpoint:
        if not re.fullmatch(r"https?://[^/@:\s]+(:\d{1,5})?/*", endpoint):  # the library takes it to be right
            raise ConfigError("AWS_ENDPOINT_URL is not http(s)://host or http(s)://host:port", hint=STORE_HINT)
        options["endpoint"] = endpoint
    if _needs_profile():
        try:
            from botocore.exceptions import BotoCoreError  # noqa: PLC0415
            from obstore.auth.boto3 import Boto3CredentialProvider  # noqa: PLC0415
        except ImportError as error:
            raise ConfigError(f"{root}: a profile needs boto3", hint="pip install 'geotag-batch[s3]'") from error
        try:
            options["credential_provider"] = Boto3CredentialProvider()
        except (BotoCoreError, ValueError) as error:
            raise ConfigError(f"{root}: no credentials in the AWS profile", hint=STORE_HINT) from error
    return options


def _needs_profile() -> bool:
    """Tell whether credentials are in a profile, which the library does not read; what it reads comes before that."""
    known = ("AWS_ACCESS_KEY_ID", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_SKIP_SIGNATURE")
    if any(name in os.environ for name in known) or any("AWS_CONTAINER_" in name for name in os.environ):
        return False
    home = Path("~/.aws").expanduser()
    file = Path(os.environ.get("AWS_SHARED_CREDENTIALS_FILE", home / "credentials"))
    return "AWS_PROFILE" in os.environ or file.is_file()
