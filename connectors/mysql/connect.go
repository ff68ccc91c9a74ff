package mysql

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/go-mysql-org/go-mysql/client"
	"github.com/go-mysql-org/go-mysql/mysql"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/tlsconfig"
)

type tlsMode uint8

const (
	tlsPreferred tlsMode = iota // encrypted when the server can, without a look at its certificate
	tlsDisabled
	tlsRequired // encrypted, without a look at the certificate
	tlsVerifyCA
	tlsVerifyIdentity // and the certificate is for database.hostname
)

var tlsModes = map[string]tlsMode{
	"preferred": tlsPreferred, "disabled": tlsDisabled, "required": tlsRequired, "verify_ca": tlsVerifyCA, "verify_identity": tlsVerifyIdentity,
	"disable": tlsDisabled, "trust": tlsRequired, "verify-ca": tlsVerifyCA, "verify-full": tlsVerifyIdentity, // MariaDB's
}

// tlsConfig returns how to encrypt; nil: not at all.
func (cfg *config) tlsConfig() (*tls.Config, error) {
	if cfg.tls == tlsDisabled {
		return nil, nil
	}
	t, err := tlsconfig.FromFiles(tlsconfig.File{Property: "database.ssl.keystore", Path: cfg.keystore},
		tlsconfig.File{Property: "database.ssl.truststore", Path: cfg.truststore})
	if err != nil {
		return nil, connectors.AsPermanent(err)
	}
	t.ServerName = cfg.host
	switch cfg.tls {
	case tlsVerifyCA:
		tlsconfig.SkipHostname(t)
	case tlsPreferred, tlsRequired:
		t.InsecureSkipVerify = true // what these modes mean: encryption against listeners only
	}
	return t, nil
}

// address is host and port of the server.
func (cfg *config) address() string { return net.JoinHostPort(cfg.host, strconv.Itoa(int(cfg.port))) }

// dialer opens the TCP connections to the server.
func (cfg *config) dialer() *net.Dialer {
	d := &net.Dialer{Timeout: cfg.connectTimeout, KeepAlive: cfg.keepAlive}
	if cfg.keepAlive == 0 {
		d.KeepAlive = -1
	}
	return d
}

// sessionSettings make the server print and read values in one form: text in UTF-8, timestamps in UTC, and no mode that changes
// quoting, padding or zero dates. A snapshot is one statement per table, and idle beside it, for as long as it takes.
func sessionSettings(conn *client.Conn) []string {
	limit := "max_execution_time = 0" // milliseconds, of SELECT
	if strings.Contains(conn.GetServerVersion(), "MariaDB") {
		limit = "max_statement_time = 0"
	}
	return []string{
		"SET NAMES utf8mb4",
		"SET SESSION sql_mode = '', time_zone = '+00:00', sql_quote_show_create = 1, wait_timeout = 2147483, net_write_timeout = 86400, " + limit,
	}
}

// connect opens an ordinary connection. Its errors are for operators, and permanent where trying again cannot help.
func (cfg *config) connect(ctx context.Context) (*client.Conn, error) {
	conn, _, err := cfg.tryConnect(ctx)
	return conn, err
}

// tryConnect is connect; cause is the error of the connection as it came.
func (cfg *config) tryConnect(ctx context.Context) (conn *client.Conn, cause, err error) {
	encryption, err := cfg.tlsConfig()
	if err != nil {
		return nil, err, err
	}
	conn, cause = cfg.handshake(ctx, encryption)
	if cause != nil && cfg.tls == tlsPreferred && withoutTLS(cause) {
		conn, cause = cfg.handshake(ctx, nil)
	}
	if cause != nil {
		return nil, cause, cfg.connectError(cause)
	}
	for _, s := range sessionSettings(conn) {
		if _, cause = cfg.execute(ctx, conn, s); cause != nil {
			_ = conn.Close()
			return nil, cause, fmt.Errorf("%s: set up the session: %w", cfg.where(), cause)
		}
	}
	for _, s := range cfg.statements {
		if _, cause = cfg.execute(ctx, conn, s); cause != nil {
			_ = conn.Close()
			return nil, cause, fmt.Errorf("%s: run database.initial.statements: %w", cfg.where(), cause)
		}
	}
	return conn, nil, nil
}

// handshake connects and logs in within connect.timeout.ms.
func (cfg *config) handshake(ctx context.Context, encryption *tls.Config) (*client.Conn, error) {
	if cfg.connectTimeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, cfg.connectTimeout)
		defer cancel()
	}
	var stop func() bool
	other := cfg.suspect(ctx)
	defer other.end()
	dial := func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := cfg.dialer().DialContext(ctx, network, address)
		if err == nil { // the library's handshake knows no context
			stop = context.AfterFunc(other.ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })
		}
		return c, err
	}
	conn, err := client.ConnectWithDialer(ctx, "tcp", cfg.address(), cfg.user, cfg.password, "", dial, func(c *client.Conn) error {
		c.SetTLSConfig(encryption)
		return nil
	})
	if stop != nil && !stop() && err == nil {
		_ = conn.Close()
		err = context.Cause(other.ctx)
	}
	if err != nil && other.ctx.Err() != nil {
		err = context.Cause(other.ctx)
	}
	return conn, err
}

// encrypted tells whether a connection uses TLS.
func encrypted(conn *client.Conn) bool {
	_, ok := conn.Conn.Conn.(*tls.Conn)
	return ok
}

// untrusted tells that the server's certificate was refused, and will be again. One that has expired may be renewed.
func untrusted(err error) bool {
	var invalid x509.CertificateInvalidError
	if errors.As(err, &invalid) {
		return invalid.Reason != x509.Expired
	}
	return errors.As(err, new(x509.UnknownAuthorityError)) || errors.As(err, new(x509.HostnameError))
}

// withoutTLS tells that the server has no TLS; the library has no value for it.
func withoutTLS(err error) bool { return strings.Contains(err.Error(), "does not support TLS") }

// execute runs a statement within database.query.timeout.ms. After an error that is no *mysql.MyError the connection is of no use.
func (cfg *config) execute(ctx context.Context, conn *client.Conn, statement string) (*mysql.Result, error) {
	if cfg.queryTimeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, cfg.queryTimeout)
		defer cancel()
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	result, err := conn.Execute(statement)
	if !stop() {
		_ = conn.Close()
		if err == nil {
			result.Close()
		}
		return nil, ctx.Err()
	}
	return result, err
}

func (cfg *config) where() string {
	return fmt.Sprintf("connect to %s at %s as user %s", cfg.flavor.product(), cfg.address(), cfg.user)
}

// connectError says what happened, where, and what to do. It never shows the password (I12).
func (cfg *config) connectError(err error) error {
	where := cfg.where()
	var server *mysql.MyError
	var name *net.DNSError
	switch {
	case errors.As(err, &server):
		return cfg.refused(where, server)
	case errors.As(err, &name):
		return fmt.Errorf("%s: the host name %s cannot be resolved; check database.hostname", where, name.Name)
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("%s: connection refused; check database.hostname and database.port, and that the server runs and listens there", where)
	case errors.Is(err, context.DeadlineExceeded), isTimeout(err):
		return fmt.Errorf("%s: no answer in time (connect.timeout.ms is %d); check database.hostname and database.port, and firewalls on the way", where, cfg.connectTimeout.Milliseconds())
	case errors.Is(err, context.Canceled):
		return fmt.Errorf("%s: %w", where, context.Canceled)
	case errors.Is(err, errPostgres):
		return connectors.AsPermanent(fmt.Errorf("%s: %w; check database.port (%s listens on 3306 by default)", where, errPostgres, cfg.flavor.product()))
	case withoutTLS(err):
		return connectors.AsPermanent(fmt.Errorf("%s: the server has no TLS; give it a certificate (ssl_cert, ssl_key), or set database.ssl.mode to preferred or disabled", where))
	}
	text := reason(err)
	if untrusted(err) {
		return connectors.AsPermanent(fmt.Errorf("%s: the server's certificate is not trusted: %s; check database.ssl.mode, database.ssl.truststore (the authority that signed it, PEM) and database.hostname", where, text))
	}
	if lower := strings.ToLower(text); strings.Contains(lower, "tls") || strings.Contains(lower, "x509") || strings.Contains(lower, "certificate") {
		return fmt.Errorf("%s: %s; check database.ssl.mode, database.ssl.truststore and database.ssl.keystore", where, text)
	}
	return fmt.Errorf("%s: %s; check database.hostname and database.port", where, text)
}

func (cfg *config) refused(where string, server *mysql.MyError) error {
	err := fmt.Errorf("%s: the server answered: %s (%d, %s)%s", where, server.Message, server.Code, server.State, cfg.advice(server.Code))
	switch server.Code {
	case mysql.ER_ACCESS_DENIED_ERROR, mysql.ER_DBACCESS_DENIED_ERROR, mysql.ER_NOT_SUPPORTED_AUTH_MODE, mysql.ER_MUST_CHANGE_PASSWORD,
		mysql.ER_MUST_CHANGE_PASSWORD_LOGIN, mysql.ER_HOST_NOT_PRIVILEGED, mysql.ER_SPECIFIC_ACCESS_DENIED_ERROR, erAccountLocked, erSecureTransport:
		return connectors.AsPermanent(err)
	}
	return err
}

// Codes that the library has no names for.
const (
	erAccountLocked   = 3118
	erSecureTransport = 3159
)

// reason is the innermost text of a chain of errors.
func reason(err error) string {
	for next := errors.Unwrap(err); next != nil; next = errors.Unwrap(err) {
		err = next
	}
	return err.Error()
}

func isTimeout(err error) bool {
	var t net.Error
	return errors.As(err, &t) && t.Timeout()
}

// advice is what to do about an error code of a refused connection.
func (cfg *config) advice(code uint16) string {
	switch code {
	case mysql.ER_ACCESS_DENIED_ERROR:
		return "; check database.user and database.password, and that the user may come from this host"
	case mysql.ER_HOST_NOT_PRIVILEGED:
		return "; create the user for this host: CREATE USER '" + cfg.user + "'@'%'"
	case mysql.ER_HOST_IS_BLOCKED:
		return "; unblock it: FLUSH HOSTS (TRUNCATE TABLE performance_schema.host_cache)"
	case mysql.ER_CON_COUNT_ERROR, mysql.ER_TOO_MANY_USER_CONNECTIONS:
		return "; free a connection or raise max_connections"
	case mysql.ER_MUST_CHANGE_PASSWORD, mysql.ER_MUST_CHANGE_PASSWORD_LOGIN:
		return "; give the user a new password: ALTER USER '" + cfg.user + "' IDENTIFIED BY …"
	case erAccountLocked:
		return "; unlock it: ALTER USER '" + cfg.user + "' ACCOUNT UNLOCK"
	case erSecureTransport:
		return "; the server takes encrypted connections only: set database.ssl.mode=required"
	}
	return ""
}
