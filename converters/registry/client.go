package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"syscall"
	"time"

	"github.com/riferrei/srclient"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/converters"
)

// The types of schema.
const (
	Avro     = srclient.Avro
	JSON     = srclient.Json
	Protobuf = srclient.Protobuf
)

// Reference names a schema that another one uses.
type Reference = srclient.Reference

// Schema is a schema as a registry keeps it.
type Schema struct {
	ID         int
	Version    int // 0: not known
	Type       srclient.SchemaType
	Text       string
	References []Reference
}

// client asks the registry. It belongs to one goroutine. Errors are permanent, or a *converters.Unavailable.
type client struct {
	api           *srclient.SchemaRegistryClient
	ctx           context.Context // of the call that runs
	where         string
	retries       int
	wait, maxWait time.Duration
}

func newClient(v connectors.Values, c connectors.Config) (*client, error) {
	t, err := newTransport(v, c)
	if err != nil {
		return nil, err
	}
	out := &client{
		ctx: context.Background(), where: showURLs(v.String(keyURL)), retries: int(v.Int(keyRetries)),
		wait: time.Duration(v.Int(keyWait)) * time.Millisecond, maxWait: time.Duration(v.Int(keyMaxWait)) * time.Millisecond,
	}
	bind := func(r *http.Request) error {
		*r = *r.WithContext(out.ctx)
		return nil
	}
	out.api = srclient.NewSchemaRegistryClient(t.base(), srclient.WithClient(&http.Client{Transport: t}), srclient.WithPreReqFn(bind))
	out.api.CachingEnabled(false) // its "latest" would stay what it was for ever
	return out, nil
}

func (c *client) register(subject string, s Schema) (Schema, error) {
	return c.call("register a schema under subject "+subject, func() (*srclient.Schema, error) {
		out, err := c.api.CreateSchema(subject, s.Text, s.Type, s.References...)
		if code(err) == 40403 { // it reads what it has registered: from a registry that does not know it yet
			return nil, fmt.Errorf("the schema is not there yet: %s", err) //nolint:errorlint // no refusal
		}
		return out, err
	})
}

func (c *client) lookup(subject string, s Schema) (Schema, error) {
	return c.call("look up a schema under subject "+subject, func() (*srclient.Schema, error) {
		return c.api.LookupSchema(subject, s.Text, s.Type, s.References...)
	})
}

func (c *client) latest(subject string) (Schema, error) {
	return c.call("read the newest version of subject "+subject, func() (*srclient.Schema, error) { return c.api.GetLatestSchema(subject) })
}

func (c *client) version(subject string, version int) (Schema, error) {
	return c.call(fmt.Sprintf("read version %d of subject %s", version, subject), func() (*srclient.Schema, error) {
		return c.api.GetSchemaByVersion(subject, version)
	})
}

func (c *client) byID(id int) (Schema, error) {
	return c.call(fmt.Sprintf("read the schema with id %d", id), func() (*srclient.Schema, error) { return c.api.GetSchema(id) })
}

// call repeats a request that got no answer, with growing pauses.
func (c *client) call(what string, request func() (*srclient.Schema, error)) (Schema, error) {
	pause := c.wait
	for attempt := 0; ; attempt++ {
		s, err := request()
		if err == nil {
			out := Schema{ID: s.ID(), Version: s.Version(), Type: Avro, Text: s.Schema(), References: s.References()}
			if t := s.SchemaType(); t != nil && *t != "" {
				out.Type = *t
			}
			return out, nil
		}
		err = fmt.Errorf("%s at %s: %w", what, c.where, plain(err))
		if !passing(err) {
			return Schema{}, err
		}
		if attempt >= c.retries || c.ctx.Err() != nil {
			return Schema{}, &converters.Unavailable{Err: err}
		}
		timer := time.NewTimer(pause/2 + rand.N(pause/2+1))
		select {
		case <-timer.C:
		case <-c.ctx.Done():
			timer.Stop()
			return Schema{}, &converters.Unavailable{Err: fmt.Errorf("%w (%w)", err, context.Cause(c.ctx))}
		}
		pause = min(2*pause, c.maxWait)
	}
}

// plain drops what net/http adds: the address, which call has.
func plain(err error) error {
	if u := (*url.Error)(nil); errors.As(err, &u) {
		err = u.Err
	}
	switch name := (*net.DNSError)(nil); {
	case errors.As(err, &name):
		return fmt.Errorf("the host name %s cannot be resolved; check schema.registry.url", name.Name)
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("%w; check schema.registry.url, and that the registry runs and listens there", err)
	case errors.Is(err, io.EOF):
		return fmt.Errorf("the connection was closed without an answer (%w)", err)
	}
	return err
}

// passing tells that no registry said anything about the request.
func passing(err error) bool {
	return code(err) == 0
}

// code is that of a registry's error; 0 for any other.
func code(err error) int {
	var answer srclient.Error
	if errors.As(err, &answer) {
		return answer.Code
	}
	return 0
}
