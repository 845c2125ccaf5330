package server

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// listen binds all addresses and the socket, or none of them.
func (s *Server) listen() error {
	var errs []error
	for _, address := range s.config.Listen {
		l, err := net.Listen("tcp", address)
		if err != nil {
			errs = append(errs, bindError(address, err))
			break
		}
		s.addrs = append(s.addrs, l.Addr())
		if s.certificate.cert != "" {
			l = tls.NewListener(l, s.certificate.config())
		}
		s.listeners = append(s.listeners, l)
	}
	if s.config.Socket != "" && errs == nil {
		l, err := listenSocket(s.config.Socket, s.config.SocketMode)
		if err == nil {
			s.listeners = append(s.listeners, l)
		}
		errs = append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		return errors.Join(err, s.closeListeners())
	}
	return nil
}

func (s *Server) closeListeners() error {
	var errs []error
	for _, l := range s.listeners {
		if err := l.Close(); !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func bindError(address string, err error) error {
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("%w: %s", ErrAddressInUse, address)
	}
	return fmt.Errorf("%w: listen on %s: %w", ErrConfig, address, err)
}

// A socketListener removes its file when it closes, if nobody has taken the place meanwhile.
type socketListener struct {
	*net.UnixListener
	path string
	made os.FileInfo
}

// listenSocket binds a unix socket that is never visible under its name with another mode than the stated
// one: it is bound in a private directory, given its mode and moved into place. Setting the mode after the
// bind alone leaves a moment in which anybody may connect (CVE-2023-45145).
func listenSocket(path string, mode fs.FileMode) (_ net.Listener, err error) {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, fmt.Errorf("%w: directory of the socket: %w", ErrConfig, err)
	}
	unlock, err := lockDir(dir)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if err := removeStale(path); err != nil {
		return nil, err
	}
	private, err := os.MkdirTemp(dir, ".keepsight-")
	if err != nil {
		return nil, fmt.Errorf("%w: directory of the socket: %w", ErrConfig, err)
	}
	defer os.RemoveAll(private)
	l, err := bindPrivate(private, mode)
	if err != nil {
		return nil, fmt.Errorf("%w: bind %s: %w", ErrConfig, path, err)
	}
	if err := os.Rename(filepath.Join(private, "s"), path); err != nil {
		return nil, errors.Join(fmt.Errorf("%w: bind %s: %w", ErrConfig, path, err), l.Close())
	}
	made, err := os.Lstat(path)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("stat %s: %w", path, err), l.Close())
	}
	return &socketListener{UnixListener: l, path: path, made: made}, nil
}

// lockDir keeps two processes from taking the same stale socket for theirs. The lock ends with the process.
func lockDir(dir string) (unlock func(), err error) {
	d, err := os.Open(dir)
	if err != nil {
		return nil, fmt.Errorf("%w: directory of the socket: %w", ErrConfig, err)
	}
	if err := unix.Flock(int(d.Fd()), unix.LOCK_EX); err != nil {
		return nil, errors.Join(fmt.Errorf("lock %s: %w", dir, err), d.Close())
	}
	return func() { _ = d.Close() }, nil
}

// removeStale removes what a process that has died left behind, and nothing else.
func removeStale(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("%w: socket: %w", ErrConfig, err)
	}
	if info.Mode().Type() != fs.ModeSocket {
		return fmt.Errorf("%w: %s exists and is no socket", ErrConfig, path)
	}
	conn, err := net.Dial("unix", path)
	if err == nil {
		_ = conn.Close()
		return fmt.Errorf("%w: %s", ErrAddressInUse, path)
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return fmt.Errorf("%w: %s: %w", ErrAddressInUse, path, err)
	}
	return os.Remove(path)
}

// bindPrivate binds dir/s by way of the directory's descriptor, since a socket's path may have 107 bytes and
// the private directory's name must not count.
func bindPrivate(dir string, mode fs.FileMode) (*net.UnixListener, error) {
	d, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	address := &net.UnixAddr{Name: fmt.Sprintf("/proc/self/fd/%d/s", d.Fd()), Net: "unix"}
	l, err := net.ListenUnix("unix", address)
	if err != nil {
		return nil, err
	}
	l.SetUnlinkOnClose(false) // its name is about to change
	if err := os.Chmod(filepath.Join(dir, "s"), mode); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// Close implements net.Listener.
func (l *socketListener) Close() error {
	err := l.UnixListener.Close()
	if info, statErr := os.Lstat(l.path); err == nil && statErr == nil && os.SameFile(info, l.made) {
		return os.Remove(l.path)
	}
	return err
}
