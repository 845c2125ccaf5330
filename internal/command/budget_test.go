package command

import (
	"errors"
	"strings"
	"testing"

	"github.com/keepsight/keepsight/internal/bytesize"
	"github.com/keepsight/keepsight/internal/machine"
	"github.com/keepsight/keepsight/server"
)

const gib = 1 << 30

// size parses a flag's value; empty means that the flag is not given.
func size(t *testing.T, s string) *bytesize.Size {
	t.Helper()
	if s == "" {
		return nil
	}
	parsed, err := bytesize.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return &parsed
}

func TestMemoryBudget(t *testing.T) {
	for _, tc := range []struct {
		name      string
		asked     string
		available int64
		limit     int64
		want      int64
		refused   string
	}{
		{name: "a quarter of what is available", available: 16 * gib, limit: 24 * gib, want: 4 * gib},
		{name: "at most 8 GiB unasked", available: 500 * gib, limit: 512 * gib, want: 8 * gib},
		{name: "at least what serves", available: 100 << 20, limit: 1 * gib, want: server.MinMemoryBytes},
		{name: "a machine too small", available: 64 << 20, limit: 64 << 20, refused: "cgroup limit of 64 MiB"},
		{name: "as asked", asked: "100GiB", available: 200 * gib, limit: 256 * gib, want: 100 * gib},
		{name: "a share", asked: "70%", available: 10 * gib, limit: 16 * gib, want: 7 * gib},
		{name: "more than is available now but not more than there is", asked: "12GiB", available: 10 * gib, limit: 16 * gib, want: 12 * gib},
		{name: "more than there is", asked: "20GiB", available: 10 * gib, limit: 16 * gib, refused: "20 GiB is more than the cgroup limit of 16 GiB"},
		{name: "too little", asked: "1MiB", available: 10 * gib, limit: 16 * gib, refused: "give at least 256 MiB"},
		{name: "none", asked: "0", available: 10 * gib, limit: 16 * gib, refused: "give at least 256 MiB"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := memoryBudget(size(t, tc.asked), machine.Memory{Available: tc.available, Limit: tc.limit, Bound: "the cgroup limit"})
			if !refusedAs(t, err, tc.refused) && got != tc.want {
				t.Errorf("got %d, want %d", got, tc.want)
			}
		})
	}
}

func TestDiskBudget(t *testing.T) {
	for _, tc := range []struct {
		name    string
		asked   string
		disk    machine.Disk
		want    int64
		warning string
		refused string
	}{
		{name: "a tenth of what is free", disk: machine.Disk{Total: 200 * gib, Free: 100 * gib}, want: 10 * gib},
		{name: "at most 50 GiB unasked", disk: machine.Disk{Total: 9000 * gib, Free: 8000 * gib}, want: 50 * gib},
		{name: "what the directory holds counts as free", disk: machine.Disk{Total: 200 * gib, Free: 90 * gib, Held: 10 * gib}, want: 10 * gib},
		{name: "no disk tier on a full disk", disk: machine.Disk{Total: 200 * gib, Free: 1 << 20}, warning: "only 1 MiB free"},
		{name: "off", asked: "0", disk: machine.Disk{Total: 200 * gib, Free: 100 * gib}},
		{name: "a share", asked: "50%", disk: machine.Disk{Total: 200 * gib, Free: 100 * gib}, want: 50 * gib},
		{name: "too little", asked: "1MiB", disk: machine.Disk{Total: 200 * gib, Free: 100 * gib}, refused: "at least 64 MiB, or 0"},
		{name: "more than the file system", asked: "300GiB", disk: machine.Disk{Total: 200 * gib, Free: 100 * gib}, refused: "whole file system"},
		{name: "more than is free", asked: "150GiB", disk: machine.Disk{Total: 200 * gib, Free: 100 * gib}, want: 150 * gib, warning: "will hold what fits"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, warning, err := diskBudget(size(t, tc.asked), "/cache", tc.disk)
			if refusedAs(t, err, tc.refused) {
				return
			}
			if got != tc.want {
				t.Errorf("got %d, want %d", got, tc.want)
			}
			if (warning == "") != (tc.warning == "") || !strings.Contains(warning, tc.warning) {
				t.Errorf("warning %q, want one with %q", warning, tc.warning)
			}
		})
	}
}

// refusedAs checks that err is a usage error that contains want, or nil if want is empty, and reports the former.
func refusedAs(t *testing.T, err error, want string) bool {
	t.Helper()
	if want == "" {
		if err != nil {
			t.Fatal(err)
		}
		return false
	}
	if !errors.As(err, new(usageError)) || !strings.Contains(err.Error(), want) {
		t.Fatalf("got %v, want a usage error with %q", err, want)
	}
	return true
}
