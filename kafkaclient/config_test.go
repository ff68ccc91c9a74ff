package kafkaclient

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/IBM/sarama"
)

// Vectors of Kafka's UtilsTest.testMurmur2.
func TestMurmur2IsTheJavaClients(t *testing.T) {
	for in, want := range map[string]int32{
		"21": -973932308, "foobar": -790332482, "a-little-bit-long-string": -985981536,
		"a-little-bit-longer-string": -1486304829, "lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971, "abc": 479470107,
	} {
		if got := int32(Murmur2([]byte(in))); got != want {
			t.Errorf("Murmur2(%q) = %d, want %d", in, got, want)
		}
	}
	if got := PartitionFor([]byte("foobar"), 7); got != int32((-790332482&0x7fffffff)%7) {
		t.Errorf("PartitionFor = %d", got)
	}
}

func TestParseReadsClientProperties(t *testing.T) {
	c, err := Parse(map[string]string{
		"bootstrap.servers": "a:9092, PLAINTEXT://[::1]:9093", "acks": "1", "compression.type": "zstd", "compression.zstd.level": "7",
		"batch.size": "16384", "linger.ms": "5", "delivery.timeout.ms": "2147483647", "max.in.flight.requests.per.connection": "1",
		"transactional.id": "g-c-0", "nonsense.key": "1", "metadata.max.age.ms": "1000", "request.timeout.ms": "5000",
		"key.serializer": "x", "enable.idempotence": "false", "buffer.memory": "1048576",
	})
	if err != nil {
		t.Fatal(err)
	}
	p := c.Producer
	if strings.Join(c.Brokers, " ") != "a:9092 [::1]:9093" || p.Codec != sarama.CompressionZSTD || p.Level != 7 || p.BatchBytes != 16384 ||
		p.DeliveryTimeout != 0 || p.InFlight != 1 || p.TransactionalID != "g-c-0" || p.RequestTimeout != 5*time.Second ||
		p.BufferBytes != 1<<20 || c.Sarama().Metadata.RefreshFrequency != time.Second {
		t.Errorf("config = %+v", c)
	}
	if strings.Join(c.Unknown, ",") != "nonsense.key" {
		t.Errorf("unknown = %v", c.Unknown)
	}
	if len(c.Warnings) != 3 {
		t.Errorf("warnings = %q", c.Warnings)
	}
}

func TestParseRefusesWhatCannotWork(t *testing.T) {
	dir := t.TempDir()
	jks := filepath.Join(dir, "store.jks")
	if err := os.WriteFile(jks, []byte{0xFE, 0xED, 0xFE, 0xED, 0, 0}, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		in   map[string]string
		want string
	}{
		{"no brokers", map[string]string{"bootstrap.servers": ""}, "bootstrap.servers is not set"},
		{"no port", map[string]string{"bootstrap.servers": "localhost"}, "not host:port"},
		{"compression", map[string]string{"compression.type": "brotli"}, "none, gzip, snappy, lz4, zstd"},
		{"number", map[string]string{"batch.size": "many"}, "not a whole number"},
		{"acks", map[string]string{"acks": "2"}, "not one of all"},
		{"protocol", map[string]string{"security.protocol": "TLS"}, "PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL"},
		{"mechanism", map[string]string{"security.protocol": "SASL_SSL", "sasl.mechanism": "GSSAPI"}, "use PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512"},
		{"no jaas", map[string]string{"security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": "PLAIN"}, "sasl.jaas.config is not set"},
		{"jks", map[string]string{"security.protocol": "SSL", "ssl.truststore.location": jks}, "is a JKS store and only PEM is read here"},
		{"file", map[string]string{"security.protocol": "SSL", "ssl.truststore.location": filepath.Join(dir, "none")}, "no such file"},
		{"level", map[string]string{"compression.type": "gzip", "compression.gzip.level": "12"}, "not between"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, ok := c.in["bootstrap.servers"]; !ok {
				c.in["bootstrap.servers"] = "b:1"
			}
			_, err := Parse(c.in)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error = %v, want %q", err, c.want)
			}
		})
	}
}

func TestParseReadsPEM(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	pk, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	cert := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	both := string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pk})) + cert
	store := filepath.Join(t.TempDir(), "store.pem")
	if err := os.WriteFile(store, []byte(both), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := Parse(map[string]string{
		"bootstrap.servers": "b:1", "security.protocol": "SSL", "ssl.truststore.type": "PEM", "ssl.truststore.certificates": cert,
		"ssl.keystore.type": "PEM", "ssl.keystore.location": store, "ssl.endpoint.identification.algorithm": "",
	})
	if err != nil {
		t.Fatal(err)
	}
	tc := c.Sarama().Net.TLS.Config
	if len(tc.Certificates) != 1 || tc.RootCAs == nil || tc.VerifyConnection == nil {
		t.Errorf("tls config = %+v", tc)
	}
}

func TestJaas(t *testing.T) {
	const plain = "org.apache.kafka.common.security.plain.PlainLoginModule"
	for _, c := range []struct{ in, user, password, want string }{
		{in: plain + ` required username="u" password="p\"w;=";`, user: "u", password: `p"w;=`},
		{in: plain + " required\n  username='u'\n  password=secret ;", user: "u", password: "secret"},
		{in: plain + ` required username="u" password=";";`, user: "u", password: ";"},
		{in: plain + ` required username="u";`, want: "must both be given"},
		{in: plain + ` required username="u" password="p"`, want: "end in a semicolon"},
		{in: plain + ` required username="u" password="p`, want: "not closed"},
		{in: plain + ` maybe username="u" password="p";`, want: "required, requisite"},
		{in: "a.ScramLoginModule" + ` required username="u" password="p";`, want: "does not fit"},
		{in: plain + ` required username "u";`, want: `name="value"`},
		{in: plain + ` required a=b; x`, want: "exactly one"},
	} {
		u, p, err := credentials(c.in, "PLAIN")
		if c.want == "" && (err != nil || u != c.user || p != c.password) {
			t.Errorf("%s: %q %q %v", c.in, u, p, err)
		}
		if c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: error %v, want %q", c.in, err, c.want)
		}
	}
}

// The exchange of RFC 7677, section 3.
func TestScramSHA256(t *testing.T) {
	s := newScramClient("SCRAM-SHA-256")
	s.nonce, s.password = "rOprNGfwEbeRWgbNEkqO", "pencil"
	s.firstBare = "n=user,r=" + s.nonce
	first, err := s.Step("")
	if err != nil || first != "n,,n=user,r=rOprNGfwEbeRWgbNEkqO" {
		t.Fatal(first, err)
	}
	final, err := s.Step("r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096")
	if err != nil || !strings.HasSuffix(final, "p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=") {
		t.Fatal(final, err)
	}
	if _, err := s.Step("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="); err != nil {
		t.Fatal(err)
	}
	if !s.Done() {
		t.Error("not done")
	}
}
