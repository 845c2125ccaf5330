package chart

import (
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestFormat(t *testing.T) {
	for _, test := range []struct {
		unit  Unit
		value float64
		want  string
	}{
		{Count, 0, "0"},
		{Count, 1234, "1,234"},
		{Count, 999999, "999,999"},
		{Count, 1234567, "1.23 M"},
		{Count, 1.5, "1.5"},
		{Count, -1234, "−1,234"},
		{PerSecond, 12.5, "12.5/s"},
		{PerSecond, 12345, "12.3k/s"},
		{Percent, 0, "0%"},
		{Percent, 62.04, "62.0%"},
		{Percent, 100, "100%"},
		{Seconds, 0, "0 s"},
		{Seconds, 450e-6, "450 µs"},
		{Seconds, 0.9996e-3, "1.00 ms"},
		{Seconds, 0.0123, "12.3 ms"},
		{Seconds, 90, "90.0 s"},
		{Bytes, 0, "0 B"},
		{Bytes, 17, "17 B"},
		{Bytes, 1.9e9, "1.90 GB"},
		{BytesPerSecond, 5.125e9, "5.12 GB/s"},
		{BytesPerSecond, 830e6, "830 MB/s"},
		{BinaryBytes, 64 << 10, "64 KiB"},
		{BinaryBytes, 3 << 19, "1.5 MiB"},
		{BinaryBytes, 1 << 30, "1 GiB"},
		{Seconds, math.NaN(), "–"},
		{Bytes, math.Inf(1), "–"},
	} {
		if got := test.unit.Format(test.value); got != test.want {
			t.Errorf("%v in unit %d is %q, want %q", test.value, test.unit, got, test.want)
		}
	}
}

func TestLabels(t *testing.T) {
	for _, test := range []struct {
		unit   Unit
		values []float64
		want   []string
	}{
		{Bytes, []float64{0, 5e8, 1e9, 1.5e9}, []string{"0", "0.5 GB", "1 GB", "1.5 GB"}},
		{Seconds, []float64{0, 2e-3, 4e-3}, []string{"0", "2 ms", "4 ms"}},
		{Seconds, []float64{0, 60, 120}, []string{"0", "60 s", "120 s"}},
		{Count, []float64{0, 500, 1000}, []string{"0", "500", "1,000"}},
		{Percent, []float64{0, 50, 100}, []string{"0", "50%", "100%"}},
	} {
		if diff := cmp.Diff(test.want, test.unit.labels(test.values)); diff != "" {
			t.Errorf("labels of %v (-want +got):\n%s", test.values, diff)
		}
	}
}
