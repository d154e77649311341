# SPDX-License-Identifier: Apache-2.0

PREFIX ?= /usr/local
DESTDIR ?=
DEMO_FILES = $(sort $(wildcard $(addprefix clients/demo/*.,html css js svg png ico)) $(DEMO_BUNDLE))
SHARE := $(DESTDIR)$(PREFIX)/share/roomwire

.PHONY: install
install: $(PROGRAMS) $(DEMO_BUNDLE) ## binaries, profiles, demo page below PREFIX=/usr/local (DESTDIR= for packagers)
	install -d $(DESTDIR)$(PREFIX)/bin $(SHARE)/profiles $(SHARE)/demo
	install -m 755 $(PROGRAMS) $(DESTDIR)$(PREFIX)/bin
	install -m 644 $(wildcard profiles/*) $(SHARE)/profiles
	$(if $(DEMO_FILES),install -m 644 $(DEMO_FILES) $(SHARE)/demo)
