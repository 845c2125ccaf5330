package disktier

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/zeebo/xxh3"
	"golang.org/x/sys/unix"

	"github.com/keepsight/keepsight/tiers"
)

// Damage is one thing that Check found wrong.
type Damage struct {
	Name   tiers.Name // of the value; zero when its record cannot be read, or when it is not about one value
	ID     tiers.ID
	Reason string
}

// A Summary is what Check looked at.
type Summary struct {
	Values  int64 // with a record that can be read
	Bytes   int64 // of their payloads
	Damaged int64 // things reported
}

// CheckOptions shape a Check; the zero value is right for a directory on the operating system's disk.
type CheckOptions struct {
	// Progress, if set, hears after each value how many payload bytes of how many have been read.
	Progress func(done, total int64)
	// FS and OpenBlocks are as in Options.
	FS         vfs.FS
	OpenBlocks func(path string) (BlockFile, error)
}

// Check reads every value of the tier in dir, which must not be open (ErrLocked), and reports whatever is damaged: records that
// cannot be decoded, extents that are missing or claimed twice, values that do not match their checksum,
// an index that cannot be read. It changes nothing. The error is for what kept it from looking.
func Check(ctx context.Context, dir string, o CheckOptions, report func(Damage)) (Summary, error) {
	if o.FS == nil {
		o.FS = vfs.Default
	}
	if o.OpenBlocks == nil {
		o.OpenBlocks = func(path string) (BlockFile, error) {
			f, _, err := openBlockFile(path)
			return f, err
		}
	}
	if _, err := o.FS.Stat(o.FS.PathJoin(dir, formatName)); err != nil {
		return Summary{}, fmt.Errorf("check %s: not a disk tier: %w", dir, err)
	}
	lock, err := lockDir(o.FS, dir)
	if err != nil {
		return Summary{}, fmt.Errorf("check %s: %w", dir, err)
	}
	c := checker{fs: o.FS, dir: dir, options: o, report: report}
	err = errors.Join(c.run(ctx), lock.Close())
	return c.summary, err
}

type checker struct {
	fs      vfs.FS
	dir     string
	options CheckOptions
	report  func(Damage)
	summary Summary
}

func (c *checker) damage(d Damage) {
	c.summary.Damaged++
	c.report(d)
}

func (c *checker) run(ctx context.Context) error {
	blockBytes, err := readFormat(c.fs, c.dir)
	if err != nil {
		c.damage(Damage{Reason: fmt.Sprintf("%s: %v", formatName, err)})
		return nil
	}
	x, err := c.openIndex()
	if err != nil {
		c.damage(Damage{Reason: err.Error()})
		return nil
	}
	blocks, whole, err := c.openBlocks(blockBytes)
	if err != nil {
		return errors.Join(err, x.close())
	}
	err = c.checkIndex(ctx, x, blocks, whole)
	return errors.Join(err, x.close(), blocks.close())
}

// openIndex opens the index that Open would use, without changing it.
func (c *checker) openIndex() (*index, error) {
	numbers, err := indexNumbers(c.fs, c.dir)
	if err != nil {
		return nil, err
	}
	for _, number := range numbers {
		dir := c.fs.PathJoin(c.dir, indexName(number))
		x, err := openIndex(c.fs, dir, indexOptions{
			number: number, memory: defaultIndexMemory, readOnly: true,
			log: slog.New(slog.DiscardHandler), faults: new(atomic.Uint64),
		})
		if err != nil {
			return nil, err
		}
		complete, err := x.complete()
		if complete && err == nil {
			return x, nil
		}
		if err := errors.Join(err, x.close()); err != nil {
			return nil, err
		}
	}
	return nil, errors.New("there is no index")
}

// openBlocks opens the block files that are there, and returns their sizes.
func (c *checker) openBlocks(blockBytes int64) (*blocks, []int64, error) {
	b := &blocks{blockBytes: blockBytes}
	names, err := c.fs.List(c.dir)
	if err != nil {
		return nil, nil, err
	}
	var whole []int64
	for _, name := range names {
		var i int
		if _, err := fmt.Sscanf(name, "blocks-%d.dat", &i); err != nil || name != blockName(i) {
			continue
		}
		for len(whole) <= i {
			b.files, whole = append(b.files, nil), append(whole, 0)
		}
		b.files[i], err = c.options.OpenBlocks(c.fs.PathJoin(c.dir, name))
		if err == nil {
			whole[i], err = b.files[i].Size()
		}
		if err != nil {
			return nil, nil, errors.Join(err, b.close())
		}
	}
	return b, whole, nil
}

func (c *checker) checkIndex(ctx context.Context, x *index, b *blocks, whole []int64) error {
	l := newLoader(b.blockBytes, whole)
	var total int64
	err := l.scan(x, func(id tiers.ID, r record) {
		l.nodes = append(l.nodes, l.node(id, r))
		total += r.meta.Size
	})
	if err == nil {
		err = x.trusted() // corruption that pebble reported and went on from
	}
	if err != nil {
		c.damage(Damage{Reason: err.Error()})
	}
	l.separate()
	for id, reason := range l.damaged {
		d := Damage{ID: id, Reason: reason}
		if r, err := x.get(id); err == nil {
			d.Name = r.name
		}
		c.damage(d)
	}
	for _, key := range l.strange {
		c.damage(Damage{Reason: fmt.Sprintf("record under a key that none can have: %x", key)})
	}
	return c.checkValues(ctx, x, b, l.nodes, total)
}

// checkBytes is how much of a value is read at a time.
const checkBytes = 4 << 20

func (c *checker) checkValues(ctx context.Context, x *index, b *blocks, nodes []*node, total int64) error {
	// Mapped memory is page aligned, as O_DIRECT asks.
	buffer, err := unix.Mmap(-1, 0, checkBytes, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		return err
	}
	defer unix.Munmap(buffer)
	var done int64
	for _, n := range nodes {
		if err := ctx.Err(); err != nil {
			return err
		}
		r, err := x.get(n.id)
		if err == nil {
			err = checkValue(b, r, buffer)
		}
		if err != nil {
			c.damage(Damage{Name: r.name, ID: n.id, Reason: err.Error()})
		}
		c.summary.Values++
		c.summary.Bytes += n.size
		if done += n.size; c.options.Progress != nil {
			c.options.Progress(done, total)
		}
	}
	return nil
}

func checkValue(b *blocks, r record, buffer []byte) error {
	sum := xxh3.New()
	for at := int64(0); at < r.meta.Size; at += checkBytes {
		n := min(r.meta.Size-at, checkBytes)
		p := buffer[:tiers.RoundToBlock(n)]
		if err := b.read(window(r.runs, at), p); err != nil {
			return fmt.Errorf("value cannot be read: %w", err)
		}
		sum.Write(p[:n])
	}
	if sum.Sum128().Bytes() != r.meta.Sum {
		return errors.New("value does not match its checksum")
	}
	return nil
}
