package disktier

import "math/bits"

// unitBytes is the granularity of extents: the arena's, so that an embedding wastes the same few percent
// on disk as in memory.
const unitBytes = 64 << 10

// unitsOf returns how many units a payload of size bytes takes.
func unitsOf(size int64) int64 { return (size + unitBytes - 1) / unitBytes }

// A run is a range of units. Units are numbered through all block files.
type run struct {
	start, units uint32
}

func (r run) end() uint32 { return r.start + r.units }

// freeSpace hands out runs of free units. Free runs are kept in lists by the logarithm of their length,
// and found by either end for coalescing, so that every operation takes constant time: with 64 KiB
// values in a large capacity there are hundreds of thousands of free runs. It is not safe for concurrent use.
type freeSpace struct {
	units   int64 // free in all
	byStart map[uint32]*freeRun
	byEnd   map[uint32]*freeRun
	classes [33]*freeRun // classes[i]: runs of [2^(i-1), 2^i) units
}

type freeRun struct {
	run
	prev, next *freeRun
}

func newFreeSpace() *freeSpace {
	return &freeSpace{byStart: map[uint32]*freeRun{}, byEnd: map[uint32]*freeRun{}}
}

// fitTries is how many runs of the class below are looked at for one that fits more tightly than the
// classes whose every run fits. It bounds the time of an allocation.
const fitTries = 16

// alloc takes units out of the free space in at most maxRuns runs, or returns nil: one run if any is
// found that is long enough, else the longest there are.
func (s *freeSpace) alloc(units int64) []run {
	if units > s.units {
		return nil
	}
	if f := s.fit(units); f != nil {
		return []run{s.cut(f, uint32(units))}
	}
	runs := make([]run, 0, maxRuns)
	for units > 0 && len(runs) < maxRuns {
		f := s.fit(units)
		if f == nil {
			f = s.longest()
		}
		r := s.cut(f, uint32(min(units, int64(f.units))))
		runs = append(runs, r)
		units -= int64(r.units)
	}
	if units > 0 {
		for _, r := range runs {
			s.add(r)
		}
		return nil
	}
	return runs
}

// fit returns a free run of at least units, or nil.
func (s *freeSpace) fit(units int64) *freeRun {
	class := bits.Len64(uint64(units))
	if class >= len(s.classes) {
		return nil
	}
	for f, tries := s.classes[class], fitTries; f != nil && tries > 0; f, tries = f.next, tries-1 {
		if int64(f.units) >= units {
			return f
		}
	}
	for _, f := range s.classes[class+1:] {
		if f != nil {
			return f
		}
	}
	return nil
}

// longest returns one of the longest class of free runs; there is one as long as any unit is free.
func (s *freeSpace) longest() *freeRun {
	for i := len(s.classes) - 1; i > 0; i-- {
		if f := s.classes[i]; f != nil {
			return f
		}
	}
	return nil
}

// cut takes the first units of f.
func (s *freeSpace) cut(f *freeRun, units uint32) run {
	s.remove(f)
	if rest := f.units - units; rest > 0 {
		s.insert(run{start: f.start + units, units: rest})
	}
	return run{start: f.start, units: units}
}

// add returns a run to the free space and joins it with its neighbours.
func (s *freeSpace) add(r run) {
	if before := s.byEnd[r.start]; before != nil {
		s.remove(before)
		r = run{start: before.start, units: before.units + r.units}
	}
	if after := s.byStart[r.end()]; after != nil {
		s.remove(after)
		r.units += after.units
	}
	s.insert(r)
}

func (s *freeSpace) insert(r run) {
	f := &freeRun{run: r}
	class := bits.Len32(r.units)
	if f.next = s.classes[class]; f.next != nil {
		f.next.prev = f
	}
	s.classes[class] = f
	s.byStart[r.start], s.byEnd[r.end()] = f, f
	s.units += int64(r.units)
}

func (s *freeSpace) remove(f *freeRun) {
	if f.prev != nil {
		f.prev.next = f.next
	} else {
		s.classes[bits.Len32(f.units)] = f.next
	}
	if f.next != nil {
		f.next.prev = f.prev
	}
	delete(s.byStart, f.start)
	delete(s.byEnd, f.end())
	s.units -= int64(f.units)
}
