// Package serving simulates inference engines on top of a real keepsight service, to find out what the place
// where embeddings are kept costs: bytes on GPUs, encoder runs, and time to first token.
//
// One workload runs under three policies: [KeepOnGPU], [MoveToHost] and [Keepsight].
//
// # What is real and what is modelled
//
// Under Keepsight every lookup, PUT and GET goes to the service when its turn comes, with whole payloads,
// whose bytes are compared with what was stored. The time that a call takes here is what it takes in the
// simulation, so the parts Lookup, Store and Load of the time to first token hold measurements of this
// machine. Engines are modelled: a discrete-event simulation on a virtual clock, in which encode, prefill,
// decode and copies over PCIe take what [Config] says. From this follows:
//
//   - Calls are made one at a time, so their times know no contention; how the service does under many
//     clients at once is what the load test's traffic measures.
//   - Who finds that another engine encodes an embedding waits in virtual time until the end of its PUT, then
//     asks the service again. Calls never wait inside the service.
//   - Counts and times of KeepOnGPU and MoveToHost follow from the seed alone. Those of Keepsight also depend
//     on how fast the service answered.
//   - The memory that encoders and prefills work in, weights and the KV cache are not counted: bytes are those
//     of encoder outputs, from the end of the encode.
//
// # Engines
//
// Requests arrive by a Poisson process and go to engines in turn, whatever an engine holds. An engine has an
// encoder lane and a prefill lane, which run beside each other and take one job at a time in the order in
// which jobs become ready, and places for any number of requests that decode. The prefill lane is held while
// embeddings are brought to the GPU: engines that overlap this with the prefill before do better under
// MoveToHost and Keepsight. Pins are not used: an embedding may go between lookup and GET, and is encoded again.
//
// # Invariants
//
// A run ends with an error if one of these does not hold; they are checked after every event.
//
//   - The bytes on GPUs are what the policy's own books say, never negative, and zero at the end.
//   - Under Keepsight an embedding is on a GPU from its encode to the end of its PUT, and from its GET to the
//     end of the prefill, and at no other time. Where the service refused the PUT or lost the embedding
//     before its GET, what the engine encoded stays until that request's prefill ends.
//   - Every request finishes once, and the parts of its time to first token add up to it.
//   - Under Keepsight each medium is encoded once, as long as the service lost and refused nothing.
package serving
