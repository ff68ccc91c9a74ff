package timescaledb

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/freshet-io/freshet/connectors"
)

// connect opens a connection. Its errors are for operators, and permanent where trying again cannot help.
func (cfg *config) connect(ctx context.Context) (*pgx.Conn, error) {
	c, err := cfg.connConfig()
	if err != nil {
		return nil, connectors.AsPermanent(err)
	}
	dial, reached := c.DialFunc, time.Time{}
	c.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		if !reached.IsZero() && c.ConnectTimeout > 0 && time.Since(reached) > c.ConnectTimeout*9/10 {
			return nil, context.DeadlineExceeded // without TLS it would be silent for as long once more
		}
		conn, err := dial(ctx, network, address)
		if err == nil && reached.IsZero() {
			reached = time.Now()
		}
		return conn, err
	}
	conn, err := pgx.ConnectConfig(ctx, c)
	var timeout net.Error
	switch {
	case err == nil:
		return conn, nil
	case !reached.IsZero() && (errors.Is(err, context.DeadlineExceeded) || errors.As(err, &timeout) && timeout.Timeout()):
		return nil, cfg.silent(context.WithoutCancel(ctx), dial)
	}
	return nil, cfg.connectError(err)
}

// silent explains a server that takes connections and says nothing.
func (cfg *config) silent(ctx context.Context, dial pgconn.DialFunc) error {
	what := "it takes connections, but no PostgreSQL answers in time; check host and port in " + keyURL + ", and whether the server hangs"
	if cfg.speaksHTTP(ctx, dial) {
		what = "an HTTP server answers there, not PostgreSQL; check host and port in " + keyURL
	}
	return fmt.Errorf("%s: %s", cfg.where(), what)
}

// speaksHTTP asks what listens at the address.
func (cfg *config) speaksHTTP(ctx context.Context, dial pgconn.DialFunc) bool {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	conn, err := dial(ctx, "tcp", cfg.address.hostPort())
	if err != nil {
		return false
	}
	defer func() { _ = conn.Close() }()
	deadline, _ := ctx.Deadline()
	_ = conn.SetDeadline(deadline)
	answer := make([]byte, 5)
	if _, err = io.WriteString(conn, "HEAD / HTTP/1.0\r\n\r\n"); err == nil {
		_, err = io.ReadFull(conn, answer)
	}
	return err == nil && string(answer) == "HTTP/"
}

func (a *address) hostPort() string { return net.JoinHostPort(a.host, strconv.Itoa(int(a.port))) }

func (cfg *config) where() string {
	return fmt.Sprintf("connect to PostgreSQL at %s as user %s, database %s", cfg.address.hostPort(), cfg.user, cfg.address.database)
}

// connectError says what happened, where, and what to do. It never shows the password (I12).
func (cfg *config) connectError(err error) error {
	where := cfg.where()
	var server *pgconn.PgError
	var name *net.DNSError
	var timeout net.Error
	switch {
	case errors.As(err, &server):
		err := fmt.Errorf("%s: the server answered %q (%s)%s", where, server.Message, server.Code, advice(server.Code))
		if permanentState(server.Code) {
			return connectors.AsPermanent(err)
		}
		return err
	case errors.As(err, &name):
		return fmt.Errorf("%s: the host name %s cannot be resolved; check %s", where, name.Name, keyURL)
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("%s: connection refused; check host and port in %s, and that the server runs and listens there", where, keyURL)
	case errors.Is(err, context.Canceled):
		return fmt.Errorf("%s: %w", where, context.Canceled)
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return fmt.Errorf("%s: no answer in time; check host and port in %s, and firewalls on the way", where, keyURL)
	}
	text := reason(err)
	if strings.Contains(text, "tls") || strings.Contains(text, "x509") {
		return fmt.Errorf("%s: %s; check sslmode and sslrootcert in %s", where, text, keyURL)
	}
	return fmt.Errorf("%s: %s; check %s", where, text, keyURL)
}

// reason is the innermost text of a chain of errors, without the connection string that pgx puts around it.
func reason(err error) string {
	for {
		next := errors.Unwrap(err)
		if next == nil {
			if joined, ok := err.(interface{ Unwrap() []error }); ok && len(joined.Unwrap()) > 0 {
				next = joined.Unwrap()[len(joined.Unwrap())-1]
			}
		}
		if next == nil {
			return err.Error()
		}
		err = next
	}
}

// permanentState tells the SQLSTATEs of a refused connection that stay until somebody changes something.
func permanentState(code string) bool {
	return strings.HasPrefix(code, "28") || code == "3D000" || code == "42501"
}

func advice(code string) string {
	switch code {
	case "28P01":
		return "; check " + keyUser + " and " + keyPassword
	case "28000":
		return "; check " + keyUser + ", and that pg_hba.conf lets this user in from here (TLS: sslmode)"
	case "3D000":
		return "; check the database in " + keyURL
	case "53300":
		return "; free a connection or raise max_connections"
	case "42501":
		return "; grant CONNECT on the database to the user"
	case "57P03":
		return "; the server is starting or stopping"
	}
	return ""
}

// outcome is what a failed statement means for its transaction.
type outcome uint8

const (
	outcomeFail  outcome = iota // nothing changes by trying again
	outcomeRetry                // the same transaction may succeed later
	outcomeLost                 // the connection is gone, or leads to a server that became a standby; a COMMIT may have succeeded
)

// outcomeOf sorts errors by SQLSTATE; an error that is not the server's is one of the connection.
func outcomeOf(err error) outcome {
	var server *pgconn.PgError
	if !errors.As(err, &server) {
		return outcomeLost
	}
	switch {
	case server.Code == "08P01" && server.Severity == "ERROR" && server.Where != "":
		return outcomeFail // of the data of a COPY: a pooler that loses the server says this too, and not where
	case server.Severity == "FATAL", strings.HasPrefix(server.Code, "57P"), strings.HasPrefix(server.Code, "08"), server.Code == "25006":
		return outcomeLost
	case strings.HasPrefix(server.Code, "40"), server.Code == "55P03", server.Code == "57014", strings.HasPrefix(server.Code, "53") && server.Code != "53400":
		return outcomeRetry // deadlock, serialization, lock timeout, cancelled, out of resources
	}
	return outcomeFail
}

// explain turns the server's refusal of a write into an operator's error: table, constraint or column, and what to do.
func explain(err error) error {
	var server *pgconn.PgError
	if !errors.As(err, &server) {
		return err
	}
	table := server.TableName
	if server.SchemaName != "" {
		table = server.SchemaName + "." + table
	}
	where := ""
	if server.Where != "" {
		where, _, _ = strings.Cut(server.Where, "\n")
		// COPY's context ends in the value itself.
		if at := strings.Index(where, ": \""); at >= 0 {
			where = where[:at]
		}
		where = " (" + where + ")"
	}
	switch server.Code {
	case "23505":
		return fmt.Errorf("write to table %s: unique constraint %s is violated: %s; another row of the target has this value: remove it, or drop the constraint", table, server.ConstraintName, server.Detail)
	case "23503":
		return fmt.Errorf("write to table %s: foreign key %s is violated: %s; drop the constraint or make it DEFERRABLE: tables are written one after the other", table, server.ConstraintName, server.Detail)
	case "23514":
		if server.SchemaName == "_timescaledb_internal" {
			return fmt.Errorf("write to a hypertable (chunk %s): an update without all values would move to another chunk, which TimescaleDB cannot do; run on the source: ALTER TABLE … REPLICA IDENTITY FULL", table)
		}
		return fmt.Errorf("write to table %s: check constraint %s is violated; relax it in the target, or leave the table out", table, server.ConstraintName)
	case "23502":
		return fmt.Errorf("write to table %s: column %s is NOT NULL in the target, but the source has NULL; run: ALTER TABLE … ALTER COLUMN %s DROP NOT NULL", table, server.ColumnName, quote(server.ColumnName))
	case "53400":
		return fmt.Errorf("write to the target: the server answered %q (53400); raise timescaledb.max_tuples_decompressed_per_dml_transaction, or decompress the chunks that are still changed", server.Message)
	case "42501":
		return fmt.Errorf("write to the target: the server answered %q (42501); grant the right to the user of %s", server.Message, keyUser)
	}
	return fmt.Errorf("write to the target: the server answered %q (%s)%s%s", server.Message, server.Code, where, writeAdvice(server.Code))
}

func writeAdvice(code string) string {
	switch code {
	case "42P01":
		return "; somebody has dropped or renamed it: restart the task, which makes it again (auto.create) for the changes that come; to have its rows again, reset the connector's offsets, which takes a new snapshot"
	case "53100":
		return "; the disk of the target is full: free or add space"
	case "53200":
		return "; the target is out of memory"
	}
	return ""
}
