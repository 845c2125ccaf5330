package server

import (
	"context"
	"errors"
	"time"
)

// Parts of the drain timeout by whose end bodies in flight and the flush to disk must be done. A disk writes a
// gigabyte in a second, so the flush needs less. What is left is for closing a disk tier that hangs, which
// takes 5 s and, with the defaults, still ends within the 30 s that Kubernetes gives.
const (
	bodiesShare = 0.65
	flushShare  = 0.9
)

// drain ends the service without breaking a body off: first it is unready and takes everything, so that
// clients go elsewhere; then it takes no new work and ends what would never end by itself; then it waits for
// bodies, writes what is not on disk yet, and closes.
func (s *Server) drain() error {
	s.log.Info("draining")
	begin, timeout := time.Now(), float64(s.config.DrainTimeout)
	s.draining.Store(true)
	if !s.pause(s.config.DrainDelay) {
		return s.release()
	}
	s.refusing.Store(true)
	s.endStreams()
	s.store.Drain()

	bodies, cancel := context.WithDeadline(s.alive, begin.Add(time.Duration(timeout*bodiesShare)))
	defer cancel()
	if err := s.http.Shutdown(bodies); err != nil {
		s.log.Warn("connections cut that did not end in time", "error", err)
		_ = s.http.Close() // it repeats what Shutdown said of the listeners
	}
	s.saveHot()
	flush, cancel := context.WithDeadline(s.alive, begin.Add(time.Duration(timeout*flushShare)))
	defer cancel()
	if err := s.store.Close(flush); err != nil {
		s.log.Warn("not everything was written to disk", "error", err)
	}
	if err := s.release(); err != nil {
		s.log.Warn("close", "error", err)
	}
	s.log.Info("drained", "seconds", time.Since(begin).Seconds())
	return nil
}

// pause waits, unless the service is closed meanwhile.
func (s *Server) pause(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-s.alive.Done():
		return false
	}
}

// closeStore closes what is below the API. After a drain the store is closed already and only says how that
// went; otherwise nothing is flushed.
func (s *Server) closeStore() error {
	now, cancel := context.WithCancel(context.Background())
	cancel()
	err := s.store.Close(now)
	if errors.Is(err, context.Canceled) { // that nothing was flushed is what was asked for
		s.log.Info("closed without a flush", "error", err)
		err = nil
	}
	return errors.Join(err, s.arena.Close())
}

// saveHotRegularly keeps the list fresh for a restart that comes without a drain.
func (s *Server) saveHotRegularly(ctx context.Context) {
	ticker := time.NewTicker(s.config.pace.hotList)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			s.saveHot()
		case <-ctx.Done():
			return
		}
	}
}

// saveHot writes what is in host memory, hottest first. Without it the next start is cold, and no worse.
func (s *Server) saveHot() {
	if s.hotList == "" {
		return
	}
	if err := s.store.SaveHot(s.hotList); err != nil {
		s.log.Warn("save hot list", "error", err)
	}
}
