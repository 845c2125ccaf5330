package api

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// MaxFrameHeader bounds the JSON header of a frame in bytes; the largest one holds a meta of MaxMetaLen
// bytes and a shape.
const MaxFrameHeader = 64 << 10

// ErrFrame means that a fetch stream does not keep the contract.
var ErrFrame = errors.New("invalid fetch stream")

// A FetchRequest asks for the bytes of many keys.
type FetchRequest struct {
	Keys   []string  `json:"keys"`
	Expect []*Expect `json:"expect,omitempty"` // empty, or one for each key, nil for none
	Pin    string    `json:"pin,omitempty"`    // released when the stream has ended
}

// Validate reports what is wrong with the request as an *Error.
func (r *FetchRequest) Validate() error {
	if r.Pin != "" && !ValidToken(r.Pin) {
		return errorf(NoSuchPin, "pin is not a pin")
	}
	return validateKeys(r.Keys, r.Expect)
}

// A FrameHeader precedes the bytes of one key in a fetch stream. The stream is a sequence of frames in the
// order of the request, each a header length (u32, little endian), a JSON header and, for a hit, Size bytes.
// A stream that ends early says that the rest missed.
type FrameHeader struct {
	Index int   `json:"index"` // of the key in the request
	State State `json:"state"` // Hit or Missing
	Code  Code  `json:"code,omitempty"`
	Tensor
	Sum Sum `json:"sum,omitzero"` // of a hit
}

func (h FrameHeader) validate() error {
	switch h.State {
	case Hit:
		return h.Tensor.Validate()
	case Missing:
		if h.Size == 0 {
			return nil
		}
	}
	return errorf(InvalidJSON, "the state is unknown or a miss has a size")
}

// AppendFrame appends the frame's header length and header to b; the bytes follow.
func AppendFrame(b []byte, h FrameHeader) ([]byte, error) {
	var header bytes.Buffer
	enc := json.NewEncoder(&header)
	enc.SetEscapeHTML(false) // a meta stays as short as it was
	if err := enc.Encode(h); err != nil {
		return b, fmt.Errorf("encode frame header: %w", err)
	}
	if header.Len() > MaxFrameHeader {
		return b, fmt.Errorf("%w: header of %d bytes", ErrFrame, header.Len())
	}
	b = binary.LittleEndian.AppendUint32(b, uint32(header.Len()))
	return append(b, header.Bytes()...), nil
}

// A FrameReader reads a fetch stream. It buffers no payload: Read goes straight to the stream.
type FrameReader struct {
	r      io.Reader
	keys   int // of the request
	next   int // index of the next frame
	unread int64
	header []byte
}

// NewFrameReader returns a reader of the stream that answers a request for that many keys.
func NewFrameReader(r io.Reader, keys int) *FrameReader { return &FrameReader{r: r, keys: keys} }

// Next returns the next header, passing over what is left of the bytes before. io.EOF means the end of the
// stream between two frames or after the last one; io.ErrUnexpectedEOF an end elsewhere.
func (f *FrameReader) Next() (FrameHeader, error) {
	if _, err := io.CopyN(io.Discard, f, f.unread); err != nil {
		return FrameHeader{}, noEOF(err)
	}
	if f.next == f.keys {
		return FrameHeader{}, io.EOF
	}
	var prefix [4]byte
	if _, err := io.ReadFull(f.r, prefix[:]); err != nil {
		return FrameHeader{}, err
	}
	n := binary.LittleEndian.Uint32(prefix[:])
	if n > MaxFrameHeader {
		return FrameHeader{}, fmt.Errorf("%w: header of %d bytes", ErrFrame, n)
	}
	if cap(f.header) < int(n) {
		f.header = make([]byte, n)
	}
	f.header = f.header[:n]
	if _, err := io.ReadFull(f.r, f.header); err != nil {
		return FrameHeader{}, noEOF(err)
	}
	var h FrameHeader
	if err := json.Unmarshal(f.header, &h); err != nil {
		return FrameHeader{}, fmt.Errorf("%w: header is not JSON", ErrFrame)
	}
	if err := h.validate(); err != nil {
		return FrameHeader{}, fmt.Errorf("%w: %w", ErrFrame, err)
	}
	if h.Index != f.next {
		return FrameHeader{}, fmt.Errorf("%w: frame %d came in the place of %d", ErrFrame, h.Index, f.next)
	}
	f.next++
	f.unread = h.Size
	return h, nil
}

// Read reads the bytes of the frame that Next returned; io.EOF when there are no more of them.
func (f *FrameReader) Read(p []byte) (int, error) {
	if f.unread == 0 {
		return 0, io.EOF
	}
	if int64(len(p)) > f.unread {
		p = p[:f.unread]
	}
	n, err := f.r.Read(p)
	f.unread -= int64(n)
	if f.unread > 0 {
		err = noEOF(err)
	} else if errors.Is(err, io.EOF) {
		err = nil // the next Read says so
	}
	return n, err
}

// noEOF turns io.EOF into io.ErrUnexpectedEOF: the stream ended where it must not.
func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
