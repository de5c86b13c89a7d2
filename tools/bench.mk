.PHONY: bench bench-density
bench: ## measure Dormouse beside workerd, one table (FIGURES="warm-get start" for some)
	@node bench/run.mjs

bench-density: ## how many agents fit and what they cost (AGENTS=50000; takes minutes and AGENTS x 16 KiB of memory; MACHINE=uml: in a machine of its own)
	@node bench/$(if $(filter uml,$(MACHINE)),density_machine,density).mjs
