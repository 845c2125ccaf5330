// Package disktier keeps embeddings on local disk: values in recycled extents written and read by O_DIRECT,
// with pebble as the durable index.
//
// # What lies in the directory
//
//	LOCK              held while the tier is open: one process per directory
//	FORMAT            version of the layout and the size of a block file
//	blocks-NNN.dat    the values, in extents of 64 KiB units; fallocated as needed, never deleted while the capacity stands
//	index-NNNNNN/     pebble: one record per value, and the epochs
//	recency           what the replacement policy knew at the last clean stop, a hint
//
// # Who owns what
//
// The directory in memory ([node]) answers what is stored and where; pebble is its log. Nodes hold neither
// name nor meta: these are read from the record. One goroutine, the committer, writes to the index. It
// drains the queue of operations, syncs the block files they touched, applies one pebble batch with Sync,
// and then publishes: a value becomes visible and durable in that moment. Everything in memory (directory,
// policy, free space, accounts) is guarded by Tier.mu, which is never held across a system call.
//
// # Invariants
//
//   - A value's bytes are checked against the xxh3-128 of its record whenever they are read. What does not
//     match is a miss, its record is deleted and its extents are never used again in this run.
//   - An extent is reused only after the record that named it is durably gone and no reader holds it. So
//     a reader sees the old bytes or a miss, and a crash at any point leaves records whose extents are disjoint.
//   - Free, used and quarantined extents add up to what is held; the block files never exceed the capacity.
//   - Reads write nothing.
//   - A sync that failed is never counted as repaired by a second one: see stallfs.go and rewrite.go.
//
// # After a crash
//
// Use counts and queue order are saved only by Close. After a crash the values are taken in the order they were
// written, the newest tenth of the bytes as if it had just arrived.
package disktier
