package tiers

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// desk is a claims table and the set of names that are stored, for tests.
type desk struct {
	*claims
	mu     sync.Mutex
	stored map[ID]bool
}

var scopeA = Scope{Tenant: "t", Namespace: "n"}

func newDesk() *desk {
	d := &desk{stored: make(map[ID]bool)}
	d.claims = newClaims(func(id ID) bool {
		d.mu.Lock()
		defer d.mu.Unlock()
		return d.stored[id]
	})
	return d
}

func named(keys ...string) (ids []ID) {
	for _, key := range keys {
		ids = append(ids, Name{Scope: scopeA, Key: key}.ID())
	}
	return ids
}

func (d *desk) put(key string) {
	id := named(key)[0]
	d.mu.Lock()
	d.stored[id] = true
	d.mu.Unlock()
	d.fulfil(id)
}

// ask is a lookup by owner that waits for at most wait, and says what it came to: "claimed", "pending",
// "hit" or "miss" for each key, and the token.
func (d *desk) ask(owner string, wait time.Duration, keys ...string) (string, []string) {
	ids := named(keys...)
	w := d.join(scopeA, ids, &ClaimWish{Owner: owner, TTL: time.Second})
	if w.parked && wait > 0 {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		select {
		case <-w.wake:
		case <-timer.C:
		}
	}
	token, standings := d.leave(w, ids)
	d.sent(w)
	states := make([]string, len(keys))
	for i, st := range standings {
		switch {
		case st.claimed:
			states[i] = "claimed"
		case d.present(ids[i]):
			states[i] = "hit"
		case st.pending:
			states[i] = "pending"
		default:
			states[i] = "miss"
		}
	}
	return token, states
}

func wantStates(t *testing.T, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Fatalf("states are %v, want %v", got, want)
	}
}

func TestClaimIsForOneOwner(t *testing.T) {
	d := newDesk()
	d.put("there")
	token, states := d.ask("a", 0, "there", "new")
	wantStates(t, states, "hit", "claimed")
	if again, states := d.ask("a", 0, "new"); again != token || states[0] != "claimed" {
		t.Errorf("the same owner asked again and got %q %v, want its own token %q", again, states, token)
	}
	if token, states := d.ask("b", 0, "new"); token != "" || states[0] != "pending" {
		t.Errorf("another owner got %q %v, want pending", token, states)
	}
}

func TestCrossedKeysGiveOneHolder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for range 100 {
			d := newDesk()
			type outcome struct {
				token  string
				states []string
			}
			outcomes := make(chan outcome, 2)
			for _, order := range [][]string{{"x", "y"}, {"y", "x"}} {
				go func() {
					token, states := d.ask(order[0], time.Minute, order...)
					outcomes <- outcome{token, states}
				}()
			}
			first := <-outcomes
			wantStates(t, first.states, "claimed", "claimed")
			synctest.Wait()
			d.put("x")
			synctest.Wait()
			select {
			case o := <-outcomes:
				t.Fatalf("the second lookup returned %v while y is still being encoded", o.states)
			default:
			}
			d.put("y")
			wantStates(t, (<-outcomes).states, "hit", "hit")
		}
	})
}

func TestClaimPassesToExactlyOneWaiter(t *testing.T) {
	endings := map[string]func(d *desk, s *Store, token string){
		"given up":    func(d *desk, s *Store, token string) { _ = s.GiveUpClaim("t", token) },
		"PUT failed":  func(d *desk, s *Store, token string) { d.fail(token, named("k")[0]) },
		"TTL expired": func(d *desk, s *Store, token string) { time.Sleep(time.Second) },
	}
	for what, end := range endings {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDesk()
				s := &Store{claims: d.claims}
				token, _ := d.ask("first", 0, "k")
				answers := make(chan string, 8)
				for i := range 8 {
					go func() {
						_, states := d.ask(fmt.Sprint("waiter ", i), time.Minute, "k")
						answers <- states[0]
					}()
				}
				synctest.Wait()
				end(d, s, token)
				synctest.Wait()
				if got := <-answers; got != "claimed" || len(answers) != 0 {
					t.Fatalf("successor got %q and %d more woke up, want exactly one with the claim", got, len(answers))
				}
				d.put("k")
				for range 7 {
					if got := <-answers; got != "hit" {
						t.Errorf("a waiter got %q after the PUT, want hit", got)
					}
				}
			})
		})
	}
}

func TestWaiterWithoutClaimIsPreferred(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk()
		tokens := make(map[string]string)
		for _, key := range []string{"a", "b"} {
			tokens[key], _ = d.ask("holder of "+key, 0, key)
		}
		both := d.join(scopeA, named("a", "b"), &ClaimWish{Owner: "both"})
		onlyB := d.join(scopeA, named("b"), &ClaimWish{Owner: "only b"})
		d.fail(tokens["a"], named("a")[0]) // goes to "both", the only one who waits for it
		d.fail(tokens["b"], named("b")[0]) // "both" waits longer, but holds a claim by now
		if len(both.granted) != 1 || len(onlyB.granted) != 1 {
			t.Errorf("granted %d and %d keys, want one each", len(both.granted), len(onlyB.granted))
		}
	})
}

func TestClaimTTLStartsWhenTheAnswerIsSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk()
		w := d.join(scopeA, named("k"), &ClaimWish{Owner: "slow network", TTL: time.Second})
		d.leave(w, named("k"))
		time.Sleep(10 * time.Second) // the answer is on its way
		d.sent(w)
		time.Sleep(time.Second - 1)
		if _, pending := d.pending(named("k")[0]); !pending {
			t.Error("the claim ended before its TTL")
		}
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		if _, pending := d.pending(named("k")[0]); pending {
			t.Error("the claim outlived its TTL")
		}
	})
}

func TestLostAnswerGivesBackOnlyWhatItGranted(t *testing.T) {
	d := newDesk()
	kept, _ := d.ask("a", 0, "old")
	w := d.join(scopeA, named("old", "new"), &ClaimWish{Owner: "a"})
	d.leave(w, named("old", "new"))
	d.unsent(w)
	if token, states := d.ask("b", 0, "old", "new"); token == "" || !slices.Equal(states, []string{"pending", "claimed"}) {
		t.Errorf("after the lost answer another owner got %v, want [pending claimed]", states)
	}
	if token, _ := d.ask("a", 0, "old"); token != kept {
		t.Errorf("the owner's earlier claim is %q, want %q", token, kept)
	}
}

func TestAskingAgainDoesNotShortenAClaim(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk()
		w := d.join(scopeA, named("k"), &ClaimWish{Owner: "a", TTL: time.Minute})
		d.leave(w, named("k"))
		d.sent(w)
		d.ask("a", 0, "k", "other") // asks for a second
		time.Sleep(30 * time.Second)
		if _, pending := d.pending(named("k")[0]); !pending {
			t.Error("the claim ended before the TTL that it was given first")
		}
	})
}

// Two lookups of one owner wait; each is handed one key. Both answers must name a claim that still lives.
func TestEveryClaimHandedOverIsTold(t *testing.T) {
	d := newDesk()
	s := &Store{claims: d.claims}
	holder := d.join(scopeA, named("x", "y"), &ClaimWish{Owner: "holder"})
	d.leave(holder, named("x", "y"))
	first := d.join(scopeA, named("x", "y"), &ClaimWish{Owner: "a"})
	d.fail(holder.token, named("x")[0])
	second := d.join(scopeA, named("z", "y"), &ClaimWish{Owner: "b"})
	third := d.join(scopeA, named("y"), &ClaimWish{Owner: "a"})
	d.fail(holder.token, named("y")[0])
	for _, w := range []*waiter{first, second, third} {
		token, _ := d.leave(w, named("x", "y", "z"))
		if token == "" {
			continue
		}
		if err := s.RenewClaim("t", token, time.Minute); err != nil {
			t.Errorf("an answer names a claim that is gone: %v", err)
		}
	}
	for _, k := range d.keys {
		if k.holder != nil && len(k.holder.ids) == 0 {
			t.Error("a claim without keys is held")
		}
	}
}

func TestClaimsOfOneOwnerBecomeOne(t *testing.T) {
	d := newDesk()
	s := &Store{claims: d.claims}
	tokenX, _ := d.ask("a", 0, "x")
	tokenY, _ := d.ask("a", 0, "y")
	if tokenX == tokenY {
		t.Fatal("lookups of different keys share a token before anything ties them together")
	}
	_, states := d.ask("a", 0, "x", "y", "z")
	wantStates(t, states, "claimed", "claimed", "claimed")
	if err := s.RenewClaim("t", tokenY, time.Minute); err != nil {
		t.Errorf("renew by the second token: %v", err)
	}
	if err := s.GiveUpClaim("t", tokenX); err != nil {
		t.Errorf("give up by the first token: %v", err)
	}
	if err := s.GiveUpClaim("t", tokenY); err != ErrNoClaim {
		t.Errorf("give up twice: %v, want ErrNoClaim", err)
	}
	_, states = d.ask("b", 0, "x", "y", "z")
	wantStates(t, states, "claimed", "claimed", "claimed")
}

func TestClaimBelongsToItsTenant(t *testing.T) {
	d := newDesk()
	s := &Store{claims: d.claims}
	token, _ := d.ask("a", 0, "k")
	if err := s.GiveUpClaim("another tenant", token); err != ErrNoClaim {
		t.Errorf("give up by another tenant: %v, want ErrNoClaim", err)
	}
}

func TestRaisedEpochEndsClaims(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk()
		d.ask("a", 0, "k")
		woken := make(chan []string)
		go func() {
			_, states := d.ask("b", time.Minute, "k")
			woken <- states
		}()
		synctest.Wait()
		d.purge(scopeA)
		wantStates(t, <-woken, "miss")
	})
}

func TestClaimEpochIsInTheToken(t *testing.T) {
	for _, epoch := range []uint64{0, 7, 1<<64 - 1} {
		if got, err := ClaimEpoch(newToken(epoch)); err != nil || got != epoch {
			t.Errorf("ClaimEpoch of a token of epoch %d: %d, %v", epoch, got, err)
		}
	}
	for _, token := range []string{"", "abc", "abc-", "abc--1", "abc-x"} {
		if _, err := ClaimEpoch(token); err == nil {
			t.Errorf("ClaimEpoch(%q) succeeded", token)
		}
	}
}

// TestClaimsModel drives the table with random steps and checks after each that no key has two holders,
// no free key has a waiter who wants it, and nothing is remembered about keys that nobody cares for.
func TestClaimsModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := newDesk()
		s := &Store{claims: d.claims}
		keys := []string{"a", "b", "c", "d"}
		var waiting []*waiter
		var tokens []string
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			key := rapid.SampledFrom(keys).Draw(t, "key")
			switch rapid.SampledFrom([]string{"ask", "wait", "put", "lose", "give up", "fail", "leave", "unsent", "purge"}).Draw(t, "step") {
			case "ask":
				owner := rapid.SampledFrom([]string{"p", "q"}).Draw(t, "owner")
				some := rapid.SliceOfN(rapid.SampledFrom(keys), 1, 4).Draw(t, "keys")
				if token, _ := d.ask(owner, 0, some...); token != "" {
					tokens = append(tokens, token)
				}
			case "wait":
				owner := rapid.SampledFrom([]string{"p", "q", "r", "s"}).Draw(t, "owner")
				some := rapid.SliceOfN(rapid.SampledFrom(keys), 1, 4).Draw(t, "keys")
				waiting = append(waiting, d.join(scopeA, named(some...), &ClaimWish{Owner: owner}))
			case "put":
				d.put(key)
			case "lose":
				delete(d.stored, named(key)[0])
			case "give up", "fail":
				if len(tokens) > 0 {
					token := rapid.SampledFrom(tokens).Draw(t, "token")
					if rapid.Bool().Draw(t, "whole claim") {
						_ = s.GiveUpClaim("t", token)
					} else {
						d.fail(token, named(key)[0])
					}
				}
			case "leave", "unsent":
				if len(waiting) > 0 {
					w := waiting[0]
					waiting = waiting[1:]
					d.leave(w, named(keys...))
					if rapid.Bool().Draw(t, "answer lost") {
						d.unsent(w)
					}
				}
			case "purge":
				d.purge(scopeA)
			}
			d.check(t)
		}
		for _, w := range waiting {
			d.leave(w, named(keys...))
			d.unsent(w)
		}
		d.purge(scopeA)
		if len(d.keys) != 0 || len(d.byToken) != 0 || d.held != 0 {
			t.Fatalf("left over: %d keys, %d tokens, %d held", len(d.keys), len(d.byToken), d.held)
		}
	})
}

func (d *desk) check(t *rapid.T) {
	held := 0
	for id, k := range d.keys {
		if k.holder == nil && len(k.waiters) == 0 {
			t.Fatalf("key %s is remembered for nobody", id)
		}
		if k.holder != nil {
			held++
			if _, ok := k.holder.ids[id]; !ok {
				t.Fatalf("the holder of %s does not know it", id)
			}
		}
		for _, w := range k.waiters {
			if !w.pending[id] {
				t.Fatalf("a waiter of %s does not wait for it", id)
			}
			if k.holder == nil && w.claims {
				t.Fatalf("key %s is free while somebody waits to claim it", id)
			}
		}
	}
	if held != d.held {
		t.Fatalf("%d keys have holders, counted are %d", held, d.held)
	}
	for token, cl := range d.byToken {
		if len(cl.ids) == 0 || !slices.Contains(cl.tokens, token) {
			t.Fatalf("token of a claim on %d keys with tokens %v", len(cl.ids), cl.tokens)
		}
		for id := range cl.ids {
			if d.keys[id].holder != cl {
				t.Fatalf("a claim lists %s, whose holder is another", id)
			}
		}
	}
}
