.PHONY: scenario
scenario: ## drive a running Dormouse with real clients and a browser (SCENARIOS="durable sdk" for some)
	@node --test --test-concurrency=2 $(if $(SCENARIOS),$(SCENARIOS:%=tests/scenario/%_test.mjs),tests/scenario/*_test.mjs)
