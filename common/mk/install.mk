# SPDX-License-Identifier: Apache-2.0

PREFIX ?= /usr/local
DESTDIR ?=

.PHONY: install
install: $(PROGRAMS) ## binaries and profiles below PREFIX=/usr/local (DESTDIR= for packagers)
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/share/roomwire/profiles
	install -m 755 $(PROGRAMS) $(DESTDIR)$(PREFIX)/bin
	install -m 644 $(wildcard profiles/*) $(DESTDIR)$(PREFIX)/share/roomwire/profiles
