package disktier

import (
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// A BlockFile is one file of values. ReadAt and WriteAt may be called concurrently, with offsets, lengths
// and addresses that are multiples of 4 KiB. WriteAt is durable only after a Datasync that began later
// has returned nil; a Datasync that failed says that writes since the last one may be lost, whatever a later one returns.
type BlockFile interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	// Resize gives the file exactly size bytes, all of them backed by disk space, or leaves it as it was.
	Resize(size int64) error
	// Size returns how many bytes the file has.
	Size() (int64, error)
	Datasync() error
}

// openBlockFile opens or creates a block file on the operating system's disk. buffered reports that
// the file system does not do O_DIRECT, as tmpfs and some overlays, and the page cache is used instead.
func openBlockFile(path string) (file BlockFile, buffered bool, err error) {
	// O_NOATIME: a read must not write, not even when it was. Only the file's owner may ask for it.
	for _, flags := range []int{unix.O_DIRECT | unix.O_NOATIME, unix.O_DIRECT, 0} {
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|flags, 0o600)
		if err == nil {
			return osBlockFile{f}, flags&unix.O_DIRECT == 0, nil
		}
		if !errors.Is(err, unix.EPERM) && !errors.Is(err, unix.EINVAL) {
			return nil, false, err
		}
	}
	return nil, false, fmt.Errorf("open %s: %w", path, unix.EINVAL)
}

type osBlockFile struct{ *os.File }

func (f osBlockFile) Size() (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

func (f osBlockFile) Resize(size int64) error {
	old, err := f.Size()
	if err != nil {
		return err
	}
	if size < old {
		return f.Truncate(size)
	}
	if size == old {
		return nil
	}
	err = ignoringEINTR(func() error { return unix.Fallocate(int(f.Fd()), 0, old, size-old) })
	if err != nil {
		// A failed fallocate may have taken part of the space.
		return errors.Join(fmt.Errorf("fallocate: %w", err), f.Truncate(old))
	}
	return nil
}

func (f osBlockFile) Datasync() error {
	return ignoringEINTR(func() error { return unix.Fdatasync(int(f.Fd())) })
}

func ignoringEINTR(call func() error) error {
	for {
		if err := call(); err != unix.EINTR {
			return err
		}
	}
}
