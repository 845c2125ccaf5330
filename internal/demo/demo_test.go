package demo

import (
	"bytes"
	"testing"

	"github.com/keepsight/keepsight/api"
)

// The demonstration itself runs in the tests of the command line, against the real program.

func TestSamplesAreTensors(t *testing.T) {
	var before int64
	for _, s := range samples() {
		if err := s.tensor.Validate(); err != nil {
			t.Errorf("%s, %s: %v", s.encoder, s.media, err)
		}
		if err := api.ValidateNamespace(s.namespace); err != nil {
			t.Errorf("%s: %v", s.namespace, err)
		}
		if s.tensor.Size < before {
			t.Errorf("%s, %s is smaller than the one before it", s.encoder, s.media)
		}
		before = s.tensor.Size
	}
}

func TestPayloadDependsOnSeedAlone(t *testing.T) {
	a, b, c := payload(make([]byte, 1000), 7), payload(make([]byte, 1000), 7), payload(make([]byte, 1000), 8)
	if !bytes.Equal(a, b) || bytes.Equal(a, c) {
		t.Error("a payload cannot be told from another or made again")
	}
}
