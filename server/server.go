package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/labstack/echo/v4"
	"golang.org/x/sync/semaphore"

	"github.com/keepsight/keepsight/server/internal/http1"
	"github.com/keepsight/keepsight/tiers"
	"github.com/keepsight/keepsight/tiers/arena"
)

const (
	// idleTimeout closes connections that nobody uses.
	idleTimeout = 2 * time.Minute
	// maxHeaderBytes leaves room for a meta of 8 KiB, a key of 512 bytes with every byte escaped, a token
	// and what proxies add.
	maxHeaderBytes = 24 << 10
	// gcPercent lets the live heap, which is a few megabytes, grow fivefold before it is collected; the memory
	// limit bounds it. With the usual 100 the p99 of a lookup was 580 to 1,010 µs, with 400 it is 340 to 680.
	gcPercent = 400
	// minThreads is how many threads run Go code at least. On two cores that the clients share, with as many threads
	// as cores, a thread that copies keeps its goroutines waiting where the kernel would divide the time: 4 clients
	// that read 1 MiB get 1.05 times as much with four threads, and their p99 is 2.0 ms instead of 2.8; 8 are no better.
	minThreads = 4
)

// A Server is the service on one machine.
type Server struct {
	config  Config
	budget  Budget
	log     *slog.Logger
	metrics *metrics
	started time.Time
	life    uint64 // differs from run to run: event ids carry it

	access      *access
	certificate *certificate
	secrets     stamps // of the files of both, from before they were read
	hosts       hosts

	arena   *arena.Arena
	store   *tiers.Store
	hotList string // path; empty: there is no disk to warm from

	listeners []net.Listener
	addrs     []net.Addr // of TCP
	http      *http1.Server
	echo      *echo.Echo
	origin    http.CrossOriginProtection
	buffers   sync.Pool           // of *[]byte, for JSON bodies and lookup answers
	json      *semaphore.Weighted // of Budget.JSONBytes

	draining   atomic.Bool // /readyz says 503
	refusing   atomic.Bool // nothing new is begun
	streams    context.Context
	endStreams context.CancelFunc
	alive      context.Context // ends in Close
	kill       context.CancelFunc
	release    func() error // closes store and arena, once
}

// New opens the tiers and binds the listeners. Clients can connect from then on, and are answered once Run is
// called. Errors that starting again would not change are ErrConfig, ErrAddressInUse and disktier.ErrLocked.
func New(ctx context.Context, c Config) (*Server, error) {
	c, err := c.complete()
	if err != nil {
		return nil, err
	}
	s := &Server{
		config:  c,
		budget:  SplitMemory(c.MemoryBytes),
		log:     c.Logger,
		metrics: newMetrics(c.Version),
		started: time.Now(),
		life:    rand.Uint64(),
		hosts:   newHosts(c),
		buffers: sync.Pool{New: func() any { return new([]byte) }},
		json:    semaphore.NewWeighted(SplitMemory(c.MemoryBytes).JSONBytes),
	}
	s.release = sync.OnceValue(s.closeStore)
	s.alive, s.kill = context.WithCancel(context.Background())
	s.streams, s.endStreams = context.WithCancel(s.alive)
	if err := s.openAccess(); err != nil {
		return nil, err
	}
	if err := s.listen(); err != nil {
		return nil, err
	}
	if err := s.open(); err != nil {
		return nil, errors.Join(err, s.closeListeners())
	}
	s.metrics.registry.MustRegister(collector{s})
	s.echo = s.router()
	s.http = &http1.Server{
		Handler:        s,
		HeadTimeout:    c.pace.header,
		IdleTimeout:    idleTimeout,
		MaxHeadBytes:   maxHeaderBytes,
		MaxConnections: s.budget.Connections,
		Rejected:       s.metrics.rejected.WithLabelValues("connections").Inc,
		Failed:         func(what string, cause any) { s.log.Warn("connection failed", "during", what, "error", cause) },
		Context:        withLink,
	}
	if ctx.Err() != nil {
		return nil, errors.Join(ctx.Err(), s.Close())
	}
	return s, nil
}

func (s *Server) openAccess() (err error) {
	s.secrets = s.stampSecrets()
	s.access = openAccess()
	if s.config.TokensFile != "" {
		if s.access, err = openTokens(s.config.TokensFile, s.log); err != nil {
			return err
		}
	}
	s.certificate, err = openCertificate(s.config.TLSCert, s.config.TLSKey)
	return err
}

// Addrs returns the TCP addresses that the service listens on, in the order of the configuration.
func (s *Server) Addrs() []net.Addr { return s.addrs }

// MaxObjectBytes is the largest embedding that the service accepts.
func (s *Server) MaxObjectBytes() int64 { return s.store.MaxObjectBytes() }

// Run serves until ctx ends, then drains and returns nil. It is called once.
func (s *Server) Run(ctx context.Context) error {
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(s.budget.HeapBytes))
	defer debug.SetGCPercent(debug.SetGCPercent(gcPercent))
	if threads := runtime.GOMAXPROCS(0); threads < minThreads && os.Getenv("GOMAXPROCS") == "" {
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(minThreads))
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var upkeep, serving sync.WaitGroup
	upkeep.Go(func() { s.watch(ctx) })
	upkeep.Go(func() { s.saveHotRegularly(ctx) })
	failed := make(chan error, len(s.listeners))
	for _, l := range s.listeners {
		serving.Go(func() { failed <- s.http.Serve(l) })
	}
	var err error
	select {
	case <-ctx.Done():
	case <-s.alive.Done():
	case err = <-failed:
	}
	cancel()
	upkeep.Wait() // what it saves must not come after what the drain saves
	switch {
	case s.alive.Err() != nil:
		err = s.release()
	case err != nil:
		err = errors.Join(fmt.Errorf("serve: %w", err), s.Close())
	default:
		err = s.drain()
	}
	serving.Wait()
	return err
}

// Close ends the service at once: connections are cut, and what is not on disk yet is lost. After a drain it
// does nothing.
func (s *Server) Close() error {
	s.kill()
	s.draining.Store(true)
	s.refusing.Store(true)
	return errors.Join(s.http.Close(), s.closeListeners(), s.release())
}
