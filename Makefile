# The project's commands. Whatever has logic is in xtask/ (Rust) or scripts/ (what touches the machine).
#
#   make demo KEEP=1          stay when the demo is over
#   make demo DEMO_TARGET=compose
#   make up ARGS='--nodes 5'  flags for tpctl up
#   PROFILE=release           build for speed

PROFILE ?= dev
ARGS    ?=

BIN := $(or $(CARGO_TARGET_DIR),target)/$(if $(filter dev,$(PROFILE)),debug,$(PROFILE))

.DEFAULT_GOAL := help
.PHONY: help tools demo up down status test check build images install-etcd clean

help: ## Show this list
	@echo 'make <target>, where <target> is one of'
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' Makefile
	@echo 'After make up, $(BIN)/tpctl works with the cluster.'

demo: tools build ## Deploy nginx, delete a pod, show both journeys, leave (KEEP=1: stay)
	@$(BIN)/xtask demo

up: tools build ## Start a cluster that stays; its state is in .traceplane/
	@$(BIN)/tpctl up $(ARGS)

down: build ## Stop that cluster; its objects stay (ARGS=--purge: delete them)
	@$(BIN)/tpctl down $(ARGS)

status: build ## Show that cluster's processes
	@$(BIN)/tpctl status

test: ## Run every test that this machine can run, and say what was skipped
	@scripts/need cargo cc etcd etcdctl
	@cargo xtask test $(ARGS)

check: ## Formatting, lints, dependencies, links in the docs
	@scripts/need cargo cc
	@cargo xtask check

tools:
	@scripts/need cargo cc etcd

build: ## Build every program
	@scripts/need cargo cc
	@cargo build --workspace --bins --profile $(PROFILE)

images: ## Build the images of docker-compose.yml from this tree, without a registry
	@scripts/local-images

install-etcd: ## Install etcd if there is none (only the program; no service is started)
	@scripts/need etcd

clean: ## Stop the cluster, delete its state and everything that was built
	@test ! -e .traceplane/cluster.json || $(BIN)/tpctl down --purge
	rm -rf .traceplane
	cargo clean
