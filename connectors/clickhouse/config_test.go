package clickhouse

import (
	"encoding/pem"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/freshet-io/freshet/connectors"
)

func TestKeys(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		key, value string
		want       string // in an error of the key; "": none
	}{
		{"exactlyOnce", "true", "freshet.mode=mirror"},
		{"exactlyOnce", "false", ""},
		{"debeziumCDCEnabled", "true", "not supported yet"},
		{keyMap, "a=b,c", "topic=table"},
		{keyFormat, "${nothing}", "${nothing} is not known"},
		{keyView, "${table}", "another name"},
		{keyTypes, "a:String; b", "not column:type"},
		{keyTypes, "a:Decimal(76, 38); public.t.b:LowCardinality(String)", ""},
		{keyEngine, "MergeTree", "ReplacingMergeTree"},
		{keyCompression, "snappy", "lz4"},
		{keyPort, "0", "port"},
		{keyMode, "mirrors", "append"},
	} {
		values, unknown := definition().Validate(connectors.Config{keyHost: "h", c.key: c.value})
		problems := strings.Join(connectors.Errors(values), "; ")
		if len(unknown) > 0 || (c.want == "") != (problems == "") || !strings.Contains(problems, c.want) {
			t.Errorf("%s=%s: %q, unknown %v", c.key, c.value, problems, unknown)
		}
	}
	for _, c := range []connectors.Config{
		{keyMode: "reference", keyCreate: "true"},
		{keySharding: "rand()"},
		{keyInclude: "a", keyExclude: "b"},
		{keyProxyType: "HTTP"},
		{keySSL: "true", keyStore: "/does/not/exist.pem"},
	} {
		c[keyHost] = "h"
		if _, err := parseConfig(c); err == nil {
			t.Errorf("%v is no error", c)
		}
	}
}

func TestTypeTexts(t *testing.T) {
	t.Parallel()
	for text, plain := range map[string]string{
		"LowCardinality(Nullable(String))":           "Nullable(String)",
		"Array(LowCardinality(String))":              "Array(String)",
		"Nullable(DateTime64(6, 'Europe/Berlin'))":   "Nullable(DateTime64(6, 'Europe/Berlin'))",
		"Enum8('a\\'b' = -1, 'c,d)' = 2)":            "Enum8('a\\'b' = -1, 'c,d)' = 2)",
		"Map(String, Array(Nullable(Decimal64(2))))": "Map(String, Array(Nullable(Decimal(18, 2))))",
		"Tuple(x Float64, y Nullable(Int8))":         "Tuple(Float64, Nullable(Int8))",
	} {
		typ, err := parseType(text)
		if err != nil || typ.plain() != plain {
			t.Errorf("%s became %v, %v", text, typ, err)
		}
	}
}

// TestTLS: a server whose certificate is in the truststore is talked to, another one is not.
func TestTLS(t *testing.T) {
	t.Parallel()
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-ClickHouse-Key") != "geheim" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		_, _ = io.WriteString(w, `{"data":[["26.7","UTC","default"]]}`)
	}))
	defer s.Close()
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	host, port, _ := strings.Cut(strings.TrimPrefix(s.URL, "https://"), ":")
	for _, c := range []struct{ ssl, store, password, want string }{
		{"true", file, "geheim", ""},
		{"true", "", "geheim", keyStore},
		{"false", "", "geheim", "HTTP"},
		{"true", file, "falsch", keyPassword},
	} {
		values := Factory{}.Validate(t.Context(), connectors.Config{keyHost: host, keyPort: port, keySSL: c.ssl, keyStore: c.store, keyPassword: c.password})
		problems := strings.Join(connectors.Errors(values), "; ")
		if (c.want == "") != (problems == "") || !strings.Contains(problems, c.want) || strings.Contains(problems, c.password) {
			t.Errorf("ssl %s, store %q: %s", c.ssl, c.store, problems)
		}
	}
}

// TestRefusedConnections: what comes back says where and what to do, at the key to look at, without the password.
func TestRefusedConnections(t *testing.T) {
	t.Parallel()
	status := http.StatusUnauthorized
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("wait_end_of_query") != "" {
			w.WriteHeader(status)
		}
	}))
	defer s.Close()
	host, port, _ := strings.Cut(strings.TrimPrefix(s.URL, "http://"), ":")
	for _, c := range []struct {
		name, blamed, want string
		more               connectors.Config
		status             int
	}{
		{"another server", keyHost, "ClickHouse's HTTP interface", nil, http.StatusMethodNotAllowed},
		{"wrong password", keyUser, "check " + keyUser + " and " + keyPassword, nil, http.StatusUnauthorized},
		{"no TLS", keySSL, "has no TLS there", connectors.Config{keySSL: "true"}, http.StatusOK},
		{"a URL", keyHost, "without http://", connectors.Config{keyHost: "http://" + host}, http.StatusOK},
	} {
		status = c.status
		config := connectors.Config{keyHost: host, keyPort: port, keyPassword: "hidden-one", keyUser: "u", keyDatabase: "d"}
		maps.Copy(config, c.more)
		for _, v := range (Factory{}).Validate(t.Context(), config) {
			text := strings.Join(v.Errors, " ")
			if (v.Name == c.blamed) != strings.Contains(text, c.want) || strings.Contains(text, "hidden-one") {
				t.Errorf("%s: %s: %q", c.name, v.Name, text)
			}
		}
	}
}
