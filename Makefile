# Few verbs, each the same as in CI. The work is in scripts/.
.DEFAULT_GOAL := help
.PHONY: help demo down clean-demo dev test test-faults fuzz check openapi bench-deploy bench-store bench-planner

help: ## list the verbs
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 22

demo: ## install what is missing, build, start everything, deploy two applications from Git
	@scripts/demo

down: ## stop all of it; data stays
	@scripts/down

clean-demo: ## stop all of it and remove it
	@scripts/clean-demo

dev: ## the server from the sources in the foreground, with the demo's proxy and data
	@scripts/dev

test: ## set up what the tests need and run them all
	@scripts/test

test-faults: ## set up what the fault suite needs and run all of it
	@scripts/test-faults

fuzz: ## hostile files for the planner, a minute for each kind of file
	@scripts/fuzz

check: ## format, lints, scripts
	@scripts/check

openapi: ## write docs/openapi.json from the handlers
	@UPDATE_OPENAPI=1 cargo test --quiet -p api --test openapi

bench-deploy: ## seconds of a deployment beside the bare tools in sequence
	@scripts/bench-deploy

bench-store: ## lists, logs, claims and memory by size, on each database
	@scripts/bench-store

bench-planner: ## milliseconds of a plan by the number of files; beside Railpack where EXAMPLES and RAILPACK are given
	@scripts/bench-planner
