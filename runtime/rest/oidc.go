package rest

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"

	"github.com/freshet-io/freshet/runtime/workerconfig"
)

// oidcConfig is who issues bearer tokens, and which of their roles may do what.
type oidcConfig struct {
	issuer, audience string // issuer "": none
	claim            string // of the roles; dots lead into objects
	admin, read      string // roles
}

func readOIDC(w *workerconfig.Config) oidcConfig {
	return oidcConfig{
		issuer: w.String(workerconfig.KeyIssuer), audience: w.String(workerconfig.KeyAudience), claim: w.String(workerconfig.KeyRoles),
		admin: w.String(workerconfig.KeyRoleAdmin), read: w.String(workerconfig.KeyRoleRead),
	}
}

const (
	issuerTimeout = 10 * time.Second
	issuerPause   = 5 * time.Second
)

// bearer checks JSON Web Tokens. The issuer's description is read with the first one.
type bearer struct {
	config oidcConfig
	log    *slog.Logger
	pause  time.Duration // between attempts to reach the issuer

	mu       sync.Mutex
	verifier *oidc.IDTokenVerifier
	failed   time.Time // the last attempt to reach the issuer
}

func newBearer(c oidcConfig, log *slog.Logger) *bearer {
	return &bearer{config: c, log: log, pause: issuerPause}
}

func (*bearer) scheme() string { return "Bearer" }

func (b *bearer) check(r *request, token string) *refusal {
	verifier := b.ready()
	if verifier == nil {
		return &refusal{status: http.StatusServiceUnavailable, text: "The issuer of tokens cannot be reached: try again later", json: true}
	}
	ctx, cancel := context.WithTimeout(r.Context(), issuerTimeout)
	defer cancel()
	verified, err := verifier.Verify(ctx, strings.TrimSpace(token))
	if err != nil {
		b.log.Debug("refuse a bearer token", "error", err) // I12: go-oidc's errors have no token in them
		refused := unauthorized()
		refused.challenge = `Bearer error="invalid_token"`
		return refused
	}
	var claims map[string]json.RawMessage
	if err := verified.Claims(&claims); err != nil {
		return unauthorized()
	}
	roles := rolesIn(claims, b.config.claim)
	reads := r.Method == http.MethodGet || r.Method == http.MethodHead || r.Method == http.MethodOptions
	if slices.Contains(roles, b.config.admin) || reads && slices.Contains(roles, b.config.read) {
		return nil
	}
	text := "The token has neither the role " + b.config.admin + " nor " + b.config.read
	if !reads {
		text = "The token lacks the role " + b.config.admin + ", which changes need"
	}
	return &refusal{status: http.StatusForbidden, text: text, json: true, challenge: `Bearer error="insufficient_scope"`}
}

// ready returns what checks tokens; nil while the issuer cannot be reached.
func (b *bearer) ready() *oidc.IDTokenVerifier {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.verifier != nil || time.Since(b.failed) < b.pause {
		return b.verifier
	}
	client := &http.Client{Timeout: issuerTimeout}
	// The verifier keeps this context for the issuer's keys, so it must not end.
	provider, err := oidc.NewProvider(oidc.ClientContext(context.Background(), client), b.config.issuer)
	if err != nil {
		b.failed = time.Now()
		b.log.Error("read the description of the issuer of tokens: check "+workerconfig.KeyIssuer, "issuer", b.config.issuer, "error", err)
		return nil
	}
	b.verifier = provider.Verifier(&oidc.Config{ClientID: b.config.audience, SkipClientIDCheck: b.config.audience == ""})
	return b.verifier
}

// rolesIn reads the roles: a list, or a text with blanks between them.
func rolesIn(claims map[string]json.RawMessage, path string) []string {
	value, there := claims[path] // a claim's name may have dots itself, such as a URL
	for !there {
		name, rest, more := strings.Cut(path, ".")
		if !more {
			return nil
		}
		var inner map[string]json.RawMessage
		if json.Unmarshal(claims[name], &inner) != nil {
			return nil
		}
		claims, path = inner, rest
		value, there = claims[path]
	}
	var list []string
	if json.Unmarshal(value, &list) == nil {
		return list
	}
	var text string
	if json.Unmarshal(value, &text) == nil {
		return strings.Fields(text)
	}
	return nil
}
