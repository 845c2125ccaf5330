package server

import (
	"bytes"
	"net/http"
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
