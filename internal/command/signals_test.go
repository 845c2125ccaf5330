package command

import (
	"path/filepath"
	"syscall"
	"testing"
)

func signalSelf(t *testing.T, s syscall.Signal) {
	t.Helper()
	if err := syscall.Kill(syscall.Getpid(), s); err != nil {
		t.Fatal(err)
	}
}

func TestSigtermDrains(t *testing.T) {
	dir := t.TempDir()
	service := serve(t, dir)
	must(t, keepsight(t, "put", writeFile(t, "image", randomBytes(1<<20)), "-k", "k", "--server", service.socket))
	signalSelf(t, syscall.SIGTERM)
	if ended := service.wait(); ended.code != exitOK {
		t.Fatalf("the service ended with %+v", ended)
	}
	again := serve(t, dir)
	must(t, keepsight(t, "get", "k", "--server", again.socket)) // what was not durable yet was written
}

func TestSecondSignalEndsAtOnce(t *testing.T) {
	service := serve(t, t.TempDir(), "--drain-delay", "1h", "--drain-timeout", "2h")
	signalSelf(t, syscall.SIGTERM)
	// Not ready means that the first signal has arrived; a second one sent before would be the same one.
	for keepsight(t, "health", "--server", service.socket).code == exitOK {
	}
	signalSelf(t, syscall.SIGTERM)
	wantFailure(t, service.wait(), exitFailed, "second signal")
}

func TestSighupReloads(t *testing.T) {
	dir := t.TempDir()
	shell(t, dir, shellBlock(t, "docs/security.md", "Across machines"))
	tokens := filepath.Join(dir, "tokens.json")
	service := serve(t, t.TempDir(), "--tokens", tokens)
	args := []string{"get", "k", "-n", "qwen2.5-vl-7b", "--server", service.address, "--token-file", filepath.Join(dir, "engine.token")}
	wantFailure(t, keepsight(t, args...), exitFailed, "nothing is stored")

	shell(t, dir, `sed -i 's/"sha256": "./"sha256": "0/; s/engine-1/engine-2/' tokens.json`)
	signalSelf(t, syscall.SIGHUP)
	for keepsight(t, args...).err != "keepsight: "+service.address+" wants a token: give --token-file\n" {
	}
}
