package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"time"
)

// A certificate is what TLS connections are opened with. It is replaced when its files change, and
// connections that are open keep the old one.
type certificate struct {
	cert, key string // paths; empty: no TLS
	current   atomic.Pointer[tls.Certificate]
}

func openCertificate(cert, key string) (*certificate, error) {
	c := &certificate{cert: cert, key: key}
	if cert == "" {
		return c, nil
	}
	return c, c.reload()
}

// reload reads the files again; the certificate in force stays when they cannot be used.
func (c *certificate) reload() error {
	pair, err := tls.LoadX509KeyPair(c.cert, c.key)
	if err != nil {
		return fmt.Errorf("%w: load TLS certificate: %w", ErrConfig, err)
	}
	c.current.Store(&pair)
	return nil
}

// config is for TLS 1.3 only: every client of ours speaks it, and it has no bad choices left to make.
func (c *certificate) config() *tls.Config {
	return &tls.Config{
		MinVersion:     tls.VersionTLS13,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.current.Load(), nil },
	}
}

// Reload reads the tokens file and the certificate again. What cannot be used is an error, and the one in
// force stays.
func (s *Server) Reload() error {
	var errs []error
	if s.access.file != "" {
		errs = append(errs, s.access.reload(s.log))
	}
	if s.certificate.cert != "" {
		errs = append(errs, s.certificate.reload())
	}
	err := errors.Join(errs...)
	if err == nil {
		s.metrics.reloaded.Set(1)
	} else {
		s.metrics.reloaded.Set(0)
	}
	return err
}

// watch reloads whenever one of the files has changed, until ctx ends. It looks instead of subscribing: a
// mounted secret is replaced by way of symbolic links, which file notification does not see.
func (s *Server) watch(ctx context.Context) {
	if s.access.file == "" && s.certificate.cert == "" {
		return
	}
	ticker := time.NewTicker(s.config.pace.watch)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
		now := s.stampSecrets()
		if now == s.secrets {
			continue
		}
		s.secrets = now
		if err := s.Reload(); err != nil {
			s.log.Error("reload failed, the old tokens and certificate stay", "error", err)
		} else {
			s.log.Info("tokens and certificate reloaded")
		}
	}
}

// A stamp changes with a file's content, for all practical purposes.
type stamp struct {
	modified int64
	size     int64
}

// stamps are those of the tokens file, the certificate and its key. They are taken before the files are read: a
// change in between is then seen by the next look.
type stamps [3]stamp

func (s *Server) stampSecrets() (all stamps) {
	for i, file := range []string{s.config.TokensFile, s.config.TLSCert, s.config.TLSKey} {
		if info, err := os.Stat(file); file != "" && err == nil {
			all[i] = stamp{info.ModTime().UnixNano(), info.Size()}
		}
	}
	return all
}
