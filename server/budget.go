package server

// MinMemoryBytes is the least memory to start with: the heap's smallest share and an arena that still holds
// an image embedding of 16 MiB, at an eighth of it.
const MinMemoryBytes = 256 << 20

const (
	minHeapBytes = 96 << 20
	maxHeapBytes = 512 << 20

	// directoryEntryBytes is what the disk tier's RAM directory takes for one entry.
	directoryEntryBytes = 250
	// connectionBytes is what one connection can hold of the heap: two buffers of 4 KiB, a stack, and
	// headers up to their limit.
	connectionBytes = 64 << 10
	maxConnections  = 4096
)

// A Budget is how the memory of the service is divided.
type Budget struct {
	HeapBytes      int64 // the Go heap and all in it, enforced as the runtime's memory limit
	ArenaBytes     int64 // embeddings in host memory
	IndexBytes     int64 // of the heap: caches and tables of the disk tier's index
	JSONBytes      int64 // of the heap: JSON bodies and what is made of them
	EntryBytes     int64 // of the heap: names and metadata of what is in host memory
	DiskEntries    int   // what the disk tier's directory may hold within its share of the heap
	Connections    int
	InFlightBytes  int64 // of the arena: bodies being received
	PinBytes       int64 // of the arena: embeddings held by pins
	MaxObjectBytes int64 // the largest embedding that the arena takes
}

// SplitMemory divides the memory of the whole service. The heap gets an eighth, within bounds: below 96 MiB
// the garbage collector would run all the time, and over 512 MiB
// only embeddings of a few kilobytes would use it.
func SplitMemory(memory int64) Budget {
	heap := min(max(memory/8, minHeapBytes), maxHeapBytes)
	arena := memory - heap
	return Budget{
		HeapBytes:      heap,
		ArenaBytes:     arena,
		IndexBytes:     heap / 8,
		JSONBytes:      heap / 8,
		EntryBytes:     heap / 5,
		DiskEntries:    int(heap / 4 / directoryEntryBytes),
		Connections:    int(min(heap/connectionBytes, maxConnections)),
		InFlightBytes:  arena * 15 / 100,
		PinBytes:       arena / 4,
		MaxObjectBytes: arena / 8,
	}
}
