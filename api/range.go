package api

import (
	"math"
	"strconv"
	"strings"
)

// A Range is a part of a representation, in bytes.
type Range struct {
	Start  int64
	Length int64
}

// ParseRange parses a Range header for a representation of size bytes. partial is false when the whole is
// to be sent: without a header, and, as RFC 9110 allows, for another unit, a malformed range or more than
// one. The error is an *Error with RangeNotSatisfiable.
func ParseRange(header string, size int64) (r Range, partial bool, err error) {
	spec, found := strings.CutPrefix(header, "bytes=")
	if !found {
		return Range{}, false, nil
	}
	first, last, found := strings.Cut(spec, "-")
	start, startOK := parsePosition(first)
	end, endOK := parsePosition(last)
	switch {
	case !found || !startOK || !endOK || first == "" && last == "":
		return Range{}, false, nil
	case first == "": // the last end bytes
		start = max(0, size-end)
		end = size - 1
	case last == "":
		end = size - 1
	case start > end:
		return Range{}, false, nil
	}
	if start >= size {
		return Range{}, false, errorf(RangeNotSatisfiable, "the range starts beyond the %d bytes there are", size)
	}
	return Range{Start: start, Length: min(end, size-1) - start + 1}, true, nil
}

// parsePosition reads digits; a number too large for an int64 lies beyond every representation.
func parsePosition(s string) (int64, bool) {
	if strings.Trim(s, "0123456789") != "" {
		return 0, false
	}
	if s == "" {
		return 0, true
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		n = math.MaxInt64
	}
	return n, true
}

// String formats the range as a Range header.
func (r Range) String() string {
	return "bytes=" + strconv.FormatInt(r.Start, 10) + "-" + strconv.FormatInt(r.Start+r.Length-1, 10)
}

// ContentRange formats the Content-Range header of a 206 response.
func (r Range) ContentRange(size int64) string {
	return "bytes " + r.String()[len("bytes="):] + "/" + strconv.FormatInt(size, 10)
}

// UnsatisfiedContentRange formats the Content-Range header of a 416 response.
func UnsatisfiedContentRange(size int64) string {
	return "bytes */" + strconv.FormatInt(size, 10)
}

// ParseContentRange parses the Content-Range header of a 206 response.
func ParseContentRange(s string) (r Range, size int64, err error) {
	spec, found := strings.CutPrefix(s, "bytes ")
	span, total, slash := strings.Cut(spec, "/")
	first, last, dash := strings.Cut(span, "-")
	start, err1 := ParseSize(first)
	end, err2 := ParseSize(last)
	size, err3 := ParseSize(total)
	if !found || !slash || !dash || err1 != nil || err2 != nil || err3 != nil || start > end || end >= size {
		return Range{}, 0, errSyntax
	}
	return Range{Start: start, Length: end - start + 1}, size, nil
}
