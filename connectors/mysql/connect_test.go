package mysql

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/testbed"
)

// properties is a configuration for a database of a server.
func properties(t *testing.T, server *testbed.MySQL, database string, pairs ...string) connectors.Config {
	t.Helper()
	host, port, err := net.SplitHostPort(server.Address())
	if err != nil {
		t.Fatal(err)
	}
	return plainConfig(append([]string{
		"database.hostname", host, "database.port", port, "database.user", testbed.MySQLUser, "database.password", testbed.MySQLPassword,
		"database.include.list", database,
	}, pairs...)...)
}

func closedPort(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	_ = listener.Close()
	return port
}

func TestValidateConnection(t *testing.T) {
	for _, f := range []Factory{{}, {MariaDB: true}} {
		t.Run(f.flavor().String(), func(t *testing.T) {
			server, other := bed.MySQL(t), Factory{MariaDB: true}
			if f.MariaDB {
				server, other = bed.MariaDB(t), Factory{}
			}
			database := server.NewDatabase(t)
			server.Exec(t, database, "CREATE TABLE t (id int PRIMARY KEY)")
			for name, c := range map[string]struct {
				pairs []string
				want  []string
			}{
				"refused":  {[]string{"database.hostname", "127.0.0.1", "database.port", closedPort(t)}, []string{"database.hostname: connect to ", "connection refused", "check database.hostname and database.port"}},
				"host":     {[]string{"database.hostname", "no-such-host.invalid"}, []string{"no-such-host.invalid", "cannot be resolved", "check database.hostname"}},
				"password": {[]string{"database.password", secret}, []string{"Access denied for user 'root'@", "(using password: YES)", "check database.user and database.password"}},
				"user":     {[]string{"database.user", "nobody_here"}, []string{"nobody_here", "check database.user"}},
				"initial":  {[]string{"database.initial.statements", "SET SESSION no_such_variable = 1"}, []string{"run database.initial.statements", "no_such_variable"}},
				"own id":   {[]string{"database.server.id", server.Query(t, "", "SELECT @@server_id")}, []string{"database.server.id: the server at", "give the connector an id that no server and no replica has"}},
				"fine":     {nil, nil},
			} {
				t.Run(name, func(t *testing.T) {
					got := problems(t, f, properties(t, server, database, c.pairs...))
					if c.want == nil {
						if len(got) > 0 {
							t.Error(got)
						}
						return
					}
					expect(t, got, c.want...)
				})
			}
			t.Run("other product", func(t *testing.T) {
				expect(t, problems(t, other, properties(t, server, database)), "database.hostname: the server at", "set connector.class="+f.Describe().Class)
			})
		})
	}
}

// TestValidateTextsOfTheReference has the short texts, which a form shows.
func TestValidateTextsOfTheReference(t *testing.T) {
	server := bed.MySQL(t)
	short := func(pairs ...string) string {
		for _, v := range (Factory{}).Validate(t.Context(), properties(t, server, "x", pairs...)) {
			if v.Name == "database.hostname" {
				return strings.Join(v.Errors, "|")
			}
		}
		return ""
	}
	got := short("database.user", "nobody_here", "database.password", secret)
	if !strings.HasPrefix(got, "Unable to connect: Access denied for user 'nobody_here'@'") || !strings.HasSuffix(got, "' (using password: YES)") {
		t.Error(got)
	}
	if got := short("database.hostname", "127.0.0.1", "database.port", closedPort(t)); !strings.HasPrefix(got, "Error during connection validation: io.debezium.DebeziumException: Failed to establish connection with the database: connect to MySQL at 127.0.0.1:") {
		t.Error(got)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0") // accepts, and never says a word
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	if got := short("database.hostname", "127.0.0.1", "database.port", port, "connect.timeout.ms", "50"); !strings.Contains(got, "no answer in time (connect.timeout.ms is 50)") {
		t.Error(got)
	}
}

// TestSession looks at what a session is like.
func TestSession(t *testing.T) {
	for _, f := range []Factory{{}, {MariaDB: true}} {
		server := bed.MySQL(t)
		if f.MariaDB {
			server = bed.MariaDB(t)
		}
		cfg := parsed(t, f, properties(t, server, "x", "database.initial.statements", "SET @a = 'x;;y'; SET @b = 2"))
		conn, err := cfg.connect(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		rows, err := cfg.texts(t.Context(), conn, "SELECT @@session.character_set_results, @@session.time_zone, @@session.sql_mode, @a, @b, 'é€😀'")
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(rows[0], "|"); got != "utf8mb4|+00:00||x;y|2|é€😀" {
			t.Errorf("%s: the session has %s", f.flavor(), got)
		}
		_ = conn.Close()
	}
}

// TestQueryTimeout interrupts a statement that takes too long.
func TestQueryTimeout(t *testing.T) {
	cfg := parsed(t, Factory{}, properties(t, bed.MySQL(t), "x", "database.query.timeout.ms", "100"))
	conn, err := cfg.connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := cfg.execute(t.Context(), conn, "SELECT SLEEP(60)"); err == nil || !strings.Contains(err.Error(), "deadline") {
		t.Errorf("the statement ended with %v", err)
	}
}

func parsed(t *testing.T, f Factory, c connectors.Config) *config {
	t.Helper()
	if got := connectors.Errors(f.CheckKeys(c)); len(got) > 0 {
		t.Fatal(got)
	}
	cfg, err := parseConfig(c, f.flavor())
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// authority signs certificates.
type authority struct {
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{}
	var err error
	if a.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	a.cert = a.issue(t, &a.key.PublicKey, &x509.Certificate{Subject: pkix.Name{CommonName: "test authority"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign})
	return a
}

func (a *authority) issue(t *testing.T, key *ecdsa.PublicKey, tmpl *x509.Certificate) *x509.Certificate {
	t.Helper()
	tmpl.SerialNumber, _ = rand.Int(rand.Reader, big.NewInt(1<<60))
	tmpl.NotBefore, tmpl.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(24*time.Hour)
	parent := a.cert
	if parent == nil {
		parent = tmpl
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, parent, key, a.key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// pair makes a key and its certificate, PEM.
func (a *authority) pair(t *testing.T, tmpl *x509.Certificate) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return certPEM(a.issue(t, &private.PublicKey, tmpl)), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

func certPEM(c *x509.Certificate) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}))
}

func writeFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "store.pem")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestTLS connects to a server with certificates of our own in every mode.
func TestTLS(t *testing.T) {
	server := testbed.StartMySQL(t)
	database := server.NewDatabase(t)
	host, _, _ := net.SplitHostPort(server.Address())
	ours, theirs := newAuthority(t), newAuthority(t)
	cert, key := ours.pair(t, &x509.Certificate{Subject: pkix.Name{CommonName: "server"}, DNSNames: []string{"db.example"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
	for name, text := range map[string]string{"ca": certPEM(ours.cert), "cert": cert, "key": key} {
		server.Exec(t, "", fmt.Sprintf("SELECT '%s' INTO DUMPFILE '/tmp/%s.pem'", text, name), fmt.Sprintf("SET GLOBAL ssl_%s = '/tmp/%s.pem'", name, name))
	}
	server.Exec(t, "", "ALTER INSTANCE RELOAD TLS", "CREATE USER plain IDENTIFIED BY '"+secret+"'", "CREATE USER crypt IDENTIFIED BY '"+secret+"' REQUIRE SSL",
		"CREATE USER known IDENTIFIED BY '"+secret+"' REQUIRE X509", "GRANT REPLICATION SLAVE, REPLICATION CLIENT, RELOAD ON *.* TO plain, crypt, known")
	clientCert, clientKey := ours.pair(t, &x509.Certificate{Subject: pkix.Name{CommonName: "client"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	good, bad, both := writeFile(t, certPEM(ours.cert)), writeFile(t, certPEM(theirs.cert)), writeFile(t, clientCert+clientKey)
	jks := writeFile(t, "\xfe\xed\xfe\xed\x00\x00\x00\x02")
	for name, c := range map[string]struct {
		user, mode, trust, key string
		encrypted              bool
		want                   []string
	}{
		"disabled":             {user: "plain", mode: "disabled"},
		"preferred":            {user: "plain", mode: "preferred", encrypted: true},
		"preferred, wrong CA":  {user: "plain", mode: "preferred", trust: bad, encrypted: true},
		"required":             {user: "crypt", mode: "required", encrypted: true},
		"disabled, needed":     {user: "crypt", mode: "disabled", want: []string{"Access denied for user 'crypt'@"}},
		"verify_ca":            {user: "crypt", mode: "verify_ca", trust: good, encrypted: true},
		"verify_ca, wrong CA":  {user: "crypt", mode: "verify_ca", trust: bad, want: []string{"certificate signed by unknown authority", "check database.ssl.mode, database.ssl.truststore"}},
		"verify_ca, no CA":     {user: "crypt", mode: "verify_ca", want: []string{"certificate signed by unknown authority", "database.ssl.truststore"}},
		"identity, wrong host": {user: "crypt", mode: "verify_identity", trust: good, want: []string{host, "database.ssl.mode"}},
		"client certificate":   {user: "known", mode: "required", trust: good, key: both, encrypted: true},
		"none of the client":   {user: "known", mode: "required", want: []string{"Access denied for user 'known'@"}},
		"JKS":                  {user: "crypt", mode: "verify_ca", trust: jks, want: []string{"database.ssl.truststore", "is a JKS store and only PEM is read here", "keytool -importkeystore"}},
		"no file":              {user: "crypt", mode: "verify_ca", trust: "/does/not/exist", want: []string{"database.ssl.truststore", "no such file"}},
		"no key":               {user: "crypt", mode: "required", key: good, want: []string{"database.ssl.keystore"}},
	} {
		t.Run(name, func(t *testing.T) {
			p := properties(t, server, database, "database.user", c.user, "database.password", secret, "database.ssl.mode", c.mode, "database.ssl.truststore", c.trust, "database.ssl.keystore", c.key,
				"database.ssl.truststore.password", secret)
			if c.want != nil {
				expect(t, problems(t, Factory{}, p), c.want...)
				if _, err := parsed(t, Factory{}, p).connect(t.Context()); connectors.ClassOf(err) != connectors.Permanent {
					t.Errorf("it is tried again: %v", err)
				}
				return
			}
			conn, err := parsed(t, Factory{}, p).connect(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if encrypted(conn) != c.encrypted {
				t.Errorf("encrypted: %v", !c.encrypted)
			}
			_ = conn.Close()
		})
	}
}

// TestWithoutTLS has a server that cannot encrypt.
func TestWithoutTLS(t *testing.T) {
	server := testbed.StartMariaDB(t, "skip-ssl")
	database := server.NewDatabase(t)
	c := properties(t, server, database, "database.ssl.mode", "trust")
	expect(t, problems(t, Factory{MariaDB: true}, c), "the server has no TLS", "database.ssl.mode")
	c["database.ssl.mode"] = "disable"
	if got := problems(t, Factory{MariaDB: true}, c); len(got) > 0 {
		t.Error(got)
	}
	cfg := parsed(t, Factory{MariaDB: true}, c)
	cfg.tls = tlsPreferred // as MySQL's connector has it
	conn, err := cfg.connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if encrypted(conn) {
		t.Error("encrypted")
	}
	_ = conn.Close()
}
