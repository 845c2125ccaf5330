package main

import (
	"github.com/keepsight/keepsight/internal/bytesize"
	"github.com/keepsight/keepsight/internal/encoder"
	"github.com/keepsight/keepsight/loadtest/load"
	"github.com/keepsight/keepsight/loadtest/pattern"
)

// media are whose outputs are stored: of encoders, or of a size alone.
type media struct {
	outputs []encoder.Output // in ascending size; none for a size alone
	largest int64            // bytes
}

func (t *test) media() (m media, err error) {
	switch {
	case t.Size != nil:
		return media{largest: t.Size.Of(0)}, nil
	case t.Encoder == mixed:
		m.outputs = encoder.Outputs()
	default:
		o, err := encoder.ByName(t.Encoder)
		if err != nil {
			return m, usageError{err}
		}
		m.outputs = []encoder.Output{o}
	}
	m.largest = m.outputs[len(m.outputs)-1].Size()
	return m, nil
}

// item is the embedding of one medium.
func (m media) item(key string, medium int) load.Item {
	if len(m.outputs) == 0 {
		return load.Item{Key: key, Size: m.largest}
	}
	o := m.outputs[medium%len(m.outputs)]
	return load.Item{Key: key, Size: o.Size(), DType: o.DType, Shape: o.Shape, Cost: o.Cost()}
}

func (t *test) mediaName() string {
	if t.Size != nil {
		return bytesize.Format(t.Size.Of(0))
	}
	return t.Encoder
}

func (t *test) pattern() (pattern.Pattern, error) {
	p, err := pattern.ByName(t.Pattern, pattern.Shape{Seed: t.Seed, Requests: int(t.Requests), Engines: t.Clients})
	if err != nil {
		return p, usageError{err}
	}
	return p, nil
}
