package serving

import (
	"errors"
	"fmt"
	"slices"

	"github.com/keepsight/keepsight/api"
)

// keepsight is engines that share what they encode through the service. A request asks about all its media in
// one lookup that claims the missing ones; those it encodes and stores, and for what others encode it waits.
// Just before its prefill it reads everything from the service.
//
// A call takes effect when it is made, and is answered in virtual time once it took its time. So a lookup may
// find an embedding whose PUT is still on its way in virtual time; who does waits for the end of that PUT.
type keepsight struct {
	sim   *simulation
	calls *calls
	media map[int]*sharing

	storing int                // PUTs on their way
	loaded  map[*request]int   // embeddings that GETs brought to the GPU
	kept    map[*request][]int // media that stay on the GPU for a request, since the service did not keep them

	evicted int
	doubled int
}

func newKeepsight(s *simulation, calls *calls) *keepsight {
	return &keepsight{
		sim:    s,
		calls:  calls,
		media:  make(map[int]*sharing),
		loaded: make(map[*request]int),
		kept:   make(map[*request][]int),
	}
}

func (k *keepsight) sharing(medium int) *sharing {
	if k.media[medium] == nil {
		k.media[medium] = new(sharing)
	}
	return k.media[medium]
}

func (k *keepsight) arrive(r *request) { k.ask(r, r.media) }

// ask makes a lookup for media that r has not obtained.
func (k *keepsight) ask(r *request, media []int) {
	states, claim, took, err := k.calls.lookup(r.engine.name, media)
	if err != nil {
		k.sim.fail(err)
		return
	}
	decisions := make([]decision, len(media))
	for i, m := range media {
		decisions[i] = k.sharing(m).decide(r.engine, states[i])
		if states[i] == api.Claimed {
			k.gone(m)
		}
		if decisions[i] == toEncode {
			k.willMake(r.engine, m, states[i])
		}
	}
	r.begin(inLookup)
	k.sim.clock.after(took, func() {
		r.end(inLookup)
		k.answered(r, media, decisions, claim)
	})
}

// gone notes that the service does not have a medium, perhaps no more.
func (k *keepsight) gone(medium int) {
	if s := k.sharing(medium); s.stored {
		s.stored = false
		k.evicted++
	}
}

// willMake notes that an engine encodes a medium, and whether a claim should have spared that.
func (k *keepsight) willMake(e *engine, medium int, state api.State) {
	s := k.sharing(medium)
	if len(s.makers) > 0 || state == api.Pending {
		k.doubled++
	}
	s.makers = append(s.makers, e)
}

// answered goes on with what was decided about a lookup's answer.
func (k *keepsight) answered(r *request, media []int, decisions []decision, claim string) {
	var again []int
	for i, m := range media {
		s := k.sharing(m)
		switch {
		case decisions[i] == toEncode:
			k.encode(r, m, claim, false)
		case decisions[i] == toRead && s.storing == 0:
			k.sim.obtained(r)
		case len(s.makers) > 0:
			r.begin(inEncode)
			s.waiters = append(s.waiters, r)
		default: // who encoded it came to an end while the answer was on its way
			again = append(again, m)
		}
	}
	if len(again) > 0 {
		k.ask(r, again)
	}
}

// encode makes an output and stores it. If keep is set it stays on the GPU for r.
func (k *keepsight) encode(r *request, medium int, claim string, keep bool) {
	k.sim.encode(r, func() { k.store(r, medium, claim, keep) })
}

// store hands an output to the service, by way of host memory.
func (k *keepsight) store(r *request, medium int, claim string, keep bool) {
	stored, took, err := k.calls.put(medium, claim)
	if err != nil {
		k.sim.fail(err)
		return
	}
	s := k.sharing(medium)
	if stored {
		s.stored = true
		s.storing++
	} else { // the service has passed the claim on
		s.unmake(r.engine)
	}
	k.storing++
	r.begin(inStore)
	k.sim.clock.after(k.sim.config.copyTime(1)+took, func() {
		r.end(inStore)
		k.storing--
		if stored {
			s.storing--
			s.unmake(r.engine)
		}
		if stored && !keep {
			k.sim.place(-1)
		} else {
			k.kept[r] = append(k.kept[r], medium)
		}
		k.wake(medium)
		k.sim.obtained(r)
	})
}

// wake lets everybody who waited for a medium ask again.
func (k *keepsight) wake(medium int) {
	s := k.sharing(medium)
	waiters := s.waiters
	s.waiters = nil
	for _, w := range waiters {
		w.end(inEncode)
		k.ask(w, []int{medium})
	}
}

func (k *keepsight) load(r *request) { k.fetch(r, r.media) }

// fetch reads one of the media after the other from the service and copies it to the GPU.
func (k *keepsight) fetch(r *request, media []int) {
	if len(media) == 0 {
		k.sim.prefill(r)
		return
	}
	medium, rest := media[0], media[1:]
	if slices.Contains(k.kept[r], medium) {
		k.fetch(r, rest)
		return
	}
	took, err := k.calls.get(medium)
	switch {
	case errors.Is(err, errMissing):
		k.gone(medium)
	case err != nil && !errors.Is(err, errRefused):
		k.sim.fail(err)
		return
	}
	k.sim.clock.after(took, func() {
		if err != nil {
			k.missed(r, medium)
			return
		}
		k.loaded[r]++
		k.sim.place(1)
		k.sim.clock.after(k.sim.config.copyTime(1), func() { k.fetch(r, rest) })
	})
}

// missed gives up the prefill of r, because what was a hit cannot be read. The engine encodes it without asking
// anybody, and keeps it until the prefill: a service that loses everything holds nobody up for ever.
func (k *keepsight) missed(r *request, medium int) {
	k.unload(r)
	k.sim.leavePrefill(r)
	r.missing++
	k.willMake(r.engine, medium, api.Missing)
	k.encode(r, medium, "", true)
}

// unload takes off the GPU what GETs brought there for r.
func (k *keepsight) unload(r *request) {
	k.sim.place(-k.loaded[r])
	delete(k.loaded, r)
}

func (k *keepsight) prefilled(r *request) {
	k.unload(r)
	k.sim.place(-len(k.kept[r]))
	delete(k.kept, r)
}

func (k *keepsight) finish(*request) {}

// resident counts what PUTs on their way have not let go, what was loaded for the requests that have the
// prefill lanes, and what is kept for requests whose prefill is to come. It leaves out whatever anybody else
// might still hold, so that a leak shows.
func (k *keepsight) resident() int {
	n := k.storing
	for _, e := range k.sim.engines {
		n += k.loaded[e.reading]
	}
	for _, kept := range k.kept {
		n += len(kept)
	}
	return n
}

// checkEncodes reports encodes that nothing explains.
func (k *keepsight) checkEncodes(distinct int) error {
	if k.sim.encodes != distinct && k.evicted == 0 && k.doubled == 0 && k.calls.refused == 0 {
		return fmt.Errorf("%w: %d encodes of %d media, and the service has kept all of them", errInvariant, k.sim.encodes, distinct)
	}
	return nil
}
