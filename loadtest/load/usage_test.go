package load

import (
	"bufio"
	"os"
	"os/exec"
	"slices"
	"testing"
	"time"
)

// A server may let workers do its work: what they use counts, and what others use does not.
func TestTheUsageOfAServerIsThatOfItsWorkersToo(t *testing.T) {
	server := exec.CommandContext(t.Context(), "sh", "-c", `sh -c 'while [ $i -lt 300000 ]; do i=$((i+1)); done; echo; read hold <&3' & read hold <&3`)
	server.Env = append(os.Environ(), "i=0")
	worked, err := server.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	hold, let, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer let.Close()
	server.ExtraFiles = []*os.File{hold}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		let.Close()
		hold.Close()
		_ = server.Wait()
	}()
	if _, err := bufio.NewReader(worked).ReadByte(); err != nil {
		t.Fatal(err)
	}
	f := familyOf(server.Process.Pid)
	if len(f) != 2 || !slices.Contains(f, server.Process.Pid) || slices.Contains(f, os.Getpid()) {
		t.Errorf("the server %d and its worker are %v", server.Process.Pid, f)
	}
	used := f.usage()
	if used.processor < 10*time.Millisecond || used.resident <= 0 {
		t.Errorf("both have used %s of processor time and %d bytes", used.processor, used.resident)
	}
}

func TestNobodyUsesNothing(t *testing.T) {
	if used := familyOf(0).usage(); used != (usage{}) {
		t.Errorf("%+v", used)
	}
	if used := (family{1 << 30}).usage(); used != (usage{}) {
		t.Errorf("a process that has ended uses %+v", used)
	}
}
