// Command keepsight keeps what the encoder saw: a cache service for the outputs of vision and audio encoders
// in multimodal LLM serving, and the tools to use and inspect it.
package main

import (
	"context"
	"os"

	"github.com/keepsight/keepsight/internal/command"
)

func main() {
	os.Exit(command.Run(context.Background(), os.Args[1:], command.Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}))
}
