package report

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// In a browser, wide and narrow, light and dark, the page is whole: nothing overflows or overlaps, nothing is
// loaded, and the console is silent. KEEPSIGHT_SCREENSHOTS names a directory to keep pictures of it in.
func TestPageInBrowser(t *testing.T) {
	browser := startBrowser(t)
	page := writeTemp(t, "report.html", []byte(html(t, sample())))
	for _, width := range []int64{1280, 768, 390} {
		for _, scheme := range []string{"light", "dark"} {
			name := fmt.Sprintf("page-%d-%s", width, scheme)
			t.Run(name, func(t *testing.T) {
				wantWhole(t, browser, page, width, scheme)
			})
		}
	}
}

// The picture of the README is legible as narrow as a README is.
func TestServingChartInBrowser(t *testing.T) {
	browser := startBrowser(t)
	svg := ServingChart(sample().Serving)
	page := writeTemp(t, "serving.html", fmt.Appendf(nil, `<!doctype html><title>serving</title>
<style>:root { color-scheme: light dark } body { margin: 20px } svg { max-width: 100%%; height: auto }</style>%s`, svg))
	for _, width := range []int64{1200, 840} {
		for _, scheme := range []string{"light", "dark"} {
			t.Run(fmt.Sprintf("serving-%d-%s", width, scheme), func(t *testing.T) { wantWhole(t, browser, page, width, scheme) })
		}
	}
}

// requireBrowser makes a test fail instead of skip where there is no browser.
const requireBrowser = "KEEPSIGHT_REQUIRE_BROWSER"

func startBrowser(t *testing.T) context.Context {
	t.Helper()
	program, err := exec.LookPath("chromium")
	if err != nil {
		if os.Getenv(requireBrowser) != "" {
			t.Fatalf("%s is set, and chromium is not on PATH", requireBrowser)
		}
		t.Skip("chromium is not on PATH: the page is not looked at")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(program), chromedp.NoSandbox,
		chromedp.UserDataDir(t.TempDir()), chromedp.WSURLReadTimeout(time.Minute))
	allocator, stop := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(stop)
	browser, quit := chromedp.NewContext(allocator)
	t.Cleanup(quit)
	if err := chromedp.Do(browser); err != nil {
		t.Fatalf("start %s: %v", program, err)
	}
	return browser
}

func writeTemp(t *testing.T, name string, content []byte) (address string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return "file://" + path
}

// wantWhole opens a page in a new tab, looks for what is wrong with it, and keeps a picture.
func wantWhole(t *testing.T, browser context.Context, address string, width int64, scheme string) {
	heard := &listener{page: address}
	tab, done := chromedp.NewContext(browser, chromedp.WithListener(heard.hear))
	defer done()
	if err := chromedp.Do(tab, set(log.Enable, cdp.Empty{}), set(network.Enable, network.EnableParams{}),
		chromedp.EmulateViewport(width, 900),
		set(emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
		}),
		chromedp.Navigate(address),
	); err != nil {
		t.Fatal(err)
	}
	faults, err := chromedp.Run(tab, chromedp.Evaluate[[]string](findFaults))
	if err != nil {
		t.Fatal(err)
	}
	for _, fault := range append(faults, heard.all()...) {
		t.Error(fault)
	}
	keepPicture(t, tab)
}

// set makes an action of a command that answers nothing.
func set[P any](command cdp.Command[P, cdp.Empty], params P) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		_, err := chromedp.Call(ctx, command, params)
		return err
	})
}

func keepPicture(t *testing.T, tab context.Context) {
	dir := os.Getenv("KEEPSIGHT_SCREENSHOTS")
	if dir == "" {
		return
	}
	picture, err := chromedp.Run(tab, chromedp.FullScreenshot(100))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, filepath.Base(t.Name())+".png"), picture, 0o600); err != nil {
		t.Fatal(err)
	}
}

// A listener collects what a tab loads beyond its page, and what its console says.
type listener struct {
	page string

	mu    sync.Mutex
	heard []string
}

func (l *listener) hear(event any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch event := event.(type) {
	case *network.EventRequestWillBeSent:
		if event.Request.URL != l.page {
			l.heard = append(l.heard, "loads "+event.Request.URL)
		}
	case *log.EventEntryAdded:
		l.heard = append(l.heard, "the console says: "+event.Entry.Text)
	case *runtime.EventConsoleAPICalled:
		l.heard = append(l.heard, "the page writes to the console")
	case *runtime.EventExceptionThrown:
		l.heard = append(l.heard, "a script fails: "+event.ExceptionDetails.Text)
	}
}

func (l *listener) all() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.heard
}
