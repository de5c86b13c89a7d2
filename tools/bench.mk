.PHONY: bench
bench: ## measure Dormouse beside workerd, one table (FIGURES="warm-get start" for some)
	@node bench/run.mjs
