"""Prints the Kubernetes job that Prefect's worker makes of a job template, and how the two compare.

`python pool_job.py TEMPLATE VARIABLES VERSION...`, in an environment of its own with
prefect-kubernetes and kubernetes-validate. Fails if a Kubernetes VERSION would not take the job.
"""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any
from uuid import uuid4

import kubernetes_validate
from prefect.client.schemas import FlowRun
from prefect_kubernetes.worker import KubernetesWorker, KubernetesWorkerJobConfiguration


def main(template_file: str, variables: str, *versions: str) -> None:
    template = json.loads(Path(template_file).read_text(encoding="utf-8"))
    make = KubernetesWorkerJobConfiguration.from_template_and_values
    job: Any = asyncio.run(make(base_job_template=template, values=json.loads(variables)))
    job.prepare_for_flow_run(FlowRun(id=uuid4(), flow_id=uuid4(), name="a-run"))
    manifest = job.job_manifest
    for version in versions:
        kubernetes_validate.validate(manifest, version, strict=True)
    published = KubernetesWorker.get_default_base_job_template()
    lacking = {
        part: sorted(of.keys() - ours.keys())
        for part, of, ours in (
            ("variables", *(t["variables"]["properties"] for t in (published, template))),
            ("job", *(t["job_configuration"] for t in (published, template))),
        )
    }
    print(json.dumps({"job": manifest, "lacking": lacking}))


if __name__ == "__main__":
    main(*sys.argv[1:])
