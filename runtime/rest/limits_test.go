package rest

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/runtime/herder"
)

// TestBodies sends bodies that are too large, with and without saying so before, and that end too early.
func TestBodies(t *testing.T) {
	t.Parallel()
	s := serve(t, newFake(), configure(t, nil, nil), Options{MaxBody: 1000})
	config := `{"connector.class":"FileStreamSource","topic":"` + strings.Repeat("t", 1000) + `"}`
	if resp, body := call(t, "PUT", s.URL+"/connectors/c/config", config); resp.StatusCode != 413 || body != `{"error_code":413,"message":"The request's body is larger than 1000 bytes"}` {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
	chunked := "PUT /connectors/c/config HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
	for i := 0; i < 3; i++ {
		chunked += "200\r\n" + strings.Repeat(" ", 0x200) + "\r\n"
	}
	if got := exchange(t, s.ID, chunked+"0\r\n\r\n"); !strings.HasPrefix(got, "HTTP/1.1 413 ") {
		t.Errorf("chunked: %.100s", got)
	}
	if got := exchange(t, s.ID, "PUT /connectors/c/config HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n{}"); !strings.HasPrefix(got, "HTTP/1.1 400 ") || !strings.Contains(got, "unexpected EOF") {
		t.Errorf("short: %.400s", got)
	}
	if resp, body := call(t, "PUT", s.URL+"/connectors/c/config", strings.Repeat(" ", 900)+`{"connector.class":"FileStreamSource","topic":"t"}`); resp.StatusCode != 201 {
		t.Errorf("within the bound: %d %s", resp.StatusCode, body)
	}
}

// exchange writes bytes, closes its side, and returns what comes back.
func exchange(t *testing.T, address, request string) string {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if err := c.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Write([]byte(request)); err != nil {
		t.Fatal(err)
	}
	if err := c.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(c)
	if err != nil && !strings.Contains(err.Error(), "reset") {
		t.Fatal(err)
	}
	return string(b)
}

// endless is a body that goes on until its reader has had enough.
type endless struct{ read int }

func (e *endless) Read(p []byte) (int, error) {
	e.read += len(p)
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}

// TestBodiesTogetherAreBounded reads one body while others fill the memory.
func TestBodiesTogetherAreBounded(t *testing.T) {
	t.Parallel()
	a := NewAPI(newFake(), Config{}, Options{})
	a.bodies.Store(maxBodies - 1000)
	body := &endless{}
	w := httptest.NewRecorder()
	a.Handler(true, true).ServeHTTP(w, httptest.NewRequest("POST", "/connectors", body))
	if w.Code != 503 || body.read > 1<<20 {
		t.Errorf("%d %s after %d bytes", w.Code, w.Body, body.read)
	}
	w = httptest.NewRecorder()
	a.Handler(true, true).ServeHTTP(w, httptest.NewRequest("POST", "/connectors", strings.NewReader("{}")))
	if w.Code != 500 || a.bodies.Load() != maxBodies-1000 {
		t.Errorf("%d %s, %d bytes charged", w.Code, w.Body, a.bodies.Load()-maxBodies+1000)
	}
	w = httptest.NewRecorder()
	a.Handler(true, true).ServeHTTP(w, httptest.NewRequest("POST", "/connectors", io.MultiReader(strings.NewReader("{}"), failing{})))
	if w.Code != 400 || a.bodies.Load() != maxBodies-1000 {
		t.Errorf("%d %s, %d bytes charged", w.Code, w.Body, a.bodies.Load()-maxBodies+1000)
	}
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errors.New("gone") }

// TestSlowClients holds connections open without sending what was announced; others are answered.
func TestSlowClients(t *testing.T) {
	t.Parallel()
	f := newFake()
	s := serve(t, f, configure(t, nil, nil), Options{})
	for _, begin := range []string{"", "GET / HT", "GET / HTTP/1.1\r\nHost: h\r\n", "POST /connectors HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\n{"} {
		for range 20 {
			c, err := net.Dial("tcp", s.ID)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = c.Close() }()
			if _, err := c.Write([]byte(begin)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if resp, body := call(t, "GET", s.URL+"/", ""); resp.StatusCode != 200 {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
}

// TestUnreadable sends what is no HTTP, or too much of it.
func TestUnreadable(t *testing.T) {
	t.Parallel()
	s := serve(t, newFake(), configure(t, nil, nil), Options{})
	tooMuch := "GET / HTTP/1.1\r\nHost: h\r\nX: " + strings.Repeat("x", 2*maxHeader) + "\r\n\r\n"
	for request, want := range map[string]string{
		"GET /connectors/%zz HTTP/1.1\r\nHost: h\r\n\r\n": "HTTP/1.1 400 Bad Request\r\nContent-Type: text/html;charset=iso-8859-1\r\n",
		"nonsense\r\n\r\n":       "HTTP/1.1 400 Bad Request\r\nContent-Type: text/html;charset=iso-8859-1\r\n",
		tooMuch:                  "HTTP/1.1 431 ",
		"GET / HTTP/1.1\r\n\r\n": "HTTP/1.1 400 ",
		"OPTIONS * HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n":                                                                "HTTP/1.1 404 ",
		"GET http://other/connectors?x=y HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n":                                          "HTTP/1.1 200 ",
		"GET /connectors#frag HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n":                                                     "HTTP/1.1 200 ",
		"GET /connectors\\x HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n":                                                       "HTTP/1.1 400 ",
		"BREW /connectors HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n":                                                         "HTTP/1.1 405 ",
		"GET /connectors HTTP/1.1\r\nHost: h\r\nAccept: nonsense\r\nConnection: close\r\n\r\n":                                      "HTTP/1.1 400 ",
		"GET /connectors HTTP/1.1\r\nHost: h\r\nContent-Type: x\r\nConnection: close\r\n\r\n":                                       "HTTP/1.1 400 ",
		"PUT /connectors/c/pause HTTP/1.1\r\nHost: h\r\nContent-Type: text/plain\r\nContent-Length: 0\r\nConnection: close\r\n\r\n": "HTTP/1.1 415 ",
	} {
		if got := exchange(t, s.ID, request); !strings.HasPrefix(got, want) {
			t.Errorf("%.60q: %.200q", request, got)
		}
	}
}

func TestOptionsAsText(t *testing.T) {
	t.Parallel()
	s := serve(t, newFake(), configure(t, nil, nil), Options{})
	for accept, want := range map[string][2]string{
		"*/*":                         {"text/plain", "DELETE,GET,HEAD,OPTIONS"},
		"text/plain":                  {"text/plain", "DELETE,GET,HEAD,OPTIONS"},
		"application/json":            {"application/json", ""},
		"text/html, text/plain;q=0.5": {"text/html", ""},
	} {
		resp, body := call(t, "OPTIONS", s.URL+"/connectors/c", "", "Accept", accept)
		if got := [2]string{resp.Header.Get("Content-Type"), body}; got != want || resp.Header.Get("Allow") != "DELETE,GET,HEAD,OPTIONS" {
			t.Errorf("%s: %q %v", accept, got, resp.Header)
		}
	}
}

func TestCORS(t *testing.T) {
	t.Parallel()
	props := connectors.Config{"access.control.allow.origin": "https://a.example,https://*.b.example", "access.control.allow.methods": "GET,PUT"}
	s := serve(t, newFake(), configure(t, props, nil), Options{})
	for origin, want := range map[string]string{
		"https://a.example": "https://a.example", "https://x.b.example": "https://x.b.example", "https://c.example": "", "https://a.example.evil": "", "https://evil.example/https://x.b.example": "", "": "",
	} {
		resp, _ := call(t, "GET", s.URL+"/connectors", "", "Origin", origin)
		if got := resp.Header.Get("Access-Control-Allow-Origin"); got != want || resp.StatusCode != 200 || (resp.Header.Get("Vary") == "Origin") != (origin != "") {
			t.Errorf("%s: %d %v", origin, resp.StatusCode, resp.Header)
		}
	}
	resp, _ := call(t, "OPTIONS", s.URL+"/connectors", "", "Origin", "https://a.example", "Access-Control-Request-Method", "PUT")
	if resp.StatusCode != 200 || resp.Header.Get("Access-Control-Allow-Methods") != "GET,PUT" || resp.Header.Get("Access-Control-Max-Age") == "" {
		t.Errorf("preflight: %d %v", resp.StatusCode, resp.Header)
	}
	off := serve(t, newFake(), configure(t, nil, nil), Options{})
	if resp, _ := call(t, "GET", off.URL+"/connectors", "", "Origin", "https://a.example"); resp.Header.Get("Access-Control-Allow-Origin") != "" || resp.Header.Get("Vary") != "" {
		t.Errorf("off: %v", resp.Header)
	}
}

func TestHeaderRules(t *testing.T) {
	t.Parallel()
	c := configure(t, connectors.Config{
		"response.http.headers.config": `set X-Frame-Options: DENY, "add Cache-Control: no-cache, no-store", add Cache-Control: private, setDate Expires: 86400000`,
	}, nil)
	w := httptest.NewRecorder()
	NewAPI(newFake(), c, Options{}).Handler(true, true).ServeHTTP(w, httptest.NewRequest("GET", "/nosuch", nil))
	expires, err := http.ParseTime(w.Header().Get("Expires"))
	if w.Header().Get("X-Frame-Options") != "DENY" || strings.Join(w.Header().Values("Cache-Control"), "|") != "no-cache, no-store|private" ||
		err != nil || time.Until(expires) < 23*time.Hour || time.Until(expires) > 25*time.Hour {
		t.Errorf("%v", w.Header())
	}
	for _, bad := range []string{"X: y", "set X", "put X: y", "setDate X: soon", "set : y", "set A B: y"} {
		if _, err := readRules(bad); err == nil {
			t.Errorf("%q is read", bad)
		}
	}
}

func TestAdminListeners(t *testing.T) {
	t.Parallel()
	statuses := func(props connectors.Config) string {
		s := serve(t, newFake(), configure(t, props, nil), Options{})
		var out []string
		for _, b := range s.bound {
			for _, path := range []string{"/", "/admin/loggers"} {
				resp, _ := call(t, "GET", "http://"+b.Addr().String()+path, "")
				out = append(out, fmt.Sprint(resp.StatusCode))
			}
		}
		return strings.Join(out, " ")
	}
	if got := statuses(nil); got != "200 200" {
		t.Errorf("beside: %s", got)
	}
	if got := statuses(connectors.Config{"admin.listeners": ""}); got != "200 404" {
		t.Errorf("off: %s", got)
	}
	if got := statuses(connectors.Config{"admin.listeners": "http://127.0.0.1:0"}); got != "200 404 404 200" {
		t.Errorf("apart: %s", got)
	}
}

func TestAdvertised(t *testing.T) {
	t.Parallel()
	s := serve(t, newFake(), configure(t, connectors.Config{"rest.advertised.host.name": "w.example", "rest.advertised.port": "99"}, nil), Options{})
	if s.URL != "http://w.example:99" || s.ID != "w.example:99" {
		t.Errorf("%s %s", s.URL, s.ID)
	}
	taken := s.bound[0].Addr().String()
	if _, err := Listen(configure(t, connectors.Config{"listeners": "http://127.0.0.1:0,http://" + taken}, nil)); err == nil || !strings.Contains(err.Error(), taken) {
		t.Errorf("a listener that is taken: %v", err)
	}
}

// authority makes certificates.
type authority struct {
	*testing.T
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
	dir  string
}

func newAuthority(t *testing.T) *authority {
	a := &authority{T: t, dir: t.TempDir()}
	a.key, a.cert, _ = a.make("ca", nil)
	return a
}

func (a *authority) make(name string, parent *authority) (*ecdsa.PrivateKey, *x509.Certificate, string) {
	a.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: parent == nil, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	issuer, signer := template, key
	if parent != nil {
		issuer, signer = parent.cert, parent.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, issuer, &key.PublicKey, signer)
	if err != nil {
		a.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		a.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.Fatal(err)
	}
	var b bytes.Buffer
	for _, block := range []*pem.Block{{Type: "CERTIFICATE", Bytes: der}, {Type: "PRIVATE KEY", Bytes: pkcs8}} {
		if err := pem.Encode(&b, block); err != nil {
			a.Fatal(err)
		}
	}
	file := filepath.Join(a.dir, name+".pem")
	write(a.T, file, b.String())
	return key, cert, file
}

// TestTLS serves HTTPS, forwards over it, and asks clients for certificates.
func TestTLS(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	_, _, ca := a.make("root", nil) // not the issuer
	_, _, file := a.make("worker", a)
	issuer := filepath.Join(a.dir, "ca.pem")
	props := connectors.Config{
		"listeners": "https://127.0.0.1:0", "listeners.https.ssl.keystore.location": file, "listeners.https.ssl.truststore.location": issuer,
		"listeners.https.ssl.client.auth": "required", "ssl.keystore.location": "/none",
	}
	leader := newFake()
	to := serve(t, leader, configure(t, props, nil), Options{})
	follower := newFake()
	follower.leader = &herder.NotLeader{URL: to.URL}
	from := serve(t, follower, configure(t, props, nil), Options{})

	roots := x509.NewCertPool()
	roots.AddCert(a.cert)
	pair, err := tls.LoadX509KeyPair(file, file)
	if err != nil {
		t.Fatal(err)
	}
	with := func(c *tls.Config) (*http.Response, error) {
		client := &http.Client{Transport: &http.Transport{TLSClientConfig: c, DisableKeepAlives: true}}
		r, err := http.NewRequestWithContext(context.Background(), "POST", from.URL+"/connectors", strings.NewReader(`{"name":"c","config":{"connector.class":"FileStreamSource","topic":"t"}}`))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := client.Do(r)
		if err == nil {
			_ = resp.Body.Close()
		}
		return resp, err
	}
	resp, err := with(&tls.Config{RootCAs: roots, Certificates: []tls.Certificate{pair}})
	if err != nil || resp.StatusCode != 201 || resp.Header.Get("Location") != from.URL+"/connectors/c" {
		t.Fatalf("%v %v", resp, err)
	}
	if _, err := leader.Info(context.Background(), "c"); err != nil {
		t.Errorf("the leader has it not: %v", err)
	}
	if resp, err := with(&tls.Config{RootCAs: roots}); err == nil {
		t.Errorf("without a certificate: %v", resp)
	}
	strange, err := tls.LoadX509KeyPair(ca, ca)
	if err != nil {
		t.Fatal(err)
	}
	if resp, err := with(&tls.Config{RootCAs: roots, Certificates: []tls.Certificate{strange}}); err == nil {
		t.Errorf("with a stranger's certificate: %v", resp)
	}
	if got := exchange(t, from.ID, "GET / HTTP/1.1\r\nHost: h\r\n\r\n"); !strings.Contains(got, "400") {
		t.Errorf("plain text at a TLS listener: %q", got)
	}
}

func pointer(s string) *string { return &s }

// TestKeepAlive asks several times over one connection, errors included.
func TestKeepAlive(t *testing.T) {
	t.Parallel()
	s := serve(t, newFake(), configure(t, nil, nil), Options{})
	c, err := net.Dial("tcp", s.ID)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	in := bufio.NewReader(c)
	for _, step := range []struct {
		request string
		want    int
	}{
		{"GET / HTTP/1.1\r\nHost: h\r\n\r\n", 200},
		{"GET /nosuch HTTP/1.1\r\nHost: h\r\n\r\n", 404},
		{"POST /nosuch HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n{}", 404},
		{"POST /connectors HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\n{", 500},
		{"DELETE /connectors/c HTTP/1.1\r\nHost: h\r\n\r\n", 404},
		{"GET /connectors HTTP/1.1\r\nHost: h\r\n\r\n", 200},
	} {
		if _, err := c.Write([]byte(step.request)); err != nil {
			t.Fatal(err)
		}
		resp, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, resp.Body); err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != step.want {
			t.Errorf("%.40q: %d", step.request, resp.StatusCode)
		}
	}
}
