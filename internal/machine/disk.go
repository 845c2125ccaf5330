package machine

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// Disk is the file system under a directory, in bytes.
type Disk struct {
	Total int64 // the file system's size
	Free  int64 // what a process without privileges may still write
	Held  int64 // what the directory itself takes up: it may be used again
}

// ReadDisk looks at the file system that dir is on, or would be on once it is made.
func ReadDisk(dir string) (Disk, error) {
	existing, err := nearestExisting(dir)
	if err != nil {
		return Disk{}, err
	}
	var stat unix.Statfs_t
	if err := unix.Statfs(existing, &stat); err != nil {
		return Disk{}, fmt.Errorf("read free space of %s: %w", existing, err)
	}
	held, err := usedBlocks(dir)
	if err != nil {
		return Disk{}, err
	}
	return Disk{
		Total: int64(stat.Blocks) * stat.Bsize,
		Free:  int64(stat.Bavail) * stat.Bsize,
		Held:  held,
	}, nil
}

func nearestExisting(dir string) (string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	for {
		info, err := os.Stat(dir)
		switch {
		case err == nil && !info.IsDir():
			return "", fmt.Errorf("%s is not a directory", dir)
		case err == nil:
			return dir, nil
		case !errors.Is(err, fs.ErrNotExist):
			return "", err
		}
		dir = filepath.Dir(dir)
	}
}

// usedBlocks is du: files are allocated ahead of use and sparse, so their lengths would not do.
func usedBlocks(dir string) (int64, error) {
	var total int64
	err := filepath.WalkDir(dir, func(_ string, entry fs.DirEntry, err error) error {
		if err == nil && entry.Type().IsRegular() {
			var info fs.FileInfo
			if info, err = entry.Info(); err == nil {
				total += info.Sys().(*syscall.Stat_t).Blocks * 512
			}
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil // not made yet, or removed while we look
		}
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("measure %s: %w", dir, err)
	}
	return total, nil
}
