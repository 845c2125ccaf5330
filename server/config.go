package server

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/netip"
	"time"
)

// Errors that mean the service cannot start as it is configured; starting it again changes nothing.
var (
	// ErrConfig means that the configuration contradicts itself or the machine.
	ErrConfig = errors.New("invalid configuration")
	// ErrAddressInUse means that another process listens on an address or socket of the configuration.
	ErrAddressInUse = errors.New("address in use")
)

const (
	defaultMaxObjectBytes = 512 << 20
	defaultSocketMode     = 0o660
	defaultDrainTimeout   = 25 * time.Second // see drain.go
)

// A Config says what to serve, where and within what bounds.
type Config struct {
	Listen     []string    // TCP addresses, "127.0.0.1:7070"; loopback only, unless TLS and tokens are set
	Socket     string      // path of the unix socket; empty: none
	SocketMode fs.FileMode // zero: 0660

	MemoryBytes    int64  // for everything: arena, disk directory, index and heap; see SplitMemory
	DiskDir        string // the disk tier's directory
	DiskBytes      int64  // what the disk tier may hold; zero: no disk tier
	MaxObjectBytes int64  // the largest embedding, if arena and disk allow it; zero: 512 MiB

	TokensFile string   // who may do what; empty: everybody everything, as tenant "default"
	TLSCert    string   // PEM files; both or neither
	TLSKey     string   //
	Hosts      []string // names allowed in the Host header beside localhost and the listen addresses

	DrainDelay   time.Duration // between /readyz turning 503 and the end of new work
	DrainTimeout time.Duration // for the delay, bodies in flight and the flush to disk; zero: 25 s

	Logger  *slog.Logger // nil: slog.Default
	Version string

	pace pace // zero: defaultPace; tests are faster
	lazy bool // leave the arena's memory to its first use: a test uses little of it
}

// A pace is how long the service gives others.
type pace struct {
	grace     time.Duration // before the minimum rate of a body counts
	rate      int64         // bytes per second that a body must come or go at, on average
	stall     time.Duration // without a byte
	header    time.Duration // for the headers of a request
	heartbeat time.Duration // between comments on a silent event stream
	watch     time.Duration // between looks at the token file and the certificate
	hotList   time.Duration // between saves of what is hot
	slow      time.Duration // from here on a request is worth a line in the log
}

var defaultPace = pace{
	grace:     5 * time.Second,
	rate:      64 << 10,
	stall:     10 * time.Second,
	header:    5 * time.Second,
	heartbeat: 15 * time.Second,
	watch:     10 * time.Second,
	hotList:   time.Minute,
	slow:      2 * time.Second,
}

// complete fills in defaults and reports what cannot work, wrapping ErrConfig.
func (c Config) complete() (Config, error) {
	if c.MaxObjectBytes == 0 {
		c.MaxObjectBytes = defaultMaxObjectBytes
	}
	if c.SocketMode == 0 {
		c.SocketMode = defaultSocketMode
	}
	if c.DrainTimeout == 0 {
		c.DrainTimeout = defaultDrainTimeout
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.pace == (pace{}) {
		c.pace = defaultPace
	}
	return c, c.check()
}

func (c Config) check() error {
	switch {
	case len(c.Listen) == 0 && c.Socket == "":
		return fmt.Errorf("%w: neither a TCP address nor a socket to listen on", ErrConfig)
	case (c.TLSCert == "") != (c.TLSKey == ""):
		return fmt.Errorf("%w: a TLS certificate and its key belong together", ErrConfig)
	case c.DiskBytes < 0 || c.MaxObjectBytes < 0 || c.DrainDelay < 0 || c.DrainTimeout < 0:
		return fmt.Errorf("%w: a size or a duration is negative", ErrConfig)
	case c.DrainDelay >= c.DrainTimeout:
		return fmt.Errorf("%w: a drain delay of %s leaves nothing of the drain timeout of %s", ErrConfig, c.DrainDelay, c.DrainTimeout)
	case c.DiskBytes > 0 && c.DiskDir == "":
		return fmt.Errorf("%w: a disk tier needs a directory", ErrConfig)
	case c.SocketMode&^fs.ModePerm != 0:
		return fmt.Errorf("%w: socket mode %o is more than permission bits", ErrConfig, c.SocketMode)
	}
	if c.MemoryBytes < MinMemoryBytes {
		return fmt.Errorf("%w: %d bytes of memory are too few, the least is %d", ErrConfig, c.MemoryBytes, int64(MinMemoryBytes))
	}
	for _, address := range c.Listen {
		if err := c.checkAddress(address); err != nil {
			return err
		}
	}
	return nil
}

// checkAddress refuses an address that others can reach unless they are known and cannot be overheard.
func (c Config) checkAddress(address string) error {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("%w: listen address %q is not host:port", ErrConfig, address)
	}
	ip, err := netip.ParseAddr(host)
	loopback := host == "localhost" || err == nil && ip.IsLoopback()
	if loopback || c.TokensFile != "" && c.TLSCert != "" {
		return nil
	}
	return fmt.Errorf("%w: %s is reachable from other machines, which takes both tokens and a TLS certificate", ErrConfig, address)
}
