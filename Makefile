# Two commands do everything: `make demo` and `make test`. `make help` lists the rest.
.DEFAULT_GOAL := help
PYTHON ?= python3
PY := .venv/bin/python
# PORT= chooses the portal's port; several checkouts can run side by side.
ifdef PORT
export PORTAL_PORT := $(PORT)
endif
export PYTHON PYTHONUNBUFFERED := 1

.PHONY: help setup run demo demo-k8s test test-kube bench-gateway check lock clean
help:  ## this list
	@sed -n 's/^\([a-z0-9-]*\):.*## /make \1: /p' Makefile

setup:  ## install what the portal and the engine need
	@scripts/setup

run: setup  ## start the portal; Ctrl-C stops it
	@exec $(PY) manage.py up

demo: setup  ## deploy two models on this machine and call them; ONCE=1 stops by itself
	@exec $(PY) manage.py demo $(if $(ONCE),--once)

demo-k8s: setup  ## look around: two simulated Kubernetes clusters, 40 endpoints in every state
	@exec $(PY) -m tests.demo_k8s $(if $(ONCE),--once)

test:  ## all tests, with MariaDB, Redis, Chromium, Node.js and the real engine; FAST=1 leaves the slow ones out
	@scripts/setup --dev --test-servers $(if $(FAST),--no-engine)
	@exec $(PY) -m tests.rig.run_both $(if $(FAST),--fast)

test-kube:  ## the tests that a real cluster can pass, against the one of KUBE_CONFORMANCE_KUBECONFIG=FILE
	@test -f "$(KUBE_CONFORMANCE_KUBECONFIG)" || \
		{ echo "test-kube: set KUBE_CONFORMANCE_KUBECONFIG to the kubeconfig of a cluster's administrator" >&2; exit 2; }
	@scripts/setup --dev --no-engine
	@KUBE_CONFORMANCE_KUBECONFIG="$(abspath $(KUBE_CONFORMANCE_KUBECONFIG))" \
		exec $(PY) -m pytest -n 0 -rs tests/clusters tests/endpoints/kubernetes

bench-gateway:  ## how fast the gateway is beside nginx, with a verdict; ARGS="--help" tells what else it can do
	@scripts/setup --dev --no-engine
	@exec $(PY) -m bench.gateway $(or $(ARGS),--quick)

check:  ## what CI runs: the tests, and every static check
	@exec .ci/run

lock:  ## write the lock files anew (needs uv)
	@exec requirements/lock.sh

clean:  ## remove the environments and the caches; your data in var/ stays
	rm -rf .venv .engines tests/gateway/clients/javascript/node_modules tests/browser/javascript/node_modules .mypy_cache .ruff_cache .import_linter_cache
