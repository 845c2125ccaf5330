// Package bytesize reads and writes amounts of memory and disk as people state them: "8GiB", "512MiB", "25%".
//
// A [Size] is a value and owns nothing. Parse(s.String()) is s for every Size, so a size survives being
// printed as configuration.
package bytesize

import (
	"errors"
	"fmt"
	"math/big"
	"strconv"
	"strings"
)

// ErrSyntax is what every error of Parse wraps.
var ErrSyntax = errors.New("not a size")

// A Size is an amount of bytes, or a share of something whose size the reader of the flag does not know
// yet. The zero Size is no bytes.
type Size struct {
	bytes       int64
	basisPoints int64 // hundredths of a percent; a Size has bytes or basisPoints, never both
}

// whole is 100% in basis points.
const whole = 100 * 100

// maxDigits bounds the number in front of a unit; int64 has 19 digits.
const maxDigits = 24

// units are tried in this order, so "B" comes last; the first five are what String writes.
var units = []struct {
	name  string
	bytes int64
}{
	{"PiB", 1 << 50}, {"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10},
	{"PB", 1e15}, {"TB", 1e12}, {"GB", 1e9}, {"MB", 1e6}, {"KB", 1e3}, {"kB", 1e3},
	{"B", 1},
}

const binaryUnits = 5

// Bytes returns the Size of n bytes; n must not be negative.
func Bytes(n int64) Size { return Size{bytes: n} }

// Percent returns the Size of a share, between 0 and 100.
func Percent(share int64) Size { return Size{basisPoints: share * whole / 100} }

// Parse reads a number with a unit (KiB, MiB, GiB, TiB, PiB are powers of 1024; kB, MB, GB, TB, PB of
// 1000), a plain number of bytes, or a share such as "25%". Fractions are cut to whole bytes.
func Parse(s string) (Size, error) {
	if number, ok := strings.CutSuffix(s, "%"); ok {
		points, err := scale(number, whole/100)
		if err != nil || points > whole {
			return Size{}, fmt.Errorf("%w: %q: a share is between 0%% and 100%%", ErrSyntax, s)
		}
		return Size{basisPoints: points}, nil
	}
	number, unit := s, int64(1)
	for _, u := range units {
		if rest, ok := strings.CutSuffix(s, u.name); ok {
			number, unit = rest, u.bytes
			break
		}
	}
	n, err := scale(number, unit)
	if err != nil {
		return Size{}, fmt.Errorf("%w: %q: write it like 8GiB, 512MiB or 25%%", ErrSyntax, s)
	}
	return Size{bytes: n}, nil
}

// scale multiplies a decimal number by unit without the rounding of floating point.
func scale(number string, unit int64) (int64, error) {
	number = strings.TrimSuffix(number, " ")
	digits := strings.Trim(number, "0123456789")
	if len(number) > maxDigits || number == "" || number[0] == '.' || digits != "" && digits != "." {
		return 0, ErrSyntax
	}
	rational, ok := new(big.Rat).SetString(number)
	if !ok {
		return 0, ErrSyntax
	}
	rational.Mul(rational, new(big.Rat).SetInt64(unit))
	n := new(big.Int).Quo(rational.Num(), rational.Denom())
	if !n.IsInt64() {
		return 0, ErrSyntax
	}
	return n.Int64(), nil
}

// Of returns the size in bytes, where a share is a share of total.
func (s Size) Of(total int64) int64 {
	if s.basisPoints == 0 {
		return s.bytes
	}
	// total/whole first would round small totals to nothing, total*points first would overflow large ones.
	return total/whole*s.basisPoints + total%whole*s.basisPoints/whole
}

// String writes the size so that Parse reads the same one.
func (s Size) String() string {
	if s.basisPoints != 0 {
		return strconv.FormatFloat(float64(s.basisPoints)/100, 'f', -1, 64) + "%"
	}
	for _, u := range units[:binaryUnits] {
		if s.bytes != 0 && s.bytes%u.bytes == 0 {
			return strconv.FormatInt(s.bytes/u.bytes, 10) + u.name
		}
	}
	return strconv.FormatInt(s.bytes, 10)
}

// MarshalText and UnmarshalText let flags, environment variables and JSON hold sizes.
func (s Size) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText is Parse.
func (s *Size) UnmarshalText(text []byte) error {
	parsed, err := Parse(string(text))
	if err != nil {
		return err
	}
	*s = parsed
	return nil
}

// Format writes n bytes for a person, to three digits or all before the point: "8.18 MiB", "1023 B".
func Format(n int64) string {
	for _, u := range units[:binaryUnits] {
		if n >= u.bytes {
			return strconv.FormatFloat(float64(n)/float64(u.bytes), 'g', max(3, digits(n/u.bytes)), 64) + " " + u.name
		}
	}
	return strconv.FormatInt(n, 10) + " B"
}

func digits(n int64) int { return len(strconv.FormatInt(n, 10)) }
