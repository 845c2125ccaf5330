package disktier

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/zeebo/xxh3"

	"github.com/keepsight/keepsight/tiers"
)

const (
	recordVersion = 1
	codecRaw      = 0 // the value is stored as it came; room for a codec that compresses

	// maxRuns bounds how many pieces a value may lie in. Eight keep a record small and a read near the speed
	// of one extent; when the free space is more fragmented than that, more is evicted.
	maxRuns = 8
)

// errDamagedRecord means that a record's bytes are not what was written.
var errDamagedRecord = errors.New("damaged record")

// A record is what the index holds about one value.
type record struct {
	name     tiers.Name
	meta     tiers.Meta // Expires is not set: see expires
	runs     []run
	sequence uint64
	expires  int64 // wall clock in Unix nanoseconds when written; 0: never
}

// appendRecord encodes the record as it is stored under id. The checksum at its end covers the id too, so
// that a record that strayed to another key does not pass.
func appendRecord(b []byte, id tiers.ID, r record) []byte {
	start := len(b)
	b = append(b, recordVersion, codecRaw)
	b = binary.LittleEndian.AppendUint64(b, r.sequence)
	b = binary.LittleEndian.AppendUint64(b, uint64(r.meta.Size))
	b = append(b, r.meta.Sum[:]...)
	b = binary.LittleEndian.AppendUint64(b, uint64(r.meta.Cost))
	b = binary.LittleEndian.AppendUint64(b, uint64(r.meta.TTL))
	b = binary.LittleEndian.AppendUint64(b, uint64(r.expires))
	b = append(b, byte(len(r.runs)))
	for _, run := range r.runs {
		b = binary.LittleEndian.AppendUint32(b, run.start)
		b = binary.LittleEndian.AppendUint32(b, run.units)
	}
	b = binary.LittleEndian.AppendUint64(b, r.name.Epoch)
	for _, s := range []string{r.name.Tenant, r.name.Namespace, r.name.Key, r.meta.DType} {
		b = appendField(b, s)
	}
	b = appendField(b, string(r.meta.Extra))
	b = appendField(b, string(r.meta.Safetensors))
	b = append(b, byte(len(r.meta.Shape)))
	for _, dim := range r.meta.Shape {
		b = binary.LittleEndian.AppendUint64(b, uint64(dim))
	}
	return binary.LittleEndian.AppendUint64(b, recordSum(id, b[start:]))
}

func appendField(b []byte, s string) []byte {
	b = binary.AppendUvarint(b, uint64(len(s)))
	return append(b, s...)
}

func recordSum(id tiers.ID, body []byte) uint64 {
	h := xxh3.New()
	h.Write(id[:])
	h.Write(body)
	return h.Sum64()
}

// decodeRecord reads what appendRecord wrote and copies what it keeps. Whatever is not a whole, valid
// record of id is errDamagedRecord.
func decodeRecord(id tiers.ID, b []byte) (record, error) {
	var r record
	if len(b) < 8 {
		return r, fmt.Errorf("%w: %d bytes", errDamagedRecord, len(b))
	}
	body, sum := b[:len(b)-8], binary.LittleEndian.Uint64(b[len(b)-8:])
	if recordSum(id, body) != sum {
		return r, fmt.Errorf("%w: checksum differs", errDamagedRecord)
	}
	d := decoder{b: body}
	if v, codec := d.uint8(), d.uint8(); v != recordVersion || codec != codecRaw {
		return r, fmt.Errorf("%w: version %d, codec %d", errDamagedRecord, v, codec)
	}
	r.sequence = d.uint64()
	r.meta.Size = int64(d.uint64())
	copy(r.meta.Sum[:], d.take(len(r.meta.Sum)))
	r.meta.Cost = time.Duration(d.uint64())
	r.meta.TTL = time.Duration(d.uint64())
	r.expires = int64(d.uint64())
	for range d.uint8() {
		r.runs = append(r.runs, run{start: d.uint32(), units: d.uint32()})
	}
	r.name.Epoch = d.uint64()
	r.name.Tenant, r.name.Namespace, r.name.Key, r.meta.DType = d.field(), d.field(), d.field(), d.field()
	r.meta.Extra, r.meta.Safetensors = d.json(), d.json()
	for range d.uint8() {
		r.meta.Shape = append(r.meta.Shape, int64(d.uint64()))
	}
	if d.failed || len(d.b) != 0 {
		return r, fmt.Errorf("%w: lengths disagree", errDamagedRecord)
	}
	return r, r.validate(id)
}

// validate holds what the rest of the package relies on when it uses a record.
func (r record) validate(id tiers.ID) error {
	if r.name.ID() != id {
		return fmt.Errorf("%w: name is not that of its id", errDamagedRecord)
	}
	if err := r.meta.Validate(); err != nil {
		return fmt.Errorf("%w: %v", errDamagedRecord, err)
	}
	var units int64
	for _, run := range r.runs {
		if run.units == 0 || run.units > math.MaxUint32-run.start {
			return fmt.Errorf("%w: run of %d units at %d", errDamagedRecord, run.units, run.start)
		}
		units += int64(run.units)
	}
	if len(r.runs) > maxRuns || units != unitsOf(r.meta.Size) {
		return fmt.Errorf("%w: %d bytes in %d units", errDamagedRecord, r.meta.Size, units)
	}
	return nil
}

// A decoder takes fields off the front of b; after a field that is not there, failed is set and all
// further fields are zero.
type decoder struct {
	b      []byte
	failed bool
}

func (d *decoder) take(n int) []byte {
	if n < 0 || n > len(d.b) {
		d.failed, d.b = true, nil
		return make([]byte, min(max(n, 0), 16)) // no number is longer
	}
	p := d.b[:n]
	d.b = d.b[n:]
	return p
}

func (d *decoder) uint8() uint8   { return d.take(1)[0] }
func (d *decoder) uint32() uint32 { return binary.LittleEndian.Uint32(d.take(4)) }
func (d *decoder) uint64() uint64 { return binary.LittleEndian.Uint64(d.take(8)) }

func (d *decoder) field() string {
	n, size := binary.Uvarint(d.b)
	if size <= 0 || n > uint64(len(d.b)-size) {
		d.failed, d.b = true, nil
		return ""
	}
	d.b = d.b[size:]
	return string(d.take(int(n)))
}

func (d *decoder) json() []byte {
	if s := d.field(); s != "" {
		return []byte(s)
	}
	return nil
}
