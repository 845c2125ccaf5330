package command

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/keepsight/keepsight/api/client"
	"github.com/keepsight/keepsight/internal/machine"
)

// answerTimeout bounds calls that move no embedding; a service that takes longer is in trouble.
const answerTimeout = 10 * time.Second

// connection says which service a command talks to.
type connection struct {
	Server    string `env:"KEEPSIGHT_SERVER" placeholder:"URL" help:"http://HOST:PORT, https://HOST:PORT or unix:PATH. (this user's unix socket if there is one, else http://${listen})"`
	TokenFile string `env:"KEEPSIGHT_TOKEN_FILE" placeholder:"FILE" help:"File with the bearer token."`
}

// A session is a client and the words to complain about its service.
type session struct {
	*client.Client
	address string
}

func (c connection) open() (session, error) {
	address, err := c.address()
	if err != nil {
		return session{}, err
	}
	var token []byte
	if c.TokenFile != "" {
		if token, err = os.ReadFile(c.TokenFile); err != nil {
			return session{}, usageError{err}
		}
		if token = bytes.TrimSpace(token); len(token) == 0 {
			return session{}, usagef("%s holds no token", c.TokenFile)
		}
	}
	opened, err := client.New(client.Options{BaseURL: address, Token: string(token)})
	if err != nil {
		return session{}, usageError{err}
	}
	return session{opened, address}, nil
}

// address is --server as a URL, or where a service with default settings listens.
func (c connection) address() (string, error) {
	if path, ok := strings.CutPrefix(c.Server, "unix:"); ok {
		path, err := filepath.Abs(strings.TrimPrefix(path, "//"))
		if err != nil {
			return "", usageError{err}
		}
		return (&url.URL{Scheme: "unix", Path: path}).String(), nil
	}
	if c.Server != "" {
		return c.Server, nil
	}
	socket := filepath.Join(machine.RuntimeDir(), socketName)
	if machine.Ours(filepath.Dir(socket)) == nil && machine.Ours(socket) == nil {
		return (&url.URL{Scheme: "unix", Path: socket}).String(), nil
	}
	return "http://" + defaultListen, nil
}

// explain turns an error of the client into one that says what to do.
func (s session) explain(err error) error {
	var dial *net.OpError
	var certificate *tls.CertificateVerificationError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &dial) && dial.Op == "dial":
		return fmt.Errorf("no service answers at %s (%w): start one with keepsight serve, or name another with --server", s.address, dial.Err)
	case errors.As(err, &certificate):
		return fmt.Errorf("the certificate of %s is not trusted (%w): name its authority by SSL_CERT_FILE", s.address, certificate.Err)
	case errors.Is(err, client.ErrUnauthenticated):
		return fmt.Errorf("%s wants a token: give --token-file", s.address)
	case errors.Is(err, context.Canceled):
		return errors.New("interrupted")
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%s did not answer in time", s.address)
	}
	return err
}

// interruptible returns a context that ends with SIGINT or SIGTERM, so that a command can clean up.
func interruptible(ctx context.Context) (context.Context, context.CancelFunc) {
	return signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
}
