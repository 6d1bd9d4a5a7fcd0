"""Remembers which promotions are decided, so that none is asked twice."""

import hashlib
import json

from mlflow import MlflowClient

from pipelines.names import MODEL
from pipelines.settings import Promote

DECIDED = "promotion.decided"  # a tag of a version


def decide(client: MlflowClient, version: str, settings: Promote, champion: str | None) -> None:
    """Notes with a version that its promotion was decided: the same question has that answer."""
    client.set_model_version_tag(MODEL, version, DECIDED, _question(settings, champion))


def decided(client: MlflowClient, version: str, settings: Promote, champion: str | None) -> bool:
    """Whether `decide` was told the same."""
    tags = client.get_model_version(MODEL, version).tags
    return bool(tags.get(DECIDED) == _question(settings, champion))


def _question(settings: Promote, champion: str | None) -> str:
    words = json.dumps([settings.model_dump(), champion], sort_keys=True)
    return hashlib.sha256(words.encode()).hexdigest()
