# One line a target. VENV names the environment: one that is kept may serve another clone.
VENV ?= .venv
export VENV
export DO_NOT_TRACK := 1
export PREFECT_SERVER_ANALYTICS_ENABLED := false
export MLFLOW_DISABLE_TELEMETRY := true
export HF_HUB_DISABLE_TELEMETRY := 1

help: ## This list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 16

run: environment ## The whole flow on the embedded sample, minutes on a CPU
	$(VENV)/bin/python -m pipelines run --params samples/params.yaml --dirty

test: lint ## Lint, types, import contracts and the tests
	$(VENV)/bin/python -m pytest

test-all: lint ## The same with the slow tests
	$(VENV)/bin/python -m pytest -m 'not gpu'

lint: environment ## Lint, format, types and import contracts alone
	$(VENV)/bin/ruff check . && $(VENV)/bin/ruff format --check . && $(VENV)/bin/mypy && $(VENV)/bin/lint-imports --no-logo

bench-serving: environment ## Latency and throughput of the registered model, served and in batch
	$(VENV)/bin/python -m benchmarks.serving

bench-pipeline: environment ## What DVC, Prefect and MLflow add to the stages on the sample; align of MSRA
	$(VENV)/bin/python -m benchmarks.pipeline

lock: environment ## Make constraints.txt again, versions kept where they still fit
	$(VENV)/bin/uv pip compile pyproject.toml --group dev --universal --python-version 3.11 --no-emit-index-url --no-header --no-annotate -o constraints.txt

deploy: environment ## Work pool, GPU slot and the deployments of prefect.yaml, to the server of PREFECT_API_URL
	$(VENV)/bin/python -m pipelines setup && $(VENV)/bin/prefect --no-prompt deploy --all

environment:
	@bin/install

.PHONY: help run test test-all lint bench-serving bench-pipeline lock deploy environment
