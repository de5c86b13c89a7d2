# The fault rigs (tests/fault/README.md) against build/dormouse, or DORMOUSE=path.
INJECT := $(OUT)/fault/inject

.PHONY: fault fault-long fault-tools
fault: fault-tools ## kill, starve and break a running Dormouse, in about a minute (RIGS="kill disk" for some)
	@node --test tests/fault/*_test.mjs && node tests/fault/run.mjs $(RIGS)
fault-long: fault-tools ## the same as often as the bars ask for: hours (RIGS="kill", OPTIONS="--tree 100 --seed 7")
	@node tests/fault/run.mjs --long $(RIGS) $(if $(OPTIONS),-- $(OPTIONS))

fault-tools: $(INJECT)
$(INJECT): tests/fault/inject.c Makefile
	@mkdir -p $(@D); echo "  LD $@"
	@$(CC) -std=gnu17 $(WARN) -O2 -g -o $@ $<

# The power-cut rig's control: syncs that do nothing.
fault-tools: build/release/fault/power_nosync
build/release/fault/power_nosync: tests/fault/power_nosync.c Makefile
	@mkdir -p $(@D); echo "  CC $<"
	@$(CC) -std=gnu17 $(WARN) -O2 -o $@ $<

# Disks as a power cut could leave them, built from what programs wrote and synced; a quarter of them cut again while they recover.
IMAGES ?= 20000
.PHONY: crash-images
crash-images: $(OUT)/unit/store_power_journaled_test $(OUT)/unit/journal_power_test ## databases and journals after power cuts (IMAGES=20000 of each, SEED=n)
	@$(OUT)/unit/store_power_journaled_test $(IMAGES) $(SEED) && $(OUT)/unit/journal_power_test $(IMAGES) $(SEED)
