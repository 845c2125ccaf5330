package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/keepsight/keepsight/loadtest/load"
	"github.com/keepsight/keepsight/loadtest/peer"
)

// targets are those that run already, or a keepsight started for this run.
func (t *test) targets(ctx context.Context) ([]load.Target, error) {
	if len(t.Target) == 0 {
		p, err := t.startKeepsight(ctx, "keepsight", t.DiskSize.Of(0))
		if err != nil {
			return nil, err
		}
		return p.Targets, nil
	}
	token, err := t.token()
	if err != nil {
		return nil, err
	}
	var targets []load.Target
	for _, url := range t.Target {
		target := load.Target{Name: url, URL: url, Namespace: t.Namespace, Token: token}
		if err := target.Validate(t.AllowRemote); err != nil {
			return nil, usageError{err}
		}
		targets = append(targets, target)
	}
	return targets, nil
}

// token reads what --token-file names.
func (t *test) token() (string, error) {
	if t.TokenFile == "" {
		return "", nil
	}
	token, err := os.ReadFile(t.TokenFile)
	if err != nil {
		return "", usageError{err}
	}
	if token = bytes.TrimSpace(token); len(token) == 0 {
		return "", usagef("%s holds no token", t.TokenFile)
	}
	return string(token), nil
}

// startKeepsight runs a keepsight with a disk tier of so many bytes, or none, and remembers to end it.
func (t *test) startKeepsight(ctx context.Context, name string, diskBytes int64) (*peer.Peer, error) {
	program, err := t.program(ctx)
	if err != nil {
		return nil, err
	}
	p, err := peer.Keepsight(ctx, program, name, diskBytes, t.peerOptions())
	if errors.Is(err, peer.ErrMissing) {
		return nil, usagef("--keepsight: there is no program %s", program)
	}
	if err != nil {
		return nil, err
	}
	t.keep(p)
	return p, nil
}

func (t *test) keep(p *peer.Peer) {
	t.peers = append(t.peers, p)
	if p.Version != "" {
		t.report.Machine.Versions[p.Name] = p.Version
	}
	for i := range p.Targets {
		p.Targets[i].Namespace = t.Namespace
	}
}

func (t *test) peerOptions() peer.Options {
	return peer.Options{MemoryBytes: t.Memory.Of(0), Congestion: t.Congestion}
}

// program returns the keepsight to start.
func (t *test) program(ctx context.Context) (string, error) {
	if t.Keepsight != "" {
		return t.Keepsight, nil
	}
	t.line.show("building keepsight")
	program, err := peer.Build(ctx, t.dir)
	if ctx.Err() != nil {
		return "", ctx.Err()
	}
	if err != nil {
		return "", fmt.Errorf("give --keepsight FILE: keepsight cannot be built here: %w", err)
	}
	t.Keepsight = program
	return program, nil
}
