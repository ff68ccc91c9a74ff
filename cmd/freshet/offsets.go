package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/freshet-io/freshet/runtime/herder"
	"github.com/freshet-io/freshet/runtime/rest/client"
)

func offsetsCommand() *cobra.Command {
	r := &remote{}
	c := &cobra.Command{
		Use:   "offsets",
		Short: "Show, set and reset the offsets of a worker's connectors",
		Long:  "Shows, sets and resets the offsets of connectors of a running worker. To change them, stop the connector first.\n" + remoteHelp,
		Example: `  freshet offsets get bets-to-kafka
  freshet offsets reset bets-to-kafka`,
		Args: usage(cobra.NoArgs),
		RunE: needsSubcommand,
	}
	r.add(c)
	c.AddCommand(getOffsetsCommand(r), setOffsetsCommand(r), resetOffsetsCommand(r))
	return c
}

func getOffsetsCommand(r *remote) *cobra.Command {
	return &cobra.Command{
		Use:               "get NAME",
		Short:             "Show the offsets of a connector",
		Long:              "Shows the offsets of a connector. What --output json prints can be given to 'freshet offsets set -f'.",
		Args:              usage(cobra.ExactArgs(1)),
		ValidArgsFunction: r.one,
		RunE: r.ask(func(c *cobra.Command, w *client.Client, args []string) error {
			list, err := w.Offsets(c.Context(), args[0])
			if err != nil {
				return err
			}
			all := map[string][]herder.OffsetEntry{"offsets": append([]herder.OffsetEntry{}, list...)}
			return r.print(c.OutOrStdout(), all, func(to io.Writer) {
				fmt.Fprintln(to, "PARTITION\tOFFSET")
				for _, e := range list {
					fmt.Fprintf(to, "%s\t%s\n", compact(e.Partition), compact(e.Offset))
				}
			})
		}),
	}
}

func compact(text json.RawMessage) string {
	var b bytes.Buffer
	if json.Compact(&b, text) != nil {
		return string(text)
	}
	return b.String()
}

func setOffsetsCommand(r *remote) *cobra.Command {
	var file, partition, offset string
	c := &cobra.Command{
		Use:   "set NAME",
		Short: "Write offsets of a stopped connector",
		Long: `Writes offsets of a stopped connector: those of a file in the form that 'freshet offsets get --output json' prints, or one
that --partition and --offset say. An offset null removes that of its partition.`,
		Example: `  freshet offsets set lines --partition '{"filename":"/var/log/lines"}' --offset '{"position":0}'`,
		Args:    usage(cobra.ExactArgs(1)), ValidArgsFunction: r.one,
		RunE: r.ask(func(c *cobra.Command, w *client.Client, args []string) error {
			entries, err := readOffsets(file, partition, offset)
			if err != nil {
				return err
			}
			return r.each(c, args, func(name string) (string, error) { return w.SetOffsets(c.Context(), name, entries) })
		}),
	}
	c.Flags().StringVarP(&file, "file", "f", "", "`file` with offsets, - for standard input")
	c.Flags().StringVar(&partition, "partition", "", "partition, as `JSON`")
	c.Flags().StringVar(&offset, "offset", "", "its offset, as `JSON`")
	return c
}

func readOffsets(file, partition, offset string) ([]herder.OffsetEntry, error) {
	if file == "" == (partition == "" && offset == "") || partition == "" != (offset == "") {
		return nil, usageError{errors.New("name a file (-f), or one offset with --partition and --offset")}
	}
	if file == "" {
		e := herder.OffsetEntry{Partition: json.RawMessage(partition), Offset: json.RawMessage(offset)}
		if !json.Valid(e.Partition) || !json.Valid(e.Offset) {
			return nil, usageError{errors.New("--partition and --offset must be JSON")}
		}
		return []herder.OffsetEntry{e}, nil
	}
	if file == "-" {
		file = "/dev/stdin"
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read offsets: %w", err)
	}
	entries, err := client.ParseOffsets(text)
	if err != nil {
		return nil, fmt.Errorf("read offsets in %s: %w", file, err)
	}
	return entries, nil
}

func resetOffsetsCommand(r *remote) *cobra.Command {
	return &cobra.Command{
		Use:               "reset NAME...",
		Short:             "Remove the offsets of stopped connectors, so that they begin anew",
		Args:              usage(cobra.MinimumNArgs(1)),
		ValidArgsFunction: r.names,
		RunE: r.ask(func(c *cobra.Command, w *client.Client, args []string) error {
			return r.each(c, args, func(name string) (string, error) { return w.ResetOffsets(c.Context(), name) })
		}),
	}
}
