package peer

import (
	"context"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"

	"github.com/keepsight/keepsight/loadtest/load"
)

// memoryDir is a file system in memory on every usual Linux.
const memoryDir = "/dev/shm"

// Keepsight runs the program, under that name in tables, with a disk tier of so many bytes, or none.
func Keepsight(ctx context.Context, program, name string, diskBytes int64, o Options) (*Peer, error) {
	return kind{
		name:    name,
		program: program,
		version: []string{"version"},
		launch: func(dir string, port int, o Options) ([]string, []load.Target, error) {
			address, socket := fmt.Sprintf("127.0.0.1:%d", port), filepath.Join(dir, "socket")
			args := []string{"serve", "--listen", address, "--socket", socket, "--log-level", "warn",
				"--memory", strconv.FormatInt(o.MemoryBytes, 10),
				"--disk-dir", filepath.Join(dir, "disk"), "--disk-size", strconv.FormatInt(diskBytes, 10)}
			return args, []load.Target{
				{Name: name + " tcp", URL: "http://" + address, Namespace: namespace},
				{Name: name + " unix", URL: "unix://" + socket, Namespace: namespace},
			}, nil
		},
	}.start(ctx, o)
}

// namespace is what the load stores under.
const namespace = "loadtest"

// Redis runs redis-server without persistence, evicting by LRU.
func Redis(ctx context.Context, o Options) (*Peer, error) {
	return kind{
		name:    "redis",
		program: "redis-server",
		version: []string{"--version"},
		launch: func(dir string, port int, o Options) ([]string, []load.Target, error) {
			args := []string{"--bind", "127.0.0.1", "--port", strconv.Itoa(port), "--dir", dir, "--save", "",
				"--appendonly", "no", "--maxmemory", strconv.FormatInt(o.MemoryBytes, 10), "--maxmemory-policy", "allkeys-lru"}
			return args, []load.Target{{Name: "redis", URL: fmt.Sprintf("redis://127.0.0.1:%d", port)}}, nil
		},
	}.start(ctx, o)
}

// Memcached runs memcached with values of any size that fits.
func Memcached(ctx context.Context, o Options) (*Peer, error) {
	return kind{
		name:    "memcached",
		program: "memcached",
		version: []string{"--version"},
		launch: func(_ string, port int, o Options) ([]string, []load.Target, error) {
			me, err := user.Current()
			if err != nil {
				return nil, nil, err
			}
			const largest = 1 << 30 / 2 // bytes of a value; what it takes at most is half its memory
			args := []string{"-l", "127.0.0.1", "-p", strconv.Itoa(port), "-u", me.Username,
				"-m", strconv.FormatInt(o.MemoryBytes>>20, 10), "-I", strconv.FormatInt(min(largest, o.MemoryBytes/2), 10),
				// Rows come in different sizes. By default a full memcached keeps its memory for those it knows already, and
				// refuses all values of 8 MiB after those of 64 KiB (measured with 1.6.18).
				"-o", "slab_automove=2"}
			return args, []load.Target{{Name: "memcached", URL: fmt.Sprintf("memcached://127.0.0.1:%d", port)}}, nil
		},
	}.start(ctx, o)
}

// Nginx runs nginx over files in memory, which it sends by sendfile and takes by WebDAV's PUT.
func Nginx(ctx context.Context, o Options) (*Peer, error) {
	beside := memoryDir
	if info, err := os.Stat(beside); err != nil || !info.IsDir() {
		beside = ""
	}
	return kind{
		name:     "nginx",
		program:  "nginx",
		version:  []string{"-v"},
		beside:   beside,
		orphaned: syscall.SIGTERM, // its workers outlive a master that is killed
		launch: func(dir string, port int, _ Options) ([]string, []load.Target, error) {
			config, owner := filepath.Join(dir, "nginx.conf"), ""
			if os.Getuid() == 0 {
				owner = "user root;" // else its workers are nobody, who may not enter dir
			}
			if err := os.Mkdir(filepath.Join(dir, "values"), 0o700); err != nil {
				return nil, nil, err
			}
			if err := os.WriteFile(config, fmt.Appendf(nil, nginxConfig, dir, port, owner), 0o600); err != nil {
				return nil, nil, err
			}
			args := []string{"-c", config, "-p", dir, "-e", filepath.Join(dir, "error.log")}
			url := fmt.Sprintf("files+http://127.0.0.1:%d/", port)
			return args, []load.Target{{Name: "nginx", URL: url, Overwrites: true}}, nil
		},
	}.start(ctx, o)
}

// nginxConfig takes the directory, the port and who the workers are. Uploads go to the same file system, so that
// storing one is a rename, and connections live as long as their clients.
const nginxConfig = `
daemon off;
%[3]s
worker_processes auto;
pid %[1]s/nginx.pid;
error_log %[1]s/error.log warn;
events { worker_connections 4096; }
http {
  access_log off;
  sendfile on;
  tcp_nopush on;
  keepalive_requests 1000000000;
  client_max_body_size 0;
  client_body_temp_path %[1]s/uploads;
  proxy_temp_path %[1]s/proxy;
  fastcgi_temp_path %[1]s/fastcgi;
  uwsgi_temp_path %[1]s/uwsgi;
  scgi_temp_path %[1]s/scgi;
  server {
    listen 127.0.0.1:%[2]d;
    root %[1]s/values;
    location / { dav_methods PUT DELETE; create_full_put_path on; dav_access user:rw; }
  }
}
`
