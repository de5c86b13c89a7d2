# The sleep property test (tests/prop/README.md): the worker as it is, with the loop and the links of the test.
PROP_OUT  := $(OUT)/prop
PROP      := $(PROP_OUT)/sleep-prop
PROP_OBJS := $(patsubst tests/prop/%.c,$(PROP_OUT)/%.o,$(wildcard tests/prop/*.c))
PROP_APP  := $(JS_OUT)/sleep-prop.js
PROP_JOBS ?= $(shell nproc)
PROP_SEEDS ?= 100000
PROP_FAULTS := image words timer old facet refused journal past snapshot deploy wipe piece

.PHONY: sleep-prop sleep-prop-short sleep-prop-controls sleep-prop-tools
sleep-prop: sleep-prop-tools ## programs that sleep against the same awake (SEED=n for one with its transcript, PROP_SEEDS=100000 for many)
	@$(if $(SEED),$(PROP) --seed $(SEED) --tell,nice $(PROP) --seeds $(PROP_SEEDS) --jobs $(PROP_JOBS))
sleep-prop-short: sleep-prop-tools
	@$(PROP) --seeds 150 --jobs $(PROP_JOBS) && $(PROP) --cycles --seeds 1
sleep-prop-controls: sleep-prop-tools ## faults of each kind that it must notice
	@failed=0; for c in $(PROP_FAULTS); do $(PROP) --seeds 300 --jobs $(PROP_JOBS) --control $$c || failed=1; done; exit $$failed
sleep-prop-tools: $(PROP) $(PROP_APP) $(JS_OUT)/runtime.js

$(PROP_OUT)/%.o: tests/prop/%.c Makefile tools/prop.mk
	@mkdir -p $(@D); echo "  CC $<"
	@$(CC) $(CFLAGS) $(src/worker.cflags) -MMD -MP -c $< -o $@
$(PROP_OUT)/worker_main.o: $(OUT)/src/worker/worker_main.o
	@mkdir -p $(@D); objcopy --redefine-sym main=worker_main $< $@
$(PROP): $(PROP_OBJS) $(PROP_OUT)/worker_main.o $(call archives,src/worker)
	@echo "  LD $@"
	@$(CC) $(LDFLAGS) -o $@ $(PROP_OBJS) $(PROP_OUT)/worker_main.o -Wl,--start-group $(call archives,src/worker) -Wl,--end-group $(call syslibs,src/worker)
$(PROP_APP): $(wildcard tests/prop/app/*.js) tools/prop.mk
	@mkdir -p $(@D); echo "  JS $@"
	@$(NPM)/.bin/esbuild tests/prop/app/index.js --bundle --format=esm --platform=neutral --target=es2023 --keep-names \
	    --external:cloudflare:workers --external:node:* --log-level=warning --outfile=$@
