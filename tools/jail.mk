# The sandbox against hostile native code (tests/jail), as the present user; as root also as an ordinary one.
JAIL_TEST   := $(OUT)/jail/jail_run
CGROUP_TEST := $(OUT)/jail/cgroup_run

.PHONY: jail jails jail-own jail-user cgroups
jails: $(JAIL_TEST) $(CGROUP_TEST)
# Three machines' worth of waiting: side by side with -j.
jail: cgroups jail-own jail-user ## attack the sandbox from within, and prove the limits of rooms
jail-own: $(JAIL_TEST)
	@$(JAIL_TEST) tests/jail/syscalls.txt
jail-user: $(JAIL_TEST)
	@[ "$$(id -u)" != 0 ] || { d=$$(mktemp -d) && chmod 755 $$d && cp $< $$d/ && echo "as an ordinary user:" && \
	  setpriv --reuid 12345 --regid 12345 --clear-groups $$d/jail_run; s=$$?; rm -rf $$d; exit $$s; }

cgroups: $(CGROUP_TEST) $(OUT)/bin/dormouse-supervisor
	@tests/jail/cgroup_machine $^

$(CGROUP_TEST): tests/jail/cgroup_run.c
$(JAIL_TEST): $(wildcard tests/jail/jail_*.c tests/jail/*.h)
$(JAIL_TEST) $(CGROUP_TEST): Makefile $(call archives,lib/jail)
	@mkdir -p $(@D); echo "  LD $@"
	@$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $(filter %.c,$^) -Wl,--start-group $(call archives,lib/jail) -Wl,--end-group $(call syslibs,lib/jail) -lpthread
