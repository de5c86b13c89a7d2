.PHONY: oracle
oracle: ## record workerd's answers to the compatibility cases
	@TZ=UTC LC_ALL=C.UTF-8 node tests/oracle/record.mjs $(PROGRAMS)

.PHONY: compatibility
compatibility: ## write the counted part of docs/compatibility.md
	@node tests/oracle/compatibility.mjs
