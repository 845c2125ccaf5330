package server

import (
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
	"errors"
	"hash"
	"io"
	"net"
	"net/http"
	"os"

	"github.com/keepsight/keepsight/api"
	"github.com/keepsight/keepsight/tiers"
)

// An upload is one PUT: what its headers promise, and what the body turns out to be.
type upload struct {
	s       *Server
	c       *call
	header  api.PutHeader
	name    tiers.Name
	size    int64 // of the tensor's bytes
	meta    tiers.Meta
	body    io.Reader
	digests []digest
}

// A digest is made of the body while it arrives, for comparison with what the client stated.
type digest struct {
	hash.Hash
	want []byte
}

// put stores an embedding. Everything that can refuse it without the body does so before the body is asked
// for, and memory is reserved before a byte of it is read.
func (s *Server) put(c *call) error {
	err := s.receive(c)
	if claim := c.r.Header.Get(api.HeaderClaim); err != nil && claim != "" {
		s.store.PassOn(c.name(s.store), claim)
	}
	return err
}

func (s *Server) receive(c *call) error {
	u, err := s.upload(c)
	if err != nil {
		return err
	}
	outcome, err := u.store()
	if err != nil {
		return err
	}
	u.answer(outcome)
	return nil
}

// upload parses what the request says beside its body.
func (s *Server) upload(c *call) (*upload, error) {
	u := &upload{s: s, c: c, body: s.paced(c)}
	var err error
	if u.header, err = api.ParsePutHeader(c.r.Header); err != nil {
		return nil, err
	}
	u.name = c.name(s.store)
	u.meta = tiers.Meta{
		DType: u.header.DType,
		Shape: u.header.Shape,
		Extra: u.header.Meta,
		Cost:  u.header.Cost,
		TTL:   u.header.TTL,
	}
	if sum := u.header.Digests.SHA256; sum != nil {
		u.digests = append(u.digests, digest{sha256.New(), sum[:]})
	}
	if sum := u.header.Digests.SHA512; sum != nil {
		u.digests = append(u.digests, digest{sha512.New(), sum[:]})
	}
	return u, nil
}

// store runs the checks in their order and receives the body.
func (u *upload) store() (tiers.Outcome, error) {
	s := u.s
	if s.refusing.Load() {
		return 0, errDraining
	}
	if u.durable() && s.config.DiskBytes == 0 {
		return 0, tiers.ErrNotDurable
	}
	if err := u.checkLength(); err != nil {
		return 0, err
	}
	if err := u.checkEpoch(); err != nil {
		return 0, err
	}
	if done, err := u.checkExisting(); done || err != nil {
		return tiers.Existing, err
	}
	if u.header.Safetensors {
		if err := u.readSafetensors(); err != nil {
			return 0, err
		}
	}
	draft, err := s.store.Begin(u.c.ctx(), u.name, u.size, u.header.Claim)
	if err != nil {
		return 0, err
	}
	defer draft.Abort()
	tees := make([]io.Writer, len(u.digests))
	for i, d := range u.digests {
		tees[i] = d
	}
	if err := draft.Fill(u.body, tees...); err != nil {
		return 0, bodyError(err)
	}
	s.metrics.received.Add(float64(u.size))
	for _, d := range u.digests {
		if !bytes.Equal(d.Sum(nil), d.want) {
			return 0, refusal(api.DigestMismatch)
		}
	}
	outcome, err := draft.Commit(u.c.ctx(), u.meta, u.durable())
	return outcome, u.precondition(outcome, err)
}

// durable reports whether the client waits for the embedding to be on disk.
func (u *upload) durable() bool { return u.header.Durability == api.DurabilityDisk }

// checkLength compares the announced length with dtype and shape, before any memory is spent on it.
func (u *upload) checkLength() error {
	length := u.c.r.ContentLength
	switch {
	case length < 0 || u.c.r.Header.Get("Content-Length") == "":
		return refusal(api.LengthRequired)
	case length == 0:
		return &api.Error{Code: api.InvalidTensor, Detail: "an embedding has at least one byte"}
	}
	u.size = length
	if u.header.Safetensors {
		// The least that its tensors can take; the rest is known once its header is.
		u.size = max(1, length-api.SafetensorsPrefixLen-api.MaxSafetensorsHeader)
	}
	if u.size > u.s.store.MaxObjectBytes() {
		return tiers.ErrTooLarge
	}
	if u.header.Safetensors {
		return nil
	}
	if u.meta.DType == "" {
		u.meta.DType, u.meta.Shape = "U8", []int64{length}
	}
	return api.Tensor{Size: length, DType: u.meta.DType, Shape: u.meta.Shape}.Validate()
}

// checkEpoch names the epoch that the client encoded for, if it says so or its claim does. Store compares it
// with the current one, here and again when the embedding is published.
func (u *upload) checkEpoch() error {
	current := u.name.Epoch
	if u.header.Epoch != nil {
		u.name.Epoch = *u.header.Epoch
	}
	if u.header.Claim != "" {
		epoch, err := tiers.ClaimEpoch(u.header.Claim)
		if err != nil {
			return &api.Error{Code: api.InvalidHeader, Detail: api.HeaderClaim + " is not a claim"}
		}
		if u.header.Epoch == nil {
			u.name.Epoch = epoch
		} else if epoch != u.name.Epoch {
			return tiers.ErrStaleEpoch // at least one of the two is not current
		}
	}
	if u.name.Epoch != current {
		return tiers.ErrStaleEpoch
	}
	return u.s.store.Admissible(u.name, u.size)
}

// checkExisting answers for a key that is stored already without its body being sent, if the client waits to
// be asked for it. done means that there is nothing left to do.
func (u *upload) checkExisting() (done bool, err error) {
	expects := u.c.r.Header.Get("Expect") != ""
	if !expects && !u.header.IfAbsent {
		return false, nil
	}
	entry, err := u.s.store.Stat(u.c.ctx(), u.name)
	if err != nil {
		return false, nil // a miss, whatever its reason: the PUT goes on
	}
	switch {
	case u.header.IfAbsent:
		return false, refusal(api.AlreadyExists)
	case u.header.Safetensors:
		return false, nil // dtype and shape are in the body
	case !entry.Meta.Compatible(u.meta):
		u.s.metrics.incompatible.Add(1)
		return false, tiers.ErrExistsIncompatible
	case u.durable() && !u.s.store.OnDisk(u.c.ctx(), u.name):
		return false, nil // only the whole way down brings it there
	}
	return true, nil
}

// readSafetensors reads the header of the file, which says what the tensor is. What follows is its bytes.
func (u *upload) readSafetensors() error {
	length := u.c.r.ContentLength
	var prefix [api.SafetensorsPrefixLen]byte
	if length <= int64(len(prefix)) {
		return &api.Error{Code: api.InvalidTensor, Detail: "the body is shorter than a safetensors file"}
	}
	if err := u.read(prefix[:]); err != nil {
		return err
	}
	n, err := api.SafetensorsHeaderLen(prefix, length)
	if err != nil {
		return err
	}
	header := make([]byte, n)
	if err := u.read(header); err != nil {
		return err
	}
	u.size = length - int64(len(prefix)) - int64(n)
	t, err := api.ParseSafetensors(header, u.size)
	if err != nil {
		return err
	}
	u.meta.DType, u.meta.Shape, u.meta.Safetensors = t.DType, t.Shape, header
	if u.meta.Extra == nil {
		u.meta.Extra = t.Meta
	}
	return nil
}

// read fills p from the body, past the digests.
func (u *upload) read(p []byte) error {
	if _, err := io.ReadFull(u.body, p); err != nil {
		return bodyError(err)
	}
	for _, d := range u.digests {
		_, _ = d.Write(p) // never fails
	}
	return nil
}

// bodyError tells a body that is too slow from one that ended early, by whatever the connection died of.
func bodyError(err error) error {
	var network net.Error
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return refusal(api.BodyTooSlow)
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF), errors.As(err, &network):
		return refusal(api.TruncatedBody)
	}
	return err
}

// precondition refuses what was stored by another while the body came, if the client asked for that.
func (u *upload) precondition(outcome tiers.Outcome, err error) error {
	exists := errors.Is(err, tiers.ErrExistsDifferent) || errors.Is(err, tiers.ErrExistsIncompatible) ||
		err == nil && outcome == tiers.Existing
	if u.header.IfAbsent && exists {
		return refusal(api.AlreadyExists)
	}
	return err
}

func (u *upload) answer(outcome tiers.Outcome) {
	status, stored := http.StatusCreated, api.StoredCreated
	if outcome == tiers.Existing {
		status, stored = http.StatusOK, api.StoredExisting
	}
	h := u.c.w.Header()
	h.Set(api.HeaderStored, string(stored))
	h.Set(api.HeaderEpoch, api.FormatEpoch(u.name.Epoch))
	h.Set("Content-Length", "0")
	u.c.w.WriteHeader(status)
}
