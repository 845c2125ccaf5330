package command

import (
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/keepsight/keepsight/server"
)

// userDirs points the conventional directories into a temporary one.
func userDirs(t *testing.T) (runtime, cache string) {
	t.Helper()
	runtime, cache = t.TempDir(), t.TempDir()
	t.Setenv("XDG_RUNTIME_DIR", runtime)
	t.Setenv("XDG_CACHE_HOME", cache)
	return runtime, cache
}

func TestServeNeedsNoFlags(t *testing.T) {
	runtime, cache := userDirs(t)
	serve, err := parseServe(t)
	if err != nil {
		t.Fatal(err)
	}
	got, err := serve.config(Streams{Err: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	if want := filepath.Join(runtime, "keepsight", "keepsight.sock"); got.Socket != want {
		t.Errorf("socket %s, want %s", got.Socket, want)
	}
	if info, err := os.Stat(filepath.Dir(got.Socket)); err != nil || info.Mode().Perm() != 0o750 {
		t.Errorf("the socket's directory: %v, %v", info.Mode(), err)
	}
	if want := filepath.Join(cache, "keepsight"); got.DiskDir != want {
		t.Errorf("disk directory %s, want %s", got.DiskDir, want)
	}
	if len(got.Listen) != 1 || got.Listen[0] != "127.0.0.1:7070" {
		t.Errorf("listens on %v", got.Listen)
	}
	if got.MemoryBytes < server.MinMemoryBytes || got.MemoryBytes > defaultMemoryMax {
		t.Errorf("takes %d bytes of memory", got.MemoryBytes)
	}
	if got.DiskBytes > defaultDiskMax {
		t.Errorf("takes %d bytes of disk", got.DiskBytes)
	}
	if got.MaxObjectBytes != 512<<20 {
		t.Errorf("accepts %d bytes", got.MaxObjectBytes)
	}
}

func TestServeWithoutAHome(t *testing.T) {
	userDirs(t)
	t.Setenv("XDG_CACHE_HOME", "")
	t.Setenv("HOME", "")
	for args, want := range map[string]string{"": "give --disk-dir", "--disk-size=0": ""} {
		serve, err := parseServe(t, strings.Fields(args)...)
		if err != nil {
			t.Fatal(err)
		}
		_, err = serve.config(Streams{Err: io.Discard})
		refusedAs(t, err, want)
	}
}

func TestServeWithoutATrustedRuntimeDirectory(t *testing.T) {
	runtime, _ := userDirs(t)
	ours := filepath.Join(runtime, "keepsight")
	check := func(want string, args ...string) {
		t.Helper()
		serve, err := parseServe(t, args...)
		if err != nil {
			t.Fatal(err)
		}
		_, err = serve.config(Streams{Err: io.Discard})
		refusedAs(t, err, want)
	}
	writeFile(t, ours, nil)
	check("no directory for the unix socket")
	check("", "--socket", "none")
	if os.Getuid() != 0 {
		t.Skip("only root can make a directory of another user")
	}
	if err := os.Remove(ours); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(ours, 0o750); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(ours, 12345, 12345); err != nil {
		t.Fatal(err)
	}
	check("cannot be trusted")
}

func TestCommandsFindTheService(t *testing.T) {
	runtime, _ := userDirs(t)
	socket := filepath.Join(runtime, "keepsight", "keepsight.sock")
	check := func(server, want string) {
		t.Helper()
		if got, err := (connection{Server: server}).address(); err != nil || got != want {
			t.Errorf("--server %q: %s, %v; want %s", server, got, err, want)
		}
	}
	check("", "http://127.0.0.1:7070")
	if err := os.Mkdir(filepath.Dir(socket), 0o750); err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	check("", "unix://"+socket)
	check("https://cache.example:7070", "https://cache.example:7070")
	check("unix:/run/a b", "unix:///run/a%20b")
	check("unix:///run/x", "unix:///run/x")
	if os.Getuid() == 0 {
		if err := os.Lchown(socket, 12345, 12345); err != nil {
			t.Fatal(err)
		}
		check("", "http://127.0.0.1:7070") // somebody else's socket is not the service
	}
}
