package api

import "encoding/json"

// A cursor reads the JSON that programs write in lookups: plain strings, whole numbers, no surprises. At
// anything else it gives up, and encoding/json decides what the text means; so it only has to be right
// about what it accepts. A lookup is in the way of every request of an engine, and encoding/json takes the
// most of its time: of 64 keys, this reads the request 4 times and the answer 3.5 times as fast.
//
// Once bad, it stays where it is and returns zero values.
type cursor struct {
	data []byte
	at   int // an index rather than a shorter slice: a slice costs a write barrier each time it moves
	bad  bool
}

// A scanner decodes itself with a cursor, or returns false and is unchanged.
type scanner interface{ scan(data []byte) bool }

// done reports whether everything was read.
func (c *cursor) done() bool {
	c.space()
	return !c.bad && c.at == len(c.data)
}

func (c *cursor) fail() {
	c.at, c.bad = len(c.data), true
}

// once gives up at the second value of a field, which encoding/json merges into the first.
func (c *cursor) once(first bool) {
	if !first {
		c.fail()
	}
}

// atMost gives up at the value that is one too many: two bytes of text can make forty of memory.
func (c *cursor) atMost(limit, already int) {
	if already >= limit {
		c.fail()
	}
}

func (c *cursor) space() {
	for c.at < len(c.data) && (c.data[c.at] == ' ' || c.data[c.at] == '\n' || c.data[c.at] == '\r' || c.data[c.at] == '\t') {
		c.at++
	}
}

// next passes over b if it comes next, and reports whether it did.
func (c *cursor) next(b byte) bool {
	c.space()
	if c.at == len(c.data) || c.data[c.at] != b {
		return false
	}
	c.at++
	return true
}

func (c *cursor) expect(b byte) {
	if !c.next(b) {
		c.fail()
	}
}

// null passes over null if it comes next, and reports whether it did.
func (c *cursor) null() bool {
	c.space()
	if len(c.data)-c.at < 4 || string(c.data[c.at:c.at+4]) != "null" {
		return false
	}
	c.at += 4
	return true
}

// text reads a string of printable ASCII without escapes.
func (c *cursor) text() string { return string(c.quoted()) }

// textLike is text, and returns like itself if it reads the same: results repeat each other's words.
func (c *cursor) textLike(like string) string {
	if q := c.quoted(); string(q) != like {
		return string(q)
	}
	return like
}

func (c *cursor) quoted() []byte {
	c.expect('"')
	for i, b := range c.data[c.at:] {
		switch {
		case b == '"':
			s := c.data[c.at : c.at+i]
			c.at += i + 1
			return s
		case b == '\\' || b < 0x20 || b > 0x7e:
			c.fail()
			return nil
		}
	}
	c.fail()
	return nil
}

// number reads a whole number that is not negative.
func (c *cursor) number() int64 {
	c.space()
	var n int64
	start := c.at
	for c.at < len(c.data) && '0' <= c.data[c.at] && c.data[c.at] <= '9' {
		n = n*10 + int64(c.data[c.at]-'0')
		if c.at++; c.at-start > 18 { // it may not fit
			c.fail()
			return 0
		}
	}
	if c.at == start || c.at-start > 1 && c.data[start] == '0' {
		c.fail()
		return 0
	}
	return n
}

// object calls member for each member, which reads its value.
func (c *cursor) object(member func(name []byte)) {
	c.expect('{')
	if c.next('}') {
		return
	}
	for !c.bad {
		name := c.quoted()
		c.expect(':')
		member(name)
		if c.next('}') {
			return
		}
		c.expect(',')
	}
}

// array calls element before each element, which reads it.
func (c *cursor) array(element func()) {
	c.expect('[')
	if c.next(']') {
		return
	}
	for !c.bad {
		element()
		if c.next(']') {
			return
		}
		c.expect(',')
	}
}

func (c *cursor) shape() []int64 {
	shape := make([]int64, 0, 2)
	c.array(func() {
		c.atMost(maxRank, len(shape))
		shape = append(shape, c.number())
	})
	return shape
}

// raw returns a value as it is written.
func (c *cursor) raw() json.RawMessage {
	c.space()
	start := c.at
	c.pass(0)
	if c.bad {
		return nil
	}
	return json.RawMessage(c.data[start:c.at:c.at])
}

// pass reads a value of any kind but true, false and null, which are rare in a meta.
func (c *cursor) pass(depth int) {
	c.space()
	switch {
	case c.at == len(c.data) || depth > 8:
		c.fail()
	case c.data[c.at] == '{':
		c.object(func([]byte) { c.pass(depth + 1) })
	case c.data[c.at] == '[':
		c.array(func() { c.pass(depth + 1) })
	case c.data[c.at] == '"':
		c.quoted()
	default:
		c.decimal()
	}
}

// decimal reads a number without an exponent.
func (c *cursor) decimal() {
	if c.data[c.at] == '-' {
		c.at++
		if c.at < len(c.data) && c.data[c.at] <= ' ' {
			c.fail() // number would pass over the space
		}
	}
	c.number()
	if c.at == len(c.data) || c.data[c.at] != '.' {
		return
	}
	c.at++
	start := c.at
	for c.at < len(c.data) && '0' <= c.data[c.at] && c.data[c.at] <= '9' {
		c.at++
	}
	if c.at == start {
		c.fail()
	}
}

// scan implements scanner.
func (r *LookupRequest) scan(data []byte) bool {
	c := cursor{data: data}
	var scanned LookupRequest
	c.object(func(name []byte) {
		switch string(name) {
		case "keys":
			scanned.Keys = make([]string, 0, 8)
			c.array(func() {
				c.atMost(MaxKeys, len(scanned.Keys))
				scanned.Keys = append(scanned.Keys, c.text())
			})
		case "claim":
			c.once(scanned.Claim == nil)
			scanned.Claim = c.claim()
		case "wait_ms":
			scanned.WaitMS = c.number()
		case "pin_ms":
			scanned.PinMS = c.number()
		case "promote":
			scanned.Promote = Promotion(c.text())
		case "expect":
			c.once(scanned.Expect == nil)
			scanned.Expect = make([]*Expect, 0, 8)
			c.array(func() {
				c.atMost(MaxKeys, len(scanned.Expect))
				scanned.Expect = append(scanned.Expect, c.expectation())
			})
		default:
			c.fail()
		}
	})
	if !c.done() {
		return false
	}
	*r = scanned
	return true
}

func (c *cursor) claim() *ClaimRequest {
	if c.null() {
		return nil
	}
	claim := new(ClaimRequest)
	c.object(func(name []byte) {
		switch string(name) {
		case "owner":
			claim.Owner = c.text()
		case "ttl_ms":
			claim.TTLMS = c.number()
		default:
			c.fail()
		}
	})
	return claim
}

func (c *cursor) expectation() *Expect {
	if c.null() {
		return nil
	}
	e := new(Expect)
	c.object(func(name []byte) {
		switch string(name) {
		case "size":
			e.Size = c.number()
		case "dtype":
			e.DType = c.text()
		case "shape":
			e.Shape = c.shape()
		default:
			c.fail()
		}
	})
	return e
}

// scan implements scanner.
func (r *LookupResponse) scan(data []byte) bool {
	c := cursor{data: data}
	var scanned LookupResponse
	c.object(func(name []byte) {
		switch string(name) {
		case "epoch":
			scanned.Epoch = uint64(c.number())
		case "claim":
			scanned.Claim = c.token()
		case "pin":
			scanned.Pin = c.token()
		case "results":
			c.once(scanned.Results == nil)
			scanned.Results = make([]LookupResult, 0, 64)
			var last LookupResult
			c.array(func() {
				last = c.result(last)
				scanned.Results = append(scanned.Results, last)
			})
		default:
			c.fail()
		}
	})
	if !c.done() {
		return false
	}
	*r = scanned
	return true
}

func (c *cursor) token() *string {
	if c.null() {
		return nil
	}
	token := c.text()
	return &token
}

func (c *cursor) result(last LookupResult) LookupResult {
	var r LookupResult
	c.object(func(name []byte) {
		switch string(name) {
		case "state":
			r.State = State(c.textLike(string(last.State)))
		case "code":
			r.Code = Code(c.text())
		case "size":
			r.Size = c.number()
		case "dtype":
			r.DType = c.textLike(last.DType)
		case "shape":
			r.Shape = c.shape()
		case "meta":
			r.Meta = c.raw()
		case "tier":
			r.Tier = c.textLike(last.Tier)
		case "retry_ms":
			r.RetryMS = c.number()
		default:
			c.fail()
		}
	})
	return r
}
