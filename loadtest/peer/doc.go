// Package peer starts the servers that a load test compares, each in its usual configuration for a cache on one
// machine: keepsight, Redis, memcached, and nginx as a file server that takes PUT.
//
// A [Peer] and its directory belong to who started it, who ends both with Close.
//
// # Invariants
//
//   - Every peer listens on loopback only, keeps its values in memory within the same bound, and writes no log of
//     requests. nginx alone knows no such bound: it keeps as many bytes as it is given.
//   - A peer ends with its context, its workers with it, and dies with the load test, however that ends.
//   - A start that fails leaves neither process nor directory.
package peer
