package tiertest

import (
	"bytes"
	"testing"

	"github.com/keepsight/keepsight/tiers"
	"github.com/keepsight/keepsight/tiers/arena"
)

func TestPayloadIsAFunctionOfNameAndSize(t *testing.T) {
	a, b := Name("a"), Name("b")
	if !bytes.Equal(Payload(a, 1001), Payload(a, 1001)) {
		t.Error("two calls differ")
	}
	for name, other := range map[string][]byte{
		"another name":   Payload(b, 1001),
		"another size":   Payload(a, 1002)[:1001],
		"its own blocks": Payload(a, 2002)[1001:],
	} {
		if bytes.Equal(Payload(a, 1001), other) {
			t.Errorf("the payload equals that of %s", name)
		}
	}
}

func TestCheckFindsDamage(t *testing.T) {
	tests := []struct {
		name   string
		damage func(e *tiers.Embedding)
		whole  bool
	}{
		{name: "none", damage: func(*tiers.Embedding) {}, whole: true},
		{name: "a flipped bit", damage: func(e *tiers.Embedding) { e.Bytes()[4999] ^= 1 }},
		{name: "a dirty tail", damage: func(e *tiers.Embedding) { e.Blocks()[5000] = 1 }},
		{name: "another id", damage: func(e *tiers.Embedding) { e.ID[31] ^= 1 }},
		{name: "a wrong checksum", damage: func(e *tiers.Embedding) { e.Meta.Sum[0] ^= 1 }},
		{name: "another name's payload with its right checksum", damage: func(e *tiers.Embedding) {
			Fill(e.Bytes(), Name("other"))
			e.Meta.Sum = tiers.Checksum(e.Bytes())
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			e := Embedding(t, FromArena(Arena(t, arena.Unit)), Name("checked"), 5000)
			defer e.Release()
			test.damage(e)
			if err := Check(e); (err == nil) != test.whole {
				t.Errorf("check: %v", err)
			}
		})
	}
}
