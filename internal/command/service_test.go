package command

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/keepsight/keepsight/api"
)

func randomBytes(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails
	return b
}

func TestAFileComesBack(t *testing.T) {
	service := serve(t, t.TempDir())
	content := randomBytes(1 << 20)
	file := writeFile(t, "photo.jpg", content)
	copied := filepath.Join(t.TempDir(), "copy.jpg")
	t.Setenv("KEEPSIGHT_SERVER", service.socket)

	key := strings.TrimSpace(must(t, keepsight(t, "put", file)))
	if want := strings.TrimSpace(must(t, keepsight(t, "key", file))); key != want {
		t.Errorf("put printed %q, the media hash is %q", key, want)
	}
	must(t, keepsight(t, "put", file)) // the same bytes again are no conflict
	must(t, keepsight(t, "get", key, "-o", copied))
	if !bytes.Equal(readFile(t, copied), content) {
		t.Error("get -o wrote other bytes")
	}
	if got := must(t, keepsight(t, "get", key)); got != string(content) {
		t.Error("get wrote other bytes to the standard output")
	}
	if got := must(t, keepsight(t, "get", key, "--server", service.address)); got != string(content) {
		t.Error("get by TCP wrote other bytes")
	}

	must(t, keepsight(t, "get", key, "-o", "/dev/null")) // a device stays what it is
	if info, err := os.Stat("/dev/null"); err != nil || info.Mode().IsRegular() {
		t.Fatalf("/dev/null is %v, %v", info.Mode(), err)
	}
	nowhere := filepath.Join(t.TempDir(), "absent", "copy.jpg")
	wantFailure(t, keepsight(t, "get", key, "-o", nowhere), exitUsage, "no such file or directory")

	wantFailure(t, keepsight(t, "get", key, "-n", "elsewhere"), exitFailed, "nothing is stored as "+key+" in elsewhere")
	must(t, keepsight(t, "rm", key))
	must(t, keepsight(t, "rm", key)) // absent is no error
	missing := filepath.Join(t.TempDir(), "missing")
	wantFailure(t, keepsight(t, "get", key, "-o", missing), exitFailed, "nothing is stored")
	if _, err := os.Stat(missing); err == nil {
		t.Error("a miss left a file")
	}
}

func TestRawTensorBecomesSafetensorsFile(t *testing.T) {
	service := serve(t, t.TempDir())
	t.Setenv("KEEPSIGHT_SERVER", service.socket)
	content := randomBytes(2 * 8 * 16)
	file := writeFile(t, "tensor.bin", content)
	made := filepath.Join(t.TempDir(), "tensor.safetensors")

	must(t, keepsight(t, "put", file, "-k", "sku/1 a", "-n", "llava", "--dtype", "BF16", "--shape", "8,16",
		"--meta", `{"grid_thw": [1, 2, 4]}`, "--cost", "85ms", "--ttl", "1h", "--durable"))
	must(t, keepsight(t, "get", "sku/1 a", "-n", "llava", "-o", made))
	whole := readFile(t, made)
	n, err := api.SafetensorsHeaderLen([8]byte(whole), int64(len(whole)))
	if err != nil {
		t.Fatal(err)
	}
	tensor, err := api.ParseSafetensors(whole[8:8+n], int64(len(whole)-8-n))
	if err != nil || tensor.DType != "BF16" || api.FormatShape(tensor.Shape) != "8,16" || !strings.Contains(string(tensor.Meta), "grid_thw") {
		t.Errorf("got %+v, %v", tensor, err)
	}
	if !bytes.Equal(whole[8+n:], content) {
		t.Error("the file holds other bytes")
	}

	// The file goes in again under another key and comes back as the very same file.
	must(t, keepsight(t, "put", made, "-k", "again"))
	copied := filepath.Join(t.TempDir(), "copy.safetensors")
	must(t, keepsight(t, "get", "again", "-o", copied))
	if !bytes.Equal(readFile(t, copied), whole) {
		t.Error("the safetensors file changed on the way")
	}
	if got := must(t, keepsight(t, "get", "again")); got != string(content) {
		t.Error("its raw bytes are others")
	}
}

func TestFirstWriterWins(t *testing.T) {
	service := serve(t, t.TempDir())
	t.Setenv("KEEPSIGHT_SERVER", service.socket)
	first := writeFile(t, "first", randomBytes(4096))
	second := writeFile(t, "second", randomBytes(4096))
	longer := writeFile(t, "longer", randomBytes(8192))
	must(t, keepsight(t, "put", first, "-k", "k"))
	wantFailure(t, keepsight(t, "put", second, "-k", "k"), exitFailed, "first writer wins")
	wantFailure(t, keepsight(t, "put", longer, "-k", "k"), exitFailed, "another dtype or shape")
	if got := must(t, keepsight(t, "get", "k")); got != string(readFile(t, first)) {
		t.Error("the first writer lost")
	}
}

func TestStatAndLs(t *testing.T) {
	service := serve(t, t.TempDir())
	t.Setenv("KEEPSIGHT_SERVER", service.socket)
	must(t, keepsight(t, "put", writeFile(t, "image", randomBytes(1<<20)), "-n", "qwen", "--durable"))

	if table := must(t, keepsight(t, "stat")); !strings.Contains(table, "host") || !strings.Contains(table, "disk") {
		t.Errorf("stat printed %q", table)
	}
	var status api.Status
	if err := json.Unmarshal([]byte(must(t, keepsight(t, "stat", "--json"))), &status); err != nil || !status.Ready {
		t.Errorf("stat --json: %+v, %v", status, err)
	}
	for _, args := range [][]string{{"ls"}, {"ls", "qwen"}} {
		lines := strings.Split(strings.TrimSpace(must(t, keepsight(t, args...))), "\n")
		if len(lines) != 2 || strings.Join(strings.Fields(lines[1]), " ") != "qwen 0 1 1 MiB 1 1 MiB" {
			t.Errorf("%v printed %q", args, lines)
		}
	}
	var namespaces []api.Namespace
	if err := json.Unmarshal([]byte(must(t, keepsight(t, "ls", "--json"))), &namespaces); err != nil || len(namespaces) != 1 {
		t.Errorf("ls --json: %+v, %v", namespaces, err)
	}
}

func TestHealth(t *testing.T) {
	service := serve(t, t.TempDir())
	for _, server := range []string{service.socket, service.address} {
		if got := must(t, keepsight(t, "health", "--server", server)); got != "ready\n" {
			t.Errorf("health printed %q", got)
		}
	}
	if ended := service.stop(); ended.code != exitOK {
		t.Errorf("the service ended with %+v", ended)
	}
	for _, server := range []string{service.socket, service.address} {
		wantFailure(t, keepsight(t, "health", "--server", server), exitFailed, "no service answers")
	}
}

func TestWhatIsInUseIsRefused(t *testing.T) {
	dir := t.TempDir()
	service := serve(t, dir)
	address := strings.TrimPrefix(service.address, "http://")
	other := filepath.Join(t.TempDir(), "socket")
	for name, args := range map[string][]string{
		"address":   {"--listen", address, "--socket", "none", "--disk-size", "0"},
		"socket":    {"--listen", "none", "--socket", strings.TrimPrefix(service.socket, "unix:"), "--disk-size", "0"},
		"directory": {"--listen", "none", "--socket", other, "--disk-dir", service.disk, "--disk-size", "256MiB"},
	} {
		t.Run(name, func(t *testing.T) {
			got := keepsight(t, append([]string{"serve", "--memory", "256MiB"}, args...)...)
			wantFailure(t, got, exitUsage, "in use")
		})
	}
	must(t, keepsight(t, "health", "--server", service.socket)) // and the first one never noticed
}

func TestDurableSurvivesARestart(t *testing.T) {
	dir := t.TempDir()
	first := serve(t, dir)
	content := randomBytes(3 << 20)
	must(t, keepsight(t, "put", writeFile(t, "clip", content), "-k", "k", "--durable", "--server", first.socket))
	if ended := first.stop(); ended.code != exitOK {
		t.Fatalf("the service ended with %+v", ended)
	}
	second := serve(t, dir)
	if got := must(t, keepsight(t, "get", "k", "--server", second.socket)); got != string(content) {
		t.Error("other bytes came back")
	}
}

func TestCheck(t *testing.T) {
	dir := t.TempDir()
	service := serve(t, dir)
	must(t, keepsight(t, "put", writeFile(t, "clip", randomBytes(3<<20)), "--durable", "--server", service.socket))
	wantFailure(t, keepsight(t, "check", service.disk), exitUsage, "in use")
	service.stop()
	if got := must(t, keepsight(t, "check", service.disk)); !strings.Contains(got, "all good: 1 embeddings, 3 MiB") {
		t.Errorf("check of a good directory printed %q", got)
	}

	blocks, err := filepath.Glob(filepath.Join(service.disk, "blocks-*"))
	if err != nil || len(blocks) == 0 {
		t.Fatalf("no block files: %v", err)
	}
	damaged := readFile(t, blocks[0])
	damaged[1<<20] ^= 1
	writeFile(t, blocks[0], damaged)
	if got := keepsight(t, "check", service.disk); got.code != exitFailed || got.out == "" || !strings.Contains(got.err, "damaged") {
		t.Errorf("check of a damaged directory: %+v", got)
	}
}

func TestDemo(t *testing.T) {
	t.Setenv(runVariable, "1") // os.Executable is this test
	t.Setenv("TMPDIR", t.TempDir())
	out := must(t, keepsight(t, "demo"))
	for _, want := range []string{"Qwen2.5-VL-7B", "1196x3584", "host", "disk", "Every byte of"} {
		if !strings.Contains(out, want) {
			t.Errorf("the demonstration does not show %q:\n%s", want, out)
		}
	}
	if left, err := os.ReadDir(os.TempDir()); err != nil || len(left) > 0 {
		t.Errorf("it left %v, %v", left, err)
	}
}
