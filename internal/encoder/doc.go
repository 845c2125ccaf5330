// Package encoder describes the outputs of well-known vision and audio encoders: how many rows of how many
// numbers one medium becomes, and about how long an accelerator takes to make them.
//
// Shapes follow from the models' published configurations: a vision encoder makes one row per merged patch
// (Qwen2.5-VL: 28x28 pixels, Qwen3-VL: 32x32), an audio encoder so many rows per second. Costs are a model,
// not a measurement: see [Output.Cost].
package encoder
