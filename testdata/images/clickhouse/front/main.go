// Command clickhouse serves ClickHouse's HTTP interface over the engine as a library: enough of it for tests.
package main

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"os/signal"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/klauspost/compress/zstd"
)

const folder = "/var/lib/clickhouse"

type server struct {
	chdb     *chdb
	user     string
	password string
	version  string
}

// notSettings are parameters of the address that the interface itself takes.
var notSettings = []string{
	"query", "database", "user", "password", "query_id", "default_format", "session_id", "session_timeout", "session_check", "quota_key", "role", "stacktrace", "compress",
	"wait_end_of_query", "buffer_size", "enable_http_compression", "client_protocol_version", "send_progress_in_http_headers", "http_headers_progress_interval_ms", "cancel_http_readonly_queries_on_client_close",
}

var (
	isInsert  = regexp.MustCompile(`(?is)^\s*insert\s+into\b`)
	hasSource = regexp.MustCompile(`(?is)\b(select|with|from\s+infile)\b`)
	dataAfter = regexp.MustCompile(`(?is)\bformat\s+([a-z0-9_]+)[ \t]*;?(\r?\n|\s*$|[ \t])`)
	lastly    = regexp.MustCompile(`(?is)\bformat\s+([a-z0-9_]+)\s*(settings\b.*)?;?\s*$`)
	codeOf    = regexp.MustCompile(`Code: (\d+)`)
)

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-ClickHouse-Server-Display-Name", "library")
	w.Header().Set("X-ClickHouse-Query-Id", r.URL.Query().Get("query_id"))
	w.Header().Set("X-ClickHouse-Timezone", "UTC")
	asks := r.URL.Query().Has("query") || r.Method == http.MethodPost
	switch {
	case r.URL.Path == "/ping", r.URL.Path == "/" && !asks:
		_, _ = io.WriteString(w, "Ok.\n")
	case r.URL.Path != "/":
		http.NotFound(w, r)
	default:
		if err := s.serve(w, r); err != nil {
			s.refuse(w, r, err)
		}
	}
}

func (s *server) serve(w http.ResponseWriter, r *http.Request) error {
	v := r.URL.Query()
	user, password, _ := r.BasicAuth()
	user = cmp.Or(user, r.Header.Get("X-ClickHouse-User"), v.Get("user"), "default")
	password = cmp.Or(password, r.Header.Get("X-ClickHouse-Key"), v.Get("password"))
	if user != s.user || password != s.password {
		return fmt.Errorf("Code: 516. DB::Exception: %s: Authentication failed: password is incorrect, or there is no user with such name. (AUTHENTICATION_FAILED)", user)
	}
	body, err := plain(r)
	if err != nil {
		return err
	}
	e, err := s.chdb.open(folder)
	if err != nil {
		return err
	}
	defer e.close()
	parameters := map[string]string{}
	var settings []string
	for name, values := range v {
		if rest, ok := strings.CutPrefix(name, "param_"); ok {
			parameters[rest] = values[0]
		} else if !slices.Contains(notSettings, name) {
			settings = append(settings, name+" = '"+strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(values[0])+"'")
		}
	}
	var before []string
	if database := cmp.Or(v.Get("database"), r.Header.Get("X-ClickHouse-Database"), "default"); database != "default" {
		before = append(before, "USE `"+strings.ReplaceAll(database, "`", "\\`")+"`")
	}
	if len(settings) > 0 {
		before = append(before, "SET "+strings.Join(settings, ", "))
	}
	for _, statement := range before {
		if _, err := e.query(statement, "TabSeparated", nil); err != nil {
			return err
		}
	}
	return answerTo(w, e, v.Get("query"), body, cmp.Or(v.Get("default_format"), r.Header.Get("X-ClickHouse-Format"), "TabSeparated"), parameters)
}

// answerTo runs a statement, which is the parameter and then the body; the data of an INSERT is what follows its FORMAT.
func answerTo(w http.ResponseWriter, e *engine, statement string, body io.Reader, format string, parameters map[string]string) error {
	if !isInsert.MatchString(statement) {
		rest, err := io.ReadAll(body)
		if err != nil {
			return err
		}
		statement, body = strings.TrimPrefix(statement+"\n"+string(rest), "\n"), bytes.NewReader(nil)
	}
	var a answer
	var err error
	if at := dataAfter.FindStringSubmatchIndex(statement); at != nil && isInsert.MatchString(statement) && !hasSource.MatchString(statement[:at[0]]) {
		a, err = e.insert(statement[:at[0]], statement[at[2]:at[3]], io.MultiReader(strings.NewReader(statement[at[1]:]), body))
	} else {
		var rest []byte
		if rest, err = io.ReadAll(body); err == nil {
			a, err = e.query(statement+string(rest), format, parameters)
		}
	}
	if err != nil {
		return err
	}
	if m := lastly.FindStringSubmatch(statement); m != nil && !isInsert.MatchString(statement) {
		format = m[1]
	}
	w.Header().Set("X-ClickHouse-Format", format)
	w.Header().Set("X-ClickHouse-Summary", fmt.Sprintf(`{"written_rows":"%d","result_rows":"%d"}`, a.written, a.written))
	_, _ = w.Write(a.body)
	return nil
}

// plain is the body without its compression.
func plain(r *http.Request) (io.Reader, error) {
	switch encoding := r.Header.Get("Content-Encoding"); encoding {
	case "", "identity":
		return r.Body, nil
	case "gzip":
		return gzip.NewReader(r.Body)
	case "zstd":
		z, err := zstd.NewReader(r.Body, zstd.WithDecoderConcurrency(1))
		if err != nil {
			return nil, err
		}
		return z.IOReadCloser(), nil
	default:
		return nil, fmt.Errorf("Code: 48. DB::Exception: Content-Encoding %s is not here. (NOT_IMPLEMENTED)", encoding)
	}
}

// refuse answers as the server does: a status by the error's code, and its text.
func (s *server) refuse(w http.ResponseWriter, r *http.Request, err error) {
	message, code := strings.TrimRight(err.Error(), "\n"), 1002
	if m := codeOf.FindStringSubmatch(message); m != nil {
		code, _ = strconv.Atoi(m[1])
	}
	if !strings.Contains(message, "(version ") {
		message += " (version " + s.version + ")"
	}
	w.Header().Set("X-ClickHouse-Exception-Code", strconv.Itoa(code))
	w.Header().Set("Content-Type", "text/plain; charset=UTF-8")
	status := http.StatusInternalServerError
	switch code {
	case 516:
		status = http.StatusForbidden
		if r.Header.Get("X-ClickHouse-User") == "" && !r.URL.Query().Has("user") {
			status = http.StatusUnauthorized
			w.Header().Set("WWW-Authenticate", `Basic realm="ClickHouse server HTTP API"`)
		}
	case 6, 25, 26, 27, 36, 38, 41, 53, 62, 72, 117, 321, 376, 441, 675, 676:
		status = http.StatusBadRequest
	case 46, 47, 50, 56, 60, 63, 73, 78, 81, 107, 115:
		status = http.StatusNotFound
	case 48:
		status = http.StatusNotImplemented
	case 159:
		status = http.StatusRequestTimeout
	case 192, 193, 497:
		status = http.StatusForbidden
	case 209, 210:
		status = http.StatusServiceUnavailable
	}
	w.WriteHeader(status)
	_, _ = fmt.Fprintln(w, message)
}

func run() error {
	l, err := load("/usr/lib/libchdb.so")
	if err != nil {
		return err
	}
	anchor, err := l.open(folder) // the engine stops when its last connection is closed
	if err != nil {
		return err
	}
	defer anchor.close()
	version, err := anchor.query("SELECT version()", "TabSeparatedRaw", nil)
	if err != nil {
		return err
	}
	if database := os.Getenv("CLICKHOUSE_DB"); database != "" {
		if _, err := anchor.query("CREATE DATABASE IF NOT EXISTS `"+database+"`", "TabSeparated", nil); err != nil {
			return err
		}
	}
	s := &server{l, cmp.Or(os.Getenv("CLICKHOUSE_USER"), "default"), os.Getenv("CLICKHOUSE_PASSWORD"), strings.TrimSpace(string(version.body))}
	web := &http.Server{Addr: ":8123", Handler: s}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	context.AfterFunc(ctx, func() { _ = web.Close() })
	log.Printf("ClickHouse %s, ready for connections on port 8123", s.version)
	if err := web.ListenAndServe(); err != http.ErrServerClosed {
		return err
	}
	return nil
}

func main() {
	if err := run(); err != nil {
		log.Fatal(err)
	}
}
