package disktier

import (
	"errors"
	"fmt"
	"io"

	"github.com/cockroachdb/errors/oserror"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// layoutVersion is the version of everything in the directory. Another one's files are never read.
const layoutVersion = 1

const (
	formatName = "FORMAT"
	formatText = "keepsight disk tier, layout %d\nblock_bytes %d\n"
)

// openFormat returns the size of block files in the directory. The files of another layout are set aside, as are
// those whose FORMAT makes no sense; a directory without one is new.
func (t *Tier) openFormat() (blockBytes int64, err error) {
	fs := t.opts.FS
	blockBytes, err = readFormat(fs, t.dir)
	switch {
	case err == nil:
		return blockBytes, nil
	case errors.Is(err, errFormat):
		if err := t.setLayoutAside(err); err != nil {
			return 0, err
		}
	case !oserror.IsNotExist(err):
		return 0, fmt.Errorf("read %s: %w", formatName, err)
	}
	blockBytes = t.opts.BlockBytes - t.opts.BlockBytes%unitBytes
	text := fmt.Sprintf(formatText, layoutVersion, blockBytes)
	return blockBytes, writeFile(fs, t.dir, formatName, []byte(text))
}

var errFormat = errors.New("unknown layout")

func readFormat(fs vfs.FS, dir string) (blockBytes int64, err error) {
	text, err := readFile(fs, fs.PathJoin(dir, formatName))
	if err != nil {
		return 0, err
	}
	var version int
	if _, err := fmt.Sscanf(string(text), formatText, &version, &blockBytes); err != nil {
		return 0, fmt.Errorf("%w: %v", errFormat, err)
	}
	if version != layoutVersion || blockBytes < unitBytes || blockBytes%unitBytes != 0 {
		return 0, fmt.Errorf("%w: version %d, blocks of %d bytes", errFormat, version, blockBytes)
	}
	return blockBytes, nil
}

// setLayoutAside moves everything but the lock into a directory of its own: nothing of it is deleted, and it
// does not count against the capacity. FORMAT goes last: when this is cut short, the next Open goes on with it.
func (t *Tier) setLayoutAside(why error) error {
	fs := t.opts.FS
	names, err := fs.List(t.dir)
	if err != nil {
		return err
	}
	aside, err := asideName(fs, t.dir, "other-layout")
	if err != nil {
		return err
	}
	if err := fs.MkdirAll(aside, 0o700); err != nil {
		return err
	}
	t.log.Error("directory has another layout, which is set aside", "as", aside, "error", why)
	t.health.note(noteFormatAside)
	move := func(name string) error { return fs.Rename(fs.PathJoin(t.dir, name), fs.PathJoin(aside, name)) }
	for _, name := range names {
		if _, ok := indexNumber(name); ok || name == recencyName || isBlockName(name) {
			if err := move(name); err != nil {
				return err
			}
		}
	}
	return move(formatName)
}

// readFile returns what a file holds.
func readFile(fs vfs.FS, path string) ([]byte, error) {
	f, err := fs.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(f)
}

// writeFile puts a file in place whole: after a crash it is the old or the new one.
func writeFile(fs vfs.FS, dir, name string, content []byte) error {
	path := fs.PathJoin(dir, name)
	f, err := fs.Create(path+".new", vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := fs.Rename(path+".new", path); err != nil {
		return err
	}
	return syncDir(fs, dir)
}

// syncDir makes the names in dir durable.
func syncDir(fs vfs.FS, dir string) error {
	d, err := fs.OpenDir(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
