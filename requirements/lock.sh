#!/bin/sh
# Rewrites every lock file, with hashes, from the .in files. Needs uv; run by `make lock`.
set -eu
cd "$(dirname "$0")"
compile="uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-annotate --no-header"
$compile dev.in -o dev.txt
$compile portal.in -c dev.txt -o ../requirements.txt
$compile agent.in -c dev.txt -o agent.txt
$compile engine.in --override engine-overrides.txt -o engine-all.txt
# The local CPU build of torch, where one lies on disk, has a hash that the index does not list.
local_torch=$(pip download -q --no-deps --no-cache-dir torch==2.13.0 -d /tmp/lock-torch 2>/dev/null && sha256sum /tmp/lock-torch/torch-2.13.0+cpu*.whl 2>/dev/null | cut -d' ' -f1 || true)
python3 - "$local_torch" <<'PY'
import pathlib
import re
import sys

blocks = re.split(r"(?m)^(?=[a-z0-9])", pathlib.Path("engine-all.txt").read_text())
cuda = [b for b in blocks if re.match(r"(nvidia-|cuda-|triton)", b)]
torch = next(b for b in blocks if b.startswith("torch=="))
rest = [b for b in blocks if b not in cuda and b != torch]
if sys.argv[1]:
    torch = torch.rstrip() + f" \\\n    --hash=sha256:{sys.argv[1]}\n"
pathlib.Path("engine-torch.txt").write_text(torch)
pathlib.Path("engine.txt").write_text("".join(rest))
pathlib.Path("engine-cuda.txt").write_text("".join(cuda))
PY
rm -f engine-all.txt
$compile --no-deps demo.in -o demo.txt
