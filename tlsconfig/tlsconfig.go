// Package tlsconfig turns the ssl.* properties of Kafka's clients and of Connect's listeners into crypto/tls configurations.
// Stores are PEM files, or PEM text in the properties.
package tlsconfig

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"strings"
)

// Client returns how to talk to a server: ssl.truststore.*, ssl.keystore.*, ssl.enabled.protocols and
// ssl.endpoint.identification.algorithm.
func Client(props map[string]string) (*tls.Config, error) {
	t, err := versions(props)
	if err != nil {
		return nil, err
	}
	if t.RootCAs, err = roots(props); err != nil {
		return nil, err
	}
	if err := setCertificate(t, props); err != nil {
		return nil, err
	}
	if algorithm, set := props["ssl.endpoint.identification.algorithm"]; set && strings.TrimSpace(algorithm) == "" {
		SkipHostname(t)
	} else if set && !strings.EqualFold(strings.TrimSpace(algorithm), "https") {
		return nil, fmt.Errorf("ssl.endpoint.identification.algorithm: %q is neither https nor empty", algorithm)
	}
	return t, nil
}

// File is a PEM file and the property that names it; without a path there is none.
type File struct{ Property, Path string }

// FromFiles returns how to talk to a server: with the certificate and key in keystore, trusting the certificates in truststore
// (without one: the system's).
func FromFiles(keystore, truststore File) (*tls.Config, error) {
	t := &tls.Config{MinVersion: tls.VersionTLS12}
	if truststore.Path != "" {
		text, err := pemFile(truststore, "set "+truststore.Property+" to store.pem")
		if err != nil {
			return nil, err
		}
		if t.RootCAs, err = certPool(truststore.Property, text); err != nil {
			return nil, err
		}
	}
	if keystore.Path != "" {
		text, err := pemFile(keystore, "set "+keystore.Property+" to store.pem")
		if err != nil {
			return nil, err
		}
		if t.Certificates, err = keyPair(keystore.Property, text, text); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// Server returns how to serve: the keystore is needed; ssl.client.auth none (the default), requested or required asks clients
// for a certificate that the truststore knows.
func Server(props map[string]string) (*tls.Config, error) {
	t, err := versions(props)
	if err != nil {
		return nil, err
	}
	if err := setCertificate(t, props); err != nil {
		return nil, err
	}
	if len(t.Certificates) == 0 {
		return nil, errors.New("ssl.keystore.location: a listener with TLS needs a key and its certificate")
	}
	switch auth := strings.ToLower(strings.TrimSpace(props["ssl.client.auth"])); auth {
	case "", "none":
		return t, nil
	case "requested":
		t.ClientAuth = tls.VerifyClientCertIfGiven
	case "required":
		t.ClientAuth = tls.RequireAndVerifyClientCert
	default:
		return nil, fmt.Errorf("ssl.client.auth: %q is not one of none, requested, required", auth)
	}
	t.ClientCAs, err = roots(props)
	return t, err
}

func versions(props map[string]string) (*tls.Config, error) {
	t := &tls.Config{MinVersion: tls.VersionTLS12}
	for _, p := range strings.Split(props["ssl.enabled.protocols"]+","+props["ssl.protocol"], ",") {
		switch strings.TrimSpace(p) {
		case "", "TLS", "TLSv1.2", "TLSv1.3":
		default:
			return nil, fmt.Errorf("ssl.enabled.protocols, ssl.protocol: %q is not one of TLSv1.2, TLSv1.3", strings.TrimSpace(p))
		}
	}
	if strings.TrimSpace(props["ssl.enabled.protocols"]) == "TLSv1.3" {
		t.MinVersion = tls.VersionTLS13
	}
	return t, nil
}

// roots are the certificates of the truststore; nil, the system's, without one.
func roots(props map[string]string) (*x509.CertPool, error) {
	text, err := pemProperty(props, "ssl.truststore", "certificates")
	if err != nil || text == nil {
		return nil, err
	}
	return certPool("ssl.truststore", text)
}

func certPool(property string, text []byte) (*x509.CertPool, error) {
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s: there is no certificate in it", property)
	}
	return pool, nil
}

func setCertificate(t *tls.Config, props map[string]string) error {
	chain, err := pemProperty(props, "ssl.keystore", "certificate.chain")
	if err != nil || chain == nil && props["ssl.keystore.key"] == "" {
		return err
	}
	key := chain // a keystore file has both
	if k := props["ssl.keystore.key"]; k != "" {
		key = []byte(k)
	}
	t.Certificates, err = keyPair("ssl.keystore", chain, key)
	return err
}

func keyPair(property string, chain, key []byte) ([]tls.Certificate, error) {
	if bytes.Contains(key, []byte("ENCRYPTED")) {
		return nil, fmt.Errorf("%s: the private key is encrypted: write it in plain PKCS#8 with "+
			"'openssl pkcs8 -topk8 -nocrypt -in key.pem -out plain.pem' and protect the file by its mode", property)
	}
	pair, err := tls.X509KeyPair(chain, key)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", property, err)
	}
	return []tls.Certificate{pair}, nil
}

// pemProperty returns the PEM bytes of <prefix>.<inline> or of the file <prefix>.location; nil when neither is set.
func pemProperty(props map[string]string, prefix, inline string) ([]byte, error) {
	if v := strings.TrimSpace(props[prefix+"."+inline]); v != "" {
		if b, _ := pem.Decode([]byte(v)); b == nil {
			return nil, fmt.Errorf("%s.%s: is not PEM (-----BEGIN …)", prefix, inline)
		}
		return []byte(v), nil
	}
	path := strings.TrimSpace(props[prefix+".location"])
	if path == "" {
		return nil, nil
	}
	return pemFile(File{prefix + ".location", path}, fmt.Sprintf("set %s.location to store.pem and %s.type=PEM", prefix, prefix))
}

// pemFile reads a PEM file; then is what to do once another kind of store is converted to store.pem.
func pemFile(f File, then string) ([]byte, error) {
	data, err := os.ReadFile(f.Path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.Property, err)
	}
	if b, _ := pem.Decode(data); b != nil {
		return data, nil
	}
	path := f.Path
	convert := "keytool -importkeystore -srckeystore " + path + " -destkeystore store.p12 -deststoretype PKCS12, then " +
		"openssl pkcs12 -in store.p12 -nodes -out store.pem"
	if !bytes.HasPrefix(data, []byte{0xFE, 0xED, 0xFE, 0xED}) {
		convert = "openssl pkcs12 -in " + path + " -nodes -out store.pem"
	}
	return nil, fmt.Errorf("%s: %s is a %s store and only PEM is read here: convert it (%s), then %s", f.Property, path, storeKind(data), convert, then)
}

func storeKind(data []byte) string {
	switch {
	case bytes.HasPrefix(data, []byte{0xFE, 0xED, 0xFE, 0xED}):
		return "JKS"
	case bytes.HasPrefix(data, []byte{0x30}):
		return "PKCS12"
	}
	return "binary"
}

// skipHostname verifies the chain but not the host name (ssl.endpoint.identification.algorithm= ).
func SkipHostname(t *tls.Config) {
	roots := t.RootCAs
	t.InsecureSkipVerify = true
	t.VerifyConnection = func(cs tls.ConnectionState) error {
		opts := x509.VerifyOptions{Roots: roots, Intermediates: x509.NewCertPool()}
		for _, cert := range cs.PeerCertificates[1:] {
			opts.Intermediates.AddCert(cert)
		}
		_, err := cs.PeerCertificates[0].Verify(opts)
		return err
	}
}
