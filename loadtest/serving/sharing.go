package serving

import (
	"slices"

	"github.com/keepsight/keepsight/api"
)

// A sharing is what the simulation knows of one medium that engines share through the service.
type sharing struct {
	makers  []*engine  // that encode it, from the lookup that said so to the end of the PUT
	storing int        // PUTs of it on their way, by makers
	stored  bool       // a PUT succeeded, and nobody found it gone since
	waiters []*request // until the next PUT ends
}

// A decision is what an engine does about one medium after a lookup.
type decision int

const (
	toRead   decision = iota // from the service, when the prefill is about to run
	toWait                   // for who encodes it
	toEncode                 // and store
)

// decide says what an engine does after the service's answer.
func (s *sharing) decide(e *engine, state api.State) decision {
	switch {
	case state == api.Hit:
		return toRead
	case slices.Contains(s.makers, e): // another request of this engine has the claim
		return toWait
	case state == api.Pending && len(s.makers) > 0:
		return toWait
	}
	// Claimed; or missing and not to be claimed; or pending for nobody, which an engine learns by waiting in
	// vain: then it encodes without a claim.
	return toEncode
}

// unmake hears that an engine's encode has come to its end.
func (s *sharing) unmake(e *engine) {
	if i := slices.Index(s.makers, e); i >= 0 {
		s.makers = slices.Delete(s.makers, i, i+1)
	}
}
