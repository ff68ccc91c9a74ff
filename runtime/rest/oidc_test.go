package rest

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/freshet-io/freshet/connectors"
)

// issuer is an OpenID Connect issuer with one key.
type issuer struct {
	*httptest.Server
	key  *rsa.PrivateKey
	down atomic.Bool
}

func newIssuer(t *testing.T) *issuer {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	i := &issuer{key: key}
	i.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if i.down.Load() {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Connection", "close")
		switch r.URL.Path {
		case "/.well-known/openid-configuration":
			_, _ = w.Write(encode(map[string]any{
				"issuer": i.URL, "jwks_uri": i.URL + "/keys", "authorization_endpoint": i.URL + "/a", "token_endpoint": i.URL + "/t",
				"id_token_signing_alg_values_supported": []string{"RS256"},
			}))
		case "/keys":
			_, _ = w.Write(encode(map[string]any{"keys": []any{map[string]string{
				"kty": "RSA", "alg": "RS256", "use": "sig", "kid": "one",
				"n": b64(key.N.Bytes()), "e": b64(big.NewInt(int64(key.E)).Bytes()),
			}}}))
		default:
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(i.Close)
	return i
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// token signs claims with the issuer's key, or with another one.
func (i *issuer) token(t *testing.T, key *rsa.PrivateKey, algorithm string, claims map[string]any) string {
	t.Helper()
	all := map[string]any{"iss": i.URL, "aud": "freshet", "sub": "me", "exp": time.Now().Add(time.Hour).Unix(), "iat": time.Now().Unix()}
	for k, v := range claims {
		all[k] = v
	}
	text := b64(encode(map[string]string{"alg": algorithm, "kid": "one", "typ": "JWT"})) + "." + b64(encode(all))
	if algorithm == "none" {
		return text + "."
	}
	digest := sha256.Sum256([]byte(text))
	signature, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, digest[:])
	if err != nil {
		t.Fatal(err)
	}
	return text + "." + b64(signature)
}

func TestBearerTokens(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	other, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	props := connectors.Config{
		"freshet.rest.oidc.issuer": i.URL, "freshet.rest.oidc.audience": "freshet", "freshet.rest.oidc.roles.claim": "realm_access.roles",
		"freshet.rest.oidc.role.admin": "boss", "freshet.rest.oidc.role.read": "guest",
	}
	s := serve(t, newFake(), configure(t, props, nil), Options{})
	roles := func(r ...string) map[string]any { return map[string]any{"realm_access": map[string]any{"roles": r}} }
	with := func(claims map[string]any, k string, v any) map[string]any {
		claims[k] = v
		return claims
	}
	for name, c := range map[string]struct {
		token    string
		get, put int
	}{
		"admin":            {i.token(t, i.key, "RS256", roles("x", "boss")), 200, 202},
		"reader":           {i.token(t, i.key, "RS256", roles("guest")), 200, 403},
		"nobody":           {i.token(t, i.key, "RS256", roles("x")), 403, 403},
		"no roles":         {i.token(t, i.key, "RS256", nil), 403, 403},
		"text of roles":    {i.token(t, i.key, "RS256", map[string]any{"realm_access.roles": "x boss"}), 200, 202},
		"another audience": {i.token(t, i.key, "RS256", with(roles("boss"), "aud", "other")), 401, 401},
		"another issuer":   {i.token(t, i.key, "RS256", with(roles("boss"), "iss", "https://other")), 401, 401},
		"too old":          {i.token(t, i.key, "RS256", with(roles("boss"), "exp", time.Now().Add(-time.Minute).Unix())), 401, 401},
		"another's key":    {i.token(t, other, "RS256", roles("boss")), 401, 401},
		"no signature":     {i.token(t, i.key, "none", roles("boss")), 401, 401},
		"garbage":          {"abc", 401, 401},
		"empty":            {"", 401, 401},
	} {
		for method, want := range map[string]int{"GET": c.get, "PUT": c.put} {
			path := map[string]string{"GET": "/connectors", "PUT": "/connectors/c/topics/reset"}[method]
			resp, body := call(t, method, s.URL+path, "", "Authorization", "Bearer "+c.token)
			if resp.StatusCode != want || want >= 401 && !strings.HasPrefix(resp.Header.Get("WWW-Authenticate"), "Bearer") {
				t.Errorf("%s: %s: %d %v %s, want %d", name, method, resp.StatusCode, resp.Header, body, want)
			}
			if c.token != "" && strings.Contains(body, c.token) {
				t.Errorf("%s: the answer has the token: %s", name, body) // I12
			}
		}
	}
	if resp, _ := call(t, "GET", s.URL+"/", ""); resp.StatusCode != 401 || resp.Header.Get("WWW-Authenticate") != "Bearer" {
		t.Errorf("without a token: %d %v", resp.StatusCode, resp.Header)
	}
	if resp, _ := call(t, "PUT", s.URL+"/connectors/c/fence", ""); resp.StatusCode != 400 {
		t.Errorf("another worker without a signature: %d", resp.StatusCode)
	}
}

// TestBearerWithoutIssuer starts while the issuer is away.
func TestBearerWithoutIssuer(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	i.down.Store(true)
	users := t.TempDir() + "/users"
	write(t, users, "rec=rec\n")
	c := configure(t, connectors.Config{"freshet.rest.oidc.issuer": i.URL, "freshet.rest.basic.auth.file": users}, nil)
	a := NewAPI(newFake(), c, Options{})
	b, ok := a.auth[1].(*bearer)
	if !ok {
		t.Fatalf("%T", a.auth[1])
	}
	ask := func(authorization string, want int) {
		t.Helper()
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Authorization", authorization)
		w := httptest.NewRecorder()
		a.Handler(true, true).ServeHTTP(w, r)
		if w.Code != want {
			t.Errorf("%d %s, want %d", w.Code, w.Body, want)
		}
	}
	token := "Bearer " + i.token(t, i.key, "RS256", map[string]any{"roles": []string{"read"}})
	ask(token, 503)
	ask("Basic cmVjOnJlYw==", 200)
	i.down.Store(false)
	ask(token, 503) // not asked again so soon
	b.pause = 0
	ask(token, 200)
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
}

func TestRolesIn(t *testing.T) {
	t.Parallel()
	var claims map[string]json.RawMessage
	if err := json.Unmarshal([]byte(`{"a":["x"],"b":{"c":{"d":"y z"}},"https://e.f/g":["w"],"n":1}`), &claims); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{"a": "[x]", "b.c.d": "[y z]", "b.c": "[]", "b": "[]", "b.x.d": "[]", "https://e.f/g": "[w]", "n": "[]", "none": "[]", "": "[]"} {
		if got := fmt.Sprint(rolesIn(claims, path)); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
}
