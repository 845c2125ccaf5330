package api

import (
	"strings"
	"time"
)

// MaxKeys bounds the keys of one lookup or fetch.
const MaxKeys = 256

// A State says what a lookup or a fetch found out about one key.
type State string

const (
	Hit     State = "hit"
	Missing State = "miss"
	Claimed State = "claimed" // missing, and the caller is the one who encodes it
	Pending State = "pending" // missing, and another caller encodes it
)

// A Promotion names the tier that a lookup asks hits to be brought to.
type Promotion string

const (
	PromoteHost Promotion = "host"
	PromoteGPU  Promotion = "gpu" // host, where there is no GPU tier
)

// A LookupRequest is one question about many keys.
type LookupRequest struct {
	Keys    []string      `json:"keys"`
	Claim   *ClaimRequest `json:"claim,omitempty"`
	WaitMS  int64         `json:"wait_ms,omitempty"` // how long to wait for what others encode
	PinMS   int64         `json:"pin_ms,omitempty"`  // how long the hits are to stay readable; 0: no pin
	Promote Promotion     `json:"promote,omitempty"`
	Expect  []*Expect     `json:"expect,omitempty"` // empty, or one for each key, nil for none
}

// Wait returns how long the lookup waits for what others encode.
func (r *LookupRequest) Wait() time.Duration { return time.Duration(r.WaitMS) * time.Millisecond }

// Pin returns how long the hits are to stay readable.
func (r *LookupRequest) Pin() time.Duration { return time.Duration(r.PinMS) * time.Millisecond }

// Validate reports what is wrong with the request as an *Error.
func (r *LookupRequest) Validate() error {
	for _, err := range []error{
		validateKeys(r.Keys, r.Expect),
		validateMS("wait_ms", r.WaitMS, MaxWait),
		validateMS("pin_ms", r.PinMS, MaxPin),
	} {
		if err != nil {
			return err
		}
	}
	if r.Promote != "" && r.Promote != PromoteHost && r.Promote != PromoteGPU {
		return errorf(InvalidJSON, "promote must be %s or %s", PromoteHost, PromoteGPU)
	}
	return r.Claim.validate()
}

func validateMS(field string, ms int64, limit time.Duration) error {
	if ms < 0 || ms > limit.Milliseconds() {
		return errorf(InvalidJSON, "%s must be from 0 to %d", field, limit.Milliseconds())
	}
	return nil
}

func validateKeys(keys []string, expect []*Expect) error {
	if len(keys) == 0 || len(keys) > MaxKeys {
		return errorf(InvalidJSON, "there must be 1 to %d keys", MaxKeys)
	}
	if len(expect) != 0 && len(expect) != len(keys) {
		return errorf(InvalidJSON, "expect must have one entry for each key")
	}
	for _, key := range keys {
		// encoding/json puts U+FFFD in the place of what is not UTF-8 or half a surrogate pair; such a key
		// cannot be told from another one with the same damage.
		if err := ValidateKey(key); err != nil || strings.Contains(key, "\uFFFD") {
			return errorf(InvalidKey, "a key must be 1 to %d bytes of UTF-8 without control characters", MaxKeyLen)
		}
	}
	for _, e := range expect {
		if err := e.validate(InvalidJSON); err != nil {
			return err
		}
	}
	return nil
}

// A LookupResult is what a lookup says of one key.
type LookupResult struct {
	State State `json:"state"`
	Code  Code  `json:"code,omitempty"` // why it is a miss, if there is more to say than that it is not there
	Tensor
	Tier    string `json:"tier,omitempty"`     // of a hit
	RetryMS int64  `json:"retry_ms,omitempty"` // of a pending one: when to ask again at the latest
}

// A LookupResponse answers a lookup, one result for each key in the order of the request.
type LookupResponse struct {
	Epoch   uint64         `json:"epoch"`
	Claim   *string        `json:"claim"` // covers all claimed keys; null when none is
	Pin     *string        `json:"pin"`   // covers all hits; null when none was asked for or the quota is used up
	Results []LookupResult `json:"results"`
}

// Validate reports a response that does not keep the contract.
func (r *LookupResponse) Validate() error {
	for _, token := range []*string{r.Claim, r.Pin} {
		if token != nil && !ValidToken(*token) {
			return errorf(InvalidJSON, "a token is not valid")
		}
	}
	for _, result := range r.Results {
		if err := result.validate(); err != nil {
			return err
		}
		if result.State == Claimed && r.Claim == nil {
			return errorf(InvalidJSON, "a key is claimed and there is no claim")
		}
	}
	return nil
}

func (r LookupResult) validate() error {
	switch r.State {
	case Hit:
		return r.Tensor.Validate()
	case Missing, Claimed, Pending:
		return nil
	}
	return errorf(InvalidJSON, "a state is unknown")
}
