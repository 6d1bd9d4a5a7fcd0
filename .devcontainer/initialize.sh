#!/bin/sh
# Gives the image of this checkout the fixed name that devcontainer.json asks for; builds it if it is missing.
set -eu
cd "$(dirname "$0")/.."
engine=$(docker/engine)
image=$(docker/name interactive)
"$engine" image inspect "$image" >/dev/null 2>&1 || docker/build
"$engine" tag "$image" localhost/msra-ner-devcontainer
