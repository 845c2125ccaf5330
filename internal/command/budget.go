package command

import (
	"fmt"

	"github.com/keepsight/keepsight/internal/bytesize"
	"github.com/keepsight/keepsight/internal/machine"
	"github.com/keepsight/keepsight/server"
)

// What serve takes when nobody says how much: enough to be of use, little enough to run beside an engine.
const (
	defaultMemoryPercent = 25
	defaultMemoryMax     = 8 << 30
	defaultDiskPercent   = 10
	defaultDiskMax       = 50 << 30

	// minDisk holds a few embeddings of every common encoder.
	minDisk = 64 << 20
)

// memoryBudget turns --memory, nil if not given, into bytes. A share is a share of what is available; the
// budget must fit into what the process can ever have.
func memoryBudget(asked *bytesize.Size, m machine.Memory) (int64, error) {
	budget := max(server.MinMemoryBytes, min(defaultMemoryMax, bytesize.Percent(defaultMemoryPercent).Of(m.Available)))
	if asked != nil {
		budget = asked.Of(m.Available)
	}
	switch {
	case budget < server.MinMemoryBytes:
		return 0, usagef("--memory %s is %s: give at least %s", asked, bytesize.Format(budget), bytesize.Format(server.MinMemoryBytes))
	case budget > m.Limit:
		return 0, usagef("--memory of %s is more than %s of %s: give less or raise the limit",
			bytesize.Format(budget), m.Bound, bytesize.Format(m.Limit))
	}
	return budget, nil
}

// diskBudget turns --disk-size, nil if not given, into bytes, 0 for no disk tier. Shares count what the
// directory holds already as free: else a warm directory would shrink at every restart.
func diskBudget(asked *bytesize.Size, dir string, d machine.Disk) (budget int64, warning string, err error) {
	usable := d.Free + d.Held
	if asked == nil {
		budget = min(defaultDiskMax, bytesize.Percent(defaultDiskPercent).Of(usable))
		if budget < minDisk {
			return 0, fmt.Sprintf("no disk tier: %s has only %s free", dir, bytesize.Format(usable)), nil
		}
		return budget, "", nil
	}
	budget = asked.Of(usable)
	switch {
	case budget == 0:
		return 0, "", nil
	case budget < minDisk:
		return 0, "", usagef("--disk-size %s is %s: give at least %s, or 0 for no disk tier",
			asked, bytesize.Format(budget), bytesize.Format(minDisk))
	case budget > d.Total:
		return 0, "", usagef("--disk-size %s is more than the whole file system of %s, %s",
			bytesize.Format(budget), dir, bytesize.Format(d.Total))
	case budget > usable:
		// The disk tier lives with a full disk, so a restart on one must not fail here.
		warning = fmt.Sprintf("--disk-size %s is more than the %s free in %s: the disk tier will hold what fits",
			bytesize.Format(budget), bytesize.Format(usable), dir)
	}
	return budget, warning, nil
}
