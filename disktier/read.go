package disktier

import "github.com/zeebo/xxh3"

// A large value is read in pieces by a few goroutines while the checksum of those that have arrived is made. In a
// trial of seven rounds reading 8 MiB by one pread and then hashing took 9% longer than the pread alone, this 1
// to 2%. It is the bytes in flight that count for the disk, so more than two at a time gain nothing.
const (
	pieceBytes   = 1 << 20
	pieceReaders = 2
)

// readSum reads the value of that size that lies in runs into the front of p, which has room for whole blocks,
// and returns the xxh3-128 of its bytes.
func (b *blocks) readSum(runs []run, p []byte, size int64) (sum [16]byte, err error) {
	if size <= 2*pieceBytes {
		if err := b.read(runs, p); err != nil {
			return sum, err
		}
		return xxh3.Hash128(p[:size]).Bytes(), nil
	}
	pieces := make([]chan error, (len(p)+pieceBytes-1)/pieceBytes)
	for i := range pieces {
		pieces[i] = make(chan error, 1)
	}
	for first := range pieceReaders {
		go func() {
			for i := first; i < len(pieces); i += pieceReaders {
				pieces[i] <- b.read(window(runs, int64(i)*pieceBytes), piece(p, i))
			}
		}()
	}
	hash := xxh3.New()
	for i := range pieces {
		// Every piece is waited for, whatever became of the others: p is the caller's again on return.
		if pieceErr := <-pieces[i]; err == nil {
			err = pieceErr
		}
		if err == nil {
			hash.Write(piece(p[:size], i))
		}
	}
	return hash.Sum128().Bytes(), err
}

func piece(p []byte, i int) []byte { return p[i*pieceBytes : min((i+1)*pieceBytes, len(p))] }

// window returns the runs without their first skip bytes, whole units.
func window(runs []run, skip int64) []run {
	units := uint32(skip / unitBytes)
	for i, r := range runs {
		if units < r.units {
			rest := append([]run{{start: r.start + units, units: r.units - units}}, runs[i+1:]...)
			return rest
		}
		units -= r.units
	}
	return nil
}
