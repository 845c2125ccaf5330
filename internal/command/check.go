package command

import (
	"context"
	"errors"
	"fmt"

	"github.com/keepsight/keepsight/disktier"
	"github.com/keepsight/keepsight/internal/bytesize"
	"github.com/keepsight/keepsight/tiers"
)

type checkCommand struct {
	Dir string `arg:"" type:"existingdir" help:"The --disk-dir of a service that does not run."`
}

// Run reads every value back and changes nothing.
func (c checkCommand) Run(ctx context.Context, streams Streams) error {
	ctx, stop := interruptible(ctx)
	defer stop()
	progress := startProgress(streams.Err, "checking "+c.Dir, -1)
	defer progress.Stop()
	options := disktier.CheckOptions{Progress: progress.Set}
	summary, err := disktier.Check(ctx, c.Dir, options, func(damage disktier.Damage) {
		fmt.Fprintln(streams.Out, describe(damage))
	})
	progress.Stop()
	switch {
	case errors.Is(err, disktier.ErrLocked):
		return usagef("%s is in use: stop the service first", c.Dir)
	case ctx.Err() != nil:
		return errors.New("interrupted")
	case err != nil:
		return err
	}
	if summary.Damaged > 0 {
		return fmt.Errorf("%s is damaged in %d places: the service will treat what they hold as misses", c.Dir, summary.Damaged)
	}
	fmt.Fprintf(streams.Out, "all good: %d embeddings, %s\n", summary.Values, bytesize.Format(summary.Bytes))
	return nil
}

// describe names what is damaged as its owner would.
func describe(damage disktier.Damage) string {
	switch {
	case damage.Name != tiers.Name{}:
		n := damage.Name
		return fmt.Sprintf("damaged: key %q of namespace %s, tenant %s, epoch %d: %s", n.Key, n.Namespace, n.Tenant, n.Epoch, damage.Reason)
	case damage.ID != tiers.ID{}:
		return fmt.Sprintf("damaged: id %x: %s", damage.ID[:], damage.Reason)
	default:
		return "damaged: " + damage.Reason
	}
}
