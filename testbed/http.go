package testbed

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

// Call sends a request with a JSON body ("": none) and returns the answer's status and body.
func Call(t testing.TB, method, url, body string) (int, string) {
	t.Helper()
	status, answer, err := call(t.Context(), method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	return status, answer
}

func call(ctx context.Context, method, url, body string) (int, string, error) {
	req, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return 0, "", fmt.Errorf("make a request: %w", err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	return fetch(req)
}

// fetch sends a request and returns status and body.
func fetch(req *http.Request) (int, string, error) {
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(body), err
}
