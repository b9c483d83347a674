# Debian package, to be included by the Makefile: "make deb" builds
# build/appliance_VERSION_ARCH.deb. What the including file may set before:
#
#   DEB_BINARY   the program to package, a target of the including file
#   DEB_FLATYAML the small program beside it, another one
#   DEB_VERSION  as Debian orders versions
#
# nfpm is installed beside the build and not required by go.mod, which would get
# its modules on top of ours. 2.46 and later want modules that the Go proxy does
# not serve (go.digitalxero.dev).
NFPM_VERSION ?= v2.45.2
NFPM ?= build/tools/nfpm-$(NFPM_VERSION)
DEB_BINARY ?= build/appliance
DEB_FLATYAML ?= build/flatyaml
DEB_ARCH ?= amd64
DEB_VERSION := $(or $(DEB_VERSION),$(shell packaging/version.sh))
DEB ?= build/appliance_$(DEB_VERSION)_$(DEB_ARCH).deb

.PHONY: deb
deb: $(DEB)
	@echo $(DEB)

$(DEB): $(DEB_BINARY) $(DEB_FLATYAML) $(NFPM) $(wildcard packaging/* units/*)
	VERSION='$(DEB_VERSION)' ARCH='$(DEB_ARCH)' packaging/build.sh $(DEB_BINARY) $(DEB_FLATYAML) $(NFPM) $@

$(NFPM):
	GOTOOLCHAIN=local GOBIN='$(abspath $(dir $(NFPM)))' go install github.com/goreleaser/nfpm/v2/cmd/nfpm@$(NFPM_VERSION)
	mv $(dir $(NFPM))nfpm $@
