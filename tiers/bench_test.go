package tiers_test

import (
	"fmt"
	"testing"

	"github.com/keepsight/keepsight/tiers"
)

// BenchmarkLookup64 is the store's part of the question that an engine asks for each request.
func BenchmarkLookup64(b *testing.B) {
	h := open(b, options{})
	keys := make([]string, 64)
	for i := range keys {
		keys[i] = fmt.Sprintf("lora:%064x", i)
		h.mustPut(keys[i], 1000)
	}
	l := tiers.Lookup{Tenant: "default", Namespace: "tests", Keys: keys}
	b.ReportAllocs()
	for b.Loop() {
		a, err := h.Lookup(b.Context(), l)
		if err != nil {
			b.Fatal(err)
		}
		a.Sent(nil)
	}
}
