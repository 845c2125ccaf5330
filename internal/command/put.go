package command

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/keepsight/keepsight/api"
	"github.com/keepsight/keepsight/api/client"
	"github.com/keepsight/keepsight/internal/bytesize"
	"github.com/keepsight/keepsight/internal/terminal"
)

// place is a namespace, for the commands that are about one embedding.
type place struct {
	Namespace string `short:"n" default:"default" env:"KEEPSIGHT_NAMESPACE" placeholder:"NS" help:"Everything but the media that determines an embedding: model, revision, dtype, settings. (${default})"`
}

type putCommand struct {
	connection
	place
	File    string        `arg:"" help:"A safetensors file, a raw tensor with --dtype and --shape, or any other file, stored as bytes."`
	Key     string        `short:"k" placeholder:"KEY" help:"What to call it. (the media hash of the file, as the command key prints it)"`
	DType   string        `name:"dtype" placeholder:"DTYPE" help:"Element type of a raw tensor: BF16, F16, F32, F8_E4M3, U8..."`
	Shape   string        `placeholder:"N,N" help:"Shape of a raw tensor, row-major."`
	Meta    string        `placeholder:"JSON" help:"What to keep beside the tensor, such as {\"grid_thw\": [1, 26, 46]}."`
	Cost    time.Duration `placeholder:"DURATION" help:"What encoding took."`
	TTL     time.Duration `name:"ttl" placeholder:"DURATION" help:"When to forget it."`
	Durable bool          `help:"Return once it survives a crash of the service."`
}

// Run stores the file and prints its key.
func (c putCommand) Run(ctx context.Context, streams Streams) error {
	ctx, stop := interruptible(ctx)
	defer stop()
	file, size, err := openRegular(c.File)
	if err != nil {
		return usageError{err}
	}
	defer file.Close()
	header, err := c.header(file)
	if err != nil {
		return err
	}
	service, err := c.open()
	if err != nil {
		return err
	}
	defer service.Close()
	key := c.Key
	if key == "" {
		if key, err = hashFile(ctx, streams, c.File); err != nil {
			return err
		}
	}

	progress := startProgress(streams.Err, "storing "+c.File, size)
	defer progress.Stop()
	began := time.Now()
	stored, err := service.PutFrom(ctx, c.Namespace, key, progress.Reader(ctx, file), size, header)
	progress.Stop()
	switch {
	case errors.Is(err, client.ErrExistsDifferent):
		return fmt.Errorf("other bytes are stored as %s in %s already, and the first writer wins: remove them first, or use another key", key, c.Namespace)
	case errors.Is(err, client.ErrExistsIncompatible):
		return fmt.Errorf("another dtype or shape is stored as %s in %s already: two encoders should not share a namespace", key, c.Namespace)
	case err != nil:
		return service.explain(err)
	}
	if terminal.Is(streams.Err) {
		took := time.Since(began)
		fmt.Fprintf(streams.Err, "%s %s in %s\n", stored, bytesize.Format(size), took.Round(10*time.Microsecond))
	}
	fmt.Fprintln(streams.Out, key)
	return nil
}

// header says what the file holds.
func (c putCommand) header(file *os.File) (api.PutHeader, error) {
	h := api.PutHeader{DType: c.DType, Cost: c.Cost, TTL: c.TTL}
	if (c.DType == "") != (c.Shape == "") {
		return h, usagef("--dtype and --shape belong together")
	}
	if c.DType == "" {
		h.Safetensors = filepath.Ext(c.File) == ".safetensors" || looksLikeSafetensors(file)
	} else {
		shape, err := api.ParseShape(c.Shape)
		if err != nil {
			return h, usagef("--shape %q: write dimensions like 1196,3584", c.Shape)
		}
		h.Shape = shape
	}
	if c.Meta != "" {
		meta, err := api.ParseMeta(c.Meta)
		if err != nil {
			return h, usagef("--meta: %w", err)
		}
		h.Meta = json.RawMessage(meta)
	}
	if c.Durable {
		h.Durability = api.DurabilityDisk
	}
	return h, nil
}

// looksLikeSafetensors reports whether the file begins as the format does: the length of a header that
// fits, and the header's brace.
func looksLikeSafetensors(file *os.File) bool {
	var start [api.SafetensorsPrefixLen + 1]byte
	if _, err := file.ReadAt(start[:], 0); err != nil {
		return false
	}
	return binary.LittleEndian.Uint64(start[:]) <= api.MaxSafetensorsHeader && start[api.SafetensorsPrefixLen] == '{'
}

// openRegular opens a file whose size is known before it is read.
func openRegular(name string) (*os.File, int64, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, 0, err
	}
	info, err := file.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is not a regular file", name)
	}
	if err == nil && info.Size() == 0 {
		err = fmt.Errorf("%s is empty", name)
	}
	if err != nil {
		return nil, 0, errors.Join(err, file.Close())
	}
	return file, info.Size(), nil
}
