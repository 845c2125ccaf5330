package encoder

import (
	"testing"
	"time"

	"github.com/keepsight/keepsight/api"
)

func TestOutputsAreTensors(t *testing.T) {
	var before int64
	for _, o := range Outputs() {
		if err := (api.Tensor{Size: o.Size(), DType: o.DType, Shape: o.Shape}).Validate(); err != nil {
			t.Errorf("%s: %v", o.Name, err)
		}
		if err := api.ValidateNamespace(o.Namespace); err != nil {
			t.Errorf("%s: %v", o.Namespace, err)
		}
		if o.Size() < before {
			t.Errorf("%s is smaller than the one before it", o.Name)
		}
		before = o.Size()
		if found, err := ByName(o.Name); err != nil || found.Model != o.Model || found.Media != o.Media {
			t.Errorf("%s is found as %v, %v", o.Name, found, err)
		}
	}
	if _, err := ByName("clip"); err == nil {
		t.Error("an encoder that is not in the table was found")
	}
}

// The sizes and costs that others have published, which the table and the line through the costs are made to meet.
func TestPublishedFigures(t *testing.T) {
	for name, want := range map[string]struct {
		size        int64 // bytes; LMCache's for videos, vllm#56242's for an image of 1,196 tokens
		least, most time.Duration
	}{
		"qwen2.5-vl-image":     {8_572_928, 20 * time.Millisecond, 200 * time.Millisecond},
		"qwen2.5-vl-video-32":  {34_291_712, 200 * time.Millisecond, 800 * time.Millisecond},
		"qwen2.5-vl-video-128": {130_744_320, 500 * time.Millisecond, 2520 * time.Millisecond},
	} {
		o, err := ByName(name)
		if err != nil {
			t.Fatal(err)
		}
		if o.Size() != want.size {
			t.Errorf("%s has %d bytes, published are %d", name, o.Size(), want.size)
		}
		if cost := o.Cost(); cost < want.least || cost > want.most {
			t.Errorf("%s costs %s, published is %s to %s", name, cost, want.least, want.most)
		}
	}
}
