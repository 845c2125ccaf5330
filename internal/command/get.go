package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/keepsight/keepsight/api/client"
	"github.com/keepsight/keepsight/internal/bytesize"
	"github.com/keepsight/keepsight/internal/terminal"
)

type getCommand struct {
	connection
	place
	Key         string        `arg:"" help:"What it is called."`
	Output      string        `short:"o" placeholder:"FILE" help:"Where to write it. (the standard output, unless that is a terminal)"`
	Safetensors bool          `help:"Write a safetensors file instead of raw bytes; implied by a FILE named so."`
	Wait        time.Duration `placeholder:"DURATION" help:"How long to wait for somebody to store it."`
}

// Run copies the embedding. A file appears under its name only once it is whole and verified.
func (c getCommand) Run(ctx context.Context, streams Streams) error {
	ctx, stop := interruptible(ctx)
	defer stop()
	if c.Output == "" && terminal.Is(streams.Out) {
		return usagef("an embedding on a terminal helps nobody: give -o FILE or redirect the output")
	}
	service, err := c.open()
	if err != nil {
		return err
	}
	defer service.Close()

	stream, err := service.Open(ctx, c.Namespace, c.Key, client.OpenOptions{
		GetOptions:  client.GetOptions{Wait: c.Wait},
		Safetensors: c.Safetensors || filepath.Ext(c.Output) == ".safetensors",
	})
	if errors.Is(err, client.ErrNotFound) {
		return fmt.Errorf("nothing is stored as %s in %s", c.Key, c.Namespace)
	}
	if err != nil {
		return service.explain(err)
	}
	defer stream.Close()

	progress := startProgress(streams.Err, "reading "+c.Key, stream.Range.Length)
	defer progress.Stop()
	began := time.Now()
	from := progress.Reader(ctx, stream)
	if c.Output == "" {
		_, err = io.Copy(streams.Out, from)
	} else {
		err = writeWhole(c.Output, from)
	}
	progress.Stop()
	if err != nil {
		return err
	}
	if terminal.Is(streams.Err) {
		fmt.Fprintf(streams.Err, "%s %v, %s from %s in %s\n", stream.Stat.DType, stream.Stat.Shape,
			bytesize.Format(stream.Range.Length), stream.Stat.Tier, time.Since(began).Round(10*time.Microsecond))
	}
	return nil
}

// writeWhole writes a file beside its place and renames it there, so that what goes wrong on the way leaves
// neither half a file nor the loss of an older one.
func writeWhole(name string, from io.Reader) error {
	if info, err := os.Stat(name); err == nil && !info.Mode().IsRegular() {
		return writeInto(name, from) // a pipe or a device has no half
	}
	temporary, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+".*")
	if err != nil {
		return usageError{err}
	}
	defer os.Remove(temporary.Name()) // fails once it is renamed
	_, err = io.Copy(temporary, from)
	if err = errors.Join(err, temporary.Chmod(0o644), temporary.Close()); err != nil {
		return err
	}
	return os.Rename(temporary.Name(), name)
}

func writeInto(name string, from io.Reader) error {
	file, err := os.OpenFile(name, os.O_WRONLY, 0)
	if err != nil {
		return usageError{err}
	}
	_, err = io.Copy(file, from)
	return errors.Join(err, file.Close())
}
