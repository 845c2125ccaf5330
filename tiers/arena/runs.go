package arena

import "slices"

// A block is a run of units in the address order of the arena: an extent in use, or a free run when extent is
// nil.
type block struct {
	off, len   int64
	extent     *Extent
	prev, next *block // neighbours by address

	samePrev, sameNext *block // other free runs of the same length
}

// freeRuns holds the free runs by length. Runs of different lengths add up to the arena, so there are fewer
// different lengths than the square root of twice the units (512 of them for 8 GiB): a sorted slice of
// lengths gives exact best fit with one binary search, and inserting into it moves at most a few KiB.
type freeRuns struct {
	lengths []int64          // sorted
	first   map[int64]*block // the latest freed run of each length: its pages are the likeliest in a CPU cache
}

// fit returns the shortest run of at least n bytes, or nil.
func (f *freeRuns) fit(n int64) *block {
	i, _ := slices.BinarySearch(f.lengths, n)
	if i == len(f.lengths) {
		return nil
	}
	return f.first[f.lengths[i]]
}

func (f *freeRuns) insert(b *block) {
	head := f.first[b.len]
	if head == nil {
		i, _ := slices.BinarySearch(f.lengths, b.len)
		f.lengths = slices.Insert(f.lengths, i, b.len)
	} else {
		head.samePrev = b
	}
	b.samePrev, b.sameNext = nil, head
	f.first[b.len] = b
}

func (f *freeRuns) remove(b *block) {
	if b.sameNext != nil {
		b.sameNext.samePrev = b.samePrev
	}
	switch {
	case b.samePrev != nil:
		b.samePrev.sameNext = b.sameNext
	case b.sameNext != nil:
		f.first[b.len] = b.sameNext
	default:
		delete(f.first, b.len)
		i, _ := slices.BinarySearch(f.lengths, b.len)
		f.lengths = slices.Delete(f.lengths, i, i+1)
	}
	b.samePrev, b.sameNext = nil, nil
}
