// Package tiertest holds what every tier must pass, and the embeddings to test tiers with.
//
// [Run] is the conformance suite: each promise in the comments of [tiers.Tier] is one subtest. The payload of
// a test embedding is a pure function of its name and size, so whoever reads one can check every byte without
// having seen the write: see [Check].
package tiertest
