# Fuzzing of everything that reads bytes from outside. A target tests/fuzz/FOLDER_noun_fuzz.c links what lib/FOLDER (or
# src/FOLDER) links, all of it compiled by clang with coverage and the address and undefined-behaviour sanitizers.
#   make fuzz [FUZZ_SECONDS=10] [FUZZ=ipc_message]
FUZZ_SECONDS ?= 10
FUZZ ?= *
FUZZERS := $(patsubst tests/fuzz/%_fuzz.c,%,$(wildcard tests/fuzz/$(FUZZ)_fuzz.c))
FUZZ_OUT := $(OUT)/fuzz
FUZZ_FLAGS := -O1 -g -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
fuzz_srcs = $(foreach f,$(call uniq,$(call reach,$(call test_folder,$(1)))),$(filter-out %_main.c,$($(f).srcs)))
fuzz_heads = $(foreach f,$(call uniq,$(call reach,$(call test_folder,$(1)))),$(wildcard $(f)/*.h $(f)/*.def))
fuzz_flags = $(foreach f,$(call uniq,$(call reach,$(call test_folder,$(1)))),$($(f).cflags))
fuzz_extra = $(foreach f,$(call uniq,$(call reach,$(call test_folder,$(1)))),$($(f).extra))
fuzz_libs = $(call syslibs,$(call test_folder,$(1)))

.PHONY: fuzz $(addprefix fuzz-,$(FUZZERS))
fuzz: $(addprefix fuzz-,$(FUZZERS)) ## feed random bytes to every parser for FUZZ_SECONDS each
	@echo "$(words $(FUZZERS)) fuzzers ran for $(FUZZ_SECONDS) s each: no failure"

# A corpus that survives between runs makes later runs start where earlier ones ended. Findings are kept beside it.
$(addprefix fuzz-,$(FUZZERS)): fuzz-%: $(FUZZ_OUT)/%
	@mkdir -p $(FUZZ_OUT)/corpus-$*; echo "  FUZZ $*"
	@$< -max_total_time=$(FUZZ_SECONDS) -max_len=$(or $(fuzz_len.$*),4096) -timeout=10 -rss_limit_mb=1024 -print_final_stats=1 \
	    -artifact_prefix=$(FUZZ_OUT)/$*- $(FUZZ_OUT)/corpus-$* $(wildcard tests/fuzz/seeds-$*) >$(FUZZ_OUT)/$*.log 2>&1 \
	    || { tail -60 $(FUZZ_OUT)/$*.log; exit 1; }
	@grep -E 'number_of_executed_units' $(FUZZ_OUT)/$*.log

$(FUZZ_OUT)/%: tests/fuzz/%_fuzz.c $$(call fuzz_srcs,$$*) $$(call fuzz_extra,$$*) $$(call fuzz_heads,$$*)
	@mkdir -p $(@D); echo "  CC $@"
	@clang -std=gnu17 $(WARN) $(FUZZ_FLAGS) -I. -D_GNU_SOURCE -DDORMOUSE_VERSION='"$(VERSION)"' $(call fuzz_flags,$*) -o $@ $(filter %.c %.o,$^) $(call fuzz_libs,$*)
