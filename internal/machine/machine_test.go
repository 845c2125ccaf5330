package machine

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"testing/fstest"
)

const meminfo24G = "MemTotal:       24684092 kB\nMemFree:         1000000 kB\nMemAvailable:   20000000 kB\n"

const kib = 1 << 10

func TestReadMemory(t *testing.T) {
	for _, tc := range []struct {
		name  string
		files map[string]string
		want  Memory
	}{
		{
			name:  "no cgroups",
			files: map[string]string{"proc/meminfo": meminfo24G},
			want:  Memory{Limit: 24684092 * kib, Available: 20000000 * kib, Bound: "physical memory"},
		}, {
			name: "v2 without a limit",
			files: map[string]string{
				"proc/meminfo": meminfo24G, "proc/self/cgroup": "0::/user.slice\n",
				"sys/fs/cgroup/user.slice/memory.max": "max\n",
			},
			want: Memory{Limit: 24684092 * kib, Available: 20000000 * kib, Bound: "physical memory"},
		}, {
			name: "v2 limit of the parent is tighter than the child's",
			files: map[string]string{
				"proc/meminfo": meminfo24G, "proc/self/cgroup": "0::/pod/container\n",
				"sys/fs/cgroup/pod/memory.max":           "1073741824\n",
				"sys/fs/cgroup/pod/container/memory.max": "2147483648\n",
			},
			want: Memory{Limit: 1 << 30, Available: 1 << 30, Bound: "the cgroup limit"},
		}, {
			name: "v2 in a cgroup namespace: the limit is at the mount",
			files: map[string]string{
				"proc/meminfo": meminfo24G, "proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "4294967296\n",
			},
			want: Memory{Limit: 4 << 30, Available: 4 << 30, Bound: "the cgroup limit"},
		}, {
			name: "v1 among other controllers",
			files: map[string]string{
				"proc/meminfo": meminfo24G, "proc/self/cgroup": "5:cpu,cpuacct:/a\n4:hugetlb,memory:/a/b\n0::/\n",
				"sys/fs/cgroup/memory/memory.limit_in_bytes":     "9223372036854771712\n",
				"sys/fs/cgroup/memory/a/b/memory.limit_in_bytes": "536870912\n",
			},
			want: Memory{Limit: 512 << 20, Available: 512 << 20, Bound: "the cgroup limit"},
		}, {
			name: "v1 path of the host, only the mount itself visible",
			files: map[string]string{
				"proc/meminfo": meminfo24G, "proc/self/cgroup": "4:memory:/docker/0123\n",
				"sys/fs/cgroup/memory/memory.limit_in_bytes": "268435456\n",
			},
			want: Memory{Limit: 256 << 20, Available: 256 << 20, Bound: "the cgroup limit"},
		}, {
			name: "a limit above physical memory limits nothing",
			files: map[string]string{
				"proc/meminfo": meminfo24G, "proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "99999999999999\n",
			},
			want: Memory{Limit: 24684092 * kib, Available: 20000000 * kib, Bound: "physical memory"},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			root := fstest.MapFS{}
			for name, content := range tc.files {
				root[name] = &fstest.MapFile{Data: []byte(content)}
			}
			got, err := ReadMemory(root)
			if err != nil || got != tc.want {
				t.Fatalf("got %+v, %v; want %+v", got, err, tc.want)
			}
		})
	}
}

func TestReadMemoryOfUnreadableMachine(t *testing.T) {
	for name, root := range map[string]fstest.MapFS{
		"no meminfo":      {},
		"no MemAvailable": {"proc/meminfo": {Data: []byte("MemTotal: 5 kB\n")}},
		"not a number":    {"proc/meminfo": {Data: []byte("MemTotal: many kB\nMemAvailable: 5 kB\n")}},
	} {
		if got, err := ReadMemory(root); err == nil {
			t.Errorf("%s: got %+v without an error", name, got)
		}
	}
}

func TestReadMemoryOfThisMachine(t *testing.T) {
	got, err := ReadMemory(os.DirFS("/"))
	if err != nil || got.Available <= 0 || got.Available > got.Limit {
		t.Fatalf("got %+v, %v", got, err)
	}
}

func TestReadDisk(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "not", "made", "yet")
	before, err := ReadDisk(dir)
	if err != nil || before.Held != 0 || before.Free <= 0 || before.Free > before.Total {
		t.Fatalf("of a directory to come: %+v, %v", before, err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "index"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"blocks", "index/log"} {
		if err := os.WriteFile(filepath.Join(dir, name), make([]byte, 1<<20), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Truncate(filepath.Join(dir, "blocks"), 1<<40); err != nil { // sparse: no disk used
		t.Fatal(err)
	}
	after, err := ReadDisk(dir)
	if err != nil || after.Held < 2<<20 || after.Held > 3<<20 {
		t.Fatalf("held %d bytes, %v; want about 2 MiB", after.Held, err)
	}
}

func TestReadDiskOfAFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadDisk(file); err == nil {
		t.Fatal("a file was taken for a directory")
	}
	if _, err := ReadDisk(filepath.Join(file, "below")); err == nil {
		t.Fatal("a path below a file was taken for a directory")
	}
}

func TestRuntimeDir(t *testing.T) {
	t.Setenv("XDG_RUNTIME_DIR", "/run/user/1000")
	if got := RuntimeDir(); got != "/run/user/1000/keepsight" {
		t.Errorf("got %s", got)
	}
	t.Setenv("XDG_RUNTIME_DIR", "relative") // the specification says: ignore it
	if got := RuntimeDir(); !filepath.IsAbs(got) {
		t.Errorf("got %s", got)
	}
}

func TestOurs(t *testing.T) {
	dir := t.TempDir()
	if err := Ours(dir); err != nil {
		t.Error(err)
	}
	if err := Ours(filepath.Join(dir, "absent")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("absent: %v", err)
	}
	if os.Getuid() != 0 {
		t.Skip("only root can make a file of another user")
	}
	if err := os.Chown(dir, 12345, 12345); err != nil {
		t.Fatal(err)
	}
	if err := Ours(dir); !errors.Is(err, ErrNotOurs) {
		t.Errorf("of another user: %v", err)
	}
}
