package server

import (
	"context"
	"errors"
	"time"
)

// bodiesShare is the part of the drain timeout that bodies in flight may take. The rest is for the flush to
// disk, which writes a gigabyte in a second.
const bodiesShare = 0.7

// drain ends the service without breaking a body off: first it is unready and takes everything, so that
// clients go elsewhere; then it takes no new work and ends what would never end by itself; then it waits for
// bodies, writes what is not on disk yet, and closes.
func (s *Server) drain() error {
	s.log.Info("draining")
	s.draining.Store(true)
	if !s.pause(s.config.DrainDelay) {
		return s.release()
	}
	s.refusing.Store(true)
	s.endStreams()
	s.store.Drain()

	end := time.Now().Add(s.config.DrainTimeout)
	bodies, cancel := context.WithTimeout(s.alive, time.Duration(float64(s.config.DrainTimeout)*bodiesShare))
	defer cancel()
	if err := s.http.Shutdown(bodies); err != nil {
		s.log.Warn("connections cut that did not end in time", "error", err)
		_ = s.http.Close() // it repeats what Shutdown said of the listeners
	}
	s.saveHot()
	flush, cancel := context.WithDeadline(s.alive, end)
	defer cancel()
	if err := s.store.Close(flush); err != nil {
		s.log.Warn("not everything was written to disk", "error", err)
	}
	err := s.release()
	s.log.Info("drained", "error", err)
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
	if errors.Is(err, context.Canceled) {
		err = nil // that nothing was flushed is what was asked for
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
