# Dormouse. One Makefile, no recursion; each folder's room.mk names what it may use.
#   make [FLAVOUR=release|debug|asan] [CC=gcc|clang]     everything, into build/FLAVOUR[-clang]
#   make check | tidy | format | oracle | bench | fault | fuzz | clean | help
MAKEFLAGS += --no-builtin-rules --no-builtin-variables
.SUFFIXES:
.DELETE_ON_ERROR:
.SECONDEXPANSION:
SHELL   := /bin/bash
CC      ?= gcc
ifeq ($(origin CC),default)
CC      := gcc
endif
FLAVOUR ?= release
OUT     := build/$(FLAVOUR)$(if $(findstring clang,$(CC)),-clang)
ENGINE  := build/engine
NPM     := node_modules

WARN := -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wvla -Wundef \
        -Wwrite-strings -Wno-unused-parameter -Wno-missing-field-initializers
FLAGS.release := -O2 -g -D_FORTIFY_SOURCE=2 -fstack-protector-strong
FLAGS.debug   := -O0 -g3 -DFAILPOINTS=1
FLAGS.asan    := -O1 -g3 -DFAILPOINTS=1 -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
CFLAGS  = -std=gnu17 $(WARN) $(FLAGS.$(FLAVOUR)) -fPIE -I. -D_GNU_SOURCE -DDORMOUSE_VERSION='"$(VERSION)"'
LDFLAGS = -pie -Wl,-z,relro,-z,now $(if $(filter asan,$(FLAVOUR)),-fsanitize=address$(comma)undefined)
comma   := ,
VERSION := $(shell cat VERSION)

FOLDERS := $(patsubst %/room.mk,%,$(wildcard lib/*/room.mk src/*/room.mk))

# room.mk sets: uses (folders), libs (-l…), cflags, extra (objects built by a rule of its own), bin (name, rooms only)
define load
uses :=
libs :=
cflags :=
extra :=
bin :=
include $(1)/room.mk
$(1).uses   := $$(uses)
$(1).libs   := $$(libs)
$(1).cflags := $$(cflags)
$(1).extra  := $$(extra)
$(1).bin    := $$(bin)
$(1).srcs   := $$(wildcard $(1)/*.c $(1)/*/*.c)
$(1).main   := $$(filter %_main.c,$$($(1).srcs))
$(1).objs   := $$(patsubst %.c,$$(OUT)/%.o,$$(filter-out %_main.c,$$($(1).srcs))) $$(extra)
endef
$(foreach f,$(FOLDERS),$(eval $(call load,$(f))))

# Everything a folder reaches, each before what it uses (link order).
reach = $(1) $(foreach u,$($(1).uses),$(call reach,$(u)))
uniq  = $(if $(1),$(call uniq,$(filter-out $(lastword $(1)),$(1))) $(lastword $(1)))
archives = $(patsubst %,$(OUT)/%.a,$(call uniq,$(call reach,$(1))))
syslibs  = $(foreach f,$(call uniq,$(call reach,$(1))),$($(f).libs))

ROOMS := $(foreach f,$(FOLDERS),$(if $($(f).bin),$(OUT)/bin/$($(f).bin)))
UNITS := $(patsubst tests/unit/%.c,$(OUT)/unit/%,$(wildcard tests/unit/*_test.c))

.PHONY: all rooms units check unit tidy format clean help js
all: rooms js build/dormouse
rooms: $(ROOMS)

build/dormouse: $(OUT)/bin/dormouse
	@ln -sfn $(patsubst build/%,%,$<) $@

define folder_rules
$$(OUT)/$(1).a: $$($(1).objs)
	@mkdir -p $$(@D); rm -f $$@; ar rcs $$@ $$^
$$(OUT)/$(1)/%.o: $(1)/%.c Makefile $(1)/room.mk
	@mkdir -p $$(@D); echo "  CC $$<"
	@$$(CC) $$(CFLAGS) $$($(1).cflags) -MMD -MP -c $$< -o $$@
endef
$(foreach f,$(FOLDERS),$(eval $(call folder_rules,$(f))))

define room_rules
$$(OUT)/bin/$$($(1).bin): $$(patsubst %.c,$$(OUT)/%.o,$$($(1).main)) $$(call archives,$(1))
	@mkdir -p $$(@D); echo "  LD $$@"
	@$$(CC) $$(LDFLAGS) -o $$@ $$< -Wl,--start-group $$(call archives,$(1)) -Wl,--end-group $$(call syslibs,$(1))
endef
$(foreach f,$(FOLDERS),$(if $($(f).bin),$(eval $(call room_rules,$(f)))))

# A unit test is named after its folder: tests/unit/base_buf_test.c tests lib/base, gateway_http_test.c src/gateway.
test_folder = $(firstword $(wildcard lib/$(firstword $(subst _, ,$(1))) src/$(firstword $(subst _, ,$(1)))))
$(OUT)/unit/%: tests/unit/%.c Makefile $$(call archives,$$(call test_folder,$$*))
	@mkdir -p $(@D); echo "  LD $@"
	@$(CC) $(CFLAGS) $($(call test_folder,$*).cflags) $(LDFLAGS) -MMD -MP -MF $@.d -o $@ $< -Wl,--start-group $(call archives,$(call test_folder,$*)) -Wl,--end-group $(call syslibs,$(call test_folder,$*)) -lcmocka
units: $(UNITS)
unit: $(UNITS)
	@tools/run-units $(UNITS)

-include $(wildcard tools/*.mk)
-include $(shell find $(OUT) -name '*.d' 2>/dev/null)

format: ## lay out the C sources as .clang-format says
	@clang-format -i $$(git ls-files '*.c' '*.h')
clean: ## remove the builds, keep the engine object
	@rm -rf build/release* build/debug* build/asan* build/dormouse build/js
help: ## what can be made
	@grep -hE '^[a-z-]+:.*##' Makefile tools/*.mk | sed -E 's/^([a-z-]+):.*## /  \1\t/' | expand -t 20
