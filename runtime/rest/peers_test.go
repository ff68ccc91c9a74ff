package rest

import (
	"context"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/freshet-io/freshet/connectors"
)

func TestPeersSignWhatTheySend(t *testing.T) {
	var asked []string
	status, reply := http.StatusNoContent, ""
	leader := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		body, _ := io.ReadAll(q.Body)
		signature, _ := base64.StdEncoding.DecodeString(q.Header.Get("X-Connect-Authorization"))
		asked = append(asked, strings.Join([]string{q.Method, q.URL.EscapedPath(), string(body), string(signature), q.Header.Get("X-Connect-Request-Signature-Algorithm")}, " "))
		w.WriteHeader(status)
		_, _ = io.WriteString(w, reply)
	}))
	t.Cleanup(leader.Close)
	sign := func(body []byte) (string, string, error) {
		return base64.StdEncoding.EncodeToString([]byte("sign:" + string(body))), "HmacSHA256", nil
	}
	p := (&Config{}).Peers(sign)
	t.Cleanup(p.Close)
	ctx := context.Background()
	if err := p.PutTasks(ctx, leader.URL+"/", "a b", []connectors.Config{{"x": "1"}}); err != nil {
		t.Error(err)
	}
	if err := p.Fence(ctx, leader.URL, "c"); err != nil {
		t.Error(err)
	}
	want := `POST /connectors/a%20b/tasks [{"x":"1"}] sign:[{"x":"1"}] HmacSHA256;PUT /connectors/c/fence  sign: HmacSHA256`
	if got := strings.Join(asked, ";"); got != want {
		t.Errorf("got %s", got)
	}
	status, reply = http.StatusForbidden, `{"error_code":403,"message":"Internal request contained invalid signature."}`
	if err := p.Fence(ctx, leader.URL, "c"); err == nil || err.Error() != "Internal request contained invalid signature." {
		t.Errorf("got %v", err)
	}
	leader.Close()
	if err := p.Fence(ctx, leader.URL, "c"); err == nil || !strings.Contains(err.Error(), "ask the leader") {
		t.Errorf("got %v", err)
	}
	broken := errors.New("no key yet")
	if err := (&Config{}).Peers(func([]byte) (string, string, error) { return "", "", broken }).Fence(ctx, leader.URL, "c"); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
}
