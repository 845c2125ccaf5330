package disktier

import (
	"io"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

// A memDisk is a machine's disk for tests: block files and an index in memory, which can lose what was not
// synced, and fail.
type memDisk struct {
	index  *vfs.MemFS
	mu     sync.Mutex
	blocks map[string]*memBlocks
	once   map[string]error
	fault  func(op string) error // of block files, called before each operation; nil: none
	inject errorfs.Injector      // of the index; nil: none
}

func newMemDisk() *memDisk {
	return &memDisk{index: vfs.NewCrashableMem(), blocks: map[string]*memBlocks{}}
}

// options make a tier use the disk.
func (d *memDisk) options(o Options) Options {
	o.FS = d.index
	if d.inject != nil {
		o.FS = errorfs.Wrap(d.index, d.inject)
	}
	o.OpenBlocks = d.open
	return o
}

func (d *memDisk) check(report func(Damage)) (Summary, error) {
	return Check(background, "/tier", CheckOptions{FS: d.index, OpenBlocks: d.open}, report)
}

func (d *memDisk) open(path string) (BlockFile, error) {
	if err := d.failing("open"); err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	f := d.blocks[path]
	if _, err := d.index.Stat(path); err != nil {
		// The directory lists the file, as a real one does.
		entry, err := d.index.Create(path, vfs.WriteCategoryUnspecified)
		if err != nil {
			return nil, err
		}
		if err := entry.Close(); err != nil {
			return nil, err
		}
		f = nil
	}
	if f == nil {
		f = &memBlocks{disk: d, dirty: map[int]bool{}}
		d.blocks[path] = f
	}
	return f, nil
}

func (d *memDisk) failing(op string) error {
	d.mu.Lock()
	err := d.once[op]
	delete(d.once, op)
	d.mu.Unlock()
	if err != nil || d.fault == nil {
		return err
	}
	return d.fault(op)
}

// failOnce makes the next such operation of a block file fail.
func (d *memDisk) failOnce(op string, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.once = map[string]error{op: err}
}

// crash returns the disk as a power cut at this moment may leave it: what was not synced is there in part.
func (d *memDisk) crash(rng *rand.Rand) *memDisk {
	d.mu.Lock()
	defer d.mu.Unlock()
	// The index first: what it says is durable was durable before on the block files, which go on changing.
	left := &memDisk{blocks: map[string]*memBlocks{}}
	left.index = d.index.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: rng.IntN(101), RNG: rng})
	for path, f := range d.blocks {
		left.blocks[path] = f.crash(left, rng)
	}
	return left
}

// memBlocks is a block file. What changed since the last Datasync is dirty, by blocks of 4 KiB.
type memBlocks struct {
	disk    *memDisk
	mu      sync.Mutex
	data    []byte
	durable []byte
	dirty   map[int]bool
}

func (f *memBlocks) crash(d *memDisk, rng *rand.Rand) *memBlocks {
	f.mu.Lock()
	defer f.mu.Unlock()
	left := append([]byte(nil), f.durable...)
	if grown := len(f.data) - len(left); grown > 0 {
		left = append(left, make([]byte, rng.IntN(grown+1)&^4095)...)
	}
	for _, block := range slices.Sorted(maps.Keys(f.dirty)) {
		if at := block * 4096; rng.IntN(2) == 0 && at < len(left) {
			copy(left[at:min(at+4096, len(left))], f.data[at:])
		}
	}
	return &memBlocks{disk: d, data: left, durable: append([]byte(nil), left...), dirty: map[int]bool{}}
}

func (f *memBlocks) ReadAt(p []byte, offset int64) (int, error) {
	if err := f.disk.failing("read"); err != nil {
		return 0, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if offset >= int64(len(f.data)) {
		return 0, io.EOF
	}
	n := copy(p, f.data[offset:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (f *memBlocks) WriteAt(p []byte, offset int64) (int, error) {
	if err := f.disk.failing("write"); err != nil {
		return 0, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.touch(offset, len(p))
	return copy(f.data[offset:], p), nil
}

func (f *memBlocks) touch(offset int64, n int) {
	for block := int(offset) / 4096; block*4096 < int(offset)+n; block++ {
		f.dirty[block] = true
	}
}

func (f *memBlocks) Resize(size int64) error {
	if err := f.disk.failing("resize"); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if size <= int64(len(f.data)) {
		f.data = f.data[:size]
		return nil
	}
	f.data = append(f.data, make([]byte, size-int64(len(f.data)))...)
	return nil
}

func (f *memBlocks) Size() (int64, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return int64(len(f.data)), nil
}

func (f *memBlocks) Datasync() error {
	if err := f.disk.failing("sync"); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if grown := len(f.data) - len(f.durable); grown > 0 {
		f.durable = append(f.durable, make([]byte, grown)...)
	}
	f.durable = f.durable[:len(f.data)]
	for block := range f.dirty {
		if at := block * 4096; at < len(f.data) {
			copy(f.durable[at:min(at+4096, len(f.durable))], f.data[at:])
		}
	}
	clear(f.dirty)
	return nil
}

func (f *memBlocks) Close() error { return nil }
