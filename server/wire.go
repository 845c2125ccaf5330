package server

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/keepsight/keepsight/disktier"
	"github.com/keepsight/keepsight/hosttier"
	"github.com/keepsight/keepsight/tiers"
	"github.com/keepsight/keepsight/tiers/arena"
)

// hotListFile is where the disk tier's directory keeps what was in host memory at the end.
const hotListFile = "hot.list"

// diskObjectShare bounds an embedding to this part of the disk tier: one that took more would evict nearly
// everything else.
const diskObjectShare = 4

// open makes the arena, the tiers and the store, within the budget.
func (s *Server) open() (err error) {
	c, b := s.config, s.budget
	if s.arena, err = arena.New(arena.Options{Bytes: b.ArenaBytes, Prefault: !c.lazy}); err != nil {
		return fmt.Errorf("%w: host memory: %w", ErrConfig, err)
	}
	evictions := tiers.NewEvictions()
	host, err := hosttier.New(hosttier.Options{Arena: s.arena, Evicted: evictions.Evicted, HeapBytes: b.EntryBytes})
	if err != nil {
		return errors.Join(err, s.arena.Close())
	}
	o := tiers.StoreOptions{
		Host:           host,
		Evictions:      evictions,
		MaxObjectBytes: min(c.MaxObjectBytes, b.MaxObjectBytes),
		InFlightBytes:  b.InFlightBytes,
		PinBytes:       b.PinBytes,
		Limits:         s.access.limits,
		Logger:         s.log,
	}
	if c.DiskBytes > 0 {
		disk, err := disktier.Open(c.DiskDir, disktier.Options{
			CapacityBytes:    c.DiskBytes,
			MaxEntries:       b.DiskEntries,
			IndexMemoryBytes: b.IndexBytes,
			Reserve:          host.Reserve,
			Evicted:          evictions.Evicted,
			Logger:           s.log,
		})
		if err != nil {
			return errors.Join(err, host.Close(), s.arena.Close())
		}
		o.Disk = disk
		o.MaxObjectBytes = min(o.MaxObjectBytes, c.DiskBytes/diskObjectShare)
		s.hotList = filepath.Join(c.DiskDir, hotListFile)
	}
	s.store = tiers.NewStore(o)
	if s.hotList != "" {
		if err := s.store.WarmFrom(s.hotList); err != nil && !errors.Is(err, fs.ErrNotExist) {
			s.log.Warn("the host tier starts cold", "error", err)
		}
	}
	return nil
}
