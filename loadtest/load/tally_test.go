package load

import (
	"errors"
	"testing"
	"time"
)

func TestTalliesOfClientsAddUp(t *testing.T) {
	one, other, all := newTally(), newTally(), newTally()
	for n := range 99 {
		one.count(Get, time.Duration(n+1)*time.Millisecond, 10)
	}
	other.count(Get, 100*time.Millisecond, 10)
	other.count(Put, time.Second, 5)
	one.fail(errors.New("first"))
	other.fail(errors.New("second"))
	one.tiers["host"], other.tiers["host"], other.tiers["disk"] = 98, 1, 1
	other.unanswered = 2
	all.add(one)
	all.add(other)
	var r Result
	all.result(&r)
	if get := r.Ops[Get]; get.Count != 100 || get.Bytes != 1000 || r.Ops[Put].Count != 1 {
		t.Errorf("%+v", get)
	}
	for percent, want := range map[float64]time.Duration{50: 50 * time.Millisecond, 99: 99 * time.Millisecond} {
		got := r.Ops[Get].Percentile(percent)
		if got < want*98/100 || got > want*102/100 { // two digits
			t.Errorf("p%g is %s, expected is %s", percent, got, want)
		}
	}
	if r.Errors != 2 || r.FirstError != "first" || r.Tiers["host"] != 99 || r.Tiers["disk"] != 1 || r.Unanswered != 2 {
		t.Errorf("%+v", r)
	}
}

// A wrong byte is told before a broken connection, whichever came first and to whom.
func TestAWrongByteIsTheErrorThatIsTold(t *testing.T) {
	broken, wrong := errors.New("broken"), errors.New("wrong")
	one, other, all := newTally(), newTally(), newTally()
	one.fail(broken)
	other.fail(broken)
	other.mistake(wrong)
	other.mistake(errors.New("wrong again"))
	all.add(one)
	all.add(other)
	if all.firstError != wrong || all.wrong != 2 || all.errors != 2 {
		t.Errorf("%v is told of %d wrong values and %d errors", all.firstError, all.wrong, all.errors)
	}
}
