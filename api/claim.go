package api

import "time"

// A ClaimRequest asks for the right to encode what a lookup does not find.
type ClaimRequest struct {
	Owner string `json:"owner"`            // who asks: the same owner gets its own claim back
	TTLMS int64  `json:"ttl_ms,omitempty"` // 0: DefaultClaimTTL
}

// TTL returns how long the claim is to last.
func (c *ClaimRequest) TTL() time.Duration { return claimTTL(c.TTLMS) }

// validate reports what is wrong with the claim, nothing if there is none.
func (c *ClaimRequest) validate() error {
	if c == nil {
		return nil
	}
	if c.Owner == "" || len(c.Owner) > MaxOwnerLen || !printable(c.Owner) {
		return errorf(InvalidJSON, "claim.owner must be 1 to %d bytes without control characters", MaxOwnerLen)
	}
	return validateMS("claim.ttl_ms", c.TTLMS, MaxClaimTTL)
}

func claimTTL(ms int64) time.Duration {
	if ms == 0 {
		return DefaultClaimTTL
	}
	return time.Duration(ms) * time.Millisecond
}

// A RenewRequest asks for a claim to last longer, counted from now.
type RenewRequest struct {
	TTLMS int64 `json:"ttl_ms,omitempty"` // 0: DefaultClaimTTL
}

// TTL returns how long the claim is to last from now.
func (r *RenewRequest) TTL() time.Duration { return claimTTL(r.TTLMS) }

// Validate reports what is wrong with the request as an *Error.
func (r *RenewRequest) Validate() error { return validateMS("ttl_ms", r.TTLMS, MaxClaimTTL) }
