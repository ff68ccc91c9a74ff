package kafkaclient

import (
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"hash"
	"strconv"
	"strings"
)

// scramClient is the client side of SCRAM (RFC 5802, RFC 7677), as sarama's SCRAMClient.
type scramClient struct {
	hash      func() hash.Hash
	password  string
	nonce     string
	firstBare string
	signature []byte // expected from the server
	step      int
}

func newScramClient(mechanism string) *scramClient {
	if mechanism == "SCRAM-SHA-512" {
		return &scramClient{hash: sha512.New}
	}
	return &scramClient{hash: sha256.New}
}

func (s *scramClient) Begin(user, password, _ string) error {
	var raw [18]byte
	if _, err := rand.Read(raw[:]); err != nil {
		return fmt.Errorf("make SCRAM nonce: %w", err)
	}
	s.nonce = base64.RawStdEncoding.EncodeToString(raw[:])
	s.password = password
	s.firstBare = "n=" + strings.NewReplacer("=", "=3D", ",", "=2C").Replace(user) + ",r=" + s.nonce
	s.step = 0
	return nil
}

func (s *scramClient) Step(challenge string) (string, error) {
	s.step++
	switch s.step {
	case 1:
		return "n,," + s.firstBare, nil
	case 2:
		return s.final(challenge)
	case 3:
		return "", s.verify(challenge)
	}
	return "", errors.New("SCRAM: the server asks for more after the end of the exchange")
}

func (s *scramClient) Done() bool { return s.step >= 3 }

func (s *scramClient) final(challenge string) (string, error) {
	f := scramFields(challenge)
	nonce, iterations := f["r"], 0
	if n, err := strconv.Atoi(f["i"]); err == nil {
		iterations = n
	}
	salt, err := base64.StdEncoding.DecodeString(f["s"])
	if err != nil || len(salt) == 0 || !strings.HasPrefix(nonce, s.nonce) || len(nonce) == len(s.nonce) ||
		iterations < 1 || iterations > 1<<24 {
		return "", errors.New("SCRAM: the server's first message is not valid")
	}
	salted, err := pbkdf2.Key(s.hash, s.password, salt, iterations, s.hash().Size())
	if err != nil {
		return "", fmt.Errorf("SCRAM: derive key: %w", err)
	}
	clientKey := s.mac(salted, "Client Key")
	h := s.hash()
	h.Write(clientKey)
	withoutProof := "c=biws,r=" + nonce
	auth := s.firstBare + "," + challenge + "," + withoutProof
	proof := s.mac(h.Sum(nil), auth)
	subtle.XORBytes(proof, proof, clientKey)
	s.signature = s.mac(s.mac(salted, "Server Key"), auth)
	return withoutProof + ",p=" + base64.StdEncoding.EncodeToString(proof), nil
}

func (s *scramClient) verify(challenge string) error {
	f := scramFields(challenge)
	if e, ok := f["e"]; ok {
		return fmt.Errorf("SCRAM: the server refused: %s", e)
	}
	sig, err := base64.StdEncoding.DecodeString(f["v"])
	if err != nil || !hmac.Equal(sig, s.signature) {
		return errors.New("SCRAM: the server's signature is wrong: it does not know the password")
	}
	return nil
}

func (s *scramClient) mac(key []byte, text string) []byte {
	m := hmac.New(s.hash, key)
	m.Write([]byte(text))
	return m.Sum(nil)
}

func scramFields(message string) map[string]string {
	f := map[string]string{}
	for _, part := range strings.Split(message, ",") {
		if k, v, ok := strings.Cut(part, "="); ok {
			f[k] = v
		}
	}
	return f
}
