package herder

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"fmt"
	"hash"
	"slices"
	"strings"
	"time"

	"github.com/freshet-io/freshet/runtime"
)

const hmacSHA256 = "HmacSHA256"

// algorithm returns the hash of one of Java's Mac algorithms; nil for one that is not here.
func algorithm(name string) func() hash.Hash {
	switch strings.ToLower(name) {
	case "hmacsha256":
		return sha256.New
	case "hmacsha384":
		return sha512.New384
	case "hmacsha512":
		return sha512.New
	}
	return nil
}

func newSessionKey(name string) Message {
	key := make([]byte, 32)
	if a := algorithm(name); a != nil {
		key = make([]byte, a().Size())
	}
	_, _ = rand.Read(key) // never fails
	return Message{keySession, encode(sessionRecord{key, name, time.Now().UnixMilli()})}
}

const noKeyYet = "This worker is still starting up and has not been able to read a session key from the config topic yet"

// sessionKey is nil until the leader has made one.
func (h *Herder) sessionKey() []byte {
	h.mu.RLock()
	defer h.mu.RUnlock()
	if h.desired.session == nil {
		return nil
	}
	return h.desired.session.Key
}

// Sign signs the body of a request to another worker.
func (h *Herder) Sign(body []byte) (signature, name string, err error) {
	key, a := h.sessionKey(), algorithm(h.o.Signature)
	if a == nil {
		return "", "", fmt.Errorf("sign a request to another worker: algorithm %s is not here", h.o.Signature)
	}
	if key == nil {
		return "", "", &runtime.RequestError{Kind: runtime.Unavailable, Message: noKeyYet}
	}
	return base64.StdEncoding.EncodeToString(sum(a, key, body)), h.o.Signature, nil
}

// Verify returns a *runtime.RequestError when signature is not that of body.
func (h *Herder) Verify(body []byte, signature, name string) error {
	if signature == "" || name == "" {
		return badRequest("Internal request missing required signature")
	}
	a := algorithm(name)
	if a == nil {
		return badRequest("Algorithm %s not available", name)
	}
	given, err := decodeSignature(signature)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(h.o.Verification, func(v string) bool { return strings.EqualFold(v, name) }) {
		return badRequest("This worker does not support the '%s' key signing algorithm used by other workers. This worker is currently configured to use: %s. "+
			"Check that all workers' configuration files permit the same set of signature algorithms, and correct any misconfigured worker and restart it.", name, strings.Join(h.o.Verification, ", "))
	}
	key := h.sessionKey()
	if key == nil {
		return &runtime.RequestError{Kind: runtime.Unavailable, Message: noKeyYet}
	}
	if !hmac.Equal(given, sum(a, key, body)) {
		return &runtime.RequestError{Kind: runtime.Forbidden, Message: "Internal request contained invalid signature."}
	}
	return nil
}

func sum(a func() hash.Hash, key, body []byte) []byte {
	m := hmac.New(a, key)
	m.Write(body)
	return m.Sum(nil)
}

// decodeSignature reads base64; its errors are those of Java's decoder.
func decodeSignature(s string) ([]byte, error) {
	out, err := base64.StdEncoding.DecodeString(s)
	if err == nil {
		return out, nil
	}
	for _, c := range []byte(strings.TrimRight(s, "=")) {
		if !strings.ContainsRune("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/", rune(c)) {
			return nil, badRequest("Illegal base64 character %x", c)
		}
	}
	return nil, badRequest("Input byte array has wrong 4-byte ending unit")
}
