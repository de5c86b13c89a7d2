# gateway-rig: a supervisor, a control and workers made up for the gateway's scenario tests.
RIG := $(OUT)/bin/gateway-rig
rooms: $(RIG)
$(RIG): tests/scenario/gateway_rig.c Makefile $(call archives,lib/ipc)
	@mkdir -p $(@D); echo "  LD $@"
	@$(CC) $(CFLAGS) $(LDFLAGS) -MMD -MP -MF $(OUT)/gateway-rig.d -o $@ $< -Wl,--start-group $(call archives,lib/ipc) -Wl,--end-group $(call syslibs,lib/ipc)
