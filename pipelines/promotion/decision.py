"""Records which promotions are decided, so that none is evaluated twice."""

import hashlib
import json

from mlflow import MlflowClient

from pipelines.names import MODEL
from pipelines.registry import keys
from pipelines.settings import Promote

DECIDED = f"{keys.PROGRAMS}promotion.decided"  # a tag of a version


def decide(client: MlflowClient, version: str, settings: Promote, champion: str | None) -> None:
    """Records on the version that these gates were evaluated against this champion."""
    client.set_model_version_tag(MODEL, version, DECIDED, _key(settings, champion))


def decided(client: MlflowClient, version: str, settings: Promote, champion: str | None) -> bool:
    """True if `decide` recorded the same gates and the same champion."""
    tags = keys.tags(client.get_model_version(MODEL, version))
    return bool(tags.get(DECIDED.removeprefix(keys.PROGRAMS)) == _key(settings, champion))


def _key(settings: Promote, champion: str | None) -> str:
    inputs = json.dumps([settings.model_dump(), champion], sort_keys=True)
    return hashlib.sha256(inputs.encode()).hexdigest()
