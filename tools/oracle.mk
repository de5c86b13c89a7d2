.PHONY: oracle
oracle: ## record workerd's answers to the compatibility cases
	@node tests/oracle/record.mjs $(PROGRAMS)

.PHONY: compatibility
compatibility: ## write the counted part of docs/compatibility.md
	@node tests/oracle/compatibility.mjs
