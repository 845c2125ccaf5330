package encoder

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// An Output is what one encoder makes of one medium.
type Output struct {
	Name      string // how the load test calls it: "qwen2.5-vl-image"
	Model     string
	Media     string
	Namespace string  // what its embeddings are stored under
	DType     string  // BF16 or F16
	Shape     []int64 // tokens x width
}

// elementBytes is the size of a BF16 or F16 number; no other dtype is in the table.
const elementBytes = 2

// Size returns the bytes of the tensor.
func (o Output) Size() int64 { return elementBytes * o.Shape[0] * o.Shape[1] }

// Tokens returns how many positions of the prompt the output takes.
func (o Output) Tokens() int64 { return o.Shape[0] }

const (
	// launchCost is what an encoder takes for the smallest input: kernels, pre- and postprocessing.
	launchCost = 18 * time.Millisecond
	// tokenCost is what each token adds. It puts an image of 1,196 tokens at 85 ms and a video of 128 frames at
	// 1.0 s, on the careful side of what is published: 20 to 80 ms for a frame through a ViT-L (vllm-omni#3427),
	// and 0.8 to 2.5 s that a warm cache takes off a video of 32 to 128 frames on an H100 (LMCache).
	tokenCost = 56 * time.Microsecond
)

// Cost is the time an accelerator is taken to need for the output: a straight line through published figures,
// good for comparing policies and for nothing finer.
func (o Output) Cost() time.Duration { return launchCost + time.Duration(o.Tokens())*tokenCost }

// Outputs returns the table, ordered by size.
func Outputs() []Output {
	outputs := []Output{
		{"whisper-audio", "Whisper large-v3", "30 s of audio", "whisper-large-v3.f16", "F16", []int64{1500, 1280}},
		{"llava-image", "LLaVA-1.5-7B", "336x336 image", "llava-1.5-7b.f16", "F16", []int64{576, 4096}},
		{"qwen2.5-omni-audio", "Qwen2.5-Omni-7B", "30 s of audio", "qwen2.5-omni-7b.bf16", "BF16", []int64{750, 3584}},
		{"qwen2.5-vl-image", "Qwen2.5-VL-7B", "1288x728 image", "qwen2.5-vl-7b.bf16", "BF16", []int64{1196, 3584}},
		{"internvl-image", "InternVL2.5-8B", "image in 13 tiles", "internvl2.5-8b.bf16", "BF16", []int64{13 * 256, 4096}},
		// DeepStack: the rows of three inner layers stand beside those of the last one, four times the width.
		{"qwen3-vl-image", "Qwen3-VL-8B", "1280x720 image", "qwen3-vl-8b.bf16", "BF16", []int64{40 * 22, 4 * 4096}},
		{"qwen2.5-vl-video-32", "Qwen2.5-VL-7B", "video, 32 frames", "qwen2.5-vl-7b.bf16", "BF16", []int64{16 * 299, 3584}},
		{"pixtral-image", "Pixtral-12B", "1024x1024 image", "pixtral-12b.bf16", "BF16", []int64{64 * 64, 5120}},
		{"qwen2.5-vl-video-128", "Qwen2.5-VL-7B", "video, 128 frames", "qwen2.5-vl-7b.bf16", "BF16", []int64{64 * 285, 3584}},
	}
	slices.SortFunc(outputs, func(a, b Output) int { return int(a.Size() - b.Size()) })
	return outputs
}

// ByName finds an output of the table.
func ByName(name string) (Output, error) {
	var names []string
	for _, o := range Outputs() {
		if o.Name == name {
			return o, nil
		}
		names = append(names, o.Name)
	}
	return Output{}, fmt.Errorf("no encoder output is called %q; there are %s", name, strings.Join(names, ", "))
}
