package tiertest

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"testing"
	"time"

	"github.com/zeebo/xxh3"

	"github.com/keepsight/keepsight/tiers"
	"github.com/keepsight/keepsight/tiers/arena"
)

// Reserve lends an extent of at least size bytes, as tiers.Host and [FromArena] do.
type Reserve func(ctx context.Context, size int64) (*arena.Extent, error)

// Arena returns an arena that poisons freed extents. When the test ends it fails the test if an extent was
// leaked, so make it before the tier that uses it.
func Arena(t testing.TB, bytes int64) *arena.Arena {
	t.Helper()
	a, err := arena.New(arena.Options{Bytes: bytes, Poison: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.Close(); err != nil {
			t.Errorf("embeddings were leaked: %v", err)
		}
	})
	return a
}

// FromArena reserves from an arena that nobody evicts from.
func FromArena(a *arena.Arena) Reserve {
	return func(_ context.Context, size int64) (*arena.Extent, error) {
		extent, err := a.Alloc(size)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", tiers.ErrNoRoom, err)
		}
		return extent, nil
	}
}

// Name returns a name with that key in a scope that tests share.
func Name(key string) tiers.Name {
	return tiers.Name{Scope: tiers.Scope{Tenant: "default", Namespace: "tiertest", Epoch: 1}, Key: key}
}

// Payload returns the size bytes that an embedding of that name and size holds.
func Payload(name tiers.Name, size int64) []byte {
	payload := make([]byte, size)
	Fill(payload, name)
	return payload
}

// Fill writes the payload that belongs to name and len(dst) into dst: no two names or sizes share it.
func Fill(dst []byte, name tiers.Name) {
	id := name.ID()
	state := xxh3.HashSeed(id[:], uint64(len(dst))) | 1
	word := func() uint64 { // xorshift64: a payload that repeats could hide a block read from the wrong place
		state ^= state << 13
		state ^= state >> 7
		state ^= state << 17
		return state
	}
	for ; len(dst) >= 8; dst = dst[8:] {
		binary.LittleEndian.PutUint64(dst, word())
	}
	var tail [8]byte
	binary.LittleEndian.PutUint64(tail[:], word())
	copy(dst, tail[:])
}

// Meta returns the meta of the embedding of that name and size: a U8 vector with something in every field that
// a tier must keep. It never expires.
func Meta(name tiers.Name, payload []byte) tiers.Meta {
	return tiers.Meta{
		DType: "U8",
		Shape: []int64{int64(len(payload))},
		Size:  int64(len(payload)),
		Extra: fmt.Appendf(nil, `{"key_bytes":%d}`, len(name.Key)),
		Sum:   tiers.Checksum(payload),
		Cost:  85 * time.Millisecond,
	}
}

// New makes the embedding of that name and size; edits change its meta first. The caller owns the one
// reference.
func New(reserve Reserve, name tiers.Name, size int64, edits ...func(*tiers.Meta)) (*tiers.Embedding, error) {
	extent, err := reserve(context.Background(), size)
	if err != nil {
		return nil, err
	}
	payload := extent.Bytes()[:size]
	Fill(payload, name)
	meta := Meta(name, payload)
	for _, edit := range edits {
		edit(&meta)
	}
	return tiers.NewEmbedding(name, meta, extent), nil
}

// Embedding is New for a test that cannot go on without.
func Embedding(t testing.TB, reserve Reserve, name tiers.Name, size int64, edits ...func(*tiers.Meta)) *tiers.Embedding {
	t.Helper()
	e, err := New(reserve, name, size, edits...)
	if err != nil {
		t.Fatalf("make embedding of %d bytes: %v", size, err)
	}
	return e
}

// Expired is an edit: the embedding's time to live has ended.
func Expired(m *tiers.Meta) {
	m.TTL = time.Second
	m.Expires = time.Now().Add(-time.Second)
}

// Check reports whether e holds the payload and the checksum that belong to its name, and the name to its id.
// The caller holds a reference.
func Check(e *tiers.Embedding) error {
	if e.Name.ID() != e.ID {
		return fmt.Errorf("embedding %q carries the id of another name", e.Name.Key)
	}
	if got := tiers.Checksum(e.Bytes()); got != e.Meta.Sum {
		return fmt.Errorf("embedding %q: payload does not match its checksum", e.Name.Key)
	}
	want := Payload(e.Name, e.Meta.Size)
	if !bytes.Equal(e.Bytes(), want) {
		return fmt.Errorf("embedding %q: payload belongs to something else", e.Name.Key)
	}
	if tail := e.Blocks()[e.Meta.Size:]; bytes.Count(tail, []byte{0}) != len(tail) {
		return fmt.Errorf("embedding %q: tail is not zeroed", e.Name.Key)
	}
	return nil
}
