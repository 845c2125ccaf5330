package server

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"

	"github.com/keepsight/keepsight/api"
	"github.com/keepsight/keepsight/tiers"
)

// maxTokensFile bounds the tokens file in bytes: some ten thousand tokens.
const maxTokensFile = 4 << 20

// tokensFile is the tokens file as it is written.
type tokensFile struct {
	Tokens  []tokenEntry           `json:"tokens"`
	Tenants map[string]tenantEntry `json:"tenants"`
}

type tokenEntry struct {
	Principal string       `json:"principal"` // for people and the log; nothing depends on it
	SHA256    string       `json:"sha256"`    // of the bearer token, 64 hex digits
	Tenant    string       `json:"tenant"`
	Scopes    []scopeEntry `json:"scopes"`
}

type scopeEntry struct {
	Namespaces string   `json:"namespaces"` // a name or a pattern such as "qwen-*"
	Allow      []string `json:"allow"`      // read, write, delete, admin
}

type tenantEntry struct {
	InFlightBytes int64 `json:"in_flight_bytes"` // zero: as much as the service takes
	PinnedBytes   int64 `json:"pinned_bytes"`
}

// openTokens reads the tokens file for the first time.
func openTokens(file string, log *slog.Logger) (*access, error) {
	a := &access{file: file}
	return a, a.reload(log)
}

// reload reads the tokens file again; the list in force stays when it cannot be used.
func (a *access) reload(log *slog.Logger) error {
	f, err := os.Open(a.file)
	if err != nil {
		return fmt.Errorf("%w: open tokens: %w", ErrConfig, err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxTokensFile+1))
	if err != nil {
		return fmt.Errorf("%w: read tokens: %w", ErrConfig, err)
	}
	list, err := parseTokens(data)
	if err != nil {
		return fmt.Errorf("%w: %s: %w", ErrConfig, a.file, err)
	}
	if info, err := f.Stat(); err == nil && info.Mode()&0o077 != 0 {
		log.Warn("the tokens file can be read by others; chmod 600 it", "file", a.file, "mode", info.Mode().String())
	}
	a.list.Store(list)
	return nil
}

// parseTokens checks a tokens file and makes the list of it.
func parseTokens(data []byte) (*accessList, error) {
	if len(data) > maxTokensFile {
		return nil, fmt.Errorf("more than %d bytes", maxTokensFile)
	}
	var file tokensFile
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&file); err != nil {
		return nil, fmt.Errorf("%s: %w", place(data, dec, err), err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s: something follows the JSON object", place(data, dec, err))
	}
	if len(file.Tokens) == 0 {
		return nil, errors.New("no tokens: nobody could do anything")
	}
	list := &accessList{limits: make(map[string]tiers.Limits)}
	seen := make(map[[sha256.Size]byte]bool)
	for i, entry := range file.Tokens {
		t, err := entry.token()
		if err != nil {
			return nil, fmt.Errorf("tokens[%d]: %w", i, err)
		}
		if seen[t.sum] {
			return nil, fmt.Errorf("tokens[%d]: the same sha256 is in the file twice", i)
		}
		seen[t.sum] = true
		list.tokens = append(list.tokens, t)
	}
	for tenant, entry := range file.Tenants {
		if entry.InFlightBytes < 0 || entry.PinnedBytes < 0 {
			return nil, fmt.Errorf("tenants[%q]: a limit is negative", tenant)
		}
		list.limits[tenant] = tiers.Limits{InFlightBytes: entry.InFlightBytes, PinnedBytes: entry.PinnedBytes}
	}
	return list, nil
}

// place says where decoding stopped.
func place(data []byte, dec *json.Decoder, err error) string {
	offset := dec.InputOffset()
	if e, ok := errors.AsType[*json.SyntaxError](err); ok {
		offset = e.Offset
	} else if e, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		offset = e.Offset
	}
	before := data[:min(max(offset, 0), int64(len(data)))]
	line := bytes.Count(before, []byte("\n")) + 1
	column := len(before) - bytes.LastIndexByte(before, '\n')
	return fmt.Sprintf("line %d, column %d", line, column)
}

// token checks one entry.
func (e tokenEntry) token() (token, error) {
	var t token
	sum, err := hex.DecodeString(e.SHA256)
	switch {
	case e.Principal == "":
		return t, errors.New("principal is missing")
	case err != nil || len(sum) != sha256.Size:
		return t, errors.New("sha256 is not 64 hex digits")
	case [sha256.Size]byte(sum) == sha256.Sum256(nil):
		return t, errors.New("sha256 is that of an empty token")
	case api.ValidateNamespace(e.Tenant) != nil:
		return t, errors.New("tenant must match [a-z0-9][a-z0-9._-]{0,127}")
	case len(e.Scopes) == 0:
		return t, errors.New("no scopes: the token allows nothing")
	}
	t.sum = [sha256.Size]byte(sum)
	t.who = &principal{name: e.Principal, tenant: e.Tenant}
	for i, s := range e.Scopes {
		g, err := s.grant()
		if err != nil {
			return t, fmt.Errorf("scopes[%d]: %w", i, err)
		}
		t.who.grants = append(t.who.grants, g)
	}
	return t, nil
}

// grant checks one scope.
func (s scopeEntry) grant() (grant, error) {
	if s.Namespaces == "" || strings.Trim(s.Namespaces, "abcdefghijklmnopqrstuvwxyz0123456789._-*") != "" {
		return grant{}, errors.New("namespaces must be a namespace, in which * stands for any characters")
	}
	if len(s.Allow) == 0 {
		return grant{}, errors.New("allow is empty")
	}
	g := grant{namespaces: s.Namespaces, verbs: make(map[verb]bool)}
	for _, word := range s.Allow {
		switch v := verb(word); v {
		case verbRead, verbWrite, verbDelete, verbAdmin:
			g.verbs[v] = true
		default:
			return grant{}, fmt.Errorf("allow: %q is none of read, write, delete, admin", word)
		}
	}
	return g, nil
}
