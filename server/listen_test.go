package server

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io/fs"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/keepsight/keepsight/api"
)

// TestConfig is the table of configurations that cannot work.
func TestConfig(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	cert, key := certificatePair(t, "one")
	for name, edit := range map[string]func(*Config){
		"nowhere to listen":             func(c *Config) { c.Listen, c.Socket = nil, "" },
		"too little memory":             func(c *Config) { c.MemoryBytes = MinMemoryBytes - 1 },
		"delay longer than the drain":   func(c *Config) { c.DrainDelay = c.DrainTimeout },
		"disk without a directory":      func(c *Config) { c.DiskDir = "" },
		"disk of negative size":         func(c *Config) { c.DiskBytes = -1 },
		"address without a port":        func(c *Config) { c.Listen = []string{"127.0.0.1"} },
		"address of another machine":    func(c *Config) { c.Listen = []string{"192.0.2.1:0"} },
		"public without anything":       func(c *Config) { c.Listen = []string{":0"} },
		"public by name":                func(c *Config) { c.Listen = []string{"cache.example:0"} },
		"public without tokens":         func(c *Config) { c.Listen, c.TLSCert, c.TLSKey = []string{"0.0.0.0:0"}, cert, key },
		"public without TLS":            func(c *Config) { c.Listen, c.TokensFile = []string{"[::]:0"}, tokens(t, entry("a", "t", "*", "read")) },
		"certificate without a key":     func(c *Config) { c.TLSCert = cert },
		"certificate that is none":      func(c *Config) { c.TLSCert, c.TLSKey = file, file },
		"tokens that are not there":     func(c *Config) { c.TokensFile = file + ".none" },
		"tokens that are none":          func(c *Config) { c.TokensFile = file },
		"socket in the place of a file": func(c *Config) { c.Socket = file },
		"socket mode beyond permission": func(c *Config) { c.SocketMode = fs.ModeSetuid | 0o600 },
		"socket path too long":          func(c *Config) { c.Socket = filepath.Join(t.TempDir(), strings.Repeat("x", 300)) },
	} {
		t.Run(name, func(t *testing.T) {
			c := testConfig(t)
			edit(&c)
			s, err := New(t.Context(), c)
			if err == nil {
				s.Close()
			}
			if !errors.Is(err, ErrConfig) {
				t.Errorf("error %v, want ErrConfig", err)
			}
		})
	}
}

func TestSplitMemory(t *testing.T) {
	for _, memory := range []int64{MinMemoryBytes, 1 << 30, 8 << 30, 1 << 40} {
		b := SplitMemory(memory)
		if b.HeapBytes+b.ArenaBytes != memory {
			t.Errorf("%d: heap and arena make %d", memory, b.HeapBytes+b.ArenaBytes)
		}
		if inHeap := b.IndexBytes + b.JSONBytes + int64(b.DiskEntries)*directoryEntryBytes + int64(b.Connections)*connectionBytes; inHeap > b.HeapBytes*3/2 {
			t.Errorf("%d: what the heap must hold is %d of %d", memory, inHeap, b.HeapBytes)
		}
		if b.JSONBytes < jsonCost*(api.MaxJSONBody+1) {
			t.Errorf("%d: the largest JSON body is never admitted", memory)
		}
		if b.MaxObjectBytes > b.InFlightBytes {
			t.Errorf("%d: the largest object does not fit into the bodies in flight", memory)
		}
	}
}

// TestSocketMode watches the socket's name from before it exists: whenever it is there, it has its mode.
func TestSocketMode(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "new", "s")
	stop, modes := make(chan bool), make(chan map[fs.FileMode]bool)
	go func() {
		seen := make(map[fs.FileMode]bool)
		for {
			if info, err := os.Lstat(path); err == nil {
				seen[info.Mode()] = true
			}
			select {
			case <-stop:
				modes <- seen
				return
			default:
			}
		}
	}()
	for range 200 {
		l, err := listenSocket(path, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	stop <- true
	seen := <-modes
	if len(seen) != 1 || !seen[fs.ModeSocket|0o600] {
		t.Errorf("modes seen: %v", seen)
	}
	if info, err := os.Stat(filepath.Dir(path)); err != nil || info.Mode().Perm() != 0o750 {
		t.Errorf("the directory made for it is %v, %v", info.Mode(), err)
	}
	if left, err := os.ReadDir(filepath.Dir(path)); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// TestStaleSocket finds a socket of a process that has died, and one whose listener lives.
func TestStaleSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	dead.SetUnlinkOnClose(false)
	dead.Close()
	l, err := listenSocket(path, 0o660)
	if err != nil {
		t.Fatalf("over a stale socket: %v", err)
	}
	if _, err := listenSocket(path, 0o660); !errors.Is(err, ErrAddressInUse) {
		t.Errorf("over a live socket: %v", err)
	}
	// Another process may have taken the name when this one closes: its socket stays.
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	heir, err := listenSocket(path, 0o660)
	if err != nil {
		t.Fatal(err)
	}
	defer heir.Close()
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if conn, err := net.Dial("unix", path); err != nil {
		t.Errorf("the heir's socket is gone: %v", err)
	} else {
		conn.Close()
	}
}

// certificatePair writes a certificate for 127.0.0.1 in the name's name.
func certificatePair(t testing.TB, name string) (cert, key string) {
	t.Helper()
	dir := t.TempDir()
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	writePair(t, cert, key, name)
	return cert, key
}

func writePair(t testing.TB, cert, key, name string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: name},
		NotAfter:     time.Now().Add(time.Hour),
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{
		cert: {Type: "CERTIFICATE", Bytes: der},
		key:  {Type: "PRIVATE KEY", Bytes: secret},
	} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// TestTLS serves on TCP with TLS 1.3 and nothing older, leaves the unix socket plain, and takes a new
// certificate without a restart.
func TestTLS(t *testing.T) {
	cert, key := certificatePair(t, "one")
	v := start(t, noDisk, func(c *Config) {
		c.Listen = []string{"0.0.0.0:0"} // public: allowed with both
		c.TLSCert, c.TLSKey, c.TokensFile = cert, key, tokens(t, entry("a", "t", "*", "read"))
	})
	name := func(max uint16) (string, error) {
		_, port, err := net.SplitHostPort(v.addrs[0].String())
		if err != nil {
			t.Fatal(err)
		}
		conn, err := tls.Dial("tcp", "127.0.0.1:"+port, &tls.Config{InsecureSkipVerify: true, MaxVersion: max})
		if err != nil {
			return "", err
		}
		defer conn.Close()
		return conn.ConnectionState().PeerCertificates[0].Subject.CommonName, nil
	}
	if got, err := name(tls.VersionTLS13); got != "one" {
		t.Errorf("certificate %q, %v", got, err)
	}
	if _, err := name(tls.VersionTLS12); err == nil {
		t.Error("TLS 1.2 is accepted")
	}
	writePair(t, cert, key, "two")
	eventually(t, "the new certificate", func() bool { got, _ := name(tls.VersionTLS13); return got == "two" })

	unix := &http.Client{Transport: contract(t, v.transports()["unix"])}
	shot{method: "GET", path: "/livez", header: with("Host", "localhost")}.do(t, unix, v, 200)
}

// TestConnectionLimit fills the service: who comes then is turned away, until somebody leaves.
func TestConnectionLimit(t *testing.T) {
	v := run(t, testConfig(t), func(s *Server) { s.http.MaxConnections = 3 })
	var inside []net.Conn
	for range 3 {
		inside = append(inside, dial(t, v))
	}
	eventually(t, "the connections", func() bool { return v.http.Connections() == 3 })
	turned := dial(t, v)
	defer turned.Close()
	if _, err := turned.Read(make([]byte, 1)); err == nil {
		t.Error("a connection too many got an answer")
	}
	for _, conn := range inside {
		conn.Close()
	}
	eventually(t, "the leaving", func() bool { return v.http.Connections() == 0 })
	shot{method: "GET", path: "/livez"}.do(t, v.client(), v, 200)
}

// TestCancelledStart gives up before it begins.
func TestCancelledStart(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := New(ctx, testConfig(t)); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}
