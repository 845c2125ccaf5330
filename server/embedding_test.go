package server

import (
	"bytes"
	"net/http"
	"os"
	"testing"

	"github.com/keepsight/keepsight/api"
)

func TestPutThenGet(t *testing.T) {
	v := start(t)
	v.everywhere(t, func(t *testing.T, c *http.Client) {
		key := "lora:a/b 1 " + t.Name()
		want := payload(key, 100_000)
		stored := v.put(t, c, key, len(want), api.HeaderMeta, `{"grid_thw":[1,52,92]}`, api.HeaderEncodeCost, "0.085", api.HeaderTTL, "60")
		if got := stored.resp.Header.Get(api.HeaderStored); got != string(api.StoredCreated) {
			t.Errorf("Keepsight-Stored %q", got)
		}
		got := shot{method: "GET", path: embeddingPath(key)}.do(t, c, v, 200)
		if !bytes.Equal(got.got, want) {
			t.Error("other bytes came back")
		}
		stat, err := api.ParseStat(got.resp.Header)
		if err != nil {
			t.Fatal(err)
		}
		if stat.DType != "BF16" || stat.Size != int64(len(want)) || string(stat.Meta) != `{"grid_thw":[1,52,92]}` ||
			stat.Cost.Seconds() != 0.085 || stat.TTL.Seconds() != 60 || stat.Tier != "host" {
			t.Errorf("headers say %+v", stat)
		}
		head := shot{method: "HEAD", path: embeddingPath(key)}.do(t, c, v, 200)
		for name := range got.resp.Header {
			if name != "X-Request-Id" && name != "Date" && head.resp.Header.Get(name) != got.resp.Header.Get(name) {
				t.Errorf("HEAD says %s %q, GET %q", name, head.resp.Header.Get(name), got.resp.Header.Get(name))
			}
		}
		shot{method: "DELETE", path: embeddingPath(key)}.do(t, c, v, 204)
		if miss := (shot{method: "GET", path: embeddingPath(key)}).do(t, c, v, 404); miss.code() != api.NotFound {
			t.Errorf("code %q", miss.code())
		}
		if miss := (shot{method: "HEAD", path: embeddingPath(key)}).do(t, c, v, 404); miss.code() != api.NotFound {
			t.Errorf("code of HEAD %q", miss.code())
		}
	})
}

// TestParts reads ranges, and asks on conditions.
func TestParts(t *testing.T) {
	v := start(t)
	c := v.client()
	v.put(t, c, "k", 1000)
	want := payload("k", 1000)
	etag := shot{method: "HEAD", path: embeddingPath("k")}.do(t, c, v, 200).resp.Header.Get("ETag")
	for _, tc := range []struct {
		name   string
		header []string
		status int
		from   int
		to     int
	}{
		{"first bytes", []string{"Range", "bytes=0-9"}, 206, 0, 10},
		{"from the middle", []string{"Range", "bytes=990-"}, 206, 990, 1000},
		{"last bytes", []string{"Range", "bytes=-1"}, 206, 999, 1000},
		{"beyond the end", []string{"Range", "bytes=500-5000"}, 206, 500, 1000},
		{"whole as a range", []string{"Range", "bytes=0-"}, 206, 0, 1000},
		{"two ranges", []string{"Range", "bytes=0-1,5-6"}, 200, 0, 1000},
		{"another unit", []string{"Range", "rows=0-1"}, 200, 0, 1000},
		{"range of what the client has", []string{"Range", "bytes=0-9", "If-Range", etag}, 206, 0, 10},
		{"range of something older", []string{"Range", "bytes=0-9", "If-Range", `"old"`}, 200, 0, 1000},
		{"what the client has", []string{"If-None-Match", etag}, 304, 0, 0},
		{"what the client has, among others", []string{"If-None-Match", `"x", W/` + etag}, 304, 0, 0},
		{"anything", []string{"If-None-Match", "*"}, 304, 0, 0},
		{"what the client has not", []string{"If-None-Match", `"x"`}, 200, 0, 1000},
		{"the same tag of the other form", []string{"If-None-Match", etag, "Accept", api.MediaSafetensors}, 200, -1, -1},
		{"as expected", []string{api.HeaderExpectSize, "1000", api.HeaderExpectDType, "BF16", api.HeaderExpectShape, "500"}, 200, 0, 1000},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := shot{method: "GET", path: embeddingPath("k"), header: with(tc.header...)}.do(t, c, v, tc.status)
			if tc.from >= 0 && !bytes.Equal(got.got, want[tc.from:tc.to]) {
				t.Errorf("%d bytes, want %d to %d", len(got.got), tc.from, tc.to)
			}
			if tc.status != 304 && got.resp.ContentLength != int64(len(got.got)) {
				t.Errorf("Content-Length %d of %d bytes", got.resp.ContentLength, len(got.got))
			}
		})
	}
}

// TestConditionalFromDisk asks about an embedding on disk only: what need not be sent is not read.
func TestConditionalFromDisk(t *testing.T) {
	c := testConfig(t)
	v := run(t, c)
	v.put(t, v.client(), "k", 1<<20)
	etag := shot{method: "HEAD", path: embeddingPath("k")}.do(t, v.client(), v, 200).resp.Header.Get("ETag")
	if err := v.stop(); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(v.hotList); err != nil {
		t.Fatal(err)
	}
	v = run(t, c)
	hc := v.client()
	shot{method: "GET", path: embeddingPath("k"), header: with("If-None-Match", etag)}.do(t, hc, v, 304)
	shot{method: "GET", path: embeddingPath("k"), header: with(api.HeaderExpectSize, "1")}.do(t, hc, v, 404)
	if reads := v.store.Stats().DiskReads; reads != 0 {
		t.Errorf("%d reads of the disk for nothing", reads)
	}
	shot{method: "GET", path: embeddingPath("k"), header: with("If-None-Match", `"x"`)}.do(t, hc, v, 200)
	if reads := v.store.Stats().DiskReads; reads != 1 {
		t.Errorf("%d reads of the disk for one embedding", reads)
	}
}

// TestSecondPut puts a key again: equal bytes are no work, and the first writer wins over others.
func TestSecondPut(t *testing.T) {
	v := start(t)
	v.everywhere(t, func(t *testing.T, c *http.Client) {
		path := embeddingPath(t.Name())
		put := func(body string, status int, header ...string) api.Stored {
			got := shot{method: "PUT", path: path, body: []byte(body), header: with(header...)}.do(t, c, v, status)
			return api.Stored(got.resp.Header.Get(api.HeaderStored))
		}
		if got := put("first", 201); got != api.StoredCreated {
			t.Errorf("stored %q", got)
		}
		if got := put("first", 200); got != api.StoredExisting {
			t.Errorf("stored %q", got)
		}
		put("other", 409)
		put("longer one", 409)
		put("first", 412, "If-None-Match", "*")
		put("first", 200, api.HeaderDurability, "disk")
		if got := (shot{method: "GET", path: path}).do(t, c, v, 200); string(got.got) != "first" {
			t.Errorf("read %q", got.got)
		}
	})
}

// TestDurablePut reads from disk what was acknowledged as durable, after a stop without a flush.
func TestDurablePut(t *testing.T) {
	c := testConfig(t)
	v := run(t, c)
	v.put(t, v.client(), "k", 1<<20, api.HeaderDurability, "disk")
	if err := v.Close(); err != nil {
		t.Fatal(err)
	}
	v = run(t, c)
	if got := (shot{method: "GET", path: embeddingPath("k")}).do(t, v.client(), v, 200); !bytes.Equal(got.got, payload("k", 1<<20)) {
		t.Error("other bytes came back")
	}
}
