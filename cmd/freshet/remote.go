package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"sort"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/freshet-io/freshet/runtime/rest/client"
)

// remote is how the commands that ask a worker reach it, and how they print.
type remote struct {
	url, user, token, ca string
	insecure             bool
	output               string
}

const remoteHelp = `
The worker is asked over Kafka Connect's REST API; a worker of the JVM answers as well. --url, --user, --token and --cacert may be
given as FRESHET_URL, FRESHET_USER, FRESHET_TOKEN and FRESHET_CACERT. A secret on the command line is seen in the list of
processes: give it in the environment, or as @FILE.`

// add gives a command and all below it the flags.
func (r *remote) add(c *cobra.Command) {
	f := c.PersistentFlags()
	f.StringVar(&r.url, "url", environment("FRESHET_URL", client.DefaultURL), "base `URL` of a worker")
	f.StringVar(&r.user, "user", "", "basic authentication, `NAME:PASSWORD` or @FILE with that in it")
	f.StringVar(&r.token, "token", "", "bearer `TOKEN`, or @FILE with it")
	f.StringVar(&r.ca, "cacert", os.Getenv("FRESHET_CACERT"), "PEM `file` with the CA certificates of the worker")
	f.BoolVar(&r.insecure, "insecure", false, "do not check the worker's certificate")
	f.StringVarP(&r.output, "output", "o", "table", "table or json")
	values := func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return []string{"table", "json"}, cobra.ShellCompDirectiveNoFileComp
	}
	_ = c.RegisterFlagCompletionFunc("output", values) // the flag is there
}

func environment(name, otherwise string) string {
	if v := os.Getenv(name); v != "" {
		return v
	}
	return otherwise
}

// open returns a client for the flags.
func (r *remote) open(c *cobra.Command) (*client.Client, error) {
	if r.output != "table" && r.output != "json" {
		return nil, usageError{fmt.Errorf("--output %q: table or json is expected", r.output)}
	}
	o := client.Options{URL: r.url, CAFile: r.ca, Insecure: r.insecure, Agent: "freshet/" + versionText()}
	said := ""
	o.Waiting = func(message string) {
		if message != said {
			fmt.Fprintf(c.ErrOrStderr(), "the worker says: %s Trying again.\n", message)
		}
		said = message
	}
	user, err := secret(r.user, "FRESHET_USER")
	if err != nil {
		return nil, err
	}
	if o.Token, err = secret(r.token, "FRESHET_TOKEN"); err != nil {
		return nil, err
	}
	switch { // a flag wins over the environment
	case r.user != "" && r.token == "":
		o.Token = ""
	case r.token != "" && r.user == "":
		user = ""
	}
	o.User, o.Password, _ = strings.Cut(user, ":")
	out, err := client.New(o)
	if err != nil {
		return nil, usageError{err}
	}
	return out, nil
}

// secret is a flag's value, or the variable's; @FILE is replaced by what is in the file.
func secret(value, variable string) (string, error) {
	if value == "" {
		value = os.Getenv(variable)
	}
	file, ok := strings.CutPrefix(value, "@")
	if !ok {
		return value, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("read credentials: %w", err)
	}
	return strings.TrimRight(string(text), "\r\n"), nil
}

// ask makes a RunE of a function that talks to the worker, and says what to do about common errors.
func (r *remote) ask(f func(c *cobra.Command, w *client.Client, args []string) error) func(*cobra.Command, []string) error {
	return func(c *cobra.Command, args []string) error {
		w, err := r.open(c)
		if err != nil {
			return err
		}
		defer w.Close()
		return advise(f(c, w, args))
	}
}

func advise(err error) error {
	var down *client.Unreachable
	var refused *client.Error
	switch {
	case errors.As(err, &down):
		return fmt.Errorf("%w; is a worker running there? --url or FRESHET_URL names another one", err)
	case errors.As(err, &refused) && (refused.Code == http.StatusUnauthorized || refused.Code == http.StatusForbidden):
		return fmt.Errorf("%w (HTTP %d); --user or --token says who asks", err, refused.Code)
	}
	return err
}

// names completes names of connectors.
func (r *remote) names(c *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	const none = cobra.ShellCompDirectiveNoFileComp
	w, err := r.open(c)
	if err != nil {
		return nil, none
	}
	defer w.Close()
	ctx, cancel := context.WithTimeout(c.Context(), 3*time.Second)
	defer cancel()
	all, err := w.Names(ctx)
	if err != nil {
		return nil, none
	}
	sort.Strings(all)
	var out []string
	for _, name := range all {
		given := false
		for _, a := range args {
			given = given || a == name
		}
		if !given {
			out = append(out, name)
		}
	}
	return out, none
}

// one completes the name of one connector.
func (r *remote) one(c *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return r.names(c, args, begun)
}

// print prints v as JSON, or what table makes of it.
func (r *remote) print(to io.Writer, v any, table func(io.Writer)) error {
	if r.output == "json" {
		e := json.NewEncoder(to)
		e.SetEscapeHTML(false)
		e.SetIndent("", "  ")
		return e.Encode(v)
	}
	w := tabwriter.NewWriter(to, 0, 4, 2, ' ', 0)
	table(w)
	return w.Flush()
}

// result is what a command did with a connector.
type result struct {
	Name    string   `json:"name"`
	Result  string   `json:"result"`
	Changes []change `json:"changes,omitempty"`
}

// change is a key that differs; values are masked.
type change struct {
	Key string  `json:"key"`
	Old *string `json:"old"`
	New *string `json:"new"`
}

// each does something with every named connector. One that fails does not keep the others from it.
func (r *remote) each(c *cobra.Command, names []string, do func(name string) (string, error)) error {
	var results []result
	var failed []error
	for _, name := range names {
		text, err := do(name)
		if err != nil {
			failed = append(failed, fmt.Errorf("connector %s: %w", name, err))
			continue
		}
		results = append(results, result{Name: name, Result: text})
	}
	return errors.Join(append([]error{r.report(c, results)}, failed...)...)
}

func (r *remote) report(c *cobra.Command, results []result) error {
	if len(results) == 0 {
		return nil
	}
	return r.print(c.OutOrStdout(), results, func(w io.Writer) {
		for _, one := range results {
			fmt.Fprintf(w, "connector %s: %s\n", one.Name, one.Result)
			for _, ch := range one.Changes {
				switch {
				case ch.Old == nil:
					fmt.Fprintf(w, "  + %s = %s\n", ch.Key, *ch.New)
				case ch.New == nil:
					fmt.Fprintf(w, "  - %s = %s\n", ch.Key, *ch.Old)
				default:
					fmt.Fprintf(w, "  ~ %s = %s (was %s)\n", ch.Key, *ch.New, *ch.Old)
				}
			}
		}
	})
}
