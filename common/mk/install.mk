# SPDX-License-Identifier: Apache-2.0

PREFIX ?= /usr/local
DESTDIR ?=
DEMO_FILES = $(wildcard $(addprefix clients/demo/*.,html css js svg png ico) clients/demo/node_modules/socket.io-client/dist/socket.io.min.js)
SHARE := $(DESTDIR)$(PREFIX)/share/roomwire

.PHONY: install
install: $(PROGRAMS) $(call locked,clients/demo) ## binaries, profiles, demo page below PREFIX=/usr/local (DESTDIR= for packagers)
	install -d $(DESTDIR)$(PREFIX)/bin $(SHARE)/profiles $(SHARE)/demo
	install -m 755 $(PROGRAMS) $(DESTDIR)$(PREFIX)/bin
	install -m 644 $(wildcard profiles/*) $(SHARE)/profiles
	$(if $(DEMO_FILES),install -m 644 $(DEMO_FILES) $(SHARE)/demo)
