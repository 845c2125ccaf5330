package demo

import (
	"bytes"
	"testing"
)

// The demonstration itself runs in the tests of the command line, against the real program.

func TestSamplesFitTheMemory(t *testing.T) {
	list := samples()
	if len(list) < 5 {
		t.Errorf("%d samples show little", len(list))
	}
	for _, s := range list {
		if s.tensor.Size > largest {
			t.Errorf("%s, %s has %d bytes", s.Model, s.Media, s.tensor.Size)
		}
	}
}

func TestPayloadDependsOnSeedAlone(t *testing.T) {
	a, b, c := payload(make([]byte, 1000), 7), payload(make([]byte, 1000), 7), payload(make([]byte, 1000), 8)
	if !bytes.Equal(a, b) || bytes.Equal(a, c) {
		t.Error("a payload cannot be told from another or made again")
	}
}
