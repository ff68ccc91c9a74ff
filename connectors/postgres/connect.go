package postgres

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/freshet-io/freshet/connectors"
)

// connect opens an ordinary connection. Its errors are for operators, and permanent where trying again cannot help.
func (cfg *config) connect(ctx context.Context) (*pgx.Conn, error) {
	conn, _, err := cfg.tryConnect(ctx)
	return conn, err
}

// tryConnect is connect; cause is the error of the connection as it came.
func (cfg *config) tryConnect(ctx context.Context) (conn *pgx.Conn, cause, err error) {
	c, err := cfg.connConfig(false)
	if err != nil {
		return nil, err, connectors.AsPermanent(err)
	}
	if conn, cause = pgx.ConnectConfig(ctx, c); cause != nil {
		return nil, cause, cfg.connectError(cause)
	}
	return conn, nil, nil
}

// connectError says what happened, where, and what to do. It never shows the password (I12).
func (cfg *config) connectError(err error) error {
	where := fmt.Sprintf("connect to PostgreSQL at %s as user %s, database %s", net.JoinHostPort(cfg.host, fmt.Sprint(cfg.port)), cfg.user, cfg.database)
	var server *pgconn.PgError
	var name *net.DNSError
	switch {
	case errors.As(err, &server):
		return cfg.refused(where, server)
	case errors.As(err, &name):
		return fmt.Errorf("%s: the host name %s cannot be resolved; check database.hostname", where, name.Name)
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("%s: connection refused; check database.hostname and database.port, and that the server runs and listens there", where)
	case errors.Is(err, context.DeadlineExceeded), isTimeout(err):
		return fmt.Errorf("%s: no answer in time; check database.hostname and database.port, and firewalls on the way", where)
	case errors.Is(err, context.Canceled):
		return fmt.Errorf("%s: %w", where, context.Canceled)
	}
	text := reason(err)
	if lower := strings.ToLower(text); strings.Contains(lower, "tls") || strings.Contains(lower, "x509") || strings.Contains(lower, "certificate") {
		return fmt.Errorf("%s: %s; check database.sslmode and database.sslrootcert", where, text)
	}
	return fmt.Errorf("%s: %s; check database.hostname and database.port", where, text)
}

func (cfg *config) refused(where string, server *pgconn.PgError) error {
	err := fmt.Errorf("%s: the server answered: %s (%s)%s", where, server.Message, server.Code, advice(server.Code))
	if permanentState(server.Code) {
		return connectors.AsPermanent(err)
	}
	return err
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

func isTimeout(err error) bool {
	var t net.Error
	return errors.As(err, &t) && t.Timeout()
}

// permanentState tells the SQLSTATEs of a refused connection that stay until somebody changes something.
func permanentState(code string) bool {
	return strings.HasPrefix(code, "28") || code == "3D000" || code == "42501"
}

func advice(code string) string {
	switch code {
	case "28P01":
		return "; check database.user and database.password"
	case "28000":
		return "; check database.user, and that pg_hba.conf lets this user in from here (TLS: database.sslmode)"
	case "3D000":
		return "; check database.dbname"
	case "53300":
		return "; free a connection or raise max_connections"
	case "42501":
		return "; grant CONNECT on the database to the user"
	case "57P03":
		return "; the server is starting or stopping"
	}
	return ""
}
