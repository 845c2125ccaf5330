package disktier

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// blocks maps units to block files. The set of files grows only in grow, whose caller makes the new units
// known under Tier.mu; so whoever holds a run sees the file it lies in.
type blocks struct {
	fs         vfs.FS
	dir        string
	open       func(path string) (BlockFile, error)
	blockBytes int64
	capacity   int64 // bytes, whole units
	files      []BlockFile
	held       int64 // bytes backed by disk space, a prefix of the unit space
}

func blockName(i int) string { return fmt.Sprintf("blocks-%03d.dat", i) }

func isBlockName(name string) bool {
	return strings.HasPrefix(name, "blocks-") && strings.HasSuffix(name, ".dat")
}

// openBlocks opens the block files that are there, cuts what lies beyond the capacity, and returns how many
// bytes from the start of each file were there before. A file that is missing or short in the middle is filled up: the
// values in it are lost, which the caller sees from whole.
func openBlocks(fs vfs.FS, dir string, open func(string) (BlockFile, error), blockBytes, capacity int64) (_ *blocks, whole []int64, err error) {
	b := &blocks{fs: fs, dir: dir, open: open, blockBytes: blockBytes, capacity: capacity}
	b.files = make([]BlockFile, (capacity+blockBytes-1)/blockBytes)
	whole = make([]int64, len(b.files))
	last, err := b.openPresent(whole)
	if err == nil {
		err = b.fill(whole, last)
	}
	if err != nil {
		return nil, nil, errors.Join(err, b.close())
	}
	return b, whole, nil
}

// openPresent opens the files that are in the directory, notes their sizes in whole, and returns the last one that is
// not empty.
func (b *blocks) openPresent(whole []int64) (last int, err error) {
	names, err := b.fs.List(b.dir)
	if err != nil {
		return 0, err
	}
	beyond := map[string]bool{}
	for _, name := range names {
		beyond[name] = isBlockName(name)
	}
	last = -1
	for i := range b.files {
		if !beyond[blockName(i)] {
			continue
		}
		delete(beyond, blockName(i))
		if b.files[i], err = b.open(b.path(i)); err != nil {
			b.files[i] = nil
			return 0, err
		}
		if whole[i], err = b.cut(i); err != nil {
			return 0, err
		}
		if whole[i] >= unitBytes {
			last = i
		}
	}
	for name, remove := range beyond {
		if remove {
			if err := b.fs.Remove(b.fs.PathJoin(b.dir, name)); err != nil {
				return 0, err
			}
		}
	}
	return last, nil
}

// cut takes from file i what lies beyond the capacity, and returns its size.
func (b *blocks) cut(i int) (int64, error) {
	size, err := b.files[i].Size()
	if limit := b.limit(i); err == nil && size > limit {
		return limit, b.files[i].Resize(limit)
	}
	return size, err
}

// fill brings every file up to last to its size, so that what is held is a prefix of the unit space.
func (b *blocks) fill(whole []int64, last int) error {
	for i := 0; i <= last; i++ {
		size := b.limit(i)
		if i == last {
			size = whole[i] / unitBytes * unitBytes
		}
		if whole[i] != size {
			if err := b.resize(i, size); err != nil {
				return err
			}
		}
		b.held += size
	}
	return nil
}

// limit returns the size of block file i when the capacity is used up.
func (b *blocks) limit(i int) int64 {
	return min(b.blockBytes, b.capacity-int64(i)*b.blockBytes)
}

func (b *blocks) path(i int) string { return b.fs.PathJoin(b.dir, blockName(i)) }

// resize gives block file i that size. A new file's name is durable before anything is stored in it.
func (b *blocks) resize(i int, size int64) error {
	if b.files[i] == nil {
		f, err := b.open(b.path(i))
		if err != nil {
			return err
		}
		if err := syncDir(b.fs, b.dir); err != nil {
			return errors.Join(err, f.Close())
		}
		b.files[i] = f
	}
	return b.files[i].Resize(size)
}

// growthBytes is how much space is taken from the disk at a time: enough that fallocate is rare, little
// enough that a tier which holds few values takes up little.
const growthBytes = 64 << 20

// next returns the block file and its size after the next growth.
func (b *blocks) next() (i int, size int64) {
	i = int(b.held / b.blockBytes)
	return i, min(b.held%b.blockBytes+growthBytes, b.limit(i))
}

// pieces calls do for each piece of p, which lies at the front of runs, with the file and offset it belongs to.
func (b *blocks) pieces(runs []run, p []byte, do func(f BlockFile, p []byte, offset int64) error) error {
	for _, r := range runs {
		offset, end := int64(r.start)*unitBytes, int64(r.end())*unitBytes
		for offset < end && len(p) > 0 {
			i, within := offset/b.blockBytes, offset%b.blockBytes
			n := min(int64(len(p)), end-offset, b.blockBytes-within)
			if err := do(b.files[i], p[:n], within); err != nil {
				return err
			}
			p, offset = p[n:], offset+n
		}
	}
	return nil
}

func (b *blocks) write(runs []run, p []byte) error {
	return b.pieces(runs, p, func(f BlockFile, p []byte, offset int64) error {
		_, err := f.WriteAt(p, offset)
		return err
	})
}

func (b *blocks) read(runs []run, p []byte) error {
	return b.pieces(runs, p, func(f BlockFile, p []byte, offset int64) error {
		n, err := f.ReadAt(p, offset)
		if n < len(p) && err == nil {
			err = io.ErrUnexpectedEOF
		}
		if n == len(p) {
			err = nil
		}
		return err
	})
}

// touched adds the indexes of the block files that runs lie in.
func (b *blocks) touched(runs []run, files map[int]bool) {
	for _, r := range runs {
		first := int64(r.start) * unitBytes / b.blockBytes
		last := (int64(r.end())*unitBytes - 1) / b.blockBytes
		for i := first; i <= last; i++ {
			files[int(i)] = true
		}
	}
}

func (b *blocks) close() error {
	var errs []error
	for _, f := range b.files {
		if f != nil {
			errs = append(errs, f.Close())
		}
	}
	return errors.Join(errs...)
}
