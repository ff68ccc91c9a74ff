package mysql

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/testbed"
)

// certify gives a MySQL a certificate of the authority, made out to these names or addresses.
func certify(t *testing.T, server *testbed.MySQL, a *authority, names ...string) {
	t.Helper()
	tmpl := &x509.Certificate{Subject: pkix.Name{CommonName: "server"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			tmpl.IPAddresses = append(tmpl.IPAddresses, ip)
		} else {
			tmpl.DNSNames = append(tmpl.DNSNames, name)
		}
	}
	cert, key := a.pair(t, tmpl)
	for name, text := range map[string]string{"ca": certPEM(a.cert), "cert": cert, "key": key} {
		file := fmt.Sprintf("/tmp/%s-%s.pem", name, names[0])
		server.Exec(t, "", fmt.Sprintf("SELECT '%s' INTO DUMPFILE '%s'", text, file), fmt.Sprintf("SET GLOBAL ssl_%s = '%s'", name, file))
	}
	server.Exec(t, "", "ALTER INSTANCE RELOAD TLS")
}

// TestTLSOfTheBinlog streams over encrypted connections: the user may not come without TLS, and the binlog's own connection looks at the certificate
// as ssl.mode says.
func TestTLSOfTheBinlog(t *testing.T) {
	server := testbed.StartMySQL(t)
	ours, theirs := newAuthority(t), newAuthority(t)
	certify(t, server, ours, server.Host())
	server.Exec(t, "", "CREATE USER crypt IDENTIFIED BY '"+secret+"' REQUIRE SSL", "GRANT SELECT, REPLICATION SLAVE, REPLICATION CLIENT, RELOAD ON *.* TO crypt",
		"CREATE USER known IDENTIFIED BY '"+secret+"' REQUIRE X509", "GRANT SELECT, REPLICATION SLAVE, REPLICATION CLIENT, RELOAD ON *.* TO known")
	cert, key := ours.pair(t, &x509.Certificate{Subject: pkix.Name{CommonName: "client"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	trusted, other := writeFile(t, certPEM(ours.cert)), writeFile(t, certPEM(theirs.cert))
	for name, c := range map[string]struct {
		user, mode, trust, key string
		verifies               bool
	}{
		"preferred":          {user: "crypt", mode: "preferred"},
		"required":           {user: "crypt", mode: "required"},
		"verify_ca":          {user: "crypt", mode: "verify_ca", trust: trusted, verifies: true},
		"verify_identity":    {user: "crypt", mode: "verify_identity", trust: trusted, verifies: true},
		"client certificate": {user: "known", mode: "verify_identity", trust: trusted, key: writeFile(t, cert+key), verifies: true},
	} {
		t.Run(name, func(t *testing.T) {
			r := rigOn(t, server, Factory{Version: "1"}, connectors.Config{
				"database.user": c.user, "database.password": secret, "database.ssl.mode": c.mode, "database.ssl.truststore": c.trust, "database.ssl.keystore": c.key,
			})
			r.exec("CREATE TABLE t (id INT PRIMARY KEY)")
			r.start()
			r.streaming()
			r.exec("INSERT INTO t VALUES (1)")
			r.until(1)
			r.task.cfg.truststore = other
			r.cut()
			r.exec("INSERT INTO t VALUES (2)")
			if !c.verifies {
				r.until(2)
				return
			}
			if err := r.pollError(); !strings.Contains(err.Error(), "certificate") || connectors.ClassOf(err) != connectors.Permanent {
				t.Errorf("the binlog of a server that is not trusted: %v", err)
			}
		})
	}
	t.Run("another host", func(t *testing.T) {
		certify(t, server, ours, "db.example")
		r := rigOn(t, server, Factory{Version: "1"}, connectors.Config{
			"database.user": "crypt", "database.password": secret, "database.ssl.mode": "verify_ca", "database.ssl.truststore": trusted,
		})
		r.exec("CREATE TABLE t (id INT PRIMARY KEY)")
		r.start()
		r.streaming()
		r.task.cfg.tls = tlsVerifyIdentity
		r.cut()
		if err := r.pollError(); !strings.Contains(err.Error(), "certificate") || connectors.ClassOf(err) != connectors.Permanent {
			t.Errorf("the binlog of another host: %v", err)
		}
	})
}

// TestTLSOfMariaDBsBinlog has the certificate that the server made for itself.
func TestTLSOfMariaDBsBinlog(t *testing.T) {
	r := newMariaDBRig(t, nil)
	user := "crypt_" + r.db
	r.exec("CREATE USER "+user+" IDENTIFIED BY '"+secret+"' REQUIRE SSL", "GRANT SELECT, BINLOG MONITOR, REPLICATION SLAVE, REPLICA MONITOR, RELOAD ON *.* TO "+user)
	r.config["database.user"], r.config["database.password"], r.config["database.ssl.mode"] = user, secret, "trust"
	r.exec("CREATE TABLE t (id INT PRIMARY KEY)")
	r.start()
	r.streaming()
	r.exec("INSERT INTO t VALUES (1)")
	r.until(1)
	r.cut()
	r.exec("INSERT INTO t VALUES (2)")
	r.until(2)
}
