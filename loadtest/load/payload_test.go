package load

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"
)

const drawnLargest = 64 << 10

// drawItem draws a key and a size. Small sizes are where the parts of a value meet.
func drawItem(t *rapid.T) Item {
	return Item{
		Key:  rapid.StringN(1, 64, 200).Draw(t, "key"),
		Size: rapid.OneOf(rapid.Int64Range(MinValue, 3*4096), rapid.Int64Range(MinValue, drawnLargest)).Draw(t, "size"),
	}
}

func valueOf(p *Payloads, i Item) []byte {
	v := p.Value(i)
	return v.Bytes(nil)
}

func TestAValueIsAFunctionOfSeedAndKey(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		seed, item := rapid.Uint64().Draw(t, "seed"), drawItem(t)
		one, other := NewPayloads(seed, drawnLargest), NewPayloads(seed, drawnLargest)
		got := valueOf(one, item)
		if int64(len(got)) != item.Size {
			t.Fatalf("a value of %d bytes has %d", item.Size, len(got))
		}
		if !bytes.Equal(got, valueOf(other, item)) {
			t.Fatal("the same seed and key make two values")
		}
		v := other.Value(item)
		for _, all := range []bool{true, false} {
			if err := v.Check(got, all); err != nil {
				t.Fatalf("what was stored is refused (all: %v): %v", all, err)
			}
		}
	})
}

func TestCheckFindsEveryWrongByte(t *testing.T) {
	p := NewPayloads(1, drawnLargest)
	rapid.Check(t, func(t *rapid.T) {
		item := drawItem(t)
		got, v := valueOf(p, item), p.Value(item)
		got[rapid.IntRange(0, len(got)-1).Draw(t, "at")] ^= rapid.ByteRange(1, 255).Draw(t, "flip")
		if v.Check(got, true) == nil {
			t.Fatal("a flipped byte passes")
		}
	})
}

func TestCheckFindsOtherValues(t *testing.T) {
	p, otherSeed := NewPayloads(1, drawnLargest), NewPayloads(2, drawnLargest)
	rapid.Check(t, func(t *rapid.T) {
		item := drawItem(t)
		v, all := p.Value(item), rapid.Bool().Draw(t, "all")
		otherKey := item
		otherKey.Key += "."
		longer := valueOf(p, item)
		for name, got := range map[string][]byte{
			"the value of another key":  valueOf(p, otherKey),
			"the value of another seed": valueOf(otherSeed, item),
			"a truncated value":         longer[:rapid.IntRange(0, len(longer)-1).Draw(t, "length")],
			"a value with one more":     append(longer, 0),
		} {
			if v.Check(got, all) == nil {
				t.Fatalf("%s passes (all: %v)", name, all)
			}
		}
	})
}

// A sample is for servers that mix values up, lose their ends or leave pages out, not for single bits.
func TestCheckOfASampleFindsTheTagAndTheEnd(t *testing.T) {
	p := NewPayloads(1, drawnLargest)
	rapid.Check(t, func(t *rapid.T) {
		item := drawItem(t)
		got, v := valueOf(p, item), p.Value(item)
		tail := rapid.IntRange(1, min(4096, len(got))).Draw(t, "from the end")
		at := rapid.SampledFrom([]int{rapid.IntRange(0, tagLen-1).Draw(t, "of the tag"), len(got) - tail}).Draw(t, "at")
		got[at] ^= 1
		if v.Check(got, false) == nil {
			t.Fatalf("a flipped byte at %d of %d passes", at, len(got))
		}
	})
}

func TestValuesOfTwoKeysDifferInNearlyEveryByte(t *testing.T) {
	p := NewPayloads(1, drawnLargest)
	one, other := valueOf(p, Item{Key: "one", Size: drawnLargest}), valueOf(p, Item{Key: "other", Size: drawnLargest})
	same := 0
	for i := range one {
		if one[i] == other[i] {
			same++
		}
	}
	if same > drawnLargest/128 { // of random bytes it is 1 in 256
		t.Errorf("%d of %d bytes are the same", same, drawnLargest)
	}
}
