package report

import (
	"bytes"
	"encoding/xml"
	"io"
	"regexp"
	"strings"
	"testing"

	"github.com/keepsight/keepsight/loadtest/load"
	"github.com/keepsight/keepsight/loadtest/serving"
)

func html(t *testing.T, r Report) string {
	t.Helper()
	var text bytes.Buffer
	if err := WriteHTML(&text, r); err != nil {
		t.Fatal(err)
	}
	return text.String()
}

// wellFormed fails where elements are not closed, of the kinds that have to be.
func wellFormed(t *testing.T, text string) {
	t.Helper()
	decoder := xml.NewDecoder(strings.NewReader(text))
	decoder.Strict = false
	decoder.AutoClose = []string{"meta"}
	decoder.Entity = xml.HTMLEntity
	depth := 0
	for {
		token, err := decoder.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatalf("not well-formed: %v", err)
		}
		switch token.(type) {
		case xml.StartElement:
			depth++
		case xml.EndElement:
			depth--
		}
	}
	if depth != 0 {
		t.Errorf("%d elements are not closed", depth)
	}
}

func TestPage(t *testing.T) {
	text := html(t, sample())
	wellFormed(t, text)
	for _, want := range []string{
		"<h1>keepsight under load</h1>", "AMD EPYC 9354", "128 GiB", "2026-03-14 15:09 UTC", "cubic", "go1.26.8",
		"Throughput over time", "Latency of GET", "Where reads found their embedding", "Mean time to first token",
		"one raw loopback stream", "default-src &#39;none&#39;", "8.31 GB/s",
	} {
		if !strings.Contains(text, want) && !strings.Contains(text, strings.ReplaceAll(want, "&#39;", "'")) {
			t.Errorf("the page has no %q", want)
		}
	}
}

// The page loads nothing and runs nothing.
func TestPageStandsAlone(t *testing.T) {
	text := html(t, sample())
	for _, loading := range []string{"http://", "https://", "url(", "@import", "<script", "<link", "<img", "src=", "href="} {
		if strings.Contains(text, loading) {
			t.Errorf("the page has %q", loading)
		}
	}
}

// Names are text, wherever they come from.
func TestPageEscapes(t *testing.T) {
	const evil = `<script>alert("1")</script>`
	r := sample()
	r.Title, r.Command, r.Machine.CPU = evil, evil, evil
	r.Machine.Versions[evil] = evil
	r.Compare.Targets[2], r.Compare.Missing[0] = evil, evil
	for _, result := range r.Results {
		result.Target, result.Traffic, result.FirstError = evil, evil, evil
		result.Tiers = map[string]int64{evil: 1}
	}
	r.Serving.Policies[0].Policy = serving.Policy(evil)
	text := html(t, r)
	wellFormed(t, text)
	if strings.Contains(text, "<script") {
		t.Error("a name is an element of the page")
	}
}

// What was not run is not on the page.
func TestPageLeavesOut(t *testing.T) {
	whole := sample()
	for name, test := range map[string]struct {
		report Report
		has    []string
	}{
		"everything":      {Report{Results: whole.Results, Compare: whole.Compare, Serving: whole.Serving}, []string{"Serving", "Compared", "zipf"}},
		"nothing":         {Report{}, nil},
		"traffic only":    {Report{Results: whole.Results}, []string{"zipf"}},
		"comparison only": {Report{Compare: whole.Compare}, []string{"Compared"}},
		"serving only":    {Report{Serving: whole.Serving}, []string{"Serving"}},
		"no timeline":     {Report{Results: []*load.Result{{Target: "a", Traffic: "zipf"}}}, []string{"zipf"}},
	} {
		t.Run(name, func(t *testing.T) {
			text := html(t, test.report)
			wellFormed(t, text)
			for _, section := range []string{"Serving", "Compared", "zipf"} {
				want := strings.Contains(strings.Join(test.has, " "), section)
				if got := strings.Contains(text, "<h2>"+section); got != want {
					t.Errorf("section %s: %v, want %v", section, got, want)
				}
			}
			if strings.Contains(text, "no values") {
				t.Error("there is an empty chart")
			}
		})
	}
}

// The title of the serving chart claims what the numbers bear out, and no more.
func TestServingTitle(t *testing.T) {
	const both = "keepsight holds almost nothing on the GPU through decode and encodes each image once"
	for name, test := range map[string]struct {
		change func(*serving.Result)
		want   string
	}{
		"as it should be": {func(*serving.Result) {}, both},
		"some encoded twice": {func(s *serving.Result) { s.Run(serving.Keepsight).Encodes++ },
			"keepsight holds almost nothing on the GPU through decode"},
		"much on the GPU": {func(s *serving.Result) { s.Run(serving.Keepsight).PeakGPUBytes = 1 << 30 },
			"keepsight encodes each image once"},
		"without keepsight": {func(s *serving.Result) { s.Policies = s.Policies[:2] },
			"Embeddings on the GPU, encoder runs and time to first token"},
	} {
		t.Run(name, func(t *testing.T) {
			s := sample().Serving
			test.change(s)
			if got := servingTitle(s); got != test.want {
				t.Errorf("%q, want %q", got, test.want)
			}
		})
	}
}

// The picture of the README is well-formed, stands alone and gives its figures.
func TestServingChart(t *testing.T) {
	svg := string(ServingChart(sample().Serving))
	wellFormed(t, svg)
	if rest := strings.Replace(svg, `xmlns="http://www.w3.org/2000/svg"`, "", 1); strings.Contains(rest, "http") {
		t.Error("the picture has an address")
	}
	for _, want := range []string{"331", "GB kept through decode", "prefers-color-scheme: dark"} {
		if !strings.Contains(svg, want) {
			t.Errorf("the picture has no %q", want)
		}
	}
	if n := len(regexp.MustCompile(`class="line `).FindAllString(svg, -1)); n != 3 {
		t.Errorf("%d lines, want one for each policy", n)
	}
}

// A target has one hue in all sections.
func TestHues(t *testing.T) {
	r := sample()
	r.Results = append([]*load.Result{{Target: "nginx"}}, r.Results...)
	hues := r.hues()
	if len(hues) != 5 || hues["nginx"] != 4 || hues["keepsight tcp"] != 0 {
		t.Errorf("hues are %v", hues)
	}
}
