// Package peer starts the servers that a load test compares, each in its usual configuration for a cache on one
// machine: keepsight, Redis, memcached, and nginx as a file server that takes PUT.
//
// A [Peer] and its directory belong to who started it, who ends both with Close. Every peer listens on loopback
// only, keeps its values in memory within the same bound, writes no log of requests, and dies with the load test.
package peer
