package arena

// Window names the extents to free so that an extent of size bytes fits: those in the address window of at
// least size bytes that holds the fewest bytes in use, all of them movable. It reports false when there is no
// such window; true without extents means that a free run fits already.
//
// movable is called with the arena's lock held, once for each extent at most: it must be quick and must not
// call the arena. What it said may be outdated when Window returns.
func (a *Arena) Window(size int64, movable func(*Extent) bool) ([]*Extent, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	// The window [first, b] slides over the blocks in address order. For each last block b the shortest window
	// that is long enough is also the cheapest, since dropping blocks from its front can only save.
	var bestFirst, bestLast *block
	var bestUsed int64
	first, length, used := a.blocks, int64(0), int64(0)
	for b := a.blocks; b != nil; b = b.next {
		if b.extent != nil && !movable(b.extent) {
			first, length, used = b.next, 0, 0
			continue
		}
		length += b.len
		used += b.usedBytes()
		for length-first.len >= size {
			length -= first.len
			used -= first.usedBytes()
			first = first.next
		}
		if length >= size && (bestFirst == nil || used < bestUsed) {
			bestFirst, bestLast, bestUsed = first, b, used
		}
	}
	if bestFirst == nil {
		return nil, false
	}
	return extentsBetween(bestFirst, bestLast), true
}

func (b *block) usedBytes() int64 {
	if b.extent == nil {
		return 0
	}
	return b.len
}

func extentsBetween(first, last *block) []*Extent {
	var extents []*Extent
	for b := first; ; b = b.next {
		if b.extent != nil {
			extents = append(extents, b.extent)
		}
		if b == last {
			return extents
		}
	}
}
