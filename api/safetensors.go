package api

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/json"
	"slices"
	"strings"
	"unicode/utf8"
)

// A safetensors file is a length (u64, little endian), a JSON header of that length and the tensors' bytes.
// The format is at https://github.com/huggingface/safetensors#format.
const (
	// SafetensorsPrefixLen is the length of the length.
	SafetensorsPrefixLen = 8
	// MaxSafetensorsHeader bounds the JSON header of a file that is stored, in bytes: it is kept beside the
	// embedding so that a GET returns the very file. One tensor takes about 100.
	MaxSafetensorsHeader = 8 << 10

	// safetensorsName is what the tensor is called in a file made here.
	safetensorsName = "embedding"
	// safetensorsMeta is where such a file keeps the embedding's meta.
	safetensorsMeta = "keepsight.meta"
)

// SafetensorsHeaderLen reads the first eight bytes of a file of fileLen bytes and returns the length of
// the JSON header that follows. Its error is an *Error with InvalidTensor.
func SafetensorsHeaderLen(prefix [SafetensorsPrefixLen]byte, fileLen int64) (int, error) {
	n := binary.LittleEndian.Uint64(prefix[:])
	if n > MaxSafetensorsHeader {
		return 0, errorf(InvalidTensor, "the safetensors header is longer than %d bytes", MaxSafetensorsHeader)
	}
	if SafetensorsPrefixLen+int64(n) >= fileLen {
		return 0, errorf(InvalidTensor, "the safetensors file has no tensor bytes")
	}
	return int(n), nil
}

// AppendSafetensorsPrefix appends to b what precedes the tensor's bytes in a file: length and JSON header.
func AppendSafetensorsPrefix(b, header []byte) []byte {
	b = binary.LittleEndian.AppendUint64(b, uint64(len(header)))
	return append(b, header...)
}

// FormatSafetensors makes the JSON header of a file that holds the tensor, padded with spaces so that the
// tensor's bytes begin at a multiple of eight. The meta goes into the file's metadata.
func FormatSafetensors(t Tensor) []byte {
	type entry struct {
		DType   string   `json:"dtype"`
		Shape   []int64  `json:"shape"`
		Offsets [2]int64 `json:"data_offsets"`
	}
	file := map[string]any{safetensorsName: entry{t.DType, append([]int64{}, t.Shape...), [2]int64{0, t.Size}}}
	if t.Meta != nil {
		file["__metadata__"] = map[string]string{safetensorsMeta: string(t.Meta)}
	}
	header, err := json.Marshal(file)
	if err != nil {
		panic("api: encode safetensors header: " + err.Error()) // strings and integers always encode
	}
	padding := -(SafetensorsPrefixLen + len(header)) & 7
	return append(header, "       "[:padding]...)
}

// ParseSafetensors checks the JSON header of a file whose tensors take size bytes, and returns what is
// stored: the tensor, if there is exactly one, else U8 and [size]. Meta is that of a file which
// FormatSafetensors made, or nil. Tensors must cover the bytes without holes or overlaps, each as long as
// its dtype and shape say; duplicate names and fields are refused, since two readers could see two
// different files. Its error is an *Error with InvalidTensor.
func ParseSafetensors(header []byte, size int64) (Tensor, error) {
	if len(header) == 0 || header[0] != '{' || !utf8.Valid(header) {
		return Tensor{}, errorf(InvalidTensor, "the safetensors header must be a JSON object")
	}
	file, err := parseObject(header)
	if err != nil {
		return Tensor{}, err
	}
	t := Tensor{Size: size, DType: "U8", Shape: []int64{size}}
	var spans []span
	for _, member := range file {
		if member.name == "__metadata__" {
			if t.Meta, err = parseMetadata(member.value); err != nil {
				return Tensor{}, err
			}
			continue
		}
		one, err := parseSpan(member.value)
		if err != nil {
			return Tensor{}, err
		}
		spans = append(spans, one)
	}
	if err := checkCover(spans, size); err != nil {
		return Tensor{}, err
	}
	if len(spans) == 1 {
		t.DType, t.Shape = spans[0].dtype, spans[0].shape
	}
	return t, nil
}

// A span is one tensor's place in the file.
type span struct {
	dtype      string
	shape      []int64
	begin, end int64
}

// checkCover reports holes, overlaps and bytes beyond the last tensor. Spans are never empty.
func checkCover(spans []span, size int64) error {
	slices.SortFunc(spans, func(a, b span) int { return cmp.Compare(a.begin, b.begin) })
	var end int64
	for _, s := range spans {
		if s.begin != end {
			return errorf(InvalidTensor, "the tensors of the file overlap or leave a hole")
		}
		end = s.end
	}
	if end != size || size <= 0 {
		return errorf(InvalidTensor, "the tensors of the file take %d bytes, it holds %d", end, size)
	}
	return nil
}

func parseSpan(value json.RawMessage) (span, error) {
	members, err := parseObject(value)
	if err != nil {
		return span{}, err
	}
	var s span
	var offsets []int64
	for _, m := range members {
		var into any
		switch m.name {
		case "dtype":
			into = &s.dtype
		case "shape":
			into = &s.shape
		case "data_offsets":
			into = &offsets
		default:
			return span{}, errorf(InvalidTensor, "a tensor of the safetensors header has an unknown field")
		}
		if err := json.Unmarshal(m.value, into); err != nil {
			return span{}, errorf(InvalidTensor, "a tensor of the safetensors header has a field of the wrong type")
		}
	}
	if s.shape == nil || len(offsets) != 2 {
		return span{}, errorf(InvalidTensor, "a tensor of the safetensors header lacks its shape or its two offsets")
	}
	size, err := TensorSize(s.dtype, s.shape)
	if err != nil {
		return span{}, err
	}
	s.begin, s.end = offsets[0], offsets[1]
	if s.begin < 0 || s.end < s.begin || s.end-s.begin != size {
		return span{}, errorf(InvalidTensor, "a tensor's offsets do not span the %d bytes of its dtype and shape", size)
	}
	return s, nil
}

// parseMetadata checks that the value maps strings to strings and returns the meta in it, nil if none.
func parseMetadata(value json.RawMessage) (json.RawMessage, error) {
	members, err := parseObject(value)
	if err != nil {
		return nil, err
	}
	var meta json.RawMessage
	for _, m := range members {
		var text *string
		if err := json.Unmarshal(m.value, &text); err != nil || text == nil {
			return nil, errorf(InvalidTensor, "__metadata__ of the safetensors header must map strings to strings")
		}
		if m.name != safetensorsMeta {
			continue
		}
		if meta, err = ParseMeta(*text); err != nil {
			return nil, errorf(InvalidTensor, "%s of the safetensors header: %s", safetensorsMeta, detail(err))
		}
	}
	return meta, nil
}

type member struct {
	name  string
	value json.RawMessage
}

// parseObject splits a JSON object into its members and refuses duplicate names, which encoding/json
// would resolve silently.
func parseObject(data []byte) ([]member, error) {
	invalid := func() ([]member, error) {
		return nil, errorf(InvalidTensor, "the safetensors header is not a JSON object without duplicate names")
	}
	if !json.Valid(data) || !strings.HasPrefix(string(data), "{") {
		return invalid()
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	if _, err := dec.Token(); err != nil {
		return invalid()
	}
	var members []member
	seen := map[string]bool{}
	for dec.More() {
		var m member
		token, err := dec.Token()
		if err != nil {
			return invalid()
		}
		name, isName := token.(string)
		if err := dec.Decode(&m.value); err != nil || !isName || seen[name] {
			return invalid()
		}
		m.name = name
		seen[name] = true
		members = append(members, m)
	}
	return members, nil
}
