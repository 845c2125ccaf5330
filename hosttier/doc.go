// Package hosttier keeps embeddings in host memory: a nursery that shows every new embedding at once, and
// behind it a main segment that ristretto's TinyLFU admits to.
//
// # Who owns what
//
// The index owns one reference on each embedding stored, whichever segment it is in, and is the one truth for
// visibility: what the full 256-bit id does not find there is a miss. Ristretto sees 64-bit hashes and is only
// asked which entry of the main segment goes; its callbacks take an entry out of the index and release it,
// and do nothing else. The arena belongs to whoever made it, who closes it after the tier.
//
// New embeddings enter the nursery, a FIFO. When room is needed its tail is looked at: what was used, or was
// dropped from here a short while ago (the ghost list), goes on to ristretto; the rest is dropped. An embedding
// that the next tier does not have yet is unwritten: it stays in the nursery, and is dropped only when the
// nursery's tail and the main segment have nothing clean to drop. So past the nursery everything is clean, and
// what TinyLFU refuses costs a disk read, not an encode.
//
// # Locks
//
// They are taken in this order, and a caller of ristretto holds no index lock, because ristretto's callbacks
// take it:
//
//	evicting   everything that takes entries out, and every call that changes ristretto; so ristretto has a
//	           single setter, its buffer of 32,768 pending items outside the accounting never holds more than
//	           one, and nothing it does can surprise a second caller
//	mu         the index: the map, the order of both segments, ghosts and counters
//
// # Invariants
//
//   - An entry is in the nursery, in the main segment or gone, and leaves once: its reference is released and
//     Evicted is called at most once, however often ristretto repeats a callback.
//   - At most one entry per 64-bit hash is handed to ristretto, so that a collision can neither return nor
//     unaccount another embedding.
//   - A put is visible when it returns, and while it moves to the main segment.
package hosttier
