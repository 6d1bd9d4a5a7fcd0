"""The versions of a registered model, one for each distinct result."""

import re
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory

import mlflow
import pandas as pd
from mlflow import MlflowClient
from mlflow.entities import LifecycleStage, Run
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, DataType, Schema
from mlflow.types.schema import AnyType, Array, Object, Property
from mlflow.utils.requirements_utils import warn_dependency_requirement_mismatches

from pipelines.dvc_repo import stages as dvc_stages
from pipelines.errors import Exit, Refused
from pipelines.names import REGISTER_FIRST
from pipelines.registry import aliases, card, keys, manifest, serving_code
from pipelines.registry.aliases import is_not_found
from pipelines.registry.registry import Registry
from stages.contract.hashing import as_text, checksums

SERVING = "serving_sha256"  # a tag of runs and versions, see serving_code.sha256
CORPUS = "download.name"  # a parameter of runs
FORGOTTEN = "forgotten_models"  # a tag of a run
# The figures that the gates use; each becomes a tag of the version.
GATED = re.compile(
    r"test\.(f1|ece)|export\.(.+\.)?f1"
    r"|export\.(logit_difference_max|tag_agreement|f1_delta|test_sentences)"
)
EXAMPLE = "中国国家主席习近平在北京大学会见了联合国秘书长。"
# A column of any type, without a name: a list, a Series and a row that is not a string then reach
# `predict`, which answers them. For a declared string MLflow would answer with a stack trace.
SIGNATURE = ModelSignature(
    inputs=Schema([ColSpec(AnyType())]),  # type: ignore[no-untyped-call]
    outputs=Schema(
        [
            ColSpec(
                Array(
                    Object(
                        [
                            Property("text", DataType.string),
                            Property("type", DataType.string),
                            Property("start", DataType.long),
                            Property("end", DataType.long),
                            Property("score", DataType.double),
                            Property("passed", DataType.boolean, required=False),
                        ]
                    )
                ),
                "entities",
            ),
            ColSpec(DataType.string, "error", required=False),
            ColSpec(DataType.string, "provider"),
        ]
    ),
)


def prepare() -> None:
    """Does in advance what `log_model` needs for any model: imports and a list of packages."""
    import_module("mlflow.pyfunc")
    warn_dependency_requirement_mismatches(serving_code.requirements())


def log_model(workspace: Path, model: str) -> None:
    """Logs the model of dvc.yaml's artifacts to the active run, with the workspace's code.

    Its card then has `model`, the name to register it by.

    Raises:
        PipelineError: if the workspace lacks the artifact or the code.
    """
    artifact = dvc_stages.model_folder(workspace)
    with card.named_copy(artifact, model) as folder, TemporaryDirectory() as copies:
        code = serving_code.copy_stages(workspace, Path(copies))
        logged = mlflow.pyfunc.log_model(
            name="model",
            python_model=str(serving_code.pyfunc(workspace)),
            artifacts={"model": folder.as_uri()},
            # Text, as MLflow makes a parameter of each key.
            model_config={
                "files_sha256": as_text(checksums(folder)),
                "code_sha256": as_text(checksums(code)),
            },
            signature=SIGNATURE,
            input_example=pd.DataFrame({"text": [EXAMPLE]}),
            code_paths=[str(code)],
            pip_requirements=serving_code.requirements(),
        )
    manifest.log(logged.model_uri)


def register(registry: Registry, run: Run) -> str:
    """Registers the model of `run` as the challenger; returns the number of the new version.

    What the gates use becomes tags of the version. Those that only programs read have a prefix.
    """
    tags = run.data.tags
    figures = {keys.figure(name): repr(value) for name, value in run.data.metrics.items()}
    models = [output.model_id for output in run.outputs.model_outputs] if run.outputs else []
    model = next((model for model in models if model not in forgotten(run)), None)
    kept: dict[str, str] = {"dvc_lock": tags["dvc_lock"]}
    kept["cuda_validated"] = tags.get("export.cuda_validated", "false")
    if SERVING in tags:
        kept[SERVING] = tags[SERVING]
    for key in ("test_sha256", "onnx_sha256", "onnx_precision"):
        if f"export.{key}" in tags:
            kept[key] = tags[f"export.{key}"]
    if manifest.TAG in tags:
        kept[manifest.TAG] = tags[manifest.TAG]
    kept |= {key: text for key, text in figures.items() if GATED.fullmatch(key)}
    shown = {"commit": tags["commit"]}
    if "export.f1" in figures:
        shown["f1"] = f"{float(figures['export.f1']):.4f}"
    if CORPUS in run.data.params:
        shown["corpus"] = run.data.params[CORPUS]
    kept = shown | {f"{keys.PROGRAMS}{key}": value for key, value in kept.items()}
    made = mlflow.register_model(f"models:/{model}", registry.model, tags=kept)
    challenge(registry, made)
    return str(made.version)


def challenge(registry: Registry, version: ModelVersion) -> None:
    """Makes the version the challenger, unless it has an alias or a newer one is the challenger."""
    challenger = aliases.by_alias(registry, aliases.CHALLENGER)
    newer = challenger is not None and int(challenger) > int(version.version)
    if not newer and not get(registry, str(version.version)).aliases:
        registry.client.set_registered_model_alias(
            registry.model, aliases.CHALLENGER, version.version
        )


def get(registry: Registry, number: str) -> ModelVersion:
    """The version with this number.

    Raises:
        Refused: if there is none.
    """
    try:
        return registry.client.get_model_version(registry.model, number)
    except MlflowException as error:
        if not is_not_found(error):
            raise
    newest = registry.client.search_model_versions(
        f"name = '{registry.model}'", max_results=1, order_by=["version_number DESC"]
    )
    hint = f"The newest is {newest[0].version}." if newest else REGISTER_FIRST
    raise Refused(Exit.ERROR, f"There is no version {number} of {registry.model}. {hint}")


def champion(registry: Registry) -> ModelVersion:
    """The champion.

    Raises:
        Refused: if there is none.
    """
    number = aliases.by_alias(registry, aliases.CHAMPION)
    if number is None:
        raise Refused(Exit.ERROR, f"{registry.model} has no champion: promote a version")
    return get(registry, number)


def restore_run(client: MlflowClient, version: ModelVersion) -> None:
    """Takes the run of a version out of MLflow's bin, if it is there."""
    if is_binned(client, version):
        client.restore_run(str(version.run_id))


def is_binned(client: MlflowClient, version: ModelVersion) -> bool:
    """Whether a person put the version's run into MLflow's bin, whose content can be deleted."""
    run = client.get_run(str(version.run_id))
    return bool(run.info.lifecycle_stage == LifecycleStage.DELETED)


def of_run(registry: Registry, run: Run) -> ModelVersion | None:
    """The newest version of the registered model that the run made; None if there is none."""
    wanted = f"name = '{registry.model}' and run_id = '{run.info.run_id}'"
    found = registry.client.search_model_versions(wanted)
    return max(found, key=lambda version: int(version.version), default=None)


def need(client: MlflowClient, run: Run) -> bool:
    """Whether a version of any registered model stands on the run, whoever registered it."""
    return bool(client.search_model_versions(f"run_id = '{run.info.run_id}'", max_results=1))


def first_of(registry: Registry, identity: Mapping[str, str]) -> ModelVersion:
    """The oldest version whose tags have this identity."""
    same = [
        version
        for key in ("dvc_lock", f"{keys.PROGRAMS}dvc_lock")
        for version in registry.client.search_model_versions(
            f"name = '{registry.model}' and tag.`{key}` = '{identity['dvc_lock']}'"
        )
        if identity.items() <= keys.tags(version).items()
    ]
    return min(same, key=lambda version: int(version.version))


def forget(client: MlflowClient, run: Run) -> None:
    """Deletes the versions and models of `run`; a tag tells `gc` where the models' files are.

    This includes a model that was being logged when its process was killed: it is not yet an output
    of the run.
    """
    run_id = run.info.run_id
    for made in client.search_model_versions(f"run_id = '{run_id}'"):
        client.delete_model_version(made.name, made.version)
    found = client.search_logged_models([run.info.experiment_id], f"source_run_id = '{run_id}'")
    models = {model.model_id for model in found}
    if models:
        client.set_tag(run_id, FORGOTTEN, ",".join(sorted(models | forgotten(run))))
    for model in models:
        client.delete_logged_model(model)


def forgotten(run: Run) -> set[str]:
    """The ids of the models that `forget` deleted."""
    return set(filter(None, run.data.tags.get(FORGOTTEN, "").split(",")))
