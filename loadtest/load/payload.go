package load

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"

	"github.com/zeebo/xxh3"
)

const (
	// tagLen is how many bytes at the front of a value tell whose it is.
	tagLen = 16
	// offsets is how many places of the random bytes a value may begin at, in steps of a word: values of two keys
	// differ in nearly every byte.
	offsets = 1 << 17
	// MinValue is the smallest value in bytes: its tag.
	MinValue = tagLen
)

// Payloads are the values of all keys: a tag that is the hash of seed and key, then a stretch of random bytes
// whose place the hash decides. So a value costs nothing to make, and checking it costs one pass over its bytes.
type Payloads struct {
	seed   uint64
	random []byte
}

// NewPayloads makes the values of one seed, the largest of which has that many bytes.
func NewPayloads(seed uint64, largest int64) *Payloads {
	random := make([]byte, largest+8*offsets)
	var key [32]byte
	binary.LittleEndian.PutUint64(key[:], seed)
	_, _ = rand.NewChaCha8(key).Read(random) // never fails
	return &Payloads{seed: seed, random: random}
}

// A Value is what is stored under a key, in two parts that are written one after the other.
type Value struct {
	Key   string
	DType string // empty: bytes without a shape
	Shape []int64
	tag   [tagLen]byte
	rest  []byte
}

// Size returns the bytes of the value.
func (v *Value) Size() int64 { return int64(len(v.tag) + len(v.rest)) }

// Value returns the value of an item.
func (p *Payloads) Value(i Item) Value {
	sum := xxh3.HashString128Seed(i.Key, p.seed)
	at := int64(sum.Lo % offsets * 8)
	return Value{Key: i.Key, DType: i.DType, Shape: i.Shape, tag: sum.Bytes(), rest: p.random[at : at+i.Size-tagLen]}
}

// Bytes appends the value to b.
func (v *Value) Bytes(b []byte) []byte { return append(append(b, v.tag[:]...), v.rest...) }

// Check compares what came with what was stored. With all it looks at every byte, else at the tag, the end
// and one page in the middle.
func (v *Value) Check(got []byte, all bool) error {
	if int64(len(got)) != v.Size() {
		return fmt.Errorf("key %q: %d bytes came instead of %d", v.Key, len(got), v.Size())
	}
	if !bytes.Equal(got[:tagLen], v.tag[:]) {
		return fmt.Errorf("key %q: the value of another key came", v.Key)
	}
	got = got[tagLen:]
	if all {
		return v.compare(got, 0, len(got))
	}
	const page = 4096
	middle := int(binary.LittleEndian.Uint64(v.tag[:]) % uint64(len(got)+1))
	for _, from := range []int{middle, len(got) - page} {
		from = max(from, 0)
		if err := v.compare(got, from, min(from+page, len(got))); err != nil {
			return err
		}
	}
	return nil
}

func (v *Value) compare(got []byte, from, to int) error {
	if bytes.Equal(got[from:to], v.rest[from:to]) {
		return nil
	}
	for i := from; ; i++ {
		if got[i] != v.rest[i] {
			return fmt.Errorf("key %q: byte %d of %d is wrong", v.Key, i+tagLen, v.Size())
		}
	}
}
