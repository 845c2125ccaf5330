package server

import "github.com/keepsight/keepsight/api"

// renewClaim lets a claim last longer, from now.
func (s *Server) renewClaim(c *call) error {
	var req api.RenewRequest
	if err := c.decode(s, &req); err != nil {
		return err
	}
	if s.refusing.Load() {
		return errDraining
	}
	if err := s.store.RenewClaim(c.who.tenant, c.path.Token, req.TTL()); err != nil {
		return err
	}
	return c.empty()
}

// giveUpClaim hands what a claim covers to who waits for it.
func (s *Server) giveUpClaim(c *call) error {
	if err := s.store.GiveUpClaim(c.who.tenant, c.path.Token); err != nil {
		return err
	}
	return c.empty()
}

// releasePin ends a pin before its time.
func (s *Server) releasePin(c *call) error {
	if err := s.store.ReleasePin(c.who.tenant, c.path.Token); err != nil {
		return err
	}
	return c.empty()
}
