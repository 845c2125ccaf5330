package peer

import (
	"context"
	"os"
	"sync"
	"testing"

	"go.uber.org/goleak"
)

// buildDir is removed when all tests have ended.
var buildDir string

// built is the keepsight of this source, made once for all tests.
var built = sync.OnceValues(func() (string, error) { return Build(context.Background(), buildDir) })

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
