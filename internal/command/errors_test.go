package command

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/keepsight/keepsight/api"
	"github.com/keepsight/keepsight/api/client"
	"github.com/keepsight/keepsight/disktier"
	"github.com/keepsight/keepsight/server"
	"github.com/keepsight/keepsight/tiers"
)

func TestFailuresSayWhatToDo(t *testing.T) {
	s := session{address: "http://127.0.0.1:7070"}
	odd := errors.New("something else")
	for _, tc := range []struct {
		err  error
		want string
	}{
		{&net.OpError{Op: "dial", Err: errors.New("connection refused")}, "start one with keepsight serve"},
		{&tls.CertificateVerificationError{Err: errors.New("unknown authority")}, "SSL_CERT_FILE"},
		{&client.Error{Status: 401, Code: api.Unauthenticated}, "give --token-file"},
		{fmt.Errorf("get: %w", context.DeadlineExceeded), "did not answer in time"},
		{fmt.Errorf("get: %w", context.Canceled), "interrupted"},
		{odd, "something else"},
	} {
		if got := s.explain(tc.err); got == nil || !strings.Contains(got.Error(), tc.want) {
			t.Errorf("%v is explained as %v, want %q", tc.err, got, tc.want)
		}
	}
	if err := s.explain(nil); err != nil {
		t.Errorf("success is explained as %v", err)
	}
}

func TestAnnouncedAddressesCanBeOpened(t *testing.T) {
	for address, want := range map[string]string{
		"127.0.0.1:7070": "127.0.0.1:7070", "0.0.0.0:7070": "localhost:7070", "[::]:7070": "localhost:7070", "[::1]:7070": "[::1]:7070",
	} {
		tcp, err := net.ResolveTCPAddr("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		if got := reachable(tcp); got != want {
			t.Errorf("%s is announced as %s, want %s", address, got, want)
		}
	}
}

func TestRefusalsToStartAreUsageErrors(t *testing.T) {
	for err, code := range map[error]int{
		server.ErrConfig:             exitUsage,
		server.ErrAddressInUse:       exitUsage,
		disktier.ErrLocked:           exitUsage,
		errors.New("the disk burns"): exitFailed,
	} {
		var line strings.Builder
		if got := report(&line, refusal(fmt.Errorf("start: %w", err))); got != code {
			t.Errorf("%v exits %d, want %d", err, got, code)
		}
	}
}

func TestDamageIsNamed(t *testing.T) {
	name := tiers.Name{Scope: tiers.Scope{Tenant: "default", Namespace: "qwen", Epoch: 3}, Key: "cat"}
	for _, tc := range []struct {
		damage disktier.Damage
		want   string
	}{
		{disktier.Damage{Name: name, ID: name.ID(), Reason: "checksum"}, `damaged: key "cat" of namespace qwen, tenant default, epoch 3: checksum`},
		{disktier.Damage{ID: tiers.ID{0xab}, Reason: "record"}, "damaged: id ab" + strings.Repeat("00", 31) + ": record"},
		{disktier.Damage{Reason: "index"}, "damaged: index"},
	} {
		if got := describe(tc.damage); got != tc.want {
			t.Errorf("got %q, want %q", got, tc.want)
		}
	}
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { panic("a bug") }

func TestABugIsNotASuccess(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("a panic became an exit code")
		}
	}()
	Run(t.Context(), []string{"version"}, Streams{Out: brokenWriter{}, Err: io.Discard})
}
