package tiers

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/keepsight/keepsight/tiers/arena"
)

// Names of the tiers that the Store joins, as answers and metrics carry them.
const (
	TierHost = "host"
	TierDisk = "disk"
)

// maxPromoting bounds the promotions that lookups ask for and nobody waits for: more than the disk reads in a
// second.
const maxPromoting = 256

// StoreOptions say what a Store is made of. Host and MaxObjectBytes are required.
type StoreOptions struct {
	Host      Host
	Disk      Disk       // nil: nothing is kept below host memory
	Evictions *Evictions // the queue that the tiers report to; nil: removals by eviction make no events

	MaxObjectBytes int64                      // the largest embedding to accept
	InFlightBytes  int64                      // bodies being received at once; zero: MaxObjectBytes
	PinBytes       int64                      // embeddings held by pins; zero: MaxObjectBytes
	Limits         func(tenant string) Limits // nil: no tenant has limits of its own
	ReadTimeout    time.Duration              // a disk read that takes longer is a miss; zero: 10 s
	Logger         *slog.Logger               // nil: slog.Default
	Now            func() time.Time           // the clock that TTLs are measured by; nil: time.Now
}

// A Store is the hierarchy: embeddings enter in host memory, are copied to disk right behind, and are
// found wherever they are. Its methods may be called concurrently. It owns the tiers and closes them.
type Store struct {
	host Host
	disk Disk

	order     *order
	flights   *flights
	writer    *writer
	claims    *claims
	pins      *pins
	epochs    *epochs
	events    *eventLog
	admission *admission

	maxObject   int64
	readTimeout time.Duration
	log         *slog.Logger
	now         func() time.Time
	counters    counters

	life       context.Context // of background work; ends in Close
	end        context.CancelFunc
	drain      chan struct{} // closed by Drain: nobody waits any more
	drainOnce  sync.Once
	promoting  *semaphore.Weighted // one for each promotion that nobody waits for
	closing    atomic.Bool
	work       sync.WaitGroup // background goroutines but the writers
	workGate   sync.RWMutex   // orders background against Close
	writers    sync.WaitGroup
	closeOnce  sync.Once
	closeError error
}

// NewStore joins the tiers and starts the write-behind.
func NewStore(o StoreOptions) *Store {
	if o.InFlightBytes == 0 {
		o.InFlightBytes = o.MaxObjectBytes
	}
	if o.PinBytes == 0 {
		o.PinBytes = o.MaxObjectBytes
	}
	if o.Limits == nil {
		o.Limits = func(string) Limits { return Limits{} }
	}
	if o.ReadTimeout == 0 {
		o.ReadTimeout = 10 * time.Second
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	s := &Store{
		host:        o.Host,
		disk:        o.Disk,
		order:       newOrder(),
		flights:     newFlights(),
		writer:      newWriter(),
		pins:        newPins(o),
		events:      newEventLog(o.Now()),
		admission:   newAdmission(o.InFlightBytes, o.Limits),
		maxObject:   min(o.MaxObjectBytes, o.InFlightBytes/arena.Unit*arena.Unit),
		readTimeout: o.ReadTimeout,
		log:         o.Logger,
		now:         o.Now,
		drain:       make(chan struct{}),
		promoting:   semaphore.NewWeighted(maxPromoting),
	}
	s.claims = newClaims(s.present)
	var saved []Scope
	if s.disk != nil {
		saved = s.disk.Epochs()
	}
	s.epochs = newEpochs(saved)
	s.life, s.end = context.WithCancel(context.Background())
	if s.disk != nil {
		for range diskWriters {
			s.writers.Go(func() { s.runWriter(s.life) })
		}
	}
	if o.Evictions != nil {
		s.background(func(ctx context.Context) { s.watchEvictions(ctx, o.Evictions) })
	}
	return s
}

// MaxObjectBytes is the largest embedding that the store accepts.
func (s *Store) MaxObjectBytes() int64 { return s.maxObject }

// background runs work until it is done or the store's life ends; false means that the store is closing.
func (s *Store) background(work func(ctx context.Context)) bool {
	s.workGate.RLock()
	defer s.workGate.RUnlock()
	if s.life.Err() != nil {
		return false
	}
	s.work.Go(func() { work(s.life) })
	return true
}

// Get returns the embedding with a reference that the caller releases, and the tier it was found in.
// A miss is ErrNotFound; ErrNoRoom means that it is on disk and found no host memory to be read into.
func (s *Store) Get(ctx context.Context, name Name) (*Embedding, string, error) {
	id := name.ID()
	if e := s.pins.get(id); e != nil {
		s.counters.hitsHost.Add(1)
		return e, TierHost, nil
	}
	e, err := s.host.Get(ctx, id)
	if err == nil {
		s.counters.hitsHost.Add(1)
		return e, TierHost, nil
	}
	if s.disk == nil || !errors.Is(err, ErrNotFound) {
		s.counters.missAbsent.Add(1)
		return nil, "", err
	}
	if e, err = s.fetchFromDisk(ctx, id); err != nil {
		s.counters.missed(err)
		return nil, "", fmt.Errorf("get: %w", err)
	}
	s.counters.hitsDisk.Add(1)
	return e, TierDisk, nil
}

// Stat returns what Get would find, without the bytes. It counts as no use.
func (s *Store) Stat(ctx context.Context, name Name) (Entry, error) { return s.stat(ctx, name.ID()) }

func (s *Store) stat(ctx context.Context, id ID) (Entry, error) {
	if e := s.pins.get(id); e != nil {
		defer e.Release()
		return Entry{Meta: e.Meta, Tier: TierHost}, nil
	}
	_, meta, err := s.host.Stat(ctx, id)
	if err == nil {
		return Entry{Meta: meta, Tier: TierHost}, nil
	}
	if s.disk == nil || !errors.Is(err, ErrNotFound) {
		return Entry{}, err
	}
	if _, meta, err = s.disk.Stat(ctx, id); err != nil {
		return Entry{}, err
	}
	return Entry{Meta: meta, Tier: TierDisk}, nil
}

// OnDisk reports whether the name would be found after a restart.
func (s *Store) OnDisk(ctx context.Context, name Name) bool { return s.onDisk(ctx, name.ID()) }

func (s *Store) onDisk(ctx context.Context, id ID) bool {
	if s.disk == nil {
		return false
	}
	_, _, err := s.disk.Stat(ctx, id)
	return err == nil
}

func (s *Store) present(id ID) bool {
	_, err := s.stat(context.Background(), id)
	return err == nil
}

// Delete removes the name from every tier and breaks its pins: when it returns, nobody finds it, and it
// does not come back after a crash.
func (s *Store) Delete(ctx context.Context, name Name) error {
	id := name.ID()
	unlock, err := s.order.lock(ctx, id)
	if err != nil {
		return err
	}
	defer unlock()
	known := s.present(id)
	defer s.pins.forget(id) // after the tiers: see pins
	if err := s.host.Delete(ctx, id); err != nil {
		return fmt.Errorf("delete from host: %w", err)
	}
	if s.disk != nil {
		if err := s.disk.Delete(ctx, id); err != nil {
			return fmt.Errorf("delete from disk: %w", err)
		}
	}
	if known {
		s.events.append(Event{Type: EventRemoved, Scope: name.Scope, Key: name.Key})
	}
	return nil
}

// Flush waits until everything acknowledged so far is on disk or has failed to get there.
func (s *Store) Flush(ctx context.Context) error { return s.writer.flush(ctx) }

// Drain answers everybody who waits, so that connections can end.
func (s *Store) Drain() { s.drainOnce.Do(func() { close(s.drain) }) }

// Close refuses new embeddings, writes what is not on disk yet for as long as ctx lasts, and closes the
// tiers. Calls after the first wait for it and return its error.
func (s *Store) Close(ctx context.Context) error {
	s.closeOnce.Do(func() { s.closeError = s.close(ctx) })
	return s.closeError
}

func (s *Store) close(ctx context.Context) error {
	s.closing.Store(true)
	s.Drain()
	flushed := s.Flush(ctx)
	if flushed != nil {
		flushed = fmt.Errorf("flush to disk: %w", flushed)
	}
	s.writer.close(flushed != nil)
	s.workGate.Lock()
	s.end()
	s.workGate.Unlock()
	s.writers.Wait()
	s.work.Wait()
	s.pins.close()
	errs := []error{flushed, s.host.Close()}
	if s.disk != nil {
		errs = append(errs, s.disk.Close())
	}
	return errors.Join(errs...)
}
