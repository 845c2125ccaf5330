package peer

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"go.uber.org/goleak"
)

// buildDir is removed when all tests have ended.
var buildDir string

// built is the keepsight of this source, made once for all tests.
var built = sync.OnceValues(func() (string, error) {
	program := filepath.Join(buildDir, "keepsight")
	printed, err := exec.Command("go", "build", "-o", program, "github.com/keepsight/keepsight").CombinedOutput()
	if err != nil {
		os.Stderr.Write(printed)
	}
	return program, err
})

func TestMain(m *testing.M) {
	var err error
	if buildDir, err = os.MkdirTemp("", "keepsight-peer-test-"); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		os.RemoveAll(buildDir)
		os.Exit(code)
	}))
}

// keepsight starts the service from this source.
func keepsight(ctx context.Context, o Options) (*Peer, error) {
	program, err := built()
	if err != nil {
		return nil, err
	}
	return Keepsight(ctx, program, "keepsight", 0, o)
}

// all are the servers that a load test compares.
var all = []struct {
	name  string
	start func(context.Context, Options) (*Peer, error)
}{
	{"keepsight", keepsight}, {"redis", Redis}, {"memcached", Memcached}, {"nginx", Nginx},
}

const testMemory = 256 << 20
