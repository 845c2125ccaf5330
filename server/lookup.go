package server

import (
	"net/http"
	"strconv"

	"github.com/keepsight/keepsight/api"
	"github.com/keepsight/keepsight/tiers"
)

// lookup answers one question about many keys.
func (s *Server) lookup(c *call) error {
	var req api.LookupRequest
	if err := c.decode(s, &req); err != nil {
		return err
	}
	l := tiers.Lookup{
		Tenant:    c.who.tenant,
		Namespace: c.path.Namespace,
		Keys:      req.Keys,
		Expect:    expectations(req.Expect),
		Wait:      req.Wait(),
		Pin:       req.Pin(),
		Promote:   req.Promote != "",
	}
	if req.Claim != nil {
		// A claim keeps others from encoding, which only who may store the result has a reason for.
		if err := c.who.check(verbWrite, c.path.Namespace); err != nil {
			return err
		}
		if s.refusing.Load() {
			return errDraining
		}
		l.Claim = &tiers.ClaimWish{Owner: req.Claim.Owner, TTL: req.Claim.TTL()}
	}
	ctx, stop := c.ctx(), func() {}
	if l.Wait > 0 {
		ctx, stop = c.attend()
	}
	answer, err := s.store.Lookup(ctx, l)
	stop()
	if err != nil {
		return err
	}
	err = s.sendAnswer(c, answer)
	answer.Sent(err)
	return err
}

// sendAnswer writes the answer and, when a claim or a pin depends on its arrival, waits until the connection
// has taken it. A meta of 8 KiB for each key makes two megabytes of answer.
func (s *Server) sendAnswer(c *call, answer *tiers.Answer) error {
	if err := c.charge(s, answerBytes(answer)); err != nil {
		return err
	}
	buf := s.buffers.Get().(*[]byte)
	defer s.recycle(buf)
	*buf = appendLookup((*buf)[:0], answer)
	if err := c.send(http.StatusOK, api.MediaJSON, *buf); err != nil {
		return err
	}
	if answer.Claim == "" && answer.Pin == "" {
		return nil
	}
	return sent(c.w.flush())
}

// answerBytes returns what the answer takes at most.
func answerBytes(a *tiers.Answer) (n int64) {
	const words, number = 128, 20 // the text around a result's values, and the longest of the numbers in it
	for i := range a.Results {
		meta := &a.Results[i].Meta
		n += words + 2*number + int64(len(meta.DType)+number*len(meta.Shape)+len(meta.Extra))
	}
	return n + words + int64(len(a.Claim)+len(a.Pin)) + number
}

func expectations(list []*api.Expect) []tiers.Expect {
	if len(list) == 0 {
		return nil
	}
	expect := make([]tiers.Expect, len(list))
	for i, e := range list {
		if e != nil {
			expect[i] = tiers.Expect{Size: e.Size, DType: e.DType, Shape: e.Shape}
		}
	}
	return expect
}

// appendLookup appends the answer as an api.LookupResponse in JSON. It is written by hand because an engine
// waits for it on its way to the first token: 64 hits take encoding/json five times as long. Every string in
// it is known to need no escaping: tokens, dtypes, tiers and codes are letters and digits, and a meta was
// valid JSON in ASCII when it was stored.
func appendLookup(b []byte, a *tiers.Answer) []byte {
	b = append(b, `{"epoch":`...)
	b = strconv.AppendUint(b, a.Epoch, 10)
	b = appendToken(append(b, `,"claim":`...), a.Claim)
	b = appendToken(append(b, `,"pin":`...), a.Pin)
	b = append(b, `,"results":[`...)
	for i := range a.Results {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendResult(b, &a.Results[i])
	}
	return append(b, ']', '}')
}

func appendToken(b []byte, token string) []byte {
	if token == "" {
		return append(b, "null"...)
	}
	return appendString(b, token)
}

func appendString(b []byte, s string) []byte {
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}

func appendResult(b []byte, r *tiers.Result) []byte {
	b = appendString(append(b, `{"state":`...), string(r.State))
	switch {
	case r.State == tiers.StateHit:
		b = appendEntry(b, &r.Entry)
	case r.Mismatch:
		b = appendString(append(b, `,"code":`...), string(api.ContractMismatch))
	}
	if ms := r.Retry.Milliseconds(); ms > 0 {
		b = strconv.AppendInt(append(b, `,"retry_ms":`...), ms, 10)
	}
	return append(b, '}')
}

func appendEntry(b []byte, e *tiers.Entry) []byte {
	b = strconv.AppendInt(append(b, `,"size":`...), e.Meta.Size, 10)
	b = appendString(append(b, `,"dtype":`...), e.Meta.DType)
	b = append(b, `,"shape":[`...)
	for i, dim := range e.Meta.Shape {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(b, dim, 10)
	}
	b = append(b, ']')
	if len(e.Meta.Extra) > 0 {
		b = append(append(b, `,"meta":`...), e.Meta.Extra...)
	}
	return appendString(append(b, `,"tier":`...), e.Tier)
}
