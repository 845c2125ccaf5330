package peer

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
)

// Build makes the keepsight of this source and returns its path, in dir. It takes the Go toolchain, and a working
// directory within the module.
func Build(ctx context.Context, dir string) (program string, err error) {
	program = filepath.Join(dir, "keepsight")
	build := exec.CommandContext(ctx, "go", "build", "-o", program, "github.com/keepsight/keepsight")
	if printed, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w:\n%s", err, printed)
	}
	return program, nil
}
