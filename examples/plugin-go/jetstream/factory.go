// Package jetstream is a sink that publishes changes to NATS JetStream.
//
// Each change is one message, {"op":"u","key":{…},"value":{…}}, on a subject of its table, with a Nats-Msg-Id that is the same when it is sent again. A stream drops
// what it has had within its duplicate window (two minutes by default), so that a replay after a crash changes nothing; beyond it, and for
// the rows of a snapshot, the sink is at least once.
package jetstream

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/freshet-io/freshet/changes"
	"github.com/freshet-io/freshet/connectors"
)

const connectTimeout = 10 * time.Second

// Sinks makes sinks that publish to JetStream.
type Sinks struct{ Version string }

// Describe implements connectors.Factory.
func (f Sinks) Describe() connectors.Description {
	return connectors.Description{
		Class: "io.freshet.examples.JetStreamSinkConnector", Aliases: []string{"JetStreamSink"}, Sink: true, Version: f.Version,
		Doc: "Publishes each change as JSON to NATS JetStream, which drops replays.", Config: config(),
	}
}

func config() *connectors.ConfigDef {
	return &connectors.ConfigDef{Keys: []connectors.Key{
		{Name: "nats.servers", Type: connectors.TypeList, Default: "nats://127.0.0.1:4222", HasDefault: true, Importance: "HIGH", Check: checkServers, Doc: "Servers of the cluster, nats:// or tls://, separated by commas. User and password have keys of their own."},
		{Name: "nats.user", Type: connectors.TypeString, Importance: "MEDIUM", Doc: "User to authenticate as."},
		{Name: "nats.password", Type: connectors.TypePassword, Importance: "MEDIUM", Doc: "Password of nats.user."},
		{Name: "nats.token", Type: connectors.TypePassword, Importance: "MEDIUM", Doc: "Token to authenticate with, in place of a user."},
		{Name: "nats.subject", Type: connectors.TypeString, Default: "changes.{table}", HasDefault: true, Importance: "HIGH", Check: checkSubject, Doc: "Subject of a change. {schema}, {table} and {topic} are those of the change; what has no place in a subject becomes an underscore."},
		{Name: "nats.pending.bytes", Type: connectors.TypeInt, Default: "4194304", HasDefault: true, Importance: "LOW", Check: changes.CheckPositive, Doc: "Bytes of messages that are collected while as many are on their way; beyond it the sink pushes back."},
	}}
}

func checkServers(v string) string {
	if strings.Contains(v, "@") {
		return "No user and password are expected here; use nats.user and nats.password, or nats.token"
	}
	return ""
}

func checkSubject(v string) string {
	for _, token := range strings.Split(fillSubject(v, "x", "x", "x"), ".") {
		if token == "" || strings.ContainsAny(token, "{}*> \t\r\n") {
			return "A subject without wildcards and spaces is expected, in which {schema}, {table} and {topic} may stand"
		}
	}
	return ""
}

func fillSubject(template, schema, table, topic string) string {
	return strings.NewReplacer("{schema}", schema, "{table}", table, "{topic}", topic).Replace(template)
}

// Validate implements connectors.Factory: the server must let us in, and a stream must take the subjects.
func (f Sinks) Validate(ctx context.Context, c connectors.Config) []connectors.ConfigValue {
	values := config().Check(c)
	if len(connectors.Errors(values)) > 0 {
		return values
	}
	v := config().Values(c)
	conn, js, err := connect(v, nil)
	if err != nil {
		return connectors.BlameServer(values, err, "nats.servers")
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	if err := findStream(ctx, js, fillSubject(v.String("nats.subject"), "*", "*", "*")); err != nil {
		return connectors.BlameServer(values, err, "nats.subject")
	}
	return values
}

// Tasks implements connectors.Factory: one task publishes all changes, in order.
func (f Sinks) Tasks(_ context.Context, c connectors.Config, _ int) ([]connectors.Config, error) {
	return []connectors.Config{c}, nil
}

// NewSink implements connectors.SinkFactory.
func (f Sinks) NewSink(c connectors.Config, s connectors.Settings) (connectors.SinkTask, error) {
	v, err := config().Read(c)
	if err != nil {
		return nil, err
	}
	return newSink(v, s)
}

// connect opens a connection that reconnects for ever. It keeps nothing that is published while it is down: the sink sends that again, in
// order. What the server says of its own accord goes to problem.
func connect(v connectors.Values, problem func(error)) (*nats.Conn, jetstream.JetStream, error) {
	options := []nats.Option{
		nats.Name("freshet"), nats.Timeout(connectTimeout), nats.MaxReconnects(-1), nats.ReconnectBufSize(-1),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			if problem != nil {
				problem(err)
			}
		}),
	}
	if v.Given("nats.user") {
		options = append(options, nats.UserInfo(v.String("nats.user"), v.String("nats.password")))
	}
	if v.Given("nats.token") {
		options = append(options, nats.Token(v.String("nats.token")))
	}
	servers := strings.Join(v.List("nats.servers"), ",")
	conn, err := nats.Connect(servers, options...)
	if err != nil {
		return nil, nil, explain(fmt.Errorf("connect to %s: %w", servers, err))
	}
	js, err := jetstream.New(conn, jetstream.WithPublishAsyncTimeout(ackTimeout))
	if err != nil {
		conn.Close()
		return nil, nil, fmt.Errorf("open JetStream of %s: %w", servers, err)
	}
	return conn, js, nil
}

// findStream returns an error when no stream takes a subject.
func findStream(ctx context.Context, js jetstream.JetStream, subject string) error {
	_, err := js.StreamNameBySubject(ctx, subject)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return connectors.AsPermanent(fmt.Errorf("publish to %s: no stream takes this subject; create one (nats stream add CHANGES --subjects '%s'), or change nats.subject", subject, subject))
	}
	if err != nil {
		return explain(fmt.Errorf("look for the stream of %s: %w", subject, err))
	}
	return nil
}

// explain gives an error its class, and says what to do. Without a class it is retriable.
func explain(err error) error {
	switch {
	case errors.Is(err, nats.ErrAuthorization), errors.Is(err, nats.ErrAuthExpired), errors.Is(err, nats.ErrAuthRevoked):
		return connectors.AsPermanent(fmt.Errorf("%w; check nats.user and nats.password, or nats.token", err))
	case errors.Is(err, nats.ErrPermissionViolation):
		return connectors.AsPermanent(fmt.Errorf("%w; allow the user to publish to the subjects of nats.subject, and to subscribe to _INBOX.>", err))
	case errors.Is(err, jetstream.ErrJetStreamNotEnabled), errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount):
		return connectors.AsPermanent(fmt.Errorf("%w; start the server with --jetstream", err))
	}
	return err
}
