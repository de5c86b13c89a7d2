# The simulator (tests/sim/README.md). Rooms are linked into it as they are: each is one object whose only name is its main, whose writable
# memory is one section, and which lacks what the simulator stands for (loop, links, kernel, engine, the journal's thread).
SIM_OUT   := $(OUT)/sim
SIM       := $(SIM_OUT)/sim
SIM_SRCS  := $(wildcard tests/sim/*.c)
SIM_OBJS  := $(patsubst tests/sim/%.c,$(SIM_OUT)/%.o,$(filter-out tests/sim/sim_guest.c,$(SIM_SRCS)))
SEEDS     ?= 10000
SIM_JOBS  ?= $(shell nproc)
SIM_STORE := $(patsubst %.c,$(OUT)/%.o,$(wildcard lib/store/*.c)) $(ENGINE)/sqlite3.o
SIM_ROOM.journal   := $(patsubst %.c,$(OUT)/%.o,$(filter-out %/journal_sync.c %/journal_files.c %/journal_thread.c,$(wildcard src/journal/*.c)))
SIM_ROOM.scheduler := $(patsubst %.c,$(OUT)/%.o,$(wildcard src/scheduler/*.c)) $(SIM_STORE)
SIM_ROOM.worker    := $(patsubst %,$(OUT)/src/worker/%.o,admin admin_snapshot adopt agent agent_cold agent_sleep agent_store $(if $(wildcard src/worker/alarm_scan.c),alarm_scan) alarms calls cast \
                        commits counters deliver entry_line gate history $(patsubst src/worker/%.c,%,$(wildcard src/worker/bookmark.c)) peer recall sleep snapshot snapshot_file snapshot_list snapshot_pages snapshot_restore starts why worker worker_main) $(SIM_OUT)/sim_guest.o $(SIM_STORE)
SIM_ROOM.worker0   := $(SIM_ROOM.worker)
SIM_ROOM.worker1   := $(SIM_ROOM.worker)
SIM_ROOMS := journal scheduler worker0 worker1
SIM_LIBS  := $(patsubst %.c,$(OUT)/%.o,$(wildcard lib/base/*.c lib/sys/*.c) lib/ipc/message.c)
SIM_DATA  := .data .data.rel .data.rel.local .bss
SIM_NAMES := fdopendir readdir closedir

.PHONY: sim sim-controls
sim: $(SIM) ## simulate journal, scheduler and workers with faults (SEED=n for one with its trace, SEEDS=10000 for many)
	@$(if $(SEED),$(SIM) --seed $(SEED) --tell,$(SIM) --seeds $(SEEDS) --jobs $(SIM_JOBS) $(SIM_FEW))

$(SIM_OUT)/%.o: tests/sim/%.c Makefile tools/sim.mk
	@mkdir -p $(@D); echo "  CC $<"
	@$(CC) $(CFLAGS) -isystem /usr/share/wabt/wasm2c -MMD -MP -c $< -o $@

# sim_room: objects → one room. Its main is called sim_main_NAME, all else is hidden.
sim_room = ld -r -o $(2).whole $(3) && \
	objcopy $(foreach s,$(SIM_DATA),--set-section-flags $(s)=alloc,load,data,contents) $(2).whole && \
	objcopy $(foreach s,$(SIM_DATA),--rename-section $(s)=simdata_$(1)) $(foreach n,$(SIM_NAMES),--redefine-sym $(n)=sim_$(n)) \
	    --redefine-sym malloc_trim=sim_malloc_trim --redefine-sym main=sim_main_$(1) --keep-global-symbol=sim_main_$(1) $(2).whole $(2) && rm -f $(2).whole
sim_link = $(CC) $(LDFLAGS) -o $(1) $(2) $(SIM_LIBS) -lcrypto -ljansson -llz4 -lm

define sim_room_rule
$(SIM_OUT)/room_$(1).o: $$(SIM_ROOM.$(1)) tools/sim.mk
	@mkdir -p $$(@D); echo "  ROOM $(1)"
	@$$(call sim_room,$(1),$$@,$$(SIM_ROOM.$(1)))
endef
$(foreach r,$(SIM_ROOMS),$(eval $(call sim_room_rule,$(r))))

$(SIM): $(SIM_OBJS) $(SIM_ROOMS:%=$(SIM_OUT)/room_%.o) $(SIM_LIBS)
	@echo "  LD $@"
	@$(call sim_link,$@,$(SIM_OBJS) $(SIM_ROOMS:%=$(SIM_OUT)/room_%.o))

# Controls: faults built into the rooms' sources. Each must be found, or the simulator proves nothing.
SIM_CONTROLS := ack_before_sync checkpoint_before_durable claims_not_voided dedup_off gate_open gone_not_asked
SIM_CONTROL_SEEDS ?= 3000
sim_control.ack_before_sync           := src/journal/journal_segment /^segment_sync(/,/^}/s/sys_fdatasync(segment->fd) != 0/false/
sim_control.checkpoint_before_durable := src/worker/commits /^send_commit(/,/^}/s/^    dispatch(p.commit);/    store_set_durable(a->store, store_seq(a->store)); if (!store_checkpoint(a->store, \&ignored)) a->wants_checkpoint = true; dispatch(p.commit);/
sim_control.claims_not_voided         := src/journal/journal_core /^core_sync_end(/,/^}/s/agent->claimed = agent->syncing = 0/agent->syncing = 0/
sim_control.dedup_off                 := src/journal/journal_batch s/(commit->flags \& COMMIT_AGAIN) != 0 \&\& again_is_kept/false \&\& again_is_kept/
sim_control.gate_open                 := src/worker/gate /^is_closed(/,/^}/s/return .*/return false \&\& has_uncommitted(a);/
sim_control.gone_not_asked            := src/worker/commits /^finish_gone(/,/^}/s/^        recall_suspect(a);/        (void)0;/

sim_control_file = $(firstword $(sim_control.$(1)))
sim_control_edit = $(wordlist 2,99,$(sim_control.$(1)))
define sim_control_rules
$(SIM_OUT)/$(1)/fault.c: $$(call sim_control_file,$(1)).c tools/sim.mk
	@mkdir -p $$(@D); sed '$$(call sim_control_edit,$(1))' $$< > $$@; \
	if cmp -s $$< $$@; then echo "the fault '$(1)' has no place in $$< any more: see tools/sim.mk"; rm $$@; exit 1; fi
$(SIM_OUT)/$(1)/fault.o: $(SIM_OUT)/$(1)/fault.c
	@$$(CC) $$(CFLAGS) -isystem /usr/share/wabt/wasm2c -MMD -MP -c $$< -o $$@
$(SIM_OUT)/$(1)/sim: $(SIM_OUT)/$(1)/fault.o $(SIM)
	@echo "  LD $$@"; $$(foreach r,$(SIM_ROOMS),$$(call sim_room,$$(r),$$(@D)/room_$$(r).o,\
	    $$(patsubst $(OUT)/$$(call sim_control_file,$(1)).o,$(SIM_OUT)/$(1)/fault.o,$$(SIM_ROOM.$$(r)))) && ) \
	$$(call sim_link,$$@,$(SIM_OBJS) $$(SIM_ROOMS:%=$$(@D)/room_%.o)) && rm $$(SIM_ROOMS:%=$$(@D)/room_%.o)
endef
$(foreach c,$(SIM_CONTROLS),$(eval $(call sim_control_rules,$(c))))

sim-controls: $(SIM_CONTROLS:%=$(SIM_OUT)/%/sim) ## faults that the simulator must find
	@failed=0; for c in $(SIM_CONTROLS); do echo "$$c:"; $(SIM_OUT)/$$c/sim --seeds $(SIM_CONTROL_SEEDS) --jobs $(SIM_JOBS) --control || failed=1; done; exit $$failed
