package tiers

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	// DefaultClaimTTL suits an encoder that starts at once; owners that queue first ask for more.
	DefaultClaimTTL = 2 * time.Second
	// MaxClaimTTL bounds how long a dead owner can make others wait.
	MaxClaimTTL = 10 * time.Minute
	// MaxOwnerLen bounds a claim's owner in bytes.
	MaxOwnerLen = 256

	// deliveryGrace is how long a granted claim waits for its answer to be written to the client: its TTL
	// starts there. It bounds what a connection that hangs in the middle of its answer can hold up.
	deliveryGrace = 30 * time.Second
	// maxClaimedKeys bounds the table, to about 32 MiB; beyond it a miss is answered as a plain miss.
	maxClaimedKeys = 1 << 16
)

// claims is the table of who may encode what: single flight across engines.
//
// One mutex guards all of it, so all claims of a lookup are granted in one step and two lookups of the
// same keys in opposite order cannot each take one and wait for the other's. A lookup that obtained any
// claim does not wait at all, so nobody who holds a claim ever waits for another's.
//
// Claims are never a lock on correctness: anybody may PUT without one, and a PUT by anybody ends the
// claim on its key.
type claims struct {
	mu      sync.Mutex
	keys    map[ID]*claimedKey // keys that somebody claims or waits for
	byToken map[string]*claim
	held    int // keys with a holder
	present func(ID) bool
}

// A claimOwner is who asked, within the scope asked about: the same owner asking again gets its own
// claim back, so an answer lost on the way orphans nothing.
type claimOwner struct {
	scope Scope
	owner string
}

// A claim is one owner's right to encode some keys, under one deadline. It has one token for each lookup
// that made it, usually one: when a lookup finds several claims of its owner, they become one.
type claim struct {
	owner   claimOwner
	tokens  []string
	ids     map[ID]struct{}
	expiry  *time.Timer
	expires time.Time

	delivered bool // some answer has told of it: from then on asking again only lengthens it
}

// A claimedKey is in the table while it has a holder or waiters.
type claimedKey struct {
	holder  *claim // nil: only waited for
	waiters []*waiter
}

// A ClaimWish is what a lookup says about claiming what is missing.
type ClaimWish struct {
	Owner string        // who asks: the same owner gets the same claim again
	TTL   time.Duration // zero: DefaultClaimTTL
}

// Validate reports what is wrong with the wish, wrapping ErrInvalid.
func (w ClaimWish) Validate() error {
	if w.Owner == "" || len(w.Owner) > MaxOwnerLen {
		return fmt.Errorf("%w: owner has %d bytes, allowed are 1 to %d", ErrInvalid, len(w.Owner), MaxOwnerLen)
	}
	if w.TTL < 0 || w.TTL > MaxClaimTTL {
		return fmt.Errorf("%w: claim TTL must be at most %s", ErrInvalid, MaxClaimTTL)
	}
	return nil
}

// A waiter is one lookup, or one GET, that waits for keys. The table's mutex guards what is not fixed by join.
type waiter struct {
	owner   claimOwner
	ttl     time.Duration
	claims  bool          // whether it would take a claim
	parked  bool          // whether there is anything to wait for; fixed by join, as all above
	token   string        // of the claim it obtained, at once or handed over
	granted []ID          // keys that this lookup added to the claim
	pending map[ID]bool   // keys it still waits for
	wake    chan struct{} // holds a token once there is something to answer
}

func newClaims(present func(ID) bool) *claims {
	return &claims{
		keys:    make(map[ID]*claimedKey),
		byToken: make(map[string]*claim),
		present: present,
	}
}

// join looks at ids that were missing a moment ago. Whatever is free becomes the owner's claim if it
// wants one. If it obtained none, it is registered to wait for what others hold, and when it claims
// nothing, for what is merely missing. The caller must leave.
//
// A PUT publishes its embedding before it takes this mutex to wake waiters, and join looks for the
// embedding once more while holding it: either join sees the embedding or the PUT sees the waiter.
func (c *claims) join(scope Scope, ids []ID, wish *ClaimWish) *waiter {
	w := &waiter{pending: make(map[ID]bool), wake: make(chan struct{}, 1)}
	if wish != nil {
		w.claims = true
		w.owner = claimOwner{scope, wish.Owner}
		w.ttl = wish.TTL
		if w.ttl == 0 {
			w.ttl = DefaultClaimTTL
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, id := range ids {
		if c.present(id) {
			continue
		}
		k := c.keys[id]
		switch {
		case k != nil && k.holder != nil && w.claims && k.holder.owner == w.owner:
			c.adopt(w, k.holder)
		case k != nil && k.holder != nil:
			w.pending[id] = true
		case w.claims && c.held < maxClaimedKeys:
			c.grant(w, id)
		case !w.claims:
			w.pending[id] = true
		}
	}
	if w.token != "" {
		return w
	}
	for id := range w.pending {
		k := c.key(id)
		k.waiters = append(k.waiters, w)
		w.parked = true
	}
	return w
}

func (c *claims) key(id ID) *claimedKey {
	k := c.keys[id]
	if k == nil {
		k = new(claimedKey)
		c.keys[id] = k
	}
	return k
}

// grant gives the id to the waiter, under the claim that it has already if it has one.
func (c *claims) grant(w *waiter, id ID) {
	cl := c.byToken[w.token]
	if cl == nil { // none yet, or it has ended meanwhile
		w.token = c.open(w)
		cl = c.byToken[w.token]
	}
	c.key(id).holder = cl
	c.held++
	cl.ids[id] = struct{}{}
	w.granted = append(w.granted, id)
}

func (c *claims) open(w *waiter) (token string) {
	token = newToken(w.owner.scope.Epoch)
	grace := w.ttl + deliveryGrace
	cl := &claim{owner: w.owner, tokens: []string{token}, ids: make(map[ID]struct{}), expires: time.Now().Add(grace)}
	cl.expiry = time.AfterFunc(grace, func() { c.expire(cl) })
	c.byToken[token] = cl
	return token
}

// adopt makes the waiter answer with a claim that its owner holds already.
func (c *claims) adopt(w *waiter, cl *claim) {
	first := c.byToken[w.token]
	if first == nil {
		w.token = cl.tokens[0]
		return
	}
	if first == cl {
		return
	}
	for id := range cl.ids {
		c.keys[id].holder = first
		first.ids[id] = struct{}{}
	}
	for _, token := range cl.tokens {
		c.byToken[token] = first
	}
	first.tokens = append(first.tokens, cl.tokens...)
	cl.expiry.Stop()
	clear(cl.ids) // its timer may have fired already: let it find nothing
}

// newToken makes an unguessable token. It ends in the epoch, so that a PUT that comes after its claim
// has expired still says which weights it was encoded with.
func newToken(epoch uint64) string {
	var random [16]byte
	rand.Read(random[:]) // never fails
	return hex.EncodeToString(random[:]) + "-" + strconv.FormatUint(epoch, 10)
}

// ClaimEpoch returns the epoch that a claim's token implies, whether or not the claim still lives.
func ClaimEpoch(token string) (uint64, error) {
	_, epoch, found := strings.Cut(token, "-")
	n, err := strconv.ParseUint(epoch, 10, 64)
	if !found || err != nil {
		return 0, fmt.Errorf("%w: malformed claim token", ErrInvalid)
	}
	return n, nil
}

// A standing is what one key of a lookup came to.
type standing struct {
	claimed bool          // by this lookup's owner
	pending bool          // claimed by another
	retry   time.Duration // until the other's claim expires
}

// leave ends the wait and returns the claim's token, if any, and how each id stands.
func (c *claims) leave(w *waiter, ids []ID) (token string, standings []standing) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for id := range w.pending {
		if k := c.keys[id]; k != nil {
			k.waiters = remove(k.waiters, w)
			c.forgetIfIdle(id, k)
		}
	}
	claimed := false
	standings = make([]standing, len(ids))
	for i, id := range ids {
		k := c.keys[id]
		switch {
		case k == nil || k.holder == nil:
		case w.claims && k.holder.owner == w.owner:
			standings[i].claimed = true
			claimed = true
			c.adopt(w, k.holder) // while it waited another lookup of its owner may have been given a claim
		default:
			standings[i].pending = true
			standings[i].retry = k.holder.left()
		}
	}
	if claimed {
		token = w.token
	}
	return token, standings
}

// pending reports whether somebody is encoding the id, and until when at most.
func (c *claims) pending(id ID) (retry time.Duration, pending bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if k := c.keys[id]; k != nil && k.holder != nil {
		return k.holder.left(), true
	}
	return 0, false
}

func remove(waiters []*waiter, w *waiter) []*waiter {
	for i := range waiters {
		if waiters[i] == w {
			return append(waiters[:i], waiters[i+1:]...)
		}
	}
	return waiters
}

func (c *claims) forgetIfIdle(id ID, k *claimedKey) {
	if k.holder == nil && len(k.waiters) == 0 {
		delete(c.keys, id)
	}
}

// sent starts the TTL of what the waiter was granted, once its answer is written.
func (c *claims) sent(w *waiter) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if cl := c.byToken[w.token]; cl != nil && (!cl.delivered || cl.left() < w.ttl) {
		cl.delivered = true
		cl.extend(w.ttl)
	}
}

func (cl *claim) left() time.Duration { return max(0, time.Until(cl.expires)) }

func (cl *claim) extend(ttl time.Duration) {
	cl.expires = time.Now().Add(ttl)
	cl.expiry.Reset(ttl)
}

// unsent gives back what this waiter was granted: its client never learned of it.
func (c *claims) unsent(w *waiter) {
	c.mu.Lock()
	defer c.mu.Unlock()
	cl := c.byToken[w.token]
	for _, id := range w.granted {
		if k := c.keys[id]; k != nil && k.holder != nil && k.holder == cl {
			c.handOver(id, k)
		}
	}
}
