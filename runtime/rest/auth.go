package rest

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"regexp"
	"strings"

	"github.com/freshet-io/freshet/runtime/workerconfig"
)

// authenticator decides on requests of one scheme of the Authorization header.
type authenticator interface {
	scheme() string
	// check returns nil when the request may go on.
	check(r *request, credentials string) *refusal
}

// refusal is the answer to a request that may not go on.
type refusal struct {
	status    int
	text      string
	json      bool   // the text is an error's message
	challenge string // of WWW-Authenticate; "": none
}

func (e *refusal) write(r *request, w http.ResponseWriter) {
	if e.challenge != "" {
		w.Header().Set("WWW-Authenticate", e.challenge)
	}
	if e.json {
		r.write(w, e.status, jsonType, encode(message{e.status, e.text}))
		return
	}
	r.write(w, e.status, jsonType, []byte(e.text)) // the reference's type, for a plain text
}

func unauthorized() *refusal {
	return &refusal{status: http.StatusUnauthorized, text: "User cannot access the resource."}
}

func (c *Config) authenticators(log *slog.Logger) (out []authenticator) {
	if c.users != nil {
		out = append(out, basic{c.users})
	}
	if c.oidc.issuer != "" {
		out = append(out, newBearer(c.oidc, log))
	}
	return out
}

// allow lets the authenticator of the request's scheme decide; without any, everything is allowed.
func (r *request) allow() *refusal {
	if len(r.api.auth) == 0 {
		return nil
	}
	scheme, credentials, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	refused := unauthorized()
	for _, a := range r.api.auth {
		if strings.EqualFold(a.scheme(), scheme) {
			return a.check(r, credentials)
		}
		if a.scheme() == "Bearer" {
			refused.challenge = "Bearer"
		}
	}
	return refused
}

type basic struct{ users map[string][32]byte }

func (basic) scheme() string { return "Basic" }

func (b basic) check(_ *request, credentials string) *refusal {
	decoded, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(credentials, "="))
	if err != nil {
		text := "Last unit does not have enough valid bits"
		if i := strings.IndexFunc(credentials, notBase64); i >= 0 {
			text = fmt.Sprintf("Illegal base64 character %x", credentials[i])
		}
		return &refusal{status: http.StatusInternalServerError, text: text, json: true}
	}
	user, password, _ := strings.Cut(string(decoded), ":")
	want, known := b.users[user]
	got := sha256.Sum256([]byte(password))
	if subtle.ConstantTimeCompare(got[:], want[:]) != 1 || !known {
		return unauthorized()
	}
	return nil
}

func notBase64(r rune) bool {
	return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '+' || r == '/' || r == '=')
}

// readUsers reads the users and passwords of the reference's basic authentication, when rest.extension.classes has it or
// freshet.rest.basic.auth.file names them: user=password per line. It returns digests, nil when nobody asks for passwords.
func readUsers(w *workerconfig.Config, env func(string) string) (map[string][32]byte, error) {
	file, from := w.String(workerconfig.KeyUsers), workerconfig.KeyUsers
	if file == "" {
		if !w.BasicAuth() {
			return nil, nil
		}
		var err error
		if file, from, err = loginFile(env("KAFKA_OPTS")); err != nil {
			return nil, fmt.Errorf("worker key rest.extension.classes: basic authentication: %w", err)
		}
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", from, err)
	}
	passwords, err := workerconfig.ParseProperties(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %s: %w", from, file, err)
	}
	if len(passwords) == 0 {
		return nil, fmt.Errorf("%s: there is no user in %s: write user=password on a line", from, file)
	}
	users := make(map[string][32]byte, len(passwords))
	for user, password := range passwords {
		users[user] = sha256.Sum256([]byte(password))
	}
	return users, nil
}

var (
	loginConfig = regexp.MustCompile(`-Djava\.security\.auth\.login\.config=("[^"]*"|\S+)`)
	loginModule = regexp.MustCompile(`(?s)\bKafkaConnect\s*\{\s*(\S+)\s+\w+\s+(.*?)\}`)
	loginOption = regexp.MustCompile(`\bfile\s*=\s*"([^"]*)"`)
)

// loginFile finds the file of users as the reference does: the JAAS configuration that KAFKA_OPTS names has, under
// KafkaConnect, a PropertyFileLoginModule with a file.
func loginFile(kafkaOpts string) (file, from string, err error) {
	m := loginConfig.FindStringSubmatch(kafkaOpts)
	if m == nil {
		return "", "", fmt.Errorf("needs a file of users: set %s, or -Djava.security.auth.login.config=… in KAFKA_OPTS", workerconfig.KeyUsers)
	}
	from = strings.Trim(m[1], `"`)
	text, err := os.ReadFile(from)
	if err != nil {
		return "", "", fmt.Errorf("read java.security.auth.login.config: %w", err)
	}
	module := loginModule.FindStringSubmatch(string(text))
	if module == nil {
		return "", "", fmt.Errorf("%s: there is no entry KafkaConnect { … }", from)
	}
	if !strings.HasSuffix(module[1], "PropertyFileLoginModule") {
		return "", "", fmt.Errorf("%s: %s is Java and cannot be loaded: use PropertyFileLoginModule, or freshet.rest.oidc.*", from, module[1])
	}
	option := loginOption.FindStringSubmatch(module[2])
	if option == nil {
		return "", "", fmt.Errorf("%s: PropertyFileLoginModule has no file=\"…\"", from)
	}
	return option[1], from, nil
}
