# Installed layout: PREFIX/lib/dormouse/{bin,js,node_modules}, a link in PREFIX/bin, the manual; with PREFIX=/usr also the service.
# The bundler is the only part that needs Node.js.
PREFIX  ?= /usr/local
DESTDIR ?=
HOUSE   := $(DESTDIR)$(PREFIX)/lib/dormouse
BUNDLER_MODULES := esbuild @esbuild jsonc-parser smol-toml
ARCH    := $(shell dpkg --print-architecture 2>/dev/null || uname -m)
PACKAGE := build/dormouse_$(VERSION)_$(ARCH).deb
PACKAGE_ROOT := build/package

SCRIPTS := postinst prerm postrm

.PHONY: install package
install: all ## install beneath PREFIX (DESTDIR is put before it)
	@install -d $(HOUSE)/bin $(HOUSE)/js $(HOUSE)/node_modules $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/share/man/man1
	@install -m 755 $(ROOMS) $(HOUSE)/bin
	@install -m 644 build/js/runtime.js $(HOUSE)/js
	@rm -rf $(HOUSE)/js/build && cp -r js/build $(HOUSE)/js/build
	@install -m 644 package.json $(HOUSE)
	@cd $(NPM) && cp -r --no-preserve=ownership $(BUNDLER_MODULES) $(HOUSE)/node_modules
	@ln -sfn ../lib/dormouse/bin/dormouse $(DESTDIR)$(PREFIX)/bin/dormouse
	@install -d $(DESTDIR)$(PREFIX)/share/doc/dormouse && install -m 644 docs/*.md $(DESTDIR)$(PREFIX)/share/doc/dormouse
	@install -m 644 packaging/dormouse.1 $(DESTDIR)$(PREFIX)/share/man/man1
	@[ "$(PREFIX)" != /usr ] || { install -D -m 644 packaging/dormouse.service $(DESTDIR)/usr/lib/systemd/system/dormouse.service && \
	  install -D -m 644 packaging/sysusers.conf $(DESTDIR)/usr/lib/sysusers.d/dormouse.conf && \
	  { [ -f $(DESTDIR)/etc/dormouse.json ] || install -D -m 644 packaging/dormouse.json $(DESTDIR)/etc/dormouse.json; }; }

package: all ## a Debian package in build/
	@rm -rf $(PACKAGE_ROOT) && $(MAKE) --no-print-directory install PREFIX=/usr DESTDIR=$(CURDIR)/$(PACKAGE_ROOT)
	@find $(PACKAGE_ROOT)/usr/lib/dormouse/bin -type f -exec strip --strip-unneeded {} +
	@gzip -9nf $(PACKAGE_ROOT)/usr/share/man/man1/dormouse.1
	@install -d $(PACKAGE_ROOT)/DEBIAN && install -m 755 $(SCRIPTS:%=packaging/%) $(PACKAGE_ROOT)/DEBIAN
	@echo /etc/dormouse.json > $(PACKAGE_ROOT)/DEBIAN/conffiles
	@depends=$$(tools/package-depends $(ROOMS)) && size_kb=$$(du -sk --apparent-size --exclude=DEBIAN $(PACKAGE_ROOT) | cut -f1) && \
	  sed -e 's/@VERSION@/$(VERSION)/' -e 's/@ARCH@/$(ARCH)/' -e "s/@DEPENDS@/$$depends/" -e "s/@SIZE_KB@/$$size_kb/" packaging/control.in > $(PACKAGE_ROOT)/DEBIAN/control
	@dpkg-deb --root-owner-group --build $(PACKAGE_ROOT) $(PACKAGE)
