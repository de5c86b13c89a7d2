# The sandbox against hostile native code (tests/jail), as the present user; as root also as an ordinary one.
JAIL_TEST := $(OUT)/jail/jail_run

.PHONY: jail jails
jails: $(JAIL_TEST)
jail: $(JAIL_TEST) ## attack the sandbox from within
	@$(JAIL_TEST) tests/jail/syscalls.txt
	@[ "$$(id -u)" != 0 ] || { d=$$(mktemp -d) && chmod 755 $$d && cp $< $$d/ && echo "as an ordinary user:" && \
	  setpriv --reuid 12345 --regid 12345 --clear-groups $$d/jail_run; s=$$?; rm -rf $$d; exit $$s; }

$(JAIL_TEST): $(wildcard tests/jail/*.c tests/jail/*.h) Makefile $(call archives,lib/jail)
	@mkdir -p $(@D); echo "  LD $@"
	@$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $(filter %.c,$^) -Wl,--start-group $(call archives,lib/jail) -Wl,--end-group $(call syslibs,lib/jail) -lpthread
