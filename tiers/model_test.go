package tiers_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	"github.com/keepsight/keepsight/disktier"
	"github.com/keepsight/keepsight/tiers"
)

// TestModel drives a store of tiny capacities with any sequence of operations, restarts and disk faults,
// beside a model that is a map. A get returns the model's value or a miss, never anything else.
func TestModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		dir, err := os.MkdirTemp(t.TempDir(), "model")
		if err != nil {
			rt.Fatal(err)
		}
		faults := new(diskFaults)
		m := &model{rt: rt, t: t, faults: faults, values: make(map[string]modelValue)}
		m.h = start(t, options{
			dir: dir, arenaSize: 4 * mib, diskSize: 3 * mib, faulty: true,
			diskOpts: func(o *disktier.Options) {
				o.BlockBytes = mib
				o.OpenBlocks = faults.open
			},
		})
		defer func() { m.h.close() }()
		rt.Repeat(map[string]func(*rapid.T){
			"":           func(*rapid.T) { m.readAll() },
			"put":        m.put,
			"get":        m.get,
			"delete":     m.delete,
			"pin":        m.pin,
			"release":    m.release,
			"flush":      func(rt *rapid.T) { _ = m.h.Flush(t.Context()) },
			"raise":      m.raise,
			"expire":     m.expire,
			"restart":    m.restart,
			"disk fault": m.fault,
		})
	})
}

type model struct {
	rt      *rapid.T
	t       *testing.T
	h       *hierarchy
	faults  *diskFaults
	values  map[string]modelValue
	pins    []string
	version uint32
}

type modelValue struct {
	payload []byte
	expires bool
}

var modelKeys = []string{"a", "b", "c", "d", "e", "f"}

func drawKey(rt *rapid.T) string { return rapid.SampledFrom(modelKeys).Draw(rt, "key") }

func (m *model) put(rt *rapid.T) {
	key := drawKey(rt)
	size := rapid.SampledFrom([]int{1, 4096, 4097, 65536, 200000, 500000}).Draw(rt, "size")
	durable := rapid.Bool().Draw(rt, "durable")
	m.version++
	payload := bytes.Repeat(fmt.Appendf(nil, "%08x", m.version), size/8+1)[:size]
	meta := tiers.Meta{DType: "U8", Shape: []int64{int64(size)}}
	if rapid.Bool().Draw(rt, "expires") {
		meta.TTL = time.Hour
	}
	outcome, err := m.h.putBytes(m.h.name(key), payload, durable, meta)
	old, known := m.values[key]
	switch {
	case err == nil && outcome == tiers.Created, errors.Is(err, tiers.ErrNotDurable) && outcome == tiers.Created:
		m.values[key] = modelValue{payload, meta.TTL > 0}
	case err == nil || errors.Is(err, tiers.ErrExistsDifferent) || errors.Is(err, tiers.ErrExistsIncompatible):
		if !known || err == nil && !bytes.Equal(old.payload, payload) {
			rt.Fatalf("put %q: outcome %v, %v; the model has %v", key, outcome, err, known)
		}
	}
}

func (m *model) get(rt *rapid.T) { m.check(drawKey(rt)) }

// readAll is cheap when everything is in host memory, so it runs after every step.
func (m *model) readAll() {
	for _, key := range modelKeys {
		if entry, err := m.h.Stat(m.t.Context(), m.h.name(key)); err == nil && entry.Tier == tiers.TierHost {
			m.check(key)
		}
	}
}

func (m *model) check(key string) {
	e, _, err := m.h.Get(m.t.Context(), m.h.name(key))
	if err != nil {
		if !errors.Is(err, tiers.ErrNotFound) && !errors.Is(err, tiers.ErrNoRoom) {
			m.rt.Fatalf("get %q: %v, which is no miss", key, err)
		}
		return
	}
	defer e.Release()
	if want, ok := m.values[key]; !ok || !bytes.Equal(e.Bytes(), want.payload) {
		m.rt.Fatalf("get %q returned %d bytes %.8q, the model has %.8q (%v)", key, len(e.Bytes()), e.Bytes(), want.payload, ok)
	}
}

func (m *model) delete(rt *rapid.T) {
	key := drawKey(rt)
	if err := m.h.Delete(m.t.Context(), m.h.name(key)); err == nil {
		delete(m.values, key)
	}
}

func (m *model) pin(rt *rapid.T) {
	a, err := m.h.Lookup(m.t.Context(), tiers.Lookup{
		Tenant: "default", Namespace: "tests", Keys: modelKeys, Pin: time.Minute,
		Promote: rapid.Bool().Draw(rt, "promote"),
	})
	if err != nil {
		rt.Fatal(err)
	}
	a.Sent(nil)
	for i, r := range a.Results {
		if want, ok := m.values[modelKeys[i]]; r.State == tiers.StateHit && (!ok || r.Meta.Size != int64(len(want.payload))) {
			rt.Fatalf("lookup reports %q of %d bytes, the model has %d", modelKeys[i], r.Meta.Size, len(want.payload))
		}
	}
	if a.Pin != "" {
		m.pins = append(m.pins, a.Pin)
	}
}

func (m *model) release(rt *rapid.T) {
	if len(m.pins) > 0 {
		if err := m.h.ReleasePin("default", m.pins[0]); err != nil {
			rt.Fatal(err)
		}
		m.pins = m.pins[1:]
	}
}

func (m *model) raise(rt *rapid.T) {
	scope := m.h.Scope("default", "tests")
	scope.Epoch++
	if err := m.h.RaiseEpoch(m.t.Context(), scope); err == nil {
		clear(m.values)
	}
}

// expire ends every time to live, unless a pin defers some.
func (m *model) expire(rt *rapid.T) {
	if len(m.pins) > 0 {
		return
	}
	m.h.clock.advance(2 * time.Hour)
	for key, v := range m.values {
		if v.expires {
			delete(m.values, key)
		}
	}
}

func (m *model) restart(rt *rapid.T) {
	m.faults.mode.Store(0)
	ahead := m.h.clock.ahead.Load()
	m.h.close()
	m.h = start(m.t, m.h.opts)
	m.h.clock.ahead.Store(ahead)
	m.pins = nil
}

func (m *model) fault(rt *rapid.T) {
	m.faults.mode.Store(rapid.SampledFrom([]int32{0, failReads, failWrites, failSyncs, failGrowth, flipReads}).Draw(rt, "fault"))
}

// diskFaults opens block files that fail, or lie, as told.
type diskFaults struct{ mode atomic.Int32 }

const (
	failReads int32 = iota + 1
	failWrites
	failSyncs
	failGrowth
	flipReads // one bit of every read is wrong
)

type faultyBlocks struct {
	*os.File
	mode *atomic.Int32
}

func (f *diskFaults) open(path string) (disktier.BlockFile, error) {
	file, err := os.OpenFile(filepath.Clean(path), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	return &faultyBlocks{file, &f.mode}, nil
}

func (f *faultyBlocks) ReadAt(p []byte, off int64) (int, error) {
	switch f.mode.Load() {
	case failReads:
		return 0, unix.EIO
	case flipReads:
		n, err := f.File.ReadAt(p, off)
		p[0] ^= 0x10
		return n, err
	}
	return f.File.ReadAt(p, off)
}

func (f *faultyBlocks) WriteAt(p []byte, off int64) (int, error) {
	if f.mode.Load() == failWrites {
		return 0, unix.EIO
	}
	return f.File.WriteAt(p, off)
}

func (f *faultyBlocks) Datasync() error {
	if f.mode.Load() == failSyncs {
		return unix.EIO
	}
	return nil
}

func (f *faultyBlocks) Resize(size int64) error {
	if f.mode.Load() == failGrowth {
		return unix.ENOSPC
	}
	return f.Truncate(size)
}

func (f *faultyBlocks) Size() (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}
