# make run     build it, and try it on a throw-away root with a real engine
# make stop    take that away again
# make test    all tests; installs what they need
# make bench   measure it beside its peers
# make sweep   kill it at each of its effects, not only at every third
# make deb     the Debian package
# make fuzz    the fuzz targets, or those in FUZZ, for FUZZTIME each
# make vm-test power cuts on a virtual machine with honest disks
SHELL := /bin/sh
.DEFAULT_GOAL := build
GO ?= go
VERSION := $(shell packaging/version.sh)
LDFLAGS := -s -w -X main.buildVersion=$(VERSION)
SOURCES := $(shell find cmd env internal phases storage units -name '*.go' -o -name '*.json' -o -name '*.yml' -o -name '*.md' -o -name '*.service' -o -name '*.socket' -o -name '*.sysusers' -o -name '*.conf' -o -name '*.html' -o -name '*.css' -o -name '*.js' -o -name '*.txt') go.mod go.sum

include packaging/deb.mk

.PHONY: build run stop test tools test-unit test-engine test-machine sweep vm-test bench profile fuzz clean
build: build/appliance build/flatyaml

build/appliance: $(SOURCES)
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags='$(LDFLAGS)' -o $@ ./cmd/appliance

build/flatyaml: $(SOURCES) cmd/flatyaml/default.pgo
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags='-s -w' -o $@ ./cmd/flatyaml

build/demo: $(wildcard testdata/demo/*.go)
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags='-s -w' -o $@ ./testdata/demo

run: build/appliance build/demo
	@scripts/engine.sh
	@scripts/demo.sh up

stop:
	@scripts/demo.sh down

# What the tests need of the host. Each step does nothing where nothing is to do.
tools:
	@scripts/engine.sh
	@scripts/debian.sh debootstrap $(JUDGES)

# Programs that read what we write, and write what we read.
JUDGES = gpg=gnupg gpg1=gnupg1 setpriv=util-linux openssl opendkim-testkey=opendkim-tools cloud-init python3 \
	isoinfo=genisoimage xorriso bsdtar=libarchive-tools mkfs.vfat=dosfstools mcopy=mtools mkfs.ext4=e2fsprogs blkid=util-linux \
	sfdisk=fdisk mkfs.xfs=xfsprogs cryptsetup=cryptsetup-bin pvcreate=lvm2 genisoimage \
	pdftoppm=poppler-utils zbarimg=zbar-tools qpdf img2pdf strace dash bash shellcheck chromium nginx=nginx-light

# The tests that only need Go, then those with an engine, then those on whole machines with systemd.
test: tools
	$(GO) vet ./...
	$(MAKE) --no-print-directory test-unit test-engine test-machine
	@echo 'make test: everything passed'

UNIT = $(shell $(GO) list ./... | grep -v -e /cmd/appliance -e /bench -e /internal/rig -e /packaging -e /acceptance)
test-unit:
	APPLIANCE_TOOLS=require $(GO) test -race -timeout 20m $(UNIT) ./testdata/demo

# More tests at once than cores, since they mostly wait for containers; but each probe of their health is a process of the
# engine, and with six at once two cores do little else.
test-engine:
	APPLIANCE_ENGINE=require $(GO) test -race -timeout 40m -parallel 4 -v ./cmd/appliance | scripts/verdicts.sh
	APPLIANCE_ENGINE=require $(GO) test -timeout 10m -short -v ./bench | scripts/verdicts.sh

# Each of the points that test-engine takes every third of.
sweep: tools
	APPLIANCE_SWEEP=full APPLIANCE_TOOLS=require $(GO) test -race -timeout 30m -v -run Sweep ./storage/... | scripts/verdicts.sh
	APPLIANCE_SWEEP=full APPLIANCE_ENGINE=require $(GO) test -race -timeout 90m -parallel 4 -v -run KillSweep ./cmd/appliance | scripts/verdicts.sh

test-machine: deb
	APPLIANCE_RIG=require APPLIANCE_DEB=$(abspath $(DEB)) $(GO) test -timeout 40m -parallel 3 -v ./internal/rig ./packaging ./acceptance | scripts/verdicts.sh

# A virtual machine under emulation: minutes for each boot.
vm-test: deb
	@scripts/debian.sh debootstrap qemu-system-x86_64=qemu-system-x86 qemu-img=qemu-utils mkfs.ext4=e2fsprogs mkfs.vfat=dosfstools mcopy=mtools swtpm
	APPLIANCE_VM=require APPLIANCE_DEB=$(abspath $(DEB)) $(GO) test -timeout 90m -p 1 -v -run VM ./internal/rig ./acceptance | scripts/verdicts.sh

# Numbers beside the peers' in the same run; build/bench.json and build/bench-front.json have all of them.
bench: tools
	@scripts/debian.sh yq caddy wrk h2load=nghttp2-client certbot dehydrated
	$(GO) test -count=1 -v -run 'TestIdleConnections|TestBodiesAreNotKept' ./internal/front # say little of memory under -race
	APPLIANCE_ENGINE=require $(GO) test -count=1 -timeout 60m -v ./bench -run TestBench -full

# What the compiler is told of where flatyaml spends its time; worth 5 %.
profile:
	$(GO) test -trimpath ./env/flat -run '^$$' -bench 'Flatten1M|Flatten10k' -benchtime 4s -cpuprofile $(abspath build/flat.pprof) -o build/flat.test
	$(GO) tool pprof -proto -output cmd/flatyaml/default.pgo build/flat.pprof

FUZZTIME ?= 1m
fuzz:
	GO='$(GO)' scripts/fuzz.sh $(FUZZTIME) $(FUZZ)

clean:
	rm -rf build
