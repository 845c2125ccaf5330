package peer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/keepsight/keepsight/loadtest/load"
)

// started runs a server for a test. Where it is not installed the test is skipped, unless KEEPSIGHT_REQUIRE_PEERS
// says that it must be.
func started(t *testing.T, start func(context.Context, Options) (*Peer, error), o Options) *Peer {
	t.Helper()
	p, err := start(t.Context(), o)
	if errors.Is(err, ErrMissing) && os.Getenv("KEEPSIGHT_REQUIRE_PEERS") == "" {
		t.Skipf("%v; KEEPSIGHT_REQUIRE_PEERS=1 would make this a failure", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(p.dir); !os.IsNotExist(err) {
			t.Errorf("%s is left: %v", p.dir, err)
		}
	})
	return p
}

func TestTheClientSpeaksToEveryServer(t *testing.T) {
	payloads := load.NewPayloads(1, 1<<20)
	for _, server := range all {
		t.Run(server.name, func(t *testing.T) {
			p := started(t, server.start, Options{MemoryBytes: testMemory})
			if p.Version == "" || p.Version == "unknown" {
				t.Errorf("its version is %q", p.Version)
			}
			for n, target := range p.Targets { // the ways to one server see each other's keys
				if err := target.Validate(false); err != nil {
					t.Fatal(err)
				}
				conn := target.Dial(t.Context())
				for _, size := range []int64{load.MinValue, 1000, 1 << 20} {
					key := fmt.Sprintf("way-%d-size-%d", n, size)
					storesAndReads(t, conn, payloads.Value(load.Item{Key: key, Size: size}))
				}
				if looker, ok := conn.(load.Looker); ok {
					looksUp(t, looker, fmt.Sprintf("way-%d-size-%d", n, load.MinValue))
				}
				if claimer, ok := conn.(load.Claimer); ok {
					claims(t, claimer, conn, payloads.Value(load.Item{Key: fmt.Sprintf("way-%d-claim", n), Size: 1000}))
				}
				if err := conn.Close(); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// storesAndReads tells a miss from a hit, and one value from another.
func storesAndReads(t *testing.T, conn load.Conn, value load.Value) {
	t.Helper()
	buf := make([]byte, value.Size())
	if _, err := conn.Get(value.Key, buf); err != load.ErrMiss {
		t.Errorf("%q was never stored: %v", value.Key, err)
	}
	for range 2 { // the second one stores what is there
		if err := conn.Put(&value, ""); err != nil {
			t.Errorf("put %q: %v", value.Key, err)
		}
	}
	reply, err := conn.Get(value.Key, buf)
	if err != nil || !bytes.Equal(buf[:reply.Size], value.Bytes(nil)) {
		t.Errorf("get %q: %d bytes came: %v", value.Key, reply.Size, err)
	}
	if _, err := conn.Get(value.Key, buf[1:]); err == nil {
		t.Errorf("%q fits into one byte less than it has", value.Key)
	}
	if _, err := conn.Get(value.Key, buf); err != nil {
		t.Errorf("get %q after a value that did not fit: %v", value.Key, err)
	}
}

func looksUp(t *testing.T, looker load.Looker, there string) {
	t.Helper()
	question := &load.Question{Keys: []string{there, "not-there", "nor-this"}}
	for range 2 {
		if hits, err := looker.Lookup(question); hits != 1 || err != nil {
			t.Errorf("1 of 3 keys is there, found are %d: %v", hits, err)
		}
	}
}

// claims lets one owner claim a value, another one wait for it, and both find it.
func claims(t *testing.T, claimer load.Claimer, conn load.Conn, value load.Value) {
	t.Helper()
	ask := func(owner string) load.Standing {
		standing, err := claimer.Claim([]string{value.Key}, owner, 0)
		if err != nil {
			t.Fatal(err)
		}
		return standing
	}
	first := ask("one")
	if first.Hit[0] || first.Pending[0] || first.Claim == "" {
		t.Fatalf("who asks first encodes: %+v", first)
	}
	if second := ask("other"); second.Hit[0] || !second.Pending[0] {
		t.Errorf("who asks second waits: %+v", second)
	}
	if err := conn.Put(&value, first.Claim); err != nil {
		t.Error(err)
	}
	if third := ask("other"); !third.Hit[0] {
		t.Errorf("what was stored is there: %+v", third)
	}
}

// A cutter is between clients and a server, and can cut their connections.
type cutter struct {
	net.Listener
	mu    sync.Mutex
	ends  []net.Conn
	ended sync.WaitGroup
}

func newCutter(t *testing.T, server string) *cutter {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &cutter{Listener: l}
	c.ended.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", server)
			if err != nil {
				client.Close()
				return
			}
			c.mu.Lock()
			c.ends = append(c.ends, client, server)
			c.mu.Unlock()
			c.ended.Go(func() { _, _ = io.Copy(server, client) })
			c.ended.Go(func() { _, _ = io.Copy(client, server) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		c.cut()
		c.ended.Wait()
	})
	return c
}

// cut closes all connections there are.
func (c *cutter) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, end := range c.ends {
		end.Close()
	}
	c.ends = nil
}

func TestAConnectionThatIsClosedIsOpenedAgain(t *testing.T) {
	value := load.NewPayloads(1, 1000).Value(load.Item{Key: "key", Size: 1000})
	for _, server := range all {
		t.Run(server.name, func(t *testing.T) {
			p := started(t, server.start, Options{MemoryBytes: testMemory})
			between := newCutter(t, p.Address)
			target := p.Targets[0]
			target.URL = strings.Replace(target.URL, p.Address, between.Addr().String(), 1)
			conn := target.Dial(t.Context())
			defer conn.Close()
			if err := conn.Put(&value, ""); err != nil {
				t.Fatal(err)
			}
			between.cut()
			if _, err := conn.Get("key", make([]byte, 1000)); err == nil || err == load.ErrMiss {
				t.Errorf("a connection that is closed answers: %v", err)
			}
			if reply, err := conn.Get("key", make([]byte, 1000)); err != nil || reply.Size != 1000 {
				t.Errorf("the next call does not open it again: %d bytes, %v", reply.Size, err)
			}
		})
	}
}
