package server

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/keepsight/keepsight/api"
	"github.com/keepsight/keepsight/tiers"
)

// putHead is the head of a PUT of size bytes under a key.
func putHead(key string, size int, extra ...string) string {
	head := fmt.Sprintf("PUT %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n", embeddingPath(key), size)
	for _, line := range extra {
		head += line + "\r\n"
	}
	return head + "\r\n"
}

// eventually polls for what another goroutine of the service is about to do.
func eventually(t testing.TB, what string, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !cond(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s did not happen", what)
		}
	}
}

func (v *service) idle() bool { return v.store.Stats().InFlightBytes == 0 }

// TestTruncatedBody ends bodies early in every way: nothing is stored and the memory comes back.
func TestTruncatedBody(t *testing.T) {
	v := start(t, noDisk)
	const size = 8 << 20
	head := putHead("k", size)
	for _, tc := range []struct {
		name string
		sent int
		end  func(*net.TCPConn) error
	}{
		{"half closed before the first byte", 0, (*net.TCPConn).CloseWrite},
		{"half closed before the last byte", size - 1, (*net.TCPConn).CloseWrite},
		{"closed in the middle", size / 2, func(c *net.TCPConn) error { return c.Close() }},
		{"reset in the middle", size / 2, func(c *net.TCPConn) error { c.SetLinger(0); return c.Close() }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			conn := dial(t, v).(*net.TCPConn)
			defer conn.Close()
			if _, err := conn.Write(append([]byte(head), payload("k", size)[:tc.sent]...)); err != nil {
				t.Fatal(err)
			}
			eventually(t, "the reservation", func() bool { return v.store.Stats().InFlightBytes == size })
			if err := tc.end(conn); err != nil {
				t.Fatal(err)
			}
			if strings.HasPrefix(tc.name, "half") {
				resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
				if err != nil {
					t.Fatal(err)
				}
				resp.Body.Close()
				if api.Code(resp.Header.Get(api.HeaderError)) != api.TruncatedBody {
					t.Errorf("status %d, code %q", resp.StatusCode, resp.Header.Get(api.HeaderError))
				}
			}
			eventually(t, "the refund", v.idle)
			shot{method: "GET", path: embeddingPath("k")}.do(t, v.client(), v, 404)
		})
	}
	if used := v.arena.Used(); used != 0 {
		t.Errorf("%d bytes of the arena are in use and nothing is stored", used)
	}
}

// TestSlowBody sends bodies below the minimum rate, and one that was fast and then stops: each is cut with
// 408 and its memory returned, while a client that keeps the rate is not disturbed.
func TestSlowBody(t *testing.T) {
	v := start(t, noDisk, impatient)
	const size = 1 << 20
	for name, drip := range map[string]func(w io.Writer) error{
		"nothing": func(w io.Writer) error { return nil },
		"a byte now and then": func(w io.Writer) (err error) {
			for ; err == nil; time.Sleep(20 * time.Millisecond) {
				_, err = w.Write([]byte{0})
			}
			return nil
		},
		"fast, then nothing": func(w io.Writer) error {
			_, err := w.Write(make([]byte, size-1))
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			conn := dial(t, v)
			defer conn.Close()
			if _, err := io.WriteString(conn, putHead("slow", size)); err != nil {
				t.Fatal(err)
			}
			begin := time.Now()
			dripped := make(chan error, 1)
			go func() { dripped <- drip(conn) }()
			resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if code := api.Code(resp.Header.Get(api.HeaderError)); resp.StatusCode != 408 || code != api.BodyTooSlow {
				t.Errorf("status %d, code %q", resp.StatusCode, code)
			}
			if resp.Header.Get("Connection") != "close" && !resp.Close {
				t.Error("the connection is kept with half a body in it")
			}
			if took := time.Since(begin); took < v.config.pace.grace || took > 10*time.Second {
				t.Errorf("cut after %s", took)
			}
			conn.Close()
			if err := <-dripped; err != nil {
				t.Error(err)
			}
			eventually(t, "the refund", v.idle)
		})
	}
	t.Run("above the minimum rate", func(t *testing.T) {
		reader, writer := io.Pipe()
		go func() {
			for range 8 { // 64 KiB every 100 ms are ten times the minimum
				writer.Write(make([]byte, 64<<10))
				time.Sleep(100 * time.Millisecond)
			}
			writer.Close()
		}()
		r, err := http.NewRequest("PUT", v.url(embeddingPath("steady")), reader)
		if err != nil {
			t.Fatal(err)
		}
		r.ContentLength = 8 * 64 << 10
		resp, err := v.client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != 201 {
			t.Errorf("status %d", resp.StatusCode)
		}
	})
}

// TestSlowHeader sends a request's head byte by byte: the connection is closed.
func TestSlowHeader(t *testing.T) {
	v := start(t, noDisk, impatient)
	conn := dial(t, v)
	defer conn.Close()
	closed := make(chan error, 1)
	go func() {
		_, err := io.Copy(io.Discard, conn)
		closed <- err
	}()
	begin := time.Now()
	for {
		_, err := io.WriteString(conn, "G")
		select {
		case <-closed:
			if took := time.Since(begin); took > 10*v.config.pace.header {
				t.Errorf("closed after %s", took)
			}
			return
		case <-time.After(10 * time.Millisecond):
			_ = err // the reader notices
		}
	}
}

// TestSlowReader asks for a large embedding and does not read it: the service lets go of it.
func TestSlowReader(t *testing.T) {
	v := start(t, noDisk, impatient, func(c *Config) { c.pace.rate = 4 << 20 })
	const size = 16 << 20 // more than the socket buffers of both ends hold
	v.put(t, v.client(), "k", size)
	conn := dial(t, v).(*net.TCPConn)
	defer conn.Close()
	if err := conn.SetReadBuffer(4 << 10); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", embeddingPath("k"))
	eventually(t, "the read", func() bool { return !v.released(t, "k") })
	eventually(t, "the release", func() bool { return v.released(t, "k") })
}

// released reports whether nobody but its tier holds an embedding.
func (v *service) released(t testing.TB, key string) bool {
	t.Helper()
	e, _, err := v.store.Get(t.Context(), tiers.Name{Scope: v.store.Scope(defaultTenant, "ns"), Key: key})
	if err != nil {
		t.Fatal(err)
	}
	e.Release()
	return e.Idle()
}

// TestContinue looks at what comes before the body: who waits to be asked for it is answered from what is
// known already.
func TestContinue(t *testing.T) {
	v := start(t)
	c := v.client()
	body := payload("k", 4096)
	v.put(t, c, "k", len(body))
	k := tiers.Name{Scope: v.store.Scope(defaultTenant, "ns"), Key: "k"}
	eventually(t, "the write to disk", func() bool { return v.store.OnDisk(t.Context(), k) })
	tensor := []string{"Expect: 100-continue", "Keepsight-Dtype: BF16", "Keepsight-Shape: 2048"}
	for _, tc := range []struct {
		name   string
		head   string
		asked  bool // for the body
		status int
		stored api.Stored
	}{
		{"new key", putHead("new", 4096, tensor...), true, 201, api.StoredCreated},
		{"same dtype and shape", putHead("k", 4096, tensor...), false, 200, api.StoredExisting},
		{"same dtype and shape, durable", putHead("k", 4096, append(tensor, "Keepsight-Durability: disk")...), false, 200, api.StoredExisting},
		{"another shape", putHead("k", 4096, "Expect: 100-continue"), false, 409, ""},
		{"must be new", putHead("k", 4096, append(tensor, "If-None-Match: *")...), false, 412, ""},
		{"too large", putHead("large", 1<<40, "Expect: 100-continue"), false, 413, ""},
		{"stale", putHead("stale", 4096, "Expect: 100-continue", "Keepsight-Epoch: 9"), false, 409, ""},
		{"foreign host", strings.Replace(putHead("host", 4096, tensor...), "localhost", "x.example", 1), false, 421, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			conn := dial(t, v)
			defer conn.Close()
			if _, err := io.WriteString(conn, tc.head); err != nil {
				t.Fatal(err)
			}
			r := bufio.NewReader(conn)
			resp, err := http.ReadResponse(r, nil)
			if err != nil {
				t.Fatal(err)
			}
			if asked := resp.StatusCode == http.StatusContinue; asked != tc.asked {
				t.Fatalf("first answer is %d", resp.StatusCode)
			}
			if tc.asked {
				if _, err := conn.Write(payload("new", 4096)); err != nil {
					t.Fatal(err)
				}
				if resp, err = http.ReadResponse(r, nil); err != nil {
					t.Fatal(err)
				}
			}
			if resp.StatusCode != tc.status || api.Stored(resp.Header.Get(api.HeaderStored)) != tc.stored {
				t.Errorf("status %d, stored %q", resp.StatusCode, resp.Header.Get(api.HeaderStored))
			}
		})
	}
}

func TestDigest(t *testing.T) {
	v := start(t, noDisk)
	c := v.client()
	body := payload("k", 100_000)
	sum256, sum512 := sha256.Sum256(body), sha512.Sum512(body)
	good := api.Digests{SHA256: &sum256, SHA512: &sum512}
	other := sum256
	other[0]++
	for name, tc := range map[string]struct {
		digests api.Digests
		status  int
	}{
		"both right":    {good, 201},
		"one of two":    {api.Digests{SHA256: &other, SHA512: &sum512}, 422},
		"right sha-512": {api.Digests{SHA512: &sum512}, 201},
	} {
		t.Run(name, func(t *testing.T) {
			path := embeddingPath(name)
			shot{method: "PUT", path: path, header: with(api.HeaderReprDigest, tc.digests.String()), body: body}.do(t, c, v, tc.status)
			status := 200
			if tc.status != 201 {
				status = 404
			}
			shot{method: "GET", path: path}.do(t, c, v, status)
		})
	}
}

// TestSafetensors stores files and takes them out in both forms.
func TestSafetensors(t *testing.T) {
	v := start(t)
	c := v.client()
	tensor := payload("t", 1<<16)
	header := []byte(`{"vision":{"dtype":"F32","shape":[128,128],"data_offsets":[0,65536]},"__metadata__":{"keepsight.meta":"{\"a\":1}"}}`)
	file := append(api.AppendSafetensorsPrefix(nil, header), tensor...)
	sum := sha256.Sum256(file)
	digest := api.Digests{SHA256: &sum}
	shot{method: "PUT", path: embeddingPath("file"), body: file,
		header: with("Content-Type", api.MediaSafetensors, api.HeaderReprDigest, digest.String())}.do(t, c, v, 201)

	raw := shot{method: "GET", path: embeddingPath("file")}.do(t, c, v, 200)
	stat, err := api.ParseStat(raw.resp.Header)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(raw.got, tensor) || stat.DType != "F32" || api.FormatShape(stat.Shape) != "128,128" || string(stat.Meta) != `{"a":1}` {
		t.Errorf("raw form is %+v", stat)
	}
	accept := with("Accept", api.MediaSafetensors)
	back := shot{method: "GET", path: embeddingPath("file"), header: accept}.do(t, c, v, 200)
	if !bytes.Equal(back.got, file) {
		t.Error("the file came back changed")
	}
	if back.resp.Header.Get("ETag") == raw.resp.Header.Get("ETag") {
		t.Error("both forms have one ETag")
	}
	head := shot{method: "HEAD", path: embeddingPath("file"), header: accept}.do(t, c, v, 200)
	if head.resp.ContentLength != int64(len(file)) {
		t.Errorf("HEAD says %d bytes", head.resp.ContentLength)
	}
	across := shot{method: "GET", path: embeddingPath("file"), header: with("Accept", api.MediaSafetensors, "Range", "bytes=4-199")}.do(t, c, v, 206)
	if !bytes.Equal(across.got, file[4:200]) {
		t.Error("the range across header and tensor is wrong")
	}

	v.put(t, c, "raw", 1<<16, api.HeaderMeta, `[1]`)
	made := shot{method: "GET", path: embeddingPath("raw"), header: accept}.do(t, c, v, 200)
	n, err := api.SafetensorsHeaderLen([8]byte(made.got[:8]), int64(len(made.got)))
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := api.ParseSafetensors(made.got[8:8+n], 1<<16)
	if err != nil || parsed.DType != "BF16" || string(parsed.Meta) != `[1]` || !bytes.Equal(made.got[8+n:], payload("raw", 1<<16)) {
		t.Errorf("the file made of raw bytes is %+v, %v", parsed, err)
	}
}

// free returns what is left of the heap for JSON, which has less than 2 TiB.
func (v *service) free() (n int64) {
	for step := int64(1) << 40; step > 0; step /= 2 {
		if v.json.TryAcquire(step) {
			n += step
		}
	}
	v.json.Release(n)
	return n
}

// TestManyLargeLookups sends more JSON than the heap has room for: the surplus is refused.
func TestManyLargeLookups(t *testing.T) {
	v := start(t, noDisk)
	head := fmt.Sprintf("POST /v1/namespaces/ns/lookup HTTP/1.1\r\nHost: localhost\r\n"+
		"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n", api.MaxJSONBody)
	fits := int(v.budget.JSONBytes / (jsonCost * api.MaxJSONBody))
	for range fits {
		conn := dial(t, v)
		defer conn.Close()
		if _, err := io.WriteString(conn, head+strings.Repeat(" ", api.MaxJSONBody-1)); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "the admissions", func() bool { return v.free() == 0 })
	resp := raw(t, v, head)
	if code := api.Code(resp.Header.Get(api.HeaderError)); resp.StatusCode != 503 || code != api.NoMemory {
		t.Errorf("status %d, code %q", resp.StatusCode, code)
	}
}

// TestSilentLookups announces more JSON than the heap has room for and sends nothing, and sends large lookups that
// then wait: neither keeps others from asking.
func TestSilentLookups(t *testing.T) {
	v := start(t, noDisk)
	c := v.client()
	const clients = 16
	for i := range clients {
		length := fmt.Sprintf("Content-Length: %d", api.MaxJSONBody)
		if i%2 == 0 {
			length = "Transfer-Encoding: chunked"
		}
		conn := dial(t, v)
		defer conn.Close()
		fmt.Fprintf(conn, "POST /v1/namespaces/ns/lookup HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n%s\r\n\r\n", length)
	}
	silent := v.budget.JSONBytes - clients*jsonCost*jsonRead
	eventually(t, "the admissions", func() bool { return v.free() == silent })

	plain := &http.Client{Transport: v.transports()["tcp"]} // to check a body is to send it without its spaces
	ctx, cancel := context.WithCancel(t.Context())
	var waiting sync.WaitGroup
	for i := range clients {
		body := fmt.Sprintf(`{"keys":["%d"],"wait_ms":60000}`, i)
		body += strings.Repeat(" ", api.MaxJSONBody-len(body))
		r, err := http.NewRequestWithContext(ctx, "POST", v.url("/v1/namespaces/ns/lookup"), io.MultiReader(strings.NewReader(body)))
		if err != nil {
			t.Fatal(err)
		}
		r.Header = asJSON.Clone()
		waiting.Go(func() {
			if resp, err := plain.Do(r); err == nil {
				resp.Body.Close()
				t.Errorf("lookup %d is answered %d", i, resp.StatusCode)
			}
		})
		eventually(t, "the wait", func() bool { return v.store.Stats().WaitingKeys == i+1 })
	}
	if got, least := v.free(), silent-clients*parsedCost; got < least {
		t.Errorf("%d bytes are left, want %d", got, least)
	}
	v.ask(t, c, `{"keys":["k"]}`)
	cancel()
	waiting.Wait()
	eventually(t, "the refund", func() bool { return v.free() == silent })
}

// TestLongestHeaders sends all that the contract allows in headers at once.
func TestLongestHeaders(t *testing.T) {
	v := start(t, noDisk)
	c := v.client()
	key := strings.Repeat("\u732b", 170) // 510 bytes, each escaped
	meta := `{"m":"` + strings.Repeat("x", api.MaxMetaLen-8) + `"}`
	h := with(api.HeaderMeta, meta, "Authorization", "Bearer "+strings.Repeat("t", 4096))
	shot{method: "PUT", path: embeddingPath(key), header: h, body: []byte("x")}.do(t, c, v, 201)
	got := shot{method: "GET", path: embeddingPath(key)}.do(t, c, v, 200)
	if got.resp.Header.Get(api.HeaderMeta) != meta {
		t.Error("the meta came back changed")
	}
}

func TestDurableWithoutDisk(t *testing.T) {
	v := start(t, noDisk)
	got := shot{method: "PUT", path: embeddingPath("k"), header: with(api.HeaderDurability, "disk"), body: []byte("x")}.do(t, v.client(), v, 503)
	if got.code() != api.NotDurable {
		t.Errorf("code %q", got.code())
	}
	shot{method: "GET", path: embeddingPath("k")}.do(t, v.client(), v, 404)
}
