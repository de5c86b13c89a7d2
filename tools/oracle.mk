.PHONY: oracle
oracle: ## record workerd's answers to the compatibility cases
	@node tests/oracle/record.mjs $(PROGRAMS)
