package clickhouse

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"syscall"

	"github.com/freshet-io/freshet/connectors"
)

// server is the HTTP interface of a server.
type server struct {
	cfg    *config
	client *http.Client
}

// version is a server's, major and minor.
type version [2]int

func (v version) atLeast(major, minor int) bool {
	return v[0] > major || v[0] == major && v[1] >= minor
}

// about is what a server says of itself.
type about struct {
	version version
	zone    string
}

func newServer(cfg *config) *server { return &server{cfg, cfg.client()} }

func (s *server) close() { s.client.CloseIdleConnections() }

// serverError is an error that the server answered with.
type serverError struct {
	code   int // 0: not one of ClickHouse's own
	status int
	text   string
}

func (e *serverError) Error() string {
	if e.code == 0 {
		return fmt.Sprintf("HTTP status %d: %s", e.status, e.text)
	}
	return e.text
}

// Codes of errors (src/Common/ErrorCodes.cpp) that this sink tells apart.
const (
	codeUnknownTable    = 60
	codeUnknownDatabase = 81
	codeUnknownSetting  = 115
	codeMemory          = 241
	codeTooManyParts    = 252
	codeDenied          = 497
	codeUnauthenticated = 516
)

// permanentCodes are those of errors that the same statement meets again: syntax, types, names, rights, credentials. All others
// may go away: parts, memory, timeouts, keepers, replicas.
var permanentCodes = map[int]bool{
	6: true, 9: true, 10: true, 16: true, 20: true, 27: true, 36: true, 38: true, 41: true, 42: true, 43: true, 44: true, 46: true, 47: true, 48: true, 50: true, 53: true,
	60: true, 62: true, 69: true, 70: true, 72: true, 80: true, 81: true, 92: true, 115: true, 117: true, 164: true, 169: true, 190: true, 192: true, 193: true, 194: true,
	291: true, 321: true, 344: true, 349: true, 392: true, 407: true, 441: true, 452: true, 469: true, 497: true, 516: true, 524: true, 691: true, 701: true,
}

// probe connects, and looks at what a start needs.
func (s *server) probe(ctx context.Context) (about, error) {
	rows, err := s.rows(ctx, "SELECT version(), timezone(), currentDatabase() FROM system.one")
	if err != nil {
		return about{}, err
	}
	if len(rows) != 1 || len(rows[0]) != 3 {
		return about{}, fmt.Errorf("connect to ClickHouse at %s: the server did not say its version", s.cfg.address)
	}
	a := about{zone: rows[0][1]}
	if _, err := fmt.Sscanf(rows[0][0], "%d.%d", &a.version[0], &a.version[1]); err != nil {
		return about{}, connectors.AsPermanent(fmt.Errorf("connect to ClickHouse at %s: the server says version %q, which cannot be read", s.cfg.address, rows[0][0]))
	}
	there, err := s.rows(ctx, "SELECT name FROM system.databases WHERE name = "+literal(s.cfg.database))
	if err != nil {
		return about{}, err
	}
	if len(there) == 0 {
		return about{}, connectors.AsPermanent(fmt.Errorf("connect to ClickHouse at %s: there is no database %s, or user %s may not see it; check %s, or run: CREATE DATABASE %s", s.cfg.address, s.cfg.database, s.cfg.user, keyDatabase, quote(s.cfg.database)))
	}
	if s.cfg.mode != modeReference && !a.version.atLeast(23, 3) {
		return about{}, connectors.AsPermanent(fmt.Errorf("connect to ClickHouse at %s: the server is version %d.%d, and ReplacingMergeTree with is_deleted, which %s needs, is there from 23.3 on", s.cfg.address, a.version[0], a.version[1], keyMode))
	}
	return a, nil
}

// rows runs a query and returns its rows as text.
func (s *server) rows(ctx context.Context, sql string) ([][]string, error) {
	body, err := s.statement(ctx, sql+" FORMAT JSONCompactStrings", nil)
	if err != nil {
		return nil, err
	}
	var answer struct{ Data [][]string }
	if err := json.Unmarshal(body, &answer); err != nil {
		return nil, fmt.Errorf("read answer of ClickHouse at %s: %w; check that %s and %s are those of its HTTP interface", s.cfg.address, err, keyHost, keyPort)
	}
	return answer.Data, nil
}

// statement runs what is no insert, within timeoutSeconds.
func (s *server) statement(ctx context.Context, sql string, settings url.Values) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.timeout)
	defer cancel()
	query := url.Values{"wait_end_of_query": {"1"}}
	for name, v := range settings {
		query[name] = v
	}
	return s.post(ctx, query, "", int64(len(sql)), strings.NewReader(sql))
}

// post sends a request. length is -1 when it is not known.
func (s *server) post(ctx context.Context, query url.Values, encoding string, length int64, body io.Reader) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.cfg.url()+"?"+query.Encode(), body)
	if err != nil {
		return nil, connectors.AsPermanent(fmt.Errorf("make request to ClickHouse at %s: that is no address; %s is a name or an address alone, without http://", s.cfg.address, keyHost))
	}
	req.ContentLength = length
	req.Header.Set("X-ClickHouse-User", s.cfg.user)
	if s.cfg.password != "" {
		req.Header.Set("X-ClickHouse-Key", s.cfg.password)
	}
	if encoding != "" {
		req.Header.Set("Content-Encoding", encoding)
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return nil, s.lost(err)
	}
	defer func() { _ = resp.Body.Close() }()
	const most = 64 << 20
	answer, err := io.ReadAll(io.LimitReader(resp.Body, most))
	if err != nil {
		return nil, s.lost(err)
	}
	if resp.StatusCode == http.StatusOK && resp.Header.Get("X-ClickHouse-Exception-Code") == "" {
		return answer, nil
	}
	return nil, s.refused(resp, answer)
}

var exception = regexp.MustCompile(`Code: (\d+)\. DB::`)

// refused makes an error of an answer.
func (s *server) refused(resp *http.Response, answer []byte) error {
	const most = 600
	text := strings.TrimSpace(string(bytes.ToValidUTF8(answer, []byte("?"))))
	text, _, _ = strings.Cut(text, "\n")
	e := &serverError{status: resp.StatusCode, text: text[:min(len(text), most)]}
	e.code, _ = strconv.Atoi(resp.Header.Get("X-ClickHouse-Exception-Code"))
	if m := exception.FindStringSubmatch(text); m != nil && e.code == 0 {
		e.code, _ = strconv.Atoi(m[1])
	}
	err := fmt.Errorf("ClickHouse at %s, user %s, database %s: %w%s", s.cfg.address, s.cfg.user, s.cfg.database, e, advice(e))
	if permanentCodes[e.code] || e.code == 0 && resp.StatusCode >= 400 && resp.StatusCode < 500 && resp.StatusCode != 408 && resp.StatusCode != 429 {
		return connectors.AsPermanent(err)
	}
	return err
}

func advice(e *serverError) string {
	switch e.code {
	case codeUnauthenticated, 192, 193, 194:
		return "; check " + keyUser + " and " + keyPassword
	case codeUnknownTable:
		return "; somebody has dropped or renamed it: restart the task, which makes it again (auto.create) for the changes that come; to have its rows again, reset the connector's offsets, which takes a new snapshot"
	case codeUnknownDatabase:
		return "; check " + keyDatabase + ", or make the database"
	case codeDenied:
		return "; grant the right to the user"
	case codeUnknownSetting:
		return "; check " + keySettings
	case 164:
		return "; the user is readonly: give it another profile"
	}
	if e.code == 0 && (e.status == http.StatusUnauthorized || e.status == http.StatusForbidden) {
		return "; check " + keyUser + " and " + keyPassword
	}
	if e.code == 0 && (e.status >= 400 && e.status < 500 || e.status == http.StatusNotImplemented) && e.status != http.StatusRequestTimeout && e.status != http.StatusTooManyRequests && e.status != http.StatusRequestEntityTooLarge {
		return "; check that " + keyHost + " and " + keyPort + " are those of ClickHouse's HTTP interface"
	}
	return ""
}

// lost says why there was no answer.
func (s *server) lost(err error) error {
	where := fmt.Sprintf("connect to ClickHouse at %s", s.cfg.address)
	var name *net.DNSError
	var timeout net.Error
	switch {
	case errors.As(err, &name):
		return fmt.Errorf("%s: the host name %s cannot be resolved; check %s", where, name.Name, keyHost)
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("%s: connection refused; check %s and %s, and that the server runs and listens there", where, keyHost, keyPort)
	case errors.Is(err, context.Canceled):
		return fmt.Errorf("%s: %w", where, context.Canceled)
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return fmt.Errorf("%s: no answer in time; check %s, %s and %s, and firewalls on the way", where, keyHost, keyPort, keyTimeout)
	}
	for next := err; next != nil; next = errors.Unwrap(next) {
		err = next
	}
	text := err.Error()
	switch {
	case strings.Contains(text, "malformed HTTP"):
		return fmt.Errorf("%s: the answer is not HTTP; check %s (8123, with TLS 8443; 9000 is another protocol) and %s", where, keyPort, keySSL)
	case strings.Contains(text, "server gave HTTP response"):
		return fmt.Errorf("%s: the server has no TLS there; set %s=false, or name the port that has (8443)", where, keySSL)
	case errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return fmt.Errorf("%s: the connection was closed without an answer; check that %s is that of the HTTP interface (8123, with TLS 8443), and %s", where, keyPort, keySSL)
	case strings.Contains(text, "tls") || strings.Contains(text, "x509") || strings.Contains(text, "certificate"):
		return fmt.Errorf("%s: %s; check %s and %s", where, text, keySSL, keyStore)
	}
	return fmt.Errorf("%s: %s", where, text)
}

// codeOf returns the server's code of an error, 0 when it has none.
func codeOf(err error) int {
	var e *serverError
	if errors.As(err, &e) {
		return e.code
	}
	return 0
}
