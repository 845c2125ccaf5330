package command

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/keepsight/keepsight/api"
	"github.com/keepsight/keepsight/internal/bytesize"
)

type lsCommand struct {
	connection
	Namespace string `arg:"" optional:"" help:"Only this one."`
	JSON      bool   `name:"json" help:"Print JSON."`
}

// Run lists what each namespace holds in each tier. Keys are not listed: nobody needs to enumerate media.
func (c lsCommand) Run(ctx context.Context, streams Streams) error {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	service, err := c.open()
	if err != nil {
		return err
	}
	defer service.Close()
	var namespaces []api.Namespace
	if c.Namespace == "" {
		namespaces, err = service.Namespaces(ctx)
	} else {
		var one api.Namespace
		one, err = service.Namespace(ctx, c.Namespace)
		namespaces = []api.Namespace{one}
	}
	if err != nil {
		return service.explain(err)
	}
	if c.JSON {
		return writeJSON(streams.Out, namespaces)
	}
	writeNamespaces(streams.Out, namespaces)
	return nil
}

func writeNamespaces(w io.Writer, namespaces []api.Namespace) {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "namespace\tepoch\tin host memory\t\ton disk\t")
	for _, ns := range namespaces {
		host, disk := ns.Tiers["host"], ns.Tiers["disk"]
		fmt.Fprintf(table, "%s\t%d\t%d\t%s\t%d\t%s\n", ns.Name, ns.Epoch,
			host.Entries, bytesize.Format(host.Bytes), disk.Entries, bytesize.Format(disk.Bytes))
	}
	table.Flush()
}

func writeJSON(w io.Writer, v any) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(v)
}

type rmCommand struct {
	connection
	place
	Key string `arg:"" help:"What it is called."`
}

// Run removes the embedding from every tier; one that is absent is not an error.
func (c rmCommand) Run(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	service, err := c.open()
	if err != nil {
		return err
	}
	defer service.Close()
	return service.explain(service.Delete(ctx, c.Namespace, c.Key))
}
