# keepsight: `make demo` shows it at work, `make test` is everything that CI checks.

FUZZTIME ?= 10s
BENCHTIME ?= 1s
STATICCHECK = go tool -modfile=tools/go.mod staticcheck

.PHONY: help check-go build demo test lint fmt fuzz long bench clean

help: check-go
	@echo "keepsight: a cache service for the outputs of vision and audio encoders"
	@echo
	@echo "  make demo    store embeddings of well-known encoders, read them back from host memory and disk"
	@echo "  make test    everything that CI checks: format, vet, staticcheck, tests with the race detector, fuzzers"
	@echo "  make build   bin/keepsight"
	@echo "  make lint    format, vet and staticcheck only"
	@echo "  make fuzz    every fuzzer for FUZZTIME ($(FUZZTIME))"
	@echo "  make long    the tests in their long form: 50 cycles of kill -9 and more"
	@echo "  make bench   every benchmark, for docs/benchmarks.md"
	@echo "  make fmt     gofmt"
	@echo
	@echo "  V=1 shows the output of every step."

check-go:
	@tools/check-go

build: check-go
	@tools/step "build bin/keepsight" go build -o bin/keepsight .

demo: build
	@bin/keepsight demo

lint: check-go
	@tools/step "gofmt" tools/gofmt-check
	@tools/step "go.mod is tidy" go mod tidy -diff
	@tools/step "build" go build ./...
	@tools/step "go vet" go vet ./...
	@tools/step "staticcheck" $(STATICCHECK) ./...

test: lint
	@tools/step "tests with the race detector" go test -race -timeout 8m ./...
	@tools/step "tests that it would disturb" go test -run 'TinyLFU|HitRatio' ./hosttier
	@tools/step "fuzzers, $(FUZZTIME) each" tools/fuzz $(FUZZTIME)
	@echo "all checks passed"

fuzz: check-go
	@V=1 tools/step "fuzzers, $(FUZZTIME) each" tools/fuzz $(FUZZTIME)

long: check-go
	@V=1 KEEPSIGHT_LONG=1 tools/step "tests in their long form" go test -count=1 -timeout 60m ./...

# One package after another: benchmarks beside each other measure each other.
bench: check-go
	go test -p 1 -run '^$$' -bench . -benchtime $(BENCHTIME) -count 3 -timeout 60m ./...

fmt: check-go
	gofmt -w .

clean:
	rm -rf bin
