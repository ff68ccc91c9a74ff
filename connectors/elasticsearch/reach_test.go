package elasticsearch

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/testbed"
)

// What comes back of a server that cannot be reached says where and what to do, without the password.
func TestUnreachable(t *testing.T) {
	t.Parallel()
	plain := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(plain.Close)
	secure := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(secure.Close)
	mute := listen(t, func(c net.Conn) {
		_, _ = c.Read(make([]byte, 4096)) // a close with something unread may be a reset
		_ = c.Close()
	})
	gone := testbed.FreeAddress(t)
	for url, want := range map[string][]string{
		"http://" + gone: {"reach " + gone + ": connection refused; check connection.url"},
		"https://" + strings.TrimPrefix(plain.URL, "http://"): {"write http:// in connection.url"},
		secure.URL:       {"elastic.https.ssl.truststore.location"},
		"http://" + mute: {mute, "check connection.url"},
	} {
		values := Factory{}.Validate(t.Context(), connectors.Config{keyURL: url, keyUser: "u", keyPassword: "hidden-one", keyConnect: "60000"})
		text := strings.Join(connectors.Errors(values), " ")
		for _, w := range append(want, "connect to Elasticsearch") {
			if !strings.Contains(text, w) {
				t.Errorf("%s: %q does not say %q", url, text, w)
			}
		}
		if strings.Contains(text, "hidden-one") {
			t.Errorf("%s: %q shows the password", url, text)
		}
	}
}

// A name that is not known is told of as such; asking a resolver may take longer than a connection may.
func TestUnknownName(t *testing.T) {
	t.Parallel()
	err := error(&net.DNSError{Name: "no-such", Server: "10.0.0.1", IsNotFound: true})
	if text := unwrapped(err).Error() + reachAdvice(err); text != "the host name no-such cannot be resolved; check connection.url" {
		t.Error(text)
	}
}

// listen returns the address of a server that does this with each connection.
func listen(t *testing.T, handle func(net.Conn)) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			handle(c)
		}
	}()
	return l.Addr().String()
}
