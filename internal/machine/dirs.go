package machine

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// CacheDir returns where the disk tier lives unless the user says otherwise.
func CacheDir() (string, error) {
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, "keepsight"), nil
}

// RuntimeDir returns where the unix socket lives unless the user says otherwise: the session's runtime
// directory, /run for root, else a directory of this user's in the temporary directory.
func RuntimeDir() string {
	if dir := os.Getenv("XDG_RUNTIME_DIR"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "keepsight")
	}
	if os.Getuid() == 0 {
		return "/run/keepsight"
	}
	return filepath.Join(os.TempDir(), "keepsight-"+strconv.Itoa(os.Getuid()))
}

// ErrNotOurs means that somebody else owns a path that we were about to trust.
var ErrNotOurs = errors.New("belongs to another user")

// Ours reports, by a nil error, that path exists and belongs to this user or to root. In a shared temporary
// directory anybody could have made the runtime directory first and be listening there.
func Ours(path string) error {
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	if owner := int(info.Sys().(*syscall.Stat_t).Uid); owner != 0 && owner != os.Getuid() {
		return fmt.Errorf("%s %w (uid %d)", path, ErrNotOurs, owner)
	}
	return nil
}
