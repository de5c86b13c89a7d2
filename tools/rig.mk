# gateway-rig: a supervisor, a control and workers made up for the gateway's scenario tests.
RIG := $(OUT)/bin/gateway-rig
rooms: $(RIG)
RIG_SRCS := tests/scenario/gateway_rig.c tests/scenario/gateway_rig_app.c
$(RIG): $(RIG_SRCS) tests/scenario/gateway_rig_app.h Makefile $(call archives,lib/ipc)
	@mkdir -p $(@D); echo "  LD $@"
	@$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $(RIG_SRCS) -Wl,--start-group $(call archives,lib/ipc) -Wl,--end-group $(call syslibs,lib/ipc)
