package command

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"os"

	"github.com/zeebo/blake3"
)

type keyCommand struct {
	Files []string `arg:"" name:"file" help:"Media files, such as images; - is the standard input."`
}

// Help explains what exactly is hashed, because two parties must agree on it byte for byte.
func (keyCommand) Help() string {
	return `The media hash is BLAKE3 with 256 bits of output over the bytes of the file as they are, in hex.

It covers the encoded file, so width, height, colour mode, palette and orientation are part of it: two images
of the same pixels in another shape differ. It covers nothing else: model, revision and processor settings
belong in the namespace. Engines that accept the caller's own media ids (vLLM: the uuid of a media item) take
it as such; the hash that vLLM computes by itself mixes in the model's name and differs.`
}

// Run prints one line per file, as b3sum does.
func (c keyCommand) Run(ctx context.Context, streams Streams) error {
	for _, name := range c.Files {
		key, err := hashFile(ctx, streams, name)
		if err != nil {
			return err
		}
		if len(c.Files) == 1 {
			fmt.Fprintln(streams.Out, key)
		} else {
			fmt.Fprintf(streams.Out, "%s  %s\n", key, name)
		}
	}
	return nil
}

func hashFile(ctx context.Context, streams Streams, name string) (string, error) {
	file, size := streams.In, int64(-1)
	if name != "-" {
		opened, err := os.Open(name)
		if err != nil {
			return "", err
		}
		defer opened.Close()
		if info, err := opened.Stat(); err == nil && info.Mode().IsRegular() {
			size = info.Size()
		}
		file = opened
	}
	progress := startProgress(streams.Err, "hashing "+name, size)
	defer progress.Stop()
	return mediaHash(progress.Reader(ctx, file))
}

// mediaHash is BLAKE3-256 in hex of everything r yields.
func mediaHash(r io.Reader) (string, error) {
	hash := blake3.New()
	if _, err := io.Copy(hash, r); err != nil {
		return "", err
	}
	return hex.EncodeToString(hash.Sum(nil)), nil
}
